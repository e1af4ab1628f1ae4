"""The project's own files and their syntax trees, for tests of the tree itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_OURS = frozenset({".git", ".venv", "var", "__pycache__", "node_modules", "build", "dist"})


def files(*folders: str, suffix: str = "") -> Iterator[Path]:
    """Yield the files below folders of the checkout, or below all of it, whose name ends so."""
    for top in folders or (".",):
        for path in sorted((ROOT / top).rglob(f"*{suffix}")):
            parts = path.relative_to(ROOT).parts
            hidden = any(part.startswith(".") and part.endswith("_cache") for part in parts)
            ours = not NOT_OURS.intersection(parts) and not hidden and ".hypothesis" not in parts
            if path.is_file() and ours and not any(part.endswith(".egg-info") for part in parts):
                yield path


def trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield each Python file below folders: its path from the checkout, and its syntax tree."""
    for path in files(*folders, suffix=".py"):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for such an expression, and the empty string for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""
