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
import time
from contextlib import ExitStack, closing, suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psycopg
import pytest
from commands import SIGNALS, called, run, started, until
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pvsite_sql.demo import program as demo

DATA = files("pvsite_sql") / "demo" / "data"
SAMPLE = DATA / "serf_east_15min_ac_power.csv"
MOUNTAIN = timezone(timedelta(hours=-7))
QUARTER = timedelta(minutes=15)
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


def drop_waits(connection, name):
    waiting = "SELECT query FROM pg_stat_activity WHERE query LIKE 'DROP DATABASE%' AND wait_event_type = 'Lock'"
    return any(name in query for (query,) in connection.execute(waiting))


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


def persisted(made):
    """The forecast made at a quarter of the sample, by hand: by target the quarter whose power it repeats."""
    return {target: target - 96 if target - 96 < made else target - 192 for target in range(made, made + 192)}


def errors_by_hand():
    """By horizon in minutes: count, mean error, MAE, RMSE of all forecasts of the last two weeks, in kW."""
    power = watts().ravel() / 1000
    errors = {}
    for made in range(45 * 96, 59 * 96, 4):
        for target, source in persisted(made).items():
            if target < len(power):
                errors.setdefault((target - made) * 15, []).append(power[source] - power[target])
    rows = {horizon: np.array(each) for horizon, each in errors.items()}
    return {
        horizon: (len(each), each.mean(), abs(each).mean(), (each**2).mean() ** 0.5) for horizon, each in rows.items()
    }


def compared_by_hand(day):
    """A day (counted from the sample's first) in kW: measured, latest forecast, day-ahead forecast."""
    power = watts() / 1000
    # made at 8:00, the last hour before 9:00: it knows the day before up to there
    day_ahead = np.concatenate([power[day - 1][: 8 * 4], power[day - 2][8 * 4 :]])
    return power[day], power[day - 1], day_ahead


@pytest.fixture(scope="module")
def of_site():
    """The readings of the sample as those of a site."""
    readings = demo.sample()
    start = readings["start"].dt.tz_convert("UTC")
    return pd.DataFrame({"start_utc": start, "end_utc": start + QUARTER, "power_kw": readings["power_kw"]})


def moments(first, last, start):
    """The hours from one day of the sample to another."""
    return pd.date_range(start + timedelta(days=first), start + timedelta(days=last), freq="h", inclusive="left")


