package kafkaconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Subject is what somebody was doing when Kafka or the way to it failed. Only
// Config is required.
type Subject struct {
	Config *Config
	// Broker is the host:port of the broker that failed, where one is known.
	Broker string
	// Topic is the topic in question and Right what we need on it: Write or
	// Read, as Kafka's ACLs name it.
	Topic, Right string
	// Group is the consumer group, TransactionalID the transactional producer.
	Group, TransactionalID string
}

// Explain turns an error of franz-go into one sentence that names the broker,
// the user and the topic, group or file concerned, and what to change. The
// result wraps err, so errors.Is and errors.As see through it; it holds no
// secret. Nil stays nil, an explained error stays as it is.
func Explain(err error, about Subject) error {
	if err == nil {
		return nil
	}
	var done *explained
	if errors.As(err, &done) {
		return err
	}
	for _, f := range []func(error, *Subject) string{fileTrouble, loginTrouble, rightsTrouble, requestTrouble, tlsTrouble, networkTrouble} {
		if sentence := f(err, &about); sentence != "" {
			return &explained{sentence, err}
		}
	}
	return &explained{fmt.Sprintf("%s: %s", about.place(), oneLine(err)), err}
}

type explained struct {
	sentence string
	err      error
}

func (e *explained) Error() string { return e.sentence }
func (e *explained) Unwrap() error { return e.err }

// broker names whom we talked to.
func (s *Subject) broker() string {
	if s.Broker != "" {
		return "broker " + s.Broker
	}
	if s.Config == nil || len(s.Config.Brokers) == 0 {
		return "kafka"
	}
	return "broker " + strings.Join(s.Config.Brokers, ",")
}

// place is the broker with the topic or group, for everything not foreseen.
func (s *Subject) place() string {
	switch {
	case s.Topic != "":
		return s.broker() + ", topic " + quote(s.Topic)
	case s.Group != "":
		return s.broker() + ", group " + quote(s.Group)
	}
	return s.broker()
}

func (s *Subject) user() string { return s.Config.User() }

// User says for people as whom c connects. It may be nil.
func (c *Config) User() string {
	if c == nil || c.SASL == nil {
		if c != nil && c.TLS != nil && c.TLS.CertFile != "" {
			return "the user of the client certificate " + c.TLS.CertFile
		}
		return "the anonymous user (no sasl section)"
	}
	return "user " + quote(c.SASL.Username)
}

// passwordKey is the key that holds the password, for people.
func (s *Subject) passwordKey() string {
	if s.Config != nil && s.Config.SASL != nil && s.Config.SASL.Password.File != "" {
		return "sasl.password_file (" + s.Config.SASL.Password.File + ")"
	}
	return "sasl.password"
}

func fileTrouble(err error, _ *Subject) string {
	var file *fileError
	if !errors.As(err, &file) {
		return ""
	}
	return file.Error()
}

// loginTrouble knows the errors of a SASL login.
func loginTrouble(err error, s *Subject) string {
	mechanism := ""
	if s.Config != nil && s.Config.SASL != nil {
		mechanism = s.Config.SASL.Mechanism
	}
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Sprintf("%s refused %s: wrong password or no %s credentials for that user; check sasl.username and %s",
			s.broker(), s.user(), mechanism, s.passwordKey())
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Sprintf("%s does not offer %s: set sasl.mechanism to one it has enabled (sasl.enabled.mechanisms)",
			s.broker(), mechanism)
	case errors.Is(err, kerr.IllegalSaslState):
		return fmt.Sprintf("%s has no login on this port: remove the sasl section or use the port of its SASL listener", s.broker())
	}
	return ""
}

// rightsTrouble knows the errors of missing ACLs; what is missing is from
// Kafka's documentation, "Authorization and ACLs".
func rightsTrouble(err error, s *Subject) string {
	needs := func(right, kind, name string) string {
		return fmt.Sprintf("%s: %s needs %s on %s %s", s.broker(), s.user(), right, kind, quote(name))
	}
	right := s.Right
	if right == "" {
		right = "Describe"
	}
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return needs(right, "topic", s.Topic)
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return needs("Read", "group", s.Group)
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return needs("Write", "transactional id", s.TransactionalID)
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		// An idempotent producer needs Write on any topic since Kafka 2.8
		// (KIP-679), IdempotentWrite on the cluster before.
		return needs(right, "topic", s.Topic) + " (before Kafka 2.8 also IdempotentWrite on the cluster)"
	}
	return ""
}

