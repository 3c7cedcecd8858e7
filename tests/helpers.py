"""What several test files share: what should be at home and what is, runs and what they cost, faults, the sign-in."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import pytest

import download_smugmug_photos as script
from conftest import SCRIPT, Process, Result, Run
from fake_smugmug import Album, FakeSmugMug, Image

README = SCRIPT.with_name("README.md").read_text(encoding="utf-8")


def readme_section(heading: str) -> str:
    """What README says under a heading; nothing where it has none."""
    return (README + "\n## ").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


# ======================================================================================================================
# Images, and their files on the disk.
# ======================================================================================================================


def image_of(**fields: Any) -> script.Image:
    """An image, of fields as a listing has them."""
    return parse_image({"ImageKey": "abc", "Serial": 0, **fields})


def parse_image(entry: Any, expansions: Any = None) -> script.Image:
    """What the script makes of an image in a listing, and of the expansions that came with it."""
    return script.parse_image(script.Entry(entry), script.Entry(expansions))


def parse_album(entry: Any) -> script.Album:
    """What the script makes of an album in a listing."""
    return script.parse_album(script.Entry(entry))


def contents(*albums: Album) -> Dict[str, bytes]:
    """What albums of harmless names should look like at home; of images with the same name the first keeps it."""
    files: Dict[str, bytes] = {}
    for album in albums:
        for image in album.images:
            path = f"{album.name}/{image.file_name.replace('.MOV', '.mp4')}"
            files[f"{album.name}/{key_name(image)}" if path in files else path] = image.data
    return files


def key_name(image: Image) -> str:
    """The name that an image gets where the one it would like to have is taken."""
    stem, extension = os.path.splitext(image.file_name)
    return f"{stem}_{image.key}{extension}"


def home_files(folder: Path) -> Dict[str, bytes]:
    """What came home: the regular files below a folder by their relative paths, without those that begin with a dot."""
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
    """What is left of cut transfers."""
    return sorted(run.output.rglob("*.part"))


def snapshot(folder: Path) -> Dict[str, Tuple[int, int, bytes]]:
    """A folder and everything below it, hidden or not: modes, time stamps, contents."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [folder, *folder.rglob("*")]
    }


def edit(path: Path, keep_size: bool = True, keep_time: bool = False) -> bytes:
    """Change a file as its owner would, or (with its time stamp kept) as a failing disk would; the new content."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content) + (b"" if keep_size else b"edited"))
    modified_ns = status.st_mtime_ns if keep_time else status.st_mtime_ns + 10**10
    os.utime(str(path), ns=(status.st_atime_ns, modified_ns))
    return path.read_bytes()


# ======================================================================================================================
# Runs, and what they cost.
# ======================================================================================================================

STATE = ".smugmug.sqlite3"
NOTHING_NEW = (
    2,
    0,
)  # the cost where up to a hundred albums are home: who is signed in, and one page of albums
SECONDS_TO_STOP = 30  # the workers get two; the rest is for a slow machine


class Sync(NamedTuple):
    """A run: how many calls of the API and how many files it asked for, and what it said."""

    calls: int
    fetched: int
    stdout: str
    stderr: str

    @property
    def cost(self) -> Tuple[int, int]:
        """The API calls and the files fetched."""
        return self.calls, self.fetched


def sync(
    run: Run, *args: Any, exit_code: int = 0, env: Optional[Mapping[str, Optional[str]]] = None
) -> Sync:
    """Run the script, which has to end with an exit code, and count what it asked for."""
    run.smugmug.clear_requests()
    result = run(*args, env=env)
    assert result.returncode == exit_code, result.stderr
    return Sync(run.smugmug.count("api"), run.smugmug.count("cdn"), result.stdout, result.stderr)


def harmless(run: Run, *args: str, exit_code: int = 0) -> Sync:
    """A run that must fetch nothing and write not a byte into the output folder."""
    before = snapshot(run.output)
    result = sync(run, *args, exit_code=exit_code)
    assert snapshot(run.output) == before
    assert result.fetched == 0
    return result


def stop(process: Process, number: int) -> str:
    """Send a signal: what the process said on standard error until its end, which has to come soon."""
    process.send_signal(number)
    try:
        _, stderr = process.communicate(timeout=SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        pytest.fail(f"still running {SECONDS_TO_STOP} s after signal {number}")
    assert "Traceback" not in stderr, stderr
    return stderr


# ======================================================================================================================
# A computer with a fault of its own.
# ======================================================================================================================


def broken_python(folder: Path, code: str) -> Dict[str, Optional[str]]:
    """The variables of a run whose Python executes this code first: so breaks what no test can break from outside."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(textwrap.dedent(code), encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


def without_rights() -> None:
    """For `preexec_fn`: let the modes of files hold for root as for anybody."""
    if sys.platform.startswith("linux") and os.geteuid() == 0:
        library = ctypes.CDLL(None)
        for capability in (
            1,
            2,
        ):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, taken out of what the next program gets
            library.prctl(24, capability, 0, 0, 0)


def run_without_rights(run: Run, *args: Any) -> Result:
    """A run for which the modes of files hold, whoever starts it."""
    process = run.start(*args, preexec_fn=without_rights)
    stdout, stderr = process.communicate(timeout=300)
    assert "Traceback" not in stderr, stderr
    return Result(process.wait(), stdout, stderr)


# ======================================================================================================================
# Faults, and the requests they are for.
# ======================================================================================================================

# A fault is a name with its options; a chain of faults meets the requests for one file (or list) one after the other.
Faults = Sequence[Tuple[str, Dict[str, Any]]]


def arm(smugmug: FakeSmugMug, faults: Faults, where: str, times: Optional[int] = 1) -> None:
    """Let these faults meet the requests at `where`, one after the other."""
    for name, options in faults:
        smugmug.fault(name, where=where, times=times, **options)


def of_file(image: Image) -> str:
    """The requests for an image's file."""
    return f"photos.smugmug.com .*/i-{image.key}/"


def of_list(album: Album) -> str:
    """The requests for an album's images."""
    return f"/api/v2/album/{album.key}!images"


def without_counts(smugmug: FakeSmugMug) -> None:
    """Have the list of albums say nothing of how many images there are: then a first page tells."""

    def mangled(answer: Dict[str, Any]) -> Dict[str, Any]:
        for album in answer["Response"]["Album"]:
            del album["ImageCount"]
        return answer

    smugmug.fault("mangle", "!albums", times=None, function=mangled)


# ======================================================================================================================
# The sign-in.
# ======================================================================================================================

AUTHORIZE = "https://api.smugmug.com/services/oauth/1.0a/authorize?"


def addresses(stderr: str) -> List[str]:
    """The addresses to open, each on a line of its own."""
    return [line for line in stderr.splitlines() if line.startswith(AUTHORIZE)]


def token_file(run: Run) -> Path:
    """Where the sign-in is kept."""
    return run.config / "download_smugmug_photos" / "token.json"


def good_token(smugmug: FakeSmugMug, **changes: str) -> Dict[str, str]:
    """The content of a token file that works."""
    return {
        "api_key": smugmug.api_key,
        "access_token": smugmug.access_token,
        "access_token_secret": smugmug.access_token_secret,
        **changes,
    }
