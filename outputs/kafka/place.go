package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/internal/kafkaconn"
)

// positionsPartitions is how many partitions the topic is made with: each node
// writes to one and reads that one when it starts.
const positionsPartitions = 50

// positionsConfig is what the topic is made with. A start reads what was not
// compacted yet: a segment and a little more. Compaction leaves the markers of
// transactions, one a second and node, for delete.retention.ms.
var positionsConfig = []setting{
	{"cleanup.policy", "compact"},
	{"segment.bytes", "8388608"},
	{"min.cleanable.dirty.ratio", "0.1"},
	{"max.compaction.lag.ms", "3600000"},
	{"delete.retention.ms", "600000"},
}

type setting struct{ key, value string }

// findPlace looks where the positions are to be: where life says they are, or,
// for one that has none yet, in the partition of its node. It makes the topic
// if nobody can have positions on it.
func (s *session) findPlace(ctx context.Context, life *Life) (Place, error) {
	ctx, cancel := context.WithTimeout(ctx, s.out.tuning.dialWait)
	defer cancel()
	admin, name := kadm.NewClient(s.client), s.out.config.Transaction.PositionsTopic
	noted := life.Place
	if life.Former != nil {
		noted = life.Former.Place
	}
	meta, err := admin.Metadata(ctx, name)
	if err != nil {
		return Place{}, kafkaconn.Explain(err, s.out.positionsSubject("Write"))
	}
	topic := meta.Topics[name]
	if errors.Is(topic.Err, kerr.UnknownTopicOrPartition) && life.Adopt {
		if err := s.createPositions(ctx, admin); err != nil {
			return Place{}, err
		}
		if meta, err = admin.Metadata(ctx, name); err != nil {
			return Place{}, err
		}
		topic = meta.Topics[name]
	}
	found := Place{ClusterID: meta.Cluster, Topic: name, TopicID: topic.ID.String()}
	if !life.Adopt {
		if err := s.samePlace(noted, found, topic.Err); err != nil {
			return Place{}, err
		}
	}
	if topic.Err != nil {
		return Place{}, kafkaconn.Explain(topic.Err, s.out.positionsSubject("Write"))
	}
	found.Partition = noted.Partition
	if life.Adopt {
		found.Partition = partitionOf(life.Key, len(topic.Partitions))
	}
	if int(found.Partition) >= len(topic.Partitions) {
		return Place{}, say("topic %q has %d partitions and the positions of this node are in partition %d: %s",
			name, len(topic.Partitions), found.Partition, choices)
	}
	return found, s.checkPositions(ctx, admin)
}

// choices is what can be done about positions that are not where they were.
const choices = "point the pipeline back at the Kafka and transaction.positions_topic that hold them, or, to read every container from where start_at says, stop the agent and remove its data_dir"

// samePlace refuses to go on in another place than the noted one: the positions
// are not there, and reading from the beginning would repeat everything.
func (s *session) samePlace(noted, found Place, missing error) error {
	switch {
	case noted.ClusterID != found.ClusterID:
		return say("the positions of this node are in Kafka cluster %q and brokers %v are cluster %q: %s",
			noted.ClusterID, s.out.config.Conn.Brokers, found.ClusterID, choices)
	case noted.Topic != found.Topic:
		return say("the positions of this node are on topic %q and transaction.positions_topic is %q: %s",
			noted.Topic, found.Topic, choices)
	case errors.Is(missing, kerr.UnknownTopicOrPartition):
		return say("topic %q with the positions of this node is not there any more, or %s may not see it: %s",
			noted.Topic, s.out.subject.Config.User(), choices)
	case missing == nil && noted.TopicID != found.TopicID:
		return say("topic %q was deleted and created again since it held the positions of this node (it has id %s, not %s): %s",
			noted.Topic, found.TopicID, noted.TopicID, choices)
	}
	return nil
}

