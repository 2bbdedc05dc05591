package prometheus

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

// Labels of series, as both ends and components/pod-monitor make them.
var series = strings.NewReplacer(
	"AGENT", `pipeline="kong", job="millrace/millrace", instance="10.0.0.1:9600", node="worker-1", pod="millrace-agent-x", namespace="millrace"`,
	"LINES", `pipeline="kong", job="millrace/millrace", instance="10.0.0.1:9600", node="worker-1", pod="kong-1", namespace="kong", container="proxy"`,
	"LOADER", `pipeline="kong", job="millrace/millrace", instance="10.0.0.2:9600", node="worker-2", pod="millrace-collector-0", namespace="millrace"`,
	"PART", `topic="logging.kong", partition="0", pipeline="kong", job="millrace/millrace", instance="10.0.0.2:9600", node="worker-2", pod="millrace-collector-0"`,
	"PROCESS", `job="millrace/millrace", instance="10.0.0.1:9600", node="worker-1", pod="millrace-agent-x"`,
)

// stories are, for each alert, series of an hour, one sample a minute, that have
// to fire it, and series near to them that must not.
var stories = map[string]struct{ fires, quiet string }{
	"MillraceNoAgentMetrics":     {`millrace_agent_containers{AGENT} 3x20 _x40`, `millrace_agent_containers{AGENT} 3x20 _x15 3x25`},
	"MillraceNoCollectorMetrics": {`millrace_loads_total{LOADER, result="visible"} _x60`, `millrace_loads_total{LOADER, result="visible"} 0x60`},
	"MillraceDown":               {`up{PROCESS} 1x10 0x50`, `up{PROCESS} 1x10 0x8 1x40` + "\n" + `up{job="kong", instance="x"} 0x60`},
	"MillraceRestarts": {
		// It lives for less than a minute in five, and is gone in between.
		"process_start_time_seconds{PROCESS} 0 stale _ _ _ 300 stale _ _ _ 600 stale _ _ _ 900 stale _ _ _ 1200 stale _ _ _ 1500 stale\n" +
			"millrace_build_info{PROCESS} 1 stale _ _ _ 1 stale _ _ _ 1 stale _ _ _ 1 stale _ _ _ 1 stale _ _ _ 1 stale",
		"process_start_time_seconds{PROCESS} 0x20 900x40\nmillrace_build_info{PROCESS} 1x60\nprocess_start_time_seconds{job=\"kong\", instance=\"x\"} 0+300x60",
	},
	"MillraceNotReady": {`millrace_condition_ready{PROCESS, condition="kong/output"} 1x10 0x50`, `millrace_condition_ready{PROCESS, condition="kong/output"} 1x10 0x8 1x42`},
	"MillraceLedgerDiffers": {
		books("100+60x60", "95+57x60", `millrace_records_dropped_total{LINES, reason="too_large"} 1x60`),
		books("100+60x60", "95+60x60", "") + "\n" + strings.ReplaceAll(books("100+60x60", "94+60x60", `millrace_records_dropped_total{LINES, reason="too_large"} 1x60`), "LINES", "PART"),
	},
	"MillraceRecordsDropped": {
		`millrace_records_dropped_total{LINES, reason="spool_full"} _x30 7x30`, // its series begins with the first event
		// A scrape that failed is no reason.
		"millrace_records_dropped_total{LINES, reason=\"too_large\"} 7x20 stale 7x39\nmillrace_records_dropped_total{PART, reason=\"refused\"} 0+5x60",
	},
	"MillraceDeadLetters": {
		`millrace_records_dropped_total{PART, reason="refused"} _x30 1x30`,
		"millrace_records_dropped_total{PART, reason=\"refused\"} 1x20 stale 1x39\nmillrace_records_dropped_total{LINES, reason=\"too_large\"} 0+5x60",
	},
	"MillraceAgentBehind": {
		`millrace_records_oldest_pending_age_seconds{LINES} 1x10 0+60x50`,
		"millrace_records_oldest_pending_age_seconds{LINES} 1x10 0+60x8 1x40\nmillrace_records_oldest_pending_age_seconds{PART} 900x60",
	},
	"MillraceHeldFilesNearLimit": {`millrace_agent_held_bytes{AGENT} 0+20000000x60`, `millrace_agent_held_bytes{AGENT} 500000000x60`},
	"MillraceLinesMissed": {
		`millrace_agent_missed_files_total{AGENT, reason="deleted"} _x30 1x30`, // found by a new pod at its start
		`millrace_agent_missed_files_total{AGENT, reason="deleted"} 1x20 stale 1x39`,
	},
	"MillraceFileErrors": {`millrace_agent_file_errors_total{AGENT} 0x10 3x50`, `millrace_agent_file_errors_total{AGENT} 3x60`},
	"MillraceKafkaRefuses": {
		`millrace_kafka_errors_total{AGENT, cause="NOT_ENOUGH_REPLICAS"} 0+2x60`,
		`millrace_kafka_errors_total{AGENT, cause="connect"} 0x10 5x50` + "\n" + `millrace_kafka_errors_total{AGENT, cause="TOPIC_AUTHORIZATION_FAILED"} 0+1x60`,
	},
	"MillraceKafkaRightMissing": {
		`millrace_kafka_errors_total{AGENT, cause="TOPIC_AUTHORIZATION_FAILED"} 0+1x60`,
		`millrace_kafka_errors_total{AGENT, cause="connect"} 0+1x60`,
	},
	"MillraceTransactionsAborted": {
		`millrace_kafka_transactions_aborted_total{AGENT, reason="timeout"} 0+3x60`,
		`millrace_kafka_transactions_aborted_total{AGENT, reason="refused"} 0x10 1x50` + "\n" + `millrace_kafka_transactions_aborted_total{AGENT, reason="closed"} 0+1x60`,
	},
	"MillraceCollectorBehind": {
		"millrace_partition_lag_records{PART} 1000000x60\n" + moves("0+6000x60"),
		"millrace_partition_lag_records{PART} 50000x60\n" + moves("0+6000x60"),
	},
	"MillraceLagGrows": {`millrace_partition_lag_records{PART} 0+1000x60`, `millrace_partition_lag_records{PART} 60000-1000x60`},
	"MillracePartitionStands": {
		"millrace_partition_lag_records{PART} 5x60\n" + moves("100x60"),
		"millrace_partition_lag_records{PART} 5x60\n" + moves("0+1x60") + // and one whose records are all dead letters
			strings.ReplaceAll("\nmillrace_partition_lag_records{ONE} 5x60\nmillrace_records_dropped_total{ONE, reason=\"refused\"} 0+60x60",
				"ONE", `topic="logging.kong", partition="1", pipeline="kong"`),
	},
	"MillraceOffsetsMissed":       {`millrace_missed_offsets_total{PART, reason="retention"} _x30 500x30`, `millrace_missed_offsets_total{PART, reason="retention"} 0x60`},
	"MillraceTimeToVisible":       {visible("0+60x60", "0+90x60"), visible("0+100x60", "0+100x60")},
	"MillraceLoadsFail":           {loads("0+10x60", "0+30x60"), loads("0+60x60", "0+3x60")},
	"MillraceUnreadableDatetimes": {`millrace_load_unreadable_datetimes_total{LOADER, column="time"} 0+5x60`, `millrace_load_unreadable_datetimes_total{LOADER, column="time"} 5x60`},
	"MillraceKongFormatDiffers": {
		// The collector reads the same records, in a pipeline of the same name.
		"millrace_kong_unmatched_records_total{AGENT} 0+8x60\nmillrace_records_read_total{LINES} 0+100x60\nmillrace_records_read_total{PART} 0+100x60",
		"millrace_kong_unmatched_records_total{AGENT} 0+1x60\nmillrace_records_read_total{LINES} 0+100x60",
	},
}

