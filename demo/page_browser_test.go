package main

import (
	"database/sql"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"millrace/demo/audit"
	"millrace/demo/traffic"
)

// shown is what stands on the page, all read in the same moment.
type shown struct {
	From, To string
	Big      map[string]string     // the large figures
	Tables   map[string][][]string // by chart, without headings
	Heads    map[string][]string
}

const readPage = `(() => {
	const d = document.querySelector('#dashboard'), out = {From: d.dataset.from, To: d.dataset.to, Big: {}, Tables: {}, Heads: {}};
	for (const c of d.querySelectorAll('.chart')) {
		out.Tables[c.id] = [...c.querySelectorAll('tbody tr')].map(tr => [...tr.children].map(td => td.textContent));
		out.Heads[c.id] = [...c.querySelectorAll('thead th')].map(th => th.textContent);
		const big = c.querySelector('.big');
		if (big) out.Big[c.id] = big.textContent;
	}
	return out;
})()`

// span is the range that the page says it shows.
func (s *shown) span(t *testing.T) span {
	t.Helper()
	var of span
	for at, text := range map[*time.Time]string{&of.since: s.From, &of.until: s.To} {
		var err error
		if *at, err = time.ParseInLocation(time.DateTime, text, traffic.Zone); err != nil {
			t.Fatal(err)
		}
	}
	return of
}

// figure reads a figure as the page writes it.
func figure(t *testing.T, text string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(strings.NewReplacer("\u202f", "", "\u00a0", "", "%", "", "◆ ", "", "■ ", "").Replace(text), 64)
	if err != nil {
		t.Fatalf("%q is no figure", text)
	}
	return x
}

// stocked is an exhibit whose table holds a quarter of an hour of lines.
func stocked(t *testing.T) (*demo, *httptest.Server, *shelf) {
	t.Helper()
	d, srv := exhibit(t)
	password, err := os.ReadFile(secretFile(d.dir, "starrocks"))
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{warehouse: d.warehouse, book: audit.NewBook()}
	load(t, d.warehouse, string(password), s.write(time.Now().Add(-15*time.Minute), 150*time.Millisecond, 6000))
	for range 3 {
		if _, err := d.node.advance(d.node.at.Add(time.Second), 1000); err != nil {
			t.Fatal(err)
		}
		d.flow.observe(t.Context())
	}
	return d, srv, s
}

func TestPageInABrowser(t *testing.T) {
	browser := openBrowser(t)
	d, srv, s := stocked(t)
	wide := newTab(browser, t, 1440, "light").open(srv.URL)
	narrow := newTab(browser, t, 360, "dark").open(srv.URL)
	on := func(name string, b *tab, test func(b *tab)) {
		t.Run(name, func(t *testing.T) {
			b.t = t
			test(b)
		})
		b.t = t
	}
	on("live strip", wide, func(b *tab) { testLive(b, d) })
	on("figures", wide, func(b *tab) { testFigures(b, s, d.dir) })
	on("wide", wide, testLayout)
	on("narrow", narrow, testLayout)
	on("contrast in light", wide, testContrast)
	on("contrast in dark", narrow, testContrast)
	on("names", wide, testNames)
	on("keyboard", wide, testKeyboard)
	on("keyboard in a narrow window", narrow, testKeyboard)
	on("range", wide, func(b *tab) { testRange(b, s) })
	on("StarRocks stops", wide, func(b *tab) { testStopped(b, d) })
	on("nothing in the table", wide, func(b *tab) { testEmpty(b, d) })
	wide.quiet(srv.URL)
	narrow.quiet(srv.URL)
}

// choose picks a preset and waits for its figures.
func (b *tab) choose(value string) shown {
	b.t.Helper()
	b.click(`input[value="` + value + `"]`)
	b.until(`document.querySelector('#dashboard').dataset.state === 'shown' && document.querySelector('#dashboard').dataset.range === '` + value + `'`)
	return eval[shown](b, readPage)
}

