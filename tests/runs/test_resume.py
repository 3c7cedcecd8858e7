"""Are interrupted downloads resumed only for the same file, and other sources used if needed?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, List, NamedTuple, Sequence

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
    file_content,
)
from helpers import Faults, arm, expected_files, files_on_disk, of_file, part_files

SIZE = 1_000_000
CUT = 700_000


# =================================================================================================
# Resuming in the same run and in the next.
# =================================================================================================


def test_interrupted_downloads_resume_in_the_same_run(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = big_photo(account.album("Big"))
    smugmug.fault("cut", where="cdn", at=CUT)

    result = run()

    assert result.returncode == 0 and files_on_disk(run.output) == {"Big/pano.JPG": photo.data}
    first, second = smugmug.select("cdn")
    assert "range" not in first.headers and 0 < starts_at(second) <= CUT
    assert second.status == 206 and second.bytes_sent == SIZE - starts_at(second)


def test_parts_of_replaced_versions_are_removed_after_the_download(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Big")
    photo = big_photo(album)
    leave_parts(smugmug, run, [photo])
    other = album.photo("other.JPG")
    mine = run.output / "Big" / ".my-notes.part"
    mine.write_text("not of this program")
    photo.replace(Pattern(SIZE, 99, JPEG_MAGIC))
    smugmug.fault("not_found", where=of_file(other))

    assert run().returncode == 1  # the other one is missing, so the album is not done
    assert len(part_files(run)) == 2
    assert run().returncode == 0
    assert part_files(run) == [mine]
    assert files_on_disk(run.output) == {"Big/pano.JPG": photo.data, "Big/other.JPG": other.data}


def test_interrupted_downloads_resume_in_the_next_run(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = big_photo(account.album("Big"))
    leave_parts(smugmug, run, [photo])
    (part,) = part_files(run)
    size_bytes = part.stat().st_size

    result = run()

    assert result.returncode == 0 and files_on_disk(run.output) == {"Big/pano.JPG": photo.data}
    (request,) = smugmug.select("cdn")
    assert 0 < size_bytes == starts_at(request) and request.bytes_sent == SIZE - size_bytes
    assert not part_files(run)


def test_html_in_place_of_the_rest_keeps_the_part_file(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = big_photo(account.album("Big"))
    for name in ("cut", "html_200", "json_200"):
        smugmug.fault(name, where="cdn", **({"at": CUT} if name == "cut" else {}))

    result = run()

    assert result.returncode == 0 and files_on_disk(run.output) == {"Big/pano.JPG": photo.data}
    assert 0 < starts_at(smugmug.select("cdn")[-1]) <= CUT


def test_parts_of_another_version_are_not_resumed(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Big")
    replaced, kept, other_bytes = (
        big_photo(album, name) for name in ("replaced.JPG", "kept.JPG", "other.JPG")
    )
    leave_parts(smugmug, run, album.images)
    replaced.replace(Pattern(SIZE, account.new_seed(), JPEG_MAGIC))
    # the same serial with another MD5
    other_bytes.content = Pattern(SIZE, account.new_seed(), JPEG_MAGIC)

    result = run()

    assert result.returncode == 0 and files_on_disk(run.output) == expected_files(album)
    assert [
        starts_at(request_for(smugmug, image)) > 0 for image in (replaced, kept, other_bytes)
    ] == [False, True, False]


# =================================================================================================
# Part files of earlier runs: the status decides, then the MD5.
# =================================================================================================


class Part(NamedTuple):
    """A part file before the next run, the responses of that run, and the start of each request.

    "part" is a request for the bytes after the part, "zero" one for the whole file.
    """

    name: str
    tamper: str
    faults: Faults
    asks: Sequence[str]
    kind: str = "photo"
    comes_home: bool = True


# of the bytes before the cut, what is written for certain: bodies are written in pieces of half of
# that
KEPT = 524_288
ANOTHER_LENGTH = {
    "status": 206,
    "headers": {"Content-Range": f"bytes {KEPT}-{KEPT + 99}/2000000"},
    "body": b"x" * 100,
}

ANOTHER_ETAG = {
    "status": 206,
    "headers": {
        "Content-Type": "video/mp4",
        "ETag": '"another"',
        "Content-Range": f"bytes {KEPT}-{KEPT + 99}/{SIZE}",
    },
    "body": b"x" * 100,
}

PARTS = (
    Part("206", "", [], ["part"]),
    Part("200", "", [("range_ignored", {})], ["part"]),
    Part("416", "", [("not_satisfiable", {})], ["part", "zero"]),
    Part("416 without a length", "", [("respond", {"status": 416})], ["part", "zero"]),
    Part("206 from elsewhere", "", [("wrong_range", {})], ["part", "zero"]),
    Part("206 from beyond", "", [("wrong_range", {"shift": -1})], ["part", "zero"]),
    Part(
        "206 from nowhere",
        "",
        [("respond", {"status": 206, "body": b"x" * 100})],
        ["part", "zero"],
    ),
    Part("206 of another length", "", [("respond", ANOTHER_LENGTH)], ["part", "zero"]),
    Part(
        "416 and corrupt", "", [("not_satisfiable", {}), ("corrupt", {})], ["part", "zero", "zero"]
    ),
    Part(
        "206 from elsewhere and corrupt",
        "",
        [("wrong_range", {}), ("corrupt", {})],
        ["part", "zero", "zero"],
    ),
    Part(
        "206 of another length and corrupt",
        "",
        [("respond", ANOTHER_LENGTH), ("corrupt", {})],
        ["part", "zero", "zero"],
    ),
    Part("wrong bytes", "flip", [], ["part", "zero"]),
    Part(
        "wrong bytes twice",
        "flip",
        [("respond", {"status": 503}), ("respond", {"status": 503}), ("corrupt", {})],
        ["part", "part", "part", "zero"],
    ),
    Part("complete", "complete", [], []),
    Part("complete and wrong", "complete flip", [], ["zero"]),
    Part("complete and wrong and corrupt", "complete flip", [("corrupt", {})], ["zero", "zero"]),
    Part("too long", "complete lengthen", [], ["part", "zero"]),
    Part("empty", "empty", [], ["zero"]),
    Part("complete of unknown size", "complete", [], [], kind="video without size"),
    Part(
        "complete and wrong of unknown size",
        "complete flip",
        [],
        ["part", "zero"],
        kind="video without size",
    ),
    Part("of unknown size", "", [], ["part"], kind="video without size"),
    Part("of unknown MD5", "", [], ["part"], kind="video without MD5"),
    Part("wrong bytes of unknown MD5", "flip", [], ["part", "zero"], kind="video without MD5"),
    Part("complete of unknown MD5", "complete", [], ["zero"], kind="video without MD5"),
    Part(
        "of unknown MD5 and another ETag",
        "",
        [("respond", ANOTHER_ETAG)],
        ["part", "zero"],
        kind="video without MD5",
    ),
    Part("a folder", "folder", [], [], comes_home=False),
)


def test_the_response_decides_on_resuming_and_the_md5_on_the_result(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Parts")
    images = {row.name: big_image(album, row) for row in PARTS}
    leave_parts(smugmug, run, album.images)
    lengths = {}
    for row in PARTS:
        lengths[row.name] = tamper(part_of(run, images[row.name]), row.tamper, images[row.name])
        arm(smugmug, row.faults, of_file(images[row.name]))

    result = run("-j", 32)

    asked = {
        row.name: [
            asks(record, lengths[row.name])
            for record in smugmug.select("cdn", of_file(images[row.name]))
        ]
        for row in PARTS
    }
    assert asked == {row.name: list(row.asks) for row in PARTS}
    lost = [row.name for row in PARTS if not row.comes_home]
    assert files_on_disk(run.output) == {
        path: data for path, data in expected_files(album).items() if Path(path).stem not in lost
    }
    assert result.returncode == 1 and all(f"Parts/{name}." in result.stderr for name in lost)
    # only the folder that is not the program's
    assert [path.is_dir() for path in part_files(run)] == [True]


ANOTHER_VIDEO = {
    "status": 206,
    "body": b"x" * (SIZE - KEPT),
    "headers": {
        "Content-Type": "video/mp4",
        "ETag": '"another"',
        "Content-Range": f"bytes {KEPT}-{SIZE - 1}/{SIZE}",
    },
}


@pytest.mark.parametrize(
    "faults, asked",
    [
        ([], ["zero", "part"]),
        ([("respond", ANOTHER_VIDEO)], ["zero", "part", "zero"]),
        ([("wrong_range", {})], ["zero", "part", "zero"]),
    ],
    ids=["the same", "another", "the same from elsewhere"],
)
def test_videos_without_md5_resume_only_the_same_file(
    account: Account, smugmug: FakeSmugMug, run: Run, faults: Faults, asked: List[str]
) -> None:
    video = account.album("Big").video(
        "clip.MOV", Pattern(SIZE, 1, MP4_MAGIC), size_listed=False, md5_listed=False
    )
    smugmug.fault("cut", where="cdn", at=KEPT)
    arm(smugmug, faults, "cdn")

    result = run()

    assert result.returncode == 0 and files_on_disk(run.output) == {"Big/clip.mp4": video.data}
    assert [asks(record, KEPT) for record in smugmug.select("cdn")] == asked


# =================================================================================================
# Photos listed without an original.
# =================================================================================================


def test_photos_without_archived_uri_use_the_next_best_source(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    archived = album.photo("archived.JPG")
    download = album.photo("download.JPG", archived=False)
    original = album.photo("original.JPG", archived=False, download_uri=False)
    largest = album.photo(
        "largest.JPG", archived=False, download_uri=False, original_size_listed=False
    )
    nothing = album.photo("nothing.JPG", archived=False)
    smugmug.fault("not_found", where=f"/image/{nothing.key}-0!", times=None)

    result = run()

    smaller = file_content(largest, "XL")
    assert smaller is not None
    assert files_on_disk(run.output) == {
        "Summer/archived.JPG": archived.data,
        "Summer/download.JPG": download.data,
        "Summer/original.JPG": original.data,
        "Summer/largest.JPG": bytes_of(smaller),
    }
    # the last one checks whether the file still exists
    assert [
        calls_for(smugmug, image) for image in (archived, download, original, largest, nothing)
    ] == [
        [],
        ["download"],
        ["download", "sizedetails"],
        ["download", "sizedetails", "largestimage"],
        ["download", "sizedetails", "largestimage", f"/api/v2/image/{nothing.key}-0"],
    ]
    assert named(result.stderr, "Not the original") == ["Summer/largest.JPG"]
    assert named(result.stderr, "Unavailable") == ["Summer/nothing.JPG"]
    assert result.returncode == 0

    smugmug.clear_requests()
    assert run().returncode == 0
    assert smugmug.count("cdn") == 0 and not calls_for(smugmug, download) + calls_for(
        smugmug, largest
    )


def test_downloads_of_another_size_are_not_the_original(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photo, other = (
        album.photo("small.JPG", archived=False),
        album.photo("right.JPG", archived=False),
    )

    def larger(answer: Any) -> Any:
        for image in answer["Response"]["AlbumImage"]:
            image["OriginalSize"] += image["ImageKey"] == photo.key
        return answer

    smugmug.fault("mangle", where=f"{album.key}!images", function=larger)

    result = run()

    assert files_on_disk(run.output) == {
        "Summer/small.JPG": photo.data,
        "Summer/right.JPG": other.data,
    }
    assert named(result.stderr, "Not the original") == ["Summer/small.JPG"]


def test_photos_whose_other_sources_fail_are_failures(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photo, sound = (
        album.photo("photo.JPG", archived=False),
        album.photo("sound.JPG", archived=False),
    )
    smugmug.fault(
        "redirect", where=f"/image/{photo.key}-0!", times=None, to="https://evil.example/"
    )

    result = run()

    assert files_on_disk(run.output) == {"Summer/sound.JPG": sound.data}
    assert named(result.stderr, "Failed") == ["Summer/photo.JPG"] and result.returncode == 1
    assert smugmug.count("abroad") == 0


# =================================================================================================
# Files that are processing or unavailable.
# =================================================================================================


def test_processing_and_unavailable_files_are_named_without_failure(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album, locked = account.album("Summer"), account.album("Secret", locked=True)
    locked.photo()
    sound = album.photo("sound.JPG")
    for name, fields in (
        ("processing.MOV", {"processing": True, "uploaded": account.time_of_day()}),
        (
            "hopeless.MOV",
            {"processing": True, "status": "Preprocess", "sub_status": "CanNotProcess"},
        ),
        ("hidden.MOV", {"playable": False}),
    ):
        album.video(name, **fields)
    album.photo("processing.JPG", processing=True, uploaded=account.time_of_day())
    # processing since 2024, and available nevertheless
    long_ago = album.video("stuck.MOV", processing=True, playable=True)

    result = run()

    assert files_on_disk(run.output) == {
        "Summer/sound.JPG": sound.data,
        "Summer/stuck.mp4": long_ago.data,
    }
    assert named(result.stderr, "Still processing") == [
        "Summer/processing.JPG",
        "Summer/processing.MOV",
    ]
    assert named(result.stderr, "Unavailable") == ["Summer/hidden.MOV", "Summer/hopeless.MOV"]
    assert named(result.stderr, "Locked") == ["Secret"]
    assert result.returncode == 0 and "Failed" not in result.stderr
    assert all(record.path.count(long_ago.key) for record in smugmug.select("cdn", "mp4"))


def test_processed_files_are_downloaded_once_ready(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    fresh: Any = {"processing": True, "uploaded": account.time_of_day()}
    photo, video = album.photo("a.JPG", **fresh), album.video("b.MOV", **fresh)
    assert run().returncode == 0 and files_on_disk(run.output) == {}

    photo.processing = video.processing = False  # no date moves with that

    assert run().returncode == 0
    assert files_on_disk(run.output) == {"Summer/a.JPG": photo.data, "Summer/b.mp4": video.data}
    assert smugmug.count("cdn") == 2


@pytest.mark.parametrize("md5_listed", [True, False], ids=["md5", "no md5"])
@pytest.mark.parametrize("size_listed", [True, False], ids=["size", "no size"])
def test_videos_get_the_extension_of_their_file(
    account: Account, smugmug: FakeSmugMug, run: Run, size_listed: bool, md5_listed: bool
) -> None:
    video = account.album("Summer").video(
        "clip.MOV", size_listed=size_listed, md5_listed=md5_listed
    )

    result = run()

    assert result.returncode == 0 and files_on_disk(run.output) == {"Summer/clip.mp4": video.data}
    assert smugmug.count("cdn") == 1 and not calls_for(smugmug, video)

    assert run().returncode == 0
    assert smugmug.count("cdn") == 1


# =================================================================================================
# Helpers.
# =================================================================================================


def big_photo(album: Album, name: str = "pano.JPG") -> Photo:
    """Add a photo that is worth resuming."""
    return album.photo(name, Pattern(SIZE, album.account.new_seed(), JPEG_MAGIC))


def big_image(album: Album, row: Part) -> Image:
    """Add the photo or video of a row."""
    if row.kind == "photo":
        return big_photo(album, f"{row.name}.JPG")
    return album.video(
        f"{row.name}.MOV",
        Pattern(SIZE, album.account.new_seed(), MP4_MAGIC),
        size_listed=row.kind != "video without size",
        md5_listed=row.kind != "video without MD5",
    )


def leave_parts(smugmug: FakeSmugMug, run: Run, images: Sequence[Image]) -> None:
    """Run once, leaving a part file of each image; forget the requests."""
    for image in images:
        smugmug.fault("cut", where=of_file(image), at=CUT)
        smugmug.fault("not_found", where=of_file(image))
    assert run("-j", 32).returncode == 1
    assert files_on_disk(run.output) == {} and len(part_files(run)) == len(images)
    smugmug.clear_faults()
    smugmug.clear_requests()


def tamper(part: Path, how: str, image: Image) -> int:
    """Change a part file and return its new length."""
    if "empty" in how:
        part.write_bytes(b"")
    if "complete" in how:
        part.write_bytes(image.data)
    if "flip" in how:
        data = bytearray(part.read_bytes())
        data[1000] ^= 0xFF
        part.write_bytes(bytes(data))
    if "lengthen" in how:
        part.write_bytes(part.read_bytes() + b"more")
    if "folder" in how:
        part.unlink()
        part.mkdir()
        return 0
    return part.stat().st_size


def asks(record: Any, part_bytes: int) -> str:
    """Return where requests start: "zero", "part" after a part file, "more" beyond it."""
    start = starts_at(record)
    return (
        "zero"
        if start == 0
        else "part"
        if start == part_bytes
        else "more"
        if start > part_bytes
        else "less"
    )


def starts_at(record: Any) -> int:
    """Return the first byte that a request asks for."""
    match = re.fullmatch(r"bytes=(\d+)-", record.headers.get("range", "bytes=0-"))
    assert match, record.headers["range"]
    return int(match.group(1))


def request_for(smugmug: FakeSmugMug, image: Image) -> Any:
    """Return the only request for an image's file."""
    (record,) = smugmug.select("cdn", of_file(image))
    return record


def calls_for(smugmug: FakeSmugMug, image: Image) -> List[str]:
    """Return the API requests for one image alone, by action."""
    return [
        record.path.rpartition("!")[2] for record in smugmug.select("api", f"/image/{image.key}")
    ]


def part_of(run: Run, image: Image) -> Path:
    """Return the part file of an image."""
    (part,) = run.output.rglob(f".{image.key}-*.part")
    return part


def named(text: str, heading: str) -> List[str]:
    """Return the names below a heading of the summary, sorted."""
    block = re.search(rf"^{heading} \(\d+\):\n((?:  .*\n)+)", text + "\n", re.MULTILINE)
    lines = block.group(1).splitlines() if block else []
    return sorted(
        name
        for match in (re.match(r"  ([^:]+): ", line) for line in lines)
        if match
        for name in match.group(1).split(", ")
    )


def test_downloads_that_progress_may_be_interrupted_any_number_of_times(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Big").photo("pano.JPG", Pattern(10_000_000, 1, JPEG_MAGIC))
    fault = smugmug.fault("cut", where="cdn", times=6, at=1_500_000)

    result = run()

    assert result.returncode == 0 and fault.hits == 6
    assert files_on_disk(run.output) == {"Big/pano.JPG": photo.data}
