"""A COPY ... TO STDOUT that ends early."""

from __future__ import annotations

import psycopg
import pytest
from conftest import reading_frame

from pvsite_sql import PvsiteSqlError, Repository, Site

ROWS = 300_000  # more than the sockets' buffers hold
READERS = """
    SELECT pid FROM pg_stat_activity
    WHERE query LIKE 'COPY /* % */ (%' AND state = 'active' AND backend_type = 'client backend'
"""


@pytest.fixture
def full(repo: Repository, site: Site) -> Repository:
    """A repository with more readings than are in flight at once."""
    repo.generation.insert(reading_frame(site.site_uuid, rows=ROWS))
    return repo


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
def test_reader_is_told_when_its_stream_breaks_off(full: Repository, postgresql: psycopg.Connection, end: str) -> None:
    frames = full.generation.read_frames(chunk_rows=1000)
    seen = len(next(frames))
    assert postgresql.execute(f"SELECT {end}(pid) FROM ({READERS}) AS r").fetchall() == [(True,)]
    with pytest.raises((psycopg.OperationalError, PvsiteSqlError)) as failed:
        seen += sum(len(frame) for frame in frames)
    assert seen < ROWS
    broken = failed.value.__cause__ if isinstance(failed.value, PvsiteSqlError) else failed.value
    if end == "pg_cancel_backend":
        assert isinstance(broken, psycopg.errors.QueryCanceled)
    else:
        assert isinstance(broken, psycopg.OperationalError)
    assert len(full.generation.read_frame()) == ROWS


def test_reader_may_leave_its_stream(full: Repository, postgresql: psycopg.Connection) -> None:
    frames = full.generation.read_frames(chunk_rows=1000)
    next(frames)
    frames.close()
    assert postgresql.execute(f"SELECT count(*) FROM ({READERS}) AS r").fetchone() == (0,)
    assert len(full.generation.read_frame()) == ROWS


def test_stream_whose_parts_differ_in_size_is_whole(full: Repository) -> None:
    whole = full.generation.read_frame()
    for chunk_rows in (999, 65_536, ROWS, ROWS + 1):
        frames = list(full.generation.read_frames(chunk_rows=chunk_rows))
        assert [len(frame) for frame in frames[:-1]] == [chunk_rows] * (len(frames) - 1)
        assert sum(frame["generation_power_kw"].sum() for frame in frames) == pytest.approx(
            whole["generation_power_kw"].sum()
        )
        assert sum(map(len, frames)) == ROWS
