"""`pvsite-sql load --preview` and `--profile`: the files of a dozen portals, and files that nothing can be made of."""

from __future__ import annotations

import gzip
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pandas as pd
import pytest
from commands import called
from guides import blocks

from pvsite_sql import InvalidInput, PvsiteSqlError
from pvsite_sql.load import Layout, load, preview, read_profile
from pvsite_sql.load.profiles import profile_names

PORTALS = Path(__file__).parent / "files" / "portals"
MINUTE = timedelta(minutes=1)


class Portal(NamedTuple):
    """A portal's file: what nobody can find in it, what its profile lacks, and the readings that it means."""

    file: str
    unknown: Sequence[str]
    not_in_profile: Sequence[str]
    minutes: float
    readings: Sequence[tuple[str, float]]  # starts in UTC, kW


# the values are written by hand: from local times by the zone's offset on that day, from energies by the duration
FILES = {
    "sma": Portal(
        "sma.csv",
        ["--timezone", "Europe/Berlin", "--label", "end"],
        ["--timezone", "Europe/Berlin"],
        5,
        [("06-30 21:50", 0.0), ("07-01 10:00", 2.4), ("07-01 10:05", 2.52), ("07-01 10:10", 2.4)],
    ),
    "solaredge": Portal(
        "solaredge.csv",
        ["--timezone", "America/Denver", "--empty", "skip"],
        ["--timezone", "America/Denver"],
        15,
        [("07-01 05:30", 0.0), ("07-01 18:00", 3.1205), ("07-01 18:15", 2.98025), ("07-01 18:30", 1.04)],
    ),
    "enphase": Portal(
        "enphase.csv",
        ["--timezone", "America/New_York"],
        ["--timezone", "America/New_York"],
        15,
        [("07-01 03:45", 0.0), ("07-01 04:00", 0.0), ("07-01 16:00", 1.0), ("07-01 16:15", 1.1), ("07-01 16:30", 0.5)],
    ),
    "fronius": Portal(
        "fronius.csv",
        ["--timezone", "Europe/Vienna"],
        ["--timezone", "Europe/Vienna"],
        5,
        [("06-30 21:55", 0.0), ("07-01 10:00", 2.646), ("07-01 10:05", 2.52), ("07-01 10:10", 2.349)],
    ),
    "pvoutput": Portal(
        "pvoutput.csv",
        ["--timezone", "Australia/Sydney", "--power-column", "5", "--unit", "W", "--empty", "skip"],
        ["--timezone", "Australia/Sydney"],
        5,
        [("07-01 02:00", 1.92), ("07-01 02:05", 2.04), ("07-01 02:10", 1.98)],
    ),
    "givenergy": Portal(
        "givenergy.json",
        ["--unit", "W"],
        [],
        5,
        [("07-01 11:55:06", 1.498), ("07-01 12:00:07", 1.52), ("07-01 12:05:06", 1.611)],
    ),
    "home-assistant": Portal(
        "home-assistant.csv",
        ["--unit", "W", "--empty", "skip"],
        [],
        60,
        [("07-01 12:00", 1.5205), ("07-01 13:00", 1.61025), ("07-01 15:00", 0.905)],
    ),
    "shelly": Portal(
        "shelly.csv",
        ["--unit", "Wh"],
        [],
        1,
        [("07-01 12:00", 1.53), ("07-01 12:01", 1.455), ("07-01 12:02", 1.5)],
    ),
    "pv-live": Portal(
        "pv-live.csv",
        ["--label", "end"],
        [],
        30,
        [("07-01 11:30", 11125.0), ("07-01 12:00", 12500.0), ("07-01 12:30", 12750.0)],
    ),
    "pvdaq": Portal(
        "pvdaq.csv",
        ["--timezone", "-07:00", "--unit", "W", "--empty", "skip"],
        ["--timezone", "-07:00", "--power-column", "ac_power__315", "--interval", "15"],
        15,
        [("07-01 18:45", 1.48025), ("07-01 19:00", 1.5125), ("07-01 19:30", 1.53)],
    ),
    "elexon": Portal(
        "elexon.csv",
        ["--unit", "MWh"],
        [],
        30,
        [("07-01 11:00", 20500.0), ("07-01 11:30", 21000.0), ("07-01 11:00", 9000.0), ("07-01 11:30", 9500.0)],
    ),
    "growatt": Portal(
        "growatt.csv",
        ["--timezone", "Europe/Amsterdam"],
        ["--timezone", "Europe/Amsterdam"],
        5,
        [("07-01 10:00:21", 1.5024), ("07-01 10:05:24", 1.5402), ("07-01 10:10:22", 1.4715)],
    ),
}


