"""Takes over a database that pvsite-datamodel made, 1.0.6 to 1.2.15: `pvsite-sql adopt`.

The source is read in one snapshot and never written. Its rows go by COPY into temporary tables of the target, where the
files of `sql/adopt/` say what becomes of each. A table, or a range of a big one, is one transaction; each can be
repeated, so a run that was cut off is completed by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..engine import partitions
from ..engine.migrations import require_migrations
from ..engine.queries import query
from ..engine.session import QueryConnection
from ..errors import PvsiteSqlError
from .report import Rejects, Report, TableReport, total_kw

__all__ = ["FORECAST_RANGE", "GENERATION_RANGE", "Progress", "adopt"]

Progress = Callable[[str, int, int], None]
"""Called with a table, its rows so far, and its rows in all (0 while they are being counted)."""

GENERATION_RANGE = 1_000_000  # readings in a transaction
FORECAST_RANGE = 5_000  # forecasts, of some hundred values each

# Times without a zone are UTC; the snapshot stays open while the target works, and big ranges take their time.
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "work_mem": "64MB",
    "pvsite_sql.actor": "adopt",  # for the history of the sites
}


@dataclass(frozen=True)
class _Small:
    """A small table: what it is called here, what it may be called in the source, and the files that take it over."""

    kind: str
    sources: dict[str, str]
    prepare: str
    insert: str | None = None
    is_named: bool = False


_BEFORE_SITES = (
    _Small(
        "clients", {"clients": "adopt/source_clients"}, "adopt/clients_prepare", "adopt/clients_insert", is_named=True
    ),
    _Small(
        "site_groups",
        {"site_groups": "adopt/source_site_groups", "location_groups": "adopt/source_location_groups"},
        "adopt/site_groups_prepare",
        "adopt/site_groups_insert",
        is_named=True,
    ),
    _Small("users", {"users": "adopt/source_users"}, "adopt/users_prepare", "adopt/users_insert", is_named=True),
)
_SITES = _Small(
    "sites",
    {"sites": "adopt/source_sites", "locations": "adopt/source_locations"},
    "adopt/sites_prepare",
    "adopt/sites_insert",
)
_AFTER_SITES = (
    _Small(
        "site_group_sites",
        {
            "site_group_sites": "adopt/source_site_group_sites",
            "location_group_locations": "adopt/source_location_group_locations",
        },
        "adopt/site_group_sites_prepare",
        "adopt/site_group_sites_insert",
    ),
    _Small("inverters", {"inverters": "adopt/source_inverters"}, "adopt/inverters_prepare", "adopt/inverters_insert"),
    _Small("status", {"status": "adopt/source_status"}, "adopt/status_prepare", "adopt/status_insert"),
    _Small(
        "api_request",
        {"api_request": "adopt/source_api_request"},
        "adopt/api_request_prepare",
        "adopt/api_request_insert",
    ),
    _Small(
        "ml_models",
        {"ml_model": "adopt/source_ml_model"},
        "adopt/ml_models_prepare",
        "adopt/ml_models_insert",
        is_named=True,
    ),
    _Small("location_locations", {"location_locations": "adopt/source_location_locations"}, "adopt/documents_no_place"),
    _Small(
        "site_history",
        {"sites_history": "adopt/source_sites_history", "locations_history": "adopt/source_locations_history"},
        "adopt/site_history_prepare",
        "adopt/site_history_insert",
    ),
)
_COMMON = {"users", "inverters", "status", "generation", "forecasts", "forecast_values"}
_LAYOUTS = {
    "sites": _COMMON | {"sites", "site_groups", "site_group_sites"},
    "locations": _COMMON | {"locations", "location_groups", "location_group_locations"},
}


def adopt(source: str, target: str, *, rejects: Path | None = None, progress: Progress | None = None) -> Report:
    """Take over a database that pvsite-datamodel made. What is stored already stays as it is.

    Args:
        source: conninfo of the database that is taken over; only read.
        target: conninfo of a database that has this package's migrations.
        rejects: a folder for CSV files with the rows that are not taken over as they are, one file a table; made
            where it is not there.
        progress: called as the work goes on.

    Returns:
        what became of every row.

    Raises:
        PvsiteSqlError: the source is no such database.
        SchemaOutOfDate: the target lacks migrations.
    """
    with _connected(source) as reading, _connected(target) as writing:
        reading.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reading.read_only = True
        writing.autocommit = True
        require_migrations(QueryConnection(writing))
        return _Adoption(reading, writing, Rejects(rejects), progress or (lambda *_: None)).run()


@contextmanager
def _connected(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    given = conninfo_to_dict(conninfo).get("options", "")
    options = " ".join([str(given), *(f"-c {name}={value}" for name, value in _SETTINGS.items())])
    with psycopg.connect(make_conninfo(conninfo, options=options.strip(), client_encoding="UTF8")) as connection:
        yield connection


class _Adoption:
    def __init__(
        self,
        reading: psycopg.Connection[Any],
        writing: psycopg.Connection[Any],
        rejects: Rejects,
        progress: Progress,
    ) -> None:
        self._source = QueryConnection(reading)
        self._target = QueryConnection(writing)
        self._writing = writing
        self._rejects = rejects
        self._progress = progress

    def run(self) -> Report:
        tables, unknown = self._looked_over()
        report = Report(passed_over=unknown)
        self._target.run("adopt/documents_ids")
        for small in (*_BEFORE_SITES, _SITES, *_AFTER_SITES):
            self._rejects.begin(small.kind)
            for name, source in small.sources.items():
                if name in tables:
                    report.tables.append(self._small(small, source))
        report.tables += [self._generation(), *self._forecasts()]
        report.folder = self._rejects.folder if self._rejects.has_any else None
        return report

    def _looked_over(self) -> tuple[set[str], list[str]]:
        """The source's tables that there is a place for, and whatever else there is in it."""
        columns = self._source.records("adopt/source_columns")
        tables = {column["table_name"] for column in columns}
        for needed in _LAYOUTS.values():
            if needed <= tables:
                break
        else:
            lacking = min((needed - tables for needed in _LAYOUTS.values()), key=len)
            raise PvsiteSqlError(
                "The source is no database of pvsite-datamodel 1.0.6 to 1.2.15: "
                f"of its tables it lacks {', '.join(sorted(lacking))}."
            )
        if set(_LAYOUTS) <= tables:
            raise PvsiteSqlError("The source has both tables, sites and locations: an unfinished migration?")
        keys = {(column["table_name"], column["column_name"]) for column in columns}
        for name in ("generation", "forecasts"):
            if not keys & {(name, "site_uuid"), (name, "location_uuid")}:
                raise PvsiteSqlError(f"The source's table {name} has neither site_uuid nor location_uuid.")
        known = {column["table_name"] for column in columns if column["place"] != "unknown"}
        others = [f"table {name}" for name in sorted(tables - known)]
        others += [
            f"column {column['table_name']}.{column['column_name']}"
            for column in columns
            if column["place"] == "unknown" and column["table_name"] in known
        ]
        return tables, others

    def _small(self, small: _Small, source: str) -> TableReport:
        table = TableReport(small.kind)
        target = self._target
        with target.transaction():
            target.run("adopt/documents_arrived")
            target.run("adopt/documents_rows")
            table.source_rows = target.copy_in("adopt/documents_stage", self._source.copy_out(source))
            target.run(small.prepare)
            if small.insert is not None:
                if small is _SITES:
                    target.records("adopt/sites_numbers")
                table.inserted = target.run(small.insert)
                target.run("adopt/documents_compare", kind=small.kind)
            if small.is_named:
                target.run("adopt/documents_keep_ids", kind=small.kind)
            for row in target.records("adopt/documents_outcome"):
                table.add(row)
            self._write_rejects(table, "adopt/documents_rejected")
        self._progress(small.kind, table.source_rows, table.source_rows)
        return table

    def _generation(self) -> TableReport:
        table = TableReport("generation", has_power=True)
        target = self._target
        for months, window in self._ranges(table, table, "adopt/source_generation_ranges", GENERATION_RANGE):
            partitions.ensure(target, "generation", months)
            with target.transaction():
                target.run("adopt/generation_arrived")
                target.run("adopt/generation_rows")
                arriving = self._source.copy_out("adopt/source_generation", **window)
                target.copy_in("adopt/generation_stage", arriving)
                target.run("adopt/generation_prepare")
                table.inserted += target.run("adopt/generation_insert", **window)
                for row in target.records("adopt/generation_outcome", **window):
                    table.add(row)
                self._write_rejects(table, "adopt/generation_rejected", **window)
        return table

    def _forecasts(self) -> tuple[TableReport, TableReport]:
        """The forecasts, and their values."""
        table, values = TableReport("forecasts"), TableReport("forecast_values", has_power=True)
        self._progress(values.name, 0, 0)
        (totals,) = self._source.records("adopt/source_forecast_totals")
        values.source_rows, values.source_power_kw = totals["rows"], totals["power_kw"]
        target = self._target
        for months, window in self._ranges(table, values, "adopt/source_forecast_ranges", FORECAST_RANGE):
            partitions.ensure(target, "forecasts", months)
            with target.transaction():
                target.run("adopt/forecasts_arrived")
                target.run("adopt/forecasts_rows")
                arriving = self._source.copy_out("adopt/source_forecasts", **window)
                target.copy_in("adopt/forecasts_stage", arriving)
                target.run("adopt/forecasts_prepare")
                table.inserted += target.run("adopt/forecasts_insert", **window)
                for row in target.records("adopt/forecasts_outcome", **window):
                    table.add({**row, "rows": row["forecasts"]})
                    values.add(row)
                self._write_rejects(table, "adopt/forecasts_rejected", **window)
        return table, values

    def _ranges(
        self, table: TableReport, shown: TableReport, name: str, rows: int
    ) -> Iterator[tuple[list[Any], dict[str, str]]]:
        """The months and the bounds of each range of a big table; `shown` is what its progress is measured by."""
        self._progress(shown.name, 0, 0)
        self._rejects.begin(table.name)
        ranges = self._source.records(name, rows=rows)
        table.source_rows = sum(each["rows"] for each in ranges)
        table.source_power_kw = total_kw(*(each.get("power_kw", 0) for each in ranges))
        for each in ranges:
            yield each["months"] or [], {"start_utc": each["start_utc"], "end_utc": each["end_utc"]}
            self._progress(shown.name, shown.accounted_rows, shown.source_rows)

    def _write_rejects(self, table: TableReport, name: str, **window: str) -> None:
        if self._rejects.folder is None or not table.has_remarks:
            return
        asked = query(name)
        with psycopg.Cursor(self._writing) as cursor:
            text: LiteralString = asked.text  # type: ignore[assignment]
            rows = cursor.stream(text, window or None)
            self._rejects.write(table.name, [column.name for column in asked.columns], rows)
