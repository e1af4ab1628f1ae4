"""Goal: the example that docs/providers.md shows happens when it is sent block by block.

Method: its requests are sent to a served exchange, and each answer must be what the block after it says; a
comment in the document says until when time passes.
"""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from exchange.kit.clock import hour_of, parse_rfc3339
from tests.architecture.source import ROOT
from tests.e2e.served import Caller, eventually, served
from tests.e2e.stage import join_all
from tests.e2e.test_stream_docs import fits

DOCUMENT: Final = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
PARTS: Final = re.compile(
    r"^```http\n(?P<method>[A-Z]+) (?P<path>\S+)(?: as the (?P<who>buyer))?\n(?P<body>.*?)^```$"
    r"\s+.*?^```json\n(?P<answer>.*?)^```$|<!-- until (?P<until>\S+) -->",
    re.DOTALL | re.MULTILINE,
)


class Said(NamedTuple):
    """A request of the document with the answer it shows, or a time that comes."""

    method: str
    path: str
    is_buyer: bool
    body: str
    answer: Any
    until_us: int | None


def said() -> list[Said]:
    """Return what the document says, in order."""
    return [
        Said(
            part["method"] or "",
            part["path"] or "",
            part["who"] is not None,
            (part["body"] or "").strip(),
            None if part["answer"] is None else json.loads(part["answer"]),
            None if part["until"] is None else parse_rfc3339(part["until"]),
        )
        for part in PARTS.finditer(DOCUMENT)
    ]


async def send(caller: Caller, each: Said) -> Any:
    if each.method == "GET":
        return (await caller.send("GET", each.path)).json()
    if "import" not in each.path:
        return (await caller.send("POST", each.path, json=json.loads(each.body))).json()
    media_type = "application/x-ndjson" if each.body.startswith("{") else "text/csv"
    headers = {"Content-Type": media_type}
    return (await caller.send("POST", each.path, content=each.body.encode(), headers=headers)).json()


def is_told(each: Said, answer: Any) -> bool:
    return fits(answer, each.answer, {})


async def test_the_example_for_providers_happens_as_it_is_told(database_url: str, tmp_path: Path) -> None:
    steps = said()
    assert DOCUMENT.count("```http") == sum(each.until_us is None for each in steps)
    async with served(database_url, tmp_path) as house:
        cast = await join_all(house)
        await house.operator.post("/v1/deposits", {"participant_id": cast.buyer.id, "amount_cny": "100.00"})
        for each in steps:
            if each.until_us is not None:
                house.pass_hours(hour_of(each.until_us) - house.clock.hour())
                continue
            caller = cast.buyer if each.is_buyer else cast.provider

            if each.method == "GET":  # hours are settled a moment after they have passed
                await eventually(partial(send, caller, each), partial(is_told, each))
            else:
                answer = await send(caller, each)
                assert is_told(each, answer), (each.path, answer)
