"""The steps of a programme's life: as they are kept, as an issuer asks for one, and as they are shown.

`ProgrammeStatus` says which there are. The history is never changed.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from exchange.programmes.models import ProgrammeStatus


class ProgrammeStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step of a programme; `returned_fen` of its budget went back to its source with it."""

    programme_id: int
    number: int
    from_status: ProgrammeStatus
    to_status: ProgrammeStatus
    actor_role: Literal["issuer", "exchange"]
    actor_id: int
    returned_fen: int
    reason: str
    stepped_at_us: int


class NewProgrammeStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an issuer does with its programme, and why: opens a draft, or closes it for good."""

    to: Literal["open", "closed"]
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class ProgrammeStepView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a programme's history. `returned_cny` of its budget went back to its source with it.

    `reason_code` is of a reason that the exchange itself gave, null for a person's.
    """

    number: int
    from_status: ProgrammeStatus
    to_status: ProgrammeStatus
    actor_role: Literal["issuer", "exchange"]
    actor_id: str
    returned_cny: str
    reason: str
    reason_code: str | None
    stepped_at: str
