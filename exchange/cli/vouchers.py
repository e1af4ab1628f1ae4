"""`exchange vouchers`: your vouchers, what they would pay of an order, and programmes from files.

Applications for vouchers are in `exchange.cli.applications`, the life of one in `exchange.cli.issuing`.
"""

from typing import IO, Any, Literal

import click
import msgspec

from exchange.cli.applications import allocate, applications, apply, may_apply
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.issuing import ISSUING
from exchange.cli.options import DURATION, json_option, with_client, yes_option
from exchange.cli.output import write_facts, write_json, write_list
from exchange.cli.place import PRICE_HELP
from exchange.client import ExchangeClient
from exchange.programmes.examples import EXAMPLES, example
from exchange.programmes.models import ProgrammeRules, ProgrammeStatus
from exchange.programmes.step_models import NewProgrammeStep
from exchange.vouchers.eligibility_models import EligibilityAnswer, EligibilityQuestion, RuleAnswer

Document = dict[str, Any]


@click.group()
def vouchers() -> None:
    """Computing vouchers, and the programmes that issue them."""


@vouchers.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@with_client
async def list_vouchers(client: ExchangeClient, limit: int, as_json: bool) -> None:
    """List your vouchers, or as an issuer those of your programmes."""
    found = [voucher async for voucher in client.vouchers(limit=limit)]
    write_list(
        found,
        ["voucher", "programme", "status", "face", "free", "set aside", "expires"],
        lambda each: (
            each.id,
            each.programme_code,
            each.status,
            each.face_cny,
            each.available_cny,
            each.held_cny,
            each.expires_at,
        ),
        as_json=as_json,
    )


@vouchers.command("eligibility")
@click.argument("product")
@click.argument("gpus", type=click.IntRange(1))
@click.option("--for", "hours", type=DURATION, required=True, help="How long, such as 6h or 7d.")
@click.option("--price", required=True, help=PRICE_HELP)
@click.option("--voucher", "named", multiple=True, help="Pay with this voucher (may be repeated).")
@json_option
@with_client
async def eligibility(
    client: ExchangeClient,
    product: str,
    gpus: int,
    hours: int,
    price: str,
    named: tuple[str, ...],
    as_json: bool,
) -> None:
    """Ask by whom an order would be subsidised, how much, and if not why, rule by rule."""
    question = EligibilityQuestion(
        product=product,
        quantity_gpus=gpus,
        hours=hours,
        price_cny_per_gpu_hour=price,
        vouchers=list(named) or "auto",
    )
    answer = await client.eligibility(question)
    if as_json:
        write_json(answer)
    else:
        _show(answer)


def _show(answer: EligibilityAnswer) -> None:
    write_facts(
        [
            ("subsidised", "yes" if answer.subsidised else "no"),
            ("at most", f"{answer.amount_cny} CNY"),
            ("by vouchers", f"{answer.voucher_cny} CNY"),
            ("by you", f"{answer.own_cny} CNY"),
            (
                "to claim back",
                f"{answer.reimbursable_cny} CNY" if answer.reimbursable_cny != "0.00" else None,
            ),
        ]
    )
    for share in answer.shares:
        how = "reimburses" if share.mode == "reimburse" else "pays"
        click.echo(f"{share.programme_id} {how} {share.rate_bps / 100:g} %, {share.amount_cny} CNY")
    for refused in answer.refusals:
        click.echo(f"{refused.voucher_id}: {refused.detail}")
    for each in answer.programmes:
        if each.version is None:
            click.echo(f"\n{each.code} ({each.name}): no rules in force")
            continue
        pays = f"{each.rate_bps / 100:g} % of this order" if each.pays_for_order else "nothing of this order"
        click.echo(f"\n{each.code} ({each.name}), version {each.version}: {pays}")
        _show_rules("of the order", each.order_rules)
        _show_rules("of the rate", each.tiers)
        _show_rules("of who is issued a voucher", each.buyer_rules)
        for voucher in each.vouchers:
            click.echo(f"  {voucher.voucher_id}  {voucher.detail or f'{voucher.amount_cny} CNY'}")
        if not each.vouchers:
            left = "" if each.cap_left_cny is None else f", of {each.cap_left_cny} CNY a year still open"
            click.echo(f"  you have no voucher of it{left}")


def _show_rules(whose: str, rules: list[RuleAnswer]) -> None:
    if rules:
        click.echo(f"  rules {whose}:")
    for rule in rules:
        click.echo(f"    {'yes' if rule.holds else 'no ':<3}  {rule.rule}: {rule.detail}")


@vouchers.group()
def programmes() -> None:
    """Programmes: the rules under which vouchers are issued and pay."""


vouchers.add_command(apply)
vouchers.add_command(may_apply)
vouchers.add_command(applications)
for command in ISSUING:
    vouchers.add_command(command)
programmes.add_command(allocate)


