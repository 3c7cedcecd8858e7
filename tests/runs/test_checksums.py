"""Are files with wrong checksums downloaded and named, and can anyone check a backup?"""

from __future__ import annotations

import shutil
import subprocess
from typing import Any, Dict

import pytest

from conftest import Run
from fake_smugmug import JPEG_MAGIC, Account, FakeSmugMug, Pattern
from helpers import (
    NOTHING_NEW,
    broken_python,
    edit,
    expected_files,
    files_on_disk,
    of_file,
    part_files,
    sync,
)

WRONG_MD5 = "ab" * 16


def test_two_equal_downloads_are_kept_and_every_run_names_the_photo(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    wrong = album.photo("wrong.JPG", stated_md5=WRONG_MD5)
    album.photo("right.JPG")
    first = sync(run)
    assert files_on_disk(run.output) == expected_files(album)
    assert smugmug.count("cdn", f"/i-{wrong.key}/") == 2 and first.downloads == 3
    for args in ((), ("--full",), ("--verify",)):
        again = sync(run, *args)
        assert again.downloads == len(args)
        assert "Checksum differs (1):\n  Summer/wrong.JPG: " in again.stderr


def test_the_copy_of_an_edited_photo_that_arrived_wrong_is_requested_again(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo("a.JPG")
    sync(run)
    path = run.output / "Summer" / "a.JPG"
    edited = edit(path)
    wrong = bytes(photo.data[:-1]) + b"?"
    headers = {"Content-Type": "image/jpeg", "Content-Length": str(len(wrong))}
    smugmug.fault("respond", f".*/i-{photo.key}/", times=None, headers=headers, body=wrong)
    for args in (("--verify",), ()):
        assert "Checksum differs (1):" in sync(run, *args).stderr
    smugmug.clear_faults()
    told = sync(run, "--full")
    assert told.downloads == 1 and "Checksum differs" not in told.stderr
    contents = sorted(files_on_disk(run.output).values())
    assert contents == sorted([edited, wrong, photo.data])
    assert path.read_bytes() == edited and sync(run).cost == NOTHING_NEW


def test_two_equal_stills_do_not_settle_a_video(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.video("video.mp4")
    smugmug.fault("still_instead_of_video", "cdn", times=None)
    assert run().returncode == 1 and files_on_disk(run.output) == {}


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "until the connection ends"])
@pytest.mark.parametrize("is_video", [False, True], ids=["photo", "video"])
def test_endless_bodies_fail_their_file_alone_and_leave_no_bytes(
    account: Account, smugmug: FakeSmugMug, run: Run, is_video: bool, chunked: bool
) -> None:
    album = account.album("Summer")
    endless = album.video("a.mp4") if is_video else album.photo("a.JPG")
    other = album.photo("b.JPG")
    smugmug.fault("endless", of_file(endless), times=None, chunked=chunked)
    told = sync(run, exit_code=1)
    assert f"Failed (1):\n  Summer/{endless.file_name}: received more than" in told.stderr
    assert files_on_disk(run.output) == {"Summer/b.JPG": other.data} and part_files(run) == []
    smugmug.clear_faults()
    sync(run)
    assert files_on_disk(run.output) == expected_files(album)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("stated", [0, 1, 2_999_999])
def test_a_wrong_size_refuses_no_right_md5_in_a_body_without_a_length(
    account: Account, smugmug: FakeSmugMug, run: Run, stated: int, chunked: bool
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG", Pattern(3_000_000, 1, JPEG_MAGIC))

    def mangled(answer: Dict[str, Any]) -> Dict[str, Any]:
        for image in answer["Response"]["AlbumImage"]:
            image["ArchivedSize"] = image["OriginalSize"] = stated
        return answer

    smugmug.fault("mangle", "!images", times=None, function=mangled)
    smugmug.fault("no_length", "cdn", times=None, chunked=chunked)
    assert sync(run).downloads == 1
    assert files_on_disk(run.output) == expected_files(album)


def test_two_different_downloads_settle_nothing(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo("a.JPG")
    smugmug.fault("corrupt", "cdn", times=None)
    assert run().returncode == 1 and files_on_disk(run.output) == {}


def test_copies_in_another_album_keep_the_stated_md5(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    wrong = album.photo("wrong.JPG", stated_md5=WRONG_MD5)
    account.album("Best of").collect(wrong)
    sync(run)
    assert sync(run).cost == NOTHING_NEW
    assert sync(run, "--full").downloads == 2


def test_a_preview_of_a_retry_says_what_the_run_downloads(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    wrong = account.album("Summer").photo("wrong.JPG", stated_md5=WRONG_MD5)
    account.album("Best of").collect(wrong)
    sync(run)
    smugmug.let_time_pass(86_400 + 600)
    preview = sync(run, "--dry-run")
    assert "To download: 2 files" in preview.stdout and "copied" not in preview.stdout
    assert sync(run).downloads == 2


def test_raw_files_are_downloaded_or_named(account: Account, run: Run) -> None:
    album = account.album("Summer")
    given = [album.photo(name) for name in ("IMG_1.CR2", "IMG_2.CRW", "IMG_3.DNG")]
    album.photo("IMG_4.ARW", archive_found=False)
    done = run()
    assert {photo.file_name: photo.data for photo in given} == {
        name.rpartition("/")[2]: data for name, data in files_on_disk(run.output).items()
    }
    assert "IMG_4.ARW" in done.stderr and "All " not in done.stderr


@pytest.mark.skipif(shutil.which("md5sum") is None, reason="md5sum is not installed")
def test_md5sum_accepts_the_output_of_list_md5(account: Account, run: Run) -> None:
    album = account.album("Summer & more")
    album.photo("a b.JPG")
    album.video("video.mov")
    album.photo("wrong.JPG", stated_md5=WRONG_MD5)
    sync(run)
    listed = sync(run, "--list-md5")
    assert listed.cost == (0, 0) and len(listed.stdout.splitlines()) == 3
    check = ["md5sum", "-c", "--strict", "-"]
    done = subprocess.run(
        check, input=listed.stdout, cwd=str(run.output), encoding="utf-8", check=False
    )
    assert done.returncode == 0
    edit(run.output / "Summer & more" / "a b.JPG")
    done = subprocess.run(
        check, input=listed.stdout, cwd=str(run.output), encoding="utf-8", check=False
    )
    assert done.returncode == 1


def test_list_md5_requires_an_intact_record(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    assert "has no download record" in sync(run, "--list-md5", exit_code=2).stderr
    sync(run)
    (run.output / ".smugmug.sqlite3").write_bytes(b"no database at all" * 100)
    damaged = sync(run, "--list-md5", exit_code=2)
    assert "The download record is damaged" in damaged.stderr and damaged.stdout == ""


def test_edited_files_deleted_on_smugmug_are_no_failure_of_verification(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    gone = album.photo("gone.JPG")
    album.photo("stays.JPG")
    sync(run)
    edit(run.output / "Summer" / "gone.JPG")
    album.remove(gone)
    for _ in range(2):
        assert "gone.JPG" not in sync(run, "--verify").stderr


@pytest.mark.parametrize("is_album", [False, True], ids=["photo", "album"])
def test_edited_files_get_a_copy_beside_them_once_smugmug_has_them_again(
    account: Account, run: Run, is_album: bool
) -> None:
    album = account.album("Summer")
    photo = album.photo("a.JPG")
    album.photo("stays.JPG")
    account.album("Winter").photo()
    sync(run)
    if is_album:
        account.albums.remove(album)
    else:
        album.remove(photo)
    sync(run)
    path = run.output / "Summer" / "a.JPG"
    edited = edit(path)
    if is_album:
        account.albums.insert(0, album)
    else:
        album.restore(photo)
    told = sync(run, "--verify")
    assert told.downloads == 1 and path.read_bytes() == edited
    assert (run.output / "Summer" / f"a_{photo.key}.JPG").read_bytes() == photo.data
    assert "damaged" not in told.stderr and sync(run).cost == NOTHING_NEW
    assert "All" in sync(run, "--verify").stderr


def test_removed_files_are_not_called_damaged(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo("a.JPG")
    account.album("Winter").photo("b.JPG")
    sync(run)
    path = run.output / "Summer" / "a.JPG"
    edit(path, keep_time=True)
    assert run("--verify", env={"SMUGMUG_ALBUM": "Winter"}).returncode == 1
    path.unlink()
    assert "a.JPG" not in sync(run, "--album", "Winter").stderr


def test_folders_with_less_than_half_of_an_albums_files_are_not_adopted(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    for index in range(3):
        album.photo(f"{index}.JPG")
    sync(run)
    (run.output / "Best").mkdir()
    (run.output / "Summer" / "0.JPG").rename(run.output / "Best" / "0.JPG")
    shutil.rmtree(str(run.output / "Summer"))
    again = sync(run)
    assert again.downloads == 2 and {
        name for name in files_on_disk(run.output) if "Summer" in name
    } == set(expected_files(album))


def test_folders_that_cannot_be_renamed_stay_and_are_named(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    sync(run)
    album.name = "Winter"
    album.touch_settings()
    broken = broken_python(
        run.folder / "broken",
        """
        import os
        def refuse(*paths):
            raise PermissionError(13, "Permission denied", paths[0])
        os.replace = refuse
        """,
    )
    refused = run("--rename", env=broken)
    assert refused.returncode == 1 and "Permission denied" in refused.stderr
    assert (run.output / "Summer" / "a.JPG").read_bytes() == album.images[0].data
