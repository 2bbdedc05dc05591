package starrockstest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseFault reads a fault as a command line or the control address writes it:
// the kind, and then its fields, separated by commas. Examples: "too many
// versions", "drop after commit,times=-1,chance=0.05", "hold
// transaction,delay=2s,then=ABORTED". The error names the part it does not
// know.
func ParseFault(spec string) (Fault, error) {
	kind, rest, more := strings.Cut(spec, ",")
	f := Fault{Kind: FaultKind(strings.TrimSpace(kind))}
	if !slices.Contains(faultKinds, f.Kind) {
		return Fault{}, fmt.Errorf("parse fault %q: there is no fault %q; there are %q", spec, f.Kind, faultKinds)
	}
	for more {
		var field string
		field, rest, more = strings.Cut(rest, ",")
		if err := f.set(strings.TrimSpace(field)); err != nil {
			return Fault{}, fmt.Errorf("parse fault %q: %w", spec, err)
		}
	}
	return f, nil
}

func (f *Fault) set(field string) (err error) {
	name, val, _ := strings.Cut(field, "=")
	switch name {
	case "times":
		f.Times, err = strconv.Atoi(val)
	case "skip":
		f.Skip, err = strconv.Atoi(val)
	case "chance":
		f.Chance, err = strconv.ParseFloat(val, 64)
	case "delay":
		f.Delay, err = time.ParseDuration(val)
	case "table":
		f.Table = val
	case "label":
		f.Label = val
	case "then":
		f.Then = State(strings.ToUpper(val))
		if f.Then != StateVisible && f.Then != StateAborted {
			err = fmt.Errorf("a transaction ends VISIBLE or ABORTED, not %q", val)
		}
	case "addr":
		f.Addr = val
	default:
		return fmt.Errorf("a fault has no field %q", name)
	}
	return err
}
