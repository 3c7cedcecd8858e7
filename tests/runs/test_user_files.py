"""Does everything the user made stay: edits, notes, names, links and files of other tools?"""

from __future__ import annotations

import json
import os
import unicodedata
from functools import partial
from pathlib import Path
from typing import Callable, Dict

import pytest

from conftest import Run
from fake_smugmug import Account, Album, FakeSmugMug
from helpers import (
    NOTHING_NEW,
    RECORD,
    broken_python,
    edit,
    expected_files,
    files_on_disk,
    key_name,
    one_photo_on_disk,
    posix_only,
    run_without_rights,
    sync,
)

NFD = partial(unicodedata.normalize, "NFD")


def decay(path: Path) -> bytes:
    """Change a file without its size and timestamp, as failing disks and `exiftool -P` do."""
    return edit(path, keep_time=True)


# =================================================================================================
# Changed files are never overwritten.
# =================================================================================================


def test_files_that_look_damaged_are_set_aside_under_a_telling_name(
    account: Account, run: Run
) -> None:
    photo = one_photo_on_disk(account, run)
    path = run.output / "Summer" / "a.JPG"
    first = decay(path)
    verified = sync(run, "--verify")
    assert verified.downloads == 1
    assert files_on_disk(run.output) == {"Summer/a.JPG": photo.data, "Summer/a-damaged.JPG": first}
    assert any(
        "a.JPG" in line and "a-damaged.JPG" in line for line in verified.stderr.splitlines()
    )
    assert sync(run, "--verify").cost == NOTHING_NEW

    path.write_bytes(bytes(photo.size))
    os.utime(str(path), ns=(0, (run.output / "Summer" / "a-damaged.JPG").stat().st_mtime_ns))
    assert "a-damaged-2.JPG" in sync(run, "--verify").stderr
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "Summer/a-damaged.JPG": first,
        "Summer/a-damaged-2.JPG": bytes(photo.size),
    }
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_videos_that_look_damaged_are_set_aside_as_well(account: Account, run: Run) -> None:
    video = account.album("Summer").video("a.mp4", md5_listed=False)
    sync(run)
    decayed = decay(run.output / "Summer" / "a.mp4")
    sync(run, "--verify")
    assert files_on_disk(run.output) == {
        "Summer/a.mp4": video.data,
        "Summer/a-damaged.mp4": decayed,
    }


def test_files_that_look_damaged_are_set_aside_even_if_a_copy_repairs_them(
    account: Account, run: Run
) -> None:
    photo = account.album("Summer").photo("a.JPG")
    account.album("Best of").collect(photo)
    sync(run)
    decayed = decay(run.output / "Summer" / "a.JPG")
    assert sync(run, "--verify").downloads == 0
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "Best of/a.JPG": photo.data,
        "Summer/a-damaged.JPG": decayed,
    }


