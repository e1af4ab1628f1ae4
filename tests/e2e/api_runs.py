"""Runs of Schemathesis against a served exchange: what is generated, what is checked, and what is left out.

A run is a process of its own, as it would be from a shell: it reads the OpenAPI document over HTTP and knows
nothing else, but a key, and the ids of what is on stage, else hardly a request would get past 404.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from exchange.kit.auth import Scope
from exchange.kit.http_auth import declared_access
from tests.e2e import api_checks
from tests.e2e.document import path_of
from tests.e2e.good_bodies import BODIES, good, route_of
from tests.e2e.served import Caller
from tests.e2e.stage import Stage
from tests.hypothesis_profiles import NIGHTLY_FACTOR, is_long

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = 1
"""Cases of a route and a kind of data in the fuzzing phase, in profile `ci`."""
SEQUENCES: Final = 6
"""Sequences of linked requests, in profile `ci`."""
LIVE_IDS: Final = 0.7
"""How often a parameter is the id of something on stage."""
LEFT_OUT: Final[Mapping[str, str]] = {
    "positive_data_acceptance": "schema_tells_forms asks the same by the codes of faults",
    "use_after_free": "nothing here is ever gone: a cancelled order and a revoked key can still be read",
    "object_level_authorization": "tests/e2e/test_access_matrix.py tries every place for an id by strangers",
}
"""Checks that do not run, and why; all others do."""
EXCEPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "POST /v1/orders/batch": {
        "negative_data_rejection": "a fault of one order is answered in its outcome, the batch with 200",
    },
    "GET /v1/claims/{claim_id}/evidence/{evidence_id}": {
        "response_schema_conformance": "a file has the type its sender gave it, YAML say, whatever is in it",
    },
}
"""Checks that do not run for one route, and why."""
ALIKE: Final[Mapping[str, tuple[str, ...]]] = {
    "participant_id": ("participant", "buyer", "provider", "buyer_id", "provider_id"),
    "programme_id": ("programme",),
    "product_id": ("product",),
}
"""Parameters that take an id of the stage under another name."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a run's requests, and where to."""

    caller: Caller
    scopes: frozenset[Scope]
    spare_key_id: str
    """The id of a key of the caller's that may be revoked; the one in use must not be."""
    left_out: frozenset[str] = frozenset()
    """Routes that are not tried."""
    tried: frozenset[str] = frozenset()
    """Routes whose cases at the edges others try: of these only some random ones are sent."""
    alike: frozenset[str] = frozenset()
    """Those of them that are open to everybody and answer all alike: of these only sequences are tried."""


async def bodies_of(stage: Stage, run: Run) -> dict[str, Any]:
    """Return a good body for each route to which this caller is the one to send it."""
    found = [await good(stage, name) for name in BODIES if name == route_of(name)]
    bodies = {each.title: each.body for each in found if each.caller.key == run.caller.key}
    return bodies | {"POST /v1/keys": {"participant_id": run.caller.id, "scopes": ["read"]}}


async def carry_out(stage: Stage, run: Run, folder: Path) -> tuple[int, str]:
    """Run Schemathesis; return its exit status and all it said."""
    settings, bodies = folder / "schemathesis.toml", folder / "bodies.json"
    good_bodies = await bodies_of(stage, run)
    settings.write_text(_settings(stage, run, good_bodies))
    bodies.write_text(json.dumps(good_bodies))
    address = str(stage.house.http.base_url.join("/schema/openapi.json"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings)),
        *("run", address, "--no-color"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), api_checks.BODIES: str(bodies)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def open_to(stage: Stage, scopes: frozenset[Scope]) -> frozenset[str]:
    """Return the routes that these scopes open, as `GET /v1/things/{thing_id}`."""
    return frozenset(
        f"{route.method} {path_of(route)}"
        for route in declared_access(stage.house.app)
        if route.method != "WEBSOCKET" and (not route.scopes or route.scopes & scopes)
    )


def _settings(stage: Stage, run: Run, good_bodies: Mapping[str, Any]) -> str:
    """Return the settings of a run, as TOML."""
    ids = {**stage.ids, "key_id": run.spare_key_id}
    factor = NIGHTLY_FACTOR if is_long() else 1
    live = {
        f"{place}.{name}": {"dictionary": known, "probability": LIVE_IDS}
        for known in ids
        for name in (known, *ALIKE.get(known, ()))
        for place in ("path", "query", "body")
    }
    # Sequences begin with what this caller can make.
    others = {route_of(name) for name in BODIES} - good_bodies.keys()
    opened, every = open_to(stage, run.scopes), open_to(stage, frozenset(Scope))
    return _toml(
        {
            "hooks": api_checks.__name__,
            "continue-on-failure": True,
            "warnings": {"enabled": False},
            "auth.openapi.bearer": {"bearer": run.caller.key},
            **{f"dictionaries.{name}": {"values": [value]} for name, value in ids.items()},
            "parameters": live,
            "generation": {
                "deterministic": not is_long(),
                "database": "none",
                # The document cannot say that no text may hold NUL; test_bad_input tries that.
                "allow-x00": False,
                "max-examples": EXAMPLES * factor,
            },
            **{f"checks.{name}": {"enabled": False} for name in LEFT_OUT},
            # Else a run finds the key that it uses in a list of keys, and revokes it.
            **{f"phases.{each}.extra-data-sources": {"responses": False} for each in ("coverage", "fuzzing")},
            # `test_bad_addresses` tries them at every route.
            **({} if is_long() else {"phases.coverage": {"unexpected-methods": ["TRACE"]}}),
            "phases.stateful": {"max-steps": 6, "link-calibration": False},
            "phases.stateful.inference": {"algorithms": []},
            "phases.stateful.generation": {"max-examples": SEQUENCES * factor},
        },
        [
            {"include-name": sorted((every - opened) | run.left_out), "enabled": False},
            {
                "include-name": sorted((opened & run.tried) - run.alike),
                "phases": {each: {"enabled": False} for each in ("examples", "coverage")},
            },
            {
                "include-name": sorted(run.alike),
                "phases": {each: {"enabled": False} for each in ("examples", "coverage", "fuzzing")},
            },
            {"include-name": sorted(opened & others), "phases": {"stateful": {"enabled": False}}},
            *(
                {"include-name": [name], "checks": {check: {"enabled": False} for check in checks}}
                for name, checks in EXCEPTIONS.items()
            ),
        ],
    )


def _toml(settings: Mapping[str, Any], operations: list[dict[str, Any]]) -> str:
    """Write settings as TOML: plain values, then a table for each name, then what holds for operations."""
    plain = [f"{name} = {_value(value)}" for name, value in settings.items() if not isinstance(value, dict)]
    tables = [(f"[{name}]", table) for name, table in settings.items() if isinstance(table, dict)]
    tables += [("[[operations]]", table) for table in operations if table["include-name"]]
    for title, table in tables:
        plain += [title, *(f"{json.dumps(name)} = {_value(value)}" for name, value in table.items())]
    return "\n".join(plain) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_value(each)}' for name, each in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)
