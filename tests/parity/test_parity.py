"""Every case of the corpus: the published answer, or a difference that is written down."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest

from conversion_relay.core.values import Json, JsonObject
from parity.answers import difference, request_bodies
from parity.corpus import HERE, Case, exact, normal_form, read_cases, read_differences
from parity.page import differences_table, themes_table

CASES = list(read_cases())
EVENTS = [case for case in CASES if case.kind == "event"]
PAGE = (HERE.parents[1] / "docs" / "parity.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_answers_as_the_published_code_or_differs_as_written(case: Case) -> None:
    found = difference(case)
    assert exact(found) == exact(case.line.get("ours", {})), case.line["about"]
    assert bool(found) == (case.difference is not None), case.line["about"]


def test_nothing_empty_goes_on_the_wire_and_no_partner_name() -> None:
    for case in EVENTS:
        for body in request_bodies(case):
            assert exact(normal_form(body)) == exact(_without_empty_parts(body)), case.id


def _without_empty_parts(body: JsonObject) -> JsonObject:
    """The body without an empty `user` or `properties`, which are parts of every event."""
    data = [
        {key: value for key, value in item.items() if key not in ("user", "properties") or value}
        for item in cast("list[JsonObject]", body["data"])
    ]
    return body | {"data": cast("Json", data)}


def test_every_case_has_its_own_id() -> None:
    counted = Counter(case.id for case in CASES)
    assert [name for name, count in counted.items() if count > 1] == []


def test_every_difference_is_explained_and_every_explanation_has_a_case() -> None:
    assert {case.difference for case in CASES} - {None} == set(read_differences())


def test_the_page_lists_the_differences_and_the_cases_that_show_them() -> None:
    assert differences_table(read_differences(), CASES) in PAGE


def test_the_page_says_how_large_the_corpus_is() -> None:
    assert themes_table(CASES) in PAGE
