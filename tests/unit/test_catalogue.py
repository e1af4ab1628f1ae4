"""Goal: the catalogue is complete and nothing in it lacks a source, and its checker catches what would.

Method: read the real files and hold them against what the exchange promises to list; then plant one fault
at a time in a good catalogue and ask the checker for it.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from exchange.products import rules, service
from exchange.products.models import Catalogue, CatalogueError, Confidence, ListedProduct, Origin

REQUIRED = {
    "nvidia-h100-sxm",
    "nvidia-h100-pcie",
    "nvidia-h200-sxm",
    "nvidia-h800-sxm",
    "nvidia-a800-sxm",
    "nvidia-a100-sxm-80gb",
    "nvidia-a100-sxm-40gb",
    "nvidia-h20-96gb",
    "nvidia-l20",
    "nvidia-a10",
    "nvidia-rtx-4090",
    "nvidia-t4",
    "nvidia-v100-sxm2-16gb",
    "nvidia-v100-sxm2-32gb",
    "nvidia-p100-pcie-16gb",
    "huawei-ascend-910b1",
    "huawei-ascend-910b2",
    "huawei-ascend-910b3",
    "huawei-ascend-910b4",
    "huawei-ascend-910c",
    "cambricon-mlu370-x8",
    "cambricon-mlu590",
    "hygon-k100-ai",
    "kunlunxin-p800",
    "moore-threads-mtt-s4000",
    "metax-c500-pcie",
    "biren-br104",
    "iluvatar-bi-v100",
    "enflame-s60",
}
HUB_OF_CLUSTER = {
    "zhangjiakou": "beijing-tianjin-hebei",
    "yangtze-delta-demo": "yangtze-river-delta",
    "wuhu": "yangtze-river-delta",
    "shaoguan": "greater-bay-area",
    "tianfu": "chengdu-chongqing",
    "chongqing": "chengdu-chongqing",
    "guian": "guizhou",
    "horinger": "inner-mongolia",
    "qingyang": "gansu",
    "zhongwei": "ningxia",
}
OPENB_MODELS = {"P100", "T4", "V100M16", "V100M32", "A10", "G2", "G3"}

CATALOGUE = service.read_catalogue()


def files() -> dict[str, Any]:
    folder = service.FOLDER
    return {name: json.loads((folder / name).read_bytes()) for name in rules.FILES}


def read(changed: dict[str, Any]) -> Catalogue:
    return rules.read_catalogue({name: json.dumps(content).encode() for name, content in changed.items()})


def test_every_promised_accelerator_is_there_by_its_variant() -> None:
    ids = {each.id for each in CATALOGUE.accelerators}
    assert ids >= REQUIRED
    assert len(ids) == len(CATALOGUE.accelerators)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", each) for each in ids)


def test_figures_that_the_issue_names() -> None:
    tenths = {each.id: each.fp16_dense_tflops_tenths for each in CATALOGUE.accelerators}
    assert tenths["nvidia-h100-sxm"] == 9894
    assert tenths["nvidia-h20-96gb"] == 1480
    assert tenths["enflame-s60"] is None  # its maker publishes no rate, and we invent none


def test_domestic_is_decided_by_the_designer() -> None:
    of_origin = {each.id: each.origin for each in CATALOGUE.accelerators}
    assert {id_ for id_, origin in of_origin.items() if origin is Origin.FOREIGN} == {
        id_ for id_ in of_origin if id_.startswith("nvidia-")
    }


def test_every_figure_has_a_source_and_every_doubt_a_note() -> None:
    for accelerator in CATALOGUE.accelerators:
        assert list(rules.accelerator_faults(accelerator)) == []
        assert all(source.publisher and source.title and source.says for source in accelerator.sources)
        assert accelerator.confidence is Confidence.VENDOR or accelerator.note


def test_eight_hubs_and_ten_clusters_in_both_languages() -> None:
    assert {each.code: each.hub_code for each in CATALOGUE.clusters} == HUB_OF_CLUSTER
    assert {each.code for each in CATALOGUE.hubs} == set(HUB_OF_CLUSTER.values())
    names = [(each.name_en, each.name_zh) for each in CATALOGUE.hubs]
    names += [(each.name_en, each.name_zh) for each in CATALOGUE.clusters]
    for english, chinese in names:
        assert english.isascii()
        assert chinese
        assert not chinese.isascii()
    assert all(each.province.isascii() for each in CATALOGUE.clusters)


def test_every_accelerator_and_every_cluster_has_a_product() -> None:
    assert 40 <= len(CATALOGUE.products) <= 60
    assert {each.accelerator_id for each in CATALOGUE.products} == {
        each.id for each in CATALOGUE.accelerators
    }
    assert {each.cluster_code for each in CATALOGUE.products} == set(HUB_OF_CLUSTER)
    assert {each.interconnect_code for each in CATALOGUE.products} == {
        each.code for each in CATALOGUE.interconnects
    }


def test_a_product_takes_its_lot_from_its_interconnect_and_its_price_from_its_accelerator() -> None:
    lots = {each.code: each.lot_gpus for each in CATALOGUE.interconnects}
    prices = {each.id: each.reference_price_ticks for each in CATALOGUE.accelerators}
    for product in CATALOGUE.products:
        parts = (product.accelerator_id, product.cluster_code, product.interconnect_code)
        assert product.id == ".".join(parts)
        assert product.lot_gpus == lots[product.interconnect_code]
        assert product.reference_price_ticks == prices[product.accelerator_id]
    assert set(lots.values()) == {1, 8}


@pytest.mark.parametrize(
    "accelerator", ["nvidia-t4", "nvidia-p100-pcie-16gb", "nvidia-rtx-4090", "nvidia-a10", "nvidia-l20"]
)
def test_shared_cards_trade_one_by_one(accelerator: str) -> None:
    assert {each.lot_gpus for each in CATALOGUE.products if each.accelerator_id == accelerator} == {1}


def test_the_collar_lets_no_slipped_decimal_point_through_upwards() -> None:
    for product in CATALOGUE.products:
        highest = product.reference_price_ticks * (10_000 + product.collar_bps) // 10_000
        assert highest < 10 * product.reference_price_ticks


def test_terms_are_those_of_a_ninety_day_market_in_fen() -> None:
    assert {each.tick_fen for each in CATALOGUE.products} == {1}
    assert {each.listing_horizon_hours for each in CATALOGUE.products} == {90 * 24}


def test_trace_models_stand_for_listed_accelerators_with_the_guesses_marked() -> None:
    openb = {each.model: each for each in CATALOGUE.trace_models if "openb" in each.trace}
    assert set(openb) == OPENB_MODELS
    assert {each.model for each in openb.values() if each.assumption} == {"G2", "G3"}
    assert all("ssumption" in openb[model].reason for model in ("G2", "G3"))
    one_by_one = {each.accelerator_id for each in CATALOGUE.products if each.lot_gpus == 1}
    assert {each.accelerator_id for each in openb.values()} <= one_by_one
    quoted = {each.accelerator_id for each in CATALOGUE.trace_models if "openb" not in each.trace}
    assert {each.accelerator_id for each in openb.values()} <= quoted


def plant_id(content: dict[str, Any]) -> None:
    content["accelerators_foreign.json"][0]["id"] = "NVIDIA H100"


def plant_twin(content: dict[str, Any]) -> None:
    content["accelerators_foreign.json"].append(content["accelerators_foreign.json"][0])


def plant_float(content: dict[str, Any]) -> None:
    content["accelerators_foreign.json"][0]["fp16_dense_tflops_tenths"] = 989.4


def plant_unsourced(content: dict[str, Any]) -> None:
    entry = content["accelerators_foreign.json"][0]
    entry["sources"] = [each for each in entry["sources"] if "fp16_dense" not in each["figures"]]


def plant_unexplained_gap(content: dict[str, Any]) -> None:
    s60 = next(each for each in content["accelerators_domestic.json"] if each["id"] == "enflame-s60")
    s60["note"] = ""


def plant_source_of_nothing(content: dict[str, Any]) -> None:
    s60 = next(each for each in content["accelerators_domestic.json"] if each["id"] == "enflame-s60")
    s60["sources"][0]["figures"].append("fp16_dense")


def plant_silent_doubt(content: dict[str, Any]) -> None:
    mlu590 = next(each for each in content["accelerators_domestic.json"] if each["id"] == "cambricon-mlu590")
    mlu590["note"] = ""


def plant_false_confidence(content: dict[str, Any]) -> None:
    p800 = next(each for each in content["accelerators_domestic.json"] if each["id"] == "kunlunxin-p800")
    p800["confidence"] = "vendor"


def plant_nameless(content: dict[str, Any]) -> None:
    content["places.json"]["clusters"][0]["name_zh"] = ""


def plant_lost_cluster(content: dict[str, Any]) -> None:
    content["places.json"]["clusters"].pop()


def plant_lost_hub(content: dict[str, Any]) -> None:
    content["places.json"]["hubs"].pop()


def plant_lost_accelerator(content: dict[str, Any]) -> None:
    content["products.json"]["listings"][0]["accelerator_id"] = "nvidia-h101"


def plant_lost_interconnect(content: dict[str, Any]) -> None:
    content["products.json"]["listings"][0]["interconnect_code"] = "ib-ndr401"


def plant_lot(content: dict[str, Any]) -> None:
    content["interconnects.json"][0]["lot_gpus"] = 4


def plant_listed_twice(content: dict[str, Any]) -> None:
    content["products.json"]["listings"].append(content["products.json"]["listings"][0])


def plant_unlisted_stand_in(content: dict[str, Any]) -> None:
    content["trace_models.json"][0]["accelerator_id"] = "nvidia-p100-sxm2"


def plant_unknown_field(content: dict[str, Any]) -> None:
    content["products.json"]["terms"]["colar_bps"] = 9000


@pytest.mark.parametrize(
    "plant,names",
    [
        (plant_id, "id"),
        (plant_twin, "accelerator nvidia-h100-sxm stands 2 times"),
        (plant_float, "int"),
        (plant_unsourced, "nvidia-h100-sxm has no source for fp16_dense"),
        (plant_unexplained_gap, "enflame-s60 has no fp16_dense and no note"),
        (plant_source_of_nothing, "enflame-s60 has a source for fp16_dense but no figure"),
        (plant_silent_doubt, "cambricon-mlu590 is disputed and has no note"),
        (plant_false_confidence, "kunlunxin-p800 is vendor, but its sources say otherwise"),
        (plant_nameless, "name_zh"),
        (plant_lost_cluster, "names no cluster of the catalogue"),
        (plant_lost_hub, "names no hub of the catalogue: ningxia"),
        (plant_lost_accelerator, "there is no accelerator nvidia-h101"),
        (plant_lost_interconnect, "there is no interconnect ib-ndr401"),
        (plant_lot, "has a lot of neither 1 nor 8"),
        (plant_listed_twice, "stands 2 times"),
        (plant_unlisted_stand_in, "stands for nvidia-p100-sxm2, which has no product"),
        (plant_unknown_field, "colar_bps"),
    ],
)
def test_a_planted_fault_is_named(plant: Callable[[dict[str, Any]], None], names: str) -> None:
    content = files()
    plant(content)
    with pytest.raises(CatalogueError, match=re.escape(names)):
        read(content)


def test_the_files_without_a_planted_fault_are_good() -> None:
    assert read(files()) == CATALOGUE


def test_a_listed_product_keeps_its_lot_but_may_change_its_reference() -> None:
    product: ListedProduct = CATALOGUE.products[0]
    listed = {product.id: product}
    cheaper = msgspec.structs.replace(
        product, reference_price_ticks=1, collar_bps=1, listing_horizon_hours=24
    )
    assert list(rules.contradictions(listed, [cheaper])) == []
    relotted = msgspec.structs.replace(product, lot_gpus=4)
    assert list(rules.contradictions(listed, [relotted])) == [
        f"{product.id} is listed with lot_gpus {product.lot_gpus} and cannot change to 4"
    ]
    assert list(rules.contradictions({}, [relotted])) == []


@pytest.mark.parametrize("tenths,text", [(9894, "989.4"), (650, "65.0"), (7, "0.7"), (None, None)])
def test_tenths_become_a_decimal_string(tenths: int | None, text: str | None) -> None:
    assert rules.format_tenths(tenths) == text
