"""Compare the speed of this checkout with another revision: alternately, on this machine, in one go.

    python benchmarks/compare.py BASE [--repetitions 3]

Exit code 1 only if a benchmark is slower than at BASE in every repetition, by more than 25 % and by
more than the noise floor; 0 otherwise, also if BASE has nothing to compare with (it says so).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("harness", "adapters", "datasets", "reports")
SLOWER = 1.25
NOISE_FLOOR_S = 50e-6
"""Differences of the fastest round below this are the timer's and the scheduler's."""
PYTEST = ["tests/benchmarks", "--benchmark-only", "-q", "-p", "no:cacheprovider"]
PYTEST += ["--benchmark-max-time=0.5", "--benchmark-min-rounds=3", "-m", "not slow"]

Times = Mapping[str, float]


def regressions(base: Sequence[Times], head: Sequence[Times]) -> dict[str, list[float]]:
    """Find benchmarks that are slower in every repetition; name to the ratios head/base.

    Parameters
    ----------
    base, head
        Per repetition: benchmark name to the time of its fastest round, s.
    """
    common = set.intersection(*(set(times) for times in (*base, *head)))
    found = {}
    for name in sorted(common):
        pairs = [(old[name], new[name]) for old, new in zip(base, head, strict=True)]
        if all(new > SLOWER * old and new - old > NOISE_FLOOR_S for old, new in pairs):
            found[name] = [new / old for old, new in pairs]
    return found


def measure(tree: Path, links: Path, output: Path) -> Times:
    """Run one revision's own benchmarks with its own code."""
    command = [sys.executable, "-m", "pytest", *PYTEST, f"--benchmark-json={output}"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(links),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmarks of {tree} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return {one["fullname"]: one["stats"]["min"] for one in json.loads(output.read_text())["benchmarks"]}


def link(tree: Path, folder: Path) -> Path:
    """Make ``folder/crossprune`` whose packages are those of ``tree``; older revisions have no ``api/``."""
    (folder / "crossprune").mkdir(parents=True)
    for path in [*(tree / package for package in PACKAGES), *(tree / "api").glob("*.py")]:
        (folder / "crossprune" / path.name).symlink_to(path)
    return folder


def git(*words: str) -> subprocess.CompletedProcess[str]:
    """Run git in the repository."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)


def main() -> int:
    """Run the comparison; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", help="revision to compare with, such as main or HEAD~1")
    parser.add_argument("--repetitions", type=int, default=3, help="times that each is measured (default 3)")
    options = parser.parse_args()
    commit = git("rev-parse", "--verify", "--quiet", f"{options.base}^{{commit}}").stdout.strip()
    if not commit:
        print(f"nothing to compare with: there is no revision {options.base!r}")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder, tree = Path(name), Path(name) / "base"
        added = git("worktree", "add", "--detach", str(tree), commit)
        if added.returncode:
            raise SystemExit(added.stderr)
        try:
            if not (tree / "tests" / "benchmarks").is_dir():
                print(f"nothing to compare with: {options.base} has no benchmarks")
                return 0
            return compare(tree, folder, options.base, options.repetitions)
        finally:
            git("worktree", "remove", "--force", str(tree))


def compare(tree: Path, folder: Path, name: str, repetitions: int) -> int:
    """Measure both in turn, print the ratios, return the exit code."""
    sides = {"base": (tree, link(tree, folder / "b")), "head": (ROOT, link(ROOT, folder / "h"))}
    times: dict[str, list[Times]] = {"base": [], "head": []}
    for repetition in range(repetitions):
        # The order alternates, so that a machine that slows down harms both alike.
        for side in ("base", "head") if repetition % 2 == 0 else ("head", "base"):
            print(f"repetition {repetition + 1} of {repetitions}: {side}", flush=True)
            times[side].append(measure(*sides[side], folder / f"{side}{repetition}.json"))
    slower = regressions(times["base"], times["head"])
    for one in sorted(set(times["base"][0]) & set(times["head"][0])):
        ratios = [new[one] / old[one] for old, new in zip(times["base"], times["head"], strict=True)]
        mark = "SLOWER" if one in slower else ""
        print(f"{one.partition('::')[2]:50} {'  '.join(f'{ratio:5.2f}' for ratio in ratios)}  {mark}")
    print(f"time of this checkout / time at {name}, fastest round of each repetition")
    if slower:
        print(f"{len(slower)} benchmarks are slower in every repetition by more than {SLOWER - 1:.0%}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
