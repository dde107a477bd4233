"""`pvsite-sql load`: power cells: energies, counters, numbers as portals write them, and cells without a value."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from uuid import UUID

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
from pvsite_sql.load import ForecastLayout, Layout, LoadResult, counters, csv_files, load, load_forecasts
from pvsite_sql.load.batch import Batch
from pvsite_sql.load.counters import Counters, StateCounts
from pvsite_sql.load.energy import mean_powers, millionths
from pvsite_sql.load.numbers import NumberParser
from pvsite_sql.load.units import check_column_name

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
FILES = Path(__file__).parent / "files"
NO_POWER = "no value; add --empty zero or --empty skip to accept it"


def utc(text):
    return datetime.fromisoformat(f"2024-06-{text}+00:00")


W = ("--time-column", "time", "--power-column", "W", "--unit", "W")
ENERGIES = {
    "energy_half_hours.csv": (
        ("--time-column", "Start", "--power-column", "Energy (kWh)", "--unit", "kWh", "--interval", "30"),
        [(utc("01T12:00"), 1.0, 30.0), (utc("01T12:30"), 1.4, 30.0), (utc("01T13:00"), -0.002, 30.0)],
    ),
    "energy_ends.csv": (
        (
            *("--time-column", "Von", "--end-column", "Bis", "--power-column", "Ertrag [Wh]", "--unit", "Wh"),
            *("--separator", ";", "--decimal", ",", "--time-format", "%d.%m.%Y %H:%M", "--timezone", "Europe/Berlin"),
        ),
        [(utc("01T12:00"), 1.5, 10.0), (utc("01T12:10"), 1.0, 15.0), (utc("01T12:25"), 14.814, 5.0)],
    ),
    "energy_days.csv": (
        ("--time-column", "day", "--power-column", "MWh", "--unit", "MWh", "--interval", "1440"),
        [(utc("01T00:00"), 2.0, 1440.0), (utc("02T00:00"), 2.35, 1440.0)],
    ),
}
THOUSANDS = {
    "thousands_dots.csv": ("--separator", ";", "--decimal", ","),
    "thousands_commas.csv": (),
    "thousands_blanks.csv": ("--separator", ";", "--decimal", ","),
    "thousands_apostrophes.csv": ("--separator", ";"),
}
LOADED = (
    ENERGIES
    | {
        file: (
            (*W, *options),
            [
                (utc("01T12:00"), 1.2345, 5.0),
                (utc("01T12:05"), 0.99925, 5.0),
                (utc("01T12:10"), 1.234, 5.0),
                (utc("01T12:15"), -1234.567125, 5.0),
            ],
        )
        for file, options in THOUSANDS.items()
    }
    | {
        "units_in_cells.csv": (
            ("--time-column", "time", "--power-column", "power", "--unit", "W"),
            [(utc("01T12:00"), 1.5, 5.0), (utc("01T12:05"), -0.012, 5.0), (utc("01T12:10"), 1.2505, 5.0)],
        )
    }
)


@pytest.mark.parametrize("file", LOADED)
def test_files(repo, site, dsn, file):
    options, expected = LOADED[file]
    assert loaded(dsn, FILES / file, "--site", site.site_uuid, *options) == (0, counts(inserted=len(expected)), "")
    assert stored(repo) == expected


@given(
    units=st.integers(-(10**9), 10**9),
    decimals=st.integers(0, 6),
    minutes=st.integers(1, 2000),
    unit=st.sampled_from(["Wh", "kWh", "MWh"]),
)
@examples(300)
def test_the_mean_power_is_the_float_next_to_the_quotient(units, decimals, minutes, unit):
    energy = Fraction(units, 10**decimals)
    expected = float(energy * {"Wh": Fraction(1, 1000), "kWh": 1, "MWh": 1000}[unit] * Fraction(60, minutes))
    assert mean_powers(millionths(np.array([float(energy)])), unit, minutes * 60_000_000).tolist() == [expected]


def test_energy_requires_a_duration(repo, site, dsn, tmp_path):
    options = ("--site", site.site_uuid, *ENERGIES["energy_half_hours.csv"][0][:-2])
    file = FILES / "energy_half_hours.csv"
    said = "energy in kWh requires the duration of a row: "
    said += "add --interval (minutes), or --end-column if the file has the ends"
    assert loaded(dsn, file, *options) == (1, "", f"{file}, Energy (kWh): {said}\n")
    bad = written(tmp_path / "a.csv", "start_utc,end_utc,kWh\n2024-06-01T12:00Z,2024-06-01T12:00Z,1\n")
    arguments = ("--site", site.site_uuid, "--power-column", "kWh", "--unit", "kWh")
    assert loaded(dsn, bad, *arguments) == (1, "", f"{bad}, line 2: end_utc: must be after start_utc\n")
    assert stored(repo) == []


def rows_of(energies, minutes, first=NOON):
    starts = [first + number * timedelta(minutes=minutes) for number in range(len(energies))]
    rows = [f"{start:%Y-%m-%dT%H:%MZ},{energy}\n" for start, energy in zip(starts, energies, strict=True)]
    return "start_utc,kWh\n" + "".join(rows)


KWH = ("--power-column", "kWh", "--unit", "kWh", "--interval")
DAY = [0.0] * 24 + [0.1, 0.4, 1.0, 1.5, 1.2, 1.3, 1.6, 1.1, 0.9, 1.0, 0.7, 0.2] + [0.0] * 12  # half hours


def test_energies_of_an_interval_that_is_not_that_of_the_rows(repo, site, dsn, tmp_path):
    file, options = written(tmp_path / "a.csv", rows_of(DAY, 30)), ("--site", site.site_uuid, *KWH)
    said = "start_utc: the rows of a site are usually 30 minutes apart, so that energies of 60 minutes would overlap"
    assert loaded(dsn, file, *options, "60") == (1, "", f"{file}, {said}: use --interval 30\n")
    note = f"{file}: the rows of a site are usually 30 minutes apart, but --interval 5 was used for their energy\n"
    assert loaded(dsn, file, *options, "5") == (0, counts(inserted=48), note)
    assert loaded(dsn, file, *options, "30", "--on-conflict", "update") == (0, counts(updated=48), "")


def test_a_counter_that_is_read_as_energies(repo, site, dsn, tmp_path):
    total = np.cumsum(DAY * 3).round(1)
    today = np.cumsum(np.reshape(DAY * 3, (3, 48)), axis=1).round(1).ravel()
    options = ("--site", site.site_uuid, *KWH, "30")
    header, *rows = rows_of(total, 30).splitlines(keepends=True)
    newest_first = "".join([header, *rows[::-1]])
    for text, falls in ((rows_of(total, 30), 0), (newest_first, 0), (rows_of(today, 30), 2)):
        file = written(tmp_path / "a.csv", text)
        said = f"kWh: the values of a site rise 36 times and fall {falls} times in 3.0 days, as those of a meter"
        assert loaded(dsn, file, *options) == (1, "", f"{file}, {said} that counts up: add --counter\n")
    assert stored(repo) == []
    assert loaded(dsn, written(file, rows_of(DAY * 3, 30)), *options) == (0, counts(inserted=144), "")


def test_energies_that_are_read_as_a_counter(repo, site, dsn, tmp_path):
    file = written(tmp_path / "a.csv", rows_of(DAY * 3, 30))
    code, out, err = loaded(dsn, file, "--site", site.site_uuid, *KWH, "30", "--counter")
    said = "kWh: the values rise 21 times and fall 18 times, which those of a meter that counts up do not"
    assert (code, out, err) == (1, "", f"{file}, {said}: leave --counter out\n")
    assert stored(repo) == []


NAMES = {
    "Energy (kWh)": "kWh",
    "E_DAY [Wh]": "Wh",
    "kWh": "kWh",
    "energy_kwh": "kWh",
    "Total kWh imported": "kWh",
    "Energie/kWh": "kWh",
    "Export MWh": "MWh",
    "Yield in Watt-hours": "Wh",
    "Energy kWh (in Wh)": "Wh",
    "Pac [W]": "W",
    "Power(kW)": "kW",
    "Power W": "W",
    "ac_power_w": "W",
    "Watts": "W",
    "AC Leistung kW": "kW",
    "Leistung / kW": "kW",
    "Output (in MW)": "MW",
    "power_kw": "kW",
}
NO_UNIT = [
    "kWp",
    "Size (kWp)",
    "Roof W",
    "roof 5 kW",
    "kWh/h",
    "Yield [kWh/h]",
    "power",
    "Show",
    "Wh kWh",
    "10 kWh store",
]


@pytest.mark.parametrize("name", [*NAMES, *NO_UNIT])
@pytest.mark.parametrize("unit", ["W", "kW", "MW", "Wh", "kWh", "MWh"])
def test_a_column_name_that_contradicts_the_unit(name, unit):
    said, batch = NAMES.get(name, unit), Batch({"power_kw": name}, {}, np.arange(0), "line", 0, file="a.csv")
    for column in (name, None) if name == "power_kw" else (name,):
        layout = Layout(power_column=column, unit=unit)
        if said == unit or (name == "power_kw" and not unit.endswith("h")):
            check_column_name(batch, layout)
        else:
            with pytest.raises(InvalidInput, match=rf"a.csv: the name of column .* says {said}, .*: use --unit {said}"):
                check_column_name(batch, layout)
    check_column_name(batch, Layout(power_column=3, unit=unit))


def test_a_column_whose_name_others_have_is_checked_though_only_its_number_can_choose_it(repo, site, dsn, tmp_path):
    file = written(tmp_path / "a.csv", "time;kWh;kW;kWh;kW\n2024-06-01T12:00Z;7;1.5;8;2.5\n")
    options = ("--site", site.site_uuid, "--separator", ";", "--time-column", "time", "--power-column")
    said = (
        f"{file}: the name of column 'kWh (column 4)' says kWh, but --unit is kW: use --unit kWh (and --counter if the "
        "meter counts up), or correct the file if that is wrong\n"
    )
    assert loaded(dsn, file, *options, "4") == (1, "", said)
    assert loaded(dsn, file, *options, "5") == (0, counts(inserted=1), "")
    assert [power for _, power, _ in stored(repo)] == [2.5]


UNITS_BELOW = "\ufeffZeit;Leistung\n;[kWh]\n2024-06-01T12:00Z;1,5\n"


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_line_of_units_that_contradicts_the_unit(repo, site, dsn, tmp_path, kind):
    file = tmp_path / f"a.{kind}"
    rows = [line.split(";") for line in UNITS_BELOW.removeprefix("\ufeff").splitlines()]
    if kind == "csv":
        written(file, UNITS_BELOW)
    else:
        pd.DataFrame(rows).to_excel(file, header=False, index=False)
    options = ("--site", site.site_uuid, "--separator", ";", "--decimal", ",", "--time-column", "Zeit")
    options += ("--skip-after-header", "1", "--power-column")
    said = (
        f"{file}: '[kWh]' below 'Leistung' says kWh, but --unit is kW: use --unit kWh (and --counter if the meter "
        "counts up), or give the column by its number if that is wrong\n"
    )
    assert loaded(dsn, file, *options, "Leistung") == (1, "", said)
    assert loaded(dsn, file, *options, "2") == (0, counts(inserted=1), "")
    right = ("Leistung", "--unit", "kWh", "--interval", "30", "--on-conflict", "update")
    assert loaded(dsn, file, *options, *right) == (0, counts(updated=1), "")
    assert [power for _, power, _ in stored(repo)] == [3.0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"unit": "kWh"}, "unit: forecasts must be in W, kW or MW, got kWh"),
        ({"unit": "kWh", "counter": True}, "unit: forecasts must be in W, kW or MW, got kWh"),
    ],
)
def test_forecasts_are_powers(options, said):
    with pytest.raises(InvalidInput) as raised:
        ForecastLayout(**options)
    assert str(raised.value) == said


def test_a_contradicting_name_of_a_forecast_column_is_refused(repo, tmp_path):
    file = written(tmp_path / "a.csv", "start_utc,site_uuid,kWh\n2024-06-01T12:00Z,,1\n")
    layout = ForecastLayout(power_column="kWh", timestamp_utc=utc("01T00:00"))
    with pytest.raises(InvalidInput, match="the name of column 'kWh' says kWh, but --unit is kW"):
        load_forecasts(repo, [file], layout)


def test_a_contradicting_name_ends_the_load_unless_the_column_has_a_number(repo, site, dsn):
    file, base = FILES / "energy_half_hours.csv", ("--site", site.site_uuid, "--time-column", "Start")
    said = (
        f"{file}: the name of column 'Energy (kWh)' says kWh, but --unit is kW: use --unit kWh (and --counter if the "
        "meter counts up), or give the column by its number if that is wrong\n"
    )
    assert loaded(dsn, file, *base, "--power-column", "Energy (kWh)", "--interval", "30") == (1, "", said)
    assert loaded(dsn, file, *base, "--power-column", "2", "--interval", "30") == (0, counts(inserted=3), "")
    assert [power for _, power, _ in stored(repo)] == [0.5, 0.7, -0.001]


GOOD_NUMBERS = [
    (".", "1,234", 1234.0),
    (".", "12,345.", 12345.0),
    (".", "1,234e1", 12340.0),
    (".", "-1 234.5", -1234.5),
    (".", "+1,234,567.8", 1234567.8),
    (".", ".5", 0.5),
    (".", "1.5 kW", 1.5),
    (".", "1.5KW", 1.5),
    (".", "1\xa0234.5\xa0kW", 1234.5),
    (".", "\N{MINUS SIGN}0.5", -0.5),
    (",", "1.234", 1234.0),
    (",", "1.234,5", 1234.5),
    (",", "-,5", -0.5),
    (",", "0,123", 0.123),
]
DOT, COMMA = (
    "not a number with --decimal '.', but with --decimal ','",
    "not a number with --decimal ',', but with --decimal '.'",
)
BAD_NUMBERS = [
    (".", "0,123", DOT),
    (".", "1,23", DOT),
    (".", "1234,567", DOT),
    (".", "-1,5e3", DOT),
    (",", "0.123", COMMA),
    (",", "1.5", COMMA),
    (".", "1,23,456", "not a number"),
    (".", "1,234 567", "not a number"),
    (".", "1.234.567", "not a number"),
    (".", "1,234.5.6", "not a number"),
    (".", "1_000", "not a number"),
    (".", "12 345 6", "not a number"),
    (".", "5 kWp", "not a number"),
    (".", "kW", "not a number"),
    (".", "12 W", "in W, but --unit is kW"),
    (".", "1.5 kWh", "in kWh, but --unit is kW"),
]


@pytest.mark.parametrize(("decimal", "cell", "number"), GOOD_NUMBERS)
def test_numbers(decimal, cell, number):
    values, reasons = NumberParser(decimal, "kW").parse([cell, "7"])
    assert (values.tolist(), reasons) == ([number, 7.0], {})


@pytest.mark.parametrize(("decimal", "cell", "reason"), BAD_NUMBERS)
def test_texts_that_are_no_numbers(decimal, cell, reason):
    assert NumberParser(decimal, "kW").parse(["7", cell])[1] == {1: f"{reason}: {cell!r}"}


@pytest.mark.parametrize(("decimal", "thousands", "decimals"), [(".", "1,234", "0,123"), (",", "1.234", "0.123")])
def test_cells_that_show_the_other_decimal_sign_also_refuse_those_read_as_thousands(decimal, thousands, decimals):
    other = thousands[1]
    for order in ([thousands, decimals], [decimals, thousands]):
        parser = NumberParser(decimal, "kW")
        parser.parse(order[:1])
        with pytest.raises(InvalidInput) as raised:
            parser.parse(order[1:])
        assert raised.value.reason == (
            f"{thousands!r} is read as thousands, but {decimals!r} is a number only with --decimal {other!r}: add it"
        )


@pytest.mark.parametrize("files", [1, 2])
def test_a_forgotten_decimal_sign_stores_nothing_even_with_rejects(repo, site, dsn, tmp_path, monkeypatch, files):
    monkeypatch.setattr(csv_files, "_BATCH_LINES", 1)
    header, rows = "start_utc;power\n", ("2024-06-01T12:00Z;1,234\n", "2024-06-01T12:05Z;0,123\n")
    texts = ["".join(rows)] if files == 1 else rows
    given = [written(tmp_path / f"{number}.csv", header + text) for number, text in enumerate(texts)]
    options = ("--site", site.site_uuid, "--power-column", "power", "--separator", ";")
    code, out, err = loaded(dsn, *given, *options, "--rejects", tmp_path / "r.csv")
    said = "power: '1,234' is read as thousands, but '0,123' is a number only with --decimal ',': add it"
    assert (code, out) == (1, "")
    assert err.startswith(f"{given[-1]}, {said}")
    assert stored(repo) == []
    assert not (tmp_path / "r.csv").exists()


def test_rows_without_a_value(repo, site, dsn, tmp_path):
    file, rejects = FILES / "empty_nights.csv", tmp_path / "r.csv"
    options = ("--site", site.site_uuid, "--time-column", "time", "--power-column", "power")
    assert loaded(dsn, file, *options) == (1, "", f"{file}, line 2: power: {NO_POWER}\n")
    assert loaded(dsn, file, *options, "--rejects", rejects) == (0, counts(inserted=1, rejected=7), "")
    with rejects.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.reader(opened))[1:]
    assert {row[2] for row in rows} == {f"power: {NO_POWER}"}
    assert [row[4] for row in rows] == ["", "-", "NaN", "null", "n/a", "#N/A", "unavailable"]
    repeated = "0 inserted, 0 updated, 1 skipped, 0 rejected, 7 empty\n"
    assert loaded(dsn, file, *options, "--empty", "skip") == (0, repeated, "")
    assert loaded(dsn, rejects, *options, "--empty", "zero") == (0, counts(inserted=7), "")
    assert [power for _, power, _ in stored(repo)] == [0.0] * 7 + [0.25]


@pytest.mark.parametrize(("empty", "powers"), [("zero", [0.0, 1.5, 0.0]), ("skip", [1.5])])
@pytest.mark.parametrize(
    "column", [pa.array([None, 1500, None]), pa.array([None, 1500.0, float("nan")]), ["", "1500", "-"]]
)
def test_rows_without_a_value_in_parquet(repo, site, tmp_path, empty, powers, column):
    times = pa.array([utc("01T12:00"), utc("01T12:05"), utc("01T12:10")])
    pq.write_table(pa.table({"start_utc": times, "power": column}), tmp_path / "a.parquet")
    layout = Layout(site_uuid=site.site_uuid, power_column="power", unit="W", empty=empty)
    result = load(repo, [tmp_path / "a.parquet"], layout)
    assert result == LoadResult(inserted=len(powers), empty=3 - len(powers))
    assert [power for _, power, _ in stored(repo)] == powers


def test_an_empty_row_is_left_out_whatever_its_other_cells_are(repo, site, dsn, tmp_path):
    text = "start_utc,power_kw\n2024-03-31 01:30,\n2024-03-31 02:00,1\n,\nTotal,-\n"
    file, options = written(tmp_path / "a.csv", text), ("--site", site.site_uuid, "--timezone", "Europe/London")
    assert loaded(dsn, file, *options, "--empty", "skip") == (
        0,
        "1 inserted, 0 updated, 0 skipped, 0 rejected, 2 empty\n",
        "",
    )
    code, out, err = loaded(dsn, file, *options, "--empty", "zero")
    assert (code, out, err) == (
        1,
        "",
        f"{file}, line 2: start_utc: a nonexistent time in Europe/London: '2024-03-31 01:30'\n",
    )


COLUMNS = ("--time-column", "read at", "--power-column", "Counter kWh")
COUNTER = (*COLUMNS, "--unit", "kWh", "--counter", "--interval", "15")
COUNTED = "5 inserted, 0 updated, 0 skipped, 0 rejected, 2 first states, 1 gap, 1 reset\n"
QUARTERS = [(utc("01T12:00"), 2.0, 15.0), (utc("01T12:15"), 2.8, 15.0), (utc("01T13:15"), 2.0, 15.0)]
OF_OTHER = [(utc("01T12:00"), 0.0, 15.0), (utc("01T12:15"), 0.4, 15.0)]


def counter_file(site, other):
    text = (FILES / "counter_newest_first.csv").read_text(encoding="utf-8")
    return text.replace("SITE", str(site.site_uuid)).replace("OTHER", str(other.site_uuid))


@pytest.mark.parametrize("batch", [1, 4, 100])
@pytest.mark.parametrize("newest", ["first", "last"])
def test_a_counter(repo, site, dsn, tmp_path, monkeypatch, batch, newest):
    monkeypatch.setattr(csv_files, "_BATCH_LINES", batch)
    other = repo.sites.create(capacity_kw=1.0)
    header, *rows = counter_file(site, other).splitlines(keepends=True)
    rows = rows if newest == "first" else rows[::-1]
    file = written(tmp_path / "a.csv", "".join([header, *rows]))
    gap, reset = (6, 4) if newest == "first" else (6, 8)
    notes = (
        f"1 gap of more than 15 minutes between states, without a reading; the first one: {file}, line {gap}, "
        "from 2024-06-01 12:30:00Z to 2024-06-01 13:00:00Z\n"
        "1 state below the one before (a reset or a new meter), without a reading; the first one: "
        f"{file}, line {reset}, from 1002 at 2024-06-01 13:00:00Z to 0.3 at 2024-06-01 13:15:00Z\n"
    )
    assert loaded(dsn, file, *COUNTER) == (0, COUNTED, notes)
    assert sorted(stored(repo)) == sorted(QUARTERS + OF_OTHER)


@pytest.mark.parametrize("each", [(), ("--each",)])
def test_a_counter_in_several_files(repo, site, dsn, tmp_path, each):
    header = "read at,Counter kWh\n"
    new = written(tmp_path / "1.csv", f"{header}2024-06-01T12:45Z,13\n2024-06-01T12:30Z,12\n")
    old = written(tmp_path / "2.csv", f"{header}2024-06-01T12:15Z,11\n2024-06-01T12:00Z,10.5\n")
    overlap = written(tmp_path / "3.csv", f"{header}2024-06-01T12:30Z,12\n2024-06-01T12:45Z,13\n2024-06-01T13:00Z,13\n")
    options = ("--site", site.site_uuid, *COUNTER, *each)
    code, out, err = loaded(dsn, new, old, overlap, *options)
    assert (code, err) == (0, "")
    total = "4 inserted, 0 updated, 2 skipped, 0 rejected, 1 first state"
    assert out.splitlines()[-1] == total
    if each:
        assert out.splitlines()[:-1] == [
            f"{new}: 1 inserted, 0 updated, 0 skipped, 0 rejected, 1 first state",
            f"{old}: 2 inserted, 0 updated, 0 skipped, 0 rejected",
            f"{overlap}: 1 inserted, 0 updated, 2 skipped, 0 rejected",
        ]
    assert [(start.minute, power) for start, power, _ in stored(repo)] == [(0, 2.0), (15, 4.0), (30, 4.0), (45, 0.0)]


def test_files_of_a_counter_that_overlap_and_contradict_each_other(repo, site, dsn, tmp_path):
    header = "read at,Counter kWh\n2024-06-01T12:00Z,10\n"
    one = written(tmp_path / "1.csv", f"{header}2024-06-01T12:15Z,11\n")
    two = written(tmp_path / "2.csv", f"{header}2024-06-01T12:15Z,12\n2024-06-01T12:30Z,13\n")
    options = ("--site", site.site_uuid, *COUNTER)
    code, out, err = loaded(dsn, one, two, *options)
    assert (code, out) == (1, "")
    assert err.startswith(f"{two}, line 3: ")
    assert "--same-key first|last" in err
    assert stored(repo) == []
    code, out, err = loaded(dsn, one, two, *options, "--same-key", "last")
    assert (code, err) == (0, "")
    assert out.startswith("2 inserted, 0 updated, 2 skipped")
    assert out.endswith(", 0 rejected, 1 first state\n")
    assert [power for _, power, _ in stored(repo)] == [8.0, 4.0]


def test_states_that_contradict_others_are_rejected(repo, site, dsn, tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "_BATCH_LINES", 2)
    rows = [("12:00", 1), ("12:30", 2), ("12:15", 1.5), ("12:30", 2), ("12:30", 2.5), ("12:45", "x"), ("13:00", 2.5)]
    text = "".join(f"2024-06-01T{time}Z,{state}\n" for time, state in rows)
    file = written(tmp_path / "a.csv", f"read at,Counter kWh\n{text}")
    options, rejects = ("--site", site.site_uuid, *COUNTER[:-1], "30"), tmp_path / "r.csv"
    code, out, err = loaded(dsn, file, *options)
    unsorted = "Counter kWh: the file has earlier and later states of this site before this row: sort its rows by time"
    assert (code, out, err) == (1, "", f"{file}, line 4: {unsorted}\n")
    result = "2 inserted, 0 updated, 1 skipped, 3 rejected, 1 first state\n"
    assert loaded(dsn, file, *options, "--rejects", rejects) == (0, result, "")
    with rejects.open(encoding="utf-8", newline="") as opened:
        assert [row[1:3] for row in csv.reader(opened)][1:] == [
            ["4", unsorted],
            ["6", "Counter kWh: another state at the same time: 2.5, after 2"],
            ["7", "Counter kWh: not a number: 'x'"],
        ]
    assert [power for _, power, _ in stored(repo)] == [2.0, 1.0]


def test_counters_in_columns_of_sites(repo, dsn, tmp_path):
    sites = [repo.sites.create(capacity_kw=1.0, client_site_name=name) for name in ("roof", "barn")]
    text = "time,roof,barn\n2024-06-01T12:00Z,1,7\n2024-06-01T12:15Z,2,-\n2024-06-01T12:30Z,2.5,7.5\n"
    options = ("--wide", "--site-key", "client_site_name", "--time-column", "time", "--unit", "kWh", "--counter")
    options += ("--interval", "15", "--empty", "skip")
    result = "2 inserted, 0 updated, 0 skipped, 0 rejected, 1 empty, 2 first states, 1 gap\n"
    file = written(tmp_path / "a.csv", text)
    code, out, err = loaded(dsn, file, *options)
    assert (code, out) == (0, result)
    assert err.startswith(
        f"1 gap of more than 15 minutes between states, without a reading; the first one: {file}, line 4"
    )
    assert [(start.minute, power) for start, power, _ in stored(repo)] == [(0, 4.0), (15, 2.0)]
    assert {row.site_uuid for row in repo.generation.read()} == {sites[0].site_uuid}


def test_a_counter_that_is_read_each_midnight_where_clocks_change(repo, site, dsn, tmp_path):
    text = "day,kWh\n26.10.2024,0\n27.10.2024,24\n28.10.2024,49\n29.10.2024,73\n"  # the 27th has 25 hours
    options = ("--time-column", "day", "--time-format", "%d.%m.%Y", "--timezone", "Europe/London")
    options += ("--power-column", "kWh", "--unit", "kWh", "--counter", "--interval", "1440")
    result = "3 inserted, 0 updated, 0 skipped, 0 rejected, 1 first state\n"
    assert loaded(dsn, written(tmp_path / "a.csv", text), "--site", site.site_uuid, *options) == (0, result, "")
    assert [(power, minutes / 60) for _, power, minutes in stored(repo)] == [(1.0, 24.0), (1.0, 25.0), (1.0, 24.0)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--counter", "--interval", "15"), "--counter: requires the unit Wh, kWh or MWh, got kW\n"),
        (("--counter", "--unit", "kWh"), "--interval: required with --counter: the longest time between two states"),
        (
            ("--counter", "--unit", "kWh", "--interval", "15", "--empty", "zero"),
            "--empty: a counter without a value is not at zero: use skip\n",
        ),
        (
            ("--counter", "--unit", "kWh", "--interval", "15", "--end-column", "e"),
            "--end-column: a state of a counter has one time, in the time column\n",
        ),
        (
            ("--counter", "--unit", "kWh", "--interval", "15", "--label", "end"),
            "--label: a state of a counter is neither at the start nor at the end\n",
        ),
        (
            ("--counter", "--unit", "kWh", "--interval", "30", "--time-column", "d", "--period-column", "p"),
            "--period-column: a state of a counter has one time, in the time column\n",
        ),
        (
            ("--counter", "--unit", "kWh", "--interval", "30", "--same-key", "sum"),
            "--same-key: not with --counter, since the states of a meter do not add up\n",
        ),
        (("--empty", "x"), "'x' is not one of 'refuse', 'zero', 'skip'"),
    ],
)
def test_options_that_cannot_be(dsn, options, said):
    code, out, err = loaded(dsn, "-", *options)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split()) + "\n"


def test_a_counter_requires_an_interval_in_python(repo):
    with pytest.raises(InvalidInput, match="interval: required with --counter"):
        load(repo, [], Layout(unit="kWh", counter=True))


SITES = [UUID(int=1), UUID(int=2)]
SITE_INDEX = pd.Index(SITES, dtype=object)
INTERVAL = timedelta(minutes=10)
STATE = st.tuples(st.integers(0, 1), st.integers(0, 60), st.integers(0, 5))  # site, minute, kWh


def read(files, batch):
    """Readings as site, start, end and kW of files of states (site, minute, kWh), and what else became of them."""
    reader = Counters(Layout(unit="kWh", counter=True), INTERVAL)
    found, rejected = [], 0
    for number, rows in enumerate(files):
        frames = []
        for first in range(0, len(rows), batch):
            part = rows[first : first + batch]
            frame = pd.DataFrame(
                {
                    "site_uuid": pd.Categorical.from_codes(
                        [site for site, _, _ in part], pd.Index(SITES, dtype=object)
                    ),
                    "start_utc": pd.DatetimeIndex([minute(at) for _, at, _ in part]),
                    "power_kw": millionths(np.array([float(state) for _, _, state in part])),
                }
            )
            numbers = np.arange(first, first + len(part))
            readings, reasons = reader.readings(frame, Batch({}, {}, numbers, "line", 0, file=str(number)))
            frames.append(readings)
            rejected += len(reasons)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(counters, "_MIN_FALLS", 100)
            frames.append(reader.end_file())
        for frame in frames:
            found += frame[["site_uuid", "start_utc", "end_utc", "power_kw"]].itertuples(index=False, name=None)
    reader.notes(reader.counts())
    return found, reader.counts(), rejected


def minute(at):
    return datetime(2024, 6, 1, tzinfo=UTC) + timedelta(minutes=at)


def differences(states):
    """The same, of sorted states, by the definition."""
    found, first_states, gaps, resets = [], 0, 0, 0
    for number, site in enumerate(SITES):
        own = sorted((at, state) for of, at, state in states if of == number)
        first_states += bool(own)
        for (start, before), (end, after) in pairwise(own):
            if end - start > 10:
                gaps += 1
            elif after < before:
                resets += 1
            else:
                found.append((site, minute(start), minute(end), float(Fraction(60 * (after - before), end - start))))
    return found, StateCounts(first_states, gaps, resets)


@given(
    states=st.lists(STATE, unique_by=lambda row: row[:2], max_size=25),
    cuts=st.lists(st.integers(0, 60), max_size=3),
    order=st.randoms(use_true_random=False),
    batch=st.integers(1, 30),
)
@examples(100)
def test_readings_of_counters_do_not_depend_on_the_order_of_files_or_rows(states, cuts, order, batch):
    edges = [0, *sorted(cuts), 61]
    files = []
    for low, high in pairwise(edges):
        rows = sorted((row for row in states if low <= row[1] < high), key=lambda row: row[1])
        files.append(rows[:: order.choice([1, -1])])
    order.shuffle(files)
    found, counted, rejected = read(files, batch)
    expected = differences(states)
    assert (sorted(found), counted, rejected) == (sorted(expected[0]), expected[1], 0)


@given(states=st.lists(STATE, max_size=25), batch=st.integers(1, 30))
@examples(100)
def test_energy_is_never_counted_twice_in_a_file_and_each_row_counts_once(states, batch):
    found, counted, rejected = read([states], batch)
    assert len(found) + sum(vars(counted).values()) + rejected == len(states)
    for site in SITES:
        own = sorted((start, end) for of, start, end, _ in found if of == site)
        assert all(start < end for start, end in own)
        assert all(end <= start for (_, end), (start, _) in pairwise(own))
    assert all(power >= 0 for *_, power in found)


def test_an_interval_below_that_of_the_states_is_named(monkeypatch):
    monkeypatch.setattr(counters, "_MAX_CHAINS", 3)
    with pytest.raises(InvalidInput, match="more than 3 gaps of more than 0:10:00: --interval is the longest time"):
        read([[(0, at, 1) for at in range(0, 60, 11)]], 2)
