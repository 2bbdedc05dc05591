# Turns the output of `go test -bench -benchmem -cpu 1` into a table of what a
# line costs. A benchmark reports ns/line (or /record, /row) or rows/s, and
# better cpu-ns/line, which does not grow when the machine has other work; its
# allocations are per line already, or per round of as many lines as ns/op and
# ns/line say.
/^pkg: / { pkg = substr($2, index($2, "/") + 1) }
/^Benchmark/ {
	delete v
	for (i = 3; i < NF; i += 2) v[$(i + 1)] = $i
	ns = cpu = rate = 0; allocs = ""
	for (unit in v) {
		if (unit ~ /^ns\/(line|record|row)$/) ns = v[unit]
		if (unit ~ /^cpu-ns\/(line|record|row)$/) cpu = v[unit]
		if (unit ~ /^allocs\/(line|record|row)$/) allocs = v[unit]
		if (unit ~ /^(lines|records|rows)\/s$/ && v[unit] > 0) rate = 1e9 / v[unit]
	}
	if (ns == 0) ns = rate
	if (ns == 0) next
	if (allocs == "" && ("allocs/op" in v) && v["ns/op"] > 0) allocs = v["allocs/op"] * ns / v["ns/op"]
	if (!header++) printf "%-52s %9s %12s %14s\n", "one core", "ns/line", "allocs/line", "lines/s"
	if (cpu > 0) ns = cpu
	sub(/^Benchmark/, "", $1)
	printf "%-52s %9.0f %12s %14d\n", pkg " " $1, ns, allocs == "" ? "" : sprintf("%.4f", allocs), 1e9 / ns
}
/^(FAIL|panic:|---)/ { print; failed = 1 }
END { if (!header) print "no benchmark has run"; exit failed || !header }
