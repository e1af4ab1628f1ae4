"""Goal: what the console computes and times by itself is right.

Method: Node runs the tests that stand beside its sources.
"""

import subprocess

from tests.node import WEB, node


def test_the_pages_own_tests_pass() -> None:
    tests = sorted((WEB / "tests").glob("*.test.mjs"))
    assert tests
    done = subprocess.run(
        [node("vite"), "--test", *tests], cwd=WEB, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
