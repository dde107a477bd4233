"""Times of `pvsite-sql load`: as portals write them, in files under `files/`, and those that are refused.

Clocks in London went forward at 01:00 UTC on 2024-03-31 and back at 01:00 UTC on 2024-10-27, and so did those in
Berlin. The expected times are worked out by hand from what the files mean.
"""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import examples
from hypothesis import given
from hypothesis import strategies as st
from loading import counts, loaded, stored, written

from pvsite_sql import InvalidInput
from pvsite_sql.load import Layout, csv_files, load
from pvsite_sql.load.number_times import parse_number_times
from pvsite_sql.load.periods import PeriodParser
from pvsite_sql.load.time_formats import fitting_formats
from pvsite_sql.load.times import TimeParser
from pvsite_sql.load.zones import parse_zone

FILES = Path(__file__).parent / "files"
GERMAN = ("--separator", ";", "--decimal", ",", "--time-format", "%d.%m.%Y %H:%M", "--timezone", "Europe/Berlin")
LONDON = ("--timezone", "Europe/London")
US = "%m/%d/%Y %I:%M %p"
WAYS_OUT = "use --period-column, a second --time-column, --interval 1440 for days, or --dates-are-midnight"


@pytest.fixture
def load_file(dsn, site):
    """Load a file of one site whose power is in the column kW."""

    def load_file(name, *options):
        power = () if "--power-column" in options else ("--power-column", "kW")
        return loaded(dsn, name if isinstance(name, Path) else FILES / name, "--site", site.site_uuid, *power, *options)

    return load_file


# file: options, then start, power and minutes of each reading
FROM_FILES = {
    "times_date_and_time.csv": (
        (
            *GERMAN[:4],
            *("--time-column", "Datum", "--time-column", "Uhrzeit", "--power-column", "Leistung [kW]"),
            *("--time-format", "%d.%m.%Y %H:%M", "--timezone", "Europe/Berlin", "--ambiguous", "order"),
            *("--interval", "15"),
        ),
        [
            ("03-31T00:45", 8, 15),
            ("03-31T01:00", 9, 15),
            ("10-26T21:45", 1, 15),
            ("10-26T22:00", 2, 15),
            ("10-27T00:00", 3, 15),
            ("10-27T00:30", 4, 15),
            ("10-27T01:00", 5, 15),
            ("10-27T01:30", 6, 15),
            ("10-27T02:00", 7, 15),
        ],
    ),
    "times_five_columns.csv": (
        (
            *("--time-column", "Year", "--time-column", "Month", "--time-column", "Day", "--time-column", "Hour"),
            *("--time-column", "Minute", "--time-format", "%Y %m %d %H %M", "--interval", "30", "--timezone", "-07:00"),
        ),
        [("06-01T07:00", 1, 30), ("06-02T06:30", 2, 30), ("2025-01-01T07:00", 3, 30)],
    ),
    "times_settlement.csv": (
        ("--time-column", "SettlementDate", "--period-column", "SettlementPeriod", "--interval", "30", *LONDON),
        [
            ("01-15T00:00", 1, 30),
            ("01-15T23:30", 2, 30),
            ("03-31T00:00", 3, 30),
            ("03-31T00:30", 4, 30),
            ("03-31T01:00", 5, 30),
            ("03-31T22:30", 6, 30),
            ("06-29T23:00", 7, 30),
            ("06-30T22:30", 8, 30),
            ("10-26T23:00", 9, 30),
            ("10-27T00:00", 10, 30),
            ("10-27T00:30", 11, 30),
            ("10-27T01:00", 12, 30),
            ("10-27T01:30", 13, 30),
            ("10-27T23:30", 14, 30),
        ],
    ),
    "times_ends.csv": (
        (
            *("--time-column", "datetime_gmt", "--label", "end", "--interval", "30"),
            *("--power-column", "generation_mw", "--unit", "MW"),
        ),
        [("06-01T00:00", 1, 30), ("06-01T11:30", 5500, 30), ("06-01T23:30", 0, 30)],
    ),
    "times_ends_local.csv": (
        (*GERMAN, "--end-column", "Zeit bis", "--interval", "30", "--ambiguous", "order"),
        [
            ("03-30T22:30", 1, 30),
            ("03-31T00:00", 2, 30),
            ("03-31T01:00", 3, 30),
            ("10-26T21:30", 4, 30),
            ("10-26T23:30", 5, 30),
            ("10-27T00:00", 6, 30),
            ("10-27T00:30", 7, 30),
            ("10-27T01:00", 8, 30),
            ("10-27T01:30", 9, 30),
            ("10-27T22:30", 10, 30),
        ],
    ),
    "times_last_seconds.csv": (
        ("--time-column", "from", "--end-column", "to", *LONDON),
        [
            ("10-26T22:00", 1, 60),
            ("10-27T23:00", 2, 30),
            ("10-28T23:30", 3, 30),
            ("10-29T23:59:50", 4, 0.15),
        ],
    ),
    "times_epoch.csv": (
        ("--time-column", "t", "--time-format", "epoch", *LONDON),
        [("06-01T12:00", 1, 5), ("06-01T12:05", 2, 5), ("06-01T12:10:00.250", 3, 5)],
    ),
    "times_epoch_ms.csv": (
        ("--time-column", "t", "--time-format", "epoch-ms"),
        [("06-01T12:00", 1, 5), ("06-01T12:05", 2, 5), ("06-01T12:10:00.250", 3, 5)],
    ),
    "times_excel.csv": (
        (*GERMAN[:4], "--time-column", "Zeit", "--time-format", "excel", "--timezone", "Europe/Berlin"),
        [
            ("05-31T22:00", 1, 5),
            ("05-31T22:15", 2, 5),
            ("06-01T10:30", 3, 5),
            ("06-01T21:45", 4, 5),
            ("06-02T04:00", 5, 5),
        ],
    ),
    "times_us_midnights.csv": (
        (
            *("--time-column", "Timestamp", "--time-format", US, "--dates-are-midnight", "--ambiguous", "earlier"),
            *("--timezone", "America/New_York", "--power-column", "Watts", "--unit", "W", "--interval", "15"),
        ),
        [
            ("06-02T03:45", 1, 15),
            ("06-02T04:00", 2, 15),
            ("06-02T04:15", 3, 15),
            ("11-03T05:30", 4, 15),
            ("11-04T05:00", 5, 15),
        ],
    ),
    "times_offset.csv": (
        ("--time-column", "t", "--timezone", "-05:00"),
        [("01-15T11:00", 1, 5), ("07-15T06:30", 3, 5), ("07-15T11:00", 2, 5)],
    ),
    "times_days.csv": (
        ("--time-column", "Tag", "--interval", "1440", *LONDON),
        [
            ("03-30T00:00", 1, 1440),
            ("03-31T00:00", 2, 23 * 60),
            ("03-31T23:00", 3, 1440),
            ("10-26T23:00", 4, 25 * 60),
            ("10-28T00:00", 5, 1440),
        ],
    ),
}


