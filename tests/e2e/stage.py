"""An exchange on which everything exists once: each kind of participant, and one of each thing they make.

There is a bid and an ask that rest, a lease still to be delivered, one delivered and paid by a voucher in
part, a claim on that voucher's programme, an application to one that grants by score, and a second of each
kind of participant with nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from exchange.alerts import store as alert_store
from exchange.alerts.models import Figure, Finding
from exchange.kit.fields import format_hour
from exchange.kit.ids import decode_id, encode_id, new_id
from tests.e2e.served import Caller, Served, eventually, served
from tests.no_tls import NO_TLS

PRODUCT: Final = "nvidia-t4.zhangjiakou.pcie3"
LOT_PRODUCT: Final = "nvidia-h100-sxm.guian.ib-ndr400"
PRICE: Final = "4.20"

PDF: Final = {"Content-Type": "application/pdf"}
SCOPES: Final = {
    "provider": ["read", "list_capacity"],
    "buyer": ["read", "trade"],
    "issuer": ["read", "issue"],
    "regulator": ["read", "audit"],
}
FACTS: Final[dict[str, dict[str, object]]] = {
    "provider": {"region": "hebei", "ownership": "state"},
    "buyer": {"region": "beijing", "size_class": "micro", "founded_on": "2024-05-01", "sectors": ["ai"]},
}


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """One participant of each kind."""

    provider: Caller
    buyer: Caller
    issuer: Caller
    regulator: Caller

    def of(self, kind: str) -> Caller:
        """Return the participant of a kind."""
        caller: Caller = getattr(self, kind)
        return caller


class Stage:
    """A served exchange, its cast, its strangers, and the ids of what the cast has made."""

    def __init__(self, house: Served, cast: Cast, strangers: Cast) -> None:
        self.house = house
        self.cast = cast
        self.strangers = strangers
        self.operator = house.operator
        self.ids: dict[str, str] = {}

    def hour(self, offset: int) -> str:
        """Return the start of an hour, counted from the first hour for sale."""
        return format_hour(self.house.clock.hour() + 1 + offset)

    def order(
        self, side: str, client_order_id: str, window: tuple[int, int], **more: object
    ) -> dict[str, Any]:
        """Return an order for some GPUs in a window of hours from the first hour for sale."""
        return {
            "client_order_id": client_order_id,
            "product": PRODUCT,
            "side": side,
            "quantity_gpus": 2,
            "starts_at": self.hour(window[0]),
            "ends_at": self.hour(window[1]),
            "price_cny_per_gpu_hour": PRICE,
            **more,
        }


def programme(code: str, provider_id: str, **rules: object) -> dict[str, Any]:
    """Return a programme that pays half at one provider, with these rules besides."""
    return {
        "code": code,
        "name": "张家口算力券",
        "rules": {
            "budget_fen": 10_000_000,
            "rate_tiers": [{"bps": 5_000}],
            "cap_per_year_fen": 1_000_000,
            "validity_days": 90,
            "provider": {"admitted": [provider_id]},
            "buyer": {"regions": ["beijing"], "size_classes": ["micro"]},
            **rules,
        },
    }


async def join_all(house: Served) -> Cast:
    """Register one participant of each kind."""
    joined = {kind: await house.join(kind, SCOPES[kind], **FACTS.get(kind, {})) for kind in SCOPES}
    return Cast(**joined)


async def set_scene(house: Served) -> Stage:
    """Make one of each thing."""
    stage = Stage(house, await join_all(house), await join_all(house))
    cast, ids = stage.cast, stage.ids
    for owner, amount in ((cast.buyer, "100000.00"), (cast.issuer, "100000.00")):
        await stage.operator.post("/v1/deposits", {"participant_id": owner.id, "amount_cny": amount})
    ids["programme_id"] = (await cast.issuer.post("/v1/programmes", programme("scene", cast.provider.id)))[
        "id"
    ]
    voucher = {"programme_id": ids["programme_id"], "buyer_id": cast.buyer.id, "amount_cny": "1000.00"}
    ids["voucher_id"] = (await cast.issuer.post("/v1/vouchers", voucher))["id"]
    scored = programme("scored", cast.provider.id, allocation="scored")
    wish = {
        "programme_id": (await cast.issuer.post("/v1/programmes", scored))["id"],
        "amount_cny": "50.00",
        "purpose": "训练大模型",
    }
    ids["application_id"] = (await cast.buyer.post("/v1/applications", wish))["id"]
    await cast.provider.post("/v1/orders", stage.order("sell", "scene-1", (0, 12)))
    await cast.buyer.post("/v1/orders", stage.order("buy", "scene-1", (0, 1), vouchers="auto"))
    await cast.buyer.post("/v1/orders", stage.order("buy", "scene-2", (9, 12)))
    future, delivered = (await cast.buyer.get("/v1/leases"))["data"]
    house.pass_hours(4)
    await eventually(
        lambda: cast.provider.get(f"/v1/leases/{delivered['id']}"), lambda lease: lease["status"] == "settled"
    )
    claim = await cast.provider.post("/v1/claims", {"programme_id": ids["programme_id"]})
    attached = await cast.provider.send(
        "POST", f"/v1/claims/{claim['id']}/evidence", params={"name": "log"}, content=b"%PDF-", headers=PDF
    )
    ids["evidence_id"] = attached.json()["id"]
    ids |= {"lease_id": future["id"], "claim_id": claim["id"], "participant_id": cast.buyer.id}
    bid = stage.order("buy", "scene-3", (20, 22), price_cny_per_gpu_hour="3.90")
    ids["order_id"] = (await cast.buyer.post("/v1/orders", bid))["id"]
    await cast.provider.post("/v1/orders", stage.order("sell", "scene-2", (30, 40)))
    ids["key_id"] = (await cast.buyer.get("/v1/keys"))["data"][0]["id"]
    ids["session_id"] = await _begin_session(stage, cast.buyer)
    ids["account_id"] = (await cast.buyer.get("/v1/accounts"))["data"][0]["id"]
    ids["trade_id"] = (await cast.buyer.get("/v1/trades"))["data"][0]["id"]
    ids["product_id"] = ids["product"] = PRODUCT
    ids["index"] = "foreign"
    ids["code"], ids["report"] = "not_found", "stacking"
    ids["alert_id"] = await _raise_alert(stage)
    return stage


async def _begin_session(stage: Stage, owner: Caller) -> str:
    """Log in with a key, with a client whose cookie nobody keeps; return the session's id."""
    async with httpx.AsyncClient(
        base_url=stage.house.http.base_url, trust_env=False, verify=NO_TLS
    ) as browser:
        own_pages = {"Sec-Fetch-Site": "same-origin"}
        begun = await browser.post("/v1/session", json={"key": owner.key}, headers=own_pages)
    assert begun.status_code == 201, begun.text
    session_id: str = (await owner.get("/v1/sessions"))["data"][0]["id"]
    return session_id


