package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

// machine says on what is measured.
func machine() {
	cpu := "unknown CPU"
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease") // empty, then
	fmt.Fprintf(os.Stdout, "%s, %d cores, Linux %s\n", cpu, runtime.NumCPU(), strings.TrimSpace(string(release)))
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// String is a run in one line, as it ends.
func (r *result) String() string {
	text := fmt.Sprintf("%v: %.0f lines per CPU-second, %.1f s of CPU in %.1f s, %.0f MiB, load %.2f",
		r.variant, r.perCPUSecond(), r.cpu.Seconds(), r.wall.Seconds(), mib(r.peak), r.load)
	for _, trouble := range []string{r.incomplete, r.tally.String()} {
		if trouble != "" {
			text += "; " + trouble
		}
	}
	return text
}

// column is a figure of a row's table.
type column struct {
	name   string
	format string
	of     func(*result) float64
}

func columns(row string) []column {
	all := []column{
		{"lines per CPU-s", "%.0f", (*result).perCPUSecond},
		{"MB/s", "%.0f", func(r *result) float64 { return float64(r.tally.bytes) / 1e6 / r.wall.Seconds() }},
	}
	switch row {
	case rowRotation:
		all = []column{all[0], {"CPU ns per line", "%.0f", func(r *result) float64 { return 1e9 / r.perCPUSecond() }}}
	case rowSteady, rowUnselected:
		all = []column{
			{"CPU % of a core", "%.1f", func(r *result) float64 { return r.window.percent() }},
			{"RSS MiB", "%.0f", func(r *result) float64 { return mib(r.window.to.RSS) }},
		}
	}
	return append(all,
		column{"peak RSS MiB", "%.0f", func(r *result) float64 { return mib(r.peak) }},
		column{"bytes per record", "%.0f", func(r *result) float64 { return float64(r.tally.bytes) / float64(max(1, r.tally.records)) }},
		column{"on Kafka", "%.1f", func(r *result) float64 { return float64(r.onKafka) / float64(max(1, r.tally.records)) }},
		column{"load", "%.2f", func(r *result) float64 { return r.load }})
}

// report prints a table of medians, what was wrong, and how the others compare
// with the first shipper.
func report(to io.Writer, row string, all []*result) error {
	var order []string
	by := map[string][]*result{}
	for _, r := range all {
		name := r.variant.String()
		if by[name] == nil {
			order = append(order, name)
		}
		by[name] = append(by[name], r)
	}
	first := all[0]
	fmt.Fprintf(to, "\n### %s: %d lines, %.0f bytes each on average, %d runs, median (min-max)\n\n", row, first.lines,
		float64(first.files)/float64(max(1, first.lines)), len(by[order[0]]))
	table := columns(row)
	head, rule := "| |", "|---|"
	for _, c := range table {
		head, rule = head+" "+c.name+" |", rule+"---|"
	}
	fmt.Fprintln(to, head+" lost | repeated |")
	fmt.Fprintln(to, rule+"---|---|")
	for _, name := range order {
		text := "| " + name + " |"
		for _, c := range table {
			text += " " + spread(c.format, figures(by[name], c.of)) + " |"
		}
		text += fmt.Sprintf(" %.0f | %.0f |", slices.Max(figures(by[name], func(r *result) float64 { return float64(r.tally.missing()) })),
			slices.Max(figures(by[name], func(r *result) float64 { return float64(r.tally.repeated) })))
		fmt.Fprintln(to, text)
	}
	fmt.Fprintln(to)
	for _, r := range all {
		if r.incomplete != "" || r.tally.String() != "" {
			fmt.Fprintf(to, "%v\n", r)
		}
	}
	compare(to, row, order, by)
	return nil
}

// compare prints the ratios between Millrace, or whoever is the first, and
// each other shipper of the same compression.
func compare(to io.Writer, row string, order []string, by map[string][]*result) {
	base, what := by[order[0]][0].Name, columns(row)[0]
	for _, name := range order {
		ours := by[name][0]
		for _, other := range order {
			theirs := by[other][0]
			if ours.Name != base || theirs.Name == base || ours.compression != theirs.compression {
				continue
			}
			if !whole(by[name]) || !whole(by[other]) {
				fmt.Fprintf(to, "%s / %s: not compared, one did not finish\n", name, other)
				continue
			}
			ratio := median(figures(by[name], what.of)) / median(figures(by[other], what.of))
			fmt.Fprintf(to, "%s / %s: %s %s\n", name, other, ratioText(ratio), what.name)
		}
	}
}

func whole(all []*result) bool {
	return !slices.ContainsFunc(all, func(r *result) bool { return r.incomplete != "" })
}

func ratioText(x float64) string {
	if x < 1 {
		return fmt.Sprintf("%.2fx", x)
	}
	return fmt.Sprintf("%.1fx", x)
}

func figures(all []*result, of func(*result) float64) (numbers []float64) {
	for _, r := range all {
		numbers = append(numbers, of(r))
	}
	return numbers
}

// median is the middle one, or the lower of two.
func median(numbers []float64) float64 {
	sorted := slices.SortedFunc(slices.Values(numbers), cmp.Compare)
	return sorted[(len(sorted)-1)/2]
}

// spread is a median with the least and the greatest.
func spread(format string, numbers []float64) string {
	text := fmt.Sprintf(format, median(numbers))
	if len(numbers) == 1 {
		return text
	}
	return fmt.Sprintf("%s ("+format+"-"+format+")", text, slices.Min(numbers), slices.Max(numbers))
}
