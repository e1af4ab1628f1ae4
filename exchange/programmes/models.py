"""A voucher programme as data: the rules an issuer posts, and the programme they belong to.

`ProgrammeRules` has every field of the general model. What can have one value only stands in the table
`SUPPORTED_VALUES`: another is refused when the rules are stored, never ignored. Money is integer fen, rates
are basis points, participants are `par_...` texts: the document an issuer posts, the document in the database
and the document an issuer reads back are the same.

A programme has versions of its rules, numbered from 1. At any time the highest number that has begun is in
force, unless its end has passed: then none is, until one with a higher number begins. So a version is
superseded for good when one with a higher number begins, also where it has not begun itself.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from exchange.kit.fields import FEN_MAX, NameText, ParticipantIdText, SlugText, TimeText, exact
from exchange.participants.models import DateText, RegionText, SectorText, SizeClass

BASIS_POINTS: Final = 10_000

VERSIONS_MAX: Final = 1_000
"""Most versions of one programme. All of them are in memory, and each may turn over the whole budget."""

ADMITTED_MAX: Final = 2_000
"""Most providers one programme may name."""

Fen = Annotated[int, Meta(ge=1, le=FEN_MAX)]
Bps = Annotated[int, Meta(ge=1, le=BASIS_POINTS)]
Years = Annotated[int, Meta(ge=1, le=200)]
Hours = Annotated[int, Meta(ge=1, le=1_000_000)]
ProgrammeCode = Annotated[
    str,
    Meta(
        pattern=exact("[a-z0-9]+(-[a-z0-9]+)*"),
        max_length=64,
        description="lower-case letters and digits in words joined by hyphens",
    ),
]

EvidenceName = Annotated[
    str,
    Meta(
        pattern=exact(r"[^\x00-\x1f\x7f/\\?*]{1,200}"),
        description="what the file is, as the rules name it; 1 to 200 characters, none of / \\ ? *",
    ),
]
"""What a file attached to a claim may be called, and so what rules may ask for."""


class ProgrammeStatus(StrEnum):
    """draft -> open <-> exhausted (the whole budget is issued), and either -> closed.

    A draft is its issuer's own, has no money and no vouchers. What a closed one has issued lives and pays on.
    """

    DRAFT = "draft"
    OPEN = "open"
    EXHAUSTED = "exhausted"
    CLOSED = "closed"


class RequiredOrigin(StrEnum):
    """Whose accelerators a programme pays for."""

    ANY = "any"
    DOMESTIC = "domestic"


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the rules document."""


class Fact(StrEnum):
    """What a condition may ask of an order (as its limit and whole quantity say it) or of its company."""

    ORIGIN = "origin"
    ACCELERATOR = "accelerator"
    HUB = "hub"
    REGION = "region"
    SIZE_CLASS = "size_class"
    SECTOR = "sector"
    AGE_YEARS = "age_years"
    CONTRACT_FEN = "contract_fen"
    HOURS = "hours"
    QUANTITY_GPUS = "quantity_gpus"


class Condition(_Rule, frozen=True):
    """A fact that is one of some values (words), or lies within bounds (numbers, both bounds included).

    A company without the fact does not meet the condition; of several sectors one is enough. `age_years`
    counts full years, so a company under one year has 0. `at_most` asks what an order can come to at its
    limit; `at_least` of contract_fen and quantity_gpus what it comes to for certain: nothing unless it fills
    whole or not at all, and at the product's reference price where its limit is higher.
    """

    fact: Fact
    is_one_of: Annotated[tuple[SlugText, ...], Meta(max_length=20)] = ()
    at_least: Annotated[int, Meta(ge=0, le=FEN_MAX)] | None = None
    at_most: Annotated[int, Meta(ge=0, le=FEN_MAX)] | None = None


class RateTier(_Rule, frozen=True):
    """The share of a bill that vouchers pay where every condition holds; without conditions, always."""

    bps: Bps
    when: Annotated[tuple[Condition, ...], Meta(max_length=20)] = ()


class ApplicationWindow(_Rule, frozen=True):
    """When a programme takes applications: from `opens_at` on, and no more at `closes_at`."""

    opens_at: TimeText
    closes_at: TimeText


class FundingShare(_Rule, frozen=True):
    """Who pays which part of a programme's budget."""

    source: NameText
    bps: Bps


