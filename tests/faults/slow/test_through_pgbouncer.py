"""The core of the test suite through a pgbouncer in transaction mode."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..pgbouncer import PROGRAM

TESTS = Path(__file__).parents[2]
CORE = """
    test_users test_site_groups test_sites test_clients test_inverters test_status test_ml_models test_api_requests
    test_situations test_site_history test_generation_insert test_generation_read test_generation_concurrency
    test_forecasts_insert test_forecasts_questions test_own_sql
"""
OWN_OPTIONS = "whatever_the_session_says"  # sessions that start with settings, which a pooler shares


@pytest.mark.skipif(PROGRAM is None, reason="the program pgbouncer is not installed (Debian's package of that name)")
def test_the_core_of_the_suite_passes():
    files = [str(TESTS / f"{name}.py") for name in CORE.split()]
    workers = ["-n", "auto", "--dist", "worksteal"]
    command = [sys.executable, "-m", "pytest", "-q", *workers, "-k", f"not {OWN_OPTIONS}", *files]
    environment = os.environ | {"PVSITE_SQL_PGBOUNCER": "1", "PVSITE_SQL_THOROUGH": ""}
    done = subprocess.run(command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
