"""The rules that a plan is held to, by the header of its query file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import prod
from typing import Any

import psycopg
from headers import indexes, touches
from plan_cases import COUNTS, Case
from plan_database import MONTHS
from plan_reading import Catalog, Plan, Scan
from psycopg import sql

from pvsite_sql.engine.queries import Query, query

GENERIC, CUSTOM, IN_COPY = "a generic plan", "a plan for the values", "the values in the text, as in a COPY"
HOW = (CUSTOM, GENERIC, IN_COPY)
USE = """
    SELECT c.relname, pg_stat_get_xact_numscans(c.oid)
    FROM pg_class AS c WHERE c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace
"""


@dataclass
class Run:
    """What came of one case.

    Attributes:
        how: one of GENERIC, CUSTOM and IN_COPY.
        used: the indexes, also those that triggers looked into.
        limit: the rows that the header allows.
    """

    case: Case
    how: str
    plan: Plan
    used: set[str]
    limit: int


@dataclass
class Prover:
    """Runs the cases of query files, each in a transaction that is rolled back.

    Attributes:
        connection: to the database of plan_database.py, in autocommit mode.
        before: SQL that each transaction begins with.
    """

    connection: psycopg.Connection
    before: tuple[str, ...] = ()
    _known: dict[str, int] = field(default_factory=dict)

    @cached_property
    def catalog(self) -> Catalog:
        """What belongs to what."""
        return Catalog.of(self.connection)

    def faults(self, asked: Query, cases: Iterable[Case]) -> list[str]:
        """What is wrong with the plans of a query file, each with its plan."""
        runs = [self.run(asked, case, how) for case in cases for how in HOW]
        found = [
            f"{fault}, with {run.how} for {_shown(run.case)}:\n{run.plan}"
            for run in runs
            for fault in self._of(asked, run)
        ]
        for how in HOW:
            found += self._idle(asked, [run for run in runs if run.how == how], readable_whole=False)
        return [*found, *self._idle(asked, runs, readable_whole=True)]

    def _idle(self, asked: Query, runs: list[Run], *, readable_whole: bool) -> Iterator[str]:
        """Indexes of the header that these runs leave alone, and the others of their tables too."""
        used = {self.catalog.tables[index] for run in runs for index in run.used & set(indexes(asked))}
        for index in indexes(asked):
            table = self.catalog.tables.get(index)
            if table not in used and (table in _whole(asked)) == readable_whole:
                plans = "\n".join(f"With {run.how} for {_shown(run.case)}:\n{run.plan}" for run in runs)
                yield f"the header names {index}, and neither it nor another one of its table is used.\n{plans}"

    def run(self, asked: Query, case: Case, how: str) -> Run:
        """Run one case."""
        values = {parameter.name: _text(case.values[parameter.name]) for parameter in asked.parameters}
        with self.connection.transaction(force_rollback=True):
            self._prepare(asked, case)
            limit = self._limit(asked, case, values)
            explained = self._explained(asked, values, how)
            before = dict(self.connection.execute(USE).fetchall())
            (answer,) = self.connection.execute(explained).fetchone()
            after = dict(self.connection.execute(USE).fetchall())
            plan = Plan(answer[0]["Plan"])
            used = {self.catalog.parent(index) for index in after if after[index] > before[index]}
            used |= {self.catalog.parent(scan.index) for scan in plan.scans(self.catalog) if scan.loops}
            return Run(case, how, plan, used | self._refusing(plan), limit)

    def _prepare(self, asked: Query, case: Case) -> None:
        for statement in self.before:
            self.connection.execute(statement)
        for name in asked.after:
            self.connection.execute(query(name).text)
        if case.staged:
            self.connection.execute(case.staged)

    def _explained(self, asked: Query, values: Mapping[str, str], how: str) -> sql.Composable | str:
        explain = "EXPLAIN (ANALYZE, BUFFERS OFF, FORMAT JSON) "
        if how == IN_COPY:
            head, tail = f"COPY /* {asked.name} */ (", ") TO STDOUT (FORMAT binary)"
            copy = psycopg.ClientCursor(self.connection).mogrify(asked.copy_out.decode(), values or None)
            assert copy.startswith(head)
            assert copy.endswith(tail)
            return explain + copy.removeprefix(head).removesuffix(tail)
        names = [parameter.name for parameter in asked.parameters]
        numbered = "".join(f"${names.index(part) + 1}" if n % 2 else part for n, part in enumerate(asked.parts()))
        types = f"({', '.join(parameter.type for parameter in asked.parameters)})" if names else ""
        mode = "force_generic_plan" if how == GENERIC else "force_custom_plan"
        self.connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        self.connection.execute("DEALLOCATE ALL")
        self.connection.execute(f"PREPARE asked {types} AS {numbered}")
        given = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, values.values()))) if names else sql.SQL("")
        return sql.SQL(explain + "EXECUTE asked") + given

    def _refusing(self, plan: Plan) -> set[str]:
        """The indexes by which an INSERT refuses a duplicate."""
        into = {node["Relation Name"] for node in plan.nodes if node.get("Operation") == "Insert"}
        return {index for index in self.catalog.unique if self.catalog.tables[index] in into}

    def _limit(self, asked: Query, case: Case, values: Mapping[str, str]) -> int:
        counts = {factor: self._count(asked, case, values, factor) for term in touches(asked) for factor in term}
        return sum(prod(counts[factor] for factor in term) for term in touches(asked))

    def _count(self, asked: Query, case: Case, values: Mapping[str, str], factor: str) -> int:
        if factor.isdecimal():
            return int(factor)
        if isinstance(given := case.values.get(factor), list):
            return len(given)
        if factor == "result":
            with self.connection.transaction(force_rollback=True):
                return self.connection.execute(asked.text, values or None).rowcount
        return self._counted(case, values, factor)

    def _counted(self, case: Case, values: Mapping[str, str], factor: str) -> int:
        if factor == "siblings":
            return self._once(factor, COUNTS[factor])
        if factor == "month_readings":
            return sum(self._rows(f"generation_p{month}") for month in months_of(case, timedelta()))
        if factor not in COUNTS:
            return self._rows(factor)
        optional = ("site_uuids", "user_uuids", "site_group_name", "email", "client_site_id", "model_name", "name")
        lists = ("client_site_ids", "client_site_names")
        missing = dict.fromkeys((*optional, *lists, "client_site_name", "horizon_minutes"))
        return self._number(COUNTS[factor], missing | values)

    def _rows(self, table: str) -> int:
        if table.endswith(("_staging", "_pruned")) or table.startswith("adopt_"):  # each file makes its own
            return self._number(f"SELECT count(*) FROM pg_temp.{table}", {})
        return self._once(table, f"SELECT count(*) FROM {table}")

    def _once(self, name: str, statement: str) -> int:
        if name not in self._known:  # what a case changes is rolled back
            self._known[name] = self._number(statement, {})
        return self._known[name]

    def _number(self, statement: str, values: Mapping[str, Any]) -> int:
        (number,) = psycopg.ClientCursor(self.connection).execute(statement, values).fetchone()
        return int(number)

    def _of(self, asked: Query, run: Run) -> Iterator[str]:
        words, whole = _words(asked), _whole(asked)
        scans = run.plan.scans(self.catalog)
        for scan in scans:
            table, index = self.catalog.parent(scan.relation), self.catalog.parent(scan.index)
            if not scan.index and table not in whole:
                yield f"{scan.kind} of {scan.relation}, which the header's bound does not name"
            elif scan.index and index not in indexes(asked) and table not in whole:
                yield f"{scan.relation} is read by {index}, which the header does not name"
        yield from self._unpruned(asked, run.case, words, scans)
        if (rows := sum(scan.rows for scan in scans)) > run.limit:
            bound = " + ".join(" * ".join(term) for term in touches(asked)) or "none"
            yield f"{rows:.0f} rows are read, and the header's bound, {bound}, is {run.limit}"
        if "month_readings" not in words and (spilled := run.plan.spilled()):
            yield f"{' and '.join(spilled)} does not fit into memory"
        called = {n["Function Name"] for n in run.plan.nodes if "Function Name" in n} & self.catalog.functions
        if called and not asked.name.startswith("engine/"):
            yield f"what {', '.join(called)} reads is not seen in the plan: it was not inlined"

    def _unpruned(self, asked: Query, case: Case, words: set[str], scans: list[Scan]) -> Iterator[str]:
        if not {"start_utc", "end_utc"} <= set(case.values):
            return
        allowed = {"generation": months_of(case, case.wider)}
        if "unfinished_forecasts" not in words:  # which may be of any month
            allowed["forecasts"] = months_of(
                case, timedelta(), minutes_before=int(case.values.get("horizon_minutes", 0))
            )
        for scan in scans:
            table, _, month = scan.relation.partition("_p")
            if scan.loops and table in allowed and month not in allowed[table]:
                yield f"{scan.relation} is looked into, outside of the window"


def _words(asked: Query) -> set[str]:
    return {factor for term in touches(asked) for factor in term}


def _whole(asked: Query) -> set[str]:
    """The tables that the header allows to be read whole, and those of whose partitions it does."""
    words = _words(asked)
    viewed = {word.removesuffix("_pruned") for word in words}  # a view of all of the table
    return words | viewed | ({"generation"} if "month_readings" in words else set())


def months_of(case: Case, wider: timedelta, minutes_before: int = 0) -> set[str]:
    """The months that a case's window touches, as partitions are named. Its end may or may not belong to it."""
    start, end = (_moment(str(case.values[name])) for name in ("start_utc", "end_utc"))
    if start is not None:
        start -= wider + timedelta(minutes=minutes_before)
    if end is not None:
        end += wider - timedelta(minutes=minutes_before)
    months = [month[:7].replace("-", "_") for month in MONTHS]
    first = months[0] if start is None else f"{start:%Y_%m}"
    last = months[-1] if end is None else f"{max(end - timedelta(microseconds=1), start or end):%Y_%m}"
    return {month for month in months if first <= month <= last}


def _moment(given: str) -> datetime | None:
    return None if given.endswith("infinity") else datetime.fromisoformat(given).astimezone(UTC)


def _text(given: str | list[str]) -> str:
    return given if isinstance(given, str) else "{" + ",".join(given) + "}"


def _shown(case: Case) -> str:
    return ", ".join(f"{k}={v if isinstance(v, str) else f'[{len(v)}]'}" for k, v in case.values.items()) or "no values"
