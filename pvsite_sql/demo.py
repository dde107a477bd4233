"""The demonstration: from measured readings to what users see, daily energy and a picture, in a database of its own."""

from __future__ import annotations

import secrets
import shlex
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from importlib.resources import files
from importlib.util import find_spec
from io import BytesIO
from os import W_OK, access
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from typer import echo

from . import migrate
from .embedded import server
from .errors import PvsiteSqlError
from .models import InsertResult, Site
from .repository import Repository

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["daily_energy", "database", "draw", "run", "sample"]

_NAME = "pvsite_demo"
_PICTURE = "pvsite-sql-demo.png"
_QUARTER = timedelta(minutes=15)
_DAYS_SHOWN = 7


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


@dataclass(frozen=True)
class Database:
    """A database of the demo's own."""

    title: str
    dsn: str
    shown_dsn: str  # without the password of a server that is not the demo's
    psql: str  # the shell line that opens it


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
        echo(f"\nThe last {_DAYS_SHOWN} days, drawn:\n{path}")
        if keep:
            _wait()


@contextmanager
def database(dsn: str | None) -> Iterator[Database]:
    """A database for the time of the context: of a server of its own, else a new one beside that of `dsn`.

    Raises:
        PvsiteSqlError: a database cannot be made there, or not be dropped again.
    """
    if dsn is None:
        with server() as running:
            title = f"PostgreSQL {running.version}, started for this demo"
            own = running.create_database(_NAME)
            yield Database(title, own, own, running.psql(_NAME))
        return
    name = f"{_NAME}_{secrets.token_hex(4)}"
    own = make_conninfo(dsn, dbname=name)
    public: dict[str, Any] = {key: value for key, value in conninfo_to_dict(own).items() if "password" not in key}
    shown = make_conninfo(**public)
    with ExitStack() as stack:
        stack.callback(_drop_database, dsn, name)
        try:
            version = _administer(dsn, "CREATE DATABASE {} TEMPLATE template0", name)
        except psycopg.Error as error:
            stack.pop_all()
            raise PvsiteSqlError(
                "The demo writes into no database that there is (and without --dsn starts a server of its own), "
                f"and a new one cannot be made there: {_one_line(error)}"
            ) from error
        title = f"PostgreSQL {version}, in the new database {name}"
        yield Database(title, own, shown, shlex.join(["psql", shown]))


def sample() -> pd.DataFrame:
    """The measured readings that the package brings.

    Returns:
        `start` (aware, with the array's own offset) and `power_kw`, a quarter of an hour each, by time.
    """
    with (files("pvsite_sql") / "data" / "serf_east_15min_ac_power.csv").open(encoding="utf-8") as file:
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


