"""Is every claim true: originals, missing and skipped files, renamed albums, counts, the last
line?
"""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path
from typing import Any, Dict, List

import pytest

import download_smugmug_photos as script
from conftest import Run, SmallDisk
from fake_smugmug import JPEG_MAGIC, MP4_MAGIC, Account, FakeSmugMug, Image, Pattern
from helpers import (
    NOTHING_NEW,
    Sync,
    edit,
    expected_files,
    files_on_disk,
    key_name,
    of_file,
    of_list,
    parse_album,
    snapshot,
    stop,
    sync,
)

DAY = 86_400
PAGE = 4096


def lines_with(text: str, *words: str) -> List[str]:
    """Return the lines that contain all of these words."""
    return [line for line in text.splitlines() if all(word in line for word in words)]


def topic(told: Sync, heading: str) -> str:
    """Return the summary's text under one of its headings, or nothing."""
    return ("\n" + told.stderr).partition(f"\n{heading} (")[2].partition("\n  ")[2]


# =================================================================================================
# Smaller copies.
# =================================================================================================


def with_original_size(image: Image) -> Any:
    """Return a listing that states the size of an original that SmugMug does not provide."""

    def mangled(answer: Dict[str, Any]) -> Dict[str, Any]:
        for entry in answer["Response"]["AlbumImage"]:
            if entry["ImageKey"] == image.key:
                entry["OriginalSize"] = image.size
        return answer

    return mangled


@pytest.mark.parametrize("fault", ["not_found", "permission_denied"], ids=["404", "403"])
@pytest.mark.parametrize("refused", ["!download", "!sizedetails", "!(download|sizedetails)"])
def test_failing_better_sources_are_a_failure_if_the_rest_is_smaller(
    account: Account, smugmug: FakeSmugMug, run: Run, fault: str, refused: str
) -> None:
    album = account.album("Summer")
    photo = album.photo(
        "a.JPG",
        Pattern(50_000, 1, JPEG_MAGIC),
        archived=False,
        original_size_listed=False,
        download_uri="download" in refused,
    )
    other = album.photo("b.JPG")
    smugmug.fault(
        "mangle", f"/album/{album.key}!images", times=None, function=with_original_size(photo)
    )
    smugmug.fault(fault, f"/image/{photo.key}-0{refused}", times=None)
    for _ in range(2):
        told = sync(run, exit_code=1)
        assert "a.JPG" in topic(told, "Failed")
        assert files_on_disk(run.output) == {"Summer/b.JPG": other.data}

    smugmug.clear_faults()
    photo.archived = True
    sync(run)
    assert files_on_disk(run.output) == expected_files(album)


@pytest.fixture
def smaller(account: Account) -> Image:
    """Add a photo of which SmugMug provides only a smaller copy, beside a whole one."""
    album = account.album("Summer")
    album.photo("b.JPG")
    return album.photo(
        "a.JPG",
        Pattern(50_000, 1, JPEG_MAGIC),
        archived=False,
        download_uri=False,
        original_size_listed=False,
    )


def test_smaller_copies_are_named_by_every_run(run: Run, smaller: Image) -> None:
    first = sync(run)
    assert first.downloads == 2 and "a.JPG" in topic(first, "Not the original")
    copy = files_on_disk(run.output)["Summer/a.JPG"]
    assert 0 < len(copy) < smaller.size
    for args in ([], ["--full"], ["--verify"]):
        again = sync(run, *args)
        assert again.downloads == 0
        assert "a.JPG" in topic(again, "Not the original") and "b.JPG" not in topic(
            again, "Not the original"
        )
    assert files_on_disk(run.output)["Summer/a.JPG"] == copy


def test_originals_of_smaller_copies_are_retried_at_growing_intervals(
    smugmug: FakeSmugMug, run: Run, smaller: Image
) -> None:
    sync(run)
    for days in (1, 2, 4, 8, 16, 30, 30):
        for seconds, is_asked_for in ((days * DAY - 600, False), (1200, True), (0, False)):
            smugmug.let_time_pass(seconds)
            assert sync(run).downloads == 0
            assert (smugmug.count("api", f"/image/{smaller.key}-0!") > 0) is is_asked_for, days


