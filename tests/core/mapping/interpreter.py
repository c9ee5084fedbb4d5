"""A plain interpreter of the mapping language: what the compiler is judged by.

It resolves a mapping anew for every event, keeps missing values everywhere and tidies up once at
the end, as Segment's published code does. It shares no code with the compiler and checks nothing:
only mappings that compile are given to it. @liquid is not in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias, cast

from conversion_relay.core.values import MISSING, Json, JsonObject, Value, number_text

Data: TypeAlias = Value
Options: TypeAlias = dict[str, Json]


class CannotResolve(Exception):
    """The published code would throw for this event."""


def interpret(mapping: JsonObject, event: JsonObject) -> Data:
    """What the mapping makes of the event; MISSING when it makes nothing of it."""
    return tidy(run(mapping, event), in_list=False)


def run(mapping: Json, payload: Data) -> Data:
    if isinstance(mapping, list):
        return cast("Data", [run(item, payload) for item in mapping])
    if not isinstance(mapping, dict):
        return mapping
    for key, operand in mapping.items():
        if key.startswith("@"):
            return RULES[key](operand, payload)
    return cast("Data", {key: run(member, payload) for key, member in mapping.items()})


def tidy(value: Data, *, in_list: bool) -> Data:
    if value is MISSING and in_list:
        return None
    if isinstance(value, list):
        return cast("Data", [tidy(item, in_list=True) for item in value])
    if isinstance(value, dict):
        return cast("Data", drop_missing(value))
    return value


def drop_missing(value: dict[str, Json]) -> dict[str, Data]:
    present = {key: member for key, member in value.items() if cast("Data", member) is not MISSING}
    return {key: tidy(member, in_list=False) for key, member in present.items()}


def get(value: Data, path: str) -> Data:
    if path in ("", "."):
        return value
    for step in re.split(r"""\[(?=["'0-9])|\.|(?<=["'0-9])\]+""", path):
        key = step.replace("'", "").replace('"', "")
        if step:
            value = one_step(value, key)
    return value


def one_step(value: Data, key: str) -> Data:
    if value is MISSING or value is None or value in (0, ""):
        return value
    if isinstance(value, dict):
        return value.get(key, MISSING)
    if isinstance(value, list | str):
        if key == "length":
            text = value if isinstance(value, str) else "x" * len(value)
            return len(text.encode("utf-16-le", "surrogatepass")) // 2
        positions = [str(index) for index in range(len(value))]
        return value[positions.index(key)] if key in positions else MISSING
    return MISSING


def string(value: Data) -> str:
    if value is None or value is MISSING:
        return ""
    if isinstance(value, list):
        return ",".join(string(item) for item in value)
    if isinstance(value, dict):
        return "[object Object]"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else number_text(value)


def truthy(value: Data) -> bool:
    return isinstance(value, list | dict) or (value is not MISSING and bool(value))


def needs_text(operand: Json, payload: Data) -> str:
    text = run(operand, payload)
    if not isinstance(text, str):
        raise CannotResolve
    return text


def path(operand: Json, payload: Data) -> Data:
    return get(payload, needs_text(operand, payload).replace("$.", "", 1))


def template(operand: Json, payload: Data) -> Data:
    text = needs_text(operand, payload)
    found: list[str] = []

    def mark(match: re.Match[str]) -> str:
        found.append(string(get(payload, match[1].strip())))
        return f"\0{len(found) - 1}\0"

    text = re.sub(r"\{\{\{([^}]+)\}\}\}", mark, text)
    text = re.sub(r"\{\{([^}\0]+)\}\}", mark, text)
    return re.sub("\0([0-9]+)\0", lambda match: found[int(match[1])], text)


def choose(operand: Json, payload: Data) -> Data:
    options = cast("Options", operand)
    if "exists" in options:
        value = run(options["exists"], payload)
        holds = value is not MISSING and value is not None
    else:
        value = run(options["blank"], payload)
        zero = not isinstance(value, str) and value is not MISSING and value == 0
        empty = isinstance(value, str | list) and string(value) == ""
        holds = value is not MISSING and value is not None and not zero and not empty
    if holds:
        return run(options["then"], payload) if "then" in options else MISSING
    return run(options["else"], payload) if truthy(options.get("else")) else MISSING


def array_path(operand: Json, payload: Data) -> Data:
    first, *rest = cast("list[Json]", operand)
    root = path(first, payload) if isinstance(first, str) else run(first, payload)
    shape = rest[0] if rest else None
    if not isinstance(root, list | dict) or not isinstance(shape, dict) or not shape:
        return root
    items = root if isinstance(root, list) else [root]
    return cast("Data", [run(shape, item) for item in items])


def case(operand: Json, payload: Data) -> Data:
    options = cast("Options", operand)
    if not truthy(options.get("value")):
        return MISSING
    value = run(options["value"], payload)
    if not isinstance(value, str):
        return value
    if options["operator"] not in ("upper", "lower"):
        raise CannotResolve
    return value.upper() if options["operator"] == "upper" else value.lower()


def replace(operand: Json, payload: Data) -> Data:
    options = cast("Options", operand)
    if options["value"] == "":
        return MISSING
    value = run(options["value"], payload)
    if value is None or value is MISSING or isinstance(value, list | dict):
        return ""
    text = string(value)
    for number in ("", "2"):
        pattern = options.get(f"pattern{number}")
        substitute = options.get(f"replacement{number}")
        substitute = "" if substitute is None else substitute
        if pattern and isinstance(pattern, str) and isinstance(substitute, str):
            text = replace_once(text, pattern, substitute, options)
    return text


def replace_once(text: str, pattern: str, substitute: str, options: Options) -> str:
    def expand(match: re.Match[str]) -> str:
        before, after = text[: match.start()], text[match.end() :]
        meaning = {"$$": "$", "$&": match[0], "$`": before, "$'": after}
        return re.sub(r"\$[$&`']", lambda special: meaning[special[0]], substitute)

    flags = re.IGNORECASE | re.ASCII if options.get("ignorecase") else re.NOFLAG
    count = 0 if options.get("global", True) else 1
    return re.sub(re.escape(pattern), expand, text, count=count, flags=flags)


def merge(operand: Json, payload: Data) -> Data:
    options = cast("Options", operand)
    objects = [run(item, payload) for item in cast("list[Json]", options["objects"])]
    if options["direction"] == "left":
        objects.reverse()
    merged: dict[str, Json] = {}
    for item in objects:
        if isinstance(item, dict):
            merged.update(item)
        elif isinstance(item, list | str):
            merged.update({str(index): each for index, each in enumerate(item)})
    return merged


def flatten(operand: Json, payload: Data) -> Data:
    options = cast("Options", operand)
    value = run(options["value"], payload)
    lists = not truthy(options.get("omitArrays"))
    return flat(value, "", cast("str", options["separator"]), lists=lists)


def flat(value: Data, prefix: str, separator: str, *, lists: bool) -> dict[str, Json]:
    if isinstance(value, list) and lists:
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict):
        return {prefix: cast("Json", value)}
    result: dict[str, Json] = {}
    for key, member in in_order(value):
        name = prefix + separator + key if prefix else key
        result |= flat(member, name, separator, lists=lists)
    return result


def in_order(value: dict[str, Json]) -> Iterable[tuple[str, Json]]:
    """Members as JavaScript lists them: those that look like positions first."""
    return sorted(
        value.items(),
        key=lambda entry: (0, int(entry[0])) if entry[0] in SMALL_NUMBERS else (1, 0),
    )


SMALL_NUMBERS: Final = [str(number) for number in range(100)]


def encode_or_decode(operand: Json, payload: Data) -> Data:
    options = cast("Options", operand)
    value = run(options["value"], payload)
    if options["mode"] == "encode":
        return value if value is MISSING else json_text(value)
    if not isinstance(value, str):
        return value
    try:
        return cast("Data", json.loads(value, parse_constant=int))
    except ValueError:
        return value


def json_text(value: Data) -> str:
    if value is MISSING or value is None:
        return "null"
    if isinstance(value, list):
        return "[" + ",".join(json_text(item) for item in value) + "]"
    if isinstance(value, dict):
        present = [entry for entry in in_order(value) if cast("Data", entry[1]) is not MISSING]
        return "{" + ",".join(f"{json_text(key)}:{json_text(item)}" for key, item in present) + "}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else string(value)


def transform(operand: Json, payload: Data) -> Data:
    options = cast("Options", operand)
    if not isinstance(payload, dict) and payload is not MISSING:
        raise CannotResolve
    return run(options["mapping"], keep_gaps(run(options["apply"], payload)))


def keep_gaps(value: Data) -> Data:
    if isinstance(value, list):
        return cast("Data", [keep_gaps(item) for item in value])
    if isinstance(value, dict):
        kept = {key: keep_gaps(member) for key, member in value.items()}
        return cast("Data", {key: item for key, item in kept.items() if item is not MISSING})
    return value


def exclude_when_null(operand: Json, payload: Data) -> Data:
    value = run(operand, payload)
    return MISSING if value is None else null_is_missing(value)


def null_is_missing(value: Data) -> Data:
    if not isinstance(value, dict):
        return value
    changed = {
        key: MISSING if member is None else null_is_missing(member)
        for key, member in value.items()
    }
    return cast("Data", changed)


RULES: Final[dict[str, Callable[[Json, Data], Data]]] = {
    "@path": path,
    "@template": template,
    "@literal": run,
    "@if": choose,
    "@arrayPath": array_path,
    "@case": case,
    "@replace": replace,
    "@merge": merge,
    "@transform": transform,
    "@flatten": flatten,
    "@json": encode_or_decode,
    "@excludeWhenNull": exclude_when_null,
}
