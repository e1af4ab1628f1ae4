"""Goal: HEAD is answered wherever GET is, by the same status and headers, and by nothing else.

Method: over a real socket, every GET of the API's own description, and the files beside it, by a key that may
read it and by none; before and after each HEAD a GET, as some answers grow with every request.
"""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.e2e.bad_queries import query_of, required_of
from tests.e2e.document import Description
from tests.e2e.served import Caller
from tests.e2e.stage import Stage, staged

FILES = ("/schema", "/schema/openapi.json", "/static/openapi-page.js", "/", "/console/", "/nowhere")
OF_THE_MOMENT = {"date", "etag", "last-modified", "ratelimit", "retry-after", "x-request-id"}
"""Headers that differ between two GETs as well."""
OF_A_STREAM = "transfer-encoding"
"""How a body of unknown length is told to end, where there is one."""


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("heads")) as ready:
        yield ready


@pytest.fixture(scope="module")
async def description(stage: Stage) -> Description:
    return Description(await stage.operator.get("/schema/openapi.json"))


def addresses(stage: Stage, description: Description) -> Iterator[str]:
    """Yield an address of each route that can be read, with what its query cannot do without."""
    for operation in description.operations.values():
        if operation.method == "GET":
            query = query_of(required_of(description, operation))
            yield f"{operation.path.format(**stage.ids)}?{query}".removesuffix("?")
    yield from FILES


def told(answer: httpx.Response) -> dict[str, str]:
    """Return the headers that two answers of the same request have both."""
    return {
        name: value
        for name, value in answer.headers.items()
        if name not in {*OF_THE_MOMENT, OF_A_STREAM, "content-length"}
    }


async def complaint_of(caller: Caller, address: str, keys: dict[str, str]) -> str | None:
    """Say what is wrong with the answer to a HEAD."""
    before, head, after = [
        await caller.http.request(method, address, headers=keys) for method in ("GET", "HEAD", "GET")
    ]
    if (head.status_code, head.content) != (before.status_code, b""):
        return f"{address}: {head.status_code} {head.content[:100]!r}, not {before.status_code}"
    if told(head) != told(before):
        return f"{address}: {told(head)}, not {told(before)}"
    if (OF_A_STREAM in head.headers) or ("etag" in head.headers) != ("etag" in before.headers):
        return f"{address}: {head.headers}"
    lengths = [each.headers.get("content-length") for each in (before, head, after)]
    if None in lengths:
        return None if set(lengths) == {None} else f"{address}: {lengths}"
    least, length, most = (int(each or 0) for each in lengths)
    return None if least <= length <= most or most <= length <= least else f"{address}: {lengths}"


async def test_every_path_that_is_read_tells_its_head(stage: Stage, description: Description) -> None:
    callers = [
        stage.operator,
        *(stage.cast.of(kind) for kind in ("buyer", "provider", "issuer", "regulator")),
    ]
    wrong = []
    statuses = set()
    for address in addresses(stage, description):
        for caller in callers:
            keys = {"Authorization": f"Bearer {caller.key}"}
            answer = await caller.http.head(address, headers=keys)
            if answer.status_code not in {403, 404}:
                break
        statuses.add(answer.status_code)
        wrong += [
            complaint for each in (keys, {}) if (complaint := await complaint_of(caller, address, each))
        ]
    assert not wrong, "\n".join(wrong)
    assert {200, 307, 404} <= statuses


async def test_a_head_is_told_what_a_cache_has_and_in_which_coding(stage: Stage) -> None:
    document = "/schema/openapi.json"
    long = [await stage.house.http.request(each, document) for each in ("GET", "HEAD")]
    assert [each.headers["content-encoding"] for each in long] == ["gzip", "gzip"]
    assert long[0].headers["content-length"] == long[1].headers["content-length"]
    market = await stage.house.http.get("/v1/market")
    known = await stage.house.http.head("/v1/market", headers={"If-None-Match": market.headers["etag"]})
    assert (known.status_code, known.headers["etag"]) == (304, market.headers["etag"])


async def test_what_is_not_read_has_no_head(stage: Stage, description: Description) -> None:
    read = {each.path for each in description.operations.values() if each.method == "GET"}
    unread = {each.path for each in description.operations.values()} - read
    assert len(unread) > 5
    for path in unread:
        answer = await stage.operator.send("HEAD", path.format(**stage.ids))
        assert answer.status_code == 405, path
        assert "HEAD" not in answer.headers["allow"].split(", "), path
    for path in read:
        allowed = (await stage.operator.send("OPTIONS", path.format(**stage.ids))).headers["allow"]
        assert {"GET", "HEAD"} <= set(allowed.split(", ")), path


async def test_the_description_does_not_tell_each_twice(stage: Stage) -> None:
    paths = (await stage.operator.get("/schema/openapi.json"))["paths"]
    assert not [path for path, methods in paths.items() if "head" in methods]
