"""Draw small charts for the metadata of materializations.

Dagster itself plots a number over successive materializations; these charts show the current
content of the tables. Each is a PNG of few colours inside Markdown, of 10 to 20 KB however much it
shows. matplotlib takes half a second to import: import this module where it is used.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC
from io import BytesIO

import dagster as dg
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#8a94a6",
        "axes.labelcolor": "#3d4659",
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.grid": True,
        "grid.color": "#e6e9ef",
        "axes.axisbelow": True,
        "legend.frameon": False,
        "text.color": "#1d2433",
        "xtick.color": "#5b6478",
        "ytick.color": "#5b6478",
    }
)

COLOURS = ("#4f43dd", "#0a9a73", "#d9622b", "#b3219a", "#2b7fd9", "#8f6b00", "#64748b", "#c11d2f")
# Characters of a label; longer ones are cut.
MAX_LABEL = 44
# A line with at most so many points has a marker at each.
MAX_MARKERS = 24
DOTS_PER_INCH = 110
# Colours of the picture, including those of smoothed edges.
MAX_TONES = 48
SECONDS_OF_DAY = 86_400

Series = Sequence[tuple[int, float]]
"""Points of (Unix seconds, value), ordered by time."""


def _figure(rows: int = 1, height: float = 2.7, ratios: Sequence[float] = (1,)) -> list[Axes]:
    figure = Figure(figsize=(8.2, height), layout="constrained")
    grid = figure.subplots(
        rows, 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios}
    )
    return [row[0] for row in grid]


def _picture(axes: Axes, alternative: str) -> dg.MetadataValue:
    """Return the figure as Markdown; ``alternative`` is its text for screen readers."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    # Keep the colours that differ most, not the most frequent ones: a line has few pixels.
    fewer = Image.open(drawn).convert("RGB").quantize(MAX_TONES, Image.Quantize.MAXCOVERAGE)
    fewer.save(small, format="png", optimize=True)
    data = b64encode(small.getvalue()).decode()
    return dg.MetadataValue.md(f"![{alternative}](data:image/png;base64,{data})")


def _days(points: Series) -> list[float]:
    """Return the times as matplotlib counts them: days since 1970."""
    return [moment / SECONDS_OF_DAY for moment, _ in points]


def _time_axis(axes: Axes) -> None:
    locator = AutoDateLocator(tz=UTC, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]  # of matplotlib
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]  # of matplotlib
    axes.xaxis.set_major_formatter(formatter)


def _short(text: str) -> str:
    # A dollar sign would start a formula.
    cut = text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"
    return cut.replace("$", r"\$")


def _legend(axes: Axes, columns: int = 1) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=columns, fontsize=8)


def prices(markets: Mapping[str, Series], volume: Series, seconds: int) -> dg.MetadataValue:
    """Draw prices of YES of some markets as steps, and their total volume below.

    Args:
        markets: Points by question, at least one of each; prices from 0 to 1.
        volume: In SOL, of intervals that begin at the points' times.
        seconds: Length of those intervals.
    """
    above, below = _figure(2, 3.6, (3, 1))
    for colour, (name, points) in zip(COLOURS, markets.items(), strict=False):
        values = [100 * value for _, value in points]
        above.step(_days(points), values, where="post", color=colour, label=_short(name))
        above.plot(_days(points)[-1:], values[-1:], "o", color=colour, markersize=4)
    above.axhline(50, color="#8a94a6", linewidth=0.8, linestyle=":")
    seen = [100 * value for points in markets.values() for _, value in points]
    # At least ten percentage points high, so that a small movement is neither lost nor magnified.
    middle, half = (min(seen) + max(seen)) / 2, max(5.0, 0.6 * (max(seen) - min(seen)))
    above.set_ylim(max(0.0, middle - half), min(100.0, middle + half))
    above.set_ylabel("YES, %")
    above.legend(loc="best", fontsize=8)
    # One outline for all intervals, which falls to zero between them.
    edges: list[tuple[int, float]] = []
    for moment, value in volume:
        if edges and edges[-1][0] == moment:
            edges.pop()
        edges += [(moment, value), (moment + seconds, 0.0)]
    below.fill_between(
        _days(edges),
        [value for _, value in edges],
        step="post",
        color="#9aa3b5",
        linewidth=0,
    )
    below.set_ylabel("SOL")
    below.set_ylim(bottom=0)
    _time_axis(below)
    return _picture(above, "Prices of YES and volume over time")


def bars(
    title: str, groups: Mapping[str, Mapping[str, float]], unit: str, alternative: str
) -> dg.MetadataValue:
    """Draw horizontal bars: for each label one bar per name, the first label on top."""
    names = list(next(iter(groups.values()), {}))
    height = 0.8 / max(1, len(names))
    (axes,) = _figure(height=0.9 + 0.34 * max(1, len(groups)) * max(1.0, len(names) * 0.6))
    for number, name in enumerate(names):
        axes.barh(
            [row + (number - (len(names) - 1) / 2) * height for row in range(len(groups))],
            [values[name] for values in groups.values()],
            height * 0.92,
            color=COLOURS[number],
            label=name,
        )
    axes.set_yticks(range(len(groups)), [_short(label) for label in groups])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(unit)
    axes.set_title(title)
    if len(names) > 1:
        _legend(axes)
    return _picture(axes, alternative)


def lines(
    title: str,
    series: Mapping[str, Series],
    unit: str,
    alternative: str,
    *,
    limit: float | None = None,
    whole: bool = False,
) -> dg.MetadataValue:
    """Draw values over time, each series in its own colour.

    Args:
        title: Above the chart.
        series: Points by label.
        unit: Label of the vertical axis.
        alternative: Text for screen readers.
        limit: Drawn as a dashed line.
        whole: Whether the values are counts.
    """
    (axes,) = _figure()
    for colour, (name, points) in zip(COLOURS, series.items(), strict=False):
        axes.plot(
            _days(points),
            [value for _, value in points],
            color=colour,
            label=name,
            marker="o" if len(points) <= MAX_MARKERS else "",
            markersize=2.5,
            linewidth=1.4,
        )
    if limit is not None:
        axes.axhline(limit, color="#c11d2f", linewidth=1, linestyle="--", label="limit")
    axes.set_ylim(bottom=0)
    axes.set_ylim(top=max(axes.get_ylim()[1], 1.0))
    if whole:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(unit)
    axes.set_title(title)
    _time_axis(axes)
    _legend(axes)
    return _picture(axes, alternative)
