"""Limits on an external program, and what is left of it when it is gone."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest
from crossprune.adapters.programs.process import run
from crossprune.harness.errors import CellCrash, CellOutOfMemory, CellTimeout


def python(code):
    return [sys.executable, "-I", "-S", "-c", textwrap.dedent(code)]


def wait_until_gone(pid, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_reports_what_the_program_used(tmp_path):
    code = "import time; data = b'x' * 80_000_000; time.sleep(0.3)"
    done = run(python(code), tmp_path, timeout_s=30, memory_gb=1)
    # the data, and an interpreter of about 10 MB
    assert 80 < done.peak_memory_mb < 110
    assert 0.3 < done.wall_s < 10
    assert done.cpu_s > 0


def test_peak_memory_is_the_programs_own(tmp_path):
    ballast = bytearray(200_000_000)  # a forked child starts with its parent's peak
    ballast[::4096] = b"x" * len(ballast[::4096])
    done = run(python("import time; time.sleep(0.2)"), tmp_path, timeout_s=30, memory_gb=1)
    assert done.peak_memory_mb < 100


def test_runs_in_its_folder_and_keeps_the_output(tmp_path):
    done = run(
        python("import os, sys; print(os.getcwd()); print('warn', file=sys.stderr)"),
        tmp_path,
        timeout_s=30,
        memory_gb=1,
    )
    assert str(tmp_path) in done.tail
    assert "warn" in done.tail


def test_timeout_kills_the_program_and_its_children(tmp_path):
    code = """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
        open('child.pid', 'w').write(str(child.pid))
        print('working', flush=True)
        time.sleep(60)
    """
    start = time.monotonic()
    with pytest.raises(CellTimeout, match=r"longer than its 0.5 s; the end of its output:\nworking"):
        run(python(code), tmp_path, timeout_s=0.5, memory_gb=1)
    assert time.monotonic() - start < 5
    assert wait_until_gone(int((tmp_path / "child.pid").read_text()))


def test_memory_limit(tmp_path):
    code = "import time; data = b'x' * 200_000_000; time.sleep(60)"
    with pytest.raises(CellOutOfMemory, match=r"more than its 0.1 GB"):
        run(python(code), tmp_path, timeout_s=30, memory_gb=0.1)


def test_failed_allocation_is_out_of_memory(tmp_path):
    code = "import sys; sys.exit('Error allocating 9000 bytes: Allocation would exceed memory limit')"
    with pytest.raises(CellOutOfMemory, match="could not allocate"):
        run(python(code), tmp_path, timeout_s=30, memory_gb=1)


def test_segmentation_fault_is_a_crash(tmp_path):
    code = "import os, signal; print('so far', flush=True); os.kill(os.getpid(), signal.SIGSEGV)"
    with pytest.raises(CellCrash, match=r"SIGSEGV; the end of its output:\nso far"):
        run(python(code), tmp_path, timeout_s=30, memory_gb=1)


def test_exit_code_carries_the_end_of_the_output(tmp_path):
    code = "import sys; print('x' * 100_000); print('the reason'); sys.exit(3)"
    with pytest.raises(RuntimeError, match=r"exit code 3;(?s:.)*the reason") as caught:
        run(python(code), tmp_path, timeout_s=30, memory_gb=1)
    assert len(str(caught.value)) < 4000


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is of Linux")
def test_program_dies_with_its_parent(tmp_path):
    program = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"""
        import pathlib, sys
        from crossprune.adapters.programs.process import run
        run([sys.executable, '-c', {program!r}], pathlib.Path({str(tmp_path)!r}), timeout_s=60, memory_gb=1)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(parent)])
    pid_file = tmp_path / "pid"
    end = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert wait_until_gone(int(pid_file.read_text()))
