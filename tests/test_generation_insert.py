"""What becomes of the rows that `generation.insert` is given: counts, table, transactions."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import Any, NamedTuple, get_args
from uuid import UUID

import numpy as np
import pandas as pd
import psycopg
import pytest
from conftest import reading_frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvsite_sql import Duplicate, InsertResult, InvalidInput, MissingReference, Repository, Transaction
from pvsite_sql.generation import SameKey

FIVE = timedelta(minutes=5)
FIRST = datetime(2024, 5, 31, 23, 45, tzinfo=UTC)  # tick 3 begins a month
MODES = ("ignore", "update", "error")


class Row(NamedTuple):
    """A reading: a site's number, its start in steps of five minutes, its power, and how many steps it lasts."""

    site: int
    tick: int
    power: float
    lasts: int = 1


Table = dict[tuple[int, int], Row]


class World:
    """Two sites and what is stored of them."""

    def __init__(self, repo: Repository | Transaction, dsn: str, sites: list[UUID] | None = None) -> None:
        self.repo = repo
        self.dsn = dsn
        self.sites = sites or [repo.sites.create().site_uuid for _ in range(2)]

    def frame(self, rows: Iterable[Row]) -> pd.DataFrame:
        rows = list(rows)
        return pd.DataFrame(
            {
                "site_uuid": np.array([self.sites[row.site] for row in rows], object),
                "start_utc": pd.DatetimeIndex([FIRST + row.tick * FIVE for row in rows], tz="UTC"),
                "end_utc": pd.DatetimeIndex([FIRST + (row.tick + row.lasts) * FIVE for row in rows], tz="UTC"),
                "power_kw": np.array([row.power for row in rows], float),
            }
        )

    def insert(self, rows: Sequence[Row], cuts: Iterable[int] | None = None, **options: Any) -> InsertResult:
        """One frame, or with cuts an iterator of frames."""
        if cuts is None:
            return self.repo.generation.insert(self.frame(rows), **options)
        edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
        return self.repo.generation.insert((self.frame(rows[a:b]) for a, b in pairwise(edges)), **options)

    def table(self) -> Table:
        keys = {uuid: number for number, uuid in enumerate(self.sites)}
        rows = [
            Row(
                keys[r.site_uuid],
                (r.start_utc - FIRST) // FIVE,
                r.generation_power_kw,
                (r.end_utc - r.start_utc) // FIVE,
            )
            for r in self.repo.generation.read()
        ]
        return {row[:2]: row for row in rows}

    def created(self) -> dict[tuple[int, int], datetime]:
        return dict(zip(self.table(), (r.created_utc for r in self.repo.generation.read()), strict=True))

    def empty(self, stored: Sequence[Row] = ()) -> None:
        with psycopg.connect(self.dsn) as connection:
            connection.execute("DELETE FROM generation")
        self.insert(stored)


@pytest.fixture
def world(repo, dsn):
    return World(repo, dsn)


def expected(table: Table, rows: Sequence[Row], mode: str) -> tuple[InsertResult, Table] | None:
    """What the design says; None for a duplicate."""
    given: Table = {}
    for row in rows:
        if mode == "update" or row[:2] not in given:
            given[row[:2]] = row
    new = {key: row for key, row in given.items() if key not in table}
    if mode == "error":
        return (InsertResult(inserted=len(rows)), table | new) if len(new) == len(rows) else None
    changed = {key: row for key, row in given.items() if mode == "update" and table.get(key, row) != row}
    table = table | new | changed
    return InsertResult(
        inserted=len(new),
        updated=len(changed),
        skipped=len(rows) - len(new) - len(changed),
        differing=sum(row != table[row[:2]] for row in rows),
    ), table


STORED = [Row(0, 0, 1.0), Row(0, 1, 1.0), Row(1, 3, 1.0)]


