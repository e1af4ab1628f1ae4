"""Capacity listed by the file, over HTTP."""

from typing import Final

import msgspec
from litestar import Controller, post

from exchange.kit.auth import Scope
from exchange.kit.errors import UnsupportedMediaType
from exchange.kit.http_app import IMPORT_BYTES_MAX
from exchange.kit.http_auth import requires
from exchange.kit.http_request import ApiRequest
from exchange.kit.http_scope import header
from exchange.orders.capacity import CapacityImport
from exchange.orders.capacity_file import FileForm
from exchange.orders.capacity_models import ImportView

FORM_OF_TYPE: Final = {
    "text/csv": FileForm.CSV,
    "application/csv": FileForm.CSV,
    "application/x-ndjson": FileForm.NDJSON,
    "application/ndjson": FileForm.NDJSON,
    "application/jsonl": FileForm.NDJSON,
}


class ImportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a file is applied: all or nothing, the good lines (`partial`), or not at all (`preview`)."""

    partial: bool = False
    preview: bool = False


def _form_of(request: ApiRequest) -> FileForm:
    named = header(request.scope, b"content-type") or ""
    form = FORM_OF_TYPE.get(named.partition(";")[0].strip().lower())
    if form is None:
        detail = (
            f"send text/csv or application/x-ndjson in UTF-8, not {named[:100] or 'a body without a type'}"
        )
        raise UnsupportedMediaType(detail=detail)
    return form


class CapacityImportController(Controller):
    """What providers list, many asks at a time."""

    path = "/v1/capacity"
    tags = ("Capacity",)

    @post(
        "/import",
        opt=requires(Scope.LIST_CAPACITY, query=ImportQuery, raw_body=True),
        summary="List capacity from a file",
        status_code=200,
        request_max_body_size=IMPORT_BYTES_MAX,
    )
    async def import_file(self, request: ApiRequest) -> ImportView:
        """Place the asks of a file, up to 40,000 in 32 MiB: CSV with a header, or NDJSON, one ask a line.

        The columns, and the fields of a line, are those of an order: `client_order_id`, `product`,
        `quantity_gpus`, `starts_at`, `ends_at` and `price_cny_per_gpu_hour`, and where wanted `min_hours`,
        `reserved_for`, `time_in_force`, `expires_at`, `post_only`.

        Without `partial` all are placed or none: where a line would be refused the answer is a problem
        (`lines_refused`) whose pointers name line and field, such as `/lines/7/quantity_gpus`. With `partial`
        the good lines are placed, and `problems` tells of the others. With `preview` nothing is placed.

        A file sent again, mended or not, places no ask twice: each is known by its `client_order_id`. What a
        book refuses meanwhile stands in `problems` too. Counts as many orders as it has lines.
        """
        query = request.query(ImportQuery)
        form = _form_of(request)
        capacity: CapacityImport = request.app.state.capacity

        return await capacity.run(
            request.principal,
            request.pieces(),
            form,
            partial=query.partial,
            preview=query.preview,
            charge=request.charge,
        )
