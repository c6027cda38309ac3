"""The benchmark: contract, data, selection, evaluation, store, engine, analysis, command line."""
