"""The summaries worked out plainly: row by row in Python from the tables of what happened, all at once.

An oracle for `exchange.oversight.summaries`, which adds up record by record in SQL. It reads other tables
where there are any: steps of vouchers and claims, leases and outages, not the audit trail.
"""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from exchange.kit.database import Connection

Sums = dict[tuple[Any, ...], dict[str, int]]
FINAL = ("filled", "cancelled", "expired", "rejected")
EPOCH = date(1970, 1, 1)
WAITS_US = ((60_000_000, "waited_1min"), (3_600_000_000, "waited_1h"), (86_400_000_000, "waited_1d"))


def day_of_hour(hour: int) -> date:
    return EPOCH + timedelta(days=hour // 24)


def day_of(at: datetime) -> date:
    return at.astimezone(UTC).date()


def nonzero(sums: dict[tuple[Any, ...], Counter[str]], columns: tuple[str, ...]) -> Sums:
    shown = {key: {column: counts[column] for column in columns} for key, counts in sums.items()}
    return {key: counts for key, counts in shown.items() if any(counts.values())}


async def plain_trades(connection: Connection) -> Sums:
    sums: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for row in await connection.fetch("SELECT * FROM trade"):
        key = (
            day_of(row["traded_at"]),
            row["product_id"],
            row["buyer_id"],
            row["provider_id"],
            len(row["programme_ids"]),
        )
        hours = row["ends_hour"] - row["starts_hour"]
        sums[key]["trades"] += 1
        sums[key]["gpu_hours"] += row["quantity_gpus"] * hours
        for column in ("notional_fen", "voucher_fen", "reimbursable_fen"):
            sums[key][column] += row[column]
    return nonzero(sums, ("trades", "gpu_hours", "notional_fen", "voucher_fen", "reimbursable_fen"))


async def plain_bids(connection: Connection) -> Sums:
    first: dict[int, datetime] = {}
    for row in await connection.fetch("SELECT bid_order_id, traded_at FROM trade"):
        before = first.get(row["bid_order_id"], row["traded_at"])
        first[row["bid_order_id"]] = min(before, row["traded_at"])
    sums: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for row in await connection.fetch("SELECT * FROM orders WHERE side = 'buy'"):
        if row["status"] not in FINAL:
            continue
        key = (
            day_of(row["updated_at"]),
            row["product_id"],
            row["participant_id"],
            row["status"],
            row["reason"],
        )
        sums[key]["bids"] += 1
        sums[key]["wanted_gpu_hours"] += row["quantity_gpus"] * row["hours"]
        sums[key]["filled_gpu_hours"] += row["filled_gpu_hours"]
        if row["id"] in first:
            waited = first[row["id"]] - row["created_at"]
            us = waited // timedelta(microseconds=1)
            sums[key]["filled"] += 1
            sums[key]["waited_us"] += us
            within = next((name for limit, name in WAITS_US if us <= limit), "waited_longer")
            sums[key]["waited_0s" if us == 0 else within] += 1
    waits = ("waited_0s", "waited_1min", "waited_1h", "waited_1d", "waited_longer")
    return nonzero(sums, ("bids", "wanted_gpu_hours", "filled_gpu_hours", "filled", "waited_us", *waits))


async def plain_refusals(connection: Connection) -> Sums:
    vouchers = {row["id"]: row["programme_id"] for row in await connection.fetch("SELECT * FROM voucher")}
    sums: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for row in await connection.fetch("SELECT * FROM orders WHERE denial IS NOT NULL"):
        for refusal in msgspec.json.decode(row["denial"]).get("refusals", ()):
            programme_id = vouchers.get(refusal["voucher_id"], 0)
            key = (day_of(row["created_at"]), row["participant_id"], programme_id, refusal["code"])
            sums[key]["refusals"] += 1
    return nonzero(sums, ("refusals",))


async def plain_programmes(connection: Connection) -> Sums:
    sums: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)

    def add(at: datetime, programme_id: int, participant_id: int, kind: str, fen: int) -> None:
        key = (day_of(at), programme_id, participant_id, kind)
        sums[key]["movements"] += 1
        sums[key]["amount_fen"] += fen

    vouchers = {row["id"]: row for row in await connection.fetch("SELECT * FROM voucher")}
    for row in vouchers.values():
        add(row["issued_at"], row["programme_id"], row["buyer_id"], "issued", row["face_fen"])
    for row in await connection.fetch("SELECT * FROM voucher_step"):
        if row["to_status"] in {"expired", "revoked"}:
            voucher = vouchers[row["voucher_id"]]
            owner = voucher["programme_id"], voucher["buyer_id"]
            add(row["stepped_at"], *owner, row["to_status"], row["returned_fen"])
    traded = {row["id"]: row["traded_at"] for row in await connection.fetch("SELECT * FROM trade")}
    for row in await connection.fetch("SELECT * FROM lease_funding WHERE voucher_id <> 0"):
        voucher = vouchers[row["voucher_id"]]
        owner = voucher["programme_id"], voucher["buyer_id"]
        add(traded[row["lease_id"]], *owner, "committed", row["committed_fen"])
    for row in await connection.fetch("SELECT * FROM voucher_capture"):
        voucher = vouchers[row["voucher_id"]]
        owner = voucher["programme_id"], voucher["buyer_id"]
        add(row["captured_at"], *owner, "captured", row["amount_fen"])
    claims = {row["id"]: row for row in await connection.fetch("SELECT * FROM claim")}
    for row in await connection.fetch("SELECT * FROM claim_step WHERE to_status = 'paid'"):
        claim = claims[row["claim_id"]]
        owner = claim["programme_id"], claim["claimant_id"]
        add(row["stepped_at"], *owner, "paid", claim["approved_fen"])
    return nonzero(sums, ("movements", "amount_fen"))


async def plain_capacity(connection: Connection) -> Sums:
    sums: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    outages = {
        (row["lease_id"], row["delivery_hour"]) for row in await connection.fetch("SELECT * FROM outage")
    }
    sold: Counter[tuple[int, int]] = Counter()
    for row in await connection.fetch("SELECT * FROM lease"):
        for hour in range(row["starts_hour"], row["ends_hour"]):
            key = (day_of_hour(hour), row["product_id"], row["provider_id"])
            sold[row["ask_order_id"], hour] += row["quantity_gpus"]
            sums[key]["held_gpu_hours"] += row["quantity_gpus"]
            if hour < row["next_settlement_hour"]:
                column = "failed" if (row["id"], hour) in outages else "delivered"
                sums[key][f"{column}_gpu_hours"] += row["quantity_gpus"]
    for row in await connection.fetch("SELECT * FROM orders WHERE side = 'sell'"):
        # One that was refused stood never; one that stands is not counted before its end.
        if row["status"] not in FINAL or row["status"] == "rejected":
            continue
        ended_hour = int(row["updated_at"].timestamp()) // 3600
        for hour in range(row["starts_hour"], min(row["ends_hour"], ended_hour + 1)):
            key = (day_of_hour(hour), row["product_id"], row["participant_id"])
            sums[key]["idle_gpu_hours"] += max(row["quantity_gpus"] - sold[row["id"], hour], 0)
    return nonzero(sums, ("held_gpu_hours", "delivered_gpu_hours", "failed_gpu_hours", "idle_gpu_hours"))


PLAIN = {
    "trades": plain_trades,
    "bids": plain_bids,
    "refusals": plain_refusals,
    "programmes": plain_programmes,
    "capacity": plain_capacity,
}
