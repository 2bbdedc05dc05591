package starrocks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// frontendTimeout bounds one request to a frontend, which answers from
	// memory.
	frontendTimeout = 20 * time.Second
	// continueTimeout is how long a backend may take to begin a transaction
	// and plan it before it asks for the body. It is longer than
	// frontendTimeout, so that no frontend is ever sent a body.
	continueTimeout = time.Minute
	// maxRedirects is one to the backend and one for a proxy in between.
	maxRedirects = 3
	// largeJSON is the size from which StarRocks wants to be told that the
	// JSON is meant to be that large (streaming_load_max_batch_size_mb).
	largeJSON = 100 << 20

	lostAnswer = "the backend's answer is lost: "
	lostAdvice = "the state of the label decides"
)

// remote is StarRocks over HTTP. It is always reached directly: the proxies of
// the environment (HTTP_PROXY, HTTPS_PROXY) are not used, because one may answer
// 100 Continue itself (RFC 9110, section 10.1.1), and a frontend would be sent
// a body. Safe for concurrent use.
type remote struct {
	subject
	cfg      *Config
	http     *http.Client
	frontend atomic.Uint32 // index in cfg.URLs of the one to ask first
}

func newRemote(cfg *Config) *remote {
	tr := &http.Transport{
		DialContext:           dialPlain,
		DialTLSContext:        cfg.TLS.dial,
		ExpectContinueTimeout: continueTimeout,
		MaxIdleConnsPerHost:   cfg.Load.Concurrency,
		IdleConnTimeout:       30 * time.Second,
		WriteBufferSize:       256 << 10,
		DisableCompression:    true,
	}
	return &remote{
		subject: subject{cfg.Database, cfg.Table, cfg.Username},
		cfg:     cfg,
		http: &http.Client{
			Transport: tr,
			// net/http drops Authorization when a redirect changes the host,
			// and a frontend's always does.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// shipment is the body of one load, under one label.
type shipment struct {
	to     *destination
	label  string
	body   []byte
	rows   int
	ranges []Range     // where the rows are from
	after  string      // see pipeline.Claim
	fresh  func() bool // see pipeline.Claim
	// begun says that a byte of the body may have left since it was last
	// known that the label is not in.
	begun atomic.Bool
}

func (s *shipment) mayBeIn() bool { return s.begun.Load() }

// begin notes that the label may be in from now on.
func (s *shipment) begin() { s.begun.Store(true) }

// missed notes that the label is not in.
func (s *shipment) missed() { s.begun.Store(false) }

// errStale is why nothing more of a body is sent.
var errStale = errors.New("the Kafka group was not heard of for a while, and another member may have the records by now")

// reader reads the body and notes that it was begun.
type reader struct {
	*bytes.Reader
	s *shipment
}

func (r *reader) Read(p []byte) (int, error) {
	if r.s.fresh != nil && !r.s.fresh() {
		return 0, errStale
	}
	r.s.begin()
	return r.Reader.Read(p)
}

// WriteTo hides that of bytes.Reader, which would not pass by Read.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

// put sends the shipment through the frontends, one after another until one
// takes it. The error is a sentence; whether anything may be in, the shipment
// knows.
func (c *remote) put(ctx context.Context, s *shipment) (*answer, error) {
	if s.fresh != nil && !s.fresh() {
		return nil, c.fault(c.base(), "nothing is sent: "+errStale.Error(), "it is tried again")
	}
	var failed error
	for range c.cfg.URLs {
		base := c.base()
		to, a, err := c.askFrontend(ctx, base, s)
		if err == nil && a == nil {
			return c.sendToBackend(ctx, base, to, s)
		}
		if err == nil && (a.in() || a.labelUsed() || s.mayBeIn()) {
			return a, nil // a backend's address was given, or a proxy follows redirects
		}
		if err == nil {
			err = c.refused(base, a)
		}
		failed = errors.Join(failed, err)
		if ctx.Err() != nil || s.mayBeIn() {
			break
		}
		c.nextBase(base)
	}
	return nil, firstOf(failed)
}

// firstOf keeps one sentence of several: operators repair one thing at a time.
func firstOf(err error) error {
	var all interface{ Unwrap() []error }
	if errors.As(err, &all) {
		return all.Unwrap()[0]
	}
	return err
}

// base is the frontend to ask.
func (c *remote) base() string {
	i := int(c.frontend.Load()) % len(c.cfg.URLs)
	return strings.TrimRight(c.cfg.URLs[i], "/")
}

// nextBase goes on to the next frontend, unless another load did so already.
func (c *remote) nextBase(failed string) {
	if i := c.frontend.Load(); strings.TrimRight(c.cfg.URLs[int(i)%len(c.cfg.URLs)], "/") == failed {
		c.frontend.CompareAndSwap(i, i+1)
	}
}

// askFrontend makes the request at a frontend, which answers with the address
// of a backend, or with why not.
func (c *remote) askFrontend(ctx context.Context, base string, s *shipment) (to *url.URL, a *answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, frontendTimeout)
	defer cancel()
	at := base + "/api/" + c.cfg.Database + "/" + c.cfg.Table + "/_stream_load"
	resp, err := c.putTo(ctx, at, s)
	if err != nil {
		return nil, nil, c.fault(base, "the frontend does not take the load: "+reason(err), "check urls and that the frontend runs")
	}
	defer resp.Body.Close()
	if to, err := c.redirect(base, resp); to != nil || err != nil {
		return to, nil, err
	}
	a, err = readAnswer(resp)
	if err != nil {
		return nil, nil, c.fault(base, "the frontend does not take the load: "+reason(err), "check urls, and what stands between here and the frontend")
	}
	return nil, a, nil
}

// redirect is where an answer sends us, nil if nowhere.
func (c *remote) redirect(from string, resp *http.Response) (*url.URL, error) {
	if resp.StatusCode != http.StatusTemporaryRedirect {
		return nil, nil
	}
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return nil, c.fault(from, "it redirects without naming an address", "check what stands between here and the frontend")
	}
	to.User = nil
	if to.Scheme == "http" && strings.HasPrefix(from, "https:") && !c.cfg.AllowPlainRedirect {
		return nil, c.fault(from, "it redirects to "+to.Scheme+"://"+to.Host+", where the password would travel unencrypted",
			"put a proxy that speaks TLS before the backends, or set allow_plain_redirect")
	}
	return to, nil
}

// sendToBackend sends the load where a frontend pointed.
func (c *remote) sendToBackend(ctx context.Context, frontend string, to *url.URL, s *shipment) (*answer, error) {
	// A little more than StarRocks allows, so that it is StarRocks who ends
	// a load that takes too long, and the outcome is a known one.
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Load.Timeout+30*time.Second)
	defer cancel()
	for range maxRedirects {
		at := to.Scheme + "://" + to.Host
		if s.fresh != nil && !s.fresh() { // the backend would begin a transaction
			return nil, c.fault(at, "nothing is sent: "+errStale.Error(), "it is tried again")
		}
		resp, err := c.putTo(ctx, to.String(), s)
		switch {
		case err != nil && s.mayBeIn():
			return nil, c.fault(at, lostAnswer+reason(err), lostAdvice)
		case err != nil:
			return nil, c.fault(at, "the backend that the frontend "+frontend+" names does not take the load: "+reason(err),
				"check that it runs and that its address can be reached from here")
		}
		next, err := c.redirect(at, resp)
		if err != nil || next != nil {
			resp.Body.Close()
			if err != nil {
				return nil, err
			}
			to = next
			continue
		}
		a, err := readAnswer(resp)
		resp.Body.Close()
		if err != nil {
			return nil, c.fault(at, lostAnswer+reason(err), lostAdvice)
		}
		return a, nil
	}
	return nil, c.fault(frontend, "redirects lead from one address to the next", "check urls: they must be frontends, and the backends' addresses must be their own")
}

