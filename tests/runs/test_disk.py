"""Does a failing disk fail only what it concerns, with a message that says what and where?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence

import pytest

from conftest import Run, SmallDisk
from fake_smugmug import JPEG_MAGIC, MP4_MAGIC, Account, FakeSmugMug, Pattern
from helpers import expected_files, files_on_disk

PAGE = 4096


# =================================================================================================
# Full disks.
# =================================================================================================


def test_a_full_disk_ends_the_run_and_the_next_one_completes(
    account: Account, smugmug: FakeSmugMug, run: Run, small_disk: SmallDisk
) -> None:
    album = account.album("Summer")
    for index in range(40):
        album.photo(f"IMG_{index:02}.JPG", Pattern(50 * PAGE, index, JPEG_MAGIC))
    output = small_disk.mount(size_bytes=500 * PAGE)  # room for a little more than nine

    result = run("-o", output, "-j", 3)

    assert result.returncode == 1
    assert (
        "The disk is full: there is no space for " in result.stderr
        and str(output) in result.stderr
    )
    on_disk = files_on_disk(output)
    assert 3 <= len(on_disk) <= 9 and set(on_disk.items()) <= set(expected_files(album).items())
    # at the end: only what was running or queued
    assert smugmug.count("cdn") <= len(on_disk) + 2 * 3

    small_disk.resize(size_bytes=3000 * PAGE)
    smugmug.clear_requests()
    assert run("-o", output).returncode == 0
    assert files_on_disk(output) == expected_files(album)
    assert smugmug.count("cdn") <= 40 - len(on_disk)


def test_a_video_that_does_not_fit_is_skipped_and_the_rest_downloaded(
    account: Account, smugmug: FakeSmugMug, run: Run, small_disk: SmallDisk
) -> None:
    album = account.album("Summer")
    videos = [
        album.video(f"video {number}.mp4", Pattern(2000 * PAGE, number, MP4_MAGIC))
        for number in range(3)
    ]
    silent = album.video(
        "silent.mp4", Pattern(2000 * PAGE, 9, MP4_MAGIC), size_listed=False, md5_listed=False
    )
    photos = [album.photo(f"IMG_{number}.JPG") for number in range(30)]
    output = small_disk.mount(size_bytes=1000 * PAGE)

    result = run("-o", output, "-j", 1, "-v")

    assert result.returncode == 1
    assert files_on_disk(output) == {f"Summer/{photo.file_name}": photo.data for photo in photos}
    assert all(
        f"Summer/{video.file_name}: Not enough space for 8.2 MB" in result.stderr
        for video in videos
    )
    assert f"Summer/{silent.file_name}: No space left" in result.stderr
    assert smugmug.count("cdn") <= len(photos) + 1 and list(output.rglob("*.part")) == []


def test_many_photos_that_do_not_fit_are_named_together(
    account: Account, smugmug: FakeSmugMug, run: Run, small_disk: SmallDisk
) -> None:
    album = account.album("Summer")
    for index in range(100):
        album.photo(f"IMG_{index:02}.JPG", Pattern(1500 * PAGE, index, JPEG_MAGIC))
    output = small_disk.mount(size_bytes=1000 * PAGE)  # four megabytes

    result = run("-o", output)

    assert result.returncode == 1 and result.stderr.count("The disk is full") == 1
    assert smugmug.count("cdn") == 0 and files_on_disk(output) == {}


def test_a_disk_without_room_for_the_record_is_called_full(
    account: Account, smugmug: FakeSmugMug, run: Run, small_disk: SmallDisk
) -> None:
    account.album("Summer").photo()
    output = small_disk.mount(size_bytes=2 * PAGE)
    (output / "other").write_bytes(b"\0" * PAGE)

    result = run("-o", output)

    assert (
        result.returncode == 1
        and "The disk is full" in result.stderr
        and str(output) in result.stderr
    )
    assert smugmug.count("cdn") == 0


def test_a_disk_without_room_to_replace_a_damaged_record_is_called_full(
    account: Account, smugmug: FakeSmugMug, run: Run, small_disk: SmallDisk
) -> None:
    account.album("Summer").photo()
    output = small_disk.mount(size_bytes=2 * PAGE)
    (output / ".smugmug.sqlite3").write_bytes(b"no record at all" * (2 * PAGE // 16))

    result = run("-o", output)

    assert (
        result.returncode == 1
        and "The disk is full" in result.stderr
        and str(output) in result.stderr
    )
    assert smugmug.count("cdn") == 0


def test_a_disk_without_room_for_a_sidecar_ends_the_run_and_the_next_one_completes(
    account: Account, run: Run, small_disk: SmallDisk
) -> None:
    album = account.album("Summer")
    album.photo(caption="A long story. " * 50_000)
    output = small_disk.mount(size_bytes=100 * PAGE)

    result = run("-o", output, "--sidecar", "xmp")

    assert result.returncode == 1 and files_on_disk(output) == expected_files(album)
    assert_says(result.stderr, "The disk is full: there is no space for ", "IMG_1.JPG.xmp")
    assert result.stderr.splitlines()[-1].startswith("Stopped early: 1 photo or video is in ")

    small_disk.resize(size_bytes=1000 * PAGE)
    assert run("-o", output, "--sidecar", "xmp").returncode == 0
    assert set(files_on_disk(output)) == {"Summer/IMG_1.JPG", "Summer/IMG_1.JPG.xmp"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of a file")
def test_files_too_large_for_the_file_system_fail_alone(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    small, large = (
        album.photo("small.JPG"),
        album.photo("large.JPG", Pattern(3_000_000, 1, JPEG_MAGIC)),
    )

    process = run.start(preexec_fn=limit_file_size)
    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 1 and "Traceback" not in stderr
    assert files_on_disk(run.output) == {"Summer/small.JPG": small.data}
    assert_says(stderr, f"Summer/{large.file_name}", "File too large")
    assert "1 downloaded, 0 already there, 1 failed" in stderr


# =================================================================================================
# Something else at the path of a folder or file.
# =================================================================================================


@pytest.mark.parametrize("output", ["taken", "taken/below/it"])
def test_a_file_at_the_path_of_the_output_folder_is_named(
    account: Account, smugmug: FakeSmugMug, run: Run, output: str
) -> None:
    account.album("Summer").photo()
    (run.folder / "taken").write_bytes(b"mine")

    result = run("-o", output)

    assert result.returncode == 2
    assert "is a file, but a folder is needed there" in result.stderr and "taken" in result.stderr
    assert (run.folder / "taken").read_bytes() == b"mine" and smugmug.count("cdn") == 0


@pytest.mark.parametrize("arguments", [["-o"], ["--verify", "-n", "-o"], ["--log-file"]])
def test_paths_that_are_too_long_are_named(
    account: Account, smugmug: FakeSmugMug, run: Run, arguments: List[str]
) -> None:
    result = run(*arguments, "n" * 300)

    assert result.returncode == 2
    assert "n" * 300 in result.stderr and "output cannot" not in result.stderr


def test_an_unwritable_output_folder_is_named(
    account: Account, smugmug: FakeSmugMug, run: Run, read_only: Callable[[Path], None]
) -> None:
    account.album("Summer").photo()
    run.output.mkdir()
    read_only(run.output)

    result = run()

    assert result.returncode == 2
    assert "Cannot write to smugmug_photos" in result.stderr
    assert smugmug.count("cdn") == 0


def test_an_unwritable_album_folder_fails_only_its_files(
    account: Account, smugmug: FakeSmugMug, run: Run, read_only: Callable[[Path], None]
) -> None:
    summer, winter = account.album("Summer"), account.album("Winter")
    summer.photo("a.JPG")
    summer.photo("b.JPG")
    winter.photo("c.JPG")
    (run.output / "Summer").mkdir(parents=True)
    read_only(run.output / "Summer")

    result = run()

    assert result.returncode == 1 and files_on_disk(run.output) == expected_files(winter)
    for name in ("a.JPG", "b.JPG"):
        assert_says(result.stderr, f"Summer/{name}")
    assert "1 downloaded, 0 already there, 2 failed" in result.stderr


@pytest.mark.parametrize(
    "put_there",
    [
        lambda path: path.write_bytes(b"mine"),
        lambda path: path.symlink_to(path),
        lambda path: path.symlink_to(path.parent / "nowhere"),
    ],
    ids=["a file", "a link to itself", "a link to nowhere"],
)
def test_a_file_at_the_path_of_an_album_folder_fails_only_that_album(
    account: Account, smugmug: FakeSmugMug, run: Run, put_there: Callable[[Path], Any]
) -> None:
    summer, winter = account.album("Summer"), account.album("Winter")
    summer.photo("a.JPG")
    winter.photo("b.JPG")
    run.output.mkdir()
    put_there(run.output / "Summer")

    result = run()

    on_disk = files_on_disk(run.output)
    assert on_disk.pop("Summer", b"mine") == b"mine"
    assert result.returncode == 1 and on_disk == expected_files(winter)
    assert_says(result.stderr, "  Summer", ": ", str(Path("smugmug_photos") / "Summer"))

    (run.output / "Summer").unlink()
    assert run().returncode == 0
    assert files_on_disk(run.output) == expected_files(summer, winter)


def test_a_folder_at_the_path_of_a_photo_stays_and_the_photo_goes_beside_it(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo("IMG_1.JPG")
    in_the_way = run.output / "Summer" / "IMG_1.JPG"
    in_the_way.mkdir(parents=True)
    (in_the_way / "mine").write_bytes(b"mine")
    expected = {"Summer/IMG_1.JPG/mine": b"mine", f"Summer/IMG_1_{photo.key}.JPG": photo.data}

    result = run()

    assert result.returncode == 0 and files_on_disk(run.output) == expected
    assert_says(
        result.stderr, f"Summer/IMG_1_{photo.key}.JPG", "IMG_1.JPG was changed or added here"
    )
    assert run().returncode == 0
    assert files_on_disk(run.output) == expected and smugmug.count("cdn") == 1


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows moves no folder in which a file is open"
)
@pytest.mark.parametrize("options", [(), ("--sidecar", "json,html")], ids=["photos", "sidecars"])
def test_an_output_folder_that_disappears_ends_the_run_and_is_not_recreated(
    account: Account, smugmug: FakeSmugMug, run: Run, options: Sequence[str]
) -> None:
    album = account.album("Summer")
    album.photo()

    def unplug(answer: Dict[str, Any]) -> Dict[str, Any]:
        run.output.rename(run.folder / "unplugged")
        return answer

    smugmug.fault("mangle", f"{album.key}!images", function=unplug)

    result = run(*options)

    assert result.returncode == 2 and "smugmug_photos disappeared during the run" in result.stderr
    assert not run.output.exists() and smugmug.count("cdn") == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows takes no working folder away")
def test_a_deleted_working_folder_ends_runs_but_not_previews(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo()
    here = run.folder / "here"

    def take_away(answer: Dict[str, Any]) -> Dict[str, Any]:
        shutil.rmtree(str(here))
        return answer

    smugmug.fault("mangle", f"{album.key}!images", times=None, function=take_away)

    here.mkdir()
    preview = run("--dry-run", cwd=here)
    assert preview.returncode == 0 and preview.stdout.startswith("Summer: 1 file, ")
    assert " free on disk" not in preview.stderr  # of an unknown disk

    here.mkdir()
    result = run(cwd=here)
    assert result.returncode == 2 and "smugmug_photos disappeared during the run" in result.stderr
    assert smugmug.count("cdn") == 0


# =================================================================================================
# Names that the system refuses.
# =================================================================================================


@pytest.mark.skipif(
    sys.platform in ("win32", "darwin"),
    reason="names are Unicode on this system, whatever the locale",
)
def test_names_that_the_system_refuses_fail_alone(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    summer, foreign = account.album("Summer"), account.album("\u00dcbung")
    plain, umlaut = summer.photo("plain.JPG"), summer.photo("\u00c4pfel.JPG")
    foreign.photo("IMG_1.JPG")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    result = run(env=ascii_only)

    assert result.returncode == 1
    assert files_on_disk(run.output) == {"Summer/plain.JPG": plain.data}
    assert_says(result.stderr, f"Summer/{umlaut.file_name}: ")
    assert_says(result.stderr, f"{foreign.name}/IMG_1.JPG: ")

    assert run().returncode == 0
    assert files_on_disk(run.output) == expected_files(summer, foreign)


@pytest.mark.skipif(
    sys.platform in ("win32", "darwin"),
    reason="names are Unicode on this system, whatever the locale",
)
def test_names_that_the_system_refuses_are_named_by_verify_and_sidecars(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("plain.JPG", caption="Snow")
    album.photo("\u00c4pfel.JPG", caption="Swans")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert run().returncode == 0

    verified = run("--verify", "--dry-run", env=ascii_only)
    assert verified.returncode == 1 and "1 intact, 1 unreadable" in verified.stderr
    assert_says(verified.stderr, "\u00c4pfel.JPG: The file system cannot store this name")

    described = run("--sidecar", "xmp", env=ascii_only)
    assert described.returncode == 1
    assert_says(described.stderr, "\u00c4pfel.JPG: The file system cannot store this name")
    assert {"Summer/plain.JPG.xmp"} == {
        name for name in files_on_disk(run.output) if name.endswith(".xmp")
    }


# =================================================================================================
# Helpers: disks and permissions, as far as this system allows.
# =================================================================================================


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Return a way to forbid writing to a folder: its mode, or for root a read-only mount."""
    forbidden = []

    def forbid(folder: Path) -> None:
        folder.chmod(0o555)
        forbidden.append(folder)
        if not os.access(str(folder), os.W_OK):
            return
        if sys.platform == "win32":
            pytest.skip("the mode of a folder forbids nothing on Windows")
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "none", str(folder)],
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if mounted.returncode:
            pytest.skip("this user may write everywhere and mount nothing")

    yield forbid
    for folder in forbidden:
        if os.path.ismount(str(folder)):
            subprocess.run(["umount", str(folder)], check=True)
        folder.chmod(0o755)


def limit_file_size() -> None:
    """Limit the files of this process to two megabytes."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))


def assert_says(stderr: str, *texts: str) -> None:
    """Check that one line of the summary contains all of these."""
    assert any(all(text in line for text in texts) for line in stderr.splitlines()), (
        texts,
        stderr,
    )
