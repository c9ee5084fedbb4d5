"""Configuration that changes while the service runs: read, tried, verified, then taken over.

Knows no HTTP: the admin paths and the commands speak to it, and it to neither. What a swap does to
the running parts is `relay`'s.
"""
