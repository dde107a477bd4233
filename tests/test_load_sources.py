"""`pvsite-sql load`: sites named by the keys of their provider, a column a site, Excel and JSON files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_load import counts, loaded, written

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
    @pytest.mark.parametrize(
        ("options", "keys", "expected"),
        [
            (["client_site_id", "--client", "south"], ["2607", " 2608 "], ["south 2607", "south 2608"]),
            (["client_site_id", "--client", "north"], ["2607.0", "0002608"], ["north 2607", "north 2608"]),
            (["client_site_name"], ["south 2607", " north 2608"], ["south 2607", "north 2608"]),
            (["client_site_name", "--client", "south"], ["south 2607"], ["south 2607"]),
            (["ml_id"], ["2607", "7608"], ["north 2607", "south 2608"]),
            (["ml_id", "--client", "south"], ["7607"], ["south 2607"]),
        ],
    )
    def test_name_the_sites_of_rows(self, repo, clients, dsn, tmp_path, options, keys, expected):
        file = written(tmp_path / "a.csv", rows_of(options[0], keys))
        assert loaded(dsn, file, "--site-key", *options) == (0, counts(inserted=len(keys)), "")
        assert readings(repo) == sorted((name, 0, float(n)) for n, name in enumerate(expected, 1))

    def test_are_looked_up_in_another_column_too(self, repo, clients, dsn, tmp_path):
        file = written(tmp_path / "a.csv", rows_of("ss_id", ["2607"]))
        options = ("--site-column", "ss_id", "--site-key", "client_site_id", "--client", "south")
        assert loaded(dsn, file, *options) == (0, counts(inserted=1), "")
        assert readings(repo) == [("south 2607", 0, 1.0)]

    @pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.float64(), pa.string()])
    def test_can_be_typed(self, repo, clients, dsn, tmp_path, kind):
        keys = ["2608", "2607"] if kind == pa.string() else [2608, 2607]
        table = {"ml_id": pa.array(keys, kind), "start_utc": [NOON, NOON], "power_kw": [1.0, 2.0]}
        pq.write_table(pa.table(table), tmp_path / "a.parquet")
        assert loaded(dsn, tmp_path / "a.parquet", "--site-key", "ml_id") == (0, counts(inserted=2), "")
        assert readings(repo) == [("north 2607", 0, 2.0), ("north 2608", 0, 1.0)]

    @pytest.mark.parametrize(
        ("options", "key", "said"),
        [
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
        ],
    )
    def test_that_fit_no_site_or_several_are_named(self, repo, clients, dsn, tmp_path, options, key, said):
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

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            ("time,2607,2609", ", header: no site of client 'north' has this client_site_id: '2609' (--power-column"),
            ("time,2607,2607", " has 2 columns '2607'; choose columns with --power-column"),
            ("time,2607,02607", ", header: '2607' and '02607' are the same site"),
            ("time,,2607", ": column 2 has no name; choose columns with --power-column"),
            ("start,2607,2608", " has no column 'time'; its header is 'start', '2607', '2608'"),
        ],
    )
    def test_headers_that_do_not_name_sites(self, repo, clients, dsn, tmp_path, header, said):
        file = written(tmp_path / "a.csv", WIDE.replace("time,2607,2608", header))
        code, out, err = loaded(dsn, file, *OF_NORTH, "--rejects", tmp_path / "r.csv")
        assert (code, out) == (1, "")
        assert err.startswith(f"{file}{said}")
        assert readings(repo) == []

    def test_a_file_without_columns_of_sites(self, clients, dsn, tmp_path):
        file = written(tmp_path / "a.csv", "time\n2024-06-01\n")
        said = f"{file} has no columns of sites; its header is 'time'\n"
        assert loaded(dsn, file, *OF_NORTH) == (1, "", said)

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
        assert loaded(dsn, tmp_path / "a.parquet", *OF_NORTH) == (0, counts(inserted=6), "")
        assert readings(repo) == IN_NORTH

    def test_the_hour_that_clocks_show_twice_is_each_sites_own(self, repo, clients, dsn, tmp_path):
        times = "".join(f"2024-10-27 {time},1,2\n" for time in ("00:30", "01:00", "01:30", "01:00", "01:30", "02:00"))
        file = written(tmp_path / "a.csv", f"time,2607,2608\n{times}")
        options = (*OF_NORTH, "--timezone", "Europe/London", "--ambiguous", "order", "--interval", "30")
        assert loaded(dsn, file, *options) == (0, counts(inserted=12), "")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--wide", "--site", "7f3c1f0e-6d1f-4a52-8c3c-0d2b5f8e9a11"], "--site: not with --wide"),
            (["--wide", "--site", "2607", "--site-key", "ml_id"], "--site: not with --wide"),
            (["--wide", "--site-column", "site"], "--site-column: not with --wide"),
            (["--power-column", "a", "--power-column", "b"], "--power-column: only --wide takes several"),
        ],
    )
    def test_options_that_cannot_be(self, dsn, options, said):
        code, out, err = loaded(dsn, "-", *options)
        assert (code, out) == (2, "")
        assert said in err
