"""Normalising and hashing of personal data."""

from __future__ import annotations

from hashlib import sha256

import pytest

from conversion_relay.destinations.tiktok import normalise

E164_HASH = "9f7ec22d72092cd3c0b58726ed9c2d91b92e51a3f29837508fb2948bb22dd2fd"


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


email = normalise.hashed(str.lower)
name = normalise.hashed(normalise.letters)
postal_code = normalise.hashed(normalise.postal_code)


def test_the_vectors_of_the_reference() -> None:
    alice = "848a771458438fc2ec420560d769fb9b9b86851ee338ec56517baabd79d3bb4f"
    assert email(" ALICE_abc@gmail.com ") == alice
    assert normalise.hashed(normalise.phone(None))("(+1)2133734253") == E164_HASH
    user = "80fba0ae1c48e3978e43e4efc365e14e12ea0c830ba8ba5b9a2dafc7e3f2ab8b"
    assert email("user_123") == user


@pytest.mark.parametrize("given", [E164_HASH, E164_HASH.upper(), f" {E164_HASH}\n"])
def test_a_hash_passes_through(given: str) -> None:
    for function in (email, name, postal_code, normalise.hashed(normalise.phone("US"))):
        assert function(given) == E164_HASH


@pytest.mark.parametrize("given", [E164_HASH[:-1], E164_HASH[:-1] + "g", E164_HASH + "0"])
def test_what_only_looks_like_a_hash_is_hashed(given: str) -> None:
    assert email(given) == digest(given)


@pytest.mark.parametrize("given", ["", " ", "\t\n"])
def test_nothing_is_not_hashed(given: str) -> None:
    for function in (email, name, postal_code, normalise.hashed(normalise.phone(None))):
        assert function(given) is None


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ("Alice", "alice"),
        ("O'Neill", "oneill"),
        ("Jean-Luc  Picard", "jeanlucpicard"),
        ("MÜLLER", "müller"),
        ("Zoe\u0308", "zoe\u0308"),
        ("Nguyễn Văn", "nguyễnvăn"),
        ("王小明", "王小明"),
        ("अनिता", "अनिता"),
        ("J. R. R.", "jrr"),
        ("St. John\u2019s", "stjohns"),
        ("Anna 😀", "anna"),
        ("2nd", "2nd"),
        ("...", ""),
    ],
)
def test_names_and_places_keep_letters_of_every_script(given: str, form: str) -> None:
    assert normalise.letters(given) == form
    assert name(given) == (digest(form) if form else None)


@pytest.mark.parametrize(
    ("given", "form"),
    [("94107", "94107"), ("94107-1234", "941071234"), ("SW1A 1AA", "sw1a1aa"), ("1\u20132", "12")],
)
def test_postal_codes(given: str, form: str) -> None:
    assert postal_code(given) == digest(form)


@pytest.mark.parametrize(
    ("given", "form"),
    [("US", "us"), (" de ", "de"), ("U.S.", "us"), ("USA", None), ("Germany", None), ("U1", None)],
)
def test_countries(given: str, form: str | None) -> None:
    assert normalise.country(given) == form


@pytest.mark.parametrize(
    ("given", "region", "form"),
    [
        ("+12133734253", None, "+12133734253"),
        ("+12133734253", "DE", "+12133734253"),
        ("(+1)2133734253", "DE", "+12133734253"),
        (" ( +1 ) 213-373-4253", "DE", "+12133734253"),
        ("\uff0b1 213 373 4253", "DE", "+12133734253"),
        ("1 (213) 373-4253", None, "+12133734253"),
        ("1-800-356-9377", None, "+18003569377"),
        ("12005550143", None, "+12005550143"),
        ("0664 001 4567", "AT", "+436640014567"),
        ("0049 30 1234567", None, "+49301234567"),
        ("(0049) 30 1234567", None, "+49301234567"),
        ("030 1234567", None, "+0301234567"),
        ("030 1234567", "DE", "+49301234567"),
        ("0049 30 1234567", "DE", "+49301234567"),
        ("001 213 373 4253", "DE", "+12133734253"),
        ("(213) 373-4253", "US", "+12133734253"),
        ("011 49 30 1234567", "US", "+49301234567"),
        ("12", "US", "+12"),
        ("+\u0661\u0662\u0663\u0664\u0665\u0666", None, "+123456"),
        ("123456789012345", None, "+123456789012345"),
        ("1234567890123456", None, None),
        ("+1234567890123456", "US", None),
        ("+", None, None),
        ("n/a", None, None),
        ("n/a", "US", None),
        ("n/a", "ZZ", None),
    ],
)
def test_phone_numbers(given: str, region: str | None, form: str | None) -> None:
    assert normalise.phone(region)(given) == form


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.7"),
        ("256.1.1.1", None),
        ("01.2.3.4", None),
        ("203.0.113.7:80", None),
        ("203.0.113.7, 10.0.0.1", None),
        ("fe80::1%eth0", None),
        ("unknown", None),
        ("", None),
        ("1" * 5000, None),
    ],
)
def test_ip_addresses(given: str, address: str | None) -> None:
    assert normalise.ip_address(given) == address


@pytest.mark.parametrize(
    ("url", "click"),
    [
        # As new URL(url).searchParams.get("ttclid") answers in Node 20; empty counts as none.
        ("https://e.com/?ttclid=a", "a"),
        ("https://e.com/?ttclid=", None),
        ("https://e.com/?a=1&ttclid=b&ttclid=c", "b"),
        ("https://e.com/?ttclid=&ttclid=c", None),
        ("https://e.com/?%74tclid=x", "x"),
        ("https://e.com/?ttclid=a%2Bb+c%20d", "a+b c d"),
        ("https://e.com/?ttclid=%zz%E4", "%zz\ufffd"),
        ("https://e.com/?TTCLID=x", None),
        ("https://e.com/#?ttclid=x", None),
        ("https://e.com/?x#ttclid=x", None),
        ("/p?ttclid=x", None),
        ("//e.com/?ttclid=x", None),
        ("e.com?ttclid=x", None),
        ("  https://e.com/?ttclid=x  ", "x"),
        ("https://e.com/?tt\nclid=a\tb", "ab"),
        ("android-app:foo?ttclid=x", "x"),
        ("https://e.com?ttclid=a=b=c", "a=b=c"),
        ("https://e.com/?ttclid", None),
        ("https://e.com/?&&ttclid=z&", "z"),
        ("https://[::1]/?ttclid=v6", "v6"),
        ("https://[::1/?ttclid=odd", "odd"),  # no URL to Node; the click id is none the worse
        ("?ttclid=x", None),
        ("", None),
        ("https://e.com/?a;ttclid=x", None),
        ("https://e.com/?ttclid=%F0%9F%98%80", "😀"),
        ("mailto:a?ttclid=m", "m"),
        ("https://e.com/?ttclid=" + "x" * 5000, "x" * 5000),
    ],
)
def test_click_ids(url: str, click: str | None) -> None:
    assert normalise.click_id(url) == click
