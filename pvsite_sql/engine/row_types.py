"""The columns of rows that are copied in binary format, in their order, with their PostgreSQL types."""

from __future__ import annotations

from .binary_copy import Type

__all__ = ["GENERATION", "PIECES", "READINGS"]

READINGS: dict[str, Type] = {
    "site_uuid": "uuid",
    "start_utc": "timestamptz",
    "end_utc": "timestamptz",
    "generation_power_kw": "double precision",
}
GENERATION: dict[str, Type] = {**READINGS, "created_utc": "timestamptz"}
PIECES: dict[str, Type] = {
    "site_uuid": "uuid",
    "start_utc": "timestamptz",
    "resolution_minutes": "integer",
    "horizon_minutes": "integer",
    "timestamp_utc": "timestamptz",
    "created_utc": "timestamptz",
    "forecast_uuid": "uuid",
}