def test_files_set_aside_replace_no_other_file(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    album.photo("a-damaged.JPG")
    sync(run)
    (run.output / "Summer" / "a-damaged-2.JPG").write_bytes(b"mine")
    decayed = decay(run.output / "Summer" / "a.JPG")
    sync(run, "--verify")
    assert files_on_disk(run.output) == {
        **expected_files(album),
        "Summer/a-damaged-2.JPG": b"mine",
        "Summer/a-damaged-3.JPG": decayed,
    }


def test_files_that_look_damaged_survive_a_new_version(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = one_photo_on_disk(account, run)
    decayed = decay(run.output / "Summer" / "a.JPG")
    smugmug.fault("not_found", "cdn", times=None)
    sync(run, "--verify", exit_code=1)
    smugmug.clear_faults()
    assert decayed in files_on_disk(run.output).values()
    photo.replace(b"a new version", moves_clock=True)
    sync(run)
    assert {decayed, photo.data} <= set(files_on_disk(run.output).values())


def test_files_changed_at_another_time_stay_and_smugmugs_goes_beside(
    account: Account, run: Run
) -> None:
    photo = one_photo_on_disk(account, run)
    edited = edit(run.output / "Summer" / "a.JPG")
    assert key_name(photo) in sync(run, "--verify").stderr
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": edited,
        f"Summer/{key_name(photo)}": photo.data,
    }
    assert sync(run, "--verify").cost == NOTHING_NEW


# =================================================================================================
# Adopted files.
# =================================================================================================


def put(run: Run, files: Dict[str, bytes]) -> None:
    """Put files into the output folder, as the user or another tool would."""
    for name, content in files.items():
        (run.output / name).parent.mkdir(parents=True, exist_ok=True)
        (run.output / name).write_bytes(content)


def test_files_of_equal_name_and_size_but_other_content_are_foreign(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    right, wrong, video = album.photo("a.JPG"), album.photo("b.JPG"), album.video("c.mp4")
    theirs = {
        "Summer/a.JPG": right.data,
        "Summer/b.JPG": bytes(wrong.size),
        "Summer/c.mp4": bytes(video.size),
    }
    put(run, theirs)
    first = sync(run)
    assert first.downloads == 2 and "1 adopted" in first.stderr
    beside = {f"Summer/{key_name(image)}": image.data for image in (wrong, video)}
    assert files_on_disk(run.output) == {**theirs, **beside}
    assert all(
        name in first.stderr for name in ("b.JPG", key_name(wrong), "c.mp4", key_name(video))
    )
    assert sync(run).cost == NOTHING_NEW
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_swapped_files_of_equal_size_are_told_apart(account: Account, run: Run) -> None:
    album = account.album("Summer")
    first, second = album.photo("a.JPG", b"one content"), album.photo("b.JPG", b"two content")
    put(run, {"Summer/a.JPG": second.data, "Summer/b.JPG": first.data})
    sync(run)
    on_disk = files_on_disk(run.output)
    assert on_disk.pop("Summer/a.JPG") == second.data and on_disk.pop("Summer/b.JPG") == first.data
    assert set(on_disk.items()) <= {
        (f"Summer/{key_name(photo)}", photo.data) for photo in (first, second)
    }
    assert sync(run).cost == NOTHING_NEW
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_adopted_files_stay_and_newer_versions_go_beside(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo("a.JPG")
    theirs = {"Summer/a.JPG": photo.data}
    put(run, theirs)
    first = sync(run)
    assert first.downloads == 0 and "1 adopted" in first.stderr
    for version in (b"a new version", b"a newer version"):
        photo.replace(version, moves_clock=True)
        assert sync(run).cost == (3, 1)
        assert files_on_disk(run.output) == {**theirs, f"Summer/{key_name(photo)}": version}
        assert sync(run).cost == NOTHING_NEW


# =================================================================================================
# Edited sidecars.
# =================================================================================================


def test_edited_sidecars_stay_and_the_others_follow_the_captions(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    noted, plain = album.photo("a.JPG", caption="Swans"), album.photo("b.JPG", caption="Snow")
    sync(run, "--sidecar", "xmp,json")
    folder = run.output / "Summer"
    notes = {}
    for name, before, after in (
        ("a.JPG.xmp", "Swans", "Swans, with Grandpa"),
        ("album.json", "Snow", "Snow in May"),
    ):
        text = (folder / name).read_text(encoding="utf-8")
        assert before in text
        (folder / name).write_bytes(text.replace(before, after).encode("utf-8"))
        notes[name] = (folder / name).read_bytes()
    noted.edit(caption="Geese")
    plain.edit(caption="Ice")
    album.photo("c.JPG", caption="Rain")

    def assert_kept(*args: str) -> None:
        stderr = sync(run, "--sidecar", "xmp,json", *args).stderr
        kept = stderr[stderr.index("\nKept (") :]
        assert "a.JPG.xmp" in kept and "album.json" in kept and "b.JPG.xmp" not in kept
        assert {name: (folder / name).read_bytes() for name in notes} == notes
        assert (
            b"Ice" in (folder / "b.JPG.xmp").read_bytes()
            and b"Rain" in (folder / "c.JPG.xmp").read_bytes()
        )

    assert_kept()
    assert_kept()
    (run.output / RECORD).unlink()
    assert_kept("--new-record")
    plain.edit(caption="Icicles")
    sync(run, "--sidecar", "xmp,json")
    assert b"Icicles" in (folder / "b.JPG.xmp").read_bytes()


def test_restored_sidecars_follow_the_captions_again(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo("a.JPG", caption="Swans")
    sync(run, "--sidecar", "xmp")
    path = run.output / "Summer" / "a.JPG.xmp"
    written = path.read_bytes()
    path.write_bytes(written.replace(b"Swans", b"Ducks"))
    sync(run, "--sidecar", "xmp")
    assert b"Ducks" in path.read_bytes()
    path.write_bytes(written)
    photo.edit(caption="Geese")
    sync(run, "--sidecar", "xmp")
    assert b"Geese" in path.read_bytes()


def test_changed_numbers_count_as_edits_of_sidecars(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo(
        "a.JPG", caption="Swans", latitude="47.5", longitude="8.5"
    )
    sync(run, "--sidecar", "json")
    path = run.output / "Summer" / "album.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["images"][0]["latitude"] = 47.25
    path.write_bytes(json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8") + b"\n")
    noted = path.read_bytes()
    photo.edit(caption="Geese")
    assert "album.json" in sync(run, "--sidecar", "json").stderr
    assert path.read_bytes() == noted


# =================================================================================================
# Names in another normalization.
# =================================================================================================


@pytest.fixture
def umlauts(account: Account, run: Run) -> Album:
    """Download an album with sidecars whose letters have two normalizations."""
    album = account.album("\u00dcbersee")
    album.photo("Caf\u00e9.JPG", caption="Coffee")
    album.photo("IMG_2.JPG", caption="Cake")
    sync(run, "--sidecar", "xmp")
    return album


def rename_all(folder: Path, form: Callable[[str], str]) -> None:
    """Rename files as a copy from another computer does."""
    for path in list(folder.iterdir()):
        path.rename(path.with_name(form(path.name)))


forms = pytest.mark.parametrize("form", [NFD, str.swapcase], ids=["macOS", "Windows"])


@forms
def test_files_under_another_normalization_are_verified_and_repaired_in_place(
    run: Run, umlauts: Album, form: Callable[[str], str]
) -> None:
    folder = run.output / umlauts.name
    rename_all(folder, form)
    for _ in range(2):
        verified = sync(run, "--verify")
        assert (
            verified.cost == NOTHING_NEW
            and "2 intact" in verified.stderr
            and "missing" not in verified.stderr
        )
    names = {path.name for path in folder.iterdir()}
    path = folder / form("Caf\u00e9.JPG")
    decayed = decay(path)
    assert sync(run, "--verify").downloads == 1
    assert path.read_bytes() == umlauts.images[0].data
    (aside,) = {entry.name for entry in folder.iterdir()} - names
    assert "damaged" in aside.lower() and (folder / aside).read_bytes() == decayed
    assert sync(run, "--verify").cost == NOTHING_NEW


@forms
def test_new_versions_and_captions_keep_the_normalization_on_disk(
    run: Run, umlauts: Album, form: Callable[[str], str]
) -> None:
    folder = run.output / umlauts.name
    rename_all(folder, form)
    names = {path.name for path in folder.iterdir()}
    photo = umlauts.images[0]
    photo.replace(b"a new version", moves_clock=True)
    photo.edit(caption="Tea")
    assert sync(run, "--sidecar", "xmp").downloads == 1
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / form("Caf\u00e9.JPG")).read_bytes() == b"a new version"
    assert b"Tea" in (folder / form("Caf\u00e9.JPG.xmp")).read_bytes()


@forms
def test_files_under_another_normalization_are_a_source_of_copies(
    account: Account, run: Run, umlauts: Album, form: Callable[[str], str]
) -> None:
    rename_all(run.output / umlauts.name, form)
    account.album("Best of").collect(umlauts.images[0])
    assert sync(run).downloads == 0
    assert (run.output / "Best of" / "Caf\u00e9.JPG").read_bytes() == umlauts.images[0].data


@forms
def test_album_folders_under_another_normalization_get_no_twin(
    run: Run, umlauts: Album, form: Callable[[str], str]
) -> None:
    rename_all(run.output / umlauts.name, form)
    (run.output / umlauts.name).rename(run.output / form(umlauts.name))
    assert sync(run).cost == NOTHING_NEW
    assert "2 intact" in sync(run, "--verify").stderr
    added = umlauts.photo("IMG_3.JPG")
    assert sync(run).cost == (3, 1)
    assert (run.output / form(umlauts.name) / "IMG_3.JPG").read_bytes() == added.data
    assert [path.name for path in run.output.iterdir() if path.is_dir()] == [form(umlauts.name)]
    (run.output / RECORD).unlink()
    assert sync(run, "--new-record").downloads == 0
    assert [path.name for path in run.output.iterdir() if path.is_dir()] == [form(umlauts.name)]


# =================================================================================================
# Unreadable files and folders.
# =================================================================================================


@posix_only
@pytest.mark.parametrize(
    "target", ["link", "nowhere"], ids=["a link to itself", "a link to nowhere"]
)
def test_broken_links_cause_no_new_downloads(account: Account, run: Run, target: str) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    sync(run)
    (run.output / "Summer" / "link").symlink_to(target)
    assert sync(run).cost == NOTHING_NEW
    album.photo("b.JPG")
    assert sync(run).cost == (3, 1)
    assert "2 intact" in sync(run, "--verify").stderr
    (run.output / RECORD).unlink()
    assert sync(run, "--new-record").downloads == 0


@posix_only
def test_a_broken_link_at_the_path_of_a_photo_concerns_only_that_photo(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    linked, _ = album.photo("a.JPG"), album.photo("b.JPG")
    sync(run)
    path = run.output / "Summer" / "a.JPG"
    path.unlink()
    path.symlink_to("a.JPG")
    assert sync(run).downloads == 1
    assert path.is_symlink() and (path.parent / key_name(linked)).read_bytes() == linked.data
    assert sync(run).cost == NOTHING_NEW


@posix_only
def test_unreadable_files_are_a_failure_and_not_downloaded_again(
    account: Account, smugmug: FakeSmugMug, run: Run, closed: Callable[[Path, int], None]
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    album.photo("b.JPG")
    sync(run)
    path = run.output / "Summer" / "a.JPG"
    closed(path, 0o000)
    for _ in range(2):
        smugmug.clear_requests()
        result = run_without_rights(run, "--verify")
        assert result.returncode == 1 and smugmug.count("cdn") == 0
        assert any(
            "a.JPG" in line and "Permission denied" in line for line in result.stderr.splitlines()
        )
    path.chmod(0o644)
    assert sync(run).downloads == 0
    assert sync(run, "--verify").cost == NOTHING_NEW
    assert files_on_disk(run.output) == expected_files(album)


BAD_READ = """
    import builtins, io

    real_open, spoiled = builtins.open, set()

    class Spoiled(io.FileIO):
        def readinto(self, buffer):
            count = super().readinto(buffer)
            if count:
                buffer[0] ^= 1
            return count

        def read(self, size=-1):
            return bytes(byte ^ 1 for byte in super().read(size))

    def open(file, mode="r", *args, **kwargs):
        name = str(file)
        if name.endswith("a.JPG") and mode == "rb" and name not in spoiled:
            spoiled.add(name)
            return Spoiled(file)
        return real_open(file, mode, *args, **kwargs)

    builtins.open = open
"""


def test_one_wrong_read_does_not_condemn_a_file(
    account: Account, run: Run, tmp_path: Path
) -> None:
    photo = one_photo_on_disk(account, run)
    verified = sync(run, "--verify", env=broken_python(tmp_path / "broken", BAD_READ))
    assert verified.cost == NOTHING_NEW and "1 intact" in verified.stderr
    assert files_on_disk(run.output) == {"Summer/a.JPG": photo.data}
