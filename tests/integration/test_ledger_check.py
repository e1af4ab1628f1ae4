"""Goal: the check names every fen about which the ledger and a lease, a voucher or a claim disagree.

Method: a market with a lease half delivered and a claim on a part of its captures; then one fen at a time is
planted past the service and must be named, and nothing else.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from exchange.claims.models import Claim
from exchange.claims.service import submit_claim
from exchange.kit.auth import Principal
from exchange.kit.ids import decode_id, encode_id
from exchange.ledger import service
from exchange.ledger.models import CNY, DifferenceKind, Purpose, TransferKind
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Programme
from exchange.vouchers.models import Voucher
from tests.integration.books import transfer
from tests.market_world import MarketWorld, open_market


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What the planted faults are about."""

    world: MarketWorld
    provider: Principal
    buyer: Principal
    issuer: Principal
    programme: Programme
    voucher: Voucher
    order_id: int
    trade_id: int
    claim: Claim
    accounts: dict[Purpose, int]
    """The account that each purpose has here: the buyer's, the provider's or the issuer's."""


@pytest.fixture(scope="module")
async def books(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Books]:
    async with open_books(module_database_url, tmp_path_factory.mktemp("books")) as opened:
        yield opened


@asynccontextmanager
async def open_books(database_url: str, data_dir: Path) -> AsyncIterator[Books]:
    async with open_market(database_url, data_dir) as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        buyer = await world.join(ParticipantKind.BUYER)
        issuer = await world.join(ParticipantKind.ISSUER)
        await world.deposit(buyer, 1_000_000)
        programme = await world.programme(issuer, provider, validity_days=1)
        voucher = await world.issue(issuer, programme, buyer, 10_000)
        product = world.product()
        await world.ask(provider, product, price=1001, window=(0, 6))
        bid = await world.bid(buyer, product, price=1100, window=(0, 6), vouchers="auto")
        order_id = decode_id("ord", bid.id)
        assert order_id is not None
        await world.pass_hours(5)
        async with world.database.transaction() as connection:
            claim = await submit_claim(connection, provider, programme.id, world.now_us)
        await world.pass_hours(1)
        async with world.database.connection() as connection:
            assert await service.check(connection) == []
            trade_id = await connection.fetchval("SELECT id FROM trade")
            rows = await connection.fetch(
                "SELECT id, purpose FROM ledger_account WHERE (participant_id, purpose) IN (($1, 'escrow'),"
                " ($1, 'voucher_escrow'), ($2, 'receivable'), ($2, 'claimed'), ($3, 'budget'),"
                " ($3, 'programme_source'))",
                buyer.participant_id,
                provider.participant_id,
                issuer.participant_id,
            )
        yield Books(
            world=world,
            provider=provider,
            buyer=buyer,
            issuer=issuer,
            programme=programme,
            voucher=voucher,
            order_id=order_id,
            trade_id=trade_id,
            claim=claim,
            accounts={Purpose(row["purpose"]): row["id"] for row in rows},
        )


async def planted(books: Books, *statements: str) -> dict[tuple[DifferenceKind, str], str]:
    """Return what the check says, detail by kind and subject, after statements that are undone again."""
    async with books.world.database.connection() as connection:
        undone = connection.transaction()
        await undone.start()
        for table in ("order_hold", "lease_funding", "trade", "programme", "voucher_capture"):
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            await connection.execute(statement)
        found = await service.check(connection)
        await undone.rollback()
    assert len({(each.kind, each.subject, each.measure) for each in found}) == len(found)
    assert all(each.stored_fen != each.recomputed_fen for each in found)
    return {(each.kind, each.subject): each.detail for each in found}


def account(books: Books, purpose: Purpose) -> str:
    return encode_id("acc", books.accounts[purpose])


def order(books: Books) -> str:
    return encode_id("ord", books.order_id)


def provider(books: Books) -> str:
    return encode_id("par", books.provider.participant_id)


def voucher(books: Books) -> str:
    return encode_id("vch", books.voucher.id)


def trade(books: Books) -> str:
    return encode_id("trd", books.trade_id)


def lease(books: Books) -> str:
    return encode_id("lse", books.trade_id)


def programme(books: Books) -> str:
    return encode_id("prg", books.programme.id)


ESCROW = DifferenceKind.ESCROW_NOT_LEASED
COMMITMENT = DifferenceKind.COMMITMENT_NOT_LEASED
RECEIVABLE = DifferenceKind.RECEIVABLE_NOT_CAPTURED
CLAIMED = DifferenceKind.CLAIMED_NOT_IN_CLAIMS
TRADE = DifferenceKind.TRADE_NOT_FUNDED
CAPTURES = DifferenceKind.CAPTURES_NOT_FUNDED
VOUCHER = DifferenceKind.VOUCHER_NOT_WHAT_IS_LEFT
ISSUED = DifferenceKind.ISSUED_NOT_IN_VOUCHERS
BUDGET = DifferenceKind.BUDGET_NOT_WHAT_IS_LEFT


