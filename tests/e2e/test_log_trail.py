"""Goal: from the log alone one finds which request an order came by and which commit made it, and no less.

Method: a served exchange whose events are kept as the lines that it writes; orders over HTTP and the stream.
"""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import websockets

from exchange.kit.logs import JsonFormatter
from tests.e2e.served import problem, served
from tests.e2e.stage import Stage, join_all


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with served(module_database_url, tmp_path_factory.mktemp("log_trail")) as house:
        yield Stage(house, await join_all(house), await join_all(house))


class Lines(logging.Handler):
    """Keeps events as they are written, where they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.events: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep an event."""
        self.events.append(json.loads(self.format(record)))

    def answered(self, **wanted: object) -> dict[str, Any]:
        """Return the one answer of which something is told."""
        answers = [each for each in self.events if each["event"] == "answered"]
        [found] = [each for each in answers if all(each.get(name) == value for name, value in wanted.items())]
        return found

    def commit_of(self, sequence: int) -> dict[str, Any]:
        """Return the one commit that holds a sequence."""
        [found] = [
            each
            for each in self.events
            if each["event"] == "committed"
            and each["sequences"]
            and each["sequences"][0] <= sequence <= each["sequences"][1]
        ]
        return found


@pytest.fixture
def lines() -> Iterator[Lines]:
    kept, root = Lines(), logging.getLogger("exchange")
    level = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    yield kept
    root.removeHandler(kept)
    root.setLevel(level)


async def test_an_order_over_http_is_found_by_its_request(stage: Stage, lines: Lines) -> None:
    provider = stage.cast.provider
    placed = await provider.post("/v1/orders", stage.order("sell", "trail-1", (0, 4)))
    answer = await provider.send("DELETE", f"/v1/orders/{placed['id']}", headers={"X-Request-Id": "mine-7"})
    assert answer.status_code == 200
    told = lines.answered(path="/v1/orders", method="POST")
    assert (told["order_id"], told["sequence"]) == (placed["id"], placed["sequence"])
    assert (told["status"], told["participant_id"]) == (201, provider.id)
    assert lines.commit_of(placed["sequence"])["partition"] == 1
    withdrawn = lines.answered(request_id="mine-7")
    assert (withdrawn["order_id"], withdrawn["sequence"]) == (placed["id"], placed["sequence"])


async def test_the_orders_of_a_batch_are_told_each(stage: Stage, lines: Lines) -> None:
    provider = stage.cast.provider
    sent = [stage.order("sell", f"trail-b{number}", (0, 4)) for number in range(3)]
    sent[1]["product"] = "nothing"
    outcomes = (await provider.post("/v1/orders/batch", {"orders": sent}, status=200))["data"]
    there = [[each["order"]["id"], each["order"]["sequence"]] for each in outcomes if each["order"]]
    assert len(there) == 2
    assert lines.answered(path="/v1/orders/batch")["orders"] == there
    assert (await provider.send("DELETE", "/v1/orders")).status_code == 200
    told = lines.answered(path="/v1/orders", method="DELETE")
    assert told["orders"] == [[order_id, None] for order_id, _ in there]


async def test_each_message_of_the_stream_is_told_with_an_id_of_its_own(stage: Stage, lines: Lines) -> None:
    address = str(stage.house.http.base_url.join("/v1/stream")).replace("http://", "ws://")
    headers = {"Authorization": f"Bearer {stage.cast.provider.key}"}
    answers: list[dict[str, Any]] = []
    async with websockets.connect(address, additional_headers=headers) as stream:
        assert stream.response is not None
        connection = stream.response.headers["x-request-id"]
        order = stage.order("sell", "trail-s", (0, 4))
        for op, more in (
            ("place", {"order": order}),
            ("place", {"order": order | {"product": "nothing"}}),
            ("subscribe", {"channels": ["nothing"]}),
            ("cancel_all", {}),
        ):
            await stream.send(json.dumps({"op": op, "id": f"m-{len(answers)}", **more}))
            answers.append(json.loads(await stream.recv()))
    placed, refused, unknown, withdrawn = answers
    told = lines.answered(op="place", id="m-0")
    assert (told["order_id"], told["sequence"]) == (placed["order"]["id"], placed["order"]["sequence"])
    assert (told["status"], told["request_id"]) == (201, f"{connection}-1")
    assert (told["participant_id"], "key_id" in told) == (stage.cast.provider.id, True)
    assert lines.commit_of(told["sequence"])["partition"] == 1
    told = lines.answered(op="place", id="m-1")
    assert (told["status"], told["request_id"]) == (422, f"{connection}-2")
    assert (refused["problem"]["request_id"], unknown["problem"]["request_id"]) == (
        f"{connection}-2",
        f"{connection}-3",
    )
    told = lines.answered(op="cancel_all")
    assert told["orders"] == [[each["id"], None] for each in withdrawn["withdrawn"]]
    assert told["request_id"] == f"{connection}-4"


async def test_what_is_not_written_is_not_made(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("nobody reads it")

    level = logging.getLogger("exchange").level
    logging.getLogger("exchange").setLevel(logging.INFO)
    try:
        monkeypatch.setattr("exchange.orders.telling.fields_of", fail)
        await stage.cast.provider.post("/v1/orders", stage.order("sell", "trail-off", (0, 4)))
        problem(await stage.cast.provider.send("DELETE", "/v1/orders/ord_0000000000001"), 404)
        await stage.cast.provider.send("DELETE", "/v1/orders")
    finally:
        logging.getLogger("exchange").setLevel(level)
