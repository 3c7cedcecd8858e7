"""Helpers of several test files: expected files, runs and their cost, faults, the sign-in."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import (
    Any,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import pytest

import download_smugmug_photos as script
from conftest import SCRIPT, Process, Result, Run
from fake_smugmug import JPEG_MAGIC, JSON, Account, Album, FakeSmugMug, Image, Pattern, Photo

README = SCRIPT.with_name("README.md").read_text(encoding="utf-8")


def readme_section(heading: str) -> str:
    """Return README's section under a heading, or nothing."""
    return (README + "\n## ").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


# =================================================================================================
# Images and their files on disk.
# =================================================================================================


MD5 = "ab" * 16  # of photo_entry() and record()


def image_of(**fields: Any) -> script.Image:
    """Parse an image with these fields of a listing."""
    return parse_image({"ImageKey": "abc", "Serial": 0, **fields})


def parse_image(entry: Any, expansions: Any = None) -> script.Image:
    """Parse an image as the script does, from a listing's entry and its expansions."""
    return script.parse_image(script.Entry(entry), script.Entry(expansions))


def parse_album(entry: Any) -> script.Album:
    """Parse an album as the script does, from a listing's entry."""
    return script.parse_album(script.Entry(entry))


def expected_files(*albums: Album) -> Dict[str, bytes]:
    """Return the files of albums as expected on disk; the first of equal names keeps it."""
    files: Dict[str, bytes] = {}
    for album in albums:
        for image in album.images:
            path = f"{album.name}/{image.file_name.replace('.MOV', '.mp4')}"
            files[f"{album.name}/{key_name(image)}" if path in files else path] = image.data
    return files


def key_name(image: Image) -> str:
    """Return the name that an image gets if its own is taken."""
    stem, extension = os.path.splitext(image.file_name)
    return f"{stem}_{image.key}{extension}"


def files_on_disk(folder: Path) -> Dict[str, bytes]:
    """Return the regular files below a folder by relative path, hidden ones left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if (
            path.is_file()
            and not path.is_symlink()
            and not any(part.startswith(".") for part in relative.parts)
        ):
            found[relative.as_posix()] = path.read_bytes()
    return found


def part_files(run: Run) -> List[Path]:
    """Return the part files of interrupted downloads."""
    return sorted(run.output.rglob("*.part"))


def snapshot(folder: Path) -> Dict[str, Tuple[int, int, bytes]]:
    """Return a folder and everything below it, hidden or not: modes, timestamps, contents."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [folder, *folder.rglob("*")]
    }


def edit(path: Path, keep_size: bool = True, keep_time: bool = False) -> bytes:
    """Change a file as a user would and return its new content.

    With `keep_time` it changes as on a failing disk.
    """
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content) + (b"" if keep_size else b"edited"))
    modified_ns = status.st_mtime_ns if keep_time else status.st_mtime_ns + 10**10
    os.utime(str(path), ns=(status.st_atime_ns, modified_ns))
    return path.read_bytes()


def album_of(clocks: str) -> Any:
    """Make an album with this change token."""
    return parse_album({"AlbumKey": "K1"})._replace(change_token=clocks)


def record(
    name: str = "a.jpg", size_bytes: int = 7, md5: str = MD5, serial: str = "2", **more: Any
) -> Any:
    """Make the record of a file."""
    return script.FileRecord(
        image_key="P1",
        serial=serial,
        name=name,
        size_bytes=size_bytes,
        md5=md5,
        modified_ns=1,
        is_original=True,
        **more,
    )


def photo_entry(**changes: Any) -> Dict[str, Any]:
    """Return a photo as album!images lists it."""
    return {
        "ImageKey": "P1",
        "Serial": 2,
        "FileName": "IMG_1.JPG",
        "IsVideo": False,
        "Processing": False,
        "Status": "Open",
        "SubStatus": "NFS",
        "ArchivedUri": "https://photos.smugmug.com/x-D.jpg",
        "ArchivedSize": 1234,
        "ArchivedMD5": "AB" * 16,
        "OriginalSize": 1234,
        "DateTimeUploaded": "2024-01-01T00:00:00+00:00",
        **changes,
    }


# =================================================================================================
# Runs and their cost.
# =================================================================================================

RECORD = ".smugmug.sqlite3"
# The cost of a run over up to a hundred unchanged albums: the user, and one page of albums.
NOTHING_NEW = (2, 0)
UNREACHABLE = "has been unreachable since"  # the message about a host
SECONDS_TO_STOP = 150  # workers get two seconds; the rest is for slow machines


class Sync(NamedTuple):
    """A run: its API calls, its downloads, and its output."""

    calls: int
    downloads: int
    stdout: str
    stderr: str

    @property
    def cost(self) -> Tuple[int, int]:
        """Number of API calls and of downloads."""
        return self.calls, self.downloads


def sync(
    run: Run, *args: Any, exit_code: int = 0, env: Optional[Mapping[str, Optional[str]]] = None
) -> Sync:
    """Run the script to the expected exit code and count its requests."""
    run.smugmug.clear_requests()
    result = run(*args, env=env)
    assert result.returncode == exit_code, result.stderr
    return Sync(run.smugmug.count("api"), run.smugmug.count("cdn"), result.stdout, result.stderr)


