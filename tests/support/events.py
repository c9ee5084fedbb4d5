"""Events of an invented shop, as Segment sends them."""

from __future__ import annotations

import hashlib
import hmac

import orjson

from conversion_relay.core.values import JsonObject

NAMES = {
    "Product Added": "AddToCart",
    "Order Completed": "PlaceAnOrder",
    "Products Searched": "Search",
    "Checkout Started": "InitiateCheckout",
    "Payment Info Entered": "AddPaymentInfo",
    "Product Added to Wishlist": "AddToWishlist",
}
"""The documented presets: Segment's event to TikTok's."""


def order(message_id: str, **changes: object) -> JsonObject:
    """An Order Completed event with a buyer."""
    return track("Order Completed", message_id, **changes)


def track(name: str, message_id: str, **changes: object) -> JsonObject:
    """A track event with a product, a page and a buyer."""
    event: dict[str, object] = {
        "type": "track",
        "event": name,
        "messageId": message_id,
        "userId": "buyer-311",
        "anonymousId": "anonymous-9f",
        "timestamp": "2026-11-20T10:15:30.250Z",
        "sentAt": "2026-11-20T10:15:31.000Z",
        "receivedAt": "2026-11-20T10:15:32.000Z",
        "context": {
            "ip": "203.0.113.7",
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
            "locale": "de-DE",
            "page": {
                "url": "https://shop.example.com/a?ttclid=click-1",
                "referrer": "https://example.org/",
            },
            "traits": {
                "email": "Lena.Brandt@example.com",
                "phone": "+49 30 1234567",
                "first_name": "Lena",
                "last_name": "Brandt",
                "address": {"city": "Berlin", "country": "DE", "postal_code": "10115"},
            },
        },
        "properties": {
            "order_id": "order-77",
            "revenue": 59.9,
            "currency": "EUR",
            "query": "lamp",
            "products": [
                {
                    "product_id": "lamp-1",
                    "name": "Lamp",
                    "price": 29.95,
                    "quantity": 2,
                    "brand": "Lumo",
                }
            ],
        },
        "integrations": {},
    }
    event.update(changes)
    value: JsonObject = orjson.loads(orjson.dumps(event))
    return value


def signature(secret: str, message: bytes) -> str:
    """Segment's X-Signature."""
    return hmac.new(secret.encode(), message, hashlib.sha1).hexdigest()
