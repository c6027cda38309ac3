"""Where models are computed and which weights they have: what a study may name, and what keys hold."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys

import numpy as np
import pytest
from crossprune.adapters.universal import Universal, UniversalOptions
from crossprune.adapters.universal.messages import receive, send
from crossprune.adapters.universal.places import (
    ENVIRONMENTS,
    TRUSTED,
    folder_of,
    place_of,
    stated,
    versions_of,
    weights_of,
)
from crossprune.harness.errors import MissingPackage, StudyError

PACKAGES = {"matgl": "4.1.2", "torch_geometric": "2.8.1", "numpy": "2.4.6", "torch": "2.13.0"}
MACE = {"mace_torch": "0.3.16", "e3nn": "0.4.4", "numpy": "2.4.6", "torch": "2.13.0"}


@pytest.fixture
def environments(tmp_path, monkeypatch):
    """Make folders that look like virtual environments, and allow them."""
    for name, packages in (("graphs", PACKAGES), ("mace", MACE)):
        site = tmp_path / "allowed" / name / "lib" / "python3.12" / "site-packages"
        site.mkdir(parents=True)
        (tmp_path / "allowed" / name / "pyvenv.cfg").write_text("")
        for package, version in packages.items():
            folder = site / f"{package}-{version}.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: {version}\n"
            )
    monkeypatch.setenv(ENVIRONMENTS, str(tmp_path / "allowed"))
    return tmp_path / "allowed"


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Write two files that stand for the weights of a model of matgl, by name beside the data."""
    folder = tmp_path / "data" / "universal" / "some-model"
    folder.mkdir(parents=True)
    for name in ("model.pt", "state.pt"):
        (folder / name).write_bytes(name.encode())
    monkeypatch.setenv("CROSSPRUNE_DATA", f"/nowhere:{tmp_path / 'data'}")
    return folder


def test_environments_are_those_that_the_user_allows(environments, tmp_path, monkeypatch):
    assert folder_of("graphs") == environments / "graphs"
    assert folder_of(str(environments / "graphs")) == environments / "graphs"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "pyvenv.cfg").write_text("")
    for bad in (str(elsewhere), "../elsewhere", "graphs/../../elsewhere", "nothing", str(environments)):
        with pytest.raises(StudyError, match="no virtual environment inside a folder of CROSSPRUNE_ENVIRON"):
            folder_of(bad)
    monkeypatch.delenv(ENVIRONMENTS)
    with pytest.raises(StudyError, match="not set"):
        folder_of(str(environments / "graphs"))


def test_versions_are_read_where_the_model_is_computed(environments):
    options = UniversalOptions(model="matgl:some-model", environment="graphs")
    assert versions_of(options) == {one.replace("_", "-"): version for one, version in PACKAGES.items()}
    beside = environments / "graphs" / "lib" / "python3.12" / "site-packages" / "ase-3.26.dist-info"
    beside.mkdir()
    (beside / "METADATA").write_text("Metadata-Version: 2.1\nName: ase\nVersion: 3.26\n")
    assert versions_of(options)["ase"] == "3.26"
    with pytest.raises(
        MissingPackage,
        match=r"'chgnet:0.3.0' in the environment 'graphs' .*needs chgnet: pip install 'chgnet'",
    ):
        versions_of(UniversalOptions(model="chgnet:0.3.0", environment="graphs"))


def test_keys_hold_the_content_of_weights_not_their_place(environments, weights, tmp_path):
    named = UniversalOptions(model="matgl:some-model", environment="graphs")
    assert weights_of(named) == weights
    by_path = UniversalOptions(model=f"matgl:{weights}", environment="graphs", device="cpu")
    assert Universal.rests_on(named) == Universal.rests_on(by_path)
    before = stated(named)["weights"]
    (weights / "state.pt").write_bytes(b"other weights")
    assert stated(named)["weights"] != before
    assert Universal.rests_on(named) != Universal.rests_on(
        UniversalOptions(head="scale", model=named.model, environment="graphs")
    )
    assert not {"epochs", "ridge", "environment", "device", "model"} & Universal.rests_on(named).keys()


def test_what_there_is_no_model_of_is_said(environments, weights, monkeypatch):
    for model, words in {
        "chgnt:0.3.0": "did you mean 'chgnet'",
        "matgl:other/model": "folder with model.pt and state.pt",
        "matgl:": "no whole path",
        "matgl:~nobody-at-all/x": "no weights there",
        f"sevenn:{'a' * 5000}": "no weights there",
    }.items():
        with pytest.raises(StudyError, match=words):
            weights_of(UniversalOptions(model=model, environment="graphs"))
    with pytest.raises(ValueError, match="PACKAGE:MODEL"):
        UniversalOptions(model="chgnet")


