"""Goal: a filter that can never be met is told, and never answered with an empty list or with other figures.

Method: over a real socket, every route of the API's own description that takes a name of the catalogue, or a
moment that has been, is sent one that is not there, and then one that is. So no route is forgotten.
"""

from collections.abc import AsyncIterator

import httpx
import pytest

from exchange.kit.fields import format_hour
from tests.e2e.bad_queries import query_of, required_of
from tests.e2e.document import Description, Operation
from tests.e2e.served import Caller, problem
from tests.e2e.stage import Stage, staged

NAMED = {
    "product": ("nvidia-t4.zhangjiakou.pcie4", "nvidia-t4.zhangjiakou.pcie3"),
    "accelerator": ("nvidia-t5", "nvidia-t4"),
    "hub": ("gizhou", "guizhou"),
    "interconnect": ("pcie", "pcie3"),
}
"""For each parameter a mistyped name, and a right one."""
IDS = {"order_id": "ord_zzzzzzzzzzzzz", "programme_id": "prg_zzzzzzzzzzzzz"}
"""Texts of the form of an id that no id can be."""
MOMENTS = ("as_of", "at")


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("filters")) as ready:
        yield ready


@pytest.fixture(scope="module")
async def description(stage: Stage) -> Description:
    return Description(await stage.operator.get("/schema/openapi.json"))


def reads_with(description: Description, name: str) -> list[Operation]:
    """Return the routes that read something, narrowed by a parameter; ids in a path are another matter."""
    return [
        each
        for each in description.operations.values()
        if each.method == "GET" and name in each.query and each.names in ((), ("product",))
    ]


async def ask(
    stage: Stage, description: Description, operation: Operation, *given: tuple[str, str]
) -> httpx.Response:
    """Send a query to a route by a key that may read it."""
    # A window, where one is needed, that every clock of a test has passed.
    window = {"starts_at": format_hour(492_000), "ends_at": format_hour(492_001), "reason": "case 7"}
    required = {
        name: window.get(name, text) for name, text in required_of(description, operation).items()
    } | ({"reason": "case"} if "reason" in operation.query else {})
    path = operation.path.replace("{product}", NAMED["product"][1])
    answer = None
    for caller in callers(stage):
        answer = await caller.send("GET", f"{path}?{query_of(required, *given)}")
        if answer.status_code not in {401, 403, 404}:
            break
    assert answer is not None
    return answer


def callers(stage: Stage) -> list[Caller]:
    cast = stage.cast
    return [cast.buyer, cast.provider, cast.issuer, cast.regulator, stage.operator]


@pytest.mark.parametrize("name", NAMED)
async def test_a_mistyped_name_of_the_catalogue_is_told(
    stage: Stage, description: Description, name: str
) -> None:
    wrong, right = NAMED[name]
    asked = reads_with(description, name)
    assert len(asked) >= 2
    for operation in asked:
        refused = await ask(stage, description, operation, (name, wrong))
        body = problem(refused, 422, "invalid_query")
        assert [fault["pointer"] for fault in body["errors"]] == [f"?{name}"], operation.title
        answer = await ask(stage, description, operation, (name, right))
        assert answer.status_code == 200, f"{operation.title}: {answer.text}"


async def test_everything_that_is_wrong_with_a_query_is_told_at_once(
    stage: Stage, description: Description
) -> None:
    lists = [each for each in description.operations.values() if "cursor" in each.query and not each.names]
    assert len(lists) > 15
    missed: dict[str, set[str]] = {}
    for operation in lists:
        wrong = {"cursor": "zzz", "limit": "0", "x": "1"}
        wrong |= {name: text for name, (text, _) in NAMED.items() if name in operation.query}
        wrong |= {name: IDS[name] for name in IDS if name in operation.query}
        refused = await ask(stage, description, operation, *wrong.items())
        told = {fault["pointer"] for fault in problem(refused, 422, "invalid_query")["errors"]}
        if left := {name for name in wrong if f"?{name}" not in told}:
            missed[operation.title] = left
    assert missed == {}


@pytest.mark.parametrize("name", MOMENTS)
async def test_a_moment_that_has_not_been_is_told(stage: Stage, description: Description, name: str) -> None:
    asked = reads_with(description, name)
    assert asked
    for operation in asked:
        refused = await ask(stage, description, operation, (name, "2099-01-01T00:00:00Z"))
        body = problem(refused, 422, "invalid_query")
        assert [fault["pointer"] for fault in body["errors"]] == [f"?{name}"], operation.title
        now = format_hour(stage.house.clock.hour())
        answer = await ask(stage, description, operation, (name, now))
        assert answer.status_code == 200, f"{operation.title}: {answer.text}"


async def test_every_file_of_rows_names_its_charset_once(stage: Stage, description: Description) -> None:
    files = [
        each
        for each in description.operations.values()
        if each.method == "GET" and each.path.endswith("/export") and not each.names
    ]
    assert len(files) >= 5
    for operation in files:
        given = (("format", "csv"),) if "format" in operation.query else ()
        answer = await ask(stage, description, operation, *given)
        assert answer.status_code == 200, f"{operation.title}: {answer.text}"
        assert answer.headers["content-type"] == "text/csv; header=present; charset=utf-8", operation.title
