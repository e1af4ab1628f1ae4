"""Books as they stood, over HTTP.

Needs `book_history` (`BookHistory`) and `questions` (`Questions`) in the application's state.
"""

import msgspec
from litestar import Controller, get
from litestar.params import FromPath

from exchange.kit.auth import Scope
from exchange.kit.http_auth import requires
from exchange.kit.http_request import ApiRequest
from exchange.oversight.book_models import BookQuery, BookRange, BookThen
from exchange.oversight.books import BookHistory
from exchange.oversight.models import Asked
from exchange.oversight.questions import Questions, check_reason


class BookHistoryController(Controller):
    """How books stood, with whose orders were in them."""

    path = "/v1/oversight/books"
    tags = ("Oversight",)
    opt = requires(Scope.AUDIT)

    @get("/{product:str}", opt=requires(Scope.AUDIT, query=BookQuery), summary="Read a book as it stood")
    async def book_then(self, request: ApiRequest, product: FromPath[str]) -> BookThen:
        """Return a product's book as it stood after a command, at a time, or now, with its orders' owners.

        Rebuilt from the journal, whatever was stored meanwhile: from a book kept at a mark and the at most
        2,000 commands after it.
        """
        query, faults = request.query_with_holes(BookQuery)
        check_reason(query.reason, faults, is_needed=False)
        history: BookHistory = request.app.state.book_history
        questions: Questions = request.app.state.questions
        place = await history.place(product, query, faults)
        asked = {"product": product, **msgspec.to_builtins(query)}
        return await questions.told(
            request.principal,
            "books",
            asked,
            lambda: history.then(product, place, query),
            lambda book: len(book.data),
        )

    @get(
        "/{product:str}/range",
        opt=requires(Scope.AUDIT, query=Asked),
        summary="Read from when to when a book can be read",
    )
    async def book_range(self, request: ApiRequest, product: FromPath[str]) -> BookRange:
        """Return the first and the last command of the product's partition with their times, for a slider."""
        query, faults = request.query_with_holes(Asked)
        check_reason(query.reason, faults, is_needed=False)
        faults.raise_if_any()
        history: BookHistory = request.app.state.book_history
        questions: Questions = request.app.state.questions
        history.product(product)
        asked = {"product": product, "reason": query.reason}
        return await questions.told(request.principal, "books/range", asked, lambda: history.range(product))
