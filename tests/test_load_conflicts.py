"""Rows of a load with the same site and start: refused if they differ, chosen or combined if that was asked for."""

from __future__ import annotations

import gzip
import subprocess
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import COMMAND, called, surroundings
from loading import counts, loaded, of_site, stored, written

from pvsite_sql import Duplicate, InvalidInput
from pvsite_sql.load import Layout, LoadResult, csv_files, load, parquet_files
from pvsite_sql.load.lines import Lines

FIRST = datetime(2024, 6, 1, tzinfo=UTC)
SECOND = FIRST + timedelta(days=1)
ADVICE = "; add --same-key first|last|mean|sum, or --on-conflict ignore|update"


@pytest.fixture(params=[1, 3, 100])
def rows_at_once(request, monkeypatch):
    """How many rows are read at once: where a file is cut must not matter."""
    monkeypatch.setattr(csv_files, "_BATCH_LINES", request.param)
    monkeypatch.setattr(parquet_files, "_BATCH_ROWS", request.param)
    return request.param


def june(*rows):
    """Rows of a file, from the day and the power."""
    return [(f"2024-06-{day:02}T00:00", power) for day, power in rows]


def of_june(repo):
    """What is stored, in the same way."""
    return [(start.day, power) for start, power, _ in stored(repo)]


def differ(file, line, power, other, where, start=FIRST):
    return f"{file}, {line}: {power} kW, but {where} has {other} kW for the same site and start, {start}{ADVICE}\n"


@pytest.mark.parametrize("options", [[], ["--each"], ["--rejects", "rejects.csv"]], ids=["plain", "each", "rejects"])
def test_rows_that_differ_end_the_load(repo, site, dsn, tmp_path, rows_at_once, options):
    file = written(tmp_path / "a.csv", of_site(site, june((1, 1), (2, 5), (1, 1.0), (2, 5.5), (1, 9))))
    # a row that was sent to the server before is known by its values alone
    where = "line 3" if rows_at_once == 100 else "another row"
    said = differ(file, "line 5", 5.5, 5.0, where, SECOND)
    assert loaded(dsn, file, *options, cwd=tmp_path) == (1, "", said)
    assert stored(repo) == []
    assert not (tmp_path / "rejects.csv").exists()


def test_rows_that_are_equal_are_skipped(repo, site, dsn, tmp_path, rows_at_once):
    rows = june((1, "1.5"), (2, "-0.0"), (1, "1.50"), (3, 7), (2, 0), (1, "15e-1"))
    file = written(tmp_path / "a.csv", of_site(site, rows))
    assert loaded(dsn, file) == (0, counts(inserted=3, skipped=3), "")
    assert of_june(repo) == [(1, 1.5), (2, 0.0), (3, 7.0)]
    assert loaded(dsn, file) == (0, counts(skipped=6), "")


def test_stored_readings_are_kept_and_the_summary_says_so(repo, site, dsn, tmp_path, rows_at_once):
    written(tmp_path / "a.csv", of_site(site, june((1, 1), (2, 2), (3, 3))))
    assert loaded(dsn, tmp_path / "a.csv") == (0, counts(inserted=3), "")
    file = written(tmp_path / "b.csv", of_site(site, june((1, 1), (2, 9), (3, 9), (4, 4), (3, 9))))
    told = "4 skipped (3 of them differ from what is stored; --on-conflict update takes them)"
    assert loaded(dsn, file) == (0, f"1 inserted, 0 updated, {told}, 0 rejected\n", "")
    assert of_june(repo) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert loaded(dsn, file, "--on-conflict", "update") == (0, counts(updated=2, skipped=3), "")
    assert of_june(repo) == [(1, 1.0), (2, 9.0), (3, 9.0), (4, 4.0)]


def test_rows_of_one_load_that_differ_are_told_where_another_one_is_stored(repo, site, dsn, tmp_path, rows_at_once):
    written(tmp_path / "a.csv", of_site(site, june((1, 1), (2, 2))))
    assert loaded(dsn, tmp_path / "a.csv") == (0, counts(inserted=2), "")
    for rows in ([(1, 1), (2, 2), (3, 3), (1, 9)], [(1, 9), (2, 2), (3, 3), (1, 1)], [(1, 8), (2, 7), (3, 6), (1, 5)]):
        file = written(tmp_path / "b.csv", of_site(site, june(*rows)))
        said = differ(file, "line 5", float(rows[3][1]), float(rows[0][1]), "line 2")
        assert loaded(dsn, file) == (1, "", said)
    assert of_june(repo) == [(1, 1.0), (2, 2.0)]


