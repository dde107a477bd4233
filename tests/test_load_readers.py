"""The shapes of CSV files that portals and meters write, their encodings, archives and folders."""

from __future__ import annotations

import gzip
import os
import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from uuid import UUID

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading import counts, loaded, of_site, stored, written

from pvsite_sql.load import IgnoredFiles, Layout, csv_files, load
from pvsite_sql.load.files import batches, expand
from pvsite_sql.load.sniff import find_encoding

FILES = Path(__file__).parent / "files"
ANY = UUID(int=1)
TEN = datetime(2024, 6, 1, 10, tzinfo=UTC)
BOTH = [(TEN, 1.5, 15.0), (TEN + timedelta(minutes=15), -0.25, 15.0)]
TIME_POWER = ["--time-column", "Time", "--power-column", "Power"]
GERMAN = ["--separator", ";", "--decimal", ","]

SHAPES = {  # the options of each file, which has 1.5 kW from 10:00 and -0.25 kW from 10:15
    "separator_line.csv": [*GERMAN, "--time-column", "Zeit", "--power-column", "Leistung"],
    "preamble.csv": ["--time-column", "Time", "--power-column", "Power (kW)"],
    "preamble_like_rows.csv": ["--time-column", "1", "--power-column", "3", "--skip-lines", "1"],
    "same_names.csv": ["--time-column", "Time", "--power-column", "3"],
    "no_header.csv": ["--no-header", "--time-column", "2", "--power-column", "3"],
    "separators_at_ends.csv": [*TIME_POWER, "--separator", ";"],
    "separators_at_ends_of_rows.csv": [*TIME_POWER, "--separator", ";"],
    "separators_at_end_of_header.csv": [*TIME_POWER, "--separator", ";"],
    "units_and_totals.csv": [
        *TIME_POWER,
        *GERMAN,
        *("--time-format", "%d.%m.%Y %H:%M", "--skip-after-header", "1", "--skip-footer", "2"),
    ],
    "utf16.txt": [
        *("--separator", "tab", "--decimal", ",", "--time-column", "Datum"),
        *("--power-column", "Leistung Süd [kW]"),
    ],
    "utf16_big_endian_unmarked.csv": [*TIME_POWER, "--encoding", "utf-16-be"],
    "utf8_marked.csv": ["--time-column", "Time", "--power-column", "Leistung Süd", "--encoding", "latin-1"],
    "latin1.csv": [
        *(*GERMAN, "--encoding", "latin-1", "--time-column", "Zeit"),
        *("--power-column", "Leistung Süd"),
    ],
    "tabs.tsv": [*TIME_POWER, "--separator", "tab"],
}


@pytest.fixture
def options(site):
    return ["--site", site.site_uuid, "--interval", "15"]


@pytest.mark.parametrize("name", SHAPES)
def test_files_of_portals(repo, dsn, options, name):
    assert loaded(dsn, FILES / name, *options, *SHAPES[name]) == (0, counts(inserted=2), "")
    assert stored(repo) == BOTH


@pytest.mark.parametrize("name", SHAPES)
def test_rejected_rows_that_are_put_right_load_with_the_same_options(repo, dsn, options, tmp_path, name):
    """Also where the options skip lines or give columns by their numbers, and where there is no header."""
    given = [*options, *SHAPES[name]]
    encoding = {"utf16.txt": "utf-16-le", "utf16_big_endian_unmarked.csv": "utf-16-be"}.get(name, "latin-1")
    text = (FILES / name).read_bytes().decode(encoding)
    power = "-0,25" if "," in given else "-0.25"
    assert text.count(power) == 1
    file = written(tmp_path / name, text.replace(power, "none").encode(encoding))
    rejects = tmp_path / "rejects.csv"
    assert loaded(dsn, file, *given, "--rejects", rejects) == (0, counts(inserted=1, rejected=1), "")
    assert stored(repo) == BOTH[:1]
    encoding = encoding if encoding in given else "latin-1"  # the mark of the file is not the rejects'
    head, _, tail = rejects.read_bytes().decode(encoding).rpartition("none")
    written(rejects, (head + power + tail).encode(encoding))
    assert loaded(dsn, rejects, *given) == (0, counts(inserted=1), "")
    assert stored(repo) == BOTH


