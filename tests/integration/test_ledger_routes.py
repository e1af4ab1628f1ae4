"""Goal: balances and statements show their owner's money and nobody else's; deposits happen once.

Method: the routes over a real database, called by an operator, an owner and a stranger.
"""

from typing import Any

import httpx
import pytest

from exchange.kit.database import Database
from exchange.kit.ids import encode_id
from exchange.ledger import service
from exchange.ledger.models import CNY, Purpose, Transfer, TransferKind, TransferReason
from exchange.participants.models import NewParticipant, Ownership, ParticipantKind
from tests.integration import members
from tests.integration.members import AT_US, Caller, join, join_as

http, operator = members.http, members.operator

PROVIDER = NewParticipant(
    kind=ParticipantKind.PROVIDER, name="Guian Cloud", region="guizhou", ownership=Ownership.STATE
)


@pytest.fixture
async def owner(database: Database, http: httpx.AsyncClient) -> Caller:
    return await join(database, http, PROVIDER)


@pytest.fixture
async def stranger(database: Database, http: httpx.AsyncClient) -> Caller:
    return await join_as(database, http, ParticipantKind.ISSUER, "city")


async def balances_of(caller: Caller) -> dict[str, tuple[str, str, str]]:
    answer = await caller.get("/v1/accounts")
    assert answer.status_code == 200, answer.text
    return {
        each["purpose"]: (each["balance_cny"], each["available_cny"], each["held_cny"])
        for each in answer.json()["data"]
    }


async def hold(database: Database, owner: Caller, amount_fen: int) -> None:
    async with database.transaction() as connection:
        accounts = (await service.AccountDirectory().cash_of(connection, [owner.participant_id]))[
            owner.participant_id
        ]
        await service.post(
            connection,
            [
                Transfer(
                    group_id=5,
                    kind=TransferKind.PENDING,
                    reason=TransferReason.HOLD,
                    asset=CNY,
                    debit_account_id=accounts.cash_id,
                    credit_account_id=accounts.escrow_id,
                    amount_fen=amount_fen,
                    subject_id=5,
                )
            ],
            AT_US,
        )


async def test_whoever_never_had_money_has_zero(owner: Caller) -> None:
    zero = ("0.00", "0.00", "0.00")
    assert await balances_of(owner) == {"cash": zero, "escrow": zero}
    assert (await owner.get("/v1/transfers")).json() == {"data": [], "next_cursor": None}


async def test_money_in_held_and_out_is_read_back(
    database: Database, operator: Caller, owner: Caller
) -> None:
    booked = await operator.post(
        "/v1/deposits", {"participant_id": owner.id, "amount_cny": "100.5", "note": "ref 1"}
    )
    assert booked.status_code == 201, booked.text
    assert booked.json()["available_cny"] == "100.50"
    await hold(database, owner, 4_000)
    too_much = await operator.post("/v1/withdrawals", {"participant_id": owner.id, "amount_cny": "60.51"})
    assert (too_much.status_code, too_much.json()["code"]) == (402, "insufficient_funds")
    taken = await operator.post("/v1/withdrawals", {"participant_id": owner.id, "amount_cny": "60.50"})
    assert taken.json()["available_cny"] == "0.00"
    assert await balances_of(owner) == {
        "cash": ("40.00", "0.00", "40.00"),
        "escrow": ("0.00", "0.00", "0.00"),
    }
    lines = (await owner.get("/v1/transfers")).json()["data"]
    assert [(line["reason"], line["amount_cny"], line["subject_id"]) for line in lines] == [
        ("withdrawal", "60.50", owner.id),
        ("hold", "40.00", encode_id("ord", 5)),
        ("deposit", "100.50", owner.id),
    ]
    assert (lines[0]["id"], lines[2]["id"]) == (taken.json()["id"], booked.json()["id"])
    assert (lines[2]["debit_account_id"], lines[2]["debit_purpose"]) == (None, None)


async def test_a_deposit_sent_twice_is_booked_once(operator: Caller, owner: Caller) -> None:
    body = {"participant_id": owner.id, "amount_cny": "10.00"}
    first = await operator.post("/v1/deposits", body, key="bank-77")
    again = await operator.post("/v1/deposits", body, key="bank-77")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    other = await operator.post("/v1/deposits", {**body, "amount_cny": "11.00"}, key="bank-77")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = await operator.post("/v1/withdrawals", body, key="bank-77")
    assert elsewhere.status_code == 422
    assert (await balances_of(owner))["cash"][0] == "10.00"


async def test_a_refused_deposit_may_be_sent_again_under_its_key(operator: Caller, owner: Caller) -> None:
    wrong = {"participant_id": owner.id, "amount_cny": "0.00"}
    assert (await operator.post("/v1/deposits", wrong, key="k")).status_code == 422
    right = {"participant_id": owner.id, "amount_cny": "1.00"}
    assert (await operator.post("/v1/deposits", right, key="k")).status_code == 201