@programmes.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@with_client
async def list_programmes(client: ExchangeClient, limit: int, as_json: bool) -> None:
    """List the venue's programmes."""
    found = [programme async for programme in client.programmes(limit=limit)]
    write_list(
        found,
        ["programme", "code", "name", "status", "version", "budget", "not issued"],
        lambda each: (
            each.id,
            each.code,
            each.name,
            each.status,
            each.version,
            each.budget_cny,
            each.unissued_cny,
        ),
        as_json=as_json,
    )


@programmes.command("example")
@click.argument("name", type=click.Choice(EXAMPLES))
def show_example(name: str) -> None:
    """Write a real programme as a document that can be edited and imported."""
    click.echo(example(name).decode(), nl=False)


@programmes.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--draft", is_flag=True, help="Do not open it yet: nobody else sees it, nothing is booked.")
@json_option
@with_client
async def import_programme(client: ExchangeClient, file: IO[bytes], draft: bool, as_json: bool) -> None:
    """Start a programme from a JSON file, or give the one of its code a further version.

    FILE has code, name and rules, and where they are not in force at once effective_from and effective_until.
    A file whose rules are the newest already changes nothing. Use - for standard input.
    """
    document = _read(file)
    if draft:
        document["draft"] = True
    known = [each async for each in client.programmes(limit=1, code=document["code"])]
    if not known:
        created = await client.create_programme(msgspec.Raw(msgspec.json.encode(document)))
        _tell("created", created.id, created.code, created.version, created.effective_at, as_json=as_json)
        return
    (programme,) = known
    if document.get("name", programme.name) != programme.name:
        raise CommandFailure(
            f"the programme {programme.code} is called {programme.name!r}, and names stay", ExitCode.USAGE
        )
    if document.get("draft") is True and programme.status is not ProgrammeStatus.DRAFT:
        raise CommandFailure(
            f"the programme {programme.code} is {programme.status}, and no draft any more", ExitCode.USAGE
        )
    [newest] = [each async for each in client.versions(programme.id, limit=1)]
    timed = "effective_from" in document or "effective_until" in document
    if not timed and _rules(document) == newest.rules:
        _tell("unchanged", programme.id, programme.code, newest.version, newest.effective_at, as_json=as_json)
        return
    body = {name: value for name, value in document.items() if name not in {"code", "name", "draft"}}
    added = await client.add_version(programme.id, msgspec.Raw(msgspec.json.encode(body)))
    _tell("added", programme.id, programme.code, added.version, added.effective_at, as_json=as_json)


@programmes.command("step")
@click.argument("programme_id")
@click.argument("to", type=click.Choice(["open", "closed"]))
@click.option("--reason", required=True, help="Why, for everyone to read.")
@yes_option
@json_option
@with_client
async def step_programme(
    client: ExchangeClient,
    programme_id: str,
    to: Literal["open", "closed"],
    reason: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Open a draft, which books its budget, or close a programme for good.

    A closed programme issues nothing more, and what it has not issued goes back to its source; vouchers
    already issued pay on.
    """
    if not yes:
        click.confirm(f"Bring {programme_id} to {to}?", abort=True, err=True)
    stepped = await client.step_programme(programme_id, NewProgrammeStep(to=to, reason=reason))
    if as_json:
        write_json(stepped)
        return
    write_facts(
        [
            ("programme", stepped.id),
            ("code", stepped.code),
            ("status", stepped.status),
            ("budget CNY", stepped.budget_cny),
            ("issued CNY", stepped.issued_cny),
            ("returned CNY", stepped.returned_cny),
        ]
    )


@programmes.command("steps")
@click.argument("programme_id")
@json_option
@with_client
async def list_programme_steps(client: ExchangeClient, programme_id: str, as_json: bool) -> None:
    """Show every step that a programme has taken: who, when and why."""
    steps = [step async for step in client.programme_steps(programme_id, limit=100_000)]
    write_list(
        steps,
        ["step", "from", "to", "by", "returned CNY", "at", "reason"],
        lambda step: (
            step.number,
            step.from_status,
            step.to_status,
            step.actor_role,
            step.returned_cny,
            step.stepped_at,
            step.reason,
        ),
        as_json=as_json,
    )


def _read(file: IO[bytes]) -> Document:
    """Return a file as a document with a code; its other faults are for the exchange to name."""
    try:
        document = msgspec.json.decode(file.read())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CommandFailure(f"{file.name} is not JSON: {error}", ExitCode.USAGE) from error
    if not isinstance(document, dict) or not isinstance(document.get("code"), str):
        raise CommandFailure(
            f"{file.name} is no programme: it must be an object with code, name and rules", ExitCode.USAGE
        )
    return document


def _rules(document: Document) -> ProgrammeRules | None:
    """Return a document's rules with all defaults, or None where they are at fault."""
    try:
        return msgspec.convert(document.get("rules"), ProgrammeRules)
    except msgspec.ValidationError:
        return None


def _tell(what: str, programme_id: str, code: str, version: int, effective_at: str, *, as_json: bool) -> None:
    facts = {
        "outcome": what,
        "programme_id": programme_id,
        "code": code,
        "version": version,
        "effective_at": effective_at,
    }
    if as_json:
        write_json(facts)
    else:
        write_facts(facts.items())
