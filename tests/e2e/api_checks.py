"""What Schemathesis loads from us in a run of `tests.e2e.api_runs`: one check, and bodies that get somewhere.

The check: Schemathesis' own `positive_data_acceptance` takes each 422 to what the schema allows for a fault.
Here a 422 also refuses what a schema cannot know: a product that does not exist, an hour that has passed. So
this one looks at the codes of the faults: none may be of a kind that the schema should have told.

The bodies: in the stateful phase, whose point is what follows, a request that makes something is sent with a
body that is taken (`BODIES`, a file of them by route). Drawn ones are refused, all but few of them.
"""

import itertools
import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Final

import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, HookContext, Response

from tests.e2e.document import BY_SCHEMA

BODIES: Final = "API_RUN_BODIES"
"""The variable that names the file."""

FRESH: Final = frozenset({"client_order_id", "code", "name"})
"""Fields whose value may be used once."""
_numbers = itertools.count(1)


@cache
def _bodies() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(Path(os.environ[BODIES]).read_text())
    return found


@schemathesis.check
def schema_tells_forms(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Fail where what the schema allows is refused for its form."""
    del ctx
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return None
    if response.status_code != 422:
        return None
    for fault in response.json()["errors"]:
        value = fault.get("value")
        if isinstance(value, float) and value.is_integer():
            continue  # JSON Schema takes 7.0 for a whole number; here it is none
        assert fault["code"] not in BY_SCHEMA, f"the schema allows this: {fault}"
    return None


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Put a body that is taken in the place of a drawn one."""
    del context, kwargs
    body = _bodies().get(case.operation.label)
    if body is None or case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if case.meta.phase.name.name == "STATEFUL":
        number = next(_numbers)
        case.body = {name: f"s{number}" if name in FRESH else value for name, value in body.items()}
