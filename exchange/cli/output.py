"""What commands write to standard output: JSON, one value a line, or a table for people."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table

T = TypeVar("T")


def write_json(value: Any) -> None:
    """Write one value as one line of JSON."""
    click.echo(msgspec.json.encode(value))


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table; on a pipe it is as wide as its text, so nothing is cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 400
    console.print(table)


def write_list(
    found: Iterable[T], columns: Sequence[str], row: Callable[[T], Sequence[object]], *, as_json: bool
) -> None:
    """Write each of a list as a line of JSON, or all as a table."""
    if as_json:
        for each in found:
            write_json(each)
    else:
        write_table(columns, map(row, found))


def write_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Write name and value, one pair a line, leaving out what is None."""
    shown = [(name, value) for name, value in facts if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name:<{width}}  {value}")