def at(text):
    return datetime.fromisoformat(f"{text}+00:00" if text.startswith("2025") else f"2024-{text}+00:00")


@pytest.mark.parametrize("file", FROM_FILES)
def test_files_as_portals_write_them(repo, load_file, file):
    options, expected = FROM_FILES[file]
    assert load_file(file, *options) == (0, counts(inserted=len(expected)), "")
    assert stored(repo) == [(at(start), power, minutes) for start, power, minutes in expected]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--dates-are-midnight"], [("05-31T22:00", 1.5, 5)]),
        (["--interval", "1440"], [("05-31T22:00", 1.5, 1440)]),
    ],
)
def test_dates_without_a_time(repo, load_file, tmp_path, options, found):
    arguments = ("--time-column", "Datum", "--separator", ";", "--timezone", "Europe/Berlin")
    file = FILES / "times_dates_alone.csv"
    said = f"Datum: a date without a time: '2024-06-01'; {WAYS_OUT}"
    assert load_file(file, *arguments) == (1, "", f"{file}, line 2: {said}\n")
    assert load_file(file, *arguments, "--interval", "30") == (1, "", f"{file}, line 2: {said}\n")
    assert stored(repo) == []
    one = written(tmp_path / "one.csv", "Datum;kW\n2024-06-01;1.5\n")
    assert load_file(one, *arguments, *options) == (0, counts(inserted=1), "")
    assert stored(repo) == [(at(start), power, minutes) for start, power, minutes in found]


@pytest.mark.parametrize("text", ["2024-06-01", "20240601", "2024/06/01", " 2024-06-01 "])
def test_a_date_is_told_from_a_time(load_file, tmp_path, text):
    file = written(tmp_path / "a.csv", f"start_utc,kW\n{text}T00:00Z,1\n{text},2\n".replace(" T", "T"))
    code, _, err = load_file(file)
    assert (code, err) == (1, f"{file}, line 3: start_utc: a date without a time: {text.strip()!r}; {WAYS_OUT}\n")


def test_a_midnight_without_a_time_among_times_needs_a_word(repo, load_file, tmp_path):
    options = FROM_FILES["times_us_midnights.csv"][0]
    asked = [option for option in options if option != "--dates-are-midnight"]
    file = FILES / "times_us_midnights.csv"
    said = f"Timestamp: a date without a time: '6/2/2024'; {WAYS_OUT}"
    assert load_file(file, *asked) == (1, "", f"{file}, line 3: {said}\n")
    rejects = tmp_path / "rejects.csv"
    assert load_file(file, *asked, "--rejects", rejects) == (0, counts(inserted=3, rejected=2), "")
    text = rejects.read_text().replace("6/2/2024,2000", "6/2/2024 12:00 AM,2000")
    corrected = written(tmp_path / "corrected.csv", text.replace("11/4/2024,5000", "11/4/2024 12:00 AM,5000"))
    assert load_file(corrected, *asked) == (0, counts(inserted=2), "")
    assert [power for _, power, _ in stored(repo)] == [1, 2, 3, 4, 5]


