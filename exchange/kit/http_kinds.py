"""The kinds of values an input may be made of: how to recognise one, and what to call it in a message.

Inputs are built of integers, numbers, truth values, texts, enums, literals, lists, string-keyed objects,
structs and unions of these. Anything else is refused when the application is built (`http_shape`).
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

info_of: Final[Callable[[Any], inspect.Type]] = cache(inspect.type_info)
"""What a type says of itself: far more work than reading a small request, and always the same."""

fields_of: Final[Callable[[type[msgspec.Struct]], tuple[msgspec.structs.FieldInfo, ...]]] = cache(
    msgspec.structs.fields
)
"""The fields of a struct, their types evaluated: likewise."""


class HugeNumber(str):
    """A number too large for any field, kept as the text it was sent as."""

    __slots__ = ()


class JsonObject(dict[str, Any]):
    """A JSON object that remembers which of its keys stood twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.doubled: list[str] = []
        if len(self) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen and key not in self.doubled:
                    self.doubled.append(key)
                seen.add(key)


def unwrap(node: inspect.Type) -> inspect.Type:
    """Return the type inside its metadata."""
    while isinstance(node, inspect.Metadata):
        node = node.type
    return node


def choices_of(node: inspect.Type) -> list[Any]:
    """Return the values an enum or literal type admits."""
    if isinstance(node, inspect.EnumType):
        return [member.value for member in node.cls]
    return list(node.values) if isinstance(node, inspect.LiteralType) else []


def _is_whole(_: inspect.Type, value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or isinstance(value, HugeNumber)


def _is_number(node: inspect.Type, value: object) -> bool:
    return isinstance(value, float) or _is_whole(node, value)


def _is_text(_: inspect.Type, value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, HugeNumber)


def _is_list(_: inspect.Type, value: object) -> bool:
    return isinstance(value, list)


def _is_object(_: inspect.Type, value: object) -> bool:
    return isinstance(value, dict)


def _is_like_a_choice(node: inspect.Type, value: object) -> bool:
    return any(type(choice) is type(value) for choice in choices_of(node))


_KINDS: Final[dict[type[inspect.Type], tuple[str, Callable[[inspect.Type, object], bool]]]] = {
    inspect.IntType: ("a whole number", _is_whole),
    inspect.FloatType: ("a number", _is_number),
    inspect.BoolType: ("true or false", lambda _, value: isinstance(value, bool)),
    inspect.NoneType: ("null", lambda _, value: value is None),
    inspect.StrType: ("a string", _is_text),
    inspect.ListType: ("an array", _is_list),
    inspect.VarTupleType: ("an array", _is_list),
    inspect.SetType: ("an array", _is_list),
    inspect.FrozenSetType: ("an array", _is_list),
    inspect.DictType: ("an object", _is_object),
    inspect.StructType: ("an object", _is_object),
    inspect.EnumType: ("one of", _is_like_a_choice),
    inspect.LiteralType: ("one of", _is_like_a_choice),
}


def is_supported(node: inspect.Type) -> bool:
    """Whether an input may be made of this kind of type (unions are looked into, not asked about)."""
    return type(node) in _KINDS


def accepts(node: inspect.Type, value: object) -> bool:
    """Whether a value is of the JSON kind that this type, not a union, is made of."""
    return _KINDS[type(node)][1](node, value)


def expected(node: inspect.Type) -> str:
    """Name in words what a type wants."""
    node = unwrap(node)
    if isinstance(node, inspect.UnionType):
        return " or ".join(dict.fromkeys(expected(member) for member in node.types))
    choices = choices_of(node)
    return f"one of {', '.join(str(choice) for choice in choices)}" if choices else _KINDS[type(node)][0]


def kind_of(value: object) -> str:
    """Name the JSON kind of a value in words."""
    if isinstance(value, HugeNumber):
        return "a number"
    names: dict[type[Any], str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a string",
    }
    if value is None:
        return "null"
    return names.get(type(value), "an object" if isinstance(value, dict) else "an array")
