package config

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// wanted is the error of a text that is not what a type allows; it says what is.
type wanted string

func (w wanted) Error() string { return "must be " + string(w) }

const (
	wantedDuration = wanted("a duration with a unit such as 500ms, 10s, 1m30s or 24h")
	wantedBool     = wanted("true or false")
	wantedNumber   = wanted("a number")
)

// scalar sets v from a single value. How the value is quoted does not matter: what a key may hold is decided by its type.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, key, "must be a single value, not %s", describe(n))
		return
	}
	text, err := expand(n.Value, os.LookupEnv)
	if err != nil {
		d.wrong(n, key, "%s", err)
		return
	}
	var w wanted
	switch err := setText(v, text); {
	case err == nil:
	case errors.As(err, &w):
		d.wrong(n, key, "%s, not %s", w, quote(n.Value))
	case text == n.Value:
		d.wrong(n, key, "%s", err)
	default:
		d.wrong(n, key, "%s", hide(err.Error(), text, n.Value))
	}
}

// hide puts what the file says in the place of what the environment made of it.
func hide(message, expanded, written string) string {
	if expanded == "" {
		return message
	}
	message = strings.ReplaceAll(message, expanded, written)
	quoted := strconv.Quote(expanded)
	return strings.ReplaceAll(message, quoted[1:len(quoted)-1], written)
}

func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		return setDuration(v, text)
	}
	switch {
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return wantedBool
		}
		v.SetBool(text == "true")
	case v.CanInt():
		return setInt(v, text)
	case v.CanUint():
		return setUint(v, text)
	case v.CanFloat():
		return setFloat(v, text)
	}
	return nil
}

func setDuration(v reflect.Value, text string) error {
	dur, err := time.ParseDuration(text)
	if err != nil || dur < 0 {
		return wantedDuration
	}
	v.SetInt(int64(dur))
	return nil
}

func setInt(v reflect.Value, text string) error {
	i, err := strconv.ParseInt(text, 10, v.Type().Bits())
	if err != nil {
		return wantedWhole(err, "a whole number", -1<<(v.Type().Bits()-1), 1<<(v.Type().Bits()-1)-1)
	}
	v.SetInt(i)
	return nil
}

func setUint(v reflect.Value, text string) error {
	u, err := strconv.ParseUint(text, 10, v.Type().Bits())
	if err != nil {
		return wantedWhole(err, "a whole number, zero or more", 0, 1<<v.Type().Bits()-1)
	}
	v.SetUint(u)
	return nil
}

func wantedWhole(err error, what string, low int64, high uint64) error {
	if errors.Is(err, strconv.ErrRange) {
		return wanted(fmt.Sprintf("a whole number from %d to %d", low, high))
	}
	return wanted(what)
}

func setFloat(v reflect.Value, text string) error {
	f, err := strconv.ParseFloat(text, v.Type().Bits())
	if err != nil || f != f || f-f != 0 { // NaN, infinity
		return wantedNumber
	}
	v.SetFloat(f)
	return nil
}

// expand replaces ${NAME} by what lookup knows under NAME, and $$ by a dollar sign. A dollar sign before anything else stays,
// so that `$remote_addr` and regular expressions need no care.
func expand(text string, lookup func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i+1 == len(text) {
			out.WriteString(text)
			return out.String(), nil
		}
		out.WriteString(text[:i])
		text = text[i+1:]
		switch text[0] {
		case '$':
			out.WriteByte('$')
			text = text[1:]
		case '{':
			name, rest, closed := strings.Cut(text[1:], "}")
			if !closed || !isName(name) {
				return "", errors.New("${ must be followed by the name of an environment variable and }; write $${ for ${ itself")
			}
			value, ok := lookup(name)
			if !ok {
				return "", fmt.Errorf("the environment variable %s is not set", name)
			}
			out.WriteString(value)
			text = rest
		default:
			out.WriteByte('$')
		}
	}
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
