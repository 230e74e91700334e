from __future__ import annotations

import os
import subprocess
import sys

from launcher.memory import proportional_set_size, with_descendants


def test_a_process_with_a_page_more_is_counted_as_bigger() -> None:
    blank = "import sys; x = bytes({size}) and bytearray(b'x' * {size}); print('ready', flush=True); sys.stdin.read()"
    sizes = []
    for size in (1, 50 << 20):
        with subprocess.Popen(
            [sys.executable, "-c", blank.format(size=size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            sizes.append(proportional_set_size([process.pid]))
            process.stdin.close()
    assert 40 << 20 < sizes[1] - sizes[0] < 120 << 20


def test_a_process_that_is_gone_counts_nothing() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert proportional_set_size([process.pid]) == 0


def test_a_process_named_twice_counts_once() -> None:
    once, twice = proportional_set_size([os.getpid()]), proportional_set_size([os.getpid(), os.getpid()])
    assert twice < 1.5 * once


def test_children_and_their_children_belong_to_a_process() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        grandchild = int(shell.stdout.readline())
        found = with_descendants([os.getpid()])
        subprocess.run(["kill", str(grandchild)], check=True)
    assert {os.getpid(), shell.pid, grandchild} <= found
    assert 1 not in found
