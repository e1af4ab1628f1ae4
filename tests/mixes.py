"""A long, realistic mix of commands for one book, from jobs of a recorded trace or of a seeded one.

The demand trace is used where the folder beside the checkout has it (`tests.replay_traces`); else jobs are
drawn in its shape: three in four last an hour, nine in ten want one GPU, a hundredth holds most of the
GPU-hours, and they come in bursts. Prices walk at random, because no trace has limits. Beside its bid, each
job brings about one offer and one change of something that rests: a cancel, and now and then a reduction or a
replacement. Hours pass as in the trace.
"""

from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

from exchange.kit.clock import hour_of
from exchange.replay.models import LineFault
from exchange.replay.trace import read_bids
from matching.book import OrderBook
from matching.commands import (
    AdvanceHour,
    CancelAll,
    CancelOrder,
    Command,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
    SetPhase,
)
from matching.live import LiveOrder, is_ask
from matching.order import Ask, Bid, FillPolicy, Order, Placement, TimeInForce
from matching.product import Phase, Product
from tests.replay_traces import real_traces

FIRST_HOUR: Final = 480_000
LIVE_MAX: Final = 1_000
"""More than so many live orders are cancelled down, so that the checks of a long run stay affordable."""

PRODUCT: Final = Product("nvidia-h100-sxm.guian.ib-ndr400", 1, 0, 1_000)

_TERMS: Final = [TimeInForce.GTC] * 16 + [TimeInForce.IOC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD]
_WINDOWS: Final = [1, 4, 12, 24, 24, 72, 168, 336]


class Job(NamedTuple):
    """What a trace knows of a job."""

    hour: int
    gpus: int
    hours: int
    buyer: int


def recorded_jobs() -> list[Job] | None:
    """Return the jobs of the recorded trace, None where it is not there."""
    traces = real_traces()
    if traces is None:
        return None
    found = [row for row in read_bids(traces.bids) if not isinstance(row, LineFault)]
    first = hour_of(found[0].submitted_at_us)
    buyers = {name: number for number, name in enumerate(sorted({row.buyer for row in found}), start=1)}
    return [
        Job(
            FIRST_HOUR + hour_of(row.submitted_at_us) - first,
            row.quantity_gpus,
            min(row.hours, 168),
            buyers[row.buyer],
        )
        for row in found
    ]


def drawn_jobs(seed: int, number: int) -> list[Job]:
    """Return seeded jobs in the shape of the recorded ones."""
    random = Random(seed)
    jobs: list[Job] = []
    hour = FIRST_HOUR
    while len(jobs) < number:
        hour += 1
        for _ in range(random.choice([0, 2, 5, 10, 20, 30, 150])):
            gpus = random.choice([1] * 90 + [2, 4, 4, 8, 8, 8, 16, 16, 32, 64])
            hours = random.choice([1] * 75 + [2, 3, 4, 8, 12] * 4 + [24, 48, 72, 96, 168])
            jobs.append(Job(hour, gpus, hours, random.randint(1, 15)))
    return jobs[:number]


