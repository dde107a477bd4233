"""Finds a query file by name, describes its header, and returns its plan, for `pvsite-sql queries`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from ..engine.queries import Query, find, names, query
from ..errors import InvalidInput, NotFound

__all__ = ["find_query", "header", "plan"]

_EXPLAINABLE = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES")


def find_query(name: str) -> Query:
    """Return a query file by name. Accepts a leading `sql/` and a trailing `.sql`.

    Raises:
        NotFound: no such file; the message suggests similar names.
    """
    wanted = name.removeprefix("sql/").removesuffix(".sql")
    files = find()
    if wanted in files:
        return query(wanted)
    same_method = [other for other in files if other.endswith(f"/{wanted}")]
    similar = same_method or difflib.get_close_matches(wanted, files, n=3)
    raise NotFound(f"No query file {name!r}." + (f" Did you mean {' or '.join(similar)}?" if similar else ""))


def header(file: Query) -> dict[str, Any]:
    """Return the header of a query file, for JSON."""
    return {
        "name": file.name,
        "path": str(file.path),
        "purpose": file.purpose,
        "parameters": [{"name": p.name, "type": p.type, "text": p.text} for p in file.parameters],
        "result": file.result,
        "columns": [{"name": c.name, "type": c.type} for c in file.columns],
        "indexes": list(names(file.sections.get("Index", "none"))),
        "after": list(file.after),
    }


def plan(
    connection: psycopg.Connection[Any], file: Query, values: Mapping[str, str], *, analyze: bool = False
) -> list[str]:
    """Return the lines of the plan of a query file. Everything is rolled back.

    Args:
        connection: without an open transaction.
        file: the query file.
        values: parameters as text, as for `psql -v`, including those of the files that run before it.
        analyze: whether to execute the query, for times and row counts. A sequence may still skip a number.

    Raises:
        InvalidInput: a parameter is missing or unknown, or EXPLAIN does not support the statement.
    """
    keyword = next(iter(file.statement.split()), "").upper()
    if keyword not in _EXPLAINABLE:
        raise InvalidInput(f"{file.name} has no plan: EXPLAIN does not support {keyword}")
    steps = [*_prerequisites(file), file]
    _check_parameters(steps, values)
    options = sql.SQL("EXPLAIN (ANALYZE, BUFFERS) " if analyze else "EXPLAIN ")
    with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        for step in steps[:-1]:
            cursor.execute(_with_literals(step, values))
        rows = cursor.execute(options + _with_literals(file, values)).fetchall()
    return [str(row[0]) for row in rows]


def _prerequisites(file: Query) -> Iterator[Query]:
    for name in file.after:
        earlier = query(name)
        yield from _prerequisites(earlier)
        yield earlier


def _check_parameters(steps: Sequence[Query], values: Mapping[str, str]) -> None:
    known = {parameter.name: parameter for step in steps for parameter in step.parameters}
    name = steps[-1].name
    for given in values:
        if given not in known:
            raise InvalidInput(f"{name} has no parameter {given!r}; its parameters are: {', '.join(known) or 'none'}")
    if missing := [
        f"{p.name} ({p.type}{': ' + p.text if p.text else ''})" for p in known.values() if p.name not in values
    ]:
        raise InvalidInput(f"{name} requires {'; '.join(missing)}")


def _with_literals(file: Query, values: Mapping[str, str]) -> sql.Composed:
    """Return the statement with its parameters as quoted literals, as psql would send it."""
    parts = file.parts()
    return sql.Composed([sql.Literal(values[part]) if n % 2 else sql.SQL(part) for n, part in enumerate(parts)])
