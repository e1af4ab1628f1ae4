"""The rules of vouchers and programmes on cases worked out by hand."""

import datetime as dt

import msgspec
import pytest

from exchange.claims.models import NewClaim, NewRejection, NewStep
from exchange.kit.http_decode import decoder_of
from exchange.kit.ids import encode_id
from exchange.programmes.facts import Facts
from exchange.programmes.models import CapacityRule, NewProgramme, NewVersion, RateTier, RequiredOrigin
from exchange.programmes.rules import asset_of, programme_mask
from exchange.settlement.rules import eligible_ticks
from exchange.vouchers.choice import choose, offer_of, unusable_because
from exchange.vouchers.models import Balances, NewVoucher, UsableVoucher, VoucherRefusal, VoucherStatus
from exchange.vouchers.rules import calendar_year, share_fen, status_now
from tests.voucher_facts import facts, paying, rules_of, version_of

NOW_US = 1_000_000
LATER_US = NOW_US + 1

FOREIGN, DOMESTIC = facts("foreign", at_us=NOW_US), facts("domestic", at_us=NOW_US)
DOMESTIC_ONLY = version_of(rules_of(capacity=CapacityRule(origin=RequiredOrigin.DOMESTIC)))


def usable(voucher_id: int, **changes: object) -> UsableVoucher:
    voucher = UsableVoucher(
        voucher_id=voucher_id,
        programme_id=1,
        buyer_id=5,
        versions=(version_of(rules_of()),),
        status=VoucherStatus.ACTIVE,
        expires_at_us=LATER_US,
        account_id=100 + voucher_id,
        escrow_account_id=200 + voucher_id,
        available_fen=1_000,
    )
    return msgspec.structs.replace(voucher, **changes)


def refusal_of(voucher: UsableVoucher, order: Facts) -> VoucherRefusal | None:
    return unusable_because(voucher, offer_of(voucher.programme_id, voucher.versions, order), order.at_us)


@pytest.mark.parametrize(
    "notional_fen, rate_bps, expected_fen",
    [
        (0, 3_000, 0),
        (1, 9_999, 0),
        (1, 10_000, 1),
        (333, 3_000, 99),  # 99.9
        (100_000_000, 2_000, 20_000_000),  # Beijing: 20 % of a contract of CNY 1m
        (1_000_000_001, 5_000, 500_000_000),  # Shenzhen: half of an odd number of fen
        (10**15, 1, 10**11),
    ],
)
def test_a_share_rounds_down_to_the_fen(notional_fen: int, rate_bps: int, expected_fen: int) -> None:
    assert share_fen(notional_fen, rate_bps) == expected_fen


@pytest.mark.parametrize(
    "moment, year",
    [
        ("2026-06-01T00:00:00+00:00", 2026),
        ("2026-12-31T15:59:59.999999+00:00", 2026),  # 23:59:59.999999 in China
        ("2026-12-31T16:00:00+00:00", 2027),  # midnight in China
        ("1969-12-31T15:59:59+00:00", 1969),
    ],
)
def test_the_year_of_a_cap_is_the_issuers_own(moment: str, year: int) -> None:
    since = dt.datetime.fromisoformat(moment) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert calendar_year(since // dt.timedelta(microseconds=1)) == year


def test_programmes_have_bits_above_the_exchanges_own() -> None:
    assert programme_mask(1) == 1 << 17
    assert programme_mask(100) == 1 << 116
    assert asset_of(7) == encode_id("prg", 7)


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"status": VoucherStatus.SUSPENDED}, "voucher_not_active"),
        ({"status": VoucherStatus.REVOKED, "expires_at_us": NOW_US}, "voucher_not_active"),
        ({"status": VoucherStatus.EXPIRED}, "voucher_expired"),
        ({"expires_at_us": NOW_US}, "voucher_expired"),  # its last moment is the one before
        ({"available_fen": 0}, "voucher_exhausted"),
        ({"versions": (DOMESTIC_ONLY,)}, "voucher_rule_not_met"),
        ({"versions": (version_of(rules_of(), effective_until_us=NOW_US),)}, "programme_not_in_force"),
        ({"versions": (version_of(rules_of(), effective_from_us=LATER_US),)}, "programme_not_in_force"),
        ({}, None),
    ],
)
def test_a_voucher_that_cannot_pay_says_why(changes: dict[str, object], code: str | None) -> None:
    refusal = refusal_of(usable(1, **changes), FOREIGN)
    assert (None if refusal is None else refusal.code) == code


def test_a_domestic_programme_pays_for_domestic_accelerators() -> None:
    voucher = usable(1, versions=(DOMESTIC_ONLY,))
    assert refusal_of(voucher, DOMESTIC) is None
    refusal = refusal_of(voucher, FOREIGN)
    assert refusal is not None
    assert refusal.detail.startswith("/capacity/origin: ")


def test_auto_takes_the_programme_of_the_voucher_that_expires_first() -> None:
    late, soon = usable(1, expires_at_us=LATER_US + 9), usable(2, expires_at_us=LATER_US + 5)
    other = usable(3, programme_id=2, expires_at_us=LATER_US + 7)
    (funded,) = choose([late, other, soon], "auto", FOREIGN).shares
    assert [(each.voucher_id, fen) for each, fen in funded.parts] == [(2, 1_000), (1, 1_000)]
    share = funded.share
    assert (share.programme_id, share.programme_version) == (1, 1)
    assert (share.mask, share.rate_bps, funded.placed_fen) == (1 << 17, 3_000, 2_000)


def test_auto_passes_over_what_cannot_pay() -> None:
    expired = usable(1, expires_at_us=NOW_US)
    spent = usable(2, available_fen=0)
    foreign = usable(3, programme_id=2, expires_at_us=LATER_US + 3)
    choice = choose([expired, spent, foreign], "auto", FOREIGN)
    assert [each.voucher_id for each in paying(choice)] == [3]
    assert not choice.refusals