def test_dates_from_and_to_are_whole_days(repo, load_file, tmp_path):
    file = written(
        tmp_path / "a.csv", "start_utc,end_utc,kW\n2024-06-01,2024-06-02,1\n2024-06-02 00:00,2024-06-03 00:00,2\n"
    )
    assert load_file(file) == (0, counts(inserted=2), "")
    assert stored(repo) == [(at("06-01T00:00"), 1.0, 1440.0), (at("06-02T00:00"), 2.0, 1440.0)]
    for row, column, text in (
        ("2024-06-01,2024-06-01 00:30", "start_utc", "2024-06-01"),
        ("2024-06-01 23:30,2024-06-02", "end_utc", "2024-06-02"),
    ):
        written(file, f"start_utc,end_utc,kW\n{row},1\n")
        said = f"{file}, line 2: {column}: a date without a time: {text!r}; {WAYS_OUT}\n"
        assert load_file(file) == (1, "", said)
        assert load_file(file, "--dates-are-midnight")[0] == 0


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


MIDNIGHTS = [datetime(2024, 6, day) for day in (1, 2, 2)]  # noqa: DTZ001


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([each.date() for each in MIDNIGHTS]), ", row 1: start_utc: a date without a time: '2024-06-01'"),
        (pa.array(MIDNIGHTS, pa.date64()), ", row 1: start_utc: a date without a time: '2024-06-01'"),
        (pa.array(MIDNIGHTS, pa.timestamp("ms")), ", start_utc: all times are midnight, on different days"),
        (pa.array(MIDNIGHTS, pa.timestamp("us", "UTC")), ", start_utc: all times are midnight, on different days"),
        (
            pa.array([each + timedelta(hours=7) for each in MIDNIGHTS], pa.timestamp("us", "America/Phoenix")),
            ", start_utc: all times are midnight, on different days",
        ),
    ],
)
def test_typed_columns_of_dates(repo, load_file, tmp_path, column, said):
    file = parquet(tmp_path / "a.parquet", start_utc=column, kW=[1.0, 2.0, 2.0])
    assert load_file(file, "--interval", "30") == (1, "", f"{file}{said}; {WAYS_OUT}\n")
    assert stored(repo) == []
    assert load_file(file, "--interval", "1440") == (0, counts(inserted=2, skipped=1), "")
    assert load_file(file, "--dates-are-midnight", "--on-conflict", "update")[0] == 0


def test_midnights_of_one_day_or_among_times_are_times(repo, load_file, tmp_path, monkeypatch):
    tick = parquet(tmp_path / "tick.parquet", start_utc=MIDNIGHTS[:1], kW=[1.0])
    assert load_file(tick) == (0, counts(inserted=1), "")
    rows = [*MIDNIGHTS[:2], MIDNIGHTS[0] + timedelta(minutes=5)]
    mixed = parquet(tmp_path / "mixed.parquet", start_utc=rows, kW=[1.0, 2.0, 3.0])
    assert load_file(mixed) == (0, counts(inserted=2, skipped=1), "")
    monkeypatch.setattr("pvsite_sql.load.parquet_files._BATCH_ROWS", 1)
    rows = [day + timedelta(days=9) for day in rows]
    assert load_file(parquet(tmp_path / "3.parquet", start_utc=rows, kW=[1.0, 2.0, 3.0]))[0] == 0


def test_excel_dates_are_told_from_times(load_file, tmp_path):
    file = written(tmp_path / "a.csv", "Zeit;kW\n45444;1\n45445;1\n")
    options = (*GERMAN[:4], "--time-column", "Zeit", "--time-format", "excel")
    said = f"{file}, Zeit: all times are midnight, on different days; {WAYS_OUT}\n"
    assert load_file(file, *options) == (1, "", said)
    assert load_file(file, *options, "--interval", "1440") == (0, counts(inserted=2), "")


def test_date_and_time_of_parquet(repo, load_file, tmp_path):
    file = parquet(
        tmp_path / "a.parquet",
        day=[date(2024, 6, 1), date(2024, 6, 1), None],
        clock=pa.array([time(0, 15), time(12, 30), time(1)], pa.time64("ns")),
        kW=[1.0, 2.0, 3.0],
    )
    rejects = tmp_path / "rejects.csv"
    options = ("--time-column", "day", "--time-column", "clock")
    assert load_file(file, *options, "--rejects", rejects) == (0, counts(inserted=2, rejected=1), "")
    assert [start for start, _, _ in stored(repo)] == [at("06-01T00:15"), at("06-01T12:30")]
    with rejects.open(newline="") as opened:
        assert list(csv.reader(opened)) == [
            ["file", "line", "reason", "day", "clock", "kW"],
            [str(file), "3", "day: not a time: '01:00:00.000000000'", "", "01:00:00.000000000", "3"],
        ]


