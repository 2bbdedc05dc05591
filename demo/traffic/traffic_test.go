package traffic

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var start = time.Date(2026, 8, 21, 8, 15, 30, 217676062, time.UTC)

// take makes n lines, a millisecond apart.
func take(k *Kong, n int) []Line {
	lines := make([]Line, n)
	for i := range lines {
		lines[i] = k.Next(start.Add(time.Duration(i) * time.Millisecond))
	}
	return lines
}

func TestSameSeedSameLines(t *testing.T) {
	a, b, c := take(NewKong(7, 1), 5000), take(NewKong(7, 1), 5000), take(NewKong(8, 1), 5000)
	differ := false
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("line %d differs:\n%v\n%v", i, a[i], b[i])
		}
		differ = differ || a[i] != c[i]
	}
	if !differ {
		t.Error("another seed gave the same lines")
	}
}

func TestNoLineTwice(t *testing.T) {
	seen := map[string]bool{}
	for source := range uint16(3) {
		for _, l := range take(NewKong(7, source), 40000) {
			if seen[l.Message] {
				t.Fatalf("twice: %s", l.Message)
			}
			seen[l.Message] = true
		}
	}
}

// accessLine is the format of the access log, strictly.
var accessLine = regexp.MustCompile(`^(\d+\.\d+\.\d+\.\d+|[0-9a-f:]+) \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0900\] ` +
	`"([A-Z]+ /[^ "]* HTTP/\d\.\d|(?:\\x[0-9A-F]{2})*)" \d{3} \d+\.\d{3} (?:-|\d+\.\d{3}(?:(?:, | : )\d+\.\d{3})*) "([^"]*)" "([^"]*)"$`)

func TestLinesOfEveryKind(t *testing.T) {
	count := map[Kind]int{}
	var all strings.Builder
	for _, l := range take(NewKong(7, 1), 60000) {
		count[l.Kind]++
		if !utf8.ValidString(l.Message) || l.Message == "" || strings.Contains(l.Message, "\n") {
			t.Fatalf("not a line: %q", l.Message)
		}
		if (l.Stream == "stderr") != (l.Kind == Notice || l.Kind == Failure || l.Kind == Trace) {
			t.Fatalf("%s line on %s", l.Kind, l.Stream)
		}
		switch l.Kind {
		case Access, Health, Malformed:
			if !accessLine.MatchString(l.Message) {
				t.Fatalf("not in the access log format: %s", l.Message)
			}
			if strings.HasPrefix(l.Message, "127.0.0.1 ") != (l.Kind == Health) {
				t.Fatalf("%s line from the wrong client: %s", l.Kind, l.Message)
			}
		case Long:
			if n := len(l.Message); n <= 16384 || n > 65533 {
				t.Fatalf("long line of %d bytes", n)
			}
		}
		all.WriteString(l.Message + "\n")
	}
	for k := range kindCount {
		if count[k] == 0 {
			t.Errorf("no %s line", k)
		}
	}
	for _, part := range []string{`"shop-api.example.com"`, `"www.example.com"`, `"192.0.2.15:8000"`, `"PATCH /`, `"TRACE /`,
		`\x22beta\x22`, `q=\x22red+shoes`, `"" 400`, " 504 1", ", 10.", " : 0.", `" 401 0.002 - "`, "2001:db8:", "겨울 코트", "stack traceback:"} {
		if !strings.Contains(all.String(), part) {
			t.Errorf("no line holds %s", part)
		}
	}
}

func TestTroubleComesInSpells(t *testing.T) {
	k := NewKong(7, 1)
	worst, sum, seconds := 0.0, 0.0, 0
	for s := range 300 {
		failed, n := 0, 0
		for i := range 200 {
			l := k.Next(start.Add(time.Duration(s)*time.Second + time.Duration(i)*5*time.Millisecond))
			if l.Kind == Access {
				n++
				if regexp.MustCompile(`" [45]\d\d `).MatchString(l.Message) {
					failed++
				}
			}
		}
		share := float64(failed) / float64(n)
		worst, sum, seconds = max(worst, share), sum+share, seconds+1
	}
	if mean := sum / float64(seconds); worst < 2.5*mean {
		t.Errorf("worst second has %.1f %% errors, the mean is %.1f %%: no bursts", 100*worst, 100*mean)
	}
}

func TestLoadHasADay(t *testing.T) {
	least, most := 9.0, 0.0
	for m := range 24 * 60 {
		l := Load(start.Add(time.Duration(m) * time.Minute))
		least, most = min(least, l), max(most, l)
	}
	if least < 0.3 || most > 1.3 || most < 2*least {
		t.Errorf("load runs from %.2f to %.2f", least, most)
	}
}
