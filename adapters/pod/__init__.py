"""Proper orthogonal descriptors: adapter `pod` and files of LAMMPS's ``pair_style pod``."""

from crossprune.adapters.pod.adapter import Pod
from crossprune.adapters.pod.basis import Basis
from crossprune.adapters.pod.files import Coefficients
from crossprune.adapters.pod.options import PodOptions
from crossprune.adapters.pod.potential import PodPotential, read_potential

__all__ = ["Basis", "Coefficients", "Pod", "PodOptions", "PodPotential", "read_potential"]
