"""What the fault tests share. `slow` is collected only where a command names it, as tox's `faults` does."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pvsite_sql import Repository

from .proxy import Proxy

collect_ignore = ["slow"]


@pytest.fixture
def proxy(postgresql: psycopg.Connection) -> Iterator[Proxy]:
    """A relay to the server."""
    with Proxy(postgresql) as running:
        yield running


@pytest.fixture
def through(proxy: Proxy, dsn: str) -> Iterator[Repository]:
    """A repository that reaches the server through it."""
    with Repository(proxy.dsn(dsn), min_size=1, max_size=2) as repository:
        yield repository


@pytest.fixture
def observer(postgresql: psycopg.Connection) -> psycopg.Connection:
    """A connection of the test's own to its database, beside the proxy, without transactions."""
    postgresql.autocommit = True
    return postgresql
