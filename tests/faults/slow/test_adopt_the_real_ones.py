"""Databases that pvsite-datamodel itself made and filled, in virtual environments of its own, are taken over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from commands import started, until
from conftest import conninfo
from test_adopt import contents

TESTS = Path(__file__).parents[2]
PYTHON = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
# 1.0.6 wants pandas 1.5, which runs up to Python 3.11 and with numpy 1; 1.2.15 imports pyproj without asking for it
PACKAGES = {
    "1.0.6": ["pvsite-datamodel==1.0.6", "numpy<2"],
    "1.2.15": ["pvsite-datamodel==1.2.15", "pyproj"],
}
SIZES = {"1.0.6": (200, 500, 50, 50), "1.2.15": (20, 100, 5, 20)}  # sites, readings, forecasts and values of each
SOME = {"1.0.6": "SELECT EXISTS (SELECT FROM forecasts)", "1.2.15": "SELECT EXISTS (SELECT FROM generation)"}
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ '^pvsite-sql'"
SUMS = """
    SELECT
        (SELECT count(*) FROM {}), (SELECT count(*) FROM generation), (SELECT count(*) FROM forecasts),
        (SELECT count(*) FROM forecast_values), (SELECT count(*) FROM users), (SELECT count(*) FROM api_request),
        (SELECT sum(generation_power_kw::numeric) FROM generation),
        (SELECT sum(forecast_power_kw::real::numeric) FROM forecast_values)
"""


def made(version: str, folder: Path, old: psycopg.Connection) -> None:
    """Let a version of pvsite-datamodel make and fill the database."""
    if PYTHON is None:
        pytest.skip("there is no python3.11, the last one that pvsite-datamodel 1.0.6 runs on")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([PYTHON, "-m", "venv", folder], [*pip, *PACKAGES[version]]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(
                f"pvsite-datamodel {version} cannot be installed: {(done.stderr or done.stdout).strip()[-300:]}"
            )
    info = old.info
    user = quote(info.user) + (f":{quote(info.password)}" if info.password else "")
    url = f"postgresql+psycopg2://{user}@/{info.dbname}?host={quote(info.host)}&port={info.port}"
    sizes = map(str, SIZES[version])
    filled = subprocess.run(
        [python, TESTS / "adopt" / "fill_old.py", url, *sizes], capture_output=True, text=True, check=False
    )
    assert filled.returncode == 0, filled.stderr


@pytest.mark.parametrize("version", PACKAGES)
def test_all_of_it_is_taken_over_after_a_kill_too(version, empty_database, postgresql, tmp_path):
    old, target = empty_database, postgresql
    old.autocommit = target.autocommit = True
    made(version, tmp_path / "venv", old)
    arguments = ("adopt", "--from", conninfo(old), "--dsn", conninfo(target), "--rejects", tmp_path / "rejects")
    sites, readings, forecasts, values = SIZES[version]

    with started(*arguments) as child:
        until(lambda: target.execute(SOME[version]).fetchone()[0], seconds=300)
        child.send_signal(signal.SIGKILL)
        child.wait()
    until(lambda: not target.execute(OTHERS).fetchone()[0])
    stored = target.execute("SELECT count(*) FROM forecasts").fetchone()[0]
    assert version != "1.0.6" or 0 < stored < sites * forecasts

    taken_over(arguments)
    found = target.execute(SUMS.format("sites").encode()).fetchone()
    assert found == old.execute(SUMS.format("sites" if version == "1.0.6" else "locations").encode()).fetchone()
    assert found[:4] == (sites, sites * readings, sites * forecasts, sites * forecasts * values)
    assert not list((tmp_path / "rejects").iterdir())
    if version != "1.0.6":
        kept = "SELECT {}, ml_id, ml_model_uuid, COALESCE(NULLIF({}, 'null'), '{{}}') FROM {} ORDER BY ml_id"
        before = old.execute(kept.format("location_uuid", "location_metadata", "locations").encode()).fetchall()
        assert target.execute(kept.format("site_uuid", "metadata", "sites").encode()).fetchall() == before
        assert [ml_id for _, ml_id, _, _ in before] == list(range(sites))
        assert before[0][2:] == (
            target.execute("SELECT ml_model_uuid FROM ml_models WHERE version = '2'").fetchone()[0],
            {"panels": [0, None]},
        )
    changes = target.execute("SELECT count(*) FROM site_history WHERE actor = 'user4@example.com'").fetchone()[0]
    assert changes == (0 if version == "1.0.6" else sites)

    before = contents(target)
    taken_over(arguments)
    assert contents(target) == before


def taken_over(arguments):
    with started(*arguments) as child:
        out, err = child.communicate(timeout=600)
        assert (child.returncode, out.splitlines()[-1][:21]) == (0, "Counts and sums agree"), out + err
