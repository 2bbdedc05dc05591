package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secret is a text that prints as *** in fmt, slog, JSON and YAML, also deep inside other values. The zero Secret was not
// given; one that was given may still be empty.
type Secret struct {
	text *string // a pointer, because fmt prints the fields of unexported fields without asking them
}

// NewSecret makes a Secret of a text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal is the text itself, "" when none was given.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String is *** or, when no secret was given, nothing.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return "***"
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText is String, for JSON, YAML and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the text as it is. It never fails.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// Password is the pair of keys password and password_file, of which exactly one must be given. A section takes them over
// with
//
//	Password config.Password `yaml:",inline"`
type Password struct {
	Value Secret `yaml:"password"`      // usually ${NAME}
	File  string `yaml:"password_file"` // usually a mounted Secret
}

// Validate demands exactly one of the two. It does not look at the file, which is where the process will run.
func (p *Password) Validate(e *Errors) { e.OneOf(p, "password", "password_file") }

// Read returns the password; a file is read at each call, so that one that was replaced counts from the next login on.
// Newlines at its end are not part of the password. An error names the key and the file, never what is in it.
func (p Password) Read() (string, error) {
	if p.File == "" {
		return p.Value.Reveal(), nil
	}
	data, err := os.ReadFile(p.File)
	if err != nil {
		return "", fmt.Errorf("read password_file: %w", err)
	}
	password := strings.TrimRight(string(data), "\r\n")
	if password == "" {
		return "", fmt.Errorf("read password_file: %w", &os.PathError{Op: "read", Path: p.File, Err: errors.New("the file is empty")})
	}
	return password, nil
}
