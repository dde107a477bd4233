"""Reads the first rows of a file as a load does, without a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import pandas as pd

from .batch import Batch
from .counters import Counters
from .frame_reader import FrameReader
from .layout import Layout
from .lines import Lines
from .rejects import Rejects

__all__ = ["Trial", "try_load"]

_MAX_READINGS = 100_000


@dataclass(frozen=True)
class Trial:
    """What a load makes of the first rows of a file.

    Attributes:
        readings: the readings: `site`, `start_utc`, `end_utc` and `power_kw`. The site is what the file says; "" if
            the layout has it.
        invalid: how many rows cannot be stored.
        first_invalid: the first of them, with the reason; None if there is none.
        keys: what the file says for the sites: UUIDs, numbers or names.
    """

    readings: pd.DataFrame
    invalid: int
    first_invalid: str | None
    keys: list[Any]


def try_load(file: str, layout: Layout, interval: timedelta) -> Trial:
    """Read the first rows of a file as a load does. Every site that the file names is taken to exist.

    Raises:
        InvalidInput: the file does not fit the layout.
        PvsiteSqlError: the file cannot be read.
    """
    sites: dict[UUID, Any] = {}

    def find_sites(keys: Collection[Any]) -> Mapping[Any, list[UUID]]:
        found = {key: key if isinstance(key, UUID) else uuid5(NAMESPACE_OID, str(key)) for key in keys}
        sites.update({site: key for key, site in found.items()})
        return {key: [site] for key, site in found.items()}

    invalid = _Invalid(layout)
    counters = Counters(layout, interval) if layout.counter else None
    reader = FrameReader(layout, interval, find_sites, invalid, counters, unique_keys=False)
    read = [pd.DataFrame(columns=["site_uuid", "start_utc", "power_kw"])]
    with closing(reader.frames([file], Lines())) as frames:
        for frame, _ in frames:
            read.append(frame)
            if sum(map(len, read)) >= _MAX_READINGS:
                break
    frame = pd.concat([each for each in read if len(each)] or read, ignore_index=True)
    ends = frame["end_utc"] if "end_utc" in frame else frame["start_utc"] + interval
    readings = pd.DataFrame(
        {
            "site": [str(sites.get(site, "")) for site in frame["site_uuid"]],
            "start_utc": pd.to_datetime(frame["start_utc"], utc=True),
            "end_utc": pd.to_datetime(ends, utc=True),
            "power_kw": frame["power_kw"].astype("f8"),
        }
    )
    return Trial(readings, invalid.count, invalid.first, list(sites.values()))


class _Invalid(Rejects):
    """Counts rejected rows, and keeps the first one."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(None, layout, [])
        self.first: str | None = None

    def add(self, batch: Batch, reasons: Mapping[int, tuple[str, str]]) -> None:
        rejected = [
            (int(batch.numbers[row]), f"{batch.columns.get(key, key)}: {reason}")
            for row, (key, reason) in reasons.items()
        ]
        rejected += batch.unreadable
        self.count += len(rejected)
        if self.first is None:
            number, reason = min(rejected)
            self.first = f"{batch.number_kind} {number}: {reason}"
