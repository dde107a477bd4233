"""What a forked child has to make anew: locks that another thread may have held, and sockets that the parent uses."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["ForkAware", "after_fork"]


class ForkAware(Protocol):
    """An object with state that does not survive a fork."""

    def after_fork_in_child(self) -> None:
        """Make that state anew. Runs in the child, before any other code of the program."""


_objects: WeakSet[ForkAware] = WeakSet()


def after_fork(instance: ForkAware) -> None:
    """Call `instance.after_fork_in_child()` in every child that this process forks, as long as the object lives."""
    _objects.add(instance)


def _in_child() -> None:
    for instance in list(_objects):
        instance.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_in_child)
