"""The peers: other packages that do the same job, each in a virtual environment with the running Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from bench import Bench, ask, run, say
from data import pipe

# 1.0.6 wants pandas 1.5, which fails to import with numpy 2; the others want neither.
PACKAGES = {
    "old": ["pvsite-datamodel==1.0.6", "numpy<2"],
    "copy": ["pgcopy", "adbc-driver-postgresql", "pyarrow", "asyncpg", "psycopg[binary]", "pandas"],
}
COPYING = ("pgcopy", "adbc", "asyncpg", "executemany")


def make(folder: Path) -> dict[str, Path]:
    """The environments' Pythons; made where they are not there yet."""
    return {name: _environment(folder / name, packages) for name, packages in PACKAGES.items()}


def _environment(folder: Path, packages: list[str]) -> Path:
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed.json"
    if not done.exists():
        say(f"installing {' '.join(packages)} into {folder}")
        venv.create(folder, with_pip=False, clear=True, symlinks=os.name != "nt")
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", *packages], check=True)
        done.write_text(json.dumps(packages))
    return python


def versions(pythons: dict[str, Path]) -> dict[str, str]:
    """The versions of what is compared."""
    wanted = ("pvsite-datamodel", "SQLAlchemy", "psycopg2-binary", "pgcopy", "adbc-driver-postgresql", "asyncpg")
    asks = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    found: dict[str, str] = {}
    for python in pythons.values():
        found |= json.loads(subprocess.run([python, "-c", asks], check=True, capture_output=True).stdout)
    return {name: found[name] for name in wanted if name in found}


def ask_peer(bench: Bench, method: str, dsn: str, **order: Any) -> Any:
    """Let a peer work; it times itself, without its start, and answers in JSON."""
    kind = "copy" if method in COPYING else "old"
    script = Path(__file__).with_name(f"peer_{kind}.py")
    done = subprocess.run(
        [bench.pythons[kind], script],
        input=json.dumps({"method": method, "dsn": dsn, **order}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{method}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def make_old_database(bench: Bench, dsn: str, old_dsn: str) -> None:
    """1.0.6's own tables, made by itself, with the same sites."""
    ask_peer(bench, "create", old_dsn)
    pipe(
        dsn,
        "SELECT site_uuid, ml_id, capacity_kw, dno, now()::timestamp FROM sites",
        old_dsn,
        "sites (site_uuid, ml_id, capacity_kw, dno, created_utc)",
    )


def fill_old_generation(dsn: str, old_dsn: str, where: str) -> None:
    pipe(
        dsn,
        f"""
        SELECT gen_random_uuid(), site_uuid, start_utc AT TIME ZONE 'UTC', end_utc AT TIME ZONE 'UTC',
            generation_power_kw, created_utc AT TIME ZONE 'UTC'
        FROM generation WHERE {where}
        """,
        old_dsn,
        "generation (generation_uuid, site_uuid, start_utc, end_utc, generation_power_kw, created_utc)",
    )
    run(old_dsn, "VACUUM ANALYZE generation")


def fill_old_forecasts(dsn: str, old_dsn: str) -> None:
    """The same forecasts; the indexes are made afterwards, which is quicker and leaves them at their best."""
    indexes = ask(
        old_dsn,
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'forecast_values' AND indexname NOT LIKE '%pkey'",
    )
    pipe(
        dsn,
        """
        SELECT forecast_uuid, site_uuid, timestamp_utc AT TIME ZONE 'UTC', '1'::text, created_utc AT TIME ZONE 'UTC'
        FROM forecasts
        """,
        old_dsn,
        "forecasts (forecast_uuid, site_uuid, timestamp_utc, forecast_version, created_utc)",
    )
    run(old_dsn, *(f"DROP INDEX {name}" for name, _ in indexes))
    run(old_dsn, "ALTER TABLE forecast_values DROP CONSTRAINT forecast_values_pkey")
    pipe(
        dsn,
        """
        SELECT gen_random_uuid(), forecast_uuid, start_utc AT TIME ZONE 'UTC', end_utc AT TIME ZONE 'UTC',
            forecast_power_kw::double precision, horizon_minutes, created_utc AT TIME ZONE 'UTC'
        FROM forecast_values
        """,
        old_dsn,
        """forecast_values
        (forecast_value_uuid, forecast_uuid, start_utc, end_utc, forecast_power_kw, horizon_minutes, created_utc)""",
    )
    run(old_dsn, "ALTER TABLE forecast_values ADD PRIMARY KEY (forecast_value_uuid)", *(how for _, how in indexes))
    run(old_dsn, "VACUUM ANALYZE forecasts", "VACUUM ANALYZE forecast_values")
