"""A voucher programme as data: the rules an issuer posts, and the programme they belong to.

`ProgrammeRules` has every field of the general model, so that a stored document keeps its shape as more of it
comes to be obeyed. What this version obeys is the table `SUPPORTED_VALUES`: any other value is refused when
the programme is stored, never ignored. Money is integer fen, rates are basis points, participants are
`par_...` texts: the document an issuer posts, the document in the database and the document an issuer reads
back are the same.

Known limit: a programme has exactly one version, in force from its creation.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from exchange.kit.fields import FEN_MAX, IdText, NameText, SlugText, TimeText, exact
from exchange.participants.models import DateText, RegionText, SectorText, SizeClass

BASIS_POINTS: Final = 10_000

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


class ProgrammeStatus(StrEnum):
    """draft -> open -> exhausted (the whole budget is issued) | closed. Vouchers outlive all but draft."""

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


class Condition(_Rule, frozen=True):
    """A fact of an order or a company that is one of some values, or lies within bounds."""

    fact: Literal["origin", "size_class", "age_years", "contract_fen"]
    is_one_of: Annotated[tuple[SlugText, ...], Meta(max_length=20)] = ()
    at_least: Annotated[int, Meta(ge=0, le=FEN_MAX)] | None = None
    at_most: Annotated[int, Meta(ge=0, le=FEN_MAX)] | None = None


class RateTier(_Rule, frozen=True):
    """The share of a bill that vouchers pay where every condition holds; without conditions, always."""

    bps: Bps
    when: Annotated[tuple[Condition, ...], Meta(max_length=20)] = ()


class ApplicationWindow(_Rule, frozen=True):
    """When a programme takes applications."""

    opens_at: TimeText
    closes_at: TimeText


class FundingShare(_Rule, frozen=True):
    """Who pays which part of a programme's budget."""

    source: NameText
    bps: Bps


class ProviderRule(_Rule, frozen=True):
    """Whose capacity the vouchers buy."""

    admitted: Annotated[tuple[IdText, ...], Meta(min_length=1, max_length=ADMITTED_MAX)]
    ownership: Literal["any", "state", "private"] = "any"
    regions: Annotated[tuple[RegionText, ...], Meta(max_length=100)] = ()


class CapacityRule(_Rule, frozen=True):
    """Which capacity the vouchers buy."""

    origin: RequiredOrigin = RequiredOrigin.ANY
    accelerators: Annotated[tuple[SlugText, ...], Meta(max_length=1_000)] = ()
    hubs: Annotated[tuple[SlugText, ...], Meta(max_length=100)] = ()


class BuyerRule(_Rule, frozen=True):
    """Who may be issued vouchers; an empty list admits all."""

    regions: Annotated[tuple[RegionText, ...], Meta(max_length=100)] = ()
    size_classes: Annotated[tuple[SizeClass, ...], Meta(max_length=10)] = ()
    sectors: Annotated[tuple[SectorText, ...], Meta(max_length=100)] = ()
    max_age_years: Years | None = None
    exclude_providers: bool = False


class ContractRule(_Rule, frozen=True):
    """Which contracts the vouchers pay."""

    signed_from: DateText | None = None
    max_hours: Hours | None = None
    unaffiliated: bool = False


class ReviewRule(_Rule, frozen=True):
    """Which applications and claims a person looks at."""

    auto_below_fen: Fen | None = None
    committee_above_fen: Fen | None = None


class ProgrammeRules(_Rule, frozen=True):
    """The rules of one version of a programme.

    `cap_per_year_fen` is what one company may be issued in a calendar year of the issuers' own time zone.
    """

    budget_fen: Fen
    rate_tiers: Annotated[tuple[RateTier, ...], Meta(min_length=1, max_length=50)]
    cap_per_year_fen: Fen
    validity_days: Annotated[int, Meta(ge=1, le=3_660)]
    provider: ProviderRule
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
    evidence: Annotated[tuple[NameText, ...], Meta(max_length=100)] = ()
    review: ReviewRule = ReviewRule()
    audit_sample_bps: Bps | None = None


SUPPORTED_VALUES: Final[Mapping[str, object]] = {
    "/mode": "instant",
    "/allocation": "first_come",
    "/windows": [],
    "/funding_split": [],
    "/combine": "max",
    "/cap_basis": "entity",
    "/cap_counts": "issued",
    "/min_annual_spend_fen": None,
    "/max_claims_per_contract": None,
    "/buyer/sectors": [],
    "/buyer/max_age_years": None,
    "/buyer/exclude_providers": False,
    "/provider/ownership": "any",
    "/provider/regions": [],
    "/capacity/accelerators": [],
    "/capacity/hubs": [],
    "/contract/signed_from": None,
    "/contract/max_hours": None,
    "/contract/unaffiliated": False,
    "/price_cap": "none",
    "/price_cap_above_bps": None,
    "/stacking": "none",
    "/stacking_ceiling_bps": None,
    "/transferable": False,
    "/cashable": False,
    "/resale_strips_subsidy": True,
    "/review/auto_below_fen": None,
    "/review/committee_above_fen": None,
}
"""JSON pointer into the rules -> the one value that this version obeys. Pointers not named here are free."""


class NewProgramme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an issuer posts to start a programme."""

    code: ProgrammeCode
    name: NameText
    rules: ProgrammeRules


class Programme(msgspec.Struct, frozen=True, kw_only=True):
    """A programme with the rules now in force; `ordinal` is its number among the eligibility bits."""

    id: int
    ordinal: int
    issuer_id: int
    code: str
    name: str
    asset: str
    status: ProgrammeStatus
    budget_fen: int
    issued_fen: int
    created_at_us: int
    version: int
    effective_from_us: int
    rules: ProgrammeRules


class ProgrammeView(msgspec.Struct, frozen=True, kw_only=True):
    """A programme as anyone with a key sees it."""

    id: str
    code: str
    name: str
    issuer_id: str
    status: ProgrammeStatus
    budget_cny: str
    issued_cny: str
    unissued_cny: str
    version: int
    effective_at: str
    created_at: str
    rules: ProgrammeRules
