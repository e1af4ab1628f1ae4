"""For HTTP clients of tests, none of which speaks TLS: each would read the world's certificates for it."""

import ssl
from typing import Final

NO_TLS: Final = ssl.create_default_context()