def expected(portal):
    starts = [datetime.fromisoformat(f"2024-{start}").replace(tzinfo=UTC) for start, _ in portal.readings]
    return sorted((start, power, portal.minutes) for start, (_, power) in zip(starts, portal.readings, strict=True))


def rounded(rows):
    return sorted((start, round(power, 9), minutes) for start, power, minutes in rows)


def stored(repo, sites):
    return rounded(
        (row.start_utc, row.generation_power_kw, (row.end_utc - row.start_utc) / MINUTE)
        for row in repo.generation.read([site.site_uuid for site in sites])
    )


def shown(found):
    return rounded(
        (row.start_utc.to_pydatetime(), row.power_kw, (row.end_utc - row.start_utc) / MINUTE)
        for row in found.readings.itertuples()
    )


def sites_of(name, repo):
    """New sites for a file, and the options that name them."""
    if name == "elexon":  # its file names them
        return [repo.sites.create(client_site_name=f"E_SUNNY-{each}", capacity_kw=25000.0) for each in (1, 2)], []
    site = repo.sites.create(capacity_kw=4.0)
    return [site], ["--site", site.site_uuid]


def test_each_profile_loads_the_file_of_its_portal(repo, dsn, subtests):
    for name, portal in FILES.items():
        with subtests.test(name):
            sites, options = sites_of(name, repo)
            arguments = ("--profile", name, *options, *portal.not_in_profile, "--dsn", dsn)
            code, _, err = called("load", PORTALS / portal.file, *arguments)
            assert (code, err) == (0, "")
            assert stored(repo, sites) == expected(portal)


def test_the_commands_that_previews_print_load_the_files(repo, dsn, subtests):
    for name, portal in FILES.items():
        with subtests.test(name):
            sites, options = sites_of(name, repo)
            code, out, err = called("load", PORTALS / portal.file, "--preview", *portal.unknown)
            assert (code, err) == (0, "")
            assert not stored(repo, sites)
            command = shlex.split(out.splitlines()[-1])
            assert command[:2] == ["pvsite-sql", "load"]
            assert ("SITE_UUID" in command) == bool(options)
            command = [str(sites[0].site_uuid) if argument == "SITE_UUID" else argument for argument in command]
            assert called(*command[1:], "--dsn", dsn)[0] == 0
            assert stored(repo, sites) == expected(portal)


@pytest.mark.parametrize("name", FILES)
def test_a_preview_shows_what_the_command_stores(name):
    portal = FILES[name]
    _, out, _ = called("load", PORTALS / portal.file, "--preview", *portal.unknown)
    for start, power, minutes in expected(portal):
        line = f"{start:%Y-%m-%d %H:%M:%S}  {start + minutes * MINUTE:%Y-%m-%d %H:%M:%S}  "
        assert any(
            text.startswith(line) and float(text.split()[4]) == pytest.approx(power) for text in out.splitlines()
        )
    assert f"Each reading lasts {portal.minutes:g} minutes." in out


def test_every_profile_of_the_package_has_a_file():
    assert profile_names() == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_preview_in_python_finds_what_a_profile_says(name):
    """Apart from what stands in no file; names of sites are those of the profile's."""
    portal = FILES[name]
    arguments = iter(portal.unknown)
    given = {
        option.removeprefix("--").replace("-", "_"): value for option, value in zip(arguments, arguments, strict=True)
    }
    found = preview(PORTALS / portal.file, **given)
    layout, options = read_profile(name, **({} if name == "elexon" else {"site_uuid": UUID(int=0)}))
    assert shown(found) == expected(portal)
    if "interval" in options:
        assert found.interval == options["interval"]
    for field in ("time_column", "time_format", "period_column", "label", "unit", "separator", "decimal", "header"):
        assert getattr(found.layout, field) == getattr(layout, field), field


def previewed(tmp_path, text, name="a.csv", **given):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return preview(path, **given)


def lines(*rows):
    return "time,power (kW)\n" + "".join(f"{row}\n" for row in rows)


ROWS = [f"2024-07-01 12:{minute:02},{minute / 10}" for minute in range(0, 60, 15)]


