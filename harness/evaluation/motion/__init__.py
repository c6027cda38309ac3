"""How potentials move atoms: runs, ramps, what they end by, and the structure that they leave."""