@pytest.mark.parametrize(
    "given", [{"archived": True}, {"download_uri": True}], ids=["in the listing", "when asked"]
)
def test_originals_replace_smaller_copies_once_offered(
    smugmug: FakeSmugMug, run: Run, smaller: Image, given: Dict[str, bool]
) -> None:
    sync(run)
    vars(smaller).update(given)
    smugmug.let_time_pass(DAY + 600)
    told = sync(run)
    assert told.downloads == 1 and "Not the original" not in told.stderr
    assert files_on_disk(run.output) == expected_files(smaller.album)
    assert sync(run).downloads == 0


def test_originals_go_beside_edited_smaller_copies(
    smugmug: FakeSmugMug, run: Run, smaller: Image
) -> None:
    sync(run)
    edited = edit(run.output / "Summer" / "a.JPG")
    smaller.archived = True
    smugmug.let_time_pass(DAY + 600)
    sync(run)
    on_disk = files_on_disk(run.output)
    assert (
        on_disk["Summer/a.JPG"] == edited
        and on_disk[f"Summer/{key_name(smaller)}"] == smaller.data
    )


def test_smaller_copies_are_recognized_in_every_album_and_without_a_record(
    account: Account, run: Run, smaller: Image
) -> None:
    account.album("Best of").collect(smaller)
    assert lines_with(topic(sync(run), "Not the original"), "Best of/a.JPG, Summer/a.JPG")
    (run.output / ".smugmug.sqlite3").unlink()
    again = sync(run, "--new-record")
    assert again.downloads == 0 and lines_with(
        topic(again, "Not the original"), "Best of/a.JPG, Summer/a.JPG"
    )


# =================================================================================================
# Missing and unavailable files.
# =================================================================================================


