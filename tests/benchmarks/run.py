"""The benchmark suite: `tox -e bench`, or where `pvsite_sql[demo]` is installed `python tests/benchmarks/run.py`.

Starts a PostgreSQL of its own with durable writes, makes environments for the packages that ours is compared with, and
writes RESULTS.md and results.png beside this file. Takes less than 25 minutes on two cores that nothing else uses.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import peers
import report
from bench import Bench, say
from far import far
from growth import growth
from inserts import forecast, insert, tick
from latest import latest
from load import concurrency, mixed
from memory import memory
from reads import read

from pvsite_sql.embedded import server

PARTS = {
    part.__name__: part for part in (insert, tick, forecast, read, latest, growth, memory, concurrency, mixed, far)
}
HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}; nothing is written then")
    parser.add_argument("--quick", action="store_true", help="few rows, to try the code; nothing is written then")
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path(tempfile.gettempdir()) / "pvsite_sql-bench-peers",
        help="folder of the peers' environments, which are kept",
    )
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    chosen = asked.only.split(",")
    took: dict[str, float] = {}
    begin = time.perf_counter()
    pythons = peers.make(asked.peers.resolve())
    took["environments"] = time.perf_counter() - begin
    os.environ.setdefault("PVSITE_SQL_EMBEDDED", "wheel")
    with tempfile.TemporaryDirectory() as folder, server() as own:
        say(f"PostgreSQL {own.version} in {own.data_dir}")
        bench = Bench(own, asked.quick, Path(folder), pythons)
        bench.make_template()
        for name in chosen:
            say(f"\n{name}")
            begin = time.perf_counter()
            PARTS[name](bench)
            took[name] = time.perf_counter() - begin
            say(f"  {name} took {took[name]:.0f} s")
        text = report.markdown(bench, took)
        whole = not asked.quick and set(chosen) == set(PARTS)
        target = HERE if whole else Path(folder)
        (target / "RESULTS.md").write_text(text, encoding="utf-8")
        report.plot(bench, target / "results.png")
        say(f"\n{text}")


if __name__ == "__main__":
    main()
