"""Goal: tree, notes, records and folder are what their published forms say. Method: obvious models, vectors.

The tree is compared with the recursion of RFC 6962 written down as it stands there, for sizes up to 130 and
random ways of growing; signed notes with the example of C2SP's signed-note; the folder is cut off at every
byte of what it was writing.
"""

import itertools
import random
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.history import compare, read_history
from exchange.transparency.models import Block, Checkpoint, FaultKind
from exchange.transparency.notes import (
    FIRST,
    BadNote,
    OtherKey,
    Signer,
    Verifier,
    check_signature,
    digest_of,
    each_note,
    read_checkpoint,
    split_notes,
    text_of,
)
from exchange.transparency.records import COLUMNS, BadBytes, decoded
from exchange.transparency.tree import (
    EMPTY_ROOT,
    Tree,
    audit_path,
    consistency_path,
    folded,
    goes_on,
    last_leaf,
    leaf_hash,
    leaves_of,
    perfect_parts,
    root_by_path,
    stored_count,
    stored_index,
)
from exchange.transparency.trust import RegisteredKey, trusted_from
from tests.hypothesis_profiles import examples
from tests.sealed_world import plain_bytes

ORIGIN = "test.example/audit"
AT_US = 1_790_000_000_000_000
RECORD = {
    **dict.fromkeys(COLUMNS),
    "id": 5,
    "xact_id": 2**63 + 1,
    "partition_id": 1,
    "sequence": -7,
    "event_index": 0,
    "code": "FILL",
    "event_at": AT_US + 1,
    "detail": '{"note": "算力券"}',
}


def plain_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, over leaves that are hashed already."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return sha256(b"\1" + plain_root(leaves[:middle]) + plain_root(leaves[middle:])).digest()


def leaves_up_to(size: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(size)]


