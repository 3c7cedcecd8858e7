"""Are variables understood as docker, systemd and copied lines leave them?"""

from __future__ import annotations

from typing import Any, Dict

import pytest

import download_smugmug_photos as script

KEY = {"SMUGMUG_API_KEY": "k" * 32, "SMUGMUG_API_SECRET": "s" * 64}


@pytest.mark.parametrize(
    "text, value",
    [
        ("", ""),
        ("  ", ""),
        ('""', ""),
        ("''", ""),
        ("/data/photos", "/data/photos"),
        ('"/data/photos"', "/data/photos"),
        ("'/data/photos'", "/data/photos"),
        ('"/data/photos"\r', "/data/photos"),
        (' "/data/my photos " ', "/data/my photos"),
        ("/data/photos\r\n", "/data/photos"),
        ('Kids\' "best" of', 'Kids\' "best" of'),
        ("Summer\r\nWinter", "Summer\nWinter"),
        ('"Summer\nWinter"', "Summer\nWinter"),
        ('"Summer"\n\n"Winter"\n', "Summer\nWinter"),
        ("\u00a0x\u00a0", "x"),
    ],
)
def test_quotes_and_spaces_around_values_are_dropped(text: str, value: str) -> None:
    assert script.variable({"SMUGMUG_OUTPUT": text}, "SMUGMUG_OUTPUT") == value


def test_variables_that_are_not_set_are_empty() -> None:
    assert script.variable({}, "SMUGMUG_OUTPUT") == ""


@pytest.mark.parametrize(
    "text",
    ['"/data', '/data"', "'/data", "/data'", '""/data""', "/da\x00ta", "/da\tta", "\x1b[1m/data"],
)
@pytest.mark.parametrize("name", ["SMUGMUG_OUTPUT", "SMUGMUG_API_SECRET"])
def test_odd_values_are_refused_by_name_and_never_shown(name: str, text: str) -> None:
    with pytest.raises(script.Problem) as refused:
        script.variable({name: text}, name)
    assert name in str(refused.value) and "da" not in str(refused.value)


@pytest.mark.parametrize("around", ["{}", '"{}"', "'{}'\r", " {} "])
def test_keys_and_tokens_are_read_like_options(around: str) -> None:
    environ: Dict[str, Any] = {name: around.format(text) for name, text in KEY.items()}
    environ["SMUGMUG_ACCESS_TOKEN"] = around.format("t")
    environ["SMUGMUG_ACCESS_TOKEN_SECRET"] = around.format("u")
    api_key, _ = script.find_api_key(environ, script.Credentials("", ""))
    assert api_key is not None and (api_key.key, api_key.secret) == ("k" * 32, "s" * 64)
    signed_in = script.token_from_environment(api_key, environ)
    assert signed_in is not None and (signed_in.token, signed_in.token_secret) == ("t", "u")
