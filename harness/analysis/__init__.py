"""Statistics of a finished run: comparisons, the answer, latent spaces, nights."""
