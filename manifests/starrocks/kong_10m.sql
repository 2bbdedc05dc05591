-- Ten-minute numbers of each project, host, path and status, for charts over
-- long ranges: requests is a count, the other three give the average and the
-- longest time. It reads the columns of kong_columns.sql in the recommended
-- table. Over the table of kong_log_events.sql, which has no partitions, leave
-- out the line PARTITION BY; each refresh then reads all of it.
--
-- The rows are those that the dashboard counts: it leaves out clients with an
-- IPv6 address, requests that are none, and Kong's own check. kst_10m is there
-- beside time_10m, so that a condition on it finds its rows without computing.
--
-- time_slice's last argument, floor, is its default. It is there because
-- sqlglot, which Superset and our checks read SQL with, wants one.
USE quickstart;
CREATE MATERIALIZED VIEW IF NOT EXISTS kong_10m
PARTITION BY date_trunc('day', time_10m)
DISTRIBUTED BY RANDOM
REFRESH ASYNC START('2026-01-01 00:00:00') EVERY(INTERVAL 10 MINUTE)
PROPERTIES ("replication_num" = "3", "partition_ttl" = "90 DAY")
AS SELECT
    time_slice(`time`, INTERVAL 10 MINUTE, floor) AS time_10m,
    convert_tz(time_slice(`time`, INTERVAL 10 MINUTE, floor), 'UTC', 'Asia/Seoul') AS kst_10m,
    `project`,
    `host`,
    `path`,
    `status`,
    count(*) AS requests,
    count(`request_time`) AS request_times,
    sum(`request_time`) AS request_time_sum,
    max(`request_time`) AS request_time_max
FROM kong_log_events
WHERE `stream` = 'stdout' AND `protocol` IS NOT NULL AND `client_ip` NOT LIKE '%:%' AND `client_ip` <> '127.0.0.1'
GROUP BY time_10m, kst_10m, `project`, `host`, `path`, `status`;