def test_rejects_tell_the_numbers_of_columns_that_are_given_by_them(dsn, options, tmp_path):
    file = written(tmp_path / "a.csv", "Time,Power,Power,Power\n2024-06-01 10:00,7,x,8\n")
    rejects = tmp_path / "rejects.csv"
    given = ["--time-column", "Time", "--power-column", "3"]
    assert loaded(dsn, file, *options, *given, "--rejects", rejects)[0] == 0
    said = "Power (column 3): not a number: 'x'"
    assert rejects.read_text() == f"file,line,reason,1:Time,3:Power (column 3)\n{file},2,{said},2024-06-01 10:00,x\n"
    wrong = ["--time-column", "Time", "--power-column", "2"]  # 2 is "line" in this file
    code, out, err = loaded(dsn, rejects, *options, *wrong)
    assert (code, out) == (1, "")
    assert err == f"{rejects} has no column 2: it has the columns of an earlier load\n"


NUMBERED = {  # a file with a bad cell, "none", and the options with numbers of its columns
    "several time columns": (
        "17,2024-06-01,10:00,1.5\n17,2024-06-01,10:15,none\n",
        [
            *("--no-header", "--time-column", "2", "--time-column", "3", "--time-format", "%Y-%m-%d %H:%M"),
            *("--power-column", "4"),
        ],
    ),
    "a column of ends": (
        "Ends,Power\n2024-06-01 10:15,1.5\n2024-06-01 10:30,none\n",
        ["--time-column", "Ends", "--label", "end", "--power-column", "2"],
    ),
    "a column of each site": (
        "State,Time,SITE\non,2024-06-01 10:00,1.5\non,2024-06-01 10:15,none\n",
        ["--wide", "--time-column", "2", "--power-column", "3"],
    ),
}


@pytest.mark.parametrize("case", NUMBERED)
def test_rejects_of_other_layouts_with_numbers(repo, site, dsn, tmp_path, case):
    text, given = NUMBERED[case]
    given = [*given, "--interval", "15", *([] if "--wide" in given else ["--site", site.site_uuid])]
    file = written(tmp_path / "a.csv", text.replace("SITE", str(site.site_uuid)))
    rejects = tmp_path / "rejects.csv"
    assert loaded(dsn, file, *given, "--rejects", rejects) == (0, counts(inserted=1, rejected=1), "")
    head, _, tail = rejects.read_text().rpartition("none")
    written(rejects, f"{head}-0.25{tail}")
    assert loaded(dsn, rejects, *given) == (0, counts(inserted=1), "")
    assert stored(repo) == BOTH


