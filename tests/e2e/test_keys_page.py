"""Goal: what docs/keys.md shows signs. Method: its program is run as it stands, and its example is checked.

The example is signed anew too: Ed25519 gives the same bytes each time.
"""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization

from exchange.kit.signatures import Head, Signature, body_digest, check_signature, signature_base
from exchange.kit.signing_keys import public_text, read_public_key
from tests.e2e.served import served
from tests.signers import KEY_ID, PRIVATE, PUBLIC, signed, with_headers

PAGE: Final = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)


async def test_the_program_of_the_page_signs(database_url: str, tmp_path: Path) -> None:
    [program] = blocks("python")
    key_file = tmp_path / "signing.pem"
    key_file.write_bytes(
        PRIVATE.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    async with served(database_url, tmp_path) as house:
        at_home = {"region": "hangzhou", "size_class": "micro", "founded_on": "2024-02-28"}
        buyer = await house.join("buyer", ["read", "trade"], **at_home)
        issued = await house.operator.key_of(
            buyer.id, ["read", "trade"], signing_public_key=public_text(PUBLIC)
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program),
            env={
                **os.environ,
                "EXCHANGE_URL": str(house.http.base_url).rstrip("/"),
                "EXCHANGE_KEY": issued["secret"],
                "EXCHANGE_SIGNING_KEY": str(key_file),
                "no_proxy": "127.0.0.1",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, failure = await asyncio.wait_for(process.communicate(), 60)
        assert (process.returncode, failure.decode()) == (0, "")
        name, _, switch, successor = printed.decode().splitlines()
        assert name == (await buyer.get("/v1/participants/me"))["name"]
        assert "cancels_at" in switch
        assert (await buyer.get(f"/v1/keys/{issued['id']}"))["successor_id"] == successor


def test_the_example_of_the_page_is_signed_as_it_says() -> None:
    base, headers = blocks("text")
    body = re.search(r"the body is `(.*?)`", PAGE)
    public_key = re.search(r"public key is `(.*?)`", PAGE)
    assert body is not None
    assert public_key is not None
    assert read_public_key(public_key[1]) == PUBLIC
    given = [("content-type", "application/json"), ("content-digest", body_digest(body[1].encode()))]
    head = with_headers(Head("POST", "/v1/orders/cancel-all-after", "", []), *given)
    fields = dict(line.split(": ", 1) for line in headers.splitlines())
    sent = with_headers(head, *fields.items())
    signature = Signature.of(sent, KEY_ID)
    assert signature_base(head, signature.components, signature.signed).decode() == base
    check_signature(sent, KEY_ID, PUBLIC, signature.created_s)
    again = signed(
        with_headers(Head("POST", "/v1/orders/cancel-all-after", "", []), *given),
        created_s=signature.created_s,
        nonce=signature.nonce,
    )
    # We write the same components in an order of our own.
    assert set(Signature.of(again, KEY_ID).components) == set(signature.components)
