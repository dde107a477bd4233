"""Pieces of forecasts, and the values in them.

A piece is an array of values that follow one another, as `sql/forecasts/latest_values.sql` returns it. To send and
read it costs a fraction of what a row for each value costs. What has to be done for each value is done by numpy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from ..models import ForecastValue
from .arrays import Array, distinct_runs, uuid_objects, uuid_of
from .binary_copy import decode_ragged, read_real_array, read_real_arrays, read_text_array
from .reals import short_reals
from .row_types import PIECES
from .rows import collector_paused, empty_fields, models_of, times_of
from .timestamps import datetime64_of

__all__ = ["Values", "read_values"]

_MINUTE_US = 60_000_000
_SOURCE = ("forecast_version", "model_name", "model_version")
_PROBABILISTIC = ("probabilistic_levels", "probabilistic_kw")  # after the power

_Probabilistic = list[dict[str, float] | None]


@dataclass(frozen=True)
class Values:
    """Values of forecasts, ordered by site and start. A site has one value for each start.

    Attributes:
        pieces: the pieces: a structured array with a field for each of `PIECES`.
        sources: for each piece its forecast version, model name and model version.
        levels: for each piece its probabilistic values, encoded: the names of the levels, and a line for each level.
        piece: for each value the number of its piece.
        slot: for each value its place in the piece.
        power_kw: for each value its power.
    """

    pieces: Array
    sources: list[tuple[str | None, ...]]
    levels: list[tuple[bytes | None, ...]]
    piece: Array
    slot: Array
    power_kw: Array

    @cached_property
    def start_us(self) -> Array:
        """Microseconds since 2000-01-01 UTC."""
        start: Array = self._of_pieces("start_utc")[self.piece] + self.slot * self._resolution_us[self.piece]
        return start

    @property
    def end_us(self) -> Array:
        """Microseconds since 2000-01-01 UTC."""
        end: Array = self.start_us + self._resolution_us[self.piece]
        return end

    @property
    def horizon_minutes(self) -> Array:
        """Minutes from the forecast's timestamp to the start, rounded down."""
        first, resolution = self._of_pieces("horizon_minutes"), self._of_pieces("resolution_minutes")
        horizon: Array = (first[self.piece] + self.slot * resolution[self.piece]).astype("=i4")
        return horizon

    @cached_property
    def _resolution_us(self) -> Array:
        return self._of_pieces("resolution_minutes") * _MINUTE_US

    def _of_pieces(self, name: str) -> Array:
        return self.pieces[name].astype("=i8")

    def frame(self) -> pd.DataFrame:
        """All but the probabilistic values as a frame."""
        times = {
            "start_utc": self.start_us,
            "end_utc": self.end_us,
            "timestamp_utc": self._of_pieces("timestamp_utc")[self.piece],
            "created_utc": self._of_pieces("created_utc")[self.piece],
        }
        utc = {name: pd.DatetimeIndex(datetime64_of(us), dtype="datetime64[us, UTC]") for name, us in times.items()}
        columns: dict[str, Any] = {
            "site_uuid": uuid_objects(self.pieces["site_uuid"])[self.piece],
            "start_utc": utc["start_utc"],
            "end_utc": utc["end_utc"],
            "forecast_power_kw": self.power_kw,
            "horizon_minutes": self.horizon_minutes,
            "timestamp_utc": utc["timestamp_utc"],
            "created_utc": utc["created_utc"],
            "forecast_uuid": uuid_objects(self.pieces["forecast_uuid"], all_distinct=True)[self.piece],
        }
        for name, (texts, codes) in self.sources_by_name().items():
            columns[name] = pd.Categorical.from_codes(codes, pd.Index(texts, dtype="str"))
        return pd.DataFrame(columns, copy=False)

    def sources_by_name(self) -> dict[str, tuple[list[str], Array]]:
        """Return forecast version, model name and model version: each as its distinct texts, and a code per value.

        The code is the position in the texts; -1 stands for None.
        """
        numbers = {source: number for number, source in enumerate(dict.fromkeys(self.sources))}
        number = np.array([numbers[each] for each in self.sources], np.intp)[self.piece]
        found = {}
        for place, name in enumerate(_SOURCE):
            column = [source[place] for source in numbers]
            texts = sorted({text for text in column if text is not None})
            codes = np.array([-1 if text is None else texts.index(text) for text in column], np.int32)
            found[name] = (texts, codes[number])
        return found

    def by_site(self, sites: Iterable[UUID]) -> dict[UUID, list[ForecastValue]]:
        """Return a dict with every one of the sites, in their order, to the list of its values."""
        found: dict[UUID, list[ForecastValue]] = {site: [] for site in sites}
        if values := self._models():
            site = _numbers(self.pieces["site_uuid"])[self.piece]
            for first, past in pairwise(np.flatnonzero(np.r_[True, site[1:] != site[:-1], True]).tolist()):
                found[uuid_of(self.pieces["site_uuid"][self.piece[first]])] = values[first:past]
        return found

    def _models(self) -> list[ForecastValue]:
        if not len(self.piece):
            return []
        with collector_paused():
            empty = empty_fields(ForecastValue)
            of_pieces = np.empty(len(self.pieces), object)
            of_pieces[:] = [empty.copy() for _ in self.sources]
            shared = {
                "timestamp_utc": times_of(self.pieces["timestamp_utc"]),
                "created_utc": times_of(self.pieces["created_utc"]),
                "forecast_uuid": uuid_objects(self.pieces["forecast_uuid"], all_distinct=True).tolist(),
                **dict(zip(_SOURCE, zip(*self.sources, strict=True), strict=True)),
            }
            for name, values in shared.items():
                for fields, value in zip(of_pieces, values, strict=True):
                    fields[name] = value
            own = (
                of_pieces[self.piece].tolist(),
                times_of(self.start_us),
                times_of(self.end_us),
                short_reals(self.power_kw).tolist(),
                self.horizon_minutes.tolist(),
            )
            every = []
            for of_piece, start_utc, end_utc, power_kw, horizon_minutes in zip(*own, strict=True):
                fields = of_piece.copy()
                fields["start_utc"] = start_utc
                fields["end_utc"] = end_utc
                fields["forecast_power_kw"] = power_kw
                fields["horizon_minutes"] = horizon_minutes
                every.append(fields)
            if any(names is not None for names, _ in self.levels):
                for fields, probabilistic_values in zip(every, self._probabilistic(), strict=True):
                    fields["probabilistic_values"] = probabilistic_values
            return models_of(ForecastValue, every)

    def _probabilistic(self) -> _Probabilistic:
        of_pieces = [_probabilistic(names, kw) for names, kw in self.levels]
        return [
            None if of_pieces[piece] is None else of_pieces[piece][slot]
            for piece, slot in zip(self.piece.tolist(), self.slot.tolist(), strict=True)
        ]


