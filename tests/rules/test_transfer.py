"""Does a download resume only the same file, and replace nothing better?"""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Optional, Tuple

import pytest
import requests

import download_smugmug_photos as script
from helpers import MD5, album_of, parse_image, photo_entry, record

# =================================================================================================
# Resuming downloads
# =================================================================================================


def head_of(status: int, content_range: str = "", encoded: bool = False, etag: str = "") -> Any:
    """Make the head of a response from the file host."""
    headers = requests.structures.CaseInsensitiveDict(
        {"Content-Range": content_range, "ETag": etag}
    )
    return SimpleNamespace(status=status, headers=headers, is_encoded=encoded)


def part(size_bytes: int = 100, etag: str = "") -> Any:
    """Make a part file of this size."""
    return SimpleNamespace(size_bytes=size_bytes, etag=etag)


def remote(size_bytes: Optional[int] = 300, md5: Optional[str] = MD5) -> Any:
    """Make SmugMug's description of a file."""
    return script.RemoteFile("https://photos.smugmug.com/x", size_bytes, md5)


@pytest.mark.parametrize(
    "status, content_range, expected",
    [
        (206, "bytes 100-299/300", True),
        (206, "bytes 100-299/*", True),
        (206, "bytes 0-299/300", False),
        (206, "bytes 99-299/300", False),
        (206, "bytes 101-299/300", False),
        (206, "bytes 100-299/301", True),
        (206, "bytes */300", False),
        (206, "bytes 100-", False),
        (206, "items 100-299/300", False),
        (206, "", False),
        (206, "bytes 100-299/300, 0-1/300", False),
        (200, "bytes 100-299/300", False),
        (200, "", False),
        (416, "bytes */300", False),
        (416, "bytes */100", True),
        (416, "bytes */*", False),
        (416, "", False),
    ],
)
def test_status_and_range_decide_whether_a_download_resumes(
    status: int, content_range: str, expected: bool
) -> None:
    assert script.resumes(head_of(status, content_range), remote(), part()) is expected


def test_compressed_bodies_never_resume() -> None:
    assert not script.resumes(head_of(206, "bytes 100-299/300", encoded=True), remote(), part())


def test_empty_part_files_never_resume() -> None:
    assert not script.resumes(head_of(206, "bytes 0-299/300"), remote(), part(0))
    assert not script.resumes(head_of(416, "bytes */0"), remote(), part(0))


def test_files_of_unknown_size_resume_if_their_md5_is_known() -> None:
    assert script.resumes(head_of(206, "bytes 100-299/300"), remote(size_bytes=None), part())


@pytest.mark.parametrize(
    "before, now, expected",
    [
        ('"a"', '"a"', True),
        ('"a"', '"b"', False),
        ("", "", False),
        ("", '"a"', False),
        ("", f'"{MD5}"', True),
        ('"a"', f'"{MD5}"', False),
    ],
)
def test_files_without_md5_resume_only_under_the_same_etag_or_one_that_is_an_md5(
    before: str, now: str, expected: bool
) -> None:
    assert (
        script.resumes(
            head_of(206, "bytes 100-299/300", etag=now), remote(md5=None), part(etag=before)
        )
        is expected
    )


def test_files_without_md5_resume_only_with_the_stated_size() -> None:
    head = head_of(206, "bytes 100-299/300", etag='"a"')
    for size_bytes, expected in ((300, True), (None, True), (301, False)):
        described = remote(size_bytes, md5=None)
        assert script.resumes(head, described, part(etag='"a"')) is expected


def test_bodies_without_any_sign_of_their_end_are_not_taken_for_complete(
    tmp_path: Path,
) -> None:
    response: Any = SimpleNamespace(
        status=200, headers={}, has_end=False, length=None, chunks=lambda: iter([b"some"])
    )
    file = script.PartFile(tmp_path / "a.part")
    with pytest.raises(script.Damaged, match="completeness cannot be checked"):
        script.write_body(response, remote(None, None), file, script.Stop(), 100)
    script.write_body(response, remote(None), file, script.Stop(), 100)
    assert file.size_bytes == 4
    file.close()


def test_a_416_does_not_complete_files_without_md5() -> None:
    assert not script.resumes(
        head_of(416, "bytes */100"), remote(size_bytes=100, md5=None), part(etag='"a"')
    )


@pytest.mark.parametrize(
    "stated, fields, expected",
    [
        (7, {"OriginalSize": 0}, (64 << 20) + 14),
        (0, {"OriginalSize": 9}, (64 << 20) + 18),
        (7, {"OriginalSize": 9}, (64 << 20) + 18),
        (0, {"OriginalSize": 0}, 512 << 20),
        (0, {"IsVideo": True}, 4 << 30),
    ],
)
def test_bodies_without_a_length_are_limited_by_the_stated_sizes(
    stated: int, fields: Dict[str, Any], expected: int
) -> None:
    image = parse_image(photo_entry(**fields))
    assert script.most_expected_bytes(remote(size_bytes=stated or None), image) == expected


# =================================================================================================
# Files on disk
# =================================================================================================


@pytest.mark.parametrize(
    "number, free, video, ends",
    [
        (errno.EDQUOT, 1 << 40, False, True),
        (errno.EDQUOT, 1 << 40, True, True),
        (errno.ENOSPC, 1 << 40, False, False),
        (errno.ENOSPC, 0, True, True),
        (errno.ENOSPC, None, False, True),
        (errno.ENOSPC, None, True, False),
        (errno.EIO, 0, False, False),
    ],
)
def test_a_full_disk_ends_the_run_unless_smaller_files_may_fit(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    number: int,
    free: Optional[int],
    video: bool,
    ends: bool,
) -> None:
    monkeypatch.setattr(script, "free_space", lambda folder: free)
    image = parse_image(photo_entry(IsVideo=video))
    job = script.Job(album_of("1|2|3"), image, tmp_path, "a.jpg")
    error = OSError(number, os.strerror(number))
    if ends:
        with pytest.raises(script.DiskFull):
            script.disk_reason(error, job)
    else:
        assert os.strerror(number) in script.disk_reason(error, job)


