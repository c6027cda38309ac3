"""Say what a command took, with all its processes: ``python benchmarks/watched.py COMMAND …``."""

from __future__ import annotations

import subprocess
import sys
import time

from crossprune.harness.engine.processes.memory import private_gb

INTERVAL_S = 0.5


def main() -> int:
    """Watch until the command ends."""
    start, most = time.monotonic(), 0.0
    process = subprocess.Popen(sys.argv[1:])
    while process.poll() is None:
        most = max(most, private_gb(process.pid))
        time.sleep(INTERVAL_S)
    print(f"exit {process.returncode}, {time.monotonic() - start:.0f} s, at most {most:.2f} GB in all")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
