"""The demonstration: from measured readings to what users see, forecasts and a picture, in a database of its own."""

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
_DAYS_COMPARED = (-5, -3)  # from the sample's end: a dull day after a better one, and a bright one after it

_MODEL = "persistence"
_REACH = 2 * _DAY
_LATEST_MINUTES = 60
_DAY_AHEAD_HOUR = 9
# The array's clock shows UTC-07:00 all year, as Arizona's does; that of America/Denver is an hour ahead in summer.
_TIMEZONE = "America/Phoenix"
_HORIZONS_SHOWN = (1, 6, 12, 18, 24, 30, 36, 42)


@dataclass(frozen=True)
class _DemoSite:
    """A site made of the one array of the sample: its power times `factor`, its times moved on by `shift`."""

    name: str
    text: str
    color: str  # of Okabe and Ito's palette, which the colour-blind can tell apart
    factor: float = 1.0
    shift: timedelta = timedelta(0)


@dataclass(frozen=True)
class _Situation:
    """One of the ways in which users share sites."""

    title: str
    group: str
    users: tuple[str, ...]
    sites: tuple[str, ...]


_ARRAY_KW = 6.0
_SITES = (
    _DemoSite("as measured", "the readings of the array as they are", "#0072B2"),
    _DemoSite("doubled", "the same array, its power times two", "#D55E00", factor=2.0),
    _DemoSite("a week later", "the same array, its readings moved on by 7 days", "#009E73", shift=timedelta(days=7)),
)
_SITUATIONS = (
    _Situation("One user, one site", "alice", ("alice@example.com",), ("as measured",)),
    _Situation("One user, several sites", "bob", ("bob@example.com",), ("as measured", "doubled")),
    _Situation("Two users, one site", "carol and dan", ("carol@example.com", "dan@example.com"), ("a week later",)),
    _Situation(
        "Two users, several sites, whoever of them added a site",
        "erin and frank",
        ("erin@example.com", "frank@example.com"),
        ("doubled", "a week later"),
    ),
    _Situation("OCF sees everything", "ocf", ("ocf@example.com",), tuple(site.name for site in _SITES)),
)


def run(dsn: str | None = None, *, output: Path | None = None, keep: bool = False) -> None:
    """Show everything, and print the path of the picture as the last line.

    Args:
        dsn: a server to make a database on, which is dropped at the end; None: a server that is started for the demo.
        output: where the picture goes; None: the current folder, or a temporary one if it cannot be written to.
        keep: leave the database there until the program is interrupted.

    Raises:
        PvsiteSqlError: matplotlib is missing, the picture cannot be written, or no database is to be had.
    """
    if find_spec("matplotlib") is None:
        raise PvsiteSqlError('The demo draws with matplotlib: pip install "pvsite_sql[demo]"')
    _see_that_writable(output)
    readings = sample()
    with database(dsn) as place:
        echo(place.title)
        for migration in migrate.apply(place.dsn):
            echo(f"{migration} applied")
        with Repository(place.dsn, min_size=1, max_size=2) as repo:
            picture = _show(repo, readings)
        path = _save(picture, output)
        if keep:
            echo(f"\nThe database stays until Ctrl-C. Its DSN is\n{place.shown_dsn}\nand psql opens it:\n{place.psql}")
        echo(f"\nThe last {_DAYS_SHOWN} days, the forecasts of two of them, and the errors, drawn:\n{path}")
        if keep:
            _wait()


def sample() -> pd.DataFrame:
    """The measured readings that the package brings.

    Returns:
        `start` (aware, with the array's own offset) and `power_kw`, a quarter of an hour each, by time.
    """
    with (files("pvsite_sql") / "demo" / "data" / "serf_east_15min_ac_power.csv").open(encoding="utf-8") as file:
        rows = pd.read_csv(file, dtype=str)  # read_csv's own numbers may be off in the last digit
    watts = rows["ac_power"].astype(float)
    return pd.DataFrame({"start": pd.to_datetime(rows["measured_on"]), "power_kw": watts / 1000})


def daily_energy(readings: pd.DataFrame, zone: tzinfo) -> pd.DataFrame:
    """The energy in kWh of each site (columns: `site_uuid`) on each day of a time zone (index: dates).

    Args:
        readings: as `repo.generation.read_frame` returns them; each counts on the day that it starts on.
        zone: whose midnight parts the days.
    """
    hours = (readings["end_utc"] - readings["start_utc"]).dt.total_seconds() / 3600
    energy = readings["generation_power_kw"] * hours
    days = _local(readings["start_utc"], zone).dt.date
    frame = pd.DataFrame({"day": days, "site_uuid": readings["site_uuid"], "kwh": energy})
    return frame.pivot_table(values="kwh", index="day", columns="site_uuid", aggfunc="sum")


