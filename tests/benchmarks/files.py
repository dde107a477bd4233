"""Loading a large CSV file with the command line, against psql's \\copy of the same file."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from bench import Bench, Sides, Table, alternate, ask, run, seconds, spread
from data import MINUTES, MONTH, RANDOM, make_months, sites

COLUMNS = "site_uuid,start_utc,end_utc,generation_power_kw"


def load(bench: Bench) -> None:
    """Five million readings in the order of time, as `\\copy ... TO` writes them. Whole commands, start included."""
    with bench.database("bench_load") as dsn:
        make_months(dsn, "generation", MONTH, 2)
        of, slots = sites(dsn, bench.size(1000, 100)), bench.size(5000, 500)
        rows = len(of) * slots
        file = bench.folder / "readings.csv"
        bench.timed(f"writing {rows:,} rows of CSV", lambda: _write(file, of, slots))
        psql = [
            *(str(bench.server.bin_dir / "psql"), "-X", "-v", "ON_ERROR_STOP=1", "-q", "-c"),
            *(rf"\copy generation ({COLUMNS}) FROM '{file}' WITH (FORMAT csv, HEADER)", dsn),
        ]
        ours = [sys.executable, "-m", "pvsite_sql.cli", "load", str(file), "--dsn", dsn]

        def rate(command: list[str]) -> float:
            took = seconds(lambda: subprocess.run(command, check=True, capture_output=True))
            assert ask(dsn, "SELECT count(*) FROM generation") == [(rows,)]
            return rows / took

        encoded = bench.folder / "readings.bin"
        columns = f"generation ({COLUMNS})"
        binary = [*psql[:-2], rf"\copy {columns} FROM '{encoded}' WITH (FORMAT binary)", dsn]
        subprocess.run(psql, check=True, capture_output=True)
        subprocess.run(
            [*psql[:-2], rf"\copy (SELECT {COLUMNS} FROM generation) TO '{encoded}' WITH (FORMAT binary)", dsn],
            check=True,
            capture_output=True,
        )
        found = alternate(
            bench.size(3, 1),
            {"ours": lambda: rate(ours), "psql": lambda: rate(psql), "binary": lambda: rate(binary)},
            lambda: run(dsn, "TRUNCATE generation", "CHECKPOINT"),
        )
        for written in (file, encoded):
            written.unlink()
        bench.compare(
            f"pvsite-sql load, {rows:,} rows of CSV in the order of time",
            "rows/s against psql \\copy",
            1.3,
            Sides(found["ours"], found["psql"], "rows/s"),
        )
        titles = {
            "ours": "pvsite-sql load of CSV",
            "psql": "psql \\copy of CSV",
            "binary": "psql \\copy of the same rows, encoded before",
        }
        bench.table(
            Table(
                f"Loading a file of {rows:,} readings",
                "The last row has nothing to parse, neither for the client nor for the server.",
                ["what", "rows/s"],
                [[title, spread(found[name])] for name, title in titles.items()],
            )
        )


def _write(file: Path, of: list[UUID], slots: int) -> None:
    with file.open("w", encoding="ascii") as out:
        out.write(f"{COLUMNS}\n")
        for slot in range(slots):
            start = MONTH + slot * MINUTES
            times = f"{start:%F %T}+00,{start + timedelta(minutes=5):%F %T}+00"
            powers = RANDOM.uniform(0, 4, len(of)).round(3).tolist()
            out.writelines(f"{site},{times},{power}\n" for site, power in zip(of, powers, strict=True))
