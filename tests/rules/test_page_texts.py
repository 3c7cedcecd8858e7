"""Are texts on pages harmless, readable and dated as people write?"""

from __future__ import annotations

import base64
import calendar
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import List, Optional, Tuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

import download_smugmug_photos as script
from helpers import (
    image_of,
)


def test_dates_and_counts_read_as_people_write_them() -> None:
    assert script.shown_time("2019-09-13T11:28:12", True) == "13 Sep 2019, 11:28"
    assert script.shown_time("2019-09-03T11:28:12", False) == "3 Sep 2019"
    assert script.shown_time("", True) == ""
    counts = [script.photo_count(*count) for count in ((12, 1), (1, 0), (0, 2), (1234, 0), (0, 0))]
    assert counts == [
        "12 photos and 1 video",
        "1 photo",
        "2 videos",
        "1,234 photos",
        "no photos",
    ]
    noons = [calendar.timegm((2019, month, 15, 12, 0, 0)) for month in (7, 9)]
    later = calendar.timegm((2021, 3, 15, 12, 0, 0))
    assert script.months_of(noons[:1]) == "Jul 2019"
    assert script.months_of(noons) == "Jul \u2013 Sep 2019"
    assert script.months_of([later, *noons]) == "Jul 2019 \u2013 Mar 2021"


SNIPPETS = (
    "</script>",
    "<script>",
    "<!--",
    "-->",
    "<style>",
    '"',
    "'",
    "&",
    "&lt;",
    "<",
    ">",
    "DATA",
    "\\",
    "\0",
    "\x1f",
    "\r",
    "\n",
    "\u2028",
    "\u202e",
    "\ud800",
    "\U0001f9a2",
    "\u05d0",
    "javascript:",
    "<p>",
    "</figure>",
)
HOSTILE_TEXTS = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.characters()), max_size=12).map(
    "".join
)


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(text=HOSTILE_TEXTS)
@example(text="".join(SNIPPETS))
def test_texts_never_become_markup(text: str) -> None:
    image = image_of(Title=text, Caption=text, KeywordArray=[text], FileName=text)
    about = {"title": text, "about": text, "facts": text, "checked": "", "web": text}
    page = script.html_page(about, [script.image_card(image, None, text)]).decode("utf-8")
    assert Tags.of(page) == Tags.of(script.html_page({"title": ""}, []).decode("utf-8"))
    data = json.loads(
        page.partition('<script type="application/json">')[2].partition("</script>")[0]
    )
    assert (data["title"], data["about"], data["cards"][0]["text"]) == (text, text, image.caption)


class Tags(HTMLParser):
    """Tags of a page with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: List[Tuple[str, List[str]]] = []

    @classmethod
    def of(cls, page: str) -> List[Tuple[str, List[str]]]:
        """Parse the tags of a page."""
        reader = cls()
        reader.feed(page)
        return reader.found

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        """Record a tag."""
        self.found.append((tag, [name for name, _ in attrs]))


def test_the_content_policy_allows_only_the_pages_own_style_and_script() -> None:
    page = script.html_page({"title": ""}, []).decode("utf-8")
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', page)
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert rules["img-src"] == rules["media-src"] == ["file:", "'self'"]
    for tag in ("style", "script"):
        (text,) = re.findall(f"<{tag}>(.*)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
        assert rules[f"{tag}-src"] == [f"'sha256-{digest}'"]


def test_the_template_is_readable() -> None:
    lines = [
        line
        for part in (script.PAGE, script.PAGE_STYLE, script.PAGE_SCRIPT)
        for line in part.splitlines()
    ]
    assert len(lines) <= 250 and max(map(len, lines)) <= 99
