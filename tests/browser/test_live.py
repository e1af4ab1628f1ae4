"""Goal: what is live on the pages stays right whatever becomes of the connection, and comes back by itself.

Method: a real Chromium on the served exchange; between its WebSocket and the exchange stands a line that
loses messages, and the exchange itself closes connections. In the end the page shows what the API says.
"""

import asyncio
import itertools
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from playwright.async_api import Locator, WebSocketRoute, expect

from exchange.feed.hub import Closing
from tests.browser.screen import Screen
from tests.e2e.served import DEADLINE_S, eventually
from tests.e2e.stage import PRODUCT, Stage

_numbers = itertools.count(1)
STEP_MS = 100
OFFERED = (60, 63)
"""Hours that only this module trades in."""


class Line:
    """Carries what the page and the exchange say to each other, and loses some of it."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.told: list[Any] = []
        self.connections = 0
        self.loses: Callable[[Any], bool] = lambda _message: False
        self.refuses: Callable[[Any], bool] = lambda _message: False
        self._page: WebSocketRoute | None = None

    def connect(self, page: WebSocketRoute) -> None:
        """Stand between a page and the exchange."""
        self.connections += 1
        self._page = page
        exchange = page.connect_to_server()

        def say(text: str | bytes) -> None:
            message = json.loads(text)
            self.said.append(message)
            if self.refuses(message):
                refusal = {"code": "rate_limited", "retryable": True}
                page.send(json.dumps({"event": "error", "problem": refusal}))
            else:
                exchange.send(text)

        def tell(text: str | bytes) -> None:
            message = json.loads(text)
            if not self.loses(message):
                self.told.append(message)
                page.send(text)

        page.on_message(say)
        exchange.on_message(tell)

    def put(self, message: Any) -> None:
        """Tell the page what the exchange never said."""
        assert self._page is not None
        self._page.send(json.dumps(message))

    def asked(self, op: str) -> int:
        """Count what the page asked for."""
        return sum(each["op"] == op for each in self.said)


async def opened(screen: Screen, stage: Stage, line: Line | None = None) -> Locator:
    """Open the market at hours of our own, and return its depth."""
    if line is not None:
        await screen.page.route_web_socket(re.compile("/v1/stream$"), line.connect)
    await screen.open(f"market?product={PRODUCT}&starts_at={stage.hour(OFFERED[0])}&hours=3")
    depth = screen.page.get_by_role("region", name="Depth")
    await expect(depth.locator("dd").first).to_be_visible()
    return depth


async def trade(stage: Stage, side: str, price: str, gpus: int) -> None:
    """Place an order for our hours."""
    order = stage.order(side, f"live-{next(_numbers)}", OFFERED, price_cny_per_gpu_hour=price)
    caller = stage.cast.provider if side == "sell" else stage.cast.buyer
    await caller.post("/v1/orders", {**order, "quantity_gpus": gpus})


async def depth_of(stage: Stage) -> Any:
    return await stage.operator.get(
        f"/v1/market/{PRODUCT}/depth",
        starts_at=stage.hour(OFFERED[0]),
        ends_at=stage.hour(OFFERED[1]),
    )


async def check_shown(depth: Locator, stage: Stage) -> None:
    """Wait until the page shows the depth that the API tells."""
    now = await depth_of(stage)
    figures = depth.locator("dd")
    await expect(figures.nth(0)).to_have_text(f"{now['filled_gpus']:,}")
    await expect(figures.nth(2)).to_have_text(f"¥{float(now['notional_cny']):,.2f}")


async def test_both_sides_of_the_depth_are_live_and_nobody_asks_for_them(
    screen: Screen, stage: Stage
) -> None:
    asked: list[str] = []
    screen.page.on("request", lambda request: asked.append(request.url))
    depth = await opened(screen, stage)
    await trade(stage, "sell", "5.10", 4)
    await trade(stage, "sell", "5.30", 2)
    await trade(stage, "buy", "3.60", 3)
    await check_shown(depth, stage)
    await expect(depth.get_by_role("img")).to_have_accessible_name(re.compile(r"Wanted .* 0, On offer .* 6$"))
    await depth.get_by_role("button", name=re.compile("table")).click()
    table = depth.get_by_role("table")
    for row in ("3.60 3 0", "5.10 0 4", "5.30 0 6"):
        cells = table.get_by_role("row").filter(has_text=row.split()[0])
        await expect(cells).to_have_text(re.compile(r"\s*".join(row.split())))
    await trade(stage, "buy", "5.10", 1)
    await expect(table.get_by_role("row").filter(has_text="5.10")).to_have_text(re.compile(r"5\.10\s*0\s*3"))
    assert not any("/depth" in url for url in asked)
    await screen.check_accessible()
    await screen.check_fits()
    await screen.screenshot("market-depth")


@pytest.mark.long
async def test_a_lost_message_is_noticed_and_the_book_ends_as_the_exchange_has_it(
    screen: Screen, stage: Stage
) -> None:
    line = Line()
    depth = await opened(screen, stage, line)
    is_next_lost = False

    def is_of_book(message: Any) -> bool:
        return bool(message.get("channel", "").startswith("book:"))

    def loses(message: Any) -> bool:
        nonlocal is_next_lost
        is_lost = is_next_lost and is_of_book(message) and message["event"] == "delta"
        is_next_lost &= not is_lost
        return is_lost

    async def has_lost() -> bool:
        return not is_next_lost

    async def snapshots() -> int:
        return sum(is_of_book(each) and each["event"] == "snapshot" for each in line.told)

    await eventually(snapshots, bool)
    line.loses = loses
    for number in range(4):
        known, before, is_next_lost = await snapshots(), len(line.said), True
        await trade(stage, "sell", f"6.{number}0", 1)
        await eventually(has_lost, bool)  # two trades at once may be told as one
        # The next delta tells that one is missing.
        await trade(stage, "sell", f"6.{number}1", 1)
        await eventually(said_since(line, before), lambda ops: "resync" in ops)
        # What is lost before the snapshot that was asked for would not be missing after it.
        await eventually(snapshots, lambda count, known=known: count > known)  # type: ignore[misc]
    line.loses = lambda _message: False
    await trade(stage, "sell", "6.90", 1)
    await check_shown(depth, stage)
    assert line.asked("resync") >= 4
    assert line.connections == 1


async def test_a_book_that_went_wrong_is_noticed_by_its_checksum_and_read_anew(
    screen: Screen, stage: Stage
) -> None:
    line = Line()
    depth = await opened(screen, stage, line)

    async def told_book() -> bool:
        return any("checksum" in each for each in line.told)

    await eventually(told_book, bool)
    # A message that says of the book what is not so: as if one bit of it had gone wrong on the way.
    snapshot = next(each for each in line.told if each.get("channel") == f"book:{PRODUCT}")
    wrong = {
        "event": "checksum",
        "channel": snapshot["channel"],
        "partition": snapshot["partition"],
        "sequence": max(each["sequence"] for each in line.told if each.get("channel") == snapshot["channel"]),
        "checksum": "00000000",
    }
    line.put(wrong)

    async def resyncs() -> int:
        return line.asked("resync")

    assert await eventually(resyncs, bool) == 1
    await trade(stage, "sell", "7.10", 1)
    await check_shown(depth, stage)


async def test_a_connection_that_the_exchange_closes_comes_back_and_goes_on(
    screen: Screen, stage: Stage
) -> None:
    line = Line()
    depth = await opened(screen, stage, line)
    state = screen.page.locator(".stream-state")
    await expect(state).to_have_text("Live")
    for closing in (Closing.MISSED, Closing.SLOW):
        before = len(line.said)
        stage.house.exchange.relay.hub.close_all(closing)
        await trade(stage, "sell", "7.50", 1)
        await eventually(said_since(line, before), lambda ops: ops.count("subscribe") >= 2)
        await check_shown(depth, stage)
        await expect(state).to_have_text("Live")
    assert line.connections == 3
    # Trades go on after what was seen; a book begins anew whatever is said.
    resumed = [each for each in line.said if each["op"] == "subscribe" and each.get("after")]
    assert {each["channels"][0].split(":")[0] for each in resumed} == {"trades", "book"}
    assert any(each["event"] == "resumed" for each in line.told)


@pytest.mark.long
async def test_what_was_refused_for_now_is_asked_again(screen: Screen, stage: Stage) -> None:
    line, books = Line(), itertools.count(1)
    line.refuses = lambda message: (
        message["op"] == "subscribe" and "book:" in message["channels"][0] and next(books) <= 2
    )
    depth = await opened(screen, stage, line)
    await check_shown(depth, stage)
    assert sum("book:" in each["channels"][0] for each in line.said if each["op"] == "subscribe") == 3


@pytest.mark.long
async def test_whose_key_has_ended_is_logged_out_and_goes_on_as_anybody(screen: Screen, stage: Stage) -> None:
    buyer = stage.cast.buyer
    key = await stage.operator.key_of(buyer.id, ["read", "trade"])
    await screen.log_in(buyer.with_key(key["secret"]))
    depth = await opened(screen, stage)
    await expect(screen.page.locator(".stream-state")).to_have_text("Live")
    screen.expects(401, "/v1/session")
    await stage.operator.send("DELETE", f"/v1/keys/{key['id']}")
    await screen.button("Go on without a login").click()
    await expect(screen.page.get_by_role("link", name="Log in")).to_be_visible()
    await expect(screen.page.locator(".stream-state")).to_have_text("Live")
    await trade(stage, "sell", "7.90", 1)
    await check_shown(depth, stage)


@pytest.mark.long
async def test_who_is_not_let_in_waits_longer_each_time(screen: Screen) -> None:
    tried: list[int] = []
    clock_ms = 0
    closed = asyncio.Event()

    async def refuse(page: WebSocketRoute) -> None:
        tried.append(clock_ms)
        await page.close(code=1001, reason="not now")
        closed.set()

    await screen.page.clock.install()
    await screen.page.route_web_socket(re.compile("/v1/stream$"), refuse)
    await screen.open(f"market?product={PRODUCT}")
    await asyncio.wait_for(closed.wait(), DEADLINE_S)
    # From here on time passes on the page only where it is told to.
    await screen.page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    known = len(tried)
    while len(tried) < known + 4:
        closed.clear()
        await screen.page.clock.run_for(STEP_MS)
        clock_ms += STEP_MS
        if tried[-1] == clock_ms - STEP_MS and len(tried) > known:
            await asyncio.wait_for(closed.wait(), DEADLINE_S)
    waits_ms = [later - earlier for earlier, later in pairwise(tried[known:])]
    for place, wait_ms in enumerate(waits_ms):
        longest_ms = min(500 * 2 ** (known + place), 20_000)
        assert longest_ms / 2 - STEP_MS <= wait_ms <= longest_ms + STEP_MS, waits_ms


def said_since(line: Line, before: int) -> Any:
    """Return what reads which requests the page has made since."""

    async def read() -> list[str]:
        return [each["op"] for each in line.said[before:]]

    return read
