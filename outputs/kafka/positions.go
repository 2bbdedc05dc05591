package kafka

// Positions is the source whose positions travel with the records, in the
// same transactions.
type Positions interface {
	// Encode renders the position of a span (Span.Position): the container
	// it is of, which is the last part of the position's key, and the value,
	// one JSON value; nil says that the container is gone. An error says that the position
	// lies behind records that were aborted: the slice has to be aborted.
	// It may be called from any goroutine and must not block.
	Encode(position any) (container string, value []byte, err error)
	// Restore gives the source the committed positions by container. It is
	// called once, before any batch is written; the source emits nothing
	// before. An error, such as that of an unknown version, stops the
	// pipeline.
	Restore(committed map[string][]byte) error
	// Local are the positions that data_dir holds, rendered as Encode does:
	// where Life.Adopt says so they are written in the first transaction,
	// and are what Restore gets.
	Local() (map[string][]byte, error)
}

// Life says whose positions an output writes.
type Life struct {
	// TransactionalID is that of every transaction: cluster, node and
	// pipeline are in it, so that two processes with the same one are two
	// owners of the same positions.
	TransactionalID string
	// Key is CLUSTER/NODE/PIPELINE, the beginning of each key on the
	// positions topic.
	Key string
	// Disk is the random id of data_dir: positions say something about the
	// files of one disk only.
	Disk string
	// Node and Pod are for people who look for the process.
	Node, Pod string
	// Former is what the positions of this disk were called before the node
	// or the pipeline was renamed; nil when they were not.
	Former *Former
	// Adopt says that the positions in data_dir count and those on the topic
	// do not: a first start, or one that comes from at_least_once.
	Adopt bool
	// Place is where the positions are, as data_dir noted it; of no meaning
	// with Adopt.
	Place Place
}

// Former is an earlier name of an owner of positions.
type Former struct {
	TransactionalID, Key string
	Place                Place
}

// Place is where an owner's positions are. All four belong to it: the same
// name in another cluster, or a topic that was deleted and created again, is
// another place.
type Place struct {
	ClusterID string `json:"cluster_id"`
	Topic     string `json:"topic"`
	// TopicID is the topic's UUID as kadm prints it.
	TopicID   string `json:"topic_id"`
	Partition int32  `json:"partition"`
}
