package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"millrace/chaos/check"
	"millrace/chaos/generator"
)

// tally is the summary of a run, or of several. It is kept as a line of JSON.
type tally struct {
	Seed        uint64  `json:"seed"`
	Part        uint64  `json:"part"`
	Delivery    string  `json:"delivery"`
	Compression string  `json:"compression"`
	Key         string  `json:"key"`
	Seconds     float64 `json:"seconds"`

	Agent     kills `json:"agent_kills"`
	Broker    kills `json:"broker_kills"`
	Collector kills `json:"collector_kills"`
	StarRocks kills `json:"starrocks_kills"`

	// Rebalances are those that a further member made by its coming and going.
	Rebalances int `json:"rebalances,omitempty"`

	Lines      int64 `json:"lines"`
	Due        int64 `json:"due"`
	Arrived    int64 `json:"arrived"`
	Lost       int64 `json:"lost"`
	Repeated   int64 `json:"repeated"`
	Reordered  int64 `json:"reordered"`
	Unexpected int64 `json:"unexpected"`

	// Deleted are the lost lines whose files were deleted, and Missed is what
	// the agent's processes said of these, those that answered before they
	// were killed.
	Deleted check.Deleted `json:"deleted"`
	Missed  metrics       `json:"missed"`

	// LedgerLines were written while the agent ran whose ledger was compared.
	LedgerLines int64       `json:"ledger_lines"`
	Differences differences `json:"differences,omitempty"`

	Rotations  int `json:"rotations"`
	Restarts   int `json:"restarts"`
	Gone       int `json:"gone"`
	GoneUnseen int `json:"gone_unseen"`
	Straddled  int `json:"straddled"`
	Tails      int `json:"tails"`

	Table *rows `json:"table,omitempty"` // nil: there was none
}

// take enters a verdict and what the generator did.
func (t *tally) take(v *check.Verdict, s *generator.Status) {
	t.Lines, t.Due, t.Arrived = v.Lines, v.Due, v.Arrived
	t.Lost, t.Repeated, t.Reordered, t.Unexpected = v.Lost, v.Repeated, v.Reordered, v.Unexpected
	t.Deleted = v.Deleted
	t.Rotations, t.Restarts, t.Gone, t.GoneUnseen, t.Straddled, t.Tails = s.Rotations, s.Restarts, s.Gone, s.GoneUnseen, s.Straddled, s.Tails
}

// maxDifferences are kept of a run.
const maxDifferences = 20

// differences are what ledgers say otherwise than those who wrote or read.
type differences []string

// differ notes some, up to maxDifferences in all.
func (d *differences) differ(more ...string) {
	*d = append(*d, more...)
	*d = (*d)[:min(len(*d), maxDifferences)]
}

// wrong says what is not as it should be.
func (t *tally) wrong(o *options) error {
	var errs []error
	if !o.missing() && t.Lost > 0 {
		errs = append(errs, fmt.Errorf("%d lines are lost", t.Lost))
	}
	if o.exact() && t.Repeated+t.Reordered > 0 {
		errs = append(errs, fmt.Errorf("%d lines are repeated and %d are out of order", t.Repeated, t.Reordered))
	}
	if t.Unexpected > 0 {
		errs = append(errs, fmt.Errorf("%d records are not as they were written", t.Unexpected))
	}
	if n := len(t.Differences); n > 0 {
		errs = append(errs, fmt.Errorf("ledger and book differ in %d things", n))
	}
	if t.Table != nil {
		errs = append(errs, t.Table.wrong(o))
	}
	switch m := t.Missed; {
	// An agent that was killed while it made its links cannot tell, when the
	// last of them has no name any more, whether there was another file behind
	// it: it may count a gap where there is none.
	case !o.missing() && m.MissedBytes > 0:
		errs = append(errs, fmt.Errorf("the agent counts %d bytes as missed, and none was", m.MissedBytes))
	case o.missing() && t.Lost != t.Deleted.Lines:
		errs = append(errs, fmt.Errorf("%d of %d lost lines were in files that were not deleted", t.Lost-t.Deleted.Lines, t.Lost))
	case o.missing() && m.MissedFiles != t.Deleted.Gaps:
		errs = append(errs, fmt.Errorf("the agent counts %d gaps, and there are %d", m.MissedFiles, t.Deleted.Gaps))
	case o.missing() && m.MissedBytes > t.Deleted.Most:
		errs = append(errs, fmt.Errorf("the agent counts %d bytes as missed, and at most %d were", m.MissedBytes, t.Deleted.Most))
	}
	return errors.Join(errs...)
}

