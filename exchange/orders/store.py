"""The tables of the sequenced market: one typed function for each named query."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import msgspec

from exchange.kit.bundle import Read
from exchange.kit.clock import hour_of, us_of_hour
from exchange.kit.database import from_us, to_us
from exchange.kit.queries import load_queries
from exchange.kit.rows import bytes_of, hex_text, json_rows
from exchange.orders.journal import journal_row
from exchange.orders.many_models import DueSwitch
from exchange.orders.models import Denial, Head, LiveOrder, OrderStatus, OrderTerms
from matching.order import Side
from matching.product import Collar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from exchange.kit.bundle import Writer
    from exchange.kit.database import Connection, Record
    from exchange.orders.models import JournalRow

QUERIES = load_queries("exchange.orders")
ENGINE_VERSION: Final = version("compute-exchange")


class _OrderRow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An order as `write_orders` sends it; what is still as it began is not sent."""

    id: int
    partition_id: int
    sequence: int | None
    participant_id: int
    key_id: int
    client_order_id: str
    fingerprint: str
    product_id: str
    side: str
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    hours: int
    price_ticks: int
    terms: OrderTerms
    status: str
    reason: str = ""
    denial: Denial | None = None
    collar: Collar | None = None
    filled_gpus: int = 0
    filled_gpu_hours: int = 0
    filled_notional_fen: int = 0
    eligible_fen: list[int] = []
    run_starts_hour: int | None = None
    amendment: int = 0
    replaces_id: int | None = None
    replaced_by_id: int | None = None


class _Key(msgspec.Struct, frozen=True, gc=False):
    """Under what an order was placed, as `known_outcomes` asks for it."""

    participant_id: int
    client_order_id: str


class KnownOutcome(msgspec.Struct, frozen=True, gc=False):
    """An order that was placed before under a client order id; `fingerprint` as PostgreSQL writes bytes."""

    id: int
    participant_id: int
    client_order_id: str
    fingerprint: str


_known_outcomes: Final = msgspec.json.Decoder(list[KnownOutcome])


def known_outcomes(keys: Collection[tuple[int, str]]) -> Read[KnownOutcome]:
    """Ask for the orders of (participant, client order id) pairs; `by_key` is for the answer."""
    return Read(QUERIES.known_outcomes, (json_rows([_Key(*key) for key in keys]),), _known_outcomes)


def by_key(known: Iterable[KnownOutcome]) -> dict[tuple[int, str], tuple[int, bytes]]:
    """(order id, fingerprint) by (participant, client order id)."""
    return {
        (each.participant_id, each.client_order_id): (each.id, bytes_of(each.fingerprint)) for each in known
    }


async def write_orders(
    connection: Writer,
    partition_id: int,
    orders: Iterable[LiveOrder],
    at_us: int,
    *,
    quantities: Mapping[int, int],
) -> None:
    """Store orders as they stand: new ones whole, known ones by what can change. One statement.

    `quantities` are those of orders, by id, that are stored with another quantity than they have by now.
    """
    rows = [
        _OrderRow(
            order.order_id,
            partition_id,
            order.sequence,
            order.participant_id,
            order.key_id,
            order.client_order_id,
            hex_text(order.fingerprint),
            order.product_id,
            order.side,
            quantities.get(order.order_id, order.quantity_gpus),
            order.starts_hour,
            order.ends_hour,
            order.hours,
            order.price_ticks,
            order.terms,
            order.status,
            order.reason,
            order.denial,
            order.collar,
            order.filled_gpus,
            order.filled_gpu_hours,
            order.filled_notional_fen,
            order.eligible_fen,
            order.run_starts_hour,
            order.amendment,
            order.replaces_id,
            order.replaced_by_id,
        )
        for order in orders
    ]
    await connection.execute(QUERIES.write_orders, json_rows(rows), from_us(at_us))


async def reduce_asks(connection: Writer, quantities: Mapping[int, int]) -> None:
    """Store the quantities of asks that have become smaller, by id; one statement."""
    await connection.execute(QUERIES.reduce_asks, list(quantities), list(quantities.values()))


