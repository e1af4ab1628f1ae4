"""Brings the demo's participants, money, programmes and vouchers into being over the public API.

Every step is sent under an Idempotency-Key of its own, so a start that was cut off, or a second one, does
nothing twice and finds the same participants again.
"""

import httpx

from exchange.applications.models import NewApplication
from exchange.cli.demo.cast import (
    BUDGET_FEN,
    BUYER_MONEY_CNY,
    BUYERS,
    CAP_PER_YEAR_FEN,
    ISSUER_MONEY_CNY,
    KIND_OF_NAME,
    PROGRAMMES,
    PROVIDERS,
    VALIDITY_DAYS,
    VOUCHER_CNY,
    Programme,
)
from exchange.cli.demo.keyring import Keyring, Member
from exchange.client import ExchangeClient
from exchange.ledger.models import NewCashMovement
from exchange.participants.models import NewKey, NewParticipant, ParticipantKind
from exchange.participants.rules import KIND_SCOPES
from exchange.programmes.models import (
    BuyerRule,
    CapacityRule,
    NewProgramme,
    ProgrammeRules,
    ProviderRule,
    RateTier,
    RequiredOrigin,
)
from exchange.vouchers.models import NewVoucher


class DemoMarket:
    """The demo's participants at one exchange, with a client for each."""

    def __init__(self, url: str, operator_key: str, keyring: Keyring, http: httpx.AsyncClient) -> None:
        """Share one pool of connections among all clients."""
        self.url = url
        self.operator_key = operator_key
        self.programme_ids: dict[str, str] = {}
        self._keyring = keyring
        self._http = http
        self._operator = ExchangeClient(url, operator_key, http)
        self._clients: dict[str, ExchangeClient] = {}

    def client(self, name: str) -> ExchangeClient:
        """Return the client of a participant."""
        if name not in self._clients:
            self._clients[name] = ExchangeClient(self.url, self.member(name).key, self._http)
        return self._clients[name]

    def member(self, name: str) -> Member:
        """Return a participant's id and key."""
        return self._keyring.members[name]

    async def reach(self) -> None:
        """Ask the exchange for a sign of life, or raise `Unreachable`."""
        await self._operator.venue_time()

    async def register(self) -> None:
        """Register whoever is not there yet, each with a key that can do what its kind may do."""
        for new in _participants():
            if new.name in self._keyring.members:
                continue
            participant = await self._operator.create_participant(new, _once("participant", new.name))
            wanted = NewKey(
                scopes=tuple(sorted(KIND_SCOPES[new.kind])), participant_id=participant.id, label="demo"
            )
            issued = await self._operator.create_key(wanted)
            if issued.secret is None:
                raise AssertionError("a key that was just made shows its secret")
            self._keyring.add(new.name, Member(participant.id, issued.secret))

    async def fund(self) -> None:
        """Give buyers and issuers their money, once."""
        for name, kind in KIND_OF_NAME.items():
            if kind not in {ParticipantKind.BUYER, ParticipantKind.ISSUER}:
                continue
            amount_cny = BUYER_MONEY_CNY if kind is ParticipantKind.BUYER else ISSUER_MONEY_CNY
            movement = NewCashMovement(
                participant_id=self.member(name).id, amount_cny=amount_cny, note="demo"
            )
            await self._operator.deposit(movement, _once("deposit", name))

    async def open_programmes(self) -> None:
        """Open the voucher programmes, issue each recipient a voucher and let each applicant apply, once."""
        for programme in PROGRAMMES:
            issuer = self.client(programme.issuer)
            opened = await issuer.create_programme(self._rules(programme), _once("programme", programme.code))
            self.programme_ids[programme.code] = opened.id
            for name in programme.recipients:
                voucher = NewVoucher(
                    programme_id=opened.id, buyer_id=self.member(name).id, amount_cny=VOUCHER_CNY
                )
                await issuer.issue_voucher(voucher, _once("voucher", f"{programme.code} {name}"))
            for name in programme.applicants:
                wish = NewApplication(
                    programme_id=opened.id, amount_cny=VOUCHER_CNY, purpose="training a vision model"
                )
                await self.client(name).apply(wish, _once("application", f"{programme.code} {name}"))

    def _rules(self, programme: Programme) -> NewProgramme:
        admitted = tuple(
            self.member(provider.name).id
            for provider in PROVIDERS
            if provider.region in programme.provider_regions
        )
        origin = RequiredOrigin.DOMESTIC if programme.domestic_only else RequiredOrigin.ANY
        return NewProgramme(
            code=programme.code,
            name=programme.name,
            rules=ProgrammeRules(
                budget_fen=BUDGET_FEN,
                rate_tiers=(RateTier(bps=programme.rate_bps),),
                cap_per_year_fen=CAP_PER_YEAR_FEN,
                validity_days=VALIDITY_DAYS,
                provider=ProviderRule(admitted=admitted),
                mode=programme.mode,
                stacking="ceiling" if programme.stacks else "none",
                stacking_ceiling_bps=programme.ceiling_bps,
                capacity=CapacityRule(origin=origin),
                buyer=BuyerRule(regions=programme.buyer_regions, size_classes=programme.buyer_size_classes),
            ),
        )


def _once(step: str, name: str) -> str:
    """Return the Idempotency-Key of a step, which has no spaces."""
    return f"demo-{step}-{name.lower().replace(' ', '-')}"


def _participants() -> list[NewParticipant]:
    providers = [
        NewParticipant(
            kind=ParticipantKind.PROVIDER,
            name=provider.name,
            region=provider.region,
            ownership=provider.ownership,
        )
        for provider in PROVIDERS
    ]
    buyers = [
        NewParticipant(
            kind=ParticipantKind.BUYER,
            name=buyer.name,
            region=buyer.region,
            size_class=buyer.size_class,
            founded_on=buyer.founded_on,
            sectors=buyer.sectors,
        )
        for buyer in BUYERS
    ]
    others = [
        NewParticipant(kind=kind, name=name)
        for name, kind in KIND_OF_NAME.items()
        if kind in {ParticipantKind.ISSUER, ParticipantKind.REGULATOR}
    ]
    return [*providers, *buyers, *others]
