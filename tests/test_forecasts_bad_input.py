"""Frames of forecasts that cannot be stored: what is said of them, and that nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from forecast_cases import HOUR, MINUTE, forecast_frame, partitions, stored, together

from pvsite_sql import InsertResult, InvalidInput, Repository

SITES = [UUID(int=1 << 120), UUID(int=2)]
AT = datetime(2033, 5, 1, 12, tzinfo=UTC)  # of a month without a partition
NAN = float("nan")
LEVEL = "probabilistic_values['p10']"
# rows 0 and 4 to 6 are forecasts of the first site, an hour apart; rows 1 to 3 one of the second
GOOD = together(
    forecast_frame(SITES[0], [1.0], timestamp=AT),
    forecast_frame(SITES[1], timestamp=AT),
    forecast_frame(SITES[0], timestamp=AT + HOUR),
)


def cell(row: int, column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The frame with another value in one cell."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        cells = list(frame[column]) if column in frame else [None] * len(frame)
        return frame.assign(**{column: pd.Series([*cells[:row], value, *cells[row + 1 :]], dtype=object)})

    return change


def moved(row: int, column: str, delta: pd.Timedelta) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: cell(row, column, frame[column][row] + delta)(frame)


def lasting(minutes: float, *rows: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The frame without the other rows of their forecasts, so that theirs is the only duration."""
    length = pd.Timedelta(minutes=minutes)
    return lambda frame: frame.iloc[list(rows)].assign(end_utc=frame["start_utc"] + length)


def minutes(n: float) -> pd.Timedelta:
    return pd.Timedelta(minutes=n)


def many_slots(frame: pd.DataFrame) -> pd.DataFrame:
    slot = pd.DataFrame({"start_utc": [AT, AT + 100_000 * MINUTE]})
    return frame.iloc[:2].assign(site_uuid=SITES[0], timestamp_utc=AT, **slot, end_utc=slot["start_utc"] + MINUTE)


