"""Write frames.extxyz.gz and split.json beside this file: python3 pair.py r2SCAN.extxyz (what label_r2scan.py made).

A structure of si-pbe per frame, with the labels of both functionals; the split is that of si-pbe.
"""

import gzip
import io
import json
import sys
from pathlib import Path

import numpy as np
from ase.io import read, write

HERE = Path(__file__).parent
PBE = HERE.parent / "si-pbe"
with gzip.open(PBE / "frames.extxyz.gz", "rt") as stream:
    low = {atoms.info["index"]: atoms for atoms in read(stream, ":", format="extxyz")}
split = json.loads((PBE / "split.json").read_text())
part_of = {index: part for part in ("train", "test", "ood") for index in split[part]}
frames, parts = [], {"train": [], "test": [], "ood": []}
for high in sorted(read(sys.argv[1], ":"), key=lambda atoms: atoms.info["index"]):
    index = high.info["index"]
    other = low[index]
    assert np.allclose(high.positions, other.positions, atol=1e-7) and np.allclose(high.cell, other.cell)
    high.info["pbe_energy"] = other.get_potential_energy()
    high.info["pbe_stress"] = other.get_stress(voigt=False).ravel()
    high.arrays["pbe_forces"] = other.get_forces()
    if "step" in other.info:
        high.info["step"] = other.info["step"]
    parts[part_of[index]].append(len(frames))
    frames.append(high)
text = io.StringIO()
write(text, frames, format="extxyz")
(HERE / "frames.extxyz.gz").write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))
lists = {name: split[name] for name in ("seed", "test_fraction", "ood_groups")}
(HERE / "split.json").write_text(json.dumps({**lists, **parts}) + "\n")
