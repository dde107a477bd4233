"""What became of the rows of a database that was taken over."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

__all__ = ["Rejects", "Report", "TableReport", "total_kw"]

_EXACT = Context(prec=1000)  # more digits than a sum of double precision has


def total_kw(*powers: Decimal | int) -> Decimal:
    """Their sum, to the last digit."""
    total = Decimal(0)
    for power in powers:
        total = _EXACT.add(total, power)
    return total


@dataclass
class TableReport:
    """The account of one table.

    Attributes:
        name: the table here.
        has_power: whether sums of power are compared too.
        source_rows: rows in the source, counted there.
        source_power_kw: the sum of their power, summed up there.
        inserted: rows that this run has stored.
        stored_rows: rows of the source that were found stored as they have to be, at the end.
        conflicts: rows whose key is stored with other content.
        rejected: rows that are not taken over, by reason.
        notes: rows that are stored otherwise than they were, by what differs.
        arrived_power_kw: the power of all rows that came over, NaN and infinities left out.
        wanted_power_kw: of the stored rows, as it was in the source.
        stored_power_kw: of the stored rows, read back from here.
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
    arrived_power_kw: Decimal | int = 0
    wanted_power_kw: Decimal | int = 0
    stored_power_kw: Decimal | int = 0

    @property
    def accounted_rows(self) -> int:
        """Rows of which it is known what became of them."""
        return self.stored_rows + self.conflicts + self.rejected.total()

    @property
    def has_remarks(self) -> bool:
        """Whether there are rows that are not stored as they were."""
        return bool(self.conflicts or self.rejected or self.notes)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row of an `adopt/*_outcome` query."""
        rows = row["rows"]
        self.arrived_power_kw = total_kw(self.arrived_power_kw, row.get("source_power_kw", 0))
        if row["outcome"] == "rejected":
            self.rejected[row["reason"]] += rows
        elif row["outcome"] == "conflict":
            self.conflicts += rows
        else:
            self.stored_rows += row.get("stored_rows", rows) if self.has_power else rows
            self.wanted_power_kw = total_kw(self.wanted_power_kw, row.get("source_power_kw", 0))
            self.stored_power_kw = total_kw(self.stored_power_kw, row.get("stored_power_kw", 0))
        if row["note"] is not None:
            self.notes[row["note"]] += rows

    def disagreements(self) -> list[str]:
        """In what the two sides do not agree, a sentence each."""
        said = []
        if self.conflicts:
            said.append(f"{self.name}: {self.conflicts:,} rows are stored already, with other content.")
        if self.source_rows != self.accounted_rows:
            said.append(f"{self.name}: of {self.source_rows:,} rows {self.accounted_rows:,} are accounted for.")
        if self.has_power and self.source_power_kw != self.arrived_power_kw:
            said.append(f"{self.name}: of {self.source_power_kw:,} kW in all {self.arrived_power_kw:,} kW came over.")
        if self.has_power and self.wanted_power_kw != self.stored_power_kw:
            said.append(f"{self.name}: of {self.wanted_power_kw:,} kW {self.stored_power_kw:,} kW are stored.")
        return said


@dataclass
class Report:
    """The account of a whole database.

    Attributes:
        tables: one for each table of the source.
        passed_over: tables and columns of the source that pvsite-datamodel does not have.
        folder: where the rows are that are not stored as they were, if there are any and a folder was named.
    """

    tables: list[TableReport] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    folder: Path | None = None

    def disagreements(self) -> list[str]:
        """In what the two sides do not agree, a sentence each; empty where all is well."""
        return [said for table in self.tables for said in table.disagreements()]

    def lines(self) -> list[str]:
        """The report for people."""
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
        lines = _table(("table", "source", "stored", "new of them", "conflicts", "rejected"), rows)
        powers = [
            (
                table.name,
                f"{table.source_power_kw:,.3f}",
                f"{table.stored_power_kw:,.3f}",
                f"{total_kw(table.arrived_power_kw, -table.wanted_power_kw):,.3f}",
            )
            for table in self.tables
            if table.has_power
        ]
        lines += ["", *_table(("sum of power, kW", "source", "stored", "others"), powers)]
        remarks = [
            (count, f"{table.name}: {count:,} {what}: {why}")
            for table in self.tables
            for what, counted in (("rejected", table.rejected), ("stored, but", table.notes))
            for why, count in counted.most_common()
        ]
        lines += ["", *(said for _, said in remarks)] if remarks else []
        lines += ["", f"Passed over: {', '.join(self.passed_over)}."] if self.passed_over else []
        return lines


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in (head, *rows)
    ]


class Rejects:
    """A folder of CSV files, one for each table that has rows to show."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.has_any = False
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def begin(self, table: str) -> None:
        """Be rid of what an earlier run wrote of the table."""
        if self.folder is not None:
            (self.folder / f"{table}.csv").unlink(missing_ok=True)

    def write(self, table: str, columns: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows to the table's file, which is made with the first of them."""
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
