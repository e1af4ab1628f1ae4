"""Every programme's rules, in memory: what the order path asks of them costs no round trip.

Vouchers of a programme that is exhausted or closed are spent like any other, so the registry knows those too.
An ask keeps the mask it was placed with: a programme or a version that begins later does not reach asks that
already rest.

Invariant: whoever has awaited `refresh` finds here all that was committed before it was called, however many
refresh at a time and in whatever order their answers come.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Final

import msgspec

from exchange.kit.database import Connection
from exchange.participants.models import Participant
from exchange.products.models import ProductSpec
from exchange.vouchers import store
from exchange.vouchers.judgement import capacity_verdicts, first_objection, in_force, provider_verdicts
from exchange.vouchers.programme_models import RulesVersion
from exchange.vouchers.rules import programme_mask

_NEVER_US: Final = 2**63 - 1


class KnownProgramme(msgspec.Struct, frozen=True, kw_only=True):
    """A programme's bit, and all versions of its rules in the order of their numbers."""

    programme_id: int
    code: str
    name: str
    mask: int
    versions: tuple[RulesVersion, ...]


class ProgrammeRegistry:
    """The programmes of the venue and their rules, as last read."""

    def __init__(self) -> None:
        self._asked = 0
        self._answered = 0
        self._programmes: Mapping[int, KnownProgramme] = {}
        self._masks: dict[tuple[int, str, bool], int] = {}
        self._masks_from_us = 0
        self._masks_until_us = 0

    async def refresh(self, connection: Connection) -> None:
        """Read the programmes again; call at start-up and after one was created or changed."""
        self._asked += 1
        number = self._asked
        found = {
            programme_id: KnownProgramme(
                programme_id=programme_id,
                code=code,
                name=name,
                mask=programme_mask(ordinal),
                versions=versions,
            )
            for programme_id, code, name, ordinal, versions in await store.all_versions(connection)
        }
        if number > self._answered:  # else one who asked later has stored what is at least as new
            self._answered = number
            self._programmes = found
            self._masks_until_us = 0

    @property
    def programmes(self) -> Mapping[int, KnownProgramme]:
        """Every programme by its id."""
        return self._programmes

    def knows(self, programme_id: int, version: int) -> bool:
        """Whether the rules of a version, and of all before it, are here."""
        known = self._programmes.get(programme_id)
        return known is not None and known.versions[-1].number >= version

    def ask_mask(
        self, provider: Participant, product: ProductSpec, at_us: int, list_price_ticks: int | None
    ) -> int:
        """Return the bits of all programmes that pay this provider for this product at a time.

        `list_price_ticks` is the provider's list price of the product, None where it has none.
        """
        if not self._masks_from_us <= at_us < self._masks_until_us:
            self._forget_masks(at_us)
        # A mask asks whether there is a list price, not how high it is: a new price needs no new mask.
        key = provider.id, product.id, list_price_ticks is None
        mask = self._masks.get(key)
        if mask is None:
            mask = self._masks[key] = self._ask_mask(provider, product, at_us, list_price_ticks)
        return mask

    def _ask_mask(
        self, provider: Participant, product: ProductSpec, at_us: int, list_price_ticks: int | None
    ) -> int:
        mask = 0
        for programme in self._programmes.values():
            version = in_force(programme.versions, at_us)
            if version is None:
                continue
            rules = version.rules
            verdicts = chain(
                provider_verdicts(rules, provider, list_price_ticks), capacity_verdicts(rules, product)
            )
            if first_objection(verdicts) is None:
                mask |= programme.mask
        return mask

    def _forget_masks(self, at_us: int) -> None:
        """Begin masks anew, good until the next version begins or ends."""
        times = [
            time_us
            for programme in self._programmes.values()
            for version in programme.versions
            for time_us in (version.effective_from_us, version.effective_until_us)
            if time_us is not None
        ]
        self._masks = {}
        self._masks_from_us = max((each for each in times if each <= at_us), default=0)
        self._masks_until_us = min((each for each in times if each > at_us), default=_NEVER_US)
