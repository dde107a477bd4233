"""Several readings of one call with the same site and start: the rules for them, and the error that names two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from ..errors import InvalidInput

__all__ = ["COMBINED", "KEPT", "GivenRow", "RowsDiffer", "Rule", "SameKey", "rule_of"]

SameKey = Literal["equal", "first", "last", "mean", "sum"]
Rule = Literal["none", "equal", "first", "last", "mean", "sum"]

COMBINED = ("mean", "sum")
KEPT: dict[Rule, str] = {  # which row of a frame is chosen, as `parse_readings` calls it
    "none": "none",
    "equal": "first",
    "first": "first",
    "last": "last",
    "mean": "first",
    "sum": "first",
}
_BY_ON_CONFLICT: dict[str, Rule] = {"ignore": "first", "update": "last", "error": "none"}


def rule_of(on_conflict: str, same_key: SameKey | None) -> Rule:
    """Return the rule for rows of one call with the same site and start; `none` allows only one."""
    return _BY_ON_CONFLICT[on_conflict] if same_key is None else same_key


@dataclass(frozen=True)
class GivenRow:
    """A row of a call.

    Attributes:
        power_kw: its power.
        end_utc: its end.
        row: its position in its frame; None if it is not known.
        frame: the position of its frame in an iterable of frames; None for a single frame.
    """

    power_kw: float
    end_utc: datetime
    row: int | None = None
    frame: int | None = None


class RowsDiffer(InvalidInput):
    """Two rows of one call have the same site and start, but not the same power and end. Nothing is stored.

    Attributes:
        site_uuid: the site of both.
        start_utc: the start of both.
        given: one of them, the later one if the place of both is known.
        other: the other one.
    """

    def __init__(self, site_uuid: UUID, start_utc: datetime, given: GivenRow, other: GivenRow) -> None:
        self.site_uuid, self.start_utc, self.given, self.other = site_uuid, start_utc, given, other
        place = "another row" if other.row is None else f"row {other.row}"
        if other.row is not None and other.frame != given.frame:
            place += f" of frame {other.frame}"
        super().__init__(
            self.sentence(place),
            column="power_kw" if given.end_utc == other.end_utc else "end_utc",
            rows=[] if given.row is None else [given.row],
            frame=given.frame,
        )

    def sentence(self, other: str) -> str:
        """Return what differs; `other` says where the other row is."""
        one, two = (f"{row.power_kw} kW" for row in (self.given, self.other))
        if self.given.end_utc != self.other.end_utc:
            one, two = (f"{kw} until {row.end_utc}" for kw, row in ((one, self.given), (two, self.other)))
        return f"{one}, but {other} has {two} for the same site and start, {self.start_utc}"

    def __reduce__(self) -> tuple[type[RowsDiffer], tuple[UUID, datetime, GivenRow, GivenRow]]:
        return type(self), (self.site_uuid, self.start_utc, self.given, self.other)
