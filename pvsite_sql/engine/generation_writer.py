"""Writes the readings of one call in its transaction, and counts them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import datetime
from typing import Any, Literal

import numpy as np

from ..errors import Duplicate
from ..models import InsertResult
from .arrays import Array, uuid_of
from .binary_copy import Type, encode
from .generation_frames import Readings
from .query_connection import QueryConnection
from .row_types import READINGS
from .same_keys import COMBINED, GivenRow, RowsDiffer, Rule
from .timestamps import datetime_of

__all__ = ["GenerationWriter", "checked"]

_STAGED: dict[str, Type] = {**READINGS, "position": "bigint"}
_PROBED_SITES = 32  # repeated rows mostly concern all sites; looking up thousands of sites takes longer than the COPY


def checked(parts: Iterable[Readings], rule: Rule) -> Iterator[Readings]:
    """Yield the parts, unless rows of one key in one of them break the rule.

    Raises:
        RowsDiffer: names the first row that differs from the first one with its key.
    """
    for part in parts:
        if part.repeats is not None and (rule == "equal" or rule in COMBINED):
            differing = part.differing_repeats(ends_only=rule in COMBINED)
            if len(differing):
                raise _rows_differ(part, differing[part.repeats.rows[differing].argmin()])
        yield part


def _rows_differ(part: Readings, repeat: int) -> RowsDiffer:
    assert part.repeats is not None  # noqa: S101  one of them differs
    chosen = part.repeats.chosen[repeat]

    def given(columns: dict[str, Array], rows: Array, at: int) -> GivenRow:
        power_kw, end_utc = float(columns["generation_power_kw"][at]), datetime_of(columns["end_utc"][at])
        return GivenRow(power_kw, end_utc, int(rows[at]) + part.first_row, part.frame)

    return RowsDiffer(
        uuid_of(part.columns["site_uuid"][chosen]),
        datetime_of(part.columns["start_utc"][chosen]),
        given(part.repeats.columns, part.repeats.rows, repeat),
        given(part.columns, part.rows, chosen),
    )


class GenerationWriter:
    """Write the parts of one call in its transaction and count the rows.

    A part for a time span without stored readings is copied straight into the table. Other parts are copied into a
    staging table, where the server compares keys. They are staged until the call ends if a later part can replace or
    change a reading of an earlier one, or if rows with the same key must be equal.

    Attributes:
        row_count: how many rows were given so far.
    """

    def __init__(
        self, conn: QueryConnection, on_conflict: Literal["ignore", "update", "error"], rule: Rule, *, several: bool
    ) -> None:
        """Write on a connection, in an open transaction.

        Args:
            conn: the connection.
            on_conflict: as in `generation.insert`.
            rule: what to do with rows of the call that have the same key.
            several: whether there can be several parts.
        """
        self._conn = conn
        self._on_conflict = on_conflict
        self._rule = rule
        self._several = several
        self._merges_each = not several or (on_conflict == "ignore" and rule == "first")
        self._tries_straight = self._merges_each or rule == "none" or (on_conflict == "ignore" and rule == "equal")
        self._firsts: list[tuple[int, int | None, int]] = []  # of each part: rows before it, its frame, its first row
        self._window: tuple[datetime, datetime] | None = None
        self._staged = 0
        self._repeats_staged = False
        self._inserted = 0
        self._updated = 0
        self._differing = 0
        self.row_count = 0

    def write(self, part: Readings, *, straight: bool = True) -> None:
        """Write or stage a part.

        Raises:
            Duplicate: a concurrent transaction inserted a reading, and the writer is for one part: try again without
                `straight`. Or `on_conflict` is `error`.
        """
        self._firsts.append((self.row_count, part.frame, part.first_row))
        self.row_count += part.row_count
        if not len(part):
            return
        combines = self._rule in COMBINED and part.repeats is not None
        if straight and self._tries_straight and not combines and self._written_straight(part):
            self._differing += len(part.differing_repeats())
            return
        self._stage(part)
        if self._merges_each:
            self._merge()

    def finish(self) -> InsertResult:
        """Store what is still staged, and return the counts.

        Raises:
            RowsDiffer: rows of the call with the same key are not equal, or have different ends and cannot be combined.
            Duplicate: `on_conflict` is `error`, and a reading is stored already.
        """
        if self._staged:
            self._merge()
        written = self._inserted + self._updated
        return InsertResult(
            inserted=self._inserted,
            updated=self._updated,
            skipped=self.row_count - written,
            differing=self._differing,
        )

    def _written_straight(self, part: Readings) -> bool:
        if self._on_conflict != "error":
            sites, first, last = part.spans(_PROBED_SITES)
            start, end = part.window()
            if self._conn.values(
                "generation/insert_probe",
                site_uuids=sites,
                first_utc=first,
                last_utc=last,
                start_utc=start,
                end_utc=end,
            )[0]:
                return False
        try:
            with self._conn.transaction() if self._several else nullcontext():
                self._inserted += self._conn.copy_in("generation/insert_copy", encode(READINGS, part.columns))
        except Duplicate as error:
            if self._on_conflict == "error":
                raise Duplicate(str(error), constraint_name="generation_pkey") from error.__cause__
            if not self._several:
                raise
            return False  # a concurrent transaction inserted a reading after the probe
        return True

    def _stage(self, part: Readings) -> None:
        if not self._staged:
            self._conn.run("generation/insert_staging")
        rows_before = self._firsts[-1][0]
        columns = {**part.columns, "position": rows_before + part.rows}
        if part.repeats is not None:
            repeats = {**part.repeats.columns, "position": rows_before + part.repeats.rows}
            columns = {name: np.concatenate([repeats[name], columns[name]]) for name in columns}
        if self._rule != "last":
            columns["position"] = -columns["position"]  # the greatest one per key is stored
        self._conn.copy_in("generation/insert_stage", encode(_STAGED, columns))
        self._repeats_staged |= part.repeats is not None or self._staged > 0
        self._staged += len(columns["position"])
        start, end = part.window()
        if self._window is not None:
            start, end = min(start, self._window[0]), max(end, self._window[1])
        self._window = start, end

    def _merge(self) -> None:
        assert self._window is not None  # noqa: S101  something was staged
        bounds: dict[str, Any] = dict(zip(("start_utc", "end_utc"), self._window, strict=True))
        if self._rule in COMBINED and self._repeats_staged:
            self._refuse_differing_rows(ends_only=True, **bounds)
            self._conn.run("generation/insert_combined", combine=self._rule)
        differing = self._merged(bounds)
        if differing is None:
            differing = self._conn.values("generation/insert_differing", **bounds)[0]
        if differing and self._rule == "equal":
            self._refuse_differing_rows(ends_only=False, **bounds)
        self._differing += differing
        self._conn.run("generation/insert_unstage")
        self._staged, self._repeats_staged, self._window = 0, False, None

    def _merged(self, bounds: dict[str, Any]) -> int | None:
        """Write the staged readings; return how many differ from the stored ones, or None if that is not known."""
        if self._on_conflict == "error":
            try:
                inserted = self._conn.run("generation/insert_staged")
            except Duplicate as error:
                raise Duplicate(str(error), constraint_name="generation_pkey") from error.__cause__
            self._inserted += inserted
            return None if inserted < self._staged else 0
        compared = self._conn.records("generation/insert_new", **bounds)[0]
        self._inserted += compared["inserted"]
        if self._on_conflict == "update":
            self._updated += self._conn.run("generation/insert_changed")
            return None if self._repeats_staged else 0
        # fewer were inserted if keys are repeated, or if a concurrent transaction inserted one
        return compared["differing"] if compared["inserted"] == compared["new"] else None

    def _refuse_differing_rows(self, **parameters: Any) -> None:
        """Raise an error if staged rows with the same key differ, from one another or from one copied straight."""
        if len(self._firsts) == 1:
            return  # the part was checked before
        for found in self._conn.records("generation/insert_conflict", **parameters):
            raise RowsDiffer(
                found["site_uuid"],
                found["start_utc"],
                self._given(found["power_kw"], found["end_utc"], found["position"]),
                self._given(found["other_power_kw"], found["other_end_utc"], found["other_position"]),
            )

    def _given(self, power_kw: float, end_utc: datetime, position: int | None) -> GivenRow:
        if position is None:
            return GivenRow(power_kw, end_utc)
        number = -position
        rows_before, frame, first_row = self._firsts[bisect_right(self._firsts, number, key=lambda part: part[0]) - 1]
        return GivenRow(power_kw, end_utc, number - rows_before + first_row, frame)
