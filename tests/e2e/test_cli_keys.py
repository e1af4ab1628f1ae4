"""Goal: keys are made to sign, rotated and looked after at a terminal, while the exchange runs.

Method: a served exchange in a process of its own, which hears of what the commands write to its database;
key files as OpenSSL writes them.
"""

from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.cli.failures import ExitCode
from exchange.kit.clock import monotonic_s
from tests.benchmarks.venue import Venue
from tests.e2e.test_cli import as_json, call

DEADLINE_S = 60.0


def key_files(folder: Path) -> tuple[str, str]:
    """Write a private and a public key, and return their files."""
    private_key = Ed25519PrivateKey.generate()
    private_file, public_file = folder / "signing.pem", folder / "signing.pub.pem"
    private_file.write_bytes(
        private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public_file.write_bytes(
        private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return str(private_file), str(public_file)


def opens(venue: Venue, key: str, signing_key: str = "") -> bool:
    """Whether a key opens the exchange at a terminal."""
    result = call("orders", "list", url=venue.url, key=key, EXCHANGE_SIGNING_KEY=signing_key)
    assert result.exit_code in {ExitCode.DONE, ExitCode.REFUSED}, result.output
    return result.exit_code == ExitCode.DONE


def test_a_key_is_made_to_sign_used_and_rotated(venue: Venue, tmp_path: Path) -> None:
    me, where = venue.operator_id, ("--data-dir", str(venue.data_dir), "--json")
    private_file, public_file = key_files(tmp_path)
    scopes = ("--scope", "read", "--scope", "trade")
    made = as_json(
        call("keys", "create", me, *scopes, "--signing-key", public_file, "--algorithm", "buys.1", *where)
    )
    assert made["signing_public_key"]
    assert made["algorithm"] == "buys.1"
    wrong = call("keys", "create", me, *scopes, "--algorithm", "a b", *where)
    assert wrong.exit_code == ExitCode.USAGE
    assert not opens(venue, made["secret"])
    assert opens(venue, made["secret"], private_file)
    (tmp_path / "next").mkdir()
    next_private, next_public = key_files(tmp_path / "next")
    heir = as_json(
        call("keys", "rotate", made["id"], "--overlap", "1d", "--signing-key", next_public, *where)
    )
    assert opens(venue, heir["secret"], next_private)
    assert not opens(venue, heir["secret"], private_file)
    assert opens(venue, made["secret"], private_file)
    listed = {key["id"]: key for key in as_json(call("keys", "list", me, *where))}
    assert listed[made["id"]]["successor_id"] == heir["id"]
    assert listed[made["id"]]["expires_at"] is not None
    last = as_json(call("keys", "rotate", heir["id"], "-y", *where))
    deadline_s = monotonic_s() + DEADLINE_S
    while opens(venue, heir["secret"], next_private):  # the running exchange hears of it
        assert monotonic_s() < deadline_s
    assert opens(venue, last["secret"], next_private)


def test_what_cannot_be_is_said_in_one_block(venue: Venue, tmp_path: Path) -> None:
    me, where = venue.operator_id, ("--data-dir", str(venue.data_dir))
    private_file, _ = key_files(tmp_path)
    wrong = call("keys", "create", me, "--scope", "read", "--signing-key", private_file, *where)
    assert (wrong.exit_code, "public key" in wrong.stderr) == (ExitCode.USAGE, True)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    wrong = call("keys", "create", me, "--scope", "read", "--signing-key", str(tmp_path / "binary"), *where)
    assert wrong.exit_code == ExitCode.USAGE
    for label in ("x" * 201, "a\x01b"):
        wrong = call("keys", "create", me, "--scope", "read", "--label", label, *where)
        assert (wrong.exit_code, "printable" in wrong.stderr) == (ExitCode.USAGE, True)
    secret = call("keys", "rotate", "cx_0000000000001_secret", "-y", *where)
    assert (secret.exit_code, "secret" in secret.stderr) == (ExitCode.USAGE, False)
    made = as_json(call("keys", "create", me, "--scope", "read", *where, "--json"))
    assert call("keys", "rotate", made["id"], "--overlap", "8d", *where).exit_code == ExitCode.USAGE
    assert call("keys", "rotate", "key_nonsense", "-y", *where).exit_code == ExitCode.USAGE
    assert call("keys", "rotate", "key_0000000000001", "-y", *where).exit_code == ExitCode.REFUSED
    assert call("keys", "rotate", made["id"], *where).exit_code == ExitCode.INTERRUPTED  # asked, not told
    assert call("keys", "revoke", made["id"], "-y", *where).exit_code == ExitCode.DONE
    ended = call("keys", "rotate", made["id"], "-y", *where)
    assert (ended.exit_code, "revoked" in ended.stderr) == (ExitCode.REFUSED, True)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\n", b"\xff"])
def test_a_signing_key_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "signing.pem"
    if content is not None:
        file.write_bytes(content)
    result = call("orders", "list", key="cx_0000000000001_x", EXCHANGE_SIGNING_KEY=str(file))
    assert result.exit_code == ExitCode.USAGE
    assert "EXCHANGE_SIGNING_KEY" in result.stderr


def test_a_signing_key_needs_the_key_that_it_signs_for(tmp_path: Path) -> None:
    private_file, _ = key_files(tmp_path)
    result = call("orders", "list", EXCHANGE_SIGNING_KEY=private_file)
    assert result.exit_code == ExitCode.USAGE
    assert "EXCHANGE_KEY" in result.stderr


def test_a_link_lets_somebody_in_once(venue: Venue) -> None:
    me, where = venue.operator_id, ("--data-dir", str(venue.data_dir))
    as_shown = call("keys", "login", me, "--scope", "read", "--url", venue.url, *where, "--json")
    made = as_json(as_shown)
    assert made["login_url"] == f"{venue.url}/console/login#code={made['login_code']}"
    own_pages, body = {"Origin": venue.url}, {"login_code": made["login_code"]}
    with httpx.Client(base_url=venue.url, timeout=DEADLINE_S, trust_env=False) as page:
        told = page.post("/v1/session", json=body, headers=own_pages)
        assert (told.status_code, told.json()["scopes"]) == (201, ["read"])
        assert page.get("/v1/session").json()["key_id"] == made["key_id"]
        assert page.post("/v1/session", json=body, headers=own_pages).status_code == 401
    said = call("keys", "login", me, *where)
    assert said.stdout.startswith("http://127.0.0.1:8000/console/login#code=cl_")
    assert call("keys", "login", "par_0000000000001x", *where).exit_code == ExitCode.USAGE
    assert call("keys", "login", "par_0000000000009", *where).exit_code == ExitCode.REFUSED
