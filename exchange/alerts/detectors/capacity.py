"""Hours of GPUs that are not what they are sold as: not run, sold on, hoarded, held back. Pure."""

from collections.abc import Iterator
from typing import Final

from exchange.alerts.detectors.base import (
    WHOLE_BPS,
    Detector,
    Evidence,
    hours_us,
    of_step,
    of_trade,
    overlap_hours,
)
from exchange.alerts.market import Market, OrderFacts
from exchange.alerts.models import Figure, Finding
from exchange.alerts.recorded import FILLS, RecordedStep
from exchange.alerts.thresholds import AlertRulesVersion

DAY_HOURS: Final = 24


class PaidNotRun(Detector):
    """Hours told as delivered and paid by vouchers, while their provider told others that it was out."""

    name = "paid_not_run"
    codes = ("OUTG", "DLVR")

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at outages, and at aided hours as they are settled."""
        del market
        thresholds = rules.rules.paid_not_run
        trade = step.trade
        if trade is None:
            return
        place = f"{trade.provider}|{step.product_id}"
        span_us = hours_us(thresholds.window_hours)
        if step.code == "OUTG":
            for hour in step.detail["hours"]:
                evidence = of_step(step, starts_hour=hour, ends_hour=hour + 1)
                self.add(f"out|{place}|{hour}", evidence, span_us)
        elif step.code == "DLVR" and trade.aid_fen:
            hour = step.detail["delivery_hour"]
            outages = [each for each in self.seen(f"out|{place}|{hour}") if each.trade_id != step.trade_id]
            if not outages:
                return
            amount_fen = step.detail["amount_fen"]
            settled = Evidence(
                at_us=step.event_at_us,
                record_id=step.record_id,
                participant_id=trade.provider_id,
                other_id=trade.buyer_id,
                trade_id=trade.trade_id,
                other_order_id=trade.ask_order_id,
                order_id=trade.bid_order_id,
                amount_fen=amount_fen,
                starts_hour=hour,
                ends_hour=hour + 1,
                gpu_hours=trade.quantity_gpus,
                group_id=trade.provider_group_id or 0,
                other_group_id=trade.buyer_group_id or 0,
            )
            window = self.add(f"paid|{place}", settled, span_us)
            hours = {each.starts_hour for each in window}
            paid_fen = sum(each.amount_fen for each in window)
            if len(hours) >= thresholds.hours_min and paid_fen >= thresholds.amount_min_fen:
                out = [each for one in sorted(hours) for each in self.seen(f"out|{place}|{one}")]
                self.spend(f"paid|{place}")
                figures = [
                    Figure("hours", len(hours), thresholds.hours_min),
                    Figure("paid_fen", paid_fen, thresholds.amount_min_fen),
                    Figure("outages", len(out)),
                ]
                yield self.found(step, rules, [*out, *window], figures, product_id=step.product_id)


class SubsidisedResale(Detector):
    """A party that sells hours inside of what it bought with aid, from an ask that it placed afterwards."""

    name = "subsidised_resale"
    codes = FILLS

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at purchases, from both sides."""
        thresholds = rules.rules.subsidised_resale
        trade = step.purchase
        if trade is None:
            return
        span_us = hours_us(thresholds.window_hours)
        ask = market.orders.get(trade.ask_order_id)
        if ask is not None:
            inside = [
                each
                for each in self.seen(f"bought|{trade.provider}|{step.product_id}")
                if each.at_us < ask.placed_at_us
                and each.starts_hour <= ask.starts_hour
                and each.ends_hour >= ask.ends_hour
            ]
            bought_gpus = sum(each.gpu_hours // (each.ends_hour - each.starts_hour) for each in inside)
            if ask.quantity_gpus > bought_gpus:
                inside = []  # it has more to sell than what it bought: its own
            resold = min(bought_gpus, trade.quantity_gpus) * trade.hours
            if inside and resold >= thresholds.gpu_hours_min:
                self.spend(f"bought|{trade.provider}|{step.product_id}", inside)
                figures = [
                    Figure("resold_gpu_hours", resold, thresholds.gpu_hours_min),
                    Figure("bought_gpu_hours", sum(each.gpu_hours for each in inside)),
                    Figure("resold_price_per_gpu_hour_fen", trade.price_ticks),
                    Figure("bought_price_per_gpu_hour_fen", inside[-1].price_ticks),
                ]
                yield self.found(step, rules, [*inside, of_trade(step)], figures, product_id=step.product_id)
        if trade.aid_fen:
            self.add(f"bought|{trade.buyer}|{step.product_id}", of_trade(step), span_us)


class Hoarding(Detector):
    """A party that holds a large share of all that was offered of a product for a day of delivery."""

    name = "hoarding"
    codes = ("NEWO", "CAME", *FILLS)
    counts_all = True  # asks for a day may be as old as two years

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at offers, which make the whole, and at purchases, which make the part."""
        order = market.orders.get(step.order_id)
        if order is not None and not order.is_bid:
            if step.code == "NEWO":
                self._offer(order, 1)
            elif step.code == "CAME" and not order.filled_gpu_hours:
                self._offer(order, -1)
        trade = step.purchase
        if trade is None:
            return
        thresholds = rules.rules.hoarding
        found: list[tuple[int, int, int]] = []
        for day, hours in _days(trade.starts_hour, trade.ends_hour):
            key = f"{trade.buyer}|{step.product_id}|{day}"
            held = self.count(f"held|{key}", trade.quantity_gpus * hours)
            self.add(f"by|{key}", of_trade(step), hours_us(DAY_HOURS * 366))
            offered = self.memory.totals.get(f"offered|{step.product_id}|{day}", 0)
            is_large = held * WHOLE_BPS >= thresholds.share_min_bps * offered
            is_told = f"told|{key}" in self.memory.totals
            if offered and is_large and held >= thresholds.gpu_hours_min and not is_told:
                self.count(f"told|{key}", 1)
                found.append((day, held, offered))
        if found:
            evidence = {
                each.record_id: each
                for day, _, _ in found
                for each in self.seen(f"by|{trade.buyer}|{step.product_id}|{day}")
            }
            held, offered = max((held, offered) for _, held, offered in found)
            figures = [
                Figure("share_bps", held * WHOLE_BPS // offered, thresholds.share_min_bps),
                Figure("held_gpu_hours", held, thresholds.gpu_hours_min),
                Figure("offered_gpu_hours", offered),
                Figure("first_delivery_day", found[0][0]),
                Figure("delivery_days", len(found)),
            ]
            ordered = [evidence[each] for each in sorted(evidence)]
            yield self.found(step, rules, ordered, figures, product_id=step.product_id)

    def _offer(self, ask: OrderFacts, sign: int) -> None:
        for day, hours in _days(ask.starts_hour, ask.ends_hour):
            self.count(f"offered|{ask.product_id}|{day}", sign * ask.quantity_gpus * hours)


class Withholding(Detector):
    """A provider that withdraws capacity and offers the same hours dearer, again and again."""

    name = "withholding"
    codes = ("NEWO", "CAME", "REME")

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at asks that are withdrawn or replaced, and at asks that come."""
        thresholds = rules.rules.withholding
        order = market.orders.get(step.order_id)
        if order is None or order.is_bid:
            return
        place = f"{order.party}|{order.product_id}"
        span_us = hours_us(thresholds.window_hours)
        if _is_withdrawn(step):
            self.add(f"withdrawn|{place}", _offered(step, order), span_us)
        elif step.code == "NEWO":
            since_us = step.event_at_us - span_us
            for each in reversed(self.seen(f"withdrawn|{place}")):
                if each.at_us > since_us and overlap_hours(each, order.starts_hour, order.ends_hour):
                    # The latest that was withdrawn of these hours is what comes back, dearer or not.
                    self.spend(f"withdrawn|{place}", [each])
                    dear_ticks = each.price_ticks * (WHOLE_BPS + thresholds.above_min_bps)
                    if order.price_ticks * WHOLE_BPS >= dear_ticks:
                        yield from self._relisted(step, order, each, rules)
                    return

    def _relisted(
        self, step: RecordedStep, order: OrderFacts, pulled: Evidence, rules: AlertRulesVersion
    ) -> Iterator[Finding]:
        thresholds = rules.rules.withholding
        place = f"{order.party}|{order.product_id}"
        span_us = hours_us(thresholds.window_hours)
        before = self.add(f"pulled|{place}", pulled, span_us)
        window = self.add(f"relisted|{place}", _offered(step, order), span_us)
        gpu_hours = sum(each.gpu_hours for each in window)
        if len(window) >= thresholds.times_min and gpu_hours >= thresholds.gpu_hours_min:
            evidence = [*before, *window]
            self.spend(f"relisted|{place}")
            self.spend(f"pulled|{place}")
            figures = [
                Figure("times", len(window), thresholds.times_min),
                Figure("gpu_hours", gpu_hours, thresholds.gpu_hours_min),
                Figure(
                    "last_above_bps",
                    order.price_ticks * WHOLE_BPS // pulled.price_ticks - WHOLE_BPS,
                    thresholds.above_min_bps,
                ),
            ]
            yield self.found(step, rules, evidence, figures, product_id=order.product_id)


def _is_withdrawn(step: RecordedStep) -> bool:
    is_replaced = step.code == "REME" and "replaced_by_order_id" in step.detail
    return is_replaced or (step.code == "CAME" and step.detail.get("reason") == "requested")


def _offered(step: RecordedStep, order: OrderFacts) -> Evidence:
    return of_step(
        step,
        gpu_hours=order.gpu_hours - order.filled_gpu_hours,
        starts_hour=order.starts_hour,
        ends_hour=order.ends_hour,
        price_ticks=order.price_ticks,
    )


def _days(starts_hour: int, ends_hour: int) -> Iterator[tuple[int, int]]:
    """Yield each day (since the epoch, UTC) of a window of hours, and how many of them it has."""
    for day in range(starts_hour // DAY_HOURS, (ends_hour - 1) // DAY_HOURS + 1):
        yield day, min(ends_hour, (day + 1) * DAY_HOURS) - max(starts_hour, day * DAY_HOURS)
