"""One process at a time."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from dovetail.shared.errors import Busy
from dovetail.shared.locks import held, holder, is_held

HOLDER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from dovetail.shared.locks import held
    with held(Path(sys.argv[1]), "the job"):
        print("held", flush=True)
        time.sleep(60)
""")


def test_the_second_is_refused_with_the_owners_pid_and_host(tmp_path):
    lock = tmp_path / "deep" / "speed.lock"
    refused = pytest.raises(Busy, match=f"the job runs already: pid {os.getpid()} on ")
    with held(lock, "the job"), refused, held(lock, "the job"):
        pass
    assert not is_held(lock)
    assert holder(lock) is None  # though its note says who held it last


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path):
    lock = tmp_path / "speed.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "held\n"
        assert is_held(lock)
        assert holder(lock) == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not is_held(lock)