# what is wrong; how; the column that is named; the rows; part of the reason
ROWS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, tuple[int, ...], str]] = {
    "NaN power": (cell(2, "forecast_power_kw", NAN), "forecast_power_kw", (2,), "no value"),
    "NULL power": (cell(2, "forecast_power_kw", None), "forecast_power_kw", (2,), "no value"),
    "infinite power": (cell(5, "forecast_power_kw", -np.inf), "forecast_power_kw", (5,), "finite"),
    "power beyond real": (cell(4, "forecast_power_kw", 3.5e38), "forecast_power_kw", (4,), "must fit real"),
    "mixed duration": (moved(3, "end_utc", minutes(-15)), "end_utc", (3,), "same duration"),
    "end at start": (moved(5, "end_utc", minutes(-30)), "end_utc", (5,), "must be after start_utc"),
    "end before start": (moved(0, "end_utc", minutes(-40)), "end_utc", (0,), "must be after start_utc"),
    "no whole minutes": (lasting(1.5, 0), "end_utc", (0,), "whole number of minutes"),
    "half a minute": (lasting(0.5, 0), "end_utc", (0,), "whole number of minutes"),
    "more than a day": (lasting(1441, 0, 2), "end_utc", (0, 1), "1 to 1440"),
    "off the grid": (
        lambda frame: moved(2, "end_utc", minutes(5))(moved(2, "start_utc", minutes(5))(frame)),
        "start_utc",
        (2,),
        "whole number of durations",
    ),
    "a slot twice": (
        lambda frame: together(frame, frame.iloc[[2]].assign(forecast_power_kw=9.0)),
        "start_utc",
        (7,),
        "another value with the same start_utc",
    ),
    "two times of making": (
        lambda frame: frame.assign(created_utc=[AT] * 6 + [AT + MINUTE]),
        "created_utc",
        (6,),
        "must be the same",
    ),
    "too many slots": (many_slots, "start_utc", (1,), "more than 100000 slots"),
    "a horizon a minute off": (
        lambda frame: frame.assign(horizon_minutes=[0, 0, 30, 61, 0, 30, 60.9]),
        "horizon_minutes",
        (3,),
        "must equal",
    ),
    "horizons in hours": (
        lambda frame: frame.assign(horizon_minutes=[0, 0, 0.5, 1, 0, 0.5, 1]),
        "horizon_minutes",
        (2, 3, 5, 6),
        "must equal",
    ),
    "a horizon that is none": (cell(3, "horizon_minutes", "soon"), "horizon_minutes", (3,), "must be a number"),
    "a level that is infinite": (
        lambda frame: frame.assign(p10=[NAN, NAN, 1.0, 1.0, 1.0, np.inf, NAN]),
        "p10",
        (5,),
        "finite",
    ),
    "a level beyond real": (lambda frame: frame.assign(p90=[NAN] * 6 + [-1e39]), "p90", (6,), "must fit real"),
    "an infinite level in a dict": (cell(2, "probabilistic_values", {"p10": np.inf}), LEVEL, (2,), "finite"),
    "no dict": (cell(3, "probabilistic_values", 1.5), "probabilistic_values", (3,), "a dict"),
    "a version without a model": (
        lambda frame: frame.assign(model_name=["a"] * 4 + [None] * 3, model_version=["1"] * 5 + [None] * 2),
        "model_version",
        (4,),
        "requires a model_name",
    ),
    "times out of range": (cell(2, "start_utc", datetime(1969, 12, 31, tzinfo=UTC)), "start_utc", (2,), "1970-01-01"),
    "a timestamp in 2100": (cell(1, "timestamp_utc", datetime(2100, 1, 1, tzinfo=UTC)), "timestamp_utc", (1,), "2100"),
    "no time": (cell(4, "timestamp_utc", None), "timestamp_utc", (4,), "no value"),
    "no time of making": (
        lambda f: f.assign(created_utc=[AT] * 3 + [pd.NaT] + [AT] * 3),
        "created_utc",
        (3,),
        "no value",
    ),
    "no site": (cell(4, "site_uuid", None), "site_uuid", (4,), "no value"),
    "a site that is none": (cell(6, "site_uuid", "London"), "site_uuid", (6,), "must be a UUID"),
    "a version that is no text": (cell(5, "forecast_version", 3), "forecast_version", (5,), "must be a string"),
    "a model that is no text": (cell(1, "model_name", 2.5), "model_name", (1,), "must be a string"),
}
KEYS_AND_TEXTS = {"site_uuid", "timestamp_utc", "created_utc", "forecast_version", "model_name"}

# what is wrong with the whole; how; with what keywords; the column that is named; part of the reason
WHOLE: dict[str, tuple[Callable[[pd.DataFrame], Any], dict[str, Any], str | None, str]] = {
    **{f"no {name}": (lambda frame, name=name: frame.drop(columns=name), {}, name, "missing") for name in GOOD.columns},
    "a version without a model name": (lambda frame: frame, {"model_version": "1"}, "model_version", "model_name"),
    "the same in a column": (lambda frame: frame.assign(model_version="1"), {}, "model_version", "model_name"),
    "texts for powers": (lambda frame: frame.assign(forecast_power_kw="1"), {}, "forecast_power_kw", "numbers"),
    "truth for powers": (lambda frame: frame.assign(forecast_power_kw=True), {}, "forecast_power_kw", "numbers"),
    "texts for levels": (lambda frame: frame.assign(p10="1"), {}, "p10", "numbers"),
    "texts in dicts": (lambda f: f.assign(probabilistic_values=[{"p10": "1"}] * 7), {}, LEVEL, "numbers"),
    "dicts of numbers": (lambda f: f.assign(probabilistic_values=[{10: 1}] * 7), {}, "probabilistic_values", "string"),
    "numbers for times": (lambda frame: frame.assign(start_utc=1.0), {}, "start_utc", "must be datetimes"),
    "a column twice": (lambda f: pd.concat([f, f[["start_utc"]]], axis=1), {}, "start_utc", "2 columns"),
    "a keyword that is no uuid": (lambda f: f.drop(columns="site_uuid"), {"site_uuid": "x"}, "site_uuid", "UUID"),
    "a keyword that is no time": (
        lambda frame: frame.drop(columns="timestamp_utc"),
        {"timestamp_utc": "noon"},
        "timestamp_utc",
        "a datetime",
    ),
    "a keyword with a NUL": (lambda frame: frame, {"model_name": "a\x00"}, "model_name", "NUL"),
    "a conflict that there is not": (lambda frame: frame, {"on_conflict": "update"}, "on_conflict", "replace"),
    "no frame": (lambda frame: frame.to_dict("records"), {}, None, "must be a frame"),
}


