"""Reads ahead in a thread."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

__all__ = ["prefetch"]

_JOIN_TIMEOUT_S = 1.0
_Item = TypeVar("_Item")


@contextmanager
def prefetch(items: Generator[_Item, None, None]) -> Iterator[Iterator[_Item]]:
    """Yield an iterator over the same items, which a thread produces ahead of the consumer."""
    queue: Queue[tuple[_Item | None, BaseException | None]] = Queue(1)
    stopped = Event()

    def produce() -> None:
        error: BaseException | None = None
        try:
            with closing(items):
                for item in items:
                    queue.put((item, None))
                    if stopped.is_set():
                        return
        except BaseException as raised:  # noqa: BLE001  the consumer raises it
            error = raised
        queue.put((None, error))

    def consume() -> Iterator[_Item]:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    thread = Thread(target=produce, daemon=True)  # it may block on standard input forever
    thread.start()
    try:
        yield consume()
    finally:
        stopped.set()
        with suppress(Empty):
            queue.get_nowait()
        thread.join(_JOIN_TIMEOUT_S)
