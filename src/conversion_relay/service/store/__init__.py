"""Where events and deliveries are kept: one port, one package for each engine."""
