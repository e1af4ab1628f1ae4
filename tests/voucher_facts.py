"""Orders, companies and rules as facts, for tests of what a programme says of them. Nothing is stored."""

import datetime as dt
from typing import Any, Final

import msgspec

from exchange.participants.models import Ownership, Participant, ParticipantKind, SizeClass
from exchange.products.models import Origin, ProductSpec
from exchange.programmes.facts import Facts
from exchange.programmes.models import ProgrammeRules, ProviderRule, RateTier, RulesVersion
from exchange.vouchers.choice import Offer, offer_of
from exchange.vouchers.models import UsableVoucher, VoucherChoice, VoucherStatus

AT_US: Final = 1_772_000_000_000_000
"""2026-02-25T06:13:20Z."""


def product(origin: str = "foreign", **changes: Any) -> ProductSpec:
    """Return a product at a reference price of 10 CNY; domestic or foreign."""
    spec = ProductSpec(
        id=f"{origin}-product",
        accelerator_id="huawei-ascend-910b3" if origin == "domestic" else "nvidia-t4",
        cluster_code="guian",
        interconnect_code="pcie3",
        lot_gpus=1,
        tick_fen=1,
        collar_bps=5_000,
        reference_price_ticks=1_000,
        listing_horizon_hours=720,
        partition_id=1,
        origin=Origin(origin),
        hub_code="guizhou",
    )
    return msgspec.structs.replace(spec, **changes)


def buyer(**changes: Any) -> Participant:
    """Return a small company of Hangzhou, founded on 1 January 2025."""
    participant = Participant(
        id=5,
        kind=ParticipantKind.BUYER,
        name="buyer",
        trade_group_id=None,
        region="hangzhou",
        ownership=None,
        size_class=SizeClass.SMALL,
        founded_on=dt.date(2025, 1, 1),
        sectors=("large-models",),
        created_at_us=0,
    )
    return msgspec.structs.replace(participant, **changes)


def provider(provider_id: int = 11, **changes: Any) -> Participant:
    """Return a state-owned provider of Guizhou."""
    participant = Participant(
        id=provider_id,
        kind=ParticipantKind.PROVIDER,
        name="provider",
        trade_group_id=None,
        region="guizhou",
        ownership=Ownership.STATE,
        size_class=None,
        founded_on=None,
        sectors=(),
        created_at_us=0,
    )
    return msgspec.structs.replace(participant, **changes)


def facts(origin: str = "foreign", *, contract_fen: int | None = None, **changes: Any) -> Facts:
    """Return an order of one GPU for ten hours at 10 CNY; or for one hour that costs `contract_fen`."""
    order = Facts(
        product=product(origin), company=buyer(), quantity_gpus=1, hours=10, price_ticks=1_000, at_us=AT_US
    )
    if contract_fen is not None:
        changes = {"hours": 1, "price_ticks": contract_fen, **changes}
    return msgspec.structs.replace(order, **changes)


def rules_of(**fields: Any) -> ProgrammeRules:
    """Return rules that give 30 % of everything, with these fields instead."""
    given = {
        "budget_fen": 8_000_000_000,
        "rate_tiers": (RateTier(bps=3_000),),
        "validity_days": 365,
        "provider": ProviderRule(),
        **fields,
    }
    return ProgrammeRules(**given)


def version_of(rules: ProgrammeRules, number: int = 1, **changes: Any) -> RulesVersion:
    """Return rules as a version that is in force for ever, with the bit of ordinal 1."""
    version = RulesVersion(
        number=number, ordinal=1, effective_from_us=0, effective_until_us=None, rules=rules
    )
    return msgspec.structs.replace(version, **changes)


def offer(rules: ProgrammeRules, order: Facts) -> Offer:
    """Return what rules give an order."""
    return offer_of(1, [version_of(rules)], order)


def usable(number: int, rules: ProgrammeRules, **changes: Any) -> UsableVoucher:
    """Return a voucher of a programme of the same number; a higher number expires later."""
    voucher = UsableVoucher(
        voucher_id=number,
        programme_id=number,
        buyer_id=5,
        versions=(version_of(rules, ordinal=number),),
        status=VoucherStatus.ACTIVE,
        expires_at_us=AT_US + number,
        account_id=100 + number,
        escrow_account_id=200 + number,
        available_fen=1_000,
    )
    return msgspec.structs.replace(voucher, **changes)


def paying(choice: VoucherChoice) -> list[UsableVoucher]:
    """Return the vouchers that an order sets something aside of, in spending order."""
    return [voucher for funded in choice.shares for voucher, _ in funded.parts]