def test_a_day_of_periods_with_only_a_date(repo, site, dsn, tmp_path, rows_at_once):
    periods = [0, *range(47)]
    text = of_site(site, june(*((1, power) for power in periods))).replace("T00:00", "")
    file = written(tmp_path / "a.csv", text)
    where = "line 3" if rows_at_once == 1 else "line 2"
    midnight = "--dates-are-midnight"
    assert loaded(dsn, file, midnight) == (1, "", differ(file, "line 4", 1.0, 0.0, where))
    told = "47 skipped (46 of them differ from what is stored; --on-conflict update takes them)"
    assert loaded(dsn, file, midnight, "--same-key", "first") == (0, f"1 inserted, 0 updated, {told}, 0 rejected\n", "")
    assert of_june(repo) == [(1, 0.0)]


@pytest.mark.parametrize(
    ("same_key", "powers", "differing"),
    [("first", [1.0, 2.0], 2), ("last", [4.0, 2.0], 2), ("mean", [2.5, 2.0], 0), ("sum", [7.5, 6.0], 0)],
)
@pytest.mark.parametrize("on_conflict", [None, "update", "error"])
@pytest.mark.parametrize("rows_at_once", [2], indirect=True)
def test_what_is_stored_of_rows_with_one_key(
    repo, site, dsn, tmp_path, rows_at_once, same_key, powers, differing, on_conflict
):
    rows = june((1, 1), (2, 2), (1, 2.5), (2, 2), (1, 4), (2, 2))
    file = written(tmp_path / "a.csv", of_site(site, rows))
    options = ["--same-key", same_key, *(["--on-conflict", on_conflict] if on_conflict else [])]
    advice = {"advice": ""} if on_conflict == "update" else {}
    assert loaded(dsn, file, *options) == (0, counts(inserted=2, skipped=4, differing=differing, **advice), "")
    assert [power for _, power in of_june(repo)] == powers

    once_more = loaded(dsn, file, *options)
    if on_conflict == "error":
        assert once_more[0] == 1
        assert "already exists" in once_more[2]
        return
    assert once_more == (0, counts(skipped=6, differing=differing, **advice), "")

    doubled = written(tmp_path / "b.csv", of_site(site, [(time, 2 * power) for time, power in rows]))
    result = loaded(dsn, doubled, *options)
    if on_conflict == "update":
        assert result == (0, counts(updated=2, skipped=4, differing=differing, advice=""), "")
        assert [power for _, power in of_june(repo)] == [2 * power for power in powers]
    else:
        like_stored = sum(2 * power in powers[:1] for _, power in rows[::2]) + 3 * (4.0 in powers[1:])
        like_stored *= same_key in ("first", "last")
        assert result == (0, counts(skipped=6, differing=6 - like_stored), "")
        assert [power for _, power in of_june(repo)] == powers


def test_what_the_options_for_conflicts_meant_before(repo, site, dsn, tmp_path, rows_at_once):
    file = written(tmp_path / "a.csv", of_site(site, june((1, 1), (2, 2), (1, 3))))
    assert loaded(dsn, file, "--on-conflict", "ignore") == (0, counts(inserted=2, skipped=1, differing=1), "")
    assert of_june(repo) == [(1, 1.0), (2, 2.0)]
    expected = counts(updated=1, skipped=2, differing=1, advice="")
    assert loaded(dsn, file, "--on-conflict", "update") == (0, expected, "")
    assert of_june(repo) == [(1, 3.0), (2, 2.0)]
    repo.generation.delete([site.site_uuid])
    assert loaded(dsn, file, "--on-conflict", "error")[0] == 1
    assert stored(repo) == []


ENDS = (
    "site_uuid,start_utc,end_utc,power_kw\n"
    "{0},2024-06-01T00,{1},1\n{0},2024-06-02T00,2024-06-03T00,1\n{0},2024-06-01T00,{2},1\n"
)


@pytest.mark.parametrize("same_key", ["mean", "sum"])
def test_ends_that_differ(repo, site, dsn, tmp_path, rows_at_once, same_key):
    file = written(tmp_path / "a.csv", ENDS.format(site.site_uuid, "2024-06-02T00", "2024-06-01T12:00"))
    where = "line 2" if rows_at_once == 100 else "another row"
    said = "{}, line 4: 1.0 kW until 2024-06-01 12:00:00+00:00, but {} has 1.0 kW until 2024-06-02 00:00:00+00:00 "
    said += "for the same site and start, 2024-06-01 00:00:00+00:00{}\n"
    where = "another row" if rows_at_once == 1 else "line 2"
    assert loaded(dsn, file) == (1, "", said.format(file, where, ADVICE))
    advice = f"; --same-key {same_key} combines only rows with the same end"
    assert loaded(dsn, file, "--same-key", same_key) == (1, "", said.format(file, "line 2", advice))
    assert stored(repo) == []
    written(file, ENDS.format(site.site_uuid, "2024-06-02T00", "2024-06-02T01:00+01:00"))
    assert loaded(dsn, file, "--same-key", same_key) == (0, counts(inserted=2, skipped=1), "")


