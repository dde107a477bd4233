"""Draws the picture of the demonstration: a week of generation, two days of forecasts, and forecast errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Line", "draw"]

_PERCENT = 100
_MINUTES = 60
_NOON = 12


@dataclass(frozen=True)
class Line:
    """A line of the picture. `power_kw` is the mean power of quarter hours, by their start (aware)."""

    label: str
    color: str
    power_kw: pd.Series[float]
    style: str = "-"


def draw(
    week: Sequence[Line], days: Sequence[Line], errors: pd.DataFrame, *, capacity_kw: float, zone: tzinfo
) -> bytes:
    """Draw the three panels as a PNG.

    Args:
        week: the generation of each site, for whole days.
        days: the generation of one site, followed by its forecasts, for whole days of that week.
        errors: the forecast errors of that site, from `repo.forecasts.error_by_horizon`.
        capacity_kw: the capacity of that site.
        zone: the time zone of the axes.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  an extra, and slow to import

    figure = Figure(figsize=(11, 10.5), dpi=120)
    figure.set_layout_engine("constrained", hspace=0.06)
    panels = figure.subplots(3, height_ratios=(10, 13, 8))
    _draw_week(panels[0], week, days[0].power_kw, zone)
    _draw_days(panels[1], days, zone)
    _draw_errors(panels[2], errors, capacity_kw)
    figure.suptitle("The solar array SERF East in Golden, Colorado: generation and forecasts", fontsize=13)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _draw_week(axes: Axes, lines: Sequence[Line], compared: pd.Series[float], zone: tzinfo) -> None:
    for line in lines:
        axes.step(_local(line.power_kw, zone), line.power_kw, where="post", color=line.color, lw=1.3, label=line.label)
    days = _days(lines[0].power_kw, zone)
    midnights = _ticks(days, "D")
    axes.set_xticks(midnights, labels=[""] * len(midnights))
    axes.set_xticks(midnights[:-1] + np.timedelta64(12, "h"), labels=[_name(day) for day in days], minor=True)
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlim(midnights[0], midnights[-1])
    shown = _ticks(_days(compared, zone), "D")
    axes.axvspan(shown[0], shown[-1], color="#eeeeee", zorder=0)
    axes.set_ylabel("Power (kW)")
    _finish(axes, f"A week of generation of {len(lines)} sites (grey: the days below)")


def _draw_days(axes: Axes, lines: Sequence[Line], zone: tzinfo) -> None:
    generation, *forecasts = lines
    start, power = _local(generation.power_kw, zone), generation.power_kw.to_numpy()
    axes.fill_between(start, power, step="post", color=generation.color, alpha=0.25, lw=0, label=generation.label)
    axes.step(start, power, where="post", color=generation.color, lw=1)
    for line in forecasts:
        start = _local(line.power_kw, zone)
        axes.step(start, line.power_kw, where="post", color=line.color, ls=line.style, lw=1.6, label=line.label)
    days = _days(generation.power_kw, zone)
    hours = _ticks(days, "6h")
    times = [pd.Timestamp(hour) for hour in hours]
    labels = [f"{time:%H:%M}" + (f"\n{_name(time)}" if time.hour == _NOON else "") for time in times]
    axes.set_xticks(hours, labels=labels)
    axes.set_xlim(hours[0], hours[-1])
    axes.set_ylabel("Power (kW)")
    axes.set_xlabel(f"Local time of the array ({zone} all year)")
    _finish(axes, "Two days as measured")


def _draw_errors(axes: Axes, errors: pd.DataFrame, capacity_kw: float) -> None:
    hour = errors["horizon_minutes"] // _MINUTES
    mae = (errors["mae_kw"] * errors["count"]).groupby(hour).sum() / errors["count"].groupby(hour).sum()
    hours = [*mae.index, mae.index[-1] + 1]
    quarters = errors["horizon_minutes"].to_numpy() / _MINUTES
    axes.plot(quarters, errors["mae_kw"].to_numpy(), color="#aaaaaa", lw=1, label="each quarter hour")
    axes.step(hours, [*mae, mae.iloc[-1]], where="post", color="#333333", lw=1.6, label="mean of each hour")
    axes.set_xlim(0, hours[-1])
    axes.set_ylim(0, 1.25 * errors["mae_kw"].max())
    axes.set_xticks(range(0, hours[-1] + 1, 6))
    axes.axvline(24, color="#999999", lw=1, ls=":")
    for middle, text in ((12, "repeats the day before"), (36, "repeats two days before")):
        axes.text(middle, 0.06, text, transform=axes.get_xaxis_transform(), ha="center", color="#555555")
    axes.set_xlabel("Horizon (hours)")
    axes.set_ylabel("Mean absolute error (kW)")
    percent = _PERCENT / capacity_kw
    share = axes.secondary_yaxis(
        "right", functions=(lambda kw: np.multiply(kw, percent), lambda share: np.divide(share, percent))
    )
    share.set_ylabel("% of capacity")
    _finish(axes, "Forecast errors of this site over two weeks, days and nights")


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10.5)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1, ncols=3, frameon=False, fontsize=9.5)
    axes.grid(axis="both", which="major", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _local(power_kw: pd.Series[float], zone: tzinfo) -> npt.NDArray[Any]:
    """Return the starts as naive local times."""
    return pd.DatetimeIndex(power_kw.index).tz_convert(zone).tz_localize(None).to_numpy()


def _days(power_kw: pd.Series[float], zone: tzinfo) -> list[date]:
    return sorted(set(pd.DatetimeIndex(_local(power_kw, zone)).date))


def _ticks(days: Sequence[date], every: str) -> npt.NDArray[Any]:
    """Return local times from midnight of the first day to midnight after the last day."""
    return pd.date_range(days[0], days[-1] + timedelta(days=1), freq=every).to_numpy()


def _name(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b}"
