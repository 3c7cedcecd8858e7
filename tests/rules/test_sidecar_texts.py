"""Do XMP and JSON sidecars keep every text and location?"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional, Tuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import download_smugmug_photos as script
from helpers import image_of, parse_album
from reading import everywhere, xmp

BUDGET = settings(max_examples=60, deadline=None, database=None, derandomize=True)
SNIPPETS = (
    "]]>",
    "<![CDATA[",
    "<!--",
    "<?xml?>",
    "&amp;",
    "&#0;",
    "&nbsp;",
    "</rdf:li>",
    '"',
    "'",
    "\r",
    "\r\n",
    "\n",
    "\t",
    " ",
    "\0",
    "\x0b",
    "\x1f",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "\ufffe",
    "\uffff",
    "\ud800",
    "\udfff",
    "\U0001f9a2",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "e\u0301",
    "\u202e",
    "\U0010ffff",
)
HOSTILE_TEXTS = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.characters()), max_size=12).map(
    "".join
)


@BUDGET
@given(name=HOSTILE_TEXTS, title=HOSTILE_TEXTS, keywords=st.lists(HOSTILE_TEXTS, max_size=3))
@example(name="\ud83d", title="cut in half: \ud83d", keywords=["\ude00"])
def test_json_is_utf_8_and_keeps_every_text(name: str, title: str, keywords: List[str]) -> None:
    album = parse_album({"AlbumKey": "abc", "Name": name})
    content = script.album_json(album, [image_of(Title=title, KeywordArray=keywords)], {})
    written = json.loads(content.decode("utf-8"))
    (image,) = written["images"]
    for text, original in [
        (written["name"], name),
        (image["title"], title),
        *zip(image["keywords"], filter(None, keywords)),
    ]:
        assert re.fullmatch(
            "".join(
                "." if "\ud800" <= character <= "\udfff" else re.escape(character)
                for character in original
            ),
            text,
        )
    assert len(image["keywords"]) == len(list(filter(None, keywords)))


def image_xmp(image: script.Image) -> bytes:
    """Return the XMP sidecar of an image, with its dates."""
    return script.image_xmp(image, has_dates=True)


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"Title": "a"}, {"dc:title": {"x-default": "a"}, "dc:description": {"x-default": "a"}}),
        (
            {"Title": 2019},
            {"dc:title": {"x-default": "2019"}, "dc:description": {"x-default": "2019"}},
        ),
        (
            {"Title": "a", "Caption": "b"},
            {"dc:title": {"x-default": "a"}, "dc:description": {"x-default": "b"}},
        ),
        (
            {"Caption": "Tom &amp; Jerry <b>&lt;3</b> &#8217; ]]>"},
            {"dc:description": {"x-default": "Tom &amp; Jerry <b>&lt;3</b> &#8217; ]]>"}},
        ),
        (
            {"Keywords": '"National Conference"', "KeywordArray": ["National Conference"]},
            everywhere(["National Conference"]),
        ),
        (
            {"Keywords": "b; a, c; 2019", "KeywordArray": ["b", "a, c", 2019]},
            everywhere(["b", "a, c", "2019"]),
        ),
        ({"Keywords": "x; y", "KeywordArray": []}, {}),
        ({"Keywords": "x; y", "KeywordArray": [""]}, {}),
        ({"Title": "", "Caption": "", "KeywordArray": []}, {}),
        ({"Title": None, "Caption": [], "KeywordArray": None}, {}),
    ],
)
def test_captions_are_kept_unchanged(fields: Dict[str, Any], expected: Dict[str, Any]) -> None:
    image = image_of(**fields)
    assert xmp(image_xmp(image)) == {**expected, "smugmug:ImageKey": "abc"}
    assert script.has_texts(image) == bool(expected)
    written = script.image_json(image, None)
    assert [written["title"], written["caption"] or written["title"], written["keywords"]] == [
        expected.get("dc:title", {}).get("x-default", ""),
        expected.get("dc:description", {}).get("x-default", ""),
        expected.get("dc:subject", []),
    ]


@pytest.mark.parametrize(
    "latitude, longitude, place",
    [
        ("47.50000000000000", "-122.25000000000000", ("47,30.000000N", "122,15.000000W")),
        ("-33.8688", "151.2093", ("33,52.128000S", "151,12.558000E")),
        (47.5, -122.25, ("47,30.000000N", "122,15.000000W")),
        ("47.99999999999999", "-8.99999999999999", ("48,0.000000N", "9,0.000000W")),
        ("0.00000000000000", "12.5", ("0,0.000000N", "12,30.000000E")),
        ("51.5", "0", ("51,30.000000N", "0,0.000000E")),
        ("90", "-180", ("90,0.000000N", "180,0.000000W")),
        ("0", "0", None),
        ("0.00000000000000", "0.00000000000000", None),
        ("-0", "-0", None),
        ("-0.00000000000000", "0", None),
        (0, 0, None),
        ("", "", None),
        (None, None, None),
        ("47.5", None, None),
        (None, "8.5", None),
        ("90.5", "8.5", None),
        ("47.5", "180.5", None),
        ("nan", "nan", None),
        ("inf", "8.5", None),
        ("north", "west", None),
        ([], {}, None),
    ],
)
def test_locations_are_written_in_degrees_and_minutes_or_not_at_all(
    latitude: Any, longitude: Any, place: Optional[Tuple[str, str]]
) -> None:
    image = image_of(Latitude=latitude, Longitude=longitude)
    said, written = xmp(image_xmp(image)), script.image_json(image, None)
    if place is None:
        assert said == {"smugmug:ImageKey": "abc"}
        assert not script.has_texts(image)
        assert [written["latitude"], written["longitude"], written["altitude"]] == [
            None,
            None,
            None,
        ]
    else:
        assert (said["exif:GPSLatitude"], said["exif:GPSLongitude"]) == place
        assert script.has_texts(image)
        assert (written["latitude"], written["longitude"]) == (float(latitude), float(longitude))


@pytest.mark.parametrize(
    "altitude, said",
    [
        (12, ("1200/100", "0")),
        ("8848.86", ("884886/100", "0")),
        (-430.5, ("43050/100", "1")),
        (0, (None, None)),
        ("", (None, None)),
        (None, (None, None)),
        ("high", (None, None)),
    ],
)
def test_altitudes_are_above_or_below_sea_level(
    altitude: Any, said: Tuple[Optional[str], Optional[str]]
) -> None:
    content = xmp(image_xmp(image_of(Latitude="47.5", Longitude="8.5", Altitude=altitude)))
    assert (content.get("exif:GPSAltitude"), content.get("exif:GPSAltitudeRef")) == said


@BUDGET
@given(st.floats(-90, 90), st.floats(-180, 180))
@example(59.999999999, -179.999999999)
@example(1e-12, -1e-12)
def test_locations_survive_the_conversion_to_degrees_and_minutes(
    latitude: float, longitude: float
) -> None:
    said = xmp(image_xmp(image_of(Latitude=repr(latitude), Longitude=repr(longitude))))
    if not latitude and not longitude:
        assert "exif:GPSLatitude" not in said
        return
    for name, degrees, signs in (
        ("exif:GPSLatitude", latitude, "NS"),
        ("exif:GPSLongitude", longitude, "EW"),
    ):
        match = re.fullmatch(r"([0-9]{1,3}),([0-9]{1,2}\.[0-9]+)([NSEW])", said[name])
        assert match is not None, said[name]
        whole, minutes = int(match.group(1)), float(match.group(2))
        assert minutes < 60
        assert whole + minutes / 60 == pytest.approx(abs(degrees), abs=1e-7)
        assert match.group(3) == signs[degrees < 0]


def is_xml(character: str) -> bool:
    """Return True if XML 1.0 allows a character (https://www.w3.org/TR/xml/#charsets)."""
    number = ord(character)
    return (
        number in (0x9, 0xA, 0xD)
        or 0x20 <= number <= 0xD7FF
        or 0xE000 <= number <= 0xFFFD
        or number >= 0x10000
    )


def as_xml(text: str) -> str:
    """Return a text as XML must return it: only forbidden characters are replaced."""
    return "".join(
        character if is_xml(character) else "\N{REPLACEMENT CHARACTER}" for character in text
    )


@BUDGET
@given(
    title=HOSTILE_TEXTS,
    caption=HOSTILE_TEXTS,
    keywords=st.lists(HOSTILE_TEXTS, max_size=3),
    page=HOSTILE_TEXTS,
    uploaded=HOSTILE_TEXTS,
)
@example(
    title="".join(SNIPPETS),
    caption="a\r\nb\rc\nd",
    keywords=list(SNIPPETS),
    page="]]>",
    uploaded="&",
)
def test_xmp_is_well_formed_and_keeps_every_text(
    title: str, caption: str, keywords: List[str], page: str, uploaded: str
) -> None:
    said = xmp(
        image_xmp(
            image_of(
                Title=title,
                Caption=caption,
                KeywordArray=keywords,
                WebUri=page,
                DateTimeUploaded=uploaded,
            )
        )
    )
    kept = [as_xml(keyword) for keyword in keywords if keyword]
    expected = {
        "dc:title": title and {"x-default": as_xml(title)},
        "dc:description": (caption or title) and {"x-default": as_xml(caption or title)},
        **everywhere(kept),
        "dc:source": as_xml(page),
        "smugmug:DateTimeUploaded": as_xml(uploaded),
        "smugmug:ImageKey": "abc",
    }
    assert said == {name: value for name, value in expected.items() if value}
