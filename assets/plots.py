"""Small plots as Markdown: a PNG inside a data URI, the same bytes for the same numbers.

Colours are those of Okabe & Ito, which people with any colour vision can tell apart.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
STYLES = ("solid", "dashed", "dotted")
INK, FAINT, PAPER = "#333333", "#B8BEC4", "#FFFFFF"
ALARM = "#D55E00"

WIDTH = 6.6
"""Inches; at DPI this is a picture of 726 pixels."""
DPI = 110
BINS = 40
LONGEST_LABEL = 34


def funnel(steps: Sequence[tuple[str, int]], title: str = "What each step leaves") -> str:
    """How many documents are left after each step, as bars; the first step is what came in.

    Args:
        steps: Name and documents left, in order; the numbers never rise.
        title: The heading, also the picture's alternative text.
    """
    if not steps or steps[0][1] <= 0:
        return _nothing(title)
    figure, axes = _figure(title, 0.9 + 0.32 * len(steps))
    total = steps[0][1]
    places = np.arange(len(steps))
    left = np.array([count for _, count in steps])
    before = np.concatenate([left[:1], left[:-1]])
    axes.barh(places, before, color=FAINT, alpha=0.45, height=0.68)
    axes.barh(places, left, color=PALETTE[0], height=0.68)
    for place, (count, removed) in enumerate(zip(left, before - left, strict=True)):
        lost = f"  −{removed:,}" if removed else ""
        axes.text(
            max(count, count + removed) + total * 0.012,
            place,
            f"{count:,}  {count / total:.0%}{lost}",
            va="center",
            fontsize=8.5,
            color=INK,
        )
    axes.set_yticks(places, [_label(name) for name, _ in steps])
    axes.set_xlim(0, total * 1.5)
    axes.set_ylim(len(steps) - 0.5, -0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return _markdown(figure, title)


def histogram(
    values_by_group: Mapping[str, Sequence[float]],
    title: str,
    xlabel: str,
    threshold: float | None = None,
    *,
    log: bool = False,
) -> str:
    """Distributions of a value, one outline a group over common bins, as shares of the group.

    Args:
        values_by_group: Values by group's name; nulls and NaN are left out, and the legend says how many
            are drawn.
        title: The heading, also the picture's alternative text.
        xlabel: What the value is, with its unit.
        threshold: A limit to draw as a dashed line.
        log: A logarithmic axis; values of 0 and below are drawn at its left end.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

    groups = {name: _finite(values) for name, values in values_by_group.items()}
    groups = {name: values for name, values in groups.items() if len(values)}
    if not groups:
        return _nothing(title)
    everything = np.concatenate(list(groups.values()))
    edges = _edges(everything, threshold, log)
    figure, axes = _figure(title, 2.9)
    looks = ((colour, style) for style in cycle(STYLES) for colour in PALETTE)
    for (name, values), (colour, style) in zip(groups.items(), looks, strict=False):
        shares = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
        if len(groups) <= 3:
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(
            shares,
            edges,
            color=colour,
            linestyle=style,
            linewidth=1.6,
            label=f"{_label(name)} (n={len(values):,})",
        )
    if threshold is not None:
        axes.axvline(threshold, color=ALARM, linestyle=(0, (4, 2)), linewidth=1.4)
        axes.text(
            threshold, 1.0, f" {threshold:g}", transform=axes.get_xaxis_transform(), color=ALARM, fontsize=8
        )
    if log:
        axes.set_xscale("log")
        # Counts as people write them; ten powers would be all that Matplotlib labels, or 2.1 × 10².
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(_escape(xlabel))
    axes.set_ylabel("share of documents")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="y", color=FAINT, linewidth=0.5, alpha=0.6)
    if len(groups) <= 4:
        axes.legend(frameon=False, fontsize=8)
    else:
        figure.legend(frameon=False, fontsize=8, loc="outside right upper")
    return _markdown(figure, title)


@dataclass(frozen=True)
class Panel:
    """One value's distribution among small multiples, with the limits that it is held against.

    `limits` are pairs of a comparison and a threshold: the side on which values break it is shaded.
    """

    name: str
    values: Sequence[float]
    limits: Sequence[tuple[str, float]] = ()
    log: bool = False


