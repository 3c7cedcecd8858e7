"""Can names on disk be opened, and do they stay as the user or earlier runs gave them?"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from conftest import Run
from fake_smugmug import Account, FakeSmugMug
from helpers import NOTHING_NEW, arm, broken_python, files_on_disk, sync

# File names of photos and videos, and the names under which earlier versions saved them.
FORMER: Dict[str, Tuple[str, str]] = {
    "Sunset over the bay": ("photo", "Sunset over the bay"),
    "12.05.2019": ("photo", "12.05.2019"),
    ".hidden.JPG": ("photo", ".hidden.JPG"),
    "Holiday 12.05.2020": ("video", "Holiday 12.05.mp4"),
    "St.Moritz": ("video", "St.mp4"),
    "Opening v1.2": ("video", "Opening v1.mp4"),
}
LATTER = [
    "Summer/12.05.2019.jpg",
    "Summer/Holiday 12.05.2020.mp4",
    "Summer/Opening v1.2.mp4",
    "Summer/St.Moritz.mp4",
    "Summer/Sunset over the bay.jpg",
    "Summer/_hidden.JPG",
]


def fill(account: Account) -> None:
    """Add an album with names that have no extension, or seem to have one."""
    album = account.album("Summer")
    for name, (kind, _) in FORMER.items():
        make = album.photo if kind == "photo" else album.video
        make(name)


def rename_to_former(run: Run, in_record: bool) -> List[str]:
    """Rename the files as an earlier version would have named them; return their names."""
    database = sqlite3.connect(str(run.output / ".smugmug.sqlite3"))
    for name, (kind, former) in FORMER.items():
        new = {"photo": f"{name}.jpg", "video": f"{name}.mp4"}[kind]
        new = "_hidden.JPG" if name.startswith(".") else new
        (run.output / "Summer" / new).rename(run.output / "Summer" / former)
        if in_record:
            database.execute("UPDATE file SET name = ? WHERE name = ?", (former, new))
    database.commit()
    database.close()
    return sorted(path.name for path in (run.output / "Summer").iterdir())


def test_every_file_has_an_extension_that_programs_know(account: Account, run: Run) -> None:
    fill(account)
    sync(run)
    assert list(files_on_disk(run.output)) == sorted(LATTER)
    assert sync(run).cost == NOTHING_NEW


def test_files_keep_the_names_of_earlier_versions(account: Account, run: Run) -> None:
    fill(account)
    sync(run)
    names = rename_to_former(run, in_record=True)
    assert sync(run, "--full").downloads == 0
    assert sorted(path.name for path in (run.output / "Summer").iterdir()) == names


def test_files_of_earlier_versions_are_adopted_without_a_record(
    account: Account, run: Run
) -> None:
    fill(account)
    sync(run)
    names = rename_to_former(run, in_record=False)
    for path in run.output.glob(".smugmug.sqlite3*"):
        path.unlink()
    told = sync(run, "--new-record")
    assert told.downloads == 0
    assert sorted(path.name for path in (run.output / "Summer").iterdir()) == names
    assert sync(run, "--full").downloads == 0


def test_a_moved_folder_is_found_by_its_visible_names(account: Account, run: Run) -> None:
    fill(account)
    sync(run)
    (run.output / "Summer").rename(run.output / "Elsewhere")
    assert sync(run).cost == NOTHING_NEW


# =================================================================================================
# Folders of the layout tree.
# =================================================================================================


def test_the_tree_has_the_names_that_the_user_gave(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Sommer", folder="Fotos & Filme: Familie/Am Bodensee").photo()
    account.album("Winter", folder="Fotos & Filme: Familie/Am Bodensee").photo()
    account.album("Lonely").photo()
    sync(run, "--layout", "tree")
    assert list(files_on_disk(run.output)) == [
        "Fotos & Filme_ Familie/Am Bodensee/Sommer/IMG_1.JPG",
        "Fotos & Filme_ Familie/Am Bodensee/Winter/IMG_1.JPG",
        "Lonely/IMG_1.JPG",
    ]
    assert smugmug.count("api", "/folder/user/") == 2
    again = sync(run, "--layout", "tree")
    assert again.cost == NOTHING_NEW

    account.folder("Fotos & Filme: Familie").name = "Renamed"
    account.album("Later", folder="Renamed").photo()
    told = sync(run, "--layout", "tree")
    assert smugmug.count("api", "/folder/user/") == 1 and told.downloads == 1
    assert "Renamed/Later/IMG_1.JPG" in files_on_disk(run.output)


def test_albums_that_are_not_asked_for_need_no_folder_names(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer", folder="A").photo()
    account.album("Winter", folder="B").photo()
    for _ in range(2):
        sync(run, "--layout", "tree", "-a", "Summer")
    assert smugmug.count("api", "/folder/user/") == 0
    assert list(files_on_disk(run.output)) == ["A/Summer/IMG_1.JPG"]


@pytest.mark.parametrize(
    "fault, options",
    [
        ("not_found", {}),
        ("permission_denied", {}),
        ("server_error", {"status": 500}),
        ("empty_200", {}),
        ("json_200", {}),
    ],
)
def test_a_folder_without_a_name_is_called_by_its_path(
    account: Account, smugmug: FakeSmugMug, run: Run, fault: str, options: Dict[str, Any]
) -> None:
    account.album("Summer", folder="Am See").photo()
    arm(smugmug, [(fault, options)], "/folder/user/", times=None)
    sync(run, "--layout", "tree")
    assert list(files_on_disk(run.output)) == ["Am-See/Summer/IMG_1.JPG"]


def test_folders_that_no_file_system_can_tell_apart_are_kept_apart(
    account: Account, run: Run
) -> None:
    account.album("Summer", folder="Trips?").photo()
    account.album("Summer", folder="trips*").photo()
    sync(run, "--layout", "tree")
    assert list(files_on_disk(run.output)) == [
        "Trips_/Summer/IMG_1.JPG",
        "trips__Trips-2/Summer/IMG_1.JPG",
    ]
    account.album("Winter", folder="trips*").photo()
    sync(run, "--layout", "tree")
    assert "trips__Trips-2/Winter/IMG_1.JPG" in files_on_disk(run.output)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_photo_never_blocks_the_folder_of_an_album(
    account: Account, run: Run, is_first: bool
) -> None:
    travel = account.album("Travel")
    travel.photo("2019.JPG")
    if is_first:
        sync(run, "--layout", "tree")
        (run.output / "Travel" / "Asia").write_bytes(b"the user's")
    account.album("2019.JPG", folder="Travel").photo()
    account.album("Asia", folder="Travel").photo()
    sync(run, "--layout", "tree")
    files = files_on_disk(run.output)
    contents = [image.data for album in account.albums for image in album.images]
    assert all(content in files.values() for content in contents)
    assert sync(run, "--layout", "tree").cost == NOTHING_NEW


def test_a_photo_never_takes_the_folder_of_an_album_that_is_still_empty(
    account: Account, run: Run
) -> None:
    album = account.album("2019.JPG", folder="Travel")
    sync(run, "--layout", "tree")
    photo = account.album("Travel").photo("2019.JPG")
    sync(run, "--layout", "tree")
    first = album.photo("IMG_1.JPG")

    sync(run, "--layout", "tree")

    assert files_on_disk(run.output) == {
        "Travel/2019.JPG/IMG_1.JPG": first.data,
        f"Travel/2019_{photo.key}.JPG": photo.data,
    }
    assert sync(run, "--layout", "tree").cost == NOTHING_NEW


# =================================================================================================
# Disks that take shorter names.
# =================================================================================================

# A disk that refuses names of more than 143 bytes, as encrypted network shares do.
SHORT_NAMES = """
import builtins, errno, functools, io, os

