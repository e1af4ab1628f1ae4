"""`exchange claims lines|attach|evidence|download`: what a claim is made of, and what proves it."""

import mimetypes
from pathlib import PurePath
from typing import IO

import click

from exchange.cli.options import json_option, with_client
from exchange.cli.output import write_json, write_list
from exchange.client import ExchangeClient

_UNKNOWN_TYPE = "application/octet-stream"


@click.command("lines")
@click.argument("claim_id", metavar="CLAIM")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=1_000, show_default=True)
@json_option
@with_client
async def list_lines(client: ExchangeClient, claim_id: str, limit: int, as_json: bool) -> None:
    """List the delivered hours that a claim is made of."""
    write_list(
        [line async for line in client.claim_lines(claim_id, limit=limit)],
        ["lease", "hour", "provider", "voucher", "version", "amount CNY", "reduced CNY", "recovered CNY"],
        lambda line: (
            line.lease_id,
            line.starts_at,
            line.provider_id,
            line.voucher_id,
            line.programme_version,
            line.amount_cny,
            line.reduced_cny,
            line.recovered_cny,
        ),
        as_json=as_json,
    )


@click.command("attach")
@click.argument("claim_id", metavar="CLAIM")
@click.argument("file", type=click.File("rb"))
@click.option("--name", help="What it proves, as the programme's rules name it; the file's name by default.")
@click.option("--type", "content_type", help="Its media type; by default what the file's name says.")
@json_option
@with_client
async def attach(
    client: ExchangeClient,
    claim_id: str,
    file: IO[bytes],
    name: str | None,
    content_type: str | None,
    as_json: bool,
) -> None:
    """Attach a file of at most 10 MiB to a claim of yours that is not decided yet."""
    file_name = PurePath(file.name).name
    guessed = content_type or mimetypes.guess_type(file_name)[0] or _UNKNOWN_TYPE
    attached = await client.attach_evidence(
        claim_id, name=name or file_name, content_type=guessed, content=file.read()
    )
    if as_json:
        write_json(attached)
    else:
        click.echo(f"{attached.id}  {attached.name}  {attached.size_bytes} bytes  sha256 {attached.sha256}")


@click.command("evidence")
@click.argument("claim_id", metavar="CLAIM")
@json_option
@with_client
async def list_evidence(client: ExchangeClient, claim_id: str, as_json: bool) -> None:
    """List the files attached to a claim."""
    write_list(
        await client.claim_evidence(claim_id),
        ["evidence", "name", "type", "bytes", "sha256", "by", "at"],
        lambda each: (
            each.id,
            each.name,
            each.content_type,
            each.size_bytes,
            each.sha256,
            each.attached_by,
            each.attached_at,
        ),
        as_json=as_json,
    )


@click.command("download")
@click.argument("claim_id", metavar="CLAIM")
@click.argument("evidence_id", metavar="EVIDENCE")
@click.option(
    "--output", type=click.File("wb"), default="-", help="Where to write; standard output by default."
)
@with_client
async def download(client: ExchangeClient, claim_id: str, evidence_id: str, output: IO[bytes]) -> None:
    """Write a file attached to a claim."""
    output.write(await client.read_evidence(claim_id, evidence_id))
    output.flush()


PROVING = (list_lines, attach, list_evidence, download)
"""The commands of this module, for the group they belong to."""
