"""Draw the fixed split of si-pbe and write split.json beside this file: python3 split.py."""

import json
from pathlib import Path

from crossprune.harness.data.files.formats import read_file
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.frames import group_of
from crossprune.harness.data.splits import block_split, stratified_split

SEED = 20260611
TEST_FRACTION = 0.2
OOD_GROUPS = ("bcc", "interstitial")
MD_PREFIX = "md-"


def draw(records):
    """Return part -> frame indices: ood by group, MD in blocks, the rest stratified by group."""
    groups = [group_of(record.atoms) for record in records]
    parts = {index: "ood" for index, group in enumerate(groups) if group in OOD_GROUPS}
    hot = [index for index, group in enumerate(groups) if group.startswith(MD_PREFIX)]
    cold = [index for index in range(len(groups)) if index not in parts and index not in set(hot)]
    blocks = block_split(
        [groups[index] for index in hot],
        [records[index].order for index in hot],
        test_fraction=TEST_FRACTION,
        seed=SEED,
    )
    strata = stratified_split([groups[index] for index in cold], test_fraction=TEST_FRACTION, seed=SEED)
    parts |= dict(zip(hot, blocks)) | dict(zip(cold, strata))
    lists = {part: sorted(i for i, p in parts.items() if p == part) for part in ("train", "test", "ood")}
    return {"seed": SEED, "test_fraction": TEST_FRACTION, "ood_groups": list(OOD_GROUPS), **lists}


if __name__ == "__main__":
    folder = Path(__file__).parent
    lists = draw(read_file(folder / "frames.extxyz.gz", Keys(order="step")).records)
    (folder / "split.json").write_text(json.dumps(lists) + "\n")
