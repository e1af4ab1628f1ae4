"""Would this order be subsidised, by whom, how much, and if not why: the funding of an order, told aloud.

Judged by the functions that fund a real order (`choice.choose`) and issue a voucher
(`judgement.buyer_verdicts`), on the same facts, and nothing is locked or set aside: the answer is of this
moment. Every programme of the venue is told, also those that the company has no voucher of.
"""

from collections.abc import Iterable, Mapping, Sequence

from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Faults, Forbidden
from exchange.kit.fields import format_cny, money_fen, typed_id
from exchange.kit.ids import encode_id
from exchange.participants.models import ParticipantKind
from exchange.participants.service import get_participant
from exchange.products.models import ProductFilter
from exchange.products.service import list_products
from exchange.programmes.facts import Facts
from exchange.programmes.judgement import (
    Standing,
    Verdict,
    buyer_verdicts,
    cap_left_fen,
    in_force,
    order_verdicts,
    tier_verdicts,
)
from exchange.programmes.registry import KnownProgramme, ProgrammeRegistry
from exchange.vouchers.choice import choose, offer_of, unusable_because
from exchange.vouchers.eligibility_models import (
    EligibilityAnswer,
    EligibilityQuestion,
    ProgrammeAnswer,
    RuleAnswer,
    ShareAnswer,
    VoucherAnswer,
)
from exchange.vouchers.models import FundedShare, UsableVoucher, VoucherRefusal, VoucherWish
from exchange.vouchers.service import company_standings
from exchange.vouchers.wallet import vouchers_of_buyer


async def ask(
    connection: Connection,
    principal: Principal,
    question: EligibilityQuestion,
    programmes: ProgrammeRegistry,
    now_us: int,
    faults: Faults | None = None,
) -> EligibilityAnswer:
    """Return what an order of the caller would be paid.

    Raises `InvalidInput` with every fault, or `Forbidden` for anyone but a buyer.
    """
    if principal.kind != ParticipantKind.BUYER:
        raise Forbidden("wrong_role", "only a buyer's orders are paid by vouchers")
    faults = Faults() if faults is None else faults
    wish = _wish(question, faults)
    price_ticks = money_fen(faults, "/price_cny_per_gpu_hour", question.price_cny_per_gpu_hour)
    found = []
    if isinstance(question.product, str):
        found = await list_products(connection, ProductFilter(id=question.product))
        if not found:
            rule = "must be a product listed by GET /v1/products"
            faults.add("/product", "unknown_product", rule, question.product)
    if faults or price_ticks is None:
        raise faults.refusal()
    facts = Facts(
        product=found[0],
        company=await get_participant(connection, principal.participant_id),
        quantity_gpus=question.quantity_gpus,
        hours=question.hours,
        price_ticks=price_ticks,
        at_us=now_us,
        fills_whole=question.fill == "all_or_none",
    )
    vouchers = await vouchers_of_buyer(connection, principal.participant_id, programmes, now_us)
    known = programmes.programmes
    in_time = {each.programme_id: in_force(each.versions, now_us) for each in known.values()}
    rules = {number: None if version is None else version.rules for number, version in in_time.items()}
    company_id = principal.participant_id
    stands = await company_standings(connection, rules, [company_id], now_us)
    standings = {programme_id: stands[programme_id, company_id] for programme_id in rules}
    return answer_of(facts, wish, vouchers, known.values(), standings)


def _wish(question: EligibilityQuestion, faults: Faults) -> VoucherWish:
    if not isinstance(question.vouchers, list):
        return "auto"
    ids = [
        typed_id(faults, f"/vouchers/{index}", "vch", text) for index, text in enumerate(question.vouchers)
    ]
    return tuple(voucher_id for voucher_id in ids if voucher_id is not None)


