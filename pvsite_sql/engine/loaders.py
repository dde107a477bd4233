"""Convert values of the binary format to Python objects, independent of the session's settings."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader

from .reals import short_real
from .timestamps import datetime_of

__all__ = ["register"]

_INT8 = struct.Struct("!q")
_FLOAT4 = struct.Struct("!f")


class _UtcLoader(Loader):
    """Load timestamptz as aware datetimes in UTC, whatever TimeZone and DateStyle are. Equal values share an object."""

    format = pq.Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._seen: dict[bytes, datetime] = {}

    def load(self, data: Buffer) -> datetime:
        key = bytes(data)
        if (value := self._seen.get(key)) is None:
            value = self._seen[key] = datetime_of(_INT8.unpack(key)[0])
        return value


class _UuidLoader(Loader):
    """Load uuid. Equal values share an object."""

    format = pq.Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._seen: dict[bytes, UUID] = {}

    def load(self, data: Buffer) -> UUID:
        key = bytes(data)
        if (value := self._seen.get(key)) is None:
            value = self._seen[key] = UUID(bytes=key)
        return value


class _RealLoader(Loader):
    """Load real as the float that PostgreSQL prints."""

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> float:
        return short_real(_FLOAT4.unpack(data)[0])


def register(cursor: psycopg.Cursor[Any]) -> None:
    """Make a cursor use these loaders."""
    cursor.adapters.register_loader("timestamptz", _UtcLoader)
    cursor.adapters.register_loader("uuid", _UuidLoader)
    cursor.adapters.register_loader("float4", _RealLoader)
