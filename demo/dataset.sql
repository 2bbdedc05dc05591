SELECT
    kst_time,
    concat(left(CAST(kst_time AS CHAR), CHARACTERS), 'ZEROS') AS bucket,
    split_part(message, ' ', 1) AS client_ip,
    CAST(nullif(regexp_extract(message, 'HTTP/[0-9.]+" [0-9]{3} ([0-9.]+)', 1), '') AS DOUBLE) AS response_time,
    regexp_extract(message, 'HTTP/[0-9.]+" [0-9]+ [-0-9., :]+ "([^"]*)"', 1) AS host_domain,
    CASE WHEN regexp_extract(message, 'HTTP/[0-9.]+" [0-9]+ [-0-9., :]+ "([^"]*)"', 1) LIKE '%-%'
         THEN split_part(regexp_extract(message, 'HTTP/[0-9.]+" [0-9]+ [-0-9., :]+ "([^"]*)"', 1), '-', 1)
         ELSE 'platform' END AS project_name,
    split_part(regexp_extract(message, '"[A-Z]+ ([^ "]*) HTTP/', 1), '?', 1) AS request_url,
    CAST(nullif(regexp_extract(message, 'HTTP/[0-9.]+" ([0-9]{3}) ', 1), '') AS INT) AS status_code,
    message
FROM quickstart.kong_log_events
WHERE kst_time >= 'SINCE' AND kst_time < 'UNTIL'
    AND stream = 'stdout' AND message LIKE '%HTTP/%'
    AND message REGEXP '^[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}'
    AND split_part(message, ' ', 1) != '127.0.0.1'
