"""Copies a database of pvsite-datamodel 1.0.6 to 1.2.15 into this one, for `pvsite-sql adopt`.

The source is read in one snapshot and never written. COPY moves its rows into temporary tables of the target, where the
files of `sql/adopt/` decide what happens to each row. Each small table, and each range of a large one, is one
transaction. They can be repeated, so after an interruption the next run continues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from ..engine import partitions
from ..engine.conninfo import with_settings
from ..engine.migrations import require_migrations
from ..engine.queries import query
from ..engine.session import QueryConnection
from ..errors import PvsiteSqlError
from .report import Rejects, Report, TableReport, total_kw

__all__ = ["FORECAST_RANGE", "GENERATION_RANGE", "Progress", "adopt"]

Progress = Callable[[str, int, int], None]
"""Called with a table, the number of rows so far, and the total number of rows (0 while they are counted)."""

GENERATION_RANGE = 1_000_000  # readings per transaction
FORECAST_RANGE = 5_000  # forecasts per transaction, of some hundred values each

# The times of the source have no zone and are UTC. No timeouts: the snapshot stays open until the end.
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "jit": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "work_mem": "64MB",
    "pvsite_sql.actor": "adopt",  # for the history of the sites
}


@dataclass(frozen=True)
class _SmallTable:
    """A small table.

    Attributes:
        kind: its name here.
        sources: the query that reads it, by its possible names in the source.
        prepare: the query that prepares its rows.
        insert: the query that inserts them; None: they are all rejected.
        has_natural_key: whether a stored row with another id may replace one of the source.
    """

    kind: str
    sources: dict[str, str]
    prepare: str
    insert: str | None = None
    has_natural_key: bool = False


_SMALL_TABLES = (  # each after those that it refers to
    _SmallTable(
        "clients",
        {"clients": "adopt/source_clients"},
        "adopt/clients_prepare",
        "adopt/clients_insert",
        has_natural_key=True,
    ),
    _SmallTable(
        "site_groups",
        {"site_groups": "adopt/source_site_groups", "location_groups": "adopt/source_location_groups"},
        "adopt/site_groups_prepare",
        "adopt/site_groups_insert",
        has_natural_key=True,
    ),
    _SmallTable(
        "users", {"users": "adopt/source_users"}, "adopt/users_prepare", "adopt/users_insert", has_natural_key=True
    ),
    _SmallTable(
        "ml_models",
        {"ml_model": "adopt/source_ml_model"},
        "adopt/ml_models_prepare",
        "adopt/ml_models_insert",
        has_natural_key=True,
    ),
    _SmallTable(
        "sites",
        {"sites": "adopt/source_sites", "locations": "adopt/source_locations"},
        "adopt/sites_prepare",
        "adopt/sites_insert",
    ),
    _SmallTable(
        "site_group_sites",
        {
            "site_group_sites": "adopt/source_site_group_sites",
            "location_group_locations": "adopt/source_location_group_locations",
        },
        "adopt/site_group_sites_prepare",
        "adopt/site_group_sites_insert",
    ),
    _SmallTable(
        "inverters", {"inverters": "adopt/source_inverters"}, "adopt/inverters_prepare", "adopt/inverters_insert"
    ),
    _SmallTable("status", {"status": "adopt/source_status"}, "adopt/status_prepare", "adopt/status_insert"),
    _SmallTable(
        "api_request",
        {"api_request": "adopt/source_api_request"},
        "adopt/api_request_prepare",
        "adopt/api_request_insert",
    ),
    _SmallTable(
        "location_locations", {"location_locations": "adopt/source_location_locations"}, "adopt/documents_unsupported"
    ),
    _SmallTable(
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
    """Copy a pvsite-datamodel database into this one. Rows that are already stored are not changed.

    Args:
        source: conninfo of the database to copy. It is not changed.
        target: conninfo of a migrated database of this package.
        rejects: a folder for CSV files with the rows that were rejected or changed, one file for each table. It is
            created if it does not exist.
        progress: called after each step.

    Returns:
        a report of what happened to each row.

    Raises:
        PvsiteSqlError: the source is not a pvsite-datamodel database.
        SchemaOutOfDate: the target has pending migrations.
    """
    with (
        psycopg.connect(with_settings(source, _SETTINGS, client_encoding="UTF8")) as source_connection,
        psycopg.connect(with_settings(target, _SETTINGS, client_encoding="UTF8")) as target_connection,
    ):
        source_connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        source_connection.read_only = True
        target_connection.autocommit = True
        require_migrations(QueryConnection(target_connection))
        return _Adoption(source_connection, target_connection, Rejects(rejects), progress or (lambda *_: None)).run()


class _Adoption:
    def __init__(
        self,
        source: psycopg.Connection[Any],
        target: psycopg.Connection[Any],
        rejects: Rejects,
        progress: Progress,
    ) -> None:
        self._source = QueryConnection(source)
        self._target = QueryConnection(target)
        self._target_connection = target
        self._rejects = rejects
        self._progress = progress

    def run(self) -> Report:
        tables, ignored = self._inspect_source()
        report = Report(ignored=ignored)
        self._target.run("adopt/documents_ids")
        for small_table in _SMALL_TABLES:
            self._rejects.remove(small_table.kind)
            for name, source in small_table.sources.items():
                if name in tables:
                    report.tables.append(self._copy_small_table(small_table, source))
        report.tables += [self._copy_generation(), *self._copy_forecasts()]
        report.folder = self._rejects.folder if self._rejects.has_any else None
        return report

    def _inspect_source(self) -> tuple[set[str], list[str]]:
        """Return the tables of the source, and the tables and columns that pvsite-datamodel does not have."""
        columns = self._source.records("adopt/source_columns")
        tables = {column["table_name"] for column in columns}
        missing = min((layout - tables for layout in _LAYOUTS.values()), key=len)
        if missing:
            raise PvsiteSqlError(
                "The source is not a database of pvsite-datamodel 1.0.6 to 1.2.15: "
                f"missing tables: {', '.join(sorted(missing))}."
            )
        if set(_LAYOUTS) <= tables:
            raise PvsiteSqlError("The source has both tables, sites and locations: finish its migration first.")
        keys = {(column["table_name"], column["column_name"]) for column in columns}
        for name in ("generation", "forecasts"):
            if not keys & {(name, "site_uuid"), (name, "location_uuid")}:
                raise PvsiteSqlError(f"The source's table {name} has neither site_uuid nor location_uuid.")
        known = {column["table_name"] for column in columns if column["handling"] != "unknown"}
        ignored = [f"table {name}" for name in sorted(tables - known)]
        ignored += [
            f"column {column['table_name']}.{column['column_name']}"
            for column in columns
            if column["handling"] == "unknown" and column["table_name"] in known
        ]
        return tables, ignored

    def _copy_small_table(self, small_table: _SmallTable, source: str) -> TableReport:
        table = TableReport(small_table.kind)
        target = self._target
        with target.transaction():
            target.run("adopt/documents_staging")
            target.run("adopt/documents_rows")
            table.source_rows = target.copy_in("adopt/documents_stage", self._source.copy_out(source))
            target.run(small_table.prepare)
            if small_table.insert is not None:
                table.inserted = target.run(small_table.insert)
                target.run("adopt/documents_compare", kind=small_table.kind)
            if small_table.has_natural_key:
                target.run("adopt/documents_keep_ids", kind=small_table.kind)
            for row in target.records("adopt/documents_outcome"):
                table.add(row)
            self._write_rejects(table, "adopt/documents_rejected")
        self._progress(small_table.kind, table.source_rows, table.source_rows)
        return table

    def _copy_generation(self) -> TableReport:
        table = TableReport("generation", has_power=True)
        target = self._target
        for months, window in self._ranges(table, table, "adopt/source_generation_ranges", GENERATION_RANGE):
            partitions.ensure(target, "generation", months, wait=True)
            with target.transaction():
                target.run("adopt/generation_staging")
                target.run("adopt/generation_rows")
                target.copy_in("adopt/generation_stage", self._source.copy_out("adopt/source_generation", **window))
                target.run("adopt/generation_prepare")
                table.inserted += target.run("adopt/generation_insert", **window)
                for row in target.records("adopt/generation_outcome", **window):
                    table.add(row)
                self._write_rejects(table, "adopt/generation_rejected", **window)
        return table

    def _copy_forecasts(self) -> tuple[TableReport, TableReport]:
        """Copy the forecasts. Return the reports of the forecasts and of their values."""
        table, values = TableReport("forecasts"), TableReport("forecast_values", has_power=True)
        self._progress(values.name, 0, 0)
        (totals,) = self._source.records("adopt/source_forecast_totals")
        values.source_rows, values.source_power_kw = totals["rows"], totals["power_kw"]
        target = self._target
        for months, window in self._ranges(table, values, "adopt/source_forecast_ranges", FORECAST_RANGE):
            partitions.ensure(target, "forecasts", months, wait=True)
            with target.transaction():
                target.run("adopt/forecasts_staging")
                target.run("adopt/forecasts_rows")
                target.copy_in("adopt/forecasts_stage", self._source.copy_out("adopt/source_forecasts", **window))
                target.run("adopt/forecasts_prepare")
                table.inserted += target.run("adopt/forecasts_insert", **window)
                for row in target.records("adopt/forecasts_outcome", **window):
                    table.add({**row, "rows": row["forecasts"]})
                    values.add(row)
                self._write_rejects(table, "adopt/forecasts_rejected", **window)
        return table, values

    def _ranges(
        self, table: TableReport, progress_table: TableReport, name: str, rows: int
    ) -> Iterator[tuple[list[Any], dict[str, str]]]:
        """Yield the months and the bounds of each range of a large table. Reports the progress of `progress_table`."""
        self._progress(progress_table.name, 0, 0)
        self._rejects.remove(table.name)
        ranges = self._source.records(name, rows=rows)
        table.source_rows = sum(each["rows"] for each in ranges)
        table.source_power_kw = total_kw(*(each.get("power_kw", 0) for each in ranges))
        for each in ranges:
            yield each["months"] or [], {"start_utc": each["start_utc"], "end_utc": each["end_utc"]}
            self._progress(progress_table.name, progress_table.accounted_rows, progress_table.source_rows)

    def _write_rejects(self, table: TableReport, name: str, **window: str) -> None:
        if self._rejects.folder is None or not table.has_remarks:
            return
        file = query(name)
        with psycopg.Cursor(self._target_connection) as cursor:
            text: LiteralString = file.text  # type: ignore[assignment]
            rows = cursor.stream(text, window or None)
            self._rejects.write(table.name, [column.name for column in file.columns], rows)
