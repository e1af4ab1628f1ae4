"""Balances, statements, deposits and withdrawals over HTTP.

Needs `database` (kit.database.Database) and `clock` (kit.clock.Clock) in the application's state.
"""

from http import HTTPStatus

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import JSONBody

from exchange.kit.auth import Scope
from exchange.kit.clock import Clock, format_rfc3339
from exchange.kit.database import Connection, Database
from exchange.kit.errors import Faults, NotFound
from exchange.kit.fields import (
    AccountIdText,
    ParticipantIdText,
    Readable,
    format_cny,
    format_hour,
    money_fen,
    typed_id,
)
from exchange.kit.http_auth import requires
from exchange.kit.http_described import refuses
from exchange.kit.http_once import once
from exchange.kit.http_pages import (
    LIMIT_DEFAULT,
    CursorText,
    Limit,
    Page,
    Part,
    page_of,
    place_in,
)
from exchange.kit.http_request import ApiRequest
from exchange.kit.ids import ID_MAX, encode_id
from exchange.ledger import rules, service
from exchange.ledger.models import (
    AccountView,
    AssetText,
    CashMovement,
    CashMovementView,
    NewCashMovement,
    StatementFilter,
    StatementLine,
    TransferReason,
    TransferView,
)
from exchange.participants.service import find_participant


class ListAccounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of the list of accounts; `participant_id` is for operators."""

    participant_id: ParticipantIdText | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class ListTransfers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of a statement; `participant_id` is for operators."""

    participant_id: ParticipantIdText | None = None
    account_id: AccountIdText | None = None
    asset: AssetText | None = None
    reason: TransferReason | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


def _owner_of(request: ApiRequest, participant_id: Readable, faults: Faults) -> int:
    """Return whose money is asked for: the caller's own, or for an operator anyone's.

    Raises `InvalidInput` with every fault, also those that were found before.
    """
    value = typed_id(faults, "?participant_id", "par", participant_id)
    faults.raise_if_any()
    principal = request.principal
    if value is None:
        return principal.participant_id
    if Scope.OPERATE not in principal.scopes and value != principal.participant_id:
        raise NotFound(detail="there is no such participant")
    return value


def _movement_view(movement: CashMovement) -> CashMovementView:
    return CashMovementView(
        id=encode_id("trf", movement.transfer_id),
        participant_id=encode_id("par", movement.participant_id),
        reason=movement.reason,
        amount_cny=format_cny(movement.amount_fen),
        available_cny=format_cny(movement.available_fen),
        note=movement.note,
        created_at=format_rfc3339(movement.booked_at_us),
    )


def _account_text(account_id: int | None) -> str | None:
    return None if account_id is None else encode_id("acc", account_id)


def _transfer_view(line: StatementLine) -> TransferView:
    return TransferView(
        id=encode_id("trf", line.transfer_id),
        kind=line.kind,
        reason=line.reason,
        asset=line.asset,
        debit_account_id=_account_text(line.debit_account_id),
        debit_purpose=line.debit_purpose,
        credit_account_id=_account_text(line.credit_account_id),
        credit_purpose=line.credit_purpose,
        amount_cny=format_cny(line.amount_fen),
        subject_id=encode_id(rules.SUBJECT_PREFIX[line.reason], line.subject_id),
        delivery_starts_at=None if line.delivery_hour is None else format_hour(line.delivery_hour),
        created_at=format_rfc3339(line.created_at_us),
    )