@pytest.mark.parametrize(
    ("dates", "clocks", "options"),
    [
        (["2024-06-01 00:00:00", "2024-06-01T00:00"], ["00:15", "12:30:00"], []),
        (pa.array(MIDNIGHTS[:1] * 2, pa.timestamp("s")), ["00:15", "12:30"], []),
        ([45444, 45444], ["0.010416667", "0.52083333"], ["--time-format", "excel"]),
        ([20240601, 20240601], [15, 1230], ["--time-format", "%Y%m%d %H%M"]),
    ],
)
def test_two_columns_of_other_types(repo, load_file, tmp_path, dates, clocks, options):
    if clocks == [15, 1230]:
        clocks = ["0015", "1230"]
    file = parquet(tmp_path / "a.parquet", day=dates, clock=clocks, kW=[1.0, 2.0])
    options = ("--time-column", "day", "--time-column", "clock", *options)
    assert load_file(file, *options) == (0, counts(inserted=2), "")
    assert [start for start, _, _ in stored(repo)] == [at("06-01T00:15"), at("06-01T12:30")]


def test_the_time_is_missing_in_one_of_two_columns(load_file, tmp_path):
    file = written(tmp_path / "a.csv", "day,clock,kW\n2024-06-01,00:15,1\n2024-06-01,,1\n")
    options = ("--time-column", "day", "--time-column", "clock")
    said = f"{file}, line 3: day: a date without a time: '2024-06-01'; {WAYS_OUT}\n"
    assert load_file(file, *options) == (1, "", said)
    written(file, "day,clock,kW\n2024-06-01,00:15,1\n,,1\n2024-06-01,00:30,1\n")
    assert load_file(file, *options) == (1, "", f"{file}, line 3: day: no value\n")


def test_periods_that_a_day_does_not_have(repo, load_file, tmp_path):
    rows = {
        "2024-01-15,49": "n: 2024-01-15 has the periods 1 to 48 in Europe/London, not 49",
        "2024-01-15,0": "n: 2024-01-15 has the periods 1 to 48 in Europe/London, not 0",
        "2024-03-31,47": "n: 2024-03-31 has the periods 1 to 46 in Europe/London, not 47",
        "2024-10-27,51": "n: 2024-10-27 has the periods 1 to 50 in Europe/London, not 51",
        "2024-01-15,1.5": "n: not the number of a period: '1.5'",
        "2024-01-15,-1": "n: not the number of a period: '-1'",
        "2024-01-15,": "n: no value",
        ",1": "day: no value",
        "2024-01-15 00:30,1": "day: a time, but a period number needs a date: '2024-01-15 00:30'",
        "2024-01-32,1": "day: not a time: '2024-01-32'",
        "2101-01-01,1": "day: must be between 1970-01-01 and 2100-01-01 UTC",
    }
    text = "day,n,kW\n" + "".join(f"{row},1\n" for row in rows) + "2024-01-15,2,1\n"
    file, rejects = written(tmp_path / "a.csv", text), tmp_path / "rejects.csv"
    options = ("--time-column", "day", "--period-column", "n", "--interval", "30", *LONDON)
    assert load_file(file, *options, "--rejects", rejects) == (0, counts(inserted=1, rejected=len(rows)), "")
    with rejects.open(newline="") as opened:
        header, *found = csv.reader(opened)
    assert header == ["file", "line", "reason", "day", "n", "kW"]
    assert [(",".join(row[3:5]), row[2]) for row in found] == list(rows.items())
    corrected = written(tmp_path / "corrected.csv", rejects.read_text().replace("2024-01-15,49,", "2024-01-15,48,"))
    options = (*options, "--rejects", tmp_path / "again.csv")
    assert load_file(corrected, *options) == (0, counts(inserted=1, rejected=len(rows) - 1), "")
    assert [start for start, _, _ in stored(repo)] == [at("01-15T00:30"), at("01-15T23:30")]


@pytest.mark.parametrize(
    ("dates", "numbers", "options"),
    [
        (pa.array([date(2024, 6, 30)]), pa.array([3], pa.int8()), []),
        (pa.array([datetime(2024, 6, 30)], pa.timestamp("us")), pa.array([3.0, None])[:1], []),  # noqa: DTZ001
        (["30/06/2024"], ["03"], ["--time-format", "%d/%m/%Y"]),
        (["45473"], ["3"], ["--time-format", "excel"]),
        (["2024-06-30T00:00:00Z"], ["3"], []),
    ],
)
def test_dates_and_periods_of_other_types(repo, load_file, tmp_path, dates, numbers, options):
    file = parquet(tmp_path / "a.parquet", day=dates, n=numbers, kW=[1.0])
    given = ("--time-column", "day", "--period-column", "n", "--interval", "30", *LONDON)
    assert load_file(file, *given, *options) == (0, counts(inserted=1), "")
    assert stored(repo) == [(at("06-30T00:00"), 1.0, 30.0)]


