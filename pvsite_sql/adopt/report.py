"""Reports what happened to the rows of a copied database."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

__all__ = ["Rejects", "Report", "TableReport", "total_kw"]

_EXACT = Context(prec=1000)  # enough digits for any sum of doubles


def total_kw(*powers: Decimal | int) -> Decimal:
    """Return the exact sum."""
    total = Decimal(0)
    for power in powers:
        total = _EXACT.add(total, power)
    return total


@dataclass
class TableReport:
    """The report of one table.

    Attributes:
        name: the name of the table here.
        has_power: whether to compare power sums.
        source_rows: number of rows, counted by the source.
        source_power_kw: power sum, computed by the source.
        inserted: rows that this run has inserted.
        stored_rows: rows that are stored as expected at the end.
        conflicts: rows whose key is stored with different values.
        rejected: rejected rows, by reason.
        notes: rows that are stored with changes, by what changed.
        received_power_kw: power sum of all rows that were read, without NaN and infinity.
        expected_power_kw: power sum of the stored rows, in the source.
        stored_power_kw: power sum of the stored rows, read back.
    """

    name: str
    has_power: bool = False
    source_rows: int = 0
    source_power_kw: Decimal | int = 0
    inserted: int = 0
    stored_rows: int = 0
    conflicts: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    received_power_kw: Decimal | int = 0
    expected_power_kw: Decimal | int = 0
    stored_power_kw: Decimal | int = 0

    @property
    def accounted_rows(self) -> int:
        """The number of rows with a known outcome."""
        return self.stored_rows + self.conflicts + self.rejected.total()

    @property
    def has_remarks(self) -> bool:
        """Whether some rows are not stored exactly as in the source."""
        return bool(self.conflicts or self.rejected or self.notes)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row of an `adopt/*_outcome` query."""
        rows = row["rows"]
        self.received_power_kw = total_kw(self.received_power_kw, row.get("source_power_kw", 0))
        if row["outcome"] == "rejected":
            self.rejected[row["reason"]] += rows
        elif row["outcome"] == "conflict":
            self.conflicts += rows
        else:
            self.stored_rows += row.get("stored_rows", rows) if self.has_power else rows
            self.expected_power_kw = total_kw(self.expected_power_kw, row.get("source_power_kw", 0))
            self.stored_power_kw = total_kw(self.stored_power_kw, row.get("stored_power_kw", 0))
        if row["note"] is not None:
            self.notes[row["note"]] += rows

    def disagreements(self) -> list[str]:
        """Return how the two databases disagree, one sentence for each disagreement."""
        sentences = []
        if self.conflicts:
            sentences.append(f"{self.name}: {self.conflicts:,} rows are already stored with different values.")
        if self.source_rows != self.accounted_rows:
            sentences.append(f"{self.name}: {self.accounted_rows:,} of {self.source_rows:,} rows are accounted for.")
        if self.has_power and self.source_power_kw != self.received_power_kw:
            sentences.append(
                f"{self.name}: the power sum is {self.source_power_kw:,} kW in the source, "
                f"but {self.received_power_kw:,} kW were read."
            )
        if self.has_power and self.expected_power_kw != self.stored_power_kw:
            sentences.append(
                f"{self.name}: the power sum of the stored rows is {self.stored_power_kw:,} kW, "
                f"not {self.expected_power_kw:,} kW."
            )
        return sentences


@dataclass
class Report:
    """The report of a database.

    Attributes:
        tables: a report for each table.
        ignored: tables and columns of the source that pvsite-datamodel does not have.
        folder: the folder with rejected and changed rows; None if there are none, or no folder was given.
    """

    tables: list[TableReport] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    folder: Path | None = None

    def disagreements(self) -> list[str]:
        """Return how the two databases disagree, one sentence for each disagreement."""
        return [sentence for table in self.tables for sentence in table.disagreements()]

    def lines(self) -> list[str]:
        """Return the report as text."""
        rows = [
            (
                table.name,
                f"{table.source_rows:,}",
                f"{table.stored_rows:,}",
                f"{table.inserted:,}" if table.name != "forecast_values" else "",
                f"{table.conflicts:,}",
                f"{table.rejected.total():,}",
            )
            for table in self.tables
        ]
        lines = _table(("table", "source", "stored", "inserted", "conflicts", "rejected"), rows)
        powers = [
            (
                table.name,
                f"{table.source_power_kw:,.3f}",
                f"{table.stored_power_kw:,.3f}",
                f"{total_kw(table.received_power_kw, -table.expected_power_kw):,.3f}",
            )
            for table in self.tables
            if table.has_power
        ]
        lines += ["", *_table(("power sum, kW", "source", "stored", "not stored"), powers)]
        remarks = [
            f"{table.name}: {count:,} {outcome}: {reason}"
            for table in self.tables
            for outcome, counts in (("rejected", table.rejected), ("changed", table.notes))
            for reason, count in counts.most_common()
        ]
        lines += ["", *remarks] if remarks else []
        lines += ["", f"Ignored: {', '.join(self.ignored)}."] if self.ignored else []
        return lines


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in (head, *rows)
    ]


class Rejects:
    """A folder of CSV files with rejected and changed rows, one for each table that has some."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.has_any = False
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def remove(self, table: str) -> None:
        """Remove the file that an earlier run wrote for the table."""
        if self.folder is not None:
            (self.folder / f"{table}.csv").unlink(missing_ok=True)

    def write(self, table: str, columns: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Append rows to the file of the table."""
        if self.folder is None:
            return
        path = self.folder / f"{table}.csv"
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(columns)
            writer.writerows(rows)
        self.has_any = True
