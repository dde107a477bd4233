"""The guides: the `README.md` of each folder, their blocks of code, headings, tables and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]
FOLDERS = ("pvsite_sql", "sql", "migrations", "tests")


class Block(NamedTuple):
    """A block of code: the lines between two fences, or lines indented by four spaces, which name no language."""

    file: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def _found() -> dict[str, str]:
    paths = [CHECKOUT / "README.md"]
    for folder in FOLDERS:
        paths += sorted((CHECKOUT / folder).rglob("README.md"))
    return {path.relative_to(CHECKOUT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


GUIDES = _found()  # their text, by path
README = GUIDES["README.md"]


def _parsed(file: str, text: str) -> Iterator[Block | str]:
    """The blocks of a text, and the lines between them."""
    fence, before = "", ""
    block: Block | None = None
    for number, line in enumerate([*text.splitlines(keepends=True), "\n"], start=1):
        start = line.lstrip()[:3]
        if fence:
            if start == fence:
                fence = ""
            else:
                block = block._replace(text=block.text + line)
                continue
        elif start in ("```", "~~~"):
            if block is not None:
                yield block
            fence, block = start, Block(file, number, line.strip("`~ \n"), "")
            continue
        elif line.startswith(("    ", "\t")) and (block is not None or not before.strip()):  # else a paragraph goes on
            block = (block or Block(file, number, "", ""))._replace(text=(block.text if block else "") + line[4:])
            continue
        if block is not None:
            yield block
        if not start.startswith(("```", "~~~")):
            yield line
        block, before = None, line
    assert not fence, f"{file}: a fence is not closed"


def prose(text: str) -> str:
    """A text without its blocks of code."""
    return "".join(part for part in _parsed("", text) if isinstance(part, str))


BLOCKS = [part for file, text in GUIDES.items() for part in _parsed(file, text) if isinstance(part, Block)]


def blocks(language: str, file: str | None = None) -> list[Block]:
    """The blocks of a language, in all guides or in one."""
    return [block for block in BLOCKS if block.language == language and file in (None, block.file)]


def section(file: str, title: str) -> str:
    """The text below a heading of the second level."""
    _, heading, after = GUIDES[file].partition(f"\n## {title}\n")
    assert heading, f"{file} has no section {title!r}"
    return after.partition("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """The cells of the rows of the tables in a text, without heads."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    rules = [number for number, row in enumerate(rows) if set("".join(row)) <= set("-|: ")]
    return [row for number, row in enumerate(rows) if number not in rules and number + 1 not in rules]


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a text, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
