"""A JSON value beside its type: one fault for every rule it breaks.

Understands what msgspec's types say of themselves (`msgspec.inspect`): kinds, bounds, lengths, patterns, choices,
structs, lists, tagged unions. The words of a rule come from the type's bounds, or from its `Meta(description=...)`.
"""

import re
from typing import Any

from msgspec import inspect

from exchange.kit.errors import Faults
from exchange.kit.http_shape import description_of, unwrap


class HugeNumber(str):
    """A number too large for any field, kept as text."""

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


def below(pointer: str, part: str | int) -> str:
    """Return the JSON pointer of a member or item (RFC 6901 escapes)."""
    return f"{pointer}/{str(part)[:100].replace('~', '~0').replace('/', '~1')}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, HugeNumber)


def kind_of(value: object) -> str:
    """Name the JSON kind of a value in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float | HugeNumber):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, dict) else "an array"


def _expected(node: inspect.Type) -> str:
    """Name in words the JSON kind a type wants."""
    node = unwrap(node)
    if isinstance(node, inspect.UnionType):
        return " or ".join(dict.fromkeys(_expected(member) for member in node.types))
    if isinstance(node, inspect.EnumType | inspect.LiteralType):
        return "one of " + ", ".join(str(choice) for choice in choices_of(node))
    names: dict[type[inspect.Type], str] = {
        inspect.IntType: "a whole number",
        inspect.FloatType: "a number",
        inspect.BoolType: "true or false",
        inspect.NoneType: "null",
        inspect.StrType: "a string",
        inspect.StructType: "an object",
        inspect.DictType: "an object",
    }
    return names.get(type(node), "an array" if isinstance(node, inspect.CollectionType) else "another value")


def choices_of(node: inspect.EnumType | inspect.LiteralType) -> list[Any]:
    """Return the values an enum or literal type admits."""
    if isinstance(node, inspect.EnumType):
        return [member.value for member in node.cls]
    return list(node.values)


def _accepts(node: inspect.Type, value: object) -> bool:
    """Whether the JSON kind of a value is one this type can be made of."""
    node = unwrap(node)
    if isinstance(node, inspect.AnyType):
        return True
    if isinstance(node, inspect.IntType):
        return (isinstance(value, int) and not isinstance(value, bool)) or isinstance(value, HugeNumber)
    if isinstance(node, inspect.FloatType):
        return isinstance(value, int | float | HugeNumber) and not isinstance(value, bool)
    if isinstance(node, inspect.BoolType):
        return isinstance(value, bool)
    if isinstance(node, inspect.NoneType):
        return value is None
    if isinstance(node, inspect.StrType):
        return _is_text(value)
    if isinstance(node, inspect.StructType | inspect.DictType):
        return isinstance(value, dict)
    if isinstance(node, inspect.CollectionType):
        return isinstance(value, list)
    if isinstance(node, inspect.EnumType | inspect.LiteralType):
        return any(type(choice) is type(value) for choice in choices_of(node))
    return True


def _range_rule(node: inspect.IntType | inspect.FloatType) -> str:
    low = node.ge if node.ge is not None else node.gt
    high = node.le if node.le is not None else node.lt
    if low is not None and high is not None and node.gt is None and node.lt is None:
        return f"must be from {low} to {high}"
    rules = [
        f"{words} {bound}"
        for words, bound in (
            ("at least", node.ge),
            ("above", node.gt),
            ("at most", node.le),
            ("below", node.lt),
        )
        if bound is not None
    ]
    return "must be " + " and ".join(rules) if rules else "must be a finite number"


def _walk_number(value: Any, node: inspect.IntType | inspect.FloatType, pointer: str, faults: Faults) -> None:
    outside = isinstance(value, HugeNumber) or (
        (node.ge is not None and value < node.ge)
        or (node.gt is not None and value <= node.gt)
        or (node.le is not None and value > node.le)
        or (node.lt is not None and value >= node.lt)
    )
    if outside:
        faults.add(pointer, "out_of_range", _range_rule(node), value)
    elif node.multiple_of is not None and value % node.multiple_of:
        faults.add(pointer, "not_a_multiple", f"must be a multiple of {node.multiple_of}", value)


def _walk_text(value: str, node: inspect.StrType, rule: str, pointer: str, faults: Faults) -> None:
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        faults.add(pointer, "invalid_text", "must not hold NUL or half a surrogate pair", value)
    elif node.max_length is not None and len(value) > node.max_length:
        faults.add(pointer, "too_long", f"must have at most {node.max_length} characters", value)
    elif node.min_length is not None and len(value) < node.min_length:
        faults.add(pointer, "too_short", f"must have at least {node.min_length} characters", value)
    elif node.pattern is not None and not re.search(node.pattern, value):
        faults.add(pointer, "pattern", f"must be {rule}" if rule else f"must match {node.pattern}", value)


def _walk_list(value: list[Any], node: inspect.CollectionType, pointer: str, faults: Faults) -> None:
    if node.max_length is not None and len(value) > node.max_length:
        faults.add(pointer, "too_long", f"must have at most {node.max_length} items, has {len(value)}")
        return
    if node.min_length is not None and len(value) < node.min_length:
        faults.add(pointer, "too_short", f"must have at least {node.min_length} items, has {len(value)}")
    for index, item in enumerate(value):
        walk(item, node.item_type, below(pointer, index), faults)
        if faults.full:
            return


def _walk_object(value: dict[str, Any], node: inspect.StructType, pointer: str, faults: Faults) -> None:
    fields = {field.encode_name: field for field in node.fields}
    for name, field in fields.items():
        if name in value:
            walk(value[name], field.type, below(pointer, name), faults)
        elif field.required:
            faults.add(below(pointer, name), "required", "is required")
    for name in value:
        if name not in fields and name != node.tag_field and not faults.full:
            _check_doubled(value[name], below(pointer, name), faults)
            faults.add(below(pointer, name), "unknown_field", "is not a field of this request", value[name])


def _check_doubled(value: object, pointer: str, faults: Faults) -> None:
    """Report the doubled keys of a value whose type is not known."""
    if isinstance(value, JsonObject):
        for key in value.doubled:
            faults.add(below(pointer, key), "duplicate_key", "stands twice in the same object")
        for key, item in value.items():
            _check_doubled(item, below(pointer, key), faults)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_doubled(item, below(pointer, index), faults)


def _member_for(node: inspect.UnionType, value: object) -> inspect.Type | None:
    """Return the union's member that a value means to be, or None."""
    for member in node.types:
        inner = unwrap(member)
        if not _accepts(inner, value):
            continue
        if isinstance(inner, inspect.StructType) and inner.tag_field and isinstance(value, dict):
            if value.get(inner.tag_field) == inner.tag:
                return member
            continue
        return member
    return None


