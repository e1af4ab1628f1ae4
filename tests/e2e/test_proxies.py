"""Goal: nobody talks itself into a key's networks: only a proxy that the operator named is believed.

Method: a key bound to a network, used over a real socket with every header that tells of an origin.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.e2e.served import Caller, problem, served

NETWORK: Final = "10.9.0.0/16"
INSIDE: Final = "10.9.1.2"
CLAIMS: Final = (
    {"X-Forwarded-For": INSIDE},
    {"X-Forwarded-For": f"{INSIDE}, 127.0.0.1", "X-Forwarded-Proto": "https"},
    {"Forwarded": f"for={INSIDE}"},
    {"X-Real-IP": INSIDE},
)


async def bound_caller(operator: Caller) -> Caller:
    issuer = await operator.post("/v1/participants", {"kind": "issuer", "name": "bound"})
    key = await operator.key_of(issuer["id"], ["read"], allowed_networks=[NETWORK])
    return Caller(http=operator.http, id=issuer["id"], key=key["secret"])


@pytest.mark.parametrize("trusted", [(), ("10.0.0.1", "192.0.2.0/24")])
async def test_a_caller_that_is_no_trusted_proxy_is_where_it_is(
    database_url: str, tmp_path: Path, trusted: tuple[str, ...]
) -> None:
    async with served(database_url, tmp_path, trusted_proxies=trusted) as house:
        bound = await bound_caller(house.operator)
        for headers in ({}, *CLAIMS):
            problem(await bound.send("GET", "/v1/participants/me", headers=headers), 401)


async def test_a_trusted_proxy_tells_where_its_callers_are(database_url: str, tmp_path: Path) -> None:
    async with served(database_url, tmp_path, trusted_proxies=("127.0.0.0/8",)) as house:
        bound = await bound_caller(house.operator)
        for headers in CLAIMS[:2]:
            assert (await bound.send("GET", "/v1/participants/me", headers=headers)).status_code == 200
        for address in ("203.0.113.7", f"{INSIDE}, 203.0.113.7", "rubbish", ""):
            problem(await bound.send("GET", "/v1/participants/me", headers={"X-Forwarded-For": address}), 401)
