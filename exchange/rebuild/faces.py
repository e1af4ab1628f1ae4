"""Where the face of each voucher is, by what was rebuilt. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from exchange.rebuild.aid import Aid
from exchange.rebuild.money import Money
from exchange.vouchers.models import Balances

_PARTS: Mapping[str, str] = {
    **dict.fromkeys(("submitted", "in_audit", "queried", "approved", "reduced"), "claimed_fen"),
    **dict.fromkeys(("paid", "closed", "clawback_open", "recovered", "written_off"), "paid_fen"),
}
"""Which part of a voucher a captured line is, by the state of its claim; else it is `captured_fen`."""


def faces_of(money: Money, aid: Aid) -> dict[int, Balances]:
    """Return the ten parts of every voucher, by its id."""
    parts: dict[int, Counter[str]] = defaultdict(Counter)
    for account_id, name in money.names.items():
        sums = money.accounts[account_id]
        posted_fen = sums.credits_posted_fen - sums.debits_posted_fen
        if name.purpose == "voucher":
            parts[name.reference]["available_fen"] = posted_fen - sums.debits_pending_fen
            parts[name.reference]["held_fen"] = sums.debits_pending_fen
        elif name.purpose == "voucher_escrow":
            parts[name.reference]["committed_fen"] = posted_fen
    for (_, _, voucher_id), line in aid.captures.items():
        status = "" if line.claim_id is None else aid.claims[line.claim_id].status
        parts[voucher_id][_PARTS.get(status, "captured_fen")] += line.left_fen
        parts[voucher_id]["reduced_fen"] += line.reduced_fen
        parts[voucher_id]["recovered_fen"] += line.recovered_fen
    for voucher_id in aid.vouchers:
        parts[voucher_id]["expired_fen"] = money.expired_fen[voucher_id]
        parts[voucher_id]["revoked_fen"] = money.revoked_fen[voucher_id]
    return {voucher_id: Balances(**parts[voucher_id]) for voucher_id in aid.vouchers}
