"""What a partition does when an hour begins: its books go on, and the money of hours that ended moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.orders.chunks import Storing
from exchange.settlement.delivery import settle_due_hours
from exchange.vouchers.service import expire_due

if TYPE_CHECKING:
    from exchange.kit.database import Connection
    from exchange.ledger.service import AccountDirectory
    from exchange.orders.batch import Batch


async def carry_out_hour(
    batch: Batch,
    connection: Connection,
    accounts: AccountDirectory,
    *,
    partition_id: int,
    through_hour: int,
    at_us: int,
) -> None:
    """Advance the books to the batch's first hour, settle what is due, and store it all. Raises `Fenced`."""
    batch.advance()
    await settle_due_hours(
        connection,
        accounts,
        partition_id=partition_id,
        through_hour=through_hour,
        at_us=at_us,
        also_moved=batch.account_ids,
    )
    await expire_due(connection, at_us)
    await Storing(connection).finish(batch.cut())
