// Command writer is the one container of a test's pods. It prints the lines of
// package lines to stdout and stderr, as many as its flags and HTTP requests say:
//
//	/write?lines=N[&rate=R]   prints N lines, R a second, and answers then
//	/exit?code=C              ends the program
//
// What was answered has been written to the pipes of the container runtime.
// With -state each run of the container takes the next source.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"millrace/e2e/k8s/lines"
)

func main() {
	source := flag.Uint("source", 0, "number of the first run's lines")
	state := flag.String("state", "", "directory that outlives a run and counts them")
	first := flag.Int("lines", 0, "how many lines to print at once")
	exit := flag.Int("exit", -1, "exit code after these; -1 serves requests")
	flag.Parse()
	run, err := count(*state)
	if err != nil {
		log.Fatal(err)
	}
	w := &writer{lines: lines.New(uint16(*source) + run), stdout: bufio.NewWriterSize(os.Stdout, 1<<16), stderr: bufio.NewWriterSize(os.Stderr, 1<<16)}
	if err := w.write(*first, 0); err != nil {
		log.Fatal(err)
	}
	if *exit >= 0 {
		os.Exit(*exit)
	}
	http.HandleFunc("/write", func(out http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("lines"))
		rate, _ := strconv.Atoi(r.FormValue("rate")) // none is as fast as it goes
		if err == nil {
			err = w.write(n, rate)
		}
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)
		}
	})
	http.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.FormValue("code")) // none is 0
		os.Exit(code)
	})
	log.SetOutput(os.Stdout)
	log.Fatal(http.ListenAndServe(":8080", nil))
}

// count is the number of runs before this one.
func count(dir string) (uint16, error) {
	if dir == "" {
		return 0, nil
	}
	path := filepath.Join(dir, "runs")
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return 0, fmt.Errorf("read the number of runs: %w", err)
	}
	n, _ := strconv.Atoi(string(data)) // none is 0
	if err := os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600); err != nil {
		return 0, fmt.Errorf("write the number of runs: %w", err)
	}
	return uint16(n), nil
}

// writer prints lines, for one request after another.
type writer struct {
	mu             sync.Mutex
	lines          *lines.Lines
	stdout, stderr *bufio.Writer
}

// write prints n lines in portions of a tenth of a second.
func (w *writer) write(n, rate int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	portion := n
	if rate > 0 {
		portion = max(1, rate/10)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n > 0 {
		k := min(n, portion)
		if err := w.portion(k); err != nil {
			return err
		}
		if n -= k; n > 0 {
			<-tick.C
		}
	}
	return nil
}

func (w *writer) portion(n int) error {
	for range n {
		l := w.lines.Next()
		to := w.stdout
		if l.Stream == "stderr" {
			to = w.stderr
		}
		if _, err := to.WriteString(l.Message + "\n"); err != nil {
			return fmt.Errorf("write a line: %w", err)
		}
	}
	if err := w.stdout.Flush(); err != nil {
		return fmt.Errorf("write lines to stdout: %w", err)
	}
	if err := w.stderr.Flush(); err != nil {
		return fmt.Errorf("write lines to stderr: %w", err)
	}
	return nil
}
