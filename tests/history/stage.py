"""Who trades in a history, and what: registered through HTTP by an operator, so with any exchange."""

from typing import Any, Final, Self

from exchange.kit.fields import format_cny
from exchange.kit.ids import decode_id
from tests.e2e.stage import FACTS, SCOPES
from tests.history.record import Trader
from tests.plain_http import Line

PROVIDERS: Final = 3
BUYERS: Final = 5
POOR_FEN, RICH_FEN = 4_000, 100_000_000


class Operator:
    """An operator's line, for what must be there before anybody trades."""

    def __init__(self, line: Line, key: str) -> None:
        self._line, self._key = line, key
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.cut()

    async def post(self, path: str, body: object) -> Any:
        """Post a body that must be taken."""
        self._count += 1
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"stage-{self._count}"}
        answer = await self._line.send("POST", path, key=self._key, body=body, headers=headers)
        assert answer.status == 201, (path, answer.status, answer.body)
        return answer.json()

    async def traders(self) -> list[Trader]:
        """Let providers and buyers join; the last buyer has little money."""
        kinds = ["provider"] * PROVIDERS + ["buyer"] * BUYERS
        return [
            await self.trader(kind, POOR_FEN if place == len(kinds) else RICH_FEN, f"{kind} {place}")
            for place, kind in enumerate(kinds, start=1)
        ]

    async def trader(self, kind: str, money_fen: int, name: str) -> Trader:
        """Let one join; a provider gets no money."""
        joined = await self.post("/v1/participants", {"kind": kind, "name": name, **FACTS[kind]})
        if kind == "buyer":
            deposit = {"participant_id": joined["id"], "amount_cny": format_cny(money_fen)}
            await self.post("/v1/deposits", deposit)
        key = await self.post("/v1/keys", {"participant_id": joined["id"], "scopes": SCOPES[kind]})
        participant_id = decode_id("par", joined["id"])
        assert participant_id is not None
        return Trader(
            participant_id=participant_id, key=key["secret"], is_buyer=kind == "buyer", deposit_fen=money_fen
        )

    async def products(self, count: int = 2) -> dict[str, int]:
        """Some products that are sold GPU by GPU, with their prices in fen."""
        answer = await self._line.send("GET", "/v1/products?limit=1000")
        sold = [each for each in answer.json()["data"] if each["lot_gpus"] == 1]
        return {
            each["id"]: int(each["reference_price_cny_per_gpu_hour"].replace(".", ""))
            for each in sold[:count]
        }
