"""Goal: participants are registered with the facts of their kind, and a key opens what it was made for.

Method: the routes over a real database, called by operators, owners and strangers; secrets are looked for in
every table.
"""

from typing import Any

import httpx
import msgspec
import pytest

from exchange.kit.auth import Authenticator, Scope, StoredKey, split_key
from exchange.kit.clock import format_rfc3339, wall_now_us
from exchange.kit.database import CheckViolation, Database
from exchange.kit.errors import Unauthenticated
from exchange.kit.ids import decode_id, encode_id
from exchange.participants import service
from exchange.participants.models import KeyGrant, NewParticipant, Ownership, ParticipantKind, SizeClass
from tests.integration import members
from tests.integration.members import AT_US, BUYER_BODY, Caller, faults_of, join, join_as

http, operator = members.http, members.operator

HOUR_US = 3_600_000_000
KEY_OF_THE_EXCHANGE = """
    INSERT INTO api_key (id, participant_id, secret_sha256, scopes, created_at)
    VALUES (9, 1, sha256('x'), '{read}', now())
"""
PROVIDER = NewParticipant(
    kind=ParticipantKind.PROVIDER, name="Guian Cloud", region="guizhou", ownership=Ownership.STATE
)
BUYER = NewParticipant(
    kind=ParticipantKind.BUYER,
    name="Small Model Lab",
    region="beijing",
    size_class=SizeClass.SMALL,
    founded_on="2024-05-01",
)


@pytest.fixture
async def provider(database: Database, http: httpx.AsyncClient) -> Caller:
    return await join(database, http, PROVIDER)


@pytest.fixture
async def buyer(database: Database, http: httpx.AsyncClient) -> Caller:
    return await join(database, http, BUYER)


async def codes_of(database: Database) -> list[str]:
    async with database.connection() as connection:
        return [row["code"] for row in await connection.fetch("SELECT code FROM audit_record ORDER BY id")]


async def test_an_operator_registers_a_buyer_who_then_reads_itself(operator: Caller) -> None:
    made = await operator.post("/v1/participants", BUYER_BODY)
    assert made.status_code == 201, made.text
    shown = made.json()
    assert shown == {
        **BUYER_BODY,
        "id": shown["id"],
        "trade_group_id": None,
        "ownership": None,
        "created_at": format_rfc3339(AT_US),
    }
    key = await operator.post("/v1/keys", {"participant_id": shown["id"], "scopes": ["read", "trade"]})
    assert key.status_code == 201, key.text
    owner = operator.with_key(key.json()["secret"])
    assert (await owner.get("/v1/participants/me")).json() == shown
    assert (await owner.get(f"/v1/participants/{shown['id']}")).json() == shown
    assert (await operator.get(f"/v1/participants/{shown['id']}")).json() == shown


async def test_a_participant_sees_no_other(operator: Caller, provider: Caller, buyer: Caller) -> None:
    for path in (f"/v1/participants/{buyer.id}", "/v1/participants/par_0000000000001", "/v1/participants/x"):
        answer = await provider.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await provider.get("/v1/participants")).status_code == 403
    assert (await provider.post("/v1/participants", BUYER_BODY)).status_code == 403
    listed = (await operator.get("/v1/participants?kind=provider")).json()["data"]
    assert [each["id"] for each in listed] == [provider.id]


async def test_pages_of_participants_join_to_the_whole(
    database: Database, http: httpx.AsyncClient, operator: Caller
) -> None:
    for number in range(5):
        await join_as(database, http, ParticipantKind.ISSUER, f"city {number}")
    names: list[str] = []
    path = "/v1/participants?limit=3"
    while True:
        page = (await operator.get(path)).json()
        names += [each["name"] for each in page["data"]]
        if page["next_cursor"] is None:
            break
        path = f"/v1/participants?limit=3&cursor={page['next_cursor']}"
    assert names == ["desk", *(f"city {number}" for number in range(5))]


