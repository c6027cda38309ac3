"""Pages of several runs: two stores side by side, and nights in a row."""
