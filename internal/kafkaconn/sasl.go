package kafkaconn

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/xdg-go/scram"
)

// newMechanism is the client's side of a login as the section s says.
func newMechanism(s *SASL) (sasl.Mechanism, error) {
	switch s.Mechanism {
	case ScramSHA512:
		return &scramMechanism{s, scram.SHA512}, nil
	case ScramSHA256:
		return &scramMechanism{s, scram.SHA256}, nil
	case Plain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := s.password()
			return plain.Auth{User: s.Username, Pass: password}, err
		}), nil
	}
	return nil, unknownMechanism(s.Mechanism)
}

func (s *SASL) password() (string, error) {
	password, err := s.Password.Read()
	if err != nil {
		return "", &fileError{"log in as user " + quote(s.Username), err}
	}
	return password, nil
}

// scramMechanism is SCRAM (RFC 5802) by xdg-go/scram. The password is read for
// each login; deriving its key costs milliseconds, once per connection.
type scramMechanism struct {
	sasl *SASL
	hash scram.HashGeneratorFcn
}

// Name implements sasl.Mechanism.
func (m *scramMechanism) Name() string { return m.sasl.Mechanism }

// Authenticate implements sasl.Mechanism.
func (m *scramMechanism) Authenticate(context.Context, string) (sasl.Session, []byte, error) {
	password, err := m.sasl.password()
	if err != nil {
		return nil, nil, err
	}
	client, err := m.hash.NewClient(m.sasl.Username, password, "")
	if err != nil {
		// The library's error may quote what it was given.
		return nil, nil, &fileError{"log in as user " + quote(m.sasl.Username), errors.New("the user name or password holds characters that SCRAM does not allow (RFC 4013)")}
	}
	conv := client.NewConversation()
	first, err := conv.Step("")
	if err != nil {
		return nil, nil, err
	}
	return scramSession{conv}, []byte(first), nil
}

type scramSession struct{ conv *scram.ClientConversation }

// Challenge implements sasl.Session.
func (s scramSession) Challenge(challenge []byte) (done bool, answer []byte, err error) {
	out, err := s.conv.Step(string(challenge))
	if err != nil {
		return false, nil, err
	}
	return s.conv.Done(), []byte(out), nil
}
