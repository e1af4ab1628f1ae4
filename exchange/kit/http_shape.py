"""Input types examined once, when the application is built.

Every integer and every text a caller may send must be bounded by its type, so that no number overflows a column and
no text grows to the size of the body. A type that forgets is a programmer's error and stops the application.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import inspect


def unwrap(node: inspect.Type) -> inspect.Type:
    """Return the type inside its metadata."""
    while isinstance(node, inspect.Metadata):
        node = node.type
    return node


def description_of(node: inspect.Type) -> str:
    """Return the rule in words that `Meta(description=...)` gave the type, or an empty text."""
    if isinstance(node, inspect.Metadata):
        return str((node.extra_json_schema or {}).get("description", ""))
    return ""


def _unbounded(node: inspect.Type, where: str, seen: set[Any]) -> Iterator[str]:
    node = unwrap(node)
    if isinstance(node, inspect.IntType):
        if (node.ge is None and node.gt is None) or (node.le is None and node.lt is None):
            yield f"{where}: an integer needs a lower and an upper bound"
    elif isinstance(node, inspect.StrType):
        if node.max_length is None and node.pattern is None:
            yield f"{where}: a text needs max_length or a pattern"
        if node.pattern is not None and node.pattern.endswith("$"):
            yield f"{where}: '$' lets a line feed through at the end; build the pattern with kit.fields.exact"
    elif isinstance(node, inspect.CollectionType):
        if node.max_length is None:
            yield f"{where}: a list needs max_length"
        yield from _unbounded(node.item_type, f"{where}[]", seen)
    elif isinstance(node, inspect.DictType):
        yield from _unbounded(node.key_type, f"{where} keys", seen)
        yield from _unbounded(node.value_type, f"{where} values", seen)
    elif isinstance(node, inspect.UnionType):
        for member in node.types:
            yield from _unbounded(member, where, seen)
    elif isinstance(node, inspect.StructType) and node.cls not in seen:
        seen.add(node.cls)
        if not node.forbid_unknown_fields:
            yield f"{node.cls.__name__}: an input struct needs forbid_unknown_fields=True"
        for field in node.fields:
            yield from _unbounded(field.type, f"{node.cls.__name__}.{field.encode_name}", seen)


def check_bounded(type_: Any) -> None:
    """Raise TypeError naming every part of an input type that is not bounded."""
    complaints = list(_unbounded(inspect.type_info(type_), getattr(type_, "__name__", str(type_)), set()))
    if complaints:
        raise TypeError("; ".join(complaints))
