"""A SQLite file that one process owns: opened to last, and locked. Knows no table."""