class Mix:
    """Makes commands that suit a book as it stands; the same jobs and seed make the same commands."""

    def __init__(self, jobs: list[Job], seed: int) -> None:
        self._random = Random(seed)
        self._jobs = jobs
        self._middle = 1_000
        self._sequence = 0
        self._live: list[int] = []

    def commands(self, book: OrderBook) -> Iterator[Command]:
        """Yield commands without end, each to be carried out before the next; the trace begins anew."""
        random = self._random
        lap = self._jobs[-1].hour - self._jobs[0].hour + 1
        job_number = 0
        while True:
            laps, place = divmod(job_number, len(self._jobs))
            job = self._jobs[place]
            hour = job.hour + laps * lap
            job_number += 1
            if hour > book.hour:
                yield AdvanceHour(sequence=self._next(), hour=hour)
                if random.random() < 0.01:
                    yield SetPhase(sequence=self._next(), phase=Phase.CANCEL_ONLY)
                    yield from self._changes(book, 3)
                    yield SetPhase(sequence=self._next(), phase=Phase.OPEN)
            self._middle = max(100, self._middle + random.choice((-2, -1, 0, 0, 1, 2)))
            yield self._place(self._bid(job, hour))
            if random.random() < 0.9:
                yield self._place(self._ask(hour))
            yield from self._changes(book, random.choice([0, 1, 1, 2]) if len(book.orders) < LIVE_MAX else 3)

    def _changes(self, book: OrderBook, number: int) -> Iterator[Command]:
        random = self._random
        for _ in range(number):
            order = self._draw(book)
            if order is None:
                return
            draw, sequence = random.random(), self._next()
            order_id, participant = order.order_id, order.participant
            if draw < 0.7:
                yield CancelOrder(sequence=sequence, order_id=order_id, participant=participant)
            elif draw < 0.85:
                yield ReduceOrder(
                    sequence=sequence,
                    order_id=order_id,
                    participant=participant,
                    quantity_gpus=max(1, order.quantity_gpus // 2),
                )
            elif draw < 0.998:
                job = Job(book.hour, order.quantity_gpus, random.choice(_WINDOWS), participant)
                new = self._ask(book.hour, participant) if is_ask(order) else self._bid(job, book.hour)
                self._live.append(new.order_id)
                yield ReplaceOrder(sequence=sequence, order_id=order_id, participant=participant, order=new)
            else:
                yield CancelAll(sequence=sequence, participant=participant)

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _place(self, order: Order) -> PlaceOrder:
        self._live.append(order.order_id)
        return PlaceOrder(sequence=self._sequence, order=order)

    def _draw(self, book: OrderBook) -> LiveOrder | None:
        """Return a live order; dead ones met on the way are dropped."""
        while self._live:
            place = self._random.randrange(len(self._live))
            order = book.orders.get(self._live[place])
            if order is not None:
                return order
            self._live[place] = self._live[-1]
            self._live.pop()
        return None

    def _ask(self, hour: int, provider: int = 0) -> Ask:
        random = self._random
        order_id, time_in_force, expire_hour = self._terms(hour)
        starts_hour = hour + random.choice([0, 1, 4, 12, 24, 72, 168])
        hours = random.choice(_WINDOWS)
        return Ask(
            order_id=order_id,
            participant=provider or random.randint(5, 40),
            trade_group=0,
            product=PRODUCT.id,
            quantity_gpus=random.choice([1, 2, 2, 4, 8, 8, 8, 16]),
            starts_hour=starts_hour,
            ends_hour=starts_hour + hours,
            price_ticks=self._middle + random.randint(-15, 40),
            min_hours=random.choice([1, 1, 1, min(hours, 4)]),
            time_in_force=time_in_force,
            expire_hour=expire_hour,
            post_only=time_in_force is TimeInForce.GTC and random.random() < 0.05,
        )

    def _bid(self, job: Job, hour: int) -> Bid:
        random = self._random
        order_id, time_in_force, expire_hour = self._terms(hour)
        earliest_hour = hour + random.choice([0, 0, 1, 6, 24, 72, 168])
        return Bid(
            order_id=order_id,
            participant=job.buyer,
            trade_group=0,
            product=PRODUCT.id,
            quantity_gpus=job.gpus,
            hours=job.hours,
            earliest_hour=earliest_hour,
            latest_hour=earliest_hour + job.hours + random.choice([0, 0, 1, 6, 24]),
            limit_ticks=self._middle + random.randint(-40, 25),
            fill=random.choice([FillPolicy.PARTIAL, FillPolicy.ALL_OR_NONE]),
            placement=Placement.SINGLE_SITE if random.random() < 0.1 else Placement.ANY,
            time_in_force=time_in_force,
            expire_hour=expire_hour,
        )

    def _terms(self, hour: int) -> tuple[int, TimeInForce, int]:
        """Return a new id, a time in force and the hour at which it ends."""
        time_in_force = self._random.choice(_TERMS)
        gtd = time_in_force is TimeInForce.GTD
        return self._next(), time_in_force, hour + self._random.randint(1, 24) if gtd else 0
