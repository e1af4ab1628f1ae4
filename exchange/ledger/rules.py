"""The arithmetic of balances. Pure.

Rule: an account that may not be overdrawn always has `available >= 0`; the database checks it at the end of
every statement that posts, so within one such statement the order of the transfers does not matter.
"""

from exchange.ledger.models import Balance, Purpose

MAY_BE_OVERDRAWN: frozenset[Purpose] = frozenset({Purpose.EXTERNAL, Purpose.PROGRAMME_SOURCE})


def available_fen(balance: Balance) -> int:
    """Return what the owner can still use: credited, less debited, less set aside."""
    return balance.credits_posted_fen - balance.debits_posted_fen - balance.debits_pending_fen


def posted_fen(balance: Balance) -> int:
    """Return what is in the account, including what is set aside to leave it."""
    return balance.credits_posted_fen - balance.debits_posted_fen
