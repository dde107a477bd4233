"""Parses cells that name sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..engine.inputs import as_uuid
from ..errors import InvalidInput
from .batch import Cells
from .reasons import NO_VALUE, Reasons, by_row, factorize

__all__ = ["SiteParser", "one_site"]


class SiteParser:
    """Parses the site cells of one file, batch by batch."""

    def __init__(self, existing_sites: Callable[[Iterable[UUID]], set[UUID]]) -> None:
        """Set a function that returns which of the given sites exist."""
        self._existing_sites = existing_sites
        self._sites: dict[str, UUID] = {}

    def parse(self, cells: Cells) -> tuple[pd.Categorical, Reasons]:
        """Return the site of each row, and the reasons for invalid cells."""
        codes, uniques = factorize(cells)
        sites, reasons = dict.fromkeys(range(len(uniques))), {-1: NO_VALUE}
        for code, cell in enumerate(uniques.tolist()):
            text = cell.strip() if isinstance(cell, str) else cell
            if text in self._sites:
                sites[code] = self._sites[text]
            elif text == "":
                reasons[code] = NO_VALUE
            else:
                try:
                    sites[code] = as_uuid(text, "")
                except InvalidInput as error:
                    reasons[code] = error.reason
        new = {site for site in sites.values() if site is not None} - set(self._sites.values())
        missing = new - self._existing_sites(new) if new else set()
        for code, site in sites.items():
            if site in missing:
                reasons[code] = "no site has this uuid"
            elif site is not None:
                self._sites[uniques[code].strip()] = site
        categories = list(dict.fromkeys(site for site in sites.values() if site is not None))
        category_codes = {site: code for code, site in enumerate(categories)}
        new_codes = np.array([*(category_codes.get(site, -1) for site in sites.values()), -1])
        return _categorical(new_codes[codes], categories), by_row(codes, reasons)


def one_site(site_uuid: UUID, rows: int) -> pd.Categorical:
    """Return the same site for each of a number of rows."""
    return _categorical(np.zeros(rows, int), [site_uuid])


def _categorical(codes: Array, sites: list[UUID]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, pd.Index(sites, dtype=object))