def test_rejects_of_parquet_with_numbers(repo, dsn, options, tmp_path):
    table = {"kWh": ["7", "7"], "Time": ["2024-06-01 10:00", "2024-06-01 10:15"], "kW": ["1.5", "none"]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    given = [*options, "--time-column", "2", "--power-column", "3", "--rejects"]
    rejects = tmp_path / "rejects.csv"
    assert loaded(dsn, tmp_path / "a.parquet", *given, rejects) == (0, counts(inserted=1, rejected=1), "")
    head, _, tail = rejects.read_text().rpartition("none")
    mended = written(tmp_path / "mended.csv", f"{head}-0.25{tail}")
    assert loaded(dsn, mended, *given, rejects) == (0, counts(inserted=1), "")
    assert stored(repo) == BOTH


def test_a_workbook_without_a_header(repo, dsn, options, tmp_path):
    workbook = openpyxl.Workbook()
    for row in (["Roof"], [TEN.replace(tzinfo=None), "on", 1.5], ["2024-06-01 10:15", "on", "none"], ["Total", 2]):
        workbook.active.append(row)
    workbook.save(tmp_path / "a.xlsx")
    given = [*options, "--time-column", "1", "--power-column", "3", "--skip-lines", "1", "--skip-footer", "1"]
    code, out, err = loaded(dsn, tmp_path / "a.xlsx", *given)
    assert (code, out) == (1, "")
    assert err.startswith(f"{tmp_path / 'a.xlsx'}, row 2: a reading instead of a header: '2024-06-01 10:00:00', 'on', ")
    rejects = tmp_path / "rejects.csv"
    given += ["--no-header", "--rejects"]
    assert loaded(dsn, tmp_path / "a.xlsx", *given, rejects) == (0, counts(inserted=1, rejected=1), "")
    head, _, tail = rejects.read_text().rpartition("none")
    mended = written(tmp_path / "mended.csv", f"{head}-0.25{tail}")
    assert loaded(dsn, mended, *given, rejects) == (0, counts(inserted=1), "")
    assert stored(repo) == BOTH


def test_rejects_that_the_encoding_does_not_have(dsn, options, tmp_path):
    """The mark says how to read the file, the option how to write the rejected rows."""
    file = written(tmp_path / "a.csv", "\ufeffTime,Power \u20ac\n2024-06-01 10:00,x\n")
    given = ["--time-column", "Time", "--power-column", "Power \u20ac", "--encoding", "latin-1"]
    code, out, err = loaded(dsn, file, *options, *given, "--rejects", tmp_path / "rejects.csv")
    assert (code, out) == (1, "")
    assert err.startswith("cannot write rejected rows: 'latin-1' codec can't encode character")


NAME_COLUMNS = "name its columns with --site-column (or --site), --time-column and --power-column"
REFUSED = {  # text, options and sentence behind the name of the file
    "a separator line of another separator": (
        "sep=;\nTime;Power\n",
        [],
        ", line 1: the separator is ';': use --separator ';'",
    ),
    "another separator": ("Time;Power\n", [], "; use --separator ';'"),
    "tabs": ("about\n\nTime\tPower\n2024-06-01\t1\n", [], "; use --separator tab"),
    "another separator, and columns twice": ("Time|Power|Power\n", [], "; use --separator '|'"),
    "another separator, and quotes": (
        'about us\n"Time";"Power"\n',
        [],
        " has an invalid header: ',' expected after '\"'; use --separator ';'",
    ),
    "numbers where there is no header": (
        "2024-06-01 00:00,1.5\n",
        ["--time-column", "1", "--power-column", "2"],
        (
            ", line 1: a reading instead of a header: '2024-06-01 00:00', '1.5'; use --no-header, or --skip-lines if "
            "the header comes later"
        ),
    ),
    "numbers that other lines have, too": (
        "about,us\nTime,Power\n2024-06-01 00:00,1.5\n",
        ["--time-column", "1", "--power-column", "2"],
        ", line 2: about: not a time: 'Time' (a line of units? use --skip-after-header 1; a header? use --skip-lines)",
    ),
    "no header": (
        "2024-06-01 10:00,1.5\n",
        [],
        "'2024-06-01 10:00', '1.5'; if the file has no header, use --no-header and the numbers of the columns",
    ),
    "other names": (
        "about\nDate,kW\n",
        [],
        f" has no column 'Time'; its header is 'Date', 'kW' (line 2); {NAME_COLUMNS}",
    ),
    "a header far below": ("about\n" * 100 + "Time,Power\n", [], "or use --skip-lines, if it comes on another line"),
    "a header elsewhere": ("about\nTime,Power\n", ["--skip-lines", "2"], " is empty: a header line is required"),
    "a header above": (
        "Time,Power\n2024-06-01 00:00,x\n",
        ["--skip-lines", "1"],
        f"its header is '2024-06-01 00:00', 'x'; {NAME_COLUMNS}, or use --skip-lines, if it comes on another line",
    ),
    "more lines to skip than there are": (
        "Time,Power\n",
        ["--skip-lines", "2"],
        " ends at line 1: --skip-lines 2 skips all of it",
    ),
    "a quote before the header": (
        'about "us"\n"it" is\nTime,Power\n',
        [],
        " has an invalid header: ',' expected after '\"'; if it is not the header, use --skip-lines",
    ),
    "UTF-16": (
        "Time,Power\n".encode("utf-16-le"),
        [],
        " is encoded in UTF-16: use --encoding utf-16-le",
    ),
    "a header in Latin-1": (
        "Süd,Time\n".encode("latin-1"),
        [],
        "; it is not encoded in utf-8: use --encoding latin-1",
    ),
    "another encoding": (
        "Time,Power\n2024-06-01 00:00,1 \u20ac\n".encode("cp1252"),
        ["--encoding", "ascii"],
        "; use --encoding cp1252",
    ),
    "too few fields without a header": (
        "2024-06-01\n",
        ["--no-header", "--time-column", "1", "--power-column", "2"],
        ", line 1: has only 1 field; if other lines come first, use --skip-lines",
    ),
    "another separator without a header": (
        "2024-06-01 00:00;1\n",
        ["--no-header", "--time-column", "1", "--power-column", "2"],
        "; use --separator ';'",
    ),
    "nothing without a header": (
        "\n\n",
        ["--no-header", "--time-column", "1", "--power-column", "2"],
        " is empty",
    ),
    "units": (
        "Time,Power\n\nUTC,kW\n2024-06-01 00:00,1\n",
        [],
        ", line 3: Time: not a time: 'UTC' (a line of units? use --skip-after-header 1)",
    ),
    "units of values alone": (
        "Time,Power\n,[kW]\n2024-06-01 00:00,1\n",
        [],
        ", line 2: Time: no value (a line of units? use --skip-after-header 1)",
    ),
    "units and what else": (
        "Time,Power\n-,kW\n-,mean\n2024-06-01 00:00,1\n",
        [],
        ", line 2: Time: not a time: '-' (a line of units? use --skip-after-header 2)",
    ),
    "units that follow one line": (
        "Time,Power\nlocal,AC\n-,kW\n2024-06-01 00:00,1\n",
        ["--skip-after-header", "1"],
        ", line 3: Time: not a time: '-' (a line of units? use --skip-after-header 2)",
    ),
    "a header that is not there": (
        "Time,Power\n2024-06-01 00:00,1\n",
        ["--no-header", "--time-column", "1", "--power-column", "2"],
        ", line 1: column 1: not a time: 'Time' (not a reading? use --skip-lines 1)",
    ),
    "totals": (
        "Time,Power\n2024-06-01 00:00,1\nTotal,1\n\n",
        [],
        ", line 3: Time: not a time: 'Total' (a line of totals? use --skip-footer 1)",
    ),
    "totals with a field": (
        "Time,Power,State\n2024-06-01 00:00,1,on\n\nTotal,1\nMean,1\n",
        [],
        ", line 4: 2 fields, but the header has 3: 'Total,1' (a line of totals? use --skip-footer 2)",
    ),
    "more totals": (
        "Time,Power\n2024-06-01 00:00,1\nTotal,1\n,2\n",
        ["--skip-footer", "1"],
        ", line 3: Time: not a time: 'Total' (a line of totals? use --skip-footer 2)",
    ),
    "a text in the middle": (
        "Time,Power\n2024-06-01 00:00,1\nTotal,1\n2024-06-02 00:00,1\n",
        [],
        ", line 3: Time: not a time: 'Total'",
    ),
    "a power that is none at the end": (
        "Time,Power\n2024-06-01 00:00,1\n2024-06-02 00:00,x\n",
        [],
        ", line 3: Power: not a number: 'x'",
    ),
    "a cut line": (
        "Time,Power,State\n2024-06-01 00:00,1,on\n2024-06\n",
        [],
        ", line 3: 1 field, but the header has 3: '2024-06'",
    ),
    "fields too many": (
        "Time,Power\n2024-06-01 00:00,1,,0\n",
        [],
        ", line 2: 4 fields, but the header has 2: '2024-06-01 00:00,1,,0'",
    ),
    "more fields than the first row": (
        "2024-06-01 00:00,1\n2024-06-02 00:00,1,0\n",
        ["--no-header", "--time-column", "1", "--power-column", "2"],
        ", line 2: 3 fields, but the first row has 2: '2024-06-02 00:00,1,0'",
    ),
    "a cell in another encoding": (
        "Time,Power\n2024-06-01 00:00,1\xa0000\n".encode("latin-1"),
        [],
        ", line 2: Power: not a number: '1\\udca0000' (not utf-8: use --encoding latin-1)",
    ),
}


def test_refusals_say_what_to_add(repo, dsn, options, tmp_path, subtests):
    for case, (text, given, said) in REFUSED.items():
        with subtests.test(case):
            file = written(tmp_path / "a.csv", text)
            columns = [] if "--time-column" in given else TIME_POWER
            code, out, err = loaded(dsn, file, *options, *columns, *given)
            assert (code, out) == (1, "")
            assert err.startswith(str(file))
            assert err.endswith(f"{said}\n")
            assert len(err.splitlines()) == 1
    assert stored(repo) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--skip-lines", "-1"], "--skip-lines: must not be negative, got -1"),
        (["--encoding", "hex"], "--encoding: unknown encoding 'hex'"),
        (["--skip-footer", "-1"], "--skip-footer: must not be negative, got -1"),
        (["--no-header"], "--time-column: must be the number of a column, from 1, because there is no header"),
        (
            ["--no-header", "--time-column", "1"],
            "--power-column: must be the number of a column, from 1, because there is no header",
        ),
        (
            ["--no-header", "--time-column", "1", "--power-column", "2", "--end-column", "end"],
            "--end-column: must be the number of a column, from 1, because there is no header",
        ),
        (
            ["--no-header", "--time-column", "1", "--power-column", "2", "--skip-after-header", "1"],
            "--skip-after-header: there is no header; use --skip-lines",
        ),
    ],
)
def test_options_that_cannot_be(dsn, options, given, said):
    assert loaded(dsn, "-", *options, *given) == (2, "", f"{said}\n")


