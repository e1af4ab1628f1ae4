"""Requests and their outcomes as bytes, between gateways and engines of one version. MessagePack.

A request's product goes as its id, its participant whole: the facts it was judged by. Masks go as text,
because they have as many bits as there are versions of programmes. The money of an order stays where it is:
what it sets aside goes with its outcome.

Invariants: what is read is what was written (a property test). Each request is read by itself, so that one
that cannot be, as it names an unknown product, takes no other with it. What cannot be read raises
`Unreadable` and nothing else: an engine that fell over an entry would find it again after its restart.
An entry names the form that it is written in, which is a hash of all that its structs are made of: nobody
reads what was written by another version, in which a field may be missing or mean something else.
"""

from __future__ import annotations

from hashlib import sha256
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Union

import msgspec
from msgspec.structs import fields

from exchange.kit import errors
from exchange.kit.errors import Fault, Refusal
from exchange.kit.errors import Outcome as Applied
from exchange.orders import outcomes
from exchange.orders.models import (
    AmendRequest,
    CancelAllRequest,
    CancelRequest,
    LiveOrder,
    PhaseRequest,
    PlaceRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exchange.orders.models import Request
    from exchange.orders.outcomes import Outcome
    from exchange.products.models import ProductSpec

REFUSALS: Final = {
    kind.__name__: kind
    for kind in vars(errors).values()
    # One with a constructor of its own always says the same, and no partition says it.
    if isinstance(kind, type)
    and issubclass(kind, Refusal)
    and (kind is Refusal or "__init__" not in vars(kind))
}
"""The refusals that an outcome may hold, by name."""


class Unreadable(ValueError):
    """Bytes that nobody of this version wrote."""


class Letters(msgspec.Struct, array_like=True, frozen=True):
    """Requests of a gateway that go as one entry: each with the number under which it waits there."""

    form: str
    gateway: str
    requests: list[tuple[int, msgspec.Raw]]

    @property
    def is_readable(self) -> bool:
        """Whether this version wrote them."""
        return self.form == FORM


class _Field(NamedTuple):
    """A field that is written otherwise than it stands in memory."""

    kind: Any
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


class _Form:
    """How a struct is written: as an array of its tag and its fields, without those that are left out."""

    def __init__(self, kind: Any, tag: str, *, left_out: Sequence[str] = (), **otherwise: _Field) -> None:
        known = [each for each in fields(kind) if each.name not in left_out]
        kinds = {name: field.kind for name, field in otherwise.items()}
        self.kind = kind
        self.wire: Any = msgspec.defstruct(
            f"{kind.__name__}Wire",
            [(each.name, kinds.get(each.name, each.type)) for each in known],
            tag=tag,
            array_like=True,
            frozen=True,
        )
        self.names = [each.name for each in known]
        self._otherwise = [(self.names.index(name), name, field) for name, field in otherwise.items()]

    def write(self, value: Any) -> Any:
        """Return what to encode for a value."""
        values = [getattr(value, name) for name in self.names]
        for place, _, field in self._otherwise:
            values[place] = field.write(values[place])
        return self.wire(*values)

    def read(self, wire: Any, **given: Any) -> Any:
        """Return the value that was written, with `given` fields."""
        values = {name: getattr(wire, name) for name in self.names}
        for _, name, field in self._otherwise:
            values[name] = field.read(values[name])
        return self.kind(**(values | given))


def _same(value: Any) -> Any:
    return value


def _read_mask(text: str) -> int:
    return int(text, 16)


def _write_refusal(refusal: Refusal) -> Any:
    return _RefusalWire(
        type(refusal).__name__,
        refusal.code,
        refusal.detail,
        refusal.errors,
        refusal.retryable,
        refusal.outcome,
        refusal.headers,
    )


def _read_refusal(wire: _RefusalWire) -> Refusal:
    return REFUSALS[wire.kind](
        wire.code,
        wire.detail,
        errors=wire.errors,
        retryable=wire.retryable,
        outcome=wire.outcome,
        headers=wire.headers,
    )


class _RefusalWire(msgspec.Struct, array_like=True, frozen=True):
    kind: str
    code: str
    detail: str
    errors: tuple[Fault, ...]
    retryable: bool
    outcome: Applied
    headers: dict[str, str]


_MASK: Final = _Field(str, "{:x}".format, _read_mask)
_PRODUCT: Final = _Field(str, attrgetter("id"), _same)
_ORDER: Final = _Form(LiveOrder, "order", left_out=("funded",), is_mask=_MASK)
_AN_ORDER: Final = _Field(_ORDER.wire, _ORDER.write, _ORDER.read)
_PERHAPS_AN_ORDER: Final = _Field(
    _ORDER.wire | None,
    lambda order: None if order is None else _ORDER.write(order),
    lambda wire: None if wire is None else _ORDER.read(wire),
)
_WITHDRAWN: Final = _Form(outcomes.Withdrawn, "withdrawn", order=_AN_ORDER)
_ALL_WITHDRAWN: Final = _Field(
    list[_WITHDRAWN.wire],  # type: ignore[name-defined]  # made above
    lambda withdrawn: [_WITHDRAWN.write(each) for each in withdrawn],
    lambda wires: [_WITHDRAWN.read(wire) for wire in wires],
)

_REQUESTS: Final = (
    _Form(PlaceRequest, "place", product=_PRODUCT, is_mask=_MASK, needs_mask=_MASK),
    _Form(CancelRequest, "cancel"),
    _Form(CancelAllRequest, "cancel_all"),
    _Form(AmendRequest, "amend", product=_PRODUCT, is_mask=_MASK),
    _Form(PhaseRequest, "phase"),
)
_OUTCOMES: Final = (
    _Form(outcomes.Placed, "placed", order=_AN_ORDER),
    _Form(outcomes.Duplicate, "duplicate"),
    _Form(outcomes.Cancelled, "cancelled", order=_PERHAPS_AN_ORDER),
    _Form(outcomes.AllCancelled, "all_cancelled", withdrawn=_ALL_WITHDRAWN),
    _Form(outcomes.Amended, "amended", order=_AN_ORDER),
    _Form(outcomes.AmendedBefore, "amended_before"),
    _Form(outcomes.Refused, "refused", refusal=_Field(_RefusalWire, _write_refusal, _read_refusal)),
    _Form(outcomes.PhaseSet, "phase_set"),
)
_FORMS: Final = {form.kind: form for form in (*_REQUESTS, *_OUTCOMES)} | {
    form.wire: form for form in (*_REQUESTS, *_OUTCOMES)
}

_Request: Any = Union[tuple(form.wire for form in _REQUESTS)]  # noqa: UP007 - of many
_Outcome: Any = Union[tuple(form.wire for form in _OUTCOMES)]  # noqa: UP007 - as above
_NAMES: Final = [form.names for form in (*_REQUESTS, _ORDER, _WITHDRAWN, *_OUTCOMES)]
_SCHEMA: Final = msgspec.json.schema_components([_Request, _Outcome])
FORM: Final = sha256(msgspec.json.encode((_NAMES, _SCHEMA))).hexdigest()[:16]
"""What everything here is written in."""


class _Answers(msgspec.Struct, array_like=True, frozen=True):
    form: str
    answers: msgspec.Raw


_encoder: Final = msgspec.msgpack.Encoder()
_letters: Final = msgspec.msgpack.Decoder(Letters)
_request: Final = msgspec.msgpack.Decoder(_Request)
_envelope: Final = msgspec.msgpack.Decoder(_Answers)
_answers: Final = msgspec.msgpack.Decoder(list[tuple[int, _Outcome]])


def write_request(request: Request) -> msgspec.Raw:
    """Return a request's bytes, to be put among others by `write_letters`."""
    return msgspec.Raw(_encoder.encode(_FORMS[type(request)].write(request)))


def write_letters(gateway: str, requests: list[tuple[int, msgspec.Raw]]) -> bytes:
    """Return a gateway's requests, each under its number, as one entry of an intake stream."""
    return _encoder.encode(Letters(FORM, gateway, requests))


def read_letters(data: bytes) -> Letters:
    """Read an entry of an intake stream; raises `Unreadable`."""
    try:
        return _letters.decode(data)
    except Exception as error:
        raise Unreadable(str(error)) from error


def read_request(raw: msgspec.Raw, products: Mapping[str, ProductSpec]) -> Request:
    """Read a request of an entry; raises `Unreadable`, also where it names a product that is not there."""
    try:
        wire = _request.decode(raw)
        given = {"product": products[wire.product]} if hasattr(wire, "product") else {}
        read: Request = _FORMS[type(wire)].read(wire, **given)
    except Exception as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    return read


def write_answers(answers: Sequence[tuple[int, Outcome]]) -> bytes:
    """Return outcomes, each under its request's number, as one entry of a gateway's stream.

    Raises whatever it meets where one of them cannot be written.
    """
    written = [(number, _FORMS[type(outcome)].write(outcome)) for number, outcome in answers]
    return _encoder.encode(_Answers(FORM, msgspec.Raw(_encoder.encode(written))))


def read_answers(data: bytes) -> list[tuple[int, Outcome]]:
    """Read an entry of a gateway's stream; raises `Unreadable`."""
    try:
        envelope = _envelope.decode(data)
        wires = _answers.decode(envelope.answers) if envelope.form == FORM else None
        answers = (
            None if wires is None else [(number, _FORMS[type(wire)].read(wire)) for number, wire in wires]
        )
    except Exception as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    if answers is None:
        raise Unreadable("they are of another version")
    return answers
