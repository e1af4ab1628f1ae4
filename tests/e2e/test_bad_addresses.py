"""Goal: no address makes the exchange fail: every query parameter and every id in a path, each wrong way.

Method: over a real socket, from the API's own description, by the operator's key, which opens every route.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.bad_queries import (
    EXTREMES,
    by_meaning,
    by_schema,
    cursor_of,
    query_of,
    required_of,
    senseless,
)
from tests.e2e.document import Description, Operation
from tests.e2e.good_bodies import BODIES, good, route_of
from tests.e2e.served import pointers, problem
from tests.e2e.stage import Stage, staged
from tests.hypothesis_profiles import sampled

CURSOR_LISTS = (
    *(
        "accounts",
        "applications",
        "application_steps",
        "claims",
        "claim_lines",
        "claim_steps",
        "keys",
        "leases",
        "list_prices",
        "list_price_history",
        "orders",
        "trades",
        "oversight-trades-newest_first",
        "oversight-events-newest_first",
        "oversight-questions",
        "oversight-voucher-movements",
        "oversight-book",
        "checkpoints",
        "alerts",
        "alert_rules",
        "buyers",
        "sessions",
    ),
    *(
        "participants",
        "products",
        "programmes",
        "programme_versions",
        "programme_steps",
        "trade_groups",
        "transfers",
        "vouchers",
        "voucher_steps",
        "voucher_news",
        "statement_claims",
    ),
)
JUDGED_BY = {"cursor": {"order"}}
"""By which others a parameter is judged: nothing can be said of it while they cannot be read."""
OF_FORM_ALONE = {
    "DELETE /v1/sessions",
    "GET /v1/market/{product}/trades",
    "POST /v1/capacity/import",
    "POST /v1/claims/{claim_id}/evidence",
}
"""Routes of whose parameters the form says all."""
CURSOR_PARTS: tuple[tuple[int | str, ...], ...] = ((1,), ("a",), (1, 1), (1, 1, 1))
UNKNOWN_LETTERS = "7zzzzzzzzzzzz"
RUBBISH = (
    *("rubbish", "null", "-1", "*", "%00", "ord_%00", "%ff", "%c3%28", "%ed%a0%80", "%20", "%25", "%7B%7D"),
    *("%2e%2e", "..%2f..%2fetc%2fpasswd", "'%20OR%201=1--", "%E2%80%AEord_1", "x" * 3_000),
    *("ord_", "ord_OOOOOOOOOOOOO", "ord_zzzzzzzzzzzzz", "ord_0000000000000", "ORD_0000000000001"),
    "ord_0000000000001%0a",
)


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("bad_addresses")) as ready:
        yield ready


@pytest.fixture(scope="module")
async def description(stage: Stage) -> Description:
    return Description(await stage.operator.get("/schema/openapi.json"))


def address(stage: Stage, operation: Operation) -> str:
    return operation.path.format(**stage.ids)


async def test_each_fault_of_a_query_is_named(stage: Stage, description: Description) -> None:
    wrong = []
    tried = 0
    for operation in description.operations.values():
        required = required_of(description, operation)
        for name, schema in operation.query.items():
            queries = [query_of(required, (name, text)) for text in by_schema(description, name, schema)]
            queries.append(query_of(required, (name, "%ff")))
            if "array" not in description.kinds(schema):
                queries.append(query_of(required, (name, required.get(name, "1")), (name, "1")))
            if name in required:
                queries.append("&".join(f"{other}={required[other]}" for other in required if other != name))
            for query in sampled(queries, first=2):
                answer = await stage.operator.send(operation.method, f"{address(stage, operation)}?{query}")
                tried += 1
                try:
                    named = pointers(problem(answer, 422, "invalid_query"))
                    assert f"?{name}" in named
                except AssertionError as error:
                    wrong.append(f"{operation.title} {query[:100]}: {error}")
    assert not wrong, "\n".join(wrong)
    assert tried > 200


async def test_a_query_of_the_right_form_that_means_nothing_is_refused(
    stage: Stage, description: Description
) -> None:
    tried = 0
    for operation in description.operations.values():
        required = required_of(description, operation)
        for name, schema in operation.query.items():
            for text in by_meaning(description, schema):
                query = query_of(required, (name, text))
                answer = await stage.operator.send(operation.method, f"{address(stage, operation)}?{query}")
                tried += 1
                refused = problem(answer)
                assert refused["status"] == 404 or f"?{name}" in pointers(refused), query
    assert tried > 50


async def test_all_faults_of_a_query_are_named_in_one_answer(stage: Stage, description: Description) -> None:
    before = await stage.house.rows()
    for operation in description.operations.values():
        names = (*operation.query, "no_such_parameter", "another/~one")
        query = "&".join(f"{name}=a%00b" for name in names)
        answer = await stage.operator.send(operation.method, f"{address(stage, operation)}?{query}")
        named = pointers(problem(answer, 422, "invalid_query"))
        assert named == {f"?{name}" for name in names}, operation.title
    assert await stage.house.rows() == before


async def test_what_means_nothing_is_named_beside_what_cannot_be_read(
    stage: Stage, description: Description
) -> None:
    wrong = []
    of_form_alone = set()
    for operation in description.operations.values():
        tried = 0
        for given in senseless(description, operation):
            names = {name for name, _ in given}
            judged_by = set().union(*(JUDGED_BY.get(name, set()) for name in names))
            unread = {*operation.query, "no_such_parameter"} - names - judged_by
            query = "&".join(
                f"{name}={text}" for name, text in (*given, *((name, "a%00b") for name in unread))
            )
            answer = await stage.operator.send(operation.method, f"{address(stage, operation)}?{query}")
            tried += 1
            named = {pointer.removeprefix("?") for pointer in pointers(problem(answer, 422, "invalid_query"))}
            if not (unread <= named and named & names):
                wrong.append(f"{operation.title} {query}: {named}")
        if operation.query and not tried:
            of_form_alone.add(operation.title)
    assert not wrong, "\n".join(wrong)
    assert of_form_alone == OF_FORM_ALONE


@pytest.mark.parametrize(
    "path,query,named",
    [
        (
            "/v1/market/nvidia-h100-sxm.guian.ib-ndr400/depth",
            "starts_at={0}&ends_at={2}&hours=9&quantity_gpus=3&x=1",
            {"?hours", "?quantity_gpus", "?x"},
        ),
        (
            "/v1/market/nvidia-h100-sxm.guian.ib-ndr400/depth",
            "starts_at={0}&ends_at={2}&hours=x&quantity_gpus=3",
            {"?hours", "?quantity_gpus"},
        ),
        (
            "/v1/market/{product}/candles",
            "starts_at={0}&ends_at={9000}&interval=2h",
            {"?ends_at", "?interval"},
        ),
        ("/v1/market/{product}/calendar", "starts_at={0}&ends_at={9000}&x=1", {"?ends_at", "?x"}),
        ("/v1/oversight/books/{product}", "at={9000}&sequence=1&limit=0", {"?at", "?sequence", "?limit"}),
        ("/v1/oversight/books/{product}", "sequence=99999&limit=0", {"?sequence", "?limit"}),
        (
            "/v1/oversight/reports/stacking",
            "from=2026-01-01&until=2025-01-01&by=year",
            {"?until", "?by"},
        ),
    ],
)
async def test_rules_of_a_route_of_its_own_are_told_with_what_cannot_be_read(
    stage: Stage, path: str, query: str, named: set[str]
) -> None:
    hours = re.sub(r"{(\d+)}", lambda found: stage.hour(int(found[1])), query)
    answer = await stage.operator.send("GET", f"{path.format(**stage.ids)}?{hours}")
    assert pointers(problem(answer, 422, "invalid_query")) == named


async def test_no_forged_cursor_makes_a_list_fail(stage: Stage, description: Description) -> None:
    lists = [each for each in description.operations.values() if "cursor" in each.query]
    assert len(lists) > 10
    for operation in sampled(lists, first=4):
        required = required_of(description, operation)

        async def status(*parts: object, operation: Operation = operation, required: Any = required) -> int:
            query = query_of(required, ("cursor", cursor_of(*parts)))
            answer = await stage.operator.send("GET", f"{address(stage, operation)}?{query}")
            if answer.status_code != 200:
                problem(answer, 422, "invalid_query")
            return answer.status_code

        forms = [(name, *parts) for name in CURSOR_LISTS for parts in CURSOR_PARTS]
        good = [form for form in forms if await status(*form) == 200]
        assert len(good) == 1, f"{operation.title}: the cursors of this list are not known here: {good}"
        for place in range(1, len(good[0])):
            for extreme in sampled(EXTREMES, first=4):
                await status(*good[0][:place], extreme, *good[0][place + 1 :])


async def test_what_is_not_there_is_not_found(stage: Stage, description: Description) -> None:
    bodies = {route_of(name): (await good(stage, name)).body for name in BODIES}
    foreign = {text for name, text in stage.ids.items() if name.endswith("_id")}
    before = await stage.house.rows()
    wrong = []
    for operation in description.operations.values():
        query = query_of(required_of(description, operation))
        for name in operation.names:
            own = stage.ids.get(name, "not_found")
            unknown = f"{own.partition('_')[0]}_{UNKNOWN_LETTERS}"
            near = (unknown, own.upper(), f"{own}x", f"%20{own}", f"{own}%00")
            for text in sampled((*near, *RUBBISH, *sorted(foreign - {own})), first=len(near)):
                path = f"{operation.path.format(**{**stage.ids, name: text})}?{query}"
                answer = await stage.operator.send(operation.method, path, json=bodies.get(operation.title))
                try:
                    problem(answer, 404, "not_found")
                except AssertionError as error:
                    wrong.append(f"{operation.method} {path[:200]}: {answer.status_code} {error}")
    assert not wrong, "\n".join(wrong)
    assert await stage.house.rows() == before


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nowhere", "/v2/orders", "/v1/orders/a/b", "/%00"])
async def test_other_paths_are_not_found(stage: Stage, path: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        problem(await stage.operator.send(method, path), 404, "not_found")


async def test_other_methods_are_named_with_those_that_fit(stage: Stage, description: Description) -> None:
    methods: dict[str, set[str]] = {}
    for operation in description.operations.values():
        methods.setdefault(operation.path, set()).add(operation.method)
    for path, taken in methods.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - taken:
            answer = await stage.operator.send(method, path.format(**stage.ids))
            problem(answer, 405, "method_not_allowed")
            assert taken <= set(answer.headers["allow"].split(", "))
