"""Parses raw cells of files into frames of readings, with a reason for each invalid cell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..errors import InvalidInput
from .batch import Cells
from .energy import durations_us, mean_powers, millionths
from .layout import Layout
from .periods import PeriodParser
from .plausible import check_energies
from .powers import PowerParser
from .reasons import Reasons
from .sites import SiteFinder, SiteParser, one_site
from .units import is_energy
from .wide import check_sites

__all__ = ["CellParser"]


class CellParser:
    """Parses the cells of one file, batch by batch.

    Attributes:
        notes: sentences about what may be wrong.
    """

    def __init__(
        self,
        layout: Layout,
        find_sites: SiteFinder,
        interval: timedelta | None = None,
        powers: PowerParser | None = None,
    ) -> None:
        """Set the file.

        Args:
            layout: its columns and formats.
            find_sites: a function that finds sites.
            interval: the duration of readings without an end; None: not given.
            powers: the parser of power cells that several files share; None: one of its own.
        """
        self.notes: list[str] = []
        self._layout = layout
        self._interval = interval
        self._sites = SiteParser(layout, find_sites)
        self._periods = PeriodParser(layout, interval)
        self._powers = powers or PowerParser(layout)
        self._looked_at = False

    def frame(self, cells: Mapping[str, Cells], rows: int) -> tuple[pd.DataFrame, dict[int, tuple[str, str]], Array]:
        """Return a frame for `generation.insert`; of a counter, its states in millionths of the unit.

        Also return a column and a reason for each invalid row, by position, and the positions of the rows to skip.
        """
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
        frame["power_kw"], reasons["power_kw"], skipped = self._powers.parse(cells["power_kw"])
        if is_energy(self._layout.unit):
            frame["power_kw"] = self._of_energies(frame, [*reasons["power_kw"], *skipped.tolist()])
        first: dict[int, tuple[str, str]] = {}
        for key, column_reasons in reasons.items():
            for row, reason in column_reasons.items():
                first.setdefault(row, (key, reason))
        for row in skipped.tolist():
            first.pop(row, None)
        return pd.DataFrame(frame), first, skipped

    def _of_energies(self, frame: Mapping[str, Any], invalid: list[int]) -> Any:
        """Return the mean powers; of a counter, its states in millionths of the unit."""
        energies = frame["power_kw"]
        if not isinstance(energies, np.ndarray):
            return energies  # not numbers, which are rejected later
        if self._layout.counter:
            return millionths(energies)
        durations = durations_us(frame["start_utc"], frame.get("end_utc"), self._interval)
        if durations is None:
            raise InvalidInput(
                f"energy in {self._layout.unit} requires the duration of a row: add --interval (minutes), or "
                "--end-column if the file has the ends",
                column="power_kw",
            )
        if not self._looked_at and isinstance(frame["start_utc"], pd.DatetimeIndex):
            self._looked_at = True
            looked_at = energies.copy()
            looked_at[invalid] = np.nan
            interval = None if "end_utc" in frame else self._interval
            if note := check_energies(frame["site_uuid"], frame["start_utc"], looked_at, interval):
                self.notes.append(note)
        return mean_powers(millionths(energies), self._layout.unit, durations)

    def finish(self) -> None:
        """Check the file as a whole, after its last batch.

        Raises:
            InvalidInput: a whole column is invalid.
        """
        self._periods.finish()
