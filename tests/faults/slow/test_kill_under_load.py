"""A server with fsync that is killed while many write: a few rounds; `slow` has more of them."""

from __future__ import annotations

from ..kills import kill_under_load
from ..servers import own_server, posix


@posix
def test_what_was_acknowledged_is_there_and_nothing_in_part():
    with own_server() as own:
        kill_under_load(own, own.database("load"), 3)
