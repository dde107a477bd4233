"""Refused constraints, as the package's errors."""

from __future__ import annotations

import psycopg

from ..errors import CheckFailed, ConstraintError, Duplicate, MissingReference

__all__ = ["as_package_error", "range_of_check"]

_ERRORS: dict[type[psycopg.Error], type[ConstraintError]] = {
    psycopg.errors.UniqueViolation: Duplicate,
    psycopg.errors.ForeignKeyViolation: MissingReference,
    psycopg.errors.CheckViolation: CheckFailed,
    psycopg.errors.NotNullViolation: CheckFailed,
}
_RANGES = {
    "site_groups_service_level_check": "service_level must be 0 or greater",
    "sites_asset_type_check": "asset_type must be pv or wind",
    "sites_orientation_check": "orientation must be from 0 to 360 degrees",
    "sites_tilt_check": "tilt must be from 0 to 180 degrees",
    "sites_latitude_check": "latitude must be from -90 to 90 degrees",
    "sites_longitude_check": "longitude must be from -180 to 180 degrees",
    "sites_capacity_kw_check": "capacity_kw must be 0 or greater, and finite",
    "sites_inverter_capacity_kw_check": "inverter_capacity_kw must be 0 or greater, and finite",
    "sites_module_capacity_kw_check": "module_capacity_kw must be 0 or greater, and finite",
    "generation_end_after_start": "end_utc must be after start_utc, and finite",
    "generation_power_finite": "generation_power_kw must be finite",
    "forecasts_resolution": "a forecast's values must last from 1 to 1440 minutes",
}


def range_of_check(constraint_name: str | None) -> str | None:
    """The range that a CHECK constraint allows, in words; None for any other constraint."""
    return _RANGES.get(constraint_name or "")


def as_package_error(error: psycopg.Error) -> Exception:
    """The error of the package for a refused constraint; any other error as it is."""
    for refused, kind in _ERRORS.items():
        if isinstance(error, refused):
            # of a failed CHECK the detail is the whole row
            shown = error.diag.message_detail if kind is not CheckFailed else None
            detail = f": {shown}" if shown else ""
            name = error.diag.constraint_name
            message = range_of_check(name) or f"{error.diag.message_primary}{detail}"
            return kind(message, constraint_name=name)
    return error
