"""A small typed client of the public HTTP API: the command line and the demo speak through it."""

from exchange.client.client import ExchangeClient
from exchange.client.transport import ApiProblem, Unreachable

__all__ = ["ApiProblem", "ExchangeClient", "Unreachable"]