ZONES = ["Europe/London", "America/New_York", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu"]
HALF_HOUR = timedelta(minutes=30)


def parsed(layout, interval, **cells):
    """The starts of readings of one site."""
    rows = len(next(iter(cells.values())))
    times, reasons = PeriodParser(layout, interval).parse(
        {key.replace("_2", " 2"): column for key, column in cells.items()}, pd.Categorical(["site"] * rows)
    )
    assert not any(reasons.values())
    return times["start_utc"]


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_half_hours_in_its_time_zone(zone):
    """In Havana clocks skip and repeat midnight, in Lord Howe they move by half an hour."""
    local = pd.date_range("2024-01-01", "2025-01-01", freq="30min", tz=zone, inclusive="left")
    starts = local.tz_convert("UTC")
    days, clocks = local.strftime("%d/%m/%Y").to_series(), local.strftime("%H:%M")
    numbers = days.groupby(days.to_numpy()).cumcount() + 1
    options = {"time_column": ("day", "clock"), "time_format": "%d/%m/%Y %H:%M", "timezone": zone}
    layout = Layout(time_column="day", period_column="n", time_format="%d/%m/%Y", timezone=zone)
    found = parsed(layout, HALF_HOUR, start_utc=days.tolist(), period=[str(number) for number in numbers])
    assert (found == starts).all()
    layout = Layout(**options, ambiguous="order")
    found = parsed(layout, None, start_utc=days.tolist(), start_utc_2=clocks.tolist())
    assert (found == starts).all()
    layout = Layout(**options, ambiguous="order", label="end")
    found = parsed(layout, HALF_HOUR, start_utc=days.tolist(), start_utc_2=clocks.tolist())
    assert (found == starts - HALF_HOUR).all()


TIMES = st.one_of(
    st.datetimes(datetime(1969, 12, 31), datetime(2100, 1, 2)).map(str),  # noqa: DTZ001
    st.datetimes(datetime(2024, 3, 30), datetime(2024, 4, 2)).map("{:%d.%m.%Y %H:%M}".format),  # noqa: DTZ001
    st.dates(date(2024, 10, 26), date(2024, 10, 28)).map("{:%m/%d/%Y}".format),
    st.sampled_from(
        ["", " ", "24:00", "2024-10-26 24:00", "26.10.2024 24:00", "now", "1717243200", "45444.5", "1e400"]
    ),
    st.text("0123456789:-./ TZ+APM\ud800%", max_size=20),
)


@given(
    cells=st.lists(TIMES, min_size=1, max_size=9),
    time_format=st.sampled_from([None, "%d.%m.%Y %H:%M", US, "%m/%d/%Y", "%H:%M %d.%m.%Y %z", "epoch", "excel"]),
    zone=st.sampled_from(["UTC", "Europe/London", "America/Havana", "+05:30"]),
    ambiguous=st.sampled_from(["error", "earlier", "later", "order"]),
)
@examples(80)
def test_a_cell_is_a_time_or_has_a_reason(cells, time_format, zone, ambiguous):
    layout = Layout(time_format=time_format, timezone=zone, ambiguous=ambiguous)
    times = TimeParser(layout).parse(cells, pd.Categorical(["site"] * len(cells)))
    for row, time_utc in enumerate(times.utc):
        assert not pd.isna(time_utc) or row in times.reasons, cells[row]
        alone = TimeParser(layout).parse(cells[row : row + 1], pd.Categorical(["site"]))
        if ambiguous != "order":
            assert (list(alone.utc), alone.reasons.get(0)) == ([time_utc], times.reasons.get(row)) or pd.isna(time_utc)


def test_days_begin_where_clocks_skip_or_repeat_midnight(repo, load_file, tmp_path):
    """In Havana, clocks went from 00:00 to 01:00 (05:00 UTC) on 2024-03-10 and from 01:00 to 00:00 on 2024-11-03."""
    text = "day,kW\n2024-03-10,1\n2024-11-03,2\n"
    file = written(tmp_path / "a.csv", text)
    options = ("--time-column", "day", "--timezone", "America/Havana")
    assert load_file(file, *options, "--dates-are-midnight") == (0, counts(inserted=2), "")
    expected = [(at("03-10T05:00"), 1.0), (at("11-03T04:00"), 2.0)]
    assert [row[:2] for row in stored(repo)] == expected
    written(file, "day,kW\n2024-03-09 24:00,1\n2024-11-02 24:00,2\n")
    assert load_file(file, *options) == (0, counts(skipped=2), "")
    written(file, "day,n,kW\n2024-03-10,1,1\n2024-11-03,1,2\n2024-03-10,46,3\n2024-11-03,50,4\n")
    assert load_file(file, *options, "--period-column", "n", "--interval", "30")[:1] == (0,)
    assert [row[:2] for row in stored(repo)] == [
        (at("03-10T05:00"), 1.0),
        (at("03-11T03:30"), 3.0),
        (at("11-03T04:00"), 2.0),
        (at("11-04T04:30"), 4.0),
    ]


def test_hour_24_is_the_next_midnight(repo, load_file, tmp_path):
    for texts, options in (
        (["2024-06-01 24:00", "2024-06-02T24:00:00.000", "20240603T2400", "2024-06-04T24:00Z"], ()),
        (["01.06.24 24:00:00", "02.06.24 24:00:00"], ("--time-format", "%d.%m.%y %H:%M:%S")),
        (["24h00 3.6.2024"], ("--time-format", "%Hh%M %d.%m.%Y")),
        (["2024060424"], ("--time-format", "%Y%m%d%H")),
    ):
        file = written(tmp_path / "a.csv", "start_utc,kW\n" + "".join(f"{text},1\n" for text in texts))
        code, _, err = load_file(file, *options)
        assert (code, err) == (0, "")
        assert {start.hour for start, _, _ in stored(repo)} == {0}
    assert [start.day for start, _, _ in stored(repo)] == [2, 3, 4, 5]
    for text, options in (
        ("2024-06-01 24:01", ()),
        ("2024-06-01 24:00:01", ()),
        ("2024-06-01 25:00", ()),
        ("01.06.2024 24:30", ("--time-format", "%d.%m.%Y %H:%M")),
        ("01.06.2024 24:00.5", ("--time-format", "%d.%m.%Y %H:%M.%f")),
    ):
        written(file, f"start_utc,kW\n{text},1\n")
        code, _, err = load_file(file, *options)
        assert code == 1
        assert "line 2: start_utc: not a time" in err


@pytest.mark.parametrize(
    ("ends", "options", "expected"),
    [
        (["2024-06-01 00:04:59", "2024-06-01 23:59:59"], [], [("06-01T00:00", 5), ("06-01T23:55", 5)]),
        (["2024-06-01 00:05:59.5"], [], [("06-01T00:01", 5)]),
        (["2024-06-01 00:04:59"], ["--interval", "0.5"], [("06-01T00:04:29", 0.5)]),
    ],
)
def test_ends_in_the_last_second_of_a_minute(repo, load_file, tmp_path, ends, options, expected):
    file = written(tmp_path / "a.csv", "t,kW\n" + "".join(f"{end},1\n" for end in ends))
    given = ("--time-column", "t", "--label", "end", *(options or ["--interval", "5"]))
    assert load_file(file, *given) == (0, counts(inserted=len(ends)), "")
    assert [(start, minutes) for start, _, minutes in stored(repo)] == [(at(start), long) for start, long in expected]


def test_ends_of_days_are_those_of_the_zone(repo, load_file, tmp_path):
    file = written(tmp_path / "a.csv", "t,kW\n2024-03-31 24:00,1\n2024-10-28,2\n")
    assert load_file(file, "--end-column", "t", "--interval", "1440", *LONDON) == (0, counts(inserted=2), "")
    assert stored(repo) == [(at("03-31T00:00"), 1.0, 23 * 60.0), (at("10-26T23:00"), 2.0, 25 * 60.0)]


def test_the_default_end_column_is_the_time_column_of_ends(repo, load_file, tmp_path):
    file = written(tmp_path / "a.csv", "end_utc,kW\n2024-06-01T12:30Z,1\n")
    assert load_file(file, "--label", "end", "--interval", "30") == (0, counts(inserted=1), "")
    assert stored(repo) == [(at("06-01T12:00"), 1.0, 30.0)]
    assert load_file(file)[0] == 1  # no start_utc
    written(file, "end_utc,kW\n1970-01-01T00:10Z,1\n")
    said = f"{file}, line 2: end_utc: must be between 1970-01-01 and 2100-01-01 UTC\n"
    assert load_file(file, "--label", "end", "--interval", "30") == (1, "", said)


def test_ends_alone_need_the_interval(load_file, tmp_path):
    file = written(tmp_path / "a.csv", "to,kW\n2024-06-01T12:30Z,1\n")
    said = f"{file}, to: the times are ends of readings; add --interval, how many minutes one lasts\n"
    assert load_file(file, "--end-column", "to") == (1, "", said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--label", "end"], "--interval: required with --label end"),
        (["--label", "middle"], "'middle' is not one of 'start', 'end'"),
        (["--label", "end", "--end-column", "b"], "--label: cannot be used with --end-column"),
        (["--period-column", "n", "--time-column", "d"], "--interval: required with --period-column"),
        (["--period-column", "n", "--interval", "30"], "--period-column: requires --time-column"),
        (["--period-column", "n", "--time-column", "d", "--interval", "7"], "--interval: a day is not a multiple of"),
        (["--period-column", "n", "--time-column", "d", "--label", "end"], "--label: cannot be used with --period-c"),
        (["--period-column", "n", "--time-column", "d", "--end-column", "e"], "--end-column: cannot be used with"),
        (["--period-column", "n", "--time-column", "d", "--dates-are-midnight"], "--dates-are-midnight: cannot be "),
        (["--period-column", "n", "--time-column", "d", "--time-format", "epoch"], "--time-format: a period number"),
        (["--time-column", "a", "--time-column", "b", "--time-format", "epoch"], "--time-format: epoch is one column"),
        (["--time-format", "unix"], "--time-format: invalid format 'unix'; use a strptime format such as "),
        (["--timezone", "+15:00"], "--timezone: unknown time zone '+15:00'"),
        (["--timezone", "UTC+1:75"], "--timezone: unknown time zone 'UTC+1:75'"),
    ],
)
def test_options_that_do_not_go_together(dsn, options, said):
    code, out, err = loaded(dsn, "-", *options)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("-05:00", 17),
        ("+0530", 6.5),
        ("UTC+05:30", 6.5),
        ("GMT-3", 15),
        ("utc+9", 3),
        ("+14:00", -2),
        ("Etc/GMT+5", 17),
        ("UTC-0", 12),
        ("+00:00", 12),
    ],
)
@pytest.mark.parametrize("is_typed", [False, True])
def test_offsets_as_zones(zone, hours, is_typed):
    cells = pd.Series(pd.to_datetime(["2024-06-01 12:00"])) if is_typed else ["2024-06-01 12:00"]
    times = TimeParser(Layout(timezone=zone)).parse(cells, pd.Categorical(["site"]))
    assert list(times.utc) == [pd.Timestamp("2024-06-01", tz="UTC") + timedelta(hours=hours)]


