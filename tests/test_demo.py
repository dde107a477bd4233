"""The demonstration, run as people run it, and the sample that it shows."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
from contextlib import ExitStack, closing, suppress
from datetime import UTC, date, timedelta, timezone
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from test_cli import run, started

from pvsite_sql import demo

DATA = files("pvsite_sql") / "data"
SAMPLE = DATA / "serf_east_15min_ac_power.csv"
MOUNTAIN = timezone(timedelta(hours=-7))
PNG = b"\x89PNG\r\n\x1a\n"
SITUATIONS = {
    "1. One user, one site": {"alice": ["as measured"]},
    "2. One user, several sites": {"bob": ["as measured", "doubled"]},
    "3. Two users, one site": {"carol": ["a week later"], "dan": ["a week later"]},
    "4. Two users, several sites": {"erin": ["doubled", "a week later"], "frank": ["doubled", "a week later"]},
    "5. OCF sees everything": {"ocf": ["as measured", "doubled", "a week later"]},
}

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has neither these signals nor pseudo-terminals")


def watts():
    """The sample's values, read without the package: a line a day, 96 quarters of an hour each."""
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()[1:]
    return np.array([float(line.split(",")[1]) for line in lines]).reshape(-1, 96)


@pytest.fixture
def place(monkeypatch):
    """The only temporary folder of a test; pytest's own may be closed to the server's user and its path too long."""
    folder = Path(tempfile.mkdtemp(prefix="pv-")).resolve()
    folder.chmod(0o777)
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def left(place):
    """What is left of the servers of a place: its files, and the command lines of processes that name it."""
    lines = []
    if Path("/proc/self/cmdline").exists():
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    elif os.name != "nt":
        lines = subprocess.check_output(["ps", "-A", "-ww", "-o", "args"], text=True).splitlines()
    return [str(path) for path in place.iterdir()] + [line for line in lines if str(place) in line]


def png_size(path):
    content = Path(path).read_bytes()
    assert content.startswith(PNG)
    assert content.endswith(b"IEND\xaeB`\x82")
    return struct.unpack(">II", content[16:24])


def said(err):
    """The lines of stderr, without what matplotlib says of its caches where it is new or the home is closed."""
    return [line for line in err.splitlines() if not re.match("(?i)matplotlib|mkdir -p failed", line)]


def read_until(stdout, last):
    """The lines up to the one that `last` accepts, without waiting for the next."""
    lines = []
    for line in stdout:
        lines.append(line.rstrip("\n"))
        if last(lines[-1]):
            return lines
    raise AssertionError(f"it ended early, after {lines}")


def databases(dsn):
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'pvsite_demo%'").fetchall()
    return {row[0] for row in rows}


def test_the_sample_is_small_and_as_it_was_measured():
    content = SAMPLE.read_bytes()
    assert len(content) <= 200_000
    assert hashlib.sha256(content).hexdigest() == "44d2540a4e6ea883f16692d4ccd84c4f4bb1e6d6fd7a2b95a5a3dd7ba8300c2d"
    header, *lines = content.decode().splitlines()
    assert header == "measured_on,ac_power"
    assert lines[0] == "2016-07-01 00:00:00-07:00,-2.8601"
    assert lines[-1] == "2016-08-28 23:45:00-07:00,-2.702"
    values = [Decimal(line.split(",")[1]) for line in lines]
    assert len(values) == 59 * 96
    assert sum(values) == Decimal("6542737.88689")
    assert (min(values), max(values)) == (Decimal("-6.3533"), Decimal("5077.0"))
    assert sum(value < 0 for value in values) == 2533


def test_the_source_of_the_sample_stands_beside_it():
    source = (DATA / "SOURCE.md").read_text(encoding="utf-8")
    for needed in (SAMPLE.name, "pvanalytics 0.2.2", "MIT", "Copyright (c) 2020, 2022", "in W", "2016-08-28"):
        assert needed in source


def test_the_sample_is_read_to_the_last_digit():
    readings = demo.sample()
    assert list(readings.columns) == ["start", "power_kw"]
    assert readings["power_kw"].tolist() == [value / 1000 for value in watts().ravel()]
    assert readings["start"].iloc[0] == pd.Timestamp("2016-07-01 07:00", tz="UTC")
    assert readings["start"].iloc[0].utcoffset() == timedelta(hours=-7)
    assert set(readings["start"].diff().dropna()) == {pd.Timedelta(minutes=15)}


