"""Options of POD fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossprune.adapters.linear.fitter import LinearOptions
from crossprune.adapters.pod.basis import BODIES, Basis


@dataclass(frozen=True)
class PodOptions(LinearOptions):
    """Descriptors and fit (Nguyen and Rohskopf 2023, doi:10.1016/j.jcp.2023.112030)."""

    ridge: float = 1e-11
    """Ridge strength, relative to the squared norm of each weighted column (dimensionless)."""
    cutoff: float = 5.0
    """Distance at which a neighbour's contribution ends, Å."""
    inner_cutoff: float = 1.0
    """Distance from which on the radial functions are optimal, Å; below the shortest one in the data."""
    bessel_polynomial_degree: int = 4
    """Bessel functions per scale, of which there are three."""
    inverse_polynomial_degree: int = 8
    """Inverse powers of the distance."""
    twobody_radial_functions: int = 10
    """Radial functions of pairs: the leading principal components of Bessel functions and inverse powers."""
    threebody_radial_functions: int = 8
    """Radial functions of triplets; 0 leaves triplets and all that follows out."""
    threebody_angular_degree: int = 6
    """Largest power of the cosine in a triplet."""
    fourbody_radial_functions: int = 4
    """Radial functions of quadruplets, at most those of triplets; 0 leaves them out."""
    fourbody_angular_degree: int = 5
    """Largest degree in the three cosines of a quadruplet."""
    fivebody_radial_functions: int = 0
    """Limit of radial functions in products of two three-body terms; 0 leaves them out."""
    fivebody_angular_degree: int = 0
    """Largest degree of such a product."""
    sixbody_radial_functions: int = 0
    """Limit of radial functions in products of a three-body and a four-body term; 0 leaves them out."""
    sixbody_angular_degree: int = 0
    """Largest degree of such a product."""
    sevenbody_radial_functions: int = 0
    """Limit of radial functions in products of two four-body terms; 0 leaves them out."""
    sevenbody_angular_degree: int = 0
    """Largest degree of such a product."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        self.basis(("X",))

    def basis(self, elements: Sequence[str]) -> Basis:
        """Return the hyper-parameters for some elements.

        Raises
        ------
        ValueError
            If LAMMPS has no such descriptors; see `Basis`.
        """
        radial = tuple(int(getattr(self, f"{body}body_radial_functions")) for body in BODIES)
        degrees = (0, *(int(getattr(self, f"{body}body_angular_degree")) for body in BODIES[1:]))
        return Basis(
            elements=tuple(elements),
            inner_cutoff=self.inner_cutoff,
            cutoff=self.cutoff,
            bessel=self.bessel_polynomial_degree,
            inverse=self.inverse_polynomial_degree,
            radial=radial,
            # a degree without functions says nothing, and LAMMPS would compare it with others
            degrees=tuple(degree if count else 0 for degree, count in zip(degrees, radial, strict=True)),
        )
