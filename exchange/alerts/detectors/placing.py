"""Orders that are not what they look like: split, layered, soon withdrawn, met by their own. Pure."""

from collections.abc import Iterator

from exchange.alerts.detectors.base import WHOLE_BPS, Detector, Evidence, hours_us, of_step, of_trade
from exchange.alerts.market import Market, OrderFacts
from exchange.alerts.models import Figure, Finding
from exchange.alerts.recorded import FILLS, RecordedStep
from exchange.alerts.thresholds import AlertRulesVersion
from exchange.kit.clock import US_PER_SECOND


class ThresholdSplitting(Detector):
    """Bids of one product, or applications to one programme, just below the size that is looked at."""

    name = "threshold_splitting"
    codes = ("NEWO", "APPS")

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at bids by their notional at their limit, and at applications by their amount."""
        thresholds = rules.rules.threshold_splitting
        order = market.orders.get(step.order_id)
        if step.code == "NEWO" and order is not None and order.is_bid:
            limit_fen, amount_fen = thresholds.order_threshold_fen, order.notional_fen
            key = f"order|{step.party}|{step.product_id}"
        elif step.code == "APPS" and step.programme is not None and step.programme.review_from_fen:
            limit_fen, amount_fen = step.programme.review_from_fen, step.detail["amount_fen"]
            key = f"application|{step.party}|{step.programme.programme_id}"
        else:
            return
        if not limit_fen * thresholds.floor_bps <= amount_fen * WHOLE_BPS < limit_fen * WHOLE_BPS:
            return
        evidence = of_step(step, amount_fen=amount_fen)
        window = self.add(key, evidence, hours_us(thresholds.window_hours))
        if len(window) >= thresholds.count_min:
            self.spend(key)
            total_fen = sum(each.amount_fen for each in window)
            figures = [
                Figure("count", len(window), thresholds.count_min),
                Figure("largest_fen", max(each.amount_fen for each in window), limit_fen),
                Figure("total_fen", total_fen, limit_fen),
                Figure("last_share_bps", amount_fen * WHOLE_BPS // limit_fen, thresholds.floor_bps),
            ]
            yield self.found(
                step,
                rules,
                window,
                figures,
                product_id=step.product_id,
                programme_id=None if step.programme is None else step.programme.programme_id,
            )


class QuickCancels(Detector):
    """A party that withdraws most of what it places on one side, soon and unfilled."""

    name = "quick_cancels"
    codes = ("NEWO", "CAME")

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at orders as they come, and as they are withdrawn."""
        thresholds = rules.rules.quick_cancels
        order = market.orders.get(step.order_id)
        if order is None:
            return
        place, span_us = _place(order), thresholds.window_s * US_PER_SECOND
        if step.code == "NEWO":
            self.add(f"placed|{place}", of_step(step), span_us)
        elif _is_quick(step, order, thresholds.lifetime_max_s):
            window = self.add(f"cancelled|{place}", _cancelled(step, order), span_us)
            if len(window) < thresholds.orders_min:
                return
            since_us = step.event_at_us - span_us
            placed = sum(each.at_us > since_us for each in self.seen(f"placed|{place}"))
            share_bps = len(window) * WHOLE_BPS // max(placed, len(window))
            if share_bps >= thresholds.share_min_bps:
                self.spend(f"cancelled|{place}")
                self.spend(f"placed|{place}")
                figures = [
                    Figure("orders", len(window), thresholds.orders_min),
                    Figure("share_of_placed_bps", share_bps, thresholds.share_min_bps),
                    Figure("last_lifetime_s", _lifetime_s(step, order), thresholds.lifetime_max_s),
                    Figure("gpu_hours", sum(each.gpu_hours for each in window)),
                ]
                yield self.found(step, rules, window, figures, product_id=step.product_id)


class Layering(Detector):
    """Orders at several prices that stood while their party traded on the other side, then withdrawn."""

    name = "layering"
    codes = ("CAME", *FILLS)

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at trades by side, and at orders that are withdrawn."""
        thresholds = rules.rules.layering
        span_us = thresholds.window_s * US_PER_SECOND
        trade = step.purchase
        if trade is not None:
            self.add(f"buy|{trade.buyer}|{step.product_id}", of_trade(step), span_us)
            self.add(f"sell|{trade.provider}|{step.product_id}", of_trade(step), span_us)
        order = market.orders.get(step.order_id)
        if order is None or not _is_quick(step, order, thresholds.lifetime_max_s):
            return
        other = f"{'sell' if order.is_bid else 'buy'}|{order.party}|{order.product_id}"
        trades = [each for each in self.seen(other) if order.placed_at_us <= each.at_us <= step.event_at_us]
        if not trades:
            return
        window = self.add(_place(order), _cancelled(step, order), span_us)
        levels = {each.price_ticks for each in window}
        if len(levels) >= thresholds.levels_min:
            self.spend(_place(order))
            self.spend(other, trades)
            figures = [
                Figure("levels", len(levels), thresholds.levels_min),
                Figure("orders", len(window)),
                Figure("opposite_trades", len(trades), 1),
                Figure("last_lifetime_s", _lifetime_s(step, order), thresholds.lifetime_max_s),
                Figure("withdrawn_gpu_hours", sum(each.gpu_hours for each in window)),
            ]
            yield self.found(step, rules, [*trades, *window], figures, product_id=step.product_id)


class SelfMatches(Detector):
    """A party whose bids and asks keep meeting each other; the book does not let them trade."""

    name = "self_match"
    codes = ("STPV",)

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at pairs that were kept from trading."""
        thresholds = rules.rules.self_match
        if step.code != "STPV":
            return
        ask_order_id = step.detail["ask_order_id"]
        ask = market.orders.get(ask_order_id)
        met = of_step(step, other_order_id=ask_order_id)
        if ask is not None:
            met = Evidence(
                at_us=met.at_us,
                record_id=met.record_id,
                participant_id=met.participant_id,
                other_id=ask.participant_id,
                order_id=met.order_id,
                other_order_id=ask_order_id,
                group_id=met.group_id,
            )
        key = f"{step.party}|{step.product_id}"
        window = self.add(key, met, hours_us(thresholds.window_hours))
        if len(window) >= thresholds.pairs_min:
            self.spend(key)
            figures = [Figure("pairs", len(window), thresholds.pairs_min)]
            yield self.found(step, rules, window, figures, product_id=step.product_id)


def _place(order: OrderFacts) -> str:
    return f"{order.party}|{order.product_id}|{'buy' if order.is_bid else 'sell'}"


def _lifetime_s(step: RecordedStep, order: OrderFacts) -> int:
    return (step.event_at_us - order.placed_at_us) // US_PER_SECOND


def _is_quick(step: RecordedStep, order: OrderFacts, lifetime_max_s: int) -> bool:
    is_withdrawn = step.code == "CAME" and step.detail.get("reason") == "requested"
    is_free = not order.filled_gpu_hours and not step.detail.get("cause")
    lifetime_us = step.event_at_us - order.placed_at_us
    return is_withdrawn and is_free and lifetime_us <= lifetime_max_s * US_PER_SECOND


def _cancelled(step: RecordedStep, order: OrderFacts) -> Evidence:
    return of_step(
        step, gpu_hours=order.gpu_hours, price_ticks=order.price_ticks, began_us=order.placed_at_us
    )
