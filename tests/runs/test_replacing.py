"""Does nothing on disk get worse, and is nothing of the user's removed?"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from conftest import Run
from fake_smugmug import (
    JPEG_MAGIC,
    MP4_MAGIC,
    Account,
    Album,
    FakeSmugMug,
    Image,
    Pattern,
    Photo,
    bytes_of,
)
from helpers import (
    NOTHING_NEW,
    RECORD,
    broken_python,
    edit,
    expected_files,
    files_on_disk,
    key_name,
    of_file,
    part_files,
    sync,
    token_file,
)

posix_only = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX systems")


def test_hidden_files_of_the_user_that_look_like_part_files_stay(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    photo = album.photo("a.JPG", caption="Swans")
    folder = run.output / "Summer"
    folder.mkdir(parents=True)
    theirs = {
        folder / name: name.encode()
        for name in (
            ".backup-01.part",
            ".backup-1.part",
            f".{photo.key}.part",
            ".a.JPG.xmp.part",
            ".album.json.part",
            ".index.html.part",
        )
    }
    for path, content in theirs.items():
        path.write_bytes(content)
    ours = folder / f".{photo.key}-7-{'0' * 32}.part"
    ours.write_bytes(b"an older version")
    sync(run, "--sidecar", "xmp,json,html")
    assert {path: path.read_bytes() for path in theirs} == theirs
    assert not ours.exists()
    assert files_on_disk(run.output)["Summer/a.JPG"] == photo.data


def test_logout_removes_leftovers_of_killed_saves(account: Account, run: Run) -> None:
    path = token_file(run)
    path.parent.mkdir(parents=True)
    leftover = path.with_name(".token.json-95331cc5.part")
    leftover.write_bytes(b"secret")
    run("--logout")
    assert not leftover.exists()


# =================================================================================================
# Nothing gets worse: originals, videos, and files of the same serial.
# =================================================================================================

DAY = 86_400


def rotate(photo: Photo) -> None:
    """Raise a photo's serial and hide its original for a while, as SmugMug does."""
    photo.replace(Pattern(photo.size, photo.size, JPEG_MAGIC), moves_clock=True)
    photo.archived = photo.download_uri = photo.original_size_listed = False


@pytest.mark.parametrize("processing", [False, True])
def test_a_smaller_copy_goes_beside_an_original_until_the_new_original_is_offered(
    account: Account, smugmug: FakeSmugMug, run: Run, processing: bool
) -> None:
    photo = account.album("Summer").photo("a.JPG", Pattern(50_000, 1, JPEG_MAGIC))
    original = photo.data
    sync(run)
    rotate(photo)
    photo.processing = processing
    second = sync(run)
    files = files_on_disk(run.output)
    smaller = f"Summer/{key_name(photo)}"
    assert files["Summer/a.JPG"] == original and len(files[smaller]) < len(original)
    assert len(files) == 2 and "1 replaced" not in second.stderr
    assert "Kept (1):\n  Summer/a.JPG: SmugMug offers only a smaller copy" in second.stderr
    for arguments in ((), ("--full",), ("--verify",)):
        again = sync(run, *arguments)
        assert again.downloads == 0 and files_on_disk(run.output) == files
        assert "Summer/a.JPG: SmugMug offers only a smaller copy" in again.stderr
    smugmug.let_time_pass(DAY + 600)
    assert sync(run).downloads == 0 and files_on_disk(run.output) == files
    photo.archived = photo.download_uri = photo.original_size_listed = True
    photo.processing = False
    photo.album.touch()
    assert "1 replaced" in sync(run).stderr
    assert files_on_disk(run.output)["Summer/a.JPG"] == photo.data
    assert sync(run).cost == NOTHING_NEW


