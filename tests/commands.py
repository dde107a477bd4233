"""`pvsite-sql` for tests: in a process of its own, as people run it, or in this one, which saves the start of one."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest
import typer.main

import pvsite_sql
from pvsite_sql import cli

PACKAGES = Path(pvsite_sql.__file__).resolve().parents[1]
SCRIPT = shutil.which("pvsite-sql", path=Path(sys.executable).parent)
COMMAND = [SCRIPT] if SCRIPT else [sys.executable, "-m", "pvsite_sql.cli"]  # a bare checkout has no script
# tox -e faults asks for all rounds and examples of the longest tests; tox for a part of them
THOROUGH = bool(os.environ.get("PVSITE_SQL_THOROUGH"))
commands_of = cache(typer.main.get_command)
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def surroundings(environment):
    """The environment without the settings of the person who runs the tests; a name that is given may be None."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PVSITE_SQL_DSN"))}
    changed = {**inherited, "PYTHONPATH": str(PACKAGES), "COLUMNS": "80", **environment}
    return {name: value for name, value in changed.items() if value is not None}


@contextmanager
def started(*arguments, command=COMMAND, cwd=None, stdout=subprocess.PIPE, **environment):
    """A running `pvsite-sql`."""
    options = {"cwd": cwd, "env": surroundings(environment), "stdout": stdout, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, *map(str, arguments)], **options) as child:
        try:
            yield child
        finally:
            child.kill()


def run(*arguments, **options):
    """Run it to its end: exit code, stdout, stderr."""
    with started(*arguments, **options) as child:
        out, err = child.communicate(timeout=60)
        return child.returncode, out, err


def called(*arguments, cwd=".", **environment):
    """The same in this process."""
    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        for number in SIGNALS:
            stack.callback(signal.signal, number, signal.getsignal(number))
        stack.enter_context(patch.dict(os.environ, surroundings(environment), clear=True))
        stack.enter_context(patch.object(sys, "argv", ["pvsite-sql", *map(str, arguments)]))
        # typer makes the commands of its app anew in each run of it, which takes longer than most of them
        stack.enter_context(patch.object(typer.main, "get_command", commands_of))
        stack.enter_context(chdir(cwd))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        ended = stack.enter_context(pytest.raises(SystemExit))
        cli.main()
    return ended.value.code or 0, out.getvalue(), err.getvalue()


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
