"""Latent spaces without a model: each file is a family that only chooses; it is imported by its own name."""
