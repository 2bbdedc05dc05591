package kafkaconn

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
)

// limitConfig is the topic config that bounds a record batch, in bytes as it
// is stored.
const limitConfig = "max.message.bytes"

// TopicLimit reads a topic's max.message.bytes, 0 if the broker does not say.
// It needs DescribeConfigs on the topic. It blocks until the broker answers or
// ctx ends; errors are those of franz-go, not explained yet.
func TopicLimit(ctx context.Context, admin *kadm.Client, topic string) (int, error) {
	all, err := admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return 0, err
	}
	config, err := all.On(topic, nil)
	if err != nil {
		return 0, err
	}
	if config.Err != nil {
		return 0, config.Err
	}
	for _, c := range config.Configs {
		if c.Key == limitConfig {
			n, err := strconv.Atoi(c.MaybeValue())
			if err != nil {
				return 0, fmt.Errorf("read %s of topic %q: %w", limitConfig, topic, err)
			}
			return n, nil
		}
	}
	return 0, nil
}
