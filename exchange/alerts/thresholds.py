"""The rules of surveillance as data: for each detector its thresholds. docs/alerts.md tells what each means.

Units stand last in a name: `_bps` are hundredths of a percent, `_fen` money, `_hours` and `_s` venue time.
Every field is given in every version, so that a version can be read by itself. Pure.
"""

from importlib.resources import files
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from exchange.kit.fields import FEN_MAX

Severity = Literal["low", "medium", "high"]
Count = Annotated[int, Meta(ge=1, le=1_000)]
Hours = Annotated[int, Meta(ge=1, le=8_784)]
Days = Annotated[int, Meta(ge=1, le=36_600)]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]
GpuHours = Annotated[int, Meta(ge=1, le=10**12)]
ShareBps = Annotated[int, Meta(ge=1, le=10_000)]
AboveBps = Annotated[int, Meta(ge=1, le=1_000_000)]
ToleranceBps = Annotated[int, Meta(ge=0, le=10_000)]
Fen = Annotated[int, Meta(ge=1, le=FEN_MAX)]


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every detector has: whether it runs, and how grave what it finds is."""

    enabled: bool
    severity: Severity


class AffiliatedTrade(Thresholds, frozen=True, kw_only=True):
    """Trades of two parties that are of one trade group, or come to be within `lookback_hours`."""

    notional_min_fen: Fen
    lookback_hours: Hours


class MatchedOrders(Thresholds, frozen=True, kw_only=True):
    """Bids and asks of the same terms, placed within `delay_max_s`, that filled each other whole."""

    delay_max_s: Seconds
    trades_min: Count
    window_hours: Hours


class RoundTrip(Thresholds, frozen=True, kw_only=True):
    """Trades of one product, each of most of its ask, that go round 2 to `parties_max` parties."""

    parties_max: Annotated[int, Meta(ge=2, le=5)]
    tolerance_bps: ToleranceBps
    ask_share_min_bps: ShareBps
    gpu_hours_min: GpuHours
    window_hours: Hours


class OwnShareRefunded(Thresholds, frozen=True, kw_only=True):
    """A provider's withdrawal, then a deposit of as much by its aided buyer, of its own share's size."""

    amount_min_fen: Fen
    share_min_bps: ShareBps
    tolerance_bps: ToleranceBps
    delay_max_hours: Hours
    window_hours: Hours


class VoucherPremium(Thresholds, frozen=True, kw_only=True):
    """A provider's mean price where vouchers pay, above the product's mean price in cash."""

    above_min_bps: AboveBps
    aided_trades_min: Count
    cash_trades_min: Count
    window_hours: Hours


class PaidNotRun(Thresholds, frozen=True, kw_only=True):
    """Aided hours told as delivered while the provider reports the same product's hours as out."""

    hours_min: Count
    amount_min_fen: Fen
    window_hours: Hours


class SubsidisedResale(Thresholds, frozen=True, kw_only=True):
    """GPU-hours sold by a party inside what it bought with aid before it offered them."""

    gpu_hours_min: GpuHours
    window_hours: Hours


class ThresholdSplitting(Thresholds, frozen=True, kw_only=True):
    """Bids, or applications, just below the size from which they are looked at, again and again."""

    order_threshold_fen: Fen
    floor_bps: ShareBps
    count_min: Count
    window_hours: Hours


class YoungGroup(Thresholds, frozen=True, kw_only=True):
    """Vouchers issued to several young companies of one trade group."""

    age_max_days: Days
    companies_min: Count
    window_hours: Hours


class ExpiryBurst(Thresholds, frozen=True, kw_only=True):
    """Most of a voucher spent in its last hours, which is a large part of what its providers sold then."""

    before_expiry_hours: Hours
    share_min_bps: ShareBps
    face_min_fen: Fen
    sold_share_min_bps: ShareBps


class Hoarding(Thresholds, frozen=True, kw_only=True):
    """A party holds a share of all the GPU-hours that were offered of a product for a day."""

    share_min_bps: ShareBps
    gpu_hours_min: GpuHours


class Withholding(Thresholds, frozen=True, kw_only=True):
    """Capacity withdrawn by a provider and offered again for the same hours at a higher price."""

    above_min_bps: AboveBps
    gpu_hours_min: GpuHours
    times_min: Count
    window_hours: Hours


class QuickCancels(Thresholds, frozen=True, kw_only=True):
    """Orders withdrawn unfilled within `lifetime_max_s`, many, and most of what their party placed."""

    lifetime_max_s: Seconds
    orders_min: Count
    share_min_bps: ShareBps
    window_s: Seconds


class Layering(Thresholds, frozen=True, kw_only=True):
    """Orders at several prices withdrawn unfilled after their party traded on the other side."""

    lifetime_max_s: Seconds
    levels_min: Count
    window_s: Seconds


class SelfMatch(Thresholds, frozen=True, kw_only=True):
    """Pairs of one party's orders that would have traded with each other."""

    pairs_min: Count
    window_hours: Hours


class BudgetUse(Thresholds, frozen=True, kw_only=True):
    """The part of a programme's budget that is issued."""

    levels_bps: Annotated[tuple[ShareBps, ...], Meta(min_length=1, max_length=10)]


class RecordBreak(Thresholds, frozen=True, kw_only=True):
    """A sequence of the journal that is missing, or a row that does not go on from the one before it."""


class AlertRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The thresholds of all detectors, by their names."""

    affiliated_trade: AffiliatedTrade
    matched_orders: MatchedOrders
    round_trip: RoundTrip
    own_share_refunded: OwnShareRefunded
    voucher_premium: VoucherPremium
    paid_not_run: PaidNotRun
    subsidised_resale: SubsidisedResale
    threshold_splitting: ThresholdSplitting
    young_group: YoungGroup
    expiry_burst: ExpiryBurst
    hoarding: Hoarding
    withholding: Withholding
    quick_cancels: QuickCancels
    layering: Layering
    self_match: SelfMatch
    budget_use: BudgetUse
    record_break: RecordBreak


class AlertRulesVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Rules with their number and the venue time from which they are in force."""

    version: int
    effective_from_us: int
    rules: AlertRules


def default_rules() -> AlertRules:
    """Return the rules that the package ships."""
    text = files("exchange.alerts").joinpath("default_rules.json").read_bytes()
    return msgspec.json.decode(text, type=AlertRules)


def in_force(versions: tuple[AlertRulesVersion, ...], at_us: int) -> AlertRulesVersion:
    """Return the highest version that has begun by a time; `versions` ascend, and one has always begun."""
    for version in reversed(versions):
        if version.effective_from_us <= at_us:
            return version
    raise AssertionError("the first version of the rules has always begun")
