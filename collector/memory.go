package collector

// How memory_limit, which is of the whole process, becomes sizes.
//
//	memory_limit = base + pipelines * share
//	share        = fetch + live
//
// base is the runtime, the clients and their connections. fetch is what the
// Kafka client holds of answers it has decompressed and that were not polled
// yet. live is what each lane holds: a batch that is loaded (its records, and
// their rows encoded: twice) and the queue of the next one (once). So
//
//	live = lanes * 3 * batch
//
// where a record weighs its bytes, what filters add to it, and recordWeight, its
// share of the structs that point to them. Go's collector wants room above what is live, or it runs
// all the time: that is what garbage is for.
const (
	baseMemory   = 48 << 20
	minBatch     = 256 << 10
	minShare     = minBatch * 3 * allParts / liveParts // with one lane
	recordWeight = 256
)

// memory is the share of one pipeline.
type memory struct {
	batch          int // weight of the records of one batch
	fetch          int // bytes of one answer of a broker, as sent
	fetchPartition int // bytes of one partition in it
	decompressed   int // bytes of one record batch
}

const (
	// fetchParts: of 16 parts of a share, 3 are for fetches and 8 for
	// batches; the other 5 are garbage not yet collected.
	fetchParts, liveParts, allParts = 3, 8, 16
	// ratio is how much larger logs become that are decompressed: 20 with
	// lz4, 30 with zstd at its fastest.
	ratio = 24
	// concurrentFetches is how many answers the client asks for or holds at a
	// time, however many brokers there are. Two, so that one that waits for
	// new records does not hold up the others.
	concurrentFetches = 2
)

// shareMemory computes the sizes for one of a number of pipelines.
func shareMemory(limit, pipelines, lanes int) memory {
	share := max(0, limit-baseMemory) / max(1, pipelines)
	fetch := share / allParts * fetchParts
	m := memory{batch: share / allParts * liveParts / (3 * lanes)}
	// The upper bound is the client's own default.
	m.fetch = min(max(fetch/(concurrentFetches*ratio), 64<<10), 50<<20)
	m.fetchPartition = min(m.fetch, 1<<20)
	m.decompressed = max(fetch, 32<<20)
	return m
}
