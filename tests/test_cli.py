"""The command line against real servers: in processes of its own wherever that may matter."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack

import psycopg
import pytest
from commands import called, run, started, until
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import pvsite_sql
from pvsite_sql import migrate
from pvsite_sql.engine import migrations, partitions

TABLES = ("generation", "forecasts")


def drop_partition(dsn, table, month):
    with psycopg.connect(dsn) as connection:
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(f"{table}_p{month:%Y_%m}")))


@pytest.fixture(autouse=True, scope="module")
def slow(server):
    """Migrations that give up after ten seconds: they wait while the other tests of this module run."""
    place = {"host": server.host, "port": server.port, "user": server.user, "password": server.password or None}
    with ExitStack() as stack:
        maintenance = make_conninfo(**place, dbname=server.maintenance_dbname)
        connection = stack.enter_context(psycopg.connect(maintenance, autocommit=True))

        def database(name):
            quoted = sql.Identifier(name)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(quoted))
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(quoted))
            stack.callback(connection.execute, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))
            return make_conninfo(**place, dbname=name)

        locked, forbidden = database("pvsite_sql_locked"), database("pvsite_sql_forbidden")
        migrate.apply(locked)
        alive = stack.enter_context(psycopg.connect(locked, autocommit=True))  # may be a yoyo, for all that is known
        alive.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 4711)")
        with psycopg.connect(forbidden) as other:
            other.execute("DROP SCHEMA public")
        yield {
            "locked": stack.enter_context(started("migrate", "--wait", "2", "--dsn", locked)),
            "forbidden": stack.enter_context(started("migrate", "--dsn", forbidden)),
        }


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (["check", "--timeout"], ["nan", "inf", "-1", "1e9", ""]),
        (["migrate", "--lock-timeout"], ["nan", "inf", "0", "1e9", ""]),
        (["migrate", "--wait"], ["nan", "-1", ""]),
        (["migrate", "--attempts"], ["0", "1.5", ""]),
        (["queries", "explain", "clients/list", "--timeout"], ["nan", "-1", "2147484", ""]),
        (["prune", "--generation-before", "2020-01-01", "--lock-timeout"], ["inf", "0", "1e9", ""]),
        (["prune", "--generation-before", "2020-01-01", "--batch-rows"], ["0", ""]),
        (["tidy", "--lock-timeout"], ["nan", "inf", "0", "1e9", ""]),
        (["tidy", "--wait"], ["nan", "0", "1e9", ""]),
    ],
    ids=lambda value: " ".join(value[:1] + value[-1:]),
)
def test_a_number_that_can_not_be_meant_is_wrong_use(arguments, values, dsn):
    for value in values:
        code, out, err = called(*arguments[:-1], f"{arguments[-1]}={value}", "--dsn", dsn)
        assert (code, out) == (2, ""), err
        assert arguments[-1] in err


def test_help_names_the_commands_and_the_variables():
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for command in ("migrate", "check", "adopt", "prune", "tidy", "demo"):
        assert f"\n  {command} " in out
    assert max(map(len, out.splitlines())) <= 80
    for command, variables in {
        "check": ["DSN"],
        "migrate": ["DSN"],
        "adopt": ["DSN"],
        "prune": ["DSN"],
        "tidy": ["DSN"],
        "demo": ["DSN", "EMBEDDED"],
    }.items():
        code, out, _ = called(command, "--help")
        assert code == 0
        assert "--dsn" in out
        for variable in variables:
            assert f"PVSITE_SQL_{variable}" in out


def test_version():
    assert called("--version") == (0, f"pvsite-sql {pvsite_sql.__version__}\n", "")


def test_a_database_from_empty_to_well(empty_dsn):
    said = "is not applied: run `pvsite-sql migrate`, then check again"
    lacking = [f"error: migration {name} {said}\n" for name in migrations.packaged_migrations()]
    summary = f"Found {len(lacking)} error(s) and 0 warning(s).\n"
    assert called("check", PVSITE_SQL_DSN=empty_dsn) == (1, "".join(lacking) + summary, "")

    months = partitions.months_ahead()
    made = "".join(f"{table}_p{month:%Y_%m} created\n" for table in TABLES for month in months)
    applied = "".join(f"{name} applied\n" for name in migrations.packaged_migrations())
    assert run("migrate", PVSITE_SQL_DSN=empty_dsn) == (0, applied + made, "")
    assert "0001.initial-schema applied" in applied

    no_jit = {"PGOPTIONS": "-c jit=off"}  # else it is mentioned where the server can compile
    code, out, err = run("check", "--dsn", empty_dsn, PVSITE_SQL_DSN="host=/nowhere", **no_jit)  # the option goes first
    assert (code, err) == (0, "")
    last = migrations.packaged_migrations()[-1]
    assert out == f"No errors or warnings: the schema matches {last}, and partitions exist up to {months[-1]:%B %Y}.\n"
    assert called("migrate", "--dsn", empty_dsn) == (0, "No pending migrations.\n", "")


def test_a_missing_month_is_found_and_made(dsn):
    migrate.ensure_months_ahead(dsn)
    month = partitions.months_ahead()[2]
    for table in TABLES:
        drop_partition(dsn, table, month)
    said = [
        f"warning: table {table} has no partition for {month:%Y-%m}: run this statement or `pvsite-sql migrate`\n"
        f"    SELECT public.ensure_month_partitions('{table}', '{{{month}}}');\n"
        for table in sorted(TABLES)
    ]
    summary = "Found 0 error(s) and 2 warning(s).\n"
    assert called("check", "--dsn", dsn, PGOPTIONS="-c jit=off") == (1, "".join(said) + summary, "")
    made = [f"{table}_p{month:%Y_%m} created\n" for table in TABLES]
    assert called("migrate", "--dsn", dsn) == (0, "No pending migrations.\n" + "".join(made), "")
    assert called("check", "--dsn", dsn)[0] == 0


def test_an_empty_dsn_means_the_environment_of_libpq(dsn):
    known = conninfo_to_dict(dsn)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    code, out, err = called("migrate", "--dsn", "", **{names[key]: str(value) for key, value in known.items()})
    assert (code, err) == (0, "")
    assert out.startswith("No pending migrations.\n")


@pytest.mark.parametrize(("command", "environment"), [("migrate", {}), ("check", {"PVSITE_SQL_DSN": ""})])
def test_without_a_database_it_says_how_to_name_one(command, environment):
    said = "No database given: use --dsn or set PVSITE_SQL_DSN.\n"
    assert called(command, **environment) == (2, "", said)


@pytest.mark.parametrize("command", ["migrate", "check", "demo"])
def test_what_is_no_dsn_is_refused_without_showing_it(command):
    dsn = "postgresql+psycopg://someone:secret@host/name"
    said = "Invalid DSN: use the form postgresql://user@host/name or 'host=... dbname=...'.\n"
    assert called(command, "--dsn", dsn) == (2, "", said)
    assert called(command, PVSITE_SQL_DSN=dsn, PVSITE_SQL_EMBEDDED=None) == (2, "", said)


def test_an_unreachable_server_is_a_finding(tmp_path):
    code, out, err = called("check", "--dsn", f"host={tmp_path}")
    assert (code, err) == (1, "")
    assert out.startswith("error: server cannot be reached: ")
    assert str(tmp_path) in out
    assert len(out.splitlines()) == 2


def test_a_database_that_there_is_not_is_a_finding(dsn):
    code, out, err = called("check", "--dsn", make_conninfo(dsn, dbname="no such database"))
    assert (code, err) == (1, "")
    assert out.startswith("error: server cannot be reached: ")
    assert 'database "no such database" does not exist' in out


def test_an_unreachable_server_fails_a_migration_in_one_sentence(tmp_path):
    code, out, err = called("migrate", "--dsn", f"host={tmp_path}")
    assert (code, out) == (1, "")
    assert str(tmp_path) in err
    assert len(err.splitlines()) == 1


def test_a_partition_that_cannot_be_had_is_one_sentence_that_says_who_blocks(dsn):
    migrate.ensure_months_ahead(dsn)
    drop_partition(dsn, "generation", partitions.months_ahead()[0])
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE generation IN SHARE UPDATE EXCLUSIVE MODE")
        pid = connection.info.backend_pid
        code, out, err = called("migrate", "--dsn", dsn, "--attempts", "1")
    assert (code, out) == (1, "No pending migrations.\n")
    assert err.startswith("partitions of generation not created: gave up after 1 attempt")
    assert f"blocked by pid {pid} (" in err
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_migration_that_is_stopped_gives_its_lock_back(empty_dsn, number):
    with psycopg.connect(empty_dsn) as connection, psycopg.connect(empty_dsn, autocommit=True) as looking:
        connection.execute("CREATE TABLE clients (client_uuid uuid)")  # uncommitted: the migration waits for it
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        with started("migrate", "--dsn", empty_dsn) as child:
            until(lambda: looking.execute(waits).fetchone() == (1,) or child.poll() is not None)
            assert looking.execute("SELECT count(*) FROM yoyo_lock").fetchone() == (1,)
            child.send_signal(number)
            out, err = child.communicate(timeout=20)
        assert (child.returncode, out, err) == (128 + number, "", "")
        assert looking.execute("SELECT count(*) FROM yoyo_lock").fetchone() == (0,)
        assert looking.execute(waits).fetchone() == (0,)
        connection.rollback()
    assert migrate.apply(empty_dsn) == migrations.packaged_migrations()


def without(module):
    """The command line of a Python that lacks a module."""
    return [
        sys.executable,
        "-c",
        f"import sys; sys.modules[{module!r}] = None; from pvsite_sql.cli import main; main()",
    ]


SLOW_IMPORTS = """
import sys
from pvsite_sql.cli import main
try:
    main()
