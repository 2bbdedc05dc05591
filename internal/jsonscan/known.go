package jsonscan

import "hash/maphash"

const (
	// knownPrefix is how much of an object decides where it is looked for;
	// shorter objects are scanned faster than found.
	knownPrefix = 128
	// maxKnown bounds what one remembered object takes.
	maxKnown  = 2 << 10
	knownSets = 64
	knownWays = 4
)

// Known remembers objects that were found valid. In a topic of logs nearly all
// of a record is what its container has in common with all others of the
// container, byte for byte; comparing is an order of magnitude faster than
// scanning. Nothing but equality is concluded from: bytes that begin with all
// of a valid object are that object, since an object ends where its brace is
// closed. The zero value is ready to use. It is for one goroutine, and holds
// 512 KiB at most.
type Known struct {
	seed    maphash.Seed
	seeded  bool
	objects [knownSets][knownWays]knownObject
	next    [knownSets]uint8 // the way that is given up next
}

type knownObject struct {
	text    []byte
	extreme bool
}

// Members is as the function of that name. The members refer to data, never to
// what is remembered.
func (k *Known) Members(data []byte, members []Member) ([]Member, error) {
	return (&scanner{data: data, members: members, known: k}).document()
}

// find returns the set of an object at the beginning of data, and the object
// if it is known.
func (k *Known) find(data []byte) (set int, object *knownObject) {
	if !k.seeded {
		k.seed, k.seeded = maphash.MakeSeed(), true
	}
	set = int(maphash.Bytes(k.seed, data[:knownPrefix]) % knownSets)
	for i := range k.objects[set] {
		o := &k.objects[set][i]
		if n := len(o.text); n > 0 && n <= len(data) && string(o.text) == string(data[:n]) {
			return set, o
		}
	}
	return set, nil
}

// keep remembers a valid object in a set.
func (k *Known) keep(set int, text []byte, extreme bool) {
	if len(text) < knownPrefix || len(text) > maxKnown {
		return
	}
	o := &k.objects[set][k.next[set]%knownWays]
	k.next[set]++
	o.text, o.extreme = append(o.text[:0], text...), extreme
}
