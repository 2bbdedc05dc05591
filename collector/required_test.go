package collector

import (
	"strings"
	"testing"

	"millrace/outputs/starrocks/starrockstest"
)

// A bad record and a good one come in one load: the good one is loaded, the bad
// one is a dead letter.
func TestRecordWithoutARequiredField(t *testing.T) {
	srv, err := starrockstest.New(starrockstest.Config{DDL: []string{strings.Replace(testDDL, "cluster STRING", "cluster STRING, must STRING NOT NULL", 1)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	w := &world{t: t, b: newBroker(t, 1), srv: srv}
	w.makeDeadTopic()
	good := func() string { return strings.TrimSuffix(logRecords("good", 1)[0], "}") + `,"must":"x"}` }
	w.b.produce(0, logRecords("bad", 1)[0], good(), good())
	p := run(t, w.b, srv)
	eventually(t, "the commit", func() bool { return w.b.committed()[0] == 3 })
	p.shutDown()
}
