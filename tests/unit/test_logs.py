"""Goal: a log line says what happened to whom, can be read by a machine, and holds no secret.

Method: records made as the code makes them, formatted both ways; secrets put wherever one could slip in.
"""

import json
import logging
from typing import Any

import pytest

from exchange.kit.auth import Principal, new_key
from exchange.kit.ids import encode_id
from exchange.kit.logs import REQUEST, JsonFormatter, TextFormatter, announcement, configure


def record(message: str, *parts: object, fields: dict[str, Any] | None = None) -> logging.LogRecord:
    made = logging.LogRecord("exchange.http", logging.WARNING, "file.py", 1, message, parts, None)
    if fields is not None:
        made.fields = fields
    return made


def scope() -> dict[str, Any]:
    user = Principal(
        key_id=5, participant_id=7, kind="buyer", name="Acme", trade_group_id=None, scopes=frozenset()
    )
    return {"headers": [(b"x-request-id", b"mine-1")], "user": user}


def test_an_event_is_one_json_object_with_the_request_and_its_sequences() -> None:
    REQUEST.set(scope())
    line = JsonFormatter().format(record("lost\n%s", "the\ndatabase", fields={"sequences": [3, 9]}))
    assert "\n" not in line
    event = json.loads(line)
    assert event.pop("at").endswith("Z")
    assert event == {
        "level": "warning",
        "logger": "exchange.http",
        "event": "lost\nthe\ndatabase",
        "request_id": "mine-1",
        "participant_id": encode_id("par", 7),
        "key_id": encode_id("key", 5),
        "sequences": [3, 9],
    }


def test_a_failure_keeps_its_trace_on_the_same_line() -> None:
    failed = record("failed")
    try:
        json.loads("in the cellar")
    except ValueError as error:
        failed.exc_info = (type(error), error, error.__traceback__)
    line = JsonFormatter().format(failed)
    assert "\n" not in line
    assert "JSONDecodeError: Expecting value" in json.loads(line)["exception"]
    assert "JSONDecodeError: Expecting value" in TextFormatter().format(failed)


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_secrets_are_struck_out_wherever_they_stand(formatter: logging.Formatter) -> None:
    REQUEST.set(None)
    key = new_key().text
    secret = key.split("_", 2)[2]
    told = formatter.format(
        record(
            "%s; Authorization: Bearer %s; postgresql://me:pass:word@host/db; Bearer abc.def",
            f"'{key}'",
            key,
            fields={"url": "redis://:hunter2@host", "key": key},
        )
    )
    for hidden in (secret, "pass:word", "abc.def", "hunter2"):
        assert hidden not in told
    assert key.rsplit("_", 1)[0][:10] in told
    assert "@host/db" in told


def test_what_cannot_be_encoded_is_told_all_the_same() -> None:
    event = json.loads(JsonFormatter().format(record("sent %s", "\ud800", fields={"what": object()})))
    assert event["event"].startswith("sent ")


def test_a_terminal_gets_text_and_a_pipe_json(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        for form, is_json in (("auto", True), ("json", True), ("text", False)):
            assert configure("info", form) is is_json  # type: ignore[arg-type]  # each of the forms
            logging.getLogger("exchange").info("hello", extra={"fields": {"partition": 1}})
            logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
            lines = capsys.readouterr().err.splitlines()
            assert len(lines) == 1
            assert ("partition=1" in lines[0]) is not is_json
    finally:
        root.handlers[:], root.level = before
    assert announcement("exchange at http://x", is_json=False) == "exchange at http://x"
    assert json.loads(announcement("exchange at http://x", is_json=True))["event"] == "exchange at http://x"
