package tail

import (
	"errors"
	"fmt"
	"io/fs"
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
// streams, whole and in pieces, rotation, compression, deletion of all but the
// newest files, container restarts, aborted and late batches, an output that
// takes nothing for long, orderly stops and crashes of the agent at any moment,
// rotations while it is away. Each line arrives, in the order of its stream;
// only a crash repeats some. The seed names the story.
func TestRandomStories(t *testing.T) {
	seeds := 50
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
	rotated []string    // files that are not written to any more, oldest first
	plain   []string    // those not compressed yet
	crashes int
	n       int
}

// keep is how many files of a container kubelet keeps.
const keep = 5

var streamNames = [2]string{"stdout", "stderr"}

func playRandom(t *testing.T, root string, rnd *rand.Rand) {
	logs := filepath.Join(root, "pods")
	storyClock = 0
	s := &story{T: t, logs: logs, data: filepath.Join(root, "data"), dir: filepath.Join(logs, storyKey)}
	s.complete.Store(true)
	config.SetDefaults(&s.config)
	s.out = &pipelinetest.Recorder{Encode: func(r *pipeline.Record) string { return string(r.Origin.Stream) + " " + string(r.Message) }}
	r := &random{story: s, Rand: rnd}
	if r.IntN(4) == 0 {
		r.link = noLink
	}
	s.must(os.MkdirAll(s.dir, 0o755))
	r.lines(3)
	s.start()
	for range 60 {
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
	switch r.IntN(12) {
	case 0, 1, 2:
		r.lines(r.IntN(40) + 1)
	case 3:
		r.piece(r.IntN(2))
	case 4:
		r.rotateNow(r.IntN(3))
	case 5:
		if r.IntN(2) == 0 {
			r.stop()
		} else {
			r.crash()
			r.crashes++
		}
		r.away()
		r.out.SetMode(pipelinetest.Deliver)
		r.start()
	case 10:
		// Kafka is away until the pool is empty, and longer.
		r.out.SetMode(pipelinetest.Hold)
		for range 4 + r.IntN(4) {
			r.lines(50)
			r.changed()
			r.wait(time.Second)
			r.rotateNow(r.IntN(2))
			r.changed()
			r.wait(time.Second)
		}
	case 11:
		r.wait(lateWait)
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

// rotateNow does what kubelet does at a rotation: it compresses the file before
// last, and deletes those that are too many.
func (r *random) rotateNow(late int) {
	r.rotate(r.live())
	rotated := fmt.Sprintf("%s.20260101-%06d", r.live(), r.stamp)
	if late > 0 {
		r.writeLines(rotated, late)
	}
	r.rotated, r.plain = append(r.rotated, rotated), append(r.plain, rotated)
	r.lines(1)
	for len(r.plain) > 1 {
		r.gzip(filepath.Join(r.dir, r.plain[0]))
		r.plain = r.plain[1:]
	}
	for len(r.rotated) > keep-1 && r.link == nil {
		for _, ext := range []string{"", ".gz"} {
			if err := os.Remove(filepath.Join(r.dir, r.rotated[0]+ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				r.Fatal(err)
			}
		}
		r.rotated = r.rotated[1:]
	}
}

// away is what happens while no agent runs: not so many rotations that a file
// comes and goes unseen.
func (r *random) away() {
	if r.IntN(2) == 0 {
		r.lines(5)
	}
	for range r.IntN(keep - 1) {
		r.lines(r.IntN(20))
		r.rotateNow(r.IntN(2))
	}
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
	r.rotated, r.plain = nil, nil
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

// compare checks that each stream's lines arrived once, in their order, but
// that each crash may have gone back once.
func (r *random) compare() {
	arrived := r.out.Take()
	for i, name := range streamNames {
		var got []string
		for _, line := range arrived {
			if text, ok := strings.CutPrefix(line, name+" "); ok {
				got = append(got, text)
			}
		}
		want, at, back := r.written[i], 0, 0
		for _, line := range got {
			if at < len(want) && line == want[at] {
				at++
				continue
			}
			place := slices.Index(want[:at], line)
			if place < 0 {
				break
			}
			at, back = place+1, back+1
		}
		if at < len(want) || back > r.crashes {
			r.Errorf("%s: lost %v, repeated or unknown %v, or in another order; %d crashes, went back %d times",
				name, without(want, got), without(got, want), r.crashes, back)
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
