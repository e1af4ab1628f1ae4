"""From sums to reports: shares, averages, concentration. Pure; rounded half up, in integers throughout."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.oversight.models import Row
from exchange.oversight.report_models import ReportRow

WHOLE_BPS: Final = 10_000
_US_PER_S: Final = 1_000_000
_AGES: Final = ((1, "under 1"), (3, "1 to 2"), (5, "3 to 4"), (10, "5 to 9"))

Key = tuple[Any, ...]


def rounded(dividend: int, divisor: int) -> int:
    """Return a quotient rounded half up; the divisor is positive."""
    return (2 * dividend + divisor) // (2 * divisor)


def share_bps(part: int, whole: int) -> int | None:
    """Return a part as a share of the whole; None of nothing."""
    return rounded(part * WHOLE_BPS, whole) if whole else None


def hhi(amounts: Iterable[int]) -> int:
    """Return the Herfindahl-Hirschman index of what some parties have, from 0 to 10,000."""
    each = list(amounts)
    whole = sum(each)
    return rounded(WHOLE_BPS * sum(amount * amount for amount in each), whole * whole) if whole else 0


def age_class(years: int | None) -> str | None:
    """Return the class of an age in whole years; None for who has none."""
    if years is None:
        return None
    return next((name for limit, name in _AGES if years < limit), "10 and more")


def grouped(rows: Sequence[Row], key: Callable[[Row], Key]) -> Mapping[Key, list[Row]]:
    """Return rows by a key, in the order in which keys come."""
    found: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def _sum(rows: Iterable[Row], column: str) -> int:
    return sum(row[column] for row in rows)


def _of_kind(rows: Iterable[Row], kind: str) -> int:
    return sum(row["amount_fen"] for row in rows if row["kind"] == kind)


def budget_burn(rows: Sequence[Row], issued_before: Mapping[int, int]) -> list[ReportRow]:
    """Return the budget burn of programmes from movements in the order of their periods."""
    outstanding = dict(issued_before)
    found: list[ReportRow] = []
    for (period, programme_id), moved in grouped(
        rows, lambda row: (row["period"], row["programme_id"])
    ).items():
        came_back = _of_kind(moved, "expired") + _of_kind(moved, "revoked")
        outstanding[programme_id] = outstanding.get(programme_id, 0) + _of_kind(moved, "issued") - came_back
        money = {
            f"{kind}_cny": format_cny(_of_kind(moved, kind))
            for kind in ("issued", "committed", "captured", "expired", "revoked", "paid")
        }
        found.append(
            {
                "period": period.isoformat(),
                "programme": moved[0]["programme_code"],
                "budget_cny": format_cny(moved[0]["budget_fen"]),
                **money,
                "outstanding_cny": format_cny(outstanding[programme_id]),
                "burnt_bps": share_bps(outstanding[programme_id], moved[0]["budget_fen"]),
            }
        )
    return found


def _whose(row: Row) -> Key:
    return (row["period"], row["size_class"], age_class(row["age_years"]), row["region"])


def voucher_use(rows: Sequence[Row]) -> list[ReportRow]:
    """Return voucher use by whose the vouchers are."""
    own = [row for row in rows if row["kind"] in {"issued", "committed", "captured"}]
    return [
        {
            "period": period.isoformat(),
            "size_class": size_class,
            "age_class": age,
            "region": region,
            "buyers": len({row["participant_id"] for row in moved}),
            "issued_cny": format_cny(_of_kind(moved, "issued")),
            "committed_cny": format_cny(_of_kind(moved, "committed")),
            "captured_cny": format_cny(_of_kind(moved, "captured")),
        }
        for (period, size_class, age, region), moved in grouped(own, _whose).items()
    ]


def voucher_refusals(rows: Sequence[Row]) -> list[ReportRow]:
    """Return refused vouchers by why and whose."""
    return [
        {
            "period": period.isoformat(),
            "programme": programme,
            "code": code,
            "size_class": size_class,
            "age_class": age,
            "region": region,
            "refusals": _sum(refused, "refusals"),
        }
        for (programme, code, period, size_class, age, region), refused in grouped(
            rows, lambda row: (row["programme_code"], row["code"], *_whose(row))
        ).items()
    ]


def concentration(rows: Sequence[Row]) -> list[ReportRow]:
    """Return every party's share of each accelerator and hub, and how concentrated that is."""
    found: list[ReportRow] = []
    for (period, accelerator, hub), traded in grouped(rows, _place).items():
        for side in ("provider", "buyer"):
            parties: dict[Key, int] = defaultdict(int)
            for row in traded:
                parties[row[f"{side}_party"], row[f"{side}_is_group"]] += row["gpu_hours"]
            whole, index = sum(parties.values()), hhi(parties.values())
            found.extend(
                {
                    "period": period.isoformat(),
                    "accelerator": accelerator,
                    "hub": hub,
                    "side": side,
                    "party": encode_id("grp" if is_group else "par", party),
                    "gpu_hours": gpu_hours,
                    "share_bps": share_bps(gpu_hours, whole),
                    "parties": len(parties),
                    "hhi": index,
                }
                for (party, is_group), gpu_hours in sorted(
                    parties.items(), key=lambda each: (-each[1], each[0])
                )
            )
    return found


def _place(row: Row) -> Key:
    return (row["period"], row["accelerator_id"], row["hub_code"])


