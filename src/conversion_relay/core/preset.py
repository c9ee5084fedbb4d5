"""A preset: a trigger, a mapping and the action they feed, compiled.

Knows the form in which Segment writes presets; not where the files lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conversion_relay.core import fql
from conversion_relay.core.coercion import Checker
from conversion_relay.core.destination import Action
from conversion_relay.core.mapping import CompiledMapping, compile_mapping
from conversion_relay.core.values import JsonObject
from conversion_relay.errors import MappingError, PresetError, TriggerError

MAX_MAPPINGS = 50
"""Segment's limit of mappings in one destination (reference: actions destinations, limits)."""


@dataclass(frozen=True, slots=True)
class PresetDefinition:
    """A preset as it is written down, in Segment's own form."""

    name: str
    subscribe: str
    partner_action: str
    mapping: JsonObject


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset ready to be used."""

    name: str
    trigger: fql.Condition
    mapping: CompiledMapping
    action: Action
    checker: Checker


def compile_presets(
    definitions: Sequence[PresetDefinition], actions: Mapping[str, Action], origin: str
) -> tuple[Preset, ...]:
    """All the presets of one destination.

    Args:
        definitions: in the order in which they are tried.
        actions: the destination's actions by slug.
        origin: the file or setting they come from, for messages.

    Raises:
        PresetError: with every problem of every definition, not only the first.
    """
    problems = _problems_of_the_set(definitions, origin)
    presets: list[Preset] = []
    for definition in definitions:
        where = f"{origin}: {definition.name}"
        compiled = _compile(definition, actions, where)
        if isinstance(compiled, Preset):
            presets.append(compiled)
        else:
            problems.extend(compiled)
    if problems:
        raise PresetError("\n".join(problems))
    return tuple(presets)


def _problems_of_the_set(definitions: Sequence[PresetDefinition], origin: str) -> list[str]:
    problems: list[str] = []
    if len(definitions) > MAX_MAPPINGS:
        problems.append(
            f"{origin}: {len(definitions)} mappings, at most {MAX_MAPPINGS} are allowed in one "
            f'destination; the first too many is "{definitions[MAX_MAPPINGS].name}". '
            "Remove some, or spread them over several destinations."
        )
    names = [definition.name for definition in definitions]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems.extend(f'{origin}: more than one mapping is named "{name}"' for name in twice)
    return problems


def _compile(
    definition: PresetDefinition, actions: Mapping[str, Action], where: str
) -> Preset | list[str]:
    problems: list[str] = []
    action = actions.get(definition.partner_action)
    if action is None:
        known = ", ".join(sorted(actions))
        problems.append(
            f'{where}: partnerAction "{definition.partner_action}" is not known; known: {known}'
        )
    trigger = _trigger(definition, where, problems)
    mapping = _mapping(definition, where, problems)
    if action is None or trigger is None or mapping is None:
        return problems
    return Preset(definition.name, trigger, mapping, action, Checker(action.fields))


def _trigger(
    definition: PresetDefinition, where: str, problems: list[str]
) -> fql.Condition | None:
    try:
        return fql.parse(definition.subscribe)
    except TriggerError as error:
        problems.append(f"{where}: subscribe: {error}")
        return None


def _mapping(
    definition: PresetDefinition, where: str, problems: list[str]
) -> CompiledMapping | None:
    try:
        return compile_mapping(definition.mapping)
    except MappingError as error:
        problems.extend(f"{where}: mapping {problem}" for problem in error.problems)
        return None
