"""Bodies: bytes to a typed struct, or a refusal that names every fault at once.

The way in has two lanes. The fast lane reads the JSON once with msgspec, proves that no key was doubled, and
converts; nothing is decided there but "good". Whatever is not good is read again slowly by `http_faults`,
whose only job is to say everything that is wrong. So a correct request never pays for the explanations.

Doubled keys: outside its strings a JSON text has exactly one colon per object member, so the text has a
doubled key if and only if it has more such colons than the read value has members. A cheaper bound settles
most bodies.

Invariant: a value that leaves here satisfies its type's constraints, holds no NUL and no half surrogate pair
(which PostgreSQL's text refuses), and every integer in it is bounded, because `Decoder` refuses types with
unbounded ones.
"""

import re
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import inspect

from exchange.kit.errors import Faults, MalformedInput
from exchange.kit.http_faults import ITEM_FAULTS_MAX, Charge, collect, collect_each, collect_part
from exchange.kit.http_kinds import info_of, unwrap
from exchange.kit.http_shape import check_bounded

T = TypeVar("T")

_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_NUL: Final = b"\\u0000"

VALUES_MAX: Final = 60_000
"""More than 1 MiB of orders holds, with fifty vouchers each; reading a million slowly takes a second."""
_VALUES_COUNTED_FROM_BYTES: Final = 65_536


def _members(value: object) -> int:
    """Count the object members in a read JSON value, at all depths."""
    members = 0
    left: list[Any] = [value]
    while left:
        each = left.pop()
        if type(each) is dict:
            members += len(each)
            each = each.values()
        elif type(each) is not list:
            continue
        left += [part for part in each if type(part) is dict or type(part) is list]
    return members


def _keys_are_single(body: bytes, value: object) -> bool:
    """Whether no object of valid JSON text `body`, read as `value`, has a key twice."""
    members = None
    if b" :" not in body and b"\n:" not in body and b"\t:" not in body and b"\r:" not in body:
        # Every key is followed by '":' at once, so there are at least as many of these as keys, doubled ones
        # included, and at least as many keys as members. Where the ends are equal, no key is doubled.
        bound = body.count(b'":')
        if type(value) is dict and bound == len(value):
            return True
        members = _members(value)
        if bound == members:
            return True
    if b"\\" in body:
        body = _ESCAPE.sub(b"", body)
    colons = b"".join(body.split(b'"')[::2]).count(b":")
    return colons == (_members(value) if members is None else members)


def _check_size(body: bytes) -> None:
    """Raise `MalformedInput` where a long body may hold too many values, before any of it is read."""
    if len(body) <= _VALUES_COUNTED_FROM_BYTES:
        return
    if body.count(b",") + body.count(b"[") + body.count(b"{") <= VALUES_MAX:
        return
    try:
        msgspec.json.decode(body, type=msgspec.Raw)  # looks, and builds nothing
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError:
        return  # too deep, which is soon found and said
    raise MalformedInput("too_many_values", f"the body may hold at most {VALUES_MAX} values")


class Decoder(Generic[T]):
    """Reads bodies of one type. Building one costs a millisecond; reuse it (see `decoder_of`)."""

    __slots__ = ("type",)

    def __init__(self, type_: type[T]) -> None:
        check_bounded(type_)
        self.type = type_

    def decode(self, body: bytes) -> T:
        """Return `body` as the type, or raise `MalformedInput` (400) or `InvalidInput` (422)."""
        faults = Faults()
        value = self.decode_with_holes(body, faults)
        faults.raise_if_any()
        return value

    def decode_with_holes(self, body: bytes, faults: Faults) -> T:
        """Return `body` as the type; faults go to `faults`, and a field at fault is `msgspec.UNSET`.

        For use cases that check the remaining fields against the world, so that a caller learns of a missing
        price and an unknown product in one answer. Raises only when there is no object to speak of.
        """
        _check_size(body)
        found = self.decode_fast(body)
        return collect(body, self.type, faults) if found is None else found

    async def decode_each(
        self, body: bytes, name: str, faults: Faults, charge: Charge
    ) -> tuple[T, list[Faults]]:
        """Return `body` as the type, and for each item of its list `name` what is wrong with that alone.

        `faults` takes what is wrong around the items. An item at fault has holes, as in `decode_with_holes`,
        or is `msgspec.UNSET` as a whole, if it is no object. `ITEM_FAULTS_MAX` are looked for in one, and in
        all together so many that it is no work for others to wait for (`Telling`): then the first of each.
        `charge` is told how many items there are before any is explained, and raises where they are too many
        for who sends them.
        """
        _check_size(body)
        whole = self.decode_fast(body)
        if whole is not None:
            items = getattr(whole, name)
            await charge(len(items))
            return whole, [Faults(most=ITEM_FAULTS_MAX) for _ in items]
        return await collect_each(body, self.type, _item_type(self.type, name), name, faults, charge)

    def decode_part(self, body: bytes, name: str, faults: Faults) -> tuple[T, Faults]:
        """Return `body` as the type, and what is wrong with its member `name` alone, pointers from there.

        `faults` takes what is wrong around it. The member has holes where it is at fault, as in
        `decode_with_holes`, or is `msgspec.UNSET` as a whole.
        """
        _check_size(body)
        whole = self.decode_fast(body)
        if whole is not None:
            return whole, Faults()
        return collect_part(body, self.type, _part_type(self.type, name), name, faults)

    def decode_fast(self, body: bytes) -> T | None:
        """Take the fast lane: the type, or None where anything is wrong, of which nothing is told."""
        try:
            value: Any = msgspec.json.decode(body)
            if _NUL not in body and _keys_are_single(body, value):
                return msgspec.convert(value, self.type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        return None


def _field_type(type_: Any, name: str) -> inspect.Type | None:
    struct = info_of(type_)
    fields = struct.fields if isinstance(struct, inspect.StructType) else ()
    return next((unwrap(field.type) for field in fields if field.encode_name == name), None)


def _item_type(type_: Any, name: str) -> type[msgspec.Struct]:
    """Return the type of the items of a struct's list."""
    many = _field_type(type_, name)
    item = unwrap(many.item_type) if isinstance(many, inspect.ListType) else None
    if isinstance(item, inspect.StructType):
        return item.cls
    raise TypeError(f"{type_} has no list of structs named {name}")


def _part_type(type_: Any, name: str) -> type[msgspec.Struct]:
    """Return the type of a struct's member that is a struct."""
    part = _field_type(type_, name)
    if isinstance(part, inspect.StructType):
        return part.cls
    raise TypeError(f"{type_} has no struct named {name}")


_decoders: dict[Any, Decoder[Any]] = {}


def decoder_of(type_: type[T]) -> Decoder[T]:
    """Return the shared decoder of a type."""
    decoder: Decoder[T] | None = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders[type_] = Decoder(type_)
    return decoder


def decode(body: bytes, type_: type[T]) -> T:
    """Return `body` as `type_`, or raise a refusal that names every fault at once."""
    return decoder_of(type_).decode(body)
