"""Parses raw cells of files into frames of readings, with a reason for each invalid cell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pandas as pd

from .batch import Cells
from .layout import Layout
from .periods import PeriodParser
from .powers import parse_powers
from .reasons import Reasons
from .sites import SiteFinder, SiteParser, one_site
from .wide import check_sites

__all__ = ["CellParser"]


class CellParser:
    """Parses the cells of one file, batch by batch."""

    def __init__(self, layout: Layout, find_sites: SiteFinder, interval: timedelta | None = None) -> None:
        """Set the layout of the file, a function that finds sites, and the duration of a reading."""
        self._layout = layout
        self._sites = SiteParser(layout, find_sites)
        self._periods = PeriodParser(layout, interval)

    def frame(self, cells: Mapping[str, Cells], rows: int) -> tuple[pd.DataFrame, dict[int, tuple[str, str]]]:
        """Return a frame for `generation.insert`, and a column and a reason for each invalid row, by position."""
        reasons: dict[str, Reasons] = {}
        frame: dict[str, Any] = {}
        if self._layout.site_uuid is None:
            frame["site_uuid"], reasons["site_uuid"] = self._sites.parse(cells["site_uuid"])
            if self._layout.wide:
                check_sites(cells["site_uuid"], frame["site_uuid"], reasons["site_uuid"])
        else:
            frame["site_uuid"] = one_site(self._layout.site_uuid, rows)
        times, time_reasons = self._periods.parse(cells, frame["site_uuid"])
        frame |= times
        reasons |= time_reasons
        frame["power_kw"], reasons["power_kw"] = parse_powers(cells["power_kw"], self._layout)
        first: dict[int, tuple[str, str]] = {}
        for key, column_reasons in reasons.items():
            for row, reason in column_reasons.items():
                first.setdefault(row, (key, reason))
        return pd.DataFrame(frame), first

    def finish(self) -> None:
        """Check the file as a whole, after its last batch.

        Raises:
            InvalidInput: a whole column is invalid.
        """
        self._periods.finish()
