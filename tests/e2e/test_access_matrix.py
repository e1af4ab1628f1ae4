"""Goal: no participant learns from any answer that a thing of another's exists, let alone what it is.

Method: over a real socket, every place in which any route takes an id (`access_places`), tried by a stranger
of each kind that the route admits, with the id of something that others have and with an id that nothing has:
both are told the same, byte for byte. `TOLD` has the places where it may differ, each with its reason, so a
new route, parameter or field is in the matrix by itself. A list tells strangers no id that the cast has.
After all of it every row of the database is as it was.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from exchange.kit.http_auth import declared_access
from tests.e2e.access_places import ANY_ID, UNKNOWN, Place, kept_rows, places, put, told
from tests.e2e.document import Description, path_of
from tests.e2e.good_bodies import BODIES, Good, good, route_of
from tests.e2e.served import Caller
from tests.e2e.stage import SCOPES, Stage, programme, staged

KINDS = ("provider", "buyer", "issuer", "regulator")
EVERYONES = {"product_id", "product", "code", "index", "report"}
"""Parameters of paths that are no ids of anybody's."""
TO_REGULATORS = (
    *("/v1/applications", "/v1/claims", "/v1/oversight", "/v1/programmes", "/v1/statements", "/v1/vouchers"),
)
"""Paths below which a regulator reads what is anyone's: that is the office."""
TOLD = {
    ("POST /v1/programmes", "/rules/provider/admitted"): "an issuer admits providers, whoever they are",
}
"""Places where a stranger may learn that a thing exists, and why."""
STORED = ("POST /v1/orders", "POST /v1/orders/batch")
"""A denied order is kept, and its answer has its own id: these have a test of their own."""


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    # The echo route takes an id for a text.
    async with staged(module_database_url, tmp_path_factory.mktemp("matrix"), bench_echo=False) as ready:
        yield ready


@pytest.fixture(scope="module")
async def description(stage: Stage) -> Description:
    return Description(await stage.operator.get("/schema/openapi.json"))


@pytest.fixture(scope="module")
async def theirs(stage: Stage) -> dict[str, tuple[str, ...]]:
    """Ids of each kind that strangers must not know of, by their prefix."""
    cast, ids = stage.cast, stage.ids
    draft = programme("draft", cast.provider.id) | {"draft": True}
    group = await stage.operator.post("/v1/trade-groups", {"name": "cast's own"})
    found = {text.partition("_")[0]: (text,) for name, text in ids.items() if name not in EVERYONES}
    return found | {
        "prg": ((await cast.issuer.post("/v1/programmes", draft))["id"],),
        "par": tuple(cast.of(kind).id for kind in KINDS),
        "grp": (group["id"],),
    }


@pytest.fixture(scope="module")
async def own(stage: Stage) -> dict[str, str]:
    """The ids of paths below which strangers name what is not theirs in bodies and queries: an own order."""
    buyer = stage.strangers.buyer
    await stage.operator.post("/v1/deposits", {"participant_id": buyer.id, "amount_cny": "1000.00"})
    bid = stage.order("buy", "own", (20, 22), price_cny_per_gpu_hour="3.70")
    return stage.ids | {"order_id": (await buyer.post("/v1/orders", bid))["id"]}


@pytest.fixture(scope="module")
async def bodies(stage: Stage) -> dict[str, Good]:
    return {route_of(name): await good(stage, name) for name in BODIES if name == route_of(name)}


def every_place(stage: Stage, description: Description) -> list[Place]:
    prefixes = {name: text.partition("_")[0] for name, text in stage.ids.items()}
    return [each for each in places(description, prefixes) if each.at[0] not in EVERYONES]


def admitted(stage: Stage, title: str) -> list[tuple[str, Caller]]:
    """Return the strangers whose keys open a route, by kind."""
    [scopes] = [
        {scope.value for scope in route.scopes or ()}
        for route in declared_access(stage.house.app)
        if f"{route.method} {path_of(route)}" == title
    ]
    return [(kind, stage.strangers.of(kind)) for kind in KINDS if scopes & set(SCOPES[kind])]


async def test_lists_show_strangers_nothing_of_others(stage: Stage, description: Description) -> None:
    lists = [each for each in description.operations.values() if each.method == "GET" and not each.names]
    private: dict[str, str] = {}
    for kind in KINDS:
        caller = stage.cast.of(kind)
        private[caller.id] = private[caller.key] = kind
        for operation in lists:
            if not operation.path.startswith(TO_REGULATORS) or kind != "regulator":
                answer = await caller.send("GET", operation.path)
                private |= dict.fromkeys(ANY_ID.findall(answer.text), f"{kind} {operation.path}")
    assert {each.partition("_")[0] for each in private} >= {
        "ord",
        "trd",
        "lse",
        "vch",
        "clm",
        "app",
        "acc",
        "key",
    }
    for known in await everyones(stage):
        private.pop(known, None)
    wrong = []
    for kind in KINDS:
        own = stage.strangers.of(kind)
        for operation in lists:
            if kind == "regulator" and operation.path.startswith(TO_REGULATORS):
                continue
            answer = await own.send("GET", operation.path)
            assert answer.status_code < 500
            shown = {each: whose for each, whose in private.items() if each in answer.text}
            if shown:
                wrong.append(f"{kind} {operation.path}: {shown}")
    assert not wrong, "\n".join(wrong)


