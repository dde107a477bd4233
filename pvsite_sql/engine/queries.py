"""The loader of the `.sql` files: every query that the package runs stands in `sql/<aggregate>/<method>.sql`.

A file is one statement under a comment block that says what it does, with parameters in psql's own syntax
(`:'start_utc'::timestamptz`), so that `psql -v start_utc=2024-06-01 -f sql/generation/read.sql` runs it as it stands.
`sql/README.md` describes the block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from ..errors import QueryFileError

__all__ = ["COUNTED", "Column", "Parameter", "Query", "folder", "load", "parse", "query"]

_PARAMETER = re.compile(r":'(\w+)'")
_ENTRY = re.compile(r"--   (?P<name>\w+) +(?P<type>[a-z][a-z0-9 ]*?(?:\[\])?)(?:  +(?P<text>\S.*))?$")
_SECTION = re.compile(r"-- (?P<key>Parameters|Result|Index|Touches|After):(?: (?P<value>\S.*))?$")
_NAMED_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|USING)\s+(?:pg_temp\.)?(\w+)")
_OUTSIDE_AGGREGATES = {"schema"}
COUNTED = frozenset(
    {
        "result",
        "readings",
        "nearby_readings",
        "month_readings",
        "unfinished_forecasts",
        "window_forecasts",
        "siblings",
        "grids",
        "versions",
        "places",
        "requests",
        "namesakes",
    }
)
"""What `-- Touches:` may count, beside lists among the parameters and tables; `sql/README.md` says what each one is."""


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
        indexes: the indexes that it relies on.
        touches: how many rows of tables it reads at most: a sum of products, each factor a whole number or a word of
            `sql/README.md`; empty where it reads none.
        after: query files that must have run before it in the same transaction.
        statement: the statement as the file has it, without the header.
    """

    name: str
    path: Path
    purpose: str
    parameters: tuple[Parameter, ...]
    result: str
    columns: tuple[Column, ...]
    indexes: tuple[str, ...]
    touches: tuple[tuple[str, ...], ...]
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
        return f"/* {self.name} */ {statement}".encode()


def folder(name: str) -> Path:
    """Where `sql` or `migrations` lies: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / name
    return packaged if packaged.is_dir() else package.parent / name


@cache
def load() -> dict[str, Query]:
    """All query files of the package, by name.

    Raises:
        QueryFileError: a file breaks the rules.
    """
    root = folder("sql")
    files = sorted(path for path in root.glob("*/*.sql") if path.parent.name not in _OUTSIDE_AGGREGATES)
    if not files:
        raise QueryFileError(root, 1, "no query files here: the package is not installed whole")
    return {parsed.name: parsed for parsed in (parse(path, root) for path in files)}


def query(name: str) -> Query:
    """The query file `sql/<name>.sql`.

    Raises:
        QueryFileError: there is none, or a file breaks the rules.
    """
    try:
        return load()[name]
    except KeyError:
        raise QueryFileError(folder("sql") / f"{name}.sql", 1, "no such query file") from None


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
    touches = _terms(sections["Touches"])
    known = COUNTED | {p.name for p in parameters if p.type.endswith("[]")} | _tables(body)
    for word in (factor for term in touches for factor in term):
        if not word.isdecimal() and word not in known:
            number = next(n for n, line in enumerate(lines, start=1) if line.startswith("-- Touches:"))
            raise QueryFileError(
                path, number, f"{word!r} is no number, no list, no table of it and no word that counts"
            )
    return Query(
        name=path.relative_to(root).with_suffix("").as_posix(),
        path=path,
        purpose=purpose,
        parameters=parameters,
        result=sections["Result"],
        columns=tuple(Column(m["name"], m["type"]) for _, m in entries["Result"]),
        indexes=_names(sections["Index"]),
        touches=touches,
        after=_names(sections.get("After", "none")),
        statement=body,
    )


def _names(value: str) -> tuple[str, ...]:
    listed = value.partition(" (")[0]  # "none (small table)" says why
    return () if listed == "none" else tuple(name.strip() for name in listed.split(","))


def _terms(value: str) -> tuple[tuple[str, ...], ...]:
    bound = value.partition(" (")[0]  # "sites (...)" says why
    return () if bound == "none" else tuple(tuple(term.split(" * ")) for term in bound.split(" + "))


def _tables(body: str) -> set[str]:
    return set(_NAMED_TABLE.findall(re.sub(r"--.*", "", body)))


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
    for key in ("Parameters", "Result", "Index", "Touches"):
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
