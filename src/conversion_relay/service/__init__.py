"""The shell: everything that waits, reads, writes or knows the time."""
