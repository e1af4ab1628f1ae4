"""The metrics over HTTP: for callers in `EXCHANGE_METRICS_NETWORKS`, or with a key of scope operate."""

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

from exchange.kit.auth import IpNetwork, Scope
from exchange.kit.http_auth import open_to, requires
from exchange.kit.http_limits import unlimited
from exchange.kit.meters import CONTENT_TYPE
from exchange.monitoring.collect import Watched, exposition


def metrics_route(watched: Watched, networks: tuple[IpNetwork, ...]) -> HTTPRouteHandler:
    """Build `GET /metrics`."""

    @get(
        "/metrics",
        opt=requires(Scope.OPERATE) | unlimited() | open_to(networks),
        tags=["Health"],
        summary="Read all metrics in Prometheus' text format",
        media_type=MediaType.TEXT,
        sync_to_thread=False,
    )
    def metrics() -> Response[str]:
        """Counters, gauges and histograms of this process; docs/operations.md says what each means."""
        return Response(exposition(watched), media_type=CONTENT_TYPE)

    return metrics
