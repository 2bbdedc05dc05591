package prometheus

import (
	"encoding/json"
	"strings"
	"testing"
)

// panel is what is looked at of a panel.
type panel struct {
	ID          int
	Type, Title string
	Description string
	GridPos     struct{ H, W, X, Y int }
	Datasource  struct{ UID string }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct {
		Expr         string
		LegendFormat string
		Datasource   struct{ UID string }
	}
}

// What stands for itself in a query until Grafana puts something in its place.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$pipeline", "kong", "$node", "worker-1")

func TestDashboard(t *testing.T) {
	var dashboard struct {
		ID         *int
		UID        string
		Panels     []panel
		Templating struct {
			List []struct{ Name, Type, Query, Definition any }
		}
	}
	if err := json.Unmarshal(read(t, "manifests/grafana/millrace.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.ID != nil || dashboard.UID != "millrace" {
		t.Errorf("id %v, uid %q: a number of an instance, or no stable name", dashboard.ID, dashboard.UID)
	}
	if v := dashboard.Templating.List[0]; v.Name != "datasource" || v.Type != "datasource" {
		t.Errorf("the first variable is %v, want the data source: the others ask it", v)
	}
	all, taken, ids := metrics(t), map[[2]int]string{}, map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("%s: id %d is used twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q is at column %d, row %d, where %q is", p.Title, x, y, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" {
			p.check(t, all)
		}
	}
	if len(ids) < 30 {
		t.Errorf("%d panels", len(ids))
	}
}

func (p *panel) check(t *testing.T, all map[string]metric) {
	t.Helper()
	if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
		t.Errorf("%s: description %q, unit %q, %d queries", p.Title, p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets))
	}
	for _, target := range p.Targets {
		check(t, p.Title, variables.Replace(target.Expr), all)
		if p.Datasource.UID != "${datasource}" || target.Datasource.UID != "${datasource}" {
			t.Errorf("%s: asks the data source %q", p.Title, target.Datasource.UID)
		}
		if target.LegendFormat == "" {
			t.Errorf("%s: a query without a legend", p.Title)
		}
	}
}
