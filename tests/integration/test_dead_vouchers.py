"""Goal: what a buyer's vouchers once were costs its orders nothing: only those that can still pay are locked.

Method: a buyer with three hundred vouchers that are expired, revoked or spent and three that are not, on the
real PostgreSQL; a second connection tells which accounts are locked.
"""

import asyncio
from pathlib import Path

from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_DAY
from exchange.kit.database import Database
from exchange.kit.errors import Conflict
from exchange.kit.ids import encode_id
from exchange.ledger import service as ledger
from exchange.ledger.models import TransferKind, TransferReason
from exchange.orders.models import OrderView
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Programme
from exchange.vouchers import life, service, wallet
from exchange.vouchers.choice import choose
from exchange.vouchers.models import UsableVoucher, Voucher, VoucherStatus
from tests.market_world import open_market
from tests.voucher_facts import facts
from tests.voucher_world import VoucherWorld, transfer_of

EACH = 100
FACE_FEN = 100


async def issued(
    world: VoucherWorld, issuer: Principal, programme: Programme, buyer: Principal, count: int
) -> list[Voucher]:
    async with world.database.transaction() as connection:
        return [
            await service.issue_voucher(
                connection, issuer, programme.id, buyer.participant_id, FACE_FEN, world.now_us
            )
            for _ in range(count)
        ]


async def spend(world: VoucherWorld, buyer: Principal, vouchers: list[Voucher]) -> None:
    """Take all of some vouchers to escrow, as trades do."""
    async with world.database.transaction() as connection:
        found = await wallet.vouchers_for_update(
            connection, {buyer.participant_id}, world.registry, world.now_us
        )
        usable = {each.voucher_id: each for each in found}
        for kind, reason in (
            (TransferKind.PENDING, TransferReason.HOLD),
            (TransferKind.POST_PENDING, TransferReason.TRADE),
        ):
            steps = [
                transfer_of(
                    each,
                    kind,
                    reason,
                    usable[each.id].account_id,
                    usable[each.id].escrow_account_id,
                    FACE_FEN,
                )
                for each in vouchers
            ]
            await ledger.post(connection, steps, world.now_us)


async def locked_of(database: Database, buyer_id: int) -> set[int]:
    """Return the vouchers of a buyer whose accounts another transaction has locked."""
    async with database.transaction() as connection:
        rows = await connection.fetch("SELECT id, account_id FROM voucher WHERE buyer_id = $1", buyer_id)
        free = await connection.fetch(
            "SELECT id FROM ledger_account WHERE id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED",
            [row["account_id"] for row in rows],
        )
    is_free = {row["id"] for row in free}
    return {row["id"] for row in rows if row["account_id"] not in is_free}


async def test_only_vouchers_that_can_pay_and_those_named_are_read_and_locked(database: Database) -> None:
    world = VoucherWorld(database)
    issuer, buyer, provider = [
        await world.join(kind)
        for kind in (ParticipantKind.ISSUER, ParticipantKind.BUYER, ParticipantKind.PROVIDER)
    ]
    brief = await world.programme(issuer, provider, validity_days=1)
    lasting = await world.programme(issuer, provider)
    expired = await issued(world, issuer, brief, buyer, EACH)
    revoked = await issued(world, issuer, lasting, buyer, EACH)
    spent = await issued(world, issuer, lasting, buyer, EACH)
    free, held, suspended = await issued(world, issuer, lasting, buyer, 3)
    await world.hold(held, FACE_FEN)
    await spend(world, buyer, spent)
    world.now_us += 2 * US_PER_DAY
    async with database.transaction() as connection:
        assert len(await service.expire_due(connection, world.now_us)) == EACH
        for voucher in revoked:
            await life.step_voucher(
                connection, issuer, voucher.id, VoucherStatus.REVOKED, "test", world.now_us
            )
        await life.step_voucher(
            connection, issuer, suspended.id, VoucherStatus.SUSPENDED, "test", world.now_us
        )
    buyer_id = buyer.participant_id
    alive = {free.id, held.id, suspended.id}
    named = {expired[0].id, revoked[0].id, spent[0].id}

    async def read(named_ids: set[int]) -> tuple[list[UsableVoucher], set[int]]:
        async with database.transaction() as connection:
            found = await wallet.vouchers_for_update(
                connection, {buyer_id}, world.registry, world.now_us, named_ids
            )
            return found, await locked_of(database, buyer_id)

    found, locked = await read(set())
    assert len(found) == 3
    assert {each.voucher_id for each in found} == locked == alive
    found, locked = await read(named)
    assert {each.voucher_id for each in found} == locked == alive | named
    reasons = choose(found, tuple(sorted(named)), facts(at_us=world.now_us)).refusals
    assert {each.voucher_id: each.code for each in reasons} == {
        expired[0].id: "voucher_expired",
        revoked[0].id: "voucher_not_active",
        spent[0].id: "voucher_exhausted",
    }
    stranger = await world.join(ParticipantKind.BUYER)
    async with database.transaction() as connection:
        assert not await wallet.vouchers_for_update(
            connection, {stranger.participant_id}, world.registry, world.now_us, named
        )
        told = await wallet.vouchers_of_buyer(connection, buyer_id, world.registry, world.now_us)
    assert len(told) == 3 * EACH + 3  # a question about an order is told of every one


async def test_an_order_that_names_a_spent_voucher_is_told_so_and_one_beside_it_is_paid(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        issuer = await world.join(ParticipantKind.ISSUER)
        provider, buyer = await world.traders(100_000)
        programme = await world.programme(issuer, provider)
        spent, free = await issued(world, issuer, programme, buyer, 2)
        product = world.product()
        names = [encode_id("vch", each.id) for each in (spent, free)]
        await world.ask(provider, product)
        filled = await world.bid(buyer, product, vouchers=names[:1])
        assert [each.voucher_cny for each in filled.fills] == ["1.00"]
        told, paid = await asyncio.gather(
            world.bid(buyer, product, vouchers=names),
            world.bid(buyer, product, vouchers="auto"),
            return_exceptions=True,
        )
        assert isinstance(told, Conflict)
        assert [(fault.pointer, fault.code) for fault in told.errors] == [("/vouchers", "voucher_exhausted")]
        assert isinstance(paid, OrderView)
        assert paid.held is not None
        assert [each.voucher_id for each in paid.held.vouchers] == names[1:]
