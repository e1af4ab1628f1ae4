"""One ready-to-paste curl for each kind of user, with a working key; and the keys as variables of a shell.

Venue time runs fast in a demo, so a printed date would soon be past: each order asks the exchange for its
time in the moment it is pasted. Needs GNU date, which every Linux has.
"""

from typing import Final

from exchange.cli.demo.cast import (
    PROGRAMMES,
    REGULATOR,
    SHOWN_APPLICANT,
    SHOWN_APPLICATION_CODE,
    SHOWN_BUYER,
    SHOWN_CLAIM_CODE,
    SHOWN_CLAIMANT,
    SHOWN_PRODUCT,
    SHOWN_PROVIDER,
)
from exchange.cli.demo.setup import DemoMarket

LEAD_HOURS: Final = 4
"""Until an order's window begins: an hour may last a second, and a busy machine needs some to send it."""
JSON_HEADER: Final = "-H 'Content-Type: application/json'"


def curl_commands(market: DemoMarket) -> list[tuple[str, str]]:
    """Return (who and what, command) for each kind of participant, an applicant and a claimant too."""
    url = market.url
    buyer, provider = market.member(SHOWN_BUYER), market.member(SHOWN_PROVIDER)
    programme = next(each for each in PROGRAMMES if SHOWN_BUYER in each.recipients)
    issuer = market.member(programme.issuer)
    starts, ends = _at(url, LEAD_HOURS), _at(url, LEAD_HOURS + 24)
    bid = (
        f'{{"client_order_id":"mine-\'$(date +%s%N)\'","product":"{SHOWN_PRODUCT}","side":"buy",'
        f'"quantity_gpus":8,"hours":2,"starts_at":"\'{starts}\'","ends_at":"\'{ends}\'",'
        '"price_cny_per_gpu_hour":"3.50","vouchers":"auto"}'
    )
    ask = (
        f'{{"client_order_id":"mine-\'$(date +%s%N)\'","product":"{SHOWN_PRODUCT}","side":"sell",'
        f'"quantity_gpus":64,"starts_at":"\'{starts}\'","ends_at":"\'{ends}\'",'
        '"price_cny_per_gpu_hour":"2.05"}'
    )
    voucher = (
        f'{{"programme_id":"{market.programme_ids[programme.code]}","buyer_id":"{buyer.id}",'
        '"amount_cny":"1000.00"}'
    )
    question = f'{{"product":"{SHOWN_PRODUCT}","quantity_gpus":8,"hours":2,"price_cny_per_gpu_hour":"3.50"}}'
    wish = (
        f'{{"programme_id":"{market.programme_ids[SHOWN_APPLICATION_CODE]}","amount_cny":"20000.00",'
        '"purpose":"training a robot to fold shirts"}'
    )
    claim = f'{{"programme_ids":["{market.programme_ids[SHOWN_CLAIM_CODE]}"]}}'
    applicant, claimant = market.member(SHOWN_APPLICANT), market.member(SHOWN_CLAIMANT)
    once = '-H "Idempotency-Key: $(date +%s%N)"'
    return [
        (
            "before buying: who would pay which share of 8 GPUs over 2 hours, and why or why not",
            f"curl -s {url}/v1/vouchers/eligibility {_key(buyer.key)} {JSON_HEADER} -d '{question}'",
        ),
        (
            "buyer: bid for them within the next day; its city and the national subsidy both pay a share",
            f"curl -s {url}/v1/orders {_key(buyer.key)} {JSON_HEADER} -d '{bid}'",
        ),
        (
            "applicant: ask a programme for a voucher of 20,000 CNY; its issuer decides within the hour",
            f"curl -s {url}/v1/applications {_key(applicant.key)} {JSON_HEADER} {once} -d '{wish}'",
        ),
        (
            "claimant: a company that paid in full claims its share of the hours delivered until now",
            f"curl -s {url}/v1/claims/batch {_key(claimant.key)} {JSON_HEADER} {once} -d '{claim}'",
        ),
        (
            "provider: offer 64 GPUs for a day",
            f"curl -s {url}/v1/orders {_key(provider.key)} {JSON_HEADER} -d '{ask}'",
        ),
        (
            "issuer: issue a voucher of 1,000 CNY to that buyer",
            f"curl -s {url}/v1/vouchers {_key(issuer.key)} {JSON_HEADER} {once} -d '{voucher}'",
        ),
        (
            "regulator: every trade of the venue as CSV",
            f"curl -s '{url}/v1/oversight/trades/export?reason=demo' {_key(market.member(REGULATOR).key)}",
        ),
        (
            "operator: that buyer's balances",
            f"curl -s '{url}/v1/accounts?participant_id={buyer.id}' {_key(market.operator_key)}",
        ),
    ]


def exports(market: DemoMarket) -> list[str]:
    """Return shell lines that set the exchange's address, as its commands read it, and a key of each kind."""
    programme = next(each for each in PROGRAMMES if SHOWN_BUYER in each.recipients)
    return [
        f"export EXCHANGE_URL={market.url}",
        f"export KEY_BUYER={market.member(SHOWN_BUYER).key}",
        f"export KEY_PROVIDER={market.member(SHOWN_PROVIDER).key}",
        f"export KEY_ISSUER={market.member(programme.issuer).key}",
        f"export KEY_REGULATOR={market.member(REGULATOR).key}",
        f"export KEY_OPERATOR={market.operator_key}",
    ]


def _key(key: str) -> str:
    return f"-H 'Authorization: Bearer {key}'"


def _at(url: str, hours: int) -> str:
    """Return shell text for the venue time `hours` after the first hour for sale."""
    first = f"$(curl -s {url}/v1/time | cut -d'\"' -f8)"
    return f'$(date -u -d "{first} +{hours} hours" +%FT%TZ)'
