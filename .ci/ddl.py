"""Checks SQL with sqlglot's StarRocks dialect: .ci/ddl.py FILE...

A file of SQL holds definitions, or, in a folder named queries, what Superset
asks; a .yaml is one of Superset's data sets, with its query and the
expressions of its metrics.

Each statement must be understood as what it is: a misspelt clause only makes
sqlglot fall back to exp.Command, with a warning. What it prints of a query,
which is what Superset sends, must be understood the same. Its gaps:
  * a generated column is known only with its expression in parentheses, so
    those are put around it first;
  * time_slice is known only with its last argument;
  * keys, buckets, columns and functions that do not exist pass;
  * DATE() around a column is dropped where a time of day is added, as in the
    time grains that Superset has for StarRocks: such queries are refused."""
import logging
import re
import sys

import yaml
from sqlglot import errors, exp, parse, tokenize
from sqlglot.tokens import TokenType as T

logging.getLogger("sqlglot").setLevel(logging.ERROR)
# What one of these files may hold, and how it must be understood.
WANT = {"CREATE": exp.Create, "USE": exp.Use, "ALTER": exp.Alter, "DROP": exp.Drop}
# What ends a generated column's expression.
END = {T.COMMENT, T.COMMA, T.R_PAREN}


def parenthesised(sql):
    """The text with parentheses around the expressions of generated columns:
    those after AS, one level deep in a CREATE TABLE."""
    out, at, depth, table, open_ = [], 0, 0, False, False
    tokens = tokenize(sql, read="starrocks")
    for i, t in enumerate(tokens):
        if t.token_type == T.CREATE:
            table = tokens[i + 1].token_type == T.TABLE
        if t.token_type == T.SEMICOLON:
            table = False
        if open_ and depth == 1 and t.token_type in END:
            out.append(sql[at:t.start] + ")")
            at, open_ = t.start, False
        depth += (t.token_type == T.L_PAREN) - (t.token_type == T.R_PAREN)
        if table and depth == 1 and t.token_type == T.ALIAS and not open_ and tokens[i + 1].token_type not in {T.L_PAREN, T.R_PAREN, T.COMMA}:
            out.append(sql[at:t.end + 1] + " (")
            at, open_ = t.end + 1, True
    return "".join(out) + sql[at:]


def query_faults(sql):
    """What is wrong with each query of the text."""
    try:
        statements = [s for s in parse(sql, read="starrocks") if s is not None]
        printed = [s.sql(dialect="starrocks") for s in statements]
        again = [s for p in printed for s in parse(p, read="starrocks")]
    except errors.SqlglotError as e:
        return [re.sub(r"\x1b\[\d+m", "", str(e))]
    found = [f"read as {type(s).__name__}: {p[:200]}" for s, p in zip(statements, printed) if type(s) is not exp.Select]
    found += [f"printed as another query: {p[:200]}" for p, a in zip(printed, again) if a.sql(dialect="starrocks") != p]
    for s in statements:
        found += [f"sqlglot changes {c.sql(dialect='starrocks')}" for c in s.find_all(exp.DateAdd)]
    return found or ([] if statements else ["there is no query in it"])


def dataset_faults(text):
    """What is wrong with a data set of Superset's, its metrics over it included."""
    d = yaml.safe_load(text)
    names = {c["column_name"] for c in d["columns"]}
    queries = [f"SELECT {m['expression']} AS m FROM ({d['sql']}) AS d" for m in d["metrics"]]
    found = query_faults(d["sql"]) or [f for q in queries for f in query_faults(q)]
    if found:
        return found
    selected = set(parse(d["sql"], read="starrocks")[0].named_selects)
    if names != selected:
        found.append(f"columns {sorted(names ^ selected)} are in the query or in the list alone")
    for m in d["metrics"]:
        used = {c.name for c in parse(f"SELECT {m['expression']}", read="starrocks")[0].find_all(exp.Column)}
        if used - names:
            found.append(f"metric {m['metric_name']} names {sorted(used - names)}")
    return found