// requestTrouble knows the answers to requests that were allowed.
func requestTrouble(err error, s *Subject) string {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return fmt.Sprintf("%s has no topic %s, or %s may not see it: create it or correct the key topic",
			s.broker(), quote(s.Topic), s.user())
	case errors.Is(err, kerr.InvalidTopicException):
		return fmt.Sprintf("%s: %s is not a name a topic can have: correct the key topic", s.broker(), quote(s.Topic))
	case errors.Is(err, kerr.MessageTooLarge):
		return fmt.Sprintf("%s refused a batch for topic %s as larger than the topic's max.message.bytes: %s",
			s.broker(), quote(s.Topic), oneLine(err))
	case errors.Is(err, kerr.InvalidRecord):
		return fmt.Sprintf("%s refused a record for topic %s: a topic with cleanup.policy=compact takes no records without a key, and a broker may have its own rules: %s",
			s.broker(), quote(s.Topic), oneLine(err))
	case errors.Is(err, kerr.InvalidTransactionTimeout):
		return fmt.Sprintf("%s refused the transaction timeout: lower transaction.timeout to the broker's transaction.max.timeout.ms", s.broker())
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.InvalidTxnState):
		return fmt.Sprintf("%s ended the transaction of transactional id %s: it was open for longer than transaction.timeout, or another process took the id over",
			s.broker(), quote(s.TransactionalID))
	case errors.Is(err, kerr.OffsetMetadataTooLarge):
		return fmt.Sprintf("%s refused an offset's metadata for group %s: raise the broker's offset.metadata.max.bytes to 4096 or more",
			s.broker(), quote(s.Group))
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.StaleMemberEpoch):
		return fmt.Sprintf("%s no longer takes commits from this member of group %s: the group went on without it", s.broker(), quote(s.Group))
	}
	return ""
}

// tlsTrouble knows how it looks when the two ends disagree about TLS.
func tlsTrouble(err error, s *Subject) string {
	var (
		eof      *kgo.ErrFirstReadEOF
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
		op       *net.OpError
		text     = err.Error()
	)
	switch {
	case errors.As(err, &unknown):
		return fmt.Sprintf("%s has a certificate that is not signed by %s: set tls.ca_file to the CA of the brokers", s.broker(), s.authority())
	case errors.As(err, &hostname):
		return fmt.Sprintf("%s has a certificate for other names (%s): correct the address in brokers or set tls.server_name", s.broker(), oneLine(hostname))
	case errors.As(err, &invalid):
		return fmt.Sprintf("%s has a certificate that is not valid: %s", s.broker(), oneLine(invalid))
	case errors.As(err, &record):
		return fmt.Sprintf("%s does not speak TLS on this port: remove the tls section or use the port of its TLS listener", s.broker())
	case errors.As(err, &op) && op.Op == "remote error":
		return s.certificateRefused(op)
	case strings.Contains(text, "tls alert record"): // a plain error without a type in franz-go
		return fmt.Sprintf("%s speaks TLS on this port: add a tls section (tls: {ca_file: ...})", s.broker())
	case errors.As(err, &eof):
		return s.closedAtOnce(eof)
	}
	return ""
}

func (s *Subject) authority() string {
	if s.Config != nil && s.Config.TLS != nil && s.Config.TLS.CAFile != "" {
		return "tls.ca_file (" + s.Config.TLS.CAFile + ")"
	}
	return "a CA of this system"
}

// certificateRefused is the broker's alert about our side of the handshake.
func (s *Subject) certificateRefused(alert error) string {
	if s.Config != nil && s.Config.TLS != nil && s.Config.TLS.CertFile != "" {
		return fmt.Sprintf("%s refused the client certificate tls.cert_file (%s): %s", s.broker(), s.Config.TLS.CertFile, oneLine(alert))
	}
	return fmt.Sprintf("%s ended the TLS handshake, probably for want of a client certificate: set tls.cert_file and tls.key_file (%s)", s.broker(), oneLine(alert))
}

// closedAtOnce guesses from what we did not send why a broker hung up.
func (s *Subject) closedAtOnce(eof error) string {
	switch {
	case s.Config == nil:
		return fmt.Sprintf("%s closed the connection at once: %s", s.broker(), oneLine(eof))
	case strings.Contains(eof.Error(), "is TLS misconfigured"):
		return fmt.Sprintf("%s closed the connection in the TLS handshake: it may not speak TLS on this port (remove the tls section or use another port)", s.broker())
	case s.Config.SASL == nil:
		return fmt.Sprintf("%s closed the connection at the first request: it may want a login (add a sasl section) or TLS (add a tls section)", s.broker())
	case s.Config.TLS == nil:
		return fmt.Sprintf("%s closed the connection at the first request: it may want TLS (add a tls section)", s.broker())
	}
	return fmt.Sprintf("%s closed the connection at the first request", s.broker())
}

// networkTrouble knows why a connection did not come about or broke.
func networkTrouble(err error, s *Subject) string {
	var (
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("%s: the host name %s is not known: correct the address in brokers, or the advertised.listeners of the broker", s.broker(), quote(dns.Name))
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nothing listens at %s: check that it runs and that the address in brokers is right", s.broker())
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Sprintf("%s cannot be reached: no route to it", s.broker())
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return fmt.Sprintf("%s closed the connection", s.broker())
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("%s does not answer: it hangs, or something on the way drops the packets", s.broker())
	}
	return ""
}

func quote(s string) string { return strconv.Quote(s) }

// oneLine is the text of an error of someone else's as part of our sentence.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
