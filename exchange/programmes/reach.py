"""Rules of a programme that nothing could ever meet: refused when they are stored. Pure.

Known limit: the regions of companies and providers are words that operators register, and there is no list of
them to look a mistyped one up in.
"""

from collections.abc import Collection, Mapping

import msgspec

from exchange.kit.errors import Faults
from exchange.products.models import Origin, ProductSpec
from exchange.programmes.models import CapacityRule, Fact, ProgrammeRules, RequiredOrigin


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What rules may name: the accelerators and hubs of the products that are listed."""

    products: Collection[ProductSpec]

    @property
    def accelerators(self) -> dict[str, Origin]:
        """The accelerators by their names, each with its origin."""
        return {each.accelerator_id: each.origin for each in self.products}

    @property
    def hubs(self) -> frozenset[str]:
        """The hubs by their codes."""
        return frozenset(each.hub_code for each in self.products)


def find_unmet_capacity(capacity: CapacityRule, known: Known, faults: Faults, where: str) -> None:
    """Record capacity that no product is, so that its vouchers could never pay."""
    asks_domestic = capacity.origin is RequiredOrigin.DOMESTIC
    found_before = len(faults)
    for index, accelerator in enumerate(capacity.accelerators):
        if asks_domestic and known.accelerators.get(accelerator, Origin.DOMESTIC) is not Origin.DOMESTIC:
            rule = f"must be of domestic origin, as {where}/origin asks"
            faults.add(f"{where}/accelerators/{index}", "not_applicable", rule, accelerator)
    unknown = {*capacity.accelerators} - known.accelerators.keys() | ({*capacity.hubs} - known.hubs)
    if unknown or len(faults) > found_before or capacity == CapacityRule():
        return  # told already, or nothing is asked for
    if not any(
        (not asks_domestic or each.origin is Origin.DOMESTIC)
        and (not capacity.accelerators or each.accelerator_id in capacity.accelerators)
        and (not capacity.hubs or each.hub_code in capacity.hubs)
        for each in known.products
    ):
        faults.add(where, "unknown_reference", "is met by no product of this exchange, so nothing is paid")


def find_closed_tiers(rules: ProgrammeRules, faults: Faults, pointer: str) -> None:
    """Record conditions of tiers that can never hold, because another rule keeps out all that they ask for.

    Not so for sectors, of which a company may have several.
    """
    capacity, buyer = rules.capacity, rules.buyer
    origins = ("domestic",) if capacity.origin is RequiredOrigin.DOMESTIC else ()
    words: Mapping[Fact, tuple[str, Collection[str]]] = {
        Fact.ORIGIN: ("capacity/origin", origins),
        Fact.ACCELERATOR: ("capacity/accelerators", capacity.accelerators),
        Fact.HUB: ("capacity/hubs", capacity.hubs),
        Fact.REGION: ("buyer/regions", buyer.regions),
        Fact.SIZE_CLASS: ("buyer/size_classes", [each.value for each in buyer.size_classes]),
    }
    highest: Mapping[Fact, tuple[str, int | None]] = {
        Fact.AGE_YEARS: ("buyer/max_age_years", buyer.max_age_years),
        Fact.HOURS: ("contract/max_hours", rules.contract.max_hours),
    }
    for tier_index, tier in enumerate(rules.rate_tiers):
        for index, condition in enumerate(tier.when):
            where = f"{pointer}/rate_tiers/{tier_index}/when/{index}"
            place, allowed = words.get(condition.fact, ("", ()))
            if allowed and condition.is_one_of and not {*allowed} & {*condition.is_one_of}:
                rule = f"can never hold: {pointer}/{place} admits none of them"
                faults.add(f"{where}/is_one_of", "not_applicable", rule, list(condition.is_one_of))
            place, most = highest.get(condition.fact, ("", None))
            if most is not None and condition.at_least is not None and condition.at_least > most:
                rule = f"can never hold: {pointer}/{place} admits at most {most}"
                faults.add(f"{where}/at_least", "not_applicable", rule, condition.at_least)