// The live strip says what the processes say of themselves, and what is
// counted between them.
func testLive(b *tab, d *demo) {
	b.until(`document.querySelector('[data-sum=table] .state') && document.querySelector('[data-ledger=collector] tbody')`)
	samples := d.flow.since(time.Time{})
	last, written := samples[len(samples)-1], 0.0
	for _, s := range samples[1:] {
		written += *s.Rates.Written / float64(len(samples)-1)
	}
	for selector, want := range map[string]string{
		"[data-sum=agent]":                              "Agent10 read= 6 delivered+ 1 filtered+ 1 dropped+ 2 pendingadds up",
		"[data-rate=written]":                           grouped(int(math.Round(written))),
		"[data-tile=p50]":                               "0.6\u00a0s", // 50 of the 90 that took up to a second
		"[data-tile=p99]":                               "1.9\u00a0s", // 9 of the 10 that took up to two
		"[data-tile=unread]":                            grouped(int(last.Due)),
		"[data-tile=lag]":                               "0",
		"[data-total=rows]":                             grouped(int(last.Rows)),
		"[data-step=node] .state":                       "up",
		"[data-step=collector] .state":                  "not ready",
		"[data-step=collector] .detail span:last-child": "kong/output: no backend alive",
		"[data-ledger=agent] .sum td:last-child":        "adds up",
	} {
		if got := eval[string](b, `document.querySelector('`+selector+`').textContent`); got != want {
			b.t.Errorf("%s: %q, want %q", selector, got, want)
		}
	}
	table := fmt.Sprintf("Table%s to arrive= %s rows+ %s on the way", grouped(int(last.Due)), grouped(int(last.Rows)), grouped(int(max(0, last.Due-last.Rows))))
	if got := eval[string](b, `document.querySelector('[data-sum=table]').textContent`); !strings.HasPrefix(got, table) {
		b.t.Errorf("the table's sum: %q, want %q", got, table)
	}
}

// The figures on the page are those of the lines, and those that SQL gives to
// somebody else's connection.
func testFigures(b *tab, s *shelf, dir string) {
	page := b.choose("minutes=15")
	of := page.span(b.t)
	all := requests(b.t, s, of)
	times := tallies(all, func(r request) string { return r.bucket })
	urls := tallies(all, func(r request) string { return r.url })
	sum := tallies(all, func(request) string { return "" })[""]
	if page.Big["requests"] != grouped(int(sum.n)) || math.Abs(figure(b.t, page.Big["error_rate"])-100*sum.failed/sum.n) > 0.005 {
		b.t.Errorf("large figures %q, want %v requests and %v errors", page.Big, sum.n, sum.failed)
	}
	for _, c := range []struct {
		chart string
		want  map[string]tally
		rows  int
		value func(tally) []float64
	}{
		{"requests", times, len(times), func(y tally) []float64 { return []float64{y.n} }},
		{"error_rate", times, len(times), func(y tally) []float64 { return []float64{100 * y.failed / y.n, y.failed, y.n} }},
		{"response_time", times, len(times), func(y tally) []float64 { return []float64{y.seconds / y.n, y.most} }},
		{"projects", tallies(all, func(r request) string { return r.project }), 6, func(y tally) []float64 { return []float64{100 * y.n / sum.n, y.n} }},
		{"slowest", urls, 10, func(y tally) []float64 { return []float64{y.seconds / y.n, y.n} }},
		{"errors", urls, 10, func(y tally) []float64 { return []float64{y.failed, y.n} }},
	} {
		if len(page.Tables[c.chart]) != c.rows {
			b.t.Errorf("%s: %d rows, want %d", c.chart, len(page.Tables[c.chart]), c.rows)
		}
		for _, row := range page.Tables[c.chart] {
			for i, want := range c.value(c.want[row[0]]) {
				if got := figure(b.t, row[i+1]); math.Abs(got-want) > precision(row[i+1]) {
					b.t.Errorf("%s of %s: %v, want %v", c.chart, row[0], got, want)
				}
			}
		}
	}
	testStatusFigures(b, page, all)
	testSQL(b, page, s, dir)
}

// precision is half a unit of the last digit, and a little.
func precision(text string) float64 {
	_, after, _ := strings.Cut(strings.TrimRight(text, "\u00a0%"), ".")
	return 0.5001 * math.Pow10(-len(after))
}

// grouped writes a number as the page does.
func grouped(n int) string { return strings.ReplaceAll(group3(int64(n)), " ", "\u202f") }

