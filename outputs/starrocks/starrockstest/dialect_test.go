package starrockstest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDialect has PyMySQL and SQLAlchemy with StarRocks' dialect read rows that
// were loaded. MILLRACE_PYTHON is an interpreter that has them.
func TestDialect(t *testing.T) {
	python := os.Getenv("MILLRACE_PYTHON")
	if python == "" {
		t.Skip("MySQL client and SQLAlchemy dialect: MILLRACE_PYTHON is not set")
	}
	s := start(t, Config{Users: threeUsers})
	var rows strings.Builder
	for i := range 40 {
		fmt.Fprintf(&rows, `{"time":"2026-08-21 08:15:%d.217676","stream":%q,"logtag":"F","message":%q,"kubernetes":{"pod_name":"kong-%d"}}`+"\n",
			30+i/2, []string{"stdout", "stderr"}[i%2], fmt.Sprintf(`%d é "q" \ 한글`, i), i%4)
	}
	if r := put(t, s, rows.String()); r.NumberLoadedRows != 40 {
		t.Fatal(r.raw)
	}
	host, port, err := net.SplitHostPort(s.MySQLAddr())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/dialect.py", host, port, "reader", "r").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
