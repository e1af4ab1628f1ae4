"""Traces where settings ask for them: the gate before `telemetry`, whose packages are an extra."""

from typing import TYPE_CHECKING

from exchange.kit.settings import Settings, SettingsError

if TYPE_CHECKING:
    from exchange.kit.telemetry import Traces


def traces_of(settings: Settings) -> "Traces | None":
    """Return where traces go, or None where nobody asked for them: then nothing of OpenTelemetry's is loaded.

    Raises `SettingsError` where they are asked for and the extra is not installed.
    """
    if settings.otlp_endpoint is None:
        return None
    try:
        from exchange.kit.telemetry import Traces  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"EXCHANGE_OTLP_ENDPOINT is set, and {error.name} is not installed: it comes with the extra "
            "'telemetry' (in the checkout: pip install '.[telemetry]')"
        ) from error
    return Traces(settings.otlp_endpoint, settings.trace_ratio)