async def _raise_alert(stage: Stage) -> str:
    """Store an alert about the cast's order, as the task that reads the record does; return its id."""
    now_us = stage.house.clock.now_us()
    order_id = decode_id("ord", stage.ids["order_id"]) or 0
    async with stage.house.exchange.database.transaction() as connection:
        record_ids = await connection.fetchval(
            "SELECT array_agg(id ORDER BY id) FROM audit_record WHERE order_id = $1", order_id
        )
        finding = Finding(
            detector="self_match",
            rules_version=1,
            severity="medium",
            participant_ids=(decode_id("par", stage.cast.buyer.id) or 0,),
            product_id=PRODUCT,
            begins_at_us=now_us,
            ends_at_us=now_us,
            found_at_us=now_us,
            figures=(Figure("pairs", 3, 3), Figure("notional_fen", 1_235)),
            record_ids=tuple(record_ids),
            order_ids=(order_id,),
        )
        alert_id = new_id()
        await alert_store.insert_findings(connection, [(alert_id, finding)])
    return encode_id("alr", alert_id)


@asynccontextmanager
async def staged(database_url: str, data_dir: Path, **more: Any) -> AsyncIterator[Stage]:
    """Serve an exchange, with these settings, and with the scene set."""
    async with served(database_url, data_dir, **more) as house:
        yield await set_scene(house)