def test_daily_energy_of_the_sample_is_that_of_an_independent_sum():
    site, other = uuid4(), uuid4()
    readings = demo.sample()
    start = readings["start"].dt.tz_convert("UTC")
    columns = {"start_utc": start, "end_utc": start + timedelta(minutes=15)}
    frames = [
        pd.DataFrame({"site_uuid": name, **columns, "generation_power_kw": readings["power_kw"] * factor})
        for name, factor in ((site, 1), (other, 3))
    ]
    energy = demo.daily_energy(pd.concat(frames, ignore_index=True), MOUNTAIN)
    expected = watts().sum(axis=1) / 4 / 1000
    assert list(energy.index) == [date(2016, 7, 1) + timedelta(days=n) for n in range(59)]
    np.testing.assert_allclose(energy[site], expected, rtol=1e-12)
    np.testing.assert_allclose(energy[other], 3 * expected, rtol=1e-12)
    # 6 kW for ten hours is more than any day can bring, and no summer's day is without light
    assert expected.max() < 60
    assert expected.min() > 5


def test_daily_energy_parts_the_days_at_the_zones_midnight_and_weighs_durations():
    site = uuid4()
    start = pd.to_datetime(["2016-07-02 06:45", "2016-07-02 07:00"], utc=True)
    readings = pd.DataFrame(
        {
            "site_uuid": site,
            "start_utc": start,
            "end_utc": start + pd.to_timedelta([15, 30], unit="min"),
            "generation_power_kw": [4.0, 8.0],
        }
    )
    assert demo.daily_energy(readings, MOUNTAIN)[site].to_dict() == {date(2016, 7, 1): 1.0, date(2016, 7, 2): 4.0}
    assert demo.daily_energy(readings, UTC)[site].to_dict() == {date(2016, 7, 2): 5.0}


def assert_situations(out):
    seen = out.split("What each user sees")[1].split("Energy of each day")[0]
    parts = re.split(r"(?m)^  (?=\d\. )", seen)[1:]
    week = watts()[-7:].sum() / 4000
    earlier = watts()[-14:-7].sum() / 4000
    energy = {"as measured": week, "doubled": 2 * week, "a week later": earlier}
    for part, (title, users) in zip(parts, SITUATIONS.items(), strict=True):
        first, *lines = part.splitlines()
        assert first.startswith(title)
        for line, (user, sites) in zip(filter(None, lines), users.items(), strict=True):
            email, names, kwh = re.fullmatch(r" +(\S+) +(\S.*?) +([\d.]+) kWh", line).groups()
            assert (email, names) == (f"{user}@example.com", ", ".join(sites))
            assert float(kwh) == pytest.approx(sum(energy[name] for name in sites), abs=0.05)


def assert_table(out):
    table = out.split("Energy of each day")[1].split("\n\n")[0].splitlines()
    measured = watts().sum(axis=1) / 4000
    assert "kWh" in table[0]
    assert "UTC-07:00" in table[0]
    assert table[1].split("  ")[-1].strip() == "a week later"
    for row, n in zip(table[2:9], range(52, 59), strict=True):
        _, day, *values = row.split()
        assert day == str(date(2016, 7, 1) + timedelta(days=n))
        assert values == [f"{value:.2f}" for value in (measured[n], 2 * measured[n], measured[n - 7])]
    total = [measured[-7:].sum(), 2 * measured[-7:].sum(), measured[-14:-7].sum()]
    assert table[9].split() == ["together", *[f"{value:.2f}" for value in total]]
    assert len(table) == 10


def test_the_demo_from_end_to_end(place, tmp_path):
    code, out, err = run("demo", cwd=tmp_path, PVSITE_SQL_DSN="host=/nowhere")  # which it does not look at
    assert (code, said(err)) == (0, [])
    assert "started for this demo" in out
    assert "0001.initial-schema applied" in out

    rows = 59 * 96 * 2 + 52 * 96
    first, second = re.findall(r"^  (InsertResult\(.*\))$", out, re.MULTILINE)
    assert first == f"InsertResult(inserted={rows}, updated=0, skipped=0)"
    assert second == f"InsertResult(inserted=0, updated=0, skipped={rows})"
    assert len(re.findall(rf"{rows:,} readings in [\d.]+ s, [\d,]+ a second", out)) == 2
    assert_situations(out)
    assert_table(out)

    *lines, picture = out.splitlines()
    assert picture == str(tmp_path / "pvsite-sql-demo.png")
    width, height = png_size(picture)
    assert width >= 1000
    assert height >= 600
    assert [path.name for path in tmp_path.iterdir()] == ["pvsite-sql-demo.png"]
    assert max(map(len, lines)) <= 80
    assert out.isascii()
    assert all(character.isprintable() or character == "\n" for character in out)
    assert left(place) == []


