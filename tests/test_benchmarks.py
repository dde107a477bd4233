"""The report of the benchmarks, from made-up figures: a mark counts where both servers meet it."""

from __future__ import annotations

import importlib
import sys

import pytest
from guides import CHECKOUT, README, section, table

BENCHMARKS = CHECKOUT / "tests" / "benchmarks"
MODULES = ("bench", "data", "peers", "report", "readme")


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name)


def _bench(modules, name, figures=()):
    made = modules["bench"].Bench(None, name, True, False, None, {}, took={"insert": 60.0}, settings={"jit": "on"})
    made.figures += figures
    return made


def _figure(modules, ours, theirs, mark, work="reading", measure="rows/s against psql", **options):
    sides = modules["bench"].Sides(ours, theirs, "rows/s")
    made = _bench(modules, "")
    made.compare(work, measure, mark, sides, **options)
    return made.figures[0]


def _marks(text):
    marks = text.partition("## The marks")[2].partition("\n## ")[0]
    return table(marks), marks


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([20.0, 30.0, 40.0], [20.0, 20.0, 20.0], "met"),
        ([30.0] * 3, [10.0] * 3, "**missed**"),
        ([10.0] * 3, [30.0] * 3, "**missed**"),
    ],
)
def test_a_mark_is_met_where_both_servers_meet_it(modules, first, second, verdict):
    benches = [
        _bench(modules, name, [_figure(modules, ours, [10.0] * 3, mark=2)])
        for name, ours in (("18, embedded", first), ("15, this machine's", second))
    ]
    ((work, _, mark, on_first, on_second, said),), text = _marks(modules["report"].markdown(benches, 0.0, ""))
    assert (work, mark, said) == ("reading", "≥ 2", verdict)
    assert on_first.startswith("**") == (sum(first) < 60)
    assert on_second.startswith("**") == (sum(second) < 60)
    assert f"{int(verdict == 'met')} of 1 are" in text


def test_times_are_at_most_and_what_is_faster_is_the_inverse(modules):
    slower = _figure(modules, [3.0], [2.0], mark=1.3, at_most=True)
    faster = _figure(modules, [2.0], [60.0], mark=30, inverse=True)
    assert (slower.values, slower.met) == ([1.5], False)
    assert (faster.values, faster.met) == ([30.0], True)


def test_what_cannot_be_measured_is_missed(modules):
    absent = modules["bench"].Figure("tidying", "pages", 2, [], at_most=True, detail="no command `tidy`")
    text = modules["report"].markdown([_bench(modules, "18, embedded", [absent])], 0.0, "")
    ((*_, measured, said),), _ = _marks(text)
    assert (measured, said) == ("**not available**", "**missed**")
    assert "no command `tidy`" in text


def test_without_a_postgresql_of_the_machine_the_report_says_so_and_has_one_column(modules):
    bench = _bench(modules, "18, embedded", [_figure(modules, [1.0], [1.0], mark=1)])
    text = modules["report"].markdown([bench], 0.0, "this machine has no PostgreSQL 15 or newer")
    (row,), marks = _marks(text)
    assert len(row) == 5
    assert "this machine has no PostgreSQL 15 or newer" in marks
    assert "- **No second server**: this machine has no PostgreSQL 15 or newer" in text


def test_the_table_of_the_readme_is_written_between_its_heading_and_its_picture(modules, tmp_path):
    rows = modules["readme"].ROWS
    figures = [
        _figure(modules, [2000.0 + n], [1000.0], 1, f"{work} etc.", f"{measure} etc.")
        for n, (work, measure, *_) in enumerate(rows)
    ]
    file = tmp_path / "README.md"
    file.write_text(README, encoding="utf-8")
    modules["readme"].write([_bench(modules, name, figures) for name in ("18, embedded", "15, this machine's")], file)
    written = file.read_text(encoding="utf-8")
    before, _, after = README.partition(section("README.md", "Speed"))
    assert written.startswith(before)
    assert written.endswith(after)
    found = table(written.removeprefix(before).removesuffix(after))
    assert [row[0] for row in found] == [title for *_, title, _ in rows]
    assert found[1][1:] == ["2,001 rows/s", "1,000 rows/s of pvsite-datamodel 1.0.6", "2.00", "2.00"]
