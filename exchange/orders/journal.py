"""A row of the journal, as every domain that reads it gets it from its own queries."""

from exchange.kit.database import Record, to_us
from exchange.orders.models import JournalRow


def journal_row(row: Record) -> JournalRow:
    """Return a row with these columns: sequence, product_id, event_at, command, events, hash."""
    return JournalRow(
        sequence=row["sequence"],
        product_id=row["product_id"],
        event_at_us=to_us(row["event_at"]),
        command=row["command"],
        events=row["events"],
        hash=row["hash"],
    )