def test_persistence_repeats_the_last_day_that_it_knows(of_site):
    start = of_site["start_utc"].iloc[0]
    made = [start + timedelta(days=10), start + timedelta(days=20, hours=13, minutes=45)]
    frame = demo.persistence(of_site, pd.DatetimeIndex(made))
    assert frame["created_utc"].tolist() == frame["timestamp_utc"].tolist()
    assert set(frame["end_utc"] - frame["start_utc"]) == {QUARTER}
    power = of_site["power_kw"].tolist()
    for moment in made:
        expected = persisted((moment - start) // QUARTER)
        one = frame[frame["timestamp_utc"] == moment]
        assert one["start_utc"].tolist() == [start + target * QUARTER for target in expected]
        assert one["forecast_power_kw"].tolist() == [power[source] for source in expected.values()]


def test_persistence_knows_nothing_that_comes_later_and_leaves_out_what_was_not_measured(of_site):
    start = of_site["start_utc"].iloc[0]
    made = start + timedelta(days=2)
    known = of_site[of_site["end_utc"] <= made]
    whole = demo.persistence(of_site, pd.DatetimeIndex([made]))
    pd.testing.assert_frame_equal(demo.persistence(known, pd.DatetimeIndex([made])), whole)
    gap = demo.persistence(of_site.drop(index=100), pd.DatetimeIndex([made]))
    missing = sorted(set(whole["start_utc"]) - set(gap["start_utc"]))
    assert missing == [start + 196 * QUARTER, start + 292 * QUARTER]


def test_what_is_read_back_is_what_persistence_says(repo, of_site):
    site = repo.sites.create(capacity_kw=6.0)
    assert repo.generation.insert(of_site.assign(site_uuid=site.site_uuid)).inserted == 59 * 96
    start = of_site["start_utc"].iloc[0]
    frame = demo.persistence(of_site, moments(45, 59, start))
    counts = [repo.forecasts.insert(frame, site_uuid=site.site_uuid, model_name="persistence") for _ in range(2)]
    assert [(one.inserted, one.updated, one.skipped) for one in counts] == [(336, 0, 0), (0, 0, 336)]

    for day in (47, 54, 58):
        since = (start + timedelta(days=day)).to_pydatetime()
        compared = demo.compare(repo, site.site_uuid, since, since + timedelta(days=1))
        assert list(compared.columns) == ["generation", "latest", "day ahead"]
        assert compared.index.tolist() == [since + n * QUARTER for n in range(96)]
        np.testing.assert_allclose(compared.to_numpy().T, compared_by_hand(day), rtol=1e-6)

    errors = repo.forecasts.error_by_horizon([site.site_uuid], model_name="persistence")
    expected = errors_by_hand()
    assert errors["horizon_minutes"].tolist() == sorted(expected) == list(range(0, 48 * 60, 15))
    columns = ["count", "mean_error_kw", "mae_kw", "rmse_kw"]
    by_hand = np.array([expected[horizon] for horizon in sorted(expected)])
    np.testing.assert_allclose(errors[columns].to_numpy(dtype=float), by_hand, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(errors["mae_share"] * 6, by_hand[:, 2], rtol=1e-5)


def test_the_zone_of_the_day_before_keeps_the_samples_own_clock():
    for moment in (datetime(2016, 1, 1, tzinfo=UTC), datetime(2016, 8, 1, tzinfo=UTC)):
        assert moment.astimezone(ZoneInfo(demo._TIMEZONE)).utcoffset() == MOUNTAIN.utcoffset(None)


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
    assert table[9].split() == ["total", *[f"{value:.2f}" for value in total]]
    assert len(table) == 10


def assert_forecasts(out):
    loaded, compared, errors = out.split("\nForecasts by ")[1].split("\n\n")[:3]
    first, second = re.findall(r"^  (InsertResult\(.*\))$", loaded, re.MULTILINE)
    assert first == "InsertResult(inserted=1008, updated=0, skipped=0, differing=0)"  # 14 days of 24 hours, 3 sites
    assert second == "InsertResult(inserted=0, updated=0, skipped=1008, differing=0)"
    assert len(re.findall(r"193,536 values in [\d.]+ s, [\d,]+ per second", loaded)) == 2

    *_, header, one, other = compared.splitlines()
    assert header.split() == ["generation", "latest", "day", "ahead"]
    for row, day in ((one, 54), (other, 55)):
        _, name, *values = row.split()
        assert name == str(date(2016, 7, 1) + timedelta(days=day))
        assert [float(value) for value in values] == pytest.approx(
            [power.sum() / 4 for power in compared_by_hand(day)], abs=0.0051
        )

    rows = {int(row[0]): [float(value) for value in row[1:]] for row in re.findall(_ERRORS, errors, re.MULTILINE)}
    assert list(rows) == [1, 6, 12, 18, 24, 30, 36, 42]
    by_hand = errors_by_hand()
    for hours, (count, *kilowatts, percent) in rows.items():
        expected = by_hand[60 * hours]
        assert (count, *kilowatts) == pytest.approx(expected, abs=0.00051)
        assert percent == pytest.approx(100 * expected[2] / 6, abs=0.0051)


_ERRORS = r"^ +(\d+) h +(\d+) +(-?[\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$"


def test_the_demo_from_end_to_end(place, tmp_path):
    code, out, err = run("demo", cwd=tmp_path)
    assert (code, said(err)) == (0, [])
    assert "started for this demo" in out
    assert "0001.initial-schema applied" in out

    rows = 59 * 96 * 2 + 52 * 96
    first, second, *_ = re.findall(r"^  (InsertResult\(.*\))$", out, re.MULTILINE)
    assert first == f"InsertResult(inserted={rows}, updated=0, skipped=0, differing=0)"
    assert second == f"InsertResult(inserted=0, updated=0, skipped={rows}, differing=0)"
    assert len(re.findall(rf"{rows:,} readings in [\d.]+ s, [\d,]+ per second", out)) == 2
    assert_situations(out)
    assert_table(out)
    assert_forecasts(out)

    *lines, picture = out.splitlines()
    assert picture == str(tmp_path / "pvsite-sql-demo.png")
    width, height = png_size(picture)
    assert 1000 <= width <= 2000
    assert 1000 <= height <= 2000
    assert 50_000 <= Path(picture).stat().st_size <= 500_000
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
        psql = lines[lines.index("To open it with psql:") + 1]
        dsn = lines[lines.index("To open it with psql:") - 1]
        assert subprocess.check_output(f"{psql} -Atc 'SELECT count(*) FROM sites'", shell=True) == b"3\n"
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT count(*) FROM generation").fetchone() == (16320,)
            assert connection.execute("SELECT count(*) FROM forecast_values").fetchone() == (193536,)
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
    moments = {
        "started for this demo": signal.SIGINT,
        "applied": signal.SIGTERM,
        "Nothing is duplicated": signal.SIGTERM,
    }
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
def test_a_server_that_is_named_gets_a_database_that_is_dropped_however_often_one_interrupts(
    repo, dsn, place, tmp_path
):
    (tmp_path / "pvsite-sql-demo.png").mkdir()  # so the picture cannot go there
    before = databases(dsn)
    given = make_conninfo(**{**conninfo_to_dict(dsn), "password": conninfo_to_dict(dsn).get("password", "secret")})
    with started("demo", "--keep", cwd=tmp_path, PVSITE_SQL_DSN=given, PVSITE_SQL_EMBEDDED=None) as child:
        lines = read_until(child.stdout, lambda line: line.endswith(".png"))
        picture = Path(lines[-1])
        assert picture.parent.parent == place
        assert png_size(picture)
        (name,) = databases(dsn) - before
        assert name in lines[0]
        shown = lines[lines.index("To open it with psql:") - 1]
        assert conninfo_to_dict(shown)["dbname"] == name
        assert "password" not in conninfo_to_dict(shown)
        with (
            closing(psycopg.connect(make_conninfo(given, dbname=name))) as connection,  # stays open
            psycopg.connect(dsn) as holder,
            psycopg.connect(dsn, autocommit=True) as looking,
        ):
            assert connection.execute("SELECT count(*) FROM sites").fetchone() == (3,)
            holder.execute(sql.SQL("COMMENT ON DATABASE {} IS 'which locks it'").format(sql.Identifier(name)))
            child.send_signal(signal.SIGTERM)
            until(lambda: drop_waits(looking, name))
            for number in SIGNALS:
                child.send_signal(number)
            heeded = time.monotonic() + 0.3
            while time.monotonic() < heeded:
                assert drop_waits(looking, name)
            holder.rollback()
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
            given = make_conninfo(dsn, user=role, password="secret")
            code, out, err = called("demo", "--dsn", given, cwd=tmp_path, PVSITE_SQL_EMBEDDED="wheel")
            assert databases(dsn) == before
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    assert (code, out) == (1, "")
    assert "permission denied to create database" in err
    assert "could not create a database on this server" in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_said_in_one_sentence(tmp_path):
    code, out, err = called("demo", "--dsn", f"host={tmp_path}", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert "could not create a database on this server" in err
    assert str(tmp_path) in err
    assert len(err.splitlines()) == 1


def test_a_forced_kind_of_server_goes_before_the_dsn_of_the_environment_and_no_other_does(tmp_path):
    environment = {"PVSITE_SQL_DSN": f"host={tmp_path}", "cwd": tmp_path}
    code, _, err = called("demo", PVSITE_SQL_EMBEDDED="neither", **environment)
    assert (code, err) == (1, 'PVSITE_SQL_EMBEDDED must be "wheel" or "local", not \'neither\'\n')
    for embedded in (None, ""):
        code, _, err = called("demo", PVSITE_SQL_EMBEDDED=embedded, **environment)
        assert code == 1
        assert "could not create a database on this server" in err


@pytest.mark.parametrize("output", ["no folder/picture.png", "."])
def test_a_picture_that_cannot_be_written_is_said_before_any_work(tmp_path, output):
    code, out, err = called("demo", "--output", output, cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err == f"Cannot write the picture to {Path(output)}\n"
