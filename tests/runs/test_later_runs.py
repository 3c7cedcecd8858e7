"""Do later runs know what is on disk: copied, replaced, kept, deleted on either side?"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from functools import partial
from typing import Any, Callable, Dict

import pytest

from conftest import Run
from fake_smugmug import Account, FakeSmugMug
from helpers import (
    NOTHING_NEW,
    RECORD,
    edit,
    expected_files,
    files_on_disk,
    key_name,
    run_unchanged,
    snapshot,
    sync,
)

# =================================================================================================
# Unchanged albums are not listed.
# =================================================================================================


def test_runs_with_nothing_new_cost_one_request_and_one_per_hundred_albums(
    account: Account, run: Run
) -> None:
    for number in range(100):
        account.album(f"Album {number:03}").fill(1, 100)
    assert sync(run).cost == (1 + 1 + 100, 100)
    assert sync(run).cost == (1 + 1, 0)
    account.album("Album 100").fill(1, 100)
    assert sync(run).cost == (1 + 2 + 1, 1)
    assert sync(run).cost == (1 + 2, 0)
    assert len(files_on_disk(run.output)) == 101


def test_albums_are_listed_if_a_date_or_the_count_changed(account: Account, run: Run) -> None:
    album, other = account.album("Summer"), account.album("Winter")
    album.photo()
    other.photo()
    assert sync(run).cost == (4, 2)
    album.touch()
    assert sync(run).cost == (3, 0)
    album.touch_settings()
    assert sync(run).cost == (3, 0)
    moved = album.images_last_updated
    album.photo("IMG_2.JPG")
    album.images_last_updated = moved
    assert sync(run).cost == (3, 1)
    assert sync(run).cost == NOTHING_NEW
    assert files_on_disk(run.output) == expected_files(album, other)


@pytest.mark.parametrize(
    "given_back", [partial(unicodedata.normalize, "NFD"), str.swapcase], ids=["macOS", "Windows"]
)
def test_disks_that_normalize_names_cause_no_new_downloads(
    account: Account, run: Run, given_back: Callable[[str], str]
) -> None:
    album = account.album("Summer")
    for name in ("Caf\u00e9.JPG", "IMG_2.JPG"):
        album.photo(name)
    sync(run)
    for path in (run.output / "Summer").iterdir():
        path.rename(path.with_name(given_back(path.name)))
    assert sync(run, "--full").cost == (3, 0)
    (run.output / RECORD).unlink()
    assert sync(run, "--new-record").cost == (3, 0)  # the files are trusted as they are
    assert len(files_on_disk(run.output)) == 2


def test_full_lists_every_album_and_downloads_nothing_again(account: Account, run: Run) -> None:
    for name in ("Spring", "Summer", "Winter"):
        account.album(name).photo()
    sync(run)
    assert sync(run, "--full").cost == (2 + 3, 0)


def test_full_finds_changes_without_a_date(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo()
    sync(run)
    photo.replace(b"a new version, and no date that moved", moves_clock=False)
    assert sync(run).cost == NOTHING_NEW
    assert sync(run, "--full").cost == (3, 1)
    assert files_on_disk(run.output) == expected_files(photo.album)


def test_albums_are_listed_until_all_images_are_on_disk(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    failing, unready, impossible, incomplete, _ = map(
        account.album, ("failing", "unready", "impossible", "incomplete", "whole")
    )
    for album in account.albums:
        album.photo("a.JPG")
        album.photo("b.JPG")
    unready.video("c.mp4", processing=True, uploaded=account.time_of_day())
    unready.photo("d.JPG", processing=True, uploaded=account.time_of_day())
    impossible.video("c.mp4", processing=True, status="Preprocess", sub_status="CanNotProcess")
    smugmug.fault("not_found", where=f"/i-{failing.images[1].key}/", times=None)
    smugmug.fault("lost_item", where=f"/album/{incomplete.key}!images", times=None)

    # An incomplete listing is read twice; two more requests look for the failing and the
    # impossible image.
    assert sync(run, exit_code=1).cost == (2 + 4 + 2 + 1 + 3, 5 * 2 - 1)
    assert sync(run, exit_code=1).cost == (2 + 2 + 2 + 1, 1)

    # Unavailable files are requested again after a day; dates have whole seconds.
    smugmug.let_time_pass(86_460)
    smugmug.clear_faults()
    for image in unready.images + impossible.images:
        image.processing, image.status, image.sub_status = False, "Open", "NFS"
    assert sync(run).cost == (2 + 4, 5)
    assert sync(run).cost == NOTHING_NEW
    assert files_on_disk(run.output) == expected_files(*account.albums)


# =================================================================================================
# Files are checked, not trusted.
# =================================================================================================


def test_deleted_and_truncated_files_are_downloaded_again(account: Account, run: Run) -> None:
    album, deleted_as_a_whole, untouched = (
        account.album("Summer"),
        account.album("Winter"),
        account.album("Spring"),
    )
    for name in ("a.JPG", "b.JPG", "c.JPG", "d.JPG"):
        album.photo(name)
    album.video("e.mp4")
    deleted_as_a_whole.photo()
    untouched.photo()
    sync(run)
    everything = files_on_disk(run.output)

    (run.output / "Summer" / "a.JPG").unlink()
    os.truncate(str(run.output / "Summer" / "b.JPG"), 700)
    os.truncate(str(run.output / "Summer" / "c.JPG"), 0)
    (run.output / "Summer" / "e.mp4").unlink()
    shutil.rmtree(str(run.output / "Winter"))
    assert sync(run).cost == (2 + 2, 5)
    assert files_on_disk(run.output) == everything
    assert sync(run).cost == NOTHING_NEW


def test_edited_files_that_grew_are_kept(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo()
    sync(run)
    edited = edit(run.output / "Summer" / photo.file_name, keep_size=False)
    second = sync(run)
    told = "Changed here: 1 file, kept as it is and not downloaded again (Summer/IMG_1.JPG)\n"
    assert second.cost == NOTHING_NEW and told in second.stderr
    assert files_on_disk(run.output) == {f"Summer/{photo.file_name}": edited}


def test_a_lost_record_is_rebuilt_from_the_files(account: Account, run: Run) -> None:
    album, again = account.album("Summer"), account.album("Summer")
    for name in (
        "same.JPG",
        "same.JPG",
        "SAME.jpg",
        "",
        "CON.JPG",
        'odd: "na/me".JPG',
        "A\u0308pfel.JPG",
    ):
        album.photo(name)
    album.video("video.mov")
    album.video("video.mov", md5_listed=False)
    again.photo("same.JPG")
    again.collect(album.images[0])
    sync(run)
    everything = files_on_disk(run.output)
    assert len(everything) == 11

    (run.output / RECORD).unlink()
    lost = sync(run, exit_code=2)
    assert (
        lost.downloads == 0
        and "--new-record" in lost.stderr
        and not (run.output / RECORD).exists()
    )
    second = sync(run, "--new-record")
    assert second.cost == (4, 1)  # without a stated MD5, only a download tells what a file is
    assert files_on_disk(run.output) == everything
    assert sync(run).cost == NOTHING_NEW


def with_original_sizes(answer: Dict[str, Any]) -> Dict[str, Any]:
    """Return a listing that states every original's size, even of unavailable originals."""
    for image in answer["Response"]["AlbumImage"]:
        image.setdefault("OriginalSize", 1_000_000)
    return answer


