"""Do keywords reach the programs that people use, by the rules of each?"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Callable, Dict, List

import pytest

from conftest import Run
from fake_smugmug import Account
from helpers import sync

Properties = Dict[str, List[str]]

KEYWORDS = [
    ["lake", "National Conference"],
    ["B/W", "lake"],
    ["24/7"],
    ["f|2.8", "lake"],
    ["B/W", "f|2.8"],
    ["a/b|c", "x"],
    ["/", "|"],
    ["7", "2019"],
]


def read_by_exiftool(path: Path) -> Properties:
    """Return the lists of keywords in a sidecar, as exiftool reads them."""
    command = ["exiftool", "-json", "-struct", "-TagsList", "-HierarchicalSubject", "-Subject"]
    told = subprocess.run([*command, str(path)], check=True, stdout=subprocess.PIPE)
    (found,) = json.loads(told.stdout.decode("utf-8"))
    del found["SourceFile"]
    lists = {name: value if isinstance(value, list) else [value] for name, value in found.items()}
    return {name: [str(text) for text in texts] for name, texts in lists.items()}


def first_of(properties: Properties, *names: str) -> str:
    """Return the first property that a program finds."""
    return next(name for name in names if name in properties)


def in_immich(properties: Properties) -> List[str]:
    """Return tags as Immich makes them: "/" separates levels, in a hierarchical subject "|"."""
    name = first_of(properties, "TagsList", "HierarchicalSubject", "Subject")
    separator = {"TagsList": "/", "HierarchicalSubject": "|"}.get(name, "\0")
    return ["\u2192".join(text.split(separator)) for text in properties[name]]


def in_digikam(properties: Properties) -> List[str]:
    """Return tags as digiKam makes them."""
    return in_immich(properties)


def in_lightroom(properties: Properties) -> List[str]:
    """Return keywords as Lightroom makes them."""
    name = first_of(properties, "HierarchicalSubject", "Subject")
    separator = "|" if name == "HierarchicalSubject" else "\0"
    return ["\u2192".join(text.split(separator)) for text in properties[name]]


def in_other_programs(properties: Properties) -> List[str]:
    """Return keywords as programs read them that know nothing of hierarchies."""
    return properties["Subject"]


READERS = [in_immich, in_digikam, in_lightroom, in_other_programs]


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("read", READERS)
def test_each_keyword_arrives_as_one(
    account: Account, run: Run, read: Callable[[Properties], List[str]]
) -> None:
    album = account.album("Summer")
    for number, keywords in enumerate(KEYWORDS):
        album.photo(f"IMG_{number}.JPG", keywords=list(keywords))
    sync(run, "--sidecar", "xmp")
    for number, keywords in enumerate(KEYWORDS):
        properties = read_by_exiftool(run.output / "Summer" / f"IMG_{number}.JPG.xmp")
        assert sorted(read(properties)) == sorted(keywords), properties


def test_ordinary_keywords_are_in_every_list(account: Account, run: Run) -> None:
    account.album("Summer").photo("IMG_1.JPG", keywords=["lake", "old town"])
    sync(run, "--sidecar", "xmp")
    text = (run.output / "Summer" / "IMG_1.JPG.xmp").read_text(encoding="utf-8")
    assert text.count("<rdf:li>old town</rdf:li>") == 3
