"""Every journal read again from its beginning, which surveillance does not do: for `audit verify`."""

from collections.abc import Callable
from typing import Final

import msgspec

from exchange.alerts import chain, store
from exchange.kit.database import Database, unhurried
from exchange.orders.partition import GENESIS_HASH

ROWS_AT_ONCE: Final = 2_000


class JournalVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a partition's journal is whole: so many commands in an unbroken chain, then the first break."""

    partition: int
    commands: int
    fault: chain.Break | None


async def check_journals(
    database: Database, show: Callable[[int, int], None] = lambda _done, _total: None
) -> list[JournalVerdict]:
    """Follow each journal's chain of hashes to its head, as of one moment; up to the first break."""
    verdicts = []
    async with database.transaction(isolation="repeatable_read") as connection:
        await unhurried(connection)
        heads = await store.heads(connection)
        total, done = sum(head["last_sequence"] for head in heads), 0
        for head in heads:
            link, breaks, is_read_out = chain.Link(0, GENESIS_HASH), list[chain.Break](), False
            while not (breaks or is_read_out):
                before = link
                rows = await store.journal_after(
                    connection, head["partition_id"], link.sequence, head["last_sequence"], ROWS_AT_ONCE
                )
                is_read_out = len(rows) < ROWS_AT_ONCE
                link, breaks = chain.follow(before, rows)
                if not breaks:
                    link, breaks = chain.compare(link, head, is_read_out=is_read_out)
                done += len(rows)
                show(done, total)
            fault = breaks[0] if breaks else None
            commands = head["last_sequence"] if fault is None else _whole_before(fault)
            verdicts.append(JournalVerdict(partition=head["partition_id"], commands=commands, fault=fault))
    return verdicts


def _whole_before(fault: chain.Break) -> int:
    return min(fault.expected_sequence - 1, fault.found_sequence)
