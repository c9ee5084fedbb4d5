"""The inputs of Report Web Event: a table, one row for each field.

Keys, types, choices and defaults are those of Segment's published action (npm, read 2026-11-21),
so that its mappings can be used unchanged. Knows nothing of what is sent to TikTok.
"""

from __future__ import annotations

from typing import Final

from conversion_relay.core.destination import Field, FieldType
from conversion_relay.core.values import Json

MAX_EVENT_NAME_CHARACTERS: Final = 50

WEB: Final = "web"
CRM: Final = "crm"
TRAVEL: Final = "travel_fields"
VEHICLE: Final = "vehicle_fields"

CURRENCIES: Final = frozenset({
    "AED", "ARS", "AUD", "BDT", "BHD", "BIF", "BOB", "BRL", "CAD", "CHF", "CLP", "CNY", "COP",
    "CRC", "CZK", "DKK", "DZD", "EGP", "EUR", "GBP", "GTQ", "HKD", "HNL", "HUF", "IDR", "ILS",
    "INR", "ISK", "JPY", "KES", "KHR", "KRW", "KWD", "KZT", "MAD", "MOP", "MXN", "MYR", "NGN",
    "NIO", "NOK", "NZD", "OMR", "PEN", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RUB", "SAR",
    "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "VES", "VND", "ZAR",
})  # fmt: skip
"""Source: business-api.tiktok.com, "Supported standard events", currency (read 2026-11-21)."""

_NUMBER: Final = FieldType.NUMBER
_OBJECT: Final = FieldType.OBJECT


def event_name_rule(value: Json) -> str | None:
    """What is wrong with the name of an event, or None.

    Source: business-api.tiktok.com, "Supported standard events", custom events (read 2026-11-21).
    """
    name = value if isinstance(value, str) else ""
    if not name[:1].isalpha():
        return "must begin with a letter"
    if len(name) > MAX_EVENT_NAME_CHARACTERS:
        return f"must have at most {MAX_EVENT_NAME_CHARACTERS} characters, it has {len(name)}"
    return None


def _path(path: str) -> Json:
    return {"@path": f"$.{path}"}


def _first(path: str, otherwise: str) -> Json:
    """The mapping of one path, or of another where the first has no value."""
    return {"@if": {"exists": _path(path), "then": _path(path), "else": _path(otherwise)}}


def _trait(name: str) -> Json:
    return _first(f"properties.{name}", f"context.traits.{name}")


def _click(name: str) -> Json:
    return _first(f"properties.{name}", f"integrations.TikTok Conversions.{name}")


def _properties(*fields: Field, **renamed: str) -> Json:
    """The mapping of each field from the property of its name, or of the name given for it."""
    return {
        field.key: _path(f"properties.{renamed.get(field.key, field.key)}") for field in fields
    }


_ADDRESS: Final = (
    Field("city", "City", description="City; sent in clear."),
    Field("country", "Country", description="Two letters (ISO 3166); sent in clear."),
    Field("zip_code", "Zip Code", description="Postal code; hashed before it is kept."),
    Field("state", "State", description="State or province; sent in clear."),
)

_ADDRESS_DEFAULT: Final[Json] = {
    "city": _trait("address.city"),
    "country": _trait("address.country"),
    "zip_code": _trait("address.postal_code"),
    "state": _trait("address.state"),
}

_CONTENT: Final = (
    Field("price", "Price", _NUMBER, "Price of one item."),
    Field("quantity", "Quantity", _NUMBER, "How many of it."),
    Field("content_category", "Content Category", description="Category of the item."),
    Field("content_id", "Content ID", description="Id of the item in the catalogue; a string."),
    Field("content_name", "Content Name", description="Name of the item."),
    Field("brand", "Brand", description="Brand of the item."),
)

_LEAD: Final = (
    Field("lead_id", "TikTok Lead ID", description="Id that TikTok gave the lead."),
    Field(
        "lead_event_source",
        "TikTok Lead Event Source",
        description="Name of the CRM that reports the lead.",
    ),
)

