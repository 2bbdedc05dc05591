package starrockstest

import "slices"

// LeaderChange makes the next running frontend the leader: transactions in
// PREPARE were never written to the edit log and are forgotten. Their loads
// fail with "transaction not found" when they want to commit. With one frontend
// it is what a restart of it does.
func (s *Server) LeaderChange() {
	now := s.leader.Load()
	for i := range s.frontends {
		next := (now + 1 + int64(i)) % int64(len(s.frontends))
		if s.frontends[next].http.alive() {
			s.leader.Store(next)
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, db := range s.databases {
		db.forgetRunning()
	}
	s.changed.Broadcast()
}

func (db *database) forgetRunning() {
	for label, list := range db.labels {
		kept := slices.DeleteFunc(list, func(x *txn) bool {
			if x.State != StatePrepare {
				return false
			}
			x.State = StateUnknown
			x.timer.Stop()
			db.running--
			return true
		})
		if db.labels[label] = kept; len(kept) == 0 {
			delete(db.labels, label)
		}
	}
}

// StopFrontend drops frontend i, counted from 0 in the order of their start,
// with all its connections. When it was the leader the next one is, as after
// LeaderChange; without another one nobody answers. StartFrontend brings it
// back on the same address.
func (s *Server) StopFrontend(i int) {
	s.frontends[i].http.stop()
	if s.frontends[i].leads() {
		s.LeaderChange()
	}
}

// StartFrontend is the counterpart of StopFrontend; its error is a port that
// has been taken meanwhile.
func (s *Server) StartFrontend(i int) error {
	err := s.frontends[i].http.start()
	if err == nil && !s.frontends[s.leader.Load()].http.alive() {
		s.leader.Store(int64(i))
	}
	return err
}

func (s *Server) leaderAddr() string { return s.frontends[s.leader.Load()].http.addr() }

func (f *frontend) leads() bool { return f.server.leader.Load() == f.index }