async def append(
    connection: Writer,
    partition_id: int,
    rows: Sequence[JournalRow],
    *,
    epoch: int,
    previous_sequence: int,
    head: Head,
) -> None:
    """Append to the journal and move the head, in one statement, the bundle's last.

    The bundle's value is 0, with nothing appended, when the head is not where this leader left it: another
    one has taken over.
    """
    await connection.execute(
        QUERIES.append,
        partition_id,
        epoch,
        previous_sequence,
        head.last_sequence,
        head.last_hash,
        from_us(head.last_event_at_us),
        head.intake_offset,
        # As arrays, because in JSON bytes are twice as long, and read twice.
        [row.product_id for row in rows],
        [row.command for row in rows],
        [row.events for row in rows],
        [row.hash for row in rows],
    )


async def take_partition(
    connection: Connection, partition_id: int, genesis_hash: bytes, at_us: int
) -> tuple[Head, int]:
    """Become the partition's leader by starting its next epoch, a term of this version of the engine.

    Return with its head since when it was led all the time, but for less than an hour.
    """
    row = await connection.fetchrow(
        QUERIES.take_partition,
        partition_id,
        genesis_hash,
        from_us(at_us),
        ENGINE_VERSION,
        # A leader commits as each hour begins, whether or not anybody trades.
        from_us(us_of_hour(hour_of(at_us) - 1)),
    )
    if row is None:
        raise AssertionError("INSERT ... ON CONFLICT DO UPDATE returns the row")
    return _head(row), to_us(row["served_since_at"])


async def read_head(connection: Connection, partition_id: int) -> Head:
    """Where the partition stands, once a commit that may still be under way has ended; it is held still."""
    return _head(await connection.fetchrow(QUERIES.read_head, partition_id))


async def peek_head(connection: Connection, partition_id: int) -> Head | None:
    """Where the partition stands as of the last commit; None before it was ever led."""
    row = await connection.fetchrow(QUERIES.peek_head, partition_id)
    return None if row is None else _head(row)


def _head(row: Record | None) -> Head:
    if row is None:
        raise LookupError("the partition has no head row")
    return Head(
        epoch=row["epoch"],
        last_sequence=row["last_sequence"],
        last_hash=row["last_hash"],
        last_event_at_us=to_us(row["last_event_at"]),
        intake_offset=row["intake_offset"],
    )


async def latest_event_at_us(connection: Connection) -> int | None:
    """The latest venue time that any partition has committed; None before the first."""
    at = await connection.fetchval(QUERIES.latest_event_at)
    return None if at is None else to_us(at)


async def read_journal(
    connection: Connection, partition_id: int, after_sequence: int, limit: int
) -> list[JournalRow]:
    """The journal after a sequence, oldest first."""
    return [
        journal_row(row)
        for row in await connection.fetch(QUERIES.read_journal, partition_id, after_sequence, limit)
    ]


async def read_snapshots(connection: Connection, partition_id: int) -> dict[str, tuple[int, bytes]]:
    """(sequence, encoded book) by product."""
    rows = await connection.fetch(QUERIES.read_snapshots, partition_id)
    return {row["product_id"]: (row["sequence"], row["book"]) for row in rows}


async def put_snapshots(
    connection: Connection, partition_id: int, head: Head, books: Mapping[str, bytes]
) -> None:
    """Store books as they stand at a head; nothing where the head is no longer there, or another leads."""
    await connection.execute(
        QUERIES.put_snapshots,
        partition_id,
        head.last_sequence,
        list(books),
        list(books.values()),
        head.epoch,
    )


async def live_orders(connection: Connection, partition_id: int) -> list[LiveOrder]:
    """The orders that can still change, without their money and fills."""
    rows = await connection.fetch(QUERIES.live_orders, partition_id)
    return [_order(row, row["trade_group_id"]) for row in rows]


async def live_bids_after(connection: Connection, after_id: int, limit: int) -> list[LiveOrder]:
    """A page of the bids that can still fill, in the order of their ids, without their money and fills."""
    return [_order(row) for row in await connection.fetch(QUERIES.live_bids_after, after_id, limit)]


