"""Goal: who counts as a start-up, and what a key may be given.

Method: each edge of each rule by hand, and the property that a key never opens what its maker did not.
"""

import datetime as dt
from ipaddress import ip_network

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exchange.kit.auth import Scope
from exchange.kit.clock import US_PER_DAY, US_PER_HOUR
from exchange.kit.errors import Faults
from exchange.participants import rules
from exchange.participants.models import (
    Key,
    KeyGrant,
    Network,
    NewParticipant,
    Ownership,
    Participant,
    ParticipantKind,
    SizeClass,
)

NOW_US = 1_800_000_000_000_000
NETWORKS: list[Network] = [
    ip_network("10.0.0.0/8"),
    ip_network("10.1.0.0/16"),
    ip_network("10.1.2.3/32"),
    ip_network("192.168.0.0/16"),
    ip_network("fd00::/8"),
    ip_network("fd00::1/128"),
]


def buyer(size_class: SizeClass, founded_on: dt.date) -> Participant:
    return Participant(
        id=5,
        kind=ParticipantKind.BUYER,
        name="lab",
        trade_group_id=None,
        region="beijing",
        ownership=None,
        size_class=size_class,
        founded_on=founded_on,
        sectors=(),
        created_at_us=0,
    )


def us_of(date: dt.date) -> int:
    """When a day begins in China."""
    return (date - dt.date(1970, 1, 1)).days * US_PER_DAY - 8 * US_PER_HOUR


@pytest.mark.parametrize("size_class", list(SizeClass))
@pytest.mark.parametrize(
    "founded_on,last_day",
    [
        (dt.date(2020, 3, 15), dt.date(2025, 3, 15)),
        (dt.date(2020, 2, 29), dt.date(2025, 3, 1)),
        (dt.date(2019, 12, 31), dt.date(2024, 12, 31)),
    ],
)
def test_a_start_up_is_small_and_at_most_five_years_old(
    size_class: SizeClass, founded_on: dt.date, last_day: dt.date
) -> None:
    company = buyer(size_class, founded_on)
    small = size_class in {SizeClass.MICRO, SizeClass.SMALL}
    assert rules.is_startup(company, us_of(last_day) + US_PER_DAY - 1) is small
    assert not rules.is_startup(company, us_of(last_day) + US_PER_DAY)


def test_a_company_may_be_founded_today_in_china_and_not_tomorrow() -> None:
    today = dt.date(2027, 1, 15)
    for now_us in (us_of(today), us_of(today) + US_PER_DAY - 1):
        faults = Faults()
        assert rules.read_date(faults, "/founded_on", "2027-01-15", now_us) == today
        assert not faults
        assert rules.read_date(faults, "/founded_on", "2027-01-16", now_us) is None
        [fault] = faults.faults
        assert (fault.code, fault.detail) == (
            "out_of_range",
            "must not lie in the future: in China it is 2027-01-15",
        )


@pytest.mark.parametrize(
    "kind, sectors, found",
    [
        (ParticipantKind.BUYER, ("ai", "robots"), []),
        (ParticipantKind.BUYER, ("ai", "robots", "ai"), [("/sectors/2", "duplicate")]),
        (ParticipantKind.PROVIDER, ("ai",), [("/sectors", "not_for_kind")]),
        (ParticipantKind.ISSUER, ("ai", "ai"), [("/sectors", "not_for_kind"), ("/sectors/1", "duplicate")]),
    ],
)
def test_sectors_are_a_buyers_each_named_once(
    kind: ParticipantKind, sectors: tuple[str, ...], found: list[tuple[str, str]]
) -> None:
    is_buyer, is_provider = kind is ParticipantKind.BUYER, kind is ParticipantKind.PROVIDER
    new = NewParticipant(
        kind=kind,
        name="x",
        sectors=sectors,
        region="beijing",
        size_class=SizeClass.SMALL if is_buyer else None,
        founded_on="2024-05-01" if is_buyer else None,
        ownership=Ownership.STATE if is_provider else None,
    )
    faults = Faults()
    rules.check_facts(faults, new)
    assert [(fault.pointer, fault.code) for fault in faults.faults] == found


def test_nobody_but_a_buyer_is_a_start_up() -> None:
    provider = Participant(
        id=5,
        kind=ParticipantKind.PROVIDER,
        name="cloud",
        trade_group_id=None,
        region="guizhou",
        ownership=Ownership.STATE,
        size_class=None,
        founded_on=None,
        sectors=(),
        created_at_us=0,
    )
    assert not rules.is_startup(provider, NOW_US)