def test_without_a_header_the_sites_have_a_number_too(repo, site, dsn, tmp_path):
    file = written(tmp_path / "a.csv", f"2024-06-01 00:00,{site.site_uuid},1\n")
    given = ["--no-header", "--time-column", "1", "--power-column", "3"]
    said = "--site-column: must be the number of a column, from 1, because there is no header\n"
    assert loaded(dsn, file, *given) == (2, "", said)
    assert loaded(dsn, file, *given, "--site-column", "2") == (0, counts(inserted=1), "")


def test_a_wide_file_needs_a_header(dsn):
    given = ["--wide", "--no-header", "--time-column", "1"]
    assert loaded(dsn, "-", *given) == (2, "", "--wide: not without a header, which names the sites\n")


def cells_of(file, layout):
    """Lines and powers of the rows, and the lines of unreadable ones."""
    rows, unreadable = [], []
    for batch in batches(str(file), layout):
        rows += zip(batch.numbers.tolist(), batch.cells["power_kw"], strict=True)
        unreadable += [number for number, _ in batch.unreadable]
    return rows, unreadable


HEAD = "about,this\n\nTime,Power\n"


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 4, 9])
def test_a_footer_is_left_out_whatever_the_batches_are(tmp_path, monkeypatch, size, count):
    """Blank lines do not count, lines with other numbers of fields do."""
    monkeypatch.setattr(csv_files, "_BATCH_LINES", size)
    text = f'{HEAD}t,1\nt,2\n\nt,"3\n"\nmean\nt,4\n\n,,\n'
    file = written(tmp_path / "a.csv", text)
    everything = [(4, "1"), (5, "2"), (7, "3\n"), (9, None), (10, "4")]
    kept = everything[: max(0, len(everything) - count)]
    rows, unreadable = cells_of(
        file, Layout(site_uuid=ANY, time_column="Time", power_column="Power", skip_footer=count)
    )
    assert rows == [row for row in kept if row[1] is not None]
    assert unreadable == [number for number, power in kept if power is None]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_empty_fields_at_the_end_are_none(tmp_path, monkeypatch, size):
    """Those of a row, those of the header, more of them, and not in every row."""
    monkeypatch.setattr(csv_files, "_BATCH_LINES", size)
    rows = ["t,1", "t,2,", "t,3,,", "t,4, ,  ", "t,5,,x", ",,,", "t", "t,,"]
    layout = Layout(site_uuid=ANY, time_column="Time", power_column="Power")
    file = written(tmp_path / "a.csv", "Time,Power\n" + "".join(f"{row}\n" for row in rows))
    assert cells_of(file, layout) == ([(2, "1"), (3, "2"), (4, "3"), (5, "4"), (9, "")], [6, 8])
    written(file, "Time,Power,,\n" + "".join(f"{row}\n" for row in rows))
    assert cells_of(file, layout) == ([(2, "1"), (3, "2"), (4, "3"), (5, "4"), (6, "5"), (9, "")], [8])


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (b"", "utf-8"),
        (b"Time,Power\n", "utf-8"),
        ("S\u00fcd".encode(), "utf-8"),
        ("S\u00fc".encode()[:-1], "utf-8"),  # the end of a part
        ("\ufeffTime".encode(), "utf-8-sig"),
        ("Time;S\u00fcd".encode("utf-16"), "utf-16"),
        (b"\xfe\xff" + "Time".encode("utf-16-be"), "utf-16"),
        ("Time".encode("utf-32"), "utf-32"),
        ("Time;S\u00fcd".encode("utf-16-le"), "utf-16-le"),
        ("Time;S\u00fcd".encode("utf-16-be"), "utf-16-be"),
        ("S\u00fcd".encode("latin-1"), "latin-1"),
        ("12 \u20ac S\u00fcd".encode("cp1252"), "cp1252"),
        ("S\u00fcd".encode("cp850"), "cp850"),
    ],
)
def test_encodings_that_are_found(text, encoding):
    assert find_encoding(text) == encoding


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_an_archive_of_files(repo, dsn, options):
    note = f"{FILES / 'two_days.zip'}: ignored export/legend.pdf, which load does not read\n"
    assert loaded(dsn, FILES / "two_days.zip", *options, *TIME_POWER) == (0, counts(inserted=2), note)
    assert stored(repo) == [(TEN, 1.5, 15.0), (TEN + timedelta(days=1), 2.5, 15.0)]


