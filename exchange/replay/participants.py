"""The participants of a replay: each name of the trace once, with a key and, for buyers, money.

A participant, its key and its money are one transaction, so a replay that was killed finds all of it or
nothing. Every buyer gets the same sum, large enough that no bid of a trace is ever refused for money.
"""

from typing import Final

from exchange.kit.auth import Principal, Scope
from exchange.kit.database import Connection, Database
from exchange.ledger.service import EXCHANGE_ITSELF, deposit
from exchange.participants.models import (
    KeyGrant,
    NewParticipant,
    Ownership,
    Participant,
    ParticipantKind,
    SizeClass,
)
from exchange.participants.service import create_key, create_participant, list_participants
from exchange.replay import store
from exchange.replay.models import ReplayError

BUYER_MONEY_FEN: Final = 10**13
REGION: Final = "trace"
_SCOPE: Final = {ParticipantKind.BUYER: Scope.TRADE, ParticipantKind.PROVIDER: Scope.LIST_CAPACITY}
_PARTICIPANTS_MAX: Final = 1_000_000


class Cast:
    """Finds or registers who acts in a replay."""

    def __init__(self, database: Database) -> None:
        """Start with nobody; `load` finds those of an earlier run."""
        self._database = database
        self._known: dict[tuple[ParticipantKind, str], Principal] = {}

    async def load(self) -> None:
        """Find the participants of an earlier run. `ReplayError` where there are others."""
        async with self._database.connection() as connection:
            for kind in _SCOPE:
                for found in await list_participants(connection, kind=kind, limit=_PARTICIPANTS_MAX):
                    if found.region != REGION:
                        raise ReplayError(f"this database has other participants too: {found.name}")
                    key_id = await store.first_key_of_participant(connection, found.id)
                    if key_id is not None:
                        self._known[kind, found.name.removesuffix(_suffix(kind))] = _principal(found, key_id)

    async def member(self, kind: ParticipantKind, name: str, now_us: int) -> Principal:
        """Return who acts under a name of the trace, at once where known.

        A name is registered where it is missing; its first call must have returned before its second.
        """
        known = self._known.get((kind, name))
        if known is None:
            async with self._database.transaction() as connection:
                known = await self._register(connection, kind, name, now_us)
            self._known[kind, name] = known
        return known

    async def _register(
        self, connection: Connection, kind: ParticipantKind, name: str, now_us: int
    ) -> Principal:
        is_buyer = kind is ParticipantKind.BUYER
        new = NewParticipant(
            kind=kind,
            name=name + _suffix(kind),
            region=REGION,
            ownership=None if is_buyer else Ownership.PRIVATE,
            size_class=SizeClass.LARGE if is_buyer else None,
            founded_on="2000-01-01" if is_buyer else None,
        )
        participant = await create_participant(connection, None, new, now_us)
        grant = KeyGrant(participant_id=participant.id, label="replay", scopes=frozenset({_SCOPE[kind]}))
        key, _ = await create_key(connection, None, grant, now_us)
        if is_buyer:
            note = "what a buyer of a replay has"
            await deposit(connection, EXCHANGE_ITSELF, participant.id, BUYER_MONEY_FEN, note, now_us)
        return _principal(participant, key.id)


def _suffix(kind: ParticipantKind) -> str:
    """Return what tells a provider from a buyer of the same name in the trace."""
    return f" ({kind})"


def _principal(participant: Participant, key_id: int) -> Principal:
    return Principal(
        key_id=key_id,
        participant_id=participant.id,
        kind=participant.kind,
        name=participant.name,
        trade_group_id=participant.trade_group_id,
        scopes=frozenset({Scope.READ, _SCOPE[participant.kind]}),
    )