def answer_of(
    facts: Facts,
    wish: VoucherWish,
    vouchers: Sequence[UsableVoucher],
    programmes: Iterable[KnownProgramme],
    standings: Mapping[int, Standing],
) -> EligibilityAnswer:
    """Return what an order with these facts would be paid. Programmes without a standing are left out."""
    choice = choose(vouchers, wish, facts)
    parts = {voucher.voucher_id: fen for funded in choice.shares for voucher, fen in funded.parts}
    paying = [funded.share.programme_id for funded in choice.shares]
    reimbursable_fen = sum(funded.placed_fen for funded in choice.shares if funded.share.reimbursed)
    voucher_fen = sum(parts.values()) - reimbursable_fen
    told = [
        _programme(
            each,
            facts,
            [voucher for voucher in vouchers if voucher.programme_id == each.programme_id],
            parts,
            standings[each.programme_id],
        )
        for each in sorted(programmes, key=lambda each: (_place(each.programme_id, paying), each.code))
        if each.programme_id in standings
    ]
    return EligibilityAnswer(
        subsidised=bool(choice.shares),
        amount_cny=format_cny(facts.contract_fen),
        voucher_cny=format_cny(voucher_fen),
        own_cny=format_cny(facts.contract_fen - voucher_fen),
        reimbursable_cny=format_cny(reimbursable_fen),
        shares=[_share(funded) for funded in choice.shares],
        refusals=[_refused(each) for each in choice.refusals],
        programmes=told,
    )


def _place(programme_id: int, paying: Sequence[int]) -> int:
    """Return where a programme stands among those that pay; behind them all where it does not."""
    return paying.index(programme_id) if programme_id in paying else len(paying)


def _share(funded: FundedShare) -> ShareAnswer:
    return ShareAnswer(
        programme_id=encode_id("prg", funded.share.programme_id),
        programme_version=funded.share.programme_version,
        mode="reimburse" if funded.share.reimbursed else "instant",
        rate_bps=funded.share.rate_bps,
        amount_cny=format_cny(funded.placed_fen),
    )


def _programme(
    programme: KnownProgramme,
    facts: Facts,
    vouchers: Sequence[UsableVoucher],
    parts: Mapping[int, int],
    standing: Standing,
) -> ProgrammeAnswer:
    offer = offer_of(programme.programme_id, programme.versions, facts)
    rules = None if offer.version is None else offer.version.rules
    cap_fen = None if rules is None else cap_left_fen(rules, standing)
    refusals = {each.voucher_id: unusable_because(each, offer, facts.at_us) for each in vouchers}
    return ProgrammeAnswer(
        programme_id=encode_id("prg", programme.programme_id),
        code=programme.code,
        name=programme.name,
        version=None if offer.version is None else offer.version.number,
        pays_for_order=offer.version is not None and offer.objection is None,
        rate_bps=offer.rate_bps,
        share_cny=format_cny(offer.share_fen),
        price_cap_cny_per_gpu_hour=_cny(offer.price_cap_ticks),
        order_rules=[] if rules is None else _told(order_verdicts(rules, facts)),
        tiers=[] if rules is None else _told(tier_verdicts(rules, facts)),
        buyer_rules=[]
        if rules is None
        else _told(buyer_verdicts(rules, facts.company, standing, facts.at_us)),
        cap_left_cny=_cny(cap_fen),
        vouchers=[
            VoucherAnswer(
                voucher_id=encode_id("vch", each.voucher_id),
                amount_cny=format_cny(parts.get(each.voucher_id, 0)),
            )
            if refusal is None
            else _refused(refusal)
            for each in vouchers
            for refusal in (refusals[each.voucher_id],)
        ],
    )


def _cny(fen: int | None) -> str | None:
    return None if fen is None else format_cny(fen)


def _refused(refusal: VoucherRefusal) -> VoucherAnswer:
    voucher_id = encode_id("vch", refusal.voucher_id)
    return VoucherAnswer(voucher_id=voucher_id, amount_cny="0.00", code=refusal.code, detail=refusal.detail)


def _told(verdicts: Iterable[Verdict]) -> list[RuleAnswer]:
    return [RuleAnswer(rule=each.rule, holds=each.holds, detail=each.detail) for each in verdicts]