def test_zones_that_there_are_not():
    for text in ("", "5", "+", "+5:3", "UTC", "Europe", "../etc"):
        if text == "UTC":
            assert parse_zone(text) == "UTC"
            continue
        with pytest.raises(InvalidInput, match="unknown time zone"):
            parse_zone(text)


@pytest.mark.parametrize(
    ("time_format", "text", "said"),
    [
        ("epoch", "1717243200000", "not seconds since 1970 (use --time-format epoch-ms): '1717243200000'"),
        ("epoch", "45444.5", "not seconds since 1970 (use --time-format excel): '45444.5'"),
        ("epoch", "1.7172E+09", "not seconds since 1970: '1.7172E+09'"),
        ("epoch", "0", "not seconds since 1970: '0'"),
        ("epoch", "2024-06-01 12:00", "not seconds since 1970: '2024-06-01 12:00'"),
        ("epoch", "", "no value"),
        ("epoch-ms", "1717243200", "not milliseconds since 1970 (use --time-format epoch): '1717243200'"),
        ("epoch-ms", "1717243200000000", "not milliseconds since 1970: '1717243200000000'"),
        ("excel", "1717243200", "not an Excel date (use --time-format epoch): '1717243200'"),
        ("excel", "45444.5208", "too few decimals for a time: '45444.5208'"),
        ("excel", "nan", "not an Excel date: 'nan'"),
    ],
)
def test_numbers_that_are_no_times(time_format, text, said):
    times = TimeParser(Layout(time_format=time_format)).parse([text], pd.Categorical(["site"]))
    assert times.reasons == {0: said}
    assert times.utc.isna().all()