// books is a ledger of which 5 records are pending.
func books(read, delivered, dropped string) string {
	return "millrace_records_read_total{LINES} " + read + "\nmillrace_records_delivered_total{LINES} " + delivered +
		"\nmillrace_records_pending{LINES} 5x60\nmillrace_records_filtered_total{LINES} 0x60\nmillrace_records_taken_over_total{LINES} 0x60\n" +
		"millrace_records_handed_over_total{LINES} 0x60\n" + dropped
}

func moves(delivered string) string {
	return "millrace_records_delivered_total{PART} " + delivered + "\nmillrace_records_filtered_total{PART} 0x60"
}

func visible(under5, all string) string {
	return `millrace_time_to_visible_seconds_bucket{LOADER, le="5"} ` + under5 + "\n" + `millrace_time_to_visible_seconds_bucket{LOADER, le="30"} ` + all +
		"\n" + `millrace_time_to_visible_seconds_bucket{LOADER, le="+Inf"} ` + all
}

func loads(visible, failed string) string {
	return `millrace_loads_total{LOADER, result="visible"} ` + visible + "\n" + `millrace_loads_total{LOADER, result="failed"} ` + failed
}

// firing evaluates a rule once a minute from a minute of the hour on, and returns
// what fired.
func firing(t *testing.T, rule *rules.AlertingRule, story string, from int) (fired []*rules.Alert) {
	t.Helper()
	text := "load 1m\n"
	for line := range strings.Lines(series.Replace(story)) {
		if line = strings.TrimSpace(line); line != "" {
			text += "  " + line + "\n"
		}
	}
	store := promqltest.LoadedStorage(t, text)
	query := rules.EngineQueryFunc(promqltest.NewTestEngine(t, false, 5*time.Minute, 1_000_000), store)
	for minute := from; minute <= 60; minute++ {
		if _, err := rule.Eval(t.Context(), 0, time.Unix(int64(minute)*60, 0).UTC(), query, nil, 0); err != nil {
			t.Fatal(err)
		}
		for _, alert := range rule.ActiveAlerts() {
			if alert.State == rules.StateFiring && alert.ResolvedAt.IsZero() {
				fired = append(fired, alert)
			}
		}
	}
	return fired
}

