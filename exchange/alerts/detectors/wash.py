"""Trades that change nothing: between affiliates, prearranged, or round in a ring. Pure."""

from collections.abc import Iterator
from typing import Final

from exchange.alerts.detectors.base import WHOLE_BPS, Detector, Evidence, hours_us, of_step, of_trade
from exchange.alerts.market import Market
from exchange.alerts.models import Figure, Finding
from exchange.alerts.recorded import CODES, FILLS, RecordedStep
from exchange.alerts.thresholds import AlertRulesVersion
from exchange.kit.clock import US_PER_SECOND

PATHS_MAX: Final = 1_000
"""How many trades a search for a ring looks at before it gives up."""


class AffiliatedTrades(Detector):
    """Trades whose parties are of one trade group by the register, or come to be soon after."""

    name = "affiliated_trade"
    codes = CODES

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at purchases, and at every step for who has come to be of which group."""
        del market
        thresholds = rules.rules.affiliated_trade
        if step.group_id is not None and self._has_joined(step.participant_id, step.group_id):
            yield from self._joined(step, rules)
        trade = step.purchase
        if trade is None or trade.notional_fen < thresholds.notional_min_fen:
            return
        if trade.buyer == trade.provider:
            figures = [Figure("notional_fen", trade.notional_fen, thresholds.notional_min_fen)]
            yield self.found(step, rules, [of_trade(step)], figures, product_id=step.product_id)
            return
        for own_id in (trade.buyer_id, trade.provider_id):
            self.add(f"of|{own_id}", of_trade(step), hours_us(thresholds.lookback_hours))

    def _has_joined(self, participant_id: int, group_id: int) -> bool:
        totals = self.memory.totals
        known = totals.pop(f"group|{participant_id}", 0)
        self.count(f"group|{participant_id}", group_id)
        return known != group_id

    def _joined(self, step: RecordedStep, rules: AlertRulesVersion) -> Iterator[Finding]:
        thresholds = rules.rules.affiliated_trade
        since_us = step.event_at_us - hours_us(thresholds.lookback_hours)
        own_key = f"of|{step.participant_id}"
        found = []
        for each in self.seen(own_key):
            other_id = each.other_id if each.participant_id == step.participant_id else each.participant_id
            is_affiliate = self.memory.totals.get(f"group|{other_id}") == step.group_id
            if each.at_us > since_us and is_affiliate:
                found.append(each)
        if found:
            self.spend(own_key, found)
            for other_id in sorted({each for one in found for each in (one.participant_id, one.other_id)}):
                self.spend(f"of|{other_id}", found)
            age_hours = (step.event_at_us - found[0].at_us) // hours_us(1)
            figures = [
                Figure("trades", len(found), 1),
                Figure("notional_fen", sum(each.amount_fen for each in found), thresholds.notional_min_fen),
                Figure("oldest_before_joining_hours", age_hours, thresholds.lookback_hours),
            ]
            yield self.found(step, rules, [*found, of_step(step)], figures)


class MatchedOrders(Detector):
    """A bid and an ask of the same terms, placed close to each other, that filled each other whole."""

    name = "matched_orders"
    codes = FILLS

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at purchases with both their orders."""
        thresholds = rules.rules.matched_orders
        trade = step.purchase
        if trade is None:
            return
        bid, ask = market.orders.get(trade.bid_order_id), market.orders.get(trade.ask_order_id)
        if bid is None or ask is None:
            return
        delay_us = abs(bid.placed_at_us - ask.placed_at_us)
        is_whole = trade.gpu_hours == bid.gpu_hours == ask.gpu_hours
        if not is_whole or delay_us > thresholds.delay_max_s * US_PER_SECOND:
            return
        key = f"{trade.buyer}|{trade.provider}"
        began_us = min(bid.placed_at_us, ask.placed_at_us)
        window = self.add(key, of_trade(step, began_us=began_us), hours_us(thresholds.window_hours))
        if len(window) >= thresholds.trades_min:
            self.spend(key)
            figures = [
                Figure("trades", len(window), thresholds.trades_min),
                Figure("last_delay_s", delay_us // US_PER_SECOND, thresholds.delay_max_s),
                Figure("notional_fen", sum(each.amount_fen for each in window)),
                Figure("gpu_hours", sum(each.gpu_hours for each in window)),
            ]
            yield self.found(step, rules, window, figures, product_id=step.product_id)


class RoundTrips(Detector):
    """Trades of one product that lead from a party back to it, each of about the same GPU-hours."""

    name = "round_trip"
    codes = FILLS

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at purchases, and whether what the buyer has sold comes back to the provider."""
        thresholds = rules.rules.round_trip
        trade = step.purchase
        if trade is None or trade.gpu_hours < thresholds.gpu_hours_min or trade.buyer == trade.provider:
            return
        ask = market.orders.get(trade.ask_order_id)
        if ask is None or trade.gpu_hours * WHOLE_BPS < thresholds.ask_share_min_bps * ask.gpu_hours:
            return  # an ask that many could take was not placed for this one
        span_us = hours_us(thresholds.window_hours)
        latest = of_trade(step)
        ring = self._ring(step.product_id or "", trade.buyer, trade.provider, latest, rules)
        if ring is None:
            self.add(f"{step.product_id}|{trade.provider}", latest, span_us)
            return
        for each in ring[:-1]:
            self.spend(f"{step.product_id}|{_provider(each)}", [each])
        gpu_hours = [each.gpu_hours for each in ring]
        figures = [
            Figure("parties", len(ring), thresholds.parties_max),
            Figure("least_gpu_hours", min(gpu_hours), thresholds.gpu_hours_min),
            Figure(
                "spread_bps",
                (max(gpu_hours) - min(gpu_hours)) * WHOLE_BPS // max(gpu_hours),
                thresholds.tolerance_bps,
            ),
            Figure("notional_fen", sum(each.amount_fen for each in ring)),
        ]
        yield self.found(step, rules, ring, figures, product_id=step.product_id)

    def _ring(
        self, product_id: str, buyer: int, provider: int, latest: Evidence, rules: AlertRulesVersion
    ) -> list[Evidence] | None:
        """Return the shortest ring that the latest trade closes, the latest trade last."""
        thresholds = rules.rules.round_trip
        since_us = latest.at_us - hours_us(thresholds.window_hours)
        paths: list[tuple[int, list[Evidence]]] = [(buyer, [])]
        looked = 0
        for _ in range(thresholds.parties_max - 1):
            longer: list[tuple[int, list[Evidence]]] = []
            for party, path in paths:
                passed = {_buyer(each) for each in path} | {buyer}
                for each in self.seen(f"{product_id}|{party}"):
                    looked += 1
                    if looked > PATHS_MAX:
                        return None
                    gpu_hours = [one.gpu_hours for one in (*path, each, latest)]
                    spread = (max(gpu_hours) - min(gpu_hours)) * WHOLE_BPS
                    if each.at_us <= since_us or spread > thresholds.tolerance_bps * max(gpu_hours):
                        continue
                    if _buyer(each) == provider:
                        return [*path, each, latest]
                    if _buyer(each) not in passed:
                        longer.append((_buyer(each), [*path, each]))
            paths = longer
        return None


def _buyer(trade: Evidence) -> int:
    return trade.group_id or trade.participant_id


def _provider(trade: Evidence) -> int:
    return trade.other_group_id or trade.other_id
