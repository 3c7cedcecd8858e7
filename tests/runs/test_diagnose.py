"""--diagnose tells what a bug report needs, and nothing that could tell who sent it."""

from __future__ import annotations

import json
import random
import string
from typing import Any, Dict, List, Set, Tuple

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import MP4_MAGIC, Account, FakeSmugMug, Pattern
from helpers import arm, broken_python, snapshot, sync

WORDS = random.Random(7)


def diagnosis(run: Run, exit_code: int = 0, **options: Any) -> Tuple[Any, str]:
    """Run --diagnose; return its object, and its text."""
    told = sync(run, "--diagnose", exit_code=exit_code, **options)
    return json.loads(told.stdout), told.stdout


def word(letters: str = string.ascii_letters + "\u00e4\u00f6\u6d77\U0001f600") -> str:
    """Return a random text that occurs nowhere by accident."""
    return "".join(WORDS.choice(letters) for _ in range(12))


def request(report: Any, name: str) -> Any:
    """Return the first request of a name."""
    return next(entry for entry in report["requests"] if entry["name"] == name)


def test_a_report_describes_some_twenty_requests(account: Account, run: Run) -> None:
    album = account.album("Summer", folder="Family/Trips")
    album.photo("b.JPG", latitude=47.5, longitude=9.5)
    album.video("c.MOV", content=Pattern(50_000, 1, MP4_MAGIC))
    run.smugmug.clear_requests()
    report, _ = diagnosis(run)
    assert 12 <= len(run.smugmug.requests) <= 24
    assert {entry["status"] for entry in report["requests"]} <= {200, 206}
    assert all(entry["seconds"] >= 0 and "headers" in entry for entry in report["requests"])
    fields = request(report, "page of images")["fields"]
    assert fields["FileName"] == {"text": 2, "lengths": [5, 5]}
    assert fields["IsVideo"] == {"boolean": 2} and fields["Format"]["text"] == 2
    assert request(report, "album with all fields")["fields"].keys() > {"Name", "AlbumKey"}
    assert request(report, "folder")["fields"]["Name"]["text"] == 1
    assert request(report, "video !largestvideo")["objects"] == 1
    assert request(report, "GET of the photo's file")["headers"]["etag"] == '"MD5"'
    assert request(report, "GET of the video's file")["bytes"] == 4096
    assert report["counts"]["photos"] == 1 and report["counts"]["videos with MD5"] == 1
    assert report["counts"]["photos with location"] == 1
    missing = {"no album has HighlightAlbumImageUri", "no image has DateTimeOriginal"}
    assert report["unexpected"].keys() == missing and report["has_proxy"] is True
    assert report["disk"]["max_name_bytes"] == 255 and report["disk"]["sync"] == "works"
    assert set(report["versions"]) >= {"python", "requests", "openssl", "system"}


def test_no_text_of_the_account_is_told(account: Account, run: Run) -> None:
    texts: Set[str] = set()

    account.nickname = word(string.ascii_lowercase)
    texts.add(account.nickname)
    for _ in range(2):
        name, folder = word(), word()
        album = account.album(name, folder=folder, description=word(), keywords=word())
        texts.update([name, folder, album.description, album.keywords, album.key])
        texts.update(part for part in album.url_path.split("/") if len(part) > 5)
        for make in (album.photo, album.video):
            image = make(word() + ".JPG", title=word(), caption=word(), keywords=[word()])
            texts.update([image.title, image.caption, *image.keywords, image.key, image.md5])
            texts.add(image.file_name[:-4])
    report, text = diagnosis(run)
    shown = text.lower() + json.dumps(report, ensure_ascii=False).lower()
    assert len(texts) > 25 and report["counts"]["photos"] >= 1
    assert [secret_text for secret_text in texts if secret_text.lower() in shown] == []
    assert "smugmug.com" not in shown and str(run.folder).lower() not in shown
    assert "oauth" not in shown.replace("requests_oauthlib", "")


