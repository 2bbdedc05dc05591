package pipeline

// Reasons are all reasons for which a record is dropped.
func Reasons() (all []Reason) {
	for why := range reasonCount {
		all = append(all, why)
	}
	return all
}

// Miscounts are ways to count one record wrongly, by the term that is wrong.
// Each adds n to its term.
func Miscounts() map[string]func(a *Account, n int64) {
	m := map[string]func(*Account, int64){
		"read":        func(a *Account, n int64) { a.read += n },
		"reread":      func(a *Account, n int64) { a.reread += n },
		"delivered":   func(a *Account, n int64) { a.delivered += n },
		"filtered":    func(a *Account, n int64) { a.filtered += n },
		"handed over": func(a *Account, n int64) { a.handedOver += n },
		"taken over":  func(a *Account, n int64) { a.takenOver += n },
		"in flight":   func(a *Account, n int64) { a.inFlight.n += n },
		"aborted":     func(a *Account, n int64) { a.aborted.n += n },
		"again":       func(a *Account, n int64) { a.again.n += n },
	}
	for _, why := range Reasons() {
		m["dropped "+why.String()] = func(a *Account, n int64) { a.dropped[why] += n }
	}
	return m
}