@pytest.mark.parametrize(
    "body,expected",
    [
        ({}, {("/kind", "required"), ("/name", "required")}),
        (
            {"kind": "provider", "name": "x", "size_class": "small", "founded_on": "2020-01-01"},
            {
                ("/region", "required"),
                ("/ownership", "required"),
                ("/size_class", "not_for_kind"),
                ("/founded_on", "not_for_kind"),
            },
        ),
        (
            {"kind": "buyer", "name": "", "region": "Bei Jing", "ownership": "state", "surprise": 1},
            {
                ("/name", "too_short"),
                ("/region", "pattern"),
                ("/ownership", "not_for_kind"),
                ("/size_class", "required"),
                ("/founded_on", "required"),
                ("/surprise", "unknown_field"),
            },
        ),
        (
            {
                **BUYER_BODY,
                "founded_on": "2025-02-29",
                "trade_group_id": "grp_0000000000001",
                "sectors": "ai",
            },
            {
                ("/founded_on", "bad_time"),
                ("/trade_group_id", "unknown_reference"),
                ("/sectors", "wrong_type"),
            },
        ),
        (
            {
                **BUYER_BODY,
                "founded_on": "2099-01-01",
                "trade_group_id": "par_0000000000001",
                "name": "a\u0000b",
            },
            {("/founded_on", "out_of_range"), ("/trade_group_id", "bad_id"), ("/name", "invalid_text")},
        ),
        ({**BUYER_BODY, "kind": "bank", "name": 7}, {("/kind", "not_one_of"), ("/name", "wrong_type")}),
    ],
)
async def test_everything_wrong_with_a_participant_is_said_at_once(
    database: Database, operator: Caller, body: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    before = await codes_of(database)
    answer = await operator.post("/v1/participants", body)
    assert answer.status_code == 422, answer.text
    assert faults_of(answer) == expected
    assert await codes_of(database) == before


async def test_names_are_unique_and_groups_hold_participants(operator: Caller) -> None:
    group = await operator.post("/v1/trade-groups", {"name": "Holding"})
    assert group.status_code == 201
    assert (await operator.post("/v1/trade-groups", {"name": "Holding"})).json()["code"] == "already_exists"
    body = {**BUYER_BODY, "trade_group_id": group.json()["id"]}
    member = await operator.post("/v1/participants", body)
    assert member.json()["trade_group_id"] == group.json()["id"]
    again = await operator.post("/v1/participants", body)
    assert (again.status_code, again.json()["code"]) == (409, "already_exists")
    assert (await operator.get("/v1/trade-groups")).json()["data"] == [group.json()]


async def test_a_request_sent_twice_registers_once(operator: Caller) -> None:
    first = await operator.post("/v1/participants", BUYER_BODY, key="same")
    again = await operator.post("/v1/participants", BUYER_BODY, key="same")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    other = await operator.post("/v1/participants", {**BUYER_BODY, "name": "other"}, key="same")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_key_is_shown_once_and_stored_as_a_hash(
    database: Database, operator: Caller, buyer: Caller
) -> None:
    body = {"participant_id": buyer.id, "scopes": ["read"], "label": "laptop"}
    made = (await operator.post("/v1/keys", body, key="once")).json()
    replay = (await operator.post("/v1/keys", body, key="once")).json()
    assert replay == {**made, "secret": None}
    assert (await buyer.with_key(made["secret"]).get("/v1/participants/me")).status_code == 200
    shown = (await operator.get(f"/v1/keys/{made['id']}")).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    split = split_key(made["secret"])  # at its first two underscores: the secret may have others
    assert split is not None
    random_part = split[1]
    async with database.connection() as connection:
        for table in ("api_key", "idempotency_record", "audit_record", "participant"):
            rows = await connection.fetch(f"SELECT * FROM {table}")  # noqa: S608 - names from this line
            for row in rows:
                for value in row.values():
                    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                    assert random_part not in text, table


async def test_a_revoked_key_opens_nothing(database: Database, operator: Caller, buyer: Caller) -> None:
    made = (await operator.post("/v1/keys", {"participant_id": buyer.id, "scopes": ["read"]})).json()
    spare = buyer.with_key(made["secret"])
    assert (await spare.get("/v1/participants/me")).status_code == 200
    assert (await buyer.delete(f"/v1/keys/{made['id']}")).status_code == 204
    refused = await spare.get("/v1/participants/me")
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    first = (await buyer.get(f"/v1/keys/{made['id']}")).json()["revoked_at"]
    assert (await buyer.delete(f"/v1/keys/{made['id']}")).status_code == 204
    assert (await buyer.get(f"/v1/keys/{made['id']}")).json()["revoked_at"] == first
    assert (await codes_of(database)).count("KREV") == 1


async def test_an_expired_key_opens_nothing_and_looks_like_any_other_failure(
    database: Database, http: httpx.AsyncClient, buyer: Caller
) -> None:
    async with database.transaction() as connection:
        grant = KeyGrant(
            participant_id=buyer.participant_id,
            scopes=frozenset({Scope.READ}),
            expires_at_us=wall_now_us() + HOUR_US,
        )
        key, secret = await service.create_key(connection, None, grant, AT_US)
        await connection.execute("UPDATE api_key SET expires_at = now() WHERE id = $1", key.id)
    expired = await buyer.with_key(secret).get("/v1/participants/me")
    nonsense = await buyer.with_key("cx_0000000000001_nonsense").get("/v1/participants/me")
    missing = await http.get("/v1/participants/me")
    bodies = [answer.json() for answer in (expired, nonsense, missing)]
    assert [answer.status_code for answer in (expired, nonsense, missing)] == [401] * 3
    for body in bodies:
        body.pop("request_id")
    assert bodies[0] == bodies[1] == bodies[2]


async def test_keys_of_others_do_not_exist(provider: Caller, buyer: Caller) -> None:
    key = (await buyer.get("/v1/keys")).json()["data"][0]
    assert (await buyer.get(f"/v1/keys/{key['id']}")).json() == key
    for answer in (
        await provider.get(f"/v1/keys/{key['id']}"),
        await provider.delete(f"/v1/keys/{key['id']}"),
        await provider.get(f"/v1/keys?participant_id={buyer.id}"),
        await provider.post("/v1/keys", {"participant_id": buyer.id, "scopes": ["read"]}),
        await provider.get("/v1/keys/key_0000000000001"),
        await provider.get("/v1/keys/nonsense"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await buyer.get("/v1/participants/me")).status_code == 200


async def test_a_key_is_never_wider_than_its_maker(operator: Caller, buyer: Caller) -> None:
    soon = format_rfc3339(wall_now_us() + HOUR_US)
    later = format_rfc3339(wall_now_us() + 2 * HOUR_US)
    narrow = await buyer.post("/v1/keys", {"scopes": ["read"], "expires_at": soon})
    assert narrow.status_code == 201, narrow.text
    reader = buyer.with_key(narrow.json()["secret"])
    for body, expected in (
        ({"scopes": ["read", "trade"], "expires_at": soon}, {("/scopes", "scope_not_allowed")}),
        ({"scopes": ["operate"], "expires_at": soon}, {("/scopes", "scope_not_allowed")}),
        ({"scopes": ["read"]}, {("/expires_at", "out_of_range")}),
        ({"scopes": ["read"], "expires_at": later}, {("/expires_at", "out_of_range")}),
        (
            {"scopes": ["trade"], "expires_at": "2020-01-01T00:00:00Z", "allowed_networks": ["10.0.0.1/8"]},
            {
                ("/scopes", "scope_not_allowed"),
                ("/expires_at", "out_of_range"),
                ("/allowed_networks/0", "bad_network"),
            },
        ),
    ):
        answer = await reader.post("/v1/keys", body)
        assert (answer.status_code, faults_of(answer)) == (422, expected), body
    assert (await reader.post("/v1/keys", {"scopes": ["read"], "expires_at": soon})).status_code == 201
    # An operator gives what the participant's kind may have, and no more.
    answer = await operator.post("/v1/keys", {"participant_id": buyer.id, "scopes": ["audit"]})
    assert faults_of(answer) == {("/scopes", "scope_not_allowed")}
    # Nor can it widen itself by way of another operator.
    desk = await operator.post("/v1/keys", {"scopes": ["operate"]})
    limited = operator.with_key(desk.json()["secret"])
    other = await limited.post("/v1/participants", {"kind": "operator", "name": "accomplice"})
    answer = await limited.post("/v1/keys", {"participant_id": other.json()["id"], "scopes": ["issue"]})
    assert faults_of(answer) == {("/scopes", "scope_not_allowed")}


async def test_a_key_bound_to_networks_makes_keys_bound_to_them(database: Database, buyer: Caller) -> None:
    bound = await buyer.post(
        "/v1/keys", {"scopes": ["read"], "allowed_networks": ["127.0.0.0/8", "fd00::/8"]}
    )
    local = buyer.with_key(bound.json()["secret"])
    for networks in ([], ["0.0.0.0/0"], ["127.0.0.1", "10.0.0.1"], ["::/0"]):
        answer = await local.post("/v1/keys", {"scopes": ["read"], "allowed_networks": networks})
        assert faults_of(answer) == {("/allowed_networks", "bad_network")}, networks
    inside = ["127.0.0.1", "fd12::/16"]
    answer = await local.post("/v1/keys", {"scopes": ["read"], "allowed_networks": inside})
    assert answer.json()["allowed_networks"] == ["127.0.0.1/32", "fd12::/16"]
    async with database.connection() as connection:
        stored = await service.load_stored_key(connection, decode_id("key", answer.json()["id"]) or 0)

    async def load(_key_id: int) -> StoredKey | None:
        return stored

    door = Authenticator(load)
    header = f"Bearer {answer.json()['secret']}"
    assert (await door.authenticate(header, "127.0.0.1")).participant_id == buyer.participant_id
    for address in ("127.0.0.2", "10.0.0.1", None):
        with pytest.raises(Unauthenticated):
            await door.authenticate(header, address)


async def test_a_key_that_can_only_read_cannot_stop_its_owners_trading(buyer: Caller) -> None:
    trading = (await buyer.get("/v1/keys")).json()["data"][0]["id"]
    reader = buyer.with_key((await buyer.post("/v1/keys", {"scopes": ["read"]})).json()["secret"])
    assert (await reader.delete(f"/v1/keys/{trading}")).status_code == 403
    assert (await buyer.get("/v1/participants/me")).status_code == 200


async def test_bad_keys_are_refused_with_every_fault(operator: Caller) -> None:
    answer = await operator.post(
        "/v1/keys",
        {"scopes": ["read", "fly"], "label": "x" * 201, "expires_at": "soon", "allowed_networks": [5, "a/b"]},
    )
    assert answer.status_code == 422
    assert faults_of(answer) == {
        ("/scopes/1", "not_one_of"),
        ("/label", "too_long"),
        ("/expires_at", "pattern"),
        ("/allowed_networks/0", "wrong_type"),
    }
    for body, code in (
        (b"{", "not_json"),
        (b'{"scopes":["read"],"scopes":["read"]}', "duplicate_key"),
        (b"\xff", ""),
    ):
        refused = await operator.post("/v1/keys", body)
        assert refused.status_code == 400
        assert code in refused.json()["code"]


async def test_every_change_leaves_an_audit_record(database: Database, operator: Caller) -> None:
    before = len(await codes_of(database))
    group = (await operator.post("/v1/trade-groups", {"name": "Holding"})).json()
    member = (await operator.post("/v1/participants", {**BUYER_BODY, "trade_group_id": group["id"]})).json()
    key = (await operator.post("/v1/keys", {"participant_id": member["id"], "scopes": ["read"]})).json()
    await operator.delete(f"/v1/keys/{key['id']}")
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM audit_record ORDER BY id OFFSET $1", before)
    assert [row["code"] for row in rows] == ["GNEW", "PNEW", "KNEW", "KREV"]
    assert {row["actor_participant_id"] for row in rows} == {operator.participant_id}
    assert [encode_id("grp", row["trade_group_id"]) for row in rows[:3]] == [group["id"]] * 3
    assert [encode_id("par", row["participant_id"]) for row in rows[1:]] == [member["id"]] * 3
    assert [encode_id("key", row["subject_id"]) for row in rows[2:]] == [key["id"]] * 2


async def test_no_record_of_who_takes_part_has_a_name(database: Database, operator: Caller) -> None:
    group = (await operator.post("/v1/trade-groups", {"name": "Sole Trader Wang Li"})).json()
    body = {**BUYER_BODY, "name": "Zhang Wei", "trade_group_id": group["id"]}
    member = (await operator.post("/v1/participants", body)).json()
    await operator.post(
        "/v1/keys", {"participant_id": member["id"], "scopes": ["read"], "label": "Zhang Wei"}
    )
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT code, detail::text AS detail, to_json(step)::text AS whole FROM audit_record AS step"
            " ORDER BY id DESC LIMIT 3"
        )
    assert [row["code"] for row in rows] == ["KNEW", "PNEW", "GNEW"]
    assert not [row for row in rows if "Zhang" in row["whole"] or "Wang" in row["whole"]]
    told = msgspec.json.decode(rows[1]["detail"])
    facts = ("kind", "region", "ownership", "size_class", "founded_on", "sectors")
    assert told == {name: member[name] for name in facts}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE participant SET ownership = NULL",
        "UPDATE participant SET size_class = 'small', founded_on = now()",
        "UPDATE participant SET region = NULL",
        "UPDATE participant SET kind = 'buyer'",
        KEY_OF_THE_EXCHANGE,
        "UPDATE api_key SET scopes = '{fly}'",
        "UPDATE api_key SET scopes = '{}'",
        "UPDATE api_key SET secret_sha256 = decode('00', 'hex')",
    ],
)
async def test_the_database_itself_refuses_what_the_rules_refuse(
    database: Database, provider: Caller, statement: str
) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE participant SET name = name WHERE id = $1", provider.participant_id)
        with pytest.raises(CheckViolation):
            await connection.execute(statement)
