"""Alerts on their way out: what is said, to whom, again and again until it got there."""
