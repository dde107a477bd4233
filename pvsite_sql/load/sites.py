"""Parses cells that name sites."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..engine.inputs import as_text, as_uuid
from ..engine.session import QueryConnection
from ..errors import InvalidInput, NotFound
from ..repository import Repository
from .batch import Cells
from .layout import Layout
from .reasons import NO_VALUE, Reasons, by_row, factorize, reason_of

__all__ = ["SiteFinder", "SiteParser", "check_site", "find_site", "is_site_key", "one_site", "site_finder"]

SiteFinder = Callable[[Collection[Any]], Mapping[Any, Sequence[UUID]]]
"""Returns the sites that have each of the given keys: UUIDs, numbers or names, as the layout's `site_key` says."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.0*)?")  # 2607.0 is what a program writes that keeps numbers as floats
_QUERIES = {
    "client_site_id": ("load/sites_by_client_site_id", "client_site_ids"),
    "client_site_name": ("load/sites_by_client_site_name", "client_site_names"),
    "ml_id": ("load/sites_by_ml_id", "ml_ids"),
}


def site_finder(repo: Repository, layout: Layout) -> SiteFinder:
    """Return a function that finds sites by their keys. Each call is one query."""

    def find(keys: Collection[Any]) -> Mapping[Any, Sequence[UUID]]:
        if layout.site_key == "site_uuid":
            sites = repo.sites.list(site_uuids=keys, client_name=layout.client_name)
            return {site.site_uuid: [site.site_uuid] for site in sites}
        name, parameter = _QUERIES[layout.site_key]
        found: dict[Any, list[UUID]] = {}
        with repo.connection() as connection:
            rows = QueryConnection(connection).records(
                name, **{parameter: list(keys), "client_name": layout.client_name or ""}
            )
        for row in rows:
            found.setdefault(row["key"], []).append(row["site_uuid"])
        return found

    return find


def check_site(repo: Repository, site_uuid: UUID, client_name: str | None) -> None:
    """See that a site exists, and that it is a site of the client.

    Raises:
        NotFound: it does not exist, or is another client's.
    """
    if not repo.sites.list(site_uuids=[site_uuid], client_name=client_name):
        raise NotFound(f"no site{_of_client(client_name)} has the uuid {site_uuid}")


def find_site(repo: Repository, layout: Layout, key: str | int) -> UUID:
    """Return the site that has a key, which the layout's `site_key` and `client_name` explain.

    Raises:
        NotFound: no site or several sites have it, or the client does not exist.
    """
    if layout.client_name is not None:
        repo.clients.get(layout.client_name)
    sites, reasons = SiteParser(layout, site_finder(repo, layout)).parse([str(key)])
    if reasons:
        raise NotFound(reasons[0])
    return UUID(str(sites[0]))


class SiteParser:
    """Parses the site cells of one file, batch by batch."""

    def __init__(self, layout: Layout, find_sites: SiteFinder) -> None:
        """Set the layout of the file, and a function that finds sites."""
        self._layout = layout
        self._find_sites = find_sites
        self._sites: dict[object, UUID] = {}

    def parse(self, cells: Cells) -> tuple[pd.Categorical, Reasons]:
        """Return the site of each row, and the reasons for invalid cells."""
        codes, uniques = factorize(cells)
        texts = [cell.strip() if isinstance(cell, str) else cell for cell in uniques.tolist()]
        reasons, keys = {-1: NO_VALUE}, {}
        for code, text in enumerate(texts):
            if text == "":
                reasons[code] = NO_VALUE
            elif text not in self._sites:
                try:
                    keys[code] = _parse_key(text, self._layout.site_key)
                except InvalidInput as error:
                    reasons[code] = error.reason
        found = self._find_sites(set(keys.values())) if keys else {}
        for code, key in keys.items():
            sites = found.get(key, ())
            if len(sites) == 1:
                self._sites[texts[code]] = sites[0]
            else:
                reasons[code] = self._reason(len(sites), str(texts[code]))
        of_code = [None if code in reasons else self._sites[text] for code, text in enumerate(texts)]
        categories = list(dict.fromkeys(site for site in of_code if site is not None))
        category_codes = {site: code for code, site in enumerate(categories)}
        new_codes = np.array([*(-1 if site is None else category_codes[site] for site in of_code), -1])
        return _categorical(new_codes[codes], categories), by_row(codes, reasons)

    def _reason(self, count: int, text: str) -> str:
        """Return why a key that none or several sites have names no site."""
        key, client = self._layout.site_key, self._layout.client_name
        of_client = _of_client(client)
        if key == "site_uuid":
            return f"no site{of_client} has this uuid"
        if not count:
            return reason_of(f"no site{of_client} has this {key}", text)
        advice = "choose one with --client" if client is None else "use another --site-key"
        return reason_of(f"{count} sites{of_client} have this {key}, {advice}", text)


def _of_client(client_name: str | None) -> str:
    return "" if client_name is None else f" of client {client_name!r}"


def _parse_key(cell: Any, site_key: str) -> UUID | str | int:
    """Return the key in a cell that is not empty.

    Raises:
        InvalidInput: it is none.
    """
    if site_key == "site_uuid":
        try:
            return as_uuid(cell, "")
        except InvalidInput as error:
            raise error.replace(reason=f"{error.reason} (--site-key is for other keys)") from None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if site_key == "client_site_name":
        return as_text(str(cell), "")
    if not _NUMBER.fullmatch(str(cell)):
        raise InvalidInput(reason_of(f"not a {site_key}, which is a whole number", str(cell)))
    number = int(str(cell).partition(".")[0])
    if not -(2**31) <= number < 2**31:
        raise InvalidInput(reason_of(f"no site has this {site_key}", str(cell)))
    return number


def is_site_key(cell: Any, site_key: str) -> bool:
    """Whether a cell is a key that a site can have."""
    try:
        _parse_key(cell, site_key)
    except InvalidInput:
        return False
    return True


def one_site(site_uuid: UUID, rows: int) -> pd.Categorical:
    """Return the same site for each of a number of rows."""
    return _categorical(np.zeros(rows, int), [site_uuid])


def _categorical(codes: Array, sites: list[UUID]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, pd.Index(sites, dtype=object))
