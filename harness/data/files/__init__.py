"""Files with labelled structures: what is read, what must be whole, which labels are taken."""
