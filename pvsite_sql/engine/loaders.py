"""How values of the binary format become Python's, whatever the session's settings are."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader

from .rows import EPOCH

__all__ = ["register"]

_REAL = struct.Struct("!f")


class _UtcLoader(Loader):
    """timestamptz as aware UTC, whatever the session's TimeZone and DateStyle; rows share what they have in common."""

    format = pq.Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._seen: dict[bytes, datetime] = {}

    def load(self, data: Buffer) -> datetime:
        key = bytes(data)
        if (value := self._seen.get(key)) is None:
            value = self._seen[key] = EPOCH + timedelta(microseconds=struct.unpack("!q", key)[0])
        return value


class _UuidLoader(Loader):
    """uuid; rows share what they have in common."""

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
    """real as PostgreSQL writes it: 1.1, not 1.10000002."""

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> float:
        (exact,) = _REAL.unpack(data)
        for digits in (".6g", ".7g", ".8g"):
            if _REAL.pack(short := float(format(exact, digits))) == data:
                return short
        return float(format(exact, ".9g"))


def register(cursor: psycopg.Cursor[Any]) -> None:
    """Let a cursor load with these."""
    cursor.adapters.register_loader("timestamptz", _UtcLoader)
    cursor.adapters.register_loader("uuid", _UuidLoader)
    cursor.adapters.register_loader("float4", _RealLoader)
