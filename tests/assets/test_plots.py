"""Pictures in the metadata: small, PNG, and of what they were given."""

import struct
from base64 import b64decode
from collections.abc import Callable
from io import BytesIO

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from assets import plots

START = 1_790_000_000
LONG = [(START + 60 * number, (number % 97) / 97) for number in range(300)]


def picture(value: dg.MetadataValue) -> bytes:
    """The PNG that the Markdown holds."""
    assert isinstance(value, dg.MarkdownMetadataValue)
    head, _, data = (value.md_str or "").partition("data:image/png;base64,")
    assert head.startswith("![")
    assert head.endswith("](")
    raw = b64decode(data.removesuffix(")"), validate=True)
    assert raw.startswith(b"\x89PNG\r\n")
    return raw


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.prices({f"Question {n} for $5?": LONG for n in range(5)}, LONG, 60),
        lambda: plots.prices({"One trade": LONG[:1]}, LONG[:1], 60),
        lambda: plots.lines("Empty", {"nothing": []}, "s", "nothing"),
        lambda: plots.lines(
            "Full", {str(n): LONG for n in range(8)}, "s", "much", limit=0.5, whole=True
        ),
        lambda: plots.bars("Bars", {"long " * 40: {"a": 1.0, "b": 2.0**70}}, "SOL", "bars"),
    ],
)
def test_chart_is_a_small_image(draw: Callable[[], dg.MetadataValue]) -> None:
    raw = picture(draw())
    assert 1_000 < len(raw) < 30_000
    width, height = struct.unpack(">II", raw[16:24])
    assert 800 < width < 1000
    assert 100 < height < 600


def test_chart_draws_the_given_values() -> None:
    """A line at the top and one at the bottom, distinguished by where their colour is."""

    def height_of(value: float) -> float:
        whole = {"0": [(START, 0.0)], "1": [(START, 1.0)], "2": [(START, 0.5)]}
        line = [(START, value), (START + 600, value)]
        made = plots.prices({"q": line, **whole}, LONG[:1], 60)
        pixels = np.asarray(Image.open(BytesIO(picture(made))).convert("RGB")).astype(int)
        colour = [int(plots.COLOURS[0][place : place + 2], 16) for place in (1, 3, 5)]
        like = (abs(pixels[:, 700:] - colour).sum(axis=2) < 30).any(axis=1)
        rows = np.flatnonzero(like)
        return float(rows.mean() / len(pixels))

    assert height_of(0.95) < 0.15 < 0.45 < height_of(0.05)


def test_no_colour_is_lost() -> None:
    """Eight lines, each of which covers few points of the picture."""
    many = {str(number): [(START, number), (START + 900, number)] for number in range(8)}
    made = plots.lines("Many", many, "s", "many", limit=9.0)
    pixels = np.asarray(Image.open(BytesIO(picture(made))).convert("RGB")).astype(int)
    for colour in plots.COLOURS:
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert (abs(pixels - wanted).sum(axis=2) < 40).sum() > 100, colour