def checked(function, *args, **more):
    for path in args[:2]:
        if isinstance(path, (str, bytes, os.PathLike)):
            for name in os.fsencode(path).split(b"/"):
                if len(name) > 143:
                    raise OSError(errno.ENAMETOOLONG, "File name too long", path)
    return function(*args, **more)

# Not functions, because pathlib of Python 3.7 would turn them into methods.
for name in ("open", "stat", "lstat", "mkdir", "rename", "replace", "unlink", "scandir", "utime"):
    setattr(os, name, functools.partial(checked, getattr(os, name)))
builtins.open = io.open = functools.partial(checked, io.open)
"""
STATED = "os.pathconf = lambda path, name: 143\n"


@pytest.mark.parametrize("is_stated", [True, False])
def test_names_are_cut_to_what_the_disk_takes(
    account: Account, run: Run, tmp_path: Path, is_stated: bool
) -> None:
    long = "\u6d77" * 60
    album = account.album(long)
    album.photo(f"{long}1.JPG", title="A title")
    album.photo(f"{long}2.JPG")
    album.video(long)
    code = SHORT_NAMES + (STATED if is_stated else "")
    broken = broken_python(tmp_path / "broken", code)
    told = sync(run, "--sidecar", "xmp,json,html", env=broken)
    assert told.downloads == 3
    names = [name for path in files_on_disk(run.output) for name in path.split("/")]
    assert max(len(name.encode()) for name in names) <= 143
    assert sum(name.lower().endswith((".jpg", ".mp4")) for name in names) == 3
    assert sync(run, env=broken).cost == NOTHING_NEW
    damaged = next(path for path in run.output.rglob("*.JPG"))
    damaged.write_bytes(damaged.read_bytes()[::-1])
    assert sync(run, "--verify", env=broken).downloads == 1
