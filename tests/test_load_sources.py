"""`pvsite-sql load`: sites named by the keys of their provider, a column a site, Excel and JSON files."""

from __future__ import annotations

import csv
import gzip
import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zipfile import ZipFile

import excel
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading import counts, loaded, written
from openpyxl import Workbook

from pvsite_sql import InvalidInput, NotFound
from pvsite_sql.load import Layout, find_site
from pvsite_sql.load.sites import SiteParser

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def readings(repo):
    """The readings, as the name of the site, minutes after noon and power."""
    names = {site.site_uuid: site.client_site_name for site in repo.sites.list()}
    rows = repo.generation.read()
    return sorted(
        (names[row.site_uuid], (row.start_utc - NOON) // timedelta(minutes=1), row.generation_power_kw) for row in rows
    )


@pytest.fixture
def clients(repo):
    """Two sites of each of two clients, which both count from 2607."""
    made = {}
    for client in ("north", "south"):
        owner = repo.clients.get_or_create(client)
        for number in (2607, 2608):
            made[client, number] = repo.sites.create(
                client_uuid=owner.client_uuid,
                client_site_id=number,
                client_site_name=f"{client} {number}",
                ml_id=number + (5000 if client == "south" else 0),
                capacity_kw=4,
            )
    return made


def rows_of(column, keys):
    return f"{column},start_utc,power_kw\n" + "".join(f"{key},2024-06-01T12:00Z,{n}\n" for n, key in enumerate(keys, 1))


class TestSiteKeys:
    def test_name_the_sites_of_rows(self, repo, clients, dsn, tmp_path, subtests):
        for options, keys, expected in (
            (["client_site_id", "--client", "south"], ["2607", " 2608 "], ["south 2607", "south 2608"]),
            (["client_site_id", "--client", "north"], ["2607.0", "0002608"], ["north 2607", "north 2608"]),
            (["client_site_name"], ["south 2607", " north 2608"], ["south 2607", "north 2608"]),
            (["client_site_name", "--client", "south"], ["south 2607"], ["south 2607"]),
            (["ml_id"], ["2607", "7608"], ["north 2607", "south 2608"]),
            (["ml_id", "--client", "south"], ["7607"], ["south 2607"]),
        ):
            with subtests.test(" ".join([*options, *keys])):
                repo.generation.delete([site.site_uuid for site in clients.values()])
                file = written(tmp_path / "a.csv", rows_of(options[0], keys))
                assert loaded(dsn, file, "--site-key", *options) == (0, counts(inserted=len(keys)), "")
                assert readings(repo) == sorted((name, 0, float(n)) for n, name in enumerate(expected, 1))

    def test_are_looked_up_in_another_column_too(self, repo, clients, dsn, tmp_path):
        file = written(tmp_path / "a.csv", rows_of("ss_id", ["2607"]))
        options = ("--site-column", "ss_id", "--site-key", "client_site_id", "--client", "south")
        assert loaded(dsn, file, *options) == (0, counts(inserted=1), "")
        assert readings(repo) == [("south 2607", 0, 1.0)]

    def test_can_be_typed(self, repo, clients, dsn, tmp_path, subtests):
        for kind in (pa.int64(), pa.int32(), pa.float64(), pa.string()):
            with subtests.test(str(kind)):
                repo.generation.delete([site.site_uuid for site in clients.values()])
                keys = ["2608", "2607"] if kind == pa.string() else [2608, 2607]
                table = {"ml_id": pa.array(keys, kind), "start_utc": [NOON, NOON], "power_kw": [1.0, 2.0]}
                pq.write_table(pa.table(table), tmp_path / "a.parquet")
                assert loaded(dsn, tmp_path / "a.parquet", "--site-key", "ml_id") == (0, counts(inserted=2), "")
                assert readings(repo) == [("north 2607", 0, 2.0), ("north 2608", 0, 1.0)]

    def test_that_fit_no_site_or_several_are_named(self, repo, clients, dsn, tmp_path, subtests):
        for options, key, said in [
            (["client_site_id"], "2607", "2 sites have this client_site_id, choose one with --client: '2607'"),
            (["client_site_id"], "2609", "no site has this client_site_id: '2609'"),
            (["client_site_id"], "99999999999", "no site has this client_site_id: '99999999999'"),
            (["client_site_id"], "roof", "not a client_site_id, which is a whole number: 'roof'"),
            (["client_site_id"], "2607.5", "not a client_site_id, which is a whole number: '2607.5'"),
            (["client_site_id"], "\u0662", "not a client_site_id, which is a whole number: '\u0662'"),
            (["client_site_id"], " ", "no value"),
            (
                ["client_site_id", "--client", "south"],
                "2609",
                "no site of client 'south' has this client_site_id: '2609'",
            ),
            (["client_site_name"], "roof", "no site has this client_site_name: 'roof'"),
            (["client_site_name"], "North 2607", "no site has this client_site_name: 'North 2607'"),
            (["ml_id", "--client", "south"], "2607", "no site of client 'south' has this ml_id: '2607'"),
        ]:
            with subtests.test(str(options)[:40]):
                file = written(tmp_path / "a.csv", rows_of(options[0], [key]))
                code, out, err = loaded(dsn, file, "--site-key", *options)
                assert (code, out, err) == (1, "", f"{file}, line 2: {options[0]}: {said}\n")
                assert readings(repo) == []

    def test_of_one_client_can_be_several_too(self, repo, clients, dsn, tmp_path):
        one = clients["south", 2607]
        repo.sites.create(client_uuid=one.client_uuid, client_site_id=2607, capacity_kw=1)
        file = written(tmp_path / "a.csv", rows_of("client_site_id", ["2607", "2608"]))
        options = ("--site-key", "client_site_id", "--client", "south", "--rejects", tmp_path / "r.csv")
        assert loaded(dsn, file, *options) == (0, counts(inserted=1, rejected=1), "")
        said = "client_site_id: 2 sites of client 'south' have this client_site_id, use another --site-key: '2607'"
        assert said in (tmp_path / "r.csv").read_text()

    def test_a_uuid_of_another_client_is_refused(self, repo, clients, dsn, tmp_path):
        file = written(tmp_path / "a.csv", rows_of("site_uuid", [clients["north", 2607].site_uuid]))
        assert loaded(dsn, file, "--client", "north") == (0, counts(inserted=1), "")
        said = f"{file}, line 2: site_uuid: no site of client 'south' has this uuid\n"
        assert loaded(dsn, file, "--client", "south") == (1, "", said)

    def test_are_looked_up_once_a_batch_and_once_a_file(self):
        asked = []

        def find(keys):
            asked.append(sorted(keys))
            return {key: [UUID(int=key)] for key in keys if key < 3}

        parser = SiteParser(Layout(site_key="ml_id"), find)
        sites, reasons = parser.parse(["1", "2", "1", "02", "9"])
        assert list(sites[:4]) == [UUID(int=1), UUID(int=2), UUID(int=1), UUID(int=2)]
        assert reasons == {4: "no site has this ml_id: '9'"}
        sites, reasons = parser.parse(["2", "1", "02"])
        assert list(sites) == [UUID(int=2), UUID(int=1), UUID(int=2)]
        assert parser.parse(["", "1"])[1] == {0: "no value"}
        assert asked == [[1, 2, 9]]

    def test_of_one_site_for_the_whole_file(self, repo, clients, dsn, tmp_path):
        file = written(tmp_path / "a.csv", "start_utc,power_kw\n2024-06-01T12:00Z,1\n")
        south = ("--client", "south")
        assert loaded(dsn, file, "--site", "2607", "--site-key", "client_site_id", *south)[0] == 0
        assert loaded(dsn, file, "--site", "north 2608", "--site-key", "client_site_name")[0] == 0
        assert readings(repo) == [("north 2608", 0, 1.0), ("south 2607", 0, 1.0)]
        said = "2 sites have this client_site_id, choose one with --client: '2607'\n"
        assert loaded(dsn, file, "--site", "2607", "--site-key", "client_site_id") == (1, "", said)
        uuid = clients["north", 2607].site_uuid
        said = f"no site of client 'south' has the uuid {uuid}\n"
        assert loaded(dsn, file, "--site", uuid, *south) == (1, "", said)

    def test_of_a_client_that_there_is_not(self, repo, clients, dsn, tmp_path):
        file = written(tmp_path / "a.csv", rows_of("client_site_id", [2607]))
        for more in ([], ["--site", "2607"]):
            options = ("--site-key", "client_site_id", "--client", "east", *more)
            assert loaded(dsn, file, *options) == (1, "", "no client 'east'\n")
        assert loaded(dsn, file, "--client", "")[::2] == (2, "--client: must not be an empty string\n")

    def test_from_python(self, repo, clients):
        layout = Layout(site_key="client_site_id", client_name="south")
        assert find_site(repo, layout, 2607) == clients["south", 2607].site_uuid
        with pytest.raises(NotFound, match="no site of client 'south' has this client_site_id: '1'"):
            find_site(repo, layout, 1)
        with pytest.raises(
            InvalidInput, match="must be site_uuid, client_site_id, client_site_name or ml_id, got 'id'"
        ):
            Layout(site_key="id")


WIDE = "time,2607,2608\n2024-06-01 12:00Z,1,2\n2024-06-01 12:05Z,3,4\n2024-06-01 12:10Z,5,6\n"
OF_NORTH = ("--wide", "--site-key", "client_site_id", "--client", "north", "--time-column", "time")
IN_NORTH = [
    ("north 2607", 0, 1.0),
    ("north 2607", 5, 3.0),
    ("north 2607", 10, 5.0),
    ("north 2608", 0, 2.0),
    ("north 2608", 5, 4.0),
    ("north 2608", 10, 6.0),
]


class TestWide:
    @pytest.mark.parametrize("part", [1, 4, 100])
    def test_a_column_is_a_site(self, repo, clients, dsn, tmp_path, monkeypatch, part):
        monkeypatch.setattr("pvsite_sql.load.wide._PART_READINGS", part)
        monkeypatch.setattr("pvsite_sql.load.csv_files._BATCH_LINES", part)
        for shape in (WIDE, WIDE.replace("2607", " 2607.0 "), WIDE.replace("\n", ",\n"), WIDE.replace(",", " , ")):
            assert loaded(dsn, written(tmp_path / "a.csv", shape), *OF_NORTH)[::2] == (0, "")
            assert readings(repo) == IN_NORTH
            repo.generation.delete([site.site_uuid for site in clients.values()])

    def test_energy_counters_and_cells_without_a_value(self, repo, clients, dsn, tmp_path):
        file = written(tmp_path / "a.csv", WIDE.replace(",3,4", ",,4").replace(",5,6", ",-,"))
        code, _, err = loaded(dsn, file, *OF_NORTH)
        assert (code, err.startswith(f"{file}, line 3: 2607: no value; add --empty")) == (1, True)
        assert loaded(dsn, file, *OF_NORTH, "--empty", "skip", "--unit", "kWh", "--interval", "5")[::2] == (0, "")
        assert readings(repo) == [("north 2607", 0, 12.0), ("north 2608", 0, 24.0), ("north 2608", 5, 48.0)]
        repo.generation.delete([site.site_uuid for site in clients.values()])
        options = (*OF_NORTH, "--unit", "Wh", "--counter", "--empty", "skip", "--interval", "60")
        file = written(tmp_path / "b.csv", WIDE.replace(",3,4", ",4,5").replace(",5,6", ",5,"))
        assert loaded(dsn, file, *options)[::2] == (0, "")
        assert readings(repo) == [("north 2607", 0, 0.036), ("north 2607", 5, 0.012), ("north 2608", 0, 0.036)]

    def test_a_line_of_units_is_checked(self, repo, clients, dsn, tmp_path):
        file = written(tmp_path / "a.csv", WIDE.replace("2608\n", "2608\n,kW,kWh\n"))
        said = f"{file}: 'kWh' below '2608' says kWh, but --unit is kW: use --unit kWh "
        code, _, err = loaded(dsn, file, *OF_NORTH, "--skip-after-header", "1")
        assert (code, err.startswith(said)) == (1, True)
        assert readings(repo) == []

    def test_names_and_ends(self, repo, clients, dsn, tmp_path):
        text = "south 2608;end_utc;start_utc;north 2607\n1,5;2024-06-01 13:00;2024-06-01 12:00;2,5\n"
        options = ("--wide", "--site-key", "client_site_name", "--separator", ";", "--decimal", ",")
        assert loaded(dsn, written(tmp_path / "a.csv", text), *options) == (0, counts(inserted=2), "")
        assert readings(repo) == [("north 2607", 0, 2.5), ("south 2608", 0, 1.5)]
        assert {row.end_utc for row in repo.generation.read()} == {NOON + timedelta(hours=1)}

    def test_power_columns_leave_others_out(self, repo, clients, dsn, tmp_path):
        text = WIDE.replace("2608", "Total").replace("time", "time,2608").replace("Z", "Z,9")
        file = written(tmp_path / "a.csv", text)
        said = (
            f"{file}, header: not a client_site_id, which is a whole number: 'Total' (--power-column chooses columns)\n"
        )
        assert loaded(dsn, file, *OF_NORTH) == (1, "", said)
        assert loaded(dsn, file, *OF_NORTH, "--power-column", "2607") == (0, counts(inserted=3), "")
        both = ("--power-column", "2608", "--power-column", "2607")
        assert loaded(dsn, file, *OF_NORTH, *both) == (0, counts(inserted=3, skipped=3), "")
        assert [power for _, _, power in readings(repo)] == [1.0, 3.0, 5.0, 9.0, 9.0, 9.0]

    def test_headers_that_do_not_name_sites(self, repo, clients, dsn, tmp_path, subtests):
        for header, said in [
            ("time,2607,2609", ", header: no site of client 'north' has this client_site_id: '2609' (--power-column"),
            ("time,2607,2607", " has 2 columns '2607'; choose columns with --power-column"),
            ("time,2607,02607", ", header: '2607' and '02607' are the same site"),
            ("time,,2607", ": column 2 has no name; choose columns with --power-column"),
            ("start,2607,2608", " has no column 'time'; its header is 'start', '2607', '2608'"),
        ]:
            with subtests.test(str(header)[:40]):
                file = written(tmp_path / "a.csv", WIDE.replace("time,2607,2608", header))
                code, out, err = loaded(dsn, file, *OF_NORTH, "--rejects", tmp_path / "r.csv")
                assert (code, out) == (1, "")
                assert err.startswith(f"{file}{said}")
                assert readings(repo) == []

    def test_a_header_of_sites_advises_to_say_so(self, dsn, tmp_path):
        file = written(tmp_path / "a.csv", WIDE)
        assert loaded(dsn, file)[2].endswith(", or use --wide if its numbers are sites\n")
        said = (
            f"{file} has no column 'start_utc'; its header is 'time', '2607', '2608'; --time-column names the times, "
        )
        assert loaded(dsn, file, *OF_NORTH[:3]) == (1, "", f"{said}and the other columns are sites\n")

    def test_a_file_without_columns_of_sites(self, clients, dsn, tmp_path):
        file = written(tmp_path / "a.csv", "time\n2024-06-01\n")
        said = f"{file} has no columns of sites; its header is 'time'; --time-column names the times, and the other "
        assert loaded(dsn, file, *OF_NORTH) == (1, "", f"{said}columns are sites\n")

    @pytest.mark.parametrize("part", [1, 2, 4, 100])
    def test_a_bad_cell_rejects_its_line_which_loads_once_put_right(
        self, repo, clients, dsn, tmp_path, monkeypatch, part
    ):
        monkeypatch.setattr("pvsite_sql.load.wide._PART_READINGS", part)
        file = written(tmp_path / "a.csv", WIDE.replace(",3,4", ",3,x").replace(",5,6", ",5,6,7"))
        said = f"{file}, line 3: 2608: not a number: 'x'\n"
        assert loaded(dsn, file, *OF_NORTH) == (1, "", said)
        rejects = tmp_path / "r.csv"
        assert loaded(dsn, file, *OF_NORTH, "--rejects", rejects) == (0, counts(inserted=2, rejected=4), "")
        assert rejects.read_text().splitlines() == [
            "file,line,reason,time,2607,2608",
            f"{file},3,2608: not a number: 'x',2024-06-01 12:05Z,3,x",
            f"{file},4,\"4 fields, but the header has 3: '2024-06-01 12:10Z,5,6,7'\"",
        ]
        right = rejects.read_text().splitlines()[:2]
        mended = written(tmp_path / "mended.csv", "\n".join(right).replace(",x", ",4").replace("'4", "'x"))
        assert loaded(dsn, mended, *OF_NORTH) == (0, counts(inserted=2), "")
        assert readings(repo) == IN_NORTH[:2] + IN_NORTH[3:5]

    def test_bad_times_are_named_once(self, repo, clients, dsn, tmp_path):
        file = written(tmp_path / "a.csv", WIDE.replace("12:05Z", "25:05Z"))
        rejects = tmp_path / "r.csv"
        assert loaded(dsn, file, *OF_NORTH, "--rejects", rejects) == (0, counts(inserted=4, rejected=2), "")
        assert rejects.read_text().splitlines()[1:] == [
            f"{file},3,time: not a time: '2024-06-01 25:05Z',2024-06-01 25:05Z,3,4"
        ]

    def test_rejects_of_other_sites_do_not_mix(self, clients, dsn, tmp_path):
        one = written(tmp_path / "1.csv", WIDE.replace(",3,", ",x,"))
        two = written(tmp_path / "2.csv", WIDE.replace("2607,2608", "2608,2607").replace(",3,", ",x,"))
        code, out, err = loaded(dsn, one, two, *OF_NORTH, "--rejects", tmp_path / "r.csv")
        assert (code, out) == (1, "")
        assert err.startswith(f"{two} and the files with earlier rejected rows have different columns")

    def test_parquet(self, repo, clients, dsn, tmp_path):
        columns = {
            "time": pa.array([NOON + timedelta(minutes=5 * n) for n in range(3)], pa.timestamp("us", "UTC")),
            "2607": pa.array([1, 3, 5], pa.int16()),
            "2608": pa.array(["2", "4", "6"]),
        }
        pq.write_table(pa.table(columns), tmp_path / "a.parquet")
        assert loaded(dsn, tmp_path / "a.parquet", *OF_NORTH, "--skip-footer", "1") == (0, counts(inserted=4), "")
        assert loaded(dsn, tmp_path / "a.parquet", *OF_NORTH) == (0, counts(inserted=2, skipped=4), "")
        assert readings(repo) == IN_NORTH

    def test_the_hour_that_clocks_show_twice_is_each_sites_own(self, repo, clients, dsn, tmp_path):
        times = "".join(f"2024-10-27 {time},1,2\n" for time in ("00:30", "01:00", "01:30", "01:00", "01:30", "02:00"))
        file = written(tmp_path / "a.csv", f"time,2607,2608\n{times}")
        options = (*OF_NORTH, "--timezone", "Europe/London", "--ambiguous", "order", "--interval", "30")
        assert loaded(dsn, file, *options) == (0, counts(inserted=12), "")

    def test_options_that_cannot_be(self, dsn, subtests):
        for options, said in [
            (["--wide", "--site", "7f3c1f0e-6d1f-4a52-8c3c-0d2b5f8e9a11"], "--site: not with --wide"),
            (["--wide", "--site", "2607", "--site-key", "ml_id"], "--site: not with --wide"),
            (["--wide", "--site-column", "site"], "--site-column: not with --wide"),
            (["--power-column", "a", "--power-column", "b"], "--power-column: only --wide takes several"),
        ]:
            with subtests.test(str(options)[:40]):
                code, out, err = loaded(dsn, "-", *options)
                assert (code, out) == (2, "")
                assert said in err


FILES = Path(__file__).parent / "files"
SOUTH = ("--site", "2607", "--site-key", "client_site_id", "--client", "south")
PLANT = (*SOUTH, "--time-column", "Date", "--power-column", "Power (W)", "--unit", "W", "--timezone", "Europe/Berlin")
PLANT += ("--skip-after-header", "1", "--interval", "5")


class TestFilesOfProviders:
    def test_sites_by_number(self, repo, clients, dsn):
        options = ("--site-column", "ss_id", "--site-key", "client_site_id", "--client", "south")
        options += ("--time-column", "datetime_GMT", "--power-column", "generation_MW", "--unit", "MW")
        assert loaded(dsn, FILES / "sites_by_number.csv", *options, "--interval", "30")[::2] == (0, "")
        assert readings(repo) == [("south 2607", 0, 1.5), ("south 2607", 30, 1.75), ("south 2608", 0, 0.25)]

    def test_wide(self, repo, clients, dsn):
        options = ("--wide", "--site-key", "client_site_id", "--client", "north", "--time-column", "Zeitpunkt")
        options += ("--time-format", "%d.%m.%Y %H:%M", "--timezone", "Europe/Berlin", "--interval", "15")
        options += ("--separator", ";", "--decimal", ",")
        assert loaded(dsn, FILES / "wide.csv", *options) == (0, counts(inserted=4), "")
        north = [("north 2607", 0, 1.5), ("north 2607", 15, 1.75), ("north 2608", 0, 0.25), ("north 2608", 15, -0.01)]
        assert readings(repo) == north

    def test_excel(self, repo, clients, dsn, tmp_path):
        rejects = tmp_path / "r.csv"
        file, options = FILES / "plant.xlsx", (*PLANT, "--sheet", "Data", "--rejects", rejects)
        assert loaded(dsn, file, *options) == (0, counts(inserted=3, rejected=3), "")
        assert readings(repo) == [("south 2607", 0, 1.5), ("south 2607", 5, 1.7505), ("south 2607", 600, -0.002)]
        assert rejects.read_text().splitlines() == [
            "file,line,reason,Date,Power (W)",
            f"{file},8,Power (W): not a number: '#DIV/0!',2024-06-01 14:10:00,#DIV/0!",
            f"{file},9,Power (W): not a number: 'TRUE',2024-06-01 14:15:00,TRUE",
            f"{file},10,Power (W): no value; add --empty zero or --empty skip to accept it,2024-06-01 14:20:00,",
        ]
        text = rejects.read_text().replace(",#DIV/0!\n", ",10\n").replace(",TRUE\n", ",20\n")
        mended = written(tmp_path / "mended.csv", text.replace("20:00,\n", "20:00,30\n"))
        assert loaded(dsn, mended, *PLANT, "--sheet", "Data") == (0, counts(inserted=3), "")
        assert [power for _, _, power in readings(repo)] == [1.5, 1.7505, 0.01, 0.02, 0.03, -0.002]

    def test_excel_with_date_and_time_in_two_columns_and_a_column_a_site(self, repo, clients, dsn):
        options = ("--wide", "--site-key", "client_site_id", "--client", "north")
        options += ("--time-column", "Date", "--time-column", "Time")
        assert loaded(dsn, FILES / "date_and_time.xlsx", *options) == (0, counts(inserted=4), "")
        north = [("north 2607", 0, 1.5), ("north 2607", 5, 1.75), ("north 2608", 0, 0.25), ("north 2608", 5, 0.5)]
        assert readings(repo) == north

    def test_lines_of_json(self, repo, clients, dsn):
        options = ("--site-column", "site.name", "--site-key", "client_site_name", "--time-column", "ts")
        file = FILES / "nested.ndjson"
        assert loaded(dsn, file, *options, "--power-column", "data.power") == (0, counts(inserted=3), "")
        assert readings(repo) == [("north 2607", 5, 0.25), ("south 2607", 0, 1.5), ("south 2607", 5, 2.0)]

    def test_an_answer_in_json(self, repo, clients, dsn):
        options = (*SOUTH, "--time-column", "date", "--power-column", "value", "--unit", "W", "--interval", "15")
        file = FILES / "interval.json"
        assert loaded(dsn, file, *options, "--timezone", "Europe/Berlin") == (0, counts(inserted=3), "")
        assert readings(repo) == [("south 2607", 0, 1.5), ("south 2607", 15, 1.75), ("south 2607", 30, 0.0)]


class TestExcel:
    @pytest.fixture
    def load(self, repo, clients, dsn, tmp_path):
        """Loads rows of a sheet with the columns t and kW."""

        def loads(rows, *options, header=("t", "kW")):
            file = excel.written(tmp_path / "a.xlsx", {"Sheet1": [list(header), *rows]})
            code, out, err = loaded(dsn, file, *SOUTH, "--time-column", "t", "--power-column", "kW", *options)
            return code, out, err.replace(f"{file}", "FILE")

        return loads

    def test_sheets_are_named(self, clients, dsn):
        file = FILES / "plant.xlsx"
        said = f"{file} has no column 'Date'; its header is 'Plant report' (sheet 'Info' of 'Info', 'Data'; choose one "
        assert loaded(dsn, file, *PLANT) == (1, "", f"{said}with --sheet)\n")
        said = f"{file} has no sheet 'data'; its sheets are 'Info', 'Data'\n"
        assert loaded(dsn, file, *PLANT, "--sheet", "data") == (1, "", said)

    def test_hidden_sheets_are_read_by_name_only(self, repo, clients, dsn, tmp_path):
        book = Workbook()
        book.active.append(["t", "kW"])
        book.active.append([excel.at(12)[0], 1])
        shown = book.create_sheet("shown")
        for row in (["t", "kW"], [excel.at(13)[0], 2]):
            shown.append(row)
        book.active.sheet_state = "hidden"
        book.save(tmp_path / "a.xlsx")
        for options in ((), ("--sheet", "Sheet")):
            assert loaded(dsn, tmp_path / "a.xlsx", *OF_JSON, *options) == (0, counts(inserted=1), "")
        assert readings(repo) == [("south 2607", 0, 1.0), ("south 2607", 60, 2.0)]

    def test_times_are_local_and_formats_are_of_texts(self, repo, load):
        rows = [[excel.at(8), 1], [excel.at(0, day=2), 2]]
        options = ("--timezone", "America/New_York", "--time-format", "%d.%m.%Y")
        assert load(rows, *options) == (0, counts(inserted=2), "")
        assert readings(repo) == [("south 2607", 0, 1.0), ("south 2607", 16 * 60, 2.0)]
        rows = [["01.06.2024 08:10", "3"], ["01.06.2024 08:05", 4]]
        options = ("--timezone", "America/New_York", "--time-format", "%d.%m.%Y %H:%M")
        assert load(rows, *options) == (0, counts(inserted=2), "")
        assert readings(repo)[1:3] == [("south 2607", 5, 4.0), ("south 2607", 10, 3.0)]

    def test_dates_that_excel_read_with_day_and_month_swapped_do_not_pass_for_times(self, repo, load):
        swapped = (excel.at(10)[0].replace(month=12, day=6), "dd/mm/yyyy hh:mm")
        said = "FILE, t: row 3 has the text '13/06/2024 10:00', and other rows have Excel dates: "
        for options in ([], ["--time-format", "%d/%m/%Y %H:%M", "--rejects", os.devnull]):
            code, _, err = load([[swapped, 1], ["13/06/2024 10:00", 2]], *options)
            assert (code, err.startswith(said)) == (1, True)
        assert readings(repo) == []
        rows = [[excel.at(12), 1], ["2024-06-01 12:05", 2], ["Total", 3]]
        assert load(rows, "--skip-footer", "1") == (0, counts(inserted=2), "")
        assert readings(repo) == [("south 2607", 0, 1.0), ("south 2607", 5, 2.0)]

    def test_times_to_the_millisecond(self, repo, load):
        days = [45444 + n / 288 for n in range(144, 160)]  # since 1899-12-30
        assert load([[(day, "yyyy-mm-dd hh:mm"), 1] for day in days]) == (0, counts(inserted=16), "")
        assert [minutes for _, minutes, _ in readings(repo)] == [5 * n for n in range(16)]

    def test_powers_that_are_no_numbers(self, repo, load, subtests):
        for cell, said in [
            ("#REF!", "kW: not a number: '#REF!'"),
            (False, "kW: not a number: 'FALSE'"),
            (excel.at(12), "kW: not a number: '2024-06-01 12:00:00'"),
            ("x", "kW: not a number: 'x'"),
        ]:
            with subtests.test(str(cell)[:40]):
                assert load([[excel.at(12), 1], [excel.at(13), cell]]) == (1, "", f"FILE, row 3: {said}\n")

    def test_numbers_beside_texts_keep_their_value(self, repo, load):
        rows = [[excel.at(12), 1.25], [excel.at(13), "1,5"], [excel.at(14), 1000000]]
        assert load(rows, "--decimal", ",", "--separator", ";") == (0, counts(inserted=3), "")
        assert [power for _, _, power in readings(repo)] == [1.25, 1.5, 1000000.0]

    def test_batches(self, repo, load, monkeypatch):
        monkeypatch.setattr("pvsite_sql.load.excel_files._BATCH_ROWS", 3)
        monkeypatch.setattr("pvsite_sql.load.excel_files._ROWS_AT_ONCE", 2)
        rows = [[excel.at(12, minute), minute] for minute in range(10)]
        assert load([*rows[:4], [], *rows[4:]]) == (0, counts(inserted=10), "")
        assert [power for _, _, power in readings(repo)] == list(range(10))
        said = "FILE, row 12: t: no value (a line of totals? use --skip-footer 1)\n"
        assert load([*rows[:4], [], *rows[4:9], [None, 1]]) == (1, "", said)
        rows = [*rows[:4], [], *rows[4:9], [None, 1]]
        assert load(rows, "--skip-footer", "1") == (0, counts(skipped=9), "")

    def test_a_sheet_without_a_header(self, repo, clients, dsn, tmp_path):
        rows = [["made by hand"], [None, 1, excel.at(12)], [None, 2, excel.at(13)], ["sum", 3]]
        file = excel.written(tmp_path / "a.xlsx", {"Sheet1": rows})
        options = (*SOUTH, "--no-header", "--skip-lines", "1", "--skip-footer", "1")
        options += ("--time-column", "3", "--power-column", "2")
        assert loaded(dsn, file, *options) == (0, counts(inserted=2), "")
        assert readings(repo) == [("south 2607", 0, 1.0), ("south 2607", 60, 2.0)]
        said = f"{file} has no column '4'; its header is 'column 1', 'column 2', 'column 3'\n"
        assert loaded(dsn, file, *options[:-1], "4") == (1, "", said)

    def test_other_workbooks_are_refused(self, clients, dsn, tmp_path):
        old = written(tmp_path / "a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
        said = f"{old} is an .xls file, or has a password: save it in Excel as .xlsx, without a password\n"
        assert loaded(dsn, old) == (1, "", said)
        for part, kind in (("content.xml", "OpenDocument file"), ("xl/workbook.bin", "Excel binary workbook (.xlsb)")):
            with ZipFile(tmp_path / "b", "w") as archive:
                for name in ("mimetype", "[Content_Types].xml", part):
                    archive.writestr(name, "")
            said = f"{tmp_path / 'b'} is an {kind}: save it in Excel as .xlsx\n"
            assert loaded(dsn, tmp_path / "b") == (1, "", said)
        with ZipFile(tmp_path / "c", "w") as archive:
            archive.writestr("[Content_Types].xml", "")
            archive.writestr("xl/workbook.xml", "<workbook")
        code, out, err = loaded(dsn, tmp_path / "c")
        assert (code, out) == (1, "")
        assert err.startswith(f"{tmp_path / 'c'} cannot be read: ")
        assert len(err.splitlines()) == 1

    def test_an_empty_sheet(self, dsn, tmp_path):
        file = excel.written(tmp_path / "a.xlsx", {"Sheet1": []})
        assert loaded(dsn, file) == (1, "", f"{file} is empty: a header row is required\n")

    def test_without_openpyxl(self, clients, dsn, monkeypatch):
        monkeypatch.setitem(sys.modules, "openpyxl", None)
        file = FILES / "plant.xlsx"
        said = f'{file}: Excel files require openpyxl: pip install "pvsite_sql[excel]"\n'
        assert loaded(dsn, file, *PLANT) == (1, "", said)


OF_JSON = (*SOUTH, "--time-column", "t", "--power-column", "kW")
TIME = '"t": "2024-06-01T12:00Z"'


class TestJson:
    def test_shapes(self, repo, clients, dsn, tmp_path, subtests):
        for text, name, expected in [
            (f'{{{TIME}, "kW": 1.5}}', "a.json", [1.5]),
            (f'{{{TIME}, "kW": 1.5}}', "a.ndjson", [1.5]),
            (f'[{{{TIME}, "kW": 1.5}}]', "a", [1.5]),
            (f'\ufeff[\n  {{\n{TIME},\n"kW": "1.5"\n}}\n]\n', "a.txt", [1.5]),
            (f'{{"data": [{{{TIME}, "kW": 2}}], "links": [], "ids": [1]}}', "a.json", [2.0]),
            (f'\n{{{TIME}, "kW": 0.1}}\n\n{{"kW": 3, "t": "2024-06-01T12:05Z"}}', "a", [0.1, 3.0]),
            ("[]", "a.json", []),
            ("", "a.ndjson", []),
            ("\n\n", "a.jsonl", []),
        ]:
            with subtests.test(str(text)[:40]):
                repo.generation.delete([site.site_uuid for site in clients.values()])
                for path in (
                    written(tmp_path / name, text),
                    written(tmp_path / f"{name}.gz", gzip.compress(text.encode())),
                ):
                    assert loaded(dsn, path, *OF_JSON, "--on-conflict", "update")[::2] == (0, "")
                    assert [power for _, _, power in readings(repo)] == expected

    def test_values_that_are_no_power(self, repo, clients, dsn, tmp_path, subtests):
        for value, said in [
            ("null", "no value"),
            ("NaN", "no value"),
            ("Infinity", "must be finite"),
            ("1" + "0" * 400, "must be finite"),
            ("true", "not a number: 'TRUE'"),
            ("[1, 2]", "not a number: '[1, 2]'"),
            ('"x"', "not a number: 'x'"),
            ('"\\ud800"', "not a number: '\\\\ud800'"),
        ]:
            with subtests.test(str(value)[:40]):
                text = f'[{{{TIME}, "kW": 1}}, {{{TIME}, "kW": {value}}}]'
                file = written(tmp_path / "a.json", text)
                code, out, err = loaded(dsn, file, *OF_JSON)
                assert (code, out) == (1, "")
                assert err.startswith(f"{file}, record 2: kW: ")
                assert said in err
                repo.generation.delete([site.site_uuid for site in clients.values()])
                options = (*OF_JSON, "--rejects", tmp_path / "r.csv")
                assert loaded(dsn, file, *options) == (0, counts(inserted=1, rejected=1), "")

    def test_other_encodings_than_utf_8_have_a_byte_order_mark(self, repo, clients, dsn, tmp_path):
        text = f'[{{{TIME}, "größe": 1}}]'
        options = (*OF_JSON[:-1], "größe")
        for encoding in ("utf-16", "utf-8-sig"):
            file = written(tmp_path / "a.json", text.encode(encoding))
            assert loaded(dsn, file, *options)[::2] == (0, "")
        file = written(tmp_path / "a.json", text.encode("latin-1"))
        code, out, err = loaded(dsn, file, *options)
        assert (code, out, err.startswith(f"{file} is not encoded in utf-8: ")) == (1, "", True)
        assert readings(repo) == [("south 2607", 0, 1.0)]

    def test_a_key_that_is_missing_is_no_value(self, repo, clients, dsn, tmp_path):
        file = written(tmp_path / "a.ndjson", f'{{{TIME}, "kW": 1}}\n\n{{{TIME}}}\n')
        assert loaded(dsn, file, *OF_JSON) == (
            1,
            "",
            f"{file}, line 3: kW: no value; add --empty zero or --empty skip to accept it\n",
        )

    def test_lines_that_are_no_records_are_rejected(self, repo, clients, dsn, tmp_path):
        good = f'{{{TIME}, "kW": 1}}'
        bad = ['{"t": 1', "[1]", "null", '"text"', f"{good}, {good}"]
        file = written(tmp_path / "a.ndjson", "\n".join([good, *bad, good]))
        assert loaded(dsn, file, *OF_JSON) == (1, "", f"{file}, line 2: not a JSON object: '{{\"t\": 1'\n")
        rejects = tmp_path / "r.csv"
        assert loaded(dsn, file, *OF_JSON, "--rejects", rejects)[0] == 0
        with rejects.open(newline="") as opened:
            rows = list(csv.reader(opened))
        assert [row[1] for row in rows] == ["line", "2", "3", "4", "5", "6"]
        assert rows[3][2] == "not a JSON object: 'null'"

    def test_documents_that_cannot_be_loaded(self, clients, dsn, tmp_path, subtests):
        for text, said in [
            ('{"t": ', " is not JSON: "),
            ("[1", " is not JSON: "),
            ("[" * 100_000, " is not JSON: "),
            ("", " is not JSON: "),
            ("[[1, 2], [3, 4]]", ", record 1: not a JSON object: '[1, 2]'"),
            ('[{"time": 1, "kW": 2}]', " has no column 't'; its header is 'time', 'kW'"),
            (
                '{"a": [{"t": 1}], "b": {"c": [{"t": 1}]}}',
                " has several arrays of records; choose one with --records: a, b.c",
            ),
        ]:
            with subtests.test(str(text)[:40]):
                file = written(tmp_path / "a.json", text)
                code, out, err = loaded(dsn, file, *OF_JSON)
                assert (code, out) == (1, "")
                assert err.startswith(f"{file}{said}")
                assert len(err.splitlines()) == 1

    def test_records_chooses_an_array(self, repo, clients, dsn, tmp_path):
        text = f'{{"a": [{{{TIME}, "kW": 1}}], "b": {{"c": [{{{TIME}, "kW": 2}}]}}}}'
        file = written(tmp_path / "a.json", text)
        assert loaded(dsn, file, *OF_JSON, "--records", "b.c") == (0, counts(inserted=1), "")
        assert readings(repo) == [("south 2607", 0, 2.0)]
        said = f"{file} has no array 'b.d', which --records names\n"
        assert loaded(dsn, file, *OF_JSON, "--records", "b.d") == (1, "", said)

    def test_documents_have_a_limit_and_lines_have_none(self, repo, clients, dsn, tmp_path, monkeypatch):
        monkeypatch.setattr("pvsite_sql.load.json_files._MAX_CHARACTERS", 60)
        line = f'{{{TIME}, "kW": 1}}'
        for text in (f"[{line}, {line}]", f"[{line},\n{line}]"):
            file = written(tmp_path / "a.json", text)
            said = f"{file} is longer than 60 characters, which is the limit of a JSON document: convert it to NDJSON"
            code, out, err = loaded(dsn, file, *OF_JSON)
            assert (code, out, err.startswith(said)) == (1, "", True)
        file = written(tmp_path / "a.json", f"{line}\n{line}\n{line}\n")
        assert loaded(dsn, file, *OF_JSON, "--on-conflict", "ignore")[::2] == (0, "")

    def test_batches(self, repo, clients, dsn, tmp_path, monkeypatch):
        monkeypatch.setattr("pvsite_sql.load.json_files._BATCH_RECORDS", 3)
        lines = [f'{{"t": "2024-06-01T12:{minute:02}Z", "kW": {minute}}}' for minute in range(10)]
        for number, text in enumerate(("\n".join(lines), f"[{','.join(lines)}]")):
            file = written(tmp_path / f"{number}.json", text)
            assert loaded(dsn, file, *OF_JSON)[::2] == (0, "")
            assert [power for _, _, power in readings(repo)] == list(range(10))
        assert loaded(dsn, file, *OF_JSON, "--skip-footer", "4") == (0, counts(skipped=6), "")

    def test_typed_keys_and_a_column_a_site(self, repo, clients, dsn, tmp_path):
        file = written(tmp_path / "a.json", '[{"t": "2024-06-01T12:00Z", "id": 7607, "kW": 1}]')
        options = ("--time-column", "t", "--power-column", "kW", "--site-column", "id", "--site-key", "ml_id")
        assert loaded(dsn, file, *options) == (0, counts(inserted=1), "")
        file = written(
            tmp_path / "b.json",
            f'[{{{TIME}, "2607": 2, "2608": "3"}}, {{"t": "2024-06-01T12:05Z", "2607": 4, "2608": 5}}]',
        )
        assert loaded(dsn, file, *OF_NORTH[:-1], "t") == (0, counts(inserted=4), "")
        assert readings(repo) == [
            ("north 2607", 0, 2.0),
            ("north 2607", 5, 4.0),
            ("north 2608", 0, 3.0),
            ("north 2608", 5, 5.0),
            ("south 2607", 0, 1.0),
        ]


def test_a_folder_has_excel_and_json_files(repo, clients, dsn, tmp_path):
    for number, name in enumerate(("a.json", "b.jsonl", "c.ndjson.gz", "d.ndjson"), 1):
        text = f'{{"t": "2024-06-01T12:{number:02}Z", "kW": {number}}}'.encode()
        written(tmp_path / name, gzip.compress(text) if name.endswith(".gz") else text)
    excel.written(tmp_path / "e.xlsx", {"Sheet1": [["t", "kW"], [excel.at(12, 5), 5]]})
    assert loaded(dsn, tmp_path, *OF_JSON) == (0, counts(inserted=5), "")
    assert [power for _, _, power in readings(repo)] == [1.0, 2.0, 3.0, 4.0, 5.0]


@contextmanager
def standard_input(data):
    """A pipe with these bytes takes the place of standard input."""
    reading, writing = os.pipe()
    before = os.dup(0)
    os.write(writing, data)
    os.close(writing)
    os.dup2(reading, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        for each in (before, reading):
            os.close(each)


def test_standard_input_can_be_json_and_not_excel(repo, clients, dsn):
    line = f'{{{TIME}, "kW": 1}}'.encode()
    for text in (line + b"\n" + line, b"[" + line + b"]", gzip.compress(line)):
        with standard_input(text):
            assert loaded(dsn, "-", *OF_JSON)[::2] == (0, "")
    assert readings(repo) == [("south 2607", 0, 1.0)]
    with standard_input((FILES / "plant.xlsx").read_bytes()):
        said = "standard input must be CSV or JSON: a zip archive or Excel file cannot be read sequentially\n"
        assert loaded(dsn, "-") == (1, "", said)
