"""Vouchers over HTTP.

Of the application's state: `database`, `clock` and `programmes` (the registry).
"""

from http import HTTPStatus
from typing import Final

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody

from exchange.kit.auth import READERS, Scope
from exchange.kit.database import Connection
from exchange.kit.fields import ProgrammeIdText, money_fen, typed_id
from exchange.kit.http_auth import requires
from exchange.kit.http_described import refuses
from exchange.kit.http_once import once
from exchange.kit.http_pages import Page, PageQuery, Part, page_of, place_in
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.kit.ids import ID_MAX
from exchange.vouchers import eligibility, service
from exchange.vouchers.eligibility_models import EligibilityAnswer, EligibilityQuestion
from exchange.vouchers.models import NewVoucher, VoucherView
from exchange.vouchers.rules import view_of_voucher

_VOUCHERS: Final = "vouchers"


class VoucherQuery(PageQuery, frozen=True, kw_only=True):
    """What narrows a list of vouchers."""

    programme_id: ProgrammeIdText | None = None


class VouchersController(Controller):
    """Vouchers: issuers issue them; a buyer sees its own, an issuer those of its programmes."""

    path = "/v1/vouchers"
    tags = ("Vouchers",)

    @post(
        "",
        opt=requires(Scope.ISSUE, keep_faults=True, once=True) | refuses(HTTPStatus.NOT_FOUND),
        status_code=201,
        summary="Issue a voucher",
    )
    async def issue(self, request: ApiRequest, data: JSONBody[NewVoucher]) -> Response[VoucherView]:
        """Issue a voucher out of a programme's budget."""
        faults = request.faults
        programme_id = typed_id(faults, "/programme_id", "prg", data.programme_id)
        buyer_id = typed_id(faults, "/buyer_id", "par", data.buyer_id)
        amount_fen = money_fen(faults, "/amount_cny", data.amount_cny)
        if faults or programme_id is None or buyer_id is None or amount_fen is None:
            raise faults.refusal()
        now_us = request.app.state.clock.now_us()

        async def work(connection: Connection) -> VoucherView:
            voucher = await service.issue_voucher(
                connection, request.principal, programme_id, buyer_id, amount_fen, now_us
            )
            return view_of_voucher(voucher, now_us)

        return await once(request, work)

    @post(
        "/eligibility",
        opt=requires(Scope.READ, Scope.TRADE, keep_faults=True),
        status_code=200,
        summary="Would this order be subsidised",
    )
    async def eligibility(
        self, request: ApiRequest, data: JSONBody[EligibilityQuestion]
    ) -> EligibilityAnswer:
        """Say by whom an order would be subsidised, how much, and if not why, rule by rule."""
        state = request.app.state
        async with state.database.connection() as connection:
            return await eligibility.ask(
                connection,
                request.principal,
                data,
                state.programmes,
                state.clock.now_us(),
                request.faults,
            )

    @get("", opt=requires(*READERS, query=VoucherQuery), summary="List vouchers")
    async def list_all(self, request: ApiRequest) -> Page[VoucherView]:
        """Return the caller's vouchers with their balances, newest first."""
        query, faults = request.query_with_holes(VoucherQuery)
        now_us = request.app.state.clock.now_us()
        programme_id = typed_id(faults, "?programme_id", "prg", query.programme_id)
        before_id = place_in(_VOUCHERS, query.cursor, Part.ID, otherwise=ID_MAX, faults=faults)
        faults.raise_if_any()
        async with request.app.state.database.connection() as connection:
            found = await service.list_vouchers(
                connection,
                request.principal,
                programme_id=programme_id,
                before_id=before_id,
                limit=query.limit + 1,
            )
        return page_of(
            _VOUCHERS,
            found,
            query.limit,
            lambda voucher: (voucher.id,),
            lambda voucher: view_of_voucher(voucher, now_us),
        )

    @get("/{voucher_id:str}", opt=requires(*READERS), summary="Read a voucher")
    async def read(self, request: ApiRequest, voucher_id: FromPath[str]) -> VoucherView:
        """Return one voucher with its balances."""
        value = id_in_path("vch", voucher_id, "there is no such voucher")
        async with request.app.state.database.connection() as connection:
            voucher = await service.get_voucher(connection, request.principal, value)
        return view_of_voucher(voucher, request.app.state.clock.now_us())