def run_unchanged(run: Run, *args: str, exit_code: int = 0) -> Sync:
    """Run the script; it must download nothing and not change the output folder."""
    before = snapshot(run.output)
    result = sync(run, *args, exit_code=exit_code)
    assert snapshot(run.output) == before
    assert result.downloads == 0
    return result


def stop(process: Process, number: int) -> str:
    """Send a signal and return the rest of standard error; the process must end soon."""
    process.send_signal(number)
    try:
        _, stderr = process.communicate(timeout=SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        pytest.fail(f"still running {SECONDS_TO_STOP} s after signal {number}")
    assert "Traceback" not in stderr, stderr
    return stderr


# =================================================================================================
# Faults of the computer.
# =================================================================================================


def broken_python(folder: Path, code: str) -> Dict[str, Optional[str]]:
    """Return variables that run `code` at the start of Python, for faults inside the program."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(textwrap.dedent(code), encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


def drop_root_rights() -> None:
    """Make file modes apply to root as to everyone; for `preexec_fn`."""
    if sys.platform.startswith("linux") and os.geteuid() == 0:
        library = ctypes.CDLL(None)
        # Take CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH from the bounding set of the next program.
        for capability in (1, 2):
            library.prctl(24, capability, 0, 0, 0)


def run_without_rights(run: Run, *args: Any) -> Result:
    """Run the script with file modes that apply, even if root runs the tests."""
    process = run.start(*args, preexec_fn=drop_root_rights)
    stdout, stderr = process.communicate(timeout=300)
    assert "Traceback" not in stderr, stderr
    return Result(process.wait(), stdout, stderr)


# =================================================================================================
# Faults of SmugMug.
# =================================================================================================

# Each fault is a name with its options. Armed as a chain, they apply one after the other.
Faults = Sequence[Tuple[str, Dict[str, Any]]]


def arm(smugmug: FakeSmugMug, faults: Faults, where: str, times: Optional[int] = 1) -> None:
    """Arm these faults for the requests at `where`, one after the other."""
    for name, options in faults:
        smugmug.fault(name, where=where, times=times, **options)


def of_file(image: Image) -> str:
    """Return the pattern of requests for an image's file."""
    return f"photos.smugmug.com .*/i-{image.key}/"


def of_list(album: Album) -> str:
    """Return the pattern of requests for an album's images."""
    return f"/api/v2/album/{album.key}!images"


def hide_image_counts(smugmug: FakeSmugMug) -> None:
    """Remove ImageCount from the list of albums, so that only a first page tells it."""

    def mangled(answer: Dict[str, Any]) -> Dict[str, Any]:
        for album in answer["Response"]["Album"]:
            del album["ImageCount"]
        return answer

    smugmug.fault("mangle", "!albums", times=None, function=mangled)


# =================================================================================================
# The sign-in.
# =================================================================================================

AUTHORIZE = "https://api.smugmug.com/services/oauth/1.0a/authorize?"


def authorize_urls(stderr: str) -> List[str]:
    """Return the addresses to open, each on a line of its own."""
    return [line for line in stderr.splitlines() if line.startswith(AUTHORIZE)]


def token_file(run: Run) -> Path:
    """Return the path of the saved sign-in."""
    return run.config / "download_smugmug_photos" / "token.json"


def good_token(smugmug: FakeSmugMug, **changes: str) -> Dict[str, str]:
    """Return the content of a valid token file."""
    return {
        "api_key": smugmug.api_key,
        "access_token": smugmug.access_token,
        "access_token_secret": smugmug.access_token_secret,
        **changes,
    }


# =================================================================================================
# What several files of tests use.
# =================================================================================================

posix_only = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows knows no such links, modes and signals"
)
SHORT = 0.02  # minutes, for --max-outage
GIVEN_UP = "was unreachable for 0.02 minutes ("
OUT_OF_REACH = "has been unreachable since"
A_FEW_LOOKS = 5  # failed connections: as many as one file is tried, two of them probes
SIZE = 600_000  # more than two pieces of a body
CUT = 400_000  # where a body of that size is cut
# The answer of a hotel's sign-in page to any request.
PAGE: Dict[str, Any] = {
    "headers": {"Content-Type": "text/html"},
    "body": b"<html>Who are you?</html>",
}


def one_photo_on_disk(account: Account, run: Run, name: str = "a.JPG") -> Photo:
    """Download an account of one photo."""
    photo = account.album("Summer").photo(name)
    sync(run)
    return photo


def album_with(account: Account, *names: str) -> Album:
    """Add an album of photos and videos with these names."""
    album = account.album("Summer")
    for name in names:
        (album.video if name.endswith("mp4") else album.photo)(name)
    return album


def fill(album: Album, count: int) -> List[Image]:
    """Add small photos to an album."""
    return [album.photo(f"IMG_{number:03}.JPG") for number in range(count)]


def big_photo(album: Album, name: str) -> Image:
    """Add a photo larger than two pieces of a body."""
    return album.photo(name, Pattern(SIZE, album.account.new_seed(), JPEG_MAGIC))


def serve_from(host: str, keys: List[str]) -> Any:
    """Return a function for the fault `mangle` that moves photos to another host."""

    def move(answer: JSON) -> JSON:
        for item in answer["Response"]["AlbumImage"]:
            if item["ImageKey"] in keys:
                item["ArchivedUri"] = item["ArchivedUri"].replace("photos.smugmug.com", host)
        return answer

    return move
