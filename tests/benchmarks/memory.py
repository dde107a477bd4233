"""Peak memory of the client, in processes of their own: frames or Arrow batches in, frames or Arrow batches out."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from bench import Bench, Table, run
from data import make_months

CHUNK = 100_000


def memory(bench: Bench) -> None:
    small, large = bench.size(1_000_000, 200_000), bench.size(10_000_000, 1_000_000)
    rows = []
    with bench.database("bench_memory") as dsn:
        make_months(dsn, "generation", datetime(2024, 6, 1), 2)  # noqa: DTZ001  a name of a month
        for mode, number in (
            ("nothing", 0),
            ("insert", small),
            ("insert", large),
            ("read_frames", small),
            ("read_frames", large),
            ("read_arrow", small),
            ("read_arrow", large),
            ("insert of an Arrow stream", small),
            ("insert of an Arrow stream", large),
        ):
            if mode.startswith("insert"):
                run(dsn, "TRUNCATE generation", "CHECKPOINT")
            answer = _child(dsn, mode, number)
            rate = f"{number / answer['seconds']:,.0f}" if number else ""
            rows.append([mode, f"{number:,}", f"{answer['peak'] / 1e6:,.0f}", rate])
    bench.table(
        Table(
            "Peak memory of the client",
            f"A process that imports the package and opens a repository; frames and batches of {CHUNK:,} rows.",
            ["work", "rows", "peak resident memory, MB", "rows/s"],
            rows,
        )
    )


def _child(dsn: str, mode: str, rows: int) -> dict[str, float]:
    command = [sys.executable, Path(__file__).with_name("memory_child.py"), dsn, mode, str(rows), str(CHUNK)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
