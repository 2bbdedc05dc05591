package collector

import (
	"testing"
	"time"

	"millrace/outputs/starrocks/starrockstest"
)

// The answers after which the official connector's rows are in the table twice,
// or its task stops: each row is there once.
func TestAnswersThatMakeOthersRepeat(t *testing.T) {
	for name, c := range map[string]struct {
		fault   starrockstest.Fault
		generic bool
	}{
		"begin is refused":                        {fault: starrockstest.Fault{Kind: starrockstest.TxnLimit, Times: 3}},
		"label already exists, finished":          {fault: starrockstest.Fault{Kind: starrockstest.DropAfterCommit}},
		"label already used, without saying more": {fault: starrockstest.Fault{Kind: starrockstest.DropAfterCommit}, generic: true},
		"transaction not known to the backend":    {fault: starrockstest.Fault{Kind: starrockstest.UnknownCommitted}},
		"publish timeout":                         {fault: starrockstest.Fault{Kind: starrockstest.PublishTimeout, Delay: 200 * time.Millisecond}},
		"answer unreadable":                       {fault: starrockstest.Fault{Kind: starrockstest.CutAnswer}},
		"no answer":                               {fault: starrockstest.Fault{Kind: starrockstest.DropAfterCommit, Times: 4}},
		"more failures in a row than it tries":    {fault: starrockstest.Fault{Kind: starrockstest.BackendError500, Times: 6}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, starrockstest.Config{DDL: []string{testDDL}, GenericLabelFailure: c.generic})
			w.srv.Inject(c.fault)
			p := run(t, w.b, w.srv)
			w.each()
			if w.srv.Struck(c.fault.Kind) == 0 {
				t.Error("the answer was not given")
			}
			w.produce("after", 10)
			w.each()
			p.shutDown()
			if n := p.metric(`millrace_records_reread_total{partition="0",pipeline="kong",topic="logging.kong"}`); n != "0" {
				t.Errorf("%s records were read again", n)
			}
		})
	}
}
