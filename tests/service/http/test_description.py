"""What /api/openapi.json says of the paths that no model describes."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from support.running import ADMIN, world

CALLS = ("track", "page", "identify", "screen", "group", "alias", "batch", "import")


@pytest.fixture
async def document(tmp_path: Path) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    async with world(tmp_path) as here:
        answers = [
            await here.client.get(
                "/api/openapi.json", headers={"Authorization": f"Bearer {ADMIN}"}
            )
            for _ in range(2)
        ]
    assert answers[0].content == answers[1].content
    described: dict[str, dict[str, dict[str, dict[str, object]]]] = answers[0].json()
    return described


async def test_every_way_in_is_described(
    document: dict[str, dict[str, dict[str, dict[str, object]]]],
) -> None:
    paths = document["paths"]
    assert {"post", "put", "patch"} < set(paths["/webhook/{source}"])
    assert {f"/v1/{call}" for call in (*CALLS, "{letter}")} < set(paths)
    for call in CALLS:
        operation = paths[f"/v1/{call}"]["post"]
        assert {"requestBody", "security", "responses"} < set(operation)
        assert operation["responses"].keys() >= {"200", "400", "401", "408", "429", "503"}  # type: ignore[attr-defined]


async def test_the_webhook_s_answer_is_described(
    document: dict[str, dict[str, dict[str, dict[str, object]]]], tmp_path: Path
) -> None:
    async with world(tmp_path) as here:
        answer = (await here.post([])).json()
    described = orjson.dumps(document["paths"]["/webhook/{source}"]["post"]["responses"])
    schema = orjson.loads(described)["200"]["content"]["application/json"]["schema"]
    assert set(schema["required"]) == set(schema["properties"]) == set(answer)


async def test_every_refusal_is_a_problem_document(
    document: dict[str, dict[str, dict[str, dict[str, object]]]],
) -> None:
    operations = [
        (path, one)
        for path, item in document["paths"].items()
        for name, one in item.items()
        if name != "parameters"
    ]
    assert len(operations) > 20
    for path, operation in operations:
        responses = operation["responses"]
        assert isinstance(responses, dict)
        refused = {status: one for status, one in responses.items() if status[0] not in "123"}
        assert refused, path
        for status, answer in refused.items():
            assert list(answer["content"]) == ["application/problem+json"], (path, status)
