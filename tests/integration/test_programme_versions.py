"""Goal: what an order is paid is judged by the rules it was held under, though the programme has newer ones.

Method: two orders under two versions of one programme, over a restart, trade and delivery to a claim.
"""

from pathlib import Path

import msgspec
import pytest

from exchange.claims.rules import view_of_line
from exchange.claims.service import list_claim_lines, submit_claim
from exchange.kit.errors import Conflict
from exchange.kit.ids import decode_id, encode_id
from exchange.orders.models import OrderStatus
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import NewVersion, RateTier
from exchange.programmes.service import add_version
from tests.market_world import open_market


async def test_an_order_is_paid_and_claimed_under_the_version_it_was_held_under(
    database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        buyer = await world.join(ParticipantKind.BUYER)
        issuer = await world.join(ParticipantKind.ISSUER)
        await world.deposit(buyer, 1_000_000)
        product = world.product()
        programme = await world.programme(issuer, provider)
        old = await world.issue(issuer, programme, buyer, 10_000)
        new = await world.issue(issuer, programme, buyer, 10_000)
        cheaper = msgspec.structs.replace(programme.rules, rate_tiers=(RateTier(bps=1_000),))
        bids = []
        for voucher in (old, new):
            bids.append(await world.bid(buyer, product, price=1000, vouchers=[encode_id("vch", voucher.id)]))
            if voucher is old:
                # The registry is not told: the next batch that meets a voucher of the programme finds out.
                async with world.database.transaction() as connection:
                    await add_version(
                        connection, issuer, programme.id, NewVersion(rules=cheaper), world.clock.now_us()
                    )
                world.clock.advance_to_us(world.clock.now_us() + 1)
        assert [each.held.vouchers[0].held_cny for each in bids if each.held] == ["12.00", "4.00"]
        held_under = [
            [(each.programme_id, each.programme_version) for each in bid.shares or ()] for bid in bids
        ]
        assert held_under == [[(encode_id("prg", programme.id), version)] for version in (1, 2)]
        last_id = decode_id("ord", bids[1].id)
        assert last_id is not None
        now_us = world.clock.now_us()
    async with open_market(database_url, tmp_path, now_us) as world:
        await world.ask(provider, product, price=1000, quantity_gpus=2)
        filled = await world.exchange.orders.get(buyer, last_id)
        assert filled.status is OrderStatus.FILLED
        assert [each.programme_version for each in filled.shares or ()] == [2]
        await world.pass_hours(7)
        async with world.database.transaction() as connection:
            traded = await connection.fetch(
                "SELECT programme_version FROM lease_funding JOIN trade ON trade.id = lease_id"
                " WHERE voucher_id <> 0 ORDER BY bid_order_id"
            )
            claim = await submit_claim(connection, provider, programme.id, world.now_us)
            lines = await list_claim_lines(connection, issuer, claim.id, after=(0, 0, 0), limit=9)
        assert [row["programme_version"] for row in traded] == [1, 2]
        assert len(lines) == 8
        assert {(line.voucher_id, line.programme_version) for line in lines} == {(old.id, 1), (new.id, 2)}
        assert {view_of_line(line).programme_version for line in lines} == {1, 2}


async def test_a_programme_has_a_thousand_versions_at_most(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url, tmp_path) as world:
        issuer = await world.join(ParticipantKind.ISSUER)
        programme = await world.programme(issuer, await world.join(ParticipantKind.PROVIDER))
        async with world.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO programme_version"
                " SELECT programme_id, number, ordinal, effective_from, NULL, rules"
                " FROM programme_version, generate_series(2, 999) AS number WHERE programme_id = $1",
                programme.id,
            )
            await connection.execute("UPDATE programme SET version_last = 999 WHERE id = $1", programme.id)
        assert (await world.change(issuer, programme, validity_days=5)).number == 1_000
        with pytest.raises(Conflict) as caught:
            await world.change(issuer, programme, validity_days=6)
        assert caught.value.code == "too_many_versions"
