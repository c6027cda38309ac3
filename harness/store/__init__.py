"""Where results are kept: artefacts and records on disk."""