def test_rows_of_several_files(repo, site, dsn, tmp_path, rows_at_once):
    one = written(tmp_path / "1.csv", of_site(site, june((1, 1), (2, 2), (3, 3))))
    two = written(tmp_path / "2.csv.gz", gzip.compress(of_site(site, june((5, 5), (2, 9), (3, 9))).encode()))
    said = differ(two, "line 3", 9.0, 2.0, "another row", SECOND)
    assert loaded(dsn, one, two) == (1, "", said.replace("\n", " (no file was stored)\n"))
    assert stored(repo) == []
    each = (counts(inserted=3), counts(inserted=1, skipped=2, differing=2))
    told = f"{one}: {each[0]}{two}: {each[1]}{counts(inserted=4, skipped=2, differing=2)}"
    assert loaded(dsn, one, two, "--each") == (0, told, "")
    expected = [(1, 1.0), (2, 2.0), (3, 3.0), (5, 5.0)]
    assert of_june(repo) == expected
    # all of them are staged now, so that the line of both is known
    written(one, of_site(site, june((1, 1), (2, 2), (3, 4))))
    said = differ(two, "line 3", 9.0, 2.0, f"{one}, line 3,", SECOND)
    assert loaded(dsn, one, two) == (1, "", said.replace("\n", " (no file was stored)\n"))
    assert of_june(repo) == expected


def test_rows_of_parquet_are_named_by_number(site, dsn, tmp_path, rows_at_once):
    noon = FIRST + timedelta(hours=12)
    times = [noon, noon + timedelta(hours=1), noon]
    table = {"site_uuid": [str(site.site_uuid)] * 3, "start_utc": times, "power_kw": [1000.0, 1.0, 2.0]}
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table(table), file)
    where = "another row" if rows_at_once == 1 else "row 1"
    assert loaded(dsn, file, "--unit", "W") == (1, "", differ(file, "row 3", 0.002, 1.0, where, noon))


def test_lines_are_right_after_blank_and_rejected_rows(repo, site, dsn, tmp_path, rows_at_once):
    rows = [*june((1, 1)), ("never", 1), *june((2, 2)), ('"2024-06-03T00:00\n"', 3), *june((2, 4))]
    file = written(tmp_path / "a.csv", of_site(site, rows).replace("never", "\n\nnever"))
    text = file.read_text()
    assert text.splitlines()[-1].endswith("2024-06-02T00:00,4")
    line = f"line {len(text.splitlines())}"
    result = loaded(dsn, file, "--rejects", tmp_path / "r.csv", "--time-column", "start_utc")
    assert result[:2] == (1, "")
    assert result[2].startswith(f"{file}, {line}: 4.0 kW, but ")


def test_standard_input(site, dsn):
    text = of_site(site, june((1, 1), (2, 2), (1, 3)))
    command = [*COMMAND, "load", "--dsn", dsn, "-"]
    done = subprocess.run(command, input=text, text=True, capture_output=True, env=surroundings({}), check=False)
    said = differ("standard input", "line 4", 3.0, 1.0, "line 2")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_from_python(repo, site, tmp_path):
    file = written(tmp_path / "a.csv", of_site(site, june((1, 1), (2, 2), (1, 3))))
    with pytest.raises(InvalidInput, match=r"a\.csv, line 4: 3\.0 kW, but line 2 has 1\.0 kW"):
        load(repo, [file])
    with pytest.raises(InvalidInput) as caught:
        load(repo, [file], same_key="equal")
    assert caught.value.column == "same_key"
    with pytest.raises(Duplicate):
        load(repo, [file], on_conflict="error")
    result = load(repo, [file], Layout(), same_key="last", on_conflict="error")
    assert result == LoadResult(inserted=2, skipped=1, differing=1)
    assert of_june(repo) == [(1, 3.0), (2, 2.0)]


def test_options_that_cannot_be(dsn):
    code, out, err = called("load", "--dsn", dsn, "-", "--same-key", "median")
    assert (code, out) == (2, "")
    assert "'median' is not one of 'first', 'last', 'mean', 'sum'" in err


@pytest.mark.parametrize("numbers", [[7], [2, 3, 4], [2, 4, 5, 900, 901], [5, 1, 5, 1], [1, 2, 10**10]])
def test_lines_of_rows(numbers):
    lines = Lines()
    lines.add("first.csv", "line", np.arange(2, 9))
    lines.add("second.parquet", "row", np.array(numbers))
    assert [lines.place(0, row) for row in (0, 6)] == [("first.csv", "line 2"), ("first.csv", "line 8")]
    places = [lines.place(1, row) for row in range(len(numbers))]
    assert places == [("second.parquet", f"row {number}") for number in numbers]
