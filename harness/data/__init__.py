"""Labelled structures: reading, checking, splitting, data sets by name."""
