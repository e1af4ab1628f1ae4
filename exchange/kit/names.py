"""Names for people, in any script: which can be seen, and which look like one another.

A name is refused where a part of it cannot be seen or moves what can be: control and format characters (line
feeds, zero-width characters, marks of direction), fillers, blanks at its ends. Two names are one where they
differ in nothing but width, case, the kind or number of blanks, and variation selectors (`name_key`).

Known limit: letters of different scripts that look alike (a Latin and a Cyrillic a) are told apart.
"""

import re
import unicodedata
from typing import Final

from exchange.kit.errors import Faults
from exchange.kit.fields import Readable, is_filler, is_selector

KEY_LENGTH_MAX: Final = 400
"""Compatible forms of few characters can be long, and an index takes no text of any length."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_BLANKS: Final = re.compile(r"\s+")


def name_key(name: str) -> str:
    """Return what is the same for names that nobody can tell apart: NFKC, case folded, single blanks."""
    seen = unicodedata.normalize("NFD", "".join(each for each in name if not is_selector(each)))
    for _ in range(2):  # a compatible form can have cases to fold again (Unicode, 3.13, definition D146)
        seen = unicodedata.normalize("NFKC", seen.casefold())
    return _BLANKS.sub(" ", seen).strip()


def check_name(faults: Faults, pointer: str, name: Readable) -> None:
    """Record what is wrong with a name, whose length is checked by its type."""
    if not isinstance(name, str) or pointer in faults:
        return
    key = name_key(name)
    if any(unicodedata.category(each) in _UNSEEN or is_filler(each) for each in name):
        rule = "must not hold characters that cannot be seen, such as line feeds and zero-width characters"
    elif not key:
        rule = "must have something to see"
    elif name != name.strip():
        rule = "must not begin or end with a blank"
    elif len(key) > KEY_LENGTH_MAX:
        rule = f"must have at most {KEY_LENGTH_MAX} characters when ligatures and the like are written out"
    else:
        return
    faults.add(pointer, "bad_name", rule, name)
