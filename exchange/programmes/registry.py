"""Every programme's rules, in memory: what the order path asks of them costs no round trip.

Vouchers of a programme that is exhausted or closed are spent like any other, so the registry knows those too;
drafts it does not. An ask has the bits of all versions that admit it, begun or not, and a bid demands the bit
of the version it is held under: so rules that begin or end change nothing about asks that rest.

Known limit: an ask keeps the mask it was placed with. Rules posted later, and programmes opened later, do not
admit asks that already rest, but for rules that admit the very same ones as the version before them: list
again. Rules that another process has taken in, or whose commit was lost from sight, though it held, are known
to asks once the database has told of them (channel `programme`): some milliseconds later.

Invariant: whoever has awaited `refresh` finds here all that was committed before it was called, however many
refresh at a time and in whatever order their answers come.
"""

from collections.abc import Mapping
from itertools import chain

import msgspec

from exchange.kit.database import Connection
from exchange.participants.models import Participant
from exchange.products.models import ProductSpec
from exchange.programmes import store
from exchange.programmes.judgement import capacity_verdicts, first_objection, provider_verdicts
from exchange.programmes.models import RulesVersion
from exchange.programmes.rules import programme_mask


class KnownProgramme(msgspec.Struct, frozen=True, kw_only=True):
    """A programme and all versions of its rules in the order of their numbers."""

    programme_id: int
    code: str
    name: str
    versions: tuple[RulesVersion, ...]
    caps_use: bool
    """Whether a version of the rules has a yearly cap that counts what is redeemed."""


class ProgrammeRegistry:
    """The programmes of the venue and their rules, as last read."""

    def __init__(self) -> None:
        self._programmes: Mapping[int, KnownProgramme] = {}
        self._masks: dict[tuple[int, str, bool], int] = {}

    async def refresh(self, connection: Connection, programme_id: int | None = None) -> None:
        """Read the programmes again, or one: call at start-up and after one was created or changed."""
        found = {
            each: KnownProgramme(
                programme_id=each,
                code=code,
                name=name,
                versions=versions,
                caps_use=any(version.rules.cap_counts == "redeemed" for version in versions),
            )
            for each, code, name, versions in await store.all_versions(connection, programme_id)
        }
        # Versions are only ever added: of two answers the longer one is the newer, whoever asked first.
        newer = {each: known for each, known in found.items() if not self.knows(each, len(known.versions))}
        if newer:
            self._programmes = {**self._programmes, **newer}
            self._masks = {}

    @property
    def programmes(self) -> Mapping[int, KnownProgramme]:
        """Every programme by its id."""
        return self._programmes

    def knows(self, programme_id: int, version: int) -> bool:
        """Whether the rules of a version, and of all before it, are here."""
        known = self._programmes.get(programme_id)
        return known is not None and known.versions[-1].number >= version

    def ask_mask(self, provider: Participant, product: ProductSpec, list_price_ticks: int | None) -> int:
        """Return the bits of all rules, of any time, that admit this provider for this product.

        `list_price_ticks` is the provider's list price of the product, None where it has none.
        """
        # A mask asks whether there is a list price, not how high it is: a new price needs no new mask.
        key = provider.id, product.id, list_price_ticks is None
        mask = self._masks.get(key)
        if mask is None:
            mask = self._masks[key] = self._ask_mask(provider, product, list_price_ticks)
        return mask

    def _ask_mask(self, provider: Participant, product: ProductSpec, list_price_ticks: int | None) -> int:
        mask = 0
        for programme in self._programmes.values():
            for version in programme.versions:
                rules = version.rules
                verdicts = chain(
                    provider_verdicts(rules, provider, list_price_ticks), capacity_verdicts(rules, product)
                )
                if first_objection(verdicts) is None:
                    mask |= programme_mask(version.ordinal)
        return mask
