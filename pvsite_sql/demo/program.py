"""The demonstration: loads measured readings, makes forecasts, and shows users, energy and forecast errors."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from importlib.resources import files
from importlib.util import find_spec
from os import W_OK, access
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from typer import echo

from .. import migrate
from ..errors import PvsiteSqlError
from ..models import InsertResult, Site
from ..repository import Repository
from .database import database
from .plot import Line, draw

__all__ = ["compare", "daily_energy", "persistence", "run", "sample"]

_PICTURE = "pvsite-sql-demo.png"
_QUARTER = timedelta(minutes=15)
_DAY = timedelta(days=1)
_DAYS_SHOWN = 7
_DAYS_FORECAST = 14
_DAYS_COMPARED = (-5, -3)  # days from the end of the sample: a dull day after a better one, and a bright day after it

_MODEL = "persistence"
_FORECAST_LENGTH = 2 * _DAY
_MIN_HORIZON_MINUTES = 60
_DAY_AHEAD_HOUR = 9
# The sample uses UTC-07:00 all year, as Arizona does. America/Denver is one hour ahead in summer.
_TIMEZONE = "America/Phoenix"
_HORIZONS_SHOWN = (1, 6, 12, 18, 24, 30, 36, 42)


@dataclass(frozen=True)
class _DemoSite:
    """A variant of the array of the sample: its power times `factor`, its times plus `shift`."""

    name: str
    text: str
    color: str  # from the palette of Okabe and Ito, for colour-blind readers
    factor: float = 1.0
    shift: timedelta = timedelta(0)


@dataclass(frozen=True)
class _Situation:
    """One way in which users share sites."""

    title: str
    group: str
    users: tuple[str, ...]
    sites: tuple[str, ...]


_ARRAY_KW = 6.0
_SITES = (
    _DemoSite("as measured", "the measured readings", "#0072B2"),
    _DemoSite("doubled", "the same array with twice the power", "#D55E00", factor=2.0),
    _DemoSite("a week later", "the same array, 7 days later", "#009E73", shift=timedelta(days=7)),
)
_SITUATIONS = (
    _Situation("One user, one site", "alice", ("alice@example.com",), ("as measured",)),
    _Situation("One user, several sites", "bob", ("bob@example.com",), ("as measured", "doubled")),
    _Situation("Two users, one site", "carol and dan", ("carol@example.com", "dan@example.com"), ("a week later",)),
    _Situation(
        "Two users, several sites, added by either of them",
        "erin and frank",
        ("erin@example.com", "frank@example.com"),
        ("doubled", "a week later"),
    ),
    _Situation("OCF sees everything", "ocf", ("ocf@example.com",), tuple(site.name for site in _SITES)),
)


def run(dsn: str | None = None, *, output: Path | None = None, keep: bool = False) -> None:
    """Run the demonstration. The last line of the output is the path of the picture.

    Args:
        dsn: the server on which to create a temporary database; None: a temporary server.
        output: the path of the picture; None: in the current folder, or in a temporary one if that is not writable.
        keep: keep the database until the program is interrupted.

    Raises:
        PvsiteSqlError: matplotlib is not installed, the picture cannot be written, or no database can be created.
    """
    if find_spec("matplotlib") is None:
        raise PvsiteSqlError('The demo requires matplotlib: pip install "pvsite_sql[demo]"')
    _check_writable(output)
    readings = sample()
    with database(dsn) as temporary:
        echo(temporary.title)
        for migration in migrate.apply(temporary.dsn):
            echo(f"{migration} applied")
        with Repository(temporary.dsn, min_size=1, max_size=2) as repo:
            picture = _show(repo, readings)
        path = _save(picture, output)
        if keep:
            echo(
                f"\nThe database is kept until Ctrl-C. Its DSN is\n{temporary.shown_dsn}\n"
                f"To open it with psql:\n{temporary.psql}"
            )
        echo(f"\nPicture of the last {_DAYS_SHOWN} days, the forecasts of two of them, and the errors:\n{path}")
        if keep:
            _wait()


def sample() -> pd.DataFrame:
    """Return the measured readings that are part of the package.

    Returns:
        a frame with `start` (aware, with the UTC offset of the array) and `power_kw`, one row for each quarter hour.
    """
    with (files("pvsite_sql") / "demo" / "data" / "serf_east_15min_ac_power.csv").open(encoding="utf-8") as file:
        rows = pd.read_csv(file, dtype=str)  # numbers parsed by read_csv may differ in the last digit
    watts = rows["ac_power"].astype(float)
    return pd.DataFrame({"start": pd.to_datetime(rows["measured_on"]), "power_kw": watts / 1000})


def daily_energy(readings: pd.DataFrame, zone: tzinfo) -> pd.DataFrame:
    """Return the energy in kWh of each site (columns: `site_uuid`) and day (index: dates).

    Args:
        readings: a frame from `repo.generation.read_frame`; each reading counts for the day of its start.
        zone: the time zone of the days.
    """
    hours = (readings["end_utc"] - readings["start_utc"]).dt.total_seconds() / 3600
    energy = readings["generation_power_kw"] * hours
    days = _local(readings["start_utc"], zone).dt.date
    frame = pd.DataFrame({"day": days, "site_uuid": readings["site_uuid"], "kwh": energy})
    return frame.pivot_table(values="kwh", index="day", columns="site_uuid", aggfunc="sum")


def persistence(readings: pd.DataFrame, timestamps_utc: pd.DatetimeIndex) -> pd.DataFrame:
    """Return persistence forecasts of a site: they repeat the readings at the same time of day.

    Each is 48 hours long. Its value at t is the reading at t - 24 h, or at t - 48 h if t - 24 h is not before the
    timestamp of the forecast. So a forecast uses only readings that existed at its timestamp.

    Args:
        readings: `start_utc` and `power_kw` of the site, one row for each quarter hour.
        timestamps_utc: the timestamps of the forecasts, at quarter hours.

    Returns:
        a frame for `repo.forecasts.insert`, without the site. Values without a reading are left out.
    """
    offsets = pd.timedelta_range(timedelta(0), _FORECAST_LENGTH, freq=_QUARTER, closed="left")
    timestamp = timestamps_utc.repeat(len(offsets))
    start = timestamp + pd.TimedeltaIndex(np.tile(offsets, len(timestamps_utc)))
    day_before, two_days_before = start - _DAY, start - 2 * _DAY
    source = day_before.where(day_before < timestamp, two_days_before)
    power = readings.set_index("start_utc")["power_kw"].reindex(source)
    times = {"timestamp_utc": timestamp, "created_utc": timestamp, "start_utc": start, "end_utc": start + _QUARTER}
    frame = pd.DataFrame(times)
    return frame.assign(forecast_power_kw=power.to_numpy()).dropna()


def compare(repo: Repository, site_uuid: UUID, start: datetime, end: datetime) -> pd.DataFrame:
    """Compare the generation of a site with its forecasts: made an hour ahead, and before 9:00 of the day before.

    Returns:
        a frame with `generation`, `latest` and `day ahead` in kW, by the start of the quarter hour in UTC.
    """
    sites = [site_uuid]
    measured = repo.generation.read_frame(sites, start_utc=start, end_utc=end)
    latest = repo.forecasts.latest_frame(
        sites, start_utc=start, end_utc=end, min_horizon_minutes=_MIN_HORIZON_MINUTES, model_name=_MODEL
    )
    day_ahead = repo.forecasts.day_ahead_values(
        sites, start_utc=start, end_utc=end, hour=_DAY_AHEAD_HOUR, timezone=_TIMEZONE, model_name=_MODEL
    )[site_uuid]
    return pd.DataFrame(
        {
            "generation": measured.set_index("start_utc")["generation_power_kw"],
            "latest": latest.set_index("start_utc")["forecast_power_kw"],
            "day ahead": pd.Series({value.start_utc: value.forecast_power_kw for value in day_ahead}),
        }
    )


def _show(repo: Repository, readings: pd.DataFrame) -> bytes:
    """Show everything, and return the picture."""
    sites = _create_sites(repo)
    _create_situations(repo, sites)
    _describe_sample(readings)
    site_readings = [_site_readings(readings, variant, sites[variant.name]) for variant in _SITES]
    _load_readings(repo, pd.concat(site_readings))
    zone: tzinfo = readings["start"].dt.tz
    end = readings["start"].iloc[-1] + _QUARTER
    start = end - _DAYS_SHOWN * _DAY
    _show_users(repo, start, end)
    shown = repo.generation.read_frame(start_utc=start, end_utc=end)
    _show_energy(daily_energy(shown, zone), sites, zone)

    _load_forecasts(repo, site_readings, end)
    site, color = sites[_SITES[0].name], _SITES[0].color
    compared = compare(repo, site.site_uuid, *(end + days * _DAY for days in _DAYS_COMPARED))
    _show_compared(compared, zone)
    errors = repo.forecasts.error_by_horizon([site.site_uuid], model_name=_MODEL)
    _show_errors(errors)
    power = shown.set_index("start_utc")["generation_power_kw"]
    week = [
        Line(one.name, one.color, power[(shown["site_uuid"] == sites[one.name].site_uuid).to_numpy()]) for one in _SITES
    ]
    days = [
        Line("generation", color, compared["generation"]),
        Line("latest forecast, \u2265 1 h ahead", "#D55E00", compared["latest"]),
        Line(
            f"day-ahead forecast, before {_DAY_AHEAD_HOUR}:00 of the day before",
            "#000000",
            compared["day ahead"],
            "--",
        ),
    ]
    return draw(week, days, errors, capacity_kw=_ARRAY_KW, zone=zone)


def _create_sites(repo: Repository) -> dict[str, Site]:
    return {
        site.name: repo.sites.create(
            client_site_name=site.name,
            country="us",
            latitude=39.742,
            longitude=-105.173,
            capacity_kw=_ARRAY_KW * site.factor,
        )
        for site in _SITES
    }


def _create_situations(repo: Repository, sites: Mapping[str, Site]) -> None:
    for situation in _SITUATIONS:
        repo.site_groups.create(situation.group)
        for email in situation.users:
            repo.users.create(email, site_group_name=situation.group)
        for name in situation.sites:
            repo.site_groups.add_site(situation.group, site_uuid=sites[name].site_uuid)


def _describe_sample(readings: pd.DataFrame) -> None:
    first, last = readings["start"].iloc[[0, -1]]
    echo(
        "\nThe readings: AC power of the solar array SERF East (NREL, Golden, Colorado),\n"
        f"measured every 15 minutes from {first:%Y-%m-%d} to {last:%Y-%m-%d}. There is only one\n"
        f"array, so the {len(_SITES)} sites of this demo are variants of it:"
    )
    for site in _SITES:
        echo(f"  {site.name:<14}{site.text}, {_ARRAY_KW * site.factor:g} kW")


def _site_readings(readings: pd.DataFrame, variant: _DemoSite, site: Site) -> pd.DataFrame:
    """Return the readings of a site as a frame for `repo.generation.insert`. All sites end at the same time."""
    start = readings["start"] + variant.shift
    start = start[start <= readings["start"].iloc[-1]]
    power = readings["power_kw"].loc[start.index] * variant.factor
    return pd.DataFrame(
        {"site_uuid": site.site_uuid, "start_utc": start, "end_utc": start + _QUARTER, "power_kw": power}
    )


def _load_readings(repo: Repository, frame: pd.DataFrame) -> None:
    weeks = [week for _, week in frame.groupby(pd.Grouper(key="start_utc", freq="7D"))]
    echo("")
    _send_twice(f"{len(frame):,} readings", len(frame), lambda title: _load(repo, title, weeks, len(frame)))
    echo("Nothing is duplicated: site and start identify a reading.")


def _load_forecasts(repo: Repository, site_readings: Iterable[pd.DataFrame], end: datetime) -> None:
    timestamps = pd.date_range(end - _DAYS_FORECAST * _DAY, end, freq="h", inclusive="left")
    frame = pd.concat(
        persistence(readings, timestamps).assign(site_uuid=readings["site_uuid"].iloc[0]) for readings in site_readings
    )
    echo(
        "\nForecasts by persistence, the usual baseline: one for each site and hour of the\n"
        f"last {_DAYS_FORECAST} days, 48 hours long. The value at t is the reading at t - 24 h, or at\n"
        "t - 48 h if t - 24 h was in the future when the forecast was made."
    )
    _send_twice(f"{len(frame):,} values", len(frame), lambda _: repo.forecasts.insert(frame, model_name=_MODEL))
    echo(
        "A forecast is one row with all its values, so these are numbers of forecasts.\n"
        "Nothing is duplicated: site, timestamp and model identify a forecast."
    )


def _send_twice(what: str, count: int, send: Callable[[str], InsertResult]) -> None:
    for title in ("Loading", "Loading again"):
        started = time.perf_counter()
        result = send(title)
        seconds = time.perf_counter() - started
        echo(f"{title}: {what} in {seconds:.2f} s, {count / seconds:,.0f} per second\n  {result!r}")


def _load(repo: Repository, title: str, frames: Iterable[pd.DataFrame], total: int) -> InsertResult:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, disable=not sys.stdout.isatty(), transient=True) as progress:
        task = progress.add_task(title, total=total)
        return repo.generation.insert(frames, progress=lambda rows: progress.update(task, completed=rows))


def _show_users(repo: Repository, start: datetime, end: datetime) -> None:
    echo(f"\nWhat each user sees, and the energy of the last {_DAYS_SHOWN} days:")
    for number, situation in enumerate(_SITUATIONS, start=1):
        echo(f"  {number}. {situation.title}")
        for email in situation.users:
            visible = {site.client_site_name for site in repo.sites.list_for_user(email)}
            names = ", ".join(site.name for site in _SITES if site.name in visible)
            seen = repo.generation.read_for_users([repo.users.get(email).user_uuid], start_utc=start, end_utc=end)
            energy = sum(one.generation_power_kw * ((one.end_utc - one.start_utc) / timedelta(hours=1)) for one in seen)
            echo(f"     {email:<20}{names:<38}{energy:8.1f} kWh")


def _show_energy(energy: pd.DataFrame, sites: Mapping[str, Site], zone: tzinfo) -> None:
    echo(f"\nEnergy of each day in kWh (days of the array's local time, {zone}):")
    echo(" " * 16 + "".join(f"{name:>16}" for name in sites))
    columns = [site.site_uuid for site in sites.values()]
    for day, row in energy[columns].iterrows():
        echo(f"  {day:%a %Y-%m-%d}" + "".join(f"{value:16.2f}" for value in row))
    echo("  total         " + "".join(f"{value:16.2f}" for value in energy[columns].sum()))


def _show_compared(compared: pd.DataFrame, zone: tzinfo) -> None:
    echo(
        f'\nTwo days of the site "{_SITES[0].name}" and their forecasts, in kWh.\n'
        "Latest: the newest forecast made at least 1 h before each quarter hour.\n"
        f"Day ahead: the newest forecast made before {_DAY_AHEAD_HOUR}:00 of the day before, local time\n"
        f"({_TIMEZONE}, which is {zone} all year, like the times of the array)."
    )
    echo(" " * 16 + "".join(f"{name:>16}" for name in compared.columns))
    days = pd.DatetimeIndex(compared.index).tz_convert(zone).date
    for day, row in (compared.groupby(days).sum() * (_QUARTER / timedelta(hours=1))).iterrows():
        echo(f"  {day:%a %Y-%m-%d}" + "".join(f"{value:16.2f}" for value in row))


def _show_errors(errors: pd.DataFrame) -> None:
    echo(
        f'\nErrors (forecast - generation) of all forecasts of the site "{_SITES[0].name}",\n'
        "days and nights, by horizon:"
    )
    echo("  horizon   count   mean error, kW   MAE, kW   RMSE, kW   MAE, % of capacity")
    shown = errors[errors["horizon_minutes"].isin([60 * hours for hours in _HORIZONS_SHOWN])]
    for one in shown.to_dict("records"):
        echo(
            f"  {one['horizon_minutes'] / 60:5.0f} h {one['count']:7} {one['mean_error_kw']:16.3f} "
            f"{one['mae_kw']:9.3f} {one['rmse_kw']:10.3f} {100 * one['mae_share']:20.2f}"
        )
    echo("From 24 h on, the forecasts repeat the readings of two days before.")


def _local(times: pd.Series[Any], zone: tzinfo) -> pd.Series[Any]:
    """Return naive local times."""
    local: pd.Series[Any] = times.dt.tz_convert(zone).dt.tz_localize(None)
    return local


def _check_writable(output: Path | None) -> None:
    if output is not None and (output.is_dir() or not access(output if output.exists() else output.parent, W_OK)):
        raise PvsiteSqlError(f"Cannot write the picture to {output}")


def _save(picture: bytes, output: Path | None) -> Path:
    if output is not None:
        try:
            output.write_bytes(picture)
        except OSError as error:
            raise PvsiteSqlError(f"Cannot write the picture: {error}") from error
        return output.absolute()
    with suppress(OSError):
        path = Path.cwd() / _PICTURE
        path.write_bytes(picture)
        return path
    path = Path(tempfile.mkdtemp(prefix="pvsite-sql-demo-")) / _PICTURE
    path.write_bytes(picture)
    return path


def _wait() -> None:
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(60)
