"""Refusals: what a caller can cause, as named values that become problem answers.

A `Refusal` is expected and leaves nothing changed unless its `outcome` says otherwise; a broken invariant
raises something else and becomes a 500 that tells the caller only the request id. Faults are collected, so
that an answer names every field that is wrong and not just the first.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, Literal

import msgspec

FAULTS_MAX: Final = 100
"""An answer lists at most this many faults; else a hostile body could make the answer larger than itself."""

ECHO_CHARACTERS_MAX: Final = 100
RETRY_AFTER_S: Final = "1"
"""Another engine leads, a connection is back, or a queue is shorter, as soon as that, or a few times that."""
_HUGE_BITS: Final = 1024  # past this, Python refuses to print an integer cheaply

Outcome = Literal["not_applied", "applied", "unknown"]
Echo = str | int | float | bool | None


class Fault(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One thing wrong with a request.

    `pointer` is a JSON pointer (RFC 6901) into the body, or `?name` for a query parameter; `value` echoes
    what was sent, cut to 100 characters. `lowest` and `highest` are what would be allowed at least and at
    most, written as the field is, where that moves and so cannot be known beforehand.
    """

    pointer: str
    code: str
    detail: str
    value: Echo | msgspec.UnsetType = msgspec.UNSET
    lowest: str | msgspec.UnsetType = msgspec.UNSET
    highest: str | msgspec.UnsetType = msgspec.UNSET