def _order(row: Record, trade_group_id: int = 0) -> LiveOrder:
    return LiveOrder(
        order_id=row["id"],
        participant_id=row["participant_id"],
        key_id=row["key_id"],
        trade_group_id=trade_group_id,
        client_order_id=row["client_order_id"],
        fingerprint=row["fingerprint"],
        product_id=row["product_id"],
        side=Side(row["side"]),
        quantity_gpus=row["quantity_gpus"],
        starts_hour=row["starts_hour"],
        ends_hour=row["ends_hour"],
        hours=row["hours"],
        price_ticks=row["price_ticks"],
        terms=msgspec.json.decode(row["terms"], type=OrderTerms),
        created_at_us=to_us(row["created_at"]),
        updated_at_us=to_us(row["updated_at"]),
        status=OrderStatus(row["status"]),
        sequence=row["sequence"],
        reason=row["reason"],
        denial=None if row["denial"] is None else msgspec.json.decode(row["denial"], type=Denial),
        collar=None if row["collar"] is None else msgspec.json.decode(row["collar"], type=Collar),
        filled_gpus=row["filled_gpus"],
        filled_gpu_hours=row["filled_gpu_hours"],
        filled_notional_fen=row["filled_notional_fen"],
        eligible_fen=list(row["eligible_fen"]),
        run_starts_hour=row["run_starts_hour"],
        amendment=row["amendment"],
        replaces_id=row["replaces_id"],
        replaced_by_id=row["replaced_by_id"],
    )


async def orders_of_participant(
    connection: Connection,
    participant_id: int,
    *,
    before_id: int,
    product: str | None,
    side: str | None,
    statuses: Collection[str] | None,
    client_order_id: str | None,
    limit: int,
) -> list[LiveOrder]:
    """A page of a participant's orders, newest first, without their money and fills."""
    rows = await connection.fetch(
        QUERIES.orders_of_participant,
        participant_id,
        before_id,
        product,
        side,
        None if statuses is None else list(statuses),
        client_order_id,
        limit,
    )
    return [_order(row) for row in rows]


async def order_of_participant(
    connection: Connection, order_id: int, participant_id: int
) -> LiveOrder | None:
    """One order, if it is the participant's own, without its money and fills."""
    row = await connection.fetchrow(QUERIES.order_of_participant, order_id, participant_id)
    return None if row is None else _order(row)


async def last_of_client_order_id(
    connection: Connection, participant_id: int, client_order_id: str
) -> LiveOrder | None:
    """The order that amendments left last under a client order id, without its money and fills."""
    row = await connection.fetchrow(QUERIES.last_of_client_order_id, participant_id, client_order_id)
    return None if row is None else _order(row)


async def own_orders(
    connection: Connection, order_ids: Collection[int], participant_id: int
) -> list[LiveOrder]:
    """Those of some orders that are the participant's own, without their money and fills."""
    rows = await connection.fetch(QUERIES.own_orders, list(order_ids), participant_id)
    return [_order(row) for row in rows]


async def list_prices_of_asks(connection: Connection, order_ids: Collection[int]) -> dict[int, int | None]:
    """The list price in ticks that each of some asks was placed with."""
    rows = await connection.fetch(QUERIES.list_prices_of_asks, list(order_ids))
    return {row["id"]: row["list_price_ticks"] for row in rows}


async def place_of_order(
    connection: Connection, order_id: int, participant_id: int
) -> tuple[int, str] | None:
    """The partition and product of an order of the participant; None where it has no such order."""
    row = await connection.fetchrow(QUERIES.place_of_order, order_id, participant_id)
    return None if row is None else (row["partition_id"], row["product_id"])


async def live_among(
    connection: Connection, participant_id: int, client_order_ids: Collection[str]
) -> list[tuple[int, int, str]]:
    """(id, partition, client order id) of those of a participant's orders under some names that are live."""
    rows = await connection.fetch(QUERIES.live_among, participant_id, list(client_order_ids))
    return [(row["id"], row["partition_id"], row["client_order_id"]) for row in rows]


async def set_switch(
    connection: Connection, participant_id: int, key_id: int, partition_ids: Sequence[int], timeout_s: int
) -> int | None:
    """Set a participant's switch, or take it away (0); return when it fires, by the database's clock."""
    at = await connection.fetchval(
        QUERIES.set_switch, participant_id, key_id, list(partition_ids), timeout_s or None
    )
    return None if at is None else to_us(at)


async def due_switches(connection: Connection, partition_ids: Sequence[int], limit: int) -> list[DueSwitch]:
    """The switches of some partitions whose time has come, the longest due first."""
    return [
        DueSwitch(row["partition_id"], row["participant_id"], row["key_id"], to_us(row["fires_at"]))
        for row in await connection.fetch(QUERIES.due_switches, list(partition_ids), limit)
    ]


async def end_switches(connection: Connection, fired: Sequence[DueSwitch]) -> None:
    """Take away switches that have fired; one that was set again meanwhile stays."""
    await connection.execute(
        QUERIES.end_switches,
        [each.participant_id for each in fired],
        [each.partition_id for each in fired],
        [from_us(each.fires_at_us) for each in fired],
    )
