"""LAMMPS and other programs run by themselves, whatever launched crossprune: mpiexec, srun, PMIx."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from crossprune.adapters.programs.launchers import alone, without_launcher
from crossprune.adapters.programs.process import OUTPUT, run

LAUNCHERS = [
    {"PMIX_RANK": "0", "PMIX_NAMESPACE": "x", "PMIX_SERVER_URI4": "x;tcp4://127.0.0.1:1"},
    {"PMIX_RANK": "0", "PMIX_NAMESPACE": "x"},
    {"PMI_RANK": "0", "PMI_SIZE": "1", "PMI_FD": "9"},
    {"PMI_RANK": "1", "PMI_SIZE": "2", "PMI_PORT": "localhost:1", "PMI_ID": "1"},
    {"PMI_FD": "9", "PMI_RANK": "0", "PMI_JOBID": "1.0", "SLURM_PROCID": "0", "SLURM_MPI_TYPE": "pmi2"},
    {"MPIR_CVAR_PMI_VERSION": "pmix"},
    {"MPICH_PMI_VERSION": "2"},
    {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "PRTE_LAUNCHED": "1", "PMIX_RANK": "1"},
]
KEPT = {
    "OMP_NUM_THREADS": "1",
    "MPIR_CVAR_CH4_NETMOD": "ofi",
    "FI_PROVIDER": "tcp",
    "PMICROSCOPE": "1",
    "PATH": "x",
}
PREDICT = """
import json, os
from ase.build import bulk
from crossprune.adapters.programs import read_potential
before = dict(os.environ)
potential = read_potential("sw:Si.sw")
energy = potential.predict(bulk("Si")).energy
changed = {name for name, value in before.items() if os.environ.get(name) != value}
assert changed <= {"LD_LIBRARY_PATH"}, changed  # the wheel sets that
other = read_potential("sw:Si.sw").predict(bulk("Si")).energy
print("ENERGIES", json.dumps([energy, other]))
"""


def called(words, **launcher):
    environment = without_launcher(os.environ) | launcher
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    found = (line.partition("ENERGIES ") for line in done.stdout.splitlines())
    return [json.loads(energies) for _, mark, energies in found if mark]


@pytest.fixture(scope="module")
def expected(require_adapter):
    require_adapter("snap")
    [energies] = called([sys.executable, "-c", PREDICT])
    return energies


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS, ids=" ".join)
def test_lammps_joins_nobody_and_the_environment_stays(expected, launcher):
    assert called([sys.executable, "-c", PREDICT], **launcher) == [expected]


@pytest.mark.skipif(sys.platform != "linux", reason="shared memory has a name in /dev/shm on Linux only")
def test_no_shared_memory_of_a_lammps_outlives_its_process(expected):
    code = f"{PREDICT}\nprint([line for line in open('/proc/self/maps') if 'mpich_shm' in line])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mapped = re.findall(r"mpich_shm_\w+( \(deleted\))?", done.stdout)
    assert mapped, "MPICH keeps it elsewhere now"
    assert all(mapped), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("n_processes", [1, 2])
def test_each_process_of_mpiexec_has_a_lammps_of_its_own(expected, n_processes):
    mpiexec = Path(sys.prefix) / "bin" / "mpiexec"
    if not mpiexec.exists():
        pytest.skip(f"no {mpiexec}: this mpich has no launcher")
    words = [str(mpiexec), "-n", str(n_processes), sys.executable, "-c", PREDICT]
    assert called(words) == [expected] * n_processes


@pytest.mark.parametrize("launcher", LAUNCHERS, ids=" ".join)
def test_variables_of_launchers_are_left_out_and_no_others(launcher):
    assert without_launcher({**KEPT, **launcher}) == KEPT


def test_what_was_hidden_is_put_back_after_an_error(monkeypatch):
    monkeypatch.setenv("PMIX_RANK", "3")

    def fail():
        with alone():
            raise RuntimeError(str("PMIX_RANK" in os.environ))

    with pytest.raises(RuntimeError, match="False"):
        fail()
    assert os.environ["PMIX_RANK"] == "3"


def test_a_program_does_not_see_the_launcher(monkeypatch, tmp_path):
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("SOMETHING", "else")
    code = "import os; print(sorted({'PMI_RANK', 'SOMETHING'} & set(os.environ)))"
    run([sys.executable, "-I", "-S", "-c", code], tmp_path, timeout_s=30, memory_gb=1)
    assert (tmp_path / OUTPUT).read_text().strip() == "['SOMETHING']"
