"""Whether predicted forces are too small or too large: slopes, their intervals, a verdict."""
