"""Units of power and energy, as headers and cells write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import get_args

from ..errors import InvalidInput
from .batch import WIDE_KEY, Batch
from .layout import Layout, Unit

__all__ = ["as_unit", "check_column_name", "check_units_below", "is_energy", "unit_of_name"]

_WORDS = {unit.lower(): unit for unit in get_args(Unit)}
for _prefix, _letter in (("", ""), ("kilo", "k"), ("mega", "M")):
    for _plural in ("", "s"):
        _WORDS[f"{_prefix}watt{_plural}"] = f"{_letter}W"
        _WORDS[f"{_prefix}watt-hour{_plural}"] = _WORDS[f"{_prefix}watt hour{_plural}"] = f"{_letter}Wh"

_BRACKETS = re.compile(r"[(\[]\s*(?:in\s+)?([^()\[\]]*?)\s*[)\]]", re.IGNORECASE)
# a number before it is a size ("10 kWh battery"); kWh/h is a power
_ENERGY = re.compile(r"(?<![^\W_])(?<!\d\s)([km]?Wh|(?:kilo|mega)?watt[ -]hours?)(?![^\W_])(?!\s*/\s*h)", re.IGNORECASE)
_POWER_AT_THE_END = re.compile(r"(?<![^\W_])(?<!\d\s)([km]W|(?:kilo|mega)?watts?)$", re.IGNORECASE)
_W_AT_THE_END = re.compile(r"(?:^|power[\s_]*)W$", re.IGNORECASE)  # elsewhere it may stand for west
_SAME_NAMES = re.compile(r" \(column \d+\)$")  # behind names that several columns have
_DEFAULT_NAMES = ("power_kw", "generation_power_kw", "forecast_power_kw")


def is_energy(unit: Unit) -> bool:
    """Whether this is a unit of energy, not of power."""
    return unit.endswith("h")


def as_unit(text: str) -> Unit | None:
    """Return the unit that a text is, in upper or lower case; None if it is none."""
    return _WORDS.get(text.lower())


def check_column_name(batch: Batch, layout: Layout) -> None:
    """Check that the name of the power column does not contradict the layout's unit.

    A column that the layout gives by its number is not checked, unless other columns have the same name.

    Raises:
        InvalidInput: the name says another unit.
    """
    shown = batch.columns["power_kw"]
    name = _SAME_NAMES.sub("", shown)
    if name == shown and layout.power_column not in (None, name):
        return
    if name in _DEFAULT_NAMES and not is_energy(layout.unit):
        return  # the layout says how to read the default column
    _check(unit_of_name(name), layout, f"{batch.file}: the name of column {shown!r}", unique=name == shown)


def check_units_below(
    header: Sequence[str], cells: Sequence[str], positions: Mapping[str, int], layout: Layout, file: str
) -> None:
    """Check that a line of units below the header does not contradict the layout's unit.

    Args:
        header: the names of the columns.
        cells: the cells below them.
        positions: the positions of the columns to read, by their keys.
        layout: the layout of the file.
        file: the name of the file for messages.

    Raises:
        InvalidInput: the cell below the power column, or that of a site, says another unit.
    """
    for key, position in positions.items():
        is_site = key.startswith(WIDE_KEY)
        if position >= len(cells) or not (key == "power_kw" or is_site):
            continue
        name = header[position]
        unique = header.count(name) == 1 and not is_site
        if layout.power_column in (None, name) or not unique:
            unit = as_unit(cells[position].strip("[]() "))
            _check(unit, layout, f"{file}: {cells[position]!r} below {name!r}", unique=unique)


def _check(said: Unit | None, layout: Layout, place: str, *, unique: bool) -> None:
    if said is None or said == layout.unit:
        return
    use = f"use --unit {said}"
    if is_energy(said) and not layout.takes_energy:
        use = "forecasts are powers, so divide it by the hours of a row"
    elif is_energy(said) and not is_energy(layout.unit):
        use += " (and --counter if the meter counts up)"
    otherwise = "give the column by its number" if unique else "correct the file"
    raise InvalidInput(f"{place} says {said}, but --unit is {layout.unit}: {use}, or {otherwise} if that is wrong")


def unit_of_name(name: str) -> Unit | None:
    """Return the unit that a column's name clearly says; None if it says none, or several."""
    bracketed = {unit for text in _BRACKETS.findall(name) if (unit := as_unit(text))}
    if len(bracketed) == 1:
        return bracketed.pop()
    energies = {as_unit(text) for text in _ENERGY.findall(name)}
    if energies:
        return energies.pop() if len(energies) == 1 else None
    if found := _POWER_AT_THE_END.search(name):
        return as_unit(found[1])
    return "W" if _W_AT_THE_END.search(name) else None