_VEHICLE: Final = (
    Field("postal_code", "Postal Code", description="Where the vehicle is."),
    Field("make", "Make of the Vehicle", description="Maker or brand."),
    Field("model", "Model of the Vehicle", description="Model."),
    Field("year", "Year of the Vehicle", _NUMBER, "Model year, four digits."),
    Field(
        "state_of_vehicle",
        "State of the Vehicle",
        description="New, used or certified.",
        choices=("New", "Used", "CPO"),
    ),
    Field("mileage_value", "Mileage Value", _NUMBER, "Distance driven; needs its unit."),
    Field(
        "mileage_unit", "Mileage Unit", description="Miles or kilometres.", choices=("MI", "KM")
    ),
    Field("exterior_color", "Exterior Color of the Vehicle", description="Colour outside."),
    Field(
        "transmission",
        "Transmission Type of the Vehicle",
        description="Gearbox.",
        choices=("Automatic", "Manual", "Other"),
    ),
    Field(
        "body_style",
        "Body Type of the Vehicle",
        description="Shape of the body.",
        choices=(
            "Convertible",
            "Coupe",
            "Hatchback",
            "Minivan",
            "Truck",
            "SUV",
            "Sedan",
            "Van",
            "Wagon",
            "Crossover",
            "Other",
        ),
    ),
    Field(
        "fuel_type",
        "Fuel Type of the Vehicle",
        description="What it runs on.",
        choices=("Diesel", "Electric", "Flex", "Gasoline", "Hybrid", "Other"),
    ),
    Field(
        "drivetrain",
        "Drivetrain of the Vehicle",
        description="Which wheels drive it.",
        choices=("AWD", "FOUR_WD", "FWD", "RWD", "TWO_WD", "Other"),
    ),
    Field("preferred_price_range_min", "Minimum Preferred Price", _NUMBER, "Needs the maximum."),
    Field("preferred_price_range_max", "Maximum Preferred Price", _NUMBER, "Needs the minimum."),
    Field("trim", "Trim of the Vehicle", description="Trim."),
    Field("vin", "VIN of the Vehicle", description="Vehicle identification number."),
    Field("interior_color", "Interior Color of the Vehicle", description="Colour inside."),
    Field(
        "condition_of_vehicle",
        "Condition of the Vehicle",
        description="State of repair.",
        choices=("Excellent", "Good", "Fair", "Poor", "Other"),
    ),
    Field("viewcontent_type", "Soft Lead Landing Page", description="For ViewContent."),
    Field("search_type", "Other Search Page", description="For Search."),
    Field("registration_type", "Other Registration Page", description="For CompleteRegistration."),
)

_TRAVEL: Final = (
    Field("city", "Hotel City Location", description="City of the hotel."),
    Field("region", "Hotel Region", description="Region of the hotel."),
    Field("country", "Hotel Country", description="Country of the hotel."),
    Field("checkin_date", "Hotel Check-in Date", description="First night."),
    Field("checkout_date", "Hotel Check-out Date", description="Day of departure."),
    Field("num_adults", "Number of Adults", _NUMBER, "Adults who travel."),
    Field("num_children", "Number of Children", _NUMBER, "Children who travel."),
    Field("num_infants", "Number of Infants", _NUMBER, "Infants who fly."),
    Field(
        "suggested_hotels", "Suggested Hotels", description="Ids of hotels shown.", multiple=True
    ),
    Field("departing_departure_date", "Departure Date", description="Outward flight leaves."),
    Field("returning_departure_date", "Arrival Date", description="Return flight leaves."),
    Field("origin_airport", "Origin Airport", description="Where the journey begins."),
    Field("destination_airport", "Destination Airport", description="Where it leads."),
    Field(
        "destination_ids",
        "Destination IDs",
        description="Ids of destinations in the catalogue.",
        multiple=True,
    ),
    Field("departing_arrival_date", "Departing Arrival Date", description="Outward arrival."),
    Field("returning_arrival_date", "Returning Arrival Date", description="Return arrival."),
    Field(
        "travel_class",
        "Flight Ticket Class",
        description="Economy, premium, business or first.",
        choices=("eco", "prem", "bus", "first"),
    ),
    Field("user_score", "User Score", _NUMBER, "How much this customer is worth to you."),
    Field(
        "preferred_num_stops",
        "Preferred Number of Stops",
        FieldType.INTEGER,
        "Stops wished for; 0 is a direct flight.",
    ),
    Field("travel_start", "Start Date of the Trip", description="First day."),
    Field("travel_end", "End Date of the Trip", description="Last day."),
    Field(
        "suggested_destinations",
        "Suggested Destination IDs",
        description="Ids of destinations shown; not for Search.",
        multiple=True,
    ),
)

