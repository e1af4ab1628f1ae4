"""Seeded runs of the real engine, written to the real journal as a sequencer writes it: to be told of."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Final

from exchange.feed import rules
from exchange.feed.hub import Reader
from exchange.feed.models import TapeTrade
from exchange.feed.relay import Relay
from exchange.kit.database import Database, from_us
from exchange.orders.models import Step
from exchange.orders.partition import GENESIS_HASH
from exchange.orders.rules import journal_hash
from matching.book import OrderBook
from matching.codec import encode_events
from matching.engine import execute
from matching.product import Product
from tests.tapes import tape

AT_US: Final = 1_727_900_000_000_000  # before the hours that tests.strategies trade in
PRODUCT: Final = "nvidia-h100-sxm.guian.ib-ndr400"
CHANNEL: Final = f"trades:{PRODUCT}"
COMMANDS: Final = 400
DEADLINE_S: Final = 60.0


def run_of_steps(seed: int, commands: int = COMMANDS) -> list[Step]:
    """Return what the engine decides on a seeded run."""
    return run_of_a_book(seed, commands)[0]


def run_of_a_book(seed: int, length: int) -> tuple[list[Step], OrderBook, Product]:
    """Return what the engine decides on a seeded run, the book after it, and what it trades."""
    product, commands = tape(seed, length)
    book = OrderBook(product)
    steps = []
    for number, command in enumerate(commands):
        events = execute(book, command)
        at_us = AT_US + number * 1_000_000
        steps.append(Step(command.sequence, PRODUCT, at_us, events, encode_events(events)))
    return steps, book, product


def trades_of(steps: list[Step], partition_id: int = 1) -> list[TapeTrade]:
    """Return the trades of some steps, as the tape has them."""
    return [
        trade for step in steps for trade in rules.tape_trades(partition_id, step.event_at_us, step.events)
    ]


async def commit(database: Database, steps: list[Step], partition_id: int = 1) -> None:
    """Commit steps as the sequencer does, with nothing but their events."""
    await append_to_journal(
        database, partition_id, [(step.sequence, PRODUCT, step.event_at_us, step.encoded) for step in steps]
    )


async def append_to_journal(
    database: Database, partition_id: int, commands: Sequence[tuple[int, str, int, bytes]]
) -> None:
    """Append commands to a partition's journal as its leader does, with nothing but the events.

    Each is its sequence, its product, when it happened (in us), and its encoded events.
    """
    async with database.transaction() as connection:
        last_hash = (
            await connection.fetchval(
                "SELECT last_hash FROM partition_head WHERE partition_id = $1", partition_id
            )
            or GENESIS_HASH
        )
        rows = []
        for sequence, product_id, at_us, events in commands:
            last_hash = journal_hash(last_hash, sequence, product_id, at_us, b"", events)
            rows.append((partition_id, sequence, product_id, from_us(at_us), events, last_hash))
        await connection.executemany(
            "INSERT INTO journal (partition_id, sequence, epoch, product_id, event_at, command, events, hash)"
            " VALUES ($1, $2, 1, $3, $4, '', $5, $6)",
            rows,
        )
        last_sequence, _, last_at_us, _ = commands[-1]
        await connection.execute(
            "INSERT INTO partition_head (partition_id, epoch, last_sequence, last_hash, last_event_at)"
            " VALUES ($1, 1, $2, $3, $4)"
            " ON CONFLICT (partition_id)"
            " DO UPDATE SET last_sequence = $2, last_hash = $3, last_event_at = $4",
            partition_id,
            last_sequence,
            last_hash,
            from_us(last_at_us),
        )


def batches(steps: list[Step]) -> list[list[Step]]:
    """Cut a run into batches of 1, 2, 3, 4, 1, 2 ... commands."""
    cut, sizes = iter(steps), itertools.cycle([1, 2, 3, 4])
    return list(iter(lambda: list(itertools.islice(cut, next(sizes))), []))


async def wait_until_told(relay: Relay, through: Step, partition_id: int = 1) -> None:
    """Let the relay work until it has told everything through a step."""
    async with asyncio.timeout(DEADLINE_S):
        while relay.hub.sequences.get(partition_id) != through.sequence:  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.001)


def follow(relay: Relay, key: str) -> Reader:
    """Follow a channel from the present on."""
    reader = Reader(messages_max=100_000)
    relay.hub.join(reader)
    reader.hold(key)
    relay.hub.subscribe(key, reader)
    reader.begin(key, {}, relay.hub.sequences)
    return reader
