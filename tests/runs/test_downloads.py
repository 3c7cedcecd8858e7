"""Is every photo and video of every album downloaded once, under its name, or named?"""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import JSON, Account, Album, FakeSmugMug, Image, Pattern
from helpers import expected_files, files_on_disk, hide_image_counts, stop


def all_files(folder: Path) -> Dict[str, bytes]:
    """Return all files below a folder except the record, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".smugmug.sqlite3")
    }


def images_pattern(album: Album, start: int = 1) -> str:
    """Return the pattern of requests for a page of an album's images."""
    return rf"/album/{album.key}!images\?.*start={start}(&|$)"


# =================================================================================================
# A big account
# =================================================================================================

HOSTILE_IMAGES = [  # SmugMug's names, and those valid on every file system
    ("../../../up.jpg", "_up.jpg"),
    ("/etc/passwd", "_etc_passwd.jpg"),
    ("C:\\Windows\\win.ini", "C__Windows_win.ini.jpg"),
    ("nul.jpg", "_nul.jpg"),
    ("red\x1b[31m.jpg", "red_[31m.jpg"),
    ("new\nline.jpg", "new_line.jpg"),
    ("dots...", "dots.jpg"),
    ("what? <*>.jpg", "what_ ___.jpg"),
    ("Cafe\u0301.jpg", "Café.jpg"),
    ("x" * 300 + ".jpg", "x" * 246 + ".jpg"),
    ("😀" * 80 + ".jpg", "😀" * 61 + ".jpg"),
    (".smugmug.sqlite3", "_smugmug.sqlite3.jpg"),
    ("IMG_7058_heic.JPG", "IMG_7058_heic.JPG"),
]


def fill_big_account(account: Account) -> Dict[str, bytes]:
    """Fill a big account and return the expected files."""
    expected: Dict[str, bytes] = {}

    def expect(folder: str, name: str, image: Image) -> None:
        assert f"{folder}/{name}" not in expected
        expected[f"{folder}/{name}"] = image.data

    many = account.album("Thousand and more", folder="Family")
    for number in range(1298):
        name = f"IMG_{number:04}.JPG"
        expect("Thousand and more", name, many.photo(name, Pattern(70, number)))
    for number in range(2):  # the last entries of the last page are expanded as well
        expect("Thousand and more", f"MVI_{number}.mp4", many.video(f"MVI_{number}.mov"))

    first, second, third = (
        account.album(name, folder="Family/Trips") for name in ("Summer", "Summer", "SUMMER")
    )
    expect("Summer", "IMG_1.JPG", first.photo("IMG_1.JPG"))
    expect(f"Summer_{second.key}", "IMG_1.JPG", second.photo("IMG_1.JPG"))
    expect(f"SUMMER_{third.key}", "IMG_1.JPG", third.photo("IMG_1.JPG"))

    twins = account.album("Twins", folder="Work")
    expect("Twins", "IMG_1.JPG", twins.photo("IMG_1.JPG"))
    for name in ("IMG_1.JPG", "img_1.jpg"):
        photo = twins.photo(name)
        stem, extension = name.split(".")
        expect("Twins", f"{stem}_{photo.key}.{extension}", photo)
    expect("Twins", "Café.jpg", twins.photo("Café.jpg"))
    photo = twins.photo("Cafe\u0301.jpg")
    expect("Twins", f"Café_{photo.key}.jpg", photo)
    expect("Twins", "IMG_2.JPG", twins.photo("IMG_2.JPG"))
    video = twins.video("IMG_2.MOV")
    expect("Twins", "IMG_2.mp4", video)

    nameless = account.album("", folder="Work")
    photo, video = nameless.photo(""), nameless.video("")
    expect(nameless.key, f"{photo.key}.jpg", photo)
    expect(nameless.key, f"{video.key}.mp4", video)

    hostile = account.album("../../Trip: Rome/Paris?\x1b[2J")
    for wanted, safe in HOSTILE_IMAGES:
        expect("_Trip_ Rome_Paris__[2J", safe, hostile.photo(wanted))

    dots = account.album("..")
    expect(dots.key, "IMG_1.JPG", dots.photo())

    private = account.album("Only for me", privacy="Private")
    expect("Only for me", "IMG_1.JPG", private.photo())
    expect("Only for me", "MVI_1.mp4", private.video("MVI_1.mov"))
    unlisted = account.album("Not for all", privacy="Unlisted", external_links=False)
    expect("Not for all", "My name.JPG", unlisted.photo("My name.JPG", hidden=True))
    unlisted.collect(first.images[0])
    expect("Not for all", "IMG_1.JPG", first.images[0])

    account.album("Nothing in it")
    account.album("CON")
    assert len(account.albums) == 12
    return expected


