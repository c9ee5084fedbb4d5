"""The names of conversions that TikTok itself defines.

Source: business-api.tiktok.com, "Supported standard events", and ads.tiktok.com/help, "How to
adopt TikTok's updated standard events" (read 2026-11-21): those of both, since both are accepted.
"""

from __future__ import annotations

from typing import Final

STANDARD_EVENTS: Final = frozenset(
    {
        "AddPaymentInfo",
        "AddToCart",
        "AddToWishlist",
        "ApplicationApproval",
        "ClickButton",
        "CompletePayment",
        "CompleteRegistration",
        "Contact",
        "CustomizeProduct",
        "Download",
        "FindLocation",
        "InitiateCheckout",
        "Lead",
        "PageView",
        "Pageview",
        "PlaceAnOrder",
        "Purchase",
        "Schedule",
        "Search",
        "StartTrial",
        "SubmitApplication",
        "SubmitForm",
        "Subscribe",
        "ViewContent",
    }
)
