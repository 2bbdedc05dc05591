package superset

import (
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkDashboard is what the eight charts of one day of a million rows
// take, in the stand-in: not in StarRocks, which computes in columns and on all
// cores. The numbers are compared with those of the lines. times is how much
// more processor time the regular expressions take than each of the others:
// the machine may have other things to do.
func BenchmarkDashboard(b *testing.B) {
	const most = 1_000_000
	since, until := day(time.Date(2026, 8, 21, 8, 15, 30, 0, time.UTC))
	lines := written(since, until, 1_450_000)
	if len(lines) < most {
		b.Fatalf("only %d lines", len(lines))
	}
	lines = lines[:most]
	db := connect(b, stand(b, lines))
	all := requests(lines, since, until)
	took := map[string]map[string]time.Duration{}
	for b.Loop() {
		for _, dataset := range datasets {
			want, list := answers(all, dataset == "aggregate"), queries(b, dataset)
			took[dataset] = map[string]time.Duration{}
			for name, query := range list {
				began := cpu(b)
				got := ask(b, db, name, query, since)
				took[dataset][name] = cpu(b) - began
				compare(b, name, got, want[name])
			}
		}
	}
	b.Logf("%d rows, of which the charts count %d; processor time of each", most, len(all))
	total := map[string]time.Duration{}
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		of := func(dataset string) time.Duration { return took[dataset][name].Round(time.Millisecond) }
		b.Logf("%-30s message %8s  typed %8s  aggregate %8s", name, of("message"), of("typed"), of("aggregate"))
		for _, dataset := range datasets {
			total[dataset] += took[dataset][name]
		}
	}
	for _, dataset := range datasets {
		b.ReportMetric(total[dataset].Seconds(), dataset+"-cpu-s")
		if dataset != "message" {
			b.ReportMetric(total["message"].Seconds()/total[dataset].Seconds(), dataset+"-times")
		}
	}
}

// cpu is the time that the process, and so the stand-in, has computed.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