async def everyones(stage: Stage) -> set[str]:
    """Return the ids that anyone with a key may read: open programmes, who issues them, whom they admit."""
    open_ones = (await stage.strangers.buyer.get("/v1/programmes"))["data"]
    assert all(each["status"] != "draft" for each in open_ones)
    return {each["id"] for each in open_ones} | {stage.cast.issuer.id, stage.cast.provider.id}


def is_meant(kind: str, place: Place) -> bool:
    """Whether this kind may learn here that a thing exists."""
    path = place.title.partition(" ")[2]
    return (place.title, place.named) in TOLD or (kind == "regulator" and path.startswith(TO_REGULATORS))


async def test_strangers_are_told_the_same_of_what_others_have_and_of_nothing(
    stage: Stage,
    description: Description,
    theirs: dict[str, tuple[str, ...]],
    own: dict[str, str],
    bodies: dict[str, Good],
) -> None:
    before = await kept_rows(stage)
    wrong, tried = [], Counter[str]()
    for place in every_place(stage, description):
        operation, sent = description.operations[place.title], bodies.get(place.title)
        for kind, stranger in admitted(stage, place.title):
            if is_meant(kind, place) or place.title in STORED:
                continue
            ids = stage.ids if place.where == "path" else own
            unknown = f"{place.prefix}_{UNKNOWN}"
            nothing = await put(place, operation, unknown, stranger, ids, sent)
            for value in theirs[place.prefix]:
                answer = await put(place, operation, value, stranger, ids, sent)
                tried[place.where] += 1
                told_same = told(answer, value) == told(nothing, unknown)
                if not told_same or (place.where == "path" and answer.status_code != 404):
                    wrong.append(f"{kind} {place.title} {place.named}: {answer.text} / {nothing.text}")
    assert not wrong, "\n".join(wrong)
    assert min(tried[where] for where in ("path", "query", "body")) > 10, tried
    assert await kept_rows(stage) == before


async def test_an_id_of_another_kind_is_none(
    stage: Stage,
    description: Description,
    theirs: dict[str, tuple[str, ...]],
    own: dict[str, str],
    bodies: dict[str, Good],
) -> None:
    """Those in paths are tried in test_bad_addresses."""
    before = await kept_rows(stage)
    wrong = []
    for place in every_place(stage, description):
        strangers = admitted(stage, place.title)
        if place.where == "path" or not strangers:
            continue
        operation, sent = description.operations[place.title], bodies.get(place.title)
        for value in (found[0] for prefix, found in theirs.items() if prefix != place.prefix):
            answer = await put(place, operation, value, strangers[-1][1], own, sent)
            if not {"bad_id", "forbidden", "wrong_role"} & set(re.findall(r"\w+", answer.text)):
                wrong.append(f"{place.title} {place.named} {value}: {answer.text}")
    assert not wrong, "\n".join(wrong)
    assert await kept_rows(stage) == before


@pytest.mark.parametrize("title", STORED)
async def test_an_order_paid_by_a_strangers_voucher_is_denied_like_one_by_none(
    stage: Stage, description: Description, theirs: dict[str, tuple[str, ...]], title: str
) -> None:
    [place] = [each for each in every_place(stage, description) if each.title == title]
    [voucher_id] = theirs["vch"]
    voucher = await stage.cast.buyer.get(f"/v1/vouchers/{voucher_id}")
    texts = set()
    for value in (voucher_id, f"vch_{UNKNOWN}"):
        sent = await good(stage, title)
        orders = sent.body.get("orders", [sent.body])
        orders[0]["client_order_id"] = f"{title.rpartition('/')[2]}-{value}"
        answer = await put(
            place, description.operations[title], value, stage.strangers.buyer, stage.ids, sent
        )
        assert "no_usable_voucher" in answer.text
        text = answer.text.replace(value, "<id>")
        texts.add(ANY_ID.sub("<order>", text))
    assert len(texts) == 1, texts
    assert await stage.cast.buyer.get(f"/v1/vouchers/{voucher_id}") == voucher


async def test_every_kind_of_id_is_in_the_matrix(
    stage: Stage, description: Description, theirs: dict[str, tuple[str, ...]]
) -> None:
    found = every_place(stage, description)
    assert {each.prefix for each in found} <= set(theirs)
    assert TOLD.keys() <= {(each.title, each.named) for each in found}
    assert set(STORED) <= {each.title for each in found}
    assert {each.title for each in found if each.where == "path"} >= {
        title
        for title in description.operations
        if "{" in title and title.partition("{")[2].partition("}")[0] not in EVERYONES
    }
