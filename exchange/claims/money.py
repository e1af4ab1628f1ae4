"""The accounts between which a claim's money moves, and the transfers that move it.

Of the programme's asset: the claimant's receivable and claimed, the issuer's budget and redeemed. Of CNY: the
cash of both. Nothing here posts; `service` says what moves when.
"""

from exchange.claims.models import Claim
from exchange.kit.database import Connection
from exchange.ledger import service as ledger
from exchange.ledger.models import AccountKey, Purpose, Transfer, TransferKind, TransferReason
from exchange.ledger.service import AccountDirectory


async def claimant_accounts(connection: Connection, claim: Claim, now_us: int) -> tuple[int, int]:
    """Return the claimant's receivable and claimed accounts of the programme."""
    receivable = AccountKey(claim.claimant_id, claim.asset, Purpose.RECEIVABLE)
    claimed = AccountKey(claim.claimant_id, claim.asset, Purpose.CLAIMED)
    accounts = await ledger.ensure_accounts(connection, [receivable, claimed], now_us)
    return accounts[receivable], accounts[claimed]


async def issuer_account(connection: Connection, claim: Claim, purpose: Purpose, now_us: int) -> int:
    """Return an account of the programme that is its issuer's."""
    key = AccountKey(claim.issuer_id, claim.asset, purpose)
    return (await ledger.ensure_accounts(connection, [key], now_us))[key]


async def cash_accounts(connection: Connection, claim: Claim, accounts: AccountDirectory) -> tuple[int, int]:
    """Return the cash accounts of a claim's issuer and of its claimant."""
    cash = await accounts.cash_of(connection, {claim.issuer_id, claim.claimant_id})
    return cash[claim.issuer_id].cash_id, cash[claim.claimant_id].cash_id


def transfer_of(
    claim: Claim,
    reason: TransferReason,
    debit_account_id: int,
    credit_account_id: int,
    amount_fen: int,
    asset: str = "",
) -> Transfer:
    """Return a transfer of a claim's, of its programme's asset unless told otherwise."""
    return Transfer(
        group_id=claim.id,
        kind=TransferKind.POSTED,
        reason=reason,
        asset=asset or claim.asset,
        debit_account_id=debit_account_id,
        credit_account_id=credit_account_id,
        amount_fen=amount_fen,
        subject_id=claim.id,
    )