def domestic_share(rows: Sequence[Row]) -> list[ReportRow]:
    """Return the domestic share of each period."""
    found: list[ReportRow] = []
    for (period,), traded in grouped(rows, lambda row: (row["period"],)).items():
        domestic = [row for row in traded if row["origin"] == "domestic"]
        foreign = [row for row in traded if row["origin"] != "domestic"]
        hours, money = _sum(domestic, "gpu_hours"), _sum(domestic, "notional_fen")
        found.append(
            {
                "period": period.isoformat(),
                "domestic_gpu_hours": hours,
                "foreign_gpu_hours": _sum(foreign, "gpu_hours"),
                "domestic_share_hours_bps": share_bps(hours, _sum(traded, "gpu_hours")),
                "domestic_cny": format_cny(money),
                "foreign_cny": format_cny(_sum(foreign, "notional_fen")),
                "domestic_share_money_bps": share_bps(money, _sum(traded, "notional_fen")),
            }
        )
    return found


def hub_flow(rows: Sequence[Row]) -> list[ReportRow]:
    """Return the trades from each region, and its hub, to each hub."""
    return [
        {
            "period": period.isoformat(),
            "from_region": region,
            "from_hub": home,
            "to_hub": hub,
            "trades": _sum(traded, "trades"),
            "gpu_hours": _sum(traded, "gpu_hours"),
            "notional_cny": format_cny(_sum(traded, "notional_fen")),
        }
        for (period, region, home, hub), traded in grouped(
            rows, lambda row: (row["period"], row["buyer_region"], row["home_hub"], row["hub_code"])
        ).items()
    ]


def capacity(rows: Sequence[Row]) -> list[ReportRow]:
    """Return what was held, delivered, failed and idle."""
    return [
        {
            "period": row["period"].isoformat(),
            "accelerator": row["accelerator_id"],
            "hub": row["hub_code"],
            "held_gpu_hours": row["held"],
            "delivered_gpu_hours": row["delivered"],
            "failed_gpu_hours": row["failed"],
            "open_gpu_hours": row["held"] - row["delivered"] - row["failed"],
            "idle_gpu_hours": row["idle"],
            "utilisation_bps": share_bps(row["held"], row["held"] + row["idle"]),
        }
        for row in rows
        if row["held"] or row["idle"]
    ]


def voucher_price(rows: Sequence[Row]) -> list[ReportRow]:
    """Return what a GPU-hour cost with vouchers and for cash alone."""
    found: list[ReportRow] = []
    for (period, accelerator, hub), traded in grouped(rows, _place).items():
        aided = [row for row in traded if row["programmes"]]
        cash = [row for row in traded if not row["programmes"]]
        aided_hours, cash_hours = _sum(aided, "gpu_hours"), _sum(cash, "gpu_hours")
        aided_fen, cash_fen = _sum(aided, "notional_fen"), _sum(cash, "notional_fen")
        premium = None
        if aided_hours and cash_hours:
            above = aided_fen * cash_hours - cash_fen * aided_hours
            premium = rounded(above * WHOLE_BPS, cash_fen * aided_hours)
        found.append(
            {
                "period": period.isoformat(),
                "accelerator": accelerator,
                "hub": hub,
                "voucher_gpu_hours": aided_hours,
                "voucher_price_cny": average_cny(aided_fen, aided_hours),
                "cash_gpu_hours": cash_hours,
                "cash_price_cny": average_cny(cash_fen, cash_hours),
                "premium_bps": premium,
            }
        )
    return found


def average_cny(fen: int, count: int) -> str | None:
    """Return an average, to the fen; None of nothing."""
    return format_cny(rounded(fen, count)) if count else None


def fill_rate(rows: Sequence[Row]) -> list[ReportRow]:
    """Return how much of what was wanted was bought, and how long that took."""
    return [
        {
            "period": row["period"].isoformat(),
            "size_class": row["size_class"],
            **{name: row[name] for name in ("bids", "rejected", "filled")},
            "wanted_gpu_hours": row["wanted_gpu_hours"],
            "filled_gpu_hours": row["filled_gpu_hours"],
            "fill_rate_bps": share_bps(row["filled_gpu_hours"], row["wanted_gpu_hours"]),
            "average_wait_s": rounded(row["waited_us"], row["filled"] * _US_PER_S) if row["filled"] else None,
            **{
                name: row[name]
                for name in ("waited_0s", "waited_1min", "waited_1h", "waited_1d", "waited_longer")
            },
        }
        for row in rows
    ]


def stacking(rows: Sequence[Row]) -> list[ReportRow]:
    """Return trades by how many programmes paid a part."""
    found: list[ReportRow] = []
    for (period, programmes), traded in sorted(
        grouped(rows, lambda row: (row["period"], row["programmes"])).items()
    ):
        vouchers, back = _sum(traded, "voucher_fen"), _sum(traded, "reimbursable_fen")
        found.append(
            {
                "period": period.isoformat(),
                "programmes": programmes,
                "trades": _sum(traded, "trades"),
                "gpu_hours": _sum(traded, "gpu_hours"),
                "notional_cny": format_cny(_sum(traded, "notional_fen")),
                "voucher_cny": format_cny(vouchers),
                "reimbursable_cny": format_cny(back),
                "aided_bps": share_bps(vouchers + back, _sum(traded, "notional_fen")),
            }
        )
    return found
