"""What `pvsite-sql migrate` leaves in the server's log."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from commands import run

from pvsite_sql import embedded


@pytest.fixture
def server() -> Iterator[embedded.Server]:
    try:
        with embedded.server(settings={"fsync": "off", "log_min_messages": "warning"}) as running:
            yield running
    except embedded.EmbeddedUnavailable as error:
        pytest.skip(f"no server of its own can be started here: {error}")


def test_migrating_is_no_error(server):
    dsn = server.create_database("solar")
    for expected in ("0001.initial-schema applied", "No pending migrations."):
        code, out, err = run("migrate", "--dsn", dsn)
        assert (code, out.splitlines()[0], err) == (0, expected, "")
        assert run("check", "--dsn", dsn)[0] == 0
        log = server.log_file.read_text()
        assert re.findall(r"^.*(?:ERROR|FATAL|PANIC).*$", log, re.MULTILINE) == []
    assert "ready to accept connections" in log
