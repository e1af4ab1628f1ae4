"""The question whether an order would be subsidised, and its answer: by whom, how much, and why not."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from exchange.kit.fields import CnyText, SlugText, VoucherIdText


class EligibilityQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order that is not placed: what it buys, for how many hours, at which limit, by which vouchers."""

    product: SlugText
    quantity_gpus: Annotated[int, Meta(ge=1, le=1_000_000)]
    hours: Annotated[int, Meta(ge=1, le=8784)]
    price_cny_per_gpu_hour: CnyText
    fill: Literal["partial", "all_or_none"] = "partial"
    vouchers: Literal["auto"] | Annotated[list[VoucherIdText], Meta(min_length=1, max_length=50)] = "auto"


class RuleAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one rule is met; `rule` is a JSON pointer into the programme's rules."""

    rule: str
    holds: bool
    detail: str


class VoucherAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an order would set aside of one voucher, or the code and the words of why nothing."""

    voucher_id: str
    amount_cny: str
    code: str | None = None
    detail: str | None = None


class ShareAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one programme would pay of an order, by which version of its rules.

    `instant`: a part of the price itself; `reimburse`: claimed by the buyer, who pays the price at first.
    """

    programme_id: str
    programme_version: int
    mode: Literal["instant", "reimburse"]
    rate_bps: int
    amount_cny: str


class ProgrammeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One programme, judged by its rules in force.

    `order_rules` say whether it pays for the order, `tiers` how it comes to `rate_bps`; `buyer_rules` whether
    the company could be issued a voucher now, of `cap_left_cny` at most, as far as the rules go: what is left
    of the budget, and whether the programme is closed, is the programme's to tell. `share_cny` is the share
    of the order's most possible cost, whatever vouchers there are and whoever else pays.
    """

    programme_id: str
    code: str
    name: str
    version: int | None
    pays_for_order: bool
    rate_bps: int
    share_cny: str
    price_cap_cny_per_gpu_hour: str | None
    order_rules: list[RuleAnswer]
    tiers: list[RuleAnswer]
    buyer_rules: list[RuleAnswer]
    cap_left_cny: str | None
    vouchers: list[VoucherAnswer]


class EligibilityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an order would set aside at most if it were placed now: vouchers' part, and the company's own.

    Of its own part, `reimbursable_cny` can be claimed back later. `shares` are the programmes that pay, in
    spending order; they stand first among `programmes`. Prices below the limit make all of it smaller. Fills
    with providers that a programme does not admit are not subsidised by it.
    """

    subsidised: bool
    amount_cny: str
    voucher_cny: str
    own_cny: str
    reimbursable_cny: str
    shares: list[ShareAnswer]
    refusals: list[VoucherAnswer]
    programmes: list[ProgrammeAnswer]
