"""Do XMP and JSON sidecars keep every text and location?"""

from __future__ import annotations

import json
import re
from typing import List

from hypothesis import example, given, settings
from hypothesis import strategies as st

import download_smugmug_photos as script
from helpers import image_of, parse_album

BUDGET = settings(max_examples=200, deadline=None, database=None, derandomize=True)
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
