"""The benchmark itself: contract, data, selection, metrics, grid, store, engine, CLI."""
