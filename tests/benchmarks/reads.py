"""Reading generation: as a frame against the wire's own limit, as models against 1.0.6's ORM."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import psycopg
from bench import Bench, Sides, Table, alternate, run, seconds, spread, warm_up
from data import binary, make_months, sites, ticks
from peers import ask_peer, fill_old_generation, make_old_database

from pvsite_sql import Repository
from pvsite_sql.engine.queries import query

JUNE, JULY, AUGUST = (datetime(2024, month, 1, tzinfo=UTC) for month in (6, 7, 8))


def read(bench: Bench) -> None:
    """Half a million rows of half of the sites as a frame, from a month that came tick by tick (in the order of time)
    and from one that was loaded site by site; a hundred thousand as models.
    """
    with (
        bench.database("bench_read") as dsn,
        bench.database("bench_read_old", "template1") as old_dsn,
        Repository(dsn) as repo,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        make_old_database(bench, dsn, old_dsn)
        make_months(dsn, "generation", JUNE, 2)
        slots = bench.size(1000, 100)
        of = sites(dsn, bench.size(1000, 100))
        some, few = of[: len(of) // 2], of[: len(of) // 10]
        frame = ticks(of, slots, month=JULY)
        with connection.cursor().copy(query("generation/insert_copy").statement) as copy:
            copy.write(binary(ticks(of, slots)))
        with connection.cursor().copy(query("generation/insert_copy").statement) as copy:
            copy.write(binary(frame.iloc[frame["site_uuid"].map(str).argsort(kind="stable")]))
        run(dsn, "VACUUM ANALYZE generation", "CHECKPOINT")
        _frames(bench, repo, connection, some, slots)
        fill_old_generation(dsn, old_dsn, f"site_uuid = ANY('{{{','.join(map(str, few))}}}') AND start_utc < '{JULY}'")
        _models(bench, repo, old_dsn, few, slots)


def _frames(bench: Bench, repo: Repository, connection: psycopg.Connection, some: list[UUID], slots: int) -> None:
    rows = len(some) * slots
    table = []
    for how, start, end in (("stored tick by tick", JUNE, JULY), ("stored site by site", JULY, AUGUST)):
        asked = {"site_uuids": some, "start_utc": start, "end_utc": end}

        def drain(asked: dict[str, object] = asked) -> None:
            with connection.cursor().copy(query("generation/read").copy_out, asked) as copy:
                for _ in copy:
                    pass

        def framed(start: datetime = start, end: datetime = end) -> None:
            repo.generation.read_frame(some, start_utc=start, end_utc=end)

        def rate(call: Callable[[], None]) -> Callable[[], float]:
            return lambda: rows / seconds(call)

        assert len(repo.generation.read_frame(some, start_utc=start, end_utc=end)) == rows
        drain()
        unsent = psycopg.ClientCursor(connection).mogrify(query("generation/read").copy_out, asked)
        unsent = unsent.replace("TO STDOUT", "TO '/dev/null'")
        found = alternate(
            bench.size(7, 2),
            {
                "frame": rate(framed),
                "drained": rate(drain),
                "unsent": rate(lambda unsent=unsent: connection.execute(unsent)),
            },
        )
        table.append([how, *(spread(rates) for rates in found.values())])
        bench.compare(
            f"generation.read_frame, {rows:,} rows, {how}",
            "rows/s against draining the binary COPY",
            1.1,
            Sides(found["frame"], found["drained"], "rows/s"),
        )
    bench.table(
        Table(
            f"Reading {rows:,} rows, rows/s",
            "The last column is the server's own limit: the same COPY into /dev/null, which no client waits for.",
            ["the month", "read_frame", "COPY, drained", "COPY to nowhere"],
            table,
        )
    )


def _models(bench: Bench, repo: Repository, old_dsn: str, few: list[UUID], slots: int) -> None:
    rows = len(few) * slots
    asked = {"start_utc": JUNE, "end_utc": JULY}

    def ours() -> float:
        return rows / seconds(lambda: repo.generation.read(few, **asked))

    def old() -> float:
        answer = ask_peer(bench, "read_generation", old_dsn, sites=[str(site) for site in few])
        assert answer["rows"] == rows
        return rows / answer["seconds"]

    assert len(repo.generation.read(few, **asked)) == rows
    warm_up(lambda: repo.generation.read(few[:1], **asked))
    found = alternate(bench.size(3, 1), {"ours": ours, "old": old})
    bench.compare(
        f"generation.read, {rows:,} models",
        "rows/s against 1.0.6's ORM read",
        10,
        Sides(found["ours"], found["old"], "rows/s"),
    )
