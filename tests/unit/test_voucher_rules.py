"""The rules of vouchers and programmes on cases worked out by hand."""

import datetime as dt

import msgspec
import pytest

from exchange.claims.models import NewClaim, NewRejection, NewStep
from exchange.kit.errors import Faults
from exchange.kit.http_decode import decoder_of
from exchange.kit.ids import encode_id
from exchange.participants.models import Participant, ParticipantKind, SizeClass
from exchange.vouchers.models import Balances, NewVoucher, UsableVoucher, VoucherStatus
from exchange.vouchers.programme_models import (
    SUPPORTED_VALUES,
    BuyerRule,
    NewProgramme,
    ProgrammeRules,
    ProviderRule,
    RateTier,
    RequiredOrigin,
)
from exchange.vouchers.programme_rules import admitted_providers, buyer_objections, find_rule_faults
from exchange.vouchers.rules import (
    asset_of,
    calendar_year,
    choose,
    programme_mask,
    share_fen,
    status_now,
    unusable_because,
)

NOW_US = 1_000_000
LATER_US = NOW_US + 1

RULES = ProgrammeRules(
    budget_fen=8_000_000_000,
    rate_tiers=(RateTier(bps=3_000),),
    cap_per_year_fen=800_000_000,
    validity_days=365,
    provider=ProviderRule(admitted=(encode_id("par", 11), encode_id("par", 12))),
)


def usable(voucher_id: int, **changes: object) -> UsableVoucher:
    voucher = UsableVoucher(
        voucher_id=voucher_id,
        programme_id=1,
        programme_version=1,
        buyer_id=5,
        rate_bps=3_000,
        mask=programme_mask(1),
        origin_required=RequiredOrigin.ANY,
        status=VoucherStatus.ACTIVE,
        expires_at_us=LATER_US,
        account_id=100 + voucher_id,
        escrow_account_id=200 + voucher_id,
        available_fen=1_000,
    )
    return msgspec.structs.replace(voucher, **changes)


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
        ({"origin_required": RequiredOrigin.DOMESTIC}, "voucher_wrong_origin"),
        ({}, None),
    ],
)
def test_a_voucher_that_cannot_pay_says_why(changes: dict[str, object], code: str | None) -> None:
    refusal = unusable_because(usable(1, **changes), "foreign", NOW_US)
    assert (None if refusal is None else refusal.code) == code


def test_a_domestic_programme_pays_for_domestic_accelerators() -> None:
    assert unusable_because(usable(1, origin_required=RequiredOrigin.DOMESTIC), "domestic", NOW_US) is None


def test_auto_takes_the_programme_of_the_voucher_that_expires_first() -> None:
    late, soon = usable(1, expires_at_us=LATER_US + 9), usable(2, expires_at_us=LATER_US + 5)
    other = usable(3, programme_id=2, expires_at_us=LATER_US + 7, mask=programme_mask(2), rate_bps=5_000)
    choice = choose([late, other, soon], "auto", "foreign", NOW_US)
    assert [each.voucher_id for each in choice.vouchers] == [2, 1]
    assert (choice.programme_id, choice.programme_version) == (1, 1)
    assert (choice.mask, choice.rate_bps) == (1 << 17, 3_000)
    assert choice.available_fen == 2_000


def test_auto_passes_over_what_cannot_pay() -> None:
    expired = usable(1, expires_at_us=NOW_US)
    spent = usable(2, available_fen=0)
    foreign = usable(3, programme_id=2, expires_at_us=LATER_US + 3)
    choice = choose([expired, spent, foreign], "auto", "foreign", NOW_US)
    assert (choice.programme_id, [each.voucher_id for each in choice.vouchers]) == (2, [3])
    assert not choice.refusals


def test_no_voucher_pays_where_none_is_wanted_or_none_is_usable() -> None:
    for choice in (choose([usable(1)], "none", "foreign", NOW_US), choose([], "auto", "foreign", NOW_US)):
        assert (choice.programme_id, choice.mask, choice.rate_bps, choice.vouchers) == (None, 0, 0, ())
        assert not choice.refusals


def test_two_versions_of_a_programme_do_not_pay_together() -> None:
    old, new = usable(1), usable(2, programme_version=2, expires_at_us=LATER_US + 1)
    assert [each.voucher_id for each in choose([new, old], "auto", "foreign", NOW_US).vouchers] == [1]
    refusals = choose([new, old], (1, 2), "foreign", NOW_US).refusals
    assert [(each.voucher_id, each.code) for each in refusals] == [(2, "voucher_of_another_programme")]


def test_named_vouchers_are_all_used_or_refused_one_by_one() -> None:
    vouchers = [usable(1), usable(2, available_fen=0), usable(3, programme_id=2)]
    assert [each.voucher_id for each in choose(vouchers, (1,), "foreign", NOW_US).vouchers] == [1]
    refused = choose(vouchers, (1, 2, 4), "foreign", NOW_US)
    assert refused.vouchers == ()
    assert [(each.voucher_id, each.code) for each in refused.refusals] == [
        (2, "voucher_exhausted"),
        (4, "voucher_unknown"),
    ]
    mixed = choose(vouchers, (1, 3), "foreign", NOW_US)
    assert [(each.voucher_id, each.code) for each in mixed.refusals] == [(3, "voucher_of_another_programme")]


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