def test_nothing_is_written_to_the_output_folder(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    diagnosis(run)
    assert not run.output.exists()
    sync(run)
    before = snapshot(run.output)
    diagnosis(run)
    assert snapshot(run.output) == before


@pytest.mark.parametrize(
    "faults",
    [
        [("server_error", {"status": 500})],
        [("not_found", {})],
        [("reset", {})],
        [("broken_json", {})],
    ],
    ids=str,
)
def test_failing_requests_are_entries(
    account: Account, smugmug: FakeSmugMug, run: Run, faults: List[Tuple[str, Dict[str, Any]]]
) -> None:
    album = account.album("Summer")
    album.photo()
    album.video()
    arm(smugmug, faults, "!largestvideo", times=None)
    arm(smugmug, faults, "cdn", times=None)
    report, _ = diagnosis(run)
    failed = [entry for entry in report["requests"] if entry["status"] not in (200, 206)]
    failed += [entry for entry in report["requests"] if entry.get("is_json") is False]
    assert len(failed) >= 1
    assert request(report, "video !sizedetails")["status"] == 200


def test_a_sign_in_that_fails_is_an_entry(account: Account, run: Run) -> None:
    report, text = diagnosis(run, exit_code=3, env={"SMUGMUG_ACCESS_TOKEN": "revoked-token"})
    assert report["requests"][0]["name"] == "sign-in" and "revoked" not in text
    assert report["versions"] and report["disk"]


def test_surprises_are_named(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    album = account.album("Summer")
    album.photo()

    def strange(answer: Dict[str, Any]) -> Dict[str, Any]:
        for entry in answer["Response"]["AlbumImage"]:
            del entry["Format"], entry["Serial"]
            entry["DateTimeUploaded"] = "2024-01-01T00:00:00+02:00"
            entry["ArchivedMD5"], entry["ArchivedSize"] = "0" * 32, 5
            entry["odd name"] = entry["Secret\u00e4"] = "x"
        answer["Code"] = 207
        return answer

    smugmug.fault("mangle", f"{album.key}!images", function=strange)
    report, text = diagnosis(run)
    assert report["unexpected"].keys() >= {
        "no image has Format",
        "no image has Serial",
        "images without Serial",
        "images whose DateTimeUploaded has an offset other than +00:00",
        "the ETag of the photo's file is not its MD5",
        "HEAD states a different size for the photo's file",
        "responses whose Code differs from their HTTP status",
    }
    assert "odd name" not in text and "Secret" not in text


def test_files_at_other_addresses_are_never_requested(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo()
    album.video(largest_given=False)

    def elsewhere(answer: Dict[str, Any]) -> Dict[str, Any]:
        for entry in answer["Response"]["AlbumImage"]:
            entry["ArchivedUri"] = "https://example.com/secret-D.jpg"
        return answer

    smugmug.fault("mangle", f"{album.key}!images", function=elsewhere)
    report, text = diagnosis(run)
    assert "photo at an address that is not SmugMug's" in report["unexpected"]
    assert "example" not in text and smugmug.count("cdn") == 0


def test_headers_are_told_only_in_known_words() -> None:
    headers = {
        "X-RateLimit-Remaining": "99,802 for jane",
        "Retry-After": "7",
        "Via": "1.1 proxy.janes-company.com (squid), 1.1 x.cloudfront.net (CloudFront)",
        "Content-Type": "image/jpeg; name=jane.jpg",
        "ETag": '"jane"',
        "Server": "jane",
        "Set-Cookie": "jane",
        "Content-Range": "jane",
    }
    told = script.described_probe(script.Probe(200, 0.1234, headers, b"jane", []))
    assert told["headers"] == {
        "x-ratelimit-remaining": "no number",
        "retry-after": 7,
        "via": "squid, cloudfront, cloudfront",
        "content-type": "image/jpeg",
        "etag": "other",
        "content-range": "other",
    }
    assert "jane" not in str(told) and told["bytes"] == 4


@pytest.mark.parametrize(
    "value, name",
    [
        (None, "null"),
        (True, "boolean"),
        (1.5, "number"),
        ("x", "text"),
        ([], "list"),
        ({}, "object"),
    ],
)
def test_json_types_have_names(value: Any, name: str) -> None:
    assert script.type_of_json(value) == name


def test_an_empty_account_has_a_diagnosis(run: Run) -> None:
    report, _ = diagnosis(run)
    assert request(report, "page of albums")["objects"] == 0
    assert "page of albums: no Album" in report["unexpected"]


def test_messages_about_bugs_name_it(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    broken = broken_python(
        run.folder / "broken",
        """
        import os
        os.replace = lambda *paths, replace=os.replace: (
            replace(*paths) if not str(paths[1]).endswith("JPG") else 1 / 0
        )
        """,
    )
    told = sync(run, exit_code=1, env=broken)
    assert "This is a bug" in told.stderr and "--diagnose" in told.stderr