def test_what_is_given_is_not_looked_for(tmp_path):
    found = previewed(
        tmp_path, lines(*ROWS), timezone="Europe/London", empty="zero", interval=timedelta(minutes=60), label="end"
    )
    assert found.layout == Layout(
        site_uuid=found.layout.site_uuid,
        time_column="time",
        power_column="power (kW)",
        timezone="Europe/London",
        empty="zero",
        label="end",
    )
    assert found.readings["start_utc"].iloc[0] == pd.Timestamp("2024-07-01 10:00Z")
    assert not [doubt for doubt in found.doubts if "UTC" in doubt]


DOUBTS = [
    (lines("01/06/2024 12:00,1", "01/06/2024 12:15,2"), "can be 1 June or 6 January"),
    (lines("2024-06-01 12:00,1", "2024-06-01 12:15,2"), "the times have no UTC offset: say --timezone"),
    ("time,power\n2024-06-01T12:00Z,1\n2024-06-01T12:15Z,2\n", "does not say the unit: kW is assumed"),
    (lines("2024-06-01T12:00Z,1"), "do not show how long a reading lasts"),
    (lines("2024-06-01T12:00Z,1", "2024-06-01T12:15Z,2", "2024-06-01T14:07Z,2"), "steps from time to time"),
    ("period end,kW\n2024-06-01T12:00Z,1\n2024-06-01T12:15Z,2\n", "has the ends of periods"),
    ("time,PV (kW),solar (kW)\n2024-06-01T12:00Z,1,2\n2024-06-01T12:15Z,2,3\n", "can also be in"),
    ("time;kW\n2024-06-01T12:00Z;1,500\n2024-06-01T12:15Z;2,250\n", "decimal sign or a thousands separator"),
    ("time,yield (kWh)\n2024-06-01T12:00Z,7000.1\n2024-06-01T12:15Z,7000.4\n", "a meter that counts up"),
    (lines("2024-06-01T12:00Z,1", "2024-06-01T12:00Z,2"), "several rows have the same time"),
    ("day,kWh\n2024-06-01,12.5\n2024-06-02,13\n", "without a time of day"),
    ("Zeit;Süd (kW)\n2024-06-01T12:00Z;1\n2024-06-01T12:15Z;2\n".encode("latin-1"), "the text is not UTF-8"),
]


@pytest.mark.parametrize(("text", "doubt"), DOUBTS, ids=[doubt for _, doubt in DOUBTS])
def test_what_is_not_certain_is_said(text, doubt, tmp_path):
    given = {"interval": timedelta(minutes=15)} if "yield" in str(text) else {}
    found = previewed(tmp_path, text, **given)
    assert [each for each in found.doubts if doubt in each], found.doubts


def test_the_order_of_day_and_month_follows_from_even_steps(tmp_path):
    rows = [f"01/{day:02}/2024 {hour:02}:00,{hour}" for day in (1, 2, 3) for hour in range(24)]
    found = previewed(tmp_path, lines(*rows))
    assert found.layout.time_format == "%m/%d/%Y %H:%M"
    assert [doubt for doubt in found.doubts if "follow one another evenly" in doubt]


SHAPES = {
    "no numbers at night": (
        "time,kW\n2024-07-01T00:00Z,\n2024-07-01T00:15Z,\n2024-07-01T12:00Z,1.5\n",
        {"empty": "skip"},
    ),
    "preamble, units and totals": (
        (
            "Report of 2024-07-02\n\nplant;;\nwhen;power;\n;[kW];\n"
            "01.07.2024 12:00;1,5;\n01.07.2024 12:15;2,5;\nTotal;4,0;\n"
        ),
        {},
    ),
    "columns of one name": ("time,kW,kW\n2024-07-01 12:00,1.5,\n2024-07-01 12:15,2.5,\n", {}),
    "no header, behind a line": ("exported yesterday\n2024-07-01 12:00;1.5\n2024-07-01 12:15;2.5\n", {}),
    "start and end": ("from,to,kW\n2024-07-01 12:00,2024-07-01 12:15,1.5\n2024-07-01 12:15,2024-07-01 12:30,2\n", {}),
    "halves of the day": ("time\tkW\n7/1/2024 12:00 PM\t1.5\n7/1/2024 12:15 PM\t2.5\n", {}),
    "hour 24": ("time,kW\n01.07.2024 23:45,1.5\n01.07.2024 24:00,2.5\n", {}),
    "thousands": ('time,kW\n2024-07-01 12:00,"1,234.5"\n2024-07-01 12:15,"1,250.5"\n', {}),
    "UTF-16 without a mark": ("time,kW\n2024-07-01 12:00,1.5\n2024-07-01 12:15,2.5\n".encode("utf-16-le"), {}),
    "Excel dates": ("Zeit;kW\n45474,5;1,5\n45474,510416667;2,5\n", {}),
    "numbered sites": ("Zeit;2607;2608\n01.07.2024 12:00;1,5;2\n01.07.2024 12:15;2,5;3\n", {}),
    "US midnights": ("time,kW\n7/1/2024 12:00 PM,1.5\n7/1/2024 12:15 PM,1\n7/2/2024,2\n", {}),
    "separators behind the header": ("time;kW;;\n2024-07-01 12:00;1.5\n2024-07-01 12:15;2.5\n", {}),
    "a reading before the header": ("2024-07-01 12:00,9\ntime,kW\n2024-07-01 12:00,1.5\n2024-07-01 12:15,2\n", {}),
    "milliseconds": ("time,kW\n1719835200000,1.5\n1719836100000,2.5\n", {}),
    "records": ('[{"at": "2024-07-01T12:00Z", "w": 1500}, {"at": "2024-07-01T12:15Z", "w": 2500}]', {}),
    "a column a site": (f"time,{UUID(int=1)},{UUID(int=2)}\n2024-07-01 12:00,1.5,2\n2024-07-01 12:15,2.5,3\n", {}),
}