def draw(readings: pd.DataFrame, sites: Mapping[str, Site], zone: tzinfo) -> bytes:
    """Draw the readings of the sites over local time, one panel a site, as a PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415  slow to import, and an extra

    figure = Figure(figsize=(11, 7), dpi=120, layout="constrained")
    panels = figure.subplots(len(_SITES), sharex=True, sharey=True)
    for axes, drawn in zip(panels, _SITES, strict=True):
        of_site = readings[readings["site_uuid"] == sites[drawn.name].site_uuid]
        _draw_measured(axes, of_site, drawn, zone)
        _finish_panel(axes, drawn)
    days = sorted(set(_local(readings["start_utc"], zone).dt.date))
    _label_days(panels[-1], days)
    span = f"{_day_month(days[0])} to {_day_month(days[-1])} {days[-1].year}"
    figure.suptitle(f"Generation of the solar array SERF East, {span}", fontsize=13)
    figure.supylabel("Mean power over 15 minutes (kW)", fontsize=10)
    figure.supxlabel(f"Local time of the array ({zone}); the lines are its midnights", fontsize=10)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _show(repo: Repository, readings: pd.DataFrame) -> bytes:
    """Go through everything that the demo shows; return the picture."""
    sites = _create_sites(repo)
    _create_situations(repo, sites)
    _explain(readings)
    _load_twice(repo, readings, sites)
    zone: tzinfo = readings["start"].dt.tz
    end = readings["start"].iloc[-1] + _QUARTER
    start = end - timedelta(days=_DAYS_SHOWN)
    _show_users(repo, start, end)
    shown = repo.generation.read_frame(start_utc=start, end_utc=end)
    _show_energy(daily_energy(shown, zone), sites, zone)
    return draw(shown, sites, zone)


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


def _load_twice(repo: Repository, readings: pd.DataFrame, sites: Mapping[str, Site]) -> None:
    frame = pd.concat(_site_readings(readings, drawn, sites[drawn.name]) for drawn in _SITES)
    weeks = [week for _, week in frame.groupby(pd.Grouper(key="start_utc", freq="7D"))]
    echo("")
    for title in ("Loading", "Sending the same again"):
        begun = time.perf_counter()
        result = _load(repo, title, weeks, len(frame))
        seconds = time.perf_counter() - begun
        echo(f"{title}: {len(frame):,} readings in {seconds:.2f} s, {len(frame) / seconds:,.0f} a second\n  {result!r}")
    echo("Nothing doubles: a reading's site and start are its identity.")


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
            seen = repo.generation.read_for_users([repo.users.get(email).user_uuid], start, end)
            energy = sum(one.generation_power_kw * ((one.end_utc - one.start_utc) / timedelta(hours=1)) for one in seen)
            echo(f"     {email:<20}{names:<38}{energy:8.1f} kWh")


def _show_energy(energy: pd.DataFrame, sites: Mapping[str, Site], zone: tzinfo) -> None:
    echo(f"\nEnergy of each day in kWh (days of the array's local time, {zone}):")
    echo(" " * 16 + "".join(f"{name:>16}" for name in sites))
    columns = [site.site_uuid for site in sites.values()]
    for day, row in energy[columns].iterrows():
        echo(f"  {day:%a %Y-%m-%d}" + "".join(f"{value:16.2f}" for value in row))
    echo("  together      " + "".join(f"{value:16.2f}" for value in energy[columns].sum()))


def _local(times: pd.Series[Any], zone: tzinfo) -> pd.Series[Any]:
    """Times as a clock of that zone shows them."""
    local: pd.Series[Any] = times.dt.tz_convert(zone).dt.tz_localize(None)
    return local


def _draw_measured(axes: Axes, of_site: pd.DataFrame, drawn: _DemoSite, zone: tzinfo) -> None:
    start, power = _local(of_site["start_utc"], zone), of_site["generation_power_kw"]
    axes.fill_between(start, power, step="post", color=drawn.color, alpha=0.2, linewidth=0)
    axes.step(start, power, where="post", color=drawn.color, linewidth=1.3, label="generation")


def _finish_panel(axes: Axes, drawn: _DemoSite) -> None:
    axes.set_title(f"{drawn.name}: {drawn.text}", loc="left", fontsize=10)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=3, frameon=False, fontsize=10)
    axes.grid(axis="both", which="major", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _label_days(lowest: Axes, days: Sequence[date]) -> None:
    """Lines at midnight, and each day's name below its noon; the panels above follow."""
    midnights = np.array([*days, days[-1] + timedelta(days=1)], dtype="M8[D]")
    noons = midnights[:-1] + np.timedelta64(12, "h")
    lowest.set_xticks(midnights, labels=[""] * len(midnights))
    lowest.set_xticks(noons, labels=[f"{day:%a} {_day_month(day)}" for day in days], minor=True)
    lowest.set_xlim(midnights[0], midnights[-1])


def _day_month(day: date) -> str:
    return f"{day.day} {day:%b}"


def _administer(dsn: str, statement: str, name: str) -> str:
    """Make or drop a database; returns the server's version. Its name can be no parameter, so no query file does it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
        return connection.info.parameter_status("server_version") or "of an unknown version"


def _drop_database(dsn: str, name: str) -> None:
    try:
        _administer(dsn, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    except psycopg.Error as error:
        raise PvsiteSqlError(f"The database {name} is left behind: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


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
