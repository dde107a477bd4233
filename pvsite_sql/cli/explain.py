"""Query files for people: their list, their text, and the plan that a server makes for one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from ..engine.queries import Query, find, names, query
from ..errors import InvalidInput, NotFound

__all__ = ["described", "named", "plan"]

_EXPLAINED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES")


def named(name: str) -> Query:
    """The query file of that name; `sql/` in front and `.sql` behind do no harm.

    Raises:
        NotFound: there is none; says which names are near.
    """
    wanted = name.removeprefix("sql/").removesuffix(".sql")
    files = find()
    if wanted in files:
        return query(wanted)
    ends = [each for each in files if each.endswith(f"/{wanted}")]
    near = ends or difflib.get_close_matches(wanted, files, n=3)
    raise NotFound(f"There is no query {name!r}." + (f" Is it {' or '.join(near)}?" if near else ""))


def described(asked: Query) -> dict[str, Any]:
    """What the file's header says, for JSON."""
    return {
        "name": asked.name,
        "path": str(asked.path),
        "purpose": asked.purpose,
        "parameters": [{"name": p.name, "type": p.type, "text": p.text} for p in asked.parameters],
        "result": asked.result,
        "columns": [{"name": c.name, "type": c.type} for c in asked.columns],
        "indexes": list(names(asked.sections.get("Index", "none"))),
        "after": list(asked.after),
    }


def plan(
    connection: psycopg.Connection[Any], asked: Query, values: Mapping[str, str], *, analyze: bool = False
) -> list[str]:
    """The lines of the plan; nothing that happens on the way stays.

    Args:
        connection: without a transaction under way.
        asked: the query.
        values: its parameters as text, as psql's `-v` takes them; those of the files that have to run before it too.
        analyze: whether to run it, for times and rows. A sequence that it draws from may skip a number.

    Raises:
        InvalidInput: a parameter is missing or unknown, or the statement is none that has a plan.
    """
    keyword = next(iter(asked.statement.split()), "").upper()
    if keyword not in _EXPLAINED:
        raise InvalidInput(f"{asked.name} is a {keyword}, which has no plan")
    steps = [*_before(asked), asked]
    _check(steps, values)
    options = sql.SQL("EXPLAIN (ANALYZE, BUFFERS) " if analyze else "EXPLAIN ")
    with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        for step in steps[:-1]:
            cursor.execute(_filled(step, values))
        rows = cursor.execute(options + _filled(asked, values)).fetchall()
    return [str(row[0]) for row in rows]


def _before(asked: Query) -> Iterator[Query]:
    for name in asked.after:
        earlier = query(name)
        yield from _before(earlier)
        yield earlier


def _check(steps: Sequence[Query], values: Mapping[str, str]) -> None:
    known = {parameter.name: parameter for step in steps for parameter in step.parameters}
    name = steps[-1].name
    for given in values:
        if given not in known:
            listed = ", ".join(known) or "none"
            raise InvalidInput(f"{name} has no parameter {given!r}; it has {listed}")
    if missing := [
        f"{p.name} ({p.type}{': ' + p.text if p.text else ''})" for p in known.values() if p.name not in values
    ]:
        raise InvalidInput(f"{name} needs {'; '.join(missing)}")


def _filled(asked: Query, values: Mapping[str, str]) -> sql.Composed:
    """The statement with its parameters as quoted texts, which is what psql makes of it."""
    parts = asked.parts()
    return sql.Composed([sql.Literal(values[part]) if n % 2 else sql.SQL(part) for n, part in enumerate(parts)])