@pytest.mark.parametrize(
    "statement,named",
    [
        (
            "UPDATE lease_funding SET returned_fen = returned_fen + 1 WHERE voucher_id = 0",
            lambda books: {(ESCROW, account(books, Purpose.ESCROW))},
        ),
        (
            "UPDATE lease_funding SET captured_fen = captured_fen - 1 WHERE voucher_id <> 0",
            lambda books: {(ESCROW, account(books, Purpose.VOUCHER_ESCROW)), (CAPTURES, lease(books))},
        ),
        (
            (
                "UPDATE lease_funding SET committed_fen = committed_fen + 1, captured_fen = captured_fen + 1"
                " WHERE voucher_id = 0"
            ),
            lambda books: {(COMMITMENT, order(books)), (TRADE, trade(books))},
        ),
        (
            (
                "UPDATE order_hold SET committed_fen = committed_fen - 1, released_fen = released_fen + 1"
                " WHERE voucher_id <> 0"
            ),
            lambda books: {(COMMITMENT, order(books))},
        ),
        (
            "DELETE FROM lease_funding WHERE voucher_id <> 0",
            lambda books: {
                (ESCROW, account(books, Purpose.VOUCHER_ESCROW)),
                (COMMITMENT, order(books)),
                (TRADE, trade(books)),
                (CAPTURES, lease(books)),
                (VOUCHER, voucher(books)),
            },
        ),
        (
            "UPDATE voucher_capture SET amount_fen = amount_fen + 1 WHERE claim_id IS NULL",
            lambda books: {(RECEIVABLE, provider(books)), (CAPTURES, lease(books))},
        ),
        (
            "UPDATE voucher_capture SET claimant_id = 1 WHERE claim_id IS NULL",
            lambda books: {(RECEIVABLE, provider(books)), (RECEIVABLE, encode_id("par", 1))},
        ),
        (
            "UPDATE claim SET amount_fen = amount_fen - 1",
            lambda books: {(CLAIMED, provider(books))},
        ),
        (
            "ALTER TABLE claim DISABLE TRIGGER claim_follows_its_steps; UPDATE claim SET status = 'paid'",
            lambda books: {(CLAIMED, provider(books))},
        ),
        (
            "UPDATE voucher SET face_fen = face_fen + 1",
            lambda books: {(ISSUED, programme(books)), (VOUCHER, voucher(books))},
        ),
        (
            "UPDATE voucher SET buyer_id = 1",
            lambda books: {(VOUCHER, voucher(books))},
        ),
        (
            "UPDATE trade SET voucher_fen = voucher_fen - 1",
            lambda books: {(TRADE, trade(books))},
        ),
        (
            "UPDATE trade SET quantity_gpus = 2, notional_fen = 2 * notional_fen",
            lambda books: {(TRADE, trade(books))},
        ),
        (
            "UPDATE programme SET issued_fen = issued_fen - 1",
            lambda books: {(ISSUED, programme(books)), (BUDGET, programme(books))},
        ),
        (
            "UPDATE programme SET budget_fen = budget_fen + 1",
            lambda books: {(BUDGET, programme(books))},
        ),
    ],
)
async def test_one_fen_past_the_ledger_is_named(
    books: Books, statement: str, named: Callable[[Books], set[tuple[DifferenceKind, str]]]
) -> None:
    assert set(await planted(books, statement)) == named(books)


@pytest.mark.parametrize(
    "purpose,kind",
    [
        (Purpose.ESCROW, ESCROW),
        (Purpose.VOUCHER_ESCROW, ESCROW),
        (Purpose.RECEIVABLE, RECEIVABLE),
        (Purpose.CLAIMED, CLAIMED),
        (Purpose.BUDGET, BUDGET),
    ],
)
async def test_one_fen_that_reaches_the_wrong_account_is_named(
    books: Books, purpose: Purpose, kind: DifferenceKind
) -> None:
    """The ledger agrees with itself: a transfer stands behind the fen, and nothing else does."""
    async with books.world.database.connection() as connection:
        undone = connection.transaction()
        await undone.start()
        is_cash = purpose is Purpose.ESCROW
        source_id = books.accounts[Purpose.PROGRAMME_SOURCE]
        if is_cash:
            source_id = await service.AccountDirectory().external_id(connection)
        asset = CNY if is_cash else books.programme.asset
        stray = transfer(TransferKind.POSTED, source_id, books.accounts[purpose], 1, asset)
        await service.post(connection, [stray], books.world.now_us)
        found = await service.check(connection)
        await undone.rollback()
    assert [each.kind for each in found] == [kind]


async def test_a_difference_is_told_in_plain_words(books: Books) -> None:
    share_fen = 6 * 1001 * 3000 // 10_000
    found = await planted(
        books, "UPDATE order_hold SET committed_fen = committed_fen - 1 WHERE voucher_id <> 0"
    )
    voucher = encode_id("vch", books.voucher.id)
    assert found[COMMITMENT, order(books)] == (
        f"{share_fen - 1} fen of its voucher {voucher} are committed and the leases of its trades were given"
        f" {share_fen}"
    )
    found = await planted(books, "UPDATE programme SET budget_fen = budget_fen + 1")
    assert found[BUDGET, programme(books)] == (
        "90000 fen are in its budget account; its budget less what it issued, plus what came back of"
        " vouchers, is 90001"
    )


async def test_what_comes_back_of_an_expired_voucher_is_in_the_budget(
    database_url: str, tmp_path: Path
) -> None:
    async with open_books(database_url, tmp_path) as books:
        await books.world.pass_hours(24, at_once=True)
        assert (await books.world.voucher(books.voucher, books.buyer)).balances.expired_fen > 0
        assert await books.world.differences() == []
        found = await planted(
            books,
            "ALTER TABLE ledger_transfer DISABLE TRIGGER USER",
            "UPDATE ledger_transfer SET amount_fen = amount_fen + 1 WHERE reason = 'voucher_expiry'",
        )
    assert (BUDGET, programme(books)) in found
