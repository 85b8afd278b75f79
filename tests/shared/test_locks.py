"""One process at a time."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import ExitStack

import pytest

from dovetail.shared.errors import Busy
from dovetail.shared.locks import held, holder, is_held, owner, owners, unlock

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


def test_one_that_is_held_as_what_ends_by_itself_is_waited_for(tmp_path):
    lock, first = tmp_path / "speed.lock", ExitStack()
    first.enter_context(held(lock, "a short one"))
    threading.Timer(1, first.close).start()
    with pytest.raises(Busy), held(lock, "the job", behind="another"):
        pass
    with held(lock, "the job", behind="a short one"):
        assert owner(lock).what == "the job"


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


def test_who_holds_a_lock_is_told_and_it_is_never_broken(tmp_path):
    lock = tmp_path / "speed-lines.lock"
    with held(lock, "the speed job of lines"):
        [found] = owners(tmp_path)
        assert (found.name, found.pid, found.here, found.lives) == ("speed-lines", os.getpid(), True, True)
        assert found.what == "the speed job of lines"
        with pytest.raises(Busy, match=rf"speed-lines is held by pid {os.getpid()} on .* \(which lives\)") as refused:
            unlock(lock)
        assert refused.value.next == f"kill {os.getpid()}, and if it is still there after 15 s: kill -9 {os.getpid()}"
        assert is_held(lock)
    assert owners(tmp_path) == []


def test_the_note_of_a_dead_owner_is_cleared(tmp_path):
    lock = tmp_path / "speed.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        process.kill()
    assert unlock(lock, dry_run=True).pid == process.pid
    gone = unlock(lock)
    assert (gone.pid, gone.lives, gone.held) == (process.pid, False, False)
    assert owner(lock) is None
    assert unlock(lock) is None
    with held(lock, "the next job"):
        assert owner(lock).pid == os.getpid()


def test_a_child_that_keeps_the_lock_of_its_dead_parent_is_not_taken_for_nobody(tmp_path):
    lock = tmp_path / "speed.lock"
    script = HOLDER.replace('print("held"', 'import os\n    if os.fork(): os._exit(0)\n    print(f"held {os.getpid()}"')
    with subprocess.Popen([sys.executable, "-c", script, str(lock)], stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline().split()[1])
        process.wait()
        try:
            with pytest.raises(Busy, match="which is gone") as refused:
                unlock(lock)
            assert refused.value.next.startswith(f"fuser {lock} names the process")
        finally:
            os.kill(child, signal.SIGKILL)


def test_on_another_machine_it_cannot_be_asked_whether_the_owner_lives(tmp_path, monkeypatch):
    lock = tmp_path / "speed.lock"
    with held(lock, "the job"):
        monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
        assert owner(lock).lives is None
        with pytest.raises(Busy, match="on another machine") as refused:
            unlock(lock)
    assert refused.value.next.startswith("dovetail unlock speed, on ")