def histograms(panels: Sequence[Panel], title: str) -> str:
    """Small multiples: one distribution a panel on an axis of its own, as shares of the documents.

    What lies beyond the 99.5th percentile and every limit is counted in the last bin, so that one document
    doesn't squeeze all others into the first.
    """
    from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

    shown = [(panel, numbers) for panel in panels if len(numbers := _finite(panel.values))]
    if not shown:
        return _nothing(title)
    columns = min(3, len(shown))
    lines = math.ceil(len(shown) / columns)
    height = 0.5 + 1.25 * lines
    figure, grid = _grid(title, lines, columns, height)
    # Panels of one kind need no layout found for them, which takes as long as drawing them.
    figure.set_layout_engine(None)
    figure.subplots_adjust(
        left=0.05, right=0.99, bottom=0.22 / height, top=1 - 0.58 / height, hspace=0.6, wspace=0.16
    )
    for axes, (panel, numbers) in zip(grid, shown, strict=False):
        limits = np.array([limit for _, limit in panel.limits], dtype=float)
        top = max(float(np.quantile(numbers, 0.995)), *limits, float(numbers.min()))
        # A little room beyond the last limit, where what breaks it would lie.
        reach = np.append(limits, limits.max() * 1.15) if len(limits) else limits
        edges = _edges(np.append(np.clip(numbers, None, top), reach), None, panel.log)
        counted = np.histogram(np.clip(numbers, edges[0], edges[-1]), edges)[0] / len(numbers)
        for comparison, limit in panel.limits:
            beyond = (edges[0], limit) if comparison.startswith("<") else (limit, edges[-1])
            axes.axvspan(*beyond, color=ALARM, alpha=0.12, linewidth=0)
            axes.axvline(limit, color=ALARM, linestyle=(0, (4, 2)), linewidth=1.2)
        axes.stairs(counted, edges, fill=True, color=PALETTE[0], alpha=0.75)
        named = ", ".join(f"{comparison} {limit:g}" for comparison, limit in panel.limits)
        axes.set_title(_label(panel.name), loc="left", fontsize=8, color=INK, pad=3)
        if named:
            axes.text(
                0.98, 0.97, named, transform=axes.transAxes, ha="right", va="top", fontsize=7, color=ALARM
            )
        if panel.log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.set_xlim(edges[0], edges[-1])
        axes.yaxis.set_major_locator(MaxNLocator(2))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    return _markdown(figure, title)