@pytest.mark.parametrize(
    "names, expected",
    [((), False), (("missing",), False), (("short",), False), (("short", "missing", "fit"), True)],
)
def test_any_of_several_files_may_be_the_image(
    tmp_path: Path, names: Tuple[str, ...], expected: bool
) -> None:
    (tmp_path / "short").write_bytes(b"1")
    (tmp_path / "fit").write_bytes(bytes(1234))
    image = parse_image(photo_entry())
    job = script.Job(album_of("1|2|3"), image, tmp_path, "a.jpg", adoptable=names)
    assert script.looks_adoptable(job) is expected


@pytest.mark.parametrize(
    "fields, recorded, expected",
    [
        ({}, {}, True),
        ({}, {"stated_md5": "cd" * 16}, False),
        ({}, {"stated_md5": ""}, False),
        ({"ArchivedMD5": ""}, {"size_bytes": 1234}, True),
        ({"ArchivedMD5": "", "ArchivedSize": 1235}, {"size_bytes": 1234}, False),
        ({"ArchivedMD5": "", "ArchivedSize": None}, {"size_bytes": 1234}, True),
        ({"ArchivedUri": ""}, {}, True),
        ({"ArchivedUri": "", "Serial": 3}, {"stated_md5": ""}, True),
        ({"ArchivedUri": ""}, {"damaged": True, "stated_md5": ""}, True),
        ({"ArchivedUri": ""}, {"stated_md5": ""}, False),
    ],
)
def test_an_offer_is_known_by_its_md5_and_without_one_by_its_size(
    fields: Dict[str, Any], recorded: Dict[str, Any], expected: bool
) -> None:
    image = parse_image(photo_entry(**fields))
    file = record(md5="ef" * 16, stated_md5=MD5)._replace(**recorded)
    assert script.is_offer_beside(image, file) is expected


def new_file(path: Path, content: bytes) -> script.NewFile:
    """Return a downloaded file that still has its part file's name."""
    file = script.PartFile(path)
    file.write(content)
    return script.NewFile(file, script.Result.DOWNLOADED, is_original=True, is_full=True)


def test_a_file_that_is_edited_during_the_decision_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"before")
    image = parse_image(photo_entry(ArchivedMD5="", ArchivedSize=0, OriginalSize=0))
    known = script.file_record(
        image._replace(serial="1"), path, script.file_md5(path), True, is_written=True
    )
    job = script.Job(album_of("1|2|3"), image, tmp_path, "a.jpg", known)
    decide = script.choose_landing
    decisions = []

    def edit_meanwhile(*arguments: Any) -> Any:
        decisions.append(decide(*arguments))
        if len(decisions) == 1:
            path.write_bytes(b"edited by the user")
        return decisions[-1]

    monkeypatch.setattr(script, "choose_landing", edit_meanwhile)
    new = new_file(tmp_path / ".P1.part", b"new")
    outcome = script.move_into_place(job, new, threading.Lock())
    assert decisions == [script.Landing.REPLACE, script.Landing.BESIDE]
    assert path.read_bytes() == b"edited by the user"
    assert outcome.file is not None
    assert (tmp_path / outcome.file.name).read_bytes() == b"new"


def test_the_file_beside_is_found_by_its_content(tmp_path: Path) -> None:
    image = parse_image(photo_entry())
    new = new_file(tmp_path / ".P1.part", b"new")
    path, first, second = (tmp_path / name for name in ("a.jpg", "a_P1.jpg", "a_P1-2.jpg"))
    for occupied, content in ((path, b"old"), (first, b"wen")):
        occupied.write_bytes(content)
        assert script.file_beside(path, image, new) is None
    second.write_bytes(b"new")
    assert script.file_beside(path, image, new) == second
    new.part.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_in_place_of_a_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(str(tmp_path / "a.jpg"))
    check = script.CheckedFile("A1", record(), tmp_path / "a.jpg")
    hashes: Any = SimpleNamespace(md5=lambda *arguments: pytest.fail("it would never end"))
    checked = script.check_file(check, hashes, script.Stop())
    assert checked.condition is script.Condition.UNREADABLE
    assert checked.reason == "it is not a regular file"


def test_interrupts_stop_verifying_and_copying_within_a_file(
    tmp_path: Path,
) -> None:
    stop = script.Stop()
    stop.set()
    path = tmp_path / "Summer" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"content")
    with pytest.raises(script.Stopped):
        script.check_file(script.CheckedFile("K1", record(), path), script.LinkedHashes(), stop)
    image = parse_image(photo_entry())
    job = script.Job(album_of("1|2|3"), image, path.parent, "b.jpg")
    shelf = script.ContentIndex(tmp_path, lambda text: None)
    assert image.remote is not None
    shelf.add(
        path,
        script.FileRecord(
            image.key,
            image.serial,
            path.name,
            image.remote.size_bytes or 0,
            image.remote.md5 or "",
            1,
            True,
        ),
    )
    with pytest.raises(script.Stopped):
        script.copy_existing(job, shelf, threading.Lock(), stop)
    assert list(path.parent.iterdir()) == [path]