// testStatusFigures checks the requests per second by code, and the errors.
func testStatusFigures(b *tab, page shown, all []request) {
	by := tallies(all, func(r request) string { return r.bucket[11:] + " " + strconv.Itoa(r.status) })
	width := page.span(b.t).bucket().width.Seconds()
	seen := 0.0
	for _, row := range page.Tables["by_status"] {
		for i, cell := range row[1:] {
			got, want := figure(b.t, cell), by[row[0]+" "+page.Heads["by_status"][i+1]].n/width
			if seen += got * width; math.Abs(got-want) > precision(cell) {
				b.t.Errorf("%s of %s: %v/s, want %v", page.Heads["by_status"][i+1], row[0], got, want)
			}
		}
	}
	if math.Abs(seen-float64(len(all))) > 0.5 {
		b.t.Errorf("the codes add up to %v requests, want %d", seen, len(all))
	}
	list := page.Tables["error_list"]
	var failed []request
	for _, r := range all {
		if r.status >= 400 {
			failed = append(failed, r)
		}
	}
	slices.Reverse(failed)
	if len(list) != 40 {
		b.t.Fatalf("%d errors are listed", len(list))
	}
	for i, row := range list {
		if figure(b.t, row[1]) != float64(failed[i].status) || math.Abs(figure(b.t, row[2])-failed[i].seconds) > 1e-9 || !strings.Contains(row[3], " HTTP/") {
			b.t.Errorf("error %d: %q, want %+v", i, row, failed[i])
		}
	}
}

// testSQL asks for the large figures and the lists in words of its own.
func testSQL(b *tab, page shown, s *shelf, dir string) {
	password, err := os.ReadFile(secretFile(dir, "dashboard"))
	if err != nil {
		b.t.Fatal(err)
	}
	db, err := sql.Open("mysql", s.DSN("dashboard", string(password), database))
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	from := fmt.Sprintf(` FROM kong_log_events WHERE kst_time >= '%s' AND kst_time < '%s' AND stream = 'stdout' AND message LIKE '%% HTTP/_.__ ___ %%'
		AND message NOT LIKE '127.0.0.1 %%' AND split_part(message, ' ', 1) NOT LIKE '%%:%%'`, page.From, page.To)
	from = strings.ReplaceAll(from, "HTTP/_.__ ___", `HTTP/_._" ___`)
	one := func(what string) (n float64) {
		b.t.Helper()
		if err := db.QueryRow("SELECT " + what + from).Scan(&n); err != nil {
			b.t.Fatal(err)
		}
		return n
	}
	if n := one("count(*)"); page.Big["requests"] != grouped(int(n)) {
		b.t.Errorf("%s requests on the page, %v in the table", page.Big["requests"], n)
	}
	for _, row := range page.Tables["projects"] {
		rule := `split_part(message, '"', 4) LIKE '` + row[0] + `-%'`
		if row[0] == "platform" {
			rule = `split_part(message, '"', 4) NOT LIKE '%-%'`
		}
		if n := one("sum(CASE WHEN " + rule + " THEN 1 ELSE 0 END)"); figure(b.t, row[2]) != n {
			b.t.Errorf("project %s: %s on the page, %v in the table", row[0], row[2], n)
		}
	}
	failed := 0.0
	for _, row := range page.Tables["error_rate"] {
		failed += figure(b.t, row[2])
	}
	if n := one(`sum(CASE WHEN split_part(split_part(message, '"', 3), ' ', 2) >= '400' THEN 1 ELSE 0 END)`); failed != n {
		b.t.Errorf("%v errors on the page, %v in the table", failed, n)
	}
}

