"""All the filters a template may use, and those that Segment disables."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from conversion_relay.core.mapping.liquid.arguments import LiquidFilter
from conversion_relay.core.mapping.liquid.date_filters import DATE_FILTERS
from conversion_relay.core.mapping.liquid.encoding_filters import ENCODING_FILTERS
from conversion_relay.core.mapping.liquid.list_filters import LIST_FILTERS
from conversion_relay.core.mapping.liquid.number_filters import NUMBER_FILTERS
from conversion_relay.core.mapping.liquid.text_filters import TEXT_FILTERS

FILTERS: Final[Mapping[str, LiquidFilter]] = MappingProxyType(
    {**TEXT_FILTERS, **NUMBER_FILTERS, **LIST_FILTERS, **DATE_FILTERS, **ENCODING_FILTERS}
)

DISABLED_FILTERS: Final = frozenset(
    {
        *("array_to_sentence_string", "concat", "find", "find_exp", "find_index"),
        *("find_index_exp", "group_by", "group_by_exp", "has", "has_exp", "map"),
        *("newline_to_br", "reject", "reject_exp", "reverse", "sort", "sort_natural"),
        *("uniq", "where_exp", "type"),
        "sample",  # draws lots: the same event would not always give the same payload
    }
)
