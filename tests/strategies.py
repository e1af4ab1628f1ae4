"""Command lists for one book: small prices, windows and groups, so that orders meet all the time.

A list is drawn as plain tuples of small numbers (they shrink well) and turned into commands by `interpret`,
which knows the ids placed so far and the hour. About one order in ten breaks a rule of admission.
"""

from itertools import chain

from hypothesis import strategies as st

from matching.commands import Command
from matching.order import FillPolicy, Placement, Side, TimeInForce
from matching.product import Phase, Product
from tests.interpreter import FAR, PRODUCT_ID, interpret

products = st.builds(
    Product,
    id=st.just(PRODUCT_ID),
    lot_gpus=st.sampled_from([1, 8]),
    collar_bps=st.sampled_from([0, 0, 0, 5_000]),
    reference_price_ticks=st.just(4),
)

# time in force, hours until a gtd order expires, post only
_terms = st.sampled_from(
    [(TimeInForce.GTC, 0, False)] * 20
    + [(TimeInForce.IOC, 0, False), (TimeInForce.FOK, 0, False), (TimeInForce.GTC, 0, True)]
    + [(TimeInForce.GTD, 2, False), (TimeInForce.GTD, 5, True), (TimeInForce.GTD, 0, False)]
    + [(TimeInForce.IOC, 0, True)]
)
_masks = st.sampled_from([(0, 0)] * 12 + [(1, 0), (FAR | 1, 0), (FAR, 0), (1, 1), (0, FAR), (FAR, 1)])
_whole = st.sampled_from(
    [(FillPolicy.PARTIAL, Placement.ANY)] * 3
    + [(FillPolicy.ALL_OR_NONE, Placement.ANY)] * 3
    + [(FillPolicy.PARTIAL, Placement.SINGLE_SITE), (FillPolicy.ALL_OR_NONE, Placement.SINGLE_SITE)]
)
_participant = st.integers(1, 4)
_lots = st.integers(1, 5)
_offset = st.sampled_from([0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, -1])
_price = st.integers(1, 6)
# Added to a quantity of whole lots: breaks the lot where a lot is 8 GPUs.
_odd = st.sampled_from([0] * 19 + [1])

raw_asks = st.tuples(
    st.just("ask"), _participant, _lots, _odd, _offset, st.integers(1, 8), _price,
    st.sampled_from([1, 1, 1, 2, 3]), _terms, _masks,
)  # fmt: skip
raw_bids = st.tuples(
    st.just("bid"), _participant, _lots, _odd, _offset, st.integers(1, 4), _price,
    st.sampled_from([0, 0, 0, 1, 2, 5]), _terms, _masks, _whole,
)  # fmt: skip
_target = st.integers(0, 30)
raw_changes = st.one_of(
    st.tuples(st.just("cancel"), _target, st.sampled_from([0, 0, 0, 0, 1])),
    st.tuples(st.just("reduce"), _target, _lots),
    st.tuples(st.just("replace"), _target, st.booleans(), st.one_of(raw_asks, raw_bids)),
    st.tuples(st.just("cancel_all"), _participant, st.sampled_from([None, Side.BUY, Side.SELL])),
    st.tuples(st.just("advance"), st.integers(0, 3)),
    st.tuples(st.just("phase"), st.sampled_from([Phase.OPEN] * 6 + [Phase.CANCEL_ONLY, Phase.HALTED])),
)
# By weight: `one_of` would give each of its branches the same share, however often it is named.
_KINDS = [raw_asks] * 4 + [raw_bids] * 4 + [raw_changes] * 2
raw_commands = st.integers(0, len(_KINDS) - 1).flatmap(_KINDS.__getitem__)
# Several short lists on end: long lists on average, which still shrink to nothing.
raw_lists = st.tuples(*[st.lists(raw_commands, max_size=16)] * 4).map(lambda parts: list(chain(*parts)))


@st.composite
def command_lists(draw: st.DrawFn) -> tuple[Product, list[Command]]:
    """Draw a product and commands for its book."""
    product = draw(products)
    return product, interpret(product, draw(raw_lists))
