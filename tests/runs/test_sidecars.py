"""Are captions, keywords, locations and order kept beside the photos, current and harmless?"""

from __future__ import annotations

import difflib
import json
import re
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from conftest import Run
from fake_smugmug import Account, Album, FakeSmugMug, Image, heic_name, keywords_from, utc_text
from helpers import NOTHING_NEW, sync
from reading import everywhere, xmp

SITE = "https://family.smugmug.com"


# =================================================================================================
# Parsing the output
# =================================================================================================


def album_json(run: Run, folder: str = "Summer") -> Any:
    """Return the album.json in a folder."""
    return json.loads((run.output / folder / "album.json").read_bytes().decode("utf-8"))


def as_stored(folder: Path, pattern: str = "**/*") -> Dict[str, Tuple[int, int, bytes]]:
    """Return the files below a folder with what shows if one was written again."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
            path.read_bytes(),
        )
        for path in folder.glob(pattern)
        if path.is_file() and not path.name.startswith(".")
    }


def sidecars(run: Run) -> List[str]:
    """Return the sidecars in the output folder."""
    return sorted(name for name in as_stored(run.output) if name.endswith((".xmp", ".json")))


# =================================================================================================
# XMP: properties and their form
# =================================================================================================


def spoken(album: Album) -> Image:
    """Add a photo with every kind of metadata."""
    return album.photo(
        "IMG_1.JPG",
        title="The lake",
        caption="At dawn, 4 °C\nwith \U0001f9a2",
        keywords=["lake", "National Conference"],
        latitude="47.50000000000000",
        longitude="-122.25000000000000",
        altitude=12,
        taken=datetime(2019, 8, 4, 11, 28, 12),
        uploaded=datetime(2020, 3, 1, 12, 34, 56),
    )


def test_xmp_sidecars_hold_smugmugs_metadata(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photo = spoken(album)
    video = album.video("video.mov", caption="Swans", uploaded=datetime(2020, 3, 2))
    album.photo("silent.JPG", taken=datetime(2019, 8, 4))
    sync(run, "--sidecar", "xmp,dates")
    assert sidecars(run) == ["Summer/IMG_1.JPG.xmp", "Summer/video.mp4.xmp"]
    assert xmp((run.output / "Summer" / "IMG_1.JPG.xmp").read_bytes()) == {
        "dc:title": {"x-default": "The lake"},
        "dc:description": {"x-default": "At dawn, 4 °C\nwith \U0001f9a2"},
        **everywhere(["lake", "National Conference"]),
        "dc:source": f"{SITE}/Summer/i-{photo.key}",
        "exif:DateTimeOriginal": "2019-08-04T11:28:12",
        "exif:GPSLatitude": "47,30.000000N",
        "exif:GPSLongitude": "122,15.000000W",
        "exif:GPSAltitude": "1200/100",
        "exif:GPSAltitudeRef": "0",
        "photoshop:DateCreated": "2019-08-04T11:28:12",
        "smugmug:DateTimeUploaded": "2020-03-01T12:34:56+00:00",
        "smugmug:ImageKey": photo.key,
        "xmp:CreateDate": "2019-08-04T11:28:12",
    }
    assert xmp((run.output / "Summer" / "video.mp4.xmp").read_bytes()) == {
        "dc:description": {"x-default": "Swans"},
        "dc:source": f"{SITE}/Summer/i-{video.key}",
        "smugmug:DateTimeUploaded": "2020-03-02T00:00:00+00:00",
        "smugmug:ImageKey": video.key,
    }
    assert (run.output / "Summer" / "IMG_1.JPG").read_bytes() == photo.data
    assert (run.output / "Summer" / "video.mp4").read_bytes() == video.data


# =================================================================================================
# Hostile text
# =================================================================================================


def test_half_an_emoji_in_a_caption_breaks_no_sidecar(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG", caption="cut in HALF of it")
    answers: List[Any] = []

    def cut(answer: Any) -> Any:
        answers.append(answer)
        return answer

    smugmug.fault("mangle", where=f"/album/{album.key}!images", function=cut)
    sync(run, "--sidecar", "xmp,json")
    body = json.dumps(answers[0]).replace("HALF", "\\ud83d").encode("ascii")
    smugmug.fault(
        "respond",
        where=f"/album/{album.key}!images",
        headers={"Content-Type": "application/json"},
        body=body,
    )
    sync(run, "--sidecar", "xmp,json")
    said = xmp((run.output / "Summer" / "a.JPG.xmp").read_bytes())["dc:description"]["x-default"]
    assert said == "cut in \N{REPLACEMENT CHARACTER} of it"
    assert re.fullmatch("cut in . of it", album_json(run)["images"][0]["caption"])


def test_sidecars_have_dates_only_on_request_or_if_the_photo_cannot(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    for name in ("IMG_1.JPG", "IMG_2.png"):
        album.photo(name, title="The lake", taken=datetime(2019, 8, 4, 11, 28, 12))
    dates = {"photoshop:DateCreated", "exif:DateTimeOriginal", "xmp:CreateDate"}

    def dated(kinds: str) -> List[bool]:
        sync(run, "--sidecar", kinds)
        said = [
            xmp((run.output / "Summer" / f"{name}.xmp").read_bytes())
            for name in ("IMG_1.JPG", "IMG_2.png")
        ]
        assert all(dates & set(each) in (dates, set()) for each in said)
        return [dates <= set(each) for each in said]

    assert dated("xmp") == [False, True]
    assert dated("xmp,dates") == [True, True]


@pytest.mark.parametrize("longitude, is_given", [("8.5", False), ("-122.25", True)])
def test_positive_longitudes_are_left_out_for_videos_only(
    account: Account, run: Run, longitude: str, is_given: bool
) -> None:
    album = account.album("Summer")
    for add, name in ((album.photo, "photo.JPG"), (album.video, "video.mp4")):
        add(name, title="The lake", latitude="47.5", longitude=longitude)
    sync(run, "--sidecar", "xmp")
    said = {
        name: set(xmp((run.output / "Summer" / f"{name}.xmp").read_bytes()))
        for name in ("photo.JPG", "video.mp4")
    }
    place = {"exif:GPSLatitude", "exif:GPSLongitude"}
    assert place <= said["photo.JPG"]
    assert place & said["video.mp4"] == (place if is_given else set())


# =================================================================================================
# exiftool
# =================================================================================================


@pytest.mark.skipif(
    shutil.which("exiftool") is None,
    reason="exiftool is not installed (Debian: libimage-exiftool-perl), so "
    "so the XMP sidecars were not read by another program",
)
def test_exiftool_reads_the_xmp_sidecars(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photo = spoken(album)
    album.photo(
        "IMG_2.JPG",
        title="]]> &amp; <b>\x0b",
        caption="a\r\nb",
        keywords=["National Conference"],
        latitude="-33.99999999999999",
        longitude="0.00000000000000",
        altitude=-430,
    )
    sync(run, "--sidecar", "xmp,dates")
    files = [str(run.output / "Summer" / f"IMG_{number}.JPG.xmp") for number in (1, 2)]
    answer = subprocess.run(
        ["exiftool", "-j", "-G1", "-n", "-validate", "-warning", "-error", "-XMP:all", *files],
        stdout=subprocess.PIPE,
        check=True,
    )
    first, second = (
        {name.replace("XMP-", ""): value for name, value in entry.items() if name != "SourceFile"}
        for entry in json.loads(answer.stdout.decode("utf-8"))
    )
    for found in (first, second):
        assert found.pop("ExifTool:Validate") == "0 0 0"  # no errors, no warnings
        found.pop("x:XMPToolkit")
    assert first == {
        "dc:Title": "The lake",
        "dc:Description": "At dawn, 4 °C\nwith \U0001f9a2",
        "dc:Subject": ["lake", "National Conference"],
        "digiKam:TagsList": ["lake", "National Conference"],
        "lr:HierarchicalSubject": ["lake", "National Conference"],
        "dc:Source": f"{SITE}/Summer/i-{photo.key}",
        "photoshop:DateCreated": "2019:08:04 11:28:12",
        "exif:DateTimeOriginal": "2019:08:04 11:28:12",
        "xmp:CreateDate": "2019:08:04 11:28:12",
        "exif:GPSLatitude": 47.5,
        "exif:GPSLongitude": -122.25,
        "exif:GPSAltitude": 12,
        "exif:GPSAltitudeRef": 0,
        "smugmug:ImageKey": photo.key,
        "smugmug:DateTimeUploaded": "2020:03:01 12:34:56+00:00",
    }
    assert [second[name] for name in ("dc:Title", "dc:Description", "dc:Subject")] == [
        "]]> &amp; <b>\N{REPLACEMENT CHARACTER}",
        "a\r\nb",
        "National Conference",
    ]
    assert [
        second[f"exif:GPS{name}"] for name in ("Latitude", "Longitude", "Altitude", "AltitudeRef")
    ] == [-34, 0, 430, 1]


# =================================================================================================
# JSON: the album and its images in order
# =================================================================================================


def test_album_json_holds_the_album_and_its_images(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album(
        "Summer: 2019",
        folder="Family",
        privacy="Unlisted",
        description="By the lake &amp; in it",
        keywords="lake; swans",
    )
    photo = spoken(album)
    video = album.video("video.mov", hidden=True)
    smaller = album.photo(
        "smaller.JPG", archived=False, download_uri=False, original_size_listed=False
    )
    lost = album.photo("lost.JPG", caption="Still under way")
    adopted = album.photo("adopted.JPG", archived=False)
    folder = run.output / "Summer_ 2019"
    folder.mkdir(parents=True)
    (folder / "adopted.JPG").write_bytes(adopted.data)
    smugmug.fault("not_found", where=f"/i-{lost.key}/", times=None)
    album.touch_settings()
    sync(run, "--sidecar", "xmp,json", exit_code=1)

    def entry(image: Image, **known: Any) -> Dict[str, Any]:
        assert image.uploaded is not None
        page = f"{SITE}{album.url_path}/i-{image.key}"
        return {
            "file": image.file_name,
            "image_key": image.key,
            "smugmug_file_name": image.file_name,
            "title": image.title,
            "caption": image.caption,
            "keywords": list(image.keywords),
            "latitude": None,
            "longitude": None,
            "altitude": None,
            "taken": None,
            "uploaded": utc_text(image.uploaded),
            "size_bytes": image.size,
            "md5": image.md5,
            "hidden": False,
            "is_video": False,
            "is_original": True,
            "web_uri": page,
            **known,
        }

    written = album_json(run, "Summer_ 2019")
    assert re.fullmatch("download_smugmug_photos [0-9.]+ [0-9a-f]{32}", written["written_by"])
    assert written == {
        "written_by": written["written_by"],
        "version": 1,
        "album_key": album.key,
        "name": "Summer: 2019",
        "description": "By the lake &amp; in it",
        "keywords": "lake; swans",
        "path": album.url_path,
        "privacy": "Unlisted",
        "created": utc_text(album.created),
        "changed": utc_text(album.last_updated),
        "web_uri": SITE + album.url_path,
        "images": [
            entry(
                photo, latitude=47.5, longitude=-122.25, altitude=12, taken="2019-08-04T11:28:12"
            ),
            entry(video, file="video.mp4", hidden=True, is_video=True, is_original=False),
            entry(
                smaller,
                is_original=False,
                **{name: written["images"][2][name] for name in ("size_bytes", "md5")},
            ),
            entry(lost, file=None, size_bytes=None, md5=None, is_original=None),
            entry(adopted),
        ],
    }
    assert (
        written["images"][2]["size_bytes"]
        == (folder / "smaller.JPG").stat().st_size
        < smaller.size
    )
    assert sidecars(run) == ["Summer_ 2019/IMG_1.JPG.xmp", "Summer_ 2019/album.json"]


def test_album_json_keeps_the_order_of_the_album(account: Account, run: Run) -> None:
    album = account.album("Summer")
    for number, name in enumerate(["m.JPG", "z.JPG", "a.JPG", "k.JPG"]):
        album.photo(
            name,
            uploaded=datetime(2020, 1, 9) - timedelta(days=number % 3),
            key=f"key{(number * 3) % 4}",
        )
    sync(run, "--sidecar", "json")
    assert [image["file"] for image in album_json(run)["images"]] == [
        "m.JPG",
        "z.JPG",
        "a.JPG",
        "k.JPG",
    ]
    assert isinstance(album.entries, list)
    album.entries.insert(0, album.entries.pop())
    album.touch()
    sync(run, "--sidecar", "json")
    assert [image["file"] for image in album_json(run)["images"]] == [
        "k.JPG",
        "m.JPG",
        "z.JPG",
        "a.JPG",
    ]


def test_album_json_changes_only_in_the_affected_lines(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photos = [album.photo(f"{name}.JPG", title=name, keywords=["x", "y"]) for name in "abc"]
    path = run.output / "Summer" / "album.json"

    def lines_changed(before: str) -> List[str]:
        after = path.read_bytes().decode("utf-8")
        assert after.endswith("}\n") and "\r" not in after
        changed = [
            line
            for line in difflib.unified_diff(
                before.splitlines(), after.splitlines(), n=0, lineterm=""
            )
            if not line.startswith(("---", "+++", "@@"))
        ]
        # with the MD5 of everything
        assert [line[:15] for line in changed[:2]] == [
            '-  "written_by"',
            '+  "written_by"',
        ]
        return changed[2:]

    sync(run, "--sidecar", "json")
    first = path.read_bytes().decode("utf-8")
    before = utc_text(album.images_last_updated)
    photos[1].caption = "Größe: \U0001f9a2"
    album.touch()
    sync(run, "--sidecar", "json")
    assert lines_changed(first) == [
        f'-  "changed": "{before}",',
        f'+  "changed": "{utc_text(album.images_last_updated)}",',
        '-      "caption": "",',
        '+      "caption": "Größe: \U0001f9a2",',
    ]

    second = path.read_bytes().decode("utf-8")
    album.photo("d.JPG")
    assert isinstance(album.entries, list)
    album.entries.insert(0, album.entries.pop())
    sync(run, "--sidecar", "json")
    assert [line for line in lines_changed(second) if line.startswith("-")] == [
        f'-  "changed": "{json.loads(second)["changed"]}",'
    ]


def test_images_in_two_albums_have_a_web_address_in_each(account: Account, run: Run) -> None:
    album, collection = account.album("Summer"), account.album("Best of")
    photo = collection.collect(album.photo("a.JPG", caption="Swans"))
    sync(run, "--sidecar", "xmp,json")
    for folder, page in (("Summer", "/Summer"), ("Best of", "/Best-of")):
        said = xmp((run.output / folder / "a.JPG.xmp").read_bytes())
        assert (
            said["dc:source"]
            == album_json(run, folder)["images"][0]["web_uri"]
            == f"{SITE}{page}/i-{photo.key}"
        )


@pytest.mark.parametrize("name", ["album.json", "ALBUM.JSON"])
def test_images_named_like_the_albums_sidecar_get_another_name(
    account: Account, run: Run, name: str
) -> None:
    photo = account.album("Summer").photo(name, caption="Swans")
    other = f"{name}.jpg"  # as SmugMug serves it
    sync(run)
    assert list(as_stored(run.output)) == [f"Summer/{other}"]
    assert sync(run, "--sidecar", "xmp,json").cost == (3, 0)
    assert album_json(run)["images"][0]["file"] == other
    assert sidecars(run) == sorted([f"Summer/{other}.xmp", "Summer/album.json"])
    assert (run.output / "Summer" / other).read_bytes() == photo.data
    assert sync(run, "--sidecar", "xmp,json").cost == (3, 0)


# =================================================================================================
# Requests for sidecars
# =================================================================================================


def filled(account: Account) -> Account:
    """Fill the account with three albums: with captions, without any, without images."""
    spoken(account.album("Summer"))
    account.album("Winter").photo()
    account.album("Empty")
    return account


def test_sidecars_cost_one_listing_per_album_and_no_extra_download(
    account: Account, run: Run
) -> None:
    filled(account)
    assert sync(run, "--sidecar", "xmp", "--sidecar", "json").cost == (2 + 3, 2)
    assert sidecars(run) == [
        "Empty/album.json",
        "Summer/IMG_1.JPG.xmp",
        "Summer/album.json",
        "Winter/album.json",
    ]
    assert album_json(run, "Empty")["images"] == []
    before = as_stored(run.output)
    assert sync(run, "--sidecar", "xmp", "--sidecar", "json").cost == (2 + 3, 0)
    assert sync(run, "--sidecar", "xmp").cost == (2 + 3, 0)
    assert sync(run).cost == NOTHING_NEW
    assert as_stored(run.output) == before


def test_sidecars_turned_on_later_cost_one_listing_per_album(account: Account, run: Run) -> None:
    filled(account)
    assert sync(run).cost == (2 + 3, 2)
    photos = as_stored(run.output)
    assert not sidecars(run)

    assert sync(run, "--sidecar", "xmp").cost == (2 + 3, 0)
    assert sidecars(run) == ["Summer/IMG_1.JPG.xmp"]
    assert sync(run, "--sidecar", "json").cost == (2 + 3, 0)
    assert sidecars(run) == [
        "Empty/album.json",
        "Summer/IMG_1.JPG.xmp",
        "Summer/album.json",
        "Winter/album.json",
    ]

    written = as_stored(run.output)
    assert sync(run, "--sidecar", "xmp,json").cost == (2 + 3, 0)
    assert as_stored(run.output) == written
    assert {name: stored for name, stored in written.items() if name in photos} == photos


def test_captions_edited_while_sidecars_were_off_are_written_later(
    account: Account, run: Run
) -> None:
    photo = spoken(account.album("Summer"))
    sync(run, "--sidecar", "xmp,json")
    photo.caption = "edited meanwhile"
    photo.album.touch()
    assert sync(run).cost == (3, 0)
    assert sync(run, "--sidecar", "xmp,json").cost == (3, 0)
    said = xmp((run.output / "Summer" / "IMG_1.JPG.xmp").read_bytes())
    assert said["dc:description"] == {"x-default": "edited meanwhile"}
    assert album_json(run)["images"][0]["caption"] == "edited meanwhile"


@pytest.mark.parametrize(
    "args, variable, expected",
    [
        (["--sidecar", "json,xmp"], None, ["Summer/IMG_1.JPG.xmp", "Summer/album.json"]),
        ([], "json xmp", ["Summer/IMG_1.JPG.xmp", "Summer/album.json"]),
        (["--sidecar", "json"], "xmp", ["Summer/album.json"]),
        (["--sidecar", "xmp,json", "--dry-run"], None, []),
    ],
)
def test_sidecars_are_chosen_by_option_or_variable(
    account: Account, run: Run, args: List[str], variable: Optional[str], expected: List[str]
) -> None:
    spoken(account.album("Summer"))
    sync(run, *args, env={"SMUGMUG_SIDECAR": variable})
    assert sidecars(run) == expected


def test_unknown_kinds_of_sidecars_are_refused_in_one_line(run: Run) -> None:
    for args, variable in (
        (["--sidecar", "exif"], None),
        (["--sidecar", "xmp,exif"], None),
        ([], "exif"),
    ):
        result = run(*args, env={"SMUGMUG_SIDECAR": variable})
        assert result.returncode == 2
        assert "exif" in result.stderr and len(result.stderr.splitlines()) == 1
    assert not run.smugmug.requests


# =================================================================================================
# Updates
# =================================================================================================


def test_sidecars_follow_captions_and_only_changed_ones_are_written(
    account: Account, run: Run
) -> None:
    album, other = account.album("Summer"), account.album("Winter")
    edited, emptied, untouched = (
        album.photo(f"{name}.JPG", caption=f"caption {name}", title="t") for name in "abc"
    )
    other.photo("d.JPG", caption="Snow")
    both = ("--sidecar", "xmp,json")
    sync(run, *both)
    before = as_stored(run.output)
    edited.caption, edited.keywords, emptied.caption, emptied.title = (
        "a new caption",
        ["new"],
        "",
        "",
    )
    album.description = "a new description"
    album.touch()
    assert "\nSidecars: 0 written, 3 changed\n" in sync(run, *both).stderr
    after = as_stored(run.output)
    assert {name for name in after if after[name] != before[name]} == {
        "Summer/a.JPG.xmp",
        "Summer/b.JPG.xmp",
        "Summer/album.json",
    }
    said = xmp(after["Summer/a.JPG.xmp"][2])
    assert (said["dc:description"], said["dc:subject"]) == (
        {"x-default": "a new caption"},
        ["new"],
    )
    assert xmp(after["Summer/b.JPG.xmp"][2]).keys() == {
        "dc:source",
        "smugmug:ImageKey",
        "smugmug:DateTimeUploaded",
    }
    assert album_json(run)["description"] == "a new description"
    assert [image["caption"] for image in album_json(run)["images"]] == [
        "a new caption",
        "",
        untouched.caption,
    ]

    other.touch()
    assert "\nSidecars: 0 written, 1 changed\n" in sync(run, *both).stderr
    assert {name for name, stored in as_stored(run.output).items() if stored != after[name]} == {
        "Winter/album.json"
    }


def test_edited_captions_are_written_by_the_next_run(account: Account, run: Run) -> None:
    album, other = account.album("Summer"), account.album("Winter")
    photo, video = album.photo("a.JPG", caption="old"), album.video("b.MOV", title="old")
    other.photo("c.JPG", caption="Snow")
    both = ("--sidecar", "xmp,json")
    assert "\nSidecars: 5 written, 0 changed\n" in sync(run, *both).stderr
    clocks = [(album.last_updated, album.images_last_updated) for album in account.albums]
    photo.edit(caption="new")
    video.edit(title="new", keywords=["lake"])
    assert [(album.last_updated, album.images_last_updated) for album in account.albums] == clocks

    result = sync(run, *both)

    assert result.cost == (2 + 2, 0)
    assert "\nSidecars: 0 written, 3 changed\n" in result.stderr
    assert [image["caption"] or image["title"] for image in album_json(run)["images"]] == [
        "new",
        "new",
    ]
    assert xmp((run.output / "Summer" / "a.JPG.xmp").read_bytes())["dc:description"] == {
        "x-default": "new"
    }
    assert xmp((run.output / "Summer" / "b.mp4.xmp").read_bytes())["dc:subject"] == ["lake"]
    assert "Sidecars" not in sync(run, *both).stderr


def test_keywords_derived_from_the_file_name_need_no_sidecar(account: Account, run: Run) -> None:
    album = account.album("Summer")
    names = ("IMG_7058.HEIC", "IMG_7059_heic.HEIC", "2019-ELL-Coast.JPG")
    for name in names:
        album.photo(heic_name(name), keywords=keywords_from(name))
    album.photo("IMG_7060.JPG", keywords=["7060", "HEIC"])
    album.photo("IMG_7061.JPG", keywords=[*keywords_from("IMG_7061.JPG"), "lake"])
    sync(run, "--sidecar", "xmp")
    assert sidecars(run) == ["Summer/IMG_7061.JPG.xmp"]
    said = xmp((run.output / "Summer" / "IMG_7061.JPG.xmp").read_bytes())
    assert said["dc:subject"] == ["7061", "lake"]


def test_empty_sidecars_are_written_again(account: Account, run: Run) -> None:
    account.album("Summer").photo("a.JPG", caption="Swans")
    sync(run, "--sidecar", "xmp,json")
    before = as_stored(run.output)
    for name in sidecars(run):
        (run.output / name).write_bytes(b"")  # as a power failure may leave them
    sync(run, "--sidecar", "xmp,json")
    after = as_stored(run.output)
    assert {name: content for name, (_, _, content) in after.items()} == {
        name: content for name, (_, _, content) in before.items()
    }


def test_deleted_sidecars_are_written_again(account: Account, run: Run) -> None:
    account.album("Summer").photo("a.JPG", caption="Swans")
    sync(run, "--sidecar", "xmp,json")
    written = sidecars(run)
    for name in written:
        (run.output / name).unlink()
    assert sync(run, "--sidecar", "xmp,json").cost == (3, 0)
    assert sidecars(run) == written


def test_incomplete_listings_change_no_sidecar(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for name in ("a.JPG", "b.JPG"):
        album.photo(name, caption="Swans")
    both = ("--sidecar", "xmp,json")
    sync(run, *both)
    before = as_stored(run.output)
    album.images[0].caption = "Geese"
    album.touch()
    smugmug.fault("lost_item", where=f"/album/{album.key}!images", times=None)
    sync(run, *both, exit_code=1)
    assert as_stored(run.output) == before
    smugmug.clear_faults()
    smugmug.fault("server_error", where=f"/album/{album.key}!images", times=None, status=404)
    sync(run, *both, exit_code=1)
    assert as_stored(run.output) == before
    smugmug.clear_faults()
    sync(run, *both)
    assert [image["caption"] for image in album_json(run)["images"]] == ["Geese", "Swans"]


# =================================================================================================
# Files of other programs
# =================================================================================================

THEIR_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/></rdf:RDF></x:xmpmeta>'
)
MENTION = b"/home/me/download_smugmug_photos/"  # a folder that a user may well have


@pytest.mark.parametrize(
    "their_xmp, their_json",
    [
        (THEIR_XMP, b'{"title": "mine"}\n'),
        (
            THEIR_XMP.replace(b'Exiv2"', b'Exiv2" from="' + MENTION + b'"'),
            b'{"source": "' + MENTION + b'"}\n',
        ),
        (b"\xff\xfe\x00", b"not even JSON"),
    ],
)
def test_foreign_sidecars_are_kept_and_reported(
    account: Account, run: Run, their_xmp: bytes, their_json: bytes
) -> None:
    album = account.album("Summer")
    for name in ("a.JPG", "b.JPG"):
        album.photo(name, caption="Swans")
    account.album("Winter").photo("c.JPG")
    sync(run)
    (run.output / "Summer" / "a.JPG.xmp").write_bytes(their_xmp)
    (run.output / "Summer" / "album.json").write_bytes(their_json)
    before = as_stored(run.output)
    report = run.folder / "report.json"
    result = sync(run, "--sidecar", "xmp,json", "--report", report)
    assert {**as_stored(run.output), **before} == as_stored(run.output)
    assert sidecars(run) == [
        "Summer/a.JPG.xmp",
        "Summer/album.json",
        "Summer/b.JPG.xmp",
        "Winter/album.json",
    ]
    kept = [
        (problem["folder"], problem["file"])
        for problem in json.loads(report.read_bytes().decode())["problems"]
    ]
    assert sorted(kept) == [("Summer", "a.JPG.xmp"), ("Summer", "album.json")]
    assert "a.JPG.xmp" in result.stderr and "album.json" in result.stderr


def test_sidecars_rated_by_another_program_are_left_alone(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo("a.JPG", caption="Swans")
    sync(run, "--sidecar", "xmp")
    path = run.output / "Summer" / "a.JPG.xmp"
    rated = re.sub(b'xmptk="[^"]*"', b'xmptk="XMP Core 4.4.0-Exiv2"', path.read_bytes()).replace(
        b"<rdf:Description ",
        b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5" ',
    )
    path.write_bytes(rated)
    photo.caption = "Geese"
    photo.album.touch()
    assert "a.JPG.xmp" in sync(run, "--sidecar", "xmp").stderr
    assert path.read_bytes() == rated


def test_photos_named_like_a_sidecar_are_not_overwritten(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG", caption="Swans")
    odd = album.photo("a.JPG.xmp")
    sync(run, "--sidecar", "xmp")
    files = as_stored(run.output)
    assert files["Summer/a.JPG.xmp.jpg"][2] == odd.data
    assert xmp(files["Summer/a.JPG.xmp"][2])["dc:description"] == {"x-default": "Swans"}


def test_unwritable_sidecars_do_not_hinder_the_others(account: Account, run: Run) -> None:
    album, other = account.album("Summer"), account.album("Winter")
    for name in ("a.JPG", "b.JPG"):
        album.photo(name, caption="Swans")
    other.photo("c.JPG", caption="Snow")
    (run.output / "Summer" / "a.JPG.xmp").mkdir(parents=True)
    (run.output / "Summer" / "album.json").mkdir()
    result = run("--sidecar", "xmp,json")
    assert sidecars(run) == ["Summer/b.JPG.xmp", "Winter/album.json", "Winter/c.JPG.xmp"]
    assert "a.JPG.xmp" in result.stderr and "album.json" in result.stderr
    assert all((run.output / "Summer" / name).is_file() for name in ("a.JPG", "b.JPG"))


def test_the_longest_names_have_sidecars(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo("n" * 300 + ".JPG", caption="Swans")
    assert sync(run, "--sidecar", "xmp").cost == (3, 1)
    (sidecar,) = sidecars(run)
    assert xmp((run.output / sidecar).read_bytes())["smugmug:ImageKey"] == photo.key
    assert sidecar[: -len(".xmp")] in as_stored(run.output)
    written = as_stored(run.output)
    assert sync(run, "--sidecar", "xmp").cost == (3, 0)
    assert as_stored(run.output) == written
