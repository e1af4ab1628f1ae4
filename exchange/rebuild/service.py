"""The market rebuilt from its record alone, and compared with what is stored.

The record is what is only ever added to: the audit trail, the journal, the ledger's transfers, versions of
programmes' rules. Of accounts only their names are taken, which never change. Everything else that is stored
(orders, holds, leases, balances, vouchers, claims, programmes, books, who takes part, list prices, rules of
alerts) is what that adds up to, and is compared row by row and column by column. Reads one moment, locks
nothing and writes nothing.

Known limits: what is rebuilt is kept in memory, some 2 kB an order with its trades and steps; nothing is
rebuilt of names, keys and products. Ids of records are given out before commits, but all
that change one thing wait for each other, so of each thing the ids have the order of its steps.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import date, datetime
from hashlib import sha256
from typing import Any, Final, TypeAlias

import msgspec

from exchange.kit.database import Connection, to_us, unhurried
from exchange.products.service import load_products
from exchange.rebuild import store
from exchange.rebuild.aid import OF_AID, Aid
from exchange.rebuild.faces import faces_of
from exchange.rebuild.market import Markets
from exchange.rebuild.models import BookRow, CaptureRow, Key, Mismatch, Rebuilt, Row, row_of
from exchange.rebuild.money import Money
from exchange.rebuild.parties import OF_PARTIES, Parties
from exchange.rebuild.trading import OF_LEASES, OF_ORDERS, Trading
from matching.snapshot import snapshot

Progress: TypeAlias = Callable[[str, float], None]

CODES: Final = (*OF_ORDERS, *OF_LEASES, "CASH", *OF_AID, *OF_PARTIES)
"""The steps from which something is rebuilt."""
AT_ONCE: Final = 500
"""Rows between two breaths, in which others may run."""
_SHARES: Final = {"journal": 0.0, "ledger_transfer": 0.35, "audit_record": 0.55}
"""From where on each part of the record moves the bar, about by what it takes."""
COMPARING: Final = 0.85


def _untold(_what: str, _share: float) -> None:
    """Tell nobody."""


class _Bar:
    """Says how far a part of the record was read, and lets others run now and then."""

    def __init__(self, progress: Progress, about: Mapping[str, int], part: str, until: float) -> None:
        self.rows = 0
        self._progress = progress
        self._about = max(about.get(part, 0), 1)
        self._part = part
        self._until = until

    async def step(self) -> None:
        """Count a row."""
        self.rows += 1
        if self.rows % AT_ONCE == 0:
            begin = _SHARES[self._part]
            done = min(self.rows / self._about, 1.0)
            self._progress(self._part.replace("_", " "), begin + (self._until - begin) * done)
            await asyncio.sleep(0)


async def rebuild(connection: Connection, at_us: int | None = None, progress: Progress = _untold) -> Rebuilt:
    """Rebuild everything as of a time of venue time, or as of now, from the record alone.

    Needs a transaction whose statements all see one moment.
    """
    await unhurried(connection)
    about = await store.row_counts(connection)
    products = {each.id: each.book_product() for each in await load_products(connection)}
    markets = Markets(products, await store.books_stored(connection))
    bar = _Bar(progress, about, "journal", _SHARES["ledger_transfer"])
    async for partition_id, row in store.journal(connection, at_us):
        markets.follow(partition_id, row)
        await bar.step()
    counts = {"journal": bar.rows}
    money = Money(await store.account_names(connection))
    bar = _Bar(progress, about, "ledger_transfer", _SHARES["audit_record"])
    async for moved in store.transfers(connection, at_us):
        money.move(moved)
        await bar.step()
    counts["ledger_transfer"] = bar.rows
    trading = Trading(markets.matches, markets.due)
    captures = {
        line: CaptureRow(
            programme_id=paid.programme_id, claimant_id=paid.claimant_id, amount_fen=paid.amount_fen
        )
        for line, paid in money.paid.items()
    }
    aid = Aid(captures, await store.validity_days(connection))
    bar = _Bar(progress, about, "audit_record", COMPARING)
    parties = Parties()
    broken: list[Mismatch] = []
    async for step in store.record(connection, list(CODES), at_us):
        try:
            trading.follow(step)
            aid.follow(step)
            parties.follow(step)
            if step.code == "CASH":
                told = step.detail
                money.account_for(step.subject_id, told["reason"], told["amount_fen"], step.participant_id)
        except (KeyError, TypeError, ValueError) as error:
            # What a step speaks of is not on record before it, or it does not say what such a step says.
            found = f"{step.code}: {type(error).__name__} {error}"
            broken.append(
                Mismatch(table="audit_record", of=str(step.id), column="", stored=found, rebuilt=None)
            )
        await bar.step()
    counts["audit_record"] = bar.rows
    trading.end(money)
    trading.name_programmes(aid.paid(money))
    money.end()
    aid.end(money)
    parties.end()
    for (lease_id, _, _), capture in captures.items():
        if lease_id in trading.trades:
            capture.provider_id = trading.trades[lease_id].provider_id
    tables = _tables(markets, money, trading, aid, parties)
    return Rebuilt(
        tables=tables,
        books={product_id: snapshot(book) for product_id, book in markets.books.items()},
        faces=faces_of(money, aid),
        contradictions=[
            *markets.contradictions,
            *money.contradictions,
            *broken,
            *trading.contradictions,
            *aid.contradictions,
            *parties.contradictions,
        ],
        counts=counts,
    )


def _tables(
    markets: Markets, money: Money, trading: Trading, aid: Aid, parties: Parties
) -> dict[str, dict[Key, msgspec.Struct]]:
    """Return what was rebuilt by the names of the tables that have it."""

    def by_id(rows: Mapping[int, msgspec.Struct]) -> dict[Key, msgspec.Struct]:
        return {(key,): row for key, row in rows.items()}

    return {
        "ledger_account": money.account_rows(),
        "orders": by_id(trading.orders),
        "resting": markets.resting(),
        "order_hold": trading.holds(money),
        "trade": by_id(trading.trades),
        "lease": by_id(trading.leases),
        "ask_load": trading.loads(),
        "lease_funding": dict(money.funding),
        "voucher_capture": dict(aid.captures),
        "programme": by_id(aid.programmes),
        "programme_version": dict(aid.versions),
        "programme_year_use": dict(aid.year_uses),
        "programme_use": dict(aid.uses(trading, money)),
        "voucher": by_id(aid.vouchers),
        "claim": by_id(aid.claims),
        "application": by_id(aid.applications),
        "trade_group": dict(parties.groups),
        "participant": dict(parties.participants),
        "list_price": dict(parties.list_prices),
        "alert_rules": dict(parties.rules),
        "partition_head": dict(markets.heads),
        "book": dict(markets.stood),
    }


async def compare(
    connection: Connection, rebuilt: Rebuilt, progress: Progress = _untold
) -> AsyncIterator[Mismatch]:
    """Give every place where what is stored is not what was rebuilt as of now, table by table.

    Needs the transaction in which it was rebuilt.
    """
    await unhurried(connection)
    for number, table in enumerate(store.STORED):
        share = COMPARING + (1 - COMPARING) * number / (len(store.STORED) + 1)
        progress(table.name.replace("_", " "), share)
        rows = dict(rebuilt.tables[table.name])
        async for record in connection.cursor(table.query, prefetch=store.ROWS_AT_ONCE):
            values = list(record.items())
            key = tuple(value for _, value in values[: table.keys])
            stored = {name: plain(value, name) for name, value in values[table.keys :]}
            if table.name == "partition_head" and not stored["last_sequence"] and key not in rows:
                continue  # it was led, and had no command yet
            for each in differences(table.name, key, stored, rows.pop(key, None)):
                yield each
        for key, row in rows.items():
            for each in differences(table.name, key, None, row):
                yield each
    async for each in compare_books(connection, rebuilt):
        yield each
    progress("done", 1.0)


async def compare_books(connection: Connection, rebuilt: Rebuilt) -> AsyncIterator[Mismatch]:
    """Give every stored book that is not what the journal says, byte by byte; as far as it was followed."""
    stood = rebuilt.tables["book"]
    async for row in store.stored_books(connection):
        key = row["product_id"], row["sequence"]
        if key not in stood:
            continue
        try:
            book = zlib.decompress(row["book"]) if row["is_compressed"] else bytes(row["book"])
            stored = row_of(BookRow(sha256(book).hexdigest()))
        except zlib.error:
            stored = {"sha256": "cannot be read"}
        for each in differences("book", key, stored, stood[key]):
            yield each


def plain(value: Any, column: str) -> Any:
    """Return a stored value as rebuilt ones are: times in microseconds, days as text, JSON read."""
    if isinstance(value, datetime):
        return to_us(value)
    if isinstance(value, date):
        return value.isoformat()
    if column in ("terms", "denial", "collar", "rules") and isinstance(value, str):
        return msgspec.json.decode(value)
    return value


def differences(table: str, key: Key, stored: Row | None, rebuilt: msgspec.Struct | None) -> list[Mismatch]:
    """Return in which columns two rows differ, or the one that there is."""
    of = ", ".join(map(str, key))
    expected = None if rebuilt is None else row_of(rebuilt)
    if stored is None or expected is None:
        return [Mismatch(table=table, of=of, column="", stored=stored, rebuilt=expected)]
    return [
        Mismatch(table=table, of=of, column=name, stored=value, rebuilt=expected[name])
        for name, value in stored.items()
        if value != expected[name]
    ]