func testRange(b *tab, s *shelf) {
	long, short := b.choose("minutes=15"), b.choose("minutes=5")
	if a, z := figure(b.t, long.Big["requests"]), figure(b.t, short.Big["requests"]); z < 500 || a < 1.5*z {
		b.t.Errorf("%v requests in fifteen minutes, %v in five", a, z)
	}
	b.click(`input[value=custom]`)
	since := time.Now().Add(-10 * time.Minute).In(traffic.Zone).Truncate(time.Minute)
	form := func(since, until time.Time) {
		eval[bool](b, fmt.Sprintf(`(() => {
			const f = document.querySelector('#range').elements;
			for (const [e, v] of [[f.from, '%s'], [f.to, '%s']]) { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }
			return true;
		})()`, since.Format("2006-01-02T15:04:05"), until.Format("2006-01-02T15:04:05")))
		b.click(`#range button`)
	}
	form(since, since.Add(-time.Minute))
	if said := eval[string](b, `document.querySelector('#range').elements.to.validationMessage`); said != "The end must be after the beginning." {
		b.t.Errorf("a range that ends before it begins: %q", said)
	}
	form(since, since.Add(3*time.Minute))
	b.until(`document.querySelector('#dashboard').dataset.state === 'shown' && document.querySelector('#dashboard').dataset.range.startsWith('from=')`)
	page := eval[shown](b, readPage)
	of := span{since, since.Add(3 * time.Minute)}
	if page.span(b.t) != of || page.Big["requests"] != grouped(len(requests(b.t, s, of))) {
		b.t.Errorf("%s to %s: %s requests, want %d from %v", page.From, page.To, page.Big["requests"], len(requests(b.t, s, of)), since)
	}
	testLayout(b)
	b.choose("minutes=5")
}

// A StarRocks that does not answer is said in a sentence, the figures say that
// they are old, and it goes on by itself.
func testStopped(b *tab, d *demo) {
	before := eval[shown](b, readPage)
	b.click(`[data-act=starrocks-down]`)
	b.until(`!document.querySelector('#stale').hidden`)
	said := eval[string](b, `document.querySelector('#stale').textContent`)
	if !regexp.MustCompile(`^StarRocks does not answer: its backend is stopped\. These figures are from \d\d:\d\d:\d\d\.$`).MatchString(said) {
		b.t.Errorf("it says %q", said)
	}
	if now := eval[shown](b, readPage); now.Big["requests"] == "–" || len(now.Tables["slowest"]) != len(before.Tables["slowest"]) {
		b.t.Errorf("the old figures are gone: %+v", now.Big)
	}
	if style := eval[string](b, `getComputedStyle(document.querySelector('#requests .big')).fontStyle`); style != "italic" {
		b.t.Errorf("old figures look like new ones: %s", style)
	}
	testContrast(b)
	b.until(`document.querySelector('[data-act^=starrocks]').dataset.act === 'starrocks-up'`)
	b.click(`[data-act=starrocks-up]`)
	b.until(`document.querySelector('#dashboard').dataset.state === 'shown' && document.querySelector('#stale').hidden`)
}

func testEmpty(b *tab, d *demo) {
	if err := d.warehouse.Exec(database, "TRUNCATE TABLE "+table+";"); err != nil {
		b.t.Fatal(err)
	}
	b.choose("minutes=60")
	for _, id := range []string{"requests", "error_rate", "projects", "response_time", "by_status", "slowest", "errors", "error_list"} {
		if said := eval[string](b, `document.querySelector('#`+id+` .empty')?.textContent`); said != "No requests in this range." {
			b.t.Errorf("%s of an empty table: %q", id, said)
		}
	}
}

// While the first answer is awaited the page says so, and it says when the
// demo is gone.
func TestPageWaitsAndIsLeftAlone(t *testing.T) {
	browser := openBrowser(t)
	d, _, _ := stocked(t)
	release := make(chan struct{})
	handler := newPage(d).handler()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/charts" {
			<-release
		}
		handler.ServeHTTP(w, r)
	}))
	defer srv.Close()
	b := newTab(browser, t, 360, "light")
	b.do(chromedp.Navigate(srv.URL))
	b.until(`document.querySelector('[data-sum=agent] .state')`)
	if said := eval[string](b, `document.querySelector('#asked').textContent + document.querySelector('#dashboard').getAttribute('aria-busy')`); said != "Asking StarRocks …true" {
		t.Errorf("while it waits: %q", said)
	}
	close(release)
	b.until(`document.querySelector('#dashboard').dataset.state === 'shown'`)
	b.quiet(srv.URL)
	srv.CloseClientConnections()
	srv.Listener.Close()
	srv.CloseClientConnections()
	b.until(`!document.querySelector('#offline').hidden`)
	if said := eval[string](b, `document.querySelector('#offline').textContent`); !regexp.MustCompile(`^The demo does not answer\. What is shown is from \d\d:\d\d:\d\d\.$`).MatchString(said) {
		t.Errorf("it says %q", said)
	}
}
