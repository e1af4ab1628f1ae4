"""Reasons that the exchange itself gives for a step: each a code, and the English words that are stored.

A reason is stored as its words, which never change once a step is on record. Its code is read off the words
again, so that a page can say the same in another language: `code_of(text)` is the code of `text(code, ...)`,
and None for what a person wrote. Who types the very words of the exchange means the same by them.
"""

import re
from typing import Final

OWN_REASONS: Final[dict[str, str]] = {
    "voucher_expired": "its time has passed",
    "order_gave_free": "an order gave free what it held",
    "budget_issued": "the whole budget is issued",
    "budget_raised": "the budget was raised",
    "drawn_for_audit": "drawn for audit: {number} is below {sample_bps}",
    "below_review": "all of the year stays below {below_cny} CNY, for which no review is asked",
    "granted_by_score": "granted by its score of {score}",
    "buyer_not_eligible": "the programme's rules keep this buyer out: {rules}",
    "yearly_cap_exceeded": "of {cap_cny} CNY a year, {left_cny} is left to {whom} in {year}",
    "budget_exhausted": "of the budget of {budget_cny} CNY, {left_cny} is not issued yet",
    "shipped_rules": "shipped with the exchange",
}
"""The words of each code, with the names of its figures. What nothing stores is not here."""

_FIGURE: Final = re.compile(r"\\\{\w+\\\}")
_MORE: Final = r"(?:; .*)?"
"""What keeps a voucher from being issued is told all at once, the gravest first."""
_WORDS: Final = {
    code: re.compile(_FIGURE.sub(".+?", re.escape(words)) + _MORE, re.DOTALL)
    for code, words in OWN_REASONS.items()
}


def text(code: str, **figures: object) -> str:
    """Return the words of a reason; KeyError for a code that is none, or a figure that its words lack."""
    return OWN_REASONS[code].format(**figures)


def code_of(reason: str) -> str | None:
    """Return the code of a reason that the exchange gave, None for any other."""
    return next((code for code, words in _WORDS.items() if words.fullmatch(reason)), None)
