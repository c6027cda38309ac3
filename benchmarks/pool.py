"""Write a large pool of rattled silicon, 8 atoms a frame: ``python benchmarks/pool.py 1000000 pool.xyz``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ase.build import bulk

HEADER = (
    'Lattice="{0:.6f} 0.0 0.0 0.0 {0:.6f} 0.0 0.0 0.0 {0:.6f}" Properties=species:S:1:pos:R:3 '
    'group=rattled-{1:.1f} pbc="T T T"'
)
LARGEST = 0.5
"""Å; rattles are uniform in size up to it, as if heated to the melt."""


def write_pool(n_frames: int, path: Path, seed: int = 0) -> None:
    """Write diamond cells of 8 atoms, strained by up to 5 % and rattled by up to `LARGEST`."""
    rng = np.random.default_rng(seed)
    crystal = bulk("Si", cubic=True)
    with path.open("w", encoding="utf-8") as stream:
        for _ in range(n_frames):
            scale, size = rng.uniform(0.95, 1.05), rng.uniform(0.0, LARGEST)
            positions = scale * crystal.positions + size * rng.normal(size=(8, 3)) / np.sqrt(3)
            stream.write(f"8\n{HEADER.format(5.43 * scale, round(size, 1))}\n")
            stream.writelines(f"Si {x:.8f} {y:.8f} {z:.8f}\n" for x, y, z in positions.tolist())


if __name__ == "__main__":
    write_pool(int(sys.argv[1]), Path(sys.argv[2]))
