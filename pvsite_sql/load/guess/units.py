"""Guesses from the name of a column what it measures."""

from __future__ import annotations

import re

from ..units import as_unit, unit_of_name

__all__ = ["power_score", "unit_of"]

_IN_BRACKETS = re.compile(r"[\[(]\s*([^\])]*?)\s*[\])]")
_WORDS = re.compile(r"[^\W\d_]+")
_AT_THE_END = re.compile(r"[a-z](kWh|KWh|Wh|MWh|kW|KW|MW)$")
_OTHER_UNITS = {
    "v",
    "a",
    "hz",
    "%",
    "°c",
    "c",
    "°f",
    "f",
    "va",
    "kva",
    "var",
    "kvar",
    "ah",
    "kwp",
    "kwh/kwp",
    "kwh/kw",
    "s",
}
_WELL_KNOWN = {"power_kw", "generation_power_kw"}
_FOR = {
    **dict.fromkeys(("generation", "generated", "production", "produced", "produktion", "erzeugung", "ertrag"), 4),
    **dict.fromkeys(("leistung", "power", "output", "solar", "pv", "ppv", "yield", "gesamtertrag"), 2),
    **dict.fromkeys(("energy", "energie", "quantity", "value", "wert", "state", "act", "total", "system", "ac"), 1),
    "pac": 3,
}
_AGAINST = (
    *("consum", "verbrauch", "import", "export", "bezug", "grid", "netz", "batt", "load", "einspeis", "charge", "soc"),
    *("temp", "irrad", "volt", "freq", "effic", "self", "demand", "used", "uncertain", "lcl", "ucl", "capacity"),
    *("installed", "max", "min", "ret", "react", "aprt", "fund", "humid", "wind", "price", "latit", "longit", "status"),
    *("direct", "eigen", "peak", "dc"),
)


def unit_of(name: str) -> str | None:
    """Return the unit of power or energy that a name of a column probably has, such as W for `pac_w_total`."""
    if re.search(r"wh?\s*/|wp\b", name.lower()):  # irradiance, yield, capacity
        return None
    if (clear := unit_of_name(name)) is not None:
        return clear
    if any(text.lower() in _OTHER_UNITS for text in _IN_BRACKETS.findall(name)):
        return None
    words = [unit for word in _WORDS.findall(name) if (unit := as_unit(word)) is not None]
    if words:
        return words[-1]
    found = _AT_THE_END.search(name)
    return None if found is None else as_unit(found[1])


def power_score(name: str, unit: str | None) -> int:
    """Return how likely a column of numbers has the power or the energy of a site, below zero if not at all."""
    if name in _WELL_KNOWN:
        return 100
    if any(text.lower() in _OTHER_UNITS for text in _IN_BRACKETS.findall(name)):
        return -100
    words = [word.lower() for word in _WORDS.findall(name)]
    score = sum(_FOR.get(word, 0) for word in words)
    score -= sum(6 for word in words if word.startswith(_AGAINST))
    if unit is not None:
        score += 3 if unit.endswith("h") else 5
    return score