def test_numbers_of_parquet(repo, load_file, tmp_path):
    noon = int(at("06-01T12:00").timestamp())
    for column, options in (
        (pa.array([noon, noon + 300]), ["--time-format", "epoch"]),
        (pa.array([noon * 1000.0, None, noon * 1000.0 + 300_000]).drop_null(), ["--time-format", "epoch-ms"]),
        (pa.array([45444.5, 45444.5 + 5 / 1440]), ["--time-format", "excel"]),
        (pa.array([202406011200, 202406011205]), ["--time-format", "%Y%m%d%H%M"]),
    ):
        file = parquet(tmp_path / "a.parquet", t=column, kW=[1.0, 2.0])
        assert load_file(file, "--time-column", "t", *options)[::2] == (0, "")
        assert [start for start, _, _ in stored(repo)] == [at("06-01T12:00"), at("06-01T12:05")]
    code, _, err = load_file(file, "--time-column", "t")
    said = "t: must be datetimes, got dtype int64; if they are numbers, use --time-format epoch, epoch-ms or excel\n"
    assert (code, err) == (1, f"{file}, {said}")
    file = parquet(tmp_path / "a.parquet", t=pa.array([1, None]), kW=[1.0, 2.0])
    code, _, err = load_file(file, "--time-column", "t", "--time-format", "epoch")
    assert (code, err) == (1, f"{file}, row 1: t: not seconds since 1970: '1.0'\n")


def test_excel_dates_are_exact_to_the_second():
    seconds = np.arange(0, 86_400, 7)
    texts = [f"{45444 + second / 86_400:.5f}" for second in seconds.tolist()]
    times, reasons = parse_number_times(texts, "excel")
    assert reasons == {}
    assert ((times - pd.Timestamp("2024-06-01", tz="UTC")) // timedelta(seconds=1) == seconds).all()


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("01.06.2024 14:00", ["%d.%m.%Y %H:%M"]),
        ("1.6.24 14:00:30", ["%d.%m.%y %H:%M:%S"]),
        ("01.06.2024", ["%d.%m.%Y"]),
        ("01.06.2024, 14.00", ["%d.%m.%Y, %H.%M"]),
        ("6/1/2024 2:00 PM", ["%d/%m/%Y %I:%M %p", "%m/%d/%Y %I:%M %p"]),
        ("6/13/2024 2:00:00PM", ["%m/%d/%Y %I:%M:%S%p"]),
        ("13/06/2024 14:00:00.5", ["%d/%m/%Y %H:%M:%S.%f"]),
        ("01-06-2024 14:00", ["%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M"]),
        ("01-Jun-2024 14:00", ["%d-%b-%Y %H:%M"]),
        ("1 December 2024", ["%d %B %Y"]),
        ("2024-06-01 02:00 PM", ["%Y-%m-%d %I:%M %p"]),
        ("2024-6-1", ["%Y-%m-%d"]),
        ("1717243200", ["epoch"]),
        ("1717243200000", ["epoch-ms"]),
        ("202406011400", ["%Y%m%d%H%M"]),
        ("45444.5", ["excel"]),
        ("32.06.2024 14:00", []),
        ("yesterday", []),
        ("", []),
    ],
)
def test_formats_that_fit(text, formats):
    assert fitting_formats(text) == formats


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("01.06.2024 14:00", "not a time (use --time-format '%d.%m.%Y %H:%M'): '01.06.2024 14:00'"),
        (
            "6/1/2024 2:00 PM",
            (
                "not a time (the day or the month first? use --time-format '%d/%m/%Y %I:%M %p' or '%m/%d/%Y %I:%M %p')"
                ": '6/1/2024 2:00 PM'"
            ),
        ),
        ("1717243200", "not a time (use --time-format 'epoch'): '1717243200'"),
    ],
)
def test_a_time_that_is_not_iso_8601_is_told_its_format(load_file, tmp_path, text, said):
    file = written(tmp_path / "a.csv", f"start_utc,kW\n{text},1\n")
    assert load_file(file) == (1, "", f"{file}, line 2: start_utc: {said}\n")


