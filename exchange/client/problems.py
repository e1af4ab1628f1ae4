"""The two ways in which a request fails: the exchange says no, or no usable answer comes.

Neither changes once it is made: several may wait for one, and each is told more by another.
`outcome` tells what is known of the effect: `not_applied`, `applied` or `unknown`. An answer speaks of the
attempt that it answers; where one before it may have had its effect, `retrying` says so.
"""

from typing import Final, Literal

import msgspec
from msgspec.structs import replace

Unanswered = Literal["not_applied", "unknown"]
"""What can be known of a request that has no answer."""
_IN_DOUBT: Final = "what was sent before may have had its effect"


class ProblemFault(msgspec.Struct, frozen=True, gc=False):
    """One field of a request that broke a rule; `lowest` and `highest` are allowed, where that moves."""

    pointer: str = ""
    code: str = ""
    detail: str = ""
    value: str | int | float | bool | None = None
    lowest: str | None = None
    highest: str | None = None


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

    @property
    def outcome(self) -> str:
        """What is known of the effect, '' where the answer does not say."""
        return self.problem.outcome

    def in_doubt(self) -> "ApiProblem":
        """Return what tells that nobody knows what came of something that was sent before."""
        return ApiProblem(replace(self.problem, outcome="unknown"), self.retry_after_s).and_tells(_IN_DOUBT)

    def and_tells(self, detail: str) -> "ApiProblem":
        """Return what tells more."""
        problem = self.problem
        told = replace(problem, detail=f"{problem.detail or problem.title}; {detail}")
        return ApiProblem(told, self.retry_after_s)


class Unreachable(Exception):
    """No usable answer came: refused connection, timeout, or something that is not the exchange.

    `is_lost`: there was an exchange before, and there may be one again. `outcome` is `not_applied` where the
    request certainly reached nobody or changes nothing.
    """

    def __init__(
        self,
        detail: str,
        *,
        is_lost: bool = False,
        outcome: Unanswered = "unknown",
    ) -> None:
        super().__init__(detail)
        self.is_lost = is_lost
        self.outcome = outcome

    def in_doubt(self) -> "Unreachable":
        """Return what tells that nobody knows what came of something that was sent before."""
        return Unreachable(f"{self}; {_IN_DOUBT}", is_lost=self.is_lost)

    def and_tells(self, detail: str) -> "Unreachable":
        """Return what tells more."""
        return Unreachable(f"{self}; {detail}", is_lost=self.is_lost, outcome=self.outcome)
