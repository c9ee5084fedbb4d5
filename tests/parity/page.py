"""The tables of docs/parity.md, made from the corpus.

    PYTHONPATH=tests .venv/bin/python -m parity.page

prints them; a test compares them with the page.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from conversion_relay.core.values import JsonObject
from parity.corpus import Case, read_cases, read_differences

COLUMNS = ("what", "published", "here", "why")
MOST_CASES_NAMED = 4


def differences_table(differences: dict[str, JsonObject], cases: Sequence[Case]) -> str:
    """One row for each deliberate difference, with the cases that show it."""
    rows = ["| difference | what | published | here | why | cases |", "|---|---|---|---|---|---|"]
    for slug, texts in differences.items():
        ids = [case.id for case in cases if case.difference == slug]
        cells = [f"`{slug}`", *(str(texts[column]) for column in COLUMNS), _named(ids)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def themes_table(cases: Sequence[Case]) -> str:
    """How many cases each file has, and how many of them differ on purpose."""
    rows = ["| file | cases | differ |", "|---|---|---|"]
    differing = Counter(case.theme for case in cases if case.difference)
    counted = Counter(case.theme for case in cases)
    rows += [f"| `{theme}` | {count} | {differing[theme]} |" for theme, count in counted.items()]
    return "\n".join([*rows, f"| all | {counted.total()} | {differing.total()} |"])


def _named(ids: Sequence[str]) -> str:
    named = ", ".join(f"`{name}`" for name in ids[:MOST_CASES_NAMED])
    more = len(ids) - MOST_CASES_NAMED
    return f"{named} and {more} more" if more > 0 else named


if __name__ == "__main__":
    corpus = list(read_cases())
    sys.stdout.write(f"{themes_table(corpus)}\n\n")
    sys.stdout.write(f"{differences_table(read_differences(), corpus)}\n")
