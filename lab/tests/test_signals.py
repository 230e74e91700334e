from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Signals come all the time, so some come at the moments between the beginning of a wait and its sleep.
WAITING = """
import os, subprocess, sys
from lab.signals import asked_to_stop

wait = asked_to_stop()
sender_code = f"import os, signal\\nwhile True: os.kill({os.getpid()}, signal.SIGINT)"
with subprocess.Popen([sys.executable, "-c", sender_code]) as sender:
    for _ in range(5000):
        wait()
    sender.kill()
print("ended")
"""


def test_a_signal_ends_the_wait_whenever_it_comes() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WAITING], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.stderr) == ("ended\n", "")
