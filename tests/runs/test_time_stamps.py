"""Does each file bear the time of the camera's clock, wherever camera, program and SmugMug are?"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any, Dict

import pytest

from conftest import Run
from fake_smugmug import Account, FakeSmugMug
from reading import seconds

UPLOADED = datetime(2020, 3, 1, 12, 34, 56)


def time_stamps(folder: Path) -> Dict[str, float]:
    """Return the timestamp of each file in a folder, in seconds since 1970."""
    return {path.name: path.stat().st_mtime for path in folder.iterdir()}


# =================================================================================================
# On disk
# =================================================================================================


@pytest.mark.parametrize(
    "zone, summer, winter",
    [  # hours ahead of UTC; these zones need no time zone data
        ("UTC0", 0, 0),
        ("EST5EDT,M3.2.0,M11.1.0", -4, -5),
        ("IST-5:30", 5.5, 5.5),
    ],
)
def test_files_bear_the_camera_time_or_else_the_upload_time(
    account: Account, smugmug: FakeSmugMug, run: Run, zone: str, summer: float, winter: float
) -> None:
    album, collection = account.album("Summer"), account.album("Best of")
    taken = {
        "summer.JPG": datetime(2019, 8, 4, 11, 28, 12),
        "winter.JPG": datetime(2015, 2, 22, 17, 34, 44),
        "late.JPG": datetime(2016, 12, 31, 23, 59, 59),
        "scan.JPG": datetime(1958, 1, 6, 12, 0, 0),
    }
    for name, clock in taken.items():
        album.photo(name, taken=clock)
    album.video("video.mp4", taken=datetime(1999, 7, 3, 4, 5, 6))
    collection.collect(album.images[0])
    album.photo("without.JPG", uploaded=UPLOADED)
    album.photo("senseless.JPG", uploaded=UPLOADED)

    def senseless(answer: Any) -> Any:
        for entry in answer["Response"]["AlbumImage"]:
            if entry["FileName"] == "senseless.JPG":
                entry["DateTimeOriginal"] = "0000-00-00T00:00:00+00:00"
        return answer

    smugmug.fault("mangle", where=f"/album/{album.key}!images", function=senseless)
    assert run(env={"TZ": zone}).returncode == 0
    assert time_stamps(run.output / "Summer") == {
        "summer.JPG": seconds(taken["summer.JPG"], summer),
        "winter.JPG": seconds(taken["winter.JPG"], winter),
        "late.JPG": seconds(taken["late.JPG"], winter),
        "scan.JPG": seconds(taken["scan.JPG"], winter),
        "video.mp4": seconds(datetime(1999, 7, 3, 4, 5, 6)),
        "without.JPG": seconds(UPLOADED),
        "senseless.JPG": seconds(UPLOADED),
    }
    assert time_stamps(run.output / "Best of") == {
        "summer.JPG": seconds(taken["summer.JPG"], summer)
    }


def test_new_versions_bear_their_own_time(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo(taken=datetime(2019, 8, 4, 11, 28, 12))
    run(env={"TZ": "UTC0"})
    photo.taken = datetime(2020, 1, 1, 12, 0, 0)
    photo.replace(b"a new version", moves_clock=True)
    assert run(env={"TZ": "UTC0"}).returncode == 0
    assert time_stamps(run.output / "Summer") == {photo.file_name: seconds(photo.taken)}


def test_adopted_files_keep_their_time(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    album = account.album("Summer")
    clock = datetime(2019, 8, 4, 11, 28, 12)
    album.photo("a.JPG", taken=clock)
    album.photo("b.JPG", taken=clock, archived=False)
    album.video("c.mp4", taken=clock)
    (run.output / "Summer").mkdir(parents=True)
    for number, image in enumerate(album.images):
        path = run.output / "Summer" / image.file_name
        path.write_bytes(image.data)
        os.utime(str(path), (1_000_000_000 + number, 1_000_000_000 + number))
    theirs = time_stamps(run.output / "Summer")

    def without_video(answer: Any) -> Any:
        """Remove the video, so that its size takes a request of its own."""
        return {name: value for name, value in answer.items() if name != "Expansions"}

    smugmug.fault("mangle", where=f"/album/{album.key}!images", function=without_video)
    assert "3 adopted" in run("--sidecar", "xmp").stderr
    assert smugmug.count("cdn") == 1  # the video, to compare it: SmugMug states no MD5
    assert time_stamps(run.output / "Summer") == theirs
