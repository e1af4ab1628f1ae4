"""Vouchers turned to what they are not for: refunds, premiums, bursts, budgets, young companies. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from exchange.alerts.detectors.base import WHOLE_BPS, Detector, Evidence, hours_us, of_step, of_trade
from exchange.alerts.market import Market
from exchange.alerts.models import Figure, Finding
from exchange.alerts.recorded import FILLS, RecordedStep, Spent
from exchange.alerts.thresholds import AlertRulesVersion, ExpiryBurst
from exchange.kit.clock import US_PER_DAY, US_PER_HOUR

TRADES_COMPARED: Final = 100
"""Mean prices are those of so many trades at most, the latest."""
RETURNED: Final = ("VEXP", "VREV")


class OwnShareRefunds(Detector):
    """What an aided buyer paid itself, coming back: its provider withdraws money, and it deposits as much."""

    name = "own_share_refunded"
    codes = (*FILLS, "CASH")

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at aided purchases, withdrawals and deposits."""
        del market
        thresholds = rules.rules.own_share_refunded
        trade = step.purchase
        if trade is not None and trade.aid_fen:
            own_share_fen = trade.notional_fen - trade.aid_fen
            evidence = _with_amount(of_trade(step), own_share_fen)
            self.add(f"share|{trade.buyer}", evidence, hours_us(thresholds.window_hours))
        elif step.code == "CASH" and step.detail["amount_fen"] >= thresholds.amount_min_fen:
            evidence = of_step(step, amount_fen=step.detail["amount_fen"])
            if step.detail["reason"] == "withdrawal":
                self.add(f"out|{step.party}", evidence, hours_us(thresholds.delay_max_hours))
            elif step.detail["reason"] == "deposit":
                yield from self._deposited(step, evidence, rules)

    def _deposited(
        self, step: RecordedStep, deposit: Evidence, rules: AlertRulesVersion
    ) -> Iterator[Finding]:
        thresholds = rules.rules.own_share_refunded
        bought: dict[int, list[Evidence]] = {}
        for each in self.seen(f"share|{step.party}"):
            if each.at_us > step.event_at_us - hours_us(thresholds.window_hours):
                bought.setdefault(each.other_group_id or each.other_id, []).append(each)
        for provider, trades in bought.items():
            share_fen = sum(each.amount_fen for each in trades)
            least = share_fen * thresholds.share_min_bps
            most = share_fen * (WHOLE_BPS + thresholds.tolerance_bps)
            if not least <= deposit.amount_fen * WHOLE_BPS <= most:
                continue
            for out in reversed(self.seen(f"out|{provider}")):
                gap_fen = abs(out.amount_fen - deposit.amount_fen)
                is_soon = step.event_at_us - out.at_us <= hours_us(thresholds.delay_max_hours)
                is_alike = gap_fen * WHOLE_BPS <= thresholds.tolerance_bps * out.amount_fen
                if is_soon and is_alike and out.at_us >= trades[0].at_us:
                    self.spend(f"out|{provider}", [out])
                    self.spend(f"share|{step.party}", trades)
                    figures = [
                        Figure("deposit_fen", deposit.amount_fen, thresholds.amount_min_fen),
                        Figure("withdrawal_fen", out.amount_fen),
                        Figure("own_share_fen", share_fen),
                        Figure(
                            "share_returned_bps",
                            deposit.amount_fen * WHOLE_BPS // max(share_fen, 1),
                            thresholds.share_min_bps,
                        ),
                        Figure(
                            "delay_hours",
                            (step.event_at_us - out.at_us) // US_PER_HOUR,
                            thresholds.delay_max_hours,
                        ),
                    ]
                    yield self.found(step, rules, [*trades, out, deposit], figures)
                    return


