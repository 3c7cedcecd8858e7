"""Are files and folders found again that the user moved, renamed or deleted in the output
folder?
"""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from conftest import Run
from fake_smugmug import JPEG_MAGIC, Account, FakeSmugMug, Pattern
from helpers import (
    NOTHING_NEW,
    edit,
    expected_files,
    files_on_disk,
    of_file,
    part_files,
    run_unchanged,
    stop,
    sync,
)


def move(run: Run, before: str, after: str) -> None:
    """Move something within the output folder."""
    (run.output / after).parent.mkdir(parents=True, exist_ok=True)
    (run.output / before).rename(run.output / after)


# =================================================================================================
# Moved folders and files.
# =================================================================================================


def test_moved_album_folders_with_equal_content_are_told_apart(account: Account, run: Run) -> None:
    albums = [account.album(name) for name in ("Summer", "Best of", "Print", "Winter")]
    photos = [albums[0].photo(f"IMG_{number}.JPG") for number in range(6)]
    for photo in photos:
        albums[1].collect(photo)
        albums[2].collect(photo)
    albums[3].photo("w.JPG")
    sync(run)
    for name in ("Summer", "Print"):
        move(run, name, f"2019/{name}")
    before = files_on_disk(run.output)
    moved = sync(run)
    assert moved.cost == NOTHING_NEW and files_on_disk(run.output) == before
    assert "Album folder Summer was moved to 2019/Summer." in moved.stderr
    assert "Album folder Print was moved to 2019/Print." in moved.stderr
    again = sync(run)
    assert again.cost == NOTHING_NEW and "was moved" not in again.stderr
    assert "19 intact" in run_unchanged(run, "--verify", "--dry-run").stderr


