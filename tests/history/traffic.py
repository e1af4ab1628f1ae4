"""Traders who do everything that can be done with orders, at random, on lines that are cut at random.

Each trader has several workers, each with a line of its own and one request under way at a time. A lost
request is sent again, as its sender would: that is what its client order id or Idempotency-Key is for.
Everything is put on record by a `History`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

from exchange.kit.fields import format_cny, format_hour
from tests.history.record import Asked, History, Trader
from tests.plain_http import Line

PRICE_STEPS: Final = (960, 970, 980, 990, 1000, 1010, 1020, 1030, 1040)
"""What is bid and asked, in thousandths of a product's reference price."""
BATCH_ORDERS_MAX: Final = 8
REMEMBERED: Final = 40
CUT_SHARE: Final = 0.04
CUT_S_MAX: Final = 0.03
PATIENCE_S: Final = 0.02

Doing = Callable[["Worker"], Awaitable[None]]


class Traffic:
    """What all workers share: the history, whom they can reach, and the first hour for sale."""

    def __init__(
        self,
        history: History,
        traders: Sequence[Trader],
        lines: Callable[[], Line],
        first_hour: Callable[[], int],
        products: Mapping[str, int],
        *,
        seed: int,
        cut_share: float = CUT_SHARE,
    ) -> None:
        """`products` are ids with prices in fen; `lines` makes a worker's line, to any door."""
        self.history, self.traders, self.products = history, traders, products
        self.first_hour, self.cut_share = first_hour, cut_share
        self.rng = Random(seed)
        self.is_over = False
        self.answered = 0
        """Requests that were answered, not counting those that could not be served."""
        self.committed = 0
        """Orders that were told to stand, for the first time."""
        self.workers = 0
        """How many can have a request under way."""
        self.foreign: list[str] = []
        self._lines = lines

    @asynccontextmanager
    async def running(self, workers_each: int = 2) -> AsyncIterator[None]:
        """Let workers trade meanwhile; the end waits until each has its last answer."""
        workers = [
            Worker(self, trader, self._lines(), Random(self.rng.getrandbits(64)), f"{number}.{place}")
            for place, trader in enumerate(self.traders)
            for number in range(workers_each)
        ]
        self.workers = len(workers)
        tasks = [asyncio.create_task(worker.work()) for worker in workers]
        try:
            yield
        finally:
            self.is_over = True
            await asyncio.gather(*tasks)

    async def until(self, answered: int) -> None:
        """Wait for so many more answers."""
        goal = self.answered + answered
        while self.answered < goal:  # noqa: ASYNC110 - many workers, one count
            await asyncio.sleep(0.005)


