"""Goal: whatever happens, the record alone says what everything is.

Method: a Hypothesis state machine on the running exchange with the real PostgreSQL does all that leaves a
record: people join, pay in and out, offer, bid with and without vouchers for fixed and flexible windows,
amend, withdraw; hours pass and fail; programmes are started, changed, closed; vouchers issued, suspended,
revoked, left to expire; companies apply; claims take every way; products are halted. Now and then, and after
every run, everything is rebuilt from the audit trail, the journal and the transfers: every row of every
table that is not itself the record must be the rebuilt one, in every column, and each book the leader's own,
byte by byte. In the end every table has had rows.
(That every kind of step is followed is seen in `tests.integration.test_rebuild`.)
"""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from exchange.applications.models import ApplicationStatus
from exchange.claims.models import ClaimStatus
from exchange.kit.errors import Refusal
from exchange.oversight.marks import Marking
from exchange.rebuild.service import compare, rebuild
from exchange.rebuild.store import STORED
from exchange.vouchers.models import VoucherStatus
from matching.order import Side
from matching.product import Phase as TradingPhase
from matching.snapshot import snapshot
from tests.databases import Administrator
from tests.hypothesis_profiles import NIGHTLY_FACTOR, is_long
from tests.market_world import MarketWorld, open_market, sequencers, with_means
from tests.plain_claim import WAYS
from tests.record_market import RecordMarket
from tests.voucher_market import number_of

ROUNDS = 4
RUNS_A_ROUND = 6
STEPS = 30
STEPS_BETWEEN_CHECKS = 20
MARK_EVERY = 40

Orders = list[tuple[int, dict[str, Any]]]

picks = st.integers(0, 1_000)
percents = st.integers(0, 40)
DECISIONS = [
    *[ApplicationStatus.APPROVED] * 3,
    *[ApplicationStatus.SUBMITTED] * 2,
    ApplicationStatus.REJECTED,
    ApplicationStatus.WITHDRAWN,
]
sides = st.sampled_from([Side.BUY, Side.SELL])
asks = st.fixed_dictionaries(
    {
        "quantity_gpus": st.integers(1, 4),
        "percent": percents,
        "window": st.tuples(st.integers(0, 1), st.integers(4, 8)),
        "min_hours": st.integers(1, 2),
        "time_in_force": st.sampled_from(["gtc", "gtc", "gtd"]),
    }
)
bids = st.fixed_dictionaries(
    {
        "quantity_gpus": st.integers(1, 5),
        "percent": percents,
        "window": st.tuples(st.integers(0, 2), st.integers(5, 7)),
        "hours": st.integers(1, 5),
        "fill": st.sampled_from(["partial", "partial", "all_or_none"]),
        "time_in_force": st.sampled_from(["gtc", "gtc", "gtd", "ioc", "fok"]),
        "vouchers": st.sampled_from(["none", "auto", "auto"]),
        "voucher_policy": st.sampled_from(["prefer", "only_eligible"]),
        "post_only": st.just(False),  # noqa: FBT003
    }
).map(with_means)
amendments = st.one_of(
    st.fixed_dictionaries({"quantity_gpus": st.integers(1, 6)}),
    st.fixed_dictionaries(
        {},
        optional={
            "quantity_gpus": st.integers(1, 6),
            "percent": percents,
            "window": st.tuples(st.integers(0, 2), st.integers(5, 8)),
            "post_only": st.booleans(),
        },
    ),
)


trades = st.tuples(
    st.just("trade"),
    st.lists(st.tuples(picks, asks), min_size=1, max_size=2),
    st.lists(st.tuples(picks, bids), min_size=1, max_size=4),
    st.booleans(),
)
changes = st.tuples(
    st.just("change"),
    picks,
    st.one_of(amendments, amendments, st.just("cancel"), st.tuples(sides | st.none())),
)
waits = st.tuples(st.just("wait"), st.sampled_from([1, 1, 2, 5, 24]), st.none() | picks)
acts = st.one_of(
    st.tuples(st.just("issue"), st.integers(0, 2), picks, st.integers(1, 2_000)),
    st.tuples(st.just("rules"), st.integers(0, 2), picks),
    st.tuples(st.just("budget"), st.integers(0, 2), st.just(0) | st.integers(1_000, 9_000)),
    st.tuples(st.just("restart"), st.integers(0, 2), picks),
    st.tuples(
        st.just("step_voucher"),
        picks,
        st.sampled_from([VoucherStatus.SUSPENDED, VoucherStatus.SUSPENDED, VoucherStatus.REVOKED]),
        st.booleans(),
    ),
)
applications = st.tuples(
    st.just("apply"),
    st.tuples(st.integers(0, 1), picks, st.sampled_from([200, 500, 900, 900])),
    st.lists(st.tuples(picks, st.sampled_from(DECISIONS)), max_size=3),
    st.booleans(),
)
claims = st.tuples(
    st.just("claim"), st.integers(0, 2), st.booleans(), st.lists(picks, min_size=1, max_size=6)
)
operations = st.one_of(
    st.tuples(st.just("cash"), picks, st.integers(1, 5_000), st.booleans()),
    st.tuples(
        st.just("halt"), st.integers(0, 1), st.sampled_from([TradingPhase.HALTED, TradingPhase.CANCEL_ONLY])
    ),
    st.tuples(st.just("lose_memory")),
)