class ProviderRule(_Rule, frozen=True):
    """Whose capacity the vouchers buy: of those named (all, where none is), who meet the other rules too."""

    admitted: Annotated[tuple[ParticipantIdText, ...], Meta(max_length=ADMITTED_MAX)] = ()
    ownership: Literal["any", "state", "private"] = "any"
    regions: Annotated[tuple[RegionText, ...], Meta(max_length=100)] = ()


class CapacityRule(_Rule, frozen=True):
    """Which capacity the vouchers buy."""

    origin: RequiredOrigin = RequiredOrigin.ANY
    accelerators: Annotated[tuple[SlugText, ...], Meta(max_length=1_000)] = ()
    hubs: Annotated[tuple[SlugText, ...], Meta(max_length=100)] = ()


class BuyerRule(_Rule, frozen=True):
    """Who may be issued vouchers; an empty list admits all.

    `max_age_years` is met to the last day before the company is a year older. `exclude_providers` keeps out
    whoever is of one trade group with a provider.
    """

    regions: Annotated[tuple[RegionText, ...], Meta(max_length=100)] = ()
    size_classes: Annotated[tuple[SizeClass, ...], Meta(max_length=10)] = ()
    sectors: Annotated[tuple[SectorText, ...], Meta(max_length=100)] = ()
    max_age_years: Years | None = None
    exclude_providers: bool = False


class ContractRule(_Rule, frozen=True):
    """Which contracts the vouchers pay: an order is one, signed when it is placed.

    `unaffiliated` asks for what the book does in any case: orders of one trade group never trade.
    """

    signed_from: DateText | None = None
    max_hours: Hours | None = None
    unaffiliated: bool = False


class ReviewRule(_Rule, frozen=True):
    """Which applications are looked at, and by how many; not for those that are granted by score.

    One is approved as it is submitted where it and all that its company (its whole trade group) was issued of
    the programme in the calendar year stay below `auto_below_fen`; without it, all wait for the issuer. An
    amount above `committee_above_fen` is approved by two of the issuer's keys that come of different ones,
    and never issued directly.
    """

    auto_below_fen: Fen | None = None
    committee_above_fen: Fen | None = None


class ProgrammeRules(_Rule, frozen=True):
    """The rules of one version of a programme.

    `mode`: what an instant one pays is a part of the price; with reimburse the company pays in full, and
    claims its share of each delivered hour afterwards. `cap_per_year_fen` is what one company, or with
    `cap_basis` group its whole trade group, may be issued in a calendar year of the issuers' own time zone;
    with `cap_counts` redeemed, what its orders of that year may use: what they set aside, traded and were
    delivered, less what came back. `min_annual_spend_fen` is what the company must have paid for hours that
    were delivered of the year's trades when it is issued a voucher. Of the tiers whose conditions hold,
    `combine` takes the highest, the first, or their sum (at most the whole bill). With `price_cap` reference,
    vouchers pay their share of at most the product's reference price and `price_cap_above_bps` more, whatever
    the trade's price; with list, of at most the list price that the provider had when its ask was placed, and
    as much more, and nothing where it had none. `stacking` says how others may pay beside it
    (`exchange.programmes.stacking`); with a ceiling, all of them together pay at most `stacking_ceiling_bps`
    of an order, the whole of it unless told. No lease held under them is in more than
    `max_claims_per_contract` claims that were not rejected.

    `allocation` first_come lets the issuer issue vouchers directly, and decide applications one by one at any
    time; with window, companies apply while one of the `windows` is open, and nothing is issued otherwise;
    with scored, applications (within windows where there are any) are given scores, and granted all at once.
    """

    budget_fen: Fen
    rate_tiers: Annotated[tuple[RateTier, ...], Meta(min_length=1, max_length=50)]
    validity_days: Annotated[int, Meta(ge=1, le=3_660)]
    provider: ProviderRule
    cap_per_year_fen: Fen | None = None
    mode: Literal["instant", "reimburse"] = "instant"
    allocation: Literal["first_come", "window", "scored"] = "first_come"
    windows: Annotated[tuple[ApplicationWindow, ...], Meta(max_length=100)] = ()
    funding_split: Annotated[tuple[FundingShare, ...], Meta(max_length=100)] = ()
    combine: Literal["max", "first", "sum"] = "max"
    cap_basis: Literal["entity", "group"] = "entity"
    cap_counts: Literal["issued", "redeemed"] = "issued"
    min_annual_spend_fen: Fen | None = None
    max_claims_per_contract: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    buyer: BuyerRule = BuyerRule()
    capacity: CapacityRule = CapacityRule()
    contract: ContractRule = ContractRule()
    price_cap: Literal["none", "list", "reference"] = "none"
    price_cap_above_bps: Bps | None = None
    stacking: Literal["none", "higher_of", "ceiling"] = "none"
    stacking_ceiling_bps: Bps | None = None
    transferable: bool = False
    cashable: bool = False
    resale_strips_subsidy: bool = True
    evidence: Annotated[tuple[EvidenceName, ...], Meta(max_length=100)] = ()
    review: ReviewRule = ReviewRule()
    audit_sample_bps: Bps | None = None