def test_every_kind_reads_and_only_operators_operate() -> None:
    assert set(rules.KIND_SCOPES) == set(ParticipantKind)
    for kind, scopes in rules.KIND_SCOPES.items():
        assert Scope.READ in scopes
        assert (Scope.OPERATE in scopes) is (kind is ParticipantKind.OPERATOR)
    assert rules.KIND_SCOPES[ParticipantKind.OPERATOR] == frozenset(Scope)


@st.composite
def grants(draw: st.DrawFn) -> KeyGrant:
    return KeyGrant(
        participant_id=5,
        scopes=frozenset(draw(st.sets(st.sampled_from(Scope), min_size=1))),
        allowed_networks=tuple(draw(st.lists(st.sampled_from(NETWORKS), max_size=3))),
        expires_at_us=draw(st.one_of(st.none(), st.integers(NOW_US - 2, NOW_US + 5))),
        signing_public_key=draw(st.sampled_from([None, bytes(32)])),
    )


def key_of(grant: KeyGrant) -> Key:
    return Key(
        id=9,
        participant_id=5,
        label="",
        scopes=grant.scopes,
        allowed_networks=grant.allowed_networks,
        created_at_us=0,
        expires_at_us=grant.expires_at_us,
        revoked_at_us=None,
        signing_public_key=grant.signing_public_key,
    )


@given(grants(), grants(), st.sampled_from(ParticipantKind), st.sampled_from(NETWORKS), st.integers(-3, 6))
def test_what_an_accepted_key_opens_its_maker_opened(
    wanted: KeyGrant, made_from: KeyGrant, kind: ParticipantKind, origin: Network, after_us: int
) -> None:
    maker = key_of(made_from)
    faults = Faults()
    rules.check_grant(faults, wanted, kind, maker, NOW_US)
    at_us, address = NOW_US + after_us, origin[0]

    def opens(
        scopes: frozenset[Scope], networks: tuple[Network, ...], expires_at_us: int | None
    ) -> set[Scope]:
        alive = expires_at_us is None or at_us < expires_at_us
        inside = not networks or any(address in network for network in networks)
        return set(scopes) if alive and inside else set()

    if not faults:
        opened = opens(wanted.scopes, wanted.allowed_networks, wanted.expires_at_us)
        assert opened <= opens(maker.scopes, maker.allowed_networks, maker.expires_at_us)
        assert wanted.scopes <= rules.KIND_SCOPES[kind]
        assert maker.signing_public_key is None or wanted.signing_public_key is not None


TIMES = st.none() | st.integers(NOW_US + 1, NOW_US + 100)


@given(TIMES, TIMES, TIMES, st.integers(1, 100), st.sampled_from(["itself", "another", "nobody"]))
def test_an_heir_lives_no_longer_than_who_asks_may_give(
    own_us: int | None, heir_us: int | None, actor_us: int | None, age_us: int, asking: str
) -> None:
    def key(id_: int, expires_at_us: int | None, created_at_us: int) -> Key:
        made = key_of(KeyGrant(participant_id=5, scopes=frozenset({Scope.READ}), expires_at_us=expires_at_us))
        return msgspec.structs.replace(made, id=id_, created_at_us=created_at_us)

    rotated = key(1, own_us, NOW_US - age_us)
    before = None if heir_us is None else key(2, heir_us, NOW_US)
    actor = {"itself": rotated, "another": key(3, actor_us, 0), "nobody": None}[asking]
    ends_us = rules.successor_expires_at_us(rotated, before, actor, NOW_US)
    given_us = own_us if before is None else heir_us
    if asking == "itself":
        assert ends_us == given_us
        return
    if asking == "another" and actor_us is not None:
        assert ends_us is not None
        assert ends_us <= actor_us
    lifetime_us = None if given_us is None else given_us - (NOW_US - age_us if before is None else NOW_US)
    if lifetime_us is not None:
        assert ends_us is not None
        assert ends_us <= NOW_US + lifetime_us
    assert (ends_us is None) == (given_us is None and (asking == "nobody" or actor_us is None))


@given(grants(), st.sampled_from(ParticipantKind))
def test_the_same_again_is_always_allowed_while_the_maker_lives(
    made_from: KeyGrant, kind: ParticipantKind
) -> None:
    assume(made_from.expires_at_us is None or made_from.expires_at_us > NOW_US)
    faults = Faults()
    rules.check_grant(faults, made_from, kind, key_of(made_from), NOW_US)
    assert bool(faults) is not (made_from.scopes <= rules.KIND_SCOPES[kind])


def test_a_network_with_host_bits_is_a_fault_and_an_address_is_a_network() -> None:
    faults = Faults()
    assert rules.read_networks(faults, "/n", ["10.0.0.1", "10.0.0.1/8", "::1", "nowhere"]) == (
        ip_network("10.0.0.1/32"),
        ip_network("::1/128"),
    )
    assert [fault.pointer for fault in faults.faults] == ["/n/1", "/n/3"]
