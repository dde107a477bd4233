"""Differences the states of meters that count up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..errors import InvalidInput
from .batch import Batch
from .energy import mean_powers
from .layout import Layout
from .reasons import Reasons

__all__ = ["Counters", "StateCounts"]

_MAX_CHAINS = 100_000
_MIN_FALLS = 10
_MILLION = 1_000_000
_DAY, _CLOCK_CHANGE = timedelta(days=1), timedelta(hours=2)  # the longest one is Troll's
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = ("site", "first_us", "first", "last_us", "last", "file", "number")
_Chains = dict[str, Array]


@dataclass(frozen=True)
class StateCounts:
    """How many states made no reading.

    Attributes:
        first_states: the first state of each site.
        gaps: states that are too long after the state before.
        resets: states below the state before.
        repeated: states that were read before.
    """

    first_states: int = 0
    gaps: int = 0
    resets: int = 0
    repeated: int = 0

    def since(self, before: StateCounts) -> StateCounts:
        """Return the difference from earlier counts."""
        return StateCounts(**{name: value - getattr(before, name) for name, value in vars(self).items()})


class Counters:
    """Makes readings from the states of meters, in bounded memory, whatever the order of files and sites.

    A chain is a range of time in which each state of a site is at most `interval` after the one before. Only the ends
    of chains are in memory. A state that is near to the end of a chain makes a reading and extends the chain.
    """

    def __init__(self, layout: Layout, interval: timedelta) -> None:
        """Set the layout of the files, and the longest time between two states that make a reading."""
        self._unit, self._interval = layout.unit, interval
        longest = interval if interval % _DAY or layout.timezone == "UTC" else interval + _CLOCK_CHANGE
        self._interval_us = longest // timedelta(microseconds=1)
        self._sites: dict[UUID, int] = {}
        self._files: list[tuple[str, str]] = []  # name, and what its numbers are: lines or rows
        self._file_ended = True
        self._of_file, self._of_files = _no_chains(), _no_chains()
        self._resets = self._repeated = self._noted_files = 0
        self._resets_before = self._rises = 0  # before this file, and in it
        self._first_reset: str | None = None  # its place

    def readings(self, frame: pd.DataFrame, batch: Batch) -> tuple[pd.DataFrame, Reasons]:
        """Return the readings that the states of a batch make, and reasons for rows that contradict earlier ones.

        Args:
            frame: `site_uuid` (categorical), `start_utc`, and states in `power_kw`, in millionths of the unit. Its
                index has the positions of the rows in the batch.
            batch: the rows as they were read.

        Returns:
            a frame for `generation.insert`, and the reasons by the labels of the frame's index.
        """
        if self._file_ended:
            self._files.append((batch.file, batch.number_kind))
            self._file_ended = False
        codes = np.array([self._sites.setdefault(site, len(self._sites)) for site in frame["site_uuid"].cat.categories])
        site = codes[frame["site_uuid"].cat.codes] if len(frame) else np.empty(0, int)
        time = pd.DatetimeIndex(frame["start_utc"]).as_unit("us").asi8
        state = frame["power_kw"].to_numpy("f8")
        labels = frame.index.to_numpy()
        known = np.isin(self._of_file["site"], site)
        before = {field: values[known] for field, values in self._of_file.items()}
        reasons: Reasons = {}
        left = np.ones(len(frame), bool)
        while True:
            points = _points(site[left], time[left], state[left], len(self._files) - 1, batch.numbers[labels[left]])
            pieces = _concatenated(before, points)
            joined = _Joined(pieces, self._interval_us)
            if not joined.overlaps:
                break
            repeated, contradicting = _overlapping(pieces, joined, len(before["site"]))
            rows = np.flatnonzero(left)
            reasons |= {int(labels[rows[point]]): reason for point, reason in contradicting.items()}
            self._repeated += len(repeated)
            left[rows[[*repeated, *contradicting]]] = False
        own = len(before["site"])
        # the row of a reading is that of its later state, unless that one was in an earlier batch
        owner = np.where(joined.later >= own, joined.later, joined.earlier) - own
        found = self._differences(pieces, joined, labels[left][owner])
        others = {field: values[~known] for field, values in self._of_file.items()}
        self._of_file = _concatenated(others, joined.chains)
        if len(self._of_file["site"]) > _MAX_CHAINS:
            raise InvalidInput(
                f"more than {_MAX_CHAINS:,} gaps of more than {self._interval}: --interval is the longest time between "
                "two states that make a reading",
                column="start_utc",
            )
        return found, reasons

    def end_file(self) -> pd.DataFrame:
        """Return the readings between the states of this file and those of the files before.

        Raises:
            InvalidInput: the states fall too often to be those of a counter.
        """
        self._file_ended = True
        falls, rises = self._resets - self._resets_before, self._rises
        if falls >= _MIN_FALLS and falls * 5 > rises:
            raise InvalidInput(
                f"the values rise {rises:,} times and fall {falls:,} times, which those of a meter that counts up do "
                "not: leave --counter out",
                column="power_kw",
            )
        self._resets_before, self._rises = self._resets, 0
        pieces = _concatenated(self._of_files, self._of_file)
        joined = _Joined(pieces, self._interval_us)
        self._repeated += len(pieces["site"]) - joined.union_count  # files that overlap
        found = self._differences(pieces, joined, np.zeros(len(joined.later), int))
        self._of_files, self._of_file = joined.chains, _no_chains()
        return found

    def counts(self) -> StateCounts:
        """Return the counts of all files so far."""
        first_states = len(np.unique(self._of_files["site"]))
        gaps = len(self._of_files["site"]) - first_states
        return StateCounts(first_states, gaps, self._resets, self._repeated)

    def notes(self, counts: StateCounts) -> list[str]:
        """Return sentences about counted gaps and resets, with the first of each since the last call."""
        notes = []
        if counts.gaps > 0:
            chains = self._of_files
            later = np.flatnonzero(chains["site"][1:] == chains["site"][:-1]) + 1
            earlier_files = chains["file"][later] < self._noted_files
            first = later[np.lexsort((chains["number"][later], chains["file"][later], earlier_files))[0]]
            place = self._place(chains["file"][first], chains["number"][first])
            times = f"from {_text(chains['last_us'][first - 1])} to {_text(chains['first_us'][first])}"
            gaps = f"{_count(counts.gaps, 'gap')} of more than {_minutes(self._interval)}"
            notes.append(f"{gaps} between states, without a reading; the first one: {place}, {times}")
        if counts.resets > 0:
            resets = f"{_count(counts.resets, 'state')} below the one before (a reset or a new meter)"
            notes.append(f"{resets}, without a reading; the first one: {self._first_reset}")
        self._first_reset, self._noted_files = None, len(self._files)
        return notes

    def _differences(self, pieces: _Chains, joined: _Joined, labels: Array) -> pd.DataFrame:
        """Return the readings between pieces that are near to each other."""
        start, end = pieces["last_us"][joined.earlier], pieces["first_us"][joined.later]
        energies = pieces["first"][joined.later] - pieces["last"][joined.earlier]
        fell = energies < 0
        self._rises += int((energies > 0).sum())
        if fell.any():
            self._add_resets(pieces, joined.earlier[fell], joined.later[fell])
        rises = ~fell
        sites = pd.Index(list(self._sites), dtype=object)
        return pd.DataFrame(
            {
                "site_uuid": pd.Categorical.from_codes(pieces["site"][joined.later][rises], sites),
                "start_utc": _times(start[rises]),
                "end_utc": _times(end[rises]),
                "power_kw": mean_powers(energies[rises], self._unit, (end - start)[rises]),
            },
            index=labels[rises],
        )

    def _add_resets(self, pieces: _Chains, earlier: Array, later: Array) -> None:
        self._resets += len(later)
        if self._first_reset is None:
            first = np.lexsort((pieces["number"][later], pieces["file"][later]))[0]
            last, next_ = earlier[first], later[first]
            before = f"{_number(pieces['last'][last])} at {_text(pieces['last_us'][last])}"
            after = f"{_number(pieces['first'][next_])} at {_text(pieces['first_us'][next_])}"
            place = self._place(pieces["file"][next_], pieces["number"][next_])
            self._first_reset = f"{place}, from {before} to {after}"

    def _place(self, file: int, number: int) -> str:
        name, kind = self._files[file]
        return f"{name}, {kind} {number}"


class _Joined:
    """Pieces of time, joined where they overlap or touch (a union) or are near to each other (a chain).

    Attributes:
        chains: the chains, by site and time.
        earlier: for each pair of unions that are near to each other, the piece that ends first.
        later: for each such pair, the piece that starts then.
        union_count: the number of unions.
        overlaps: the pieces of each union of several pieces.
    """

    def __init__(self, pieces: _Chains, interval_us: int) -> None:
        count = len(pieces["site"])
        edges = np.repeat([0, 1], count)  # a start, or an end
        sites, times = np.tile(pieces["site"], 2), np.r_[pieces["first_us"], pieces["last_us"]]
        order = np.lexsort((edges, times, sites))
        piece = order % max(count, 1)
        ends = np.flatnonzero(np.cumsum(1 - 2 * edges[order]) == 0)
        starts = np.r_[0, ends[:-1] + 1][: len(ends)]
        head, tail = piece[starts], piece[ends]
        self.union_count = len(ends)
        several = np.flatnonzero(ends - starts > 1)
        self.overlaps = [np.unique(piece[starts[at] : ends[at] + 1]) for at in several]
        near = (pieces["site"][head[1:]] == pieces["site"][tail[:-1]]) & (
            pieces["first_us"][head[1:]] - pieces["last_us"][tail[:-1]] <= interval_us
        )
        self.earlier, self.later = tail[:-1][near], head[1:][near]
        opens = np.flatnonzero(np.r_[True, ~near][: len(head)])
        closes = np.r_[opens[1:] - 1, len(head) - 1][: len(opens)]
        self.chains = {
            field: values[tail[closes] if field.startswith("last") else head[opens]] for field, values in pieces.items()
        }


def _overlapping(pieces: _Chains, joined: _Joined, chain_count: int) -> tuple[list[int], Reasons]:
    """Return which of the points after the chains repeat a state, and reasons for those that contradict one."""
    repeated: list[int] = []
    contradicting: Reasons = {}
    for together in joined.overlaps:
        states: dict[int, float] = {}
        for piece in together.tolist():
            time, state = int(pieces["first_us"][piece]), float(pieces["first"][piece])
            if piece < chain_count:
                states |= {time: state, int(pieces["last_us"][piece]): float(pieces["last"][piece])}
            elif not states:
                states[time] = state
            elif time not in states:
                contradicting[piece - chain_count] = (
                    "the file has earlier and later states of this site before this row: sort its rows by time"
                )
            elif states[time] == state:
                repeated.append(piece - chain_count)
            else:
                contradicting[piece - chain_count] = (
                    f"another state at the same time: {_number(state)}, after {_number(states[time])}"
                )
    return repeated, contradicting


def _no_chains() -> _Chains:
    return {field: np.empty(0, "f8" if field in ("first", "last") else "i8") for field in _FIELDS}


def _points(site: Array, time: Array, state: Array, file: int, numbers: Array) -> _Chains:
    """Return states as chains that have no duration."""
    values = (site, time, state, time, state, np.full(len(site), file), numbers)
    return dict(zip(_FIELDS, values, strict=True))


def _concatenated(one: _Chains, other: _Chains) -> _Chains:
    return {field: np.concatenate([one[field], other[field]]) for field in _FIELDS}


def _times(times_us: Array) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times_us.view("M8[us]")).tz_localize("UTC")


def _text(time_us: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=int(time_us)):%Y-%m-%d %H:%M:%SZ}"


def _number(state: float) -> str:
    return f"{state / _MILLION:.6f}".rstrip("0").rstrip(".")


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _minutes(interval: timedelta) -> str:
    return f"{interval / timedelta(minutes=1):g} minutes"
