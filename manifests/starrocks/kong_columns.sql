-- Columns for what the filter kong finds in an access line, for either table.
-- Their names are those of the filter's fields, so that they are filled without
-- a line of configuration. In rows that are no access lines, and in those that
-- were loaded before, they are NULL. One statement, because each may be a job
-- of its own and the next one would have to wait for it.
USE quickstart;
ALTER TABLE kong_log_events
    ADD COLUMN `client_ip` VARCHAR(64) COMMENT '$remote_addr',
    ADD COLUMN `method` VARCHAR(64) COMMENT 'of $request',
    ADD COLUMN `host` VARCHAR(512) COMMENT '$http_host',
    ADD COLUMN `path` VARCHAR(8192) COMMENT 'of $request, without the query',
    ADD COLUMN `query` VARCHAR(8192) COMMENT 'of $request, behind the question mark',
    ADD COLUMN `protocol` VARCHAR(32) COMMENT 'of $request',
    ADD COLUMN `status` INT COMMENT '$status',
    ADD COLUMN `request_time` DOUBLE COMMENT '$request_time, seconds',
    ADD COLUMN `upstream_response_time` DOUBLE COMMENT '$upstream_response_time, seconds, the sum of all tries',
    ADD COLUMN `user_agent` VARCHAR(8192) COMMENT '$http_user_agent',
    ADD COLUMN `project` VARCHAR(256) COMMENT 'host before its first dash, else platform';
