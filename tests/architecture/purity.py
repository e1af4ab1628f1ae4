"""What code that must be deterministic may not contain; see `faults`.

Known limit: a set is known by its annotation or by what is assigned, in the same file. One that comes in from
another file as an untyped value is not seen.
"""

import ast
from collections.abc import Iterator

from tests.architecture.source import dotted

# fmt: off
ALLOWED_IMPORTS = frozenset({
    "__future__", "abc", "bisect", "collections", "dataclasses", "enum", "functools", "heapq", "itertools",
    "matching", "msgspec", "operator", "types", "typing",
})
FORBIDDEN_NAMES = frozenset({
    "open", "print", "input", "hash", "id", "float", "complex", "eval", "exec", "globals", "vars",
    "breakpoint", "__import__",
})
# fmt: on
SET_TYPES = frozenset({"set", "frozenset", "AbstractSet", "MutableSet", "Set"})
ORDER_TAKERS = frozenset(
    {"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "next", "deque"}
)


def faults(tree: ast.Module) -> Iterator[str]:
    """Yield what depends on the world, on the run, or on rounding: one line each, with its line number."""
    sets = _names_of_sets(tree)
    for node in ast.walk(tree):
        for said in (_import_fault(node), _number_fault(node), _name_fault(node), _order_fault(node, sets)):
            if said:
                yield f"{getattr(node, 'lineno', '?')}: {said}"


def _import_fault(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        modules = [node.module or "matching"]
    else:
        return None
    bad = [module for module in modules if module.partition(".")[0] not in ALLOWED_IMPORTS]
    return f"imports {', '.join(bad)}" if bad else None


def _number_fault(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
        return f"the number {node.value} is not an integer"
    if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
        return "true division makes a float"
    return None


def _name_fault(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in FORBIDDEN_NAMES:
        return f"uses {node.id}"
    if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
        return "is asynchronous"
    return None


def _order_fault(node: ast.AST, sets: frozenset[str]) -> str | None:
    """Find where the order of a set's elements, which differs between runs, could matter."""
    iterated: list[ast.AST] = []
    if isinstance(node, ast.For | ast.comprehension):
        iterated = [node.iter]
    elif isinstance(node, ast.Starred):
        iterated = [node.value]
    elif isinstance(node, ast.Call) and dotted(node.func) in ORDER_TAKERS:
        iterated = list(node.args)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "pop":
        iterated = [] if node.args else [node.func.value]
    return "takes a set in its own order" if any(_is_set(value, sets) for value in iterated) else None


def _is_set(node: ast.AST, sets: frozenset[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        return dotted(node.func) in {"set", "frozenset"}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left, sets) or _is_set(node.right, sets)
    return dotted(node).rpartition(".")[2] in sets if dotted(node) else False


def _names_of_sets(tree: ast.Module) -> frozenset[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and _is_set_type(node.annotation):
            names.add(dotted(node.target).rpartition(".")[2])
        elif isinstance(node, ast.arg) and node.annotation is not None and _is_set_type(node.annotation):
            names.add(node.arg)
        elif isinstance(node, ast.Assign) and _is_set(node.value, frozenset()):
            names.update(dotted(target).rpartition(".")[2] for target in node.targets)
    return frozenset(names - {""})


def _is_set_type(annotation: ast.AST) -> bool:
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return dotted(outer).rpartition(".")[2] in SET_TYPES
