"""Latent spaces, what is chosen in them, and what is wrong with them."""
