"""The one list of codes an answer of the exchange may carry, each with a one-line meaning.

A code is stable: programs branch on it, so it is never renamed or given another sense. Problem codes stand in
the `code` member of a problem answer and have a page at `/problems/<code>`; fault codes stand in
`errors[].code`. A test reads the whole tree and fails when a code is used that is not listed here.
"""

from typing import Final

PROBLEM_CODES: Final[dict[str, str]] = {
    "account_closed": "The account no longer takes part in transfers.",
    "already_exists": "Something with this name or number exists already.",
    "bad_request": "The request line or a header cannot be understood.",
    "body_too_large": "The request body is larger than this path takes.",
    "budget_exhausted": "The programme's budget does not cover a voucher of this amount.",
    "buyer_not_eligible": "The programme's rules keep this buyer out.",
    "duplicate_key": "A JSON object in the body has the same key twice, so its meaning is unclear.",
    "forbidden": "The key is valid but lacks the scope this path needs.",
    "idempotency_key_missing": "This path changes something and needs an Idempotency-Key header.",
    "idempotency_key_reused": "The Idempotency-Key was used before with another payload.",
    "in_flight": "A request with the same Idempotency-Key is still being worked on; ask again shortly.",
    "internal_error": "The exchange failed; the fault is logged under the request id.",
    "invalid_body": "The body is JSON, but one or more of its values break a rule.",
    "invalid_encoding": "The body is not valid UTF-8.",
    "invalid_header": "A request header breaks a rule.",
    "invalid_query": "One or more query parameters break a rule.",
    "method_not_allowed": "The path exists but does not take this method; see the Allow header.",
    "not_enough_money": "The account's free balance does not cover the hold or payment.",
    "not_found": "There is nothing here, or nothing that this key may see.",
    "not_json": "The body cannot be read as JSON.",
    "not_ready": "The service is up but cannot take requests yet.",
    "nothing_to_claim": "Nothing captured under this programme is left to claim.",
    "programme_not_open": "The programme does not issue vouchers in its present state.",
    "rate_limited": "The key has used up its budget of requests; see Retry-After.",
    "state_conflict": "The thing is in a state in which this cannot be done.",
    "too_deep": "The body is nested deeper than any request of this exchange.",
    "unauthenticated": "The request carries no key, or one that does not open this exchange.",
    "unavailable": "The exchange cannot answer now; the request may be sent again.",
    "unsupported_media_type": "The body's Content-Type is not one this path reads.",
    "yearly_cap_exceeded": "The amount would take the buyer above the programme's cap of the year.",
}

FAULT_CODES: Final[dict[str, str]] = {
    "bad_amount": "Not an amount of money: a decimal string with at most two decimals.",
    "bad_cursor": "Not the next_cursor of a page of this list.",
    "bad_id": "Not an identifier of the kind asked for.",
    "bad_network": "Not an IP network, or one beyond what the key may be used from.",
    "bad_time": "Not a time in RFC 3339 form.",
    "buyer_not_eligible": "A rule of the programme keeps this buyer out.",
    "duplicate": "The same thing is named twice.",
    "duplicate_key": "The key stands twice in one object.",
    "invalid_text": "The text holds a character that cannot be stored (NUL or half a surrogate pair).",
    "not_a_multiple": "The number is not a multiple of the step.",
    "not_a_provider": "Not the identifier of a provider.",
    "not_for_kind": "A fact that participants of this kind do not have.",
    "not_on_the_hour": "The time is not on a whole hour.",
    "not_one_of": "The value is none of those allowed.",
    "not_positive": "The amount must be above zero.",
    "not_supported_yet": "A value of the general model of programmes that this version does not obey.",
    "out_of_range": "The value lies outside its bounds.",
    "pattern": "The text does not have the required form.",
    "repeated": "A parameter that may be given once is given several times.",
    "required": "The field is missing.",
    "scope_not_allowed": "A scope that this key may not have.",
    "too_long": "The text or list is longer than allowed.",
    "too_short": "The text or list is shorter than allowed.",
    "unknown_field": "There is no field of this name here.",
    "unknown_participant": "No participant of this exchange has this identifier.",
    "unknown_reference": "There is nothing with this identifier.",
    "voucher_exhausted": "Nothing of the voucher is free to spend.",
    "voucher_expired": "The voucher's time has passed.",
    "voucher_not_active": "The voucher is suspended or revoked.",
    "voucher_of_another_programme": "An order is paid by one programme's vouchers, and this is of another.",
    "voucher_unknown": "The buyer has no such voucher.",
    "voucher_wrong_origin": "The programme does not pay for accelerators of this origin.",
    "wrong_type": "The value has another JSON type than the field.",
}

ERROR_CODES: Final[dict[str, str]] = {**FAULT_CODES, **PROBLEM_CODES}
"""Every code, problem or fault, with its meaning."""
