"""Bars of what takes long, on standard error: standard output is the answer, whatever standard error is."""

import sys
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Bar:
    """A bar of one task, shown while it is entered."""

    def __init__(self, *columns: ProgressColumn, is_kept: bool = False, **fields: Any) -> None:
        """Show these columns; a bar that `is_kept` stays to be read at its end."""
        self._progress = Progress(
            *columns, console=Console(stderr=True), redirect_stdout=False, transient=not is_kept
        )
        self._task = self._progress.add_task("", total=None, **fields)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()


class ShareBar(Bar):
    """Shows what is looked at, and which share of the whole is done."""

    def __init__(self, what: str) -> None:
        """Name what is done."""
        super().__init__(
            TextColumn(what),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[part]}"),
            is_kept=True,
            part="",
        )

    def show(self, part: str, share: float) -> None:
        """Show how far it has come."""
        self._progress.update(self._task, completed=share, total=1.0, part=part)

    def make_way(self) -> None:
        """End the bar where an answer is about to be written to the terminal it is on."""
        if sys.stdout.isatty():
            self._progress.stop()


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")


class CountBar(Bar):
    """Shows how many of how many are done, and how many a second."""

    def __init__(self, what: str, unit: str) -> None:
        """Name what is done, and of what."""
        super().__init__(
            TextColumn("{task.fields[what]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            what=what,
            unit=unit,
        )

    def begin(self, what: str, unit: str) -> None:
        """Go on to something else."""
        self._progress.reset(self._task, total=None, what=what, unit=unit)

    def show(self, done: int, total: int) -> None:
        """Show that so many of so many are done."""
        self._progress.update(self._task, completed=done, total=total)


class ExportBar(Bar):
    """Shows how many rows have come of how many.

    Rows are counted by their lines, so a CSV with line breaks within names runs ahead a little; of a form
    without lines the bar shows that it is under way, and how many rows are to come.
    """

    def __init__(self, *, counts_lines: bool) -> None:
        """Count lines, where the form of the file has them."""
        super().__init__(
            TextColumn("export"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeElapsedColumn()
        )
        self._counts_lines = counts_lines
        self._total = 0

    def expect(self, rows: int) -> None:
        """Hear how many rows are to come."""
        self._total = rows
        self._progress.update(self._task, total=rows)

    def show(self, chunk: bytes) -> None:
        """Count what came."""
        if self._counts_lines:
            done = self._progress.tasks[0].completed + chunk.count(b"\n")
            self._progress.update(self._task, completed=min(done, self._total))
