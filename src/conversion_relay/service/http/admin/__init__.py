"""The operator's side: health, metrics, and the paths behind the admin token."""
