package starrocks

import (
	"fmt"
	"slices"
	"sync/atomic"

	"millrace/internal/pipeline"
)

// The columns that hold where a row came from, and whether a text in it is
// not whole. They are filled where the table has them. The id of the topic makes
// the other two unique among topics, also those of one name.
const (
	topicColumn     = "kafka_topic_id"
	partitionColumn = "kafka_partition"
	offsetColumn    = "kafka_offset"
	truncatedColumn = "truncated"
)

// timeField is the record's field that holds the line's own time.
const timeField = "time"

// maxString is what a STRING column holds, in bytes (STRING.md).
const maxString = 65533

// table describes the table that rows go to, as far as rows depend on it.
type table struct {
	columns []column
	// assumed says that the description is the documented default and not
	// the server's: fields that filters added are then sent whether listed
	// or not, because StarRocks ignores keys it has no column for.
	assumed bool
}

// column is one column of the table.
type column struct {
	name string
	kind columnKind
	max  int // bytes of a text
	// required: a row without a value for it is refused.
	required bool
}

type columnKind uint8

const (
	otherColumn columnKind = iota
	textColumn
	datetimeColumn
	jsonColumn
)

// defaultTable is the table of the Logging operator's users, for
// configurations that give no query_addr to look the real one up, with the
// targets of columns added as STRINGs.
func defaultTable(columns map[string]string) *table {
	t := &table{assumed: true, columns: []column{
		{"time", datetimeColumn, 0, false},
		{"stream", textColumn, maxString, false},
		{"logtag", textColumn, maxString, false},
		{"message", textColumn, maxString, false},
		{"kubernetes", jsonColumn, 0, false},
		{"kubernetes_namespace", jsonColumn, 0, false},
		{topicColumn, textColumn, maxString, false},
		{partitionColumn, otherColumn, 0, false},
		{offsetColumn, otherColumn, 0, false},
		{truncatedColumn, otherColumn, 0, false},
	}}
	for field, name := range columns {
		if t.find(name) == nil {
			kind := textColumn
			if field == timeField {
				kind = datetimeColumn
			}
			t.columns = append(t.columns, column{name, kind, maxString, false})
		}
	}
	return t
}

func (t *table) find(name string) *column {
	i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return &t.columns[i]
}

// check lists what keeps records from landing in the table as the
// configuration wants it; nil if nothing does.
func (t *table) check(columns map[string]string) []string {
	var faults []string
	missing := func(field string) *column {
		name := columnOf(columns, field)
		c := t.find(name)
		if c == nil {
			faults = append(faults, fmt.Sprintf("there is no column %s for the field %s", name, field))
		}
		return c
	}
	if c := missing(timeField); c != nil && c.kind != datetimeColumn {
		faults = append(faults, fmt.Sprintf("the column %s for the field %s is not a DATETIME", c.name, timeField))
	}
	missing("message")
	for _, field := range sortedKeys(columns) {
		if field != timeField && field != "message" {
			missing(field)
		}
	}
	if (t.find(partitionColumn) == nil) != (t.find(offsetColumn) == nil) {
		faults = append(faults, fmt.Sprintf("only one of the columns %s and %s is there; a row's origin needs both", partitionColumn, offsetColumn))
	}
	return faults
}

// columnOf is the column a field of the record goes to.
func columnOf(columns map[string]string, field string) string {
	if name, ok := columns[field]; ok {
		return name
	}
	return field
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// layout is how records become rows of one table: what the encoder looks up.
// It is immutable.
type layout struct {
	targets []target
	byField map[string]*target // top-level fields of the record
	nested  []nestedField
	assumed bool

	time, topic, partition, offset, truncated *target // nil: no such column
}

// target is one column as the encoder writes it.
type target struct {
	column
	index int
	key   []byte // `"name":`, as JSON
	// filled says that a row had a value for it, ever.
	filled *atomic.Bool
}

// nestedField is a field within another one that has a column of its own.
type nestedField struct {
	top    string   // the top-level field
	names  []string // what to follow from its value
	target *target
}

// newLayout prepares the table for rows. Fields are mapped by columns, other
// top-level fields go to the column of their own name.
func newLayout(t *table, columns map[string]string) (*layout, error) {
	l := &layout{byField: map[string]*target{}, assumed: t.assumed, targets: make([]target, len(t.columns))}
	for i, c := range t.columns {
		name, _ := pipeline.AppendString(nil, []byte(c.name), -1)
		l.targets[i] = target{column: c, index: i, key: []byte(`"` + string(name) + `":`), filled: new(atomic.Bool)}
		switch c.name {
		case topicColumn:
			l.topic = &l.targets[i]
		case partitionColumn:
			l.partition = &l.targets[i]
		case offsetColumn:
			l.offset = &l.targets[i]
		case truncatedColumn:
			l.truncated = &l.targets[i]
			l.byField[c.name] = l.truncated
		default:
			l.byField[c.name] = &l.targets[i]
		}
	}
	for _, field := range sortedKeys(columns) {
		if err := l.mapField(field, columns[field]); err != nil {
			return nil, err
		}
	}
	if l.time = l.byField[timeField]; l.time == nil {
		return nil, fmt.Errorf("there is no column %s for the field %s", columnOf(columns, timeField), timeField)
	}
	return l, nil
}

// fills says whether rows get the column called name from elsewhere than from
// a field of that name: a mapped one, or one that says where a row came from.
func (l *layout) fills(name string) bool {
	return l.byField[name] == nil && slices.ContainsFunc(l.targets, func(t target) bool { return t.name == name })
}

func (l *layout) mapField(field, name string) error {
	path, err := pipeline.ParsePath(field)
	if err != nil {
		return err
	}
	// A column that is mapped is not the one of its own name's field too.
	if own := l.byField[name]; own != nil && own.column.name == name {
		delete(l.byField, name)
	}
	i := slices.IndexFunc(l.targets, func(t target) bool { return t.column.name == name })
	if i < 0 {
		return fmt.Errorf("map field %q: there is no column %s", field, name)
	}
	if len(path.Names) == 1 {
		l.byField[path.Names[0]] = &l.targets[i]
		return nil
	}
	l.nested = append(l.nested, nestedField{path.Names[0], path.Names[1:], &l.targets[i]})
	return nil
}

// remember takes over which columns were filled from the layout before. It is
// called before anything uses l.
func (l *layout) remember(old *layout) {
	for i := range l.targets {
		for j := range old.targets {
			if old.targets[j].name == l.targets[i].name {
				l.targets[i].filled = old.targets[j].filled
			}
		}
	}
}
