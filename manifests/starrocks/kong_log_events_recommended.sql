-- The recommended table, which create_table: true makes, too. Beside the fields
-- of a record it has
--   * kafka_topic_id, kafka_partition, kafka_offset: where each row came from.
--     They tell a load that arrived from one that did not when StarRocks has
--     forgotten its label, and dead letters can be sent again;
--   * truncated: a text of the row is cut;
--   * a partition a day (of UTC), of which the newest 14 are kept;
--   * three copies of each row. A cluster of one backend refuses that: change
--     replication_num there.
-- It needs StarRocks 3.1; with shared data 3.5, for the generated columns.
USE quickstart;
CREATE TABLE IF NOT EXISTS `kong_log_events` (
    `time` DATETIME NOT NULL,
    `stream` VARCHAR(32),
    `logtag` VARCHAR(64),
    `message` VARCHAR(1048576),
    `kubernetes` JSON,
    `kubernetes_namespace` JSON,
    `truncated` BOOLEAN,
    `kafka_topic_id` VARCHAR(249),
    `kafka_partition` INT,
    `kafka_offset` BIGINT,
    `kst_time` DATETIME AS convert_tz(`time`, 'UTC', 'Asia/Seoul'),
    `ns` VARCHAR(256) AS get_json_string(`kubernetes`, '$.namespace_name')
) ENGINE = OLAP
DUPLICATE KEY(`time`)
PARTITION BY date_trunc('day', `time`)
DISTRIBUTED BY RANDOM
PROPERTIES ("replication_num" = "3", "partition_live_number" = "14", "bloom_filter_columns" = "ns");
