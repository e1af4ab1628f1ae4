"""Goal: each of the nine example programmes is started from its file and pays, end to end, by commands alone.

Method: a served exchange; each file is written by `programmes example` and imported as it stands by an issuer
of its own. Then, all nine being open, a company buys at a provider, hours pass, and whoever is to claim does.
Prices, shares, fees (0.5 % of each hour, rounded down) and what everybody has in the end are worked out by
hand.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from exchange.cli.failures import ExitCode
from exchange.programmes.examples import EXAMPLES
from tests.e2e.served import Caller, Served, eventually, served
from tests.e2e.test_cli_claims import call, done

FOREIGN: Final = "nvidia-t4.zhangjiakou.pcie3"
DOMESTIC: Final = "huawei-ascend-910b3.guian.hccs-roce-200"
DEPOSIT_FEN: Final = 100_000_000


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """An order of a company at a provider, and in fen what of it everybody pays and has in the end.

    `paid_fen` is what each programme pays, in spending order.
    """

    programmes: tuple[str, ...]
    company: dict[str, object]
    provider_region: str
    product: str
    gpus: int
    hours: int
    price: str
    price_fen: int
    rates_bps: tuple[int, ...]
    paid_fen: tuple[int, ...]
    fee_fen: int
    reimbursed: bool = False
    evidence: tuple[str, ...] = ()

    @property
    def own_fen(self) -> int:
        """What the company pays before anything is reimbursed."""
        return self.price_fen if self.reimbursed else self.price_fen - sum(self.paid_fen)


OLD: Final = {"size_class": "large", "founded_on": "2020-01-01"}
SMALL: Final = {"size_class": "small", "founded_on": "2024-01-01"}
INVOICES: Final = ("contract", "invoice", "proof of payment")

CASES: Final = {
    # 12 x 4.21 = 50.52; 20 % are 10.104. The fee is 25.26 fen, rounded up.
    "beijing": Case(
        programmes=("beijing",), company={"region": "beijing", **OLD}, provider_region="hebei",
        product=FOREIGN, gpus=3, hours=4, price="4.21", price_fen=5_052,
        rates_bps=(2_000,), paid_fen=(1_010,), fee_fen=26,
        reimbursed=True, evidence=(*INVOICES, "statement of three clean years"),
    ),
    # 15 x 4.33 = 64.95; 30 % are 19.485. The fee is 32.475 fen.
    "shanghai": Case(
        programmes=("shanghai",), company={"region": "shanghai", **OLD}, provider_region="hebei",
        product=FOREIGN, gpus=5, hours=3, price="4.33", price_fen=6_495,
        rates_bps=(3_000,), paid_fen=(1_948,), fee_fen=33,
    ),
    # 16 x 2.51 = 40.16; the city's 30 % are 12.048, the nation's 20 % on top 8.032: half in all.
    "domestic-chips": Case(
        programmes=("shanghai", "domestic-chips"), company={"region": "shanghai", **OLD},
        provider_region="guizhou", product=DOMESTIC, gpus=8, hours=2, price="2.51", price_fen=4_016,
        rates_bps=(3_000, 2_000), paid_fen=(1_204, 803), fee_fen=21,
    ),
    # 8 x 2.51 = 20.08 of a small company: 50 %, more than the 30 % of a domestic chip.
    "hangzhou": Case(
        programmes=("hangzhou",), company={"region": "hangzhou", **SMALL}, provider_region="guizhou",
        product=DOMESTIC, gpus=8, hours=1, price="2.51", price_fen=2_008,
        rates_bps=(5_000,), paid_fen=(1_004,), fee_fen=11,
    ),
    # 21 x 4.19 = 87.99 at home; 20 % are 17.598. The fee is 43.995 fen.
    "henan": Case(
        programmes=("henan",), company={"region": "henan", **OLD}, provider_region="henan",
        product=FOREIGN, gpus=7, hours=3, price="4.19", price_fen=8_799,
        rates_bps=(2_000,), paid_fen=(1_759,), fee_fen=44,
    ),
    # 15 x 4.33 = 64.95; a small company's 60 % are 38.97.
    "langfang": Case(
        programmes=("langfang",), company={"region": "tianjin", **SMALL}, provider_region="langfang",
        product=FOREIGN, gpus=5, hours=3, price="4.33", price_fen=6_495,
        rates_bps=(6_000,), paid_fen=(3_897,), fee_fen=33, reimbursed=True, evidence=INVOICES,
    ),
    # 3.33; 30 % are 99.9 fen.
    "wuhan": Case(
        programmes=("wuhan",), company={"region": "wuhan", **OLD}, provider_region="hebei",
        product=FOREIGN, gpus=1, hours=1, price="3.33", price_fen=333,
        rates_bps=(3_000,), paid_fen=(99,), fee_fen=2,
    ),
    # 16 x 2.57 = 41.12 of a company of another province; 30 % are 12.336.
    "guizhou": Case(
        programmes=("guizhou",), company={"region": "guangdong", **OLD}, provider_region="guizhou",
        product=DOMESTIC, gpus=8, hours=2, price="2.57", price_fen=4_112,
        rates_bps=(3_000,), paid_fen=(1_233,), fee_fen=21,
    ),
    # 6 x 4.30 = 25.80 of a company of half a year: 60 %, of which the ceiling of all aid leaves 50 %.
    "shenzhen": Case(
        programmes=("shenzhen",), company={"region": "shenzhen", "size_class": "medium",
        "founded_on": "2025-09-01"}, provider_region="hebei",
        product=FOREIGN, gpus=2, hours=3, price="4.30", price_fen=2_580,
        rates_bps=(5_000,), paid_fen=(1_290,), fee_fen=13,
    ),
}  # fmt: skip


class Country:
    """A served exchange on which every example has an issuer of its own, that imported it."""

    def __init__(self, house: Served) -> None:
        self.house = house
        self.issuers: dict[str, Caller] = {}
        self.ids: dict[str, str] = {}

    async def settle(self, folder: Path) -> None:
        """Import all nine files."""
        for name in EXAMPLES:
            issuer = self.issuers[name] = await self.house.join("issuer", ["read", "issue"])
            await self.pay_in(issuer)
            file = folder / f"{name}.json"
            file.write_text((await call(issuer, "vouchers", "programmes", "example", name)).stdout)
            [imported] = await done(issuer, "vouchers", "programmes", "import", str(file))
            assert imported["outcome"] == "created"
            self.ids[name] = imported["programme_id"]

    async def pay_in(self, owner: Caller) -> None:
        """Give a participant its money."""
        deposit = {"participant_id": owner.id, "amount_cny": f"{DEPOSIT_FEN // 100}.00"}
        await self.house.operator.post("/v1/deposits", deposit)

    async def pair(self, case: Case) -> tuple[Caller, Caller]:
        """Return a company with money and a provider."""
        company = await self.house.join("buyer", ["read", "trade"], **case.company)
        await self.pay_in(company)
        region = case.provider_region
        provider = await self.house.join(
            "provider", ["read", "list_capacity"], region=region, ownership="state"
        )
        return company, provider

    async def traded(
        self, company: Caller, provider: Caller, what: tuple[str, str, str, str], *more: str
    ) -> Any:
        """Sell and buy GPUs of a product over some hours at a price, and return the bid."""
        product, gpus, hours, price = what
        terms = (product, gpus, "--for", f"{hours}h", "--price", price, "-y")
        await done(provider, "sell", *terms)
        [bid] = await done(company, "buy", *terms, *more)
        assert bid["status"] == "filled"
        return bid

    async def cash_fen(self, owner: Caller) -> int:
        """Return what a participant has in cash."""
        accounts = (await owner.get("/v1/accounts"))["data"]
        [cash] = [each for each in accounts if (each["asset"], each["purpose"]) == ("CNY", "cash")]
        return round(float(cash["available_cny"]) * 100)

    async def delivered(self, company: Caller, hours: int) -> None:
        """Let the hours of a company's newest lease pass, and be settled."""
        self.house.pass_hours(hours + 3)
        newest = (await company.get("/v1/leases", limit=1))["data"][0]
        await eventually(
            lambda: company.get(f"/v1/leases/{newest['id']}"), lambda lease: lease["status"] == "settled"
        )


