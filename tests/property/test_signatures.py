"""Goal: whatever is changed of a signed request, it is refused. Method: any request, any one change of it."""

from hypothesis import assume, given
from hypothesis import strategies as st

from exchange.kit.errors import BadSignature
from exchange.kit.signatures import COVERED_IF_SENT, Head, Signature, check_signature, signature_base
from tests.signers import KEY_ID, NOW_S, PUBLIC, head_with, signed, with_headers, without

METHODS = st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE"])
TARGETS = st.text('abc/%2Fé?&=;" ', max_size=12).map(lambda text: text.encode().decode("latin-1"))
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@st.composite
def heads(draw: st.DrawFn) -> Head:
    names = draw(st.lists(st.sampled_from(["content-type", "idempotency-key", "accept"]), unique=True))
    return head_with(
        draw(METHODS),
        "/" + draw(TARGETS).replace("?", ""),
        draw(TARGETS),
        draw(st.binary(max_size=20)),
        [(name, draw(VALUES)) for name in names],
    )


def is_refused(head: Head) -> bool:
    try:
        check_signature(head, KEY_ID, PUBLIC, NOW_S)
    except BadSignature:
        return True
    return False


def counted(head: Head) -> object:
    """Return what of a head must not change."""
    return head.method, head.path, head.query, [head.field(name) for name in COVERED_IF_SENT]


@given(heads(), heads())
def test_a_signature_opens_nothing_but_its_own_request(own: Head, other: Head) -> None:
    head = signed(own)
    assert not is_refused(head)
    moved = with_headers(
        other,
        *((name, head.field(name) or "") for name in ("signature-input", "signature")),
    )
    if counted(own) != counted(other):
        assert is_refused(moved)


@given(heads(), st.data())
def test_a_letter_changed_anywhere_that_counts_is_seen(own: Head, data: st.DataObject) -> None:
    head = signed(own)
    names = [*COVERED_IF_SENT, "signature-input", "signature"]
    name = data.draw(st.sampled_from([each for each in names if head.field(each)] + ["path", "query"]))
    text = {"path": head.path, "query": head.query}.get(name)
    text = text if text is not None else head.field(name) or ""
    place = data.draw(st.integers(0, len(text)))
    letter = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = data.draw(
        st.sampled_from(
            [text[:place] + letter + text[place:], text[:place] + letter + text[place + 1 :], text[:place]]
        )
    )
    assume(changed != text and (name != "path" or (changed or "/") != text))
    if name == "path":
        bad = head._replace(path=changed)
    elif name == "query":
        bad = head._replace(query=changed)
    else:
        bad = with_headers(without(head, name), (name, changed))
    assert is_refused(bad), name


@given(heads(), heads())
def test_two_requests_with_the_same_bytes_to_sign_are_the_same(own: Head, other: Head) -> None:
    one, two = signed(own, nonce="n"), signed(other, nonce="n")
    bases = []
    for head in (one, two):
        signature = Signature.of(head, KEY_ID)
        bases.append(signature_base(head, signature.components, signature.signed))
    assert (bases[0] == bases[1]) == (counted(own) == counted(other))
