"""Two processes need the same new partitions at once, in three hundred months."""

from __future__ import annotations

from ..races import race


def test_two_processes_that_need_the_same_new_partitions_both_succeed_every_time(repo, dsn):
    race(dsn, repo, 300)