@pytest.fixture
def before(repo, dsn, postgresql):
    """The partitions, in a database in which the good frame could be stored."""
    for uuid in SITES:
        postgresql.execute("INSERT INTO sites (site_uuid) VALUES (%s)", [uuid])
    postgresql.commit()
    return partitions(dsn)


def refused(repo: Repository, frame: Any, **keywords: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        repo.forecasts.insert(frame, **keywords)
    return caught.value


def test_rows_that_cannot_be_stored(repo, dsn, before):
    for name, (change, column, rows, reason) in ROWS.items():
        frame = change(GOOD)
        copy = frame.copy(deep=True)
        error = refused(repo, frame)
        pd.testing.assert_frame_equal(frame, copy)
        assert (name, error.column, error.rows, error.count) == (name, column, rows, len(rows))
        message = str(error)
        assert message.startswith(f"{column}, row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows))}: "), name
        assert reason in message
        if column not in KEYS_AND_TEXTS and name != "times out of range":
            first = frame.iloc[rows[0]]
            assert f"site {first['site_uuid']}, start {first['start_utc']:%Y-%m-%dT%H:%M:%SZ}" in message, name
    assert (stored(dsn), partitions(dsn), repo.ml_models.list()) == ({}, before, [])
    assert repo.forecasts.insert(GOOD) == InsertResult(inserted=3)
    assert partitions(dsn) - before == {"forecasts_p2033_05"}


def test_frames_and_keywords_that_cannot_be_stored(repo, dsn, before):
    for name, (change, keywords, column, reason) in WHOLE.items():
        error = refused(repo, change(GOOD), **keywords)
        assert (name, error.column) == (name, column)
        assert reason in str(error), name
    assert (stored(dsn), partitions(dsn), repo.ml_models.list()) == ({}, before, [])


def test_only_the_first_rows_are_named_and_all_are_counted(repo, before):
    error = refused(repo, GOOD.assign(forecast_power_kw=NAN))
    assert (error.rows, error.count) == ((0, 1, 2, 3, 4), 7)
    assert "rows 0, 1, 2, 3, 4 and 2 more" in str(error)


@pytest.mark.parametrize("frame", [pd.DataFrame(), GOOD.iloc[:0], pd.DataFrame(columns=["site_uuid"], dtype=str)])
def test_no_rows_are_no_forecasts(repo, dsn, before, frame):
    assert repo.forecasts.insert(frame) == InsertResult()
    assert repo.forecasts.insert(frame, on_conflict="error", model_name="new") == InsertResult()
    assert (partitions(dsn), repo.ml_models.list()) == (before, [])


def test_the_longest_slots_and_the_most_of_them(repo, dsn, before):
    days = forecast_frame(SITES[0], [1.0, None, 2.0], timestamp=AT, minutes=1440)
    most = many_slots(GOOD).assign(forecast_version="2")
    most["start_utc"] = [AT, AT + 99_999 * MINUTE]
    most["end_utc"] = most["start_utc"] + MINUTE
    assert repo.forecasts.insert(together(days, most)) == InsertResult(inserted=2)
    assert {len(row.power_kw) for row in stored(dsn).values()} == {3, 100_000}
    assert len(repo.forecasts.latest_values()[SITES[0]]) == 3  # both have one at the first start
