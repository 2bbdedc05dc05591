package collector

// clientPaused are the partitions that are not fetched.
func (s *source) clientPaused() []int32 {
	return s.client.PauseFetchPartitions(nil)[testTopic]
}
