"""The model around a net: what it is built from, its precision, its frozen and trained parts."""
