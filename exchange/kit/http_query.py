"""Query strings: read into a struct under the same rules as bodies, every fault at once.

Faults point to `?name`, also where one of several values of a list is at fault: the value tells which. A
parameter given twice is a fault unless its type is a list; an unknown one is a fault; an integer is plain
decimal digits, a truth value is `true` or `false`. As with bodies, a correct query pays for no explanation.
"""

import re
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import inspect

from exchange.kit.errors import Faults, InvalidInput
from exchange.kit.http_faults import fill
from exchange.kit.http_kinds import JsonObject, info_of, unwrap
from exchange.kit.http_shape import check_bounded
from exchange.kit.http_walk import below, walk

T = TypeVar("T", bound=msgspec.Struct)


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a path that takes none."""


PARAMETERS_MAX: Final = 100
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_FRACTION: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)


@cache
def _fields_of(type_: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    check_bounded(type_)
    node = info_of(type_)
    if not isinstance(node, inspect.StructType):
        raise TypeError(f"{type_} is not a struct")
    return {field.encode_name: field.type for field in node.fields}


def _pairs(query: bytes, faults: Faults) -> list[tuple[str, str]]:
    pieces = [piece for piece in query.split(b"&") if piece]
    if len(pieces) > PARAMETERS_MAX:
        raise InvalidInput("invalid_query", f"a query may have at most {PARAMETERS_MAX} parameters")
    pairs = []
    for piece in pieces:
        name, _, value = (unquote_to_bytes(part.replace(b"+", b" ")) for part in piece.partition(b"="))
        try:
            pairs.append((name.decode(), value.decode()))
        except UnicodeDecodeError:
            faults.add(below("", name.decode(errors="replace")), "invalid_text", "must be valid UTF-8")
    return pairs


def value_of(text: str, node: inspect.Type) -> Any:
    """Return what the text means for its type; text without meaning stays text, which the type refuses."""
    node = unwrap(node)
    if isinstance(node, inspect.UnionType):
        return next((value for member in node.types if (value := value_of(text, member)) is not text), text)
    if isinstance(node, inspect.IntType) and _WHOLE.fullmatch(text):
        return int(text)
    if isinstance(node, inspect.FloatType) and _FRACTION.fullmatch(text):
        return float(text)
    if isinstance(node, inspect.BoolType) and text in {"true", "false"}:
        return text == "true"
    return text


def _item_of(node: inspect.Type) -> inspect.Type | None:
    """Return the item type when a parameter may be given several times."""
    node = unwrap(node)
    if isinstance(node, inspect.UnionType):
        return next((item for member in node.types if (item := _item_of(member)) is not None), None)
    return node.item_type if isinstance(node, inspect.CollectionType) else None


def decode_query(query: bytes, type_: type[T]) -> T:
    """Return a query string as `type_`, or raise `InvalidInput` (422, `invalid_query`) with all faults."""
    faults = Faults("invalid_query")
    value = decode_query_with_holes(query, type_, faults)
    faults.raise_if_any()
    return value


def decode_query_with_holes(query: bytes, type_: type[T], faults: Faults) -> T:
    """Return a query string as `type_`; faults go to `faults`, and a parameter at fault is `msgspec.UNSET`.

    For lists that check the others against the world: so a caller learns of a wrong limit and an unknown
    product in one answer.
    """
    fields = _fields_of(type_)
    found = Faults()
    values = JsonObject([])
    for name, text in _pairs(query, found):
        node = fields.get(name)
        item = None if node is None else _item_of(node)
        if item is not None:
            values.setdefault(name, []).append(value_of(text, item))
        elif name in values:
            found.add(below("", name), "repeated", "may be given once only", text)
        else:
            values[name] = text if node is None else value_of(text, node)
    if not found and b"\0" not in query and b"%00" not in query:
        try:
            return msgspec.convert(dict(values), type_)
        except msgspec.ValidationError:
            pass  # what is wrong is told by the walk
    walk(values, info_of(type_), "", found)
    for fault in found.faults:
        # A slash of the name itself is escaped.
        name = fault.pointer[1:].partition("/")[0].replace("~1", "/").replace("~0", "~")
        faults.extend([msgspec.structs.replace(fault, pointer=f"?{name}")])
    if found.full:  # which others are at fault is not known
        raise faults.refusal()
    if found:
        filled: T = fill(values, type_, found)
        return filled
    try:
        return msgspec.convert(values, type_)
    except msgspec.ValidationError as error:
        raise InvalidInput("invalid_query", str(error)) from None
