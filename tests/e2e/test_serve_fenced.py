"""Goal: a server whose partition another has taken says so and ends, instead of answering 503 for ever.

Method: two `exchange serve` on one database; the second takes the lead; the first is sent one order.
"""

import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.fleet import environment_of_others

END_S = 60


def serve(database_url: str, folder: Path) -> tuple["subprocess.Popen[str]", str]:
    """Start a server; return it and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "exchange", "serve", "--port", "0", "--data-dir", str(folder)],
        env={**environment_of_others(), "DATABASE_URL": database_url},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"exchange at (http://[0-9.:]+)", line)
        if found:
            return process, found[1]
    raise AssertionError("the server did not start")


def test_a_fenced_server_ends_and_says_why(database_url: str, tmp_path: Path) -> None:
    first, address = serve(database_url, tmp_path)
    second, _ = serve(database_url, tmp_path)
    try:
        key = (tmp_path / "operator.key").read_text().strip()
        product = httpx.get(f"{address}/v1/products", timeout=END_S).json()["data"][0]["id"]
        answer = httpx.put(
            f"{address}/v1/products/{product}/phase",
            headers={"Authorization": f"Bearer {key}"},
            json={"phase": "halted"},
            timeout=END_S,
        )
        assert (answer.status_code, answer.json()["outcome"]) == (503, "not_applied")
        _, told = first.communicate(timeout=END_S)
        assert first.returncode == 4
        assert "another server leads it now" in told
    finally:
        for process in (first, second):
            process.terminate()
            process.wait(END_S)
            if process.stderr is not None:
                process.stderr.close()
