"""The pure heart: languages, mapping, plan and delivery rules. No clock, no files, no waiting."""