FIELDS: Final = (
    Field(
        "event_source",
        "Event Source",
        description="Where the event took place: on a website, or in a CRM. Web if not mapped.",
        choices=(WEB, CRM),
        decisive=True,  # not to report the event of a CRM as one of the website
        default=WEB,
    ),
    Field(
        "event_spec_type",
        "Additional Fields",
        description="Which family of extra properties a web event carries.",
        choices=(TRAVEL, VEHICLE),
    ),
    Field(
        "event",
        "Event Name",
        description="TikTok's name of the conversion, or a name of your own.",
        required=True,
        rule=event_name_rule,
    ),
    Field(
        "event_id",
        "Event ID",
        description="What copies of this event share, here and in the browser's pixel.",
        default=_path("messageId"),
    ),
    Field(
        "timestamp",
        "Event Timestamp",
        description="When it happened: ISO 8601, RFC 2822, or Unix seconds or milliseconds.",
        default=_path("timestamp"),
    ),
    Field(
        "phone_number",
        "Phone Number",
        description="One or several, in E.164 form; hashed before they are kept.",
        multiple=True,
        default=_trait("phone"),
    ),
    Field(
        "email",
        "Email",
        description="One or several addresses; hashed before they are kept.",
        multiple=True,
        default=_trait("email"),
    ),
    Field(
        "first_name",
        "First Name",
        description="Given name; hashed before it is kept.",
        default=_trait("first_name"),
    ),
    Field(
        "last_name",
        "Last Name",
        description="Family name; hashed before it is kept.",
        default=_trait("last_name"),
    ),
    Field(
        "address",
        "Address",
        _OBJECT,
        "Where the customer lives.",
        properties=_ADDRESS,
        default=_ADDRESS_DEFAULT,
    ),
    Field(
        "order_id",
        "Order ID",
        description="Id of the order.",
        default=_path("properties.order_id"),
    ),
    Field(
        "shop_id", "Shop ID", description="Id of the shop.", default=_path("properties.shop_id")
    ),
    Field(
        "external_id",
        "External ID",
        description="One or several ids of the visitor; hashed before they are kept.",
        multiple=True,
        default=_first("userId", "anonymousId"),
    ),
    Field(
        "ttclid",
        "TikTok Click ID",
        description="TikTok's click id, unchanged; that of the page URL goes first.",
        default=_click("ttclid"),
    ),
    Field(
        "ttp",
        "TikTok Cookie ID",
        description="Value of the pixel's _ttp cookie, unchanged.",
        default=_click("ttp"),
    ),
    Field(
        "locale",
        "Locale",
        description="Language of the visitor (BCP 47).",
        default=_path("context.locale"),
    ),
    Field(
        "url",
        "Page URL",
        description="Page on which it happened.",
        default=_path("context.page.url"),
    ),
    Field(
        "referrer",
        "Page Referrer",
        description="Page before that one.",
        default=_path("context.page.referrer"),
    ),
    Field(
        "ip",
        "IP Address",
        description="The visitor's address, never the server's.",
        default=_path("context.ip"),
    ),
    Field(
        "user_agent",
        "User Agent",
        description="The visitor's browser.",
        default=_path("context.userAgent"),
    ),
    Field(
        "contents",
        "Contents",
        _OBJECT,
        "The items the event is about.",
        multiple=True,
        properties=_CONTENT,
    ),
    Field(
        "content_ids",
        "Content IDs",
        description="Ids of items, where Contents is not used.",
        multiple=True,
        default=_path("properties.content_ids"),
    ),
    Field(
        "num_items",
        "Number of Items",
        _NUMBER,
        "How many items, for InitiateCheckout.",
        default=_path("properties.num_items"),
    ),
    Field(
        "content_type",
        "Content Type",
        description="Whether ids name products or groups of products.",
        choices=("product", "product_group"),
        default="product",
    ),
    Field(
        "currency",
        "Currency",
        description="Currency of the value (ISO 4217).",
        default=_path("properties.currency"),
    ),
    Field(
        "value",
        "Value",
        _NUMBER,
        "What the order or the items are worth.",
        default=_first("properties.value", "properties.revenue"),
    ),
    Field("description", "Description", description="The event in words."),
    Field(
        "query",
        "Query",
        description="What was searched for (TikTok's older name).",
        default=_path("properties.query"),
    ),
    Field(
        "limited_data_use",
        "Limited Data Use",
        FieldType.BOOLEAN,
        "Asks TikTok to process the event only within limits.",
        decisive=True,  # not to drop somebody's wish because it was badly written
        default=_path("properties.limited_data_use"),
    ),
    Field(
        "test_event_code",
        "Test Event Code",
        description="Shows the event under Test Events instead of counting it.",
        decisive=True,  # not to count a test
    ),
    Field(
        "delivery_category",
        "Delivery Category",
        description="How the order reaches the customer.",
        choices=("in_store", "curbside", "home_delivery"),
        default=_path("properties.delivery_category"),
    ),
    Field(
        "predicted_ltv",
        "Predicted Lifetime Value",
        _NUMBER,
        "What the subscriber will be worth.",
        default=_path("properties.predicted_ltv"),
    ),
    Field(
        "search_string",
        "Search String",
        description="What was searched for.",
        default=_path("properties.search_string"),
    ),
    Field(
        "lead_fields",
        "CRM Fields",
        _OBJECT,
        "The lead, for events of a CRM.",
        required_when=("event_source", CRM),
        properties=_LEAD,
        default=_properties(*_LEAD),
    ),
    Field(
        VEHICLE,
        "Vehicle Fields",
        _OBJECT,
        "Properties of vehicle events.",
        properties=_VEHICLE,
        default=_properties(*_VEHICLE, drivetrain="drive_train"),
    ),
    Field(
        TRAVEL,
        "Travel Fields",
        _OBJECT,
        "Properties of travel events.",
        properties=_TRAVEL,
        default=_properties(*_TRAVEL),
    ),
)

TRAVEL_KEYS: Final = tuple(field.key for field in _TRAVEL)
VEHICLE_KEYS: Final = tuple(
    field.key for field in _VEHICLE if not field.key.startswith(("mileage_", "preferred_price_"))
)
