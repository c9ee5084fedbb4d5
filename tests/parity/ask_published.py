"""Asks Segment's published code again, and writes its answers into the cases.

It needs Node (20 or newer) and a folder, outside the checkout, with the published packages::

    @segment/action-destinations 3.497.0   (brings actions-core 3.170.0 and
                                            destination-subscriptions 3.37.0)

    cd FOLDER
    npm init -y
    npm pkg set overrides.@aws-sdk/client-kinesis=^3.0.0 overrides.ajv=8.12.0
    npm install --ignore-scripts --omit=optional --omit=peer @segment/action-destinations@3.497.0

Then, in the checkout::

    PYTHONPATH=tests .venv/bin/python -m parity.ask_published FOLDER [THEME ...]

Only `expected` is rewritten, in place, so that the diff shows which answers have changed. The
time zone is UTC, because the published code reads a time without zone as local time; a time that
falls back to the present one is recorded as "now".
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from conversion_relay.core.values import Json, JsonObject
from parity.corpus import CASES, HERE, Case, read_cases, subscriptions

EXPECTED_ARGUMENTS = 2


def main(arguments: Sequence[str]) -> int:
    """Renews the themes named after the folder, or all of them; the exit status."""
    node = shutil.which("node")
    if len(arguments) < EXPECTED_ARGUMENTS or node is None:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    folder = Path(arguments[1]).resolve()
    for theme in arguments[2:] or [path.stem for path in sorted(CASES.glob("*.ndjson"))]:
        cases = list(read_cases(theme))
        write(theme, cases, ask(node, folder, [question(case) for case in cases]))
        sys.stdout.write(f"{theme}: {len(cases)}\n")
    return 0


def question(case: Case) -> JsonObject:
    """What the driver is asked: presets are spelt out."""
    if case.kind == "event":
        return {"event": case.line["event"], "subscriptions": [*subscriptions(case)]}
    return {key: case.line[key] for key in (case.kind, "event")}


def ask(node: str, folder: Path, questions: Sequence[JsonObject]) -> list[Json]:
    """The published answers, in order."""
    finished = subprocess.run(  # noqa: S603 - our own script, and the folder its caller names
        [node, str(HERE / "ask_published.cjs"), str(folder)],
        input="".join(json.dumps(item) + "\n" for item in questions),
        env=os.environ | {"TZ": "UTC"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    answers = [json.loads(line) for line in finished.stdout.split("\n") if line]
    if finished.returncode or len(answers) != len(questions):
        raise SystemExit(f"{len(answers)} answers to {len(questions)} cases\n{finished.stderr}")
    return answers


def write(theme: str, cases: Sequence[Case], answers: Sequence[Json]) -> None:
    """The theme's file, with the new answers; everything else stays as it was."""
    lines = [case.line | {"expected": answer} for case, answer in zip(cases, answers, strict=True)]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (CASES / f"{theme}.ndjson").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