@pytest.mark.parametrize(
    "body,expected",
    [
        ({}, {("/participant_id", "required"), ("/amount_cny", "required")}),
        (
            {
                "participant_id": "par_0000000000009",
                "amount_cny": "1.234",
                "note": "x" * 501,
                "currency": "USD",
            },
            {
                ("/participant_id", "unknown_reference"),
                ("/amount_cny", "pattern"),
                ("/note", "too_long"),
                ("/currency", "unknown_field"),
            },
        ),
        (
            {"participant_id": "ord_0000000000001", "amount_cny": "0"},
            {("/participant_id", "bad_id"), ("/amount_cny", "not_positive")},
        ),
        (
            {"participant_id": 5, "amount_cny": 12.5, "note": None},
            {("/participant_id", "wrong_type"), ("/amount_cny", "wrong_type"), ("/note", "wrong_type")},
        ),
        (
            {"participant_id": "", "amount_cny": "99999999999999.00"},
            {("/participant_id", "bad_id"), ("/amount_cny", "pattern")},
        ),
    ],
)
@pytest.mark.parametrize("path", ["/v1/deposits", "/v1/withdrawals"])
async def test_everything_wrong_with_a_movement_is_said_at_once(
    operator: Caller, path: str, body: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    answer = await operator.post(path, body)
    assert answer.status_code == 422, answer.text
    assert {(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]} == expected
    assert (await operator.get("/v1/transfers?participant_id=" + encode_id("par", 1))).json()["data"] == []


async def test_only_operators_move_money_and_read_others(
    operator: Caller, owner: Caller, stranger: Caller
) -> None:
    body = {"participant_id": owner.id, "amount_cny": "10.00"}
    for path in ("/v1/deposits", "/v1/withdrawals"):
        assert (await owner.post(path, body)).status_code == 403
    assert (await operator.post("/v1/deposits", body)).status_code == 201
    mine = (await owner.get("/v1/accounts")).json()
    assert (await operator.get(f"/v1/accounts?participant_id={owner.id}")).json() == mine
    assert (await owner.get(f"/v1/accounts?participant_id={owner.id}")).json() == mine
    for path in ("/v1/accounts", "/v1/transfers"):
        for who in (owner.id, "par_0000000000001", "par_0000000000009"):
            answer = await stranger.get(f"{path}?participant_id={who}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await operator.get(f"{path}?participant_id=par_0000000000009")).status_code == 404
    cash_id = mine["data"][0]["id"]
    assert (await stranger.get(f"/v1/transfers?account_id={cash_id}")).json()["data"] == []
    assert len((await owner.get(f"/v1/transfers?account_id={cash_id}")).json()["data"]) == 1


async def test_the_statement_is_filtered_and_paged(
    database: Database, operator: Caller, owner: Caller
) -> None:
    for amount in ("1", "2", "3"):
        await operator.post("/v1/deposits", {"participant_id": owner.id, "amount_cny": amount})
    await hold(database, owner, 50)
    amounts: list[str] = []
    path = "/v1/transfers?reason=deposit&asset=CNY&limit=2"
    while True:
        page = (await owner.get(path)).json()
        amounts += [line["amount_cny"] for line in page["data"]]
        if page["next_cursor"] is None:
            break
        path = f"/v1/transfers?reason=deposit&asset=CNY&limit=2&cursor={page['next_cursor']}"
        # What comes in between is newer than the cursor, so it neither shows nor shifts the page.
        await operator.post("/v1/deposits", {"participant_id": owner.id, "amount_cny": "9"})
    assert amounts == ["3.00", "2.00", "1.00"]


async def test_accounts_page_without_inventing_empty_ones(database: Database, owner: Caller) -> None:
    async with database.transaction() as connection:
        await service.create_asset(connection, "prg_0000000000001", AT_US)
        for voucher_id in (1, 2, 3):
            await service.open_account(
                connection,
                owner.participant_id,
                "prg_0000000000001",
                Purpose.VOUCHER,
                voucher_id,
                at_us=AT_US,
            )
        await service.AccountDirectory().cash_of(connection, [owner.participant_id])
    shown: list[tuple[str, str | None]] = []
    path = "/v1/accounts?limit=2"
    while True:
        page = (await owner.get(path)).json()
        shown += [(each["purpose"], each["voucher_id"]) for each in page["data"]]
        if page["next_cursor"] is None:
            break
        path = f"/v1/accounts?limit=2&cursor={page['next_cursor']}"
    vouchers = [("voucher", encode_id("vch", number)) for number in (1, 2, 3)]
    assert shown == [*vouchers, ("cash", None), ("escrow", None)]


async def test_bad_queries_name_every_fault(owner: Caller) -> None:
    answer = await owner.get("/v1/transfers?limit=0&reason=gift&asset=EUR&account_id=1&colour=red")
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_query"
    assert {(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]} == {
        ("?limit", "out_of_range"),
        ("?reason", "not_one_of"),
        ("?asset", "pattern"),
        ("?account_id", "bad_id"),
        ("?colour", "unknown_field"),
    }
    for path, pointer in (
        ("/v1/transfers?account_id=par_0000000000001&participant_id=x", "?account_id"),
        ("/v1/accounts?participant_id=x", "?participant_id"),
        ("/v1/accounts?cursor=x", "?cursor"),
        ("/v1/keys?participant_id=x", "?participant_id"),
    ):
        refused = await owner.get(path)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_query"), path
        assert refused.json()["errors"][0]["pointer"] == pointer