// Each alert fires on series that mean it, with texts in which nothing is
// missing, and does not on those that are near to it.
func TestAlertsFire(t *testing.T) {
	told := map[string]bool{}
	for _, group := range groups(t).Groups {
		for _, r := range group.Rules {
			story, ok := stories[r.Alert]
			if !ok {
				t.Errorf("%s has no story", r.Alert)
				continue
			}
			told[r.Alert] = true
			t.Run(r.Alert, func(t *testing.T) {
				expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
				if err != nil {
					t.Fatal(err)
				}
				newRule := func() *rules.AlertingRule {
					return rules.NewAlertingRule(r.Alert, expr, time.Duration(r.For), 0, labels.FromMap(r.Labels), labels.FromMap(r.Annotations),
						labels.EmptyLabels(), "", true, slog.New(slog.DiscardHandler))
				}
				from := 0
				if strings.Contains(r.Expr, "offset 15m") {
					from = 16 // to a Prometheus that has just begun everything is new
				}
				if fired := firing(t, newRule(), story.quiet, from); len(fired) > 0 {
					t.Errorf("fires without a reason: %s %v", fired[0].Labels, fired[0].Value)
				}
				fired := firing(t, newRule(), story.fires, 0)
				if len(fired) == 0 {
					t.Fatal("does not fire")
				}
				t.Log(fired[0].Annotations.Get("summary"), "|", fired[0].Annotations.Get("description"))
				for _, label := range shown.FindAllStringSubmatch(r.Annotations["summary"]+r.Annotations["description"], -1) {
					if fired[0].Labels.Get(label[1]) == "" {
						t.Errorf("its texts show the label %s, which it does not have: %s", label[1], fired[0].Labels)
					}
				}
			})
		}
	}
	for name := range stories {
		if !told[name] {
			t.Errorf("there is no alert %s", name)
		}
	}
}
