"""The files of the web console, read once when the exchange starts: nothing is looked up on disk by a caller.

Each file is kept as it is and compressed: by brotli where the build made a `.br` beside it, by gzip from a
`.gz` or here, once a process for the same content. Text only: pictures and fonts are compressed already.
Files below `assets/` have a hash of their content in their name, as the build makes them, and never change;
`index.html` is asked for anew.

Invariant: what is served is in `Pages`, by its exact name, so no name leads out of the folder.
"""

import gzip
import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from exchange.kit.http_coding import accepted_codings

INDEX: Final = "index.html"
ASSETS: Final = "assets/"
_COMPRESSED_FROM_BYTES: Final = 1024
_COMPRESSED_KEPT: Final = 256
"""Files whose compressed content is remembered: more than a build of the console has."""
_PRECOMPRESSED: Final = {".br": "br", ".gz": "gzip"}
_CODINGS: Final = ("br", "gzip")
"""Those that are offered, the smaller first."""
# By name: what the machine's own table says of a type must not change how a page is served.
_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
_TEXTS: Final = ("text/", "application/json", "application/manifest+json", "image/svg+xml")


class Page(msgspec.Struct, frozen=True):
    """A file: its content by coding (`identity`, `gzip`, `br`), its type, and a tag of its content."""

    contents: dict[str, bytes]
    media_type: str
    etag: str
    is_immutable: bool

    def coding_for(self, accepted: str) -> str:
        """Return the coding to answer an `Accept-Encoding` with."""
        wanted = accepted_codings(accepted)
        return next((each for each in _CODINGS if each in self.contents and each in wanted), "identity")


class Pages:
    """All files of a folder, by their names below it. Empty where there is no such folder."""

    def __init__(self, folder: Path) -> None:
        self._pages = dict(_read(folder)) if folder.is_dir() else {}

    @property
    def are_built(self) -> bool:
        """Whether there is a console to show."""
        return INDEX in self._pages

    def find(self, name: str) -> Page | None:
        """Return a file by its name such as `assets/index-3f2a.js`; the index for a route of the console.

        A route has no dot in its name. None for what is neither.
        """
        page = self._pages.get(name)
        is_route = "." not in name and not name.startswith(ASSETS)
        return self._pages.get(INDEX) if page is None and is_route else page


def _read(folder: Path) -> list[tuple[str, Page]]:
    files = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    return [
        (name, _page(name, path, files)) for name, path in files.items() if path.suffix not in _PRECOMPRESSED
    ]


def _page(name: str, path: Path, files: dict[str, Path]) -> Page:
    content = path.read_bytes()
    suffix = path.suffix.lower()
    media_type = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    contents = {"identity": content}
    if media_type.startswith(_TEXTS) and len(content) >= _COMPRESSED_FROM_BYTES:
        contents["gzip"] = _gzipped(content)
    for ending, coding in _PRECOMPRESSED.items():
        if name + ending in files:
            contents[coding] = files[name + ending].read_bytes()
    etag = hashlib.sha256(content).hexdigest()[:32]
    return Page(contents, media_type, etag, name.startswith(ASSETS))


@lru_cache(maxsize=_COMPRESSED_KEPT)
def _gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
