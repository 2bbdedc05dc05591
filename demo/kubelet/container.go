package kubelet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Line is what a program wrote to one of its streams, "stdout" or "stderr",
// up to a newline, and when.
type Line struct {
	At           time.Time
	Stream, Text string
}

// Container is one container of a pod, through its restarts. Its methods are
// for one goroutine, but for Written, Rotations and ID.
type Container struct {
	node *Node
	pod  Pod
	name string

	attempt int
	id      atomic.Pointer[string]
	path    string   // of N.log
	file    *os.File // open for append, or nil: exited
	size    int64
	looked  time.Time // when kubelet last looked at the size
	buf     []byte

	written   atomic.Int64
	rotations atomic.Int64
}

// Start makes the container's folder and its first file, 0.log. Where an
// earlier run of the program left files, it goes on as a restart does: with
// the next number.
func (n *Node) Start(p Pod, name string, at time.Time) (*Container, error) {
	c := &Container{node: n, pod: p, name: name, attempt: -1, looked: at}
	dir := filepath.Join(n.cfg.LogDir, p.Dir(), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make container folder: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", dir, err)
	}
	for _, f := range files {
		base := filepath.Base(f)
		if k, err := strconv.Atoi(base[:len(base)-len(".log")]); err == nil {
			c.attempt = max(c.attempt, k)
		}
	}
	return c, c.open()
}

// open begins the next attempt: a file, an identifier, a link.
func (c *Container) open() error {
	c.attempt++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", c.pod.UID, c.name, c.attempt))
	id := hex.EncodeToString(sum[:])
	c.id.Store(&id)
	c.path = filepath.Join(c.node.cfg.LogDir, c.pod.Dir(), c.name, strconv.Itoa(c.attempt)+".log")
	f, err := create(c.path)
	if err != nil {
		return err
	}
	c.file, c.size = f, 0
	if c.node.cfg.LinkDir == "" {
		return nil
	}
	target, err := filepath.Abs(c.path)
	if err != nil {
		return fmt.Errorf("resolve %q: %w", c.path, err)
	}
	if err := os.Symlink(target, c.link(id)); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("link container log: %w", err)
	}
	return nil
}

func create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("create container log: %w", err)
	}
	return f, nil
}

func (c *Container) link(id string) string {
	return filepath.Join(c.node.cfg.LinkDir, c.pod.Name+"_"+c.pod.Namespace+"_"+c.name+"-"+id+".log")
}

// ID is the 64 hexadecimal digits of the present attempt. Safe for concurrent
// use.
func (c *Container) ID() string { return *c.id.Load() }

// Attempt is how often the container was restarted: the N of N.log.
func (c *Container) Attempt() int { return c.attempt }

// Dir is the folder of the container's files.
func (c *Container) Dir() string { return filepath.Dir(c.path) }

// Written is the number of whole lines written since Start, through all
// restarts: a long line counts once, the tail of an Exit does not count. Safe
// for concurrent use.
func (c *Container) Written() int64 { return c.written.Load() }

// Rotations is the number of rotations since Start. Safe for concurrent use.
func (c *Container) Rotations() int64 { return c.rotations.Load() }

// Write appends lines in the order of their times. It first does what kubelet
// may have to do at the time of the first, so that the first lines can still
// reach a file that was renamed under the writer.
//
// The pieces of a long line are mixed with a line of the other stream that
// follows it, as two streams are on a real node.
func (c *Container) Write(lines ...Line) error {
	if c.file == nil {
		return fmt.Errorf("write to container %s: it has exited", c.name)
	}
	if len(lines) == 0 {
		return nil
	}
	at := lines[0].At
	if at.Sub(c.looked) >= c.node.cfg.Interval {
		c.looked = at
		if c.size > c.node.cfg.MaxSize {
			late := min(len(lines), 3)
			if err := c.Rotate(at, lines[:late]...); err != nil {
				return err
			}
			lines = lines[late:]
		}
	}
	return c.append(lines)
}

// append writes lines to the file that is open now.
func (c *Container) append(lines []Line) error {
	c.buf = c.buf[:0]
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		l.At = l.At.In(c.node.cfg.Zone)
		if len(l.Text) > pieceSize && i+1 < len(lines) && lines[i+1].Stream != l.Stream {
			i++
			c.buf = appendMixed(c.buf, l, lines[i])
			continue
		}
		c.buf = appendLine(c.buf, l)
	}
	n, err := c.file.Write(c.buf)
	c.size += int64(n)
	if err != nil {
		return fmt.Errorf("write container log: %w", err)
	}
	c.written.Add(int64(len(lines)))
	return nil
}

// Piece writes the first piece of a line that needs several, and returns what
// is left of it. That has to be the next line of its stream that is written:
// what happens in between, such as a rotation, happens within the line, which
// counts as written with its end.
func (c *Container) Piece(l Line) (rest Line, err error) {
	if c.file == nil || len(l.Text) <= pieceSize {
		return l, errors.New("write a piece: the container has exited, or the line needs only one")
	}
	n, err := c.file.Write(appendPiece(nil, l.At.In(c.node.cfg.Zone), l.Stream, 'P', l.Text[:pieceSize]))
	c.size += int64(n)
	if err != nil {
		return l, fmt.Errorf("write container log: %w", err)
	}
	return Line{l.At.Add(pieceTime), l.Stream, l.Text[pieceSize:]}, nil
}

// Exit ends the container's process. What it wrote after its last newline is
// tail, and reaches the file as a piece that no end ever follows.
func (c *Container) Exit(at time.Time, tail string) error {
	if tail != "" {
		n, err := c.file.Write(appendPiece(nil, at.In(c.node.cfg.Zone), "stdout", 'P', tail))
		c.size += int64(n)
		if err != nil {
			return fmt.Errorf("write container log: %w", err)
		}
	}
	err := c.file.Close()
	c.file = nil
	if err != nil {
		return fmt.Errorf("close container log: %w", err)
	}
	return nil
}

// Restart starts the container again after Exit: the next file, a new
// identifier, a new link. Of the dead ones kubelet keeps the last.
func (c *Container) Restart(at time.Time) error {
	if c.file != nil {
		return errors.New("restart a container: it has not exited")
	}
	if err := c.open(); err != nil {
		return err
	}
	c.looked = at
	return c.bury(c.attempt - 2)
}

// bury removes the files and the link of an attempt.
func (c *Container) bury(attempt int) error {
	if attempt < 0 {
		return nil
	}
	path := filepath.Join(c.Dir(), strconv.Itoa(attempt)+".log")
	rotated, err := filepath.Glob(path + ".*")
	if err != nil {
		return fmt.Errorf("list rotated files: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", c.pod.UID, c.name, attempt))
	dead := append(rotated, path)
	for _, f := range dead {
		c.node.cfg.Deleted(strings.TrimSuffix(f, ".gz"))
	}
	if c.node.cfg.LinkDir != "" {
		dead = append(dead, c.link(hex.EncodeToString(sum[:])))
	}
	for _, f := range dead {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete log of a dead container: %w", err)
		}
	}
	return nil
}
