package starrockstest

import (
	"errors"
	"fmt"
)

// rowReader cuts a JSON body into rows as the backend's scanner does on top of
// simdjson's on-demand API (json_scanner.cpp, json_parser.cpp): objects behind
// each other with anything blank or nothing between, or one array when outer is
// set. An error that stops the scan fails the whole load; trouble inside a
// well-formed object filters the row, or in lenient mode gives NULL.
type rowReader struct {
	jsonReader
	columns []column       // what the rows are read into
	byName  map[string]int // exact, as the server's lookup is
	outer   bool           // strip_outer_array
	strict  bool

	cells  []cell
	begun  bool
	inside bool // a bad literal left the reader in the middle of an object
	from   int  // of the current row
	caches []jsonCache
}

// cell is one value read; text and JSON share memory with the body or the
// reader's scratch and die with the next row.
type cell struct {
	state cellState
	num   int64
	text  []byte
}

type cellState uint8

const (
	cellMissing cellState = iota
	cellNull
	cellSet
)

// rowFault is why a row is filtered.
type rowFault struct{ reason string }

func (f *rowFault) Error() string { return f.reason }

var errEndOfRows = errors.New("end of rows")

func newRowReader(body []byte, columns []column) *rowReader {
	r := &rowReader{columns: columns, byName: map[string]int{}, cells: make([]cell, len(columns)), caches: make([]jsonCache, len(columns))}
	r.body = body
	for i, c := range columns {
		if c.generated == nil {
			r.byName[c.name] = i
		}
	}
	return r
}

// next reads one row into cells. The error is nil, errEndOfRows, a *rowFault
// for a filtered row, or what fails the load.
func (r *rowReader) next() error {
	r.scratch = r.scratch[:0]
	clear(r.cells)
	if r.inside {
		r.inside = false
		return r.settle(r.members(true))
	}
	if err := r.enter(); err != nil {
		return err
	}
	r.from = r.pos
	r.pos++
	return r.settle(r.members(false))
}

// settle maps a document that stops at the end of the body to the end of the
// rows: the scanner never asks simdjson for truncated_bytes().
func (r *rowReader) settle(err error) error {
	if errors.Is(err, errTruncated) {
		return errEndOfRows
	}
	return err
}

// enter finds the opening brace of the next row.
func (r *rowReader) enter() error {
	c := r.peek()
	if !r.begun {
		r.begun = true
		switch {
		case r.pos == len(r.body):
			return errEndOfRows
		case c != '{' && c != '[':
			return fmt.Errorf("illegal json started with %s", r.body[r.pos:min(r.pos+10, len(r.body))])
		case r.outer && c != '[':
			return errors.New("the value should be array type with strip_outer_array=true")
		case !r.outer && c == '[':
			return errors.New("the value should be object type without strip_outer_array=true")
		}
		if r.outer {
			r.pos++
			if c = r.peek(); c == ']' {
				r.pos++
				return r.endOfArray()
			}
		}
	} else if r.outer {
		switch c {
		case ']':
			r.pos++
			return r.endOfArray()
		case ',':
			r.pos++
			c = r.peek()
		default:
			if r.pos < len(r.body) {
				return scanError(errStructure)
			}
		}
	}
	switch {
	case r.pos == len(r.body):
		if r.outer {
			return scanError(errTruncated)
		}
		return errEndOfRows
	case c != '{':
		return scanError(errors.New("INCORRECT_TYPE: The JSON element does not have the requested type"))
	}
	return nil
}

func (r *rowReader) endOfArray() error {
	if r.peek(); r.pos != len(r.body) {
		return scanError(errStructure)
	}
	return errEndOfRows
}

func scanError(err error) error {
	return fmt.Errorf("Failed to iterate document stream as object. error: %w", err)
}

// members reads the fields of the object the reader is in.
func (r *rowReader) members(resumed bool) error {
	var fault *rowFault
	first := !resumed
	for {
		if r.peek() == '}' {
			r.pos++
			if fault != nil {
				return fault
			}
			return r.complete()
		}
		if !first {
			if err := r.expect(','); err != nil {
				return r.fatal(err)
			}
		}
		first = false
		if r.peek() != '"' {
			return r.fatal(r.expect('"'))
		}
		key, err := r.text()
		badKey := err == errValue
		if err != nil && !badKey {
			return r.fatal(err)
		}
		if err := r.expect(':'); err != nil {
			return r.fatal(err)
		}
		at, wanted := -1, false
		if !badKey {
			at, wanted = r.column(key)
		}
		if badKey && fault == nil {
			fault = &rowFault{"STRING_ERROR: Problem while parsing a string, in a key"}
		}
		if !wanted || fault != nil {
			if err := r.skip(); err != nil {
				return r.fatal(err)
			}
			continue
		}
		err = r.value(at)
		if r.inside {
			return err
		}
		if err != nil && !errors.As(err, &fault) {
			return r.fatal(err)
		}
	}
}

func (r *rowReader) fatal(err error) error {
	if err == errTruncated && !r.outer {
		return err
	}
	return scanError(err)
}

// column finds the column a key fills: first of duplicates wins, generated
// columns and unknown keys are not wanted.
func (r *rowReader) column(key []byte) (int, bool) {
	at, ok := r.byName[string(key)]
	return at, ok && r.cells[at].state == cellMissing
}

// complete applies NOT NULL to the source columns.
func (r *rowReader) complete() error {
	for i := range r.cells {
		c := &r.columns[i]
		if c.notNull && c.generated == nil && r.cells[i].state != cellSet {
			return &rowFault{fmt.Sprintf("NULL value in non-nullable column '%s'", c.name)}
		}
	}
	return nil
}
