"""The HTTP edge: the webhook, health, metrics and admin paths."""
