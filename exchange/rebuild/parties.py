"""Who takes part, list prices, and the rules of surveillance, rebuilt from their records. Pure.

Each record says all of one row that is never changed, so a second one of the same contradicts the first.
Names are in no record: it is kept for ever, and a name may be a person's.
"""

from typing import Any, Final

from exchange.rebuild.models import (
    GroupRow,
    Key,
    ListPriceRow,
    Mismatch,
    ParticipantRow,
    Recorded,
    RulesRow,
    row_of,
)

OF_PARTIES: Final = ("PNEW", "GNEW", "LPRC", "ALRU")
"""A participant and a trade group were registered, a list price published, the rules of alerts changed."""
EXCHANGE_ID: Final = 1
_SHIPPED_AT_US: Final = 1_577_836_800_000_000
"""2020-01-01: the exchange itself is a participant by its schema, and on no record."""

Described = GroupRow | ParticipantRow | ListPriceRow | RulesRow


class Parties:
    """The rows by key; `contradictions` are records of what is on record already, or does not follow."""

    def __init__(self) -> None:
        """Begin with the exchange itself."""
        self.groups: dict[Key, GroupRow] = {}
        self.participants: dict[Key, ParticipantRow] = {
            (EXCHANGE_ID,): ParticipantRow(kind="operator", created_at=_SHIPPED_AT_US)
        }
        self.list_prices: dict[Key, ListPriceRow] = {}
        self.rules: dict[Key, RulesRow] = {}
        self.contradictions: list[Mismatch] = []

    def follow(self, step: Recorded) -> None:
        """Take in a record; KeyError where it does not say what such a one says."""
        if step.code == "GNEW":
            if step.trade_group_id is None:
                raise KeyError("trade_group_id")
            self._add("trade_group", self.groups, (step.trade_group_id,), GroupRow(created_at=step.at_us))
        elif step.code == "PNEW":
            self._add("participant", self.participants, (step.participant_id,), _participant(step))
        elif step.code == "LPRC":
            key = step.product_id, step.participant_id, step.detail["number"]
            row = ListPriceRow(price_ticks=step.detail["price_ticks"], listed_at=step.at_us)
            self._add("list_price", self.list_prices, key, row)
        elif step.code == "ALRU":
            self._add("alert_rules", self.rules, (step.detail["version"],), _rules(step))

    def end(self) -> None:
        """Look for numbers and groups that no record tells of."""
        for product_id, provider_id, number in self.list_prices:
            before = product_id, provider_id, number - 1
            if number > 1 and before not in self.list_prices:
                self._deny("list_price", before, None, "a later one is on record")
        for (version,) in self.rules:
            if version > 1 and (version - 1,) not in self.rules:
                self._deny("alert_rules", (version - 1,), None, "a later one is on record")
        for key, row in self.participants.items():
            group = row.trade_group_id
            if group is not None and (group,) not in self.groups:
                self._deny("participant", key, group, "no such trade group is on record")

    def _add(self, table: str, rows: dict[Key, Any], key: Key, row: Described) -> None:
        if key in rows:
            self._deny(table, key, row_of(row), row_of(rows[key]))
        rows[key] = row

    def _deny(self, table: str, key: Key, stored: object, rebuilt: object) -> None:
        of = ", ".join(map(str, key))
        found = Mismatch(table="audit_record", of=f"{table} {of}", column="", stored=stored, rebuilt=rebuilt)
        self.contradictions.append(found)


def _participant(step: Recorded) -> ParticipantRow:
    told = step.detail
    return ParticipantRow(
        kind=told["kind"],
        trade_group_id=step.trade_group_id,
        region=told["region"],
        ownership=told["ownership"],
        size_class=told["size_class"],
        founded_on=told["founded_on"],
        sectors=told["sectors"],
        created_at=step.at_us,
    )


def _rules(step: Recorded) -> RulesRow:
    told = step.detail
    return RulesRow(
        rules=told["rules"],
        effective_from=told["effective_from_us"],
        reason=told["reason"],
        changed_by=step.participant_id,
        key_id=step.key_id or None,
        changed_at=told["changed_at_us"],
    )
