package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"millrace/agent/kube/kubetest"
	"millrace/bench/process"
)

// variant is a shipper in a mode, with a compression.
type variant struct {
	*shipper
	mode, compression string
}

// String leaves out a mode that is the shipper's only one.
func (v variant) String() string {
	if len(v.Modes) == 1 {
		return v.Name + " " + v.compression
	}
	return v.Name + " " + v.mode + " " + v.compression
}

// result is one run of a variant.
type result struct {
	variant
	lines      int64 // to be shipped
	files      int64 // bytes of their messages
	cpu        time.Duration
	wall       time.Duration // to the last record
	peak       int64
	onKafka    int64
	load       float64
	tally      *tally
	incomplete string // why not all is there: it died, it was too slow

	window *window // of the rows with a rate
}

// window is what was used while lines came at a rate.
type window struct{ from, to process.Usage }

func (w *window) percent() float64 {
	return 100 * (w.to.CPU - w.from.CPU).Seconds() / w.to.At.Sub(w.from.At).Seconds()
}

// perCPUSecond is what everything is about.
func (r *result) perCPUSecond() float64 { return float64(r.lines) / r.cpu.Seconds() }

// trial is one run that goes on.
type trial struct {
	*bench
	v     variant
	row   string
	w     *workload
	dir   string
	topic *topic
	api   *kubetest.Server
	data  *data
	p     *process.Process
	begun time.Time
}

// try prepares a run: an empty folder, an API server, a topic. close undoes
// it.
func (b *bench) try(ctx context.Context, v variant, row string, w *workload) (t *trial, err error) {
	t = &trial{bench: b, v: v, row: row, w: w, dir: filepath.Join(w.dir, "run")}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	if err := errors.Join(os.RemoveAll(t.dir), os.MkdirAll(t.dir, 0o755)); err != nil {
		return t, fmt.Errorf("make a folder for the shipper: %w", err)
	}
	if t.api, err = apiServer(append(w.sources[:len(w.sources):len(w.sources)], w.others...)); err != nil {
		return t, err
	}
	t.topic, err = b.kafka.newTopic(ctx, int32(b.partitions))
	return t, err
}

func (t *trial) close() error {
	var errs []error
	if t.topic != nil {
		errs = append(errs, t.topic.remove())
	}
	if t.api != nil {
		t.api.Close()
	}
	if !t.keep {
		errs = append(errs, os.RemoveAll(t.dir))
	}
	return errors.Join(errs...)
}

// start starts the shipper.
func (t *trial) start() error {
	if err := t.fill(); err != nil {
		return err
	}
	argv, err := t.v.prepare(t.data)
	if err != nil {
		return err
	}
	t.begun = time.Now()
	t.p, err = process.Start(filepath.Join(t.dir, "log"), nil, argv[0], argv[1:]...)
	return err
}

// fill says what the shipper's files are made from.
func (t *trial) fill() error {
	admin, err := process.FreeAddr()
	if err != nil {
		return err
	}
	d := &data{
		Program: t.v.path, Dir: t.dir, Logs: t.w.pods(), Links: t.w.links(), Namespace: selected,
		Topic: t.topic.name, Brokers: os.Getenv("BOOTSTRAP_SASL"), CAFile: os.Getenv("KAFKA_CA"),
		Username: user, Password: password, PasswordFile: filepath.Join(t.dir, "password"),
		Compression: t.v.compression, Mode: t.v.mode, Row: t.row,
		TimeWidth: timeWidth, Admin: admin, Node: nodeName, ProfileSeconds: t.profileSeconds,
		Kubeconfig: filepath.Join(t.dir, "kubeconfig"), API: t.api.URL(), APICA: filepath.Join(t.dir, "api-ca.pem"), Token: token,
	}
	if certs := os.Getenv("KAFKA_CERTS"); certs != "" {
		d.TLSBrokers, d.CertFile, d.KeyFile = os.Getenv("BOOTSTRAP_MTLS"), filepath.Join(certs, user+".pem"), filepath.Join(certs, user+".key")
	}
	if err := os.WriteFile(d.PasswordFile, []byte(password), 0o600); err != nil {
		return fmt.Errorf("write the password: %w", err)
	}
	if err := errors.Join(t.api.Kubeconfig(d.Kubeconfig, token), keepCA(d.Kubeconfig, d.APICA)); err != nil {
		return err
	}
	for _, s := range t.w.sources {
		text, err := metadata(&s.pod, s.ID, t.row == rowMessage)
		if err != nil {
			return err
		}
		d.Containers = append(d.Containers, target{s.pod.Namespace, s.pod.Name, s.pod.UID, container, s.ID,
			filepath.Join(t.w.pods(), s.pod.Dir(), container), text})
	}
	t.data = d
	return nil
}

// finish waits for the lines, stops the shipper and looks at what it did. The
// topic is read after that, at nobody's cost.
func (t *trial) finish(ctx context.Context) (r *result, err error) {
	r = &result{variant: t.v, lines: t.w.ledger.lines.Load(), files: t.w.ledger.bytes.Load()}
	limited, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	a, err := t.topic.arrive(limited, t.p, r.lines, t.patience)
	if errors.Is(err, context.DeadlineExceeded) {
		r.incomplete, err = fmt.Sprintf("not done after %v", t.timeout), nil
	}
	usage, gone := t.p.Usage()
	r.load = process.LoadAverage()
	stopped := t.p.Stop()
	if err != nil || ctx.Err() != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	r.wall, r.cpu, r.peak = a.at.Sub(t.begun), t.p.CPU(), usage.Peak
	switch {
	case stopped != nil:
		r.incomplete = stopped.Error()
	case gone != nil:
		r.incomplete = "it ended by itself; its log ends with:\n" + t.p.LogEnd()
	case !a.complete && r.incomplete == "":
		r.incomplete = fmt.Sprintf("nothing came for %v; its log ends with:\n%s", t.patience, t.p.LogEnd())
	}
	if r.onKafka, err = t.topic.bytes(ctx); err != nil {
		return nil, err
	}
	r.tally = newTally(t.w.ledger)
	return r, t.topic.read(ctx, r.tally.add)
}

// keepProfile asks for a CPU profile of the shipper's next seconds, when it
// answers. It returns when the profile is there.
func (t *trial) keepProfile(ctx context.Context) error {
	url, err := render(t.v.Profile, t.data)
	if err != nil {
		return err
	}
	for {
		answer, err := get(ctx, url)
		if err == nil {
			defer answer.Body.Close()
			f, err := os.Create(filepath.Join(t.profiles, fmt.Sprintf("%s-%s-%s-%s.cpu", t.row, t.v.Name, t.v.mode, t.v.compression)))
			if err != nil {
				return fmt.Errorf("keep a profile: %w", err)
			}
			_, err = io.Copy(f, answer.Body)
			return errors.Join(err, f.Close())
		}
		select {
		case <-t.p.Ended():
			return fmt.Errorf("no profile of %v: %w", t.v, err)
		default:
		}
		if err := process.Pause(ctx, look); err != nil {
			return err
		}
	}
}

func get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("ask %s: %s", url, answer.Status)
	}
	return answer, nil
}
