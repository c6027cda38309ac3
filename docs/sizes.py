"""Error of every family against its number of parameters and against its time, for docs/base-lines.md.

Run it as OMP_NUM_THREADS=1 python docs/sizes.py STORE, the folder of crossprune run studies/sizes.toml, on a
quiet machine: predictions of energies, forces and stress are timed. It prints a table and draws it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import crossprune
import matplotlib.pyplot as plt
import pandas as pd
from ase import Atoms
from crossprune.harness.contract import Potential
from crossprune.potentials import potential_of

PICTURE = Path(__file__).parent / "images" / "sizes.svg"
FAMILIES = ("ace", "chimes", "gap", "mtp", "nnp", "pod", "snap", "uf3")
N_FRAMES, TIMED_S = 20, 1.0
"""Test frames that are timed, and the processor time after which that ends, s; the fastest pass counts."""
ENERGY, FORCE = "energy_mae_mev_per_atom", "force_mae_ev_per_angstrom"


def ms_per_atom(potential: Potential, frames: list[Atoms]) -> float:
    """Return the processor time of one prediction per atom, ms."""
    potential.predict(frames[0])  # compiles
    fastest, begin = float("inf"), time.process_time()
    while fastest == float("inf") or time.process_time() - begin < TIMED_S:
        start = time.process_time()
        for atoms in frames:
            potential.predict(atoms)
        fastest = min(fastest, time.process_time() - start)
    return 1e3 * fastest / sum(map(len, frames))


def sizes(store: str) -> pd.DataFrame:
    """Return a row per data set and model: parameters, time, errors."""
    table = crossprune.results(store).query("split == 'test' and group == 'all' and status == 'done'")
    frames = {name: crossprune.load_frames(name, split="test")[:N_FRAMES] for name in set(table["dataset"])}
    rows = []
    for _, row in table.iterrows():
        print(f"timing {row['model']} on {row['dataset']}", file=sys.stderr, flush=True)
        potential = potential_of(row)
        rows.append(
            {
                "dataset": row["dataset"],
                "model": row["model"],
                "family": row["model"].split()[0],
                "parameters": int(potential.info["n_parameters"]),
                "ms/atom": ms_per_atom(potential, frames[row["dataset"]]),
                ENERGY: row[ENERGY],
                FORCE: row[FORCE],
                "fit_s": row["fit_s"],
            }
        )
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame) -> None:
    """Draw force errors against parameters and against time, a row of panels per data set."""
    datasets = sorted(set(table["dataset"]))
    figure, panels = plt.subplots(len(datasets), 2, figsize=(10, 4 * len(datasets)), squeeze=False)
    for dataset, of_dataset in zip(datasets, panels, strict=True):
        for column, panel in zip(("parameters", "ms/atom"), of_dataset, strict=True):
            for number, family in enumerate(FAMILIES):
                found = table.query("dataset == @dataset and family == @family").sort_values(column)
                panel.plot(found[column], found[FORCE], "os^DvPX*"[number] + "-", label=family, lw=0.7, ms=6)
            panel.set(xscale="log", yscale="log", title=dataset)
            panel.set_xlabel("parameters" if column == "parameters" else "ms per atom, one core")
            panel.set_ylabel("test force MAE, eV/Å")
            panel.grid(which="both", lw=0.2)
            panel.yaxis.set_major_formatter("{x:g}")
            panel.yaxis.set_minor_formatter("{x:g}")
    panels[0, 1].legend(fontsize=8)
    figure.tight_layout()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    """Print the table in Markdown and draw the picture."""
    plt.rcParams["svg.hashsalt"] = "sizes"
    table = sizes(sys.argv[1])
    draw(table)
    for dataset, found in table.groupby("dataset"):
        print(f"\n{dataset}\n\n| model | parameters | ms/atom | energy MAE | force MAE | fit, s |")
        print("|---|---|---|---|---|---|")
        for _, row in found.iterrows():
            words = (row["model"], row["parameters"], row["ms/atom"], row[ENERGY], row[FORCE], row["fit_s"])
            print("| {} | {:,} | {:.3f} | {:.2f} | {:.4f} | {:.1f} |".format(*words))


if __name__ == "__main__":
    main()
