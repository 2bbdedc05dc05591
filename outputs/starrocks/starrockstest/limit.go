package starrockstest

import (
	"fmt"
	"slices"
	"strconv"
)

// limitName is a frontend or backend configuration item, by the server's own
// name.
type limitName string

const (
	labelKeepNum      limitName = "label_keep_max_num"
	labelKeepSeconds  limitName = "label_keep_max_second"
	cleanSeconds      limitName = "transaction_clean_interval_second"
	terminalCache     limitName = "transaction_terminal_state_cache_num"
	maxRunningTxns    limitName = "max_running_txn_num_per_db"
	defaultTimeout    limitName = "stream_load_default_timeout_second"
	maxTimeout        limitName = "max_stream_load_timeout_second"
	minTimeout        limitName = "min_load_timeout_second"
	preparedTimeout   limitName = "prepared_transaction_default_timeout_second"
	emptyLoadAsError  limitName = "empty_load_as_error"
	maxBodyMB         limitName = "streaming_load_max_mb"
	maxJSONMB         limitName = "streaming_load_max_batch_size_mb"
	maxTabletVersions limitName = "tablet_max_versions"
	maxLoadMemory     limitName = "load_process_max_memory_limit_bytes"
	maxTxnsPerBackend limitName = "stream_load_max_txn_num_per_be"
	compactionRate    limitName = "compaction_versions_per_second" // ours: how fast the model compacts
)

// limitItem is one line of ADMIN SHOW FRONTEND CONFIG, or a backend item.
type limitItem struct {
	name    limitName
	value   int
	backend bool
}

// defaultLimits are the defaults of StarRocks 3.x (FE and BE parameters pages
// of its documentation), the terminal cache being off as in all releases.
var defaultLimits = []limitItem{
	{labelKeepNum, 1000, false},
	{labelKeepSeconds, 259200, false},
	{cleanSeconds, 30, false},
	{terminalCache, 0, false},
	{maxRunningTxns, 1000, false},
	{defaultTimeout, 600, false},
	{maxTimeout, 259200, false},
	{minTimeout, 1, false},
	{preparedTimeout, 86400, false},
	{emptyLoadAsError, 1, false},
	{maxBodyMB, 102400, true},
	{maxJSONMB, 100, true},
	{maxTabletVersions, 1000, true},
	{maxLoadMemory, 100 << 30, true},
	{maxTxnsPerBackend, -1, false},
	{compactionRate, 10, true},
}

// limit reads a configuration item. Safe for concurrent use.
func (s *Server) limit(name limitName) int {
	if v, ok := s.limits.Load(name); ok {
		return v.(int)
	}
	panic("BUG: no configuration item " + string(name))
}

// Set changes a configuration item by the server's name, as ADMIN SET FRONTEND
// CONFIG and the backend's update_config do: label_keep_max_num,
// streaming_load_max_batch_size_mb, tablet_max_versions and so on. Items
// counted in seconds also rule transactions that have begun only from their
// next begin on. With transaction_clean_interval_second = 0, which is ours,
// labels are evicted as soon as there are too many. Unknown names are an error.
func (s *Server) Set(name, val string) error {
	if !slices.ContainsFunc(defaultLimits, func(l limitItem) bool { return l.name == limitName(name) }) {
		return fmt.Errorf("Config '%s' does not exist or is not mutable", name)
	}
	switch val {
	case "true":
		val = "1"
	case "false":
		val = "0"
	}
	n, err := strconv.Atoi(val)
	if err != nil || n < -1 {
		return fmt.Errorf("set %s: %q is not a number", name, val)
	}
	s.limits.Store(limitName(name), n)
	if limitName(name) == cleanSeconds {
		select {
		case s.retime <- struct{}{}:
		default: // it is being told already
		}
	}
	return nil
}
