"""The model families, as names only: what each offers can be read without importing its code."""

from __future__ import annotations

from crossprune.harness.contract.family import Family, FileFormat

FAMILIES: tuple[Family, ...] = (
    Family(
        name="ace",
        adapter="crossprune.adapters.ace:Ace",
        about="ACE invariants as latent space and as the basis of a linear model.",
        requires="crossprune[ace]",
        readers={"ace": "crossprune.adapters.ace:read_potential"},
        files=dict.fromkeys(("*.yace", "*.ace", "potential.yaml"), "ace:{file}"),
        potentials={"pace": "crossprune.adapters.ace:PacePotential"},
        recipe="crossprune.adapters.ace.recipe:recipe_of",
        formats={
            "pacemaker": FileFormat(
                endings=(".pckl.gzip", ".pkl.gz"), writer="crossprune.adapters.programs:write_frames"
            )
        },
    ),
    Family(
        name="broken",
        adapter="crossprune.adapters.broken:Broken",
        about="For tests of the harness: raises, crashes, hangs or takes all memory.",
    ),
    Family(
        name="chimes",
        adapter="crossprune.adapters.chimes:Chimes",
        about="Chebyshev cluster terms as latent space and as the basis of a linear model.",
        requires="crossprune[chimes]",
        readers={"chimes": "crossprune.adapters.chimes:read_parameters"},
        files={"params.txt": "chimes:{file}", "*.params.txt": "chimes:{file}"},
        recipe="crossprune.adapters.chimes.recipe:recipe_of",
    ),
    Family(
        name="composition",
        adapter="crossprune.adapters.descriptors.composition:Composition",
        about="Fractions of the elements and volume per atom as latent space, the chooser to beat; no model.",
    ),
    Family(
        name="dscribe",
        adapter="crossprune.adapters.descriptors.dscribe:DScribe",
        about="SOAP or symmetry functions of DScribe as latent space; no model.",
        requires="crossprune[dscribe]",
    ),
    Family(
        name="euler",
        adapter="crossprune.adapters.descriptors.euler:Euler",
        about="Euler characteristic curves of whole structures as latent space; no model.",
        requires="crossprune[euler]",
    ),
    Family(
        name="featomic",
        adapter="crossprune.adapters.descriptors.featomic:Featomic",
        about="SOAP power spectra of featomic as latent space; no model.",
        requires="crossprune[featomic]",
    ),
    Family(
        name="gap",
        adapter="crossprune.adapters.gap:Gap",
        about="SOAP power spectra as features; fits by linear algebra on prepared rows, or by gap_fit.",
        requires="crossprune[gap]",
        recipe="crossprune.adapters.gap.recipe:recipe_of",
    ),
    Family(
        name="mean",
        adapter="crossprune.adapters.mean:Mean",
        about="Energies per element by least squares; features are the element and the number density.",
    ),
    Family(
        name="mtp",
        adapter="crossprune.adapters.mtp:Mtp",
        about="Contractions of moment tensors as latent space and as the basis of a model.",
        requires="crossprune[mtp]",
        readers={"mtp": "crossprune.adapters.mtp:read_potential"},
        files={"*.mtp": "mtp:{file}"},
        recipe="crossprune.adapters.mtp.recipe:recipe_of",
    ),
    Family(
        name="nnp",
        adapter="crossprune.adapters.nnp:Nnp",
        about="Symmetry functions as latent space and as inputs of a network per element.",
        requires="crossprune[nnp]",
        readers={"nnp": "crossprune.adapters.nnp:read_potential"},
        files={"input.nn": "nnp:{folder}"},
        recipe="crossprune.adapters.nnp.recipe:recipe_of",
    ),
    Family(
        name="pod",
        adapter="crossprune.adapters.pod:Pod",
        about="Proper orthogonal descriptors as latent space and as the basis of a linear model.",
        requires="crossprune[pod]",
        readers={"pod": "crossprune.adapters.pod:read_potential"},
        files={"*_param.pod": "pod:{file}"},
        recipe="crossprune.adapters.pod.recipe:recipe_of",
    ),
    Family(
        name="snap",
        adapter="crossprune.adapters.snap:Snap",
        about="Bispectrum components as latent space and as the basis of a linear model.",
        requires="crossprune[snap]",
        readers={"lammps": "crossprune.adapters.programs:read_potential"},
        files=dict.fromkeys(("potential.lmp", "*.snap", "*.snapcoeff"), "lammps:snap:{file}"),
        potentials={"lammps": "crossprune.adapters.programs:LammpsPotential"},
        recipe="crossprune.adapters.programs.recipe:recipe_of",
    ),
    Family(
        name="uf3",
        adapter="crossprune.adapters.uf3:Uf3",
        about="B-splines of pairs and triples as latent space and as the basis of a linear model.",
        requires="crossprune[uf3]",
        readers={"uf3": "crossprune.adapters.uf3:read_potential"},
        files={"uf3.json": "uf3:{file}", "*.uf3": "uf3:{file}"},
        recipe="crossprune.adapters.uf3.recipe:recipe_of",
    ),
    Family(
        name="universal",
        adapter="crossprune.adapters.universal:Universal",
        about="Features of universal models as latent space; energies per element or more fitted on top.",
        requires="crossprune[universal]",
        readers={"universal": "crossprune.adapters.universal:read_potential"},
    ),
)
"""The families of this package, sorted by name; packages from outside use the entry-point group."""
