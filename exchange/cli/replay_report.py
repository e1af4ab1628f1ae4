"""A replay's report as text."""

from collections.abc import Mapping

import click

from exchange.cli.output import write_facts
from exchange.replay.report import Report


def write_report(report: Report) -> None:
    """Write the report for people."""
    share = None if report.paid_share_of_limit is None else f"{report.paid_share_of_limit:.2%} of the limit"
    wait = (
        None if report.mean_wait_hours is None else f"{report.mean_wait_hours:.2f} h from submission to start"
    )
    click.echo(f"Replay: {report.label}\n")
    write_facts(
        [
            ("submitted", f"{report.submitted_from} to {report.submitted_until}"),
            ("orders", f"{report.asks} asks, {report.bids} bids"),
            ("bids", f"{report.bids_filled} filled whole, {report.bids_unfilled} not"),
            ("fills", report.fills),
            ("GPU-hours offered", report.gpu_hours_offered),
            (
                "GPU-hours sold",
                _part(report.gpu_hours_sold, report.gpu_hours_offered),
            ),
            ("GPU-hours unfilled", f"{report.gpu_hours_unfilled} wanted and not sold"),
            ("mean wait", wait),
            ("mean price paid", _cny(report.mean_paid_cny_per_gpu_hour)),
            ("mean limit", _cny(report.mean_limit_cny_per_gpu_hour)),
            ("paid against limit", share),
            (
                "orders/s",
                None if report.orders_per_s is None else f"{report.orders_per_s} with every hour settled",
            ),
        ]
    )
    _write_counts("Lines left out", report.lines_refused)
    _write_counts("Nodes left out", report.nodes_refused)
    _write_counts("Orders rejected", report.orders_rejected)
    _write_counts("Orders turned down without a record", report.refused_this_run)
    _write_checks(report)
    click.echo(f"\nPrices: {report.price_rule} (seed {report.seed})")


def _write_counts(title: str, counts: Mapping[str, int]) -> None:
    if counts:
        click.echo(f"\n{title}")
        for reason, count in sorted(counts.items(), key=lambda item: -item[1]):
            click.echo(f"  {count:>7}  {reason}")


def _write_checks(report: Report) -> None:
    capacity, money = report.capacity, report.money
    click.echo("\nChecks")
    click.echo(
        f"  capacity  {_verdict(exact=capacity.is_exact)}: offered {capacity.offered} = sold {capacity.sold}"
        f" + free {capacity.free} + lapsed {capacity.lapsed} + withdrawn {capacity.withdrawn} GPU-hours;"
        f" sold by leases {capacity.sold_by_leases}, by journal {capacity.sold_by_journal}"
    )
    nets = ", ".join(f"{net.asset} {net.posted_fen} posted {net.pending_fen} pending" for net in money.assets)
    verdict = _verdict(exact=money.is_exact)
    click.echo(f"  money     {verdict}: nets in fen: {nets}; {len(money.differences)} differences")
    for difference in money.differences:
        click.echo(f"    {difference}")


def _verdict(*, exact: bool) -> str:
    return "exact" if exact else "NOT EXACT"


def _part(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.1%})" if whole else str(part)


def _cny(amount: str | None) -> str | None:
    return None if amount is None else f"{amount} CNY per GPU-hour"