// partitionOf is where the positions of a node are: those of its pipelines are
// together.
func partitionOf(key string, partitions int) int32 {
	if partitions == 0 {
		return 0
	}
	node := key[:max(strings.LastIndexByte(key, '/'), 0)]
	h := fnv.New32a()
	h.Write([]byte(node)) //nolint:errcheck // it cannot fail
	return int32(h.Sum32() % uint32(partitions))
}

// createPositions makes the topic, or says how to.
func (s *session) createPositions(ctx context.Context, admin *kadm.Client) error {
	name := s.out.config.Transaction.PositionsTopic
	configs := map[string]*string{}
	for _, c := range positionsConfig {
		configs[c.key] = &c.value
	}
	_, err := admin.CreateTopic(ctx, positionsPartitions, -1, configs, name)
	switch {
	case err == nil:
		s.out.log.Info("the topic for positions was created", slog.String("topic", name), slog.Int("partitions", positionsPartitions))
		return s.awaitPositions(ctx, admin)
	case errors.Is(err, kerr.TopicAlreadyExists):
		return s.awaitPositions(ctx, admin)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return say("brokers %v have no topic %q for the positions, or %s may not see it, and the right to create it is missing: run %s",
			s.out.config.Conn.Brokers, name, s.out.subject.Config.User(), s.createCommand())
	}
	return say("create topic %q for the positions: %w; or run %s", name, err, s.createCommand())
}

// awaitPositions waits until brokers know of a topic that was just made.
func (s *session) awaitPositions(ctx context.Context, admin *kadm.Client) error {
	for {
		topics, err := admin.ListTopics(ctx, s.out.config.Transaction.PositionsTopic)
		if err == nil && topics.Error() == nil {
			return nil
		}
		if perr := pause(ctx, s.out.tuning.minBackoff); perr != nil {
			return errors.Join(perr, err)
		}
	}
}

// createCommand is for those who have the right.
func (s *session) createCommand() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions %d",
		strings.Join(s.out.config.Conn.Brokers, ","), s.out.config.Transaction.PositionsTopic, positionsPartitions)
	for _, c := range positionsConfig {
		fmt.Fprintf(&b, " --config %s=%s", c.key, c.value)
	}
	return b.String()
}

// checkPositions refuses a topic that forgets positions and warns about
// settings that let it grow.
func (s *session) checkPositions(ctx context.Context, admin *kadm.Client) error {
	name := s.out.config.Transaction.PositionsTopic
	var config kadm.ResourceConfig
	described, err := admin.DescribeTopicConfigs(ctx, name)
	if err == nil {
		config, err = described.On(name, nil)
	}
	if err == nil {
		err = config.Err
	}
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		if s.out.tenure.firstWarning() {
			s.out.log.Warn("the settings of the topic for positions cannot be read, because the user has no right DescribeConfigs on it; its cleanup.policy must be compact, or positions are lost",
				slog.String("topic", name))
		}
		return nil
	}
	if err != nil {
		return err
	}
	values := map[string]string{}
	for _, c := range config.Configs {
		values[c.Key] = c.MaybeValue()
	}
	s.positionsLimit, _ = strconv.Atoi(values["max.message.bytes"]) // zero is not known
	if policy := values["cleanup.policy"]; policy != "compact" {
		return say("topic %q for positions has cleanup.policy=%s, which forgets positions after a while: set it to compact (kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config cleanup.policy=compact)",
			name, policy, strings.Join(s.out.config.Conn.Brokers, ","), name)
	}
	var differ []string
	for _, c := range positionsConfig {
		if v, ok := values[c.key]; ok && v != c.value {
			differ = append(differ, fmt.Sprintf("%s=%s, not %s", c.key, v, c.value))
		}
	}
	if len(differ) > 0 && s.out.tenure.firstWarning() {
		s.out.log.Warn("the topic for positions has other settings than those it would be created with: a start may read more of it and it may take more space",
			slog.String("topic", name), slog.Any("settings", differ))
	}
	return nil
}

// firstWarning is true once: warnings about the topic are told once.
func (t *tenure) firstWarning() bool {
	first := !t.warned
	t.warned = true
	return first
}
