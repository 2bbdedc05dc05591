package superset

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/demo/traffic"
)

// request is what the dashboard counts of a line, read without SQL and
// without the product.
type request struct {
	at           time.Time
	project, url string
	status       int
	seconds      float64
	message      string
}

// requests reads the lines of a stretch of time that the dashboard counts.
// nginx escapes quotation marks in values, so they split a line exactly.
func requests(lines []line, since, until time.Time) (all []request) {
	for _, l := range lines {
		part := strings.Split(l.Message, `"`)
		if l.Stream != "stdout" || len(part) != 7 || l.at.Before(since) || !l.at.Before(until) {
			continue
		}
		client, _, _ := strings.Cut(part[0], " ")
		words := strings.Split(part[1], " ")
		if addr, err := netip.ParseAddr(client); err != nil || !addr.Is4() || client == "127.0.0.1" || len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/") {
			continue
		}
		numbers, host := strings.Fields(part[2]), part[3]
		path, _, _ := strings.Cut(words[1], "?")
		r := request{at: l.at, project: "platform", url: host + path, message: l.Message}
		if name, _, ok := strings.Cut(host, "-"); ok {
			r.project = name
		}
		r.status, _ = strconv.Atoi(numbers[0])
		r.seconds, _ = strconv.ParseFloat(numbers[1], 64)
		all = append(all, r)
	}
	return all
}

// tally sums up requests.
type tally struct{ n, failed, seconds, most float64 }

func (t tally) average() float64 { return t.seconds / t.n }

func tallies(all []request, key func(request) string) map[string]tally {
	out := map[string]tally{}
	for _, r := range all {
		t := out[key(r)]
		t.n++
		if r.status >= 400 {
			t.failed++
		}
		t.seconds += r.seconds
		t.most = max(t.most, r.seconds)
		out[key(r)] = t
	}
	return out
}

// stamp is how a time of kst_time is compared.
func stamp(t time.Time) string { return t.In(traffic.Zone).Format("2006-01-02 15:04:05.000000") }

// by gives the key of a request's bucket of time.
func by(bucket time.Duration) func(request) string {
	return func(r request) string { return stamp(r.at.Truncate(bucket)) }
}

// row is a row of a chart: what it is about, and its numbers.
type row struct {
	key    string
	values []float64
}

// answers are what the eight charts must show, by name, in the order of their
// keys. The aggregate knows no minutes, so its trend has ten of them a point.
func answers(all []request, aggregate bool) map[string][]row {
	trend := time.Minute
	if aggregate {
		trend = 10 * time.Minute
	}
	rows := func(key func(request) string, values func(tally) []float64) (list []row) {
		for k, t := range tallies(all, key) {
			list = append(list, row{k, values(t)})
		}
		return sorted(list)
	}
	url := func(r request) string { return r.url }
	return map[string][]row{
		"Response Time Trend":          rows(by(trend), func(t tally) []float64 { return []float64{t.average(), t.most} }),
		"Requests Trend":               rows(by(time.Hour), func(t tally) []float64 { return []float64{t.n} }),
		"RPS by Status Code":           rows(func(r request) string { return by(time.Minute)(r) + " " + strconv.Itoa(r.status) }, func(t tally) []float64 { return []float64{t.n / 60} }),
		"Error Rate (%)":               rows(by(time.Hour), func(t tally) []float64 { return []float64{100 * t.failed / t.n} }),
		"Traffic Share by Project":     rows(func(r request) string { return r.project }, func(t tally) []float64 { return []float64{t.n} }),
		"Top 10 Slowest Request URL":   top(rows(url, func(t tally) []float64 { return []float64{t.average(), t.n} }), 0),
		"Top 10 Errors by Request URL": top(rows(url, func(t tally) []float64 { return []float64{t.n, t.failed} }), 1),
		"Error List":                   errorList(all),
	}
}

func sorted(list []row) []row {
	slices.SortFunc(list, func(a, b row) int { return cmp.Compare(a.key, b.key) })
	return list
}

// top are the rows with the ten largest numbers, and those that are as large
// as the tenth: which of them a chart shows is its server's choice.
func top(list []row, by int) []row {
	slices.SortStableFunc(list, func(a, b row) int { return cmp.Compare(b.values[by], a.values[by]) })
	n := min(10, len(list))
	for n < len(list) && list[n].values[by] == list[n-1].values[by] {
		n++
	}
	return sorted(list[:n])
}

// errorList are the newest thousand failed requests.
func errorList(all []request) (list []row) {
	for _, r := range slices.Backward(all) {
		if r.status >= 400 && len(list) < 1000 {
			list = append(list, row{fmt.Sprintf("%s %s", stamp(r.at), r.message), []float64{float64(r.status), r.seconds}})
		}
	}
	return sorted(list)
}