def test_levels_of_theory_are_asked_for_before_anything_is_computed():
    with pytest.raises(StudyError, match='give modal = "PBE" or modal = "R2SCAN"'):
        Universal.rests_on(UniversalOptions(model="sevenn:7net-mf-0"))
    for model in ("chgnet:0.3.0", "sevenn:7net-0", "matgl:some", "diep:fold1"):
        with pytest.raises(StudyError, match=r"modal is 'PBE', and .* has none; leave it out"):
            Universal.rests_on(UniversalOptions(model=model, modal="PBE"))


def test_networks_of_different_authors_are_no_kin():
    names = ("chgnet:0.3.0", "chgnet:r2scan", "sevenn:7net-0", "matgl:M3GNet-a", "matgl:TensorNet-b")
    kin = [Universal.lineage(UniversalOptions(model=one)) for one in names]
    assert kin[0] == kin[1]
    assert len(set(kin)) == 4


def test_the_working_directory_says_nothing(environments, weights, tmp_path, monkeypatch):
    """Neither a file of a published name there, nor a path relative to it, is what a study names."""
    site = environments / "graphs" / "lib" / "python3.12" / "site-packages"
    own = site / "sevenn" / "pretrained_potentials" / "SevenNet_0__11Jul2024" / "checkpoint_sevennet_0.pth"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"published")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7net-0").write_bytes(b"another")
    assert weights_of(UniversalOptions(model="sevenn:7net-0", environment="graphs")) == own
    with pytest.raises(StudyError, match="whole path"):
        weights_of(UniversalOptions(model="sevenn:./7net-0", environment="graphs"))


def test_allowed_folders_may_be_written_in_any_way(environments, monkeypatch):
    monkeypatch.setenv(ENVIRONMENTS, str(environments / ".." / "allowed"))
    assert folder_of("graphs") == environments / "graphs"


def test_weights_that_hold_code_need_trust(environments, tmp_path, monkeypatch):
    file = tmp_path / "some.model"
    file.write_bytes(b"code")
    options = UniversalOptions(model=f"mace:{file}", environment="mace")
    digest = hashlib.sha256(b"code").hexdigest()
    with pytest.raises(StudyError, match=f"runs code that is in the file.*{TRUSTED}={digest}"):
        place_of(options)
    monkeypatch.setenv(TRUSTED, f"{'0' * 64}:{digest}")
    assert place_of(options).weights == file
    file.write_bytes(b"other code")
    with pytest.raises(StudyError, match="runs code"):
        place_of(options)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"epochs": 0}, "epochs and batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"validation": 1.0}, "validation"),
        ({"regularisation": "evidence"}, "head = 'linear' only"),
        ({"reweight": True}, "head = 'linear' only"),
        ({"energy_weight": 0.0}, "fits energies per element"),
        ({"energy_weight": 1.0, "force_weight": 0.0, "head": "scale"}, "fits a factor on forces"),
        ({"energy_weight": -1.0}, "energy_weight"),
    ],
)
def test_options_out_of_bounds(wrong, words):
    with pytest.raises(ValueError, match=words):
        UniversalOptions(**wrong)


def test_an_environment_that_cannot_start_is_said(environments, weights):
    options = UniversalOptions(model="matgl:some-model", environment="graphs")
    with pytest.raises(StudyError, match="does not start"):
        Universal(["Mo"], options).features_many([])


def test_this_side_of_the_pipe_needs_no_pytorch():
    code = "import sys, crossprune.adapters.universal; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("says", ["echo hello, and more than sixteen letters", "exit 3"])
def test_a_python_that_says_something_else(environments, weights, says):
    program = environments / "graphs" / "bin" / "python"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    with pytest.raises(StudyError, match=r"does not answer as one: it printed b'hello|ended with [03]"):
        Universal(["Mo"], UniversalOptions(model="matgl:some-model", environment="graphs")).features_many([])


def test_messages_are_arrays_and_plain_values_only():
    stream = io.BytesIO()
    send(stream, {"do": "it", "mix": np.arange(3.0), "weights": ["a"]})
    found = receive(io.BytesIO(stream.getvalue()))
    assert found is not None
    assert (found["do"], found["weights"]) == ("it", ["a"])
    assert np.array_equal(found["mix"], np.arange(3.0))
    assert receive(io.BytesIO(stream.getvalue()[:-1])) is None
    send(stream := io.BytesIO(), {"evil": np.array([object()])})
    with pytest.raises(ValueError, match="allow_pickle"):
        receive(io.BytesIO(stream.getvalue()))
