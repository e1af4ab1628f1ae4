"""Goal: the console's files are served as they were built, nothing else is, and they reach it alone.

Method: a folder of pages as a build leaves it, with a secret beside it, over the real door; paths as browsers
send them, and letter by letter as liars do.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from exchange import api
from exchange.console.files import Pages
from tests.e2e.served import Served, problem, served

BESIDE = "not for anyone"
SCRIPT = "const x = 1;\n" * 500
INDEX = "<!doctype html><title>console</title>"
BROTLI = b"made by the build"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "pages"
    (folder / "assets").mkdir(parents=True)
    (folder.parent / "secret.txt").write_text(BESIDE)
    (folder / "index.html").write_text(INDEX)
    (folder / "icon.svg").write_text("<svg/>")
    (folder / "assets" / "index-3f2a.js").write_text(SCRIPT)
    (folder / "assets" / "index-3f2a.js.br").write_bytes(BROTLI)
    (folder / "assets" / "style-77.css").write_text("a{}" * 1000)
    return folder


@pytest.fixture(scope="module")
async def house(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory, pages: Path
) -> AsyncIterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "CONSOLE", pages)
        async with served(module_database_url, tmp_path_factory.mktemp("data")) as ready:
            yield ready


def check_guarded(answer: httpx.Response) -> None:
    """Check the headers that every answer of the console has."""
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    host = answer.request.url.netloc.decode()
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["font-src"] == "'self'"
    assert policy["connect-src"] == f"'self' ws://{host}"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in answer.headers["permissions-policy"]


async def test_the_root_leads_to_the_console(house: Served) -> None:
    answer = await house.http.get("/")
    assert (answer.status_code, answer.headers["location"], answer.content) == (307, "/console/", b"")
    check_guarded(answer)


@pytest.mark.parametrize("path", ["", "/", "/market", "/orders/ord_1", "/login?next=x", "/index.html"])
async def test_every_address_of_the_console_is_its_page(house: Served, path: str) -> None:
    answer = await house.http.get(f"/console{path}")
    assert (answer.status_code, answer.text) == (200, INDEX)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    check_guarded(answer)
    head = await house.http.head(f"/console{path}")
    ours = {**answer.headers, "date": "", "x-request-id": ""}
    assert ({**head.headers, "date": "", "x-request-id": ""}, head.content) == (ours, b"")
    known = {"If-None-Match": f'"x", W/{answer.headers["etag"]}'}
    again = await house.http.get(f"/console{path}", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    check_guarded(again)


@pytest.mark.parametrize(
    "accepted, coding, content",
    [
        ("br, gzip", "br", BROTLI),
        ("gzip", "gzip", gzip.compress(SCRIPT.encode(), mtime=0)),
        ("gzip;q=0, br;q=0.0", None, SCRIPT.encode()),
        ("", None, SCRIPT.encode()),
    ],
)
async def test_files_with_a_hash_in_their_name_are_kept_and_come_compressed(
    house: Served, accepted: str, coding: str | None, content: bytes
) -> None:
    headers = {"Accept-Encoding": accepted}
    async with house.http.stream("GET", "/console/assets/index-3f2a.js", headers=headers) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert raw == content
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["vary"] == "Accept-Encoding"
    check_guarded(answer)


async def test_what_is_not_there_is_told_and_never_another_file(house: Served, pages: Path) -> None:
    secret = f"{pages.parent}/secret.txt"
    paths = [
        *("/assets/gone.js", "/assets/gone", "/gone.txt", "/.env", "/assets/index-3f2a.js.br"),
        *("/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt"),
        *("/..\\secret.txt", "/..%5csecret.txt", "//secret.txt", f"/{secret}", f"/%2f{secret}"),
        *(
            "/secret.txt%00.html",
            "/index.html%00",
            "/%252e%252e/secret.txt",
            "/./index.html/../../secret.txt",
        ),
    ]
    for path in paths:
        status, text = await sent_as_it_is(house, f"/console{path}")
        assert BESIDE not in text, path
        assert status == 404, path
    check_guarded(await house.http.get("/console/assets/gone.js"))
    problem(await house.http.get("/console/assets/gone.js"), 404, "not_found")


async def sent_as_it_is(house: Served, path: str) -> tuple[int, str]:
    """Send a path letter by letter, as clients that tidy paths do not."""
    url = house.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1]), answer.decode()


async def test_a_host_that_is_none_gets_into_no_policy(house: Served) -> None:
    for host in ("evil.example; script-src *", "a b", "x'y", ""):
        answer = await house.http.get("/console/", headers={"Host": host})
        assert answer.status_code in {200, 400}
        assert "evil" not in answer.headers.get("content-security-policy", "")
        assert answer.headers.get("content-security-policy", "connect-src 'self';").count("ws:") == 0


async def test_without_a_build_the_page_says_what_to_do(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "CONSOLE", tmp_path / "nowhere")
    async with served(database_url, tmp_path) as house:
        answer = await house.http.get("/console/")
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("text/plain")
        assert "make console" in answer.text
        assert answer.headers["cache-control"] == "no-store"
        check_guarded(answer)


def test_what_comes_into_the_folder_later_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(INDEX)
    built = Pages(tmp_path)
    (tmp_path / "later.js").write_text("x")
    assert built.find("later.js") is None
    assert built.find("../index.html") is None


def test_the_same_content_is_compressed_once_a_process_and_another_anew(tmp_path: Path) -> None:
    script = tmp_path / "a.js"
    script.write_text(SCRIPT)
    first, second = (Pages(tmp_path).find("a.js") for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.contents["gzip"] is second.contents["gzip"]
    script.write_text(SCRIPT.upper())
    third = Pages(tmp_path).find("a.js")
    assert third is not None
    assert gzip.decompress(third.contents["gzip"]) == SCRIPT.upper().encode()
