package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"millrace/internal/atomicfile"
	"millrace/outputs/kafka"
)

// ownerVersion is the version of the owner file. A later version reads this
// one; this one refuses a later one.
const ownerVersion = 1

// owner is what a pipeline's data directory knows about the owner of its
// positions. It is kept in the file owner.json beside them: where there are
// positions in Kafka, only this says that there are.
type owner struct {
	Version int `json:"version"`
	// Disk is a random id of this directory. A copy of the directory has the
	// same one; another disk never has.
	Disk string `json:"disk"`
	// Delivery is how records were delivered last; empty before the first
	// time.
	Delivery string `json:"delivery,omitempty"`
	// Name is what positions were called when they were last committed to
	// Kafka, at Place; zero before the first time.
	Name  ownerName   `json:"name"`
	Place kafka.Place `json:"place"`

	path string
}

// ownerName is what transactional ids and keys are made of.
type ownerName struct {
	Cluster  string `json:"cluster"`
	Node     string `json:"node"`
	Pipeline string `json:"pipeline"`
}

func (n ownerName) transactionalID() string {
	return "millrace-" + n.Cluster + "-" + n.Node + "-" + n.Pipeline
}

func (n ownerName) key() string { return n.Cluster + "/" + n.Node + "/" + n.Pipeline }

// openOwner reads the owner file in dir, which exists, and makes one if there
// is none.
func openOwner(dir string) (*owner, error) {
	o := &owner{path: filepath.Join(dir, "owner.json")}
	data, err := os.ReadFile(o.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		o.Disk = strings.ToLower(rand.Text())
		return o, o.save()
	case err != nil:
		return nil, fmt.Errorf("read owner of positions: %w", err)
	}
	err = json.Unmarshal(data, o)
	switch {
	case o.Version > ownerVersion:
		return nil, fmt.Errorf("read %q: its version is %d and this millrace knows versions up to %d: run the millrace that wrote it, or a later one",
			o.path, o.Version, ownerVersion)
	case err == nil && (o.Version < 1 || o.Disk == ""):
		err = errors.New("version or disk is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w: restore the file, or remove it to go on from the positions beside it, which may repeat the last ten seconds of lines", o.path, err)
	}
	return o, nil
}

func (o *owner) save() error {
	o.Version = ownerVersion
	data, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode owner of positions: %w", err)
	}
	if err := atomicfile.Replace(o.path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("save owner of positions: %w", err)
	}
	return nil
}

// leaveKafka notes, before anything is delivered at least once, that the
// positions in Kafka will not be the ones that count.
func (o *owner) leaveKafka() error {
	if o.Delivery == kafka.AtLeastOnce {
		return nil
	}
	o.Delivery = kafka.AtLeastOnce
	return o.save()
}

// life is what the transactional output has to know.
func (o *owner) life(name ownerName) kafka.Life {
	host, _ := os.Hostname() // a pod's is its name
	l := kafka.Life{
		TransactionalID: name.transactionalID(),
		Key:             name.key(),
		Disk:            o.Disk,
		Node:            name.Node,
		Pod:             cmp.Or(os.Getenv("POD_NAME"), host),
		Adopt:           o.Delivery != kafka.ExactlyOnce,
		Place:           o.Place,
	}
	if o.Name != name && o.Name != (ownerName{}) {
		l.Former = &kafka.Former{TransactionalID: o.Name.transactionalID(), Key: o.Name.key(), Place: o.Place}
	}
	return l
}

// commission notes that from now on the positions at place count.
func (o *owner) commission(name ownerName, place kafka.Place) error {
	o.Delivery, o.Name, o.Place = kafka.ExactlyOnce, name, place
	return o.save()
}

// transactional fills in what an output needs that commits the positions of
// source.
func (a *assembly) transactional(options *kafka.Options, source kafka.Positions) error {
	o, err := openOwner(filepath.Join(a.config.DataDir, options.Pipeline))
	if err != nil {
		return err
	}
	if options.Config.Delivery != kafka.ExactlyOnce {
		return o.leaveKafka()
	}
	name := ownerName{Node: a.config.Kubernetes.Node, Pipeline: options.Pipeline}
	options.Positions = source
	options.Life = func(ctx context.Context) (kafka.Life, error) {
		cluster, err := a.watcher.Cluster(ctx)
		if err != nil {
			return kafka.Life{}, err
		}
		name.Cluster = cluster
		return o.life(name), nil
	}
	options.Commission = func(place kafka.Place) error { return o.commission(name, place) }
	return nil
}
