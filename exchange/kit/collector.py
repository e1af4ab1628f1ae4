"""Python's garbage collector as a server wants it: `calm` it once what stands for long is there.

Nothing on the way of a request makes a cycle, so reference counts free all of it; the collector is there for
what is made seldom. As it comes it looks at the youngest objects several times for each batch of orders, and
at all that was ever imported every few seconds: a twentieth of the server's time, and pauses of 75 ms.

Known limit: what was there when it was calmed is never collected.
"""

import gc
from typing import Final

YOUNG_OBJECTS_MAX: Final = 10_000
"""So many more objects than before set off a look at the youngest, of one or two milliseconds."""


def calm() -> None:
    """Leave everything that is there now out of collections, and look for garbage less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX)
