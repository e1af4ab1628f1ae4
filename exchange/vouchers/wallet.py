"""Vouchers as an order meets them: a buyer's wallet, its accounts locked, with what the year's orders use.

The order path reads wallets together with the rest of a batch (`lock_wallets`, `opened`): no round trip of
their own, however many vouchers. Others follow only where the registry does not know the newest rules yet,
and where a yearly cap counts what is redeemed. What can pay is for `choice.choose` to say.

Locks: accounts in the order of their ids, then uses of caps in theirs. A voucher's status is read before its
lock is had: it may lag one that is set at this moment, the expiry time and the free amount never do.
"""

from collections.abc import Collection, Mapping, Sequence

from exchange.kit.bundle import Read, read_each
from exchange.kit.database import Connection
from exchange.programmes.models import CapUse
from exchange.programmes.registry import ProgrammeRegistry
from exchange.vouchers import store
from exchange.vouchers.models import UsableVoucher, WalletRow
from exchange.vouchers.rules import calendar_year


def lock_wallets(buyer_ids: Collection[int], named_ids: Collection[int]) -> Read[WalletRow]:
    """Ask for the vouchers of some buyers that can still pay; their accounts stay locked.

    Those are active or suspended with something free or held. Of `named_ids` those that are theirs come
    whatever their state, so that one that cannot pay can be told why. `opened` is for the answer.
    """
    return store.lock_wallets(buyer_ids, named_ids)


async def opened(
    connection: Connection, rows: Sequence[WalletRow], programmes: ProgrammeRegistry, at_us: int
) -> dict[int, list[UsableVoucher]]:
    """Return what `lock_wallets` found as vouchers with their rules, by buyer.

    Of the yearly caps, those of the year of `at_us` are counted, and locked.
    """
    wallets: dict[int, list[UsableVoucher]] = {}
    for voucher in await _usable(connection, rows, programmes, calendar_year(at_us), locks=True):
        wallets.setdefault(voucher.buyer_id, []).append(voucher)
    return wallets


async def vouchers_for_update(
    connection: Connection,
    buyer_ids: Collection[int],
    programmes: ProgrammeRegistry,
    at_us: int,
    named_ids: Collection[int] = (),
) -> list[UsableVoucher]:
    """Return the vouchers of some buyers that can still pay, or are named, locked: a batch of its own."""
    [rows] = await read_each(connection, lock_wallets(buyer_ids, named_ids))
    return await _usable(connection, rows, programmes, calendar_year(at_us), locks=True)


async def vouchers_of_buyer(
    connection: Connection, buyer_id: int, programmes: ProgrammeRegistry, at_us: int
) -> list[UsableVoucher]:
    """Return every voucher of a buyer as an order would meet it at a time; nothing is locked."""
    [rows] = await read_each(connection, store.vouchers_of_buyer(buyer_id))
    return await _usable(connection, rows, programmes, calendar_year(at_us), locks=False)


async def _usable(
    connection: Connection,
    rows: Sequence[WalletRow],
    programmes: ProgrammeRegistry,
    year: int,
    *,
    locks: bool,
) -> list[UsableVoucher]:
    if not all(programmes.knows(row.programme_id, row.version_last) for row in rows):
        await programmes.refresh(connection)
    known = programmes.programmes
    capped = {row.programme_id for row in rows if known[row.programme_id].caps_use}
    used: Mapping[tuple[int, int], int] = {}
    if capped:
        subjects = {subject_id for row in rows for subject_id in (row.buyer_id, row.group_subject_id)}
        read = store.lock_uses if locks else store.uses
        used = await read(connection, capped, subjects, year)
    return [
        UsableVoucher(
            voucher_id=row.id,
            programme_id=row.programme_id,
            buyer_id=row.buyer_id,
            versions=known[row.programme_id].versions,
            status=row.status,
            expires_at_us=row.expires_at_us,
            account_id=row.account_id,
            escrow_account_id=row.escrow_account_id,
            available_fen=row.available_fen,
            used=CapUse(
                year=year,
                subject_id=row.buyer_id,
                group_subject_id=row.group_subject_id,
                used_fen=used.get((row.programme_id, row.buyer_id), 0),
                group_used_fen=used.get((row.programme_id, row.group_subject_id), 0),
            ),
        )
        for row in rows
    ]
