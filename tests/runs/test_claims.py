"""Does the last line claim only what is known: all, deleted, nothing new, enough space?"""

from __future__ import annotations

import errno
import json
import re
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import JPEG_MAGIC, Account, FakeSmugMug, Lag, Pattern
from helpers import (
    NOTHING_NEW,
    Sync,
    expected_files,
    files_on_disk,
    of_file,
    of_list,
    sync,
)

Answer = Dict[str, Any]


def last_line(told: Sync) -> str:
    """Return the last line of a run."""
    return told.stderr.splitlines()[-1]


def public_only(smugmug: FakeSmugMug) -> Dict[str, Optional[str]]:
    """Return variables for a sign-in that sees public albums only."""
    token, secret = smugmug._oauth.access_token("Public")
    return {"SMUGMUG_ACCESS_TOKEN": token, "SMUGMUG_ACCESS_TOKEN_SECRET": secret}


def user_fields(**fields: Any) -> Callable[[Answer], Answer]:
    """Return a function that changes fields of the user in a response."""

    def mangled(answer: Answer) -> Answer:
        answer["Response"]["User"].update(fields)
        return answer

    return mangled


def removed_in_record(run: Run) -> int:
    """Return how many files the record marks as no longer on SmugMug."""
    db = sqlite3.connect(str(run.output / ".smugmug.sqlite3"))
    try:
        count: int = db.execute("SELECT COUNT(*) FROM file WHERE removed").fetchone()[0]
    finally:
        db.close()
    return count


# =================================================================================================
# All: the account's count, the albums' counts and the listings agree.
# =================================================================================================


@pytest.fixture
def mostly_private(account: Account) -> Account:
    """An account with one public photo and two private ones."""
    account.album("Summer").photo()
    for name in ("Winter", "Autumn"):
        account.album(name, privacy="Private").photo()
    return account


@pytest.mark.parametrize("count", [None, 3], ids=["no count", "count"])
def test_a_sign_in_with_public_access_claims_no_success(
    mostly_private: Account, smugmug: FakeSmugMug, run: Run, count: Optional[int]
) -> None:
    if count is not None:
        fields = user_fields(ImageCount=count)
        smugmug.fault("mangle", "!authuser", times=None, function=fields)
    told = sync(run, exit_code=1, env=public_only(smugmug))
    assert last_line(told).startswith(f"1 of {count or 1} are in {run.output}; ")
    assert "access" in told.stderr and "All " not in told.stderr


@pytest.mark.parametrize("nothing", [False, True], ids=["a third", "nothing"])
@pytest.mark.parametrize("count", [None, 3], ids=["no count", "count"])
def test_a_sign_in_that_sees_less_removes_nothing(
    mostly_private: Account, smugmug: FakeSmugMug, run: Run, nothing: bool, count: Optional[int]
) -> None:
    sync(run)
    if nothing:
        mostly_private.albums[0].privacy = "Private"
    if count is not None:
        fields = user_fields(ImageCount=count)
        smugmug.fault("mangle", "!authuser", times=None, function=fields)
    told = sync(run, "--list-removed", exit_code=1, env=public_only(smugmug))
    assert told.stdout == "" and "o longer on SmugMug" not in told.stderr
    assert "access" in told.stderr and removed_in_record(run) == 0
    smugmug.clear_faults()
    assert sync(run).cost == NOTHING_NEW


def test_an_empty_list_of_albums_is_a_failure_if_albums_were_downloaded(
    account: Account, run: Run
) -> None:
    for name in ("Summer", "Winter"):
        account.album(name).photo()
    sync(run)
    albums = list(account.albums)
    for album in albums:
        account.remove(album)
    told = sync(run, exit_code=1)
    assert "SmugMug lists no album, but the record has 2 albums" in told.stderr
    assert "If you deleted all albums on SmugMug, keep this folder" in told.stderr
    assert len(files_on_disk(run.output)) == 2
    other = run.output.parent / "other"
    assert run("-o", other).returncode == 0
    assert "o longer on SmugMug" not in told.stderr and removed_in_record(run) == 0


