"""Input types examined once, when they are first used.

Every integer, text and list a caller may send must be bounded by its type, so that no number overflows a
column and no text grows to the size of the body. A type that forgets is a programmer's error.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from exchange.kit.http_kinds import info_of, is_supported, unwrap


def _bounds_missing(node: inspect.Type) -> Iterator[str]:
    if not is_supported(node):
        yield f"{type(node).__name__} is not a kind of input"
    if isinstance(node, inspect.IntType | inspect.FloatType):
        if (node.ge is None and node.gt is None) or (node.le is None and node.lt is None):
            yield "a number needs a lower and an upper bound"
    elif isinstance(node, inspect.StrType):
        if node.max_length is None and node.pattern is None:
            yield "a text needs max_length or a pattern"
        if node.pattern is not None and node.pattern.endswith("$"):
            yield "a bare '$' lets a line feed through at the end; build the pattern with kit.fields.exact"
    elif isinstance(node, inspect.CollectionType | inspect.DictType):
        if node.max_length is None:
            yield "a list or object needs max_length"
    elif isinstance(node, inspect.StructType) and not node.forbid_unknown_fields:
        yield "an input struct needs forbid_unknown_fields=True"


def _parts(node: inspect.Type, where: str) -> Iterator[tuple[str, inspect.Type]]:
    if isinstance(node, inspect.CollectionType):
        yield f"{where}[]", node.item_type
    elif isinstance(node, inspect.DictType):
        yield f"{where} keys", node.key_type
        yield f"{where} values", node.value_type
    elif isinstance(node, inspect.StructType):
        for field in node.fields:
            yield f"{node.cls.__name__}.{field.encode_name}", field.type


def _complaints(node: inspect.Type, where: str, seen: set[Any]) -> Iterator[str]:
    node = unwrap(node)
    if isinstance(node, inspect.UnionType):
        for member in node.types:
            yield from _complaints(member, where, seen)
        return
    if isinstance(node, inspect.StructType):
        if node.cls in seen:
            return
        seen.add(node.cls)
    yield from (f"{where}: {complaint}" for complaint in _bounds_missing(node))
    for inner_where, inner in _parts(node, where):
        yield from _complaints(inner, inner_where, seen)


def check_bounded(type_: Any) -> None:
    """Raise TypeError naming every part of an input type that is not bounded."""
    complaints = list(_complaints(info_of(type_), getattr(type_, "__name__", str(type_)), set()))
    if complaints:
        raise TypeError("; ".join(complaints))