def test_bad_rows_of_an_archive_name_the_member(repo, dsn, options, tmp_path):
    good, bad = "Time,Power\n2024-06-01 00:00,1\n", "Time,Power\nx,1\n2024-06-02 00:00,1\n"
    file = zipped(tmp_path / "a.zip", {"b/2.csv": bad, "b/1.csv": good})
    code, out, err = loaded(dsn, file, *options, *TIME_POWER)
    assert (code, out) == (1, "")
    assert err.startswith(f"{file}/b/2.csv, line 2: Time: not a time: 'x'")
    rejects = tmp_path / "rejects.csv"
    result = loaded(dsn, file, *options, *TIME_POWER, "--rejects", rejects)
    assert result == (0, counts(inserted=2, rejected=1), "")
    assert rejects.read_text().splitlines()[1].startswith(f"{file}/b/2.csv,2,")


def test_one_file_of_an_archive(repo, dsn, options, tmp_path):
    file = zipped(tmp_path / "a.zip", {"README.txt": "about", "b/1.csv": "Time,Power\n2024-06-01 00:00,1\n"})
    code, out, err = loaded(dsn, file, *options, *TIME_POWER)
    assert (code, out) == (1, "")
    assert err.startswith(f"{file}/README.txt has no column 'Time'")
    assert loaded(dsn, f"{file}/b/1.csv", *options, *TIME_POWER) == (0, counts(inserted=1), "")
    said = f"no such file: {file} contains no b/2.csv\n"
    assert loaded(dsn, f"{file}/b/2.csv", *options, *TIME_POWER) == (1, "", said)


