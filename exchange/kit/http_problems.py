"""Refusals as `application/problem+json` (RFC 9457), and the pages that explain their codes.

Every answer with status 400 or above leaves through here, Litestar's own included: never HTML, never a stack
trace. An exception that is not a refusal is a fault of ours: it is logged with its trace and the request id,
and the answer says only the id. Its outcome is "unknown", because work may have been committed before the
fault.
"""

import logging
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Controller, Request, Response, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from exchange.kit.database import ConnectionLost, Deadlock, LockTimeout, StatementTimeout
from exchange.kit.error_codes import ERROR_CODES
from exchange.kit.errors import Fault, NotFound, Outcome, Refusal, Unavailable
from exchange.kit.http_auth import public
from exchange.kit.http_scope import request_id_of

PROBLEM_TYPE: Final = "application/problem+json"

_log: Final = logging.getLogger("exchange.http")
_CODE_OF_STATUS: Final = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer with status 400 or above.

    `outcome` tells whether the request changed anything: `applied` is also what was refused and is kept on
    record, as a rejected order is, whose id is used up. `retryable`: whether the same again may help.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    outcome: Outcome
    retryable: bool
    errors: tuple[Fault, ...] = ()


def problem_of(refusal: Refusal, *, instance: str, request_id: str) -> Problem:
    """Return a refusal as a problem; also used where refusals travel outside HTTP answers."""
    return Problem(
        type=f"/problems/{refusal.code}",
        title=refusal.title,
        status=refusal.status,
        detail=refusal.detail,
        instance=instance,
        code=refusal.code,
        request_id=request_id,
        outcome=refusal.outcome,
        retryable=refusal.retryable,
        errors=refusal.errors,
    )


def _answer(problem: Problem, headers: dict[str, str]) -> Response[bytes]:
    return Response(
        msgspec.json.encode(problem), media_type=PROBLEM_TYPE, status_code=problem.status, headers=headers
    )


def answer_refusal(request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
    """Answer a refusal."""
    problem = problem_of(refusal, instance=request.scope["path"], request_id=request_id_of(request.scope))
    return _answer(problem, refusal.headers)


def answer_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what Litestar itself refused: unknown path, wrong method, body too large, bad request line."""
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return answer_error(request, error)
    code = _CODE_OF_STATUS.get(HTTPStatus(error.status_code), "bad_request")
    path = request.scope["path"]
    headers = {}
    detail = ERROR_CODES[code]
    if code == "not_found":
        detail = f"there is no path {path[:200]}"
    elif code == "method_not_allowed":
        headers["Allow"] = (error.headers or {}).get("allow", "")
        detail = f"this path takes {headers['Allow']}, not {request.scope['method']}"
    elif code == "body_too_large":
        limit = request.route_handler.resolve_request_max_body_size()
        detail = f"the body may have at most {limit} bytes"
    elif code == "bad_request":
        detail = error.detail
    problem = Problem(
        type=f"/problems/{code}",
        title=HTTPStatus(error.status_code).phrase,
        status=error.status_code,
        detail=detail,
        instance=path,
        code=code,
        request_id=request_id_of(request.scope),
        outcome="not_applied",
        retryable=False,
    )
    return _answer(problem, headers)


class Failed(Refusal):
    """A fault of ours (500), told by nothing but the id under which it is logged."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    title = "The exchange failed"
    default_code = "internal_error"
    retryable_by_default = True


def refusal_of(error: Exception, what: str, request_id: str) -> Refusal:
    """Return what the caller is told of an error, and log it where it is none of the caller's own.

    `what` names the request in the log.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ConnectionLost):
        _log.warning("request %s lost the database: %s", request_id, error)
        detail = "the exchange has lost its database for now"
        if error.outcome == "unknown":
            detail += "; look whether the request took effect before sending another one"
        return Unavailable(detail=detail, outcome=error.outcome)
    if isinstance(error, StatementTimeout):
        _log.warning("request %s took the database too long: %s", request_id, error)
        detail = "the database took too long over this; ask for less at a time"
        return Unavailable("statement_timeout", detail)
    if isinstance(error, LockTimeout | Deadlock):
        _log.warning("request %s found its rows locked: %s", request_id, error)
        detail = "others were at work on the same things for too long; nothing was done, try again"
        return Unavailable("contended", detail)
    _log.error("request %s failed: %s", request_id, what, exc_info=error)
    detail = f"the exchange failed; the fault is logged under request {request_id}"
    return Failed(detail=detail, outcome="unknown")


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what is no refusal: a database that is lost, slow or contended, or a fault of ours."""
    what = f"{request.scope['method']} {request.scope['path']}"
    return answer_refusal(request, refusal_of(error, what, request_id_of(request.scope)))


EXCEPTION_HANDLERS: Final[dict[int | type[Exception], Any]] = {
    Refusal: answer_refusal,
    StatementTimeout: answer_error,
    LockTimeout: answer_error,
    Deadlock: answer_error,
    ConnectionLost: answer_error,
    HTTPException: answer_http_exception,
    Exception: answer_error,
}


class CodeMeaning(msgspec.Struct, frozen=True):
    """One code and what it means."""

    code: str
    meaning: str


class CodeList(msgspec.Struct, frozen=True):
    """Every code an answer may carry."""

    data: list[CodeMeaning]


class ProblemsController(Controller):
    """The pages that a problem's `type` points to."""

    path = "/problems"
    tags = ("Errors",)
    opt = public()

    @get("", summary="List every error code", sync_to_thread=False)
    def list_codes(self) -> CodeList:
        """Return every code that `code` or `errors[].code` may hold."""
        return CodeList([CodeMeaning(code, meaning) for code, meaning in sorted(ERROR_CODES.items())])

    @get("/{code:str}", summary="Explain an error code", sync_to_thread=False)
    def explain(self, code: FromPath[str]) -> CodeMeaning:
        """Return what one code means."""
        if code not in ERROR_CODES:
            raise NotFound(detail="there is no such code")
        return CodeMeaning(code, ERROR_CODES[code])
