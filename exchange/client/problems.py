"""The two ways in which a request fails: the exchange says no, or no usable answer comes."""

import msgspec


class ProblemFault(msgspec.Struct, frozen=True, gc=False):
    """One field of a request that broke a rule."""

    pointer: str = ""
    code: str = ""
    detail: str = ""
    value: str | int | float | bool | None = None


class Problem(msgspec.Struct, frozen=True):
    """The body of an `application/problem+json` answer."""

    title: str = ""
    status: int = 0
    detail: str = ""
    code: str = ""
    request_id: str = ""
    outcome: str = ""
    retryable: bool = False
    errors: tuple[ProblemFault, ...] = ()


class ApiProblem(Exception):
    """The exchange refused the request; `problem` says why, field by field.

    `retry_after_s` is how long it asks to be left alone, 0 where it does not.
    """

    def __init__(self, problem: Problem, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail or problem.title}")
        self.problem = problem
        self.retry_after_s = retry_after_s
        self.was_tried_again = False
        """Whether the request had been sent before, and an answer to that was lost or said to come back."""


class Unreachable(Exception):
    """No usable answer came: refused connection, timeout, or something that is not the exchange.

    `is_lost`: there was an exchange before, and there may be one again.
    """

    def __init__(self, detail: str, *, is_lost: bool = False) -> None:
        super().__init__(detail)
        self.is_lost = is_lost
