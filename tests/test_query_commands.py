"""`pvsite-sql queries list | show | explain`."""

from __future__ import annotations

import json

import psycopg
import pytest
from commands import called, run
from plan_cases import ELSEWHERE

from pvsite_sql import InvalidInput, NotFound
from pvsite_sql.cli import explain
from pvsite_sql.engine.queries import load

WINDOW = {"site_uuids": "{}", "start_utc": "-infinity", "end_utc": "infinity"}
# what a text stands for where the query would not take it for a value of the type
VALUES = {"uuid": "00000000-0000-0000-0000-000000000001", "jsonb": "{}", "integer": "1", "boolean": "true"}
VALUES |= {"timestamptz": "2024-06-01", "double precision": "1", "bytea": "", "bigint": "1", "date": "2024-06-01"}
UNPLANNED = ("COPY", "CREATE", "DISCARD", "TRUNCATE")
EXPLAINED = [
    each
    for each in load().values()
    if each.statement.split()[0].upper() not in UNPLANNED and not each.name.startswith(ELSEWHERE)
]
VALUES_OF = {
    "engine/missing_partitions": {"parent": "generation"},
    "engine/ensure_partitions": {"parent": "generation"},
    **{name: {"partition": "public.generation"} for name in ("check/layout", "tidy/statements", "tidy/users")},
}
VALUES_OF |= {f"forecasts/day_ahead_values{of}": {"timezone": "UTC"} for of in ("", "_sums")}
# the server ends a session or a statement that takes longer
TIMEOUTS = dict.fromkeys(("statement_timeout_ms", "lock_timeout_ms", "idle_timeout_ms", "milliseconds"), "60000")


def given_for(parameter):
    return TIMEOUTS.get(parameter.name, VALUES.get(parameter.type, ""))


def values_of(asked):
    steps = [asked, *(load()[name] for name in asked.after)]
    given = {
        parameter.name: "{}" if parameter.type.endswith("[]") else given_for(parameter)
        for step in steps
        for parameter in step.parameters
    }
    return given | VALUES_OF.get(asked.name, {})


def test_list_has_each_query_with_its_purpose_and_parameters():
    code, out, err = called("queries", "list")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    blocks = {block.splitlines()[0]: " ".join(block.split()) for block in out.strip().split("\n\n")}
    assert list(blocks) == list(load())
    for name, asked in load().items():
        assert " ".join(asked.purpose.split()) in blocks[name]
        assert all(f"{each.name} {each.type}" in blocks[name] for each in asked.parameters)


def test_list_as_json_has_what_the_headers_say():
    code, out, _ = called("queries", "list", "--json")
    listed = {each["name"]: each for each in json.loads(out)}
    assert code == 0
    assert list(listed) == list(load())
    assert listed["generation/read"]["parameters"][0] == {"name": "site_uuids", "type": "uuid[]", "text": "the sites"}
    assert listed["generation/insert_new"]["after"] == ["generation/insert_staging"]
    assert listed["generation/read"]["columns"][0] == {"name": "site_uuid", "type": "uuid"}


@pytest.mark.parametrize("name", ["generation/read", "sql/generation/read.sql", "generation/read.sql"])
def test_show_prints_the_file(name):
    assert called("queries", "show", name) == (0, load()["generation/read"].path.read_text(), "")


@pytest.mark.parametrize(
    ("name", "near"), [("read", "generation/read"), ("generation/raed", "generation/read"), ("sums", "generation/sums")]
)
def test_unknown_query_is_answered_with_what_is_near(name, near):
    code, out, err = called("queries", "show", name)
    assert (code, out) == (1, "")
    assert err.startswith(f"No query file {name!r}. Did you mean ")
    assert near in err


@pytest.mark.parametrize("analyze", [False, True])
def test_every_statement_that_has_a_plan_is_explained_and_leaves_nothing(postgresql, subtests, analyze):
    postgresql.autocommit = True
    before = counts(postgresql)
    for asked in EXPLAINED:
        with subtests.test(asked.name):
            lines = explain.plan(postgresql, asked, values_of(asked), analyze=analyze)
            assert any("cost=" in line for line in lines)
            assert any("actual" in line for line in lines) == analyze
            assert counts(postgresql) == before


def counts(connection):
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return [(table, connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()) for (table,) in tables.fetchall()]


def test_values_reach_the_plan_as_psql_quotes_them(postgresql):
    postgresql.autocommit = True
    hostile = "'; DROP TABLE sites; --"
    asked = load()["users/get"]
    assert any("DROP TABLE" in line for line in explain.plan(postgresql, asked, {"email": hostile}))
    assert postgresql.execute("SELECT count(*) FROM sites").fetchone() == (0,)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("generation/read", {}, "generation/read requires site_uuids (uuid[]: the sites); start_utc (timestamptz"),
        ("generation/read", {**WINDOW, "site": "x"}, "has no parameter 'site'; its parameters are: site_uuids,"),
        ("sites/visible", {"nothing": ""}, "has no parameter 'nothing'"),
        ("generation/insert_copy", {}, "generation/insert_copy has no plan: EXPLAIN does not support COPY"),
        ("generation/insert_staging", {}, "generation/insert_staging has no plan: EXPLAIN does not support CREATE"),
    ],
)
def test_what_cannot_be_explained_is_said(postgresql, name, given, said):
    with pytest.raises(InvalidInput) as refused:
        explain.plan(postgresql, load()[name], given)
    assert said in str(refused.value)


def test_unknown_name_is_not_found():
    with pytest.raises(NotFound):
        explain.find_query("nothing/like/it")


def test_explain_on_the_command_line(dsn):
    parameters = [argument for key, value in WINDOW.items() for argument in ("-p", f"{key}={value}")]
    code, out, err = run("queries", "explain", "generation/read", *parameters, "--analyze", PVSITE_SQL_DSN=dsn)
    assert (code, err) == (0, "")
    assert "Execution Time" in out
    assert "Buffers" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generation/read", "-p", "start_utc"], "-p takes KEY=VALUE, got 'start_utc'\n"),
        (
            ["generation/read", *(f"-p{key}={value}" for key, value in {**WINDOW, "end_utc": "soon"}.items())],
            "invalid input",
        ),
        (["status/latest", "--timeout", "0"], ""),
    ],
)
def test_wrong_use_is_said_in_a_sentence(dsn, arguments, said):
    code, _, err = called("queries", "explain", *arguments, "--dsn", dsn)
    assert (code == 1) == bool(said)
    assert err.startswith(said)
    assert "Traceback" not in err


def test_explain_gives_up_in_time(dsn):
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE status")
        code, _, err = called("queries", "explain", "status/latest", "--timeout", "1", "--dsn", dsn)
    assert (code, err) == (1, "canceling statement due to statement timeout\n")
