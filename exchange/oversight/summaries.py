"""Summaries for reports, kept up to date from the committed record, and recomputed from it.

`Summaries` follows the audit trail by transactions (`exchange.kit.audit_reading`). The position, the first
one that is not summed up yet, is stored in one transaction with the sums. So every record counts once,
whenever the process stops, and of several processes one at a time goes on.

What is added up never changes any more: trades, captures, bids and asks that have ended.

`recompute` sums the whole record up anew and compares. What it finds different is as good as a broken
invariant: nothing but `Summaries` writes there.

Known limits: a transaction that stays open for long and has written holds the summaries back. Transactions
are numbered by the database cluster: in one made from a dump (not a copy of the files) the numbers begin
anew, and the summaries have to be recomputed with `--repair`. `recompute` compares in memory, row by row.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from exchange.kit.audit_reading import FIRST_XACT, whole_until
from exchange.kit.chores import Chore
from exchange.kit.clock import monotonic_s
from exchange.kit.courtesy import REST_S_MIN, Courtesy
from exchange.kit.database import Connection, Database, Record, unhurried
from exchange.oversight import store

RECORDS_MAX: Final = 5_000
IDLE_S: Final = 1.0
RETRY_FAULT_S: Final = 30.0


class Cube(msgspec.Struct, frozen=True):
    """A summary: how some transactions are added to it, how it is begun anew, and its rows."""

    name: str
    add: Callable[[Connection, str, str], Awaitable[None]]
    clear: Callable[[Connection], Awaitable[None]]
    rows: Callable[[Connection], Awaitable[list[Record]]]
    keys: int
    """The first so many columns say what a row is of; the others are sums."""


CUBES: Final = (
    Cube("trades", store.sum_trades, store.clear_trades, store.all_trades, 5),
    Cube("bids", store.sum_bids, store.clear_bids, store.all_bids, 5),
    Cube("refusals", store.sum_refusals, store.clear_refusals, store.all_refusals, 4),
    Cube("programmes", store.sum_programmes, store.clear_programmes, store.all_programmes, 4),
    Cube("capacity", store.sum_capacity, store.clear_capacity, store.all_capacity, 3),
)


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A sum that is not what the record says."""

    summary: str
    of: str
    column: str
    stored: int
    recomputed: int


class Summaries:
    """Follows the record. `start` and `stop`, or `turn` by hand."""

    def __init__(self, database: Database, *, records_max: int = RECORDS_MAX) -> None:
        """Add up about `records_max` records at a time."""
        self._database = database
        self._records_max = records_max
        self._courtesy = Courtesy()
        self._chore = Chore(
            "report-summaries", self._timed_turn, undone="the record is not summed up", fault_s=RETRY_FAULT_S
        )

    def start(self) -> None:
        """Begin to follow."""
        self._chore.start()

    async def stop(self) -> None:
        """Follow no more; the next start goes on where this one stopped."""
        await self._chore.stop()

    async def _timed_turn(self) -> None:
        began_s = monotonic_s()
        least_s = REST_S_MIN if await self.turn() else IDLE_S
        await self._courtesy.rest(monotonic_s() - began_s, least_s)

    async def turn(self) -> bool:
        """Add the next transactions up; whether there are more of them than are added up at a time."""
        async with self._database.transaction() as connection:
            await unhurried(connection)
            position = await store.claim_position(connection)
            if position is None:
                return False
            from_xact = position["xact_id"]
            whole = await whole_until(connection, from_xact, self._records_max)
            if whole.until_xact is None:
                return False
            for cube in CUBES:
                await cube.add(connection, from_xact, whole.until_xact)
            await store.move_position(connection, from_xact, whole.until_xact)
        return whole.is_full


async def recompute(
    connection: Connection,
    show: Callable[[str, float], None] = lambda _what, _share: None,
    *,
    is_kept: bool = False,
) -> list[Mismatch]:
    """Sum the record up anew as far as the summaries go, and return what differs; needs a transaction.

    With `is_kept` the summaries become what was recomputed. While it runs they stand still.
    """
    await unhurried(connection)
    savepoint = connection.transaction()
    await savepoint.start()
    until_xact = await store.hold_position(connection)
    found: list[Mismatch] = []
    for number, cube in enumerate(CUBES):
        show(cube.name, number / len(CUBES))
        stored = _sums(cube, await cube.rows(connection))
        await cube.clear(connection)
        await cube.add(connection, FIRST_XACT, until_xact)
        recomputed = _sums(cube, await cube.rows(connection))
        found.extend(_compare(cube, stored, recomputed))
    await (savepoint.commit() if is_kept else savepoint.rollback())
    show("done", 1.0)
    return found


_Sums = Mapping[tuple[Any, ...], Mapping[str, int]]


def _sums(cube: Cube, rows: Sequence[Record]) -> _Sums:
    """Return the sums of a summary's rows by what they are of; a row of zeros says nothing."""
    split = ((tuple(row.values())[: cube.keys], dict(list(row.items())[cube.keys :])) for row in rows)
    return {key: sums for key, sums in split if any(sums.values())}


def _compare(cube: Cube, stored: _Sums, recomputed: _Sums) -> list[Mismatch]:
    return [
        Mismatch(
            summary=cube.name,
            of=" ".join(map(str, key)),
            column=column,
            stored=stored.get(key, {}).get(column, 0),
            recomputed=recomputed.get(key, {}).get(column, 0),
        )
        for key in sorted(stored.keys() | recomputed.keys(), key=str)
        for column in (stored.get(key) or recomputed[key])
        if stored.get(key, {}).get(column, 0) != recomputed.get(key, {}).get(column, 0)
    ]
