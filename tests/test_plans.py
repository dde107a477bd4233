"""Every query file's plan, by glob, on a database of 1,000 sites and twelve months; the rules are in plan_checks.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from databases import Databases
from headers import indexes, touches
from plan_cases import ALWAYS, CASES, DAY, ELSEWHERE, FEW, TURN, UNPLANNED, UP_TO_NOON, YESTERDAY, case
from plan_checks import CUSTOM, GENERIC, HOW, Prover
from plan_database import fill, user
from plan_sharing import SharedPlans
from test_queries import COPY_FROM

from pvsite_sql.engine.queries import Query, load

QUERIES = load()
OURS = {name: asked for name, asked in QUERIES.items() if not name.startswith(ELSEWHERE)}


# compiling would outlast the queries; of parallel workers each may read a table
SETTINGS = "-c timezone=UTC -c jit=off -c max_parallel_workers_per_gather=0"


@pytest.fixture(scope="session")
def plans(databases: Databases, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedPlans]:
    """The database that plan_database.py fills, of which each worker takes a clone."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "plans"
    shared = SharedPlans(folder, worker_id, databases, lambda dsn: fill(lambda: psycopg.connect(dsn, options=SETTINGS)))
    yield shared
    shared.close()


@pytest.fixture(scope="module")
def filled(plans: SharedPlans) -> Iterator[psycopg.Connection]:
    """A connection to a clone of that database."""
    with plans.clone() as dsn, psycopg.connect(dsn, options=SETTINGS, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def prover(filled: psycopg.Connection) -> Prover:
    """Which counts each table once."""
    return Prover(filled)


@pytest.fixture(scope="module")
def provers(prover: Prover) -> dict[str, Prover]:
    """By what there are statistics of: autovacuum analyses partitions, and never the table that they belong to."""
    forgotten = "DELETE FROM pg_statistic WHERE stainherit"
    return {"of tables and partitions": prover, "of partitions": Prover(prover.connection, before=(forgotten,))}


def saying(asked: Query, **sections: str) -> Query:
    """The same file with another header."""
    return replace(asked, sections={**asked.sections, **sections})


def proved(prover: Prover, asked: Query) -> None:
    """Fails with the plans that break a rule."""
    cases = CASES.get(asked.name)
    assert cases, f"{asked.name} has no entry in CASES of plan_cases.py"
    faults = prover.faults(asked, cases)
    assert not faults, "\n\n".join([str(asked.path), *faults])


def test_the_database_has_several_million_rows(filled):
    counts = [filled.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("sites", "generation")]
    assert counts[0] == 1_000
    assert counts[1] > 3_000_000


@pytest.mark.parametrize("known", ["of tables and partitions", "of partitions"])
@pytest.mark.parametrize("asked", OURS.values(), ids=OURS)
def test_plan_is_what_the_header_says(provers, asked, known):
    if asked.name in UNPLANNED:
        assert asked.statement.split()[0] in {"COPY", "CREATE", "DISCARD", "TRUNCATE"}
        assert touches(asked) == ()
        return
    proved(provers[known], asked)


def test_says_why_it_relies_on_no_index(subtests):
    for asked in QUERIES.values():
        with subtests.test(asked.name):
            assert indexes(asked) or re.fullmatch(r"none \(.+\)", asked.sections["Index"])


@pytest.mark.parametrize("name", ["forecasts/get_with_timestamp", "forecasts/values_with_timestamp"])
def test_the_timestamp_of_a_forecast_leads_to_one_partition(prover, name):
    for each in CASES[name]:
        for how in HOW:
            scans = prover.run(QUERIES[name], each, how).plan.scans(prover.catalog)
            assert {scan.relation for scan in scans} - {"ml_models"} == {"forecasts_p2024_12"}, how


def test_without_a_filter_the_last_request_of_each_user_is_the_only_one_that_is_read(prover):
    asked = replace(QUERIES["api_requests/last_per_user"], sections={"Index": "", "Touches": "users + result"})
    run = prover.run(asked, CASES[asked.name][0], CUSTOM)
    rows = sum(scan.rows for scan in run.plan.scans(prover.catalog))
    assert 0 < rows <= run.limit


@pytest.mark.parametrize("name", ["list_for_user", "list_for_user_newest_first"])
def test_a_page_of_many_requests_does_not_read_all_of_them(prover, name):
    many = f"""
        INSERT INTO api_request (url, user_uuid, created_utc)
        SELECT '/sites', '{user(7)}', timestamptz '2024-01-01 00:00Z' + n * interval '1 minute'
        FROM generate_series(1, 20000) AS n;
        ANALYZE api_request
    """
    page = case(email="user7@example.com", **ALWAYS, include="", exclude="", limit="2", offset="1", staged=many)
    for how in HOW:
        run = prover.run(QUERIES[f"api_requests/{name}"], page, how)
        (scan,) = [scan for scan in run.plan.scans(prover.catalog) if scan.relation == "api_request"]
        assert scan.rows < 100, f"{how}:\n{run.plan}"


@pytest.mark.parametrize(
    ("table", "index", "rows"), [("generation", "generation_pkey", 342), ("forecasts", "forecasts_key", 36)]
)
def test_an_archive_of_a_few_sites_reads_their_rows_alone(prover, table, index, rows):
    stored = f"INSERT INTO pg_temp.pruned_sites SELECT unnest('{{{','.join(FEW)}}}'::uuid[]);"
    steps = [QUERIES[f"prune/{name}"].text.decode() for name in ("sites_staging", f"view_{table}_of_sites")]
    few = case(**UP_TO_NOON, staged="\n".join([steps[0], stored, steps[1]]))
    for how in HOW:
        scans = prover.run(QUERIES[f"prune/archive_{table}"], few, how).plan.scans(prover.catalog)
        read = [scan for scan in scans if scan.loops and scan.relation.startswith(table)]
        assert {prover.catalog.parent(scan.index) for scan in read} == {index}, how
        assert sum(scan.rows for scan in read) == rows, how


@pytest.mark.parametrize("table", ["generation", "forecasts"])
class TestStepsWithoutAPlan:
    """COPY, CREATE and TRUNCATE: what they do, since no plan tells it."""

    @pytest.fixture
    def staged(self, filled, table) -> Iterator[psycopg.Connection]:
        """A few rows in the staging table."""
        (few, *_) = CASES[f"{table}/insert_new"][1:]
        with filled.transaction(force_rollback=True):
            filled.execute(QUERIES[f"{table}/insert_staging"].text)
            filled.execute(few.staged)
            yield filled

    def test_staging_is_a_temporary_table(self, staged, table):
        (kind,) = staged.execute(
            f"SELECT relpersistence FROM pg_class WHERE oid = '{table}_staging'::regclass"
        ).fetchone()
        assert kind == "t"

    def test_unstage_empties_it(self, staged, table):
        assert self.count(staged, table)
        staged.execute(QUERIES[f"{table}/insert_unstage"].text)
        assert not self.count(staged, table)

    def test_stage_copies_into_it(self, staged, table):
        before = self.count(staged, table)
        self.copy_again(staged, QUERIES[f"{table}/insert_stage"], f"SELECT {{}} FROM {table}_staging")
        assert self.count(staged, table) == 2 * before

    def test_copy_goes_into_the_table_and_its_index_refuses_a_second_row(self, staged, prover, table):
        asked = QUERIES[f"{table}/insert_copy"]
        with pytest.raises(psycopg.errors.UniqueViolation) as refused, staged.transaction():
            self.copy_again(staged, asked, f"SELECT {{}} FROM {table} LIMIT 1")
        assert (prover.catalog.parent(refused.value.diag.constraint_name or ""),) == indexes(asked)

    @staticmethod
    def count(connection, table) -> int:
        return int(connection.execute(f"SELECT count(*) FROM pg_temp.{table}_staging").fetchone()[0])

    @staticmethod
    def copy_again(connection, asked, source) -> None:
        copied = COPY_FROM.fullmatch(asked.statement)
        assert copied
        rows = source.format(copied["columns"])
        with connection.cursor().copy(f"COPY ({rows}) TO STDOUT (FORMAT binary)") as copy:
            data = b"".join(map(bytes, copy))
        with connection.cursor().copy(asked.text) as copy:
            copy.write(data)


class TestTheProof:
    """The rules find what they are there to find, and show the plan."""

    READ = QUERIES["generation/read"]

    def test_without_the_index(self, filled):
        prover = Prover(filled, before=("ALTER TABLE generation DROP CONSTRAINT generation_pkey",))
        found = prover.faults(self.READ, [case(site_uuids=FEW, **DAY)])
        assert any(
            "Seq Scan of generation_p2024_06, which the header's bound does not name" in fault for fault in found
        )
        assert any(fault.startswith("300000 rows are read, and the header's bound, readings, is 30") for fault in found)
        assert any(fault.startswith("the header names generation_pkey, and neither") for fault in found)
        assert all(
            "Seq Scan generation_p2024_06 (30 rows x 1; Rows Removed by Filter: 299970" in fault for fault in found
        )

    def test_with_index_scans_switched_off(self, filled):
        off = tuple(f"SET LOCAL enable_{scan} = off" for scan in ("indexscan", "indexonlyscan", "bitmapscan"))
        asked = QUERIES["sites/get"]
        found = Prover(filled, before=off).faults(asked, CASES[asked.name])
        assert any("Seq Scan of sites, which the header's bound does not name" in fault for fault in found)
        assert all("Seq Scan sites (" in fault for fault in found)

    def test_without_the_condition_on_the_range(self, prover):
        # what holds for the same readings, but is no condition on the key
        whole = replace(
            self.READ,
            statement=re.sub(r"g\.start_utc (>=|<) ", r"g.end_utc - '1 hour'::interval \1 ", self.READ.statement),
        )
        found = prover.faults(whole, [case(site_uuids=FEW, **TURN)])
        assert any("generation_p2024_05 is looked into, outside of the window" in fault for fault in found)
        assert any("rows are read, and the header's bound, readings, is 180" in fault for fault in found)
        assert all("generation_p2024_05" in fault for fault in found)

    @pytest.mark.parametrize("name", ["forecasts/values_at_horizon", "generation/sums_all_sites"])
    def test_without_pruning(self, filled, name):
        asked = QUERIES[name]
        off = ("SET LOCAL enable_partition_pruning = off",)
        found = Prover(filled, before=off).faults(asked, CASES[name])
        table = name.split("/")[0]
        assert any(
            f"{table}_p2024_01 is looked into, outside of the window, with {GENERIC}" in fault for fault in found
        )

    def test_of_a_bound_that_is_too_low(self, prover):
        found = prover.faults(saying(self.READ, Touches="2 * site_uuids + 1"), [case(site_uuids=FEW, **DAY)])
        assert len(found) == 3
        assert all(
            fault.startswith("30 rows are read, and the header's bound, 2 * site_uuids + 1, is 7, with")
            for fault in found
        )
        assert all("Index Scan generation_p2024_06" in fault for fault in found)

    def test_of_an_index_that_the_header_does_not_name(self, prover):
        found = prover.faults(saying(self.READ, Index="sites_pkey"), [case(site_uuids=FEW, **YESTERDAY)])
        assert any(
            "generation_p2024_12 is read by generation_pkey, which the header does not name" in fault for fault in found
        )
        assert any("the header names sites_pkey, and neither" in fault for fault in found)

    def test_of_a_sort_that_spills(self, filled):
        asked = QUERIES["generation/insert_new"]
        tight = ("SET LOCAL work_mem = '64kB'",)
        found = Prover(filled, before=tight).faults(asked, CASES[asked.name])
        assert any("Sort does not fit into memory" in fault for fault in found)

    def test_of_a_function_that_is_not_inlined(self, filled):
        asked = QUERIES["forecasts/latest_values"]
        volatile = ("ALTER FUNCTION latest_forecast_pieces SET work_mem = '4MB'",)
        found = Prover(filled, before=volatile).faults(asked, CASES[asked.name])
        assert any("what latest_forecast_pieces reads is not seen in the plan" in fault for fault in found)

    def test_of_a_trigger_without_its_index(self, filled):
        asked = QUERIES["sites/delete_site"]
        found = Prover(filled, before=("DROP INDEX inverters_site_uuid_idx",)).faults(asked, CASES[asked.name])
        assert len(found) == len(HOW)
        assert all("the header names inverters_site_uuid_idx, and neither" in fault for fault in found)

    def test_of_a_file_without_cases(self, prover):
        with pytest.raises(AssertionError, match="generation/new has no entry in CASES"):
            proved(prover, replace(self.READ, name="generation/new"))

    def test_fails_with_the_file_and_the_plan(self, prover):
        with pytest.raises(
            AssertionError, match=r"(?s)generation/read\.sql\n.*bound, 1, is 1.*Index Cond: \(\(site_uuid = ANY"
        ):
            proved(prover, saying(self.READ, Touches="1"))


def test_no_case_is_left_of_a_file_that_is_gone():
    assert set(CASES) | UNPLANNED == set(OURS)
