"""The report on a period: what became of its conversions, in figures to be handed on."""
