"""What a batch of requests needs to be read before it runs, read together: one statement for all of it.

One more goes before it for new accounts, and one for names that other writers may be working on at the same
time: the Idempotency-Keys of amendments, which are the routes' too, and the client order ids of placed orders
where there are other partitions. It is at most one lock a request, and PostgreSQL has room for those of full
batches of as many partitions as one process leads. What vouchers may need beside it,
`exchange.vouchers.wallet` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from exchange.kit.bundle import read_each
from exchange.kit.idempotency import known_answers, lock_all, lock_name
from exchange.kit.ids import decode_id
from exchange.ledger.service import lock_available
from exchange.orders import store
from exchange.orders.funding import Means
from exchange.orders.models import AmendRequest, PlaceRequest
from exchange.vouchers.wallet import lock_wallets, opened
from matching.order import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exchange.kit.bundle import Read
    from exchange.kit.database import Connection
    from exchange.ledger.service import AccountDirectory
    from exchange.orders.models import LiveOrder, Request
    from exchange.programmes.registry import ProgrammeRegistry


class _Buyers(msgspec.Struct):
    """Whose money may be needed, whose vouchers, and which of those by name."""

    with_cash: set[int]
    with_vouchers: set[int]
    named: set[int]


async def read_means(
    connection: Connection,
    requests: Sequence[Request],
    live: Mapping[int, LiveOrder],
    *,
    accounts: AccountDirectory,
    programmes: ProgrammeRegistry,
    at_us: int,
    is_alone: bool,
) -> Means:
    """Read what the requests need; the money of their buyers stays locked.

    `live` are the partition's orders; of yearly caps, those of the year of `at_us` are counted.
    `is_alone`: no other partition places orders.
    """
    places = [request for request in requests if isinstance(request, PlaceRequest)]
    amends = [request for request in requests if isinstance(request, AmendRequest)]
    if not places and not amends:
        return Means()
    once = {lock_name(each.participant_id, each.once_key): _once(each) for each in amends}
    named = (
        {}
        if is_alone
        else {f"order:{each.participant_id}:{each.client_order_id}": _own(each) for each in places}
    )
    elsewhere = await lock_all(connection, [*once, *named]) if once or named else frozenset()
    buyers = _buyers(places, amends, live)
    await _know_shares(connection, amends, live, programmes)
    cash = await accounts.cash_of(connection, buyers.with_cash) if buyers.with_cash else {}
    reads: list[Read[Any]] = [
        store.known_outcomes([_own(each) for each in places]),
        lock_available([each.cash_id for each in cash.values()]),
    ]
    if buyers.with_vouchers:
        reads.append(lock_wallets(buyers.with_vouchers, buyers.named))
    if amends:
        reads.append(known_answers(once.values()))
    known, available, *rest = await read_each(connection, *reads)
    amended = rest.pop() if amends else ()
    return Means(
        known=store.by_key(known),
        cash=cash,
        available_fen={each.id: each.available_fen for each in available},
        vouchers=await opened(connection, rest[0], programmes, at_us) if rest else {},
        programmes=programmes.programmes,
        amended={(each.participant_id, each.idempotency_key): each for each in amended},
        amended_elsewhere={key for name, key in once.items() if name in elsewhere},
        placed_elsewhere={key for name, key in named.items() if name in elsewhere},
    )


async def _know_shares(
    connection: Connection,
    amends: Sequence[AmendRequest],
    live: Mapping[int, LiveOrder],
    programmes: ProgrammeRegistry,
) -> None:
    """Have the rules at hand under which the orders are held that may be amended."""
    orders = [live[request.order_id] for request in amends if request.order_id in live]
    shares = [share for order in orders for share in order.terms.shares]
    if not all(programmes.knows(share.programme_id, share.programme_version) for share in shares):
        await programmes.refresh(connection)


def _once(request: AmendRequest) -> tuple[int, str]:
    return request.participant_id, request.once_key


def _own(request: PlaceRequest) -> tuple[int, str]:
    return request.participant_id, request.client_order_id


def _buyers(
    places: Sequence[PlaceRequest], amends: Sequence[AmendRequest], live: Mapping[int, LiveOrder]
) -> _Buyers:
    bids = [request for request in places if request.side is Side.BUY]
    buyers = _Buyers(
        with_cash={request.participant_id for request in bids},
        with_vouchers={request.participant_id for request in bids if request.terms.vouchers != "none"},
        named={voucher_id for request in bids for voucher_id in request.voucher_ids},
    )
    for request in amends:
        order = live.get(request.order_id)
        if order is None or order.side is Side.SELL or order.participant_id != request.participant_id:
            continue
        buyers.with_cash.add(order.participant_id)
        wish = request.wish.vouchers
        vouchers = order.terms.vouchers if isinstance(wish, msgspec.UnsetType) else wish
        if vouchers != "none":
            buyers.with_vouchers.add(order.participant_id)
        if not isinstance(vouchers, str):
            buyers.named.update(found for text in vouchers if (found := decode_id("vch", text)))
    return buyers