def echo(value: object) -> Echo:
    """Return what a fault may repeat of a sent value: long texts are cut, containers named by kind."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _HUGE_BITS else "a very large number"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = str(value)
    if len(text) > ECHO_CHARACTERS_MAX:
        text = text[:ECHO_CHARACTERS_MAX] + "…"
    # Half a surrogate pair cannot be encoded in the answer.
    return text.encode("utf-8", "replace").decode()


NOTHING_BY_THIS: Final = (
    "nothing was done by this request; one sent before under the same id may have had its effect"
)
"""What a caller is told of a request that certainly went no further: another may have, unseen."""


class Refusal(Exception):
    """A request the exchange turns down for a reason the caller can act on."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "Request refused"
    default_code: ClassVar[str] = "invalid_body"
    retryable_by_default: ClassVar[bool] = False
    retry_after_s: ClassVar[str] = ""
    """When one that is retryable may come back, unless its headers know better; '' where it is not told."""

    def __init__(
        self,
        code: str = "",
        detail: str = "",
        *,
        errors: Iterable[Fault] = (),
        retryable: bool | None = None,
        outcome: Outcome = "not_applied",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code or self.default_code
        self.detail = detail
        self.errors = tuple(errors)
        self.retryable = self.retryable_by_default if retryable is None else retryable
        self.outcome: Outcome = outcome
        self.headers = dict(headers or {})
        if self.retryable and self.retry_after_s:
            self.headers.setdefault("Retry-After", self.retry_after_s)
        super().__init__(f"{self.code}: {detail}" if detail else self.code)


class MalformedInput(Refusal):
    """The body cannot be read at all (400)."""

    status = 400
    title = "The body cannot be read"
    default_code = "not_json"


class BadHeader(Refusal):
    """A header is missing, comes again, or is unfit (400)."""

    status = 400
    title = "A header breaks a rule"
    default_code = "invalid_header"


class InvalidInput(Refusal):
    """The request can be read, but values break rules (422)."""

    status = 422
    title = "The request breaks a rule"
    default_code = "invalid_body"


class NotFound(Refusal):
    """Nothing here that the caller may see (404); also the answer for another participant's things."""

    status = 404
    title = "Not found"
    default_code = "not_found"


class Conflict(Refusal):
    """The state of things forbids it now (409)."""

    status = 409
    title = "Conflict with the present state"
    default_code = "state_conflict"


class NotEnoughMoney(Refusal):
    """The free balance is too small (402)."""

    status = 402
    title = "Not enough money"
    default_code = "insufficient_funds"


class Unauthenticated(Refusal):
    """No valid key (401). Every kind of failure gives the same answer, which so tells nothing about keys."""

    status = 401
    title = "A valid key is needed"
    default_code = "unauthenticated"

    def __init__(self) -> None:
        super().__init__(
            detail="send a valid API key in the header 'Authorization: Bearer <key>'",
            headers={"WWW-Authenticate": "Bearer"},
        )


class BadSignature(Unauthenticated):
    """The key is right but signs its requests, and this one is not signed as it must be (401)."""

    title = "The request is not signed as the key must sign"

    def __init__(self, code: str, detail: str) -> None:
        Refusal.__init__(self, code, detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Refusal):
    """The key is valid but may not do this (403)."""

    status = 403
    title = "The key may not do this"
    default_code = "forbidden"


class TooLarge(Refusal):
    """The body exceeds the path's limit (413)."""

    status = 413
    title = "The body is too large"
    default_code = "body_too_large"


class UnsupportedMediaType(Refusal):
    """The body is in a format the path does not read (415)."""

    status = 415
    title = "Unsupported media type"
    default_code = "unsupported_media_type"


class RateLimited(Refusal):
    """The caller sends more than a limit lets through (429); the answer says when to come back."""

    status = 429
    title = "Too many requests"
    default_code = "rate_limited"
    retryable_by_default = True


class Unavailable(Refusal):
    """The exchange cannot do it now (503); `outcome` may be "unknown" when a commit was lost from sight.

    Where it is retryable, the answer says when to come back: in a second, unless `headers` know better.
    """

    status = 503
    title = "Not available now"
    default_code = "unavailable"
    retryable_by_default = True
    retry_after_s = RETRY_AFTER_S


class Faults:
    """Collects faults so that all are answered at once.

    >>> faults = Faults()
    >>> faults.add("/quantity_gpus", "out_of_range", "must be from 1 to 100000", 0)
    >>> faults.raise_if_any()
    Traceback (most recent call last):
    exchange.kit.errors.InvalidInput: invalid_body: 1 value breaks a rule: /quantity_gpus must be ...
    """

    __slots__ = ("_faults", "_most", "_pointers", "code")

    def __init__(self, code: str = "invalid_body", *, most: int = FAULTS_MAX) -> None:
        self._most = most
        self._faults: list[Fault] = []
        self._pointers: set[str] = set()
        self.code = code

    def add(self, pointer: str, code: str, detail: str, value: object = msgspec.UNSET) -> None:
        """Record one fault; those beyond `most` are dropped."""
        self.extend([Fault(pointer, code, detail, value if value is msgspec.UNSET else echo(value))])

    def extend(self, faults: Iterable[Fault]) -> None:
        """Record faults that were found elsewhere, and echo what was sent already."""
        for fault in faults:
            if len(self._faults) < self._most:
                self._faults.append(fault)
            self._pointers.add(fault.pointer)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def __len__(self) -> int:
        return len(self._faults)

    def __contains__(self, pointer: str) -> bool:
        """Whether a fault was recorded at exactly this pointer."""
        return pointer in self._pointers

    @property
    def full(self) -> bool:
        """Whether further faults would be dropped."""
        return len(self._faults) >= self._most

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What was recorded, in order."""
        return tuple(self._faults)

    def refusal(self) -> Refusal:
        """Return the refusal that answers these faults: 400 where a key is doubled, otherwise 422."""
        first = self._faults[0]
        count = len(self._faults)
        summary = f"{count} values break rules" if count > 1 else "1 value breaks a rule"
        if self.full:
            summary = f"at least {summary}"
        detail = f"{summary}: {first.pointer or 'the body'} {first.detail}"
        if any(fault.code == "duplicate_key" for fault in self._faults):
            return MalformedInput("duplicate_key", detail, errors=self._faults)
        return InvalidInput(self.code, detail, errors=self._faults)

    def raise_if_any(self) -> None:
        """Raise the refusal when anything was recorded."""
        if self._faults:
            raise self.refusal()
