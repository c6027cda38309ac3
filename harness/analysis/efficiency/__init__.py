"""Data efficiency: how much data a way of choosing needs."""