def test_no_voucher_pays_where_none_is_wanted_or_none_is_usable() -> None:
    for choice in (choose([usable(1)], "none", FOREIGN), choose([], "auto", FOREIGN)):
        assert (choice.shares, choice.refusals) == ((), ())


def test_vouchers_pay_by_the_rules_in_force_whenever_they_were_issued() -> None:
    versions = (
        version_of(rules_of(rate_tiers=(RateTier(bps=3_000),)), 1),
        version_of(rules_of(rate_tiers=(RateTier(bps=2_000),)), 2, ordinal=7, effective_from_us=NOW_US),
        version_of(rules_of(rate_tiers=(RateTier(bps=1_000),)), 3, effective_from_us=LATER_US),
    )
    wallet = [usable(1, versions=versions), usable(2, versions=versions)]
    for at_us, number, rate_bps in ((NOW_US - 1, 1, 3_000), (NOW_US, 2, 2_000), (LATER_US - 1, 2, 2_000)):
        (funded,) = choose(wallet, "auto", facts(at_us=at_us, hours=11)).shares
        assert (funded.share.programme_version, funded.share.rate_bps) == (number, rate_bps)
        assert funded.placed_fen == min(11_000 * rate_bps // 10_000, 2_000)


def test_where_the_higher_applies_the_programme_that_pays_most_pays() -> None:
    higher = version_of(rules_of(rate_tiers=(RateTier(bps=5_000),), stacking="higher_of"))
    soon = usable(1, expires_at_us=LATER_US + 5)
    late = usable(2, programme_id=2, expires_at_us=LATER_US + 7, versions=(higher,))
    late = msgspec.structs.replace(late, available_fen=1_001)
    assert paying(choose([soon, late], "auto", FOREIGN)) == [late]
    both = choose([soon, late], (1, 2), FOREIGN).refusals
    assert [(each.voucher_id, each.code) for each in both] == [(1, "voucher_not_stackable")]
    nearly_spent = msgspec.structs.replace(late, available_fen=1)
    assert paying(choose([soon, nearly_spent], "auto", FOREIGN)) == [soon]


def test_named_vouchers_are_all_used_or_refused_one_by_one() -> None:
    vouchers = [usable(1), usable(2, available_fen=0), usable(3, programme_id=2)]
    assert [each.voucher_id for each in paying(choose(vouchers, (1,), FOREIGN))] == [1]
    refused = choose(vouchers, (1, 2, 4), FOREIGN)
    assert refused.shares == ()
    assert [(each.voucher_id, each.code) for each in refused.refusals] == [
        (2, "voucher_exhausted"),
        (4, "voucher_unknown"),
    ]
    mixed = choose(vouchers, (1, 3), FOREIGN)
    assert [(each.voucher_id, each.code) for each in mixed.refusals] == [(3, "voucher_not_stackable")]


@pytest.mark.parametrize(
    "rules, list_price_ticks, eligible",
    [
        ({}, 950, 1_000),
        ({"price_cap": "reference", "price_cap_above_bps": 100}, 950, 1_000),  # of at most 1,010
        ({"price_cap": "list"}, 950, 950),
        ({"price_cap": "list"}, 1_001, 1_000),
        ({"price_cap": "list", "price_cap_above_bps": 300}, 950, 978),  # 978.5, rounded down
        ({"price_cap": "list", "price_cap_above_bps": 1_000}, None, 0),
    ],
)
def test_a_share_is_of_the_price_up_to_the_providers_list_price(
    rules: dict[str, object], list_price_ticks: int | None, eligible: int
) -> None:
    voucher = usable(1, versions=(version_of(rules_of(**rules)),))
    (funded,) = choose([voucher], "auto", FOREIGN).shares
    assert eligible_ticks(funded.share, 1_000, list_price_ticks) == eligible


@pytest.mark.parametrize(
    "status, available_fen, committed_fen, expires_at_us, shown",
    [
        (VoucherStatus.ACTIVE, 5, 0, LATER_US, VoucherStatus.ACTIVE),
        (VoucherStatus.ACTIVE, 0, 5, LATER_US, VoucherStatus.ACTIVE),
        (VoucherStatus.ACTIVE, 5, 0, NOW_US, VoucherStatus.EXPIRED),
        (VoucherStatus.SUSPENDED, 5, 0, LATER_US, VoucherStatus.SUSPENDED),
        (VoucherStatus.SUSPENDED, 5, 0, NOW_US, VoucherStatus.EXPIRED),
        (VoucherStatus.ACTIVE, 0, 0, NOW_US, VoucherStatus.EXHAUSTED),
        (VoucherStatus.EXPIRED, 0, 0, NOW_US, VoucherStatus.EXPIRED),
        (VoucherStatus.REVOKED, 0, 0, LATER_US, VoucherStatus.REVOKED),
    ],
)
def test_the_status_shown_follows_time_and_balances(
    status: VoucherStatus, available_fen: int, committed_fen: int, expires_at_us: int, shown: VoucherStatus
) -> None:
    balances = Balances(
        available_fen=available_fen,
        held_fen=0,
        committed_fen=committed_fen,
        captured_fen=0,
        claimed_fen=0,
        paid_fen=0,
        expired_fen=0,
    )
    assert status_now(status, balances, expires_at_us=expires_at_us, now_us=NOW_US) is shown


@pytest.mark.parametrize(
    "input_type", [NewProgramme, NewVersion, NewVoucher, NewClaim, NewRejection, NewStep]
)
def test_inputs_are_bounded(input_type: type[msgspec.Struct]) -> None:
    assert decoder_of(input_type).type is input_type
