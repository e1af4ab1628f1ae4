"""One body for each route that takes one, which that route would take: what bad bodies are made from."""

from typing import Any

import msgspec

from exchange.alerts.thresholds import default_rules
from tests.e2e.served import Caller
from tests.e2e.stage import Stage, programme

PUBLIC_KEY = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="


class Good(msgspec.Struct, frozen=True, kw_only=True):
    """A body, where it goes, and who may send it there."""

    title: str
    caller: Caller
    path: str
    body: dict[str, Any]

    @property
    def method(self) -> str:
        """The method of the route."""
        return self.title.partition(" ")[0]


BODIES = (
    "POST /v1/applications",
    "POST /v1/applications/{application_id}/score",
    "POST /v1/applications/{application_id}/steps",
    "POST /v1/bench/echo",
    "POST /v1/claims/{claim_id}/steps",
    "POST /v1/claims/{claim_id}/reject",
    "POST /v1/claims",
    "POST /v1/claims/batch",
    "POST /v1/deposits",
    "POST /v1/keys",
    "POST /v1/keys/{key_id}/rotate",
    "POST /v1/leases/{lease_id}/outages",
    "POST /v1/orders",
    "POST /v1/orders as ask",
    "POST /v1/orders/batch",
    "POST /v1/orders/cancel-all-after",
    "POST /v1/orders/preview",
    "PATCH /v1/orders/{order_id}",
    "POST /v1/oversight/alerts/{alert_id}/review",
    "POST /v1/oversight/alerts/{alert_id}/notes",
    "POST /v1/oversight/alerts/{alert_id}/close",
    "POST /v1/oversight/alert-rules",
    "POST /v1/oversight/alert-rules/backtest",
    "POST /v1/participants",
    "POST /v1/participants as provider",
    "POST /v1/participants/{participant_id}/logins",
    "POST /v1/programmes",
    "POST /v1/programmes/{programme_id}/versions",
    "POST /v1/session",
    "POST /v1/trade-groups",
    "POST /v1/vouchers",
    "POST /v1/vouchers/{voucher_id}/steps",
    "POST /v1/vouchers/eligibility",
    "POST /v1/programmes/{programme_id}/steps",
    "POST /v1/withdrawals",
    "PUT /v1/products/{product_id}/list-price",
    "PUT /v1/products/{product_id}/phase",
)
"""The routes with a body, some with a second body for what the first cannot have.

In an order in which each can be sent: what is rejected can be claimed again, and is scored before; what is
closed issues nothing.
"""


def route_of(name: str) -> str:
    """Return the route's title of a name in `BODIES`."""
    return name.partition(" as ")[0]


