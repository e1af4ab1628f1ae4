"""All that a database holds, to compare: whether it is what it was, and what a transition made of it.

`fingerprint` is the same where every row of every table is. `changes` tells what two of them differ in, with
ids told by the order in which they first appear, and without times, hours, places in a sequence and bytes: so
it is the same for the same transition of two worlds that were settled alike.

Left out: the epoch of a partition, who leads it, its terms and stored books, which a restart changes; and the
balances of the exchange's own accounts, which all worlds of one database share (their transfers are
compared).
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from exchange.kit.auth import Principal
from exchange.kit.database import Connection, Database
from exchange.ledger.checking import BALANCES, PROGRAMMES, differences
from exchange.orders.hold_check import EVERY_QUESTION
from exchange.participants.models import EXCHANGE_ID, ParticipantKind
from exchange.participants.rules import KIND_SCOPES
from exchange.vouchers.service import list_vouchers

Rows: TypeAlias = Mapping[str, frozenset[str]]
KEPT_BESIDE: Final = (
    *("book_mark", "book_history", "alert", "alert_position", "audit_block", "audit_key", "process"),
    *(
        "report_position",
        "report_trade",
        "report_bid",
        "report_refusal",
        "report_programme",
        "report_capacity",
    ),
)
"""What tasks beside the requests write when they come to it; the record says the same at any moment."""
LEFT_OUT: Final = ("book_snapshot", "partition_lease", "partition_term", *KEPT_BESIDE)
VOUCHER_PARTS: Final = 10
COUNTED_MAX: Final = 2**50
"""Above it a number is an id of `exchange.kit.ids`, below one that a table has counted."""
_EVERYONES: Final = Principal(
    key_id=1,
    participant_id=EXCHANGE_ID,
    kind=ParticipantKind.OPERATOR,
    name="",
    trade_group_id=None,
    scopes=KIND_SCOPES[ParticipantKind.OPERATOR],
)
_IDS: Final = re.compile(r"\b[a-z]{3}_[0-9a-z]{13}\b")
_NUMBERED: Final = re.compile(r"(?<=[a-z][ -])\d+\b")
_DRAWN: Final = re.compile(r"(?<=drawn for audit: )\d+")
_WITHOUT_VALUE: Final = re.compile(r"(_at|_hour|sequence|year|ordinal|mask|mask_hex|xact_id)$")
_DRAW_NUMBER: Final = ("claim_draw", "drawn_number")


async def tables_without(connection: Connection, left_out: Iterable[str]) -> list[str]:
    """Return the names of all tables but these, in order."""
    found = await connection.fetch(
        "SELECT relname::text AS name FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace AND relname <> ALL ($1::text[]) ORDER BY 1",
        list(left_out),
    )
    return [row["name"] for row in found]


async def fingerprint(database: Database) -> str:
    """Return a digest of every row."""
    async with database.connection() as connection:
        each = " UNION ALL ".join(
            f"SELECT '{table}' || (to_jsonb({table}) - 'epoch')::text AS line FROM {table}"  # noqa: S608 - names of ours
            for table in await tables_without(connection, LEFT_OUT)
        )
        query = f"SELECT md5(string_agg(line, ',' ORDER BY line)) FROM ({each}) AS line"  # noqa: S608 - as above
        digest: str = await connection.fetchval(query)
    return digest


async def rows(database: Database) -> Rows:
    """Return every row of every table, as JSON."""
    async with database.connection() as connection:
        tables = await tables_without(connection, LEFT_OUT)
        found = await connection.fetch(
            " UNION ALL ".join(
                f"SELECT '{table}' AS name, (to_jsonb({table}) - 'epoch')::text AS line FROM {table}"  # noqa: S608 - names of ours
                for table in tables
            )
        )
    lines: dict[str, set[str]] = {table: set() for table in tables}
    for row in found:
        lines[row["name"]].add(row["line"])
    return {table: frozenset(each) for table, each in lines.items()}


def changes(before: Rows, after: Rows) -> list[tuple[str, str, Any]]:
    """Return what was removed from tables and what was added, told without what differs between worlds."""
    names: dict[object, str] = {}
    return [
        (table, what, _told(table, row, names))
        for table in sorted(after)
        for what, lines in (
            ("removed", before[table] - after[table]),
            ("added", after[table] - before[table]),
        )
        for row in sorted(map(json.loads, lines), key=_place)
        if not (table == "ledger_account" and row["participant_id"] == EXCHANGE_ID)
    ]


def _place(row: Mapping[str, Any]) -> list[int]:
    """Return what to order rows by: numbers, ids first, of which a later one is always higher."""
    numbers = {name: value for name, value in row.items() if isinstance(value, int)}
    return [numbers.get("id", 0), *(numbers[name] for name in sorted(numbers))]


def _told(table: str, value: Any, names: dict[object, str], field: str = "") -> Any:
    """Return a value with ids named in the order of their appearance."""
    if value is not None and (_WITHOUT_VALUE.search(field) or (table, field) == _DRAW_NUMBER):
        return "something"
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if isinstance(value, dict):
        return {
            _name(int(name), names) if name.isdigit() else name: _told(table, each, names, name)
            for name, each in sorted(value.items())
        }
    if isinstance(value, list):
        return [_told(table, each, names, field) for each in value]
    if isinstance(value, str):
        return _text_told(value, names)
    return _number_told(table, value, names, field) if isinstance(value, int) else value


def _text_told(text: str, names: dict[object, str]) -> str:
    """Return a text without the numbers that differ between worlds."""
    if text.startswith("\\x"):
        return "bytes"
    told = _IDS.sub(lambda found: _name(found[0], names), text)
    return _DRAWN.sub("n", _NUMBERED.sub("n", told))


def _number_told(table: str, number: int, names: dict[object, str], field: str) -> int | str:
    """Return an id by its name, and any other number as it is."""
    if number > COUNTED_MAX:
        return _name(number, names)
    if field != "id" and not field.endswith("_id"):
        return number
    # Numbers that a table counts itself are those of other tables, too.
    of_account = "account" in field or (table == "ledger_account" and field == "id")
    return _name(("ledger_account" if of_account else table, number), names)


def _name(thing: object, names: dict[object, str]) -> str:
    return names.setdefault(thing, f"#{len(names)}")


async def assert_sound(database: Database, *, with_orders: bool) -> None:
    """Fail where the books disagree with themselves, or the ten parts of a voucher are not its face.

    Orders and leases are asked about only where there are some behind the money (`VoucherWorld.hold`).
    """
    questions = EVERY_QUESTION if with_orders else (*BALANCES, *PROGRAMMES)
    async with database.connection() as connection:
        assert [each async for each in differences(connection, questions)] == []
        for voucher in await list_vouchers(connection, _EVERYONES, limit=10_000):
            parts = [getattr(voucher.balances, name) for name in voucher.balances.__struct_fields__]
            assert len(parts) == VOUCHER_PARTS
            assert min(parts) >= 0
            assert sum(parts) == voucher.face_fen, voucher
