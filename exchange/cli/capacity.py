"""`exchange sell --file`: many asks from a CSV or NDJSON file."""

from pathlib import Path
from typing import BinaryIO, Final

import click

from exchange.cli.failures import CommandFailure, show_failure
from exchange.cli.output import write_facts, write_json
from exchange.client import ExchangeClient
from exchange.orders.capacity_models import ImportView

TYPES: Final = {
    ".csv": "text/csv",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
}


async def sell_file(
    client: ExchangeClient, file: BinaryIO, *, partial: bool, preview: bool, yes: bool, as_json: bool
) -> None:
    """List the asks of a file once the user has seen what would come of it.

    Lines that were refused, of a file whose others were listed, are a failure of the command.
    """
    media_type = TYPES.get(Path(file.name).suffix.lower())
    if media_type is None:
        raise click.BadParameter(f"the file's name must end in {', '.join(TYPES)}", param_hint="--file")
    content = file.read()
    if preview or not yes:
        seen = await client.import_capacity(content, media_type, partial=partial, preview=True)
        _show(seen, as_json=as_json and preview)
        if preview:
            return
        if seen.refused and not partial:
            raise CommandFailure("nothing was listed: mend the lines, or list the others with --partial")
        click.confirm(f"List {seen.placed} asks, {seen.gpu_hours} GPU-hours?", abort=True, err=True)
    done = await client.import_capacity(content, media_type, partial=partial)
    _show(done, as_json=as_json)
    if done.refused:
        others = done.lines - done.refused
        raise CommandFailure(f"{done.refused} of {done.lines} lines were refused; the other {others} stand")


def _show(view: ImportView, *, as_json: bool) -> None:
    if as_json:
        write_json(view)
        return
    write_facts(
        [
            ("lines", view.lines),
            ("new asks" if view.preview else "listed", view.placed),
            ("GPU-hours", view.gpu_hours),
            ("listed before", view.replayed or None),
            ("refused", view.refused or None),
        ]
    )
    faults = [
        (problem.line, fault.pointer, fault.detail) for problem in view.problems for fault in problem.errors
    ]
    faults += [(problem.line, "", problem.detail) for problem in view.problems if not problem.errors]
    if faults:
        told = [f"line {line} {pointer}  {detail}" for line, pointer, detail in sorted(faults)]
        show_failure(f"{view.refused} of {view.lines} lines", told)
