"""The inputs of Report Web Event: a table, one row for each field.

Keys, types and choices are those of Segment's published action (npm, read 2026-11-21), so that its
mappings can be used unchanged. Knows nothing of what is sent to TikTok.
"""

from __future__ import annotations

from typing import Final

from conversion_relay.core.destination import Field, FieldType
from conversion_relay.core.match_keys import EMAIL, EXTERNAL_ID, PHONE
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


_ADDRESS: Final = (
    Field("city", "City", description="City; sent in clear."),
    Field("country", "Country", description="Two letters (ISO 3166); sent in clear."),
    Field("zip_code", "Zip Code", description="Postal code; hashed before it is kept."),
    Field("state", "State", description="State or province; sent in clear."),
)

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
    ),
    Field(
        "timestamp",
        "Event Timestamp",
        description="When it happened: ISO 8601, RFC 2822, or Unix seconds or milliseconds.",
    ),
    Field(
        "phone_number",
        "Phone Number",
        description="One or several, in E.164 form; hashed before they are kept.",
        multiple=True,
        match_key=PHONE,
    ),
    Field(
        "email",
        "Email",
        description="One or several addresses; hashed before they are kept.",
        multiple=True,
        match_key=EMAIL,
    ),
    Field(
        "first_name",
        "First Name",
        description="Given name; hashed before it is kept.",
    ),
    Field(
        "last_name",
        "Last Name",
        description="Family name; hashed before it is kept.",
    ),
    Field(
        "address",
        "Address",
        _OBJECT,
        "Where the customer lives.",
        properties=_ADDRESS,
    ),
    Field(
        "order_id",
        "Order ID",
        description="Id of the order.",
    ),
    Field("shop_id", "Shop ID", description="Id of the shop."),
    Field(
        "external_id",
        "External ID",
        description="One or several ids of the visitor; hashed before they are kept.",
        multiple=True,
        match_key=EXTERNAL_ID,
    ),
    Field(
        "ttclid",
        "TikTok Click ID",
        description="TikTok's click id, unchanged; that of the page URL goes first.",
    ),
    Field(
        "ttp",
        "TikTok Cookie ID",
        description="Value of the pixel's _ttp cookie, unchanged.",
    ),
    Field(
        "locale",
        "Locale",
        description="Language of the visitor (BCP 47).",
    ),
    Field(
        "url",
        "Page URL",
        description="Page on which it happened.",
    ),
    Field(
        "referrer",
        "Page Referrer",
        description="Page before that one.",
    ),
    Field(
        "ip",
        "IP Address",
        description="The visitor's address, never the server's.",
    ),
    Field(
        "user_agent",
        "User Agent",
        description="The visitor's browser.",
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
    ),
    Field(
        "num_items",
        "Number of Items",
        _NUMBER,
        "How many items, for InitiateCheckout.",
    ),
    Field(
        "content_type",
        "Content Type",
        description="Whether ids name products or groups of products.",
        choices=("product", "product_group"),
    ),
    Field(
        "currency",
        "Currency",
        description="Currency of the value (ISO 4217).",
    ),
    Field(
        "value",
        "Value",
        _NUMBER,
        "What the order or the items are worth.",
    ),
    Field("description", "Description", description="The event in words."),
    Field(
        "query",
        "Query",
        description="What was searched for (TikTok's older name).",
    ),
    Field(
        "limited_data_use",
        "Limited Data Use",
        FieldType.BOOLEAN,
        "Asks TikTok to process the event only within limits.",
        decisive=True,  # not to drop somebody's wish because it was badly written
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
    ),
    Field(
        "predicted_ltv",
        "Predicted Lifetime Value",
        _NUMBER,
        "What the subscriber will be worth.",
    ),
    Field(
        "search_string",
        "Search String",
        description="What was searched for.",
    ),
    Field(
        "lead_fields",
        "CRM Fields",
        _OBJECT,
        "The lead, for events of a CRM.",
        required_when=("event_source", CRM),
        properties=_LEAD,
    ),
    Field(
        VEHICLE,
        "Vehicle Fields",
        _OBJECT,
        "Properties of vehicle events.",
        properties=_VEHICLE,
    ),
    Field(
        TRAVEL,
        "Travel Fields",
        _OBJECT,
        "Properties of travel events.",
        properties=_TRAVEL,
    ),
)

TRAVEL_KEYS: Final = tuple(field.key for field in _TRAVEL)
VEHICLE_KEYS: Final = tuple(
    field.key for field in _VEHICLE if not field.key.startswith(("mileage_", "preferred_price_"))
)
