"""Readings and forecasts as Arrow: the same as the frames, and who owns the connection of a reader."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from arrow import Stream
from commands import until
from conftest import reading_frame
from forecast_cases import HOUR, NOON, forecast_frame

from pvsite_sql import InsertResult, InvalidInput, PvsiteSqlError, Repository

ROWS = 30_000  # more than the sockets between hold, so that the server still sends
CHUNK = 1_000
TIME = pa.timestamp("us", tz="UTC")
READINGS = pa.schema(
    {
        "site_uuid": pa.string(),
        "start_utc": TIME,
        "end_utc": TIME,
        "generation_power_kw": pa.float64(),
        "created_utc": TIME,
    }
)


@pytest.fixture
def history(repo: Repository) -> UUID:
    """A site with readings that a reader takes a while for."""
    site = repo.sites.create().site_uuid
    repo.generation.insert(reading_frame(site, rows=ROWS))
    return site


def is_whole(repo: Repository) -> bool:
    """Whether every connection is back in the pool."""
    pool = repo.stats().pool
    return pool["pool_available"] == pool["pool_size"]


def as_frame(table: pa.Table) -> pd.DataFrame:
    """A table as the frame methods return it."""
    frame = table.to_pandas()
    for name in frame.columns.intersection(["site_uuid", "forecast_uuid"]):
        frame[name] = pd.Series([UUID(text) for text in frame[name]], dtype=object)
    for name in frame.select_dtypes("category"):
        if not len(frame[name].cat.categories):  # pandas then knows no type
            frame[name] = pd.Categorical.from_codes(frame[name].cat.codes, pd.Index([], dtype="str"))
    return frame


@pytest.mark.parametrize("chunk_rows", [1, 7, 12, 100_000])
def test_it_is_what_read_frame_returns(repo, chunk_rows):
    sites = [repo.sites.create().site_uuid for _ in range(3)]
    repo.generation.insert(pd.concat([reading_frame(site, power_kw=n / 3) for n, site in enumerate(sites)]))
    for asked in (
        {},
        {"site_uuids": sites[:2]},
        {"site_uuids": []},
        {"start_utc": NOON},
        {"end_utc": NOON - 12 * HOUR},
    ):
        reader = repo.generation.read_arrow(**asked, chunk_rows=chunk_rows)
        assert isinstance(reader, pa.RecordBatchReader)
        assert reader.schema == READINGS
        batches = list(reader)
        expected = repo.generation.read_frame(**asked)
        assert [len(batch) for batch in batches] == [
            min(chunk_rows, len(expected) - n) for n in range(0, len(expected), chunk_rows)
        ]
        pd.testing.assert_frame_equal(as_frame(pa.Table.from_batches(batches, READINGS)), expected)


def test_other_libraries_read_it_by_its_stream(repo, history):
    expected = repo.generation.read_arrow().read_all()
    assert len(expected) == ROWS
    assert pa.table(Stream(repo.generation.read_arrow())).equals(expected)
    assert is_whole(repo)


@pytest.mark.parametrize("bad", [{"chunk_rows": 0}, {"chunk_rows": "x"}, {"site_uuids": ["x"]}, {"start_utc": "soon"}])
def test_what_cannot_be_asked(repo, bad):
    with pytest.raises(InvalidInput) as caught:
        repo.generation.read_arrow(**bad)
    assert caught.value.column == next(iter(bad))


def test_it_goes_into_another_database_as_it_comes(repo, history, databases):
    with databases.clone("copy") as other_dsn, Repository(other_dsn) as other:
        with psycopg.connect(other_dsn) as connection:
            connection.execute("INSERT INTO sites (site_uuid) VALUES (%s)", [history])
        assert other.generation.insert(repo.generation.read_arrow(chunk_rows=CHUNK)) == InsertResult(inserted=ROWS)
        assert other.generation.insert(repo.generation.read_arrow(), on_conflict="update") == InsertResult(skipped=ROWS)
        columns = ["site_uuid", "start_utc", "end_utc", "generation_power_kw"]
        pd.testing.assert_frame_equal(other.generation.read_frame()[columns], repo.generation.read_frame()[columns])


class TestOwner:
    """The connection is the reader's from the first batch to the end, and then the pool's."""

    @pytest.fixture
    def reader(self, repo: Repository, history: UUID) -> Iterator[pa.RecordBatchReader]:
        until(lambda: is_whole(repo))
        gc.disable()  # what is dropped gives its connection back at once
        yield repo.generation.read_arrow(chunk_rows=CHUNK)
        gc.enable()

    def test_nothing_is_asked_before_the_first_batch(self, repo, reader):
        assert reader.schema == READINGS
        assert is_whole(repo)
        reader.read_next_batch()
        assert not is_whole(repo)
        reader.close()

    def test_read_to_its_end(self, repo, reader):
        assert sum(len(batch) for batch in reader) == ROWS
        assert is_whole(repo)
        reader.close()

    def test_closed_half_read(self, repo, reader):
        reader.read_next_batch()
        reader.close()
        reader.close()
        assert is_whole(repo)
        with pytest.raises(ValueError, match="the reader is closed"):
            reader.read_next_batch()

    def test_a_with_block_closes_it(self, repo, reader):
        with reader:
            assert len(reader.read_next_batch()) == CHUNK
        assert is_whole(repo)

    def test_dropped_half_read(self, repo, history):
        gc.disable()
        try:
            repo.generation.read_arrow(chunk_rows=CHUNK).read_next_batch()
            assert is_whole(repo)
            for _ in repo.generation.read_arrow(chunk_rows=CHUNK):
                break
            assert is_whole(repo)
        finally:
            gc.enable()

    def test_dropped_by_another_library(self, repo, history):
        stream = pa.RecordBatchReader.from_stream(repo.generation.read_arrow(chunk_rows=CHUNK))
        stream.read_next_batch()
        assert not is_whole(repo)
        stream.close()
        assert is_whole(repo)

    def test_the_server_ends_the_session(self, repo, reader, postgresql):
        reader.read_next_batch()
        postgresql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'COPY%%generation/read%%' AND pid <> pg_backend_pid()"
        )
        with pytest.raises(psycopg.OperationalError):
            reader.read_all()
        until(lambda: is_whole(repo))
        assert repo.generation.read_arrow().read_all().num_rows == ROWS

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
    def test_an_exception_in_the_middle_comes_out_as_it_is(self, repo, history, kind, monkeypatch):
        from pvsite_sql import generation  # noqa: PLC0415  what is patched

        decoded = generation.decode_in_blocks

        def failing(*arguments: Any) -> Iterator[Any]:
            blocks = decoded(*arguments)
            yield next(blocks)
            raise kind

        monkeypatch.setattr(generation, "decode_in_blocks", failing)
        with pytest.raises(kind):
            repo.generation.read_arrow(chunk_rows=CHUNK).read_all()
        assert is_whole(repo)

    def test_another_thread_goes_on_with_it(self, repo, reader):
        rows = [len(reader.read_next_batch())]
        thread = threading.Thread(target=lambda: rows.extend(len(batch) for batch in reader))
        thread.start()
        thread.join(60)
        assert sum(rows) == ROWS
        assert is_whole(repo)

    def test_in_a_transaction_other_calls_are_refused_until_it_is_closed(self, repo, history):
        with repo.transaction() as tx:
            reader = tx.generation.read_arrow(chunk_rows=CHUNK)
            tx.sites.create()
            reader.read_next_batch()
            with pytest.raises(PvsiteSqlError, match="read_arrow"):
                tx.sites.create()
            reader.close()
            tx.sites.create()
            assert tx.generation.read_arrow(chunk_rows=CHUNK).read_all().num_rows == ROWS
            tx.sites.create()
        assert len(repo.sites.list()) == 4

    def test_the_end_of_the_transaction_ends_it(self, repo, history):
        with repo.transaction() as tx:
            reader = tx.generation.read_arrow(chunk_rows=CHUNK)
            unread = tx.generation.read_arrow()
            reader.read_next_batch()
        assert is_whole(repo)
        for each in (reader, unread):
            with pytest.raises(PvsiteSqlError, match="the transaction has ended"):
                each.read_all()

    def test_a_large_stream_of_the_same_transaction_is_refused(self, repo, history, monkeypatch):
        from pvsite_sql.engine import arrow_streams  # noqa: PLC0415  what is patched

        monkeypatch.setattr(arrow_streams, "PART_ROWS", CHUNK)
        with repo.transaction() as tx, pytest.raises(PvsiteSqlError, match="a stream of this transaction is open"):
            tx.generation.insert(tx.generation.read_arrow(chunk_rows=CHUNK), on_conflict="update")


class TestLatest:
    """`latest_arrow`."""

    def test_it_is_what_latest_frame_returns(self, repo):
        sites = [repo.sites.create().site_uuid for _ in range(3)]
        for site in sites[:2]:
            repo.forecasts.insert(forecast_frame(site, [0.1, None, 2.5], model_name="m"))
            repo.forecasts.insert(forecast_frame(site, [1 / 3], timestamp=NOON + HOUR))
        for asked in (
            {},
            {"site_uuids": sites[1:]},
            {"site_uuids": []},
            {"model_name": "m"},
            {"start_utc": NOON + HOUR},
        ):
            table = repo.forecasts.latest_arrow(**asked)
            expected = repo.forecasts.latest_frame(**asked)
            assert isinstance(table, pa.Table)
            pd.testing.assert_frame_equal(as_frame(table), expected)
        assert is_whole(repo)

    def test_types(self, repo, site):
        repo.forecasts.insert(forecast_frame(site.site_uuid))
        for table in (repo.forecasts.latest_arrow(), repo.forecasts.latest_arrow([])):
            types = {field.name: field.type for field in table.schema}
            assert {types[name] for name in types if name.endswith("_uuid")} == {pa.string()}
            assert {types[name] for name in types if name.endswith("_utc")} == {TIME}
            assert (types["forecast_power_kw"], types["horizon_minutes"]) == (pa.float32(), pa.int32())

    def test_it_can_be_inserted(self, repo, site):
        repo.forecasts.insert(forecast_frame(site.site_uuid))
        table = repo.forecasts.latest_arrow()
        assert repo.forecasts.insert(table) == InsertResult(skipped=1)

    @pytest.mark.parametrize("bad", [{"min_horizon_minutes": "x"}, {"site_uuids": ["x"]}, {"created_before": "soon"}])
    def test_what_cannot_be_asked(self, repo, bad):
        with pytest.raises(InvalidInput) as caught:
            repo.forecasts.latest_arrow(**bad)
        assert caught.value.column == next(iter(bad))
