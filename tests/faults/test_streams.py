"""A stream of frames owns its connection until it ends: other calls on it are refused at once, and nothing hangs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from commands import until
from conftest import reading_frame

from pvsite_sql import PvsiteSqlError, Repository

from .programs import ends

ROWS = 30_000  # more than the sockets between hold, so that the server still sends
CHUNK = 1_000
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "get": lambda tx, site: tx.sites.get(site),
    "create": lambda tx, site: tx.sites.create(client_site_name="meanwhile"),
    "read": lambda tx, site: tx.generation.read([site]),
    "read_frame": lambda tx, site: tx.generation.read_frame([site]),
    "read_frames": lambda tx, site: next(tx.generation.read_frames([site])),
    "insert": lambda tx, site: tx.generation.insert(reading_frame(site, start="2020-01-01")),
    "insert_frames": lambda tx, site: tx.generation.insert(iter([reading_frame(site, start="2020-01-01")])),
    "latest_frame": lambda tx, site: tx.forecasts.latest_frame(),
    "insert_forecasts": lambda tx, site: tx.forecasts.insert(forecast(site)),
}


def forecast(site: Any) -> pd.DataFrame:
    frame = reading_frame(site, start="2020-01-01", rows=2).rename(columns={"power_kw": "forecast_power_kw"})
    return frame.assign(timestamp_utc=frame["start_utc"].min(), end_utc=frame["start_utc"] + pd.Timedelta(minutes=5))


@pytest.fixture
def history(repo, site) -> Any:
    """A site with readings that a stream takes a while for."""
    repo.generation.insert(reading_frame(site.site_uuid, rows=ROWS))
    return site.site_uuid


def stored(repo: Repository) -> tuple[int, int]:
    """Sites and readings; whatever was written in a test that is refused would show here."""
    return len(repo.sites.list()), len(repo.generation.read_frame())


@pytest.mark.parametrize("name", CALLS)
@ends
def test_a_call_in_a_loop_over_a_stream_of_its_transaction_is_refused(repo, history, name):
    count = 0
    with repo.transaction() as tx:
        for frame in tx.generation.read_frames(chunk_rows=CHUNK):
            count += len(frame)
            if count == 3 * CHUNK:
                with pytest.raises(PvsiteSqlError):
                    CALLS[name](tx, history)
    assert count == ROWS  # the refusal leaves the stream alone
    assert stored(repo) == (1, ROWS)


@ends
def test_such_an_error_may_leave_the_loop_and_the_block(repo, history):
    with pytest.raises(PvsiteSqlError), repo.transaction() as tx:  # noqa: PT012
        tx.sites.create()
        for _ in tx.generation.read_frames(chunk_rows=CHUNK):
            tx.sites.create()
    assert stored(repo) == (1, ROWS)


@pytest.mark.parametrize("on_conflict", ["ignore", "update"])
@ends
def test_a_stream_is_not_inserted_into_its_own_transaction(repo, history, on_conflict):
    with repo.transaction() as tx:
        tx.sites.create()
        with pytest.raises(PvsiteSqlError):
            tx.generation.insert(tx.generation.read_frames(chunk_rows=CHUNK), on_conflict=on_conflict)
        assert len(tx.sites.list()) == 2
    assert stored(repo) == (2, ROWS)


@ends
def test_a_stream_of_the_repository_is_inserted_into_a_transaction(repo, history):
    to = repo.sites.create().site_uuid
    with repo.transaction() as tx:
        frames = (frame.assign(site_uuid=to) for frame in repo.generation.read_frames(chunk_rows=CHUNK))
        assert tx.generation.insert(frames).inserted == ROWS
    assert stored(repo) == (2, 2 * ROWS)


@ends
def test_the_end_of_the_block_closes_its_streams(repo, history):
    with repo.transaction() as tx:
        tx.sites.create()
        frames = tx.generation.read_frames(chunk_rows=CHUNK)
        next(frames)
    assert stored(repo) == (2, ROWS)
    with pytest.raises(PvsiteSqlError):
        next(frames)
    is_whole(repo)


@ends
def test_an_exception_that_leaves_the_block_closes_its_streams(repo, history):
    with pytest.raises(ValueError, match="enough"), repo.transaction() as tx:  # noqa: PT012
        tx.sites.create()
        frames = tx.generation.read_frames(chunk_rows=CHUNK)
        next(frames)
        raise ValueError("enough")
    assert stored(repo) == (1, ROWS)
    is_whole(repo)


@ends
def test_an_iterator_that_was_not_begun_is_refused_after_the_block(repo, history):
    with repo.transaction() as tx:
        frames = tx.generation.read_frames(chunk_rows=CHUNK)
    with pytest.raises(PvsiteSqlError):
        next(frames)
    is_whole(repo)


@ends
def test_after_the_last_frame_calls_go_on(repo, history):
    with repo.transaction() as tx:
        assert sum(len(frame) for frame in tx.generation.read_frames(chunk_rows=CHUNK)) == ROWS
        tx.sites.create()
        frames = tx.generation.read_frames(chunk_rows=CHUNK)
        next(frames)
        frames.close()
        tx.sites.create()
    assert stored(repo) == (3, ROWS)


@ends
def test_a_break_out_of_a_named_iterator_is_said_and_close_mends_it(repo, history):
    with repo.transaction() as tx:
        frames = tx.generation.read_frames(chunk_rows=CHUNK)
        for _ in frames:
            break
        for _ in range(2):
            with pytest.raises(PvsiteSqlError):
                tx.sites.create()
        frames.close()
        tx.sites.create()
    assert stored(repo) == (2, ROWS)


@ends
def test_a_break_out_of_a_loop_without_a_name_ends_the_stream(repo, history):
    with repo.transaction() as tx:
        for _ in tx.generation.read_frames(chunk_rows=CHUNK):
            break
        tx.sites.create()
    assert stored(repo) == (2, ROWS)


@ends
def test_of_two_streams_of_one_transaction_the_second_is_refused(repo, history):
    with repo.transaction() as tx:
        one, other = (tx.generation.read_frames(chunk_rows=CHUNK) for _ in range(2))
        next(one)
        with pytest.raises(PvsiteSqlError):
            next(other)
        assert sum(len(frame) for frame in one) == ROWS - CHUNK


@ends
def test_streams_of_the_repository_and_other_calls_work_side_by_side(repo, history):
    count = 0
    with repo.transaction() as tx:
        for one, other in zip(
            repo.generation.read_frames(chunk_rows=CHUNK), repo.generation.read_frames(chunk_rows=CHUNK), strict=True
        ):
            count += len(one)
            assert one.equals(other)
            if count % (10 * CHUNK) == 0:
                repo.sites.create()
                tx.sites.create()
                repo.generation.insert(reading_frame(history, start="2020-01-01"))
    assert count == ROWS
    assert stored(repo) == (7, ROWS + 12)
    is_whole(repo)


def is_whole(repo: Repository) -> None:
    """No connection is lost to the pool."""
    until(lambda: repo.stats().pool["pool_available"] == repo.stats().pool["pool_size"])
