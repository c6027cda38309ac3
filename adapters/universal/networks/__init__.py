"""Universal models as PyTorch modules, each behind the same face; run by the worker, in its environment."""
