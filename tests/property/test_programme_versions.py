"""Which rules are in force, for any versions at any time: the database and `in_force` say the same.

Hypothesis makes the versions of a programme with few times, so that they begin together, overlap and end
before each other; every time around them is asked of both queries that show a programme, and of the pure
function that funds orders and issues vouchers.
"""

import asyncio
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.kit.database import Connection, Database
from exchange.participants.models import ParticipantKind
from exchange.programmes import store
from exchange.programmes.judgement import in_force
from exchange.programmes.models import Programme, RulesVersion
from exchange.programmes.rules import superseded_us
from tests.voucher_facts import rules_of, version_of
from tests.voucher_world import NOW_US, VoucherWorld


class Times(NamedTuple):
    """When a version begins, and ends after so long; None: never."""

    begins: int
    lasts: int | None


versions_of_times = st.lists(
    st.builds(Times, st.integers(0, 6), st.none() | st.integers(1, 4)), min_size=1, max_size=7
)


def versions_of(times: list[Times]) -> list[RulesVersion]:
    """Return versions with these times, numbered in order."""
    return [
        version_of(
            rules_of(),
            number,
            effective_from_us=NOW_US + each.begins,
            effective_until_us=None if each.lasts is None else NOW_US + each.begins + each.lasts,
        )
        for number, each in enumerate(times, start=1)
    ]


@given(versions_of_times)
def test_a_version_is_in_force_from_its_beginning_until_its_end_or_a_higher_number_begins(
    times: list[Times],
) -> None:
    versions = versions_of(times)
    for at_us in range(NOW_US - 1, NOW_US + 12):
        found = in_force(versions, at_us)
        for each in versions:
            over_us = superseded_us(versions, each.number)
            holds = (
                each.effective_from_us <= at_us
                and (each.effective_until_us is None or at_us < each.effective_until_us)
                and (over_us is None or at_us < over_us)
            )
            assert (each == found) == holds


def shown_of(versions: list[RulesVersion], at_us: int) -> RulesVersion:
    """Return what is shown: the highest that has begun, else what begins first, of those the highest."""
    begun = [each for each in versions if each.effective_from_us <= at_us]
    if begun:
        return begun[-1]
    return min(versions, key=lambda each: (each.effective_from_us, -each.number))


def test_the_database_shows_the_version_that_is_in_force(database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(Database.connect(database_url, connections_min=1))
        world = VoucherWorld(database)

        async def begin() -> Programme:
            issuer = await world.join(ParticipantKind.ISSUER)
            return await world.programme(issuer, await world.join(ParticipantKind.PROVIDER))

        programme = runner.run(begin())

        async def compare(connection: Connection, times: list[Times]) -> None:
            versions = versions_of(times)
            for each in versions:
                await store.insert_version(connection, programme.id, each, None)
            for at_us in range(NOW_US - 1, NOW_US + 12):
                shown = await store.programme_by_id(connection, programme.id, at_us)
                (listed,) = await store.page_of_programmes(connection, at_us, limit=9)
                assert shown is not None
                assert shown == listed
                assert shown.version.number == shown_of(versions, at_us).number
                found, valid = in_force(versions, at_us), in_force([shown.version], at_us)
                assert (found and found.number) == (valid and valid.number)

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(versions_of_times)
        def try_versions(times: list[Times]) -> None:
            async def undone() -> None:
                async with database.connection() as connection:
                    transaction = connection.transaction()
                    await transaction.start()
                    try:
                        # Its own first version must not be among those compared.
                        await connection.execute("ALTER TABLE programme_version DISABLE TRIGGER USER")
                        await connection.execute("DELETE FROM programme_version")
                        await compare(connection, times)
                    finally:
                        await transaction.rollback()

            runner.run(undone())

        try_versions()
        runner.run(database.close())
