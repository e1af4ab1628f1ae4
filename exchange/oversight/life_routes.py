"""Lives of orders, trades and vouchers, and the questions themselves, over HTTP.

Needs `lives` (`Lives`) and `questions` (`Questions`) in the application's state.
"""

import msgspec
from litestar import Controller, get
from litestar.params import FromPath

from exchange.kit.auth import Scope
from exchange.kit.fields import ParticipantIdText, typed_id
from exchange.kit.http_auth import requires
from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit, Page, Part, page_of, place_in
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.kit.ids import ID_MAX
from exchange.oversight.life_models import OrderLife, Question, TradeLife, VoucherLife, VoucherLifeQuery
from exchange.oversight.lives import MOVEMENTS, Lives
from exchange.oversight.models import AboutSomebody
from exchange.oversight.questions import Questions, check_reason

_QUESTIONS = "oversight-questions"


class ListQuestions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose questions, and which page of them."""

    participant: ParticipantIdText | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


class LivesController(Controller):
    """Everything that became of one thing. Every question says why it is asked, and is recorded."""

    path = "/v1/oversight"
    tags = ("Oversight",)
    opt = requires(Scope.AUDIT)

    @get(
        "/orders/{order_id:str}",
        opt=requires(Scope.AUDIT, query=AboutSomebody),
        summary="Read the life of an order",
    )
    async def order_life(self, request: ApiRequest, order_id: FromPath[str]) -> OrderLife:
        """Return an order of any participant with every step it took, in order, and its trades."""
        query = _read(request)
        value = id_in_path("ord", order_id, "no such order")
        asked = {"order_id": order_id, "reason": query.reason}
        return await _questions(request).told(
            request.principal, "orders", asked, lambda: _lives(request).order(value)
        )

    @get(
        "/trades/{trade_id:str}",
        opt=requires(Scope.AUDIT, query=AboutSomebody),
        summary="Read the life of a trade",
    )
    async def trade_life(self, request: ApiRequest, trade_id: FromPath[str]) -> TradeLife:
        """Return a trade with the steps of its record, its money, its hours, and what vouchers paid."""
        query = _read(request)
        value = id_in_path("trd", trade_id, "no such trade")
        asked = {"trade_id": trade_id, "reason": query.reason}
        return await _questions(request).told(
            request.principal, "trades/one", asked, lambda: _lives(request).trade(value)
        )

    @get(
        "/vouchers/{voucher_id:str}",
        opt=requires(Scope.AUDIT, query=VoucherLifeQuery),
        summary="Read the life of a voucher",
    )
    async def voucher_life(self, request: ApiRequest, voucher_id: FromPath[str]) -> VoucherLife:
        """Return a voucher with its steps and, page by page, everything that moved of its money."""
        query, faults = request.query_with_holes(VoucherLifeQuery)
        check_reason(query.reason, faults)
        after_id = place_in(MOVEMENTS, query.cursor, Part.ID, otherwise=0, faults=faults)
        faults.raise_if_any()
        value = id_in_path("vch", voucher_id, "no such voucher")
        asked = {"voucher_id": voucher_id, **msgspec.to_builtins(query)}
        return await _questions(request).told(
            request.principal,
            "vouchers",
            asked,
            lambda: _lives(request).voucher(value, after_id, query.limit),
        )

    @get(
        "/questions",
        opt=requires(Scope.AUDIT, Scope.OPERATE, query=ListQuestions),
        summary="Read who asked the record what, and why",
    )
    async def list_questions(self, request: ApiRequest) -> Page[Question]:
        """Questions to the record, newest first: who asked what and why, and how much was answered.

        Regulators and the operator both read it: each can see what the other looked at.
        """
        query, faults = request.query_with_holes(ListQuestions)
        participant_id = typed_id(faults, "?participant", "par", query.participant)
        before_id = place_in(_QUESTIONS, query.cursor, Part.ID, otherwise=ID_MAX, faults=faults)
        faults.raise_if_any()
        rows = await _questions(request).page(participant_id, before_id, query.limit + 1)
        return page_of(_QUESTIONS, rows, query.limit, lambda placed: (placed[0],), lambda placed: placed[1])


def _lives(request: ApiRequest) -> Lives:
    lives: Lives = request.app.state.lives
    return lives


def _questions(request: ApiRequest) -> Questions:
    questions: Questions = request.app.state.questions
    return questions


def _read(request: ApiRequest) -> AboutSomebody:
    query, faults = request.query_with_holes(AboutSomebody)
    check_reason(query.reason, faults)
    faults.raise_if_any()
    return query
