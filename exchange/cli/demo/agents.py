"""What the demo's participants do: seeded, endless, and only through their own keys.

A refusal is part of a market and is counted, and so is a single request without an answer: a machine may have
slept. The exchange being out of reach ends the simulation.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from exchange.applications.models import ApplicationStatus, NewApplicationStep
from exchange.claims.models import ClaimStatus, NewClaimBatch, NewRejection
from exchange.cli.demo.cast import PROGRAMMES, SHOWN_CLAIMANT, Buyer, Provider
from exchange.cli.demo.setup import DemoMarket
from exchange.client import ApiProblem, ExchangeClient, Unreachable
from exchange.kit.clock import hour_of, parse_rfc3339
from exchange.kit.fields import format_cny, format_hour
from exchange.orders.models import NewOrder, OrderView
from exchange.products.list_price_models import NewListPrice
from exchange.settlement.models import LeaseStatus, NewOutage
from matching.order import Side

LISTED_HOURS: Final = 24
ASK_PERCENT_MAX: Final = 108
BID_HOURS: Final = (1, 1, 2, 2, 3, 4, 6, 8, 12)
CLAIM_EVERY_HOURS: Final = 4
OUTAGE_PERCENT: Final = 3
REJECTED_PERCENT: Final = 10
CANCELLED_PERCENT: Final = 5
CLAIM_PERCENT: Final = 15


class Traded:
    """A product as the agents need it."""

    def __init__(self, description: dict[str, object]) -> None:
        """Read the exchange's description."""
        self.id = str(description["id"])
        self.lot_gpus = int(str(description["lot_gpus"]))
        self.is_domestic = description["origin"] == "domestic"
        self.reference_fen = int(str(description["reference_price_cny_per_gpu_hour"]).replace(".", ""))


class Scene:
    """What all agents share: the market, its products, the pace, and the count of refusals."""

    def __init__(self, market: DemoMarket, products: dict[str, Traded], hour_s: float, run: str) -> None:
        """`run` makes client order ids unique among all starts of the demo."""
        self.market = market
        self.products = products
        self.hour_s = hour_s
        self.refused: Counter[str] = Counter()
        self._run = run
        self._count = 0

    def next_id(self) -> str:
        """Return a new client order id."""
        self._count += 1
        return f"demo-{self._run}-{self._count}"

    def refuse(self, problem: ApiProblem) -> None:
        """Count a refusal."""
        self.refused[problem.problem.code] += 1


def _rng(seed: int, name: str) -> random.Random:
    """Return a participant's own sequence of choices, whatever the others do."""
    return random.Random(f"{seed} {name}")  # noqa: S311  (a simulation, no secret)


async def first_hour(client: ExchangeClient) -> int:
    """Return the first hour that can still be bought."""
    return _hour((await client.venue_time()).first_hour_for_sale_at)


def _hour(text: str) -> int:
    at_us = parse_rfc3339(text)
    if at_us is None:
        raise ValueError(f"the exchange gave {text!r} as a time")
    return hour_of(at_us)


async def claim_all(scene: Scene, client: ExchangeClient) -> None:
    """Claim under every programme in which a participant has something to claim."""
    for outcome in (await client.submit_claims(NewClaimBatch())).data:
        if outcome.code is not None:
            scene.refused[outcome.code] += 1