finally:
    print(*{"numpy", "pandas", "pyarrow", "matplotlib"} & set(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--version"], ["load", "--help"], ["migrate", "--dsn"], ["check", "--dsn"]])
def test_what_does_not_need_numpy_and_pandas_does_not_import_them(arguments, dsn):
    arguments += [dsn] if arguments[-1] == "--dsn" else []
    migrate.ensure_months_ahead(dsn)
    code, _, err = run(*arguments, command=[sys.executable, "-c", SLOW_IMPORTS])
    assert (code, err) == (0, "\n")


def test_without_typer_it_says_what_to_install():
    code, out, err = run("--help", command=without("typer"))
    assert (code, out) == (1, "")
    assert 'pip install "pvsite_sql[cli]"' in err
    assert len(err.splitlines()) == 1


def test_without_matplotlib_the_demo_says_so_before_it_does_any_work(tmp_path):
    code, out, err = run("demo", command=without("matplotlib"), cwd=tmp_path)
    assert (code, out) == (1, "")
    assert 'pip install "pvsite_sql[demo]"' in err
    assert len(err.splitlines()) == 1


def test_a_migration_that_another_one_locks_out_ends_in_one_sentence(slow):
    out, err = slow["locked"].communicate(timeout=30)
    assert (slow["locked"].returncode, out) == (1, "")
    assert "Process 4711 has locked this database" in err
    assert "yoyo break-lock" in err
    assert len(err.splitlines()) == 1


def test_a_user_who_may_create_no_tables_is_told_so(slow):
    out, err = slow["forbidden"].communicate(timeout=30)
    assert (slow["forbidden"].returncode, out) == (1, "")
    assert err == "cannot create tables in the current schema: check search_path and the privileges of the user\n"
