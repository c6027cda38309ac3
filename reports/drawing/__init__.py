"""Figures of a report: plotly's as dictionaries, and drawings that need no script."""
