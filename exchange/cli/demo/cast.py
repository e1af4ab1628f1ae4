"""Who takes part in the demo: invented providers, buyers, issuers and a regulator, and what they do.

Names are invented. Products, hubs and prices are the catalogue's.
"""

from typing import Final, Literal

import msgspec

from exchange.participants.models import Ownership, ParticipantKind, SizeClass


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider and what it offers: GPUs per product, at a price level in percent of the reference."""

    name: str
    region: str
    ownership: Ownership
    gpus: dict[str, int]
    price_percent: int


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """A buyer, how many GPUs its jobs take at most (in lots), and whether it wants domestic chips only."""

    name: str
    region: str
    size_class: SizeClass
    founded_on: str
    sectors: tuple[str, ...]
    lots_max: int
    domestic_only: bool = False


PROVIDERS: Final = (
    Provider(
        name="Guian State Compute",
        region="guizhou",
        ownership=Ownership.STATE,
        gpus={
            "nvidia-h100-sxm.guian.ib-ndr400": 128,
            "huawei-ascend-910b3.guian.hccs-roce-200": 512,
            "huawei-ascend-910c.guian.hccs-supernode": 256,
        },
        price_percent=100,
    ),
    Provider(
        name="Qianxi Cloud",
        region="guizhou",
        ownership=Ownership.PRIVATE,
        gpus={"huawei-ascend-910b3.guian.hccs-roce-200": 256, "nvidia-a800-sxm.guian.ib-hdr200": 64},
        price_percent=94,
    ),
    Provider(
        name="Horinger Grassland Data",
        region="inner-mongolia",
        ownership=Ownership.STATE,
        gpus={"huawei-ascend-910b2.horinger.hccs-roce-200": 384, "nvidia-h800-sxm.horinger.ib-ndr400": 64},
        price_percent=97,
    ),
    Provider(
        name="Bashang Machines",
        region="hebei",
        ownership=Ownership.PRIVATE,
        gpus={"nvidia-t4.zhangjiakou.pcie3": 120, "kunlunxin-p800.zhangjiakou.vendor-link-roce-200": 128},
        price_percent=92,
    ),
    Provider(
        name="Wuhu Intelligent Computing",
        region="anhui",
        ownership=Ownership.STATE,
        gpus={
            "huawei-ascend-910b3.wuhu.hccs-roce-200": 512,
            "nvidia-h20-96gb.wuhu.nvlink-roce-200": 128,
        },
        price_percent=103,
    ),
    Provider(
        name="Danxia Rendering and AI",
        region="guangdong",
        ownership=Ownership.PRIVATE,
        gpus={"nvidia-l20.shaoguan.pcie4": 96, "huawei-ascend-910b4.shaoguan.hccs": 160},
        price_percent=105,
    ),
)

BUYERS: Final = (
    Buyer(
        name="Small Boat Models",
        region="guizhou",
        size_class=SizeClass.MICRO,
        founded_on="2025-03-01",
        sectors=("large-models",),
        lots_max=4,
    ),
    Buyer(
        name="Lantern Robotics",
        region="guizhou",
        size_class=SizeClass.SMALL,
        founded_on="2023-09-12",
        sectors=("robotics",),
        lots_max=6,
    ),
    Buyer(
        name="Ricepaper Vision",
        region="zhejiang",
        size_class=SizeClass.SMALL,
        founded_on="2024-06-18",
        sectors=("computer-vision",),
        lots_max=4,
        domestic_only=True,
    ),
    Buyer(
        name="Kingfisher Protein",
        region="shanghai",
        size_class=SizeClass.MEDIUM,
        founded_on="2018-01-20",
        sectors=("biology",),
        lots_max=12,
    ),
    Buyer(
        name="Old Bridge Motors",
        region="anhui",
        size_class=SizeClass.LARGE,
        founded_on="1997-05-05",
        sectors=("vehicles",),
        lots_max=24,
    ),
    Buyer(
        name="Northern Weather Institute",
        region="beijing",
        size_class=SizeClass.LARGE,
        founded_on="1984-10-01",
        sectors=("weather",),
        lots_max=32,
        domestic_only=True,
    ),
)


class Programme(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher programme of an issuer: who may pay whom with it, and for what share.

    No provider region admits all providers. With `stacks` it pays beside others that do, all of them together
    at most `ceiling_bps` of an order. `recipients` are issued a voucher, `applicants` apply for one.
    """

    issuer: str
    code: str
    name: str
    rate_bps: int
    domestic_only: bool = False
    mode: Literal["instant", "reimburse"] = "instant"
    stacks: bool = False
    ceiling_bps: int | None = None
    provider_regions: frozenset[str] = frozenset()
    buyer_regions: tuple[str, ...] = ()
    buyer_size_classes: tuple[SizeClass, ...] = ()
    recipients: tuple[str, ...] = ()
    applicants: tuple[str, ...] = ()


