"""Two processes need the same new partition at once: a few rounds; `slow` runs three hundred."""

from __future__ import annotations

from .races import race


def test_two_processes_that_need_the_same_new_partitions_both_succeed(repo, dsn):
    race(dsn, repo, 30)
