"""What is done with models beside the cells of a study: published potentials, and how trials are run."""