class Worker:
    """One line of one trader."""

    def __init__(self, traffic: Traffic, trader: Trader, line: Line, rng: Random, name: str) -> None:
        self.traffic, self.trader, self.line, self.rng, self.name = traffic, trader, line, rng, name
        self.orders: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self._count = 0

    async def work(self) -> None:
        """Ask for one thing after another until the traffic is over."""
        doings, weights = zip(*_DOINGS, strict=True)
        while not self.traffic.is_over:
            [doing] = self.rng.choices(doings, weights)
            await doing(self)
        self.line.cut()

    async def ask(self, kind: Any, **request: Any) -> Asked:
        """Ask, on a line that may be cut meanwhile; ask again while nobody can say what came of it."""
        while True:
            cut = None
            if self.rng.random() < self.traffic.cut_share:
                delay_s = self.rng.uniform(0, CUT_S_MAX)
                cut = asyncio.get_running_loop().call_later(delay_s, self.line.cut)
            asked = await self.traffic.history.ask(self.line, self.trader, kind, **request)
            if cut is not None:
                cut.cancel()
            if asked.status is not None and asked.status < 500:
                self.traffic.answered += 1
                self.traffic.committed += kind == "place" and asked.status == 201 and not asked.replayed
                return asked
            if self.traffic.is_over:
                return asked
            await asyncio.sleep(PATIENCE_S)

    def order(self) -> dict[str, Any]:
        """Draw an order: asks are wide, bids narrow and some of them flexible."""
        rng, self._count = self.rng, self._count + 1
        begins = self.traffic.first_hour() + rng.choice((0, 0, 0, 1, 2, 5))
        hours = rng.randint(1, 4) if self.trader.is_buyer else rng.randint(2, 8)
        product = rng.choice(list(self.traffic.products))
        order: dict[str, Any] = {
            "client_order_id": f"{self.name}.{self._count}",
            "product": product,
            "side": "buy" if self.trader.is_buyer else "sell",
            "quantity_gpus": rng.randint(1, 6),
            "starts_at": format_hour(begins),
            "ends_at": format_hour(begins + hours),
            "price_cny_per_gpu_hour": self.price(product),
            "time_in_force": rng.choice(("gtc", "gtc", "gtc", "gtc", "ioc", "fok")),
        }
        if order["time_in_force"] == "gtc":
            order["post_only"] = rng.random() < 0.1
        if self.trader.is_buyer and rng.random() < 0.5:
            order |= {"hours": hours, "ends_at": format_hour(begins + hours + rng.randint(0, 6))}
            if order["time_in_force"] != "fok":
                order["fill"] = rng.choice(("partial", "all_or_none"))
        self.sent = [*self.sent, order][-REMEMBERED:]
        return order

    def price(self, product: str) -> str:
        """Draw a price near a product's own."""
        return format_cny(self.traffic.products[product] * self.rng.choice(PRICE_STEPS) // 1000)

    def remember(self, view: Any) -> None:
        """Keep an order to do more with."""
        self.orders = [*self.orders, view["id"]][-REMEMBERED:]
        if self.rng.random() < 0.05:
            self.traffic.foreign = [*self.traffic.foreign, view["id"]][-REMEMBERED:]


async def _place(worker: Worker) -> None:
    asked = await worker.ask("place", sent=worker.order())
    if asked.status == 201:
        worker.remember(asked.told)


async def _place_many(worker: Worker) -> None:
    orders = [worker.order() for _ in range(worker.rng.randint(2, BATCH_ORDERS_MAX))]
    asked = await worker.ask("batch", sent={"orders": orders})
    for each in asked.told["data"] if asked.status == 200 else ():
        if each.get("order"):
            worker.remember(each["order"])


async def _place_again(worker: Worker) -> None:
    """Send an order again as it was, or another under its name."""
    if worker.sent:
        order = worker.rng.choice(worker.sent)
        if worker.rng.random() < 0.2:
            order = order | {"quantity_gpus": order["quantity_gpus"] + 1}
        await worker.ask("place", sent=order)


async def _cancel(worker: Worker) -> None:
    if worker.orders:
        await worker.ask("cancel", fields={"order_id": worker.rng.choice(worker.orders)})


async def _cancel_foreign(worker: Worker) -> None:
    if worker.traffic.foreign:
        kind = worker.rng.choice(("cancel", "get"))
        await worker.ask(kind, fields={"order_id": worker.rng.choice(worker.traffic.foreign)})


async def _get(worker: Worker) -> None:
    if worker.orders:
        await worker.ask("get", fields={"order_id": worker.rng.choice(worker.orders)})


async def _amend(worker: Worker) -> None:
    if not worker.orders:
        return
    wishes: list[dict[str, Any]] = [
        {"quantity_gpus": worker.rng.randint(1, 4)},
        {"price_cny_per_gpu_hour": worker.price(worker.rng.choice(list(worker.traffic.products)))},
        {"quantity_gpus": worker.rng.randint(3, 9)},
    ]
    worker._count += 1
    asked = await worker.ask(
        "amend",
        fields={"order_id": worker.rng.choice(worker.orders)},
        sent=worker.rng.choice(wishes),
        once_key=f"{worker.name}.{worker._count}",
    )
    if asked.status == 200:
        worker.remember(asked.told)


async def _cancel_all(worker: Worker) -> None:
    fields: dict[str, str] = {}
    if worker.rng.random() < 0.5:
        fields["product"] = worker.rng.choice(list(worker.traffic.products))
    if worker.rng.random() < 0.3:
        fields["side"] = worker.rng.choice(("buy", "sell"))
    query = "&".join(f"{name}={value}" for name, value in fields.items())
    await worker.ask("cancel_all", fields={**fields, "query": f"?{query}" if query else ""})


_DOINGS: Final[Sequence[tuple[Doing, int]]] = (
    (_place, 40),
    (_place_many, 6),
    (_place_again, 8),
    (_cancel, 16),
    (_cancel_foreign, 2),
    (_get, 10),
    (_amend, 14),
    (_cancel_all, 2),
)
