"""The steps of a voucher over HTTP: its issuer takes them, its buyer reads what became of it.

Of the application's state: `database` and `clock`.
"""

import datetime as dt
from typing import Final

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody

from exchange.kit.auth import READERS, Scope
from exchange.kit.clock import us_of
from exchange.kit.database import Connection
from exchange.kit.http_auth import requires
from exchange.kit.http_once import once
from exchange.kit.http_pages import Page, PageQuery, Part, page_of, parts_in
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.kit.ids import ID_MAX
from exchange.vouchers import life
from exchange.vouchers.models import NewVoucherStep, StepPlace, VoucherStatus, VoucherStepView, VoucherView
from exchange.vouchers.rules import view_of_step, view_of_voucher

_STEPS: Final = "voucher_steps"
_NEWS: Final = "voucher_news"
AFTER_ALL: Final = StepPlace(
    stepped_at_us=us_of(dt.datetime(9999, 1, 1, tzinfo=dt.UTC)), voucher_id=ID_MAX, number=0
)
"""Above every place: where the list of all steps begins."""


class VoucherNewsController(Controller):
    """What became of vouchers, of all in one list: where a buyer looks for what it is told."""

    path = "/v1/vouchers/steps"
    tags = ("Vouchers",)

    @get(
        "",
        opt=requires(*READERS, query=PageQuery),
        summary="List the steps of all vouchers",
    )
    async def list_all(self, request: ApiRequest) -> Page[VoucherStepView]:
        """Return what became of the caller's vouchers, newest first: also what went back to the issuer.

        A hold that an order gave free of an expired or revoked voucher is a step too.
        """
        query, faults = request.query_with_holes(PageQuery)
        parts = parts_in(_NEWS, query.cursor, faults, Part.TIME_US, Part.ID, Part.HOUR)
        faults.raise_if_any()
        before = AFTER_ALL
        if parts is not None:
            stepped_at_us, voucher_id, number = (int(part) for part in parts)
            before = StepPlace(stepped_at_us=stepped_at_us, voucher_id=voucher_id, number=number)
        async with request.app.state.database.connection() as connection:
            found = await life.list_all_steps(connection, request.principal, before, query.limit + 1)
        return page_of(
            _NEWS,
            found,
            query.limit,
            lambda step: (step.stepped_at_us, step.voucher_id, step.number),
            view_of_step,
        )


class VoucherStepsController(Controller):
    """What became of a voucher after its issue."""

    path = "/v1/vouchers/{voucher_id:str}/steps"
    tags = ("Vouchers",)

    @post(
        "",
        opt=requires(Scope.ISSUE, once=True),
        status_code=200,
        summary="Suspend, resume or revoke a voucher",
    )
    async def step(
        self, request: ApiRequest, voucher_id: FromPath[str], data: JSONBody[NewVoucherStep]
    ) -> Response[VoucherView]:
        """Suspend a voucher, resume it (to active), or revoke it for good, with a reason its buyer reads.

        What is free of a revoked voucher goes back to the programme's budget at once; what orders hold of it
        goes on under them.
        """
        value = id_in_path("vch", voucher_id, "there is no such voucher")
        now_us = request.app.state.clock.now_us()

        async def work(connection: Connection) -> VoucherView:
            status = VoucherStatus(data.to)
            stepped = await life.step_voucher(
                connection, request.principal, value, status, data.reason, now_us
            )
            return view_of_voucher(stepped, now_us)

        return await once(request, work, status=200)

    @get(
        "",
        opt=requires(*READERS, query=PageQuery),
        summary="List a voucher's steps",
    )
    async def list_all(self, request: ApiRequest, voucher_id: FromPath[str]) -> Page[VoucherStepView]:
        """Return what became of a voucher, in order: who, when, why, and what went back to its issuer."""
        query, after = request.listed(PageQuery, _STEPS, Part.HOUR, otherwise=0)
        value = id_in_path("vch", voucher_id, "there is no such voucher")
        async with request.app.state.database.connection() as connection:
            found = await life.list_steps(
                connection, request.principal, value, after=after, limit=query.limit + 1
            )
        return page_of(_STEPS, found, query.limit, lambda step: (step.number,), view_of_step)
