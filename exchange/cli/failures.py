"""How a command ends: its exit code, and the one block of text that explains a failure.

Nothing here ever prints a stack trace for what a user can cause; a fault of our own keeps its trace.
"""

from enum import IntEnum
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.markup import escape

from exchange.client import ApiProblem, Unreachable
from exchange.client.problems import ProblemFault
from exchange.kit.database import ConnectionLost
from exchange.kit.embedded_postgres import EmbeddedPostgresError
from exchange.kit.errors import Refusal
from exchange.kit.migrate import MigrationError
from exchange.kit.settings import SettingsError
from matching.units import BookCorrupt

HTTP_SERVER_FAULT: Final = 500
IN_DOUBT: Final = "it may have been applied: look before you try again"
WANTS_JSON: Final = "exchange.json"


class ExitCode(IntEnum):
    """What the shell sees."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    REFUSED = 3
    UNAVAILABLE = 4
    CHECK_FAILED = 5
    INTERRUPTED = 130


class CommandFailure(Exception):
    """A failure that the user can understand and mend; `code` is the exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(message)
        self.code = code


class FailureGroup(click.Group):
    """A group of commands whose expected failures become one block of text and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.Abort, KeyboardInterrupt) as end:
            # A no to a question, an end of standard input, or Ctrl-C; click itself would exit with 1.
            click.echo("\nstopped", err=True)
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from end
        except click.FileError as failure:
            show_failure(failure.format_message())
            raise click.exceptions.Exit(ExitCode.USAGE) from failure
        except ApiProblem as refusal:
            show_problem(refusal)
            unavailable = refusal.problem.status >= HTTP_SERVER_FAULT
            raise click.exceptions.Exit(
                ExitCode.UNAVAILABLE if unavailable else ExitCode.REFUSED
            ) from refusal
        except Refusal as refusal:
            show_failure(str(refusal), [f"{fault.pointer} {fault.detail}" for fault in refusal.errors])
            raise click.exceptions.Exit(ExitCode.REFUSED) from refusal
        except CommandFailure as failure:
            show_failure(str(failure))
            raise click.exceptions.Exit(failure.code) from failure
        except (SettingsError, MigrationError) as failure:
            show_failure(str(failure))
            raise click.exceptions.Exit(ExitCode.USAGE) from failure
        except BookCorrupt as failure:
            show_failure(f"the stored books are not in order, and nothing was started on them: {failure}")
            raise click.exceptions.Exit(ExitCode.CHECK_FAILED) from failure
        except Unreachable as failure:
            show_failure(str(failure), notes=[IN_DOUBT] if failure.outcome == "unknown" else [])
            raise click.exceptions.Exit(ExitCode.UNAVAILABLE) from failure
        except (ConnectionLost, EmbeddedPostgresError) as failure:
            show_failure(str(failure))
            raise click.exceptions.Exit(ExitCode.UNAVAILABLE) from failure


def show_problem(refusal: ApiProblem) -> None:
    """Write a refusal of the exchange to standard error, each faulty field on its own line."""
    problem = refusal.problem
    if _wants_json():
        click.echo(msgspec.json.encode(problem), err=True)
        return
    faults = [_told(fault) for fault in problem.errors]
    notes = [f"code {problem.code}"] if problem.code else []
    notes += [f"request {problem.request_id}"] if problem.request_id else []
    notes += [IN_DOUBT] if problem.outcome == "unknown" else []
    notes += ["trying again may help"] if problem.retryable else []
    show_failure(f"{problem.title}: {problem.detail}" if problem.detail else problem.title, faults, notes)


def _told(fault: ProblemFault) -> str:
    """Return what is wrong with a field, and what was sent; of what is at no field, `value` is how it is."""
    if not fault.pointer:
        return fault.detail
    return f"{fault.pointer}  {fault.detail}" + ("" if fault.value is None else f", not {fault.value!r}")


def show_failure(message: str, faults: list[str] | None = None, notes: list[str] | None = None) -> None:
    """Write one block to standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(
        f"[bold red]refused[/] {escape(message)}" if faults else f"[bold red]failed[/] {escape(message)}"
    )
    for fault in faults or []:
        console.print(f"  - {escape(fault)}")
    if notes:
        console.print(f"  [dim]{escape(' · '.join(notes))}[/]")


def _wants_json() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(WANTS_JSON))
