package kafkaconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// dialTimeout bounds TCP and TLS handshake together.
const dialTimeout = 10 * time.Second

// Options are the client options that both ends share: addresses, TLS, SASL,
// client id, logging and w's hooks; w may be nil. Nothing is read or dialled
// before the client connects, and files are read anew each time it does. The
// error means that c was never validated.
func Options(c *Config, clientID string, log *slog.Logger, w *Watch) ([]kgo.Opt, error) {
	if len(c.Brokers) == 0 {
		return nil, errors.New("connect to kafka: brokers must not be empty")
	}
	d := &dialer{tls: c.TLS}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(clientID),
		kgo.Dialer(d.dial),
		kgo.WithLogger(logger{log}),
		// Without it Close waits up to a second to push client telemetry
		// (KIP-714), which nobody asked for.
		kgo.DisableClientMetrics(),
		// Also the pause between two looks for a leader that moved.
		kgo.MetadataMinAge(time.Second),
	}
	if c.SASL != nil {
		m, err := newMechanism(c.SASL)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(m))
	}
	if w != nil {
		opts = append(opts, kgo.WithHooks(w))
	}
	return opts, nil
}

// logger passes the client's own log on, for debugging only: what operators
// need to know is reported as an error.
type logger struct{ log *slog.Logger }

func (l logger) Level() kgo.LogLevel {
	if l.log != nil && l.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelNone
}

func (l logger) Log(_ kgo.LogLevel, msg string, keyvals ...any) {
	l.log.Debug("kafka client", append([]any{"message", msg}, keyvals...)...)
}

func unknownMechanism(name string) error {
	return fmt.Errorf("sasl.mechanism: must be one of %s, %s, %s, not %q", ScramSHA512, ScramSHA256, Plain, name)
}