@pytest.fixture(scope="module")
async def country(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Country]:
    folder = tmp_path_factory.mktemp("nine")
    async with served(module_database_url, folder) as house:
        ready = Country(house)
        await ready.settle(folder)
        yield ready


def test_every_example_has_its_case() -> None:
    assert set(CASES) == set(EXAMPLES)
    assert all(name in case.programmes for name, case in CASES.items())


@pytest.mark.parametrize("name", CASES)
async def test_a_programme_from_its_file_pays_an_order_and_then_the_claim(
    country: Country, tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    company, provider = await country.pair(case)
    if name == "shenzhen":
        await apply_in_the_window(country, company, provider)
    else:
        for each in case.programmes:
            issuing = "vouchers", "issue", country.ids[each], company.id, "100"
            await done(country.issuers[each], *issuing)
    companys_fen, providers_fen = [await country.cash_fen(each) for each in (company, provider)]

    what = case.product, str(case.gpus), str(case.hours), case.price
    bid = await country.traded(company, provider, what, "--vouchers", "auto")
    assert [(each["programme_id"], each["rate_bps"]) for each in bid["shares"]] == [
        (country.ids[each], rate_bps) for each, rate_bps in zip(case.programmes, case.rates_bps, strict=True)
    ]
    [fill] = bid["fills"]
    aid = f"{sum(case.paid_fen) / 100:.2f}"
    assert (fill["voucher_cny"], fill["reimbursable_cny"]) == (
        ("0.00", aid) if case.reimbursed else (aid, "0.00")
    )
    await country.delivered(company, case.hours)
    assert await country.cash_fen(company) == companys_fen - case.own_fen
    assert await country.cash_fen(provider) == providers_fen + case.own_fen - case.fee_fen

    claimant, other = (company, provider) if case.reimbursed else (provider, company)
    for each, paid_fen in zip(case.programmes, case.paid_fen, strict=True):
        nothing = await call(other, "claims", "submit", country.ids[each])
        assert (nothing.exit_code, "nothing_to_claim" in nothing.stderr) == (ExitCode.REFUSED, True)
        await claim_and_pay(country, claimant, each, case.evidence, tmp_path, f"{paid_fen / 100:.2f}")
    got_fen = sum(case.paid_fen)
    ends_fen = {
        company: companys_fen - case.own_fen + (got_fen if case.reimbursed else 0),
        provider: providers_fen + case.own_fen - case.fee_fen + (0 if case.reimbursed else got_fen),
    }
    assert {owner: await country.cash_fen(owner) for owner in ends_fen} == ends_fen


async def claim_and_pay(
    country: Country, claimant: Caller, name: str, evidence: tuple[str, ...], folder: Path, amount: str
) -> None:
    """Claim under a programme with all that its rules want proven, approve it and pay it."""
    [claim] = await done(claimant, "claims", "submit", country.ids[name], *(["--open"] if evidence else []))
    assert claim["amount_cny"] == amount
    if evidence:
        bare = await call(claimant, "claims", "step", claim["id"], "submitted", "-y")
        assert [each in bare.stderr for each in evidence] == [True] * len(evidence)
        for each in evidence:
            file = folder / f"{each}.pdf"
            file.write_bytes(b"%PDF-1.7")
            await done(claimant, "claims", "attach", claim["id"], str(file), "--name", each)
        await done(claimant, "claims", "step", claim["id"], "submitted", "-y")
    for to in ("approved", "paid"):
        [stepped] = await done(country.issuers[name], "claims", "step", claim["id"], to, "-y")
        assert (stepped["status"], stepped["approved_cny"]) == (to, amount)


async def apply_in_the_window(country: Country, company: Caller, provider: Caller) -> None:
    """Get a voucher of Shenzhen: by application in its window, once CNY 500,000 are spent and delivered."""
    programme_id = country.ids["shenzhen"]
    issuer = country.issuers["shenzhen"]
    direct = await call(issuer, "vouchers", "issue", programme_id, company.id, "100")
    assert "allocated_by_application" in direct.stderr
    applying = "vouchers", "apply", programme_id, "100", "--purpose", "training"
    early = await call(company, *applying)
    assert [word in early.stderr for word in ("/rules/min_annual_spend_fen", "/rules/windows")] == [True] * 2
    # 1,000 GPUs for 120 hours at 4.20 are 504,000.
    await country.traded(company, provider, (FOREIGN, "1000", "120", "4.20"))
    country.house.clock.advance_to_us(1_772_294_400_000_000)  # 2026-03-01T00:00+08:00, when it opens
    # What was bought is delivered, and over before the order that is tried begins.
    country.house.pass_hours(120)
    await country.delivered(company, 0)
    [wish] = await done(company, *applying)
    assert wish["status"] == "submitted"
    [granted] = await done(issuer, "vouchers", "applications", "step", wish["id"], "approved", "-y")
    assert (granted["status"], granted["approved_cny"]) == ("approved", "100.00")


async def test_henans_vouchers_are_the_provinces_and_the_citys_in_halves(country: Country) -> None:
    company, _ = await country.pair(CASES["henan"])
    await done(country.issuers["henan"], "vouchers", "issue", country.ids["henan"], company.id, "0.03")
    programme = await company.get(f"/v1/programmes/{country.ids['henan']}")
    issued_fen = round(float(programme["issued_cny"]) * 100)
    assert [(each["source"], round(float(each["issued_cny"]) * 100)) for each in programme["funding"]] == [
        ("province", issued_fen // 2),
        ("city", issued_fen - issued_fen // 2),
    ]
    # At a provider of another province it pays nothing.
    _, elsewhere = await country.pair(CASES["beijing"])
    bid = await country.traded(company, elsewhere, (FOREIGN, "1", "1", "4.20"), "--vouchers", "auto")
    assert [fill["voucher_cny"] for fill in bid["fills"]] == ["0.00"]
