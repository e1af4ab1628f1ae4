"""Books and commands for the core benchmarks: seeded, so that each run measures the same work.

One-hour tapes are what an ordinary limit order book trades: every order is for the same delivery hour. Mixed
books hold windows of one hour to 30 days within 90 days.
"""

from random import Random
from typing import NamedTuple

from matching.book import OrderBook
from matching.commands import CancelOrder, Command, PlaceOrder
from matching.engine import execute
from matching.live import live_ask, live_bid
from matching.order import Ask, Bid, TimeInForce
from matching.product import Product
from matching.profile import Profile

SEED = 20_261_123
HOUR = 490_000
PRODUCT = Product("nvidia-h100-sxm.guian.ib-ndr400", 8, 0, 1_000)
HORIZON_HOURS = 90 * 24
WINDOWS = [1, 4, 12, 24, 24, 72, 168, 168, 336, 720]


class Tape(NamedTuple):
    """`preload` builds the standing book, `commands` are timed; cancels name live orders only."""

    preload: list[Command]
    commands: list[Command]


def one_hour_tape(standing: int, commands: int) -> Tape:
    """Return a random walk: 60 % new orders, 30 % cancels, 10 % marketable ones, all for one hour."""
    random = Random(SEED)
    book = OrderBook(PRODUCT, HOUR)
    middle = 10_000
    drawn: list[int] = []
    tape = Tape([], [])
    for sequence, step in enumerate(range(-standing, commands), start=1):
        middle += random.choice((-1, 1)) if step % 10 == 0 else 0
        draw = random.random()
        command: Command
        order_id = _draw_live(random, book, drawn) if step >= 0 and draw < 0.3 else 0
        if order_id:
            command = CancelOrder(
                sequence=sequence, order_id=order_id, participant=book.orders[order_id].participant
            )
        else:
            reach = 2_000 if step < 0 else 40
            away = -random.randint(0, 5) if step >= 0 and draw > 0.9 else random.randint(1, reach)
            command = PlaceOrder(
                sequence=sequence,
                order=one_hour_order(sequence, random, middle, away),
            )
        (tape.preload if step < 0 else tape.commands).append(command)
        execute(book, command)
        drawn.append(sequence)
    return tape


def _draw_live(random: Random, book: OrderBook, drawn: list[int]) -> int:
    """Return the id of a random live order, 0 where there is none; dead ids met on the way are dropped."""
    while drawn:
        place = random.randrange(len(drawn))
        order_id = drawn[place]
        if order_id in book.orders:
            return order_id
        drawn[place] = drawn[-1]
        drawn.pop()
    return 0


def one_hour_order(order_id: int, random: Random, middle: int, away: int) -> Ask | Bid:
    """Return an order `away` ticks from the middle; below 0 it crosses."""
    participant = order_id % 997 + 1
    lots = random.randint(1, 10) * PRODUCT.lot_gpus
    if random.random() < 0.5:
        return Ask(
            order_id=order_id,
            participant=participant,
            trade_group=0,
            product=PRODUCT.id,
            quantity_gpus=lots,
            starts_hour=HOUR,
            ends_hour=HOUR + 1,
            price_ticks=middle + away,
        )
    return Bid(
        order_id=order_id,
        participant=participant,
        trade_group=0,
        product=PRODUCT.id,
        quantity_gpus=lots,
        hours=1,
        earliest_hour=HOUR,
        latest_hour=HOUR + 1,
        limit_ticks=middle - away,
    )


def mixed_asks(count: int) -> OrderBook:
    """Return a book of `count` resting asks, windows of one hour to 30 days within 90 days."""
    random = Random(SEED)
    book = OrderBook(PRODUCT, HOUR)
    for order_id in range(1, count + 1):
        hours = random.choice(WINDOWS)
        starts_hour = HOUR + random.randrange(HORIZON_HOURS - hours + 1)
        ask = Ask(
            order_id=order_id,
            participant=random.randint(1, 400),
            trade_group=0,
            product=PRODUCT.id,
            quantity_gpus=random.choice((8, 8, 16, 32, 64)),
            starts_hour=starts_hour,
            ends_hour=starts_hour + hours,
            price_ticks=random.randint(1_000, 3_000),
        )
        live = live_ask(ask, order_id, HOUR)
        book.add(live)
        book.rest(live)
    book.sequence = count
    return book