@examples(40)
@given(cuts=st.lists(st.integers(0, 40), max_size=5))
def test_a_tree_grown_in_any_steps_is_that_of_the_rfc(cuts: list[int]) -> None:
    leaves = leaves_up_to(sum(cuts))
    tree, stored = Tree(), b""
    for cut in cuts:
        begin = tree.size
        known = tree.append(leaves[begin : begin + cut])
        assert leaves_of(known, begin, tree.size) == leaves[begin : tree.size]
        stored += known
        assert tree.root() == plain_root(leaves[: tree.size])
        assert len(stored) == 32 * stored_count(tree.size)
    size = tree.size
    assert Tree().root() == EMPTY_ROOT
    nodes = {
        node: stored[32 * stored_index(*node) :][:32]
        for level in range(8)
        for node in [(level, number) for number in range(size >> level)]
    }
    for (level, number), node in nodes.items():
        assert node == plain_root(leaves[number << level : (number + 1) << level])
        assert last_leaf(level, number) == ((number + 1) << level) - 1
    again = Tree(size, [nodes[part] for part in perfect_parts((0, size))])
    assert again.root() == tree.root()
    for position in range(0, size, max(1, size // 12)):
        spans = audit_path(position, size)
        path = [folded([nodes[part] for part in perfect_parts(span)]) for span in spans]
        assert path == [plain_root(leaves[begin:end]) for begin, end in spans]
        assert root_by_path(leaves[position], position, size, path) == tree.root()
        wrong = [path[1:], [*path, bytes(32)], [bytes(32), *path[1:]]] if path else [[bytes(32)]]
        assert all(root_by_path(leaves[position], position, size, each) != tree.root() for each in wrong)
        other = (position + 1) % size
        assert other == position or root_by_path(leaves[position], other, size, path) != tree.root()


@examples(40)
@given(old=st.integers(1, 70), more=st.integers(0, 70), flip=st.integers(0, 10**6))
def test_a_tree_is_proven_to_go_on_from_an_earlier_one_and_from_no_other(
    old: int, more: int, flip: int
) -> None:
    leaves, new = leaves_up_to(old + more), old + more
    roots = plain_root(leaves[:old]), plain_root(leaves)
    path = [plain_root(leaves[begin:end]) for begin, end in consistency_path(old, new)]
    assert goes_on(old, roots[0], new, roots[1], path)
    forged = [leaf_hash(b"forged"), *leaves[1:]]
    assert not goes_on(old, plain_root(forged[:old]), new, roots[1], path)
    assert not goes_on(old, roots[0], new, plain_root(forged), path)
    assert not goes_on(old, roots[0], new, roots[1], [*path, bytes(32)])
    if path:
        at = flip % len(path)
        assert not goes_on(old, roots[0], new, roots[1], path[:at] + path[at + 1 :])
        assert not goes_on(old, roots[0], new, roots[1], [*path[:at], bytes(32), *path[at + 1 :]])


def test_a_note_of_the_standard_is_opened() -> None:
    verifier = Verifier.read("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    signature = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    note = f"This is an example message.\n\n\u2014 example.com/foo {signature}\n"
    check_signature(note, [verifier])
    for bad in (note.replace("an example", "no example"), note.replace("Uw2QOkn8", "Uw2QOkn9")):
        with pytest.raises(BadNote):
            check_signature(bad, [verifier])
    with pytest.raises(OtherKey):
        check_signature(note, [signer().verifier])
    assert Verifier.read(str(verifier)) == verifier
    with pytest.raises(BadNote, match="530d903a"):
        Verifier.read(str(verifier).replace("530d903a", "530d903b"))


def signer(seed: int = 1) -> Signer:
    return Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def history(count: int, by: Signer | None = None) -> list[Block]:
    """Return blocks of one to five records each."""
    rng, tree, blocks, by = random.Random(count), Tree(), list[Block](), by or signer()
    for number in range(count):
        begin = tree.size
        hashes = tree.append([leaf_hash(f"{number} {each}".encode()) for each in range(rng.randint(1, 5))])
        checkpoint = Checkpoint(
            origin=ORIGIN,
            size=tree.size,
            root=tree.root(),
            form=1,
            sealed_at_us=AT_US + number,
            previous=digest_of(blocks[-1].note) if blocks else FIRST,
        )
        blocks.append(
            Block(
                first_position=begin,
                size=tree.size,
                from_xact=str(number),
                until_xact=str(number + 1),
                form=1,
                hashes=hashes,
                root=tree.root(),
                note=by.sign(text_of(checkpoint)),
                sealed_at_us=checkpoint.sealed_at_us,
            )
        )
    return blocks


def test_a_checkpoint_says_what_was_signed() -> None:
    blocks = history(3)
    for block in blocks:
        check_signature(block.note, [signer(2).verifier, signer().verifier])
        read = read_checkpoint(block.note)
        assert (read.size, read.root, read.sealed_at_us) == (block.size, block.root, block.sealed_at_us)
        assert block.note.startswith(text_of(read))
    notes = "".join(f"{block.note}\n" for block in blocks)
    assert split_notes(notes) == ([block.note for block in blocks], "")
    assert list(each_note(notes.splitlines(keepends=True))) == [block.note for block in blocks]
    witnessed = blocks[0].note + "\u2014 witness.example AAAAAAAA\n"
    check_signature(witnessed, [signer().verifier])
    first = blocks[0].note
    for bad in ("", "x\n\ny\n", first.replace("\ntime ", "\nTime "), first.replace("form 1", "form 0")):
        with pytest.raises(BadNote):
            read_checkpoint(bad)


def test_a_folder_that_was_cut_off_at_any_byte_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    blocks = history(4)
    whole = CheckpointFolder(tmp_path / "whole")
    whole.publish(blocks[:2])
    notes_before, leaves_before = whole.checkpoints.read_bytes(), whole.leaves.read_bytes()
    whole.publish(blocks)
    notes, leaves = whole.checkpoints.read_bytes(), whole.leaves.read_bytes()
    assert len(leaves) == 32 * blocks[-1].size
    assert whole.missing_from() == blocks[-1].size
    assert whole.read_leaves(1, 3) == [leaves[32:64], leaves[64:96]]
    for cut in range(len(notes_before), len(notes) + 1, 7):
        folder = CheckpointFolder(tmp_path / f"notes-{cut}")
        folder.publish(blocks[:2])
        folder.leaves.write_bytes(leaves)
        folder.checkpoints.write_bytes(notes[:cut])
        folder.publish([block for block in blocks if block.size > folder.missing_from()])
        assert folder.checkpoints.read_bytes() == notes
    for cut in range(len(leaves_before), len(leaves), 11):
        folder = CheckpointFolder(tmp_path / f"leaves-{cut}")
        folder.publish(blocks[:2])
        folder.leaves.write_bytes(leaves[:cut])
        folder.publish([block for block in blocks if block.size > folder.missing_from()])
        assert (folder.checkpoints.read_bytes(), folder.leaves.read_bytes()) == (notes, leaves)
    late = CheckpointFolder(tmp_path / "late")
    late.publish(blocks[:1])
    late.leaves.unlink()
    with pytest.raises(ValueError, match="missing"):
        late.publish(blocks[2:])


def test_a_long_file_of_checkpoints_is_read_from_its_end(tmp_path: Path) -> None:
    blocks = history(300)
    folder = CheckpointFolder(tmp_path)
    folder.publish(blocks)
    assert folder.checkpoints.stat().st_size > 64 * 1024
    assert folder.last_note() == blocks[-1].note
    assert list(folder.notes()) == [block.note for block in blocks]


def test_a_kept_copy_may_have_gaps_and_shows_a_fork_or_a_cut() -> None:
    ours = [block.note for block in history(9)]
    keys = [signer().verifier]
    trusted = read_history(ours, keys, where="ours", is_whole=True)
    assert (trusted.fault, len(trusted.trusted)) == (None, 9)
    mine = read_history(ours[1::3], keys, where="mine", is_whole=False)
    assert mine.fault is None
    there = {each.size: each for each in trusted.trusted}
    assert compare(mine, there, trusted.size, where="this log") is None
    gap = read_history(ours[1::3], keys, where="ours", is_whole=True).fault
    assert gap is not None
    assert gap.kind is FaultKind.CHECKPOINT_REPLACED
    sizes = list(there)
    cut = compare(mine, {size: there[size] for size in sizes[:4]}, sizes[3], where="this log")
    assert cut is not None
    assert (cut.kind, cut.position) == (FaultKind.TRUNCATED, sizes[3])
    size = mine.trusted[1].size
    false = {"text_digest": FaultKind.FORKED, "note_digest": FaultKind.CHECKPOINT_DAMAGED}
    for digest, kind in false.items():
        other = msgspec.structs.replace(there[size], **{digest: bytes(32)})
        differs = compare(mine, {**there, size: other}, trusted.size, where="this log")
        assert differs is not None
        assert (differs.kind, differs.until_size) == (kind, size)
    torn = "".join(f"{note}\n" for note in ours)[:-150]
    damaged = read_history(each_note(torn.splitlines(keepends=True)), keys, where="ours", is_whole=True)
    assert damaged.fault is not None
    assert (damaged.fault.kind, len(damaged.trusted)) == (FaultKind.CHECKPOINT_DAMAGED, 8)
    rest = read_history(ours[4:], keys, where="ours", is_whole=True, after=trusted.trusted[3])
    assert (rest.fault, rest.trusted) == (None, trusted.trusted[4:])
    gone = read_history(ours[5:], keys, where="ours", is_whole=True, after=trusted.trusted[3])
    assert gone.fault is not None
    assert gone.fault.kind is FaultKind.CHECKPOINT_REPLACED
    assert gone.fault.after_size == trusted.trusted[3].size


def test_keys_vouch_for_those_beside_them_and_for_no_others() -> None:
    chain = [signer(seed) for seed in (1, 2, 3)]
    known = [RegisteredKey(verifier=chain[0].verifier, endorsement=None, acceptance=None, begun_at_us=0)]
    for before, after in itertools.pairwise(chain):
        said = [each.sign_succession(before.verifier, after.verifier) for each in (before, after)]
        known.append(
            RegisteredKey(verifier=after.verifier, endorsement=said[0], acceptance=said[1], begun_at_us=0)
        )
    all_of_them = {each.verifier for each in chain}
    for anchor in chain:
        assert set(trusted_from([anchor.verifier], known)) == all_of_them
    intruder = signer(9)
    false = RegisteredKey(
        verifier=intruder.verifier,
        endorsement=intruder.sign_succession(chain[2].verifier, intruder.verifier),
        acceptance=intruder.sign_succession(chain[2].verifier, intruder.verifier),
        begun_at_us=0,
    )
    assert set(trusted_from([chain[0].verifier], [*known, false])) == all_of_them
    assert trusted_from([signer(8).verifier], known) == [signer(8).verifier]


@pytest.mark.parametrize("cut", [0, 3, 10, 40])
def test_what_are_no_bytes_of_a_record_is_said(cut: int) -> None:
    raw = plain_bytes(RECORD)
    assert decoded(raw) == RECORD
    for bad in (raw[:cut], raw + b"\0", raw[:4] + bytes(8) + raw[12:]):
        with pytest.raises(BadBytes):
            decoded(bad)
