"""What the tables refuse by themselves: plain SQL, without the checks of the package before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

TABLES = ["generation", "generation_p2024_06"]
UNKNOWN = [UUID(int=n) for n in (9, 8, 3, 4, 5, 6, 7)]
READING = "INSERT INTO {} (site_uuid, start_utc, end_utc, generation_power_kw) VALUES (%s, %s, %s, %s)"
SEVERAL = """
    INSERT INTO {} (site_uuid, start_utc, end_utc, generation_power_kw)
    SELECT site, start, start + interval '5 min', 1
    FROM unnest(%s::uuid[]) AS site, generate_series('2024-06-01Z'::timestamptz, '2024-06-01 01:00Z', '5 min') AS start
"""


@pytest.fixture
def admin(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute("SELECT ensure_month_partitions('generation', '{2024-06-01,2024-07-01}')")
        yield connection


@pytest.fixture
def sites(admin: psycopg.Connection) -> list[UUID]:
    return [row[0] for row in admin.execute("INSERT INTO sites SELECT FROM generate_series(1, 3) RETURNING site_uuid")]


def count(admin: psycopg.Connection) -> int:
    row = admin.execute("SELECT count(*) FROM generation").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("table", TABLES)
class TestGeneration:
    @pytest.mark.parametrize(
        ("values", "constraint"),
        [
            (("2024-06-01", "2024-06-01", 1), "generation_end_after_start"),
            (("2024-06-01", "2024-05-31", 1), "generation_end_after_start"),
            (("2024-06-01", "infinity", 1), "generation_end_after_start"),
            (("2024-06-01", "2024-06-02", "NaN"), "generation_power_finite"),
            (("2024-06-01", "2024-06-02", "Infinity"), "generation_power_finite"),
            (("2024-06-01", "2024-06-02", "-Infinity"), "generation_power_finite"),
        ],
    )
    def test_refuses_values_that_are_none(self, admin, sites, table, values, constraint):
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            admin.execute(READING.format(table), [sites[0], *values])
        assert caught.value.diag.constraint_name == constraint
        assert count(admin) == 0

    @pytest.mark.parametrize("column", ["site_uuid", "start_utc", "end_utc", "generation_power_kw", "created_utc"])
    def test_refuses_null(self, admin, sites, table, column):
        values = {"site_uuid": sites[0], "start_utc": "2024-06-01", "end_utc": "2024-06-02"}
        row = {**values, "generation_power_kw": 1, "created_utc": "2024-06-03", column: None}
        insert = f"INSERT INTO {table} ({', '.join(row)}) VALUES (%s, %s, %s, %s, %s)"
        refusals = psycopg.errors.NotNullViolation, psycopg.errors.CheckViolation  # NULL has no partition
        with pytest.raises(refusals):
            admin.execute(insert, list(row.values()))
        assert count(admin) == 0

    def test_takes_what_is_real(self, admin, sites, table):
        for n, power in enumerate([-0.25, 0, 1e308, 5e-324]):
            admin.execute(READING.format(table), [sites[0], f"2024-06-0{n + 1}", "2099-01-01", power])
        assert count(admin) == 4

    def test_refuses_a_second_reading_of_a_key(self, admin, sites, table):
        admin.execute(READING.format(table), [sites[0], "2024-06-01", "2024-06-02", 1])
        for other in TABLES:
            with pytest.raises(psycopg.errors.UniqueViolation):
                admin.execute(READING.format(other), [sites[0], "2024-06-01", "2024-06-03", 2])

    def test_refuses_unknown_sites_with_their_number_and_the_first_of_them(self, admin, sites, table):
        for unknown in (UNKNOWN, UNKNOWN[:5], UNKNOWN[:1]):
            with pytest.raises(psycopg.errors.ForeignKeyViolation) as caught:
                admin.execute(SEVERAL.format(table), [[sites[0], *unknown]])
            shown = ", ".join(map(str, sorted(unknown)[:5])) + ", ..." * (len(unknown) > 5)
            diag = caught.value.diag
            assert diag.message_primary == f"{len(unknown)} unknown site_uuid(s): {shown}"
            assert (diag.sqlstate, diag.constraint_name) == ("23503", "generation_site_uuid_fkey")
            assert (diag.schema_name, diag.table_name, diag.column_name) == ("public", table, "site_uuid")
        assert count(admin) == 0

    def test_copy_is_checked_too(self, admin, sites, table):
        def copy(site: UUID) -> None:
            columns = "site_uuid, start_utc, end_utc, generation_power_kw"
            with admin.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as writer:
                writer.write_row((site, "2024-06-01Z", "2024-06-02Z", 1))

        copy(sites[0])
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            copy(UNKNOWN[0])
        assert count(admin) == 1

    def test_checks_once_a_statement(self, admin, sites, table):
        explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + SEVERAL.format(table)
        (plan,) = admin.execute(explain, [sites]).fetchone()
        assert [(t["Trigger Name"], t["Relation"], t["Calls"]) for t in plan[0]["Triggers"]] == [
            ("generation_sites_exist", table, 1)
        ]
        assert count(admin) == 3 * 13

    @pytest.mark.parametrize(
        "change",
        [
            "site_uuid = %s",
            "start_utc = start_utc - interval '1 second'",
            "site_uuid = site_uuid",
            "start_utc = '2024-07-01'",
        ],
    )
    def test_refuses_to_change_a_key(self, admin, sites, table, change):
        admin.execute(READING.format(table), [sites[0], "2024-06-01", "2024-06-02", 1])
        before = admin.execute("SELECT * FROM generation").fetchall()
        with pytest.raises(psycopg.errors.RestrictViolation, match="the key of a row of generation cannot be changed"):
            admin.execute(f"UPDATE {table} SET {change}", [sites[1]] if "%s" in change else None)
        for key in ("site_uuid = excluded.site_uuid", "start_utc = excluded.start_utc"):
            with pytest.raises(psycopg.errors.RestrictViolation):
                admin.execute(
                    READING.format(table) + f" ON CONFLICT (site_uuid, start_utc) DO UPDATE SET {key}",
                    [sites[0], "2024-06-01", "2024-06-02", 1],
                )
        assert admin.execute("SELECT * FROM generation").fetchall() == before

    def test_lets_other_columns_change(self, admin, sites, table):
        reading = [sites[0], "2024-06-01", "2024-06-02", 1]
        admin.execute(READING.format(table), reading)
        admin.execute(f"UPDATE {table} SET generation_power_kw = 2, end_utc = '2024-06-03', created_utc = now()")
        upsert = " ON CONFLICT (site_uuid, start_utc) DO UPDATE SET generation_power_kw = 5"
        admin.execute(READING.format(table) + upsert, reading)
        assert admin.execute("SELECT generation_power_kw, end_utc::date::text FROM generation").fetchall() == [
            (5.0, "2024-06-03")
        ]
        with pytest.raises(psycopg.errors.CheckViolation):
            admin.execute(f"UPDATE {table} SET generation_power_kw = 'NaN'")


def test_one_statement_over_two_months_is_checked_once(admin, sites):
    insert = READING.format("generation") + ", (%s, %s, %s, %s)"
    values = ["2024-06-01", "2024-06-02", 1], ["2024-07-01", "2024-07-02", 1]
    (plan,) = admin.execute(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {insert}", [sites[0], *values[0], sites[1], *values[1]]
    ).fetchone()
    assert [(t["Relation"], t["Calls"]) for t in plan[0]["Triggers"]] == [("generation", 1)]
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="1 unknown"):
        admin.execute(insert, [sites[2], *values[0], UNKNOWN[0], *values[1]])
    assert count(admin) == 2


def test_there_is_no_partition_for_other_times(admin, sites):
    for start in ("2024-05-31 23:59:59.999999Z", "2024-08-01Z", "-infinity", "infinity"):
        with pytest.raises(psycopg.errors.CheckViolation, match="no partition of relation"):
            admin.execute(READING.format("generation"), [sites[0], start, "2099-01-01", 1])


def test_a_deleted_site_leaves_its_readings_and_takes_no_more(admin, sites):
    admin.execute(SEVERAL.format("generation"), [sites])
    admin.execute("DELETE FROM sites WHERE site_uuid = %s", [sites[0]])
    assert count(admin) == 3 * 13
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match=str(sites[0])):
        admin.execute(READING.format("generation"), [sites[0], "2024-06-09", "2024-06-10", 1])
    admin.execute("UPDATE generation SET generation_power_kw = 2 WHERE site_uuid = %s", [sites[0]])
    admin.execute("DELETE FROM generation WHERE site_uuid = %s", [sites[0]])
    assert count(admin) == 2 * 13


FORECASTS = ["forecasts", "forecasts_p2024_06"]
SHAPE, FINITE = "forecasts_probabilistic_shape", "forecasts_probabilistic_finite"


class TestForecasts:
    @pytest.fixture
    def good(self, admin, sites) -> dict[str, Any]:
        admin.execute("SELECT ensure_month_partitions('forecasts', '{2024-06-01}')")
        return {
            "site_uuid": sites[0],
            "timestamp_utc": "2024-06-01Z",
            "start_utc": "2024-06-01Z",
            "resolution_minutes": 30,
            "power_kw": [1.0, None, 0.1],
        }

    def insert(self, admin: psycopg.Connection, table: str, row: dict[str, Any]) -> None:
        values = ", ".join(["%s"] * len(row))
        admin.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})", list(row.values()))

    def is_refused(self, admin: psycopg.Connection, row: dict[str, Any], constraint: str) -> None:
        for table in FORECASTS:
            with pytest.raises(psycopg.errors.IntegrityError) as caught:
                self.insert(admin, table, row)
            assert caught.value.diag.constraint_name == constraint

    @pytest.mark.parametrize(
        ("change", "constraint"),
        [
            ({"resolution_minutes": 0}, "forecasts_resolution"),
            ({"resolution_minutes": 1441}, "forecasts_resolution"),
            ({"power_kw": "{}"}, "forecasts_power_shape"),
            ({"power_kw": "{NULL,NULL}"}, "forecasts_power_shape"),
            ({"power_kw": "[0:1]={1,2}"}, "forecasts_power_shape"),
            ({"power_kw": "{1,NaN}"}, "forecasts_power_finite"),
            ({"power_kw": "{NULL,Infinity}"}, "forecasts_power_finite"),
            ({"power_kw": "{-Infinity}"}, "forecasts_power_finite"),
            ({"probabilistic_levels": "{p10}"}, SHAPE),
            ({"probabilistic_kw": "{{1,2,3}}"}, SHAPE),
            ({"probabilistic_levels": "{p10}", "probabilistic_kw": "{1,2,3}"}, SHAPE),
            ({"probabilistic_levels": "{p10}", "probabilistic_kw": "{{1,2}}"}, SHAPE),
            ({"probabilistic_levels": "{p10,p90}", "probabilistic_kw": "{{1,2,3}}"}, SHAPE),
            ({"probabilistic_levels": "{NULL}", "probabilistic_kw": "{{1,2,3}}"}, SHAPE),
            ({"probabilistic_levels": "{}", "probabilistic_kw": "{}"}, SHAPE),
            ({"probabilistic_levels": "{p10}", "probabilistic_kw": "{{1,NULL,NaN}}"}, FINITE),
            ({"site_uuid": UNKNOWN[0]}, "forecasts_site_uuid_fkey"),
            ({"ml_model_uuid": UNKNOWN[0]}, "forecasts_ml_model_uuid_fkey"),
        ],
    )
    def test_refuses_what_is_no_forecast(self, admin, good, change, constraint):
        self.is_refused(admin, good | change, constraint)
        self.insert(admin, "forecasts", good)

    @pytest.mark.parametrize("table", FORECASTS)
    def test_its_key_is_one_and_fixed(self, admin, good, table):
        self.insert(admin, table, good | {"probabilistic_levels": ["p10"], "probabilistic_kw": [[1, None, 2]]})
        with pytest.raises(psycopg.errors.UniqueViolation):
            self.insert(admin, "forecasts", good)
        for change in (
            "site_uuid = site_uuid",
            "timestamp_utc = now()",
            "ml_model_uuid = NULL",
            "forecast_version = 'x'",
        ):
            with pytest.raises(
                psycopg.errors.RestrictViolation, match="the key of a row of forecasts cannot be changed"
            ):
                admin.execute(f"UPDATE {table} SET {change}")
        admin.execute(f"UPDATE {table} SET power_kw = '{{2,3,4}}', created_utc = now()")

    def test_a_column_for_each_slot_and_its_end(self, admin, good):
        self.insert(admin, "forecasts", good)
        values = admin.execute("SELECT start_utc::time::text, forecast_power_kw FROM forecast_values ORDER BY 1")
        assert values.fetchall() == [("00:00:00", 1.0), ("01:00:00", pytest.approx(0.1))]
        assert admin.execute("SELECT end_utc::text FROM forecasts").fetchone() == ("2024-06-01 01:30:00+00",)