def sold_out_asks(count: int, day: int) -> OrderBook:
    """Return a book whose asks cover 90 days but for one day, which all but one in 2,000 have sold."""
    random = Random(SEED)
    book = OrderBook(PRODUCT, HOUR)
    gap = HOUR + day * 24
    for order_id in range(1, count + 1):
        ask = Ask(
            order_id=order_id,
            participant=random.randint(1, 400),
            trade_group=0,
            product=PRODUCT.id,
            quantity_gpus=8,
            starts_hour=HOUR,
            ends_hour=HOUR + HORIZON_HOURS,
            price_ticks=random.randint(1_000, 3_000),
        )
        sold = order_id % 2_000 != 0
        edges = [HOUR, gap, gap + 24, HOUR + HORIZON_HOURS] if sold else [HOUR, HOUR + HORIZON_HOURS]
        profile = Profile.of_runs(edges, [8, 0, 8] if sold else [8])
        live = live_ask(ask, order_id, HOUR)
        if sold:
            live.profile = profile
            book.renew_spans(live, profile)
        book.add(live)
        book.rest(live)
    book.sequence = count
    return book


def mixed_bids(count: int) -> OrderBook:
    """Return a book of `count` resting bids of 24 and 168 hours, one in four with a flexible start."""
    random = Random(SEED)
    book = OrderBook(PRODUCT, HOUR)
    for order_id in range(1, count + 1):
        hours = random.choice((24, 168))
        slack = random.choice((0, 0, 0, 24))
        earliest_hour = HOUR + random.randrange(HORIZON_HOURS - hours - slack + 1)
        bid = Bid(
            order_id=order_id,
            participant=random.randint(1, 400),
            trade_group=0,
            product=PRODUCT.id,
            quantity_gpus=random.choice((8, 8, 16, 32)),
            hours=hours,
            earliest_hour=earliest_hour,
            latest_hour=earliest_hour + hours + slack,
            limit_ticks=random.randint(500, 1_500),
        )
        live = live_bid(bid, order_id, HOUR)
        book.add(live)
        book.rest(live)
    book.sequence = count
    return book


def arriving_bids(book: OrderBook, count: int, hours: int, slack: int) -> list[Command]:
    """Return immediate-or-cancel bids; nine in ten reach the cheapest tenth of the asks or more."""
    random = Random(SEED + hours + slack)
    commands: list[Command] = []
    for sequence in range(book.sequence + 1, book.sequence + 1 + count):
        earliest_hour = HOUR + random.randrange(HORIZON_HOURS - hours - slack + 1)
        bid = Bid(
            order_id=1_000_000 + sequence,
            participant=500 + random.randint(1, 400),
            trade_group=0,
            product=PRODUCT.id,
            quantity_gpus=random.choice((8, 8, 16, 32, 64)),
            hours=hours,
            earliest_hour=earliest_hour,
            latest_hour=earliest_hour + hours + slack,
            limit_ticks=random.randint(1_000, 3_000),
            time_in_force=TimeInForce.IOC,
        )
        commands.append(PlaceOrder(sequence=sequence, order=bid))
    return commands


def bids_for_day(book: OrderBook, count: int, day: int) -> list[Command]:
    """Return immediate-or-cancel bids of 24 hours for the day that has sold out."""
    return [
        PlaceOrder(
            sequence=sequence,
            order=Bid(
                order_id=1_000_000 + sequence,
                participant=501,
                trade_group=0,
                product=PRODUCT.id,
                quantity_gpus=8,
                hours=24,
                earliest_hour=HOUR + day * 24,
                latest_hour=HOUR + day * 24 + 24,
                limit_ticks=3_000,
                time_in_force=TimeInForce.IOC,
            ),
        )
        for sequence in range(book.sequence + 1, book.sequence + 1 + count)
    ]


def arriving_asks(book: OrderBook, count: int) -> list[Command]:
    """Return immediate-or-cancel asks of every window; half of them reach the best bids."""
    random = Random(SEED + 1)
    commands: list[Command] = []
    for sequence in range(book.sequence + 1, book.sequence + 1 + count):
        hours = random.choice(WINDOWS)
        starts_hour = HOUR + random.randrange(HORIZON_HOURS - hours + 1)
        ask = Ask(
            order_id=1_000_000 + sequence,
            participant=500 + random.randint(1, 400),
            trade_group=0,
            product=PRODUCT.id,
            quantity_gpus=random.choice((8, 8, 16, 32, 64)),
            starts_hour=starts_hour,
            ends_hour=starts_hour + hours,
            price_ticks=random.randint(1_300, 1_700),
            time_in_force=TimeInForce.IOC,
        )
        commands.append(PlaceOrder(sequence=sequence, order=ask))
    return commands