@pytest.mark.parametrize(("text", "given"), SHAPES.values(), ids=list(SHAPES))
def test_shapes_of_files(text, given, tmp_path):
    """The first reading starts in the first row with a number; its power is 1.5 kW where nothing else is said."""
    found = previewed(tmp_path, text, **given)
    assert found.invalid == 0, found.first_invalid
    hour = 23 if "23:45" in str(text) else 12
    first = found.readings.iloc[0]
    assert first["start_utc"] == pd.Timestamp(2024, 7, 1, hour, 45 if hour == 23 else 0, tz="UTC")
    assert first["power_kw"] == (1234.5 if "1,234.5" in str(text) else 1.5)
    assert (first["end_utc"] - first["start_utc"]) / MINUTE in (5, 15)  # one row with a number does not show it


def test_the_sheet_with_the_readings_is_found():
    found = preview(PORTALS.parent / "plant.xlsx", empty="skip")
    assert found.layout.sheet == "Data"
    assert (found.layout.time_column, found.layout.power_column, found.layout.unit) == ("Date", "Power (W)", "W")
    assert found.layout.skip_after_header == 1
    assert [*found.readings["power_kw"]] == [1.5, 1.7505, -0.002]
    assert "row 8" in str(found.first_invalid)


def test_columns_with_numbers_for_names_are_sites(repo, dsn):
    repo.sites.create(client_site_id=2607, capacity_kw=4.0)
    code, out, _ = called("load", PORTALS.parent / "date_and_time.xlsx", "--preview", "--unit", "kW", "--dsn", dsn)
    assert code == 0
    assert {"--wide", "--site-key", "client_site_id"} < set(out.splitlines()[-1].split())
    assert "1 of 2 sites do not exist" in " ".join(out.split())
    assert "2608" in out


