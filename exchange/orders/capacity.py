"""Capacity by the file: many asks that are listed all or not at all, or with `partial` those that are right.

Every line is read and checked before any ask is placed (`checking`); then they are placed as a batch is, by
`OrderService.place_all`, a thousand at a time, each with its own commit-then-acknowledge outcome. A file sent
again has no second effect: what stands already is told as replayed. So a file whose lines were mended is sent
again as a whole.

Known limits: what a check cannot foresee (a product halts, a collar moves, a partition is lost meanwhile) is
told line by line and does not take back the asks before it, which may have traded. A process takes
`FILES_MAX` files at a time: each is held in memory while it is checked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from exchange.kit.errors import Fault, Faults, InvalidInput, MalformedInput, Refusal, Unavailable
from exchange.orders.capacity_file import Line, LineReader
from exchange.orders.capacity_models import LINES_MAX, PROBLEMS_MAX, ImportView, LineProblem
from exchange.orders.many_models import ORDERS_MAX
from exchange.orders.rules import was_read
from matching.order import Side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from exchange.kit.auth import Principal
    from exchange.orders.capacity_file import FileForm
    from exchange.orders.capacity_models import NewAsk
    from exchange.orders.service import OrderService

FILES_MAX: Final = 4
_READ_AT_ONCE: Final = 50
_CHECKED_AT_ONCE: Final = 200
"""So many lines are read, or checked, before others have their turn: some milliseconds."""
_RETRY_AFTER_S: Final = 5


class _Tally:
    """What comes of a file, line by line."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.placed = 0
        self.replayed = 0
        self.gpu_hours = 0
        self.refused: dict[int, Refusal] = {}
        """By the place of the line among those with an ask."""

    @property
    def good(self) -> list[int]:
        """The places that are not refused."""
        return [place for place in range(len(self.lines)) if place not in self.refused]

    def view(self, *, preview: bool) -> ImportView:
        """Return it as it is told."""
        first = sorted(self.refused)[:PROBLEMS_MAX]
        return ImportView(
            preview=preview,
            lines=len(self.lines),
            placed=self.placed,
            replayed=self.replayed,
            refused=len(self.refused),
            gpu_hours=self.gpu_hours,
            problems=[_problem_of(self.lines[place], self.refused[place]) for place in first],
        )

    def refusal(self) -> InvalidInput:
        """Return the refusal of the whole file, which names every line at fault and what is wrong with it."""
        view = self.view(preview=False)
        faults = [
            msgspec.structs.replace(fault, pointer=f"/lines/{problem.line}{fault.pointer}")
            for problem in view.problems
            for fault in problem.errors or (Fault("", problem.code, problem.detail),)
        ][:PROBLEMS_MAX]
        first = faults[0]
        detail = (
            f"{view.refused} of {view.lines} lines break rules, so none was applied: "
            f"{first.pointer} {first.detail}"
        )
        return InvalidInput("lines_refused", detail, errors=faults)


