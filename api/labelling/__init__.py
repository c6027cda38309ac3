"""Which frames of a pool to label: pools of any size, described in blocks, and what is chosen of them."""
