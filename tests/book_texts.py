"""What docs/stream.md says of the channel `book`, done by somebody who has read nothing else.

Plain JSON in, plain dictionaries kept: no code of the exchange, nor of its client.
"""

import zlib
from typing import Any

Json = dict[str, Any]


def text_of(first_hour_at: str, phase: str, orders: list[Json]) -> str:
    """Return the canonical text of a book, by the words of the document."""
    lines = [first_hour_at + " " + phase]
    for order in sorted(orders, key=lambda each: int(each["reference"])):
        words = [str(order["reference"]), order["side"], order["price_cny_per_gpu_hour"]]
        if order["side"] == "sell":
            words.append(str(order["min_hours"]))
            words.append(",".join(order.get("reserved_for", [])) or "-")
            free = [f"{each['starts_at']}/{each['ends_at']}/{each['gpus']}" for each in order["free"]]
            words.append(",".join(free))
        else:
            words += [str(order["quantity_gpus"]), str(order["hours"])]
            words.append(order["starts_at"] + "/" + order["ends_at"])
            words += [order["fill"], order["placement"], ",".join(order.get("requires", [])) or "-"]
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def checksum_of(first_hour_at: str, phase: str, orders: list[Json]) -> str:
    """Return the checksum of a book."""
    return format(zlib.crc32(text_of(first_hour_at, phase, orders).encode("utf-8")), "08x")


class PlainBook:
    """A book kept from messages; insists that each delta follows, and that each checksum fits."""

    def __init__(self) -> None:
        self.sequence = -1
        self.first_hour_at = ""
        self.phase = ""
        self.orders: dict[int, Json] = {}

    def apply(self, message: Json) -> None:
        """Take a message of the channel in."""
        if message["event"] == "snapshot":
            self.first_hour_at, self.phase = message["first_hour_at"], message["phase"]
            self.orders = {order["reference"]: order for order in message["orders"]}
        elif message["event"] == "delta":
            assert message["prev_sequence"] == self.sequence, "a delta does not follow"
            self.phase = message.get("phase", self.phase)
            if "first_hour_at" in message:
                self.first_hour_at = message["first_hour_at"]
                self._drop_hours()
            for reference in message.get("removed", []):
                del self.orders[reference]
            for order in message.get("changes", []):
                self.orders[order["reference"]] = order
        self.sequence = message["sequence"]
        if "checksum" in message:
            assert message["checksum"] == self.checksum(), "the checksum does not fit"

    def checksum(self) -> str:
        """Return the checksum of what is kept."""
        return checksum_of(self.first_hour_at, self.phase, list(self.orders.values()))

    def _drop_hours(self) -> None:
        # Times on the hour in one form sort as text.
        first = self.first_hour_at
        for reference, order in self.orders.items():
            if order["side"] == "buy":
                self.orders[reference] = order | {"starts_at": max(order["starts_at"], first)}
                continue
            free = [
                each | {"starts_at": max(each["starts_at"], first)}
                for each in order["free"]
                if each["ends_at"] > first
            ]
            self.orders[reference] = order | {"free": free}
