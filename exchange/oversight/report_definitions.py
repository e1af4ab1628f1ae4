"""What each report says, in words: its definition and its columns. The document tells the same at length."""

from typing import Final

from exchange.oversight.report_models import Column, ReportKind, ReportName

_PERIOD: Final = ("period", "first day of the period")
_PLACE: Final = (("accelerator", "accelerator"), ("hub", "hub of the cluster"))
_WHOSE: Final = (
    ("size_class", "the buyer's size class"),
    ("age_class", "years since the buyer was founded, on the day"),
    ("region", "the buyer's region"),
)


def _kind(
    name: ReportName, title: str, definition: str, *columns: tuple[str, str], periodic: bool = True
) -> ReportKind:
    shown = (_PERIOD, *columns) if periodic else columns
    return ReportKind(
        name=name, title=title, definition=definition, columns=[Column(*each) for each in shown]
    )


KINDS: Final = {
    kind.name: kind
    for kind in (
        _kind(
            ReportName.BUDGET_BURN,
            "Budget burn per programme",
            "Money of each programme by the day on which it moved: issued as vouchers; committed by trades; "
            "captured by delivered hours; back with the budget from expired and revoked vouchers; paid on "
            "claims. burnt_bps is what was issued and has not come back until the end of the period, as a "
            "share of the budget as it stands now.",
            ("programme", "the programme's code"),
            ("budget_cny", "its budget as it stands now"),
            ("issued_cny", "vouchers issued in the period"),
            ("committed_cny", "voucher money that trades of the period took into escrow"),
            ("captured_cny", "what delivered hours settled in the period turned into receivables"),
            ("expired_cny", "back with the budget from vouchers that expired"),
            ("revoked_cny", "back with the budget from vouchers that were revoked"),
            ("paid_cny", "paid by the issuer on claims"),
            ("outstanding_cny", "issued less expired and revoked, since the beginning"),
            ("burnt_bps", "outstanding as a share of the budget"),
        ),
        _kind(
            ReportName.VOUCHER_USE,
            "Voucher use by size class, age and region",
            "Money of vouchers by whose they are: the buyer's size class and region as registered now, its "
            "age in whole years on the day of the movement.",
            *_WHOSE,
            ("buyers", "how many buyers had any of it"),
            ("issued_cny", "vouchers issued"),
            ("committed_cny", "taken into escrow by trades"),
            ("captured_cny", "turned into receivables by delivered hours"),
        ),
        _kind(
            ReportName.VOUCHER_REFUSALS,
            "Vouchers refused, by reason",
            "Vouchers that bids named and that could not pay for them, where the bid was denied for it; by "
            "the reason given to the buyer. programme is null for a voucher that the buyer does not have.",
            ("programme", "the voucher's programme"),
            ("code", "the reason, one of the fault codes"),
            *_WHOSE,
            ("refusals", "how many vouchers"),
        ),
        _kind(
            ReportName.CONCENTRATION,
            "Concentration per accelerator and hub",
            "Of the GPU-hours traded in the period, the share of each party; a trade group is one party, as "
            "registered now. hhi is the sum of the squared shares of all parties of that side, 10,000 where "
            "one has all.",
            *_PLACE,
            ("side", "provider: who sold; buyer: who bought"),
            ("party", "the trade group's or the participant's id"),
            ("gpu_hours", "traded by the party"),
            ("share_bps", "its share"),
            ("parties", "how many there are on that side"),
            ("hhi", "Herfindahl-Hirschman index of that side, from 0 to 10,000"),
        ),
        _kind(
            ReportName.DOMESTIC_SHARE,
            "Domestic share in hours and money",
            "GPU-hours and prices of the trades of the period, by the origin of the accelerator.",
            ("domestic_gpu_hours", "on domestic accelerators"),
            ("foreign_gpu_hours", "on foreign ones"),
            ("domestic_share_hours_bps", "the domestic share of the GPU-hours"),
            ("domestic_cny", "price of the domestic ones"),
            ("foreign_cny", "price of the foreign ones"),
            ("domestic_share_money_bps", "the domestic share of the price"),
        ),
        _kind(
            ReportName.HUB_FLOW,
            "Flow from hub to hub",
            "Trades of the period by where the buyer is and where the hours run. A buyer's hub is that of "
            "its region, null where the region has none, or several.",
            ("from_region", "the buyer's region"),
            ("from_hub", "the hub of that region"),
            ("to_hub", "the hub where the hours run"),
            ("trades", "trades"),
            ("gpu_hours", "GPU-hours"),
            ("notional_cny", "price"),
        ),
        _kind(
            ReportName.CAPACITY,
            "Held, delivered and idle GPU-hours",
            "GPU-hours by the day on which they run. held: bought. delivered, failed: settled so; open: not "
            "settled yet. idle: offered by an ask that stood when the hour began, and sold to nobody, up to "
            "now. utilisation_bps: held as a share of held and idle.",
            *_PLACE,
            ("held_gpu_hours", "bought"),
            ("delivered_gpu_hours", "settled as delivered"),
            ("failed_gpu_hours", "settled as failed"),
            ("open_gpu_hours", "not settled yet"),
            ("idle_gpu_hours", "offered and sold to nobody"),
            ("utilisation_bps", "held as a share of held and idle"),
        ),
        _kind(
            ReportName.VOUCHER_PRICE,
            "Voucher price against cash price",
            "The average price of a GPU-hour, weighted by GPU-hours, of trades to which a programme paid or "
            "reimburses a part, against those of cash alone. premium_bps: by how much the first is above the "
            "second, null where there is none of either.",
            *_PLACE,
            ("voucher_gpu_hours", "traded with vouchers"),
            ("voucher_price_cny", "their average price"),
            ("cash_gpu_hours", "traded for cash alone"),
            ("cash_price_cny", "their average price"),
            ("premium_bps", "voucher price above cash price"),
        ),
        _kind(
            ReportName.FILL_RATE,
            "Fill rate and waiting time by size class",
            "Bids by the day on which they ended, however they did; an amended bid ends where another takes "
            "its place. Rejected ones want nothing. Waiting time is from a bid's coming to its first fill.",
            ("size_class", "the buyer's size class"),
            ("bids", "bids that ended"),
            ("rejected", "of them never in the book"),
            ("filled", "of them with a fill"),
            ("wanted_gpu_hours", "GPU-hours wanted by those not rejected"),
            ("filled_gpu_hours", "GPU-hours bought"),
            ("fill_rate_bps", "GPU-hours bought as a share of those wanted"),
            ("average_wait_s", "average waiting time of those with a fill, seconds"),
            ("waited_0s", "filled as they came"),
            ("waited_1min", "within a minute"),
            ("waited_1h", "within an hour"),
            ("waited_1d", "within a day"),
            ("waited_longer", "later"),
        ),
        _kind(
            ReportName.STACKING,
            "Stacking per contract",
            "Trades of the period by how many programmes paid or reimburse a part of each.",
            ("programmes", "how many programmes"),
            ("trades", "trades"),
            ("gpu_hours", "GPU-hours"),
            ("notional_cny", "price"),
            ("voucher_cny", "paid by vouchers"),
            ("reimbursable_cny", "to be reimbursed"),
            ("aided_bps", "both as a share of the price"),
        ),
    )
}
