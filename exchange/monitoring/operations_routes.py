"""How the exchange stands over HTTP, for operators: the numbers behind the console's page of operations.

Of the application's state: `operations`.
"""

from litestar import Controller, get

from exchange.kit.auth import Scope
from exchange.kit.http_auth import requires
from exchange.kit.http_request import ApiRequest
from exchange.monitoring.models import OperationsView
from exchange.monitoring.service import Operations


class OperationsController(Controller):
    """The exchange as its operators watch it."""

    path = "/v1/operations"
    tags = ("Operations",)

    @get("", opt=requires(Scope.OPERATE), summary="Read how partitions and processes stand")
    async def operations(self, request: ApiRequest) -> OperationsView:
        """Who leads each partition, what it commits, who is behind, and what was switched; of all processes.

        Measures are those of the last minute. What is told of other processes is what they said of themselves
        within five seconds. `GET /metrics` has the same of one process, as counters.
        """
        operations: Operations = request.app.state.operations
        return await operations.view()