class CapacityImport:
    """Reads files of asks, and lists what is in them."""

    def __init__(self, orders: OrderService) -> None:
        self._orders = orders
        self._files = 0

    async def run(
        self,
        principal: Principal,
        pieces: AsyncIterator[bytes],
        form: FileForm,
        *,
        partial: bool,
        preview: bool,
        charge: Callable[[int], Awaitable[None]],
    ) -> ImportView:
        """Read a file and place its asks, or with `preview` only tell what would come of it.

        `charge` counts the asks before anything is done. Raises `InvalidInput` (lines_refused, with every
        line at fault) where one is refused and not `partial`, or for the header of a CSV; `MalformedInput`
        for too many lines or none; `Unavailable` while too many files are read; then nothing is placed.
        """
        if self._files >= FILES_MAX:
            detail = f"{FILES_MAX} files are being read; nothing was done, send it again shortly"
            raise Unavailable("overloaded", detail, headers={"Retry-After": str(_RETRY_AFTER_S)})
        self._files += 1
        try:
            tally = _Tally(await _read(pieces, form))
            await charge(len(tally.lines))
            await self._check(principal, tally)
            if preview:
                return tally.view(preview=True)
            if tally.refused and not partial:
                raise tally.refusal()
            await self._place(principal, tally)
            return tally.view(preview=False)
        finally:
            self._files -= 1

    async def _check(self, principal: Principal, tally: _Tally) -> None:
        """Find every line that would be refused, and count the others as if they were placed."""
        _refuse_repeated(tally.lines)
        asks: list[tuple[int, NewAsk]] = []
        for place, line in enumerate(tally.lines):
            if line.ask is msgspec.UNSET or line.ask.side is Side.BUY:
                tally.refused[place] = line.faults.refusal()
            else:
                asks.append((place, line.ask))
        for start in range(0, len(asks), _CHECKED_AT_ONCE):
            some = asks[start : start + _CHECKED_AT_ONCE]
            checks = await self._orders.checker.check_asks(
                principal, [(ask, tally.lines[place].faults) for place, ask in some]
            )
            for (place, _), check in zip(some, checks, strict=True):
                if check.refusal is not None:
                    tally.refused[place] = check.refusal
                tally.replayed += check.is_known
                tally.placed += check.refusal is None and not check.is_known
                tally.gpu_hours += check.gpu_hours

    async def _place(self, principal: Principal, tally: _Tally) -> None:
        """Place the lines that are not refused, in order, and count what came of them."""
        good = tally.good
        tally.placed = tally.replayed = tally.gpu_hours = 0
        for start in range(0, len(good), ORDERS_MAX):
            some = good[start : start + ORDERS_MAX]
            lines = [tally.lines[place] for place in some]
            outcomes = await self._orders.place_all(
                principal, [(line.ask, Faults()) for line in lines if line.ask is not msgspec.UNSET]
            )
            for place, outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, Refusal):
                    tally.refused[place] = outcome
                elif outcome.replayed:
                    tally.replayed += 1
                else:
                    tally.placed += 1
                    tally.gpu_hours += outcome.view.quantity_gpus * outcome.view.hours


async def _read(pieces: AsyncIterator[bytes], form: FileForm) -> list[Line]:
    reader = LineReader(form)
    lines: list[Line] = []
    async for piece in pieces:
        for line in reader.feed(piece):
            lines.append(line)
            if len(lines) % _READ_AT_ONCE == 0:
                await asyncio.sleep(0)  # others have their turn
        if len(lines) > LINES_MAX:
            break
    lines.extend(reader.end())
    if len(lines) > LINES_MAX:
        detail = f"a file may have at most {LINES_MAX} asks; send it in parts"
        raise MalformedInput("too_many_lines", detail)
    if not lines:
        fault = Fault("", "required", "must have an ask on at least one line")
        raise InvalidInput("lines_refused", f"the file {fault.detail}", errors=[fault])
    return lines


def _refuse_repeated(lines: Sequence[Line]) -> None:
    """Record what no line sees alone: an id that stands on a line before, and orders that do not sell."""
    first: dict[str, int] = {}
    for line in lines:
        ask = line.ask
        if ask is msgspec.UNSET:
            continue
        if ask.side is Side.BUY:
            line.faults.add("/side", "not_one_of", "must be sell: a file lists capacity", ask.side)
        name = ask.client_order_id
        if was_read(name) and first.setdefault(name, line.number) != line.number:
            rule = f"must not repeat that of line {first[name]}"
            line.faults.add("/client_order_id", "duplicate", rule, name)


def _problem_of(line: Line, refusal: Refusal) -> LineProblem:
    name = getattr(line.ask, "client_order_id", None)
    return LineProblem(
        line=line.number,
        client_order_id=name if isinstance(name, str) else None,
        status=refusal.status,
        code=refusal.code,
        detail=refusal.detail,
        retryable=refusal.retryable,
        errors=refusal.errors,
    )