def test_files_in_moved_folders_are_verified_where_they_are(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photos = [album.photo(f"IMG_{number}.JPG") for number in range(3)]
    sync(run)
    move(run, "Summer", "2019/Summer")
    edited = edit(run.output / "2019/Summer/IMG_1.JPG", keep_time=True)
    report = run_unchanged(run, "--verify", "--dry-run", exit_code=1).stderr
    assert "Verified: 2 intact, 1 damaged\n" in report
    report = sync(run, "--verify").stderr
    assert "Verified: 2 intact, 1 damaged\n" in report
    assert files_on_disk(run.output) == {
        "2019/Summer/IMG_1-damaged.JPG": edited,
        **{f"2019/{path}": content for path, content in expected_files(album).items()},
    }
    assert photos[1].data in files_on_disk(run.output).values()


def test_files_moved_one_by_one_are_copied_back(account: Account, run: Run) -> None:
    album = account.album("Summer")
    for number in range(4):
        album.photo(f"IMG_{number}.JPG")
    sync(run)
    move(run, "Summer/IMG_1.JPG", "chosen/best.JPG")
    assert "To download: 0 files" in run_unchanged(run, "--dry-run").stdout
    moved = sync(run)
    assert moved.downloads == 0 and "1 copied" in moved.stderr
    assert files_on_disk(run.output) == {
        **expected_files(album),
        "chosen/best.JPG": album.images[1].data,
    }


def test_files_with_only_the_size_of_a_missing_one_are_not_taken_for_it(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo("a.JPG", Pattern(200_000, 1, JPEG_MAGIC))
    smugmug.fault("cut", where=of_file(photo), at=150_000)
    smugmug.fault("not_found", where=of_file(photo), times=None)
    sync(run, exit_code=1)
    (part,) = part_files(run)
    kept = part.read_bytes()
    assert len(kept) >= 65_536
    (run.output / "other.JPG").write_bytes(bytes(len(photo.data)))
    smugmug.clear_faults()
    assert "To download: 1 file" in run_unchanged(run, "--dry-run").stdout
    assert sync(run).downloads == 1
    assert f"bytes={len(kept)}-" in str(smugmug.select("cdn", of_file(photo))[0].headers)
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "other.JPG": bytes(len(photo.data)),
    }


@pytest.mark.parametrize("name", [".a.JPG.part", ".snapshot/Summer/a.JPG"])
def test_part_files_and_hidden_folders_are_no_source_of_copies(
    account: Account, run: Run, name: str
) -> None:
    photo = account.album("Summer").photo("a.JPG")
    path = run.output / name
    path.parent.mkdir(parents=True)
    path.write_bytes(photo.data)
    assert sync(run).downloads == 1


def test_names_are_found_in_folders_of_another_normalization(account: Account, run: Run) -> None:
    album = account.album("Caf\u00e9")
    album.photo("Stra\u00dfe \u00e9.JPG")
    sync(run)
    move(run, "Caf\u00e9", "Cafe\u0301")
    move(run, "Cafe\u0301/Stra\u00dfe \u00e9.JPG", "Cafe\u0301/STRASSE e\u0301.jpg")
    before = files_on_disk(run.output)
    assert sync(run).cost == NOTHING_NEW
    assert sync(run, "--full").downloads == 0
    assert "1 intact" in sync(run, "--verify").stderr
    assert files_on_disk(run.output) == before


# =================================================================================================
# Renamed albums.
# =================================================================================================


def test_renamed_albums_are_followed_only_with_rename_and_never_over_anything(
    account: Account, run: Run
) -> None:
    album, other, third = account.album("Summer"), account.album("Winter"), account.album("Autumn")
    for each in (album, other, third):
        each.photo()
    sync(run)
    (run.output / "Taken").mkdir()
    album.name, other.name, third.name = "Winter", "Taken", "Fall"
    for each in (album, other, third):
        each.touch_settings()
    before = set(files_on_disk(run.output))
    told = sync(run)
    assert told.downloads == 0 and set(files_on_disk(run.output)) == before
    assert "The album in Summer is now called Winter" in told.stderr
    renamed = sync(run, "--rename")
    assert renamed.downloads == 0
    assert "The album in Winter is now called Taken" in renamed.stderr
    assert set(files_on_disk(run.output)) == {
        f"Winter_{album.key}/IMG_1.JPG",
        "Winter/IMG_1.JPG",
        "Fall/IMG_1.JPG",
    }
    assert "now called" not in sync(run, "--rename", "-x", "Taken").stderr
    assert "3 intact" in run_unchanged(run, "--verify", "--dry-run").stderr


# =================================================================================================
# Damage, deletions and names.
# =================================================================================================


def test_restored_images_do_not_find_another_images_file(account: Account, run: Run) -> None:
    album = account.album("Summer")
    first, _ = album.photo("a.JPG"), album.photo("b.JPG")
    account.album("Best of").collect(first)
    sync(run)
    album.remove(first)
    sync(run)
    (run.output / "Summer" / "a.JPG").unlink()
    second = album.photo("a.JPG", Pattern(len(first.data), 99, JPEG_MAGIC))
    sync(run)
    assert files_on_disk(run.output)["Summer/a.JPG"] == second.data
    assert "No longer on SmugMug" not in sync(run).stderr
    album.collect(first)
    sync(run)
    in_album = [
        data for name, data in files_on_disk(run.output).items() if name.startswith("Summer/")
    ]
    assert sorted(in_album) == sorted(image.data for image in album.images)
    assert sync(run).cost == NOTHING_NEW


def test_unreadable_damaged_files_stay_recorded_as_damaged(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo("a.JPG")
    sync(run)
    path = run.output / "Summer" / "a.JPG"
    damaged = edit(path, keep_time=True)
    assert run_unchanged(run, "--verify", "--dry-run", exit_code=1)
    path.chmod(0)
    if os.access(str(path), os.R_OK):
        pytest.skip("this user may read everything")
    sync(run, "--verify", exit_code=1)
    path.chmod(0o644)
    assert path.read_bytes() == damaged != photo.data


# =================================================================================================
# Album folders and files that the user moved.
# =================================================================================================


@pytest.mark.parametrize("to", ["2019/Summer", "2019/By the sea/Summer 2019", "Summer at the sea"])
def test_moved_and_renamed_album_folders_are_followed(account: Account, run: Run, to: str) -> None:
    album, other = account.album("Summer"), account.album("Winter")
    for name in ("a.JPG", "b.JPG", "c.JPG"):
        album.photo(name)
    other.photo("a.JPG")
    sync(run)
    (run.output / to).parent.mkdir(parents=True, exist_ok=True)
    (run.output / "Summer").rename(run.output / to)

    moved = sync(run)
    assert moved.downloads == 0 and to.split("/")[-1] in moved.stderr
    assert sync(run).cost == NOTHING_NEW
    album.photo("d.JPG")
    album.images[0].replace(b"a new version")
    assert sync(run).downloads == 2
    assert files_on_disk(run.output) == {
        **{f"{to}/{image.file_name}": image.data for image in album.images},
        **expected_files(other),
    }
    assert sync(run).cost == NOTHING_NEW
    assert "5 intact" in sync(run, "--verify").stderr


def test_all_album_folders_of_a_year_can_be_moved_at_once(account: Account, run: Run) -> None:
    for name in ("Spring", "Summer", "Autumn"):
        account.album(name).photo("a.JPG")
    sync(run)
    for name in ("Spring", "Summer", "Autumn"):
        (run.output / "2019").mkdir(exist_ok=True)
        (run.output / name).rename(run.output / "2019" / name)
    assert sync(run).downloads == 0
    assert files_on_disk(run.output) == {
        f"2019/{path}": data for path, data in expected_files(*account.albums).items()
    }
    assert sync(run).cost == NOTHING_NEW


def test_swapped_album_folders_are_told_apart_by_content(account: Account, run: Run) -> None:
    first, second = account.album("Summer"), account.album("Winter")
    for album in (first, second):
        album.photo("a.JPG")
        album.photo("b.JPG")
    sync(run)
    (run.output / "Summer").rename(run.output / "aside")
    (run.output / "Winter").rename(run.output / "Summer")
    (run.output / "aside").rename(run.output / "Winter")
    before = files_on_disk(run.output)
    sync(run)
    assert before.items() <= files_on_disk(run.output).items()
    assert sync(run).cost == NOTHING_NEW


def test_files_moved_to_another_album_are_copied_and_stay_there(
    account: Account, run: Run
) -> None:
    album, _ = account.album("Summer"), account.album("Winter").photo("other.JPG")
    moved, _ = album.photo("a.JPG"), album.photo("b.JPG")
    sync(run)
    everything = files_on_disk(run.output)
    (run.output / "Summer" / "a.JPG").rename(run.output / "Winter" / "renamed.JPG")
    assert sync(run).downloads == 0
    assert files_on_disk(run.output) == {**everything, "Winter/renamed.JPG": moved.data}
    assert sync(run).cost == NOTHING_NEW


def test_moved_and_edited_files_do_not_count_as_the_original(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    album.photo("b.JPG")
    sync(run)
    elsewhere = run.output / "mine" / "a.JPG"
    elsewhere.parent.mkdir()
    (run.output / "Summer" / "a.JPG").rename(elsewhere)
    edited = edit(elsewhere, keep_time=True)
    assert sync(run).downloads == 1
    assert files_on_disk(run.output) == {**expected_files(album), "mine/a.JPG": edited}


def test_many_missing_files_are_mentioned_before_downloading_them_again(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.fill(12, 100)
    sync(run)
    shutil.rmtree(str(run.output / "Summer"))
    stall = smugmug.fault("stall", "cdn", times=None, before_headers=True)
    process = run.start()
    assert stall.reached.wait(300)
    stderr = stop(process, signal.SIGINT)
    assert stderr.startswith("12 downloaded files are missing")
    smugmug.clear_faults()
    sync(run)
    assert len(files_on_disk(run.output)) == 12
