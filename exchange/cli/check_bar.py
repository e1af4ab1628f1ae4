"""The bar of `exchange ledger check`, on standard error."""

import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


class CheckBar:
    """Shows what is looked at, and which share of the whole is done."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("check"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[what]}"),
            console=Console(stderr=True),
            # Standard output is the answer, whatever standard error is.
            redirect_stdout=False,
        )
        self._task = self._progress.add_task("", total=1.0, what="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def show(self, what: str, share: float) -> None:
        """Show how far the check has come."""
        self._progress.update(self._task, completed=share, what=what)

    def make_way(self) -> None:
        """End the bar where an answer is about to be written to the terminal it is on."""
        if sys.stdout.isatty():
            self._progress.stop()
