"""Asks the stand-in with clients that are not ours: PyMySQL, and SQLAlchemy with
StarRocks' own dialect. argv: HOST PORT USER PASSWORD. The rows are those that
TestDialect loads. Prints a line per check; the first that fails ends it."""
import datetime
import sys

import pymysql
import sqlalchemy as sa

host, port, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
DB, TABLE = "quickstart", "kong_log_events"


def check(name, got, want):
    if got != want:
        sys.exit(f"{name}: got {got!r}, want {want!r}")
    print("ok", name)


def with_pymysql():
    c = pymysql.connect(host=host, port=port, user=user, password=password, database=DB)
    with c.cursor() as q:
        q.execute(f"SELECT COUNT(*), COUNT(DISTINCT stream) FROM {TABLE}")
        check("pymysql count", q.fetchone(), (40, 2))
        q.execute(f"SELECT time, kst_time, stream, message FROM {TABLE} WHERE stream = %s ORDER BY time LIMIT 1", ("stdout",))
        check("pymysql row", q.fetchone(), (datetime.datetime(2026, 8, 21, 8, 15, 30, 217676), datetime.datetime(2026, 8, 21, 17, 15, 30, 217676), "stdout", "0 é \"q\" \\ 한글"))
        q.execute(f"SHOW FULL COLUMNS FROM {TABLE}")
        check("pymysql columns", [r[0] for r in q.fetchall()][-1], "kst_time")
        try:
            q.execute("SELECT no_such_column FROM " + TABLE)
            sys.exit("pymysql error: an unknown column was answered")
        except pymysql.err.Error as e:
            check("pymysql error", "no_such_column" in str(e), True)
    c.close()


def with_sqlalchemy():
    engine = sa.create_engine(f"starrocks://{user}:{password}@{host}:{port}/{DB}")
    seen = sa.inspect(engine)
    check("schemas", DB in seen.get_schema_names(), True)
    check("tables", seen.get_table_names(), [TABLE])
    check("views", seen.get_view_names(), [])
    check("has_table", [engine.dialect.has_table(engine.connect(), t) for t in (TABLE, "no")], [True, False])
    columns = {c["name"]: type(c["type"]).__name__ for c in seen.get_columns(TABLE)}
    check("columns", columns, {"time": "DATETIME", "stream": "VARCHAR", "logtag": "VARCHAR", "message": "VARCHAR",
                               "kubernetes": "JSON", "kubernetes_namespace": "JSON", "kst_time": "DATETIME"})
    t = sa.Table(TABLE, sa.MetaData(), autoload_with=engine)
    minute = sa.func.date_trunc("minute", t.c.kst_time).label("minute")
    query = sa.select(minute, sa.func.count().label("n")).where(t.c.stream == "stdout").group_by(minute).order_by(minute)
    with engine.connect() as c:
        rows = c.execute(query).fetchall()
        check("group by minute", [(r.minute, r.n) for r in rows], [(datetime.datetime(2026, 8, 21, 17, 15), 20)])
        pod = c.execute(sa.text(f"SELECT get_json_string(kubernetes, '$.pod_name') p, COUNT(*) FROM {TABLE} GROUP BY p ORDER BY p")).fetchall()
        check("JSON path", [tuple(r) for r in pod], [(f"kong-{i}", 10) for i in range(4)])
        check("limit and offset", len(c.execute(sa.select(t.c.message).limit(7).offset(35)).fetchall()), 5)
    engine.dispose()


with_pymysql()
with_sqlalchemy()
