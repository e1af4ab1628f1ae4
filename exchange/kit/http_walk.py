"""A JSON value beside its type: one fault for every rule it breaks.

Reads what msgspec's types say of themselves (`msgspec.inspect`). The words of a rule come from the type's
bounds, or from its `Meta(description=...)`.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import inspect

from exchange.kit.errors import Faults
from exchange.kit.http_kinds import HugeNumber, JsonObject, accepts, choices_of, expected, kind_of, unwrap

_PART_CHARACTERS_MAX: Final = 100


def below(pointer: str, part: str | int) -> str:
    """Return the JSON pointer of a member or item (RFC 6901 escapes); long names are cut."""
    name = str(part)[:_PART_CHARACTERS_MAX].encode("utf-8", "replace").decode()
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"


def walk(value: Any, node: inspect.Type, pointer: str, faults: Faults) -> None:
    """Record in `faults` every rule of the type `node` that `value`, which stands at `pointer`, breaks."""
    if faults.full:
        return
    _report_doubled(value, pointer, faults)
    bare = unwrap(node)
    if isinstance(bare, inspect.UnionType):
        member = _member_for(bare, value)
        if member is not None:
            walk(value, member, pointer, faults)
            return
    elif accepts(bare, value):
        if check := _CHECKS.get(type(bare)):
            check(value, bare, pointer, faults)
        if isinstance(bare, inspect.StrType):
            _check_pattern(value, bare, _words_of(node), pointer, faults)
        return
    faults.add(pointer, "wrong_type", f"must be {expected(bare)}, not {kind_of(value)}", value)


def walk_around(value: Any, node: inspect.Type, name: str, faults: Faults) -> Any:
    """Walk an object, but for its member `name`, and return that; `msgspec.UNSET` where there is none.

    For bodies that hold things which are judged, or have an outcome, of their own.
    """
    struct = unwrap(node)
    if not isinstance(struct, inspect.StructType):
        raise TypeError(f"{node} is not a struct")
    if not accepts(struct, value):
        faults.add("", "wrong_type", f"must be {expected(struct)}, not {kind_of(value)}", value)
        return msgspec.UNSET
    _report_doubled(value, "", faults)
    others = tuple(field for field in struct.fields if field.encode_name != name)
    rest = {key: item for key, item in value.items() if key != name}
    _check_struct(rest, msgspec.structs.replace(struct, fields=others), "", faults)
    if name not in value:
        faults.add(below("", name), "required", "is required")
        return msgspec.UNSET
    return value[name]


def items_around(value: Any, node: inspect.Type, name: str, faults: Faults) -> list[Any]:
    """Walk an object, but for the items of its list `name`, and return those; none where it is no list."""
    many = walk_around(value, node, name, faults)
    if many is msgspec.UNSET:
        return []
    pointer = below("", name)
    struct = unwrap(node)
    [type_] = (unwrap(field.type) for field in getattr(struct, "fields", ()) if field.encode_name == name)
    if not isinstance(type_, inspect.ListType):
        raise TypeError(f"{name} of {node} is not a list")
    if not accepts(type_, many):
        faults.add(pointer, "wrong_type", f"must be {expected(type_)}, not {kind_of(many)}", many)
        return []
    return many if _check_count(len(many), type_, pointer, faults) else []


def _words_of(node: inspect.Type) -> str:
    """Return the rule in words that `Meta(description=...)` gave the type, or an empty text."""
    return (
        str((node.extra_json_schema or {}).get("description", ""))
        if isinstance(node, inspect.Metadata)
        else ""
    )


def _member_for(node: inspect.UnionType, value: Any) -> inspect.Type | None:
    """Return the member of a union that a value means to be, or None."""
    for member in node.types:
        bare = unwrap(member)
        if accepts(bare, value):
            tag_field = bare.tag_field if isinstance(bare, inspect.StructType) else None
            if tag_field is None or value.get(tag_field) == getattr(bare, "tag", None):
                return member
    return None


def _report_doubled(value: object, pointer: str, faults: Faults) -> None:
    if isinstance(value, JsonObject):
        for key in value.doubled:
            faults.add(below(pointer, key), "duplicate_key", "stands twice in the same object")


def _report_doubled_within(value: object, pointer: str, faults: Faults) -> None:
    """Report doubled keys at every depth of a value that no field wants."""
    _report_doubled(value, pointer, faults)
    if isinstance(value, dict):
        for key, item in value.items():
            _report_doubled_within(item, below(pointer, key), faults)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _report_doubled_within(item, below(pointer, index), faults)


def _range_rule(node: inspect.IntType | inspect.FloatType) -> str:
    if node.ge is not None and node.le is not None:
        return f"must be from {node.ge} to {node.le}"
    bounds = (("at least", node.ge), ("above", node.gt), ("at most", node.le), ("below", node.lt))
    return "must be " + " and ".join(f"{words} {bound}" for words, bound in bounds if bound is not None)


def _check_number(
    value: Any, node: inspect.IntType | inspect.FloatType, pointer: str, faults: Faults
) -> None:
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


def _check_text(value: str, node: inspect.StrType, pointer: str, faults: Faults) -> None:
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        faults.add(pointer, "invalid_text", "must not hold NUL or half a surrogate pair", value)
    elif node.max_length is not None and len(value) > node.max_length:
        faults.add(pointer, "too_long", f"must have at most {node.max_length} characters", value)
    elif node.min_length is not None and len(value) < node.min_length:
        faults.add(pointer, "too_short", f"must have at least {node.min_length} characters", value)


def _check_pattern(value: str, node: inspect.StrType, words: str, pointer: str, faults: Faults) -> None:
    if node.pattern is not None and pointer not in faults and not re.search(node.pattern, value):
        faults.add(pointer, "pattern", f"must be {words}" if words else f"must match {node.pattern}", value)


def _check_choice(value: Any, node: inspect.Type, pointer: str, faults: Faults) -> None:
    if not any(value == choice and type(value) is type(choice) for choice in choices_of(node)):
        faults.add(pointer, "not_one_of", f"must be {expected(node)}", value)


def _check_count(count: int, node: Any, pointer: str, faults: Faults) -> bool:
    """Record a wrong number of items; return whether looking at the items is worth it."""
    if node.max_length is not None and count > node.max_length:
        faults.add(pointer, "too_long", f"must have at most {node.max_length} items, not {count}")
        return False
    if node.min_length and count < node.min_length:
        faults.add(pointer, "too_short", f"must have at least {node.min_length} items, not {count}")
    return True


def _check_list(value: list[Any], node: inspect.CollectionType, pointer: str, faults: Faults) -> None:
    if _check_count(len(value), node, pointer, faults):
        for index, item in enumerate(value):
            walk(item, node.item_type, below(pointer, index), faults)


def _check_map(value: dict[str, Any], node: inspect.DictType, pointer: str, faults: Faults) -> None:
    if _check_count(len(value), node, pointer, faults):
        for key, item in value.items():
            walk(key, node.key_type, below(pointer, key), faults)
            walk(item, node.value_type, below(pointer, key), faults)


def _check_struct(value: dict[str, Any], node: inspect.StructType, pointer: str, faults: Faults) -> None:
    fields = {field.encode_name: field for field in node.fields}
    for name, field in fields.items():
        if name in value:
            walk(value[name], field.type, below(pointer, name), faults)
        elif field.required:
            faults.add(below(pointer, name), "required", "is required")
    for name, item in value.items():
        if name not in fields and name != node.tag_field and not faults.full:
            _report_doubled_within(item, below(pointer, name), faults)
            faults.add(below(pointer, name), "unknown_field", "is not a field of this request", item)


_CHECKS: Final[dict[type[inspect.Type], Callable[[Any, Any, str, Faults], None]]] = {
    inspect.IntType: _check_number,
    inspect.FloatType: _check_number,
    inspect.StrType: _check_text,
    inspect.EnumType: _check_choice,
    inspect.LiteralType: _check_choice,
    inspect.ListType: _check_list,
    inspect.VarTupleType: _check_list,
    inspect.SetType: _check_list,
    inspect.FrozenSetType: _check_list,
    inspect.DictType: _check_map,
    inspect.StructType: _check_struct,
}
