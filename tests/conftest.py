"""Settings of every test."""

from __future__ import annotations

import os

from hypothesis import settings

# A law holds however slow the machine is, and each run of the suite tries the same cases: what
# fails here fails everywhere. `make fuzz` tries new ones.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))