def test_rejects_are_not_written_into_the_archive_that_is_loaded(dsn, options, tmp_path):
    file = zipped(tmp_path / "a.zip", {"1.csv": "Time,Power\nx,1\n"})
    before = file.read_bytes()
    for name in (file, f"{file}/1.csv"):
        code, out, err = loaded(dsn, name, *options, *TIME_POWER, "--rejects", file)
        assert (code, out) == (1, "")
        assert "it is one of the loaded files" in err
    assert file.read_bytes() == before


def encrypted(path):
    """An archive that says that its member is encrypted."""
    text = bytearray(zipped(path, {"1.csv": "Time,Power\n"}).read_bytes())
    text[6] |= 1
    text[text.index(b"PK\x01\x02") + 8] |= 1
    return written(path, bytes(text))


def of_another_method(path):
    text = bytearray(zipped(path, {"1.csv": "Time,Power\n"}).read_bytes())
    text[8] = text[text.index(b"PK\x01\x02") + 10] = 9  # Deflate64, of large archives from Windows
    return written(path, bytes(text))


def twice(path):
    text = zipped(path, {"1.csv": "Time,Power\n", "2.csv": "Time,Power\n"}).read_bytes()
    return written(path, text.replace(b"2.csv", b"1.csv"))


ARCHIVES = {
    "encrypted": (encrypted, "/1.csv is encrypted: extract it first"),
    "of another method": (of_another_method, "/1.csv has a compression that is not supported: extract it first"),
    "of one name twice": (twice, " contains several files of one name: extract it first"),
    "empty": (lambda path: zipped(path, {}), " contains no files that end with .csv, .txt, .tsv, .json, .jsonl"),
    "of others": (
        lambda path: zipped(path, {"__MACOSX/._1.csv": "", ".1.csv": "", "a.pdf": ""}),
        " contains no files that end with .csv, .txt, .tsv, .json, .jsonl",
    ),
    "cut": (
        lambda path: written(path, zipped(path, {"1.csv": "Time,Power\n"}).read_bytes()[:-9]),
        " cannot be read: File is not a zip file",
    ),
    "in an archive": (
        lambda path: zipped(path, {"1.csv": zipped(path, {"1.csv": ""}).read_bytes()}),
        "/1.csv is an archive in an archive, or an Excel file: extract it first",
    ),
}


