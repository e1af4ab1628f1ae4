"""Two contract types for import-linter, for rules that hold for modules yet to be written."""

import fnmatch
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class _ForbiddenPairs(Contract):
    """A contract that is broken by each pair (importer, imported) its subclass finds."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - the base's signature
        """Look at the whole import graph."""
        pairs = sorted(self.forbidden_pairs(graph))
        return ContractCheck(kept=not pairs, metadata={"pairs": pairs})

    def forbidden_pairs(self, graph: ImportGraph) -> set[tuple[str, str]]:
        """Return the imports that break the contract."""
        raise NotImplementedError

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Say which imports break the contract, and where they stand."""
        for importer, imported in check.metadata["pairs"]:
            output.print_error(f"{importer} is not allowed to import {imported}", bold=False)


class OwnDomainContract(_ForbiddenPairs):
    """Modules of a name, such as `store`, are imported only by the package they are in."""

    type_name = "own_domain"
    module_name: Any = fields.StringField()

    def forbidden_pairs(self, graph: ImportGraph) -> set[tuple[str, str]]:
        """Return the imports from other packages."""
        return {
            (importer, module)
            for module in graph.modules
            if module.endswith(f".{self.module_name}")
            for importer in graph.find_modules_that_directly_import(module)
            if not importer.startswith(module.removesuffix(str(self.module_name)))
        }


class OnlyInContract(_ForbiddenPairs):
    """Outside packages are imported only by modules that match a pattern; `*` takes dots too."""

    type_name = "only_in"
    packages: Any = fields.ListField(subfield=fields.StringField())
    modules: Any = fields.ListField(subfield=fields.StringField())

    def forbidden_pairs(self, graph: ImportGraph) -> set[tuple[str, str]]:
        """Return the imports from elsewhere."""
        return {
            (importer, package)
            for package in self.packages
            if package in graph.modules
            for importer in graph.find_modules_that_directly_import(package)
            if not any(fnmatch.fnmatchcase(importer, pattern) for pattern in self.modules)
        }
