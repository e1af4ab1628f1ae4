"""Goal: only the holder of a live key gets in, and every failure looks the same.

Method: keys really made, an in-memory table in place of the database query, the wall clock set by hand.
"""

import hashlib
from ipaddress import ip_network

import msgspec
import pytest

from exchange.kit import auth
from exchange.kit.auth import Authenticator, NewKey, Principal, Scope, StoredKey, new_key, split_key
from exchange.kit.errors import BadSignature, Forbidden, Unauthenticated
from exchange.kit.ids import encode_id
from exchange.kit.signatures import Signature
from tests.signers import PUBLIC, head_with, signed


class Keys:
    """A table of keys that counts how often it is read."""

    def __init__(self) -> None:
        self.rows: dict[int, StoredKey] = {}
        self.reads = 0

    async def load(self, key_id: int) -> StoredKey | None:
        """Read a key as the database query would."""
        self.reads += 1
        return self.rows.get(key_id)

    def issue(self, *, expires_at_us: int | None = None, networks: tuple[str, ...] = ()) -> NewKey:
        """Make a key and enter it in the table."""
        key = new_key()
        self.rows[key.key_id] = StoredKey(
            principal=Principal(
                key_id=key.key_id,
                participant_id=7,
                kind="buyer",
                name="Acme",
                trade_group_id=None,
                scopes=frozenset({Scope.READ}),
            ),
            secret_sha256=key.secret_sha256,
            expires_at_us=expires_at_us,
            allowed_networks=tuple(ip_network(network) for network in networks),
        )
        return key


