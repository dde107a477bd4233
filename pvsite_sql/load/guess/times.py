"""Finds the columns of times, their format, and how long readings last."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pandas as pd

from .findings import Findings
from .formats import formats_of, has_date, has_time, parse_times

__all__ = ["find_interval", "find_times"]

_FITTING = 0.9  # the share of times that must have a format
_EVEN = 0.6  # the share of steps from time to time that must have one length
_INTERVALS = (1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 720, 1440)
_NEAR = 0.1
_FIRST = pd.Timestamp("2007-01-01", tz="UTC")
_MAX_PERIOD = 50
_OFFSET = re.compile(r"\d ?(?:Z|[+-]\d{2}(?::?\d{2})?)$")
_DATE_LENGTH = len("2024-06-01")
_ENDS = {"end", "ending", "ende", "bis", "until", "finish", "fin", "to"}
_UTC = {"utc", "gmt"}
_PERIODS = {"period", "sp", "hh", "periode"}


def find_times(findings: Findings) -> tuple[list[int], pd.Series[Any] | None]:
    """Find the columns of the times and how they are written; return their positions, and the times."""
    positions = _columns(findings)
    if not positions:
        return [], None
    texts = [" ".join(cells) for cells in zip(*(findings.cells[position] for position in positions), strict=True)]
    if findings.kinds[positions[0]] == "excel":
        findings.options["time_format"] = "excel"
    elif "time_format" not in findings.given:
        _find_format(findings, texts)
    _find_zone(findings, texts, positions)
    period = findings.known("period_column")
    also = [] if period is None else [findings.position(period)]
    times = parse_times(texts, findings.known("time_format"))
    return [*positions, *(position for position in also if position is not None)], times


def find_interval(findings: Findings, times: pd.Series[Any] | None) -> None:
    """Find how long readings last, from one time of a site to the next."""
    if findings.known("interval") or (findings.known("end_column") and findings.known("time_column")):
        return
    if findings.known("dates_are_midnight") and times is not None and (times == times.dt.normalize()).all():
        findings.options["interval"] = timedelta(days=1)
    elif findings.known("period_column") is not None:
        findings.options["interval"] = timedelta(minutes=30)
        findings.doubts.append("a period is taken to be half an hour: say --interval if it is not")
    elif times is not None:
        _find_step(findings, times)


def _columns(findings: Findings) -> list[int]:
    given = findings.given.get("time_column") or findings.given.get("end_column")
    if given is not None:
        columns = given if isinstance(given, (tuple, list)) else (given,)
        return [position for column in columns if (position := findings.position(column)) is not None]
    dates, clocks = findings.of_kind("date"), findings.of_kind("clock")
    both = findings.of_kind("time", "epoch", "excel")
    periods = [position for position in findings.of_kind("number") if _is_period(findings, position)]
    if dates and periods:
        findings.options["time_column"] = findings.reference(dates[0])
        findings.options["period_column"] = findings.reference(periods[0])
    elif both:
        chosen = _choose_time(findings, both)
        _find_midnights(findings, chosen)
        return [chosen]
    elif dates and clocks:
        findings.options["time_column"] = (findings.reference(dates[0]), findings.reference(clocks[0]))
        return [dates[0], clocks[0]]
    elif dates:
        findings.options |= {"time_column": findings.reference(dates[0]), "dates_are_midnight": True}
        findings.doubts.append(
            f"{findings.quoted(dates[0])} has dates without a time of day: each row is taken for a whole day"
        )
    return dates[:1]


def _choose_time(findings: Findings, positions: list[int]) -> int:
    ends = [position for position in positions if findings.words(position) & _ENDS]
    starts = [position for position in positions if position not in ends]
    utc = [
        position
        for position in starts
        if findings.words(position) & _UTC or any(_OFFSET.search(cell) for cell in findings.cells[position][:1])
    ]
    start = (utc or starts or ends)[0]
    findings.options["time_column"] = findings.reference(start)
    has_end = start not in ends and ends and findings.kinds[ends[0]] == findings.kinds[start]
    if has_end and "end_column" not in findings.given:
        findings.options["end_column"] = findings.reference(ends[0])
    elif not has_end and "label" not in findings.given:
        if start in ends:
            findings.options["label"] = "end"
            findings.doubts.append(f"by its name, {findings.quoted(start)} has the ends of periods (--label end)")
        else:
            findings.doubts.append(
                f"the times of {findings.quoted(start)} are taken for the starts of periods: say --label end if they "
                "are the ends"
            )
    return start


def _find_midnights(findings: Findings, position: int) -> None:
    """See whether midnights are written without a time, as US spreadsheets do."""
    if findings.kinds[position] != "time" or "dates_are_midnight" in findings.given:
        return
    if dates := [cell for cell in findings.cells[position] if has_date(cell) and not has_time(cell)]:
        findings.options["dates_are_midnight"] = True
        findings.doubts.append(
            f"dates without a time, such as {dates[0]}, are taken for midnights (--dates-are-midnight)"
        )


def _is_period(findings: Findings, position: int) -> bool:
    values = {cell for cell in findings.cells[position] if cell}
    whole = all(value.isdigit() and 1 <= int(value) <= _MAX_PERIOD for value in values)
    return whole and bool(findings.words(position) & _PERIODS)


def _find_format(findings: Findings, texts: Sequence[str]) -> None:
    distinct = list(dict.fromkeys(text for text in texts if text.strip()))
    longest = max(distinct, key=len, default="")
    tried = {each: parse_times(distinct, each) for each in formats_of(longest)}
    fitting = {each: times for each, times in tried.items() if times.notna().mean() >= _FITTING}
    if not fitting:
        return
    chosen = next(iter(fitting))
    if chosen is not None:
        evenness = {each: _evenness(times) for each, times in fitting.items()}
        chosen = max(fitting, key=lambda each: (_is_recent(fitting[each]), evenness[each]))
        for other, times in fitting.items():
            even = evenness[other] < evenness[chosen]
            _doubt_of_format(findings, distinct, fitting[chosen], times, even=even)
        findings.options["time_format"] = chosen


def _doubt_of_format(
    findings: Findings, texts: Sequence[str], chosen: pd.Series[Any], other: pd.Series[Any], *, even: bool
) -> None:
    """Say that times can be read in two ways, if they can."""
    different = (chosen != other) & chosen.notna() & other.notna()
    if not different.any():
        return
    position = int(different.to_numpy().argmax())
    one, two = (times.iloc[position] for times in (chosen, other))
    reason = f"no day above 12 in the first {len(findings.table.rows):,} rows"
    if one.year != two.year:
        reason = "as the year mostly comes last"
    elif even:
        reason = "so that the rows follow one another evenly"
    written = "%-d %B" if one.year == two.year else "%-d %B %Y"
    one, two = f"{one:{written}}", f"{two:{written}}"
    findings.doubts.append(
        f"{texts[position]} can be {one} or {two}: {one} is taken, {reason}; say --time-format if it is wrong"
    )


def _is_recent(times: pd.Series[Any]) -> bool:
    """Return whether times are neither in the future nor older than most solar systems."""
    known = times.dropna()
    return bool(known.min() >= _FIRST and known.max() < pd.Timestamp.now("UTC") + pd.Timedelta(days=2))


def _evenness(times: pd.Series[Any]) -> float:
    """Return the share of steps from time to time that have the commonest length."""
    steps = times.dropna().diff().dropna().abs()
    return 0.0 if steps.empty else float((steps == steps.mode().iloc[0]).mean())


def _find_zone(findings: Findings, texts: Sequence[str], positions: Sequence[int]) -> None:
    if "timezone" in findings.given or findings.kinds[positions[0]] == "epoch":
        return
    if all(len(text) > _DATE_LENGTH and _OFFSET.search(text) for text in texts if text.strip()):
        return
    if findings.known("period_column") is not None:
        findings.options["timezone"] = "Europe/London"
        findings.doubts.append("period 1 is taken to start at midnight in London: say --timezone if it does not")
        return
    findings.options["timezone"] = "UTC"
    if not any(findings.words(position) & _UTC for position in positions):
        findings.doubts.append(
            "the times have no UTC offset: say --timezone, such as Europe/London, unless they are in UTC"
        )


def _find_step(findings: Findings, times: pd.Series[Any]) -> None:
    column = findings.known("site_column")
    position = None if column is None else findings.position(column)
    sites = [""] * len(times) if position is None else findings.cells[position]
    steps = times.groupby(pd.Series(sites)).diff().dt.total_seconds().abs()
    minutes = [_rounded(step / 60) for step in steps[steps > 0]]
    if not minutes:
        findings.doubts.append("the times do not show how long a reading lasts: 5 minutes are taken, say --interval")
        findings.options["interval"] = timedelta(minutes=5)
        return
    commonest, count = Counter(minutes).most_common(1)[0]
    findings.options["interval"] = timedelta(minutes=commonest)
    if count < _EVEN * len(minutes):
        findings.doubts.append(
            f"only {count} of {len(minutes)} steps from time to time are {commonest:g} minutes: say --interval"
        )


def _rounded(minutes: float) -> float:
    """Return the usual interval that a step is near to, otherwise the step."""
    nearest = min(_INTERVALS, key=lambda each: abs(each - minutes))
    return nearest if abs(nearest - minutes) <= _NEAR * nearest else round(minutes, 2)
