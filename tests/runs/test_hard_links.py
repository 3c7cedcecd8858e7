"""Does a photo in several albums take its space once with --hard-links?"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import Account
from helpers import NOTHING_NEW, broken_python, edit, expected_files, files_on_disk, sync


def inodes(run: Run) -> int:
    """Return how many files there are, however many names they have."""
    return len({(run.output / path).stat().st_ino for path in files_on_disk(run.output)})


def test_a_photo_in_several_albums_takes_its_space_once(account: Account, run: Run) -> None:
    albums = [account.album(name) for name in ("Summer", "Best of", "Family")]
    photo = albums[0].photo("a.JPG")
    for album in albums[1:]:
        album.collect(photo)
    result = sync(run, "--hard-links")
    assert result.downloads == 1 and "2 copied" in result.stderr
    assert files_on_disk(run.output) == expected_files(*albums)
    assert inodes(run) == 1
    assert sync(run, "--hard-links").cost == NOTHING_NEW
    assert not list(run.output.rglob("*.part"))
    assert "3 intact" in sync(run, "-n", "--verify").stderr


def test_without_the_option_files_are_copied(account: Account, run: Run) -> None:
    album, again = account.album("Summer"), account.album("Best of")
    again.collect(album.photo())
    sync(run)
    assert inodes(run) == 2


def test_a_replaced_photo_leaves_its_other_name_with_the_old_version(
    account: Account, run: Run
) -> None:
    album, again = account.album("Summer"), account.album("Best of")
    photo = album.photo("a.JPG")
    twin = again.photo("a.JPG", content=photo.data)
    sync(run, "--hard-links")
    assert inodes(run) == 1
    old = twin.data
    photo.replace(b"a new version", moves_clock=True)
    assert sync(run, "--hard-links").downloads == 1
    assert (run.output / "Summer" / "a.JPG").read_bytes() == b"a new version"
    assert (run.output / "Best of" / "a.JPG").read_bytes() == old


def test_photos_in_a_folder_under_another_normalization_are_linked(
    account: Account, run: Run
) -> None:
    album, again = account.album("\u00c4pfel"), account.album("Zoo")
    photo = album.photo("a.JPG")
    sync(run)
    (run.output / album.name).rename(run.output / unicodedata.normalize("NFD", album.name))
    again.collect(photo)
    assert sync(run, "--hard-links").downloads == 0
    assert inodes(run) == 1


def test_disks_without_links_get_copies_with_one_message(
    account: Account, run: Run, tmp_path: Path
) -> None:
    album, again = account.album("Summer"), account.album("Best of")
    for number in range(4):
        again.collect(album.photo(f"{number}.JPG"))
    python = broken_python(
        tmp_path / "python",
        """
        import errno, os
        def link(*args, **options):
            raise OSError(errno.EPERM, "Operation not permitted")
        os.link = link
        """,
    )
    result = sync(run, "--hard-links", env=python)
    assert files_on_disk(run.output) == expected_files(album, again)
    assert result.downloads == 4 and inodes(run) == 8
    assert result.stderr.count("does not support hard links") == 1


def test_a_file_that_was_edited_is_not_linked(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photo = album.photo()
    sync(run)
    edited = edit(run.output / "Summer" / photo.file_name)
    again = account.album("Best of")
    again.collect(photo)
    assert sync(run, "--hard-links").downloads == 1
    assert (run.output / "Best of" / photo.file_name).read_bytes() == photo.data != edited


def test_verify_reads_each_file_once_whatever_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, other = (tmp_path / name for name in ("a", "b", "c"))
    one.write_bytes(b"1")
    os.link(str(one), str(two))
    other.write_bytes(b"2")
    read = []

    def count(path: Path, stop: script.Stop) -> str:
        read.append(path)
        return path.read_bytes().decode()

    monkeypatch.setattr(script, "file_md5", count)
    hashes, stop = script.LinkedHashes(), script.Stop()
    assert [hashes.md5(path, stop) for path in (one, two, other)] == ["1", "1", "2"]
    assert read == [one, other]


def test_a_damaged_file_is_repaired_under_all_its_names(account: Account, run: Run) -> None:
    album, again = account.album("Summer"), account.album("Best of")
    photo = album.photo("a.JPG")
    again.collect(photo)
    sync(run, "--hard-links")
    edit(run.output / "Summer" / "a.JPG", keep_time=True)
    result = sync(run, "--verify", "--hard-links")
    assert result.downloads == 1
    assert (run.output / "Summer" / "a.JPG").read_bytes() == photo.data
    assert (run.output / "Best of" / "a.JPG").read_bytes() == photo.data
    assert sync(run).cost == NOTHING_NEW


def test_a_link_that_a_killed_run_left_is_never_written_into(account: Account, run: Run) -> None:
    album, again = account.album("Summer"), account.album("Best of")
    photo = album.photo("a.JPG")
    sync(run)
    again.collect(photo)
    (run.output / "Best of").mkdir()
    left = run.output / "Best of" / f".{photo.key}-link.part"
    os.link(str(run.output / "Summer" / "a.JPG"), str(left))
    assert sync(run, "--hard-links").downloads == 0
    assert files_on_disk(run.output) == expected_files(album, again) and not left.exists()


def test_an_unreadable_file_has_no_md5(tmp_path: Path) -> None:
    assert not script.has_md5(tmp_path / "missing", "0" * 32, script.Stop())


def test_links_are_given_up_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger=script.PROGRAM)
    index = script.ContentIndex(tmp_path, lambda text: None, links=True)
    for _ in range(2):
        index.give_up_links(tmp_path, OSError(1, "Operation not permitted"))
    assert [record.levelname for record in caplog.records] == ["INFO"]