@pytest.fixture
def now_us(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Hold the wall clock; the test moves it by setting the only item."""
    moment = [1_700_000_000_000_000]
    monkeypatch.setattr(auth, "wall_now_us", lambda: moment[0])
    return moment


async def refused(authenticator: Authenticator, header: str | None, client_ip: str | None = None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await authenticator.authenticate(header, client_ip)
    refusal = caught.value
    assert type(refusal) is Unauthenticated
    return f"{refusal.status} {refusal.code} {refusal.detail} {refusal.headers}"


def test_a_new_key_has_its_public_form_and_only_its_hash_is_kept() -> None:
    key = new_key()
    scheme, public, secret = key.text.split("_", 2)
    assert scheme == "cx"
    assert len(public) == 13
    assert len(secret) == 43
    assert split_key(key.text) == (key.key_id, secret)
    assert key.secret_sha256 == hashlib.sha256(secret.encode()).digest()
    assert len({new_key().text for _ in range(100)}) == 100


async def test_the_holder_of_a_key_gets_in() -> None:
    keys = Keys()
    key = keys.issue()
    authenticator = Authenticator(keys.load)
    for scheme in ("Bearer", "bearer", "BEARER"):
        principal = await authenticator.authenticate(f"{scheme} {key.text}", "127.0.0.1")
        assert principal.key_id == key.key_id


async def test_every_failure_gives_the_same_refusal(now_us: list[int]) -> None:
    keys = Keys()
    key = keys.issue()
    old = keys.issue(expires_at_us=now_us[0])
    elsewhere = keys.issue(networks=("10.0.0.0/8",))
    scheme, public, secret = key.text.split("_", 2)
    changed = ("A" if secret[0] != "A" else "B") + secret[1:]
    headers: list[str | None] = [
        None,
        "",
        "Basic abc",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        f"Bearer {scheme}_{public}_{changed}",
        f"Bearer {scheme}_{public}_",
        f"Bearer {scheme}_{public}_{secret}x",
        f"Bearer {scheme}_0000000000001_{secret}",
        f"Bearer {key.text}{'x' * 1000}",
        f"Bearer {scheme}_{public}_{secret[:-1]}é",
        f"Bearer {new_key().text}",
        f"Bearer {old.text}",
        f"Bearer {elsewhere.text}",
    ]
    authenticator = Authenticator(keys.load)
    answers = {await refused(authenticator, header, "192.0.2.1") for header in headers}
    assert len(answers) == 1
    assert "Bearer" in answers.pop()


async def test_networks_admit_who_is_inside() -> None:
    keys = Keys()
    key = keys.issue(networks=("10.0.0.0/8", "2001:db8::/32"))
    authenticator = Authenticator(keys.load)
    for inside in ("10.1.2.3", "2001:db8::1"):
        principal = await authenticator.authenticate(f"Bearer {key.text}", inside)
        assert principal.key_id == key.key_id
    for outside in ("192.0.2.1", "::1", "", None, "not an address"):
        await refused(authenticator, f"Bearer {key.text}", outside)


async def test_a_key_expires_although_it_is_remembered(now_us: list[int]) -> None:
    keys = Keys()
    key = keys.issue(expires_at_us=now_us[0] + 500_000)
    authenticator = Authenticator(keys.load)
    await authenticator.authenticate(f"Bearer {key.text}", None)
    now_us[0] += 500_000
    await refused(authenticator, f"Bearer {key.text}")


async def test_a_key_is_read_once_a_second_and_a_revoked_one_ends(now_us: list[int]) -> None:
    keys = Keys()
    key = keys.issue()
    authenticator = Authenticator(keys.load)
    for _ in range(50):
        await authenticator.authenticate(f"Bearer {key.text}", None)
    assert keys.reads == 1
    del keys.rows[key.key_id]
    now_us[0] += 1_000_000
    await refused(authenticator, f"Bearer {key.text}")


async def test_a_clock_set_back_does_not_keep_a_revoked_key_alive(now_us: list[int]) -> None:
    keys = Keys()
    key = keys.issue()
    authenticator = Authenticator(keys.load)
    await authenticator.authenticate(f"Bearer {key.text}", None)
    del keys.rows[key.key_id]
    now_us[0] -= 3_600_000_000
    await refused(authenticator, f"Bearer {key.text}")


async def test_forgetting_a_key_ends_it_at_once() -> None:
    keys = Keys()
    key, other = keys.issue(), keys.issue()
    authenticator = Authenticator(keys.load)
    for live in (key, other):
        await authenticator.authenticate(f"Bearer {live.text}", None)
    del keys.rows[key.key_id]
    authenticator.forget(key.key_id)
    await refused(authenticator, f"Bearer {key.text}")
    await authenticator.authenticate(f"Bearer {other.text}", None)
    assert keys.reads == 3


async def test_a_key_is_believed_for_longer_while_every_change_is_told(now_us: list[int]) -> None:
    keys, told = Keys(), [True]
    key = keys.issue()
    authenticator = Authenticator(keys.load, is_told=lambda: told[0])
    for _ in range(100):
        await authenticator.authenticate(f"Bearer {key.text}", None)
        now_us[0] += 2_900_000
    assert keys.reads == 1
    told[0] = False  # what was read long ago is not believed from the moment on
    await authenticator.authenticate(f"Bearer {key.text}", None)
    assert keys.reads == 2
    told[0] = True
    now_us[0] += 300_000_000  # nor for ever, whatever is told
    await authenticator.authenticate(f"Bearer {key.text}", None)
    assert keys.reads == 3


async def test_after_a_silence_every_key_is_read_again(now_us: list[int]) -> None:
    keys = Keys()
    key = keys.issue()
    authenticator = Authenticator(keys.load, is_told=lambda: True)
    await authenticator.authenticate(f"Bearer {key.text}", None)
    authenticator.forget_all()
    assert authenticator.remembers(key.text)  # who has opened this process before is known still
    del keys.rows[key.key_id]
    await refused(authenticator, f"Bearer {key.text}")
    assert not authenticator.remembers(key.text)
    assert now_us


async def test_a_key_that_changes_while_it_is_read_is_not_remembered() -> None:
    keys = Keys()
    key, other = keys.issue(), keys.issue()

    async def load(key_id: int) -> StoredKey | None:
        row = await keys.load(key_id)
        authenticator.forget(key.key_id)  # the notice overtakes the answer that is older than it
        return row

    authenticator = Authenticator(load, is_told=lambda: True)
    for each in (key, key, other):
        await authenticator.authenticate(f"Bearer {each.text}", None)
    assert keys.reads == 3
    assert not authenticator.remembers(key.text)


async def test_what_was_used_is_noted_and_what_was_refused_is_not(now_us: list[int]) -> None:
    keys = Keys()
    key, elsewhere = keys.issue(), keys.issue(networks=("10.0.0.0/8",))
    authenticator = Authenticator(keys.load)
    await authenticator.authenticate(f"Bearer {key.text}", "192.0.2.1")
    await refused(authenticator, f"Bearer {elsewhere.text}", "192.0.2.1")
    assert authenticator.used == {key.key_id: (now_us[0], "192.0.2.1")}


async def test_a_key_that_signs_opens_nothing_by_its_secret_alone(now_us: list[int]) -> None:
    keys = Keys()
    key = keys.issue()
    row = keys.rows[key.key_id]
    principal = msgspec.structs.replace(row.principal, signs_requests=True)
    keys.rows[key.key_id] = msgspec.structs.replace(row, principal=principal, signing_public_key=PUBLIC)
    spent: set[str] = set()

    async def spend(key_id: int, signature: Signature) -> bool:
        assert key_id == key.key_id
        is_new = signature.nonce not in spent
        spent.add(signature.nonce)
        return is_new

    authenticator = Authenticator(keys.load, spend=spend)
    with pytest.raises(BadSignature, match="signature_required"):
        await authenticator.authenticate(f"Bearer {key.text}", None)
    # To who has not the secret it is a key like all others.
    await refused(authenticator, f"Bearer {key.text}x")
    head = signed(head_with(), key_id=encode_id("key", key.key_id), created_s=now_us[0] // 1_000_000)
    path = head.path.encode()
    scope = {"method": head.method, "raw_path": path, "query_string": b"", "headers": head.headers}
    principal = await authenticator.authenticate(f"Bearer {key.text}", None, scope)
    await authenticator.spend_signature(principal, scope)
    with pytest.raises(BadSignature, match="signature_replayed"):
        await authenticator.spend_signature(principal, scope)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_REMEMBERED_MAX", 10)
    keys = Keys()
    authenticator = Authenticator(keys.load)
    for _ in range(35):
        await authenticator.authenticate(f"Bearer {keys.issue().text}", None)
    assert len(authenticator._verified) <= 10


def test_a_scope_that_is_missing_is_named() -> None:
    keys = Keys()
    principal = keys.rows[keys.issue().key_id].principal
    principal.must_have(Scope.READ)
    with pytest.raises(Forbidden, match="operate"):
        principal.must_have(Scope.OPERATE)
