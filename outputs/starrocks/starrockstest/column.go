package starrockstest

import (
	"fmt"
	"strings"
)

type kind uint8

const (
	kindBoolean kind = iota
	kindTinyInt
	kindSmallInt
	kindInt
	kindBigInt
	kindFloat
	kindDouble
	kindDate     // days since 1970-01-01
	kindDatetime // microseconds since 1970-01-01 00:00:00, no zone
	kindString
	kindJSON // text in the form the server prints: keys sorted, ", " and ": "
)

// stringBytes is the length of a STRING column, in bytes (StarRocks
// documentation, STRING). maxVarchar is the longest VARCHAR of 2.1 to 4.1.
const (
	stringBytes = 65533
	maxVarchar  = 1048576
	maxChar     = 255
)

func (k kind) isInteger() bool { return k <= kindBigInt }
func (k kind) isNumber() bool  { return k <= kindDouble }
func (k kind) isTime() bool    { return k == kindDate || k == kindDatetime }
func (k kind) isText() bool    { return k == kindString || k == kindJSON }

// columnType is a column's SQL type; length is bytes and only set for
// character types.
type columnType struct {
	kind   kind
	length int
	char   bool
}

// dataType is the bare name information_schema.columns shows as DATA_TYPE.
func (t columnType) dataType() string {
	switch t.kind {
	case kindBoolean:
		return "boolean"
	case kindTinyInt:
		return "tinyint"
	case kindSmallInt:
		return "smallint"
	case kindInt:
		return "int"
	case kindBigInt:
		return "bigint"
	case kindFloat:
		return "float"
	case kindDouble:
		return "double"
	case kindDate:
		return "date"
	case kindDatetime:
		return "datetime"
	case kindJSON:
		return "json"
	}
	if t.char {
		return "char"
	}
	return "varchar"
}

// describe is the type as DESC shows it.
func (t columnType) describe() string {
	if t.kind == kindString {
		return fmt.Sprintf("%s(%d)", t.dataType(), t.length)
	}
	return t.dataType()
}

// declare is the type as SHOW CREATE TABLE and COLUMN_TYPE show it, with
// MySQL's display widths.
func (t columnType) declare() string {
	switch t.kind {
	case kindTinyInt:
		return "tinyint(4)"
	case kindSmallInt:
		return "smallint(6)"
	case kindInt:
		return "int(11)"
	case kindBigInt:
		return "bigint(20)"
	}
	return t.describe()
}

// sqlType is the type's name in the server's own messages.
func (t columnType) sqlType() string { return strings.ToUpper(t.describe()) }

// integerRange gives the smallest and largest value of an integer type.
func (t columnType) integerRange() (lo, hi int64) {
	switch t.kind {
	case kindBoolean:
		return 0, 1
	case kindTinyInt:
		return -1 << 7, 1<<7 - 1
	case kindSmallInt:
		return -1 << 15, 1<<15 - 1
	case kindInt:
		return -1 << 31, 1<<31 - 1
	}
	return -1 << 63, 1<<63 - 1
}

// column is one column of a table. id is unique within the table for ever,
// so that stored rows survive ADD and DROP COLUMN.
type column struct {
	id        int
	name      string
	typ       columnType
	notNull   bool
	key       bool
	dflt      *string
	comment   string
	generated expr   // nil for an ordinary column
	formula   string // the generated column's expression as shown
}