// String is the summary in one line.
func (t *tally) String() string {
	ledger := "equal"
	if len(t.Differences) > 0 {
		ledger = "DIFFERENT"
	}
	text := fmt.Sprintf("seed=%d part=%d delivery=%s compression=%s key=%s seconds=%.0f agent_kills=%d/%d broker_kills=%d/%d lines=%d due=%d arrived=%d "+
		"lost=%d repeated=%d reordered=%d unexpected=%d ledger=%s ledger_lines=%d missed: %d gaps of %d, %d bytes of %d; "+
		"rotations=%d restarts=%d pods_gone=%d (unseen %d) straddled=%d tails=%d killed while:%s",
		t.Seed, t.Part, t.Delivery, t.Compression, t.Key, t.Seconds, t.Agent.Counted, t.Agent.Counted+t.Agent.Uncounted, t.Broker.Counted, t.Broker.Counted+t.Broker.Uncounted,
		t.Lines, t.Due, t.Arrived, t.Lost, t.Repeated, t.Reordered, t.Unexpected, ledger, t.LedgerLines, t.Missed.MissedFiles, t.Deleted.Gaps, t.Missed.MissedBytes, t.Deleted.Most,
		t.Rotations, t.Restarts, t.Gone, t.GoneUnseen, t.Straddled, t.Tails, t.Agent.in(windowNames[:]))
	if t.Table == nil {
		return text
	}
	return fmt.Sprintf("%s\n%v collector_kills=%d/%d starrocks_kills=%d/%d rebalances=%d collectors killed while:%s; starrocks killed while:%s", text, t.Table,
		t.Collector.Counted, t.Collector.Counted+t.Collector.Uncounted, t.StarRocks.Counted, t.StarRocks.Counted+t.StarRocks.Uncounted, t.Rebalances,
		t.Collector.in(memberWindows), t.StarRocks.in(tableWindows))
}

// in lists how many of the kills were in each of some windows.
func (k *kills) in(windows []string) string {
	var b strings.Builder
	for _, w := range windows {
		fmt.Fprintf(&b, " %s=%d", w, k.Windows[w])
	}
	return b.String()
}

// append adds the summary to a log file.
func (t *tally) append(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open log of summaries: %w", err)
	}
	err = json.NewEncoder(f).Encode(t)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// both names what runs had that are added up.
func both(sum, add string) string {
	if sum == "" || slices.Contains(strings.Split(sum, ","), add) {
		return cmp.Or(sum, add)
	}
	return sum + "," + add
}

// plus adds another run.
func (t *tally) plus(o *tally) {
	t.Seed, t.Key = o.Seed, o.Key
	t.Delivery, t.Compression = both(t.Delivery, o.Delivery), both(t.Compression, o.Compression)
	t.Part++ // counts parts
	t.Seconds += o.Seconds
	for _, k := range []struct{ sum, add *kills }{{&t.Agent, &o.Agent}, {&t.Broker, &o.Broker}, {&t.Collector, &o.Collector}, {&t.StarRocks, &o.StarRocks}} {
		k.sum.Counted += k.add.Counted
		k.sum.Uncounted += k.add.Uncounted
		for w, n := range k.add.Windows {
			if k.sum.Windows == nil {
				k.sum.Windows = map[string]int{}
			}
			k.sum.Windows[w] += n
		}
	}
	t.Lines += o.Lines
	t.Due += o.Due
	t.Arrived += o.Arrived
	t.Lost += o.Lost
	t.Repeated += o.Repeated
	t.Reordered += o.Reordered
	t.Unexpected += o.Unexpected
	t.Missed = t.Missed.plus(o.Missed)
	t.Deleted.Lines += o.Deleted.Lines
	t.Deleted.Files += o.Deleted.Files
	t.Deleted.Gaps += o.Deleted.Gaps
	t.Deleted.Least += o.Deleted.Least
	t.Deleted.Most += o.Deleted.Most
	t.LedgerLines += o.LedgerLines
	t.Differences.differ(o.Differences...)
	t.Rotations += o.Rotations
	t.Restarts += o.Restarts
	t.Gone += o.Gone
	t.GoneUnseen += o.GoneUnseen
	t.Straddled += o.Straddled
	t.Tails += o.Tails
	t.Rebalances += o.Rebalances
	if o.Table != nil {
		if t.Table == nil {
			t.Table = &rows{}
		}
		t.Table.plus(o.Table)
	}
}

// sumUp adds up the summaries in a log file.
func sumUp(path string, out io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open log of summaries: %w", err)
	}
	defer f.Close()
	var sum tally
	in := json.NewDecoder(bufio.NewReader(f))
	for {
		var t tally
		if err := in.Decode(&t); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("read %q: %w", path, err)
		}
		sum.plus(&t)
	}
	fmt.Fprintf(out, "%d parts, the last with seed %d: %v\n", sum.Part, sum.Seed, &sum)
	return nil
}
