"""The slow lane of `http_decode`: all that is wrong with a body, each fault with pointer, rule and value.

Reads the text again with the standard library, which can report doubled keys and keep numbers too large for
any field, and walks it beside the type. It is never entered for a correct body. Should the walk find nothing
although the fast lane refused, msgspec's own message is used: a bad body is refused even if our explanation
were incomplete.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from exchange.kit.errors import Faults, MalformedInput
from exchange.kit.http_kinds import HugeNumber, JsonObject, fields_of, info_of
from exchange.kit.http_walk import below, items_around, walk, walk_around
from exchange.kit.tasks import ITEMS_AT_ONCE

T = TypeVar("T")
Charge = Callable[[int], Awaitable[None]]
"""Counts so many items against the budgets of who sends them; raises `RateLimited`."""

DEPTH_MAX: Final = 32
"""Deepest nesting of arrays and objects; no request of this exchange needs more than six."""

_NUMBER_CHARACTERS_MAX: Final = 40

ITEM_FAULTS_MAX: Final = 20
"""So many faults of one of many things are told, else an answer could be much larger than its request."""
EACH_FAULTS_MAX: Final = 5_000
"""So many faults of all of them are told together, and beyond these the first of each."""


class Telling:
    """Counts down how many faults of each of many things are told: however many came before, its first is."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = EACH_FAULTS_MAX

    @property
    def most(self) -> int:
        """So many may be told of the next thing."""
        return max(1, min(self._left, ITEM_FAULTS_MAX))

    def count(self, faults: int) -> None:
        """Note that so many are told of it."""
        self._left -= faults


def _number(text: str) -> int | HugeNumber:
    return int(text) if len(text) <= _NUMBER_CHARACTERS_MAX else HugeNumber(text)


def _fraction(text: str) -> float | HugeNumber:
    value = float(text)
    return value if math.isfinite(value) else HugeNumber(text)


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedInput("not_json", f"{name} is not JSON; numbers must be finite")


def _depth_is_bounded(value: object) -> bool:
    """Whether arrays and objects nest at most `DEPTH_MAX` deep; walks without recursion."""
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [
            item
            for holder in level
            for item in (
                holder.values() if isinstance(holder, dict) else holder if isinstance(holder, list) else ()
            )
        ]
        if not level:
            return True
    return False


def read_json(body: bytes) -> Any:
    """Return the JSON value with doubled keys and oversized numbers marked, or raise `MalformedInput`."""
    if not body.strip():
        raise MalformedInput("not_json", "the body is empty; send a JSON object")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedInput(
            "invalid_encoding", f"the body is not valid UTF-8: byte {error.start} cannot be read"
        ) from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=JsonObject,
            parse_int=_number,
            parse_float=_fraction,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise MalformedInput(
            "not_json", f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        value = None
    else:
        if _depth_is_bounded(value):
            return value
    raise MalformedInput("too_deep", f"arrays and objects may nest at most {DEPTH_MAX} deep")


def fill(value: JsonObject, type_: Any, faults: Faults) -> Any:
    """Build the struct of the fields that are right, `UNSET` where one is at fault (a pointer `/name...`)."""
    at_fault = {fault.pointer.split("/")[1] for fault in faults.faults}
    if faults.full:
        at_fault |= _fields_at_fault(value, type_)
    known: dict[str, Any] = {}
    for field in fields_of(type_):
        if field.encode_name in at_fault or (field.required and field.encode_name not in value):
            known[field.name] = msgspec.UNSET
        elif field.encode_name in value:
            known[field.name] = msgspec.convert(value[field.encode_name], field.type)
    return type_(**known)


def _fields_at_fault(value: JsonObject, type_: Any) -> set[str]:
    """Return the fields at fault, each looked at up to its first: for where not all that is wrong is told."""
    at_fault = set(value.doubled)
    for field in fields_of(type_):
        if field.encode_name in value:
            first = Faults(most=1)
            walk(value[field.encode_name], info_of(field.type), "", first)
            if first:
                at_fault.add(field.encode_name)
    return at_fault


def collect(body: bytes, type_: type[T], faults: Faults) -> T:
    """Read a body that the fast lane did not take, recording every fault; see `Decoder.decode_with_holes`."""
    value = read_json(body)
    found = Faults()
    walk(value, info_of(type_), "", found)
    if not found:
        try:
            return msgspec.convert(value, type_)
        except msgspec.ValidationError as error:
            found.add("", "wrong_type", str(error))
    faults.extend(found.faults)
    if not isinstance(value, JsonObject) or "" in found or found.full:
        raise faults.refusal()
    filled: T = fill(value, type_, found)
    return filled


async def collect_each(
    body: bytes, type_: type[T], item_type: type[msgspec.Struct], name: str, faults: Faults, charge: Charge
) -> tuple[T, list[Faults]]:
    """Read a body of many things that the fast lane did not take; see `Decoder.decode_each`."""
    value = read_json(body)
    items = items_around(value, info_of(type_), name, faults)
    await charge(len(items))
    is_escaped = b"\\u" in body  # once: to look through a long body again for each is most of the work
    read: list[Any] = []
    each: list[Faults] = []
    telling = Telling()
    for place, item in enumerate(items, 1):
        found = Faults(most=telling.most)
        read.append(collect_item(item, item_type, found, is_escaped=is_escaped))
        each.append(found)
        telling.count(len(found))
        if place % ITEMS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return _around(value, type_, name, read, faults), each


def collect_part(
    body: bytes, type_: type[T], part_type: type[msgspec.Struct], name: str, faults: Faults
) -> tuple[T, Faults]:
    """Read a body around one thing that the fast lane did not take; see `Decoder.decode_part`."""
    value = read_json(body)
    found = Faults()
    part = walk_around(value, info_of(type_), name, faults)
    if part is not msgspec.UNSET:
        part = collect_item(part, part_type, found, is_escaped=b"\\u" in body)
        if "" in found:  # it is no object: then that is wrong with what is around it
            faults.extend(
                msgspec.structs.replace(fault, pointer=below("", name) + fault.pointer)
                for fault in found.faults
            )
            found = Faults()
    return _around(value, type_, name, part, faults), found


def _around(value: Any, type_: type[T], name: str, inner: Any, faults: Faults) -> T:
    """Return what holds `inner` as its member `name`, which was read apart."""
    if not isinstance(value, JsonObject):
        raise faults.refusal()
    rest = JsonObject([(key, each) for key, each in value.items() if key != name])
    filled: T = msgspec.structs.replace(fill(rest, type_, faults), **{name: inner})
    return filled


def collect_item(value: Any, type_: type[msgspec.Struct], found: Faults, *, is_escaped: bool) -> Any:
    """Read one of many: with holes where it is at fault, or `UNSET` where it is no object at all.

    `found` is empty, and takes what is wrong with it. Texts that no column can hold come as escapes
    (`is_escaped`), and converting does not see them.
    """
    is_object = isinstance(value, JsonObject)
    if is_object and not value.doubled and not is_escaped:
        try:
            return msgspec.convert(value, type_)
        except msgspec.ValidationError:
            pass
    walk(value, info_of(type_), "", found)
    if not found:
        try:
            return msgspec.convert(value, type_)
        except msgspec.ValidationError as error:
            found.add("", "wrong_type", str(error))
    if not is_object or "" in found:
        return msgspec.UNSET
    return fill(value, type_, found)
