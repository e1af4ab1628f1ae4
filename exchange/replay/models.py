"""What a trace holds, line by line, and what can be wrong with a line.

Invariant: every value is already checked and in the units of the exchange (GPUs, hours, microseconds, fen).
"""

from enum import StrEnum
from typing import Final

import msgspec

GPU_MILLI_WHOLE: Final = 1000


class ReplayError(Exception):
    """A replay that cannot begin; the message says why."""


class LineFault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line that was left out: where, in which field (empty: all of it), which rule, and the value."""

    file: str
    line: int
    field: str
    rule: str
    value: str

    def __str__(self) -> str:
        """Return the fault as one line of text."""
        where = f"{self.file}:{self.line}"
        field = f" field {self.field}:" if self.field else ""
        return f"{where}:{field} {self.rule}, not {self.value!r}"


class TraceBid(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One job of a demand trace. `models` is empty where the trace names none; several are alternatives."""

    line: int
    order_id: str
    submitted_at_us: int
    buyer: str
    models: tuple[str, ...]
    quantity_gpus: int
    gpu_milli: int
    hours: int
    interruptible: bool


class TraceOffer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One node of a supply trace."""

    line: int
    offer_id: str
    provider: str
    model: str
    quantity_gpus: int


class Quote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One recorded ask price, as the source names the model."""

    line: int
    model: str
    ask_micro_usd_per_gpu_hour: int


class Refused(StrEnum):
    """Why a line of the trace was not placed as an order; each is counted in the report."""

    BROKEN_LINE = "broken line"
    PART_OF_GPU = "asks for part of a GPU, and whole GPUs are what is traded"
    MODEL_UNKNOWN = "its model stands for no product of this exchange"
    MODEL_NOT_SUPPLIED = "no node of its model was chosen for the supply"
    MODEL_NOT_QUOTED = "its model has no quote to draw a price from"
    BEYOND_HORIZON = "runs longer than what is left of the replay"
    BEFORE_FROM = "was submitted before --from"