def _probabilistic(names: bytes | None, kw: bytes | None) -> _Probabilistic | None:
    """Return for each slot of a piece its probabilistic values by level; None for a slot without any."""
    if names is None or kw is None:
        return None
    levels, lines = read_text_array(names), read_real_array(kw)
    order = sorted(range(len(levels)), key=lambda n: (len(levels[n].encode()), levels[n].encode()))  # as in jsonb
    columns = [short_reals(lines[n]).tolist() for n in order]
    return [
        {levels[n]: power for n, power in zip(order, slot, strict=True) if power == power} or None  # noqa: PLR0124  NaN
        for slot in zip(*columns, strict=True)
    ]


def read_values(chunks: Iterable[bytes | bytearray | memoryview]) -> Values:
    """Read a binary COPY of pieces and lay out their values, ordered by site and start.

    Where pieces of a site overlap, the value of the newest forecast that has one counts.

    Raises:
        InvalidInput: the stream is truncated, is not a binary COPY stream, or its rows have other types.
    """
    pieces, encoded, arrays, levels = decode_ragged(PIECES, len(_SOURCE), len(_PROBABILISTIC), chunks)
    texts = {fields: tuple(None if text is None else text.decode() for text in fields) for fields in set(encoded)}
    order = np.lexsort((pieces["start_utc"].astype("=i8"), distinct_runs(pieces["site_uuid"])[1]))
    pieces, in_order = pieces[order], order.tolist()
    sources = [texts[encoded[n]] for n in in_order]
    levels = [levels[n] for n in in_order]
    lengths, power_kw = read_real_arrays([arrays[n] or b"" for n in in_order])
    piece = np.repeat(np.arange(len(pieces)), lengths)
    slot = np.arange(len(power_kw)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    laid_out = Values(pieces, sources, levels, piece, slot, power_kw)
    kept = np.arange(len(power_kw))
    if np.isnan(power_kw).any():
        kept = kept[~np.isnan(power_kw)]
    if len(kept) and _overlap(pieces, lengths):
        kept = _newest(laid_out, kept)
    return Values(pieces, sources, levels, piece[kept], slot[kept], power_kw[kept])


def _overlap(pieces: Array, lengths: Array) -> bool:
    """Return whether a piece starts before the piece of the same site before it has ended."""
    start = pieces["start_utc"].astype("=i8")
    end = start + lengths * pieces["resolution_minutes"].astype("=i8") * _MINUTE_US
    site = pieces["site_uuid"]
    return bool(((start[1:] < end[:-1]) & (site[1:] == site[:-1])).any())


def _newest(values: Values, kept: Array) -> Array:
    """Return, of these values, those of the newest forecast for each site and start, ordered by site and start."""
    pieces = values.pieces
    age = np.empty(len(pieces), np.intp)
    age[np.lexsort([pieces[name] for name in ("forecast_uuid", "created_utc", "timestamp_utc")])[::-1]] = np.arange(
        len(pieces)
    )
    site = _numbers(pieces["site_uuid"])[values.piece[kept]]
    start = values.start_us[kept]
    order = np.lexsort((age[values.piece[kept]], start, site))
    site, start = site[order], start[order]
    newest: Array = kept[order[np.r_[True, (site[1:] != site[:-1]) | (start[1:] != start[:-1])]]]
    return newest


def _numbers(sites: Array) -> Array:
    """Return for each piece the number of its site; pieces of a site are neighbours."""
    numbers: Array = np.cumsum(np.r_[False, sites[1:] != sites[:-1]])[: len(sites)]
    return numbers
