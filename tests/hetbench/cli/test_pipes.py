"""Commands whose output nobody reads to its end."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hetbench.cli.pipes import PIPE_CLOSED, quiet_where_closed

READ_NOTHING = "; ".join((
    "import os, sys", "from hetbench.cli.pipes import quiet_where_closed", "left, right = os.pipe()",
    "os.dup2(right, 1)", "os.close(left)", "os.close(right)",
))  # fmt: skip


@pytest.mark.parametrize("body", ["print('x' * 100000)", "print('x')", "print('x', flush=True)", "sys.exit(1)"])
def test_a_closed_pipe_ends_as_sigpipe_does_and_says_nothing(body: str):
    code = f"{READ_NOTHING}\nwith quiet_where_closed():\n    {body}\n"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    wanted = 1 if body == "sys.exit(1)" else PIPE_CLOSED  # nothing was written there, so nothing was lost
    assert (ended.returncode, ended.stderr) == (wanted, "")


def test_other_codes_and_results_pass_through():
    with pytest.raises(SystemExit) as ended, quiet_where_closed():
        raise SystemExit(3)
    assert ended.value.code == 3
    with quiet_where_closed():
        pass