def faults_of(rules: ProgrammeRules) -> list[tuple[str, str]]:
    faults = Faults()
    find_rule_faults(rules, faults)
    return [(fault.pointer, fault.code) for fault in faults.faults]


def test_the_rules_of_this_version_can_be_stored() -> None:
    assert faults_of(RULES) == []
    assert admitted_providers(RULES) == {11, 12}


OTHER_VALUES: dict[str, object] = {
    "/mode": "reimburse",
    "/allocation": "window",
    "/windows": [{"opens_at": "2026-01-01T00:00:00Z", "closes_at": "2026-02-01T00:00:00Z"}],
    "/funding_split": [{"source": "province", "bps": 5_000}, {"source": "city", "bps": 5_000}],
    "/combine": "sum",
    "/cap_basis": "group",
    "/cap_counts": "redeemed",
    "/min_annual_spend_fen": 50_000_000,
    "/max_claims_per_contract": 1,
    "/buyer/sectors": ["large-models"],
    "/buyer/max_age_years": 3,
    "/buyer/exclude_providers": True,
    "/provider/ownership": "state",
    "/provider/regions": ["henan"],
    "/capacity/accelerators": ["huawei-ascend-910b3"],
    "/capacity/hubs": ["guian"],
    "/contract/signed_from": "2026-01-01",
    "/contract/max_hours": 720,
    "/contract/unaffiliated": True,
    "/price_cap": "reference",
    "/price_cap_above_bps": 1_000,
    "/stacking": "ceiling",
    "/stacking_ceiling_bps": 5_000,
    "/transferable": True,
    "/cashable": True,
    "/resale_strips_subsidy": False,
    "/review/auto_below_fen": 100,
    "/review/committee_above_fen": 100,
}


def test_every_rule_that_is_not_obeyed_is_known_to_this_test() -> None:
    assert OTHER_VALUES.keys() == SUPPORTED_VALUES.keys()


@pytest.mark.parametrize("pointer", SUPPORTED_VALUES)
def test_a_rule_that_is_not_obeyed_is_refused_at_its_place(pointer: str) -> None:
    document = msgspec.json.decode(msgspec.json.encode(RULES))
    holder = document
    *path, last = pointer[1:].split("/")
    for part in path:
        holder = holder[part]
    holder[last] = OTHER_VALUES[pointer]
    assert faults_of(msgspec.convert(document, ProgrammeRules)) == [(f"/rules{pointer}", "not_supported_yet")]


def test_conditions_and_further_tiers_are_refused_at_their_place() -> None:
    document = msgspec.json.decode(msgspec.json.encode(RULES))
    document["rate_tiers"] = [
        {"bps": 3_000, "when": [{"fact": "origin", "is_one_of": ["domestic"]}]},
        {"bps": 2_000},
    ]
    assert faults_of(msgspec.convert(document, ProgrammeRules)) == [
        ("/rules/rate_tiers/0/when", "not_supported_yet"),
        ("/rules/rate_tiers/1", "not_supported_yet"),
    ]


def test_an_admitted_provider_is_named_by_an_id_and_once() -> None:
    first = RULES.provider.admitted[0]
    rules = msgspec.structs.replace(RULES, provider=ProviderRule(admitted=(first, "par_nobody", first)))
    assert faults_of(rules) == [
        ("/rules/provider/admitted/1", "bad_id"),
        ("/rules/provider/admitted/2", "duplicate"),
    ]


def buyer(**changes: object) -> Participant:
    participant = Participant(
        id=5,
        kind=ParticipantKind.BUYER,
        name="buyer",
        trade_group_id=None,
        region="hangzhou",
        ownership=None,
        size_class=SizeClass.SMALL,
        founded_on=dt.date(2025, 1, 1),
        sectors=(),
        created_at_us=0,
    )
    return msgspec.structs.replace(participant, **changes)


@pytest.mark.parametrize(
    "changes, paths",
    [
        ({}, []),
        ({"region": "suzhou"}, ["/buyer/regions"]),
        ({"size_class": SizeClass.LARGE}, ["/buyer/size_classes"]),
        ({"region": "suzhou", "size_class": SizeClass.LARGE}, ["/buyer/regions", "/buyer/size_classes"]),
        ({"kind": ParticipantKind.PROVIDER, "region": "suzhou"}, ["/buyer"]),
    ],
)
def test_every_rule_that_keeps_a_buyer_out_is_named(changes: dict[str, object], paths: list[str]) -> None:
    admits = BuyerRule(regions=("hangzhou", "ningbo"), size_classes=(SizeClass.MICRO, SizeClass.SMALL))
    rules = msgspec.structs.replace(RULES, buyer=admits)
    assert [path for path, _ in buyer_objections(rules, buyer(**changes))] == paths


def test_rules_without_buyer_lists_admit_every_buyer() -> None:
    assert list(buyer_objections(RULES, buyer(region="elsewhere", size_class=SizeClass.LARGE))) == []


@pytest.mark.parametrize("input_type", [NewProgramme, NewVoucher, NewClaim, NewRejection, NewStep])
def test_inputs_are_bounded(input_type: type[msgspec.Struct]) -> None:
    assert decoder_of(input_type).type is input_type
