"""What a refusal says to whoever has to mend it."""

from __future__ import annotations

import pytest

from conversion_relay.service.http.refusals import unauthorized
from conversion_relay.service.http.signature import Credentials, Verdict


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (Credentials((b"s",), (), (), open_to_all=False), "This source accepts X-Signature ("),
        (Credentials((), (b"b",), (), open_to_all=False), "accepts the header "),
        (Credentials((), (), (b"w",), open_to_all=False), "accepts no webhook: it has only write"),
    ],
)
def test_the_ways_that_are_accepted_are_named(credentials: Credentials, words: str) -> None:
    for verdict in (Verdict.MISSING, Verdict.WRONG):
        assert words in unauthorized(credentials, verdict).detail