def test_files_without_an_address_are_found_again_by_content(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("original.JPG", archived=False)
    copy = album.photo("copy.JPG", archived=False, download_uri=False, original_size_listed=False)
    smugmug.fault(
        "mangle", where=f"/album/{album.key}!images", times=None, function=with_original_sizes
    )
    assert sync(run).downloads == 2
    everything = files_on_disk(run.output)
    assert len(everything) == 2 and everything["Summer/copy.JPG"] != copy.data
    (run.output / RECORD).unlink()
    assert sync(run, "--new-record").downloads == 1  # only one of them has an MD5
    assert files_on_disk(run.output) == everything
    assert sync(run).cost == NOTHING_NEW


# =================================================================================================
# Folders filled by another tool.
# =================================================================================================


def test_folders_filled_by_another_tool_are_adopted(account: Account, run: Run) -> None:
    album = account.album("Summer: 2019")
    right, wrong, absent, video, silent = (
        album.photo("a.JPG"),
        album.photo("b.JPG"),
        album.photo("c.JPG"),
        album.video("d.mov"),
        album.video("e.mov", md5_listed=False),
    )
    folder = run.output / "Summer_ 2019"
    folder.mkdir(parents=True)
    stranger = b"not the size that SmugMug has"
    theirs = {
        "a.JPG": right.data,
        "b.JPG": stranger,
        "d.mp4": video.data,
        "e.mp4": silent.data,
        "notes.txt": b"hello",
    }
    for name, data in theirs.items():
        (folder / name).write_bytes(data)

    before = snapshot(folder)
    del before["."]  # its time moves with its content
    first = sync(run)
    assert first.cost == (3, 3)
    assert before.items() <= snapshot(folder).items()
    assert {path.name for path in folder.iterdir()} == {*theirs, "c.JPG", key_name(wrong)}
    assert (folder / key_name(wrong)).read_bytes() == wrong.data
    assert (folder / "c.JPG").read_bytes() == absent.data
    assert "3 adopted" in first.stderr
    assert sync(run).cost == NOTHING_NEW


def test_foreign_files_at_the_path_of_an_image_are_reported(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo()
    (run.output / "Summer").mkdir(parents=True)
    (run.output / "Summer" / photo.file_name).write_bytes(b"something else")
    report = sync(run).stderr
    assert photo.file_name in report
    assert key_name(photo) in report


def test_foreign_files_told_by_an_unlisted_size_stay_and_images_go_beside(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    photo = album.photo("a.JPG", archived=False, original_size_listed=False)
    video = album.video("b.mp4", size_listed=False)
    (run.output / "Summer").mkdir(parents=True)
    for image in (photo, video):
        (run.output / "Summer" / image.file_name).write_bytes(b"something else")
    report = sync(run)
    assert report.downloads == 2
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": b"something else",
        f"Summer/{key_name(photo)}": photo.data,
        "Summer/b.mp4": b"something else",
        f"Summer/{key_name(video)}": video.data,
    }
    assert key_name(photo) in report.stderr and key_name(video) in report.stderr
    assert sync(run).cost == NOTHING_NEW


def test_images_beside_foreign_files_are_found_again(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo()
    (run.output / "Summer").mkdir(parents=True)
    (run.output / "Summer" / photo.file_name).write_bytes(b"something else")
    sync(run)
    (run.output / RECORD).unlink()
    assert sync(run, "--new-record").cost == (3, 0)
    assert len(files_on_disk(run.output)) == 2


# =================================================================================================
# Replaced and renamed on SmugMug.
# =================================================================================================


def test_replaced_images_replace_their_old_version(account: Account, run: Run) -> None:
    album = account.album("Summer")
    by_serial, by_md5, video = (
        album.photo("a.JPG"),
        album.photo("b.JPG"),
        album.video("c.mp4", md5_listed=False),
    )
    same_size, _ = album.photo("d.JPG"), album.photo("e.JPG")
    sync(run)
    by_serial.replace(b"a new version", moves_clock=True)
    by_md5.replace(b"another new version", moves_clock=True)
    video.replace(b"\x00\x00\x00\x18ftypmp42 a new version")
    same_size.replace(bytes(reversed(same_size.data)))
    second = sync(run)
    assert second.cost == (3, 4)
    assert "4 replaced" in second.stderr
    assert files_on_disk(run.output) == expected_files(album)
    assert sync(run).cost == NOTHING_NEW


def test_newer_versions_go_beside_adopted_files(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo()
    (run.output / "Summer").mkdir(parents=True)
    theirs = photo.data
    (run.output / "Summer" / photo.file_name).write_bytes(theirs)
    assert sync(run).cost == (3, 0)
    for version in (b"a new version", b"one more version, over the one that was ours"):
        photo.replace(version, moves_clock=True)
        assert sync(run).cost == (3, 1)
        assert files_on_disk(run.output) == {
            f"Summer/{photo.file_name}": theirs,
            f"Summer/{key_name(photo)}": version,
        }
    assert sync(run).cost == NOTHING_NEW


def test_newer_versions_go_beside_edited_files(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photos = [album.photo("a.JPG"), album.photo("b.JPG")]
    sync(run)
    edited = {
        "Summer/a.JPG": edit(run.output / "Summer" / "a.JPG"),
        "Summer/b.JPG": edit(run.output / "Summer" / "b.JPG", keep_size=False),
    }
    for number, photo in enumerate(photos):
        photo.replace(b"a new version of photo %d" % number, moves_clock=True)
    second = sync(run)
    assert second.cost == (3, 2)
    assert files_on_disk(run.output) == {
        **edited,
        **{f"Summer/{key_name(photo)}": photo.data for photo in photos},
    }
    assert all(key_name(photo) in second.stderr for photo in photos)
    assert sync(run).cost == NOTHING_NEW

    photos[0].replace(b"one more version of photo 0", moves_clock=True)
    assert sync(run).cost == (3, 1)
    assert files_on_disk(run.output) == {
        **edited,
        **{f"Summer/{key_name(photo)}": photo.data for photo in photos},
    }


def test_a_new_serial_with_the_same_content_downloads_nothing(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo()
    sync(run)
    photo.replace(photo.data, moves_clock=True)
    assert sync(run).cost == (3, 0)
    assert sync(run).cost == NOTHING_NEW


def test_files_keep_their_names_despite_renames(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photo, video = album.photo("a.JPG"), album.video("b.mp4")
    sync(run)
    before = snapshot(run.output / "Summer")
    album.name = "Winter"
    album.touch_settings()
    photo.file_name, video.file_name = "renamed.JPG", "a.JPG"
    album.touch()
    assert sync(run).cost == (3, 0)
    assert snapshot(run.output / "Summer") == before
    assert sync(run).cost == NOTHING_NEW

    added = album.photo("a.JPG", content=bytes(photo.size))
    assert sync(run).cost == (3, 1)
    photo.replace(b"a new version of a renamed photo", moves_clock=True)
    assert sync(run).cost == (3, 1)
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "Summer/b.mp4": video.data,
        f"Summer/{key_name(added)}": added.data,
    }


# =================================================================================================
# One image in several albums.
# =================================================================================================


def test_images_in_several_albums_are_downloaded_once_and_copied(
    account: Account, run: Run
) -> None:
    album, collection, smart = (
        account.album("Summer"),
        account.album("Best of"),
        account.album("Smart"),
    )
    images = [
        album.photo("a.JPG"),
        album.video("b.mp4"),
        album.video("c.mp4", md5_listed=False, size_listed=False),
    ]
    for image in images:
        collection.collect(image)
        smart.collect(image, origin="Smart")
    first = sync(run)
    assert first.cost == (5, 3)
    assert "6 copied" in first.stderr
    assert files_on_disk(run.output) == expected_files(album, collection, smart)
    assert sync(run).cost == NOTHING_NEW


def test_images_moved_or_collected_later_are_copied(account: Account, run: Run) -> None:
    old, new, collection = account.album("Old"), account.album("New"), account.album("Best of")
    moved, stays = old.photo("moved.JPG"), old.photo("stays.JPG")
    sync(run)
    new.collect(moved, origin="Album")
    moved.album = new
    old.remove(moved)
    collection.collect(stays)
    assert sync(run).cost == (2 + 3, 0)
    assert files_on_disk(run.output) == {
        **expected_files(old, new, collection),
        "Old/moved.JPG": moved.data,
    }
    assert sync(run).cost == NOTHING_NEW


def test_changed_files_are_no_source_of_copies(account: Account, run: Run) -> None:
    album, collection = account.album("Summer"), account.album("Best of")
    edited, deleted, replaced = album.photo("a.JPG"), album.photo("b.JPG"), album.photo("c.JPG")
    sync(run)
    content = edit(run.output / "Summer" / "a.JPG")
    (run.output / "Summer" / "b.JPG").unlink()
    replaced.replace(b"a new version")
    for image in (edited, deleted, replaced):
        collection.collect(image)
    assert sync(run).cost == (4, 3)
    assert files_on_disk(run.output) == {
        **expected_files(album, collection),
        "Summer/a.JPG": content,
    }


# =================================================================================================
# Removed on SmugMug.
# =================================================================================================


def removed_count(text: str) -> int:
    """Return how many files the summary calls deleted on SmugMug."""
    line = re.search(r"^.*no longer on SmugMug.*$", text, re.MULTILINE | re.IGNORECASE)
    return int(re.findall(r"[0-9]+", line.group())[0]) if line else 0


def test_removed_files_of_deleted_albums_are_no_longer_named(account: Account, run: Run) -> None:
    album = account.album("Summer")
    account.album("Winter").photo()
    for name in ("a.JPG", "b.JPG"):
        album.photo(name)
    sync(run)
    account.albums.remove(album)
    assert sync(run, "--list-removed").stdout == "Summer/a.JPG\nSummer/b.JPG\n"
    (run.output / "Summer" / "a.JPG").unlink()
    assert sync(run, "--list-removed").stdout == "Summer/b.JPG\n"


def test_files_deleted_on_smugmug_are_kept_counted_and_named(account: Account, run: Run) -> None:
    album, gone = account.album("Summer"), account.album("Gone")
    photo, _ = album.photo("a.JPG"), album.photo("b.JPG")
    gone.photo("c.JPG")
    first = sync(run, "--list-removed")
    assert (removed_count(first.stderr), first.stdout) == (0, "")
    nothing = "No files have been removed from SmugMug.\n"
    assert nothing in first.stderr
    everything = files_on_disk(run.output)

    album.remove(photo)
    account.remove(gone)
    second = sync(run)
    assert second.cost == (3, 0)
    assert (removed_count(second.stderr), second.stdout) == (2, "")
    third = sync(run, "--list-removed")
    assert third.cost == NOTHING_NEW
    assert removed_count(third.stderr) == 2 and nothing not in third.stderr
    assert third.stdout.splitlines() == ["Gone/c.JPG", "Summer/a.JPG"]
    assert files_on_disk(run.output) == everything


def test_restored_images_no_longer_count_as_deleted(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photo, _ = album.photo("a.JPG"), album.photo("b.JPG")
    account.album("Best of").collect(photo)
    sync(run)
    album.remove(photo)
    assert removed_count(sync(run).stderr) == 1
    album.collect(photo)
    last = sync(run)
    assert last.cost == (3, 0)
    assert removed_count(last.stderr) == 0


def test_restored_albums_no_longer_count_as_deleted(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    away = account.album("Away")
    away.photo()
    sync(run)
    account.albums.remove(away)
    assert removed_count(sync(run).stderr) == 1
    (run.output / "Away" / "IMG_1.JPG").unlink()
    account.albums.append(away)
    last = sync(run)
    assert removed_count(last.stderr) == 0
    assert last.cost == (3, 1)
    assert sync(run).cost == NOTHING_NEW


def test_files_deleted_on_both_sides_are_neither_counted_nor_named(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    for name in ("a.JPG", "b.JPG", "c.JPG"):
        album.photo(name)
    sync(run)
    for photo in album.images[:2]:
        album.remove(photo)
    sync(run)
    (run.output / "Summer" / "a.JPG").unlink()
    last = sync(run, "--list-removed")
    assert last.cost == NOTHING_NEW
    assert (removed_count(last.stderr), last.stdout) == (1, "Summer/b.JPG\n")


def test_failed_lists_of_albums_mark_nothing_as_deleted(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    for number in range(2):
        account.album(f"Album {number}").photo()
    sync(run)
    smugmug.fault("lost_item", where="!albums", times=None)
    assert removed_count(sync(run, exit_code=1).stderr) == 0
    smugmug.clear_faults()
    smugmug.fault("lost_item", where="!images", times=None)
    account.albums[0].touch()
    assert removed_count(sync(run, exit_code=1).stderr) == 0


# =================================================================================================
# --dry-run writes nothing.
# =================================================================================================


def test_previews_create_no_folder(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    assert sync(run, "--dry-run").cost == (3, 0)
    assert not run.output.exists()


def test_previews_write_nothing_and_the_run_remains_to_be_done(account: Account, run: Run) -> None:
    album, other = account.album("Summer"), account.album("Winter")
    for name in ("a.JPG", "b.JPG", "c.JPG", "d.JPG"):
        album.photo(name)
    other.photo()
    sync(run)
    album.images[0].replace(b"a new version")
    album.remove(album.images[1])
    (run.output / "Summer" / "c.JPG").unlink()
    edit(run.output / "Summer" / "d.JPG")
    album.photo("new.JPG")
    account.album("Another").photo()

    for option in ("--full", "--list-removed", "--quiet"):
        run_unchanged(run, "--dry-run", option)
    run_unchanged(run, "--dry-run", "--verify", exit_code=1)
    assert sync(run).cost == (2 + 2, 4)
