"""The facts that a programme's rules are about, of an order and of its company. Pure.

A fact is a few words or one number. Every fact that a condition may name has its reader here, so that a rule
over facts can always be evaluated: what cannot be is refused when it is stored (`rules`).
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from exchange.kit.clock import calendar_date
from exchange.participants.models import Participant
from exchange.participants.rules import years_after
from exchange.products.models import ProductSpec
from exchange.programmes.models import Condition, Fact


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order when its money is set aside, and the company that places it; both are held in memory.

    `price_ticks` is the order's limit; `fills_whole` says that it fills whole or not at all.
    """

    product: ProductSpec
    company: Participant
    quantity_gpus: int
    hours: int
    price_ticks: int
    at_us: int
    fills_whole: bool = False

    @property
    def contract_fen(self) -> int:
        """The most that the order can cost."""
        return self.price_ticks * self.hours * self.quantity_gpus

    @property
    def certain_gpus(self) -> int:
        """The GPUs that it gets if it trades at all: of an order that may fill in part, none are certain."""
        return self.quantity_gpus if self.fills_whole else 0

    @property
    def certain_fen(self) -> int:
        """What it counts as at least: at the product's reference price, unless its limit is lower."""
        ticks = min(self.price_ticks, self.product.reference_price_ticks)
        return ticks * self.hours * self.certain_gpus


def age_years(company: Participant, at_us: int) -> int | None:
    """Return the full years since a company's founding date; None where it has none."""
    if company.founded_on is None:
        return None
    today = calendar_date(at_us)
    years = today.year - company.founded_on.year
    return years if years_after(company.founded_on, years) <= today else years - 1


def _word(text: str | None) -> tuple[str, ...]:
    return () if text is None else (text,)


WORDS: Final[Mapping[Fact, Callable[[Facts], tuple[str, ...]]]] = {
    Fact.ORIGIN: lambda facts: (facts.product.origin.value,),
    Fact.ACCELERATOR: lambda facts: (facts.product.accelerator_id,),
    Fact.HUB: lambda facts: (facts.product.hub_code,),
    Fact.REGION: lambda facts: _word(facts.company.region),
    Fact.SIZE_CLASS: lambda facts: _word(facts.company.size_class),
    Fact.SECTOR: lambda facts: facts.company.sectors,
}
NUMBERS: Final[Mapping[Fact, Callable[[Facts], int | None]]] = {
    Fact.AGE_YEARS: lambda facts: age_years(facts.company, facts.at_us),
    Fact.CONTRACT_FEN: lambda facts: facts.contract_fen,
    Fact.HOURS: lambda facts: facts.hours,
    Fact.QUANTITY_GPUS: lambda facts: facts.quantity_gpus,
}
LEAST: Final[Mapping[Fact, Callable[[Facts], int | None]]] = {
    **NUMBERS,
    Fact.CONTRACT_FEN: lambda facts: facts.certain_fen,
    Fact.QUANTITY_GPUS: lambda facts: facts.certain_gpus,
}
"""What `at_least` asks of: what an order may come to, but need not, would open a tier for nothing."""


def is_met(condition: Condition, facts: Facts) -> bool:
    """Whether a condition holds; one over a fact that the company does not have never does."""
    words = WORDS.get(condition.fact)
    if words is not None:
        return any(word in condition.is_one_of for word in words(facts))
    most, least = NUMBERS[condition.fact](facts), LEAST[condition.fact](facts)
    if most is None or least is None:
        return False
    low, high = condition.at_least, condition.at_most
    return (low is None or least >= low) and (high is None or most <= high)


def in_words(condition: Condition, facts: Facts) -> str:
    """Return what a condition asks, and the fact as it is, for people."""
    if condition.fact in WORDS:
        asked = " or ".join(condition.is_one_of)
        have = " and ".join(WORDS[condition.fact](facts)) or "unknown"
    else:
        bounds = (("at least", condition.at_least), ("at most", condition.at_most))
        asked = " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
        most, least = NUMBERS[condition.fact](facts), LEAST[condition.fact](facts)
        have = "unknown" if most is None else str(most)
        if condition.at_least is not None and most != least:
            have = f"at most {most}, and at least {least}"
    return f"{condition.fact.value} {asked}: it is {have}"
