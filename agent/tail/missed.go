package tail

// missed is a way in which lines are lost without having been read.
type missed struct{ reason, because string }

var (
	missedDeleted    = missed{"deleted", "it was deleted while it was not followed"}
	missedUnseen     = missed{"rotated_away", "so many rotations happened between two looks that files may have come and gone unseen; at least this one gap"}
	missedBeginning  = missed{"deleted", "the beginning of an unfinished line was deleted while it was not followed"}
	missedNoRoom     = missed{"deleted", "log file was deleted before there was room to open it"}
	missedLate       = missed{"late_write", "the runtime wrote to a rotated file after it was left"}
	missedUnreadable = missed{"unreadable", "it cannot be read"}
	missedTruncated  = missed{"truncated", "it was truncated before it was delivered"}
	missedCrash      = missed{"node_crash", "the node went down before the end of the file was on the disk"}
	missedSpoolFull  = missed{"spool_full", "it was given up for want of room before it was known how far it is delivered"}
	missedUnfollowed = missed{"unfollowed", "its container was not selected again for so long"}
)

// allMissed are the ways there are, so that their counters begin at 0.
var allMissed = []missed{missedDeleted, missedUnseen, missedLate, missedUnreadable, missedTruncated,
	missedCrash, missedSpoolFull, missedUnfollowed}

// missed counts and tells that lines were not read and never will be.
func (c *chain) missed(m missed, attrs ...any) {
	c.metrics.missed.WithLabelValues(m.reason).Inc()
	c.log.Warn("lines of a log file are lost", append([]any{"because", m.because}, attrs...)...)
}

// missedBytes counts how many bytes they were, where that is known.
func (c *chain) missedBytes(m missed, n int64) {
	if n > 0 {
		c.metrics.missedBytes.WithLabelValues(m.reason).Add(float64(n))
	}
}
