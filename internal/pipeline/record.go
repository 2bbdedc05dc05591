package pipeline

import (
	"bytes"
	"time"

	"millrace/internal/jsonscan"
)

// Origin is what all records of one container and stream (agent) or of one
// partition (collector) have in common. It is immutable once a record points
// to it and may be shared by any number of goroutines.
type Origin struct {
	// Account is where the records' outcomes are counted.
	Account *Account
	// Stream is stdout or stderr; empty for lines that name no stream, and at
	// the collector.
	Stream []byte
	// Tail is the JSON of everything that follows the message, beginning
	// with a comma and without the object's closing brace:
	// `,"kubernetes":{…},"kubernetes_namespace":{…}`.
	Tail []byte
	// Fields holds the values that Tail renders, for filters: the key is
	// Path.Key of the field's path, e.g. of kubernetes.pod_name; only
	// strings occur. Nil at the collector.
	Fields map[string][]byte
	// Pod and Container identify the two, for keys of Kafka records: the
	// pod's UID, and that with the container's name. Empty at the collector.
	Pod, Container string
	// Partition is the Kafka partition at the collector.
	Partition int32
	// TopicID tells the partition's topic from all others there have been and
	// will be, of that name too. Only letters, digits, dots,
	// - and _. Collector only.
	TopicID string
}

// Record is one log line: at the agent in its parts, at the collector as the
// JSON object that came from Kafka. All byte slices belong to the batch that
// holds the record and die with it.
type Record struct {
	Origin *Origin

	// Time is the line's time as the container runtime wrote it, RFC 3339
	// with up to nine decimals and any offset. Agent only.
	Time []byte
	// Tag is the CRI log tag, F or P, possibly followed by further tags
	// after a colon. Nil when the line is not a CRI line. Agent only.
	Tag []byte
	// Message is the line without its end, as read: any bytes. Agent only.
	Message []byte

	// Raw is the record's JSON object. Collector only.
	Raw []byte
	// Offset is the record's offset in Origin.Partition. Collector only.
	Offset int64

	// Added are fields that filters appended, in order.
	Added []Field
	// Cut says that Message is only the beginning of what was written; the
	// encoded record then holds "truncated":true.
	Cut bool

	span int32
}

// timeField is where the time is at the collector.
var timeField = []string{"time"}

// written is the record's own time; zero when it names none, or one that is
// still to come.
func (r *Record) written(now time.Time) (at time.Time) {
	text := r.Time
	if r.Raw != nil {
		value, _ := jsonscan.Lookup(r.Raw, timeField)
		text = bytes.Trim(value, `"`)
	}
	if at.UnmarshalText(text) != nil || at.After(now) {
		return time.Time{}
	}
	return at
}

// Field is a top-level member that a filter appends to a record.
type Field struct {
	// Name is the member's key, ready to be put between quotes: the filter
	// made sure that it needs no escaping.
	Name string
	// JSON is the encoded value.
	JSON []byte
}
