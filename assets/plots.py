"""Small pictures for the metadata of materializations, where a person would rather look.

Dagster itself plots numbers of one materialization after the other; these show what lies in
the tables now. Each is a PNG of few colours inside Markdown, some 10 to 20 KB however much it
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

# Nothing here is shown on a screen or written by other parts of the process.
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
# Of a label; longer ones are cut.
LONGEST = 44
# Points up to which each is marked.
FEW = 24
DOTS_PER_INCH = 110
# Colours of the picture, those of smoothed edges included.
TONES = 48
SECONDS_OF_DAY = 86_400

Series = Sequence[tuple[int, float]]
"""Points of (Unix seconds, value) in the order of time."""


def _figure(rows: int = 1, height: float = 2.7, ratios: Sequence[float] = (1,)) -> list[Axes]:
    figure = Figure(figsize=(8.2, height), layout="constrained")
    grid = figure.subplots(
        rows, 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios}
    )
    return [row[0] for row in grid]


def _picture(axes: Axes, alternative: str) -> dg.MetadataValue:
    """The figure as Markdown; ``alternative`` is read out where pictures are not shown."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    # Kept are the colours that differ most, not the most frequent ones: a line has few points.
    fewer = Image.open(drawn).convert("RGB").quantize(TONES, Image.Quantize.MAXCOVERAGE)
    fewer.save(small, format="png", optimize=True)
    data = b64encode(small.getvalue()).decode()
    return dg.MetadataValue.md(f"![{alternative}](data:image/png;base64,{data})")


def _moments(points: Series) -> list[float]:
    """The moments as matplotlib counts them: days since 1970."""
    return [moment / SECONDS_OF_DAY for moment, _ in points]


def _time_axis(axes: Axes) -> None:
    locator = AutoDateLocator(tz=UTC, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)


def _short(text: str) -> str:
    # A dollar sign would begin a formula.
    cut = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return cut.replace("$", r"\$")


def _legend(axes: Axes, columns: int = 1) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=columns, fontsize=8)


def prices(markets: Mapping[str, Series], volume: Series, seconds: int) -> dg.MetadataValue:
    """Prices of YES of some markets, as steps, and the volume of all of them beneath.

    :param markets: by question, at least one; prices from 0 to 1, at least one of each.
    :param volume: in SOL, of intervals of ``seconds`` that begin at the moments.
    """
    above, below = _figure(2, 3.6, (3, 1))
    for colour, (name, points) in zip(COLOURS, markets.items(), strict=False):
        values = [100 * value for _, value in points]
        above.step(_moments(points), values, where="post", color=colour, label=_short(name))
        above.plot(_moments(points)[-1:], values[-1:], "o", color=colour, markersize=4)
    above.axhline(50, color="#8a94a6", linewidth=0.8, linestyle=":")
    seen = [100 * value for points in markets.values() for _, value in points]
    # At least ten points high, so that a small movement is neither lost nor blown up.
    middle, half = (min(seen) + max(seen)) / 2, max(5.0, 0.6 * (max(seen) - min(seen)))
    above.set_ylim(max(0.0, middle - half), min(100.0, middle + half))
    above.set_ylabel("YES, %")
    above.legend(loc="best", fontsize=8)
    # One outline for all intervals, down to nothing where there is none.
    edges: list[tuple[int, float]] = []
    for moment, value in volume:
        if edges and edges[-1][0] == moment:
            edges.pop()
        edges += [(moment, value), (moment + seconds, 0.0)]
    below.fill_between(
        _moments(edges),
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
    """Horizontal bars: for each label one bar per name, the first label on top."""
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
    """Values over time, each series in a colour of its own.

    :param limit: drawn as a dashed line.
    :param whole: the values are numbers of things.
    """
    (axes,) = _figure()
    for colour, (name, points) in zip(COLOURS, series.items(), strict=False):
        axes.plot(
            _moments(points),
            [value for _, value in points],
            color=colour,
            label=name,
            marker="o" if len(points) <= FEW else "",
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