def test_a_time_that_has_another_format(load_file, tmp_path):
    file = written(tmp_path / "a.csv", "start_utc,kW\n2024-06-01 12:00,1\n")
    said = (
        "start_utc: not a time in the format '%d.%m.%Y %H:%M' (use --time-format '%Y-%m-%d %H:%M'): '2024-06-01 12:00'"
    )
    assert load_file(file, "--time-format", "%d.%m.%Y %H:%M") == (1, "", f"{file}, line 2: {said}\n")
    written(file, "start_utc,kW\n1 now,1\n")
    said = "start_utc: not a time in the format '%d.%m.%Y %H:%M' (--time-format): '1 now'"
    assert load_file(file, "--time-format", "%d.%m.%Y %H:%M") == (1, "", f"{file}, line 2: {said}\n")
    for text in ("now", "today"):
        written(file, f"start_utc,kW\n01.06.2024 12:00,1\n{text},1\n01.06.2024 12:05,1\n")
        assert load_file(file, "--time-format", "%d.%m.%Y %H:%M")[0] == 1


def test_rejects_have_both_columns_and_load_again(repo, load_file, tmp_path):
    text = "Datum;Zeit;kW\n27.10.2024;01:30;1\n27.10.2024;25:00;2\n27.10;02:00;3\n27.10.2024;24:00;4\n"
    file, rejects = written(tmp_path / "a.csv", text), tmp_path / "rejects.csv"
    options = (*GERMAN, "--time-column", "Datum", "--time-column", "Zeit")
    assert load_file(file, *options, "--rejects", rejects) == (0, counts(inserted=2, rejected=2), "")
    header, first, second = rejects.read_text().splitlines()
    assert header == "file;line;reason;Datum;Zeit;kW"
    assert first.endswith(";27.10.2024;25:00;2")
    assert second.endswith(";27.10;02:00;3")
    corrected = rejects.read_text().replace(";25:00;", ";04:00;").replace(";27.10;", ";26.10.2024;")
    assert load_file(written(tmp_path / "b.csv", corrected), *options) == (0, counts(inserted=2), "")
    assert [power for _, power, _ in stored(repo)] == [3, 1, 2, 4]


@pytest.mark.parametrize("is_typed", [False, True])
def test_the_order_of_repeated_times_counts_batch_by_batch(repo, load_file, tmp_path, monkeypatch, is_typed):
    monkeypatch.setattr(csv_files, "_BATCH_LINES", 1)
    monkeypatch.setattr("pvsite_sql.load.parquet_files._BATCH_ROWS", 1)
    clocks = ["01:30", "01:00", "01:30"]
    if is_typed:
        starts = pd.to_datetime([f"2024-10-27 {clock}" for clock in clocks])
        file = parquet(tmp_path / "a.parquet", t=pa.array(starts), kW=[1.0, 2.0, 3.0])
        options = ("--time-column", "t")
    else:
        rows = "".join(f"2024-10-27,{clock},{power}\n" for power, clock in enumerate(clocks, 1))
        file = written(tmp_path / "a.csv", f"day,clock,kW\n{rows}")
        options = ("--time-column", "day", "--time-column", "clock")
    options = (*options, *LONDON, "--label", "end", "--interval", "30", "--ambiguous", "order")
    assert load_file(file, *options) == (0, counts(inserted=3), "")
    assert [(start, power) for start, power, _ in stored(repo)] == [
        (at("10-26T23:30"), 2.0),
        (at("10-27T00:00"), 1.0),
        (at("10-27T01:00"), 3.0),
    ]


def test_from_python(repo, site, tmp_path):
    file = written(tmp_path / "a.csv", "day,clock,kW\n2024-06-01,12:00,1\n")
    layout = Layout(site_uuid=site.site_uuid, time_column=["day", 2], power_column="kW", label="end")
    assert layout.time_column == ("day", 2)
    with pytest.raises(InvalidInput, match="interval: required with --label end"):
        load(repo, [file], layout)
    assert load(repo, [file], layout, interval=timedelta(minutes=30)).inserted == 1
    assert [start for start, _, _ in stored(repo)] == [datetime(2024, 6, 1, 11, 30, tzinfo=UTC)]
    with pytest.raises(InvalidInput, match="time_column: must name a column"):
        Layout(time_column=())
