"""What the dashboard costs a person: seconds until something is painted, and input under load.

A headless Chromium without a cache reads the pages from an API with 100,000 markets. Figures are
the browser's own: its paint timing, its event timing and its long tasks. Frames of one market come
at 100 a second while keys are pressed.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from statistics import median
from typing import Any, Final, NamedTuple

import msgspec
from selenium.webdriver import Chrome

from benchmarks.database import writer
from benchmarks.read_server import ReadServer
from benchmarks.read_world import Markets, read_world
from benchmarks.rows import RivalMissing, Row
from tests.fixtures.browser import BrowserMissing, chromium
from zmart_pipelines.client_schemas.frames import market_state_frames
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import markets as rows

GOAL_PAINT: Final = 1000.0
GOAL_INPUT: Final = 200.0
RATE: Final = 100
_MARKETS: Final = 100_000
_KEYS_PER_SECOND: Final = 10
# Read before the page's own scripts.
_OBSERVE: Final = """
globalThis.seen = { messages: 0, frames: 0, keys: 0, long: 0, slowest: 0, painted: 0 };
const Socket = globalThis.WebSocket;
globalThis.WebSocket = class extends Socket {
  constructor(...given) {
    super(...given);
    this.addEventListener('message', ({ data }) => {
      seen.messages += 1;
      seen.frames += (String(data).match(/"type":"market_state"/g) ?? []).length;
    });
  }
};
addEventListener('keydown', () => { seen.keys += 1 }, true);
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) seen.slowest = Math.max(seen.slowest, duration);
}).observe({ type: 'event', durationThreshold: 16, buffered: true });
new PerformanceObserver((list) => { seen.long += list.getEntries().length })
  .observe({ type: 'longtask', buffered: true });
const paint = () => { seen.painted += 1; requestAnimationFrame(paint) };
requestAnimationFrame(paint);
"""


class _World(NamedTuple):
    markets: Markets
    server: ReadServer
    redis: str
    browser: Chrome


@contextmanager
def _world(count: int) -> Iterator[_World]:
    try:
        with chromium() as browser, read_world() as world:
            markets = world.markets(count)
            browser.execute_cdp_cmd("Network.enable", {})
            browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
            browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _OBSERVE})
            yield _World(markets, world.api(markets), world.redis, browser)
    except BrowserMissing as error:
        raise RivalMissing(str(error)) from error


def dashboard_paint(quick: bool) -> Row:
    """Measure the time to the first paint with content, of the slowest page."""
    return _measured(quick)["dashboard_paint"]


def dashboard_input(quick: bool) -> Row:
    """Measure the slowest key while a market's page receives 100 frames a second."""
    return _measured(quick)["dashboard_input"]


@cache
def _measured(quick: bool) -> dict[str, Row]:
    count = _MARKETS // 10 if quick else _MARKETS
    with _world(count) as world:
        (market,) = world.markets.ids(1)
        pages = ("/app", "/app/markets", f"/app/markets/{market}")
        return {
            "dashboard_paint": _paint(world, pages, 3 if quick else 9, count),
            "dashboard_input": _input(world, market, 5 if quick else 20),
        }


def _paint(world: _World, pages: tuple[str, ...], rounds: int, count: int) -> Row:
    shown = {}
    for page in pages:
        found = [_load(world, page) for _ in range(rounds + 1)][1:]
        shown[page.replace("/app/markets/", "a market ")[:12]] = (
            median(first for first, _ in found),
            max(first for first, _ in found),
            median(read for _, read in found),
        )
    worst = max(first for first, _, _ in shown.values())
    text = "; ".join(
        f"{page}: painted after {first:.0f} ms (at most {most:.0f}), all read after {read:.0f}"
        for page, (first, most, read) in shown.items()
    )
    text += f"; {count:,} markets, no cache, load {os.getloadavg()[0]:.1f}"
    return Row("dashboard_paint", round(worst), "ms", GOAL_PAINT, text, worst < GOAL_PAINT)


def _load(world: _World, page: str) -> tuple[float, float]:
    """Open a page; return milliseconds to its first paint, and until every panel has its data."""
    world.browser.get("about:blank")
    world.browser.get(world.server.url + page)
    ready = """
        const done = arguments[0];
        const check = () => {
          const paint = performance.getEntriesByName('first-contentful-paint')[0];
          const panels = document.querySelectorAll('main .panel').length;
          if (paint && panels > 0 && !document.querySelector('main .waiting')) {
            done([paint.startTime, performance.now()]);
          } else setTimeout(check, 10);
        };
        check();
    """
    first, read = world.browser.execute_async_script(ready)
    return float(first), float(read)


def _input(world: _World, market: str, seconds: float) -> Row:
    browser = world.browser
    _load(world, f"/app/markets/{market}")
    time.sleep(2)
    before = _seen(browser)
    with writer(world.markets.logins["database_url"]) as ledger:
        ended = threading.Event()
        sent: list[int] = []
        work = threading.Thread(target=_send, args=[ledger, world.redis, market, ended, sent])
        work.start()
        began = time.monotonic()
        pressed = 0
        while time.monotonic() - began < seconds:
            for kind in ("keyDown", "keyUp"):
                key = {"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
                browser.execute_cdp_cmd("Input.dispatchKeyEvent", key)
            pressed += 1
            time.sleep(max(0.0, began + pressed / _KEYS_PER_SECOND - time.monotonic()))
        took = time.monotonic() - began
        ended.set()
        work.join()
    time.sleep(1)
    after = _seen(browser)
    got = {name: after[name] - before[name] for name in ("frames", "keys", "long", "painted")}
    slowest = float(after["slowest"])
    lost = pressed - got["keys"]
    text = "; ".join(
        [
            f"{len(sent) / took:.0f} frames a second sent, {got['frames']} of {len(sent)} received",
            f"{got['keys']} of {pressed} keys taken",
            f"{got['long']} tasks above 50 ms",
            f"{got['painted'] / (took + 1):.0f} pictures a second",
            f"load {os.getloadavg()[0]:.1f}",
        ]
    )
    ok = not lost and slowest < GOAL_INPUT and got["frames"] >= len(sent)
    return Row("dashboard_input", slowest, "ms, slowest key", GOAL_INPUT, text, ok)


def _send(ledger: Any, redis: str, market: str, ended: threading.Event, sent: list[int]) -> None:
    """Change the market's price and append its frame, at a steady rate."""
    began = time.monotonic()
    stream.announce_commits(ledger, stream.publisher(redis))
    with ledger.connect() as conn:
        row = rows.get(conn, bytes.fromhex(market))
    if row is None:
        raise LookupError(market)
    while not ended.is_set():
        price = 100_000_000 + (len(sent) * 7_919_000) % 800_000_000
        changed = msgspec.structs.replace(
            row, price_yes=price, as_of_slot=row.as_of_slot + len(sent)
        )
        with ledger.begin() as conn:
            (frame, _) = market_state_frames(changed, action="updated")
            stream.append(conn, [frame])
        sent.append(price)
        time.sleep(max(0.0, began + len(sent) / RATE - time.monotonic()))


def _seen(browser: Chrome) -> dict[str, float]:
    found: dict[str, float] = json.loads(browser.execute_script("return JSON.stringify(seen)"))
    return found
