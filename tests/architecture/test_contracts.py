"""Goal: our own contract types can fail. Method: small import graphs with one forbidden import."""

import grimp
from importlinter import Contract

from tests.architecture.contracts import OnlyInContract, OwnDomainContract


def _graph(*imports: tuple[str, str]) -> grimp.ImportGraph:
    graph = grimp.ImportGraph()
    for importer, imported in imports:
        graph.add_module(importer)
        graph.add_module(imported)
        graph.add_import(importer=importer, imported=imported)
    return graph


def _is_kept(contract: type[Contract], graph: grimp.ImportGraph, **options: object) -> bool:
    return contract("name", {}, options).check(graph, verbose=False).kept


def test_a_store_may_be_imported_by_its_own_domain_only() -> None:
    inside = ("exchange.ledger.service", "exchange.ledger.store")
    outside = ("exchange.orders.service", "exchange.ledger.store")
    similar = ("exchange.ledger_report", "exchange.ledger.store")
    assert _is_kept(OwnDomainContract, _graph(inside), module_name="store")
    assert not _is_kept(OwnDomainContract, _graph(inside, outside), module_name="store")
    assert not _is_kept(OwnDomainContract, _graph(inside, similar), module_name="store")


def test_a_package_may_be_imported_by_matching_modules_only() -> None:
    options = {"packages": ["litestar"], "modules": ["exchange.*.routes", "exchange.kit.http*"]}
    allowed = [("exchange.orders.routes", "litestar"), ("exchange.kit.http_app", "litestar")]
    assert _is_kept(OnlyInContract, _graph(*allowed), **options)
    assert not _is_kept(OnlyInContract, _graph(*allowed, ("exchange.orders.service", "litestar")), **options)
