"""`pvsite-sql load`: files as people have them, what becomes of their rows, and loads that are stopped."""

from __future__ import annotations

import csv
import gzip
import io
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import get_args
from uuid import UUID

import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import COMMAND, called, run, started, surroundings, until
from conftest import reading_frame
from hostile import examples
from hypothesis import given
from hypothesis import strategies as st
from loading import counts, loaded, of_site, stored, written

import pvsite_sql
from pvsite_sql import InvalidInput
from pvsite_sql.cli import load as cli_load
from pvsite_sql.demo import sample
from pvsite_sql.load import Layout, LoadResult, Progress, csv_files, layout, load, parquet_files, same_keys
from pvsite_sql.load.cells import CellParser
from pvsite_sql.load.files import batches

MEASURED = Path(pvsite_sql.__file__).parent / "demo" / "data" / "serf_east_15min_ac_power.csv"
UNKNOWN = UUID(int=7)
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
"""
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'load' AND datname = current_database()"
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(csv_files, "_BATCH_LINES", 3)
    monkeypatch.setattr(parquet_files, "_BATCH_ROWS", 3)


def test_measured_readings_as_they_come(repo, site, dsn, tmp_path):
    text = MEASURED.read_bytes() + b"\n\n"
    plain = written(tmp_path / "measured.csv", text)
    zipped = written(tmp_path / "measured.csv.gz", gzip.compress(text))
    columns = ("--site", site.site_uuid, "--time-column", "measured_on", "--power-column", "ac_power")
    options = (*columns, "--unit", "W", "--interval", "15")
    expected = sample()
    assert loaded(dsn, plain, *options) == (0, counts(inserted=len(expected)), "")
    assert loaded(dsn, zipped, *options) == (0, counts(skipped=len(expected)), "")
    assert expected["power_kw"].min() < 0
    assert stored(repo) == [(start, power, 15.0) for start, power in expected.itertuples(index=False)]


ROWS = "site_uuid,start_utc,power_kw\nSITE,2024-06-01T12:00Z,1.5\nSITE,2024-06-01 12:05,-0.25\n"
SHAPES = {
    "plain": (ROWS, "utf-8", []),
    "no newline at the end": (ROWS.rstrip(), "utf-8", []),
    "windows": (ROWS.replace("\n", "\r\n") + "\r\n", "utf-8", []),
    "old mac": (ROWS.replace("\n", "\r"), "utf-8", []),
    "byte order mark": (ROWS, "utf-8-sig", []),
    "utf-16": (ROWS, "utf-16", ["--encoding", "utf-16"]),
    "blank lines": ("\n \n" + ROWS.replace("\n", "\n\n,,\n  \n") + "\n", "utf-8", []),
    "blanks": (ROWS.replace(",", "  , ").replace("\n", "  \n"), "utf-8", []),
    "all quoted": ('"' + ROWS.replace(",", '","').replace("\n", '"\n"').rstrip('"'), "utf-8", []),
    "other columns, in another order": (
        (
            'note,power_kw,für,start_utc,site_uuid\n"a, ""b""\r\nc",1.5,é,2024-06-01T12:00Z,SITE\n'
            '"\n\n",-0.25,a 5" pipe,"2024-06-01T12:05Z",SITE'
        ),
        "latin-1",
        [],
    ),
    "german": (
        "Anlage;Zeit;Leistung für Süd (kW)\nSITE;01.06.2024 14:00;1,5\nSITE;01.06.2024 14:05;-0,25\n",
        "latin-1",
        [
            *("--separator", ";", "--decimal", ",", "--encoding", "latin-1", "--timezone", "Europe/Berlin"),
            *("--time-format", "%d.%m.%Y %H:%M", "--site-column", "Anlage", "--time-column", "Zeit"),
            *("--power-column", "Leistung für Süd (kW)"),
        ],
    ),
    "tabs, watts, ends": (
        (
            "site_uuid\tbegin\tfinish\tW\nSITE\t2024-06-01T12:00Z\t2024-06-01T13:05+01:00\t1500\n"
            "SITE\t2024-06-01T14:05+02\t2024-06-01T12:10:00.000000Z\t-250\n"
        ),
        "utf-8",
        [
            *("--separator", "tab", "--time-column", "begin", "--end-column", "finish"),
            *("--power-column", "W", "--unit", "W", "--interval", "60"),
        ],
    ),
    "megawatts, and columns as read_frame has them": (
        (
            "site_uuid,start_utc,end_utc,generation_power_kw,created_utc\n"
            "SITE,2024-06-01 12:00:00+00:00,2024-06-01 12:05:00+00:00,0.0015,\n"
            "SITE,20240601T1205,2024-06-01 12:10,-0.00025,\n"
        ),
        "utf-8",
        ["--unit", "MW"],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_csv(repo, site, dsn, tmp_path, shape):
    text, encoding, options = SHAPES[shape]
    uuid = f"{{{str(site.site_uuid).upper()}}}" if shape == "blanks" else str(site.site_uuid)
    file = written(tmp_path / "a.csv", text.replace("SITE", uuid).encode(encoding))
    assert loaded(dsn, file, *options) == (0, counts(inserted=2), "")
    assert stored(repo) == [(NOON, 1.5, 5.0), (NOON + timedelta(minutes=5), -0.25, 5.0)]


# Clocks in London went from 02:00 back to 01:00 at 01:00 UTC on 2024-10-27, and from 01:00 to 02:00 on 2024-03-31.
AUTUMN = ["00:30", "01:00", "01:30", "01:00", "01:30", "02:00"]


def in_london(site, times, day="2024-10-27"):
    return of_site(site, [(f"{day} {time}", n) for n, time in enumerate(times)])


@pytest.mark.parametrize(
    ("rule", "hours"),
    [
        ("earlier", [(-0.5, 0), (0, 1), (0.5, 2), (2, 5)]),
        ("later", [(-0.5, 0), (1, 1), (1.5, 2), (2, 5)]),
        ("order", [(-0.5, 0), (0, 1), (0.5, 2), (1, 3), (1.5, 4), (2, 5)]),
    ],
)
@pytest.mark.usefixtures("small_batches")
def test_the_hour_that_clocks_show_twice(repo, site, dsn, tmp_path, rule, hours):
    file = written(tmp_path / "autumn.csv", in_london(site, AUTUMN))
    options = ("--timezone", "Europe/London", "--ambiguous", rule, "--interval", "30")
    if rule != "order":
        said = "line 5: 3.0 kW, but another row has 1.0 kW for the same site and start"
        code, out, err = loaded(dsn, file, *options)
        assert (code, out) == (1, "")
        assert said in err
        options += ("--same-key", "first")
    repeated = len(AUTUMN) - len(hours)
    expected = counts(inserted=len(hours), skipped=repeated, differing=repeated)
    assert loaded(dsn, file, *options) == (0, expected, "")
    midnight = datetime(2024, 10, 27, tzinfo=UTC)
    assert stored(repo) == [(midnight + timedelta(hours=hour), power, 30.0) for hour, power in hours]


def test_the_order_of_an_hour_shown_twice_is_each_sites_own(repo, site, dsn, tmp_path):
    other = repo.sites.create(capacity_kw=1.0)
    rows = "".join(f"{each.site_uuid},2024-10-27 01:00,{power}\n" for power in (1, 2) for each in (site, other))
    file = written(tmp_path / "autumn.csv", f"site_uuid,start_utc,power_kw\n{rows}")
    options = ("--timezone", "Europe/London", "--ambiguous", "order")
    assert loaded(dsn, file, *options) == (0, counts(inserted=4), "")
    midnight = datetime(2024, 10, 27, tzinfo=UTC)
    both = [(midnight, 1.0, 5.0), (midnight + timedelta(hours=1), 2.0, 5.0)]
    assert sorted(stored(repo)) == sorted(both * 2)


def test_times_that_clocks_show_twice_or_never_are_named(repo, site, dsn, tmp_path):
    autumn = written(tmp_path / "autumn.csv", in_london(site, AUTUMN))
    code, out, err = loaded(dsn, autumn, "--timezone", "Europe/London")
    said = "start_utc: an ambiguous time in Europe/London; choose one with --ambiguous: '2024-10-27 01:00'"
    assert (code, out, err) == (1, "", f"{autumn}, line 3: {said}\n")
    spring = written(tmp_path / "spring.csv", in_london(site, ["00:30", "01:30", "02:00"], day="2024-03-31"))
    for rule in ("error", "earlier", "later", "order"):
        code, out, err = loaded(dsn, spring, "--timezone", "Europe/London", "--ambiguous", rule)
        said = "start_utc: a nonexistent time in Europe/London: '2024-03-31 01:30'"
        assert (code, out, err) == (1, "", f"{spring}, line 3: {said}\n")
    assert stored(repo) == []


@pytest.mark.parametrize(
    ("time", "time_format"),
    [
        ("2024-06-01 12:00:00Z", None),
        ("2024-06-01T13:00+01", None),
        ("20240601T1730+0530", None),
        ("2024-06-01 05:00", None),
        ("1.6.2024 13:00 +0100", "%d.%m.%Y %H:%M %z"),
        ("1.6.2024 12:00 UTC", "%d.%m.%Y %H:%M %Z"),
        ("1.6.2024 05:00", "%d.%m.%Y %H:%M"),
    ],
)
def test_the_zone_is_that_of_times_without_an_offset(repo, site, dsn, tmp_path, time, time_format):
    file = written(tmp_path / "a.csv", of_site(site, [(time, 1)]))
    options = ("--timezone", "America/Phoenix", *(["--time-format", time_format] if time_format else []))
    assert loaded(dsn, file, *options) == (0, counts(inserted=1), "")
    assert [start for start, _, _ in stored(repo)] == [NOON]


BAD = [
    ("SITE,2024-06-01T00:00,1.5\n", None),
    ("SITE,2024-06-02T00:00,\n", "power_kw: no value; add --empty zero or --empty skip to accept it"),
    ("SITE,2024-06-02T00:00,nan\n", "power_kw: no value; add --empty zero or --empty skip to accept it"),
    ("SITE,2024-06-02T00:00,-inf\n", "power_kw: must be finite"),
    ("SITE,2024-06-02T00:00,1e999\n", "power_kw: must be finite"),
    ("SITE,2024-06-02T00:00,1_000\n", "power_kw: not a number: '1_000'"),
    ("SITE,2024-06-02T00:00,\u0661\n", "power_kw: not a number: '\u0661'"),
    ("SITE,2024-06-02T00:00,1.5 W\n", "power_kw: in W, but --unit is kW: '1.5 W'"),
    ("\n", None),
    ("SITE,,1.5\n", "start_utc: no value"),
    ("SITE,yesterday,1.5\n", "start_utc: not a time: 'yesterday'"),
    ("SITE,now,1.5\n", "start_utc: not a time: 'now'"),
    ("SITE,2024,1.5\n", "start_utc: not a time: '2024'"),
    ("SITE,2024-06,1.5\n", "start_utc: not a time: '2024-06'"),
    ("SITE,2024-02-30,1.5\n", "start_utc: not a time: '2024-02-30'"),
    ("SITE,2024-06-02T00:60Z,1.5\n", "start_utc: not a time: '2024-06-02T00:60Z'"),
    ("SITE,1969-12-31 23:59:59.999999,1.5\n", "start_utc: must be between 1970-01-01 and 2100-01-01 UTC"),
    ("SITE,2100-01-01T00:00,1.5\n", "start_utc: must be between 1970-01-01 and 2100-01-01 UTC"),
    ("SITE,2024-06-02 00:00:00.0000001,1.5\n", "start_utc: must not have a fraction of a microsecond"),
    ('SITE,"2024-06-02T00:00\n",1.5\n', None),
    (",2024-06-02T00:00,1.5\n", "site_uuid: no value"),
    ("4711,2024-06-02T00:00,1.5\n", "site_uuid: must be a UUID, got '4711' (--site-key is for other keys)"),
    (f"{UNKNOWN},2024-06-02T00:00,1.5\n", "site_uuid: no site has this uuid"),
    ("SITE,2024-06-02T00:00\n", "2 fields, but the header has 3: 'SITE,2024-06-02T00:00'"),
    ("SITE,2024-06-02T00:00,1,5\n", "4 fields, but the header has 3: 'SITE,2024-06-02T00:00,1,5'"),
    ("SITE\n", "1 field, but the header has 3: 'SITE'"),
    ("SITE,2024-06-03T00:00,1.5\n", None),
]


def bad_file(site, tmp_path):
    """A file of good and bad rows, and its rejects: line, reason, and the row."""
    text, rejects = "site_uuid,start_utc,power_kw\n", []
    for row, reason in BAD:
        given = row.replace("SITE", str(site.site_uuid))
        if reason is not None:
            cells = given.rstrip("\n").split(",") if "field" not in reason else []
            said = reason.replace("SITE", str(site.site_uuid))
            rejects.append([str(text.count("\n") + 1), said, *cells])
        text += given
    return written(tmp_path / "bad.csv", text), rejects


@pytest.mark.parametrize("batch", [1, 2, 7, 100])
def test_rows_that_cannot_be_stored_are_put_aside_with_line_and_reason(repo, site, dsn, tmp_path, monkeypatch, batch):
    monkeypatch.setattr(csv_files, "_BATCH_LINES", batch)
    file, expected = bad_file(site, tmp_path)
    rejects = written(tmp_path / "rejects.csv", "of another load\n" * 100)
    assert loaded(dsn, file, "--rejects", rejects) == (0, counts(inserted=3, rejected=len(expected)), "")
    with rejects.open(encoding="utf-8", newline="") as opened:
        header, *rows = csv.reader(opened)
    assert header == ["file", "line", "reason", "site_uuid", "start_utc", "power_kw"]
    assert rows == [[str(file), *row] for row in expected]
    assert [start.day for start, _, _ in stored(repo)] == [1, 2, 3]


def test_rejected_rows_that_are_put_right_load_with_the_same_options(repo, site, dsn, tmp_path):
    file = written(tmp_path / "a.csv", "t;kW\n01.06.2024;1,5\n02.06.2024;1.5\n31.06.2024;2,5\n")
    options = ("--site", site.site_uuid, "--time-column", "t", "--power-column", "kW", "--separator", ";")
    options += ("--decimal", ",", "--time-format", "%d.%m.%Y", "--dates-are-midnight")
    rejects = tmp_path / "rejects.csv"
    assert loaded(dsn, file, *options, "--rejects", rejects) == (0, counts(inserted=1, rejected=2), "")
    right = rejects.read_text(encoding="utf-8").replace(";1.5\n", ";1,5\n").replace("31.06", "30.06")
    mended = written(tmp_path / "mended.csv", right)
    assert loaded(dsn, mended, *options) == (0, counts(inserted=2), "")
    assert [(start.day, power) for start, power, _ in stored(repo)] == [(1, 1.5), (2, 1.5), (30, 2.5)]


def test_the_first_bad_row_ends_a_load_and_nothing_is_stored(repo, site, dsn, tmp_path):
    for row, reason in BAD:
        if reason is None:
            continue
        good = [(f"2024-06-01T00:{minute:02}", 1) for minute in range(30)]
        file = written(tmp_path / "a.csv", of_site(site, good) + row.replace("SITE", str(site.site_uuid)) + "\n,,x\n")
        with file.open("a") as more:
            more.write(f"{site.site_uuid},2024-06-09T00:00,1\n")
        said = reason.replace("SITE", str(site.site_uuid))
        assert loaded(dsn, file) == (1, "", f"{file}, line 32: {said}\n")
    assert stored(repo) == []


@pytest.mark.usefixtures("small_batches")
def test_a_bad_row_far_down_takes_back_what_was_sent(repo, site, dsn, tmp_path):
    good = written(tmp_path / "good.csv", of_site(site, [(f"2024-05-{day:02}", day) for day in range(1, 20)]))
    bad = written(tmp_path / "bad.csv", of_site(site, [*((f"2024-06-{day:02}", 1) for day in range(1, 20)), ("x", 1)]))
    code, out, err = loaded(dsn, good, bad)
    assert (code, out) == (1, "")
    advice = "(a line of totals? use --skip-footer 1)"
    assert err == f"{bad}, line 21: start_utc: not a time: 'x' {advice} (no file was stored)\n"
    assert stored(repo) == []


@pytest.mark.usefixtures("small_batches")
def test_each_file_on_its_own(repo, site, dsn, tmp_path):
    one = written(tmp_path / "1.csv", of_site(site, [("2024-06-01", 1), ("x", 1)]))
    two = written(tmp_path / "2.csv", of_site(site, [("2024-06-02", 2), ("2024-06-03", 3)]))
    bad = written(tmp_path / "3.csv", of_site(site, [(f"2024-06-{day:02}", 9) for day in range(4, 20)]) + 'a,"')
    rejects = tmp_path / "rejects.csv"
    code, out, err = loaded(dsn, one, two, bad, two, "--each", "--rejects", rejects)
    assert code == 1
    assert out == f"{one}: {counts(inserted=1, rejected=1)}{two}: {counts(inserted=2)}"
    assert err.startswith(f"{bad}, line 18: invalid quotes: ")
    assert err.endswith(f" (2 of 4 files were stored: {one}, {two})\n")
    assert len(err.splitlines()) == 1
    assert [power for _, power, _ in stored(repo)] == [1.0, 2.0, 3.0]
    kept = f"file,line,reason,site_uuid,start_utc,power_kw\n{one},3,start_utc: not a time: 'x',{site.site_uuid},x,1\n"
    assert rejects.read_text() == kept

    written(bad, of_site(site, [("2024-06-04", 4)]))
    code, out, err = loaded(dsn, one, two, bad, "--each", "--rejects", rejects)
    assert (code, err) == (0, "")
    assert out.splitlines(keepends=True)[-1] == counts(inserted=1, skipped=3, rejected=1)
    assert rejects.read_text() == kept


@pytest.mark.usefixtures("small_batches")
def test_rejects_of_a_load_that_fails_are_gone(repo, site, dsn, tmp_path):
    file = written(tmp_path / "a.csv", of_site(site, [("x", 1)] * 5) + '"')
    rejects = tmp_path / "rejects.csv"
    assert loaded(dsn, file, "--rejects", rejects)[0] == 1
    assert not rejects.exists()
    written(rejects, "of a load before\n")
    assert loaded(dsn, file, "--rejects", rejects, "--time-column", "time")[0] == 1
    assert rejects.read_text() == "of a load before\n"  # nothing was read
    written(file, of_site(site, [("2024-06-01", 1)]))
    assert loaded(dsn, file, "--rejects", rejects) == (0, counts(inserted=1), "")
    assert rejects.read_text() == ""


def test_rejects_that_cannot_be_written(site, dsn, tmp_path):
    file = written(tmp_path / "a.csv", of_site(site, [("2024-06-01", 1)]))
    link = tmp_path / "link.csv"
    link.symlink_to(file)
    before = file.read_text()
    assert loaded(dsn, file, "--rejects", link) == (
        1,
        "",
        f"cannot write rejected rows to {file}: it is one of the loaded files\n",
    )
    assert file.read_text() == before
    code, out, err = loaded(dsn, file, "--rejects", tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("cannot write rejected rows: ")


def test_rejects_of_files_that_have_other_columns_do_not_mix(repo, site, dsn, tmp_path):
    one = written(tmp_path / "1.csv", of_site(site, [("2024-06-01", 1), ("x", 1)]))
    row = f"{site.site_uuid},2024-06-01,2024-06-02,"
    two = written(tmp_path / "2.csv", f"site_uuid,start_utc,end_utc,power_kw\n{row}1\n")
    rejects = tmp_path / "r.csv"
    options = ("--on-conflict", "update", "--rejects", rejects)
    expected = counts(inserted=1, skipped=1, rejected=1, differing=1, advice="")
    assert loaded(dsn, one, two, *options) == (0, expected, "")
    assert stored(repo) == [(NOON.replace(hour=0), 1.0, 1440.0)]
    written(two, f"site_uuid,start_utc,end_utc,power_kw\n{row}x\n")
    said = f"{two} and the files with earlier rejected rows have different columns: load it separately"
    said += f" (1 of 2 files was stored: {one})\n"
    assert loaded(dsn, one, two, *options, "--each")[::2] == (1, said)
    assert len(rejects.read_text().splitlines()) == 2
    assert stored(repo) == [(NOON.replace(hour=0), 1.0, 5.0)]


@pytest.mark.parametrize(
    ("rule", "result", "powers"),
    [
        ("ignore", counts(inserted=1, skipped=3, differing=3), [1.0, 3.0]),
        ("update", counts(inserted=1, updated=1, skipped=2, differing=1, advice=""), [2.0, 4.0]),
    ],
)
@pytest.mark.usefixtures("small_batches")
def test_conflicts(repo, site, dsn, tmp_path, rule, result, powers):
    repo.generation.insert(reading_frame(site.site_uuid, rows=1))
    rows = [("2024-06-01", 2), ("2024-06-02", 3), ("2024-06-01", 2), ("2024-06-02", 4)]
    file = written(tmp_path / "a.csv", of_site(site, rows))
    assert loaded(dsn, file, "--on-conflict", rule) == (0, result, "")
    assert [power for _, power, _ in stored(repo)] == powers


@pytest.mark.usefixtures("small_batches")
def test_conflicts_that_are_errors(repo, site, dsn, tmp_path):
    rows = [(f"2024-06-{day:02}", 1) for day in (1, 2, 3, 4, 5, 4)]
    file = written(tmp_path / "a.csv", of_site(site, rows))
    said = f"{file}, line 7: an earlier row has the same site and start\n"
    assert loaded(dsn, file, "--on-conflict", "error", "--rejects", tmp_path / "r.csv") == (1, "", said)
    written(file, of_site(site, [*rows[:5], rows[0]]))
    code, out, err = loaded(dsn, file, "--on-conflict", "error")  # the second one in another batch
    assert (code, out) == (1, "")
    assert "2024-06-01" in err
    assert stored(repo) == []
    written(file, of_site(site, rows[:5]))
    assert loaded(dsn, file, "--on-conflict", "error") == (0, counts(inserted=5), "")
    assert loaded(dsn, file, "--on-conflict", "error")[0] == 1


def test_a_site_that_there_is_not(site, dsn, tmp_path):
    file = written(tmp_path / "a.csv", of_site(site, [("2024-06-01", 1)]))
    assert loaded(dsn, file, "--site", UNKNOWN) == (1, "", f"no site has the uuid {UNKNOWN}\n")


def test_standard_input(repo, site, dsn, tmp_path):
    text = of_site(site, [("2024-06-01", 1), ("x", 2)])
    for sent, expected in ((text.encode(), 1), (gzip.compress(text.encode()), 0)):
        command = [*COMMAND, "load", "--dsn", dsn, "-", "--rejects", tmp_path / "r.csv"]
        done = subprocess.run(command, input=sent, capture_output=True, env=surroundings({}), check=False)
        result = counts(inserted=expected, skipped=1 - expected, rejected=1)
        assert (done.returncode, done.stdout.decode(), done.stderr) == (0, result, b"")
        assert (tmp_path / "r.csv").read_text().splitlines()[1].startswith("standard input,3,start_utc: not a time")
    done = subprocess.run(
        [*COMMAND, "load", "--dsn", dsn, "-"],
        input=text.encode(),
        capture_output=True,
        env=surroundings({}),
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"standard input, line 3: start_utc: not a time: 'x' ")


TIMES = [datetime(2024, 6, 1, 12), datetime(2024, 6, 1, 13), datetime(2024, 6, 1, 14)]  # noqa: DTZ001
AWARE = [time.replace(tzinfo=UTC) for time in TIMES]
TEXTS = [f"{time:%Y-%m-%d %H:%M}" for time in TIMES]


def uuid_columns(uuids):
    return {
        "text": pa.array([str(uuid) for uuid in uuids]),
        "large text": pa.array([str(uuid) for uuid in uuids], pa.large_string()),
        "dictionary": pa.array([str(uuid) for uuid in uuids]).dictionary_encode(),
        "binary": pa.array([uuid.bytes for uuid in uuids], pa.binary(16)),
    }


TIME_COLUMNS = {  # all of them 12:00, 13:00 and 14:00 UTC, with the offset of the naive ones
    "us": (pa.array(TIMES, pa.timestamp("us")), "UTC"),
    "ns": (pa.array(TIMES, pa.timestamp("ns")), "Etc/GMT"),
    "s, in Arizona": (pa.array([time - timedelta(hours=7) for time in TIMES], pa.timestamp("s")), "America/Phoenix"),
    "ms UTC": (pa.array(AWARE, pa.timestamp("ms", "UTC")), "America/Phoenix"),
    "ns New York": (pa.array(AWARE, pa.timestamp("ns", "America/New_York")), "Europe/London"),
    "text": (pa.array(TEXTS), "UTC"),
    "dictionary": (pa.array([f"{text}Z" for text in TEXTS]).dictionary_encode(), "Europe/London"),
}
POWER_COLUMNS = {
    "double": pa.array([1.5, -0.25, 3.0]),
    "float": pa.array([1.5, -0.25, 3.0], pa.float32()),
    "decimal": pa.array([Decimal("1.5"), Decimal("-0.25"), Decimal(3)]),
    "text": pa.array(["1.5", " -.25", "3e0"]),
}


@pytest.mark.parametrize("uuids", ["text", "large text", "dictionary", "binary"])
@pytest.mark.parametrize("times", TIME_COLUMNS)
@pytest.mark.parametrize("powers", POWER_COLUMNS)
def test_types_of_parquet(uuids, times, powers, tmp_path):
    sites = [UUID(int=n << 100) for n in (3, 1, 3)]
    column, zone = TIME_COLUMNS[times]
    table = {"site_uuid": uuid_columns(sites)[uuids], "start_utc": column, "power_kw": POWER_COLUMNS[powers]}
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table(table), file, row_group_size=2)
    layout = Layout(timezone=zone)
    reader = CellParser(layout, lambda keys: {key: [key] for key in keys})
    frames = []
    for batch in batches(str(file), layout):
        frame, reasons, _ = reader.frame(batch.cells, len(batch.numbers))
        assert reasons == {}
        frames.append(frame)
    frame = pd.concat([each.astype({"site_uuid": object}) for each in frames])
    assert list(frame["site_uuid"]) == sites
    assert list(frame["start_utc"]) == AWARE
    assert list(frame["power_kw"]) == [1.5, -0.25, 3.0]


def test_parquet_is_stored_and_its_bad_rows_are_named_by_number(repo, site, dsn, tmp_path):
    file = tmp_path / "a.parquet"
    table = {
        "site": pa.array([site.site_uuid.bytes, None, site.site_uuid.bytes, site.site_uuid.bytes], pa.binary(16)),
        "start_utc": pa.array([*AWARE, None], pa.timestamp("ns", "UTC")),
        "end_utc": pa.array([*TIMES, TIMES[0]], pa.timestamp("s")),
        "W": pa.array([1500, 1500, None, 1500], pa.int64()),
    }
    pq.write_table(pa.table(table), file, row_group_size=3)
    options = ("--site-column", "site", "--power-column", "W", "--unit", "W", "--timezone", "Etc/GMT+1")
    assert loaded(dsn, file, *options) == (1, "", f"{file}, row 2: site: no value\n")
    rejects = tmp_path / "r.csv"
    assert loaded(dsn, file, *options, "--rejects", rejects) == (0, counts(inserted=1, rejected=3), "")
    assert stored(repo) == [(NOON, 1.5, 60.0)]
    rows = [line.split(",") for line in rejects.read_text().splitlines()]
    assert rows[0] == ["file", "line", "reason", "site", "start_utc", "end_utc", "W"]
    assert [row[1:3] for row in rows[1:]] == [
        ["2", "site: no value"],
        ["3", "W: no value; add --empty zero or --empty skip to accept it"],
        ["4", "start_utc: no value"],
    ]
    assert rows[2][3:] == [str(site.site_uuid), "2024-06-01 14:00:00+00:00", "2024-06-01 14:00:00", ""]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"power_kw": pa.array([True])}, "column 'power_kw' has type bool, expected text, times or numbers"),
        ({"start_utc": pa.array([NOON.date()])}, "start_utc: a date without a time: '2024-06-01'; use --period-column"),
        ({"start_utc": pa.array([17])}, "start_utc: must be datetimes, got dtype int64"),
        ({"power_kw": pa.array([NOON])}, "power_kw: must be numbers, got datetime64"),
        ({"site_uuid": pa.array([17])}, "row 1: site_uuid: must be a UUID, got 17"),
    ],
)
def test_parquet_of_other_types_is_refused(site, dsn, tmp_path, column, said):
    table = {"site_uuid": pa.array([str(site.site_uuid)]), "start_utc": pa.array([NOON]), "power_kw": pa.array([1.0])}
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table(table | column), file)
    code, out, err = loaded(dsn, file)
    assert (code, out) == (1, "")
    assert err.startswith(str(file))
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_folder_of_both_kinds(repo, site, dsn, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    written(folder / "b.csv.gz", gzip.compress(of_site(site, [("2024-06-02", 2)]).encode()))
    written(folder / "c.CSV", of_site(site, [("2024-06-01", 3)]))
    written(folder / "notes.md", "neither")
    written(folder / "._c.CSV", "what other systems keep beside a file")
    table = {"site_uuid": [str(site.site_uuid)], "start_utc": ["2024-06-01T00"], "power_kw": [1.0]}
    pq.write_table(pa.table(table), folder / "a.parquet")
    note = f"{folder}: ignored notes.md, which load does not read\n"
    expected = counts(inserted=2, skipped=1, differing=1, advice="")
    assert loaded(dsn, folder, "--on-conflict", "update") == (0, expected, note)
    assert [power for _, power, _ in stored(repo)] == [3.0, 2.0]  # in the order of names


PARQUET = b"PAR1 and no more"
UNFIT = {
    "nothing": (b"", "is empty: a header line is required"),
    "blank lines": (b"\n\n", "is empty: a header line is required"),
    "another header": (b"a,b\n", "has no column 'site_uuid'; its header is 'a', 'b'"),
    "another separator": (b"site_uuid;start_utc;power_kw\n", "its header is 'site_uuid;start_utc;power_kw'"),
    "a column twice": (b"site_uuid,start_utc,power_kw,start_utc\n", "has 2 columns 'start_utc'"),
    "both names": (b"site_uuid,start_utc,power_kw,generation_power_kw\n", "choose one with --power-column"),
    "a zip file": (b"PK\x03\x04\x14\0\0\0\x08\0", "cannot be read: File is not a zip file"),
    "a cut gzip file": (gzip.compress(b"site_uuid,start_utc,power_kw\n" * 99)[:-9], "cannot be read: "),
    "a bad gzip file": (gzip.compress(b"site_uuid,start_utc,power_kw\n")[:12] + b"\xff" * 40, "cannot be read: "),
    "a cut parquet file": (PARQUET, "cannot be read: "),
    "an open quote": (b'site_uuid,start_utc,power_kw\n\na,b,1\n"a,b\nc', "line 4: invalid quotes"),
    "an open quote in the header": (b'"site_uuid', "has an invalid header: "),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_files_that_cannot_be_loaded_end_in_a_sentence(dsn, tmp_path, kind):
    text, said = UNFIT[kind]
    file = written(tmp_path / "a.csv", text)
    code, out, err = loaded(dsn, file, "--rejects", tmp_path / "r.csv")
    assert (code, out) == (1, "")
    assert err.startswith(str(file))
    assert said in err
    assert len(err.splitlines()) == 1


def test_headers_without_rows_are_no_error(dsn, tmp_path):
    file = written(tmp_path / "a.csv", "site_uuid,start_utc,power_kw\n")
    assert loaded(dsn, file) == (0, counts(), "")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["nowhere.csv"], 1, "no such file: nowhere.csv"),
        (["."], 1, ". contains no files that end with .csv, .txt, .tsv, .json, .jsonl, .ndjson, .csv.gz, "),
        (
            ["-", "--timezone", "Mars"],
            2,
            "--timezone: unknown time zone 'Mars'; use a name such as Europe/London, or an offset such as +05:30\n",
        ),
        (
            ["-", "--timezone", "Europe"],
            2,
            "--timezone: unknown time zone 'Europe'; use a name such as Europe/London, or an offset such as +05:30\n",
        ),
        (["-", "--time-format", "mixed"], 2, "--time-format: invalid format 'mixed'; use a strptime format"),
        (["-", "--time-format", "%Q"], 2, "--time-format: invalid format '%Q'; use a strptime format"),
        (["-", "--separator", ";;"], 2, "--separator: must be one character, got ';;'\n"),
        (["-", "--decimal", ","], 2, "--separator: must differ from the decimal sign\n"),
        (["-", "--decimal", "x"], 2, "--decimal: must be . or ,, got 'x'\n"),
        (["-", "--encoding", "morse"], 2, "--encoding: unknown encoding 'morse'\n"),
        (["-", "--site", "x"], 2, "--site: must be a UUID, got 'x'\n"),
        (["-", "--interval", "0"], 2, "--interval: must be a number of minutes above zero, got 0"),
        (["-", "--site", str(UNKNOWN), "--site-column", "s"], 2, "Use either --site or --site-column, not both."),
        (["-", "--interval", "nan"], 2, "--interval"),
        (["-", "--unit", "kVA"], 2, "'kVA' is not one of 'W', 'kW', 'MW', 'Wh', 'kWh', 'MWh'"),
        ([], 2, "Missing argument"),
    ],
)
def test_options_that_cannot_be(dsn, tmp_path, options, code, said):
    ended, out, err = loaded(dsn, *options, cwd=tmp_path)
    assert (ended, out) == (code, "")
    assert said in err


def test_a_database_that_lacks_migrations(empty_dsn, tmp_path):
    file = written(tmp_path / "a.csv", "site_uuid,start_utc,power_kw\n")
    code, out, err = loaded(empty_dsn, file)
    assert (code, out) == (1, "")
    assert "pvsite-sql migrate" in err


def test_without_pyarrow_only_parquet_is_out_of_reach(repo, site, dsn, tmp_path):
    table = {"site_uuid": [str(site.site_uuid)], "start_utc": ["2024-06-01T00"], "power_kw": [1.0]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    file = written(tmp_path / "a.csv", of_site(site, [("2024-06-01", 1)]))
    program = "import sys; sys.modules['pyarrow'] = None; from pvsite_sql.cli import main; main()"
    command = [sys.executable, "-c", program]
    assert run("load", "--dsn", dsn, file, command=command) == (0, counts(inserted=1), "")
    code, out, err = run("load", "--dsn", dsn, tmp_path / "a.parquet", command=command)
    assert (code, out) == (1, "")
    assert 'pip install "pvsite_sql[load]"' in err
    assert len(err.splitlines()) == 1


def test_the_choices_of_the_command_are_those_of_the_library():
    assert get_args(cli_load._Unit) == get_args(layout.Unit)
    assert get_args(cli_load._Ambiguous) == get_args(layout.Ambiguous)
    assert get_args(cli_load._SameKey) == get_args(same_keys.SameKey)
    assert get_args(cli_load._SiteKey) == get_args(layout.SiteKey)
    assert get_args(cli_load._Empty) == get_args(layout.Empty)


def test_help_fits_and_shows_examples_line_by_line():
    code, out, err = called("load", "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "\n  pvsite-sql load 2023.csv.gz 2024.csv.gz\n" in out
    columns, times = out.partition("\nColumns:\n")[2].partition("\nTimes:\n")[::2]
    assert "\n  --time-column NAME " in columns
    assert "\n  --timezone ZONE " in times
    assert out.count("\n  --timezone ZONE ") == out.count("\n  --dsn DSN ") == 1
    assert "PVSITE_SQL_DSN" in out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_how_far_it_is(site, dsn, tmp_path):
    file = written(tmp_path / "a.csv", of_site(site, [("2024-06-01", 1), ("2024-06-02", 1)]))
    ours, theirs = os.openpty()
    command, environment = [*COMMAND, "load", "--dsn", dsn, file], surroundings({"TERM": "xterm"})
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True) as child:
        os.close(theirs)
        shown = b""
        while part := read(ours):
            shown += part
        assert child.stdout.read() == counts(inserted=2)
    os.close(ours)
    assert child.returncode == 0
    assert b"2 rows, " in shown
    assert b" rows/s" in shown
    assert b"100%" in shown


def read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.usefixtures("small_batches")
def test_from_python(repo, site, tmp_path):
    one = written(tmp_path / "1.csv", of_site(site, [(f"2024-06-{day:02}", 1) for day in range(1, 11)]))
    two = written(tmp_path / "2.csv", of_site(site, [("2024-06-11", 1), ("x", 1)]))
    seen: list[Progress] = []
    result = load(repo, [one, two], rejects=tmp_path / "r.csv", progress=seen.append)
    assert result == LoadResult(inserted=11, rejected=1)
    assert [at.rows for at in seen] == [3, 6, 9, 10, 11]
    size = one.stat().st_size + two.stat().st_size
    assert {at.bytes_all for at in seen} == {size}
    assert seen[-1].bytes_read == size
    done: list[object] = []
    with pytest.raises(InvalidInput, match=r"line 3: start_utc: not a time: 'x'") as raised:
        load(repo, [one, two], Layout(), each=True, stored=lambda *each: done.append(each))
    assert done == [(str(one), LoadResult(skipped=10))]
    assert raised.value.__notes__ == [f"(1 of 2 files was stored: {one})"]


def test_a_batch_is_there_before_the_rest_is_read(site, tmp_path):
    file = written(tmp_path / "a.csv", of_site(site, [("2024-06-01", 1)] * 250_000))
    reading = batches(str(file), Layout())
    assert next(reading).bytes_read < file.stat().st_size / 2
    assert sum(len(batch.numbers) for batch in reading) == 150_000


FIELDS = st.text(st.sampled_from('ab",;\n\r \t\u2028\x85é'), max_size=4)


@given(
    rows=st.lists(st.lists(FIELDS, max_size=4), max_size=12),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    size=st.integers(1, 5),
)
@examples(300)
def test_lines_and_cells_are_those_of_a_csv_reader(tmp_path_factory, rows, quoting, end, size):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=end).writerows([["site_uuid", "start_utc", "power_kw"], *rows])
    file = tmp_path_factory.mktemp("csv") / "a.csv"
    file.write_bytes(text.getvalue().encode())
    expected, line = [], 2
    reader = csv.reader(io.StringIO(text.getvalue(), newline=""))
    next(reader)
    for row in reader:
        if any(row) and not (len(row) == 1 and not row[0].strip()):
            fits = len(row) >= 3 and not any(field.strip() for field in row[3:])
            expected.append((line, row[:3] if fits else None))
        line = reader.line_num + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "_BATCH_LINES", size)
        found = []
        for batch in batches(str(file), Layout()):
            cells = zip(batch.numbers.tolist(), zip(*batch.cells.values(), strict=True), strict=True)
            found += [(number, list(row)) for number, row in cells]
            found += [(number, None) for number, _ in batch.unreadable]
    assert sorted(found, key=lambda each: each[0]) == expected


MANY = 120_000


def many(site):
    """More than one batch, five minutes each."""
    starts = pd.date_range("2020-01-01", periods=MANY, freq="5min").strftime("%Y-%m-%dT%H:%MZ")
    return of_site(site, zip(starts, range(MANY), strict=True))


@pytest.fixture
def held(site, dsn, postgresql, tmp_path):
    """Files whose load waits, with a batch written, for a key that another transaction has."""
    first = written(tmp_path / "1.csv", of_site(site, [("2019-01-01", 1), ("x", 1)]))
    second = written(tmp_path / "2.csv", many(site))
    last = pd.Timestamp("2020-01-01", tz="UTC") + (MANY - 1) * timedelta(minutes=5)
    postgresql.autocommit = True
    with psycopg.connect(dsn) as holder:
        holder.execute("SELECT ensure_month_partitions('generation', ARRAY[%s::date])", [last])
        holder.commit()
        holder.execute(
            "INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw) VALUES (%s, %s, %s, 0)",
            [site.site_uuid, last, last + timedelta(minutes=5)],
        )
        yield holder, first, second
        holder.rollback()


def waits(observer):
    observer.execute("SELECT pg_stat_clear_snapshot()")
    return observer.execute(WAITING).fetchone()[0] > 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("each", [[], ["--each"]], ids=["whole", "each"])
def test_a_killed_load_is_run_again_and_ends_at_the_same_table(repo, site, dsn, postgresql, tmp_path, held, each):
    holder, *files = held
    rejects = tmp_path / "rejects.csv"
    arguments = ["load", "--dsn", dsn, *files, "--rejects", rejects, *each]
    with started(*arguments, PGAPPNAME="load") as child:
        until(lambda: waits(postgresql) or child.poll() is not None, seconds=60)
        child.kill()
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    holder.rollback()
    until(lambda: postgresql.execute(CONNECTED).fetchone() == (0,))
    assert len(stored(repo)) == len(each)
    code, out, err = loaded(dsn, *files, "--rejects", rejects, *each)
    total = counts(inserted=MANY + 1 - len(each), skipped=len(each), rejected=1)
    assert (code, out.splitlines(keepends=True)[-1], err) == (0, total, "")
    again = repo.generation.read_frame()
    assert rejects.read_text().count("\n") == 2
    postgresql.execute("TRUNCATE generation")
    assert loaded(dsn, *files, "--rejects", rejects)[0] == 0
    straight = repo.generation.read_frame()
    assert len(straight) == MANY + 1
    pd.testing.assert_frame_equal(again.drop(columns="created_utc"), straight.drop(columns="created_utc"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_load_that_is_stopped_leaves_nothing(repo, dsn, postgresql, tmp_path, held, number):
    rejects = tmp_path / "rejects.csv"
    with started("load", "--dsn", dsn, *held[1:], "--rejects", rejects) as child:
        until(lambda: waits(postgresql) or child.poll() is not None, seconds=60)
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (128 + number, "", "")
    assert stored(repo) == []
    assert not rejects.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
def test_a_load_that_waits_for_standard_input_is_stopped(repo, site, dsn, postgresql):
    command = [*COMMAND, "load", "--dsn", dsn, "-"]
    postgresql.autocommit = True
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=surroundings({"PGAPPNAME": "load"})
    ) as child:
        until(lambda: postgresql.execute(CONNECTED).fetchone() == (2,) or child.poll() is not None)  # its pool
        child.stdin.write(of_site(site, [("2024-06-01", 1)]).encode())
        child.stdin.flush()
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == 128 + signal.SIGTERM
        assert (child.stdout.read(), child.stderr.read()) == (b"", b"")
    assert stored(repo) == []
