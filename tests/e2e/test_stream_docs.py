"""Goal: the session that docs/stream.md shows happens when it is sent line by line.

Method: the block is read from the document; its lines are sent to a served exchange, and what is told must be
what the lines say, in any order between two that are sent.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import websockets

from exchange.client import OrderBook
from exchange.feed.book_models import BookSnapshot
from exchange.feed.desk import OPS
from exchange.feed.stream import CLOSE_CODES
from tests.architecture.source import ROOT
from tests.book_texts import checksum_of, text_of
from tests.e2e.served import DEADLINE_S, served
from tests.e2e.stage import join_all

DOCUMENT: Final = (ROOT / "docs" / "stream.md").read_text(encoding="utf-8")
ANYTHING: Final = "…"


def session() -> list[tuple[str, Any]]:
    """Return the lines of the session, each with who says it."""
    block = re.search(r"^```text\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert block is not None
    return [(line[0], json.loads(line[2:])) for line in block[1].splitlines()]


def fits(told: Any, line: Any, names: dict[str, Any]) -> bool:
    """Whether what is told is what a line says; what a name stands for is kept the first time."""
    if line == ANYTHING:
        return True
    if isinstance(line, str) and line.startswith("$"):
        return bool(names.setdefault(line, told) == told)
    if isinstance(line, dict) and isinstance(told, dict):
        if ANYTHING not in line and line.keys() != told.keys():
            return False
        named = {key: value for key, value in line.items() if key != ANYTHING}
        return all(key in told and fits(told[key], value, names) for key, value in named.items())
    if isinstance(line, list) and isinstance(told, list):
        return len(line) == len(told) and all(fits(*pair, names) for pair in zip(told, line, strict=True))
    return bool(told == line)


def filled_in(line: Any, names: dict[str, Any]) -> str:
    text = json.dumps(line)
    for name, value in names.items():
        text = text.replace(name, value)
    return text


async def test_the_session_of_the_document_happens(database_url: str, tmp_path: Path) -> None:
    async with served(database_url, tmp_path) as house:
        cast = await join_all(house)
        address = str(house.http.base_url.join("/v1/stream")).replace("http://", "ws://")
        headers = {"Authorization": f"Bearer {cast.provider.key}"}
        names: dict[str, Any] = {}
        expected: list[Any] = []
        async with (
            asyncio.timeout(DEADLINE_S),
            websockets.connect(address, additional_headers=headers) as connection,
        ):
            lines = session()
            for number, (who, line) in enumerate(lines):
                if who == ">":
                    await connection.send(filled_in(line, names))
                    continue
                expected.append(line)
                if number + 1 < len(lines) and lines[number + 1][0] == "<":
                    continue
                while expected:
                    told = json.loads(await connection.recv())
                    [*fitting] = [each for each in expected if fits(told, each, dict(names))]
                    assert fitting, f"{told} is none of {expected}"
                    assert fits(told, fitting[0], names)
                    expected.remove(fitting[0])


OTHERS = ["subscribe", "unsubscribe", "resync", "checksum", "ping", "heartbeat", "cancel_on_disconnect"]


@pytest.mark.parametrize("op", [*OPS, *OTHERS])
def test_every_message_is_explained(op: str) -> None:
    assert f"`{op}`" in DOCUMENT or f'"op": "{op}"' in DOCUMENT


def test_every_way_in_which_the_exchange_closes_is_explained() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d{4}) \|", DOCUMENT, re.MULTILINE)}
    assert set(CLOSE_CODES.values()) | {1009, 1011} == told


def test_the_checksum_of_the_document_is_what_it_says() -> None:
    block = re.search(r"^```json\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert block is not None
    shown = json.loads(block[1])
    text = text_of(shown["first_hour_at"], shown["phase"], shown["orders"])
    assert f"```text\n{text}```" in DOCUMENT
    assert f"has {len(text.encode())} bytes, and the checksum `{shown['checksum']}`" in DOCUMENT
    assert shown["checksum"] == checksum_of(shown["first_hour_at"], shown["phase"], shown["orders"])
    # The exchange has the same fields, and the client takes it for whole.
    told = msgspec.convert(shown, BookSnapshot)
    assert msgspec.to_builtins(told) == shown
    assert OrderBook(shown["channel"].partition(":")[2]).apply(told)