def test_an_album_that_the_account_still_counts_is_not_removed(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    for name in ("Summer", "Winter", "Autumn"):
        account.album(name).photo()
    sync(run)
    account.remove(account.albums[0])
    smugmug.fault("mangle", "!authuser", function=user_fields(ImageCount=3))
    told = sync(run)
    assert last_line(told) == f"2 of 3 are in {run.output}; 1 in no album that SmugMug lists"
    assert removed_in_record(run) == 0
    assert "No longer on SmugMug: 1 file" in sync(run).stderr


def test_images_in_no_album_are_in_the_last_line(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()
    smugmug.fault("mangle", "!authuser", times=None, function=user_fields(ImageCount=3))
    for _ in range(2):
        told = sync(run)
        assert last_line(told) == f"1 of 3 are in {run.output}; 2 in no album that SmugMug lists"
        assert "SmugMug reports 3 files in the account but 1 in its albums" in told.stderr
    chosen = sync(run, "-a", "Summer")
    assert last_line(chosen) == f"1 photo or video that you asked for is in {run.output}"


def test_an_account_without_a_stated_total_is_not_called_complete(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()
    smugmug.fault("mangle", "!authuser", function=user_fields(ImageCount=None))
    expected = f"1 of 1 are in {run.output}; SmugMug states no total for the account"
    assert last_line(sync(run)) == expected


def test_an_account_without_images_has_nothing_to_claim(run: Run) -> None:
    assert last_line(sync(run)) == "SmugMug lists no photos or videos"


def listing_without(*positions: int) -> Callable[[Answer], Answer]:
    """Return a function that removes entries from a page of images."""

    def mangled(answer: Answer) -> Answer:
        entries: List[Any] = answer["Response"]["AlbumImage"]
        kept = [entry for place, entry in enumerate(entries) if place not in positions]
        answer["Response"]["AlbumImage"] = kept
        answer["Response"]["Pages"].update(Count=len(kept), Total=len(kept))
        return answer

    return mangled


def test_two_incomplete_listings_count_each_image_once(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(6):
        album.photo(f"{number}.JPG")
    smugmug.fault("mangle", of_list(album), function=listing_without(4, 5))
    smugmug.fault("mangle", of_list(album), function=listing_without(0, 1, 5))
    told = sync(run, exit_code=1)
    assert last_line(told) == f"5 of 6 are in {run.output}; 1 not listed; 1 failed"


def test_two_incomplete_listings_may_have_all_images_together(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(6):
        album.photo(f"{number}.JPG")
    smugmug.fault("mangle", of_list(album), function=listing_without(4, 5))
    smugmug.fault("mangle", of_list(album), function=listing_without(0, 1))
    assert last_line(sync(run)) == f"All 6 photos and videos are in {run.output}"
    assert files_on_disk(run.output) == expected_files(album)
    assert removed_in_record(run) == 0


def test_a_record_that_has_lost_images_is_not_called_complete(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photos = [album.photo(f"{number}.JPG") for number in range(3)]
    sync(run)
    (run.output / "Summer" / "0.JPG").unlink()
    db = sqlite3.connect(str(run.output / ".smugmug.sqlite3"))
    db.execute("DELETE FROM file WHERE image_key = ?", (photos[0].key,))
    db.commit()
    db.close()
    told = sync(run)
    assert told.downloads == 1 and files_on_disk(run.output) == expected_files(album)
    assert last_line(told) == f"All 3 photos and videos are in {run.output}"


def test_a_preview_of_two_incomplete_listings_counts_each_file_once(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    for number in range(6):
        album.photo(f"{number}.JPG")
    smugmug.fault("mangle", of_list(album), function=listing_without(4, 5))
    smugmug.fault("mangle", of_list(album), function=listing_without(0, 1))
    told = sync(run, "--dry-run")
    lines = told.stdout.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "Summer: 4 files",
        "Summer: 2 files",
        "To download: 6 files",
    ]
    assert last_line(told) == f"0 of 6 are in {run.output}; 6 to download"


# =================================================================================================
# Deleted: the album's count or a second listing agrees.
# =================================================================================================


def test_passing_404s_do_not_make_a_photo_deleted(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    photo = album.photo("b.JPG")
    smugmug.fault("not_found", of_file(photo))
    smugmug.fault("not_found", f"/api/v2/image/{photo.key}-0")
    told = sync(run)
    assert last_line(told) == f"All 2 photos and videos are in {run.output}"
    assert files_on_disk(run.output) == expected_files(album)
    assert sync(run).downloads == 0


def test_a_photo_that_is_listed_but_never_found_is_a_failure(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    photo = album.photo("b.JPG")
    smugmug.fault("not_found", of_file(photo), times=None)
    smugmug.fault("not_found", f"/api/v2/image/{photo.key}-0", times=None)
    for _ in range(2):
        told = sync(run, exit_code=1)
        assert last_line(told) == f"1 of 2 are in {run.output}; 1 failed"
        assert "Summer/b.JPG: SmugMug cannot find it (404)" in told.stderr
    smugmug.clear_faults()
    assert sync(run).downloads == 1


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
def test_a_photo_deleted_during_the_run_is_deleted(
    account: Account, smugmug: FakeSmugMug, run: Run, counted: bool
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    photo = album.photo("b.JPG")

    def delete(answer: Answer) -> Answer:
        if photo in album.images:
            album.remove(photo)
        return answer

    smugmug.fault("mangle", of_list(album), function=delete)
    if not counted:
        smugmug.fault("not_found", rf"/api/v2/album/{album.key}(\?|$)", times=None)
    told = sync(run, exit_code=0 if counted else 1)
    assert files_on_disk(run.output) == expected_files(album)
    assert ("1 deleted on SmugMug" in told.stderr) is counted
    assert sync(run).stderr.splitlines()[-1] == f"1 photo or video is in {run.output}"


def test_a_second_listing_without_a_photo_confirms_that_it_is_deleted(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album, other = account.album("Summer"), account.album("Winter")
    photo = album.photo("b.JPG")
    kept = other.photo("c.JPG")

    def move(answer: Answer) -> Answer:
        if photo in album.images:
            album.remove(photo)
            album.photo("new.JPG")
        return answer

    smugmug.fault("mangle", of_list(album), function=move)
    told = sync(run)
    assert "1 deleted on SmugMug" in told.stderr
    assert last_line(told) == f"All 2 photos and videos are in {run.output}"
    assert files_on_disk(run.output) == expected_files(album, other) and kept.data


def test_a_photo_replaced_during_the_run_is_downloaded(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photo = album.photo("a.JPG")
    album.photo("b.JPG")
    new = Pattern(5_000, 77, JPEG_MAGIC)

    def replace(answer: Answer) -> Answer:
        if photo.serial == 0:
            photo.replace(new)
        return answer

    smugmug.fault("mangle", of_list(album), function=replace)
    smugmug.fault("not_found", f"/api/v2/image/{photo.key}-0", times=None)
    told = sync(run)
    assert last_line(told) == f"All 2 photos and videos are in {run.output}"
    assert "deleted" not in told.stderr
    assert files_on_disk(run.output) == expected_files(album)


def test_a_suspect_and_a_late_photo_are_settled_by_one_second_listing(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    photo = album.photo("a.JPG")
    account.lag = Lag(listings=1)
    album.photo("late.JPG")
    smugmug.fault("not_found", of_file(photo))
    smugmug.fault("not_found", f"/api/v2/image/{photo.key}-0")
    told = sync(run)
    assert last_line(told) == f"All 2 photos and videos are in {run.output}"
    assert smugmug.count("api", of_list(album)) == 2


# =================================================================================================
# Previews, periods and combinations.
# =================================================================================================


def test_a_preview_that_does_not_fit_on_the_disk_is_a_failure(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo()

    def huge(answer: Answer) -> Answer:
        answer["Response"]["AlbumImage"][0]["ArchivedSize"] = 10**17
        return answer

    smugmug.fault("mangle", of_list(album), function=huge)
    report = run.folder / "report.json"
    told = sync(run, "--dry-run", "--report", report, exit_code=1)
    assert last_line(told) == f"0 of 1 are in {run.output}; 1 to download; not enough space"
    assert told.stderr.count("Not enough space: at least ") == 1
    assert "\nNot enough space (1):\n" in told.stderr
    assert json.loads(report.read_text("utf-8"))["problems"][0]["kind"] == "no_space"
    assert last_line(sync(run, "--dry-run")) == f"0 of 1 are in {run.output}; 1 to download"


def test_periods_without_uploads_are_reported_as_empty(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo()
    day = datetime.now() - timedelta(days=30)
    expected = f"Nothing was uploaded since {day:%Y-%m-%d}"
    for _ in range(2):
        told = sync(run, "--since", f"{day:%Y-%m-%d}")
        assert last_line(told) == expected
    told = sync(run, "--since", f"{day:%Y-%m-%d}", "-a", "Summer")
    albums = "to the albums that you asked for"
    assert last_line(told) == expected.replace("uploaded", f"uploaded {albums}")
    album.photo(uploaded=account.time_of_day())
    sync(run)
    told = sync(run, "--since", f"{day:%Y-%m-%d}", "-a", "Summer")
    assert last_line(told) == f"1 photo or video that you asked for is in {run.output}"


def test_a_period_in_the_future_is_refused(smugmug: FakeSmugMug, run: Run) -> None:
    day = datetime.now() + timedelta(days=2)
    told = sync(run, "--since", f"{day:%Y-%m-%d}", exit_code=2)
    assert "is in the future" in told.stderr and len(told.stderr.splitlines()) == 1
    assert smugmug.requests == []


@pytest.mark.parametrize("option", ["--album=Summer", "--exclude=Summer", "--since=30d"])
def test_a_verification_refuses_a_selection(smugmug: FakeSmugMug, run: Run, option: str) -> None:
    told = sync(run, "--verify", option, exit_code=2)
    assert f"{option.partition('=')[0]} cannot be combined with --verify" in told.stderr
    assert smugmug.requests == []


def test_missing_camera_times_are_mentioned_once(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG", taken=None)
    album.photo("b.JPG", taken=None)
    line = "No camera time: SmugMug states none for 2 new photos, so their upload time is used\n"
    assert sync(run).stderr.count(line) == 1
    assert "camera time" not in sync(run).stderr
    album.photo("c.JPG", taken=None)
    album.photo("d.JPG", taken=datetime(2019, 8, 4))
    assert "camera time" not in sync(run).stderr


# =================================================================================================
# Renamed: only a new name on SmugMug counts.
# =================================================================================================


def test_folders_renamed_by_the_user_keep_their_name(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photo = album.photo()
    sync(run)
    (run.output / "Summer").rename(run.output / "My summer")
    for args in ([], ["--rename"], [], ["--rename", "--full"]):
        told = sync(run, *args)
        assert told.downloads == 0 and "now called" not in told.stderr
        assert files_on_disk(run.output) == {f"My summer/{photo.file_name}": photo.data}

    album.name = "Winter"
    album.touch_settings()
    for _ in range(2):
        told = sync(run)
        expected = "The album in My summer is now called Winter on SmugMug. Use --rename"
        assert told.stderr.count(expected) == 1
    sync(run, "--rename")
    assert files_on_disk(run.output) == {f"Winter/{photo.file_name}": photo.data}
    assert "now called" not in sync(run).stderr


def test_a_record_without_names_learns_them(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    sync(run)
    (run.output / "Summer").rename(run.output / "Mine")
    db = sqlite3.connect(str(run.output / ".smugmug.sqlite3"))
    db.execute("UPDATE album SET name = ''")
    db.commit()
    db.close()
    assert "now called" not in sync(run, "--rename").stderr
    account.albums[0].name = "Winter"
    assert "The album in Mine is now called Winter" in sync(run).stderr


@pytest.mark.parametrize("name", ["Summer", "a/b", "..", "", "CON", "Su\u0308d", "\u202eevil"])
def test_albums_of_one_name_are_not_called_renamed(account: Account, run: Run, name: str) -> None:
    for _ in range(2):
        account.album(name).photo()
    sync(run)
    files = set(files_on_disk(run.output))
    for _ in range(2):
        told = sync(run, "--rename")
        assert told.cost == NOTHING_NEW and "renamed" not in told.stderr
        assert set(files_on_disk(run.output)) == files


# =================================================================================================
# Errors of the disk are not errors of standard output.
# =================================================================================================


def test_only_errors_while_printing_are_about_standard_output() -> None:
    text, exit_code = script.ending(OSError(errno.EIO, "Input/output error", "/mnt/disk"))
    assert exit_code == 1 and "standard output" not in text
    assert re.search("Input/output error.*/mnt/disk", text)


def test_a_report_names_each_result_by_the_words_of_the_table(
    account: Account, run: Run, tmp_path: Path
) -> None:
    album = account.album("Summer")
    album.photo("small.JPG", archived=False, download_uri=False, original_size_listed=False)
    album.photo("slow.JPG", processing=True, uploaded=account.time_of_day(), archived=False)
    sync(run, "--report", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    names = {result.value.json_name for result in script.Result}
    kinds = {problem["kind"] for problem in report["problems"]}
    assert kinds <= names and {"not_original", "processing"} <= kinds
    assert {result.value.json_name for result in script.IMAGE_RESULTS} <= set(report)
    assert report["on_disk"] == report["downloaded"] == report["by_album"][0]["on_disk"] == 1
