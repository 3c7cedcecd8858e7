"""Does a run notice that a folder lost its record, or belongs to another account?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Callable, List

import pytest

from conftest import Run
from fake_smugmug import Account, Authority, FakeSmugMug
from helpers import (
    NOTHING_NEW,
    RECORD,
    expected_files,
    files_on_disk,
    one_photo_on_disk,
    snapshot,
    sync,
)

# =================================================================================================
# Folders that lost their record.
# =================================================================================================


def unmount(output: Path) -> None:
    """Leave an empty output folder, as when its disk is not mounted."""
    output.rename(output.with_name("the disk"))
    output.mkdir()


def take_away(output: Path) -> None:
    """Remove the output folder."""
    output.rename(output.with_name("the disk"))


def lose_the_record(output: Path) -> None:
    """Remove only the record from the output folder."""
    (output / RECORD).unlink()


@pytest.mark.parametrize("change", [unmount, take_away, lose_the_record])
@pytest.mark.parametrize(
    "args", [[], ["--verify"], ["--dry-run"]], ids=["sync", "verify", "dry run"]
)
def test_known_folders_without_a_record_end_the_run_with_advice(
    account: Account, run: Run, change: Callable[[Path], None], args: List[str]
) -> None:
    one_photo_on_disk(account, run)
    change(run.output)
    before = snapshot(run.output) if run.output.exists() else None
    refused = sync(run, *args, exit_code=2)
    assert (
        refused.downloads == 0
        and "--new-record" in refused.stderr
        and run.output.name in refused.stderr
    )
    assert (snapshot(run.output) if run.output.exists() else None) == before


def test_disks_mounted_again_need_no_option(account: Account, run: Run) -> None:
    one_photo_on_disk(account, run)
    unmount(run.output)
    sync(run, exit_code=2)
    run.output.rmdir()
    (run.folder / "the disk").rename(run.output)
    assert sync(run).cost == NOTHING_NEW


@pytest.mark.parametrize("change, downloads", [(unmount, 2), (take_away, 2), (lose_the_record, 0)])
def test_an_option_lets_a_known_folder_start_again(
    account: Account, run: Run, change: Callable[[Path], None], downloads: int
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    album.photo("b.JPG")
    sync(run)
    change(run.output)
    assert sync(run, "--new-record").cost == (3, downloads)
    assert files_on_disk(run.output) == expected_files(album)
    assert sync(run).cost == NOTHING_NEW


def test_known_folders_are_saved_beside_the_sign_in_for_the_user_alone(
    account: Account, run: Run
) -> None:
    one_photo_on_disk(account, run)
    sync(run, "--output", "elsewhere")
    path = run.config / "download_smugmug_photos" / "folders.json"
    text = json.dumps(json.loads(path.read_text(encoding="utf-8")))
    assert run.output.name in text and "elsewhere" in text
    assert sys.platform == "win32" or path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"folders": 7}', b"\xff", b"null", b"[[[1]]]", b"7"]
)
def test_damaged_lists_of_folders_hinder_nothing(
    account: Account, run: Run, damage: bytes
) -> None:
    path = run.config / "download_smugmug_photos" / "folders.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damage)
    one_photo_on_disk(account, run)
    assert run.output.name in path.read_text(encoding="utf-8")
    path.write_bytes(damage)
    assert sync(run).cost == NOTHING_NEW


def test_unused_folders_need_no_option(account: Account, run: Run) -> None:
    photo = one_photo_on_disk(account, run)
    run.folder.joinpath("another").mkdir()
    sync(run, "--output", "another")
    assert files_on_disk(run.folder / "another") == {"Summer/a.JPG": photo.data}


def test_another_account_is_refused_in_the_same_folder(
    account: Account, run: Run, ca: Authority
) -> None:
    photo = one_photo_on_disk(account, run)
    stranger = Account(nickname="neighbors")
    stranger.album("Summer").photo("b.JPG")
    mine = run.smugmug
    with FakeSmugMug(stranger, ca) as theirs:
        run.smugmug = theirs
        for args in ([], ["--dry-run"]):
            before = files_on_disk(run.output)
            refused = sync(run, *args, exit_code=2)
            assert (
                refused.downloads == 0
                and "neighbors" in refused.stderr
                and account.nickname in refused.stderr
            )
            assert files_on_disk(run.output) == before == {"Summer/a.JPG": photo.data}
        assert sync(run, "--output", "theirs").downloads == 1
    run.smugmug = mine
    assert sync(run).cost == NOTHING_NEW


def test_accounts_with_a_new_nickname_are_recognized_by_their_albums(
    account: Account, run: Run
) -> None:
    one_photo_on_disk(account, run)
    account.nickname = "renamed"
    for _ in range(2):
        assert sync(run).downloads == 0


def test_accounts_without_any_album_left_are_still_recognized(account: Account, run: Run) -> None:
    photo = one_photo_on_disk(account, run)
    account.remove(photo.album)
    added = account.album("Winter").photo("b.JPG")
    sync(run)
    assert files_on_disk(run.output) == {"Summer/a.JPG": photo.data, "Winter/b.JPG": added.data}


# =================================================================================================
# Disks.
# =================================================================================================


def move_to_another_disk(run: Run) -> None:
    """Pretend that the output folder was on a disk that has another number."""
    path = run.config / "download_smugmug_photos" / "folders.json"
    folders = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({name: number + 1 for name, number in folders.items()}))


@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["--verify"], ["--verify", "--dry-run"]])
def test_known_folders_without_a_record_do_not_count_as_empty(
    account: Account, run: Run, arguments: List[str]
) -> None:
    account.album("Summer").photo()
    sync(run)
    move_to_another_disk(run)
    unplugged = run.folder / "unplugged"
    run.output.rename(unplugged)
    for is_mount_point in (False, True):
        if is_mount_point:
            run.output.mkdir()
        report = sync(run, *arguments, exit_code=2)
        assert report.downloads == 0
        assert "Is the disk connected?" in report.stderr and "--new-record" in report.stderr
    assert list(run.output.iterdir()) == []
    run.output.rmdir()
    unplugged.rename(run.output)
    assert sync(run).cost == NOTHING_NEW
