package starrockstest

// Stats counts what loads brought since New, and what befell labels in all
// lives of the server's directory.
type Stats struct {
	Loads int64 // that answered Success
	Rows  int64
	Bytes int64 // of bodies, as sent

	Running   int // transactions in PREPARE, PREPARED or COMMITTED now
	Evicted   int // labels that were forgotten
	Forgotten int // times an evicted label's state was asked for and told UNKNOWN
	Reused    int // loads begun again under the evicted label of a visible one
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	running := 0
	for _, db := range s.databases {
		running += db.running
	}
	s.mu.Unlock()
	return Stats{s.loads.Load(), s.rows.Load(), s.bytes.Load(), running,
		s.Struck(eventEvicted), s.Struck(eventForgotten), s.Struck(eventReused)}
}

func (s *Server) count(r *loadResult) {
	s.loads.Add(1)
	s.rows.Add(r.Loaded)
	s.bytes.Add(r.LoadBytes)
}
