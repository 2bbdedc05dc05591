package tail

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/config"
	"millrace/internal/pipeline"
	"millrace/internal/pipeline/pipelinetest"
)

// TestRandomStories plays stories that nobody thought of: lines of both
// streams, whole and in pieces, rotation, compression, container restarts,
// aborted and late batches, orderly stops of the agent at any moment. Each
// line arrives once, in the order of its stream. The seed names the story.
func TestRandomStories(t *testing.T) {
	seeds := 100
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		root := t.TempDir()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playRandom(t, root, rand.New(rand.NewPCG(uint64(seed), 0))) })
		})
	}
}

// random is a story in progress and what has been written in it.
type random struct {
	*story
	*rand.Rand
	restart int
	written [2][]string // whole lines by stream
	open    [2]string   // pieces whose line is not finished
	plain   []string    // rotated files not compressed yet
	n       int
}

var streamNames = [2]string{"stdout", "stderr"}

func playRandom(t *testing.T, root string, rnd *rand.Rand) {
	logs := filepath.Join(root, "pods")
	s := &story{T: t, logs: logs, data: filepath.Join(root, "data"), dir: filepath.Join(logs, storyKey)}
	s.complete.Store(true)
	config.SetDefaults(&s.config)
	s.out = &pipelinetest.Recorder{Encode: func(r *pipeline.Record) string { return string(r.Origin.Stream) + " " + string(r.Message) }}
	r := &random{story: s, Rand: rnd}
	s.must(os.MkdirAll(s.dir, 0o755))
	r.lines(3)
	s.start()
	for range 40 {
		r.step()
	}
	s.out.Resume()
	for i := range r.open {
		r.finish(i)
	}
	s.wait(5 * time.Second)
	s.stop()
	r.compare()
}

func (r *random) live() string { return fmt.Sprintf("%d.log", r.restart) }

// step does one thing.
func (r *random) step() {
	switch r.IntN(10) {
	case 0, 1, 2:
		r.lines(r.IntN(40) + 1)
	case 3:
		r.piece(r.IntN(2))
	case 4:
		late := r.IntN(3)
		r.rotate(r.live())
		rotated := fmt.Sprintf("%s.20260101-%06d", r.live(), r.stamp)
		if late > 0 {
			r.writeLines(rotated, late)
		}
		r.plain = append(r.plain, rotated)
		r.lines(1)
		for len(r.plain) > 1 {
			r.gzip(filepath.Join(r.dir, r.plain[0]))
			r.plain = r.plain[1:]
		}
	case 5:
		r.stop()
		if r.IntN(2) == 0 {
			r.lines(5)
		}
		r.out.SetMode(pipelinetest.Deliver)
		r.start()
	case 6:
		r.out.SetMode(pipelinetest.Hold)
	case 7:
		r.out.Resume()
	case 8:
		r.out.Release(pipeline.ErrAborted)
		r.out.SetMode(pipelinetest.Deliver)
	case 9:
		if r.IntN(3) == 0 {
			r.runAgain()
		}
	}
	r.changed()
	r.wait(time.Duration(r.IntN(1500)) * time.Millisecond)
}

// runAgain ends the container and starts its next run; unfinished lines end
// where they are.
func (r *random) runAgain() {
	for i := range r.open {
		if r.open[i] != "" {
			r.written[i] = append(r.written[i], r.open[i])
			r.open[i] = ""
		}
	}
	r.restart++
	r.plain = nil
	r.lines(1)
}

func (r *random) lines(n int) { r.writeLines(r.live(), n) }

func (r *random) writeLines(file string, n int) {
	var text strings.Builder
	for range n {
		i := r.IntN(2)
		if r.open[i] != "" {
			r.writeOne(&text, i, "F")
			r.written[i] = append(r.written[i], r.open[i])
			r.open[i] = ""
			continue
		}
		r.writeOne(&text, i, "F")
		r.written[i] = append(r.written[i], r.open[i])
		r.open[i] = ""
	}
	r.write(filepath.Join(r.dir, file), text.String())
}

// writeOne adds a line with the given tag to text and to what is open.
func (r *random) writeOne(text *strings.Builder, stream int, tag string) {
	r.n++
	part := fmt.Sprintf("<%d>", r.n)
	r.open[stream] += part
	text.WriteString(expand(fmt.Sprintf("@ %s %s %s", streamNames[stream], tag, part)) + "\n")
}

func (r *random) piece(stream int) {
	var text strings.Builder
	r.writeOne(&text, stream, "P")
	r.write(filepath.Join(r.dir, r.live()), text.String())
}

func (r *random) finish(stream int) {
	if r.open[stream] == "" {
		return
	}
	var text strings.Builder
	r.writeOne(&text, stream, "F")
	r.written[stream] = append(r.written[stream], r.open[stream])
	r.open[stream] = ""
	r.write(filepath.Join(r.dir, r.live()), text.String())
}

// compare checks that each stream's lines arrived once, in their order.
func (r *random) compare() {
	arrived := r.out.Take()
	for i, name := range streamNames {
		var got []string
		for _, line := range arrived {
			if text, ok := strings.CutPrefix(line, name+" "); ok {
				got = append(got, text)
			}
		}
		if want := r.written[i]; !slices.Equal(got, want) {
			r.Errorf("%s: lost %v, repeated or unknown %v, or in another order", name, without(want, got), without(got, want))
		}
	}
}

// without is a less b, one for one.
func without(a, b []string) []string {
	left := map[string]int{}
	for _, s := range b {
		left[s]++
	}
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool {
		left[s]--
		return left[s] >= 0
	})
}
