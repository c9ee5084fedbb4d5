"""The trigger language (FQL) in which Segment says which events a mapping is for.

`parse` reads a trigger once, at the start-up; `matches` asks it of an event; `render` writes it
down again. Knows nothing of mappings, presets or partners.
"""

from conversion_relay.core.fql.conditions import Comparison, Condition, FunctionCall, Group
from conversion_relay.core.fql.matcher import matches
from conversion_relay.core.fql.parser import parse
from conversion_relay.core.fql.printer import render
from conversion_relay.errors import TriggerError

__all__ = [
    "Comparison",
    "Condition",
    "FunctionCall",
    "Group",
    "TriggerError",
    "matches",
    "parse",
    "render",
]
