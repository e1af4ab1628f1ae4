"""Goal: HEAD is answered wherever GET is, by the same status and headers, and by nothing else.

Method: over a real socket, every GET of the API's own description, and the files beside it, by a key that may
read it and by none, and then its HEAD.
"""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.e2e.bad_queries import query_of, required_of
from tests.e2e.document import Description
from tests.e2e.served import Caller
from tests.e2e.stage import Stage, staged

NOT_THERE = ("/nowhere", "/static/nowhere.js")
FILES = ("/schema", "/schema/openapi.json", "/static/openapi-page.js", "/", "/console/", *NOT_THERE)
OF_ONE_ANSWER = {"date", "last-modified", "ratelimit", "transfer-encoding", "x-request-id"}
"""Headers of which two GETs differ as well; and how a body of unknown length ends, where there is one."""
CHANGING = {"/v1/operations", "/metrics"}
"""What says something else each time, and not as briefly."""


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("heads")) as ready:
        yield ready


@pytest.fixture(scope="module")
async def description(stage: Stage) -> Description:
    return Description(await stage.operator.get("/schema/openapi.json"))


def addresses(stage: Stage, description: Description) -> Iterator[str]:
    """Yield an address of each route that can be read, with what its query cannot do without."""
    window = {"starts_at": stage.hour(0), "ends_at": stage.hour(1)}
    for operation in description.operations.values():
        if operation.method == "GET":
            required = required_of(description, operation)
            query = query_of({name: window.get(name, text) for name, text in required.items()})
            yield f"{operation.path.format(**stage.ids)}?{query}".removesuffix("?")
    yield from FILES


def headers_of(answer: httpx.Response) -> dict[str, str]:
    """Return the headers that two answers to the same request have both; of some, that they are there."""
    is_changing = answer.request.url.path in CHANGING
    vary = {"etag", "content-length"} if is_changing else {"etag"}
    told = {name: value for name, value in answer.headers.items() if name not in OF_ONE_ANSWER}
    return {name: "" if name in vary else value for name, value in told.items()}


async def reader_of(stage: Stage, address: str) -> Caller:
    """Return who may read an address: of those to whom it is not there, any."""
    cast = stage.cast
    for caller in (cast.buyer, cast.provider, cast.issuer, cast.regulator):
        if (await caller.send("HEAD", address)).status_code not in {403, 404}:
            return caller
    return stage.operator


async def complaint_of(http: httpx.AsyncClient, address: str, **keys: str) -> str | None:
    """Say what is wrong with the answer to a HEAD."""
    full, head = [await http.request(method, address, headers=keys) for method in ("GET", "HEAD")]
    told = [(each.status_code, headers_of(each)) for each in (full, head)]
    if told[0] == told[1] and not head.content:
        return None
    return f"{address}: {told[1]} {head.content[:100]!r}, not {told[0]}"


async def test_every_path_that_is_read_tells_its_head(stage: Stage, description: Description) -> None:
    http = stage.house.http
    wrong = []
    not_there = []
    for address in addresses(stage, description):
        reader = await reader_of(stage, address)
        wrong.append(await complaint_of(http, address))
        wrong.append(await complaint_of(http, address, authorization=f"Bearer {reader.key}"))
        if (await reader.send("HEAD", address)).is_error:
            not_there.append(address.partition("?")[0])
    assert not any(wrong), "\n".join(filter(None, wrong))
    proof = f"/v1/oversight/trades/{stage.ids['trade_id']}/proof"  # of what is not sealed yet
    assert set(not_there) - {"/console/"} == {"/v1/session", proof, *NOT_THERE}


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
