"""What was found, as a picture."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl
from bench import Bench, Figure
from report import by_mark, number_text

MET, MISSED, LIMIT = "#2a7f62", "#c8553d", "#8d99ae"
MET_2, MISSED_2 = "#8cbfae", "#e6b0a3"  # on the second server


def plot(benches: list[Bench], file: Path) -> None:
    """Above: how far each median is from its mark, which is the line; below: the insert rates of all peers."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  only once the backend is chosen

    # a mark of zero has no ratio, and what could not be measured no bar
    marks = [figures for figures in by_mark(benches) if figures[0].mark and any(each.values for each in figures)][::-1]
    rates = dict(sorted(benches[0].rates.items(), key=lambda item: statistics.median(item[1])))
    upper, lower = 0.46 * len(marks) + 1, 0.3 * len(rates) + 1
    drawing, axes = plt.subplots(
        2, 1, figsize=(11, upper + lower + 1), height_ratios=[upper, lower], layout="constrained"
    )
    _plot_marks(axes[0], marks, [bench.name for bench in benches])
    _plot_rates(axes[1], rates)
    drawing.savefig(file, dpi=110)


def _plot_marks(axes: mpl.axes.Axes, marks: list[list[Figure]], servers: list[str]) -> None:
    height = 0.7 / len(servers)
    for place, figures in enumerate(marks):
        for number, figure in enumerate(figures):
            if figure.values:
                _plot_bar(axes, place + height * ((len(figures) - 1) / 2 - number), height, figure, number)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    ticks = [tenth / 10 for tenth in (1, 2, 5, 10, 20, 50, 100)]
    axes.set_xticks(ticks, [f"{tick:g}x" for tick in ticks])
    axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes.set_yticks(range(len(marks)), [f"{figures[0].work}\n{figures[0].measure}" for figures in marks], fontsize=7)
    axes.set_ylim(-0.6, len(marks) - 0.4)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.7), high * 2.5)
    shades = zip((MET, MET_2), servers, strict=False)
    names = [mpl.patches.Patch(color=color, label=f"PostgreSQL {server}") for color, server in shades]
    axes.legend(
        handles=[*names, mpl.patches.Patch(color=MISSED, label="missed")],
        fontsize=8,
        loc="upper center",
        bbox_to_anchor=(0.4, -0.03),
        ncols=3,
    )
    axes.set_title("The marks: how many times over each is met (the line is the mark itself)", fontsize=10)
    _plain(axes)


def _plot_bar(axes: mpl.axes.Axes, place: float, height: float, figure: Figure, number: int) -> None:
    reached = sorted(figure.mark / value if figure.at_most else value / figure.mark for value in figure.values)
    color = ((MISSED, MET), (MISSED_2, MET_2))[number][figure.met]
    axes.barh(place, statistics.median(reached) - 1, left=1, height=height * 0.9, color=color)
    axes.plot([reached[0], reached[-1]], [place, place], color="black", linewidth=1, marker="|", markersize=4)
    sign = "at most" if figure.at_most else "at least"
    axes.annotate(
        f"{number_text(figure.median)}" + ("" if number else f"  ({sign} {figure.mark:g})"),
        (max(1, reached[-1]), place),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=7,
    )


def _plot_rates(axes: mpl.axes.Axes, rates: dict[str, list[float]]) -> None:
    for place, (name, values) in enumerate(rates.items()):
        middle = statistics.median(values)
        color = LIMIT if name.startswith("psql") else MET if name.startswith("generation.insert") else "#c9b79c"
        axes.barh(place, middle, height=0.55, color=color)
        axes.plot([min(values), max(values)], [place, place], color="black", linewidth=1, marker="|")
        axes.annotate(
            f"{middle:,.0f}", (max(values), place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_yticks(range(len(rates)), list(rates), fontsize=7)
    axes.set_xlim(0, max((max(values) for values in rates.values()), default=1) * 1.15)
    axes.set_title("Inserting generation: rows/s", fontsize=10)
    _plain(axes)


def _plain(axes: mpl.axes.Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
