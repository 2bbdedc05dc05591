package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"os/exec"
)

// seed is that of all hashes of this process.
var seed = maphash.MakeSeed()

// sum is what some records add up to, in whatever order. Two sums are equal
// only if they are of the same records, but for a chance of 1 in 2^64.
type sum struct{ records, bytes, hashes uint64 }

// add takes in a record's value.
func (s *sum) add(value []byte) {
	s.records++
	s.bytes += uint64(len(value))
	s.hashes += maphash.Bytes(seed, value)
}

// readBack runs a client that prints values, each with a newline.
func readBack(client *exec.Cmd) (s sum, err error) {
	var said bytes.Buffer
	client.Stderr = &said
	out, err := client.StdoutPipe()
	if err != nil {
		return s, fmt.Errorf("read what the client prints: %w", err)
	}
	if err := client.Start(); err != nil {
		return s, fmt.Errorf("start the client: %w", err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 1<<20), 4<<20)
	for lines.Scan() {
		s.add(lines.Bytes())
	}
	if err := errors.Join(lines.Err(), client.Wait()); err != nil {
		return s, fmt.Errorf("%w; it said:\n%s", err, said.Bytes()[max(0, said.Len()-2000):])
	}
	return s, nil
}
