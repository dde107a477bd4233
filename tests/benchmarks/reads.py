"""Reading generation: as a frame against the wire's own limit, as models against 1.0.6's ORM."""

from __future__ import annotations

from datetime import datetime

import psycopg
from bench import Bench, Figure, alternate, ratios, run, seconds, spread, warm_up
from data import binary, make_months, sites, ticks
from peers import ask_peer, fill_old_generation, make_old_database

from pvsite_sql import Repository
from pvsite_sql.engine.queries import query

JUNE = datetime(2024, 6, 1)  # noqa: DTZ001  a name of a month


def read(bench: Bench) -> None:
    """Half a million rows of half of the sites as a frame, a hundred thousand as models."""
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
        with connection.cursor().copy(query("generation/insert_copy").statement) as copy:
            copy.write(binary(ticks(of, slots)))
        run(dsn, "VACUUM ANALYZE generation", "CHECKPOINT")
        fill_old_generation(dsn, old_dsn, f"site_uuid = ANY('{{{','.join(map(str, few))}}}')")
        asked = {"site_uuids": some, "start_utc": "-infinity", "end_utc": "infinity"}

        def drained() -> float:
            def drain() -> None:
                with connection.cursor().copy(query("generation/read").copy_out, asked) as copy:
                    for _ in copy:
                        pass

            return len(some) * slots / seconds(drain)

        def framed() -> float:
            return len(some) * slots / seconds(lambda: repo.generation.read_frame(some))

        def modelled() -> float:
            return len(few) * slots / seconds(lambda: repo.generation.read(few))

        def old() -> float:
            answer = ask_peer(bench, "read_generation", old_dsn, sites=[str(site) for site in few])
            assert answer["rows"] == len(few) * slots
            return answer["rows"] / answer["seconds"]

        assert len(repo.generation.read_frame(some)) == len(some) * slots
        warm_up(lambda: repo.generation.read(few[:1]))
        frames = alternate(bench.size(7, 2), {"frame": framed, "drained": drained})
        bench.add(
            Figure(
                f"generation.read_frame, {len(some) * slots:,} rows",
                "rows/s against draining the binary COPY",
                0.9,
                ratios(frames["frame"], frames["drained"]),
                detail=f"{spread(frames['frame'])} against {spread(frames['drained'])} rows/s",
            )
        )
        models = alternate(bench.size(3, 1), {"models": modelled, "old": old})
        bench.add(
            Figure(
                f"generation.read, {len(few) * slots:,} models",
                "rows/s against 1.0.6's ORM read",
                4,
                ratios(models["models"], models["old"]),
                detail=f"{spread(models['models'])} against {spread(models['old'])} rows/s",
            )
        )