def bars(
    labels: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    title: str,
    xlabel: str = "",
    *,
    percent: bool = False,
) -> str:
    """Figures as horizontal bars with their intervals as whiskers; a figure that is NaN says "no data".

    Args:
        labels: One name a bar, drawn from the top.
        values: The figures.
        lows: Lower bounds; an infinite one is drawn to the edge.
        highs: Upper bounds.
        title: The heading, also the picture's alternative text.
        xlabel: What the figures are, with their unit.
        percent: Whether the figures are shares, to be written as per cent.
    """
    from matplotlib.ticker import PercentFormatter

    if not labels:
        return _nothing(title)
    figure, axes = _figure(title, 1.0 + 0.34 * len(labels))
    numbers, low, high = (np.array(column, dtype=float) for column in (values, lows, highs))
    finite = np.concatenate([column[np.isfinite(column)] for column in (numbers, low, high)])
    left, right = min(0.0, finite.min(initial=0.0)), max(0.0, finite.max(initial=0.0))
    right = right if right > left else left + 1.0
    reach = right - left
    for place, (value, lower, upper) in enumerate(zip(numbers, low, high, strict=True)):
        if math.isnan(value):
            axes.text(right + 0.03 * reach, place, "no data", va="center", fontsize=8.5, color=INK)
            continue
        axes.barh(place, value, color=PALETTE[4], height=0.62)
        shown = np.clip([lower, upper], left - reach, right + reach)
        axes.plot(shown, [place, place], color=INK, linewidth=1.3, solid_capstyle="butt")
        axes.plot(shown, [place, place], "|", color=INK, markersize=7, markeredgewidth=1.3)
        text = (f"{value:.1%}" if percent else f"{value:.3g}").replace("-", "−")
        beyond = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}  # over a whisker without end
        axes.text(right + 0.03 * reach, place, text, va="center", fontsize=8.5, color=INK, bbox=beyond)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(labels)), [_label(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(left - (0.04 * reach if left < 0 else 0), right + 0.17 * reach)
    axes.set_xlabel(_escape(xlabel))
    if percent:
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xticks([tick for tick in axes.get_xticks() if left - 1e-9 <= tick <= right + 1e-9])
    axes.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.6)
    return _markdown(figure, title)


def heatmap(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    title: str,
    *,
    percent: bool = False,
) -> str:
    """A table of numbers as colours with the numbers written in; NaN stays blank.

    Args:
        rows: Names of the rows, from the top.
        columns: Names of the columns.
        values: One sequence a row.
        title: The heading, also the picture's alternative text.
        percent: Whether the numbers are shares, to be written as per cent.
    """
    grid = np.array(values, dtype=float)
    if grid.size == 0 or np.isnan(grid).all():
        return _nothing(title)
    figure, axes = _figure(title, 1.2 + 0.34 * len(rows))
    low, high = float(np.nanmin(grid)), float(np.nanmax(grid))
    axes.imshow(grid, cmap="cividis", aspect="auto", vmin=low, vmax=high if high > low else low + 1)
    for row, line in enumerate(grid):
        for column, value in enumerate(line):
            if not math.isnan(value):
                dark = high > low and (value - low) / (high - low) < 0.55
                text = f"{value:.0%}" if percent else f"{value:.3g}"
                axes.text(
                    column, row, text, ha="center", va="center", fontsize=8, color=PAPER if dark else INK
                )
    slanted = sum(len(name) for name in columns) > 60
    axes.set_xticks(range(len(columns)), [_label(name) for name in columns])
    axes.tick_params(axis="x", rotation=30 if slanted else 0)
    if slanted:
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
    axes.set_yticks(range(len(rows)), [_label(name) for name in rows])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return _markdown(figure, title)


def _figure(title: str, height: float) -> tuple[Figure, Axes]:
    """A figure of its own, without pyplot's shared state."""
    figure, (axes,) = _grid("", 1, 1, height)
    axes.set_title(_escape(title), loc="left", fontsize=10.5, fontweight="bold", color=INK, pad=10)
    axes.tick_params(labelsize=8.5)
    return figure, axes


def _grid(title: str, rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of several axes, row by row, below one title."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(_escape(title), x=0.01, ha="left", fontsize=10.5, fontweight="bold", color=INK)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(FAINT)
        axes.tick_params(labelsize=7, colors=INK, length=0)
        axes.xaxis.label.set(size=8.5, color=INK)
        axes.yaxis.label.set(size=8.5, color=INK)
        axes.set_axisbelow(True)
    return figure, grid


def _markdown(figure: Figure, title: str) -> str:
    picture = io.BytesIO()
    # Matplotlib writes its version into the file unless told not to.
    figure.savefig(picture, format="png", metadata={"Software": None})
    encoded = base64.b64encode(_fewer_colours(picture)).decode("ascii")
    return f"![{_plain(title)}](data:image/png;base64,{encoded})"


def _fewer_colours(picture: io.BytesIO) -> bytes:
    """The same picture in 64 colours, a third of the bytes: it is kept in the event log of every run."""
    from PIL import Image

    small = io.BytesIO()
    Image.open(picture).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(
        small, "PNG", optimize=True
    )
    return small.getvalue()


def _nothing(title: str) -> str:
    return f"*{_plain(title)}: no data*"


def _plain(title: str) -> str:
    """A title that can't end a Markdown link's text early."""
    return "".join(" " if character in "[]*\n" else character for character in title)


def _escape(text: str) -> str:
    """Text in which no dollar sign begins a formula."""
    return text.replace("$", r"\$")


def _label(name: str) -> str:
    return _escape(name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…")


def _finite(values: Sequence[float]) -> np.ndarray:
    numbers = np.array([math.nan if value is None else value for value in values], dtype=float)
    return numbers[np.isfinite(numbers)]


def _edges(values: np.ndarray, threshold: float | None, log: bool) -> np.ndarray:
    """Bin edges over all groups, wide enough to show the threshold."""
    shown = values if threshold is None else np.append(values, threshold)
    if log:
        positive = shown[shown > 0]
        low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 10.0)
        return np.geomspace(low, high if high > low else low * 10, BINS + 1)
    low, high = shown.min(), shown.max()
    return np.linspace(low, high, BINS + 1) if high > low else np.linspace(low - 0.5, low + 0.5, BINS + 1)
