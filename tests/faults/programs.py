"""Programs and threads of a test's own, which fail it where they hang, and children that a program forks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from select import select
from tempfile import TemporaryFile
from threading import Thread
from typing import IO, Any

import pvsite_sql

SECONDS = 60.0
PATHS = [str(Path(__file__).parents[1]), str(Path(pvsite_sql.__file__).parents[1])]
_MAIN = """
import faulthandler, json, signal, sys, traceback
from importlib import import_module
module, name, arguments = json.loads(sys.argv[1])
faulthandler.enable()
try:
    print(json.dumps(getattr(import_module(module), name)(*arguments)))
except SystemExit:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # a second one would cut short what this prints
    traceback.print_exc()  # Python does not say where it came from
    raise
"""


@dataclass(frozen=True)
class Program:
    """A running one, and the files that hold what it prints, which forked children may keep open."""

    process: subprocess.Popen[bytes]
    out: IO[bytes]
    err: IO[bytes]

    def printed(self) -> str:
        """What it has printed so far."""
        self.out.seek(0)
        return self.out.read().decode()

    def complained(self) -> str:
        """The end of what it has said on stderr."""
        self.err.seek(0)
        return self.err.read().decode()[-6000:]


@contextmanager
def started(program: Callable[..., Any], *arguments: Any) -> Iterator[Program]:
    """A process that calls a function of a test module and prints what it returns.

    At the end of the block it and its children are killed.
    """
    call = json.dumps([program.__module__, program.__name__, arguments])
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _MAIN, call]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(PATHS)}
    with TemporaryFile() as out, TemporaryFile() as err:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of `pytest &` would not see Ctrl-C
        try:
            process = subprocess.Popen(command, env=surroundings, stdout=out, stderr=err, start_new_session=True)
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            yield Program(process, out, err)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(program: Callable[..., Any], *arguments: Any, seconds: float = SECONDS) -> Any:
    """What the function of a test module returns when it is called in a process of its own."""
    with started(program, *arguments) as running:
        try:
            code = running.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(running.process.pid, signal.SIGABRT)  # faulthandler shows where it and its children hang
            code = running.process.wait(10)
        assert code == 0, f"exit code {code}\n{running.complained()}"
        return json.loads(running.printed().splitlines()[-1])


def ends(test: Callable[..., None]) -> Callable[..., None]:
    """Let the test fail where it would hang: it runs in a thread of its own, which is left behind then."""

    @wraps(test)
    def in_time(*arguments: Any, **fixtures: Any) -> None:
        apart(lambda: test(*arguments, **fixtures))

    return in_time


def apart(call: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What the call returns or raises in a thread of its own; a TimeoutError where it hangs."""
    return thread(call).result(seconds)


def thread(call: Callable[[], Any]) -> Future[Any]:
    """Begin the call in a thread of its own, which nobody has to wait for."""
    outcome: Future[Any] = Future()

    def work() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
            outcome.set_exception(error)

    Thread(target=work, daemon=True).start()
    return outcome


@dataclass(frozen=True)
class Told:
    """What a forked child tells: what its work returned, or the kinds and the text of what it raised."""

    result: Any = None
    kinds: Sequence[str] = ()
    text: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether the package refused it by name."""
        return "PvsiteSqlError" in self.kinds


@dataclass(frozen=True)
class Child:
    """A forked child."""

    pid: int
    pipe: int

    def told(self, seconds: float = 10.0) -> Told:
        """What it tells, once it has ended; a child that hangs is killed, and says where it was on stderr."""
        parts = []
        while select([self.pipe], [], [], seconds)[0] and (part := os.read(self.pipe, 65536)):
            parts.append(part)
        if not parts:
            os.kill(self.pid, signal.SIGABRT)  # faulthandler shows where it hangs
            os.waitpid(self.pid, 0)
            return Told(kinds=("Hang",), text="the child said nothing")
        os.close(self.pipe)
        status = os.waitpid(self.pid, 0)[1]
        told = json.loads(b"".join(parts))
        if status:
            return Told(kinds=("Died",), text=f"wait status {status} after {told}")
        return Told(**told)


def forked(work: Callable[[], Any], leave: Callable[[int], object] = os._exit) -> Child:
    """Fork a child that does the work, tells what came of it, and leaves (`sys.exit`: as programs end)."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return Child(pid, reader)
    os.close(reader)
    child = os.getpid()
    told = {"result": None, "kinds": (), "text": ""}
    try:
        told["result"] = work()
    except BaseException as error:  # a child never goes on as the parent
        if os.getpid() != child:  # a child of the child, on its way out
            raise
        told |= {"kinds": [kind.__name__ for kind in type(error).__mro__], "text": f"{type(error).__name__}: {error}"}
    os.write(writer, json.dumps(told, default=str).encode())
    os.close(writer)
    leave(0)
    os._exit(99)  # never reached: both ways out end the child
