package starrocks

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/outputs/starrocks/starrockstest"
)

func TestFrontendsTakeOverFromEachOther(t *testing.T) {
	r := newRig(t, func(c *starrockstest.Config) { c.Frontends = 2 }, func(o *Options, srv *starrockstest.Server) {
		// Nothing listens at the first; the second is a follower, which
		// redirects questions about labels to the leader.
		o.Config.URLs = []string{"http://" + deadAddr(t), srv.FrontendURLs()[1] + "/"}
	})
	r.srv.Inject(starrockstest.Fault{Kind: starrockstest.DropAfterCommit})
	r.delivered(r.write(line("one")))
	r.delivered(r.write(line("two")))
	if got := r.rows("message"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("the table holds %q", got)
	}
}

func TestFrontendDown(t *testing.T) {
	addr := deadAddr(t)
	r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) { o.Config.URLs = []string{"http://" + addr} })
	r.write(line("one"))
	r.reported("the frontend does not take the load: connection refused", "http://"+addr, "check urls")
}

// StarRocks' own redirects are plain http: from an https frontend they would
// show the password to the network.
func TestHTTPSFrontendDoesNotSendThePasswordInTheClear(t *testing.T) {
	var allow bool
	for _, allow = range []bool{false, true} {
		front := httptest.NewTLSServer(nil)
		ca := filepath.Join(t.TempDir(), "ca.crt")
		if err := os.WriteFile(ca, pemOf(front.Certificate().Raw), 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, nil, func(o *Options, srv *starrockstest.Server) {
			front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, srv.BackendURLs()[0]+r.URL.Path, http.StatusTemporaryRedirect)
			})
			o.Config.URLs = []string{front.URL}
			o.Config.TLS = &TLS{CAFile: ca}
			o.Config.AllowPlainRedirect = allow
		})
		done := r.write(line("one"))
		if allow {
			r.delivered(done)
		} else {
			r.reported("the password would travel unencrypted", "allow_plain_redirect")
		}
		r.close()
		front.Close()
	}
}

func TestUntrustedCertificate(t *testing.T) {
	front := httptest.NewTLSServer(http.NotFoundHandler())
	front.Config.ErrorLog = quiet()
	defer front.Close()
	r := newRig(t, nil, func(o *Options, _ *starrockstest.Server) { o.Config.URLs = []string{front.URL} })
	r.write(line("one"))
	r.reported("its certificate is not trusted")
}

// net/http reads the environment's proxies once, and never uses one for
// loopback addresses: hence a process of its own, and 0.0.0.0.
func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	const inner = "MILLRACE_TEST_PROXY"
	if os.Getenv(inner) == "" {
		proxy := "http://" + deadAddr(t)
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), inner+"=1", "HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy, "NO_PROXY=", "no_proxy=", "http_proxy="+proxy, "https_proxy="+proxy)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	r := newRig(t, nil, func(o *Options, srv *starrockstest.Server) {
		for i, u := range srv.FrontendURLs() {
			o.Config.URLs[i] = strings.Replace(u, "127.0.0.1", "0.0.0.0", 1)
		}
	})
	r.delivered(r.write(line("one")))
}

// deadAddr is an address where nothing listens.
func deadAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
