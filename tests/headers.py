"""What the header of a query file says of its plan: `-- Index:` and `-- Touches:`, which only tests read."""

from __future__ import annotations

import re

from pvsite_sql.engine.queries import Query, names
from pvsite_sql.errors import QueryFileError

COUNTED = frozenset(
    {
        "result",
        "readings",
        "nearby_readings",
        "month_readings",
        "unfinished_forecasts",
        "window_forecasts",
        "month_forecasts",
        "siblings",
        "grids",
        "versions",
        "places",
        "members",
        "requests",
        "changes",
        "namesakes",
    }
)
"""What `-- Touches:` may count, beside lists among the parameters and tables; `sql/README.md` says what each one is."""
NAMED_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|USING)\s+(?:pg_temp\.)?(\w+)")


def indexes(asked: Query) -> tuple[str, ...]:
    """The indexes that the statement relies on."""
    return names(asked.sections["Index"])


def touches(asked: Query) -> tuple[tuple[str, ...], ...]:
    """How many rows of tables it reads at most: a sum of products of numbers and words; empty where it reads none."""
    bound = asked.sections["Touches"].partition(" (")[0]  # "sites (...)" says why
    return () if bound == "none" else tuple(tuple(term.split(" * ")) for term in bound.split(" + "))


def check(asked: Query) -> None:
    """Read both.

    Raises:
        QueryFileError: One is missing, or `Touches` counts what nobody knows.
    """
    lines = asked.path.read_text(encoding="utf-8").splitlines()
    for key in ("Index", "Touches"):
        if key not in asked.sections:
            header = next(n for n, line in enumerate(lines) if not line.startswith("--"))
            raise QueryFileError(asked.path, header, f"the header has no section {key!r}")
    lists = {parameter.name for parameter in asked.parameters if parameter.type.endswith("[]")}
    known = COUNTED | lists | set(NAMED_TABLE.findall(re.sub(r"--.*", "", asked.statement)))
    for word in (factor for term in touches(asked) for factor in term):
        if not word.isdecimal() and word not in known:
            number = next(n for n, line in enumerate(lines, start=1) if line.startswith("-- Touches:"))
            raise QueryFileError(
                asked.path, number, f"{word!r} is no number, no list, no table of it and no word that counts"
            )
