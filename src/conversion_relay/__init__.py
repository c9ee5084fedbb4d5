"""conversion-relay: a self-hosted, Segment-compatible destination for TikTok conversions."""

from __future__ import annotations

__version__ = "0.1.0"