def persistence(readings: pd.DataFrame, moments: pd.DatetimeIndex) -> pd.DataFrame:
    """The forecasts of a site that repeat what was measured at the same time of day, made at these moments.

    Each reaches 48 hours ahead. Its value at t is the reading at t - 24 h, or at t - 48 h where t - 24 h was not over
    yet when it was made: so it holds only what was known at that moment.

    Args:
        readings: `start_utc` and `power_kw` of the site, a quarter of an hour each.
        moments: when the forecasts are made; at quarters of an hour.

    Returns:
        a row a value, as `repo.forecasts.insert` takes them but for the site; none where that reading is missing.
    """
    ahead = pd.timedelta_range(timedelta(0), _REACH, freq=_QUARTER, closed="left")
    made = moments.repeat(len(ahead))
    start = made + pd.TimedeltaIndex(np.tile(ahead, len(moments)))
    day_before, two_before = start - _DAY, start - 2 * _DAY
    source = day_before.where(day_before < made, two_before)
    power = readings.set_index("start_utc")["power_kw"].reindex(source)
    frame = pd.DataFrame({"timestamp_utc": made, "created_utc": made, "start_utc": start, "end_utc": start + _QUARTER})
    return frame.assign(forecast_power_kw=power.to_numpy()).dropna()


def compare(repo: Repository, site_uuid: UUID, start: datetime, end: datetime) -> pd.DataFrame:
    """What a site generated, and what was forecast: at least an hour ahead, and before 9 o'clock of the day before.

    Returns:
        `generation`, `latest` and `day ahead` in kW, by the start of the quarter of an hour in UTC.
    """
    sites = [site_uuid]
    measured = repo.generation.read_frame(sites, start_utc=start, end_utc=end)
    latest = repo.forecasts.latest_frame(
        sites, start_utc=start, end_utc=end, min_horizon_minutes=_LATEST_MINUTES, model_name=_MODEL
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
    """Go through everything that the demo shows; return the picture."""
    sites = _create_sites(repo)
    _create_situations(repo, sites)
    _explain(readings)
    of_sites = [_site_readings(readings, drawn, sites[drawn.name]) for drawn in _SITES]
    _load_readings(repo, pd.concat(of_sites))
    zone: tzinfo = readings["start"].dt.tz
    end = readings["start"].iloc[-1] + _QUARTER
    start = end - _DAYS_SHOWN * _DAY
    _show_users(repo, start, end)
    shown = repo.generation.read_frame(start_utc=start, end_utc=end)
    _show_energy(daily_energy(shown, zone), sites, zone)

    _load_forecasts(repo, of_sites, end)
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


def _explain(readings: pd.DataFrame) -> None:
    first, last = readings["start"].iloc[[0, -1]]
    echo(
        "\nThe readings: AC power of the solar array SERF East (NREL, Golden, Colorado),\n"
        f"measured every 15 minutes from {first:%Y-%m-%d} to {last:%Y-%m-%d}. It is one array, so\n"
        f"the {len(_SITES)} sites of this demo show it in {len(_SITES)} ways:"
    )
    for site in _SITES:
        echo(f"  {site.name:<14}{site.text}, {_ARRAY_KW * site.factor:g} kW")


def _site_readings(readings: pd.DataFrame, drawn: _DemoSite, site: Site) -> pd.DataFrame:
    """The readings of a site as `repo.generation.insert` takes them; all sites end together."""
    start = readings["start"] + drawn.shift
    start = start[start <= readings["start"].iloc[-1]]
    power = readings["power_kw"].loc[start.index] * drawn.factor
    return pd.DataFrame(
        {"site_uuid": site.site_uuid, "start_utc": start, "end_utc": start + _QUARTER, "power_kw": power}
    )


def _load_readings(repo: Repository, frame: pd.DataFrame) -> None:
    weeks = [week for _, week in frame.groupby(pd.Grouper(key="start_utc", freq="7D"))]
    echo("")
    _send_twice(f"{len(frame):,} readings", len(frame), lambda title: _load(repo, title, weeks, len(frame)))
    echo("Nothing doubles: a reading's site and start are its identity.")


def _load_forecasts(repo: Repository, of_sites: Iterable[pd.DataFrame], end: datetime) -> None:
    moments = pd.date_range(end - _DAYS_FORECAST * _DAY, end, freq="h", inclusive="left")
    frame = pd.concat(
        persistence(readings, moments).assign(site_uuid=readings["site_uuid"].iloc[0]) for readings in of_sites
    )
    echo(
        "\nForecasts by persistence, the baseline that others have to beat: one every hour\n"
        f"of the last {_DAYS_FORECAST} days for each site, 48 hours long. The value at t is the reading\n"
        "at t - 24 h, or at t - 48 h where t - 24 h still lay ahead when it was made."
    )
    _send_twice(f"{len(frame):,} values", len(frame), lambda _: repo.forecasts.insert(frame, model_name=_MODEL))
    echo(
        "A forecast is one row with all of its values, and these are the numbers of\n"
        "forecasts. Nothing doubles: its site, time and model are its identity."
    )


def _send_twice(what: str, count: int, send: Callable[[str], InsertResult]) -> None:
    for title in ("Loading", "Sending the same again"):
        begun = time.perf_counter()
        result = send(title)
        seconds = time.perf_counter() - begun
        echo(f"{title}: {what} in {seconds:.2f} s, {count / seconds:,.0f} a second\n  {result!r}")


def _load(repo: Repository, title: str, frames: Iterable[pd.DataFrame], total: int) -> InsertResult:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, disable=not sys.stdout.isatty(), transient=True) as progress:
        task = progress.add_task(title, total=total)
        return repo.generation.insert(frames, progress=lambda rows: progress.update(task, completed=rows))


