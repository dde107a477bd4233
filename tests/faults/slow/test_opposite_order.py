"""Two writers of the same keys in opposite order: fifty rounds; `slow` runs more."""

from __future__ import annotations

import pytest

from ..opposite_order import MODES, meet


@pytest.mark.parametrize(("table", "mode"), MODES)
def test_no_deadlock_reaches_the_caller_and_every_row_is_a_whole_one(repo, dsn, table, mode):
    meet(repo, dsn, table, mode, 25)
