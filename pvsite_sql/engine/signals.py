"""Exceptions of signal handlers: kept out of the pool's code, and not replaced by errors of psycopg."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

import psycopg

__all__ = ["DeferredSignals", "keep_interrupts", "raised_by_handler"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGPROF", "SIGVTALRM", "SIGBREAK")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class DeferredSignals:
    """Runs the handlers of signals after a short block, not inside it; Python runs them in the main thread alone.

    psycopg_pool loses a connection where a handler raises between its taking the connection and returning it, and
    drops the exception where it checks the connection.
    """

    def __init__(self) -> None:
        self._handlers: list[tuple[signal.Signals, Any]] = []
        self._pending: list[int] = []

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            for number in _SIGNALS:
                if callable(handler := signal.getsignal(number)):
                    self._handlers.append((number, handler))
                    signal.signal(number, self._note)
        except BaseException:  # of a handler that was not replaced yet
            self._restore()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()
        for number in self._pending:
            signal.raise_signal(number)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._pending.append(number)

    def _restore(self) -> None:
        try:
            while self._handlers:
                signal.signal(*self._handlers[-1])
                self._handlers.pop()
        finally:
            if self._handlers:  # a handler that was put back has raised
                self._restore()


@contextmanager
def keep_interrupts() -> Iterator[None]:
    """Raise what a signal handler raised inside the block, where psycopg's clean-up failed and raised an error instead.

    Raises:
        BaseException: that of the signal handler.
    """
    handled = sys.exc_info()[1]
    try:
        yield
    except psycopg.Error as error:
        covered = None if error.__suppress_context__ else error.__context__
        left_pipeline = "pipeline mode" in str(error)  # psycopg could not leave it, whatever the reason was
        while covered is not None and covered is not handled:
            if _is_interrupt(covered) or (left_pipeline and not isinstance(covered, psycopg.Error)):
                raise covered from None
            covered = covered.__context__
        raise


def _is_interrupt(error: BaseException) -> bool:
    """Whether a signal handler raised it, and not psycopg."""
    if isinstance(error, psycopg.Error):
        return False
    if isinstance(error, (KeyboardInterrupt, SystemExit)) or raised_by_handler(error):
        return True
    return type(error).__module__.partition(".")[0] not in ("builtins", "contextlib", "psycopg", "pvsite_sql")


def raised_by_handler(error: BaseException) -> bool:
    """Whether a frame of the error's traceback is a signal handler's."""
    handlers = {_code(signal.getsignal(number)) for number in _SIGNALS} - {None}
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False


def _code(handler: object) -> object:
    function = getattr(handler, "__func__", handler)
    return getattr(function, "__code__", None) or getattr(getattr(type(handler), "__call__", None), "__code__", None)  # noqa: B004
