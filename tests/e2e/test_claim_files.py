"""Files of claims over HTTP: evidence comes back as it went in, to those it is for; statements as CSV."""

import base64
import csv
import hashlib
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from exchange.claims.models import EVIDENCE_BYTES_MAX
from tests.e2e.served import Caller, problem
from tests.e2e.stage import PDF, Stage, staged

CONTENT = bytes(range(256)) * 7
NAME = "发票 № 7.pdf"


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("evidence")) as ready:
        yield ready


def path_of(stage: Stage) -> str:
    return f"/v1/claims/{stage.ids['claim_id']}/evidence"


async def attach(
    stage: Stage, by: Caller | None = None, content: bytes = CONTENT, **request: Any
) -> httpx.Response:
    """Attach a file, as the claim's provider unless told otherwise."""
    given = {"params": {"name": NAME}, "headers": PDF, "content": content} | request
    return await (by or stage.cast.provider).send("POST", path_of(stage), **given)


async def test_a_file_comes_back_as_it_was_with_its_hash(stage: Stage) -> None:
    answer = await attach(stage, headers={"Content-Type": "Application/PDF; name=x"})
    assert answer.status_code == 201, answer.text
    attached = answer.json()
    digest = hashlib.sha256(CONTENT).digest()
    assert attached["sha256"] == digest.hex()
    assert (attached["size_bytes"], attached["content_type"]) == (len(CONTENT), "application/pdf")
    assert (attached["name"], attached["attached_by"]) == (NAME, stage.cast.provider.id)
    for reader in (stage.cast.provider, stage.cast.issuer, stage.operator, stage.cast.regulator):
        assert attached in (await reader.get(path_of(stage)))["data"]
        got = await reader.send("GET", f"{path_of(stage)}/{attached['id']}")
        assert (got.status_code, got.content) == (200, CONTENT)
        assert got.headers["content-type"].startswith("application/pdf")
        assert got.headers["content-disposition"].startswith("attachment")
        assert got.headers["repr-digest"] == f"sha256=:{base64.b64encode(digest).decode()}:".replace(
            "sha256", "sha-256"
        )


async def test_nobody_else_attaches_or_reads(stage: Stage) -> None:
    file = f"{path_of(stage)}/{stage.ids['evidence_id']}"
    for stranger in (stage.cast.buyer, stage.strangers.provider, stage.strangers.issuer):
        for path in (path_of(stage), file):
            problem(await stranger.send("GET", path), 404, "not_found")
    problem(await attach(stage, stage.strangers.provider), 404, "not_found")
    problem(await attach(stage, stage.cast.buyer), 404, "not_found")  # it claims as well, but not this
    for other in (stage.cast.issuer, stage.cast.regulator):
        problem(await attach(stage, other), 403, "forbidden")
    elsewhere = "/v1/claims/clm_7zzzzzzzzzzzz/evidence/" + stage.ids["evidence_id"]
    problem(await stage.cast.issuer.send("GET", elsewhere), 404, "not_found")


async def test_a_file_has_a_name_a_type_and_a_size_within_bounds(stage: Stage) -> None:
    before = await stage.house.rows()
    problem(await attach(stage, content=b""), 400, "bad_request")
    for name in ("", "x" * 201, "a\nb", "\0", "a/b", "?"):
        problem(await attach(stage, params={"name": name}), 422, "invalid_query")
    for content_type in ("", "pdf", "multipart/form-data; boundary=x", "a/b/c", "text/é"):
        headers = {"Content-Type": content_type.encode()}
        problem(await attach(stage, headers=headers), 415, "unsupported_media_type")
    answer = await attach(stage, content=b"x" * (EVIDENCE_BYTES_MAX + 1))
    assert str(EVIDENCE_BYTES_MAX) in problem(answer, 413, "body_too_large")["detail"]
    assert await stage.house.rows() == before


async def test_a_file_of_one_blank_is_a_file(stage: Stage) -> None:
    answer = await attach(stage, content=b" ")
    assert answer.status_code == 201
    made = answer.json()
    assert (made["size_bytes"], made["sha256"]) == (1, hashlib.sha256(b" ").hexdigest())
    read = await stage.cast.provider.send("GET", f"{path_of(stage)}/{made['id']}")
    assert read.content == b" "


async def test_the_largest_file_is_taken_once_however_often_it_is_sent(stage: Stage) -> None:
    before = len((await stage.cast.provider.get(path_of(stage)))["data"])
    headers = PDF | {"Idempotency-Key": "largest"}
    content = b"x" * EVIDENCE_BYTES_MAX
    answers = [await attach(stage, content=content, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len((await stage.cast.provider.get(path_of(stage)))["data"]) == before + 1
    other = await attach(stage, content=content[:-1] + b"y", headers=headers)
    problem(other, 422, "idempotency_key_reused")


async def test_the_api_page_says_that_the_body_is_a_file(stage: Stage) -> None:
    document = await stage.operator.get("/schema/openapi.json")
    described = document["paths"]["/v1/claims/{claim_id}/evidence"]["post"]["requestBody"]
    assert described["content"] == {"*/*": {"schema": {"type": "string", "format": "binary"}}}


async def test_nothing_is_attached_to_a_claim_that_is_decided(stage: Stage) -> None:
    await stage.cast.issuer.post(f"/v1/claims/{stage.ids['claim_id']}/approve", status=200)
    problem(await attach(stage), 409, "state_conflict")
    assert (await stage.cast.provider.get(path_of(stage)))["data"]


async def test_statements_are_told_as_json_and_as_csv(stage: Stage) -> None:
    for name in ("programmes", "receivables", "claims"):
        rows = (await stage.cast.issuer.get(f"/v1/statements/{name}"))["data"]
        assert rows
        answer = await stage.cast.issuer.send("GET", f"/v1/statements/{name}/export")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/csv")
        assert f'filename="{name}.csv"' in answer.headers["content-disposition"]
        read = list(csv.DictReader(io.StringIO(answer.text)))
        assert read == [{key: "" if cell is None else cell for key, cell in row.items()} for row in rows]
        past = {"as_of": "2020-01-01T00:00:00Z", "programme_id": stage.ids["programme_id"]}
        assert (await stage.cast.issuer.get(f"/v1/statements/{name}", **past))["data"] == []
        assert (await stage.cast.buyer.get(f"/v1/statements/{name}"))["data"] == []
    assert (await stage.cast.provider.get("/v1/statements/programmes"))["data"] == []