def faults(sql):
    """What is wrong with each definition of the text."""
    try:
        statements = parse(parenthesised(sql), read="starrocks")
    except errors.SqlglotError as e:
        return [re.sub(r"\x1b\[\d+m", "", str(e))]
    found, kinds = [], []
    for s in statements:
        if s is None:
            continue
        verb = s.sql(dialect="starrocks").split()[0].upper()
        kinds.append(type(s))
        if not isinstance(s, WANT.get(verb, ())):
            found.append(f"{verb} is read as {type(s).__name__}: {s.sql(dialect='starrocks')[:200]}")
    if not {exp.Create, exp.Alter} & set(kinds):
        found.append("there is neither CREATE nor ALTER in it")
    return found


# A judge that finds no fault in these is none.
GOOD = """CREATE TABLE t (a DATETIME, m STRING, k DATETIME AS convert_tz(a, 'UTC', 'Asia/Seoul'), n INT AS (1) COMMENT 'x',
  s VARCHAR(9) AS get_json_string(m, '$.a') COMMENT 'y') ENGINE=OLAP DUPLICATE KEY(a) PARTITION BY date_trunc('day', a)
  DISTRIBUTED BY RANDOM PROPERTIES ("replication_num"="3");
CREATE MATERIALIZED VIEW v DISTRIBUTED BY RANDOM REFRESH ASYNC EVERY(INTERVAL 10 MINUTE) AS SELECT count(*) AS n FROM t;
ALTER TABLE t ADD COLUMN `b` INT, ADD COLUMN `c` VARCHAR(9) COMMENT 'x';"""
BAD = ["CREATE TABLE t (a DATETYME) DUPLICATE KEY(a)", "CREATE TABLE t (a INT DUPLICATE KEY(a)",
       "CREATE TABLE t (a INT) DUPLICATE KEYS(a)", "SELECT 1", "CREATE TABLE t (a INT, b INT AS ) DUPLICATE KEY(a)",
       "CREATE MATERIALIZED VIEW v REFRESH ASYNK EVERY(INTERVAL 10 MINUTE) AS SELECT 1",
       "ALTER TABLE t ADD COLUM b INT", "ALTER TABLE t ADD COLUMN b INTT", "ALTER TABLE t ADD COLUMN b INT ADD COLUMN c INT"]

GOOD_QUERY = "SELECT a, count(*) AS n FROM t WHERE m REGEXP '^[0-9]' AND a <> 'x' GROUP BY a ORDER BY n DESC LIMIT 3; SELECT date_trunc('hour', a) FROM t"
BAD_QUERIES = ["SELECT a FROM", "SELEC a FROM t", "SHOW TABLES", "DROP TABLE t", "SELECT time_slice(a, INTERVAL 10 MINUTE) FROM t",
               "SELECT DATE_ADD(DATE(a), INTERVAL HOUR(a) HOUR) FROM t", ""]
BAD_DATASETS = ["{sql: 'SELECT a FROM t', columns: [{column_name: a}, {column_name: b}], metrics: []}",
                "{sql: 'SELECT a FROM t', columns: [{column_name: a}], metrics: [{metric_name: m, expression: MAX(b)}]}",
                "{sql: 'SELECT a FROM t', columns: [{column_name: a}], metrics: [{metric_name: m, expression: 'MAX(a'}]}"]


def judge(name):
    """Which of the judges a file is for."""
    if name.endswith(".yaml"):
        return dataset_faults
    return query_faults if "/queries/" in name else faults


def main(files):
    bad = [f"self-check: refused: {f}" for f in faults(GOOD)]
    bad += [f"self-check: accepted: {sql}" for sql in BAD if not faults(sql)]
    bad += [f"self-check: refused: {f}" for f in query_faults(GOOD_QUERY)]
    bad += [f"self-check: accepted: {sql}" for sql in BAD_QUERIES if not query_faults(sql)]
    bad += [f"self-check: accepted: {text}" for text in BAD_DATASETS if not dataset_faults(text)]
    for name in files:
        with open(name) as f:
            found = judge(name)(f.read())
        bad += [f"{name}: {f}" for f in found]
        print("bad" if found else "ok", name)
    if not files:
        bad.append("no files")
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
