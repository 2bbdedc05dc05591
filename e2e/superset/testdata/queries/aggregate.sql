-- What Superset asked for each chart; written by go test -update.

-- Error List
SELECT kst_time AS kst_time, status_code AS status_code, response_time AS response_time, message AS message
FROM (SELECT
    kst_time,
    date_trunc('minute', kst_time) AS kst_minute,
    date_trunc('hour', kst_time) AS kst_hour,
    client_ip,
    request_time AS response_time,
    host AS host_domain,
    project AS project_name,
    path AS request_url,
    status AS status_code,
    message
FROM quickstart.kong_log_events
WHERE stream = 'stdout'
    AND protocol IS NOT NULL
    AND client_ip NOT LIKE '%:%'
    AND client_ip <> '127.0.0.1'
) AS virtual_table
WHERE kst_time >= STR_TO_DATE('SINCE', '%Y-%m-%d %H:%i:%s.%f') AND kst_time < STR_TO_DATE('UNTIL', '%Y-%m-%d %H:%i:%s.%f') AND ((status_code >= 400)) ORDER BY kst_time DESC
 LIMIT 1000;

-- Error Rate (%)
SELECT kst_hour AS kst_hour, CAST(SUM(CASE WHEN status_code >= 400 THEN requests ELSE 0 END) AS DOUBLE) * 100 / SUM(requests) AS error_rate
FROM (SELECT
    kst_10m AS kst_time,
    date_trunc('minute', kst_10m) AS kst_minute,
    date_trunc('hour', kst_10m) AS kst_hour,
    host AS host_domain,
    project AS project_name,
    path AS request_url,
    status AS status_code,
    requests,
    request_times,
    request_time_sum,
    request_time_max
FROM quickstart.kong_10m
) AS virtual_table
WHERE kst_time >= STR_TO_DATE('SINCE', '%Y-%m-%d %H:%i:%s.%f') AND kst_time < STR_TO_DATE('UNTIL', '%Y-%m-%d %H:%i:%s.%f') GROUP BY kst_hour
 LIMIT 50000;

-- RPS by Status Code
SELECT kst_minute AS kst_minute, status_code AS status_code, CAST(COUNT(*) AS DOUBLE) / 60 AS requests_per_second
FROM (SELECT
    kst_time,
    date_trunc('minute', kst_time) AS kst_minute,
    date_trunc('hour', kst_time) AS kst_hour,
    client_ip,
    request_time AS response_time,
    host AS host_domain,
    project AS project_name,
    path AS request_url,
    status AS status_code,
    message
FROM quickstart.kong_log_events
WHERE stream = 'stdout'
    AND protocol IS NOT NULL
    AND client_ip NOT LIKE '%:%'
    AND client_ip <> '127.0.0.1'
) AS virtual_table
WHERE kst_time >= STR_TO_DATE('SINCE', '%Y-%m-%d %H:%i:%s.%f') AND kst_time < STR_TO_DATE('UNTIL', '%Y-%m-%d %H:%i:%s.%f') GROUP BY kst_minute, status_code ORDER BY requests_per_second DESC
 LIMIT 50000;

-- Requests Trend
SELECT kst_hour AS kst_hour, SUM(requests) AS count
FROM (SELECT
    kst_10m AS kst_time,
    date_trunc('minute', kst_10m) AS kst_minute,
    date_trunc('hour', kst_10m) AS kst_hour,
    host AS host_domain,
    project AS project_name,
    path AS request_url,
    status AS status_code,
    requests,
    request_times,
    request_time_sum,
    request_time_max
FROM quickstart.kong_10m
) AS virtual_table
WHERE kst_time >= STR_TO_DATE('SINCE', '%Y-%m-%d %H:%i:%s.%f') AND kst_time < STR_TO_DATE('UNTIL', '%Y-%m-%d %H:%i:%s.%f') GROUP BY kst_hour
 LIMIT 50000;

-- Response Time Trend
SELECT kst_minute AS kst_minute, SUM(request_time_sum) / SUM(request_times) AS avg_response_time, MAX(request_time_max) AS max_response_time
FROM (SELECT
    kst_10m AS kst_time,
    date_trunc('minute', kst_10m) AS kst_minute,
    date_trunc('hour', kst_10m) AS kst_hour,
    host AS host_domain,
    project AS project_name,
    path AS request_url,
    status AS status_code,
    requests,
    request_times,
    request_time_sum,
    request_time_max
FROM quickstart.kong_10m
) AS virtual_table
WHERE kst_time >= STR_TO_DATE('SINCE', '%Y-%m-%d %H:%i:%s.%f') AND kst_time < STR_TO_DATE('UNTIL', '%Y-%m-%d %H:%i:%s.%f') GROUP BY kst_minute ORDER BY avg_response_time DESC
 LIMIT 50000;

-- Top 10 Errors by Request URL
SELECT CONCAT(host_domain, request_url) AS url, SUM(requests) AS count, SUM(CASE WHEN status_code >= 400 THEN requests ELSE 0 END) AS error_count
FROM (SELECT
    kst_10m AS kst_time,
    date_trunc('minute', kst_10m) AS kst_minute,
    date_trunc('hour', kst_10m) AS kst_hour,
    host AS host_domain,
    project AS project_name,
    path AS request_url,
    status AS status_code,
    requests,
    request_times,
    request_time_sum,
    request_time_max
FROM quickstart.kong_10m
) AS virtual_table
WHERE kst_time >= STR_TO_DATE('SINCE', '%Y-%m-%d %H:%i:%s.%f') AND kst_time < STR_TO_DATE('UNTIL', '%Y-%m-%d %H:%i:%s.%f') GROUP BY CONCAT(host_domain, request_url) ORDER BY error_count DESC
 LIMIT 10;

-- Top 10 Slowest Request URL
SELECT CONCAT(host_domain, request_url) AS url, SUM(request_time_sum) / SUM(request_times) AS avg_response_time, SUM(requests) AS count
FROM (SELECT
    kst_10m AS kst_time,
    date_trunc('minute', kst_10m) AS kst_minute,
    date_trunc('hour', kst_10m) AS kst_hour,
    host AS host_domain,
    project AS project_name,
    path AS request_url,
    status AS status_code,
    requests,
    request_times,
    request_time_sum,
    request_time_max
FROM quickstart.kong_10m
) AS virtual_table
WHERE kst_time >= STR_TO_DATE('SINCE', '%Y-%m-%d %H:%i:%s.%f') AND kst_time < STR_TO_DATE('UNTIL', '%Y-%m-%d %H:%i:%s.%f') GROUP BY CONCAT(host_domain, request_url) ORDER BY avg_response_time DESC
 LIMIT 10;

-- Traffic Share by Project
SELECT project_name AS project_name, SUM(requests) AS count
FROM (SELECT
    kst_10m AS kst_time,
    date_trunc('minute', kst_10m) AS kst_minute,
    date_trunc('hour', kst_10m) AS kst_hour,
    host AS host_domain,
    project AS project_name,
    path AS request_url,
    status AS status_code,
    requests,
    request_times,
    request_time_sum,
    request_time_max
FROM quickstart.kong_10m
) AS virtual_table
WHERE kst_time >= STR_TO_DATE('SINCE', '%Y-%m-%d %H:%i:%s.%f') AND kst_time < STR_TO_DATE('UNTIL', '%Y-%m-%d %H:%i:%s.%f') GROUP BY project_name ORDER BY count DESC
 LIMIT 100;
