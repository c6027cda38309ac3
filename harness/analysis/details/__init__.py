"""What lies behind one cell of the matrix, and behind one point of a plot."""