PROGRAMMES: Final = (
    Programme(
        issuer="Guizhou Voucher Office",
        code="guizhou-start-ups",
        name="Computing vouchers for young companies",
        rate_bps=3_000,
        stacks=True,
        provider_regions=frozenset({"guizhou"}),
        buyer_regions=("guizhou",),
        buyer_size_classes=(SizeClass.MICRO, SizeClass.SMALL),
        recipients=("Small Boat Models", "Lantern Robotics"),
    ),
    Programme(
        issuer="National Chip Subsidy Office",
        code="national-domestic-chips",
        name="National subsidy for domestic accelerators",
        rate_bps=2_000,
        domestic_only=True,
        stacks=True,
        ceiling_bps=5_000,
        recipients=("Small Boat Models", "Lantern Robotics", "Northern Weather Institute"),
    ),
    Programme(
        issuer="Zhejiang Voucher Office",
        code="zhejiang-domestic-chips",
        name="Computing vouchers for domestic accelerators",
        rate_bps=2_000,
        domestic_only=True,
        provider_regions=frozenset({"anhui", "guizhou", "inner-mongolia"}),
        buyer_size_classes=(SizeClass.MICRO, SizeClass.SMALL, SizeClass.MEDIUM),
        applicants=("Ricepaper Vision",),
    ),
    Programme(
        issuer="Anhui Voucher Office",
        code="anhui-compute",
        name="Computing vouchers that reimburse",
        rate_bps=2_500,
        mode="reimburse",
        recipients=("Old Bridge Motors", "Kingfisher Protein"),
    ),
)

REGULATOR: Final = "Compute Market Oversight"
SHOWN_BUYER: Final = "Small Boat Models"
SHOWN_PROVIDER: Final = "Guian State Compute"
SHOWN_APPLICANT: Final = "Lantern Robotics"
SHOWN_APPLICATION_CODE: Final = "zhejiang-domestic-chips"
SHOWN_CLAIMANT: Final = "Old Bridge Motors"
"""A reimbursed company whose claims are left to the newcomer."""
SHOWN_CLAIM_CODE: Final = "anhui-compute"
SHOWN_PRODUCT: Final = "huawei-ascend-910b3.guian.hccs-roce-200"
BUYER_MONEY_CNY: Final = "50000000.00"
ISSUER_MONEY_CNY: Final = "80000000.00"
BUDGET_FEN: Final = 8_000_000_000
CAP_PER_YEAR_FEN: Final = 200_000_000
VOUCHER_CNY: Final = "500000.00"
VALIDITY_DAYS: Final = 180
KIND_OF_NAME: Final[dict[str, ParticipantKind]] = {
    **{provider.name: ParticipantKind.PROVIDER for provider in PROVIDERS},
    **{buyer.name: ParticipantKind.BUYER for buyer in BUYERS},
    **{programme.issuer: ParticipantKind.ISSUER for programme in PROGRAMMES},
    REGULATOR: ParticipantKind.REGULATOR,
}