def test_a_smaller_rendition_goes_beside_a_video_of_the_same_serial(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    video = account.album("Summer").video("film.mp4", Pattern(300_035, 1, MP4_MAGIC))
    best = video.content
    sync(run)
    video.content = Pattern(724, 2, MP4_MAGIC)
    second = sync(run, "--full")
    files = files_on_disk(run.output)
    assert files == {"Summer/film.mp4": bytes_of(best), f"Summer/{key_name(video)}": video.data}
    assert "Kept (1):\n  Summer/film.mp4: " in second.stderr
    assert "; 1 with a different checksum" in second.stderr
    for arguments in ((), ("--full",)):
        assert sync(run, *arguments).downloads == 0
    smugmug.let_time_pass(DAY + 600)
    assert sync(run).downloads == 0 and files_on_disk(run.output) == files
    video.content = best
    last = sync(run, "--full")
    assert last.downloads == 0 and "different checksum" not in last.stderr
    assert files_on_disk(run.output) == files


# Signs of a video that SmugMug has not encoded in full yet.
UNFINISHED: Dict[str, Dict[str, Any]] = {
    "narrow": {"largest_size": 640},
    "processing": {"processing": True, "playable": True},
    "no MD5": {"largest_size": 640, "md5_listed": False},
}


@pytest.mark.parametrize("signs", UNFINISHED.values(), ids=UNFINISHED)
@pytest.mark.parametrize("is_linked", [True, False])
def test_a_smaller_rendition_of_a_replaced_video_goes_beside_until_the_full_one_is_offered(
    account: Account, smugmug: FakeSmugMug, run: Run, signs: Dict[str, Any], is_linked: bool
) -> None:
    video = account.album("Summer").video("film.mp4", Pattern(300_035, 1, MP4_MAGIC))
    best = video.data
    sync(run)
    finished = {name: getattr(video, name) for name in signs if name != "md5_listed"}
    video.replace(Pattern(724, 2, MP4_MAGIC), moves_clock=True)
    vars(video).update(signs, largest_linked=is_linked)
    second = sync(run)
    files = files_on_disk(run.output)
    assert files == {"Summer/film.mp4": best, f"Summer/{key_name(video)}": video.data}
    assert "Kept (1):\n  Summer/film.mp4: SmugMug offers a smaller video" in second.stderr
    for _ in range(2):
        video.album.touch()
        assert sync(run).downloads == 0 and files_on_disk(run.output) == files
    for days in (1, 2, 4):
        smugmug.let_time_pass(days * DAY + 600)
        sync(run)
        assert sync(run).downloads == 0 and files_on_disk(run.output) == files
    vars(video).update(finished, content=Pattern(310_000, 3, MP4_MAGIC))
    video.album.touch()
    last = sync(run, *([] if is_linked else ["--full"]))
    assert last.downloads == 1 and "1 replaced" in last.stderr
    assert files_on_disk(run.output)["Summer/film.mp4"] == video.data
    assert "different checksum" not in last.stderr
    video.album.touch()
    assert sync(run).downloads == 0


def test_a_smaller_video_takes_over_once_the_user_deletes_the_larger_one(
    account: Account, run: Run
) -> None:
    video = account.album("Summer").video("film.mp4", Pattern(300_035, 1, MP4_MAGIC))
    sync(run)
    video.replace(Pattern(724, 2, MP4_MAGIC), moves_clock=True)
    video.largest_size = 640
    sync(run)
    (run.output / "Summer" / "film.mp4").unlink()
    last = sync(run)
    assert last.downloads == 0
    assert files_on_disk(run.output)["Summer/film.mp4"] == video.data
    assert sync(run).cost == NOTHING_NEW


def test_a_larger_video_of_the_same_serial_replaces_a_smaller_rendition(
    account: Account, run: Run
) -> None:
    video = account.album("Summer").video("film.mp4", Pattern(724, 2, MP4_MAGIC))
    sync(run)
    video.content = Pattern(300_035, 1, MP4_MAGIC)
    video.album.touch()
    assert "1 replaced" in sync(run).stderr
    assert files_on_disk(run.output) == {"Summer/film.mp4": video.data}
    assert sync(run).cost == NOTHING_NEW


@pytest.mark.parametrize("height", [1080, 1920], ids=["landscape", "upright"])
def test_a_shorter_video_in_full_size_replaces_the_longer_one(
    account: Account, run: Run, height: int
) -> None:
    video = account.album("Summer").video(
        "film.mp4", Pattern(300_035, 1, MP4_MAGIC), width=3000 - height, height=height
    )
    sync(run)
    video.replace(Pattern(724, 2, MP4_MAGIC), moves_clock=True)
    assert "1 replaced" in sync(run).stderr
    assert files_on_disk(run.output) == {"Summer/film.mp4": video.data}
    assert sync(run).cost == NOTHING_NEW


@pytest.mark.parametrize("size", [100, 50_000, 60_000], ids=["shrunk", "rotten", "grown"])
def test_other_bytes_under_one_serial_go_beside_the_good_file(
    account: Account, run: Run, size: int
) -> None:
    photo = account.album("Summer").photo("a.JPG", Pattern(50_000, 1, JPEG_MAGIC))
    good = photo.data
    account.album("Best of").collect(photo)
    sync(run)
    photo.content = Pattern(size, 2, JPEG_MAGIC)
    photo.album.touch()
    sync(run, "--full")
    files = files_on_disk(run.output)
    beside = {f"{name}/{key_name(photo)}": photo.data for name in ("Summer", "Best of")}
    assert files == {"Summer/a.JPG": good, "Best of/a.JPG": good, **beside}
    assert sync(run, "--full").downloads == 0 and files_on_disk(run.output) == files


def test_a_smaller_copy_does_not_repair_a_damaged_original(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo("a.JPG", Pattern(50_000, 1, JPEG_MAGIC))
    original = photo.data
    sync(run)
    damaged = edit(run.output / "Summer" / "a.JPG", keep_time=True)
    photo.archived = photo.download_uri = photo.original_size_listed = False
    told = sync(run, "--verify", exit_code=1)
    files = files_on_disk(run.output)
    assert files["Summer/a.JPG"] == damaged and "Repaired" not in told.stderr
    assert "Damaged, changed or missing (1):\n  Summer/a.JPG: damaged" in told.stderr
    photo.archived = photo.download_uri = photo.original_size_listed = True
    sync(run, "--full")
    files = files_on_disk(run.output)
    assert files["Summer/a.JPG"] == original and files["Summer/a-damaged.JPG"] == damaged


def test_an_edited_file_is_not_called_damaged_if_smugmug_offers_only_a_smaller_copy(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo("a.JPG", Pattern(50_000, 1, JPEG_MAGIC))
    sync(run)
    rotate(photo)
    sync(run)
    edit(run.output / "Summer" / "a.JPG", keep_size=False)
    files = files_on_disk(run.output)
    smugmug.let_time_pass(DAY + 600)
    for arguments in (("--verify",), (), ("--full",)):
        told = sync(run, *arguments)
        assert told.downloads == 0 and files_on_disk(run.output) == files
        assert "Kept (1):\n  Summer/a.JPG: SmugMug offers only a smaller copy" in told.stderr
        assert "amaged" not in told.stderr and "hecksum" not in told.stderr


# =================================================================================================
# Files that contradict SmugMug's checksum.
# =================================================================================================


def serve(smugmug: FakeSmugMug, image: Image, *bodies: bytes) -> None:
    """Serve these bodies for an image's file, one after the other, the last one for good."""
    for number, body in enumerate(bodies):
        times = None if number + 1 == len(bodies) else 1
        headers = {"Content-Type": "image/jpeg", "Content-Length": str(len(body))}
        smugmug.fault(
            "respond", of_file(image), times=times, status=200, headers=headers, body=body
        )


def spoiled(image: Image, number: int = 1) -> bytes:
    """Return the content of an image with one wrong byte."""
    content = bytearray(image.data)
    content[len(content) // 2] ^= number
    return bytes(content)


@pytest.mark.parametrize("option", ["--full", "--verify", None])
def test_a_file_with_another_checksum_is_requested_again_until_it_agrees(
    account: Account, smugmug: FakeSmugMug, run: Run, option: Optional[str]
) -> None:
    photo = account.album("Summer").photo("a.JPG")
    serve(smugmug, photo, spoiled(photo))
    first = sync(run, "-qq")
    assert first.downloads == 2 and "; 1 with a different checksum" in first.stderr
    assert files_on_disk(run.output) == {"Summer/a.JPG": spoiled(photo)}
    assert "; 1 with a different checksum" in sync(run).stderr
    assert sync(run).cost == NOTHING_NEW
    if option is None:
        for days in (1, 2, 4):
            smugmug.let_time_pass(days * DAY - 1000)
            assert sync(run).downloads == 0
            smugmug.let_time_pass(2000)
            assert sync(run).downloads == 1
        smugmug.let_time_pass(30 * DAY)
    else:
        assert sync(run, option).downloads == 1
    smugmug.clear_faults()
    last = sync(run, *filter(None, [option]))
    assert last.downloads == 1 and "1 replaced" in last.stderr
    assert "different checksum" not in last.stderr
    assert files_on_disk(run.output) == {"Summer/a.JPG": photo.data}
    assert sync(run).cost == NOTHING_NEW


def test_a_checksum_that_smugmug_corrects_agrees_without_a_download(
    account: Account, run: Run
) -> None:
    photo = account.album("Summer").photo("a.JPG", stated_md5="ab" * 16)
    assert "with a different checksum" in sync(run).stderr
    photo.stated_md5 = ""
    assert sync(run, "--full").downloads == 0
    assert "different checksum" not in sync(run).stderr


def test_the_same_bytes_before_and_after_others_are_no_proof(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo("a.JPG", Pattern(1_500_000, 1, JPEG_MAGIC))
    smugmug.fault("cut", "cdn", at=1_000_000)
    smugmug.fault("not_found", "cdn")
    sync(run, exit_code=1)
    smugmug.clear_faults()
    part = part_files(run)[0]
    start = part.stat().st_size
    body = bytearray(part.read_bytes())
    body[100] ^= 1
    part.write_bytes(bytes(body))
    first = bytes(body) + photo.data[start:]  # what the damaged part file becomes
    smugmug.fault("respond", of_file(photo), after=1, status=200, body=spoiled(photo))
    smugmug.fault("respond", of_file(photo), after=1, status=200, body=first)
    sync(run, exit_code=1)
    assert files_on_disk(run.output) == {}


@pytest.mark.parametrize("is_original", [True, False], ids=["original", "smaller copy"])
def test_a_damaged_file_is_not_requested_each_night_if_smugmugs_contradicts_its_checksum(
    account: Account, smugmug: FakeSmugMug, run: Run, is_original: bool
) -> None:
    photo = account.album("Summer").photo("a.JPG", Pattern(50_000, 1, JPEG_MAGIC))
    photo.archived = photo.download_uri = photo.original_size_listed = is_original
    sync(run)
    photo.archived = photo.download_uri = photo.original_size_listed = True
    damaged = edit(run.output / "Summer" / "a.JPG", keep_time=True)
    serve(smugmug, photo, spoiled(photo))
    photo.album.touch()
    assert sync(run, "--verify", exit_code=1).downloads == 2
    files = files_on_disk(run.output)
    assert files == {"Summer/a.JPG": damaged, f"Summer/{key_name(photo)}": spoiled(photo)}
    for days in (1, 2, 4):
        smugmug.let_time_pass(days * DAY - 1000)
        told = sync(run, exit_code=1)
        assert told.downloads == 0 and "1 with a different checksum; 1 damaged" in told.stderr
        assert "Kept (1):\n  Summer/a.JPG: SmugMug offers a different file" in told.stderr
        smugmug.let_time_pass(2000)
        assert sync(run, exit_code=1).downloads == 2
        assert sync(run, exit_code=1).downloads == 0
        assert files_on_disk(run.output) == files
    smugmug.clear_faults()
    assert sync(run, "--full").downloads == 1
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "Summer/a-damaged.JPG": damaged,
        f"Summer/{key_name(photo)}": spoiled(photo),
    }
    assert "different checksum" not in sync(run).stderr


@pytest.mark.parametrize("option", ["--full", "--verify", None])
def test_contradicting_bytes_never_replace_a_file(
    account: Account, smugmug: FakeSmugMug, run: Run, option: Optional[str]
) -> None:
    photo = account.album("Summer").photo("a.JPG")
    good = photo.data
    sync(run)
    photo.replace(Pattern(photo.size, 99, JPEG_MAGIC), moves_clock=True)
    serve(smugmug, photo, spoiled(photo))
    sync(run)
    files = files_on_disk(run.output)
    assert files == {"Summer/a.JPG": good, f"Summer/{key_name(photo)}": spoiled(photo)}
    assert sync(run).downloads == 0
    smugmug.clear_faults()
    if option is None:
        smugmug.let_time_pass(DAY + 600)
    sync(run, *filter(None, [option]))
    assert files_on_disk(run.output)["Summer/a.JPG"] == photo.data


def test_an_etag_counts_as_the_checksum_of_a_video_without_one(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    video = account.album("Summer").video("a.mp4", md5_listed=False)
    smugmug.fault("corrupt", "cdn")
    assert sync(run).downloads == 2
    assert files_on_disk(run.output) == {"Summer/a.mp4": video.data}


@pytest.mark.parametrize("is_stated", [True, False], ids=["ETag", "nothing stated"])
def test_a_file_of_zeros_is_never_adopted(
    account: Account, smugmug: FakeSmugMug, run: Run, is_stated: bool
) -> None:
    album = account.album("Summer")
    blank, same = album.video("a.mp4", md5_listed=False), album.video("b.mp4", md5_listed=False)
    folder = run.output / "Summer"
    folder.mkdir(parents=True)
    (folder / "a.mp4").write_bytes(bytes(blank.size))
    (folder / "b.mp4").write_bytes(same.data)
    if not is_stated:
        for video in (blank, same):
            headers = {"Content-Type": "video/mp4", "Content-Length": str(video.size)}
            smugmug.fault("respond", of_file(video), times=None, headers=headers, body=video.data)
    first = sync(run)
    assert "1 adopted" in first.stderr
    assert files_on_disk(run.output) == {
        "Summer/a.mp4": bytes(blank.size),
        f"Summer/{key_name(blank)}": blank.data,
        "Summer/b.mp4": same.data,
    }
    assert sync(run, "--verify").downloads == 0


@pytest.mark.parametrize("by", [1, -1, None], ids=["larger", "smaller", "zero"])
def test_the_md5_decides_where_the_stated_size_is_wrong(
    account: Account, smugmug: FakeSmugMug, run: Run, by: Optional[int]
) -> None:
    photo = account.album("Summer").photo("a.JPG")

    def mangled(answer: Dict[str, Any]) -> Dict[str, Any]:
        for image in answer["Response"]["AlbumImage"]:
            image["ArchivedSize"] = image["OriginalSize"] = 0 if by is None else photo.size + by
        return answer

    smugmug.fault("mangle", "!images", times=None, function=mangled)
    first = sync(run)
    assert first.downloads == 1 and "ot the original" not in first.stderr
    assert files_on_disk(run.output) == {"Summer/a.JPG": photo.data}
    for arguments in ([], ["--full"], ["--verify"]):
        assert sync(run, *arguments).downloads == 0
    (run.output / RECORD).unlink()
    assert sync(run, "--new-record").downloads == 0


# =================================================================================================
# What the user or a failing disk did to the files.
# =================================================================================================


def test_metadata_written_into_files_costs_no_download(account: Account, run: Run) -> None:
    album = account.album("Summer")
    for number in range(12):
        album.photo(f"{number}.JPG")
    video = album.video("film.mp4")
    sync(run)
    folder = run.output / "Summer"
    tagged = {}
    for number in range(12):
        path = folder / f"{number}.JPG"
        keep_time, keep_size = number % 2 == 0, number % 3 == 0 and number % 2 == 1
        tagged[f"Summer/{path.name}"] = edit(path, keep_size=keep_size, keep_time=keep_time)
    tagged["Summer/film.mp4"] = edit(folder / "film.mp4", keep_size=False)
    told = sync(run)
    assert told.cost == NOTHING_NEW
    names = "Summer/0.JPG, Summer/1.JPG, Summer/10.JPG and 8 more"
    line = f"Changed here: 11 files, kept as they are and not downloaded again ({names})\n"
    assert line in told.stderr
    named = re.findall("changed here: (.*)", sync(run, "-v").stderr)
    assert len(named) == 11 and set(named) <= set(tagged)
    album.photo("new.JPG")
    assert sync(run).downloads == 1
    assert sync(run, "--full").downloads == 0
    assert {name: files_on_disk(run.output)[name] for name in tagged} == tagged
    video.replace(Pattern(5000, 9, MP4_MAGIC), moves_clock=True)
    assert sync(run).downloads == 1
    files = files_on_disk(run.output)
    assert files[f"Summer/{key_name(video)}"] == video.data
    assert {name: files[name] for name in tagged} == tagged


def box(kind: bytes, content: bytes) -> bytes:
    """Make a box of an MP4 file."""
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def whole_file(name: str, seed: int, size: int) -> bytes:
    """Make a file that begins and ends as its type should."""
    content = bytes_of(Pattern(size, seed))
    if name.endswith(".mp4"):
        return box(b"ftyp", b"mp42") + box(b"moov", content[:100]) + box(b"mdat", content)
    if name.endswith(".PNG"):
        return b"\x89PNG\r\n" + content + b"IEND\xae\x42\x60\x82"
    return JPEG_MAGIC + content + b"\xff\xd9"


NAMES = ("a.JPG", "b.PNG", "c.mp4")


def album_of_whole_files(account: Account) -> Album:
    """Add an album of files that end as their types should."""
    album = account.album("Summer")
    for name in NAMES[:2]:
        album.photo(name, whole_file(name, 1, 9000))
    album.video(NAMES[2], whole_file(NAMES[2], 1, 9000))
    return album


@pytest.mark.parametrize("keeps_time", [True, False])
def test_files_that_lost_metadata_are_kept_and_cost_no_download(
    account: Account, run: Run, keeps_time: bool
) -> None:
    album_of_whole_files(account)
    sync(run)
    stripped = {}
    for name in NAMES:
        path = run.output / "Summer" / name
        status = path.stat()
        path.write_bytes(whole_file(name, 2, 7000))
        if keeps_time:  # as exiftool -P does
            os.utime(str(path), ns=(status.st_atime_ns, status.st_mtime_ns))
        stripped[f"Summer/{name}"] = path.read_bytes()
    told = sync(run)
    assert told.cost == NOTHING_NEW and "Changed here: 3 files" in told.stderr
    assert sync(run, "--full").downloads == 0 and files_on_disk(run.output) == stripped
    verified = sync(run, "--verify")
    assert "3 files were changed here since the download." in verified.stderr
    assert stripped.items() <= files_on_disk(run.output).items()


@pytest.mark.parametrize("keeps_time", [True, False])
def test_truncated_files_are_repaired_whatever_their_time(
    account: Account, run: Run, keeps_time: bool
) -> None:
    album = album_of_whole_files(account)
    for options in ((), ("--verify",)):
        sync(run)
        for name in NAMES:
            path = run.output / "Summer" / name
            status = path.stat()
            os.truncate(str(path), 5000)
            if keeps_time:
                os.utime(str(path), ns=(status.st_atime_ns, status.st_mtime_ns))
        assert sync(run, *options).downloads == 3
        assert files_on_disk(run.output) == expected_files(album)


def test_an_edited_file_is_not_duplicated_because_its_checksum_is_due(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo("a.JPG", stated_md5="ab" * 16)
    sync(run)
    edited = edit(run.output / "Summer" / "a.JPG", keep_size=False)
    smugmug.let_time_pass(DAY + 600)
    assert sync(run).downloads == 1
    assert files_on_disk(run.output) == {"Summer/a.JPG": edited}


def test_verify_says_what_copies_of_changed_files_cost_before_it_downloads_them(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photos = [album.photo(f"{number}.JPG") for number in range(3)]
    sync(run)
    for photo in photos[:2]:
        edit(run.output / "Summer" / photo.file_name, keep_size=False)
    stall = smugmug.fault("stall", "cdn", times=None, before_headers=True)
    process = run.start("--verify")
    assert stall.reached.wait(300)
    process.kill()
    stderr = process.communicate()[1]
    assert "2 files were changed here since the download." in stderr
    assert "run it without --verify" in stderr
    smugmug.clear_faults()
    assert sync(run).cost == NOTHING_NEW  # so the advice holds
    assert sync(run, "--verify").downloads == 2
    assert len(files_on_disk(run.output)) == 5
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_files_that_icloud_evicted_are_not_downloaded_again(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    album.photo("b.JPG")
    sync(run)
    folder = run.output / "Summer"
    (folder / "a.JPG").unlink()
    (folder / ".a.JPG.icloud").write_bytes(b"placeholder")
    for arguments in ((), ("--full",), ("--verify",)):
        told = sync(run, *arguments)
        assert told.downloads == 0
    assert "1 intact" in told.stderr and "a.JPG" not in told.stderr


def test_a_preview_counts_on_no_copy_of_a_file_that_icloud_evicted(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo("a.JPG")
    sync(run)
    folder = run.output / "Summer"
    (folder / "a.JPG").unlink()
    (folder / ".a.JPG.icloud").write_bytes(b"placeholder")
    winter = account.album("Winter")
    winter.photo("a.JPG", photo.data)
    smugmug.fault("stall", where=f"{winter.key}!images", seconds=1, before_headers=True)

    preview = sync(run, "--dry-run", "--full")

    assert "Winter: 1 file" in preview.stdout and "to copy" not in preview.stdout
    assert sync(run, "--full").downloads == 1


def test_an_evicted_file_without_a_record_is_downloaded_once_and_copied(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photo = album.photo("a.JPG")
    sync(run)
    folder = run.output / "Summer"
    (folder / "a.JPG").unlink()
    (folder / ".a.JPG.icloud").write_bytes(b"placeholder")
    (run.output / RECORD).unlink()
    winter = account.album("Winter")
    winter.collect(photo)
    smugmug.fault("stall", where=f"{winter.key}!images", seconds=1, before_headers=True)

    assert sync(run, "--new-record").downloads == 1

    assert files_on_disk(run.output)["Winter/a.JPG"] == photo.data


@posix_only
def test_a_killed_verification_keeps_what_it_found(
    account: Account, run: Run, tmp_path: Path
) -> None:
    album = account.album("Summer")
    photos = [album.photo(f"{number}.JPG") for number in range(6)]
    sync(run)
    folder = run.output / "Summer"
    for photo in photos[:5]:
        edit(folder / photo.file_name, keep_time=True)
    os.truncate(str(folder / "5.JPG"), 1 << 40)  # takes an hour to read, and no space on disk
    process = run.start("--verify")
    deadline = time.monotonic() + 300
    while damaged_files(run, tmp_path / "copy") != 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    (folder / "5.JPG").unlink()
    assert sync(run).downloads == 6
    assert files_on_disk(run.output)["Summer/0.JPG"] == photos[0].data


def damaged_files(run: Run, copy: Path) -> int:
    """Count the files that a copy of the record marks as damaged, or return -1 if unreadable."""
    for suffix in ("", "-journal"):
        path = Path(f"{run.output / RECORD}{suffix}")
        target = Path(f"{copy}{suffix}")
        if path.exists():
            shutil.copyfile(str(path), str(target))
        elif target.exists():
            target.unlink()
    try:
        with closing(sqlite3.connect(str(copy))) as record:
            return int(record.execute("SELECT COUNT(*) FROM file WHERE damaged").fetchone()[0])
    except sqlite3.Error:
        return -1


def test_a_file_of_zeros_is_not_intact_whatever_is_recorded(account: Account, run: Run) -> None:
    video = account.album("Summer").video("a.mp4", md5_listed=False)
    sync(run)
    path = run.output / "Summer" / "a.mp4"
    path.write_bytes(bytes(video.size))
    with closing(sqlite3.connect(str(run.output / RECORD))) as record:
        blank = hashlib.md5(bytes(video.size)).hexdigest()
        record.execute("UPDATE file SET md5 = ?, modified_ns = 0", (blank,))
        record.commit()
    told = sync(run, "--verify", "--dry-run", exit_code=1)
    assert "Summer/a.mp4: it holds only zeros" in told.stderr
    sync(run, "--verify")
    assert files_on_disk(run.output)[f"Summer/{key_name(video)}"] == video.data
    assert sync(run, "--verify").downloads == 0


BAD_SECTOR = """
    import builtins, errno

    real_open = builtins.open

    def open(file, *args, **kwargs):
        if str(file).endswith("Summer/a.JPG"):
            raise OSError(errno.EIO, "Input/output error", str(file))
        return real_open(file, *args, **kwargs)

    builtins.open = open
"""


@pytest.mark.parametrize("is_touched", [False, True])
def test_a_file_with_a_bad_sector_is_repaired(
    account: Account, run: Run, tmp_path: Path, is_touched: bool
) -> None:
    photo = account.album("Summer").photo("a.JPG")
    sync(run)
    path = run.output / "Summer" / "a.JPG"
    if is_touched:
        os.utime(str(path), (1, 1))
    env = broken_python(tmp_path / "broken", BAD_SECTOR)
    told = sync(run, "--verify", env=env)
    beside = key_name(photo) if is_touched else "a-damaged.JPG"
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        f"Summer/{beside}": photo.data,
    }
    assert "Repaired (1):\n  Summer/a.JPG: Input/output error" in told.stderr or is_touched
    assert "Damaged, changed or missing" not in told.stderr
    assert sync(run, "--verify").downloads == 0


@posix_only
def test_a_linked_album_folder_is_left_alone_by_sync_and_verify_alike(
    account: Account, run: Run, tmp_path: Path
) -> None:
    summer, winter = account.album("Summer"), account.album("Winter")
    for number in range(4):
        summer.photo(f"{number}.JPG")
    winter.photo("a.JPG")
    sync(run)
    (run.output / "Summer").rename(tmp_path / "elsewhere")
    (run.output / "Summer").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    for arguments in ((), ("--full",), ("--verify",), ("--verify", "--dry-run"), ("--dry-run",)):
        told = sync(run, *arguments, exit_code=1)
        assert told.stderr.count("leads outside the output folder") == 1
        assert "5 intact" not in told.stderr and told.downloads == 0
    (run.output / "Summer").unlink()
    (tmp_path / "elsewhere").rename(run.output / "Summer")
    assert "5 intact" in sync(run, "--verify").stderr
