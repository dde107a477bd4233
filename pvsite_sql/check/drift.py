"""What a database's schema is, held against what the migrations make of an empty one.

Both are lists of facts: the type of a column, its default, a trigger, whether it fires ... `sql/drift/*.sql` read them
from the catalog, each with the SQL that makes it so. `data/schema.json` keeps those of a freshly migrated database, in
the order in which they can be made, so that nothing has to be built on the server that is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from ..engine.session import QueryConnection

__all__ = ["HOME", "SNAPSHOT", "Fact", "Finding", "differences", "expected", "facts", "home", "settle", "snapshot"]

SNAPSHOT = Path(__file__).with_name("schema.json")
HOME = "pvsite_sql_home"  # the schema that the snapshot was taken of: a word that stands for nothing else in it
_FACTS = (
    "check/drift_tables",
    "check/drift_columns",
    "check/drift_constraints",
    "check/drift_indexes",
    "check/drift_triggers",
    "check/drift_functions",
    "check/drift_views",
    "check/drift_comments",
)
_SHORT = 90


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, or that is good to know.

    Attributes:
        kind: such as column, trigger, partition.
        severity: error (answers may be wrong, or calls fail), warning (slow, or soon an error), or information.
        object: what it is about.
        message: what is the matter with it: goes on from `object`.
        sql: what mends it; empty where no statement does.
    """

    kind: str
    severity: str
    object: str
    message: str
    sql: str = ""


@dataclass(frozen=True)
class Fact:
    """Something that a catalog says; the columns of `sql/check/drift_tables.sql` are described there."""

    kind: str
    object: str
    part_of: str
    definition: str
    severity: str
    undo: str
    make: str
    mend: str


def home(conn: QueryConnection) -> tuple[str, str] | None:
    """The schema that `search_path` leads to: its name, and the same quoted; None where no table is found."""
    tables = [fact.object.removeprefix("table ") for fact in _snapshot() if fact.kind == "table"]
    found = conn.records("check/drift_home", tables=tables)
    return (found[0]["name"], found[0]["quoted"]) if found else None


def settle(conn: QueryConnection) -> None:
    """Have the server write names, expressions and times as the snapshot has them, until the transaction ends."""
    conn.records("check/drift_settings")


def facts(conn: QueryConnection, name: str) -> list[Fact]:
    """The facts of the schema of that name, in the order in which they can be made."""
    records = [record for query in _FACTS for record in conn.records(query, home=name)]
    records.sort(key=lambda record: record.pop("made"))
    return [Fact(**record) for record in records]


def expected(quoted: str) -> list[Fact]:
    """The facts that there should be in a schema."""
    return [
        Fact(**{field.name: getattr(fact, field.name).replace(HOME, quoted) for field in fields(Fact)})
        for fact in _snapshot()
    ]


@cache
def _snapshot() -> list[Fact]:
    blank = dict.fromkeys((field.name for field in fields(Fact)), "")
    return [Fact(**{**blank, **fact}) for fact in json.loads(SNAPSHOT.read_text(encoding="utf-8"))["facts"]]


def snapshot(conn: QueryConnection, migrations: list[str]) -> str:
    """The text of `data/schema.json`, of a database that was migrated into the schema `HOME`."""
    kept = [{key: value for key, value in vars(fact).items() if value} for fact in facts(conn, HOME)]
    lines = ",\n".join(json.dumps(fact, ensure_ascii=False) for fact in kept)
    return f'{{"migrations": {json.dumps(migrations)},\n"facts": [\n{lines}\n]}}\n'


def differences(wanted: list[Fact], found: list[Fact]) -> Iterator[Finding]:
    """What is missing or different, in the order in which it can be mended, and then what is there besides."""
    live = {fact.object: fact for fact in found}
    made: set[str] = set()
    for fact in wanted:
        there = live.get(fact.object)
        if fact.part_of in made:
            made.add(fact.object)
        elif there is None:
            made.add(fact.object)
            yield Finding(fact.kind, fact.severity, fact.object, "is missing", _making(fact, wanted))
        elif there.definition != fact.definition and fact.mend:
            yield Finding(fact.kind, fact.severity, fact.object, _otherwise(there, fact), fact.mend)
        elif there.definition != fact.definition:
            made.add(fact.object)
            mended = f"{fact.undo}\n{_making(fact, wanted)}"
            yield Finding(fact.kind, fact.severity, fact.object, _otherwise(there, fact), mended.strip())
    extra = live.keys() - {fact.object for fact in wanted}
    for fact in found:
        if fact.object in extra and fact.part_of not in extra and fact.kind != "comment":
            yield Finding(fact.kind, "information", fact.object, "is not the package's")


def _making(fact: Fact, wanted: list[Fact]) -> str:
    """The SQL that makes a thing and what belongs to it."""
    parts = {fact.object}
    statements = [fact.make]
    for each in wanted:
        if each.part_of in parts:
            parts.add(each.object)
            if each.kind != "column":  # a table is made with its columns
                statements.append(each.make)
    return "\n".join(filter(None, statements))


def _otherwise(there: Fact, fact: Fact) -> str:
    if len(there.definition) + len(fact.definition) > _SHORT:
        return "is another than the package's"
    return f"is {there.definition or 'none'}, not {fact.definition or 'none'}"
