"""Trying rules of surveillance on the record over HTTP, for regulators.

Of the application's state: `backtests` (`Backtests`) and `questions`, which records who asked what.
"""

import msgspec
from litestar import Controller, post
from litestar.background_tasks import BackgroundTask
from litestar.params import JSONBody
from litestar.response import Stream

from exchange.alerts.backtests import Backtests
from exchange.alerts.models import BacktestLine, NewBacktest
from exchange.alerts.rules import read_span
from exchange.alerts.service import must_be_regulator
from exchange.kit.auth import Scope
from exchange.kit.http_auth import requires
from exchange.kit.http_described import NDJSON_TYPE, streams
from exchange.kit.http_request import ApiRequest
from exchange.oversight.questions import Questions


class BacktestController(Controller):
    """What other rules would have found."""

    path = "/v1/oversight/alert-rules/backtest"
    tags = ("Oversight",)

    @post(
        "",
        opt=requires(Scope.AUDIT, keep_faults=True) | streams(BacktestLine),
        status_code=200,
        summary="Try alert rules on the record",
    )
    async def backtest(self, request: ApiRequest, data: JSONBody[NewBacktest]) -> Stream:
        """Tell what rules would have found in at most 31 days of the record, as a regulator.

        The answer is a stream of lines of JSON: `read` of `all` record numbers, each second or so, and in the
        last line the `result`, else null. A stream without one was broken off. Nothing is stored but the
        question; one back test at a time runs in a process.
        """
        must_be_regulator(request.principal)
        from_us, until_us = read_span(data, request.faults)
        request.faults.raise_if_any()
        backtests: Backtests = request.app.state.backtests
        questions: Questions = request.app.state.questions
        asked = msgspec.to_builtins(data)
        question_id = await questions.ask(request.principal, "alert-rules/backtest", asked)
        begun = await backtests.begin(data.rules, from_us, until_us)

        async def over() -> None:
            # Of a reader that went away as well: nothing else would close what it had left to read.
            await begun.lines.aclose()
            await questions.answer(request.principal, question_id, begun.found, is_whole=begun.is_whole)

        return Stream(begun.lines, media_type=NDJSON_TYPE, background=BackgroundTask(over))
