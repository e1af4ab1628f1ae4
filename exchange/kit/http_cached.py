"""Answers that caches may keep and must ask about: a strong ETag, `If-None-Match`, and 304.

The tag is a hash of the body's bytes and names the coding in which they go out (`http_coding`): whoever
answers the same has the same tag, before a restart and after it, and at every process. What changes with each
commit is fresh for no time, so caches may store it but ask before they use it (`no-cache`). For public routes
only: they take no notice of keys, so an answer depends on path, query and coding alone, and is everyone's.
Routes declare it with `http_described.revalidates`.
"""

from hashlib import blake2b
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import MediaType
from litestar.response import Response

from exchange.kit.http_coding import GZIP, VARY, is_compressed_for
from exchange.kit.http_request import ApiRequest
from exchange.kit.http_scope import header

_TAG_BYTES: Final = 16


def etag_of(content: bytes, coding: str | None = None) -> str:
    """Return the strong entity tag of a body, or of what stands for its bytes, as it is or in a coding."""
    digest = blake2b(content, digest_size=_TAG_BYTES).hexdigest()
    return f'"{digest}"' if coding is None else f'"{digest}-{coding}"'


def names_tag(if_none_match: str, etag: str) -> bool:
    """Whether an If-None-Match names a tag; a weak one names what has the same letters (RFC 9110, 13.1.2)."""
    named = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return etag in named or named == ["*"]


def answer_unless_known(
    request: ApiRequest, answer: msgspec.Struct | bytes, digest: bytes | None = None
) -> Response[Any]:
    """Return an answer, a struct or the bytes of its JSON, or 304 where the caller has it already.

    `digest` stands for the bytes of a long answer where they were hashed piece by piece.
    """
    body = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    coding = GZIP if is_compressed_for(request.scope, len(body)) else None
    etag = etag_of(body if digest is None else digest, coding)
    headers = {"ETag": etag, "Cache-Control": "public, no-cache", "Vary": VARY}
    known = header(request.scope, b"if-none-match")
    if known is not None and names_tag(known, etag):
        return Response(None, status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, media_type=MediaType.JSON, headers=headers)