@pytest.mark.parametrize(
    ("rows", "ignore", "update", "error"),
    [
        pytest.param([Row(0, 2, 5.0), Row(1, 2, 5.0)], (2, 0, 0), (2, 0, 0), (2, 0, 0), id="new"),
        pytest.param(STORED, (0, 0, 3), (0, 0, 3), None, id="equal"),
        pytest.param([Row(0, 0, 5.0), Row(1, 3, 5.0)], (0, 0, 2), (0, 2, 0), None, id="another power"),
        pytest.param([Row(0, 0, 1.0, 2)], (0, 0, 1), (0, 1, 0), None, id="another end"),
        pytest.param([Row(0, 4, 5.0), Row(0, 4, 6.0), Row(0, 4, 7.0)], (1, 0, 2), (1, 0, 2), None, id="repeated"),
        pytest.param([Row(0, 0, 5.0), Row(0, 0, 1.0)], (0, 0, 2), (0, 0, 2), None, id="stored, changed and back"),
        pytest.param([Row(0, 0, 1.0), Row(0, 0, 5.0)], (0, 0, 2), (0, 1, 1), None, id="stored, equal and changed"),
        pytest.param([Row(0, 0, 5.0), Row(1, 0, 5.0), Row(0, 1, 1.0)], (1, 0, 2), (1, 1, 1), None, id="of all kinds"),
        pytest.param([Row(1, 3, 0.0), Row(1, 4, -0.5)], (1, 0, 1), (1, 1, 0), None, id="over a month's end"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_counts_and_table(world, rows, ignore, update, error, mode):
    world.insert(STORED)
    before, created = world.table(), world.created()
    counts = {"ignore": ignore, "update": update, "error": error}[mode]
    if counts is None:
        with pytest.raises(Duplicate) as caught:
            world.insert(rows, on_conflict=mode)
        assert caught.value.constraint_name == "generation_pkey"
        assert world.table() == before
    else:
        result, table = expected(before, rows, mode)
        assert (result.inserted, result.updated, result.skipped) == counts
        assert world.insert(rows, on_conflict=mode) == result
        assert world.table() == table
    after = world.table()
    for key, at in world.created().items():
        if before.get(key) == after[key]:
            assert at == created[key]
        else:
            assert at > max(created.values())


ROWS = [Row(0, 0, 2.0), Row(0, 4, 1.0), Row(0, 0, 1.0), Row(1, 4, 3.0), Row(0, 4, 2.0), Row(0, 1, 4.0)]


@pytest.mark.parametrize("mode", MODES)
def test_where_the_frames_are_cut_makes_no_difference(world, mode):
    whole = expected({row[:2]: row for row in STORED}, ROWS, mode)
    for chosen in [None, (3, 3), *product((False, True), repeat=len(ROWS) - 1)]:  # (3, 3): an empty frame between
        world.empty(STORED)
        created = world.created()
        cuts = chosen if chosen in (None, (3, 3)) else [n for n, cut in enumerate(chosen, start=1) if cut]
        if whole is None:
            with pytest.raises(Duplicate):
                world.insert(ROWS, cuts, on_conflict=mode)
            assert world.created() == created
            continue
        result, table = whole
        assert world.insert(ROWS, cuts, on_conflict=mode) == result, cuts
        assert world.table() == table, cuts
        kept = {key for key, at in world.created().items() if created.get(key) == at}
        assert kept == {row[:2] for row in STORED if table[row[:2]] == row}, cuts


def test_new_rows_in_several_frames_with_error(world):
    rows = [Row(site, tick, 1.0) for tick in range(6) for site in range(2)]
    assert world.insert(rows, [2, 4, 4, 9], on_conflict="error") == InsertResult(inserted=12)
    assert sorted(world.table().values()) == sorted(rows)


def combined(rows: Sequence[Row], same_key: str) -> list[Row] | None:
    """One row for each key; None if the rule refuses the rows."""
    found = []
    for key in dict.fromkeys(row[:2] for row in rows):
        of_key = [row for row in rows if row[:2] == key]
        first, last, total = of_key[0], of_key[-1], sum(row.power for row in of_key)
        if same_key in ("mean", "sum"):
            if len({row.lasts for row in of_key}) > 1:
                return None
            first = first._replace(power=total if same_key == "sum" else total / len(of_key))
        elif same_key == "equal" and len(set(of_key)) > 1:
            return None
        found.append(last if same_key == "last" else first)
    return found


def expected_of_same_keys(
    table: Table, rows: Sequence[Row], mode: str, same_key: str
) -> tuple[InsertResult, Table] | None:
    """The same where rows of one key are chosen or combined before they are compared with the stored ones."""
    chosen = combined(rows, same_key)
    outcome = None if chosen is None else expected(table, chosen, mode)
    if chosen is None or outcome is None:
        return None
    written, after = outcome
    skipped = len(rows) - written.inserted - written.updated
    as_stored = {row[:2]: row for row in chosen} if same_key in ("mean", "sum") else {}
    differing = sum(as_stored.get(row[:2], row) != after[row[:2]] for row in rows)
    return written.model_copy(update={"skipped": skipped, "differing": differing}), after


ANY_ROW = st.builds(
    Row, st.integers(0, 1), st.integers(0, 5), st.sampled_from([-1.0, 0.0, 2.5]), st.sampled_from([1, 1, 1, 2])
)
ANY_CALL = st.tuples(
    st.sampled_from(MODES),
    st.sampled_from([None, None, None, *get_args(SameKey)]),
    st.lists(ANY_ROW, max_size=9),
    st.none() | st.lists(st.integers(0, 9), max_size=4),
)


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(ANY_CALL, min_size=1, max_size=4))
def test_any_calls_do_what_the_model_does(world, calls):
    world.empty()
    table: Table = {}
    for mode, same_key, rows, cuts in calls:
        options = {"on_conflict": mode, "same_key": same_key}
        outcome = expected_of_same_keys(table, rows, mode, same_key) if same_key else expected(table, rows, mode)
        if outcome is None:
            refusals = (Duplicate,) if same_key is None else (Duplicate, InvalidInput)
            with pytest.raises(refusals):
                world.insert(rows, cuts, **options)
        else:
            result, table = outcome
            assert world.insert(rows, cuts, **options) == result
        assert world.table() == table


REPEATED = [Row(0, 0, 2.0), Row(0, 4, 1.0), Row(0, 0, 3.0), Row(1, 4, 3.0), Row(0, 4, 1.0), Row(0, 1, 4.0)]
EQUAL = [row if row.power != 3.0 or row.site else Row(0, 0, 2.0) for row in REPEATED]


@pytest.mark.parametrize("rows", [REPEATED, EQUAL], ids=["repeated", "equal"])
@pytest.mark.parametrize("same_key", get_args(SameKey))
@pytest.mark.parametrize("mode", MODES)
def test_same_keys_wherever_the_frames_are_cut(world, mode, same_key, rows):
    table = {row[:2]: row for row in STORED}
    if mode == "error":  # whose stored readings would only be duplicates
        table = {(1, 3): table[1, 3]}
    whole = expected_of_same_keys(table, rows, mode, same_key)
    for cuts in [None, [], [1], [3, 3], [2, 4], range(1, 6)]:
        world.empty(list(table.values()))
        if whole is None:
            with pytest.raises(InvalidInput) as caught:
                world.insert(rows, cuts, on_conflict=mode, same_key=same_key)
            assert "for the same site and start, 2024-05-31 23:45:00+00:00" in str(caught.value)
            assert world.table() == table
            continue
        result, after = whole
        assert world.insert(rows, cuts, on_conflict=mode, same_key=same_key) == result, cuts
        assert world.table() == after, cuts


def test_which_rows_differ(world):
    rows = [Row(0, 1, 1.0), Row(0, 0, 2.0), Row(0, 2, 5.0), Row(0, 0, 2.0), Row(0, 0, 3.0, 2)]
    said = "3.0 kW until 2024-05-31 23:55:00+00:00, but {} has 2.0 kW until 2024-05-31 23:50:00+00:00 "
    said += "for the same site and start, 2024-05-31 23:45:00+00:00"
    places = {
        None: ("end_utc, row 4: ", "row 1"),
        (): ("frame 0, end_utc, row 4: ", "row 1"),
        (2,): ("frame 1, end_utc, row 2: ", "row 1"),
        (4,): ("frame 1, end_utc, row 0: ", "another row"),  # which was copied straight into the table
    }
    for cuts, (place, other) in places.items():
        with pytest.raises(InvalidInput) as caught:
            world.insert(rows, cuts, same_key="equal")
        assert str(caught.value) == place + said.format(other)
        assert pickle.loads(pickle.dumps(caught.value)).__dict__ == caught.value.__dict__
    world.insert([Row(0, 0, 9.0)])  # so that all rows are staged
    with pytest.raises(InvalidInput) as caught:
        world.insert(rows, [2, 3], same_key="equal")
    assert str(caught.value) == "frame 2, end_utc, row 1: " + said.format("row 0")
    with pytest.raises(InvalidInput) as caught:
        world.insert(rows, [4], same_key="equal")
    assert str(caught.value) == "frame 1, end_utc, row 0: " + said.format("row 3 of frame 0")
    assert world.table() == {(0, 0): Row(0, 0, 9.0)}


def test_a_reading_stored_before_is_no_other_row(world):
    world.insert([Row(0, 0, 9.0), Row(0, 1, 9.0)])
    rows = [Row(0, 0, 1.0), Row(0, 1, 9.0), Row(0, 2, 1.0), Row(0, 0, 1.0)]
    for cuts in (None, [2], [1, 2, 3]):
        result = world.insert(rows, cuts, same_key="equal")
        assert result == InsertResult(inserted=cuts is None, skipped=4 - (cuts is None), differing=2)


def test_the_mean_of_equal_powers_is_that_power(world):
    rows = [Row(0, 0, 0.1)] * 3
    for cuts in (None, [1, 2]):
        world.empty()
        assert world.insert(rows, cuts, same_key="mean") == InsertResult(inserted=1, skipped=2)
        assert world.table() == {(0, 0): rows[0]}


@pytest.mark.parametrize("mode", MODES)
def test_nothing_given_is_nothing_done(world, mode):
    heard: list[int] = []
    nothing = world.frame([])
    columns = ["site_uuid", "start_utc", "power_kw"]
    for frames in (nothing, pd.DataFrame(columns=columns), pd.DataFrame(columns=columns, dtype=str), pd.DataFrame()):
        assert world.repo.generation.insert(frames, on_conflict=mode) == InsertResult()
    for frames in ([], iter([]), [nothing, nothing]):
        assert world.repo.generation.insert(frames, on_conflict=mode, progress=heard.append) == InsertResult()
    assert heard == [0, 0]


@pytest.mark.parametrize("mode", MODES)
def test_frames_come_as_a_list_too_and_progress_is_heard_after_each(world, mode):
    frames = [world.frame([Row(0, tick, 1.0) for tick in ticks]) for ticks in ((0, 1), (), (2,), (3, 4, 5))]
    heard: list[int] = []
    result = world.repo.generation.insert(frames, on_conflict=mode, progress=heard.append)
    assert result == InsertResult(inserted=6)
    assert heard == [2, 2, 3, 6]
    alone = world.repo.generation.insert(world.frame([Row(1, 0, 1.0)] * 3), progress=heard.append)
    assert alone == InsertResult(inserted=1, skipped=2)
    assert heard[4:] == [3]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("good", [0, 1, 3])
def test_an_iterator_that_raises_leaves_nothing(dsn, mode, good):
    class FellOverError(Exception):
        pass

    def frames() -> Iterator[pd.DataFrame]:
        for tick in range(good):
            yield world.frame([Row(0, tick, 1.0), Row(1, 0, 1.0 + tick)][: 1 if mode == "error" else 2])
        raise FellOverError

    with Repository(dsn, min_size=1, max_size=1, timeout=5) as repo:
        world = World(repo, dsn)
        with pytest.raises(FellOverError):
            repo.generation.insert(frames(), on_conflict=mode)
        assert world.table() == {}
        assert world.insert(STORED, on_conflict=mode) == InsertResult(inserted=3)


def test_a_progress_that_raises_leaves_nothing(world):
    def stop(rows: int) -> None:
        if rows > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.insert(STORED, [1, 2], progress=stop)
    assert world.table() == {}


@pytest.mark.parametrize(
    "argument",
    [{"on_conflict": "replace"}, {"on_conflict": None}, {"same_key": "median"}, {"interval": timedelta(0)}],
)
def test_options_that_there_are_not(world, argument):
    with pytest.raises(InvalidInput) as caught:
        world.insert(STORED, **argument)
    assert caught.value.column == next(iter(argument))


@pytest.mark.parametrize("interval", [timedelta(microseconds=1), timedelta(minutes=30), timedelta(days=3)])
def test_interval_is_how_long_a_reading_lasts(repo, site, interval):
    repo.generation.insert(reading_frame(site.site_uuid), interval=interval)
    assert {row.end_utc - row.start_utc for row in repo.generation.read()} == {interval}


@pytest.mark.parametrize("interval", [300, -FIVE, timedelta.max, timedelta(days=106_751_990)])
def test_interval_that_cannot_be(repo, site, interval):
    with pytest.raises(InvalidInput):
        repo.generation.insert(reading_frame(site.site_uuid), interval=interval)
    assert repo.generation.read() == []


def test_five_minutes_unless_said_otherwise_and_end_utc_goes_before_interval(repo, site):
    frame = reading_frame(site.site_uuid, rows=2)
    repo.generation.insert(frame)
    repo.generation.insert(frame.assign(end_utc=frame["start_utc"] + FIVE / 5), interval=6 * FIVE, on_conflict="update")
    repo.generation.insert(reading_frame(site.site_uuid, start="2024-06-02", rows=1))
    minutes = [(row.end_utc - row.start_utc) / timedelta(minutes=1) for row in repo.generation.read()]
    assert minutes == [1, 1, 5]


POWERS = [-0.0, 0.0, 5e-324, -2.2250738585072014e-308, 1e308, -1.7976931348623157e308, 0.1, -0.3, 1 / 3, 2.0**53 + 2]


def test_power_comes_out_bit_for_bit(repo, site):
    frame = reading_frame(site.site_uuid, rows=len(POWERS)).assign(power_kw=POWERS)
    for mode in ("ignore", "update"):  # straight, and by way of the staging table
        repo.generation.insert(frame, on_conflict=mode)
        frame["start_utc"] += pd.Timedelta(days=1)
        repo.generation.insert(frame.iloc[:1], on_conflict=mode)
        repo.generation.insert(frame, on_conflict=mode)
    given = np.array(POWERS * 3).tobytes()
    assert repo.generation.read_frame()["generation_power_kw"].to_numpy().tobytes() == given
    assert np.array([row.generation_power_kw for row in repo.generation.read()]).tobytes() == given


@pytest.mark.parametrize("mode", MODES)
def test_what_was_read_can_be_inserted(repo, site, mode):
    rows = 40_000  # several chunks of the COPY stream
    frame = reading_frame(site.site_uuid, start="2024-05-01", rows=rows)
    given = frame.sample(frac=1, random_state=1)
    assert repo.generation.insert(given) == InsertResult(inserted=rows)
    read = repo.generation.read_frame()
    assert read["start_utc"].tolist() == frame["start_utc"].tolist()
    assert read["generation_power_kw"].tolist() == frame["power_kw"].tolist()
    if mode == "error":
        with pytest.raises(Duplicate):
            repo.generation.insert(read, on_conflict=mode)
    else:
        assert repo.generation.insert(read, on_conflict=mode) == InsertResult(skipped=rows)
    pd.testing.assert_frame_equal(repo.generation.read_frame(), read)


def test_uuids_of_zeros(repo, dsn):
    uuids = [UUID(int=0), UUID(int=1 << 120), UUID(int=0xFF << 64), UUID(int=1), UUID(int=2**128 - 1)]
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany("INSERT INTO sites (site_uuid) VALUES (%s)", [[uuid] for uuid in uuids])
    for _ in range(2):
        repo.generation.insert(pd.concat([reading_frame(uuid, rows=2) for uuid in uuids]), on_conflict="update")
    assert [row.site_uuid for row in repo.generation.read()] == [uuid for uuid in sorted(uuids) for _ in range(2)]
    assert repo.generation.read_frame()["site_uuid"].tolist() == [uuid for uuid in sorted(uuids) for _ in range(2)]


@pytest.mark.parametrize("mode", ["ignore", "update"])
def test_a_transaction_takes_several_inserts(world, dsn, mode):
    world.insert(STORED)
    with world.repo.transaction() as tx:
        inside = World(tx, dsn, world.sites)
        before = world.table()
        table = before
        for rows, cuts in ((ROWS, None), (ROWS[::-1], [2, 5]), ([Row(0, 0, 9.0), Row(1, 5, 9.0)], None)):
            result, table = expected(table, rows, mode)
            assert inside.insert(rows, cuts, on_conflict=mode) == result
            assert inside.table() == table
        assert world.table() == before
    assert world.table() == table


def test_a_transaction_that_fails_takes_its_inserts_with_it(world, dsn):
    world.insert(STORED)
    before, made = world.table(), "SELECT to_regclass('generation_p2026_01')"

    def fail() -> None:
        with world.repo.transaction() as tx:
            tx.generation.insert(world.frame(ROWS), on_conflict="update")
            tx.generation.insert(reading_frame(world.sites[0], start="2026-01-01"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert world.table() == before
    with psycopg.connect(dsn) as connection:
        assert connection.execute(made).fetchone() == (None,)
    assert world.repo.generation.insert(reading_frame(world.sites[0], start="2026-01-01")).inserted == 12


@pytest.mark.parametrize(
    ("error", "mode", "bad"),
    [
        (Duplicate, "error", [Row(1, 5, 1.0), Row(0, 0, 7.0)]),
        (InvalidInput, "update", [Row(0, 0, float("nan"))]),
        (MissingReference, "update", [Row(2, 5, 1.0)]),
        (MissingReference, "ignore", [Row(2, 5, 1.0)]),
    ],
)
@pytest.mark.parametrize("cuts", [None, [1], [2]])
def test_in_a_transaction_a_call_that_fails_leaves_the_rest(world, dsn, error, mode, bad, cuts):
    world.insert(STORED)
    world.sites.append(UUID(int=7))
    first, last = [Row(0, 0, 5.0), Row(0, 4, 5.0)], [Row(0, 1, 6.0), Row(1, 5, 6.0)]
    with world.repo.transaction() as tx:
        inside = World(tx, dsn, world.sites)
        inside.insert(first, on_conflict="update")
        with pytest.raises(error):
            inside.insert([Row(0, 0, 8.0), Row(0, 2, 8.0), *bad][2 if mode == "error" else 0 :], cuts, on_conflict=mode)
        assert inside.insert(last, on_conflict="update") == InsertResult(inserted=1, updated=1)
    assert sorted(world.table().values()) == sorted([*first, *last, STORED[2]])


@pytest.mark.parametrize("on_conflict", ["ignore", "update"])
def test_what_is_stored_of_any_one_of_many_sites_is_found(repo, on_conflict):
    sites = [repo.sites.create().site_uuid for _ in range(130)]  # more than the probe asks for
    tick = pd.concat([reading_frame(site, rows=1) for site in sites], ignore_index=True)
    for number, site in enumerate(sorted(sites)):
        start = datetime(2024, 6, 1, tzinfo=UTC) + timedelta(hours=number)
        repo.generation.insert(reading_frame(site, rows=1, start=start.isoformat(), power_kw=7.0))
        result = repo.generation.insert(tick.assign(start_utc=start), on_conflict=on_conflict)
        changed = int(on_conflict == "update")
        assert result == InsertResult(inserted=129, updated=changed, skipped=1 - changed, differing=1 - changed)