def test_big_accounts_are_downloaded_once_and_the_second_run_downloads_nothing(
    run: Run, smugmug: FakeSmugMug, account: Account, tmp_path: Path
) -> None:
    expected = fill_big_account(account)
    result = run(timeout=300)
    assert result.returncode == 0, result.stderr

    found = all_files(run.output)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
    elsewhere = {"home/config/download_smugmug_photos/folders.json"}
    assert (
        all_files(tmp_path).keys() == {f"smugmug_photos/{name}" for name in expected} | elsewhere
    )

    image_pages = sum(max(1, -(-len(album.entries) // 100)) for album in account.albums)
    assert image_pages == 11 + 13
    # the album listed first may be read in smaller pages
    assert 0 <= smugmug.count("api") - (1 + 1 + image_pages) <= 1
    images = {entry.image.key for album in account.albums for entry in album.entries}
    assert smugmug.count("cdn") == len(images)  # an image in two albums is downloaded once
    assert smugmug.count() == smugmug.count("api") + smugmug.count("cdn")

    lines = result.stderr.splitlines()
    for line in (
        "Thousand and more: 1,300 downloaded",
        "Nothing in it: nothing to download",
        "_CON: nothing to download",
    ):
        assert line in lines
    # Albums are compared by folder, so that two with the same name are told apart; one may be
    # listed after its copy.
    assert {"Summer: 1 downloaded", "Summer: 1 copied"} & set(lines)
    assert [line for line in lines if re.match("Summer_[A-Za-z0-9]+: 1 downloaded$", line)] != []
    assert "\x1b" not in result.stderr

    smugmug.clear_requests()
    again = run()
    assert again.returncode == 0
    assert smugmug.count("cdn") == 0
    assert all_files(run.output) == found


@pytest.fixture
def small(account: Account) -> List[Album]:
    """Add three albums of three photos each."""
    albums = [account.album(name) for name in ("Spring", "Summer", "Winter")]
    for album in albums:
        for number in (1, 2, 3):
            album.photo(f"{album.name} {number}.jpg")
    return albums


# =================================================================================================
# Requests
# =================================================================================================


def test_pages_are_requested_in_the_right_size_with_only_needed_fields(
    run: Run, smugmug: FakeSmugMug, account: Account
) -> None:
    for number in range(100):
        account.album(f"Album {number:03}")
    long_album = account.album("Long")
    long_album.fill(501, 60)
    assert "501 to download" in run("-n").stderr

    listings = smugmug.select("api", "!albums")
    assert [(record.query["start"], record.query["count"]) for record in listings] == [
        ("1", "100"),
        ("101", "100"),
    ]
    pages = smugmug.select("api", f"{long_album.key}!images")
    assert sorted((int(record.query["start"]), record.query["count"]) for record in pages) == [
        (start, "100") for start in range(1, 502, 100)
    ]
    assert smugmug.count("api") == 1 + 2 + 100 + 6

    for record in smugmug.select("api"):
        assert record.query["_verbosity"] == "1"
        assert record.query["_filter"] and "_filteruri" in record.query
        assert record.headers["accept"] == "application/json"
    assert all(
        "LargestVideo" in record.query["_expand"].split(",")
        for record in smugmug.select("api", "!images")
    )


def test_every_request_has_a_new_signature(
    run: Run, smugmug: FakeSmugMug, small: List[Album]
) -> None:
    assert run().returncode == 0
    assert smugmug.count("api") == 5 and smugmug.count("cdn") == 9
    assert [record.line for record in smugmug.requests if not record.signed] == []
    headers = [record.headers["authorization"] for record in smugmug.requests]
    assert len(set(headers)) == len(headers)


@pytest.mark.parametrize("answer", ["empty", "html"])
def test_private_files_are_downloaded_with_signed_requests(
    run: Run, smugmug: FakeSmugMug, account: Account, answer: str
) -> None:
    smugmug.private_answer = answer
    photo = account.album("Only for me", privacy="Private").photo()
    video = account.album("No links", external_links=False).video("MVI_1.mov")
    assert run().returncode == 0
    assert files_on_disk(run.output) == {
        "Only for me/IMG_1.JPG": photo.data,
        "No links/MVI_1.mp4": video.data,
    }


def test_files_on_other_hosts_are_not_requested(
    run: Run, smugmug: FakeSmugMug, small: List[Album]
) -> None:
    spring, summer, winter = small
    smugmug.fault(
        "foreign_uri",
        f"{summer.key}!images",
        times=None,
        url="https://photos.smugmug.com.evil.example/x.jpg",
    )
    result = run()
    assert result.returncode == 1
    assert files_on_disk(run.output) == expected_files(spring, winter)
    assert smugmug.count("abroad") == 0
    assert re.search(
        r"Failed \(3\):\n  Summer/.*, Summer/.*, Summer/.*: .*evil.example", result.stderr
    )


# =================================================================================================
# Malformed lists
# =================================================================================================


def test_accounts_without_albums_are_complete_at_once(run: Run, smugmug: FakeSmugMug) -> None:
    result = run()  # the list lacks its key, like every empty list
    assert result.returncode == 0
    assert files_on_disk(run.output) == {}
    assert smugmug.count("api") == 2


def test_images_listed_twice_are_downloaded_once(
    run: Run, smugmug: FakeSmugMug, small: List[Album]
) -> None:
    smugmug.fault("duplicate_item", f"{small[0].key}!images", times=None)
    assert run().returncode == 0
    assert files_on_disk(run.output) == expected_files(*small)
    assert smugmug.count("cdn") == 9


def test_albums_listed_twice_are_downloaded_once(
    run: Run, smugmug: FakeSmugMug, small: List[Album]
) -> None:
    smugmug.fault("duplicate_item", "!albums", times=None)
    assert run().returncode == 0
    assert files_on_disk(run.output) == expected_files(*small)
    assert smugmug.count("cdn") == 9 and smugmug.count("api", "!images") == 3


def test_lists_that_change_while_being_read_are_read_again(
    run: Run, smugmug: FakeSmugMug, small: List[Album]
) -> None:
    albums_fault = smugmug.fault("lost_item", "!albums")
    images_fault = smugmug.fault("lost_item", "!images")
    assert run().returncode == 0
    assert albums_fault.hits == images_fault.hits == 1
    assert files_on_disk(run.output) == expected_files(*small)
    assert smugmug.count("api") == 1 + 2 + 4


def without_total(answer: JSON) -> JSON:
    """Return a list without its total."""
    del answer["Response"]["Pages"]["Total"]
    return answer


def without_images(answer: JSON) -> JSON:
    """Return a list that claims to be empty."""
    answer["Response"].pop("AlbumImage", None)
    answer["Response"]["Pages"].update(Total=0, Count=0)
    return answer


@pytest.mark.parametrize(
    "fault, options, missing, reason",
    [
        ("wrong_total", {"by": 1}, 0, "3 of 4 entries"),
        ("lost_item", {"item": 1}, 1, "2 of 3 entries"),
        ("mangle", {"function": without_total}, 0, "SmugMug states no total"),
        (
            "mangle",
            {"function": without_images},
            3,
            "reports 3 photos and videos in this album but lists",
        ),
    ],
)
def test_lists_shorter_than_stated_fail_only_their_album(
    run: Run,
    smugmug: FakeSmugMug,
    small: List[Album],
    fault: str,
    options: Dict[str, Any],
    missing: int,
    reason: str,
) -> None:
    _, summer, _ = small
    smugmug.fault(fault, f"{summer.key}!images", times=None, **options)
    result = run()
    assert result.returncode == 1
    found = files_on_disk(run.output)
    assert len(found) == 9 - missing and found.items() <= expected_files(*small).items()
    assert any(
        line.strip().startswith("Summer: ") and reason in line
        for line in result.stderr.splitlines()
    )

    smugmug.clear_faults()
    smugmug.clear_requests()
    assert run().returncode == 0  # the album does not count as complete
    assert files_on_disk(run.output) == expected_files(*small)
    assert smugmug.count("cdn") == missing


def test_lists_longer_than_stated_are_no_failure(
    run: Run, smugmug: FakeSmugMug, small: List[Album]
) -> None:
    _, summer, _ = small
    smugmug.fault("wrong_total", f"{summer.key}!images", times=None, by=-1)
    result = run()
    assert result.returncode == 0 and "All 9 photos and videos are in " in result.stderr
    assert files_on_disk(run.output) == expected_files(*small)
    assert smugmug.count("api", f"{summer.key}!images") == 1


@pytest.mark.parametrize(
    "fault, options", [("wrong_total", {"by": 1}), ("mangle", {"function": without_total})]
)
def test_lists_of_albums_that_differ_from_their_total_are_a_failure(
    run: Run, smugmug: FakeSmugMug, small: List[Album], fault: str, options: Dict[str, Any]
) -> None:
    smugmug.fault(fault, "!albums", times=None, **options)
    result = run()
    assert result.returncode == 1
    assert "the list of albums" in result.stderr
    assert files_on_disk(run.output) == expected_files(*small)


def test_later_pages_that_are_not_found_are_requested_again(
    run: Run, smugmug: FakeSmugMug, account: Account
) -> None:
    for number in range(101):
        account.album(f"Album {number:03}")
    long_album = account.albums[0]
    long_album.fill(501, 60)
    faults = [
        smugmug.fault("not_found", r"!albums\?.*start=101"),
        smugmug.fault("not_found", images_pattern(long_album, 501)),
    ]
    assert "501 to download" in run("-n").stderr
    assert [fault.hits for fault in faults] == [1, 1]
    assert smugmug.count("api") == 1 + 3 + 7 + 100


def test_listed_images_are_downloaded_if_the_listing_breaks_off(
    run: Run, smugmug: FakeSmugMug, account: Account
) -> None:
    album = account.album("Summer")
    album.fill(501, 60)
    hide_image_counts(smugmug)
    smugmug.fault("respond", images_pattern(album, 501), times=None, status=403)
    result = run()
    assert (
        result.returncode == 1
        and "Summer: entry 501 of the list could not be read: SmugMug returned HTTP 403"
        in result.stderr
    )
    assert len(files_on_disk(run.output)) == smugmug.count("cdn") == 500
    smugmug.clear_faults()
    smugmug.clear_requests()
    assert run().returncode == 0
    assert len(files_on_disk(run.output)) == 501 and smugmug.count("cdn") == 1


def test_albums_that_are_not_found_fail_alone(
    run: Run, smugmug: FakeSmugMug, small: List[Album]
) -> None:
    spring, summer, winter = small
    smugmug.fault("not_found", images_pattern(summer), times=None)
    result = run()
    assert result.returncode == 1
    assert files_on_disk(run.output) == expected_files(spring, winter)
    assert any(
        line.strip().startswith("Summer: ") and "404" in line
        for line in result.stderr.splitlines()
    )
    # the first page, and again at the end of the run
    assert smugmug.count("api", f"{summer.key}!images") == 2


def test_failing_lists_of_albums_end_the_run(
    run: Run, smugmug: FakeSmugMug, small: List[Album]
) -> None:
    smugmug.fault("not_found", "!albums", times=None)
    result = run()
    assert result.returncode == 2
    assert "404" in result.stderr
    assert files_on_disk(run.output) == {}


# =================================================================================================
# Odd responses
# =================================================================================================


def odd(change: Callable[[JSON], None]) -> Callable[[JSON], JSON]:
    """Return a response with its first listed object changed."""

    def changed(answer: JSON) -> JSON:
        body = answer["Response"]
        change(body[body["Locator"]][0])
        return answer

    return changed


@pytest.mark.parametrize(
    "fields",
    [
        {"ImageKey": "../../../K"},
        {"ImageKey": ""},
        {"ImageKey": None},
        {"ImageKey": ["K"]},
        {"ImageKey": "K" * 300},
    ],
)
def test_images_with_an_invalid_key_fail_alone(
    run: Run, smugmug: FakeSmugMug, small: List[Album], tmp_path: Path, fields: JSON
) -> None:
    _, summer, _ = small
    smugmug.fault(
        "mangle",
        f"{summer.key}!images",
        times=None,
        function=odd(lambda entry: entry.update(fields)),
    )
    result = run()
    assert result.returncode == 1
    expected = expected_files(*small)
    del expected["Summer/Summer 1.jpg"]
    found = all_files(tmp_path)
    found.pop("home/config/download_smugmug_photos/folders.json")
    assert found == {f"smugmug_photos/{name}": content for name, content in expected.items()}


@pytest.mark.parametrize(
    "fields",
    [
        {"ArchivedMD5": "../../../../evil"},
        {"ArchivedMD5": 7, "ArchivedSize": "many"},
        {"Serial": "../../../0"},
        {"FileName": 7, "Date": [], "DateTimeUploaded": {}},
        {"Uris": [], "Status": 0, "OriginalSize": -1},
    ],
)
def test_fields_with_impossible_values_are_harmless(
    run: Run, smugmug: FakeSmugMug, small: List[Album], tmp_path: Path, fields: JSON
) -> None:
    smugmug.fault(
        "mangle",
        f"{small[1].key}!images",
        times=None,
        function=odd(lambda entry: entry.update(fields)),
    )
    # so that a part file is resumed as well
    smugmug.fault("cut", "photos.smugmug.com", times=1, at=20)
    run()
    found = all_files(tmp_path)
    found.pop("home/config/download_smugmug_photos/folders.json")
    assert sorted(found.values()) == sorted(expected_files(*small).values())
    assert {name.rpartition("/")[0] for name in found} == {
        f"smugmug_photos/{album.name}" for album in small
    }


# =================================================================================================
# Messages and exit codes
# =================================================================================================


def test_one_bad_image_is_named_and_stops_no_other(
    run: Run, smugmug: FakeSmugMug, small: List[Album]
) -> None:
    _, summer, _ = small
    bad = summer.images[1]
    smugmug.fault("not_found", f"/i-{bad.key}/", times=None)
    result = run()
    assert result.returncode == 1
    expected = expected_files(*small)
    del expected["Summer/Summer 2.jpg"]
    assert files_on_disk(run.output) == expected

    lines = result.stderr.splitlines()
    assert "Summer: 2 downloaded, 1 failed" in lines
    assert "Spring: 3 downloaded" in lines and "Winter: 3 downloaded" in lines
    assert "Files: 8 downloaded, 0 already there, 1 failed" in lines
    assert any(line.startswith("  Summer/Summer 2.jpg: ") and "404" in line for line in lines)

    smugmug.clear_faults()
    smugmug.clear_requests()
    again = run()
    assert again.returncode == 0
    assert files_on_disk(run.output) == expected_files(*small)
    assert smugmug.count("cdn") == 1
    assert "Files: 1 downloaded, 8 already there, 0 failed" in again.stderr.splitlines()


def test_the_summary_states_bytes_and_time(run: Run, small: List[Album]) -> None:
    last = run().stderr.splitlines()[-2]
    assert sum(image.size for album in small for image in album.images) == 18009
    assert last.startswith("18.0 kB in ") and " s" in last


def test_quiet_prints_only_the_summary(run: Run, small: List[Album]) -> None:
    result = run("-q")
    assert result.returncode == 0
    assert "Spring: 3 downloaded" not in result.stderr
    assert "Files: 9 downloaded" in result.stderr


def test_names_from_smugmug_are_harmless_to_a_terminal(
    run: Run, smugmug: FakeSmugMug, account: Account
) -> None:
    album = account.album("red\x1b[31m\u202e album\r")
    album.photo("clear\x1b[2J.jpg\n")
    album.photo("good.jpg")
    smugmug.fault("not_found", f"/i-{album.images[0].key}/", times=None)
    result = run("-v")
    assert result.returncode == 1
    said = result.stderr + result.stdout
    assert [
        character for character in said if not character.isprintable() and character != "\n"
    ] == []
    assert "album" in said and "good.jpg" in said


def test_folders_that_cannot_be_made_exit_with_2(
    run: Run, smugmug: FakeSmugMug, small: List[Album], tmp_path: Path
) -> None:
    (tmp_path / "taken").write_bytes(b"a file")
    result = run("--output", tmp_path / "taken")
    assert result.returncode == 2
    assert "taken" in result.stderr
    assert (tmp_path / "taken").read_bytes() == b"a file"
    assert smugmug.count("cdn") == 0


def test_unknown_options_exit_with_2(run: Run, smugmug: FakeSmugMug) -> None:
    assert run("--no-such-option").returncode == 2
    assert smugmug.requests == []


def test_locked_albums_are_named_and_the_rest_downloaded(
    run: Run, account: Account, small: List[Album]
) -> None:
    account.album("Secret club", security="Password", locked=True).photo()
    result = run()
    assert files_on_disk(run.output) == expected_files(*small)
    assert any(
        line.strip().startswith("Secret club: ") and "locked" in line
        for line in result.stderr.splitlines()
    )


# =================================================================================================
# Files that no program can download
# =================================================================================================


def test_photos_with_files_only_on_smugmugs_website_are_named(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Wedding")
    album.photo("IMG_1.JPG", component_file_types={"Image": ["JPG", "NEF"], "Other": ["xmp"]})
    album.photo("IMG_2.JPG", component_file_types={"Image": ["jpg"]})
    album.photo("IMG_3.JPG", component_file_types=["jpg"])
    album.video("MVI_4.MOV", component_file_types={"Video": ["mov"]})
    result = run("--report", run.folder / "report.json")
    assert result.returncode == 0
    assert len(files_on_disk(run.output)) == 4
    assert "In SmugMug Source (1):\n  Wedding/IMG_1.JPG: nef, xmp\n" in result.stderr
    kinds = [
        problem["kind"]
        for problem in json.loads((run.folder / "report.json").read_text())["problems"]
    ]
    assert kinds == ["in_source"]
    for args in ([], ["--full"]):
        again = run(*args).stderr
        assert "In SmugMug Source (1):\n  Wedding/IMG_1.JPG: nef, xmp\n" in again
        assert again.endswith(
            "; 1 photo with a RAW or other source file that is only on SmugMug's website; "
            "1 video re-encoded\n"
        )


def test_many_photos_in_smugmug_source_are_all_named_only_in_verbose_runs(
    account: Account, run: Run
) -> None:
    album = account.album("Wedding")
    for number in range(25):
        album.photo(f"IMG_{number:02}.JPG", component_file_types={"Image": ["nef"]})
    told = run("-v").stderr
    summary = told[told.index("In SmugMug Source (25):") :]
    assert (
        "  Wedding/IMG_00.JPG, Wedding/IMG_01.JPG, Wedding/IMG_02.JPG and 22 more: nef\n"
        in summary
    )
    assert "in SmugMug Source: Wedding/IMG_24.JPG: nef\n" in told


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_worker_keeps_one_connection_to_each_host(
    account: Account, smugmug: FakeSmugMug, run: Run, jobs: int
) -> None:
    for number in range(3):
        album = account.album(f"Album {number}")
        for index in range(8):
            album.photo(f"IMG_{index}.JPG")
        album.photo("unlisted.JPG", archived=False)  # takes a request by the worker

    result = run("-j", jobs)

    assert result.returncode == 0 and files_on_disk(run.output) == expected_files(*account.albums)
    assert smugmug.connections("photos.smugmug.com") <= jobs
    assert len({record.connection_id for record in smugmug.select("api", "!download")}) <= jobs


def test_albums_are_listed_no_further_ahead_than_downloads_need(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    for number in range(40):
        account.album(f"Album {number}").fill(200, 60)
    smugmug.fault("stall", where="cdn", seconds=3, before_headers=True)

    process = run.start("-j", 1)
    smugmug.wait_for(lambda: smugmug.count("cdn") >= 2)
    listed = {record.path for record in smugmug.select("api", "!images")}
    stop(process, signal.SIGINT)

    enough = script.JOBS_AHEAD // 200
    assert enough <= len(listed) <= enough + script.LISTING_THREADS
