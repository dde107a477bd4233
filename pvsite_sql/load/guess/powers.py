"""Finds the column of the power, its unit, and how its numbers are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from .findings import Findings, is_uuid
from .units import power_score, unit_of

__all__ = ["find_power"]

_DEFAULT_NAMES = ("power_kw", "generation_power_kw")
_UNCLEAR = re.compile(r"[-+]?[1-9]\d{0,2}[.,]\d{3}\D*")
_UNIT_BEHIND = re.compile(r"\d\s*([kM]?Wh?)$")
_LOOKED_AT = 20
_MANY_STEPS = 20
_OF_COUNTERS = {
    *("counter", "meter", "total", "lifetime", "reading", "yield", "index", "cumulative"),
    *("zähler", "zählerstand", "zaehlerstand", "gesamt", "gesamtertrag"),
}
_MAX_LISTED = 4


def find_power(findings: Findings, times: Sequence[int]) -> int | None:
    """Find the column of the power, which is none of the columns of times; return its position."""
    _find_decimal_sign(findings)
    if findings.given.get("wide"):
        return None
    given = findings.given.get("power_column")
    position = _choose(findings, times) if given is None else findings.position(given)
    if position is None:
        return None
    unit = findings.given.get("unit") or _unit(findings, position)
    if unit is None:
        findings.doubts.append("the header does not say the unit: kW is assumed, say --unit if it is another")
    findings.options["unit"] = unit or "kW"
    if (unit or "").endswith("h") and "counter" not in findings.given and _only_rises(findings, position):
        findings.options["counter"] = True
        findings.doubts.append(
            f"{findings.quoted(position)} only rises, so it is taken for a meter that counts up (--counter)"
        )
    return position


def _choose(findings: Findings, times: Sequence[int]) -> int | None:
    numbers = [position for position in findings.of_kind("number") if position not in times]
    names = [findings.name(position) for position in numbers]
    if names and (all(map(is_uuid, names)) or all(map(str.isdigit, names))):
        findings.options["wide"] = True
        if "site_key" not in findings.given and names[0].isdigit():
            findings.options["site_key"] = "client_site_id"
            findings.doubts.append(
                f"names such as {names[0]!r} are taken for the client_site_id of sites: say --site-key if they are not"
            )
        return numbers[0]
    scores = {position: power_score(findings.name(position), _unit(findings, position)) for position in numbers}
    likely = sorted((each for each in numbers if scores[each] > 0), key=lambda each: -scores[each])
    if not likely and len(numbers) > 1:
        findings.doubts.append(f"no name says which column has the power: {findings.quoted(numbers[0])} is taken")
    chosen = next(iter(likely or numbers), None)
    if chosen is None:
        return None
    if findings.name(chosen) not in _DEFAULT_NAMES:
        findings.options["power_column"] = findings.reference(chosen)
    if others := [str(findings.reference(each)) for each in likely[1:]][:_MAX_LISTED]:
        listed = others[0] if len(others) == 1 else f"{', '.join(others[:-1])} or {others[-1]}"
        findings.doubts.append(
            f"the power can also be in {listed}: say --power-column if {findings.quoted(chosen)} is wrong"
        )
    return chosen


def _unit(findings: Findings, position: int) -> str | None:
    """Return the unit that a name, the line of units or the cells say."""
    units = findings.table.units
    said = unit_of(findings.name(position)) or (unit_of(units[position]) if position < len(units) else None)
    behind = (_UNIT_BEHIND.search(cell) for cell in findings.cells[position][:_LOOKED_AT])
    return said or next((found[1] for found in behind if found), None)


def _only_rises(findings: Findings, position: int) -> bool:
    """Return whether numbers only rise (or fall, if the newest row is the first), by little compared with the first."""
    texts = pd.Series(findings.cells[position]).str.replace(",", ".", regex=False)
    values = pd.to_numeric(texts, errors="coerce").dropna()
    steps = values.diff().dropna()
    one_way = bool((steps >= 0).all() or (steps <= 0).all())
    enough = len(steps) >= _MANY_STEPS or bool(findings.words(position) & _OF_COUNTERS)
    return one_way and enough and not steps.empty and float(values.min()) > float(steps.abs().max()) > 0


def _find_decimal_sign(findings: Findings) -> None:
    if "decimal" in findings.given:
        return
    cells = [cell for position in findings.of_kind("number", "excel") for cell in findings.cells[position]]
    votes: Counter[str] = Counter()
    unclear: list[str] = []
    for cell in cells:
        commas, points = cell.count(","), cell.count(".")
        if commas and points:
            votes["," if cell.rfind(",") > cell.rfind(".") else "."] += 1
        elif commas + points > 1:
            votes["." if commas else ","] += 1
        elif commas and _UNCLEAR.fullmatch(cell):
            unclear.append(cell)
        elif commas + points == 1:
            votes["," if commas else "."] += 1
    sign = votes.most_common(1)[0][0] if votes else "."
    if not votes and unclear and findings.table.options.get("separator", ",") != ",":
        sign = ","
    if sign == ",":
        findings.options["decimal"] = ","
    if unclear and not votes:
        findings.doubts.append(f"{unclear[0]} can have a decimal sign or a thousands separator: say --decimal")