def test_archives_that_cannot_be_loaded(dsn, options, tmp_path, subtests):
    for kind, (make, said) in ARCHIVES.items():
        with subtests.test(kind):
            file = make(tmp_path / "a.zip")
            code, out, err = loaded(dsn, file, *options, *TIME_POWER)
            assert (code, out) == (1, "")
            assert err.startswith(f"{file}{said}")
            assert len(err.splitlines()) == 1


def test_an_archive_counts_its_bytes_and_reads_gzipped_members(repo, site, tmp_path):
    rows = [(f"2024-06-01 {hour:02}:{minute:02}", 1) for hour in range(24) for minute in range(0, 60, 5)]
    text = of_site(site, rows).encode()
    file = zipped(tmp_path / "a.zip", {"1.csv": text, "2.csv.gz": gzip.compress(text), "3.txt": text})
    seen = []
    assert load(repo, [file], progress=seen.append).inserted == len(rows)
    assert [at.rows for at in seen] == [len(rows), 2 * len(rows), 3 * len(rows)]
    assert 0 < seen[0].bytes_read < seen[1].bytes_read < seen[2].bytes_read <= seen[2].bytes_all
    assert seen[2].bytes_all == file.stat().st_size


def test_times_that_clocks_show_twice_are_each_members_own(repo, site, dsn, tmp_path):
    """Two inverters of one site in two files: neither is the other's second hour."""
    text = "Time,Power\n2024-10-27 01:30,1\n"
    file = zipped(tmp_path / "a.zip", {"1.csv": text, "2.csv": text})
    given = [*TIME_POWER, "--site", site.site_uuid, "--timezone", "Europe/London", "--ambiguous", "order"]
    assert loaded(dsn, file, *given) == (0, counts(inserted=1, skipped=1), "")


def test_what_a_folder_has_besides_is_named(repo, dsn, options, tmp_path):
    folder = tmp_path / "data"
    (folder / "old").mkdir(parents=True)
    shutil.copy(FILES / "two_days.zip", folder)
    written(folder / "a.TXT", "Time,Power\n2024-06-03 00:00,3\n")
    written(folder / "b.tsv", "Time,Power\n2024-06-04 00:00,4\n")
    for name in ("notes.md", ".hidden", "plan.docx", "r.png", "s.png", "t.png"):
        written(folder / name, "")
    notes = f"{folder}: ignored notes.md, old/, plan.docx, r.png, s.png and 1 more, which load does not read\n"
    notes += f"{folder / 'two_days.zip'}: ignored export/legend.pdf, which load does not read\n"
    assert loaded(dsn, folder, *options, *TIME_POWER) == (0, counts(inserted=4), notes)
    with pytest.warns(IgnoredFiles) as warned:
        assert expand([folder]) == [str(folder / name) for name in ("a.TXT", "b.tsv", "two_days.zip")]
    assert [f"{each.message}\n" for each in warned] == notes.splitlines(keepends=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize(("kind", "head"), [("zip archive or Excel file", b"PK\3\4"), ("Parquet file", b"PAR1")])
def test_archives_and_parquet_cannot_come_from_a_pipe(dsn, options, tmp_path, kind, head):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_bytes, args=[head])
    writer.start()
    said = f"{pipe} must be CSV or JSON: a {kind} cannot be read sequentially\n"
    assert loaded(dsn, pipe, *options, *TIME_POWER) == (1, "", said)
    writer.join()
