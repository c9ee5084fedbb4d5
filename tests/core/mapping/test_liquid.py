"""What a template may use: the tags and filters of liquidjs without those Segment disables."""

from __future__ import annotations

import pytest

from conversion_relay.core.mapping import compile_mapping
from conversion_relay.errors import MappingError

DISABLED_FILTERS = (
    *("array_to_sentence_string", "concat", "find", "find_exp", "find_index", "find_index_exp"),
    *("group_by", "group_by_exp", "has", "has_exp", "map", "newline_to_br", "reject"),
    *("reject_exp", "reverse", "sort", "sort_natural", "uniq", "where_exp", "type"),
)
DISABLED_TAGS = {
    "case": "{% case a %}{% when 1 %}b{% endcase %}",
    "for": "{% for a in b %}{{ a }}{% endfor %}",
    "include": '{% include "/etc/passwd" %}',
    "layout": '{% layout "x" %}',
    "render": '{% render "/etc/passwd" %}',
    "tablerow": "{% tablerow a in b %}{{ a }}{% endtablerow %}",
}
UNKNOWN_TAGS = ["{% ifchanged %}a{% endifchanged %}", "{% doc %}a{% enddoc %}", "{% nosuch %}"]


def problem(template: str) -> str:
    with pytest.raises(MappingError) as caught:
        compile_mapping({"x": {"@liquid": template}})
    (found,) = caught.value.problems
    assert found.pointer == "/x/@liquid"
    return found.sentence


@pytest.mark.parametrize("name", DISABLED_FILTERS)
def test_a_disabled_filter_is_a_problem(name: str) -> None:
    assert problem(f"{{{{ a | {name}: 'b' }}}}") == f'the filter "{name}" is disabled'


@pytest.mark.parametrize("name", DISABLED_TAGS)
def test_a_disabled_tag_is_a_problem(name: str) -> None:
    assert f'the tag "{name}" is disabled (line 1, column 4)' in problem(DISABLED_TAGS[name])


@pytest.mark.parametrize("template", UNKNOWN_TAGS)
def test_a_tag_liquidjs_does_not_know_is_a_problem(template: str) -> None:
    assert "cannot be read" in problem(template)


def test_a_disabled_filter_is_found_in_every_corner() -> None:
    template = "{% if a %}{% capture b %}{% assign c = d | uniq %}{% endcapture %}{% endif %}"
    assert problem(template) == 'the filter "uniq" is disabled'


def test_a_template_reads_no_clock() -> None:
    mapping = compile_mapping({"x": {"@liquid": "[{{ now }}{{ today }}]"}})
    assert mapping.resolve({}) == {"x": "[]"}


def test_one_rendering_leaves_nothing_for_the_next() -> None:
    mapping = compile_mapping({"x": {"@liquid": "{% increment n %}{{ a }}{% assign a = 1 %}"}})
    assert [mapping.resolve({})["x"] for _ in range(2)] == ["0", "0"]


COSTLY = {
    "text that doubles": "{% assign a = a | append: a %}" * 30,
    "lists that double": "{% assign l = l | push: l %}" * 30,
    "a wide date": '{{ "2024-01-01" | date: "%999999d%999999d" }}',
    "a long range": "{{ (1..100000000) | join }}",
    "replacing nothing": "{{ a | replace: '', a | replace: '', a | replace: '', a }}",
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_costly_template_fails_instead_of_taking_long(name: str) -> None:
    mapping = compile_mapping({"x": {"@liquid": COSTLY[name]}, "y": 1})
    resolution = mapping.evaluate({"a": "ab" * 500, "l": [1]})
    assert resolution.payload == {"y": 1}
    assert [each.pointer for each in resolution.problems] == ["/x"]
