"""Capacity listed by the file: a line as it is sent, and what came of the file as it is told."""

from __future__ import annotations

from typing import Final

import msgspec

from exchange.kit.errors import Fault
from exchange.orders.models import NewOrder
from matching.order import Side

LINES_MAX: Final = 40_000
"""How many asks a file may have: what the usual limit of a key lets through at once, 800 bytes each."""
PROBLEMS_MAX: Final = 1_000
"""So many lines at fault are told; `refused` counts them all."""


class NewAsk(NewOrder, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An ask as a line of a file has it: an order to sell, which need not say so."""

    side: Side = Side.SELL


class LineProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a line was, or would be, refused: with the status, code and faults of its order sent alone.

    `line` counts the file's lines as an editor does: the header of a CSV is line 1. The pointers of `errors`
    name the line's fields, such as `/quantity_gpus`.
    """

    line: int
    client_order_id: str | None
    status: int
    code: str
    detail: str
    retryable: bool
    errors: tuple[Fault, ...] = ()


class ImportView(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a file, or with `preview` would come of it.

    `lines` counts its asks: `placed` are new, `replayed` stood already, `refused` are not there. `gpu_hours`
    is what the new ones offer. `problems` has the refused lines in order, at most the first 1,000.
    """

    preview: bool
    lines: int
    placed: int
    replayed: int
    refused: int
    gpu_hours: int
    problems: list[LineProblem]