// putTo makes one PUT. Nothing of the body leaves before the other end has
// asked for it with 100 Continue.
func (c *remote) putTo(ctx context.Context, at string, s *shipment) (*http.Response, error) {
	req, err := c.request(ctx, http.MethodPut, at)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(&reader{bytes.NewReader(s.body), s})
	req.ContentLength = int64(len(s.body))
	h := req.Header
	h.Set("Expect", "100-continue")
	h.Set("label", s.label)
	h.Set("format", "json")
	h.Set("strip_outer_array", "true")
	h.Set("strict_mode", "true")
	h.Set("max_filter_ratio", "0")
	h.Set("timeout", strconv.Itoa(int(c.cfg.Load.Timeout/time.Second)))
	if c.cfg.Compression != "none" {
		h.Set("compression", compressionHeader[c.cfg.Compression])
	}
	if len(s.body) > largeJSON {
		h.Set("ignore_json_size", "true")
	}
	return c.http.Do(req)
}

// request prepares a request with the password of this moment.
func (c *remote) request(ctx context.Context, method, at string) (*http.Request, error) {
	password, err := c.cfg.Password.Read()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.SetBasicAuth(c.cfg.Username, password)
	return req, nil
}

// refused is the sentence about an answer that is a refusal.
func (c *remote) refused(at string, a *answer) error {
	message := (*table)(nil).clean(a.text())
	if a.code == http.StatusUnauthorized {
		return c.fault(at, "StarRocks refuses the user or the password: "+message, adviceOn("access denied"))
	}
	if message == "" {
		message = fmt.Sprintf("HTTP %d, status %q", a.code, a.Status)
	}
	return c.fault(at, "StarRocks refuses the load: "+message, adviceOn(a.text()))
}
