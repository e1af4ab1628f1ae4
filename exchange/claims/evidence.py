"""Evidence of a claim: files that its claimant attaches until the claim is decided.

Size and SHA-256 are stored with the bytes and compared by the database; nothing attached is ever changed or
taken away. Whoever sees the claim sees its evidence: its claimant, its programme's issuer once it is
submitted, operators and regulators; nobody else.

Known limits: nothing looks into a file; it is handed out as a download with the type its claimant gave it. A
whole file is in memory while it is stored or read.
"""

import hashlib
import re
from typing import Final

from exchange.claims import store
from exchange.claims.models import EVIDENCE_BYTES_MAX, EVIDENCE_COUNT_MAX, ActorRole, Evidence
from exchange.claims.rules import PROVABLE, role_of
from exchange.claims.service import get_claim
from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Conflict, MalformedInput, NotFound, UnsupportedMediaType
from exchange.kit.ids import new_id

_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,99}/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}")


def _media_type(content_type: str | None) -> str:
    """Return the media type of a file without its parameters, or raise `UnsupportedMediaType`."""
    named = (content_type or "").partition(";")[0].strip().lower()
    if not _TYPE.fullmatch(named) or named.startswith("multipart/"):
        raise UnsupportedMediaType(
            detail="send the file itself as the body, with a Content-Type such as application/pdf"
        )
    return named


async def attach(
    connection: Connection,
    principal: Principal,
    claim_id: int,
    *,
    name: str,
    content_type: str | None,
    content: bytes,
    now_us: int,
) -> Evidence:
    """Attach a file to a claim of the principal's.

    Raises `NotFound` for anyone but its claimant, `UnsupportedMediaType` where the type is none,
    `MalformedInput` for an empty or too large file, `Conflict` once the claim is decided or has as many files
    as a claim may have.
    """
    claim = await store.lock_claim(connection, claim_id)
    if claim is None or role_of(claim, principal.participant_id) is not ActorRole.CLAIMANT:
        raise NotFound(detail="there is no such claim")
    media_type = _media_type(content_type)
    if not 0 < len(content) <= EVIDENCE_BYTES_MAX:
        detail = f"a file has 1 to {EVIDENCE_BYTES_MAX} bytes, not {len(content)}"
        raise MalformedInput("bad_request", detail)
    if claim.status not in PROVABLE:
        raise Conflict(detail=f"the claim is {claim.status.value}; evidence is attached until it is decided")
    if len(await store.evidence_of_claim(connection, claim_id)) >= EVIDENCE_COUNT_MAX:
        raise Conflict(detail=f"the claim has {EVIDENCE_COUNT_MAX} files, and may have no more")
    evidence = Evidence(
        id=new_id(),
        claim_id=claim_id,
        name=name,
        content_type=media_type,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).digest(),
        attached_by_id=principal.participant_id,
        attached_at_us=now_us,
        content=content,
    )
    await store.insert_evidence(connection, evidence)
    record = AuditRecord(
        code="CLME",
        event_at_us=now_us,
        actor_participant_id=principal.participant_id,
        key_id=principal.key_id,
        participant_id=claim.claimant_id,
        subject_id=claim_id,
        detail={
            "evidence_id": evidence.id,
            "name": name,
            "content_type": media_type,
            "size_bytes": evidence.size_bytes,
            "sha256": evidence.sha256.hex(),
        },
    )
    await insert_audit_records(connection, [record])
    return evidence


async def list_evidence(connection: Connection, principal: Principal, claim_id: int) -> list[Evidence]:
    """Return what is attached to a visible claim, oldest first, without the bytes."""
    await get_claim(connection, principal, claim_id)
    return await store.evidence_of_claim(connection, claim_id)


async def read_evidence(
    connection: Connection, principal: Principal, claim_id: int, evidence_id: int
) -> Evidence:
    """Return one file of a visible claim with its bytes, or raise `NotFound`."""
    await get_claim(connection, principal, claim_id)
    evidence = await store.evidence_content(connection, claim_id, evidence_id)
    if evidence is None:
        raise NotFound(detail="there is no such evidence")
    return evidence
