"""Saved potentials that are damaged, or made to do harm: one clear error, for every family and file."""

from __future__ import annotations

import functools
import io
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from crossprune.harness.checks import Subject
from crossprune.harness.contract import HEADER
from crossprune.harness.contract.saved import LAYOUT, write_header
from crossprune.harness.errors import DataError, UserError
from crossprune.harness.lookup import adapter_class, load_potential

FILES = {
    "ace": ("potential.yaml",),
    "chimes": ("chimes.json", "params.txt"),
    "gap": ("cutoff.txt", "gap.xml", "gap.xml.sparseX.GAP_crossprune1", "gap.xml.sparseX.GAP_crossprune2"),
    "mean": ("mean.json",),
    "mtp": ("potential.mtp",),
    "nnp": ("nnp.npz",),
    "pod": ("lammps.json", "model_coeff.pod", "model_param.pod"),
    "snap": ("lammps.json", "model.snapcoeff", "model.snapparam"),
    "uf3": ("uf3.json",),
}
COMPILED = ("ace", "chimes", "mtp", "nnp", "uf3")
"""Families whose first fit compiles its kernels, which takes seconds."""


@functools.cache
def subject(family: str) -> Subject:
    return Subject(adapter_class(family))


@pytest.fixture(scope="session")
def saved(require_adapter, tmp_path_factory):
    """Return ``saved(family)``: the folder of a potential that must not be changed."""

    @functools.cache
    def save(family: str) -> Path:
        require_adapter(family)
        folder = tmp_path_factory.mktemp("saved") / family
        subject(family).potential.save(folder)
        return folder

    return save


def flipped(content: bytes, n_bits: int) -> bytes:
    rng, changed = random.Random(n_bits), bytearray(content)
    for place in rng.sample(range(8 * len(changed)), min(n_bits, 8 * len(changed))):
        changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def newer(content: bytes) -> bytes:
    """Write as a later version might: another number of the layout, or something unknown."""
    if content.startswith(b"PK"):
        arrays = dict(np.load(io.BytesIO(content)))
        arrays["header"] = np.array(json.dumps({**json.loads(str(arrays["header"])), "layout": 99}))
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        return stream.getvalue()
    if content.startswith(b"{"):
        return json.dumps({**json.loads(content), "layout": 99}).encode()
    return b"layout 99\n" + content