KINDS = [
    changes,
    *[trades] * 8,
    *[waits] * 5,
    *[changes] * 2,
    *[claims] * 5,
    *[acts] * 4,
    *[applications] * 3,
]
things = st.integers(0, len(KINDS)).flatmap(lambda drawn: [*KINDS, operations][drawn])
"""By how often each is drawn; the first is what the first run of a round does over and over."""


class RecordMachine(RuleBasedStateMachine):
    """What is done. One rule: of several, Hypothesis would leave some out of most runs."""

    number = 0
    compared: ClassVar[set[str]]
    """The tables of which something was compared."""

    def __init__(self, runner: asyncio.Runner, world: MarketWorld) -> None:
        """Begin before anybody has joined."""
        super().__init__()
        self.run = runner.run
        self.market = RecordMarket(world)
        self.claims: dict[int, tuple[str, int]] = {}
        self.steps = 0

    @initialize(chosen=st.runner().map(lambda machine: machine.number))
    def begin(self, chosen: int) -> None:
        """Let everybody join."""
        self.run(self.market.begin(random.Random(chosen)))

    @rule(what=things)
    def step(self, what: tuple[Any, ...]) -> None:
        """Do one thing, and compare now and then."""
        kind, *arguments = what
        self.run(getattr(self, f"do_{kind}")(*arguments))
        self.steps += 1
        if self.steps % STEPS_BETWEEN_CHECKS == 0:
            self.compare()

    async def do_trade(self, offered: Orders, needed: Orders, is_offered_first: bool) -> None:  # noqa: FBT001
        """Offer capacity and ask for some, whichever comes first."""
        orders = [(Side.SELL, offered), (Side.BUY, needed)]
        for side, wanted in orders if is_offered_first else reversed(orders):
            await self.market.place(side, wanted)

    async def do_change(self, pick: int, what: Any) -> None:
        """Amend an order, withdraw it, or all of somebody's."""
        if isinstance(what, dict):
            await self.market.amend(pick, what)
        elif isinstance(what, tuple):
            await self.market.withdraw_orders(pick, *what)
        elif self.market.orders:
            owner, order = self.market.orders[-1 - pick % len(self.market.orders)]
            await self.market.cancel(owner, number_of("ord", order.id))

    async def do_wait(self, hours: int, failing: int | None) -> None:
        """Let hours pass, one of which may be reported as failing before."""
        if failing is not None:
            await self.market.fail_hour(failing, failing // 7)
        await self.market.world.pass_hours(hours, at_once=hours > 5)

    async def do_issue(self, number: int, who: int, fen: int) -> None:
        """Issue a voucher."""
        await self.market.issue(number, self.market.buyers[who % len(self.market.buyers)], fen)

    async def do_rules(self, number: int, chosen: int) -> None:
        """Put other rules of a programme in force."""
        with contextlib.suppress(Refusal):
            await self.market.change_rules(number, self.market.rules(random.Random(chosen), number))

    async def do_budget(self, number: int, fen: int) -> None:
        """Raise or lower a budget, or bring it to what is issued."""
        await self.market.change_budget(number, fen)

    async def do_restart(self, number: int, chosen: int) -> None:
        """Close a programme, and begin another."""
        rules = self.market.rules(random.Random(chosen), number)
        await self.market.restart_programme(number, rules)

    async def do_step_voucher(self, pick: int, to: VoucherStatus, resumes: bool) -> None:  # noqa: FBT001
        """Suspend, resume or revoke a voucher; one that was suspended may be resumed at once."""
        vouchers = sorted(await self.market.vouchers())
        voucher_id = vouchers[-1 - pick % min(9, len(vouchers))]
        await self.market.step_voucher(voucher_id, to)
        if resumes:
            await self.market.step_voucher(voucher_id, VoucherStatus.ACTIVE)

    async def do_apply(
        self,
        applied: tuple[int, int, int],
        decided: list[tuple[int, ApplicationStatus]],
        allocates: bool,  # noqa: FBT001
    ) -> None:
        """Apply, decide, score and allocate."""
        await self.market.apply(*applied)
        for pick, to in decided:
            await self.market.decide(pick % 3, to, pick)
        if allocates:
            await self.market.allocate()

    async def do_claim(self, number: int, submits: bool, choices: list[int]) -> None:  # noqa: FBT001
        """Claim what there is of a programme, and take steps of claims that are not over."""
        for claimant in (*self.market.buyers, *self.market.providers):
            answer = await self.market.claim(number, claimant, submits=submits)
            if not isinstance(answer, Refusal):
                self.claims[answer.id] = (answer.status.value, answer.claimant_id)
        for choice in choices:
            await self.step_claim(choice)

    async def step_claim(self, choice: int) -> None:
        """Take a step of one of the last claims, by whom it is for."""
        ways = [
            (claim_id, to, by)
            for claim_id, (status, _) in list(self.claims.items())[-4:]
            for state, to, by in WAYS
            if state == status
        ]
        if not ways:
            return
        claim_id, to, role = ways[choice % len(ways)]
        market, claimant_id = self.market, self.claims[claim_id][1]
        owners = {each.participant_id: each for each in (*market.buyers, *market.providers)}
        by = owners[claimant_id] if role == "claimant" else market.issuer
        fen = 1 + choice % 50 if to in ("reduced", "clawback_open") else None
        answer = await market.step_claim(claim_id, ClaimStatus(to), by, fen)
        if not isinstance(answer, Refusal):
            self.claims[claim_id] = (answer.status.value, claimant_id)

    async def do_cash(self, who: int, fen: int, out: bool) -> None:  # noqa: FBT001
        """Book cash."""
        await self.market.move_cash(who, fen, out=out)

    async def do_halt(self, number: int, phase: TradingPhase) -> None:
        """Halt or restrict a product while somebody amends and bids."""
        await self.market.set_phase(number, phase)
        await self.market.amend(0, {"percent": 10})
        await self.market.place(Side.BUY, [(0, {"product": number, "percent": 20})])
        await self.market.set_phase(number, TradingPhase.OPEN)

    async def do_lose_memory(self) -> None:
        """Let the leader build its memory anew."""
        await self.market.lose_memory()

    def compare(self) -> None:
        """Compare all there is."""
        self.compared.update(self.run(compare_all(self.market)))

    def teardown(self) -> None:
        """Compare after everything, and once more when all hours have passed."""
        if not self.market.programmes:
            return
        self.compare()
        self.run(self.market.world.pass_hours(12, at_once=True))


async def compare_all(market: RecordMarket) -> set[str]:
    """Rebuild everything and find it stored, the books and vouchers as the exchange itself tells them.

    Returns the names of the tables of which there was something.
    """
    world = market.world
    products = {
        partition_id: {
            product.id: product.book_product()
            for product in world.exchange.products.values()
            if product.partition_id == partition_id
        }
        for partition_id in sequencers(world.exchange)
    }
    marking = Marking(world.database, products, every=MARK_EVERY)
    for partition_id in products:
        while await marking.mark(partition_id):
            pass
    async with world.database.snapshot() as connection:
        rebuilt = await rebuild(connection)
        assert rebuilt.contradictions == []
        assert [each async for each in compare(connection, rebuilt)] == []
    for sequencer in sequencers(world.exchange).values():
        for product_id in market.products:
            assert snapshot(sequencer.book(product_id)) == rebuilt.books[product_id]
    for voucher_id, voucher in (await market.vouchers()).items():
        assert voucher.balances == rebuilt.faces[voucher_id]
    return {name for name, rows in rebuilt.tables.items() if rows}


def test_the_record_alone_says_what_everything_is(
    administrator: Administrator, migrated_template: str, tmp_path: Path
) -> None:
    seen: set[str] = set()
    for number in range(ROUNDS * (NIGHTLY_FACTOR if is_long() else 1)):
        # Each on its own database: what is rebuilt is all that ever happened there.
        with administrator.new_database(migrated_template) as url:
            seen |= tables_of_a_round(url, tmp_path / str(number), number)
    assert {"book", *(table.name for table in STORED)} - seen == set()


def tables_of_a_round(database_url: str, folder: Path, number: int) -> set[str]:
    """Do some runs on a new exchange, and return the tables of which something was compared."""
    with asyncio.Runner() as runner, contextlib.ExitStack() as closing:
        opened = open_market(database_url, folder)
        world = runner.run(opened.__aenter__())
        closing.callback(lambda: runner.run(opened.__aexit__(None, None, None)))

        class Machine(RecordMachine):
            compared: ClassVar[set[str]] = set()

            def __init__(self) -> None:
                super().__init__(runner, world)

        Machine.number = number
        if not is_long():
            seed(number)(Machine)
        # Shrinking would begin the world anew hundreds of times; a failure names all its steps.
        chosen = settings(
            max_examples=RUNS_A_ROUND,
            stateful_step_count=STEPS,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(Machine, settings=chosen)
        return Machine.compared
