"""The loader of the `.sql` files: every query that the package runs stands in `sql/<aggregate>/<method>.sql`.

A file is one statement under a comment block that says what it does, with parameters in psql's own syntax
(`:'start_utc'::timestamptz`), so that `psql -v start_utc=2024-06-01 -f sql/generation/read.sql` runs it as it stands.
`sql/README.md` describes the block.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from ..errors import QueryFileError

__all__ = ["Column", "Parameter", "Query", "find", "folder", "load", "names", "parse", "query"]

_PARAMETER = re.compile(r":'(\w+)'")
_ENTRY = re.compile(r"--   (?P<name>\w+) +(?P<type>[a-z][a-z0-9 ]*?(?:\[\])?)(?:  +(?P<text>\S.*))?$")
_SECTION = re.compile(r"-- (?P<key>Parameters|Result|Index|Touches|After):(?: (?P<value>\S.*))?$")
_FIRST_WORD = re.compile(r"\A\s*(\w+)")
_OUTSIDE_AGGREGATES = {"schema"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a query file: its name, PostgreSQL type and what it means."""

    name: str
    type: str
    text: str


@dataclass(frozen=True)
class Column:
    """A result column of a query file: its name and PostgreSQL type."""

    name: str
    type: str


@dataclass(frozen=True)
class Query:
    """A query file.

    Attributes:
        name: the path below `sql/` without its ending, such as `generation/read`.
        path: the file.
        purpose: what it does, in prose.
        parameters: in the header's order.
        result: the name of the model that its rows become (`... by site_uuid`: that column, then those of the model),
            `row` for columns without a model, `none` for no rows.
        columns: the result's columns, in their order.
        sections: what follows each section's name on its line; `Index` and `Touches` are for people and for tests.
        after: query files that must have run before it in the same transaction.
        statement: the statement as the file has it, without the header.
    """

    name: str
    path: Path
    purpose: str
    parameters: tuple[Parameter, ...]
    result: str
    columns: tuple[Column, ...]
    sections: Mapping[str, str] = field(hash=False)
    after: tuple[str, ...]
    statement: str

    @cached_property
    def text(self) -> bytes:
        """The statement for psycopg, with `%(name)s` parameters, named for pg_stat_activity and the logs."""
        return self._named(self._placeholders())

    @cached_property
    def copy_out(self) -> bytes:
        """The same rows as a binary COPY."""
        return self._named(f"COPY ({self._placeholders().rstrip().rstrip(';')}) TO STDOUT (FORMAT binary)")

    def parts(self) -> list[str]:
        """The statement cut at its parameters: text, a parameter's name, text, and so on."""
        return _PARAMETER.split(self.statement)

    def _placeholders(self) -> str:
        if not self.parameters:  # psycopg then leaves the text alone, percent signs too
            return self.statement
        return _PARAMETER.sub(r"%(\1)s", self.statement.replace("%", "%%"))

    def _named(self, statement: str) -> bytes:
        # after the first word: PostgreSQL 18 drops a comment before it from pg_stat_statements
        return _FIRST_WORD.sub(rf"\1 /* {self.name} */", statement, count=1).encode()


def folder(name: str) -> Path:
    """Where `sql` or `migrations` lies: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / name
    return packaged if packaged.is_dir() else package.parent / name


@cache
def find() -> dict[str, Path]:
    """The paths of all query files of the package, by name.

    Raises:
        QueryFileError: There are none.
    """
    root = folder("sql")
    files = sorted(path for path in root.glob("*/*.sql") if path.parent.name not in _OUTSIDE_AGGREGATES)
    if not files:
        raise QueryFileError(root, 1, "no query files here: the package is not installed whole")
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in files}


@cache
def query(name: str) -> Query:
    """The query file `sql/<name>.sql`, which is read when it is first asked for.

    Raises:
        QueryFileError: There is none, or it breaks the rules.
    """
    root = folder("sql")
    if name not in find():
        raise QueryFileError(root / f"{name}.sql", 1, "no such query file")
    return parse(find()[name], root)


def load() -> dict[str, Query]:
    """All query files of the package, by name.

    Raises:
        QueryFileError: A file breaks the rules.
    """
    return {name: query(name) for name in find()}


def parse(path: Path, root: Path) -> Query:
    """Read one query file below `root`.

    Raises:
        QueryFileError: the file breaks the rules.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    header_end = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    purpose, sections, entries = _header(path, lines[:header_end])
    body = "\n".join(lines[header_end:])
    parameters = tuple(Parameter(m["name"], m["type"], m["text"] or "") for _, m in entries["Parameters"])
    _check_body(
        path, header_end, body, {p.name: n for p, (n, _) in zip(parameters, entries["Parameters"], strict=True)}
    )
    return Query(
        name=path.relative_to(root).with_suffix("").as_posix(),
        path=path,
        purpose=purpose,
        parameters=parameters,
        result=sections["Result"],
        columns=tuple(Column(m["name"], m["type"]) for _, m in entries["Result"]),
        sections=sections,
        after=names(sections.get("After", "none")),
        statement=body,
    )


def names(value: str) -> tuple[str, ...]:
    """The names that a section lists; what follows in brackets says why: `none (a small table)`."""
    listed = value.partition(" (")[0]
    return () if listed == "none" else tuple(name.strip() for name in listed.split(","))


_Entries = dict[str, list[tuple[int, re.Match[str]]]]


def _header(path: Path, lines: list[str]) -> tuple[str, dict[str, str], _Entries]:
    purpose: list[str] = []
    sections: dict[str, str] = {}
    entries: _Entries = {"Parameters": [], "Result": []}
    key = ""
    for number, line in enumerate(lines, start=1):
        if (start := _SECTION.match(line)) is not None:
            key = start["key"]
            if key in sections:
                raise QueryFileError(path, number, f"a second section {key!r}")
            sections[key] = start["value"] or ""
        elif not key:
            purpose.append(line.removeprefix("--").strip())
        elif key in entries and (entry := _ENTRY.match(line)) is not None:
            if any(entry["name"] == earlier["name"] for _, earlier in entries[key]):
                raise QueryFileError(path, number, f"{entry['name']!r} stands twice")
            entries[key].append((number, entry))
        elif key not in entries or not line.startswith("--      "):  # deeper: the description goes on
            raise QueryFileError(path, number, f"neither a section nor a line of {key!r}: {line!r}")
    for key in ("Parameters", "Result"):
        if key not in sections:
            raise QueryFileError(path, max(len(lines), 1), f"the header has no section {key!r}")
    if not (text := " ".join(purpose).strip()):
        raise QueryFileError(path, 1, "the header does not begin with what the query is for")
    for key, none in (("Parameters", sections["Parameters"]), ("Result", sections["Result"])):
        if (none == "none") == bool(entries[key]):
            raise QueryFileError(path, len(lines), f"section {key!r} says {none!r}, and lists {len(entries[key])}")
    return text, sections, entries


def _check_body(path: Path, header_end: int, body: str, declared: dict[str, int]) -> None:
    if not body.rstrip().endswith(";"):
        raise QueryFileError(path, header_end + 1, "no statement that ends in a semicolon")
    for number, line in enumerate(body.splitlines(), start=header_end + 1):
        for used in _PARAMETER.findall(line):
            if used not in declared:
                raise QueryFileError(path, number, f"parameter {used!r} is not in the header")
    for name, number in declared.items():
        if name not in _PARAMETER.findall(body):
            raise QueryFileError(path, number, f"parameter {name!r} is not used")
