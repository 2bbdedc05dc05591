"""Checks SQL files with sqlglot's StarRocks dialect: .ci/ddl.py FILE...

Each statement must be understood as what it is: a misspelt clause only makes
sqlglot fall back to exp.Command, with a warning. sqlglot knows a generated column only with
its expression in parentheses, so those are put around it first. A key or bucket
column that does not exist, and a function that does not exist, pass."""
import logging
import re
import sys

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


def faults(sql):
    """What is wrong with each statement of the text."""
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


def main(files):
    bad = [f"self-check: refused: {f}" for f in faults(GOOD)]
    bad += [f"self-check: accepted: {sql}" for sql in BAD if not faults(sql)]
    for name in files:
        with open(name) as f:
            found = faults(f.read())
        bad += [f"{name}: {f}" for f in found]
        print("bad" if found else "ok", name)
    if not files:
        bad.append("no files")
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
