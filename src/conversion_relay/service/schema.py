"""The configuration file as JSON Schema, from the settings themselves. For editors.

What a schema cannot say is checked when the service starts: what settings must agree on, whether a
file is there, ranges of times.
"""

from __future__ import annotations

import json
from typing import Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from typing_extensions import override

from conversion_relay.service.settings import Configuration

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """The schema, as the file that is shipped holds it."""
    schema = Configuration.model_json_schema(schema_generator=_Generator)
    return json.dumps({"$schema": _DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"


class _Generator(GenerateJsonSchema):
    """TOML has no null: a setting that is not set is left out. So is a table's own default."""

    @override
    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    @override
    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default") is None or isinstance(described["default"], dict):
            described.pop("default", None)
        return described

    @override
    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Every name has the pattern, instead of: those that have it are described."""
        described = super().dict_schema(schema)
        for pattern, inside in described.pop("patternProperties", {}).items():
            described["propertyNames"] = {"pattern": pattern}
            described["additionalProperties"] = inside
        return described
