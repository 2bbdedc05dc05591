package kafka

import (
	"sync"
)

// health joins what is known about why records do not flow into one sentence
// and reports it when it changes.
type health struct {
	report func(error)

	mu sync.Mutex
	// In the order in which they count.
	connection error // from the client's connections
	refusal    error // Kafka's answer to our records or questions
	stall      error // no answer for too long

	told  bool
	state string // the sentence told last, empty for nil
}

// connected takes the state of the client's connections.
func (h *health) connected(err error) { h.set(&h.connection, err) }

// refused takes the keeper's last attempt.
func (h *health) refused(err error) { h.set(&h.refusal, err) }

// stalled takes whether batches are overdue.
func (h *health) stalled(err error) { h.set(&h.stall, err) }

// set reports under the lock, so that reports come in the order of events.
func (h *health) set(field *error, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*field = err
	now, sentence := h.worst(), ""
	if now != nil {
		sentence = now.Error()
	}
	if h.told && sentence == h.state {
		return
	}
	h.told, h.state = true, sentence
	if h.report != nil {
		h.report(now)
	}
}

// current is what was reported last.
func (h *health) current() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.worst()
}

func (h *health) worst() error {
	for _, err := range []error{h.connection, h.refusal, h.stall} {
		if err != nil {
			return err
		}
	}
	return nil
}
