"""Selects the sites whose rows a prune deletes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ..engine.inputs import as_name, as_uuids
from ..engine.session import QueryConnection
from ..errors import InvalidInput, NotFound

__all__ = ["SiteFilter"]


@dataclass(frozen=True, kw_only=True)
class SiteFilter:
    """Selects sites. A site must match all filters that are given, and any one value of each.

    Attributes:
        site_uuids: the sites. Deleted sites count only if this is the only filter.
        countries: the countries of the sites.
        site_group_names: the names of site groups that the sites are in.

    Raises:
        InvalidInput: a filter is empty or invalid, or none is given.
    """

    site_uuids: Sequence[UUID | str] | None = None
    countries: Sequence[str] | None = None
    site_group_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        given = {name: values for name, values in vars(self).items() if values is not None}
        if not given:
            raise InvalidInput("a site filter requires site_uuids, countries or site_group_names")
        for name, values in given.items():
            if isinstance(values, str) or not list(values):
                raise InvalidInput(f"must be a list that is not empty, got {values!r}", column=name)
        as_uuids(self.site_uuids or (), "site_uuids")
        for name in ("countries", "site_group_names"):
            for value in given.get(name, ()):
                as_name(value, name)

    def find(self, conn: QueryConnection) -> list[UUID]:
        """Return the UUIDs of the sites, in ascending order.

        Raises:
            NotFound: a site, country or site group does not exist.
        """
        parameters = {
            "site_uuids": as_uuids(self.site_uuids or (), "site_uuids"),
            "countries": list(self.countries or ()),
            "site_group_names": list(self.site_group_names or ()),
        }
        unknown = conn.records("prune/find_unknown_names", **parameters)
        if unknown:
            raise NotFound(", ".join(f"no {each['kind']} {each['name']!r}" for each in unknown))
        return conn.values("prune/find_sites", **parameters)
