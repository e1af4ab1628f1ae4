"""Check that the records of a trade are under a signed checkpoint; needs Python 3.8 or newer, and nothing else.

python3 verify_proof.py PROOF.json VERIFIER [LOST...]    (NAME+ID+KEY from whom you trust; keys it replaced)"""

import base64
import datetime as dt
import hashlib
import json
import struct
import sys

P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493  # Ed25519 (RFC 8032)
D, ROOT = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)
COLUMNS = """id xact_id partition_id sequence event_index code event_at received_at actor_participant_id key_id
participant_id trade_group_id product_id order_id trade_id subject_id detail""".split()
sha256, fail = lambda data: hashlib.sha256(data).digest(), lambda why: sys.exit(f"NOT PROVEN: {why}")


def point(raw):
    y, sign = int.from_bytes(raw, "little") % 2**255, raw[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * ROOT % P
    if y >= P or x * x % P != square:
        fail("a point is not on the curve")
    return x if x % 2 == sign else P - x, y


def add(one, two):
    (a, b), (c, d) = one, two
    e = D * a * c * b * d
    return (a * d + b * c) * pow(1 + e, -1, P) % P, (b * d + a * c) * pow(1 - e, -1, P) % P


def times(factor, base, total=(0, 1)):
    while factor:
        total, base, factor = add(total, base) if factor & 1 else total, add(base, base), factor >> 1
    return total


def is_signed(key, message, signature):
    base, scalar = (4 * pow(5, -1, P) % P).to_bytes(32, "little"), int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return scalar < ORDER and times(scalar, point(base)) == add(point(signature[:32]), times(k, point(key)))


def opened(note, name, key_id, raw, accepted):  # C2SP signed-note and tlog-checkpoint
    text, _, signatures = note.rpartition("\n\n")
    if raw[:1] != b"\1" or len(raw) != 33 or sha256(f"{name}\n".encode() + raw)[:4].hex() != key_id:
        fail("the verifier is none of Ed25519, or its id is not that of its key")
    for lost, after in (line.split()[1:] for line in text.split("\n") if line.startswith("replaced ")):
        print(f"KEY REPLACED: {lost} was lost after {after} records, and has not endorsed this one")
        if lost not in accepted:
            fail(f"name {lost} as a further argument if you know from elsewhere whose the new key is")
    for line in signatures.splitlines():
        signed = base64.b64decode(line.rpartition(" ")[2])
        if line.startswith(f"\u2014 {name} ") and signed[:4].hex() == key_id and len(signed) == 68:
            if is_signed(raw[1:], f"{text}\n".encode(), signed[4:]):
                return int(text.split("\n")[1]), base64.b64decode(text.split("\n")[2])
    return fail("the checkpoint is not signed by this key")


def root_of(record, position, size, path):  # RFC 9162, 2.1.3.2
    number, last, top = position, size - 1, sha256(b"\0" + record)
    for sibling in map(base64.b64decode, path):
        right = number & 1 or number == last
        top = sha256(b"\1" + sibling + top) if right else sha256(b"\1" + top + sibling)
        while right and number and not number & 1:
            number, last = number >> 1, last >> 1
        number, last = number >> 1, last >> 1
    return top if last == 0 and 0 <= position < size else None


def fields(record):
    values, place = [], 4
    for _ in range(struct.unpack_from(">I", record)[0]):
        kind, length = struct.unpack_from(">Ii", record, place)
        raw, place = record[place + 8 : place + 8 + max(length, 0)], place + 8 + max(length, 0)
        value = raw.decode() if kind in (25, 114) else int.from_bytes(raw, "big", signed=True)
        value = str(dt.datetime(2000, 1, 1) + dt.timedelta(microseconds=value)) if kind == 1184 else value
        values.append(None if length < 0 else value)
    return dict(zip({1: COLUMNS}[values[0]], values[1:]))


sys.excepthook = lambda *why: fail(f"VERIFIER must be NAME+ID+KEY, of `exchange audit key` ({why[1]})")
name, key_id, key = sys.argv[2].split("+", 2)
raw = base64.b64decode(key, validate=True)
sys.excepthook = lambda *why: fail(f"PROOF.json is not what `exchange audit prove` wrote ({why[1]!r})")
proof, trade = json.load(open(sys.argv[1], encoding="utf-8")), 0
for letter in proof["trade_id"].partition("_")[2]:
    trade = trade * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
size, root = opened(proof["checkpoint"], name, key_id, raw, sys.argv[3:])
if not 0 < len({each["position"] for each in proof["records"]}) == len(proof["records"]):
    fail("it has no records, or one twice")
for each in proof["records"]:
    record = base64.b64decode(each["bytes"])
    if root_of(record, each["position"], size, each["path"]) != root or fields(record)["trade_id"] != trade:
        fail(f"the record at position {each['position']} does not lead to the root, or is of another trade")
    print(f"record {each['position']} of {size}: {json.dumps(fields(record), ensure_ascii=False)}")
print(f"PROVEN: {len(proof['records'])} records of {proof['trade_id']} are under the signed checkpoint")
