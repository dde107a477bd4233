"""Parses raw cells of files into frames of readings, with a reason for each invalid cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .batch import Cells
from .layout import Layout
from .powers import parse_powers
from .reasons import Reasons
from .sites import SiteFinder, SiteParser, one_site
from .times import TimeParser
from .wide import check_sites

__all__ = ["CellParser"]


class CellParser:
    """Parses the cells of one file, batch by batch."""

    def __init__(self, layout: Layout, find_sites: SiteFinder) -> None:
        """Set the layout of the file, and a function that finds sites."""
        self._layout = layout
        self._sites = SiteParser(layout, find_sites)
        self._times = {key: TimeParser(layout) for key in ("start_utc", "end_utc")}

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
        for key, parser in self._times.items():
            if key in cells:
                frame[key], reasons[key] = parser.parse(cells[key], frame["site_uuid"])
        frame["power_kw"], reasons["power_kw"] = parse_powers(cells["power_kw"], self._layout)
        first: dict[int, tuple[str, str]] = {}
        for key, column_reasons in reasons.items():
            for row, reason in column_reasons.items():
                first.setdefault(row, (key, reason))
        return pd.DataFrame(frame), first
