"""Compares the schema of a database with the schema that the migrations create in an empty one.

Both are lists of facts, such as the type of a column, its default, a trigger, or whether the trigger is enabled.
`sql/check/drift_*.sql` read the facts from the catalog, each with the SQL that creates or fixes the object.
`schema.json` holds the facts of a freshly migrated database, in an order in which the objects can be created, so
`check` never has to create anything on the server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from ..engine.session import QueryConnection

__all__ = [
    "SNAPSHOT",
    "SNAPSHOT_SCHEMA",
    "Fact",
    "Finding",
    "differences",
    "expected_facts",
    "facts",
    "find_schema",
    "normalize_output",
    "snapshot",
]

SNAPSHOT = Path(__file__).with_name("schema.json")
SNAPSHOT_SCHEMA = "pvsite_sql_home"  # the schema's name in the snapshot; no other text in it contains this word
_FACT_QUERIES = (
    "check/drift_tables",
    "check/drift_columns",
    "check/drift_constraints",
    "check/drift_indexes",
    "check/drift_triggers",
    "check/drift_functions",
    "check/drift_views",
    "check/drift_comments",
)
_MAX_DEFINITIONS_LENGTH = 90


@dataclass(frozen=True)
class Finding:
    """A difference or problem in a database, or information about it.

    Attributes:
        kind: such as column, trigger or partition.
        severity: "error" (answers may be wrong, or calls fail), "warning" (slow, or soon an error) or "information".
        object: what the finding is about.
        message: the rest of a sentence that begins with `object`.
        sql: SQL that fixes it; empty if no statement does.
    """

    kind: str
    severity: str
    object: str
    message: str
    sql: str = ""


@dataclass(frozen=True)
class Fact:
    """One property of a schema. `sql/check/drift_tables.sql` describes the fields."""

    kind: str
    object: str
    part_of: str
    definition: str
    severity: str
    drop_sql: str
    create_sql: str
    fix_sql: str


def find_schema(conn: QueryConnection) -> tuple[str, str] | None:
    """Return the schema in which `search_path` finds the tables, plain and quoted; None if it finds no table."""
    tables = [fact.object.removeprefix("table ") for fact in _snapshot_facts() if fact.kind == "table"]
    records = conn.records("check/drift_schema", tables=tables)
    return (records[0]["name"], records[0]["quoted"]) if records else None


def normalize_output(conn: QueryConnection) -> None:
    """Make the server write names, expressions and times as in the snapshot, until the transaction ends."""
    conn.records("check/drift_settings")


def facts(conn: QueryConnection, schema: str) -> list[Fact]:
    """Return the facts of a schema, in an order in which the objects can be created."""
    records = [record for query in _FACT_QUERIES for record in conn.records(query, schema=schema)]
    records.sort(key=lambda record: record.pop("create_order"))
    return [Fact(**record) for record in records]


def expected_facts(quoted_schema: str) -> list[Fact]:
    """Return the facts that a schema should have."""
    return [
        Fact(
            **{field.name: getattr(fact, field.name).replace(SNAPSHOT_SCHEMA, quoted_schema) for field in fields(Fact)}
        )
        for fact in _snapshot_facts()
    ]


@cache
def _snapshot_facts() -> list[Fact]:
    blank = dict.fromkeys((field.name for field in fields(Fact)), "")
    return [Fact(**{**blank, **fact}) for fact in json.loads(SNAPSHOT.read_text(encoding="utf-8"))["facts"]]


def snapshot(conn: QueryConnection, migrations: list[str]) -> str:
    """Return the text of `schema.json` for a database that was migrated into the schema `SNAPSHOT_SCHEMA`."""
    records = [{key: value for key, value in vars(fact).items() if value} for fact in facts(conn, SNAPSHOT_SCHEMA)]
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    return f'{{"migrations": {json.dumps(migrations)},\n"facts": [\n{lines}\n]}}\n'


def differences(expected: list[Fact], actual: list[Fact]) -> Iterator[Finding]:
    """Yield what is missing or different, in an order in which it can be fixed, and then what is extra."""
    actual_by_object = {fact.object: fact for fact in actual}
    recreated: set[str] = set()
    for fact in expected:
        current = actual_by_object.get(fact.object)
        if fact.part_of in recreated:
            recreated.add(fact.object)
        elif current is None:
            recreated.add(fact.object)
            yield Finding(fact.kind, fact.severity, fact.object, "is missing", _create_sql(fact, expected))
        elif current.definition != fact.definition and fact.fix_sql:
            yield Finding(fact.kind, fact.severity, fact.object, _difference(current, fact), fact.fix_sql)
        elif current.definition != fact.definition:
            recreated.add(fact.object)
            recreate_sql = f"{fact.drop_sql}\n{_create_sql(fact, expected)}".strip()
            yield Finding(fact.kind, fact.severity, fact.object, _difference(current, fact), recreate_sql)
    extra = actual_by_object.keys() - {fact.object for fact in expected}
    for fact in actual:
        if fact.object in extra and fact.part_of not in extra and fact.kind != "comment":
            yield Finding(fact.kind, "information", fact.object, "is not part of the package")


def _create_sql(fact: Fact, expected: list[Fact]) -> str:
    """Return the SQL that creates an object and its parts."""
    created = {fact.object}
    statements = [fact.create_sql]
    for other in expected:
        if other.part_of in created:
            created.add(other.object)
            if other.kind != "column":  # CREATE TABLE includes the columns
                statements.append(other.create_sql)
    return "\n".join(filter(None, statements))


def _difference(current: Fact, expected: Fact) -> str:
    if len(current.definition) + len(expected.definition) > _MAX_DEFINITIONS_LENGTH:
        return "differs from the package's definition"
    return f"is {current.definition or 'none'}, not {expected.definition or 'none'}"
