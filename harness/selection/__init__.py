"""Methods that choose configurations in a latent space."""
