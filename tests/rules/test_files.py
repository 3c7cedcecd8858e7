"""Do functions for files answer False, find free space, and name their temporary files?"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple, Tuple

import pytest

import download_smugmug_photos as script
from helpers import image_of


class Usage(NamedTuple):
    """What a file system says of its size."""

    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EIO, "Input/output error"),
        UnicodeEncodeError("ascii", "\u00dc", 0, 1, "ordinal not in range(128)"),
    ],
    ids=["no permission", "bad sector", "narrow locale"],
)
def test_a_path_that_cannot_be_looked_at_passes_no_test(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def fail(path: str) -> Any:
        raise error

    assert not script.passes(fail, tmp_path)
    monkeypatch.setattr(os, "lstat", fail)
    assert not script.is_missing(tmp_path / "a.JPG")


def test_only_certainly_absent_files_are_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert script.is_missing(tmp_path / "nothing")
    assert script.is_missing(tmp_path / "file" / "inside")
    assert not script.is_missing(tmp_path / "file")


@pytest.mark.parametrize("total, expected", [(0, None), (10**9, 5)])
def test_a_disk_without_a_size_has_unknown_free_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, total: int, expected: Any
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(total, 0, 5 if total else 0))
    assert script.free_space(tmp_path / "not there yet") == expected


@pytest.mark.parametrize("name", ["a.JPG.xmp", "x" * 200 + ".xmp", "\u00dc" * 100 + ".json"])
def test_a_temporary_file_belongs_to_one_name_and_leaves_those_of_others_alone(
    tmp_path: Path, name: str
) -> None:
    theirs = tmp_path / f".{name[:40]}.part"
    theirs.write_bytes(b"theirs")
    path = tmp_path / name
    script.write_atomically(path, b"content")
    assert path.read_bytes() == b"content" and theirs.read_bytes() == b"theirs"
    assert script.part_beside(path) != script.part_beside(path.with_name(name + "2"))
    assert len(script.part_beside(path).name.encode()) < 143


@pytest.mark.parametrize(
    "serial, md5", [(0, ""), (12, "0" * 32), (None, "f" * 32)], ids=["serial", "both", "MD5"]
)
def test_a_part_file_names_its_image(serial: Any, md5: str) -> None:
    image = image_of(ImageKey="Key1", Serial=serial)
    assert script.part_key(script.part_name(image, md5)) == "Key1"


@pytest.mark.parametrize(
    "name", [".backup-01.part", ".notes.part", "Key1-1.part", ".Key1-1.partial", ".Key 1-1.part"]
)
def test_other_names_are_not_those_of_part_files(name: str) -> None:
    assert script.part_key(name) == ""


# =================================================================================================
# Whole files
# =================================================================================================

FTYP = b"\x00\x00\x00\x0cftypmp42"


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"\xff\xd8\xff\xe0 a photo \xff\xd9", True),
        (b"\xff\xd8\xff\xe0 a photo \xff", False),
        (b"\xff\xd8\xff\xe0 a photo \xff\xd9\x00\x00", False),
        (b"\x89PNG\r\n a picture IEND\xae\x42\x60\x82", True),
        (b"\x89PNG\r\n a picture IEND\xae\x42\x60", False),
        (b"GIF89a a picture \x00;", True),
        (b"GIF89a a picture", False),
        (FTYP, True),
        (FTYP + b"\x00\x00\x00\x0amdatab", True),
        (FTYP + b"\x00\x00\x00\x0amdata", False),
        (FTYP + b"\x00\x00\x00\x01mdat\x00\x00\x00\x00\x00\x00\x00\x12ab", True),
        (FTYP + b"\x00\x00\x00\x01mdat\x00\x00\x00\x00\x00\x00\x00\x12a", False),
        (FTYP + b"\x00\x00\x00\x00mdat to the end", False),
        (FTYP + bytes(100), False),
        (FTYP + b"\x00\x00", False),
        (b"", False),
        (bytes(100), False),
        (b"notes", False),
    ],
)
def test_files_are_whole_if_they_end_as_their_type_should(
    tmp_path: Path, content: bytes, expected: bool
) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    assert script.is_whole(tmp_path / "a.jpg") is expected


def test_files_that_cannot_be_read_are_not_whole(tmp_path: Path) -> None:
    assert not script.is_whole(tmp_path)
    assert not script.is_whole(tmp_path / "missing")


# =================================================================================================
# Folders of albums
# =================================================================================================


@pytest.mark.parametrize(
    "others, expected", [(("Summer",), "summer"), (("Summer", "summer"), "Summer")]
)
def test_a_folder_whose_case_differs_is_used_unless_it_is_another_albums(
    tmp_path: Path, others: Tuple[str, ...], expected: str
) -> None:
    (tmp_path / "summer").mkdir()
    if (tmp_path / "Summer").exists():
        pytest.skip("this disk ignores case, so both are one folder")
    assert script.album_path(tmp_path, "Summer", others, {}) == tmp_path / expected


def test_an_existing_album_folder_is_not_searched_for_among_the_others(tmp_path: Path) -> None:
    class Others:
        def __iter__(self) -> Any:
            raise AssertionError("this takes quadratic time in a large account")

    (tmp_path / "Summer").mkdir()
    others: Any = Others()
    assert script.album_path(tmp_path, "Summer", others, {}) == tmp_path / "Summer"
    assert script.album_path(tmp_path, "Winter", others, {}) == tmp_path / "Winter"
