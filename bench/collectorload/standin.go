package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"millrace/bench/process"
)

// standin is StarRocks' stand-in as a process of its own, which counts rows
// and drops them.
type standin struct {
	*process.Process
	Leader, MySQL, Control string
}

func startStandin(file, dir string, tables string) (s *standin, err error) {
	ddl := filepath.Join(dir, "tables.sql")
	if err := os.WriteFile(ddl, []byte(tables), 0o600); err != nil {
		return nil, fmt.Errorf("write the table's definition: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the stand-in: %w", err)
	}
	defer r.Close()
	s = &standin{}
	s.Process, err = process.Start(filepath.Join(dir, "standin.log"), w, file, "-discard",
		"-user", "root:", "-user", user+":"+password, "-backends", "127.0.0.1:0,127.0.0.1:0,127.0.0.1:0", "-ddl", "CREATE DATABASE "+database, "-ddl", ddl)
	w.Close()
	if err != nil {
		return nil, err
	}
	if err := json.NewDecoder(r).Decode(s); err != nil {
		return nil, errors.Join(fmt.Errorf("read the stand-in's addresses: %w", err), s.Stop())
	}
	return s, nil
}

// counted is what the stand-in has been sent.
type counted struct{ Loads, Rows, Bytes int64 }

func (s *standin) counted() (counted, error) {
	var state struct{ Stats counted }
	err := get("http://"+s.Control+"/", func(body io.Reader) error { return json.NewDecoder(body).Decode(&state) })
	return state.Stats, err
}