class ProviderAgent:
    """Keeps a day of capacity on offer, reports an outage now and then, and claims what vouchers paid."""

    def __init__(self, scene: Scene, provider: Provider, seed: int) -> None:
        """Act for `provider`."""
        self._scene = scene
        self._provider = provider
        self._rng = _rng(seed, provider.name)
        self._client = scene.market.client(provider.name)
        self._listed_until: dict[str, int] = {}

    async def find_listed(self) -> None:
        """Learn from an earlier start what is on offer already."""
        async for order in self._client.fetch_orders(limit=200, side="sell"):
            until = self._listed_until.get(order.product, 0)
            self._listed_until[order.product] = max(until, _hour(order.ends_at))

    async def publish_list_prices(self) -> None:
        """Publish the highest price it asks; after an earlier start it stands already."""
        for product_id in self._provider.gpus:
            reference_fen = self._scene.products[product_id].reference_fen
            price_cny = format_cny(reference_fen * self._provider.price_percent * ASK_PERCENT_MAX // 10_000)
            await self._client.publish_list_price(product_id, NewListPrice(price_cny_per_gpu_hour=price_cny))

    async def list_capacity(self) -> None:
        """Offer what is missing of the next day, at a price around the provider's level."""
        hour = await first_hour(self._client)
        for product_id, gpus in self._provider.gpus.items():
            starts_hour = max(hour, self._listed_until.get(product_id, 0))
            if starts_hour >= hour + LISTED_HOURS:
                continue
            ends_hour = starts_hour + LISTED_HOURS
            reference_fen = self._scene.products[product_id].reference_fen
            percent = self._rng.randint(94, ASK_PERCENT_MAX)
            price_fen = reference_fen * self._provider.price_percent * percent // 10_000
            offer = NewOrder(
                client_order_id=self._scene.next_id(),
                product=product_id,
                side=Side.SELL,
                quantity_gpus=gpus,
                starts_at=format_hour(starts_hour),
                ends_at=format_hour(ends_hour),
                price_cny_per_gpu_hour=format_cny(max(1, price_fen)),
            )
            await self._client.create_order(offer)
            self._listed_until[product_id] = ends_hour

    async def live(self) -> None:
        """Do all of it for ever."""
        passed_hours = self._rng.randrange(CLAIM_EVERY_HOURS)
        while True:
            await asyncio.sleep(self._scene.hour_s * self._rng.uniform(0.8, 1.2))
            passed_hours += 1
            try:
                await self.list_capacity()
                if self._rng.randrange(100) < OUTAGE_PERCENT:
                    await self._report_outage()
            except ApiProblem as problem:
                self._scene.refuse(problem)
            if passed_hours % CLAIM_EVERY_HOURS == 0:
                await self._claim()

    async def _report_outage(self) -> None:
        hour = await first_hour(self._client)
        async for lease in self._client.leases(limit=50):
            runs_then = _hour(lease.starts_at) <= hour < _hour(lease.ends_at)
            if lease.status in {LeaseStatus.SCHEDULED, LeaseStatus.RUNNING} and runs_then:
                outage = NewOutage(hours=[format_hour(hour)], reason="cooling failure in one row of racks")
                await self._client.report_outage(lease.id, outage)
                return

    async def _claim(self) -> None:
        try:
            await claim_all(self._scene, self._client)
        except ApiProblem as problem:
            self._scene.refuse(problem)


class BuyerAgent:
    """Bids for jobs of all sizes, with vouchers where it has some, and cancels one now and then.

    Where a programme reimburses it, it claims now and then what was delivered.
    """

    def __init__(self, scene: Scene, buyer: Buyer, seed: int) -> None:
        """Act for `buyer`."""
        self._scene = scene
        self._buyer = buyer
        self._rng = _rng(seed, buyer.name)
        self._client = scene.market.client(buyer.name)
        mine = [each for each in PROGRAMMES if buyer.name in (*each.recipients, *each.applicants)]
        self._has_vouchers = bool(mine)
        self._claims = buyer.name != SHOWN_CLAIMANT and any(each.mode == "reimburse" for each in mine)
        self._products = [
            product for product in scene.products.values() if product.is_domestic or not buyer.domestic_only
        ]

    async def live(self) -> None:
        """Bid for ever, twice an hour on average."""
        while True:
            await asyncio.sleep(self._rng.expovariate(2.0) * self._scene.hour_s)
            try:
                placed = await self.bid()
                if placed.status == "resting" and self._rng.randrange(100) < CANCELLED_PERCENT:
                    await self._client.cancel_order(placed.id)
                if self._claims and self._rng.randrange(100) < CLAIM_PERCENT:
                    await claim_all(self._scene, self._client)
            except ApiProblem as problem:
                self._scene.refuse(problem)

    async def bid(self) -> OrderView:
        """Place one bid."""
        rng = self._rng
        product = rng.choice(self._products)
        hours = rng.choice(BID_HOURS)
        starts_hour = await first_hour(self._client) + rng.randrange(4)
        # Small jobs are many and large ones few.
        lots = max(1, round(self._buyer.lots_max * rng.random() ** 3))
        order = NewOrder(
            client_order_id=self._scene.next_id(),
            product=product.id,
            side=Side.BUY,
            quantity_gpus=lots * product.lot_gpus,
            hours=hours,
            starts_at=format_hour(starts_hour),
            ends_at=format_hour(starts_hour + hours + rng.choice((0, 6, 12))),
            price_cny_per_gpu_hour=format_cny(product.reference_fen * rng.randint(88, 130) // 100),
            fill=rng.choice(("partial", "all_or_none")),
            vouchers="auto" if self._has_vouchers else "none",
            voucher_policy="prefer" if self._has_vouchers else None,
            time_in_force="ioc" if rng.randrange(10) == 0 else "gtc",
        )
        return await self._client.create_order(order)


class IssuerAgent:
    """Approves applications, decides on claims and pays those it approved."""

    def __init__(self, scene: Scene, issuer: str, seed: int) -> None:
        """Act for `issuer`."""
        self._scene = scene
        self._rng = _rng(seed, issuer)
        self._client = scene.market.client(issuer)

    async def live(self) -> None:
        """Look through applications and claims twice an hour, for ever."""
        while True:
            await asyncio.sleep(self._scene.hour_s / 2)
            try:
                await self.decide()
            except ApiProblem as problem:
                self._scene.refuse(problem)

    async def decide(self) -> None:
        """Approve applications that can be granted; reject some claims, approve and pay the others."""
        async for wish in self._client.applications(limit=100, status=ApplicationStatus.SUBMITTED):
            try:
                await self._client.step_application(wish.id, NewApplicationStep(to="approved"))
            except ApiProblem as problem:
                self._scene.refuse(problem)
                step = NewApplicationStep(to="rejected", reason=problem.problem.detail)
                await self._client.step_application(wish.id, step)
        for status in (ClaimStatus.SUBMITTED, ClaimStatus.IN_AUDIT):
            async for claim in self._client.claims(limit=100, status=status):
                if self._rng.randrange(100) < REJECTED_PERCENT:
                    rejection = NewRejection(reason="the delivery log is missing")
                    await self._client.reject_claim(claim.id, rejection)
                else:
                    await self._client.approve_claim(claim.id)
        async for claim in self._client.claims(limit=100, status=ClaimStatus.APPROVED):
            await self._client.pay_claim(claim.id)


Agent = ProviderAgent | BuyerAgent | IssuerAgent


async def live_all(agents: Sequence[Agent], scene: Scene, tell: Callable[[str], None]) -> None:
    """Let all agents act until cancelled; one that fails ends them all. `Unreachable`: the venue is gone."""
    gone: list[BaseException] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            for agent in agents:
                tasks.create_task(_live_on(agent, scene))
    except* Unreachable as unreachable:
        gone.extend(unreachable.exceptions)
    except* Exception as failures:
        for failure in failures.exceptions:
            tell(f"the simulation has stopped: {type(failure).__name__}: {failure}")
        raise
    if gone:
        raise gone[0]


async def _live_on(agent: Agent, scene: Scene) -> None:
    """Let an agent act, also after a request without an answer, while the exchange answers at all."""
    while True:
        try:
            await agent.live()
        except Unreachable:
            await scene.market.reach()
            scene.refused["no_answer"] += 1
