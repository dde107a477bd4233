"""`pvsite-sql load --forecasts`: files of forecasts, forecasts that are cut by batches, and rows that are invalid."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from commands import COMMAND, called, surroundings, until
from forecast_cases import HOUR, NOON, forecast_frame, stored, together

from pvsite_sql import Duplicate, InsertResult, InvalidInput, NotFound
from pvsite_sql.load import ForecastLayout, ForecastLoadResult, csv_files, forecast_rows, load_forecasts, parquet_files

FILES = Path(__file__).parent / "files" / "forecasts"
SITES = [UUID(int=1), UUID(int=2)]
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'load' AND datname = current_database()"
HEADER = "site_uuid,timestamp_utc,start_utc,end_utc,forecast_power_kw\n"
DAY = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def sites(repo, postgresql):
    postgresql.execute("INSERT INTO sites (site_uuid, capacity_kw) SELECT unnest(%s::uuid[]), 4.0", [SITES])
    postgresql.commit()


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(csv_files, "_BATCH_LINES", 3)
    monkeypatch.setattr(parquet_files, "_BATCH_ROWS", 3)


def loaded(dsn, *arguments, **options):
    return called("load", "--forecasts", "--dsn", dsn, *arguments, **options)


def written(path, text):
    path.write_text(text)
    return path


def value(site, timestamp, start, power, minutes=30):
    """A line: times are hours of the first of June."""
    times = [DAY + timedelta(hours=hours) for hours in (timestamp, start, start + minutes / 60)]
    return ",".join([str(SITES[site]), *(f"{time:%Y-%m-%dT%H:%MZ}" for time in times), str(power)]) + "\n"


def powers(dsn):
    """The powers of all forecasts, by the position of the site and the hour of the timestamp."""
    return {
        (SITES.index(key[0]), (key[1] - DAY) / timedelta(hours=1)): row.power_kw for key, row in stored(dsn).items()
    }


RUNS = {
    (SITES[0], datetime(2024, 6, 1, 6, tzinfo=UTC)): (30, [1.5, 2.5], [[1.0, None], [2.0, None]]),
    (SITES[1], datetime(2024, 6, 1, 6, tzinfo=UTC)): (30, [10.5, None, -0.25], [[10.0, None, -0.5], [11.0, None, 0.0]]),
    (SITES[0], datetime(2024, 6, 1, 12, tzinfo=UTC)): (15, [3.5, 4.5], [[3.0, 4.0], [4.0, 5.0]]),
}


def runs(dsn):
    found = stored(dsn)
    assert {row.start_utc == key[1] for key, row in found.items()} == {True}
    assert {(*key[2:], tuple(row.levels)) for key, row in found.items()} == {(None, None, "", ("p10", "p90"))}
    return {key[:2]: (row.resolution_minutes, row.power_kw, row.level_kw) for key, row in found.items()}


@pytest.mark.parametrize("kind", ["csv", "gzip", "parquet", "standard input"])
def test_runs_of_two_sites_whose_rows_alternate(dsn, tmp_path, small_batches, kind):
    file = FILES / "runs.csv"
    if kind == "gzip":
        (tmp_path / "runs.csv.gz").write_bytes(gzip.compress(file.read_bytes()))
        file = tmp_path / "runs.csv.gz"
    elif kind == "parquet":
        frame = pd.read_csv(file, parse_dates=["timestamp_utc", "start_utc", "end_utc"])
        file = tmp_path / "runs.parquet"
        frame.to_parquet(file)
    if kind == "standard input":
        command = [*COMMAND, "load", "--forecasts", "--dsn", dsn, "-"]
        child = subprocess.run(command, input=file.read_bytes(), capture_output=True, env=surroundings({}), check=False)
        result = (child.returncode, child.stdout.decode(), child.stderr.decode())
    else:
        result = loaded(dsn, file)
    assert result == (0, "3 forecasts inserted, 0 updated, 0 skipped, 0 rejected\n", "")
    assert runs(dsn) == RUNS


def test_a_run_in_local_time_whose_key_is_given_by_options(repo, dsn):
    options = (
        *("--site", SITES[0], "--timestamp", "2024-03-31 01:00", "--created", "2024-03-31T00:05Z"),
        *("--model-name", "gbm", "--model-version", "7", "--forecast-version", "1.2"),
        *("--separator", ";", "--decimal", ",", "--timezone", "Europe/Berlin", "--time-format", "%d.%m.%Y %H:%M"),
        *("--time-column", "Beginn", "--interval", "30", "--power-column", "Leistung (W)", "--unit", "W"),
    )
    levels = ("--level-column", "p10=Quantile 10", "--level-column", "p90=Quantile 90")
    counts = "1 forecast inserted, 0 updated, 0 skipped, 0 rejected\n"
    assert loaded(dsn, FILES / "one_run_local.csv", *options, *levels) == (0, counts, "")
    ((key, row),) = stored(dsn).items()
    midnight = datetime(2024, 3, 31, tzinfo=UTC)
    assert key == (SITES[0], midnight, "gbm", "7", "1.2")
    assert (row.start_utc, row.resolution_minutes) == (midnight + timedelta(minutes=30), 30)
    assert row.created_utc == midnight + timedelta(minutes=5)
    assert row.power_kw == [np.float32(1.5005), 2.5, 0.0]
    assert (row.levels, row.level_kw) == (["p10", "p90"], [[1.0, np.float32(2.0005), 0.0], [2.0, 3.0, None]])
    code, out, err = loaded(dsn, FILES / "one_run_local.csv", *options)
    assert (code, out) == (1, "")
    assert "one_run_local.csv, column 'Quantile 10': the name looks like a probabilistic level" in err
    assert "--level-column" in err
    counts = "0 forecasts inserted, 1 updated, 0 skipped, 0 rejected\n"
    assert loaded(dsn, FILES / "one_run_local.csv", *options, "--level-column", "none") == (0, counts, "")
    assert [row.levels for row in stored(dsn).values()] == [None]


def test_times_that_are_the_ends_of_values(dsn, tmp_path):
    text = "timestamp_utc,ends,forecast_power_kw\n2024-06-01T00:00Z,2024-06-01T01:00Z,1.0\n"
    file = written(tmp_path / "a.csv", text + "2024-06-01T00:00Z,2024-06-01T01:30Z,1.5\n")
    options = ("--site", SITES[0], "--label", "end", "--time-column", "ends")
    code, out, err = loaded(dsn, file, *options)
    assert (code, out) == (2, "")
    assert "--interval" in err
    assert loaded(dsn, file, *options, "--interval", "30")[0] == 0
    ((_, row),) = stored(dsn).items()
    assert (row.start_utc, row.power_kw) == (DAY + timedelta(minutes=30), [1.0, 1.5])


@pytest.mark.parametrize(
    ("empty", "counts", "expected"),
    [
        ("skip", "1 forecast inserted, 0 updated, 0 skipped, 0 rejected, 2 empty rows\n", [1.0, None, 3.0]),
        ("zero", "2 forecasts inserted, 0 updated, 0 skipped, 0 rejected\n", [1.0, 0.0, 3.0]),
    ],
)
def test_rows_without_a_power(dsn, tmp_path, small_batches, empty, counts, expected):
    text = HEADER + value(0, 1, 1, 1.0) + value(0, 1, 1.5, "") + value(1, 2, 2, " ") + value(0, 1, 2, 3.0)
    file = written(tmp_path / "a.csv", text)
    code, out, err = loaded(dsn, file)
    assert (code, out) == (1, "")
    assert "line 3: forecast_power_kw: no value" in err
    assert loaded(dsn, file, "--empty", empty, "--rejects", tmp_path / "rejects.csv") == (0, counts, "")
    assert powers(dsn)[0, 1] == expected


def test_units_that_forecasts_do_not_have(dsn):
    for options, said in (
        (["--unit", "kWh"], "--unit: forecasts must be in W, kW or MW, got kWh"),
        (["--counter"], "--counter: not with --forecasts"),
        (["--wide"], "--wide: not with --forecasts"),
        (["--period-column", "1"], "--period-column: not with --forecasts"),
    ):
        code, out, err = loaded(dsn, FILES / "runs.csv", *options)
        assert (code, out) == (2, "")
        assert said in err


def test_dates_are_no_timestamps_unless_said(dsn, tmp_path):
    file = written(tmp_path / "a.csv", HEADER + value(0, 0, 0, 1.0).replace("2024-06-01T00:00Z", "2024-06-01", 1))
    code, out, err = loaded(dsn, file)
    assert (code, out) == (1, "")
    assert f"{file}, line 2: timestamp_utc: a date without a time: '2024-06-01'; use --dates-are-midnight" in err
    assert loaded(dsn, file, "--dates-are-midnight")[0] == 0
    assert powers(dsn) == {(0, 0): [1.0]}


def test_all_columns_that_insert_takes(dsn):
    assert loaded(dsn, FILES / "models.csv")[:2] == (0, "2 forecasts inserted, 0 updated, 0 skipped, 0 rejected\n")
    found = stored(dsn)
    six = datetime(2024, 6, 1, 6, tzinfo=UTC)
    assert found.keys() == {(SITES[0], six, "gbm", "7", "1.2"), (SITES[0], six, None, None, "")}
    known, unknown = found[SITES[0], six, "gbm", "7", "1.2"], found[SITES[0], six, None, None, ""]
    assert (known.power_kw, known.levels, known.level_kw) == ([1.5, 2.5], ["p10", "p90"], [[1.0, None], [2.0, None]])
    assert (unknown.power_kw, unknown.levels) == ([9.5], None)
    assert [row.created_utc.minute for row in (known, unknown)] == [58, 59]


def test_probabilistic_values_in_parquet(dsn, tmp_path):
    frame = forecast_frame(SITES[0]).astype({"site_uuid": str})
    values = [{"p10": 0.5, "p90": 2.5}, None, {"p90": 3.5}]
    frame.assign(probabilistic_values=values).to_parquet(tmp_path / "a.parquet")
    assert loaded(dsn, tmp_path / "a.parquet")[0] == 0
    (row,) = stored(dsn).values()
    assert (row.levels, row.level_kw) == (["p10", "p90"], [[0.5, None, None], [2.5, None, 3.5]])


def test_parquet_without_a_timestamp_in_a_row(dsn, tmp_path):
    frame = forecast_frame(SITES[0]).astype({"site_uuid": str})
    frame["timestamp_utc"] = [NOON, NOON, None]
    frame.to_parquet(tmp_path / "a.parquet")
    for options in ([], ["--rejects", tmp_path / "rejects.csv"]):
        code, out, err = loaded(dsn, tmp_path / "a.parquet", *options)
        assert (code, out) == (1, "")
        assert f"{tmp_path / 'a.parquet'}, row 3: timestamp_utc: no value" in err


def test_columns_by_their_numbers(dsn, tmp_path):
    text = (GOOD + value(1, 2, 2, "x")).replace(",", ";")
    file = written(tmp_path / "a.csv", text)
    numbers = ["--no-header", "--separator", ";", "--rejects", tmp_path / "rejects.csv"]
    for name, number in (("site", 1), ("timestamp", 2), ("time", 3), ("end", 4), ("power", 5)):
        numbers += [f"--{name}-column", number]
    assert loaded(dsn, file, *numbers)[1] == "1 forecast inserted, 0 updated, 0 skipped, 1 rejected (1 row)\n"
    right = (tmp_path / "rejects.csv").read_text().replace(";x", ";2")
    assert loaded(dsn, written(file, right), *numbers[:3], *numbers[5:])[:2] == (
        0,
        "1 forecast inserted, 0 updated, 0 skipped, 0 rejected\n",
    )
    assert powers(dsn) == {(0, 1): [1.0, 1.5], (1, 2): [2.0]}
    code, out, err = loaded(dsn, file, *numbers[:5], *numbers[5:7], *numbers[9:])
    assert (code, out) == (2, "")
    assert "--timestamp-column: must be the number of a column" in err


def test_probabilistic_values_have_the_unit_of_the_power(repo, dsn):
    assert loaded(dsn, FILES / "models.csv", "--unit", "MW")[0] == 0
    row = stored(dsn)[SITES[0], datetime(2024, 6, 1, 6, tzinfo=UTC), "gbm", "7", "1.2"]
    assert (row.power_kw, row.level_kw) == ([1500.0, 2500.0], [[1000.0, None], [2000.0, None]])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_was_read_can_be_loaded(repo, dsn, tmp_path, kind, small_batches):
    frames = [
        forecast_frame(site, [n + 0.1, 1.1, 2.2], timestamp=NOON + n * HOUR, model_name="gbm", model_version=str(n))
        for site in SITES
        for n in range(3)
    ]
    created = {"created_utc": NOON}
    repo.forecasts.insert(together(*frames, forecast_frame(SITES[0], timestamp=NOON + 9 * HOUR)), **created)
    reads = {
        "latest": repo.forecasts.latest_frame(),
        "horizon": repo.forecasts.values_at_horizon_frame(horizon_minutes=30),
        "day ahead": repo.forecasts.day_ahead_values_frame(hour=23, timezone="UTC"),
    }
    for name, frame in reads.items():
        with repo.transaction() as tx:
            for site in SITES:
                tx.forecasts.delete(site_uuids=[site])
        assert stored(dsn) == {}
        file = tmp_path / f"{name}.{kind}"
        if kind == "csv":
            frame.to_csv(file, index=False)
        else:
            frame.astype({"site_uuid": str, "forecast_uuid": str}).to_parquet(file)
        forecasts = frame["forecast_uuid"].nunique()
        assert load_forecasts(repo, [file]) == ForecastLoadResult(inserted=forecasts)
        read_back = repo.forecasts.latest_frame()
        pd.testing.assert_frame_equal(
            read_back.drop(columns="forecast_uuid"),
            frame.drop(columns="forecast_uuid"),
            check_categorical=False,
        )
        assert name == "day ahead" or len(frame) > 0


def test_forecasts_that_batches_cut(dsn, tmp_path, small_batches):
    rows = [value(site, hour, hour + n / 2, 10 * hour + n) for hour in range(5) for site in (0, 1) for n in range(4)]
    file = written(tmp_path / "a.csv", HEADER + "".join(rows))
    assert loaded(dsn, file)[1] == "10 forecasts inserted, 0 updated, 0 skipped, 0 rejected\n"
    assert powers(dsn) == {(s, h): [10 * h, 10 * h + 1, 10 * h + 2, 10 * h + 3] for h in range(5) for s in (0, 1)}
    assert loaded(dsn, file)[1] == "0 forecasts inserted, 0 updated, 10 skipped, 0 rejected\n"


def test_a_forecast_in_two_files_of_one_transaction(dsn, tmp_path):
    first = written(tmp_path / "a.csv", HEADER + value(0, 1, 1, 1.0) + value(0, 2, 2, 2.0))
    second = written(tmp_path / "b.csv", HEADER + value(0, 2, 2.5, 2.5) + value(0, 3, 3, 3.0))
    code, out, err = loaded(dsn, first, second, "--each")
    assert (code, out) == (1, f"{first}: 2 forecasts inserted, 0 updated, 0 skipped, 0 rejected\n")
    assert f"{second}, line 2: " in err
    assert f"the same forecast as {first}, line 3" in err
    assert "(1 of 2 files was stored: " in err
    assert powers(dsn) == {(0, 1): [1.0], (0, 2): [2.0]}
    assert loaded(dsn, first, second)[1] == "1 forecast inserted, 1 updated, 1 skipped, 0 rejected\n"
    assert powers(dsn) == {(0, 1): [1.0], (0, 2): [2.0, 2.5], (0, 3): [3.0]}


@pytest.mark.parametrize("rejects", [False, True])
def test_rows_of_a_forecast_that_are_far_apart(dsn, tmp_path, small_batches, rejects):
    others = "".join(value(1, 5, 5 + n / 2, n) for n in range(5))
    file = written(tmp_path / "a.csv", HEADER + value(0, 1, 1, 1.0) + others + value(0, 1, 1.5, 1.5))
    code, out, err = loaded(dsn, file, *(["--rejects", tmp_path / "rejects.csv"] * rejects))
    assert (code, out) == (1, "")
    assert f"{file}, line 8: this row belongs to the same forecast as {file}, line 2" in err
    assert "Sort the rows by timestamp and site" in err
    assert stored(dsn) == {}
    assert not (tmp_path / "rejects.csv").exists()


def test_forecasts_that_overlap_without_end(dsn, tmp_path, small_batches, monkeypatch):
    monkeypatch.setattr(forecast_rows, "_MOST_OPEN_ROWS", 12)
    rows = [value(0, hour, 12 + n / 2, n) for n in range(5) for hour in range(3)]
    file = written(tmp_path / "a.csv", HEADER + "".join(rows))
    code, out, err = loaded(dsn, file)
    assert (code, out) == (1, "")
    assert f"{file}, line 2: its forecast and those that overlap with it have more than 12 rows" in err
    assert stored(dsn) == {}
    assert loaded(dsn, written(file, HEADER + "".join(rows[:12])))[0] == 0


def test_only_forecasts_that_go_on_stay_in_memory():
    assembler = forecast_rows.ForecastAssembler(lambda source, number: f"{source}, {number}")
    complete = []
    for batch in range(50):
        frame = forecast_frame(SITES[0], np.arange(10.0), timestamp=NOON + batch * HOUR)
        places = pd.DataFrame({"source": 0, "number": range(10), "reason": None})
        complete += assembler.add(forecast_rows.ForecastRows(frame, places))
        assert sum(map(len, complete)) == 10 * batch
    complete += assembler.finish()
    assert sum(map(len, complete)) == 500


def test_every_forecast_comes_out_once_and_whole_or_is_refused():
    random, outcomes = np.random.default_rng(16), set()
    for _ in range(60):
        of_rows = random.integers(0, 6, 40) if random.random() < 0.5 else np.sort(random.integers(0, 9, 40))
        size = int(random.integers(1, 15))
        assembler = forecast_rows.ForecastAssembler(lambda source, number: f"line {number}")
        parts, refused = [], False
        batches_of = {n: {row // size for row in np.flatnonzero(of_rows == n)} for n in set(of_rows.tolist())}
        together = all(max(batches) - min(batches) + 1 == len(batches) for batches in batches_of.values())
        try:
            for begin in range(0, len(of_rows), size):
                rows = np.arange(begin, min(begin + size, len(of_rows)))
                frame = pd.DataFrame({"site_uuid": SITES[0], "timestamp_utc": NOON + of_rows[rows] * HOUR, "row": rows})
                places = pd.DataFrame({"source": 0, "number": rows, "reason": None})
                parts += assembler.add(forecast_rows.ForecastRows(frame, places))
            parts += assembler.finish()
        except InvalidInput:
            refused = True
        assert refused == (not together)
        if together:
            assert sorted(row for part in parts for row in part.frame["row"]) == list(range(40))
            seen = [time for part in parts for time in part.frame["timestamp_utc"].unique()]
            assert len(seen) == len(set(seen)) == len(batches_of)
        outcomes.add(refused)
    assert outcomes == {True, False}


GOOD = value(0, 1, 1, 1.0) + value(0, 1, 1.5, 1.5)
BAD = {
    "power": (value(1, 2, 2, "x"), 5, "forecast_power_kw: not a number: 'x'"),
    "empty power": (value(1, 2, 2, ""), 5, "forecast_power_kw: no value"),
    "infinite power": (value(1, 2, 2, "inf"), 5, "forecast_power_kw: must be finite"),
    "start": (value(1, 1, 2, 1).replace("T02:00", "T25:00").replace("T01:00", "T02:00"), 5, "start_utc: not a time"),
    "duration": (value(1, 2, 2, 1, minutes=15), 4, "end_utc: all values of a forecast must have the same duration"),
    "grid": (value(1, 2, 2.25, 1), 4, "start_utc: must be a whole number of durations after the forecast's first"),
    "start twice": (value(1, 2, 2.5, 1), 5, "start_utc: the forecast has another value with the same start_utc"),
}


@pytest.mark.parametrize(("row", "line", "reason"), BAD.values(), ids=BAD)
def test_a_forecast_with_an_invalid_row_is_not_stored_at_all(dsn, tmp_path, small_batches, row, line, reason):
    text = HEADER + GOOD + value(1, 2, 2.5, 2.5) + row + value(1, 2, 3, 3.0) + value(0, 3, 3, 3.0)
    file = written(tmp_path / "a.csv", text)
    code, out, err = loaded(dsn, file)
    assert (code, out) == (1, "")
    assert f"{file}, line {line}: {reason}" in err
    assert stored(dsn) == {}
    rejects = tmp_path / "rejects.csv"
    code, out, err = loaded(dsn, file, "--rejects", rejects)
    assert (code, out, err) == (0, "2 forecasts inserted, 0 updated, 0 skipped, 1 rejected (3 rows)\n", "")
    assert powers(dsn) == {(0, 1): [1.0, 1.5], (0, 3): [3.0]}
    rejected = pd.read_csv(rejects, dtype=str, keep_default_na=False)
    assert rejected["file"].tolist() == [str(file)] * 3
    assert rejected["line"].tolist() == ["4", "5", "6"]
    assert reason in rejected["reason"][line - 4]
    other = f"forecast: is not stored because of {file}, line {line}"
    assert set(rejected["reason"].drop(line - 4)) <= {other, rejected["reason"][line - 4]}
    cells = rejected[HEADER.strip().split(",")].to_csv(index=False)
    assert cells == HEADER + "".join(text.splitlines(keepends=True)[3:6])
    right = HEADER + value(1, 2, 2, 2.0) + value(1, 2, 2.5, 2.5) + value(1, 2, 3, 3.0)
    lines = [f"a.csv,{n},why,{line}" for n, line in enumerate(right.splitlines()[1:], 4)]
    written(rejects, "\n".join([f"file,line,reason,{HEADER.strip()}", *lines]))
    assert loaded(dsn, rejects)[1] == "1 forecast inserted, 0 updated, 0 skipped, 0 rejected\n"
    assert powers(dsn)[1, 2] == [2.0, 2.5, 3.0]


def test_forecasts_of_a_site_that_there_is_not_are_rejected_whole(dsn, tmp_path):
    unknown = GOOD.replace(str(SITES[0]), str(UUID(int=7)))
    file = written(tmp_path / "a.csv", HEADER + unknown + GOOD)
    assert loaded(dsn, file)[0] == 1
    rejects = tmp_path / "rejects.csv"
    assert loaded(dsn, file, "--rejects", rejects)[1] == (
        "1 forecast inserted, 0 updated, 0 skipped, 1 rejected (2 rows)\n"
    )
    assert powers(dsn) == {(0, 1): [1.0, 1.5]}
    assert rejects.read_text().count("site_uuid: no site has this uuid") == 2


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (value(1, 2, 2, 1).replace(str(SITES[1]), "2607"), "site_uuid: "),
        (value(1, 2, 2, 1).replace(str(SITES[1]), ""), "site_uuid: no value"),
        (value(1, 2, 2, 1).replace("2024-06-01T02:00Z", "soon", 1), "timestamp_utc: not a time: 'soon'"),
        (value(1, 2, 2, 1).replace("2024-06-01T02:00Z", "1969-06-01T02:00Z", 1), "timestamp_utc: must be between"),
        ("a,b\n", "2 fields, but the header has 5"),
    ],
)
def test_a_row_whose_forecast_is_unknown_ends_the_load(dsn, tmp_path, row, reason):
    for options in ([], ["--rejects", tmp_path / "rejects.csv"]):
        invalid = value(1, 2, 2.5, "x") if options else value(1, 2, 2.5, 2.5)
        file = written(tmp_path / "a.csv", HEADER + GOOD + invalid + row)
        code, out, err = loaded(dsn, file, *options)
        assert (code, out) == (1, "")
        assert f"{file}, line 5: {reason}" in err
        assert ("its forecast is unknown" in err) == bool(options)
    assert stored(dsn) == {}
    assert not (tmp_path / "rejects.csv").exists()


DIFFERS = " (1 of them differs from what is stored; --on-conflict replace takes it)"


@pytest.mark.parametrize(
    ("options", "counts", "kept"),
    [
        ([], "1 forecast inserted, 1 updated, 1 skipped, 0 rejected\n", [7.0]),
        (["--on-conflict", "replace"], "1 forecast inserted, 1 updated, 1 skipped, 0 rejected\n", [7.0]),
        (["--on-conflict", "ignore"], f"1 forecast inserted, 0 updated, 2 skipped{DIFFERS}, 0 rejected\n", [2.0]),
    ],
)
def test_forecasts_that_are_stored_already(dsn, tmp_path, options, counts, kept):
    assert loaded(dsn, written(tmp_path / "a.csv", HEADER + GOOD + value(1, 2, 2, 2.0)))[0] == 0
    file = written(tmp_path / "b.csv", HEADER + GOOD + value(1, 2, 2, 7.0) + value(1, 3, 3, 3.0))
    code, out, err = loaded(dsn, file, "--on-conflict", "error")
    assert (code, out) == (1, "")
    assert "already" in err
    assert loaded(dsn, file, *options) == (0, counts, "")
    assert powers(dsn) == {(0, 1): [1.0, 1.5], (1, 2): kept, (1, 3): [3.0]}


@pytest.mark.parametrize(
    ("header", "options", "said"),
    [
        (HEADER.replace("end_utc", "end"), [], "no column has the ends of the values; add --interval"),
        (HEADER.replace("forecast_power_kw", "E (kWh)"), ["--power-column", "E (kWh)"], "forecasts are powers"),
        (HEADER.replace("timestamp_utc", "made"), [], "has no column 'timestamp_utc'"),
        (HEADER, ["--timestamp", "2024-06-01"], "has a column 'timestamp_utc'"),
        (HEADER.replace("end_utc", "model_name"), ["--model-name", "gbm"], "has a column 'model_name'"),
        (HEADER.replace("forecast_power_kw", "power_kw"), [], "has no column 'forecast_power_kw'"),
    ],
)
def test_columns_that_are_missing_or_given_twice(dsn, tmp_path, header, options, said):
    file = written(tmp_path / "a.csv", header + GOOD)
    code, out, err = loaded(dsn, file, *options)
    assert (code, out) == (1, "")
    assert str(file) in err
    assert said in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--on-conflict", "update"], "--on-conflict: must be replace, ignore or error with --forecasts"),
        (["--timestamp", "soon"], "--timestamp: not a time: 'soon'"),
        (["--timestamp", "2024-03-31 02:30", "--timezone", "Europe/Berlin"], "--timestamp: a nonexistent time"),
        (["--created", "2024-10-27 02:30", "--timezone", "Europe/Berlin"], "--created: an ambiguous time"),
        (["--timestamp", "2024-06-01", "--timestamp-column", "made"], "either --timestamp or --timestamp-column"),
        (["--created", "2024-06-01", "--created-column", "made"], "either --created or --created-column"),
        (["--ambiguous", "order"], "--ambiguous: 'order' is for readings"),
        (["--timezone", "Mars"], "--timezone: unknown time zone"),
        (["--timezone", "Mars", "--timestamp", "2024-06-01"], "--timezone: unknown time zone"),
        (["--level-column", "low"], "--level-column: must be LEVEL=NAME"),
        (["--level-column", "10=low"], "--level-column: must be p and the percentile"),
        (["--level-column", "p10=a", "--level-column", "p10=b"], "--level-column: must be LEVEL=NAME, once"),
    ],
)
def test_options_that_cannot_be(dsn, options, said):
    code, out, err = loaded(dsn, FILES / "runs.csv", *options)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    "options",
    [
        ["--timestamp", "2024-06-01"],
        ["--timestamp-column", "made"],
        ["--created", "2024-06-01"],
        ["--created-column", "made"],
        ["--model-name", "gbm"],
        ["--model-version", "7"],
        ["--forecast-version", "1"],
        ["--level-column", "p10=low"],
    ],
)
def test_options_of_forecasts_without_forecasts(dsn, options):
    code, out, err = called("load", "--dsn", dsn, FILES / "runs.csv", *options)
    assert (code, out, err) == (2, "", f"{options[0]}: only with --forecasts\n")
    code, out, err = called("load", "--dsn", dsn, FILES / "runs.csv", "--on-conflict", "replace")
    assert (code, out) == (2, "")
    assert "--on-conflict: must be ignore, update or error without --forecasts" in err


def test_from_python(repo, dsn, tmp_path):
    seen, rows = [], []
    files = [
        written(tmp_path / "a.csv", HEADER + GOOD),
        written(tmp_path / "b.csv", HEADER + value(1, 2, 2, 2.0) + value(1, 3, 3, "x")),
    ]
    result = load_forecasts(
        repo,
        files,
        each=True,
        rejects=tmp_path / "rejects.csv",
        progress=lambda state: rows.append(state.rows),
        stored=lambda name, counts: seen.append((name, counts)),
    )
    assert result == ForecastLoadResult(inserted=2, rejected=1, rejected_rows=1)
    assert seen == [
        (str(files[0]), ForecastLoadResult(inserted=1)),
        (str(files[1]), ForecastLoadResult(inserted=1, rejected=1, rejected_rows=1)),
    ]
    assert rows[-1] == 3
    layout = ForecastLayout(site_uuid=UUID(int=9))
    with pytest.raises(NotFound, match="no site has the uuid"):
        load_forecasts(repo, files, layout)
    with pytest.raises(InvalidInput, match="together with timestamp_utc"):
        ForecastLayout(timestamp_utc=NOON, timestamp_column="made")
    with pytest.raises(Duplicate):
        load_forecasts(repo, files[:1], on_conflict="error")
    assert repo.forecasts.insert(forecast_frame(SITES[0])) == InsertResult(inserted=1)


def test_a_load_that_is_killed_leaves_nothing(dsn, postgresql):
    command = [*COMMAND, "load", "--forecasts", "--dsn", dsn, "-"]
    postgresql.autocommit = True
    pipe = subprocess.PIPE
    uncommitted = "SELECT count(*) FROM pg_locks WHERE relation = 'forecasts'::regclass AND mode = 'RowExclusiveLock'"
    times = [f"{DAY + n * timedelta(minutes=1):%Y-%m-%dT%H:%MZ}" for n in range(1001)]
    values = "".join(f"{SITES[0]},TIMESTAMP,{start},{end},1.5\n" for start, end in pairwise(times))
    lines = "".join(values.replace("TIMESTAMP", time) for time in times[:205])  # more than two batches
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=surroundings({"PGAPPNAME": "load"})
    ) as child:
        child.stdin.write((HEADER + lines).encode())
        child.stdin.flush()
        until(lambda: postgresql.execute(uncommitted).fetchone() != (0,) or child.poll() is not None, seconds=60)
        child.kill()
    assert child.returncode == (-signal.SIGKILL if os.name != "nt" else 1)
    until(lambda: postgresql.execute(CONNECTED).fetchone() == (0,))
    assert stored(dsn) == {}