HOSTILE = {
    "empty": (b"", "is empty"),
    "only blank lines": (b"\n \n\n", "is empty"),
    "binary": (bytes(range(256)) * 8, "not a text file"),
    "only a header": (b"time,power\n", "has a time and a number"),
    "all texts": (b"time,power\nnoon,much\nevening,little\n", "has a time and a number"),
    "no times": (b"a,b\n1,2\n3,4\n", "has a time and a number"),
    "no numbers": (b"time,state\n2024-06-01T12:00Z,on\n", "has a time and a number"),
    "cut gzip": (gzip.compress(b"time,power\n" * 1000)[:40], "cannot be read"),
}


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=list(HOSTILE))
def test_files_that_nothing_can_be_made_of(data, message, tmp_path):
    with pytest.raises(PvsiteSqlError, match=message):
        previewed(tmp_path, data, name="a.csv")
    code, out, err = called("load", tmp_path / "a.csv", "--preview")
    assert (code, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1


PROFILES = {
    "other keys": ('power-colum = "kW"\n', "power-colum"),
    "not TOML": ("separator = ;\n", "is not a TOML file"),
    "a wrong value": ('unit = "horses"\n', "unit"),
    "not text": (b"\xff\xfe", "cannot be read"),
}


@pytest.mark.parametrize(("text", "message"), PROFILES.values(), ids=list(PROFILES))
def test_invalid_profiles_are_refused(text, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, _, err = called("load", PORTALS / "growatt.csv", "--profile", path, "--preview")
    assert code == 2
    assert message in err
    with pytest.raises(PvsiteSqlError, match=message):
        read_profile(path)


def test_an_unknown_profile_lists_those_that_there_are():
    code, _, err = called("load", PORTALS / "growatt.csv", "--profile", "acme", "--preview")
    assert code == 2
    assert all(name in err for name in profile_names())
    with pytest.raises(InvalidInput, match="solaredge"):
        read_profile("acme")


def test_options_of_the_command_override_a_profile_of_ones_own(repo, site, dsn, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        f'site = "{site.site_uuid}"\ntime-column = "time"\npower-column = "p"\nunit = "MW"\ninterval = 30\n'
    )
    (tmp_path / "a.csv").write_text("time,p\n2024-07-01T12:00Z,1500\n")
    assert called("load", tmp_path / "a.csv", "--profile", path, "--unit", "W", "--dsn", dsn)[0] == 0
    assert stored(repo, [site]) == [(datetime(2024, 7, 1, 12, tzinfo=UTC), 1.5, 30.0)]


def test_a_profile_in_python(repo, site):
    layout, options = read_profile("growatt", site_uuid=site.site_uuid, timezone="Europe/Amsterdam")
    load(repo, [PORTALS / "growatt.csv"], layout, **options)
    assert stored(repo, [site]) == expected(FILES["growatt"])


def test_with_a_database_a_preview_says_which_sites_do_not_exist(repo, dsn):
    repo.sites.create(client_site_name="E_SUNNY-1", capacity_kw=25000.0)
    code, out, _ = called("load", PORTALS / "elexon.csv", "--preview", "--unit", "MWh", "--dsn", dsn)
    assert code == 0
    assert "E_SUNNY-2" in " ".join(out.partition("Not certain:")[2].partition("Nothing was")[0].split())
    assert not repo.generation.read()


def test_of_a_folder_the_first_file_is_shown_and_the_command_loads_all(tmp_path):
    for day in (1, 2):
        (tmp_path / f"{day}.csv").write_text(lines(f"2024-07-0{day}T12:00Z,1.5", f"2024-07-0{day}T12:15Z,2"))
    (tmp_path / "notes.pdf").write_text("")
    code, out, err = called("load", tmp_path, "--preview", "--label", "start")
    assert code == 0
    assert "notes.pdf" in err
    assert "2024-07-01 12:00:00" in out
    assert "2024-07-02 12:00:00" not in out
    assert shlex.split(out.splitlines()[-1])[2] == str(tmp_path)


def test_of_rows_that_cannot_be_stored_the_last_sentence_says_what_to_do(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(lines(*ROWS, "2024-07-01 13:00,", "2024-07-01 13:15,1"))
    code, out, _ = called("load", path, "--preview")
    said = " ".join(out.split())
    assert code == 0
    assert "1 of the rows cannot be stored. The first: line 6: power (kW): no value; add --empty zero" in said
    assert "stores all rows once the invalid ones are corrected, or all others with --rejects FILE: pvsite-sql" in said


def test_standard_input_has_no_preview():
    code, _, err = called("load", "-", "--preview")
    assert code == 1
    assert "standard input" in err


@pytest.mark.parametrize("guide", ["README.md", "pvsite_sql/load/README.md"])
def test_the_guides_go_from_a_preview_to_the_command_that_it_prints(guide, tmp_path):
    (block,) = [block.text for block in blocks("bash", guide) if "--preview" in block.text]
    name, text = re.search(r"cat >(\S+) <<END\n(.*?)END\n", block, re.DOTALL).groups()
    (tmp_path / name).write_text(text)
    first, second = re.findall(r"^pvsite-sql (.*)$", block.replace("\\\n", ""), re.MULTILINE)
    code, out, err = called(*shlex.split(first), cwd=tmp_path)
    assert (code, err) == (0, "")
    if beside := re.findall(r"^# ?(.*)$", block, re.MULTILINE):
        assert out.splitlines() == beside
    printed = dict(options(out.splitlines()[-1].removeprefix("pvsite-sql ")))
    run = dict(options(second))
    filled_in = {"--site", "--dsn", *(() if "--timezone" in first else ("--timezone",))}
    assert {option for option in printed | run if printed.get(option) != run.get(option)} == filled_in


def options(command):
    """The options of a command, each with its value."""
    _, _, *arguments = shlex.split(command)
    return zip(arguments[::2], arguments[1::2], strict=True)
