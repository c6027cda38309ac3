"""What a page shows beyond the tables: maps and parity, what lies behind one cell, and behind one point."""