@posix
def test_a_kept_demo_in_a_terminal_can_be_looked_at_until_ctrl_c(place, tmp_path):
    output = tmp_path / "a picture.png"
    terminal, line = pytest.importorskip("pty").openpty()
    options = {"cwd": tmp_path, "stdout": line, "TERM": "xterm", "NO_COLOR": "1"}
    with os.fdopen(terminal) as stdout, started("demo", "--keep", "--output", output.name, **options) as child:
        os.close(line)
        lines = read_until(stdout, lambda line: line == str(output))
        assert any("16320/16320" in line and "\x1b[" in line for line in lines)  # the progress bar
        assert png_size(output)
        assert any("until Ctrl-C" in line for line in lines)
        psql = lines[lines.index("and psql opens it:") + 1]
        dsn = lines[lines.index("and psql opens it:") - 1]
        assert subprocess.check_output(f"{psql} -Atc 'SELECT count(*) FROM sites'", shell=True) == b"3\n"
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT count(*) FROM generation").fetchone() == (16320,)
        assert left(place)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=20)
        assert (child.returncode, said(err)) == (0, [])
        rest = []
        with suppress(OSError):  # so Linux says that the other end is closed
            rest.extend(stdout)
        assert rest == []  # the picture's line stays the last
    assert left(place) == []


@posix
def test_a_demo_that_is_stopped_leaves_nothing(place, tmp_path):
    moments = {"started for this demo": signal.SIGINT, "applied": signal.SIGTERM, "Nothing doubles": signal.SIGTERM}
    with ExitStack() as stack:  # --keep, so that none comes to its end before the signal does
        children = [stack.enter_context(started("demo", "--keep", cwd=tmp_path)) for _ in moments]
        for child, (moment, number) in zip(children, moments.items(), strict=True):
            read_until(child.stdout, lambda line, moment=moment: moment in line)
            child.send_signal(number)
        for child, number in zip(children, moments.values(), strict=True):
            _, err = child.communicate(timeout=20)
            assert (child.returncode, said(err)) == (128 + number, [])
    assert left(place) == []


@posix
def test_a_server_that_is_named_gets_a_database_that_is_dropped(repo, dsn, place, tmp_path):
    (tmp_path / "pvsite-sql-demo.png").mkdir()  # so the picture cannot go there
    before = databases(dsn)
    given = make_conninfo(**{**conninfo_to_dict(dsn), "password": conninfo_to_dict(dsn).get("password", "secret")})
    with started("demo", "--keep", "--dsn", given, cwd=tmp_path) as child:
        lines = read_until(child.stdout, lambda line: line.endswith(".png"))
        picture = Path(lines[-1])
        assert picture.parent.parent == place
        assert png_size(picture)
        (name,) = databases(dsn) - before
        assert name in lines[0]
        shown = lines[lines.index("and psql opens it:") - 1]
        assert conninfo_to_dict(shown)["dbname"] == name
        assert "password" not in conninfo_to_dict(shown)
        with closing(psycopg.connect(make_conninfo(given, dbname=name))) as connection:  # stays open
            assert connection.execute("SELECT count(*) FROM sites").fetchone() == (3,)
            child.send_signal(signal.SIGTERM)
            out, err = child.communicate(timeout=20)
            assert (child.returncode, out, said(err)) == (128 + signal.SIGTERM, "", [])
    assert databases(dsn) == before
    assert repo.sites.list() == []
    assert [path.name for path in place.iterdir()] == [picture.parent.name]


def test_a_user_who_may_make_no_database_is_told_so(dsn, tmp_path):
    role = f"pvsite_sql_{uuid4().hex[:8]}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(role)))
        try:
            before = databases(dsn)
            code, out, err = run("demo", "--dsn", make_conninfo(dsn, user=role, password="secret"), cwd=tmp_path)
            assert databases(dsn) == before
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    assert (code, out) == (1, "")
    assert "permission denied to create database" in err
    assert "writes into no database that there is" in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_said_in_one_sentence(tmp_path):
    code, out, err = run("demo", "--dsn", f"host={tmp_path}", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert "a new one cannot be made there" in err
    assert str(tmp_path) in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("output", ["no folder/picture.png", "."])
def test_a_picture_that_cannot_be_written_is_said_before_any_work(tmp_path, output):
    code, out, err = run("demo", "--output", output, cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err == f"The picture cannot be written to {Path(output)}\n"