SUPPORTED_VALUES: Final[Mapping[str, object]] = {
    "/transferable": False,
    "/cashable": False,
    "/resale_strips_subsidy": True,
}
"""JSON pointer into the rules -> the one value that is obeyed. Other pointers are free."""


class RulesVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Rules with their number and the time in which they are in force; an end of None is open.

    `ordinal` is their bit among the eligibility bits: an ask has it where these rules admit it. Versions that
    admit the same asks one after the other share it.
    """

    number: int
    ordinal: int
    effective_from_us: int
    effective_until_us: int | None
    rules: ProgrammeRules


class NewVersion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an issuer posts to change a programme's rules; in force at once unless it says from when."""

    rules: ProgrammeRules
    effective_from: TimeText | None = None
    effective_until: TimeText | None = None


class NewProgramme(NewVersion, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an issuer posts to start a programme: its names and the first version of its rules.

    A draft is not open until its issuer says so: nobody else sees it, and it books no budget.
    """

    code: ProgrammeCode
    name: NameText
    draft: bool = False


class Programme(msgspec.Struct, frozen=True, kw_only=True):
    """A programme with the newest rules that have begun; before any has, with those that begin first.

    `version_last` is the number of its newest rules, `step_count` that of its last step. `budget_fen` is the
    budget of the rules in force, whichever they are.
    """

    id: int
    issuer_id: int
    code: str
    name: str
    asset: str
    status: ProgrammeStatus
    step_count: int
    budget_fen: int
    issued_fen: int
    created_at_us: int
    version_last: int
    version: RulesVersion

    @property
    def rules(self) -> ProgrammeRules:
        """Its rules."""
        return self.version.rules

    @property
    def unissued_fen(self) -> int:
        """What of the budget is not issued, whether it can still be or went back on closing."""
        return self.budget_fen - self.issued_fen


class CapUse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a company, and its whole trade group, used of a programme's vouchers by this year's orders.

    Used is what orders set aside, traded and were delivered, less what came back. Kept, and not 0, only for
    rules with `cap_counts` redeemed. The company's own where it has no group.
    """

    year: int = 0
    subject_id: int = 0
    group_subject_id: int = 0
    used_fen: int = 0
    group_used_fen: int = 0


class FundingView(msgspec.Struct, frozen=True, kw_only=True):
    """One source of a programme's budget, its part of it, and its part of what was issued."""

    source: str
    budget_cny: str
    issued_cny: str


class VersionView(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a programme's rules as anyone with a key sees it.

    From `superseded_at` on it is not in force, because one with a higher number has begun; where that is not
    later than `effective_at`, it never is.
    """

    version: int
    effective_at: str
    effective_until: str | None
    superseded_at: str | None
    rules: ProgrammeRules


class ProgrammeView(msgspec.Struct, frozen=True, kw_only=True):
    """A programme as anyone with a key sees it; a draft is seen by its issuer, operators and regulators only.

    budget = issued + unissued + returned, where returned is what closing sent back to its source.
    """

    id: str
    code: str
    name: str
    issuer_id: str
    status: ProgrammeStatus
    budget_cny: str
    issued_cny: str
    unissued_cny: str
    returned_cny: str
    funding: list[FundingView]
    version: int
    effective_at: str
    effective_until: str | None
    created_at: str
    rules: ProgrammeRules
