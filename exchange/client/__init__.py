"""A small typed client of the public API: the command line and the demo speak through it."""

from exchange.client.client import ExchangeClient
from exchange.client.order_book import OrderBook
from exchange.client.own_orders import OwnOrders
from exchange.client.problems import ApiProblem, Unreachable
from exchange.client.signing import SignedBy
from exchange.client.stream import OrderStream

__all__ = ["ApiProblem", "ExchangeClient", "OrderBook", "OrderStream", "OwnOrders", "SignedBy", "Unreachable"]
