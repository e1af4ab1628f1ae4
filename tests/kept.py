"""Command tapes as files: failures that were found, shrunk and kept, and the newest one that was not yet.

A tape is lines of JSON: first why it is kept and the product, then one command a line. Those in
`tests/kept_tapes` are run by the oracle test for ever. To keep a failure: copy the file that the failing test
names there, under a name that says what went wrong, and write in its first line why.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from matching.codec import decode_command, encode_command
from matching.commands import Command
from matching.product import Product

FOLDER: Final = Path(__file__).parent / "kept_tapes"
NEWEST: Final = Path(__file__).resolve().parents[1] / ".hypothesis" / "tapes"


class Tape(NamedTuple):
    """A product, commands for its book, and why they are kept."""

    why: str
    product: Product
    commands: list[Command]


class _Head(msgspec.Struct, frozen=True):
    why: str
    product: Product


def kept() -> dict[str, Tape]:
    """Return the kept tapes by name."""
    return {path.stem: load(path) for path in sorted(FOLDER.glob("*.jsonl"))}


def load(path: Path) -> Tape:
    """Read a tape."""
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    head = msgspec.json.decode(first, type=_Head)
    commands = [decode_command(msgspec.msgpack.encode(msgspec.json.decode(line))) for line in lines]
    return Tape(head.why, head.product, commands)


def save(path: Path, tape: Tape) -> None:
    """Write a tape."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [msgspec.json.encode(_Head(tape.why, tape.product))]
    lines += [
        msgspec.json.encode(msgspec.msgpack.decode(encode_command(command))) for command in tape.commands
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")


def report(name: str, product: Product, commands: list[Command], fault: str) -> str:
    """Write the tape of a failure and return what to tell about it.

    Hypothesis runs the smallest failure last, so what the file holds in the end is the smallest.
    """
    path = NEWEST / f"{name}.jsonl"
    save(path, Tape(f"{name}: {fault[:200]}", product, commands))
    return f"{fault}\n{len(commands)} commands, in {path}: to keep them, copy it to {FOLDER}"


def shrink(commands: list[Command], fails: Callable[[list[Command]], bool]) -> list[Command]:
    """Return a part of the commands that still fails and that no single command can be left out of."""
    length = max(len(commands) // 2, 1)
    while True:
        before = len(commands)
        place = 0
        while place < len(commands):
            fewer = commands[:place] + commands[place + length :]
            if fails(fewer):
                commands = fewer
            else:
                place += length
        if length > 1:
            length //= 2
        elif len(commands) == before:
            return commands
