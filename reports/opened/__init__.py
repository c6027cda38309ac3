"""What a page opens on demand: cells of the matrix, and structures behind points."""