def walk(value: Any, node: inspect.Type, pointer: str, faults: Faults) -> None:
    """Record in `faults` every rule of the type `node` that `value` (at `pointer`) breaks."""
    if isinstance(value, JsonObject):
        for key in value.doubled:
            faults.add(below(pointer, key), "duplicate_key", "stands twice in the same object")
    rule = description_of(node)
    inner = unwrap(node)
    if isinstance(inner, inspect.UnionType):
        member = _member_for(inner, value)
        if member is None:
            faults.add(pointer, "wrong_type", f"must be {_expected(inner)}, not {kind_of(value)}", value)
        else:
            walk(value, member, pointer, faults)
    elif not _accepts(inner, value):
        faults.add(pointer, "wrong_type", f"must be {_expected(inner)}, not {kind_of(value)}", value)
    elif isinstance(inner, inspect.EnumType | inspect.LiteralType):
        if value not in choices_of(inner):
            faults.add(pointer, "not_one_of", f"must be {_expected(inner)}", value)
    elif isinstance(inner, inspect.IntType | inspect.FloatType):
        _walk_number(value, inner, pointer, faults)
    elif isinstance(inner, inspect.StrType):
        _walk_text(value, inner, rule, pointer, faults)
    elif isinstance(inner, inspect.CollectionType):
        _walk_list(value, inner, pointer, faults)
    elif isinstance(inner, inspect.StructType):
        _walk_object(value, inner, pointer, faults)
    elif isinstance(inner, inspect.DictType):
        for key, item in value.items():
            walk(key, inner.key_type, below(pointer, key), faults)
            walk(item, inner.value_type, below(pointer, key), faults)
