package starrockstest

import (
	"strconv"
)

// object builds a JSON object with its keys in the order they are given.
type object struct{ members [][2]string }

func (o *object) text(key, val string) { o.members = append(o.members, [2]string{key, quoteJSON(val)}) }

func (o *object) number(key string, val int64) {
	o.members = append(o.members, [2]string{key, strconv.FormatInt(val, 10)})
}

// pretty prints as the backends do (rapidjson's PrettyWriter).
func (o *object) pretty() []byte {
	out := []byte("{\n")
	for i, m := range o.members {
		out = append(out, "    "+quoteJSON(m[0])+": "+m[1]...)
		if i < len(o.members)-1 {
			out = append(out, ',')
		}
		out = append(out, '\n')
	}
	return append(out, '}')
}

// line prints as the frontends do.
func (o *object) line() []byte {
	out := []byte("{")
	for i, m := range o.members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, quoteJSON(m[0])+":"+m[1]...)
	}
	return append(out, '}')
}

// restResult is RestBaseResult, with the state of a label when there is one.
func restResult(failure, state, reason string) []byte {
	var o object
	if failure != "" {
		o.text("status", "FAILED")
		o.text("code", "1")
		o.text("msg", failure)
		o.text("message", failure)
		return o.line()
	}
	if state != "" {
		o.text("state", state)
		o.text("reason", reason)
	}
	o.text("status", "OK")
	o.text("code", "0")
	o.text("msg", "Success")
	o.text("message", "OK")
	return o.line()
}

// ddlFailure is TransactionResult for a DdlException in a frontend.
func ddlFailure(message string) []byte {
	var o object
	o.text("Status", "FAILED")
	o.text("Message", "class com.starrocks.common.DdlException: "+message)
	return o.line()
}
