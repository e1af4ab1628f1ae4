"""Every question to the record is itself recorded: who asked what and why, and how much was answered.

The question (code QURY) is committed before anything is read, so it stands even where the answer never
arrives; what was answered (code QURA) follows with the rows that went out, and whether that was all of them.
Both name the question's own id as their subject. They go to the primary, also where the answers come from a
replica.

A reason is asked for where a question is about somebody: an export, a filter that names a participant or a
trade group, the life of an order, a trade or a voucher. Elsewhere it may be given.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, TypeVar

import msgspec

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.clock import Clock, format_rfc3339, us_of
from exchange.kit.database import Database
from exchange.kit.errors import Faults
from exchange.kit.fields import Readable, is_blank
from exchange.kit.ids import encode_id, new_id
from exchange.oversight import store
from exchange.oversight.life_models import Question
from exchange.oversight.models import Row

T = TypeVar("T")

NAMING: Final = ("participant", "buyer", "provider", "trade_group")
"""The parameters by which a question is about somebody."""


def check_reason(reason: Readable, faults: Faults, *, is_needed: bool = True) -> None:
    """Record a fault where a reason is needed and there is none, or none that can be seen."""
    if isinstance(reason, str) and is_blank(reason):
        faults.add("?reason", "required", "must say why this is asked", reason)
    elif reason is None and is_needed and "?reason" not in faults:
        faults.add("?reason", "required", "is needed: what is asked is about somebody, so say why")


def names_somebody(given: Collection[str]) -> bool:
    """Whether parameters of these names make a question one about somebody."""
    return any(name in given for name in NAMING)


def was_given(value: object) -> bool:
    """Whether a parameter was given, and could be read."""
    return value is not None and value is not msgspec.UNSET


class Questions:
    """Writes down questions and their answers, and tells them."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        """Keep the record in the primary database."""
        self._database = database
        self._clock = clock

    async def ask(self, principal: Principal, what: str, asked: Mapping[str, object]) -> int:
        """Write down who asks what; return the question's id."""
        question_id = new_id()
        detail = {"query": what, **{name: value for name, value in asked.items() if value is not None}}
        await self._write("QURY", principal, question_id, detail)
        return question_id

    async def answer(self, principal: Principal, question_id: int, rows: int, *, is_whole: bool) -> None:
        """Write down how many rows were answered, and whether those were all."""
        await self._write("QURA", principal, question_id, {"rows": rows, "is_whole": is_whole})

    async def _write(
        self, code: str, principal: Principal, question_id: int, detail: Mapping[str, Any]
    ) -> None:
        record = AuditRecord(
            code=code,
            event_at_us=self._clock.now_us(),
            actor_participant_id=principal.participant_id,
            key_id=principal.key_id,
            participant_id=principal.participant_id,
            trade_group_id=principal.trade_group_id,
            subject_id=question_id,
            detail=detail,
        )
        async with self._database.transaction() as connection:
            await insert_audit_records(connection, [record])

    async def told(
        self,
        principal: Principal,
        what: str,
        asked: Mapping[str, object],
        answer: Callable[[], Awaitable[T]],
        rows: Callable[[T], int] = lambda _: 1,
    ) -> T:
        """Write down who asks what, answer it, and write down how many rows that were."""
        question_id = await self.ask(principal, what, asked)
        told = await answer()
        await self.answer(principal, question_id, rows(told), is_whole=True)
        return told

    async def page(
        self, participant_id: int | None, before_id: int, limit: int
    ) -> list[tuple[int, Question]]:
        """Return questions, newest first, each with its place; of one who asked, or of all."""
        async with self._database.connection() as connection:
            rows = await store.questions(connection, participant_id, before_id, limit)
        return [(row["id"], _question(row)) for row in rows]


def _question(row: Row) -> Question:
    detail: dict[str, Any] = msgspec.json.decode(row["detail"])
    answer: dict[str, Any] = msgspec.json.decode(row["answer"] or "{}")
    query, reason = detail.pop("query"), detail.pop("reason", None)
    return Question(
        id=encode_id("qry", row["subject_id"]),
        asked_at=format_rfc3339(us_of(row["event_at"])),
        participant_id=encode_id("par", row["actor_participant_id"]),
        participant_name=row["participant_name"] or "",
        key_id=encode_id("key", row["key_id"]),
        query=query,
        reason=reason,
        asked=msgspec.Raw(msgspec.json.encode(detail)),
        answered_at=None if row["answered_at"] is None else format_rfc3339(us_of(row["answered_at"])),
        rows=answer.get("rows"),
        is_whole=answer.get("is_whole"),
    )