class VoucherPremiums(Detector):
    """A provider that sells dearer where vouchers pay than the market does for cash."""

    name = "voucher_premium"
    codes = FILLS

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at purchases: cash ones make the price of comparison, aided ones are compared."""
        del market
        thresholds = rules.rules.voucher_premium
        trade = step.purchase
        if trade is None:
            return
        span_us = hours_us(thresholds.window_hours)
        own_key, all_key = f"cash|{trade.provider}|{step.product_id}", f"cash|{step.product_id}"
        if not trade.aid_fen:
            for key in (own_key, all_key):
                self.add(key, of_trade(step), span_us, TRADES_COMPARED)
            return
        key = f"aided|{trade.provider}|{step.product_id}"
        aided = self.add(key, of_trade(step), span_us, TRADES_COMPARED)
        if len(aided) < thresholds.aided_trades_min:
            return
        # Who is dear for everybody takes no premium: its own cash price counts where it is known.
        since_us = step.event_at_us - span_us
        cash = [[each for each in self.seen(one) if each.at_us > since_us] for one in (own_key, all_key)]
        compared = [_above_bps(aided, each) for each in cash if len(each) >= thresholds.cash_trades_min]
        above_bps = min(compared, default=0)
        if above_bps >= thresholds.above_min_bps:
            self.spend(key)
            figures = [
                Figure("above_bps", above_bps, thresholds.above_min_bps),
                Figure("aided_trades", len(aided), thresholds.aided_trades_min),
                Figure("cash_trades", len(cash[1]), thresholds.cash_trades_min),
                Figure("own_cash_trades", len(cash[0])),
                Figure("aided_price_per_gpu_hour_fen", _mean_fen(aided)),
                Figure("cash_price_per_gpu_hour_fen", _mean_fen(cash[1])),
            ]
            yield self.found(step, rules, aided, figures, product_id=step.product_id)


class ExpiryBursts(Detector):
    """Most of a voucher spent in its last hours, at providers that sold little else meanwhile.

    Honest companies spend late, too, but where others buy as well: for hours that nobody needs it takes a
    provider that plays along. What providers sold is remembered by their latest trades, as windows are.
    """

    name = "expiry_burst"
    codes = FILLS

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at what each voucher pays of a purchase."""
        del market
        trade = step.purchase
        if trade is None:
            return
        span_us = hours_us(rules.rules.expiry_burst.before_expiry_hours)
        self.add(f"sold|{trade.provider}", of_trade(step), span_us)
        for spent in trade.spent:
            yield from self._spent(step, spent, rules)

    def _spent(self, step: RecordedStep, spent: Spent, rules: AlertRulesVersion) -> Iterator[Finding]:
        thresholds = rules.rules.expiry_burst
        left_us = spent.expires_at_us - step.event_at_us
        if left_us > hours_us(thresholds.before_expiry_hours) or spent.face_fen < thresholds.face_min_fen:
            return
        key = f"spent|{spent.voucher_id}"
        evidence = _with_amount(of_trade(step), spent.amount_fen)
        window = self.add(key, evidence, hours_us(thresholds.before_expiry_hours))
        used_fen = sum(each.amount_fen for each in window)
        if used_fen * WHOLE_BPS < thresholds.share_min_bps * spent.face_fen:
            return
        burst_fen, sold_fen = self._sold(step, window, thresholds)
        if burst_fen * WHOLE_BPS >= thresholds.sold_share_min_bps * sold_fen:
            self.spend(key)
            figures = [
                Figure("spent_fen", used_fen),
                Figure("face_fen", spent.face_fen, thresholds.face_min_fen),
                Figure("share_bps", used_fen * WHOLE_BPS // spent.face_fen, thresholds.share_min_bps),
                Figure("before_expiry_hours", left_us // US_PER_HOUR, thresholds.before_expiry_hours),
                Figure(
                    "sold_share_bps",
                    burst_fen * WHOLE_BPS // max(sold_fen, 1),
                    thresholds.sold_share_min_bps,
                ),
            ]
            yield self.found(
                step,
                rules,
                window,
                figures,
                product_id=step.product_id,
                programme_id=spent.programme_id,
            )

    def _sold(
        self, step: RecordedStep, window: Sequence[Evidence], thresholds: ExpiryBurst
    ) -> tuple[int, int]:
        """Return the price of a burst's trades, and of all that its providers sold in the same hours."""
        since_us = step.event_at_us - hours_us(thresholds.before_expiry_hours)
        trade_ids = {each.trade_id for each in window}
        sold = [
            each
            for provider in {each.other_group_id or each.other_id for each in window}
            for each in self.seen(f"sold|{provider}")
            if each.at_us > since_us
        ]
        burst_fen = sum(each.amount_fen for each in sold if each.trade_id in trade_ids)
        return burst_fen, sum(each.amount_fen for each in sold)


class BudgetUse(Detector):
    """A programme whose issued part reaches a level: told once a level, again only after it fell below."""

    name = "budget_use"
    codes = ("VISS", *RETURNED)
    counts_all = True

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at what is issued, and at what comes back."""
        del market
        programme = step.programme
        if programme is None:
            return
        change_fen = step.detail["face_fen"] if step.code == "VISS" else -step.detail["returned_fen"]
        issued_fen = self.count(f"issued|{programme.programme_id}", change_fen)
        used_bps = issued_fen * WHOLE_BPS // programme.budget_fen
        reached = max((each for each in rules.rules.budget_use.levels_bps if each <= used_bps), default=0)
        told = self.memory.totals.get(f"told|{programme.programme_id}", 0)
        self.count(f"told|{programme.programme_id}", reached - told)
        if reached > told:
            figures = [
                Figure("used_bps", used_bps, reached),
                Figure("issued_fen", issued_fen),
                Figure("budget_fen", programme.budget_fen),
            ]
            evidence = of_step(step, amount_fen=change_fen)
            yield self.found(step, rules, [evidence], figures, programme_id=programme.programme_id)


class YoungGroups(Detector):
    """Vouchers for several companies of one trade group, all of them young."""

    name = "young_group"
    codes = ("VISS",)

    def take(self, step: RecordedStep, market: Market, rules: AlertRulesVersion) -> Iterator[Finding]:
        """Look at vouchers as they are issued."""
        del market
        thresholds = rules.rules.young_group
        if step.code != "VISS" or step.group_id is None or step.founded_us is None:
            return
        age_days = (step.event_at_us - step.founded_us) // US_PER_DAY
        if age_days > thresholds.age_max_days:
            return
        key = f"{step.group_id}"
        evidence = of_step(step, amount_fen=step.detail["face_fen"])
        window = self.add(key, evidence, hours_us(thresholds.window_hours))
        companies = {each.participant_id for each in window}
        if len(companies) >= thresholds.companies_min:
            self.spend(key)
            figures = [
                Figure("companies", len(companies), thresholds.companies_min),
                Figure("last_age_days", age_days, thresholds.age_max_days),
                Figure("issued_fen", sum(each.amount_fen for each in window)),
            ]
            programme_id = None if step.programme is None else step.programme.programme_id
            yield self.found(step, rules, window, figures, programme_id=programme_id)


def _with_amount(evidence: Evidence, amount_fen: int) -> Evidence:
    values = {name: getattr(evidence, name) for name in evidence.__struct_fields__}
    return Evidence(**{**values, "amount_fen": amount_fen})


def _mean_fen(trades: list[Evidence]) -> int:
    return sum(each.amount_fen for each in trades) // sum(each.gpu_hours for each in trades)


def _above_bps(trades: list[Evidence], others: list[Evidence]) -> int:
    """Return how far the mean price of trades lies above that of others."""
    fen, gpu_hours = sum(each.amount_fen for each in trades), sum(each.gpu_hours for each in trades)
    other_fen, other_gpu_hours = sum(one.amount_fen for one in others), sum(one.gpu_hours for one in others)
    return fen * other_gpu_hours * WHOLE_BPS // (other_fen * gpu_hours) - WHOLE_BPS
