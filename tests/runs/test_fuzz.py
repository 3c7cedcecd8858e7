"""Do randomly damaged API responses cause no traceback, no false claim, no file outside the
folder?
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any, Callable, Dict, List, Set, Tuple

import pytest

from conftest import Result, Run
from fake_smugmug import (
    IMAGE_SIZES,
    JSON,
    Account,
    Album,
    FakeSmugMug,
    Image,
    bytes_of,
    file_content,
)
from helpers import token_file

ALBUMS = 20


# =================================================================================================
# Damage.
# =================================================================================================

STRANGERS: Tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    1.5,
    10**400,
    float("nan"),
    float("-inf"),
    "",
    "text",
    "0012",
    "\x00\x1b[2J",
    "../../../escaped",
    "9" * 5000,
    [],
    [None],
    [[[]]],
    {},
    {"": None},
    {"Uri": ["/api/v2"]},
    {"Url": 7},
    "https://evil.example/x.jpg",
    "/api/v2/album/none!images",
)


def damaged(answer: JSON, random: Random, at_most: int) -> JSON:
    """Return a response damaged at some random places."""
    for _ in range(random.randint(1, at_most)):
        container, place = random.choice(places(answer, random))
        random.choice(DAMAGES)(container, place, random)
    return answer


def places(answer: JSON, random: Random) -> List[Tuple[Any, Any]]:
    """Return places in a response, as container and key, in its outer layers or everywhere."""
    depth = random.choice([3, 9, 9, 9, 9, 9])
    found, waiting = [], [(answer, 1)]
    while waiting:
        container, level = waiting.pop()
        for place in list(container) if isinstance(container, dict) else range(len(container)):
            found.append((container, place))
            if isinstance(container[place], (dict, list)) and level < depth:
                waiting.append((container[place], level + 1))
    return [(container, place) for container, place in found if container is not answer] or found


def drop(container: Any, place: Any, random: Random) -> None:
    """Remove the field or element."""
    del container[place]


def null(container: Any, place: Any, random: Random) -> None:
    """Set the field or element to null."""
    container[place] = None


def retype(container: Any, place: Any, random: Random) -> None:
    """Give the right value a wrong type."""
    value = container[place]
    container[place] = random.choice(
        [str(value), [value], {str(place): value}, [], {}, not value, repr(value)]
    )


def estrange(container: Any, place: Any, random: Random) -> None:
    """Put something unrelated in its place."""
    container[place] = random.choice(STRANGERS)


def duplicate(container: Any, place: Any, random: Random) -> None:
    """Repeat an element, or copy a field under the name of another."""
    if isinstance(container, list):
        container.insert(random.randint(0, len(container)), container[place])
    else:
        container[random.choice(fields_of(container, place))] = container[place]


def swap(container: Any, place: Any, random: Random) -> None:
    """Swap the values of two fields or elements."""
    is_object = isinstance(container, dict)
    other = (
        random.choice(fields_of(container, place))
        if is_object
        else random.randrange(len(container))
    )
    container[place], container[other] = container[other], container[place]


def fields_of(container: JSON, place: str) -> List[str]:
    """Return the fields of an object that may receive each other's values.

    Expansions are left out: a wrong video without an MD5 could not be detected.
    """
    return [place] if place.startswith("/api/") else sorted(container)


DAMAGES: Tuple[Callable[[Any, Any, Random], None], ...] = (
    drop,
    null,
    retype,
    estrange,
    duplicate,
    swap,
)


def damage(seed: str, at_most: int = 1) -> Callable[[JSON], JSON]:
    """Return a fault that damages equal requests equally, or each differently."""
    is_steady = Random(seed).random() < 0.5
    ever_new = Random(seed)

    def mangled(answer: JSON) -> JSON:
        return damaged(answer, Random(seed) if is_steady else ever_new, at_most)

    return mangled


# =================================================================================================
# Consistency.
# =================================================================================================


@pytest.fixture
def full(account: Account) -> Account:
    """Make an account that needs every kind of request."""
    for number in range(ALBUMS):
        album = account.album(f"Album {number}", folder="Folder", description="Words")
        album.photo(
            "photo.JPG", title="Title", keywords=["one", "two"], latitude="47.5", longitude="8.5"
        )
        (album.photo if number % 2 else album.video)("second.JPG")
        album.video("video.MOV", md5_listed=number % 3 > 0)
        album.photo("fallback.JPG", archived=False, download_uri=number % 2 > 0)
    return account


def images_of(account: Account) -> List[Tuple[Album, Image]]:
    """Return all images with their albums."""
    return [(album, image) for album in account.albums for image in album.images]


def versions(image: Image) -> Set[bytes]:
    """Return all files that SmugMug has of an image, except the still of a video."""
    codes = [code for code, _ in IMAGE_SIZES.values()] if image.file_name == "fallback.JPG" else []
    contents = [file_content(image, code) for code in codes]
    return {image.data} | {bytes_of(content) for content in contents if content is not None}


def files_by_path(output: Path) -> Dict[str, bytes]:
    """Return all files under a final name, by path."""
    paths = (Path(folder) / name for folder, _, names in os.walk(str(output)) for name in names)
    return {
        str(path): path.read_bytes()
        for path in paths
        if not (
            path.name.startswith(".smugmug.sqlite3")
            or path.name.endswith((".part", ".xmp"))
            or path.name in ("album.json", "index.html")
        )
    }


def assert_consistent(account: Account, run: Run, result: Result, before: Set[str]) -> None:
    """Check that exit code, report and files on disk agree."""
    ours = token_file(run).with_name("folders.json")
    here = {
        str(path)
        for path in run.folder.rglob("*")
        if run.output not in (path, *path.parents) and path not in (ours, *ours.parents)
    }
    assert here - before <= {str(run.folder / "report.json")}
    on_disk = files_by_path(run.output)
    known = {content for _, image in images_of(account) for content in versions(image)}
    assert [path for path, content in on_disk.items() if content not in known] == []

    report = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    problems = report["problems"]
    assert report["exit_code"] == result.returncode
    kinds = {problem["kind"] for problem in problems}
    assert result.returncode == (1 if "failed" in kinds else 0) or "stopped_early" in kinds
    assert (result.returncode in (2, 3)) == ("stopped_early" in kinds)
    if result.returncode in (2, 3):
        return
    names = {
        name
        for problem in problems
        for name in (
            [problem["image_key"], f"{problem['folder']}/{problem['file']}"]
            if problem["file"]
            else [problem["folder"], problem["album_key"]]
        )
    }
    contents = set(on_disk.values())
    unnamed = [
        (album.name, image.file_name)
        for album, image in images_of(account)
        if image.data not in contents
        and not names
        & {
            image.key,
            f"{album.name}/{image.file_name}",
            album.name,
            album.key,
            "the list of albums",
        }
    ]
    assert unnamed == []


@pytest.mark.parametrize("seed", range(10))
def test_damaged_image_responses_cause_no_traceback_and_no_false_claim(
    full: Account, smugmug: FakeSmugMug, run: Run, seed: int
) -> None:
    smugmug.allow_unknown_paths = True
    for _, image in images_of(full):
        smugmug.fault(
            "mangle", f"/image/{image.key}-0!", times=None, function=damage(f"{seed} {image.key}")
        )
    faults = [
        smugmug.fault(
            "mangle",
            f"/album/{album.key}!images",
            times=None,
            function=damage(f"{seed} {album.key}"),
        )
        for album in full.albums
    ]
    before = {str(path) for path in run.folder.rglob("*")}

    result = run("--report", "report.json", "--sidecar", "xmp,json,html", "--layout", "tree")

    assert all(fault.hits for fault in faults)
    assert_consistent(full, run, result, before)

    smugmug.clear_faults()
    again = run("--report", "report.json", "--full", "--verify")
    assert again.returncode == 0, again.stderr
    assert_consistent(full, run, again, before)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_album_responses_cause_no_traceback_and_no_false_claim(
    full: Account, smugmug: FakeSmugMug, run: Run, seed: int
) -> None:
    smugmug.allow_unknown_paths = True
    where = "!authuser" if seed % 4 == 3 else "!albums"
    fault = smugmug.fault(
        "mangle",
        where,
        times=None,
        function=damage(f"albums {seed}", at_most=(1, 4, 16)[seed % 3]),
    )
    before = {str(path) for path in run.folder.rglob("*")}

    result = run("--report", "report.json", "--sidecar", "json,html", "--layout", "tree")

    assert fault.hits
    assert_consistent(full, run, result, before)

    smugmug.clear_faults()
    again = run("--report", "report.json")
    assert again.returncode == 0, again.stderr
    assert_consistent(full, run, again, before)
    assert {image.data for _, image in images_of(full)} <= set(files_by_path(run.output).values())