class AccountsController(Controller):
    """What a participant has, and every movement of it."""

    tags = ("Money",)
    opt = requires(*Scope)

    @get(
        "/v1/accounts",
        opt=requires(*Scope, query=ListAccounts) | refuses(HTTPStatus.NOT_FOUND),
        summary="Read balances",
    )
    async def list_accounts(self, request: ApiRequest) -> Page[AccountView]:
        """List the caller's accounts with their balances: cash, escrow, and those of vouchers and claims."""
        query, faults = request.query_with_holes(ListAccounts)
        after_id = place_in("accounts", query.cursor, Part.ID, otherwise=0, faults=faults)
        owner_id = _owner_of(request, query.participant_id, faults)
        database: Database = request.app.state.database
        async with database.connection() as connection:
            if await find_participant(connection, owner_id) is None:
                raise NotFound(detail="there is no such participant")
            found = await service.balances(connection, owner_id, after_id=after_id, limit=query.limit + 1)
        is_all = not after_id and len(found) <= query.limit
        return page_of(
            "accounts",
            rules.with_cash(found) if is_all else found,
            query.limit,
            lambda balance: (balance.account_id,),
            rules.account_view,
        )

    @get(
        "/v1/transfers",
        opt=requires(*Scope, query=ListTransfers) | refuses(HTTPStatus.NOT_FOUND),
        summary="Read the statement",
    )
    async def list_transfers(self, request: ApiRequest) -> Page[TransferView]:
        """List every transfer from or to the caller's accounts, newest first."""
        query, faults = request.query_with_holes(ListTransfers)
        account_id = typed_id(faults, "?account_id", "acc", query.account_id)
        before_id = place_in("transfers", query.cursor, Part.ID, otherwise=ID_MAX, faults=faults)
        owner_id = _owner_of(request, query.participant_id, faults)
        wanted = StatementFilter(
            account_id=account_id, asset=query.asset, reason=query.reason, before_id=before_id
        )
        database: Database = request.app.state.database
        async with database.connection() as connection:
            if await find_participant(connection, owner_id) is None:
                raise NotFound(detail="there is no such participant")
            found = await service.statement(connection, owner_id, wanted, query.limit + 1)
        return page_of("transfers", found, query.limit, lambda line: (line.transfer_id,), _transfer_view)


class CashController(Controller):
    """Money that enters and leaves the exchange, booked by its operators."""

    tags = ("Money",)
    opt = requires(Scope.OPERATE)

    @post(
        "/v1/deposits",
        opt=requires(Scope.OPERATE, keep_faults=True, once=True),
        status_code=201,
        summary="Book a deposit",
    )
    async def deposit(
        self, request: ApiRequest, data: JSONBody[NewCashMovement]
    ) -> Response[CashMovementView]:
        """Credit a participant with money that came in from outside."""
        return await _move(request, data, TransferReason.DEPOSIT)

    @post(
        "/v1/withdrawals",
        opt=requires(Scope.OPERATE, keep_faults=True, once=True) | refuses(HTTPStatus.PAYMENT_REQUIRED),
        status_code=201,
        summary="Book a withdrawal",
    )
    async def withdraw(
        self, request: ApiRequest, data: JSONBody[NewCashMovement]
    ) -> Response[CashMovementView]:
        """Debit a participant with money that goes out; never more than is available."""
        return await _move(request, data, TransferReason.WITHDRAWAL)


async def _move(
    request: ApiRequest, data: NewCashMovement, reason: TransferReason
) -> Response[CashMovementView]:
    faults = request.faults
    participant_id = typed_id(faults, "/participant_id", "par", data.participant_id)
    amount_fen = money_fen(faults, "/amount_cny", data.amount_cny)
    clock: Clock = request.app.state.clock
    move = service.deposit if reason is TransferReason.DEPOSIT else service.withdraw

    async def work(connection: Connection) -> CashMovementView:
        known = participant_id is None or await find_participant(connection, participant_id) is not None
        if not known:
            faults.add("/participant_id", "unknown_reference", "is not a participant", data.participant_id)
        faults.raise_if_any()
        if participant_id is None or amount_fen is None:
            raise AssertionError("a fault was read but not recorded")
        actor = request.principal
        return _movement_view(
            await move(connection, actor, participant_id, amount_fen, data.note, clock.now_us())
        )

    return await once(request, work)
