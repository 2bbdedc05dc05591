package tail

import (
	"time"

	"millrace/internal/pipeline"
)

// origins are what the records of one restart of the container have in common.
type origins struct {
	restart              int
	metadata             *Metadata // what they were made of
	stdout, stderr, none *pipeline.Origin
	waiting              time.Time // since when the metadata is incomplete
}

// ready makes origins for the file being read. It returns false while the
// metadata that belongs to it is not complete and waiting is still worth it.
func (o *origins) ready(c *container, now time.Time) bool {
	restart := c.chain.current().restart
	m, complete := (*c.metadata.Load())(restart)
	if !complete {
		if o.waiting.IsZero() || o.restart != restart {
			o.waiting = now
		}
		if o.restart = restart; now.Sub(o.waiting) < metadataWait {
			return false
		}
	} else {
		o.waiting = time.Time{}
	}
	if o.metadata != m {
		o.metadata = m
		o.stdout = c.origin(m, "stdout")
		o.stderr = c.origin(m, "stderr")
		o.none = c.origin(m, "")
	}
	o.restart = restart
	return true
}

func (c *container) origin(m *Metadata, stream string) *pipeline.Origin {
	return &pipeline.Origin{
		Account:   c.account,
		Stream:    []byte(stream),
		Tail:      m.Tail,
		Fields:    m.Fields,
		Pod:       c.target.PodUID,
		Container: c.target.Key,
	}
}