def test_photos_counted_but_not_listed_are_missing(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for name in ("a.JPG", "b.JPG", "c.JPG"):
        album.photo(name)

    def six(answer: Dict[str, Any]) -> Dict[str, Any]:
        answer["Response"]["Album"][0]["ImageCount"] = 6
        return answer

    smugmug.fault("mangle", "!albums", times=None, function=six)
    for _ in range(2):
        told = sync(run, exit_code=1)
        assert lines_with(told.stderr, "Summer", "6", "3") and "All " not in told.stderr
        assert files_on_disk(run.output) == expected_files(album)


@pytest.mark.parametrize("is_video", [False, True], ids=["photos", "videos"])
def test_images_with_refused_requests_fail_instead_of_being_unavailable(
    account: Account, smugmug: FakeSmugMug, run: Run, is_video: bool
) -> None:
    album = account.album("Summer")
    if is_video:
        album.video("a.mp4", largest_given=False)
    else:
        album.photo("a.JPG", archived=False)
    album.photo("b.JPG")
    fault = smugmug.fault("permission_denied", "/api/v2/image/", times=None)
    for _ in range(2):
        told = sync(run, exit_code=1)
        assert (
            fault.hits and "Summer/a." in topic(told, "Failed") and "navailable" not in told.stderr
        )
    smugmug.clear_faults()
    assert sync(run).downloads == 1
    assert files_on_disk(run.output) == expected_files(album)


@pytest.mark.parametrize("refused", ["!download", "!sizedetails", "!largestimage"])
def test_one_refusal_among_empty_responses_is_a_failure(
    account: Account, smugmug: FakeSmugMug, run: Run, refused: str
) -> None:
    photo = account.album("Summer").photo(
        "a.JPG", archived=False, download_uri=False, original_size_listed=False
    )

    def nothing(answer: Dict[str, Any]) -> Dict[str, Any]:
        answer["Response"].pop(answer["Response"]["Locator"], None)
        return answer

    smugmug.fault("permission_denied", f"/image/{photo.key}-0{refused}", times=None)
    smugmug.fault("mangle", f"/image/{photo.key}-0!", times=None, function=nothing)
    told = sync(run, exit_code=1)
    assert "a.JPG" in topic(told, "Failed") and "navailable" not in told.stderr


@pytest.mark.parametrize("answer", ["200 without an object", "404"])
def test_images_without_a_file_on_smugmug_are_unavailable(
    account: Account, smugmug: FakeSmugMug, run: Run, answer: str
) -> None:
    photo = account.album("Summer").photo(
        "a.JPG", archived=False, download_uri=False, original_size_listed=False
    )

    def nothing(answer: Dict[str, Any]) -> Dict[str, Any]:
        answer["Response"].pop(answer["Response"]["Locator"], None)
        return answer

    if answer == "404":
        smugmug.fault("not_found", f"/image/{photo.key}-0!", times=None)
    else:
        smugmug.fault("mangle", f"/image/{photo.key}-0!", times=None, function=nothing)
    for _ in range(2):
        told = sync(run)
        assert "a.JPG" in topic(told, "Unavailable") and told.downloads == 0


# =================================================================================================
# Files that do not fit.
# =================================================================================================


@pytest.mark.parametrize("is_size_known", [True, False], ids=["of known size", "of unknown size"])
def test_videos_that_do_not_fit_are_left_out_and_the_rest_downloaded(
    account: Account, smugmug: FakeSmugMug, run: Run, small_disk: SmallDisk, is_size_known: bool
) -> None:
    album = account.album("Summer")
    video = album.video(
        "video.mp4",
        Pattern(1000 * PAGE, 1, MP4_MAGIC),
        size_listed=is_size_known,
        md5_listed=is_size_known,
    )
    for index in range(10):
        album.photo(f"IMG_{index}.JPG", Pattern(20 * PAGE, 10 + index, JPEG_MAGIC))
    output = small_disk.mount(size_bytes=600 * PAGE)
    photos = {path: data for path, data in expected_files(album).items() if "IMG" in path}
    for _ in range(2):
        smugmug.clear_requests()
        told = run("-o", output, "-j", 1)
        assert told.returncode == 1
        assert lines_with(told.stderr, "video.mp4", "4.1 MB") or not is_size_known
        assert lines_with(told.stderr, "video.mp4")
        assert files_on_disk(output) == photos and not list(output.rglob("*.part"))
        assert smugmug.count("cdn", f"/i-{video.key}/") == 0 or not is_size_known

    small_disk.resize(size_bytes=3000 * PAGE)
    assert run("-o", output).returncode == 0
    assert files_on_disk(output) == expected_files(album)


def test_part_files_that_no_longer_fit_make_room_for_the_rest(
    account: Account, smugmug: FakeSmugMug, run: Run, small_disk: SmallDisk
) -> None:
    album = account.album("Summer")
    video = album.video("video.mp4", Pattern(500 * PAGE, 1, MP4_MAGIC))
    output = small_disk.mount(size_bytes=600 * PAGE)
    stall = smugmug.fault("stall", f"/i-{video.key}/", after_bytes=300 * PAGE)
    process = run.start("-o", output)
    assert stall.reached.wait(300)
    process.kill()
    process.wait()
    small_disk.resize(size_bytes=450 * PAGE)
    for index in range(10):
        album.photo(f"IMG_{index}.JPG", Pattern(35 * PAGE, 10 + index, JPEG_MAGIC))
    smugmug.clear_faults()

    assert run("-o", output, "-j", 1).returncode == 1
    assert run("-o", output, "-j", 1).returncode == 1
    photos = {path: data for path, data in expected_files(album).items() if "IMG" in path}
    assert files_on_disk(output) == photos and not list(output.rglob("*.part"))


# =================================================================================================
# Edited on disk, deleted on SmugMug.
# =================================================================================================


def test_edited_files_deleted_on_smugmug_are_no_failure(account: Account, run: Run) -> None:
    album = account.album("Summer")
    for name in ("edited.JPG", "longer.JPG", "stays.JPG"):
        album.photo(name)
    sync(run)
    edited = edit(run.output / "Summer" / "edited.JPG")
    longer = edit(run.output / "Summer" / "longer.JPG", keep_size=False)
    for photo in album.images[:2]:
        album.remove(photo)
    sync(run)
    for args in (["--verify"], ["--verify", "--dry-run"], ["--verify"]):
        verified = sync(run, *args)
        assert verified.downloads == 0 and "sound (" not in verified.stderr
        assert not lines_with(verified.stderr, "edited.JPG") and not lines_with(
            verified.stderr, "longer.JPG"
        )
    assert files_on_disk(run.output) == {
        "Summer/edited.JPG": edited,
        "Summer/longer.JPG": longer,
        **expected_files(album),
    }


# =================================================================================================
# Renamed on SmugMug.
# =================================================================================================


def test_renamed_albums_keep_their_folder_and_are_named(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    sync(run)
    before = snapshot(run.output / "Summer")
    album.name = "Winter"
    album.touch_settings()
    for _ in range(2):
        told = sync(run)
        assert told.downloads == 0 and len(lines_with(told.stderr, "Summer", "Winter")) == 1
        assert snapshot(run.output / "Summer") == before and not (run.output / "Winter").exists()


def test_messages_name_the_folder_on_disk(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    sync(run)
    album.name = "Winter"
    failing = album.photo("b.JPG")
    smugmug.fault("not_found", f"/i-{failing.key}/", times=None)
    assert "Summer/b.JPG" in topic(sync(run, exit_code=1), "Failed")


def test_rename_gives_folders_the_new_names_of_their_albums(account: Account, run: Run) -> None:
    album, other = account.album("Summer"), account.album("Other")
    album.photo("a.JPG", caption="Swans")
    other.photo("a.JPG")
    sync(run, "--sidecar", "xmp")
    (run.output / "Summer" / "notes.txt").write_bytes(b"mine")
    before = snapshot(run.output / "Summer")
    album.name = "Winter"
    album.touch_settings()
    told = sync(run, "--rename")
    assert told.downloads == 0 and lines_with(told.stderr, "Summer", "Winter")
    assert not (run.output / "Summer").exists()
    after = snapshot(run.output / "Winter")
    del before["."], after["."]
    assert after == before
    for args in ([], ["--rename"]):
        again = sync(run, *args)
        assert again.cost == NOTHING_NEW and "Summer" not in again.stderr
    assert sync(run, "--verify").cost == NOTHING_NEW
    album.photo("b.JPG")
    assert sync(run).downloads == 1 and (run.output / "Winter" / "b.JPG").exists()


def test_a_killed_run_remembers_the_folders_that_it_renamed(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    """Otherwise, each of these albums would take the other one's folder for its own."""
    albums = [account.album(name) for name in ("Summer", "Winter")]
    for album in albums:
        album.photo("a.JPG")
    sync(run)
    albums[0].name, albums[1].name = "Winter", "Summer"
    for album in albums:
        album.touch_settings()
    stall = smugmug.fault("stall", "!images", before_headers=True)
    process = run.start("--rename")
    assert stall.reached.wait(60)
    process.kill()
    process.communicate()
    smugmug.clear_faults()
    again = sync(run)
    assert "0 downloaded, 2 already there" in again.stderr and "copied" not in again.stderr
    photos = [album.images[0].data for album in albums]
    assert sorted(files_on_disk(run.output).values()) == sorted(photos)
    assert "2 intact" in sync(run, "--verify").stderr


def test_previews_rename_nothing(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    sync(run)
    album.name = "Winter"
    album.touch_settings()
    before = snapshot(run.output)
    sync(run, "--rename", "--dry-run")
    assert snapshot(run.output) == before


def test_folders_are_never_renamed_over_anything(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    sync(run)
    (run.output / "Winter").mkdir()
    (run.output / "Winter" / "a.JPG").write_bytes(b"mine")
    album.name = "Winter"
    album.touch_settings()
    for _ in range(2):
        assert sync(run, "--rename").downloads == 0
        assert (run.output / "Winter" / "a.JPG").read_bytes() == b"mine"
        mine = files_on_disk(run.output)
        del mine["Winter/a.JPG"]
        assert list(mine.values()) == [album.images[0].data]
    assert sync(run).cost == NOTHING_NEW


def test_folders_follow_swapped_album_names_without_loss(account: Account, run: Run) -> None:
    first, second = account.album("Summer"), account.album("Winter")
    first.photo("a.JPG")
    second.photo("a.JPG")
    sync(run)
    first.name, second.name = second.name, first.name
    for album in (first, second):
        album.touch_settings()
    for _ in range(3):
        assert sync(run, "--rename").downloads == 0
        on_disk = files_on_disk(run.output)
        assert sorted(on_disk.values()) == sorted(
            album.images[0].data for album in (first, second)
        )
    assert sync(run).cost == NOTHING_NEW
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_folders_follow_names_that_differ_only_in_case(account: Account, run: Run) -> None:
    album = account.album("summer")
    album.photo("a.JPG")
    sync(run)
    album.name = "Summer"
    album.touch_settings()
    assert sync(run, "--rename").downloads == 0
    assert [path.name for path in run.output.iterdir() if path.is_dir()] == ["Summer"]
    assert sync(run).cost == NOTHING_NEW


def test_renamed_albums_in_a_tree_stay_in_their_folder(account: Account, run: Run) -> None:
    album = account.album("Summer", folder="Family/2019")
    album.photo("a.JPG")
    sync(run, "--layout", "tree")
    (folder,) = {Path(path).parent for path in files_on_disk(run.output)}
    album.name = "Winter"
    album.touch_settings()
    assert sync(run, "--layout", "tree", "--rename").downloads == 0
    assert list(files_on_disk(run.output)) == [(folder.with_name("Winter") / "a.JPG").as_posix()]


@pytest.mark.parametrize("is_gone", [True, False], ids=["its file is gone", "its file is there"])
def test_names_of_deleted_photos_are_free_once_the_file_is_removed(
    account: Account, run: Run, is_gone: bool
) -> None:
    album = account.album("Summer")
    old, _ = album.photo("a.JPG"), album.photo("b.JPG")
    sync(run)
    album.remove(old)
    sync(run)
    path = run.output / "Summer" / "a.JPG"
    if is_gone:
        path.unlink()
    new = album.photo("a.JPG")
    assert sync(run).downloads == 1
    beside = {} if is_gone else {"Summer/a.JPG": old.data}
    assert files_on_disk(run.output) == {
        **expected_files(album),
        **beside,
        f"Summer/{'a.JPG' if is_gone else key_name(new)}": new.data,
    }
    assert sync(run).cost == NOTHING_NEW


@pytest.mark.parametrize(
    "is_gone", [True, False], ids=["its folder is gone", "its folder is there"]
)
def test_names_of_deleted_albums_are_free_once_the_folder_is_removed(
    account: Account, run: Run, is_gone: bool
) -> None:
    album = account.album("Summer")
    old = album.photo("a.JPG")
    account.album("Winter").photo("b.JPG")
    sync(run)
    account.remove(album)
    sync(run)
    if is_gone:
        shutil.rmtree(str(run.output / "Summer"))
    new = account.album("Summer").photo("a.JPG")
    assert sync(run).downloads == 1
    on_disk = files_on_disk(run.output)
    assert (
        on_disk["Summer/a.JPG"] == (new if is_gone else old).data and new.data in on_disk.values()
    )
    assert sync(run).cost == NOTHING_NEW


# =================================================================================================
# The last line.
# =================================================================================================


def last_line(told: Sync) -> str:
    """Return the last line of a run."""
    return told.stderr.splitlines()[-1]


def test_the_last_line_of_every_run_mentions_locked_albums(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    account.album("Secret", security="Password", locked=True).photo()
    for _ in range(2):
        told = sync(run)
        assert last_line(told) == f"1 of 2 are in {run.output}; 1 album locked"
        assert lines_with(topic(told, "Locked"), "Secret: ", "password")


def test_the_last_line_of_every_run_mentions_unavailable_files(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.video("video.MOV")
    album.photo("raw.JPG", component_file_types={"Image": ["JPG", "NEF"]})
    album.photo("small.JPG", archived=False, download_uri=False, original_size_listed=False)
    for _ in range(2):
        assert last_line(sync(run)) == (
            f"3 of 3 are in {run.output}; 1 photo with a RAW or other source file that is only on "
            f"SmugMug's website; 1 not the original; 1 video re-encoded"
        )


def test_the_last_line_of_interrupted_and_dry_runs_states_the_files_on_disk(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()
    sync(run)
    photo = account.album("Winter").photo()
    assert last_line(sync(run, "--dry-run")) == f"1 of 2 are in {run.output}; 1 to download"
    stall = smugmug.fault("stall", f"/i-{photo.key}/", before_headers=True)
    process = run.start()
    assert stall.reached.wait(300)
    said = stop(process, signal.SIGINT).splitlines()
    assert (
        said[-2].startswith("Interrupted.")
        and said[-1] == f"Stopped early: 1 of 2 are in {run.output}"
    )


def test_missing_files_outside_the_selection_are_no_success(account: Account, run: Run) -> None:
    for name in ("Summer", "Winter"):
        account.album(name).photo("a.JPG")
    sync(run)
    (run.output / "Winter" / "a.JPG").unlink()
    told = sync(run, "--verify", env={"SMUGMUG_ALBUM": "Summer"}, exit_code=1)
    assert lines_with(topic(told, "Damaged, changed or missing"), "Winter/a.JPG: missing")
    assert last_line(told) == f"1 of 1 are in {run.output}; 1 damaged, changed or missing"


def test_failures_of_one_cause_share_a_line_unless_verbose(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer", folder="Family")
    for number in range(30):
        album.photo(f"{number:02}.JPG")
    smugmug.fault("not_found", "cdn", times=None)
    told = sync(run, "--layout", "tree", "-v", exit_code=1)
    names = [f"Family/Summer/{number:02}.JPG" for number in range(30)]
    failed = topic(told, "Failed").splitlines()
    assert (
        failed[0].startswith(f"{', '.join(names[:3])} and 27 more: SmugMug returned HTTP 404")
        and len(failed) == 3
    )
    assert all(
        lines_with(told.stderr, f"failed: {name}: SmugMug returned HTTP 404") for name in names
    )
    assert (
        "30 failed" in told.stderr and last_line(told) == f"0 of 30 are in {run.output}; 30 failed"
    )


def test_many_different_reasons_are_not_all_shown(account: Account, run: Run) -> None:
    album = account.album("Summer")
    for number in range(25):
        album.photo(f"{number:02}.JPG", Pattern(1000 + number, number, JPEG_MAGIC))
    (run.output / "Summer").mkdir(parents=True)
    for number in range(25):
        (run.output / "Summer" / f"{number:02}.JPG").write_bytes(b"mine")
    kept = topic(sync(run), "Kept")
    assert (
        kept.count("so it was kept") == 20
        and "... and 5 more (-v and --report list them all)" in kept
    )


def test_doubly_quiet_runs_are_silent_unless_something_failed(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo()
    assert sync(run, "-qq").stderr == ""
    assert last_line(sync(run, "-q")).startswith("1 photo or video is in /")
    (run.output / "Summer" / photo.file_name).unlink()
    smugmug.fault("not_found", "cdn", times=None)
    told = sync(run, "-qq", exit_code=1)
    assert "Failed (1):" in told.stderr and last_line(told).endswith("; 1 failed")


def test_the_log_records_success_without_a_warning(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()
    log = run.folder / "log.txt"
    sync(run, "--log-file", log)
    assert "WARNING" not in log.read_text() and lines_with(
        log.read_text(), " INFO 1 photo or video is in /"
    )
    account.albums[0].photo()
    smugmug.fault("not_found", "cdn", times=None)
    sync(run, "--log-file", log, exit_code=1)
    assert lines_with(log.read_text(), " WARNING 1 of 2 are in /")


def test_photos_in_no_album_are_mentioned(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()

    def three(answer: Dict[str, Any]) -> Dict[str, Any]:
        answer["Response"]["User"]["ImageCount"] = 3
        return answer

    assert "SmugMug reports" not in sync(run).stderr
    smugmug.fault("mangle", "!authuser", function=three)
    assert "SmugMug reports 3 files in the account but 1 in its albums" in sync(run).stderr


def test_albums_skipped_by_since_do_not_count_as_missing(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    sync(run)
    assert "SmugMug reports" not in sync(run, "--since", "1d").stderr


def test_albums_that_list_more_than_their_count_are_mentioned(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    for name in ("Autumn", "Spring", "Summer", "Winter"):
        account.album(name).photo()
    account.albums[0].photo()

    def fewer(answer: Dict[str, Any]) -> Dict[str, Any]:
        for album in answer["Response"]["Album"]:
            album["ImageCount"] -= 1
        return answer

    assert "More files than SmugMug reports" not in sync(run).stderr
    smugmug.fault("mangle", "!albums", function=fewer)
    (told,) = lines_with(sync(run, "--full").stderr, "More files than SmugMug reports: ")
    assert "Autumn (2 on disk, 1 reported)" in told or "Spring (1 on disk, 0 reported)" in told
    assert told.count(" reported)") == 3 and told.endswith(" and 1 more")


def test_rechecked_albums_are_not_called_changed(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Winter").photo(title="The sea")
    stall = smugmug.fault("stall", f"/i-{photo.key}/", before_headers=True)
    process = run.start()
    assert stall.reached.wait(300)
    stop(process, signal.SIGINT)
    again = "Albums: 0 new, 0 changed, 1 rechecked, 0 unchanged\n"
    assert again in sync(run).stderr
    assert "Albums: 0 new, 0 changed, 1 unchanged\n" in sync(run).stderr
    assert again in sync(run, "--sidecar", "xmp").stderr


def test_the_report_holds_everything_in_the_summary(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photo = album.photo()
    album.video("video.MOV")
    account.album("Secret", security="Password", locked=True)
    sync(run)
    album.remove(photo)
    path = run.folder / "report.json"
    told = sync(run, "--verify", "--report", path)
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["verdict"] == last_line(told) and report["output"] == str(run.output)
    assert (
        report["on_disk"],
        report["videos"],
        report["adopted"],
        report["albums_unchanged"],
    ) == (
        1,
        1,
        0,
        0,
    )
    assert report["verified"] == {
        "intact": 2,
        "missing": 0,
        "changed": 0,
        "damaged": 0,
        "unreadable": 0,
    }
    assert report["removed"] == [f"Summer/{photo.file_name}"]
    assert {
        (entry["folder"], entry["smugmug_count"], entry["on_disk"]) for entry in report["by_album"]
    } == {("Summer", 1, 1), ("Secret", None, 0)}
    (problem,) = report["problems"]
    assert (problem["kind"], problem["folder"], problem["album_key"]) == (
        "locked",
        "Secret",
        account.albums[1].key,
    )


def test_the_table_of_albums_states_the_files_on_disk(account: Account, run: Run) -> None:
    for name in ("Summer", "Winter"):
        account.album(name).photo()
    sync(run, "-a", "Summer")
    account.albums[0].photo()
    listed = sync(run, "--list")
    header, *rows = listed.stdout.splitlines()
    assert re.split(" {2,}", header)[:3] == ["ALBUM", "FILES", "ON DISK"]
    assert [row.split()[:3] for row in rows] == [
        ["Summer", "2", "1"],
        ["Winter", "1", "0"],
    ]
    assert listed.stderr == "3 files in 2 albums, 1 on disk.\n"


def test_the_file_in_the_way_of_the_output_folder_is_named(run: Run) -> None:
    (run.folder / "taken.txt").write_bytes(b"mine")
    told = sync(run, "-o", run.folder / "taken.txt" / "a" / "b", exit_code=2)
    assert f"{run.folder / 'taken.txt'} is a file, but a folder is needed there" in told.stderr


# =================================================================================================
# All outputs agree.
# =================================================================================================


def claim(run: Run, told: Sync) -> str:
    """Return the one line that states how many files are on disk, and where."""
    (found,) = lines_with(told.stderr, f" in {run.output}")
    return found


def test_locked_albums_prevent_the_claim_that_all_is_on_disk(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    account.album("Secret", security="Password", locked=True).photo()
    for _ in range(2):
        said = claim(run, sync(run))
        assert not said.startswith("All ") and said.endswith("; 1 album locked")


def test_the_verdict_states_missing_files_and_matches_the_exit_code(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo()
    album.video("dead.MOV", processing=True, status="Preprocess", sub_status="CanNotProcess")
    album.photo("slow.JPG", processing=True, uploaded=account.time_of_day())
    for args in ([], [], ["--full"], ["--verify"]):
        told = sync(run, *args)
        assert claim(run, told) == f"1 of 3 are in {run.output}; 1 still processing; 1 unavailable"
    failing = album.photo("failing.JPG")
    smugmug.fault("not_found", of_file(failing), times=None)
    told = sync(run, exit_code=1)
    assert (
        claim(run, told)
        == f"1 of 4 are in {run.output}; 1 still processing; 1 unavailable; 1 failed"
    )
    smugmug.clear_faults()
    assert (
        claim(run, sync(run)) == f"2 of 4 are in {run.output}; 1 still processing; 1 unavailable"
    )


def test_raw_files_that_no_program_gets_are_named_by_every_run(account: Account, run: Run) -> None:
    account.album("Summer").photo("raw.JPG", component_file_types={"Image": ["JPG", "NEF"]})
    for calls in (3, 2, 2):
        told = sync(run)
        assert told.calls == calls and "raw.JPG" in topic(told, "In SmugMug Source")


def test_all_counts_of_failures_agree(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    album, unlisted = account.album("Summer"), account.album("Winter")
    failing, _ = album.photo(), album.photo()
    unlisted.photo()
    smugmug.fault("not_found", of_file(failing), times=None)
    smugmug.fault("not_found", of_list(unlisted), times=None)
    path = run.folder / "report.json"
    told = sync(run, "--report", path, exit_code=1)
    report = json.loads(path.read_text(encoding="utf-8"))
    assert re.findall(
        r" already there, (\d+) failed$|^Failed \((\d+)\):$", told.stderr, re.MULTILINE
    ) == [("2", ""), ("", "2")]
    assert report["failed"] == len(report["problems"]) == 2
    assert last_line(told).endswith("; 2 failed")


def test_the_table_of_albums_and_previews_count_the_same_files(account: Account, run: Run) -> None:
    album = account.album("Summer")
    shared, _ = album.photo(), album.photo()
    account.album("Winter").collect(shared)
    listed = sum(int(line.split()[1]) for line in sync(run, "--list").stdout.splitlines()[1:])
    total = sync(run, "--dry-run").stdout.splitlines()[-1]
    assert (
        sum(int(number) for number in re.findall(r"\b(\d+) (?:files?|more)\b", total))
        == listed
        == 3
    )


def test_edited_files_stand_under_one_heading(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo("a.JPG")
    sync(run)
    edit(run.output / "Summer" / "a.JPG")
    path = run.folder / "report.json"
    told = sync(run, "--verify", "--report", path)
    assert len(lines_with(told.stderr, "  Summer", "a.JPG")) == 1
    (problem,) = json.loads(path.read_text("utf-8"))["problems"]
    assert (problem["kind"], problem["file"]) == ("kept", "a.JPG")
    assert problem["image_key"] == photo.key and "Repaired" not in told.stderr


def test_repaired_files_stand_under_one_heading(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo("a.JPG")
    sync(run)
    (run.output / "Summer" / "a.JPG").unlink()
    path = run.folder / "report.json"
    told = sync(run, "--verify", "--report", path)
    assert len(lines_with(told.stderr, "  Summer", "a.JPG")) == 1
    (problem,) = json.loads(path.read_text("utf-8"))["problems"]
    assert (problem["kind"], problem["image_key"]) == ("repaired", photo.key)


def test_screen_and_log_name_files_by_their_final_path(account: Account, run: Run) -> None:
    for folder in ("Family", "Friends"):
        album = account.album("Trip", folder=folder)
        for _ in range(2):
            album.photo("IMG_1.JPG")
    log = run.folder / "log.txt"
    told = sync(run, "-v", "--log-file", log)
    landed = sorted(files_on_disk(run.output))
    for text in (told.stderr, log.read_text(encoding="utf-8")):
        named = re.findall("downloaded: (.*)", text)
        assert len(set(named)) == 4 and sorted(named) == landed


def test_the_report_lists_each_failure_with_folder_and_album(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    albums = [account.album("Trip", folder=folder) for folder in ("Family", "Friends")]
    for album in albums:
        for number in range(20):
            album.photo(f"{number:02}.JPG")
    smugmug.fault("not_found", "cdn", times=None)
    path = run.folder / "report.json"
    sync(run, "--report", path, exit_code=1)
    problems = json.loads(path.read_text(encoding="utf-8"))["problems"]
    assert len(problems) == 40
    assert {problem.get("album_key") for problem in problems} == {album.key for album in albums}
    assert len({(problem["folder"], problem["file"]) for problem in problems}) == 40


def test_advice_for_a_busy_folder_names_no_other_folder(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    stall = smugmug.fault("stall", of_file(account.album("Summer").photo()), before_headers=True)
    process = run.start()
    assert stall.reached.wait(300)
    told = sync(run, exit_code=2)
    assert "Wait until it has finished." in told.stderr and "another folder" not in told.stderr
    stop(process, signal.SIGINT)


def test_advice_for_a_full_disk_is_to_move_the_folder_and_works(
    account: Account, run: Run, small_disk: SmallDisk
) -> None:
    album = account.album("Summer")
    for number in range(10):
        album.photo(f"{number}.JPG", Pattern(40 * PAGE, number, JPEG_MAGIC))
    full = small_disk.mount(size_bytes=200 * PAGE)
    told = sync(run, "-o", full, "-j", 1, exit_code=1)
    assert (
        "move the whole output folder (with .smugmug.sqlite3)" in told.stderr
        and "another folder" not in told.stderr
    )
    on_disk, larger = files_on_disk(full), run.folder / "larger"
    shutil.copytree(str(full), str(larger))
    assert on_disk and sync(run, "-o", larger).downloads == 10 - len(on_disk)
    assert files_on_disk(larger) == expected_files(album)


def test_the_first_count_of_an_album_is_reported(tmp_path: Path) -> None:
    """A second visit may find another count, because listings lag behind."""
    summary = script.Summary(tmp_path)
    for count, on_disk in ((10, 8), (9, 10)):
        visit = script.Visit(parse_album({"AlbumKey": "A", "Name": "Summer", "ImageCount": count}))
        visit.folder = tmp_path / "Summer"
        visit.counts[script.Result.ALREADY_THERE] = on_disk
        summary._count_album(visit)
    expected = {"album_key": "A", "folder": "Summer", "smugmug_count": 10, "on_disk": 10}
    assert summary.report(0, "")["by_album"] == [expected]
