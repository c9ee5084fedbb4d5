"""What TikTok's codes say, in a few words for people. What follows from them stands in `answers`.

Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MEANINGS: Final[Mapping[int, str]] = {
    0: "OK",
    20001: "accepted in part",
    40000: "the request is not valid",
    40001: "no permission for this pixel",
    40002: "a value is not valid",
    40061: "too many events in one request",
    40062: "personal data is not hashed",
    40063: "the partner name is not valid",
    40100: "too many requests",
    40104: "the access token is missing",
    40105: "the access token is wrong or was revoked",
    40400: "no such path",
}