async def good(stage: Stage, name: str) -> Good:
    """Return the good body of a name in `BODIES`."""
    cast, ids, operator = stage.cast, stage.ids, stage.operator
    window = (4, 8)
    bid = stage.order("buy", "good-bid", window, hours=2, fill="partial", vouchers="none")
    money = {"participant_id": cast.buyer.id, "amount_cny": "12.35", "note": "转账 1"}
    buyer = {
        "kind": "buyer",
        "name": "某公司",
        "region": "beijing",
        "size_class": "small",
        "founded_on": "2024-05-01",
        "sectors": ["large-models"],
    }
    bodies: dict[str, tuple[Caller, dict[str, Any]]] = {
        "POST /v1/applications": (
            cast.buyer,
            {"programme_id": ids["programme_id"], "amount_cny": "10.00", "purpose": "推理"},
        ),
        "POST /v1/applications/{application_id}/score": (cast.issuer, {"score": 700, "reason": "评审"}),
        "POST /v1/applications/{application_id}/steps": (
            cast.issuer,
            {"to": "rejected", "reason": "材料不全"},
        ),
        "POST /v1/bench/echo": (cast.buyer, bid),
        "POST /v1/claims": (cast.provider, {"programme_id": ids["programme_id"]}),
        "POST /v1/claims/batch": (
            cast.provider,
            {"programme_ids": [ids["programme_id"]], "submit": True},
        ),
        "POST /v1/claims/{claim_id}/reject": (cast.issuer, {"reason": "材料不全"}),
        "POST /v1/claims/{claim_id}/steps": (
            cast.issuer,
            {"to": "in_audit", "reason": "抽查"},
        ),
        "POST /v1/deposits": (operator, money),
        "POST /v1/keys": (
            operator,
            {
                "scopes": ["read"],
                "participant_id": cast.buyer.id,
                "label": "desk",
                "expires_at": "2090-01-01T00:00:00Z",
                "allowed_networks": ["10.0.0.0/8"],
                "signing_public_key": PUBLIC_KEY,
                "algorithm": "buys-at-night.2",
            },
        ),
        "POST /v1/keys/{key_id}/rotate": (cast.buyer, {"overlap_s": 600, "signing_public_key": PUBLIC_KEY}),
        "POST /v1/leases/{lease_id}/outages": (cast.provider, {"hours": [stage.hour(6)], "reason": "停电"}),
        "POST /v1/orders": (cast.buyer, bid),
        "POST /v1/orders as ask": (cast.provider, stage.order("sell", "good-ask", window, min_hours=2)),
        "POST /v1/orders/batch": (
            cast.buyer,
            {"orders": [stage.order("buy", "good-batch", window, price_cny_per_gpu_hour="3.80")]},
        ),
        "POST /v1/orders/cancel-all-after": (stage.strangers.buyer, {"timeout_s": 60}),
        "POST /v1/orders/preview": (cast.buyer, bid),
        "PATCH /v1/orders/{order_id}": (
            cast.buyer,
            {"quantity_gpus": 1, "price_cny_per_gpu_hour": "3.80", "time_in_force": "gtc"},
        ),
        "POST /v1/oversight/alerts/{alert_id}/review": (cast.regulator, {"text": "值班"}),
        "POST /v1/oversight/alerts/{alert_id}/notes": (cast.regulator, {"text": "已询问交易方"}),
        "POST /v1/oversight/alerts/{alert_id}/close": (cast.regulator, {"reason": "有正当理由"}),
        "POST /v1/oversight/alert-rules": (
            cast.regulator,
            {
                "rules": msgspec.to_builtins(default_rules()),
                "reason": "季度复核",
                "effective_from": stage.hour(2),
            },
        ),
        "POST /v1/oversight/alert-rules/backtest": (
            cast.regulator,
            {
                "rules": msgspec.to_builtins(default_rules()),
                "reason": "季度复核",
                "found_from": stage.hour(0),
                "found_until": stage.hour(48),
            },
        ),
        "POST /v1/participants": (operator, buyer),
        "POST /v1/participants as provider": (
            operator,
            {"kind": "provider", "name": "数据中心", "region": "hebei", "ownership": "private"},
        ),
        "POST /v1/participants/{participant_id}/logins": (operator, {"scopes": ["read"], "valid_s": 600}),
        "POST /v1/programmes": (cast.issuer, programme("good", cast.provider.id)),
        "POST /v1/programmes/{programme_id}/versions": (
            cast.issuer,
            {"rules": programme("scene", cast.provider.id)["rules"]},
        ),
        "POST /v1/programmes/{programme_id}/steps": (
            cast.issuer,
            {"to": "closed", "reason": "本年度已结束"},
        ),
        "POST /v1/session": (cast.buyer, {"key": cast.buyer.key}),
        "POST /v1/trade-groups": (operator, {"name": "集团"}),
        "POST /v1/vouchers": (
            cast.issuer,
            {"programme_id": ids["programme_id"], "buyer_id": cast.buyer.id, "amount_cny": "10.00"},
        ),
        "POST /v1/vouchers/{voucher_id}/steps": (cast.issuer, {"to": "suspended", "reason": "核查"}),
        "POST /v1/vouchers/eligibility": (
            cast.buyer,
            {
                "product": bid["product"],
                "quantity_gpus": 1,
                "hours": 2,
                "price_cny_per_gpu_hour": "4.00",
                "vouchers": "auto",
            },
        ),
        "POST /v1/withdrawals": (operator, money),
        "PUT /v1/products/{product_id}/list-price": (cast.provider, {"price_cny_per_gpu_hour": "4.50"}),
        "PUT /v1/products/{product_id}/phase": (operator, {"phase": "open"}),
    }
    caller, body = bodies[name]
    title = route_of(name)
    return Good(title=title, caller=caller, path=title.partition(" ")[2].format(**ids), body=body)