def _show_users(repo: Repository, start: datetime, end: datetime) -> None:
    echo(f"\nWhat each user sees, and its energy in the last {_DAYS_SHOWN} days:")
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
    echo("  together      " + "".join(f"{value:16.2f}" for value in energy[columns].sum()))


def _show_compared(compared: pd.DataFrame, zone: tzinfo) -> None:
    echo(
        f'\nTwo days of the site "{_SITES[0].name}" and what was forecast for them, in kWh.\n'
        "Latest: by the newest forecast made at least 1 h ahead of each quarter hour.\n"
        f"Day ahead: by the newest one made before {_DAY_AHEAD_HOUR}:00 of the day before, local time\n"
        f"({_TIMEZONE}, which shows {zone} all year, as the array's clock does)."
    )
    echo(" " * 16 + "".join(f"{name:>16}" for name in compared.columns))
    days = pd.DatetimeIndex(compared.index).tz_convert(zone).date
    for day, row in (compared.groupby(days).sum() * (_QUARTER / timedelta(hours=1))).iterrows():
        echo(f"  {day:%a %Y-%m-%d}" + "".join(f"{value:16.2f}" for value in row))


def _show_errors(errors: pd.DataFrame) -> None:
    echo(
        f'\nThe error of all forecasts of the site "{_SITES[0].name}", days and nights, by how\n'
        "long before the quarter hour they were made (forecast - generation):"
    )
    echo("  horizon   count   mean error, kW   MAE, kW   RMSE, kW   MAE, % of capacity")
    shown = errors[errors["horizon_minutes"].isin([60 * hours for hours in _HORIZONS_SHOWN])]
    for one in shown.to_dict("records"):
        echo(
            f"  {one['horizon_minutes'] / 60:5.0f} h {one['count']:7} {one['mean_error_kw']:16.3f} "
            f"{one['mae_kw']:9.3f} {one['rmse_kw']:10.3f} {100 * one['mae_share']:20.2f}"
        )
    echo("From 24 h on the forecasts repeat what was measured two days before.")


def _local(times: pd.Series[Any], zone: tzinfo) -> pd.Series[Any]:
    """Times as a clock of that zone shows them."""
    local: pd.Series[Any] = times.dt.tz_convert(zone).dt.tz_localize(None)
    return local


def _see_that_writable(output: Path | None) -> None:
    if output is not None and (output.is_dir() or not access(output if output.exists() else output.parent, W_OK)):
        raise PvsiteSqlError(f"The picture cannot be written to {output}")


def _save(picture: bytes, output: Path | None) -> Path:
    if output is not None:
        try:
            output.write_bytes(picture)
        except OSError as error:
            raise PvsiteSqlError(f"The picture cannot be written: {error}") from error
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