DAMAGE = {
    "missing": lambda path, old: path.unlink(),
    "empty": lambda path, old: path.write_bytes(b""),
    "cut": lambda path, old: path.write_bytes(old[: len(old) // 2]),
    "flipped": lambda path, old: path.write_bytes(flipped(old, 20)),
    "garbage": lambda path, old: path.write_bytes(random.Random(1).randbytes(len(old))),
    "directory": lambda path, old: (path.unlink(), path.mkdir()),
    "newer": lambda path, old: path.write_bytes(newer(old)),
}


def families():
    return [pytest.param(one, marks=pytest.mark.slow if one in COMPILED else ()) for one in FILES]


def damaged(folder: Path, target: Path, name: str, damage: str) -> Path:
    shutil.copytree(folder, target)
    path = target / name
    DAMAGE[damage](path, path.read_bytes())
    return target


def signed(folder: Path) -> Path:
    """Make the header's checksums right again, as whoever means harm would."""
    header = json.loads((folder / HEADER).read_text())
    (folder / HEADER).unlink()
    write_header(folder, header["adapter"], header["elements"], header["info"])
    return folder


@pytest.mark.parametrize("family", families())
def test_the_files_of_a_saved_potential_are_these(family, saved):
    assert sorted(path.name for path in saved(family).iterdir()) == sorted((HEADER, *FILES[family]))
    found = load_potential(saved(family)).predict(subject(family).probe)
    assert found.energy == pytest.approx(subject(family).potential.predict(subject(family).probe).energy)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("family", families())
def test_damage_to_any_file_is_one_clear_error(family, damage, saved, tmp_path):
    for name in (HEADER, *FILES[family]):
        folder = damaged(saved(family), tmp_path / name / "potential", name, damage)
        with pytest.raises(DataError, match=str(folder)) as caught:
            load_potential(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("family", families())
def test_readers_do_not_rest_on_the_checksums(family, damage, saved, tmp_path):
    for name in FILES[family]:
        folder = signed(damaged(saved(family), tmp_path / name / "potential", name, damage))
        if damage == "cut" and (folder / name).read_bytes() == (saved(family) / name).read_bytes().strip():
            continue  # a number without its line end is whole
        try:
            found = load_potential(folder).predict(subject(family).probe)
        except UserError:
            continue
        assert damage in ("flipped", "newer"), f"{name}, {damage}: read as if it were whole"
        assert np.isfinite(found.energy)
        assert np.isfinite(found.forces).all()


@pytest.mark.parametrize("n_bits", [1, 2, 3])
@pytest.mark.parametrize("family", families())
def test_a_few_flipped_bits_are_found_by_the_checksums(family, n_bits, saved, tmp_path):
    for name in (HEADER, *FILES[family]):
        folder = tmp_path / name / "potential"
        shutil.copytree(saved(family), folder)
        (folder / name).write_bytes(flipped((folder / name).read_bytes(), n_bits))
        with pytest.raises(DataError):
            load_potential(folder)


def test_a_header_of_a_newer_version_says_so(saved, tmp_path):
    folder = tmp_path / "potential"
    shutil.copytree(saved("mean"), folder)
    header = {**json.loads((folder / HEADER).read_text()), "layout": LAYOUT + 1}
    (folder / HEADER).write_text(json.dumps(header))
    with pytest.raises(DataError, match=r"layout 3, this version reads 2; take a newer version"):
        load_potential(folder)


@pytest.mark.parametrize("name", ["../mean.json", "/etc/hostname"])
def test_a_header_names_no_file_outside_its_folder(name, saved, tmp_path):
    folder = tmp_path / "potential"
    shutil.copytree(saved("mean"), folder)
    (tmp_path / "mean.json").write_bytes((folder / "mean.json").read_bytes())
    header = json.loads((folder / HEADER).read_text())
    reseal(folder, header, files={name: "0" * 64, **header["files"]})
    with pytest.raises(DataError, match="names files outside its folder"):
        load_potential(folder)


@pytest.mark.parametrize("adapter", ["os:system", "../mean", "crossprune.adapters.mean:Mean", "broken"])
def test_a_header_names_no_code(adapter, saved, tmp_path):
    folder = tmp_path / "potential"
    shutil.copytree(saved("mean"), folder)
    reseal(folder, json.loads((folder / HEADER).read_text()), adapter=adapter)
    with pytest.raises(UserError):
        load_potential(folder)


@pytest.mark.parametrize("elements", [["Cu", "Au"], ["Au"], ["Cu; shell ls"], "Cu", [], [7]])
def test_a_header_says_the_elements_of_its_parameters(elements, saved, tmp_path):
    folder = tmp_path / "potential"
    shutil.copytree(saved("mean"), folder)
    reseal(folder, json.loads((folder / HEADER).read_text()), elements=elements)
    with pytest.raises(DataError, match=r"elements|the parameters are of"):
        load_potential(folder)


def reseal(folder: Path, header: dict, **changes: object) -> None:
    """Change a header and make its own checksum right."""
    from crossprune.harness.contract import saved as module

    changed = {key: value for key, value in {**header, **changes}.items() if key != "checksum"}
    (folder / HEADER).write_text(json.dumps({**changed, "checksum": module._checksum(changed)}))


GAP_ATTACKS = {
    "program": (b"IP GAP label=GAP_crossprune", b"FilePot command={touch MARK;}"),
    "second potential": (b"<GAP_params", b'<Potential label="x" init_args="FilePot command=x"/><GAP_params'),
    "path": (b"gap.xml.sparseX.GAP_crossprune1", b"../../secret"),
    "document type": (
        b"<GAP_crossprune>",
        b'<!DOCTYPE x [<!ENTITY y SYSTEM "/etc/passwd">]><GAP_crossprune>',
    ),
    "unknown": (b'do_core="F"', b'do_core="T"'),
    "not finite": (b'signal_mean="0.0"', b'signal_mean="NaN"'),
}


@pytest.mark.parametrize("attack", GAP_ATTACKS)
def test_quip_is_given_a_gap_and_nothing_else(attack, saved, tmp_path):
    folder, mark = tmp_path / "potential", tmp_path / "mark"
    shutil.copytree(saved("gap"), folder)
    old, new = GAP_ATTACKS[attack]
    content = (folder / "gap.xml").read_bytes()
    assert old in content
    (folder / "gap.xml").write_bytes(content.replace(old, new.replace(b"MARK", str(mark).encode()), 1))
    with pytest.raises(DataError, match=r"gap\.xml"):
        load_potential(signed(folder)).predict(subject("gap").probe)
    assert not mark.exists()


class Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_archives_of_networks_are_read_without_pickles(require_adapter, tmp_path):
    require_adapter("nnp")
    folder, mark = tmp_path / "potential", tmp_path / "mark"
    folder.mkdir()
    np.savez(folder / "nnp.npz", header=np.array([Harm(mark)], dtype=object))
    write_header(folder, "nnp", ["Cu"], {})
    with pytest.raises(DataError, match="no readable networks"):
        load_potential(folder)
    assert not mark.exists()


@pytest.mark.parametrize("ending", ["yaml", "yace"])
def test_yaml_is_read_without_objects(ending, require_adapter, tmp_path):
    require_adapter("ace")
    path, mark = tmp_path / f"sent.{ending}", tmp_path / "mark"
    path.write_text(f"species: !!python/object/apply:os.system ['touch {mark}']\n")
    with pytest.raises(DataError, match=str(path)):
        load_potential(f"ace:{path}")
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match=str(path)):
        load_potential(f"ace:{path}")
    assert not mark.exists()


@pytest.mark.slow
def test_evaluate_runs_nothing_that_a_folder_holds(require_adapter, tmp_path):
    require_adapter("snap")
    folder, mark = tmp_path / "sent", tmp_path / "mark"
    folder.mkdir()
    recipe = {"elements": ["Si"], "commands": [f"shell touch {mark}"], "files": []}
    (folder / "lammps.json").write_text(json.dumps(recipe))
    write_header(folder, "lammps", ["Si"], {})
    call = [sys.executable, "-m", "crossprune.harness.cli.main", "evaluate", str(folder), "--data", "si-pbe"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert not mark.exists()
    assert "LAMMPS is given no other command" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
