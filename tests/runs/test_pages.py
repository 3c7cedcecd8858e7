"""Do the pages of --sidecar html state the right facts and work in a real browser?"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import struct
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

import download_smugmug_photos as script
from browser import REASON, Browser, find_browser
from conftest import SCRIPT, Run
from demo import demo_account, drawn_png
from fake_smugmug import JPEG_MAGIC, Account, Album, Authority, FakeSmugMug, Pattern, Photo
from helpers import (
    NOTHING_NEW,
    edit,
    files_on_disk,
    image_of,
    of_file,
    of_list,
    parse_album,
    run_unchanged,
    stop,
    sync,
)

HTML = ("--sidecar", "html")
SCREENSHOT = SCRIPT.parent / "tests" / "album-page.png"


# =================================================================================================
# Parsing the output
# =================================================================================================


class Page:
    """Content of a page: `texts` of each card on one line, `links` with their targets."""

    def __init__(self, path: Path) -> None:
        source = path.read_text(encoding="utf-8")
        data = json.loads(
            source.partition('<script type="application/json">')[2].partition("</script>")[0]
        )
        cards: List[Dict[str, Any]] = data["cards"]
        self.title, self.about, self.up = data["title"], data["about"], data["up"]
        self.facts, self.checked, self.web = data["facts"], data["checked"], data["web"]
        self.folders = [card.get("folder") for card in cards]
        self.titles = [card["title"] for card in cards]
        self.texts = [
            "\n".join(filter(None, (card[name] for name in ("title", "text", "facts", "note"))))
            for card in cards
        ]
        self.details = [card["details"] for card in cards]
        self.links = [card["href"] for card in cards]
        self.views = [(card["view"], card["src"]) for card in cards]


MONTH = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) 20[0-9]{2}"


def today() -> str:
    """Return the date in the form that pages use."""
    now = datetime.now()
    return f"{now.day} {now:%b %Y}"


def overview(run: Run) -> Page:
    """Return the page of all albums."""
    return Page(run.output / "index.html")


def pages(run: Run) -> List[str]:
    """Return the pages in the output folder."""
    return [name for name in files_on_disk(run.output) if name.endswith(".html")]


def as_stored(run: Run) -> Dict[str, Tuple[int, bytes]]:
    """Return the pages with what shows if one was written again."""
    return {
        name: ((run.output / name).stat().st_ino, (run.output / name).read_bytes())
        for name in pages(run)
    }


# =================================================================================================
# Contents
# =================================================================================================


def test_album_pages_show_images_in_order_and_missing_ones_in_place(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer", description="By the sea")
    album.photo(
        "b.JPG",
        title="The lake",
        caption="At dawn\nwith swans",
        keywords=["lake", "swan"],
        latitude="47.5",
        longitude="-122.25",
        taken=datetime(2019, 8, 4, 11, 28, 12),
    )
    broken = album.photo("c.JPG")
    # its sign may be lost
    album.video("a.MOV", caption="Ducks", latitude="47.5", longitude="8.5")
    album.video("none.MOV", playable=False)
    smugmug.fault("server_error", where=of_file(broken), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    page = Page(run.output / "Summer" / "index.html")
    assert (page.title, page.about) == ("Summer", "By the sea")
    assert page.up == f"../index.html#{album.key}"
    assert page.facts == "1 photo and 1 video"
    lake, lost, video, none = page.texts
    assert lake == "The lake\nAt dawn\nwith swans\n4 Aug 2019, 11:28"
    assert page.details[0] == (
        "4 Aug 2019, 11:28 \u00b7 lake, swan \u00b7 47.5, -122.25 \u00b7 b.JPG"
    )
    assert re.fullmatch(r"c\.JPG\nSmugMug returned HTTP 404.*", lost)
    assert video == "a.mp4\nDucks\nre-encoded by SmugMug"
    assert none == "none.MOV\nSmugMug offers no downloadable file"
    assert page.links == ["b.JPG", "", "a.mp4", ""]
    assert page.views == [("img", "b.JPG"), ("p", ""), ("video", "a.mp4"), ("p", "")]
    (text,) = overview(run).texts
    assert re.fullmatch(
        f"Summer\nBy the sea\nAug 2019 \u2013 {MONTH} \u00b7 1 photo and 1 video\n"
        "2 missing: SmugMug offers no downloadable file; SmugMug returned HTTP 404"
        " \u00b7 1 smaller or re-encoded",
        text,
    )


def test_the_overview_shows_smugmugs_folders_and_the_files_on_disk(
    account: Account, run: Run
) -> None:
    for name, folder in (("Rome", "Family/Trips"), ("Garden", "Family"), ("Empty", "")):
        album = account.album(name, folder=folder)
        if name != "Empty":
            album.photo("b.JPG")
            album.photo("a.JPG")
    sync(run, *HTML, "--layout", "tree")
    page = overview(run)
    assert (page.title, page.facts, page.up) == ("Albums of family", "4 photos in 3 albums", "")
    assert page.checked == today()
    assert page.folders == ["", "Family", "Family / Trips"]
    assert page.titles == ["Empty", "Garden", "Rome"]
    assert page.links == [
        "Empty/index.html",
        "Family/Garden/index.html",
        "Family/Trips/Rome/index.html",
    ]
    assert page.views == [
        ("", ""),
        ("img", "Family/Garden/a.JPG"),
        ("img", "Family/Trips/Rome/a.JPG"),
    ]
    rome = Page(run.output / "Family" / "Trips" / "Rome" / "index.html")
    assert rome.up == f"../../../index.html#{account.albums[0].key}"
    assert page.texts[0] == "Empty\nno photos"
    assert re.fullmatch(f"Garden\n{MONTH} \u00b7 2 photos", page.texts[1])


def test_albums_of_one_name_are_told_apart_by_their_folders(account: Account, run: Run) -> None:
    for name in ("Summer", "Summer", "Winter"):
        account.album(name).photo()
    sync(run, *HTML)
    facts = [text.splitlines()[1].split(" \u00b7 ") for text in overview(run).texts]
    assert [len(parts) for parts in facts] == [3, 3, 2]
    for parts in facts[:2]:
        assert (run.output / parts[0] / "IMG_1.JPG").is_file()
    assert facts[0][0] != facts[1][0]


def test_covers_are_those_the_owner_chose_if_on_disk(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    chosen, video, lost = (account.album(name) for name in ("Chosen", "Video", "Lost"))
    for album in (chosen, video, lost):
        album.photo("a.JPG")
        album.highlight = album.video("b.MOV") if album is video else album.photo("b.JPG")
    smugmug.fault("server_error", where=of_file(lost.images[1]), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    assert overview(run).views == [
        ("img", "Chosen/b.JPG"),
        ("img", "Lost/a.JPG"),
        ("img", "Video/a.JPG"),
    ]
    chosen.highlight = chosen.images[0]
    sync(run, *HTML, exit_code=1)
    assert overview(run).views[0] == ("img", "Chosen/a.JPG")


def test_cards_hold_no_bookkeeping(account: Account, run: Run) -> None:
    account.album("Summer").photo(taken=datetime(2019, 8, 4, 11, 28, 12))
    sync(run, *HTML, "--verify")
    sync(run, *HTML, "--verify")
    assert overview(run).texts == ["Summer\nAug 2019 \u00b7 1 photo"]
    assert overview(run).facts == f"1 photo in 1 album; 1 album verified, the first on {today()}"


def test_the_overview_counts_verified_albums_whatever_is_run_later(
    account: Account, run: Run
) -> None:
    old = account.album("Old")
    old.photo()
    sync(run, *HTML)
    assert "verified" not in overview(run).facts
    sync(run, *HTML, "--verify")
    account.album("Young").photo()
    for more in ([], ["--since", "1d"], ["-x", "Old"], ["--full"]):  # none of these forgets it
        old.photo(f"{len(old.images)}.JPG")
        sync(run, *HTML, *more)
        assert f"; 1 album verified, the first on {today()}" in overview(run).facts
    sync(run, "--verify", "-n")  # leaves no trace
    assert "; 1 album verified" in overview(run).facts
    (run.output / "Young" / "IMG_1.JPG").unlink()
    sync(run, *HTML, "--verify")  # downloaded again, but it was not intact
    assert "; 1 album verified" in overview(run).facts


def test_the_overview_includes_skipped_and_deleted_albums(account: Account, run: Run) -> None:
    old, other = account.album("Old"), account.album("Other")
    old.photo()
    other.photo()
    other.photo("b.JPG")
    sync(run, *HTML, "-a", "Old")
    page = overview(run)
    assert page.titles == ["Old", "Other"]
    assert page.facts == "1 photo in 2 albums; SmugMug reports 3"
    assert page.links == ["Old/index.html", ""]
    assert page.texts[1] == "Other\nno photos\n2 missing: not downloaded yet"
    sync(run, *HTML, "-x", "Old")
    assert overview(run).texts[1].endswith("2 photos")
    account.remove(old)
    other.remove(other.images[0])
    sync(run, *HTML)
    page = overview(run)
    assert page.folders == ["", "Not in SmugMug's list of albums"]
    assert page.texts[0].endswith("2 photos")  # one is no longer on SmugMug
    assert page.texts[1].startswith("Old\n") and page.texts[1].endswith("1 photo")
    assert page.links[1] == "Old/index.html"
    assert page.facts == "1 photo in 2 albums"


def test_the_overview_counts_no_file_that_the_user_deleted(account: Account, run: Run) -> None:
    for name in ("Old", "Other"):
        account.album(name).photo()
    sync(run, *HTML)
    (run.output / "Old" / "IMG_1.JPG").unlink()
    sync(run, "-x", "Old")
    page = overview(run)
    assert page.texts[0] == "Old\nno photos\n1 missing: not downloaded yet"
    assert page.views[0] == ("", "")


def test_the_overview_states_why_an_album_could_not_be_listed(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo()
    smugmug.fault("server_error", where=of_list(album), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    text = overview(run).texts[0]
    assert re.search(r"\n1 missing: the album could not be listed: SmugMug .*404", text)
    assert pages(run) == ["index.html"]
    assert overview(run).links == [""]


def test_lost_photos_are_shown_as_missing(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photos = [account.album("Summer").photo("a.JPG"), account.albums[0].photo("b.JPG")]
    sync(run, *HTML)
    (run.output / "Summer" / "a.JPG").unlink()
    smugmug.fault("server_error", where=of_file(photos[0]), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    assert re.search(r"1 photo\n1 missing: SmugMug .*404", overview(run).texts[0])
    page = Page(run.output / "Summer" / "index.html")
    assert re.search(r"\nSmugMug .*404", page.texts[0]) and page.links == ["", "b.JPG"]


def test_failed_runs_write_no_page(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    sync(run, *HTML, "-a", "Winter", exit_code=2)
    assert pages(run) == []


def test_renames_give_no_album_folder_the_name_of_the_page(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo()
    sync(run)
    album.name = "index.html"
    sync(run, *HTML, "--rename")
    assert pages(run) == ["index.html", f"index_{album.key}.html/index.html"]


def test_the_overview_stays_if_albums_cannot_be_listed(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    account.album("Summer").photo()
    sync(run, *HTML)
    before = as_stored(run)
    smugmug.fault("server_error", where="!albums", times=None, status=404)
    sync(run, *HTML, exit_code=2)
    assert as_stored(run) == before


def test_interrupted_runs_leave_pages_of_complete_albums(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows sends no signals to other processes")
    done, endless = account.album("Done"), account.album("Endless")
    done.photo()
    photo = endless.photo("big.JPG", Pattern(3_000_000, 1, JPEG_MAGIC))
    smugmug.fault("stall", where=f"/i-{photo.key}/", after_bytes=400_000)
    process = run.start(*HTML)
    smugmug.wait_for(lambda: smugmug.count("cdn") >= 2)
    ends_at = time.monotonic() + 120
    while not (run.output / "Done" / "index.html").exists():
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    stop(process, signal.SIGINT)
    smugmug.clear_faults()
    assert process.returncode == 130
    assert pages(run) == ["Done/index.html"]
    sync(run, *HTML)
    assert pages(run) == ["Done/index.html", "Endless/index.html", "index.html"]


# =================================================================================================
# Updates
# =================================================================================================


def test_plain_runs_update_existing_pages_and_ask_for_no_more(account: Account, run: Run) -> None:
    summer, winter = account.album("Summer"), account.album("Winter")
    summer.photo("a.JPG", caption="Swans")
    winter.photo("b.JPG")
    sync(run, *HTML, "-a", "Summer", "--since", "1d")
    page = Page(run.output / "Summer" / "index.html")
    assert page.texts[0].endswith("\nnot downloaded yet")
    assert overview(run).texts[0].endswith("\n1 missing: not downloaded yet")
    result = sync(run)
    assert result.cost == (2 + 2, 2)
    assert "\nSidecars: 0 written, 2 changed\n" in result.stderr and "Pages:" not in result.stderr
    page = Page(run.output / "Summer" / "index.html")
    assert page.views == [("img", "a.JPG")] and page.texts[0].startswith("a.JPG\nSwans")
    assert "missing" not in "".join(overview(run).texts)
    assert overview(run).links == ["Summer/index.html", "Winter/"]
    assert pages(run) == ["Summer/index.html", "index.html"]  # --sidecar alone makes new ones


def test_pages_in_moved_folders_link_to_the_overview(account: Account, run: Run) -> None:
    album, other = account.album("Summer", description='"up": "elsewhere"'), account.album("Own")
    for each in (album, other):
        each.photo()
    sync(run, *HTML)
    (run.output / "Own" / "index.html").write_text("mine")
    (run.output / "2019" / "May").mkdir(parents=True)
    for name in ("Summer", "Own"):
        (run.output / name).rename(run.output / "2019" / "May" / name)
    page = run.output / "2019" / "May" / "Summer" / "index.html"
    before = page.read_text(encoding="utf-8")
    run_unchanged(run, "--dry-run")

    result = sync(run)

    assert result.cost == NOTHING_NEW
    after = page.read_text(encoding="utf-8")
    assert f'"up": "../../../index.html#{album.key}"' in after
    assert len(after) == len(before) + len("../../")
    assert (run.output / "2019" / "May" / "Own" / "index.html").read_text() == "mine"
    sync(run, *HTML)
    assert page.read_text(encoding="utf-8") == after  # still the program's own page


def test_an_outage_that_ends_a_run_leaves_a_true_overview(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    done = account.album("Done")
    done.photo()
    sync(run, *HTML)
    before = as_stored(run)
    later = account.album("Later")
    later.photo()
    smugmug.fault("stall", where="!albums", times=None, before_headers=True)
    sync(run, "--max-outage", 0.02, exit_code=1)
    assert as_stored(run) == before
    smugmug.clear_faults()
    smugmug.fault("stall", where="!images", times=None, before_headers=True)
    smugmug.fault("stall", where="!authuser", after=1, times=None, before_headers=True)
    ended = sync(run, "--max-outage", 0.02, exit_code=1)
    assert "1 photo or video was not tried." in ended.stderr
    done_text, later_text = overview(run).texts
    assert done_text.endswith("1 photo")
    assert later_text == "Later\nno photos\n1 missing: not downloaded yet"


def test_plain_runs_update_all_kinds_of_sidecars(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photo = album.photo("a.JPG", caption="Swans", taken=datetime(2019, 8, 4, 11, 28, 12))
    sync(run, "--sidecar", "xmp,json,html,dates")
    before = {name: data for name, data in files_on_disk(run.output).items() if "JPG" in name}
    photo.caption = "Geese"
    album.photo("b.JPG", caption="Ducks")
    result = sync(run)
    assert result.cost == (2 + 1, 1)
    files = files_on_disk(run.output)
    assert "Summer/b.JPG.xmp" not in files
    xmp = files["Summer/a.JPG.xmp"]
    assert b"Geese" in xmp and b"<photoshop:DateCreated>2019-08-04T11:28:12<" in xmp
    assert before["Summer/a.JPG.xmp"] != xmp
    captions = [image["caption"] for image in json.loads(files["Summer/album.json"])["images"]]
    assert captions == ["Geese", "Ducks"]
    assert "Geese" in Page(run.output / "Summer" / "index.html").texts[0]


def test_plain_runs_make_no_sidecar_and_leave_those_of_others_alone(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG", caption="Swans")
    sync(run, *HTML)
    mine = {
        "index.html": edit(run.output / "index.html"),
        "Summer/index.html": edit(run.output / "Summer" / "index.html"),
    }
    (run.output / "Summer" / "album.json").write_bytes(b"[]")
    (run.output / "Summer" / "a.JPG.xmp").write_bytes(b"<x/>")
    album.photo("b.JPG")
    result = sync(run)
    assert "Kept" not in result.stderr and "Sidecars" not in result.stderr
    files = files_on_disk(run.output)
    assert {name: files[name] for name in mine} == mine
    assert files["Summer/album.json"] == b"[]" and files["Summer/a.JPG.xmp"] == b"<x/>"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither of these")
def test_links_and_pipes_in_the_place_of_a_page_are_never_opened(
    account: Account, run: Run
) -> None:
    account.album("Summer").photo("a.JPG")
    sync(run)
    record = run.output / ".smugmug.sqlite3"
    (run.output / "index.html").symlink_to(record)
    os.mkfifo(str(run.output / "Summer" / "index.html"))
    report = run.folder / "report.json"
    kinds: Sequence[Sequence[str]] = ([], HTML)
    for more in kinds:
        sync(run, *more, "--full", "--report", report)
        assert (run.output / "index.html").is_symlink()
        assert record.read_bytes().startswith(b"SQLite format 3")
    kept = [(note["kind"], note["folder"]) for note in json.loads(report.read_text())["problems"]]
    assert sorted(kept) == [("kept", ""), ("kept", "Summer")]


def test_a_page_states_when_its_album_was_listed(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    sync(run, *HTML)
    for path in (run.output / "index.html", run.output / "Summer" / "index.html"):
        assert Page(path).checked == today()
        # as an earlier day would have written it
        old = path.read_bytes().replace(today().encode(), b"1 Jan 2019")
        path.write_bytes(script.sealed(old))
    assert "Sidecars" not in sync(run).stderr
    assert Page(run.output / "Summer" / "index.html").checked == "1 Jan 2019"  # not listed
    assert overview(run).checked == today()
    assert "Sidecars" not in sync(run, *HTML).stderr  # a new date is no change
    assert Page(run.output / "Summer" / "index.html").checked == today()


def test_the_summary_states_written_pages_and_their_folder(account: Account, run: Run) -> None:
    account.album("Summer").photo("a.JPG", caption="Swans")
    said = sync(run, "--sidecar", "xmp,html,json").stderr
    assert "\nSidecars: 4 written, 0 changed\n" in said
    assert f"\nPages: {(run.output / 'index.html').as_uri()}\n" in said
    said = sync(run, *HTML).stderr
    assert "Sidecars" not in said and "\nPages: file:///" in said
    assert "Pages" not in sync(run, *HTML, "-n").stderr + sync(run).stderr


# =================================================================================================
# Files and requests
# =================================================================================================


def test_pages_need_one_listing_per_album_and_only_changed_ones_are_written(
    account: Account, run: Run
) -> None:
    album, other = account.album("Summer"), account.album("Winter")
    photo = album.photo(caption="Swans")
    other.photo(caption="Snow")
    assert sync(run, *HTML, "-n").cost == (2 + 2, 0) and not run.output.exists()
    assert sync(run, *HTML).cost == (2 + 2, 2)
    before = as_stored(run)
    assert list(before) == ["Summer/index.html", "Winter/index.html", "index.html"]
    assert "Sidecars" not in sync(run, *HTML).stderr
    assert as_stored(run) == before
    photo.edit(caption="Geese")
    assert "\nSidecars: 0 written, 1 changed\n" in sync(run, *HTML).stderr
    after = as_stored(run)
    assert [name for name in after if after[name] != before[name]] == ["Summer/index.html"]
    assert "Geese" in Page(run.output / "Summer" / "index.html").texts[0]
    assert sync(run).cost == NOTHING_NEW
    assert as_stored(run) == after


def test_the_users_own_pages_are_kept_and_reported(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    (run.output / "Summer").mkdir(parents=True)
    for path in (run.output / "index.html", run.output / "Summer" / "index.html"):
        path.write_bytes(b"<p>mine \xff</p>")
    report = run.folder / "report.json"
    sync(run, *HTML, "--report", report)
    assert {
        content for name, content in files_on_disk(run.output).items() if name.endswith(".html")
    } == {b"<p>mine \xff</p>"}
    kept = [
        (problem["kind"], problem["folder"], problem["file"])
        for problem in json.loads(report.read_text())["problems"]
    ]
    assert sorted(kept) == [("kept", "", "index.html"), ("kept", "Summer", "index.html")]
    (run.output / "index.html").unlink()
    sync(run, *HTML)
    content = edit(run.output / "index.html")
    sync(run, *HTML)
    assert (run.output / "index.html").read_bytes() == content


def test_an_unwritable_overview_is_a_failure(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    (run.output / "index.html").mkdir(parents=True)
    assert "\n  index.html: " in sync(run, *HTML, exit_code=1).stderr
    assert pages(run) == ["Summer/index.html"]


def test_pages_take_no_name_of_an_image_or_of_an_album(account: Account, run: Run) -> None:
    record = script.FileRecord("abc", "0", "Index.html", 1, "", 0, True)
    assert script.page_name([record]) == "index_page.html"
    assert script.page_name([]) == "index.html"
    other = account.album("index.html")
    other.photo()
    sync(run, *HTML)
    assert pages(run) == ["index.html", f"index_{other.key}.html/index.html"]
    assert overview(run).links == [f"index_{other.key}.html/index.html"]
    assert "Sidecars" not in sync(run, *HTML).stderr


# =================================================================================================
# A real browser
# =================================================================================================


@pytest.fixture(scope="session")
def shared_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start a browser for all tests of a worker."""
    program = find_browser()
    if program is None:
        pytest.skip(REASON)
    browser = Browser(program, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def browser(shared_browser: Browser) -> Browser:
    """Provide the browser with the window of a desktop."""
    shared_browser.show(1280, 800)
    return shared_browser


HACK = (
    "<img src=x onerror=window.hacked=1>\"' onfocus=window.hacked=1 autofocus </script>"
    "<script>window.hacked=1</script>"
)
NAMES = (
    "a#b?c%20d.png",
    'it\'s "quoted" & <b>bold</b>.png',
    "\u05e9\u05dc\u05d5\u05dd \u202etxt.png",
    "\U0001f9a2 \x01\x1b.png",
    "javascript:window.hacked=1.png",
    "ends.html",
)


def test_hostile_texts_never_run_and_every_link_opens_its_file(
    account: Account, run: Run, browser: Browser
) -> None:
    album = account.album(f"100% #1? {HACK}", description=HACK)
    for number, name in enumerate(NAMES):
        album.photo(
            name,
            drawn_png(number),
            title=HACK if number else "",
            caption=HACK,
            keywords=[HACK, "\u202e"],
        )
    account.album("Other \U0001f9a2 \u05d0\u05dc").video("video#1.MOV", title=HACK)
    sync(run, *HTML)
    folders = [path for path in run.output.iterdir() if path.is_dir()]
    assert len(folders) == 2
    opened = set()
    for path in [run.output / "index.html", *(folder / "index.html" for folder in folders)]:
        browser.open(path)
        browser.wait_for(
            "[...document.images].every(image => image.complete && image.naturalWidth === 320)"
        )
        links = browser.run(
            "[...document.querySelectorAll('[href], [src]')].map(each => each.href || each.src)"
        )
        outside = [link for link in links if not link.startswith("file:")]
        assert len(outside) == (path.parent != run.output)
        assert all(link.startswith("https://family.smugmug.com/") for link in outside)
        for link in set(links) - set(outside):
            assert Path(url2pathname(urlsplit(link).path)).is_file(), link
            opened.add(os.path.relpath(url2pathname(urlsplit(link).path), str(run.output)))
        # icons of the player
        asked = [request for request in browser.requests if not request.startswith("data:")]
        assert browser.errors == []
        assert browser.run("typeof window.hacked") == "undefined"
        assert browser.run("document.scripts.length") == 2  # one of them is the data
        assert all(request.startswith(run.output.as_uri() + "/") for request in asked)
    assert set(files_on_disk(run.output)) <= opened


def test_injected_markup_runs_nothing_and_requests_nothing(
    account: Account, run: Run, browser: Browser
) -> None:
    account.album("Summer").photo("a.png", drawn_png(1))
    sync(run, *HTML)
    browser.open(run.output / "Summer" / "index.html")
    browser.run("""document.body.insertAdjacentHTML("beforeend",
        '<img src="https://example.com/x.png"><img src="x" onerror="window.hacked = 1">');
        const script = document.createElement("script"); script.textContent = "window.hacked = 1";
        document.body.append(script);""")
    browser.wait_for("[...document.images].every(image => image.complete)")
    assert browser.run("typeof window.hacked") == "undefined"
    assert (
        browser.run("fetch('https://example.com/').then(() => 'came', () => 'refused')")
        == "refused"
    )
    assert [
        request
        for request in browser.requests
        if request.startswith("http") and "x.png" not in request
    ] == []
    assert len([error for error in browser.errors if "Content Security Policy" in error]) >= 3


SHOWN = "document.querySelector('section').hidden ? null : location.hash.slice(1)"
COUNTER = "document.querySelector('section output').textContent"
FIRST_FRAME = "document.querySelector('a.frame').click()"


def shapes(album: Album, captions: bool = False) -> List[Photo]:
    """Add pictures of all shapes to an album: landscape, portrait, square, panorama."""
    images = []
    for number, (width, height) in enumerate(((360, 240), (240, 360), (300, 300), (720, 240))):
        picture = drawn_png(number, width, height)
        images.append(album.photo(f"{number}.png", picture, width=width, height=height))
        if captions:
            images[-1].caption = f"Caption {number}"
    return images


def test_arrow_keys_buttons_and_swipes_walk_an_album_in_order(
    account: Account, smugmug: FakeSmugMug, run: Run, browser: Browser
) -> None:
    album = account.album("Summer")
    images = [
        album.photo("b.png", drawn_png(1), caption="Swans"),
        album.photo("lost.png"),
        album.video("c.MOV"),
        album.photo("a.png", drawn_png(2), caption="Geese"),
    ]
    smugmug.fault("server_error", where=of_file(images[1]), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    path = run.output / "Summer" / "index.html"
    browser.open(path)
    keys = [image.key for image in images]
    browser.press("ArrowRight")
    assert browser.run(SHOWN) is None
    browser.run(FIRST_FRAME)
    browser.wait_for(SHOWN)
    walked = [browser.run(SHOWN)]
    counted = [browser.run(COUNTER)]
    for _ in range(4):
        browser.press("ArrowRight")
        walked.append(browser.run(SHOWN))
        counted.append(browser.run(COUNTER))
    assert walked == [*keys, keys[-1]]
    assert counted == ["1 of 4", "2 of 4", "3 of 4", "4 of 4", "4 of 4"]
    for key, place in (("ArrowLeft", 2), ("Home", 0), ("ArrowLeft", 0), ("End", 3)):
        browser.press(key)
        assert browser.run(SHOWN) == keys[place]
    browser.click("[value=ArrowLeft]")
    assert browser.run(SHOWN) == keys[2]
    browser.swipe(-900)
    browser.wait_for(f"{SHOWN} === '{keys[3]}'")
    browser.swipe(900)
    browser.wait_for(f"{SHOWN} === '{keys[2]}'")
    browser.press("Escape")
    assert browser.run(SHOWN) is None
    assert browser.run("document.activeElement.getAttribute('href')") == f"#{keys[2]}"
    browser.open(path, f"#{keys[3]}")
    assert browser.run(SHOWN) == keys[3]
    browser.run("history.pushState(null, '', '#'); dispatchEvent(new Event('hashchange'))")
    assert browser.run(SHOWN) is None  # as the browser's Back does
    browser.run("location.hash = '" + keys[0] + "'")
    browser.wait_for(SHOWN)
    browser.click("[value=Escape]")
    assert browser.run(SHOWN) is None
    assert browser.errors == []


def test_pictures_of_every_shape_are_shown_whole(
    account: Account, run: Run, browser: Browser
) -> None:
    shapes(account.album("Summer"))
    account.album("Winter").photo("a.png", drawn_png(1, 240, 480))
    sync(run, *HTML)
    whole = """[...document.images].map(image => {
        const {width, height} = image.getBoundingClientRect();
        const isWhole = getComputedStyle(image).objectFit === "contain";
        return [isWhole, Math.round(width), Math.round(height)];
    })"""
    browser.open(run.output / "Summer" / "index.html")
    browser.wait_for("[...document.images].every(image => image.naturalWidth)")
    for width in (400, 1280, 2560):
        browser.show(width, 800)
        boxes = browser.run(whole)
        assert all(is_whole for is_whole, _, _ in boxes)
        for (_, box_width, box_height), ratio in zip(boxes, (1.5, 2 / 3, 1, 3)):
            assert abs(box_width / box_height - ratio) < 0.05
    rows = browser.run("[...document.images].map(each => each.getBoundingClientRect().bottom)")
    assert max(rows) - min(rows) < 2  # rows are justified
    browser.open(run.output / "index.html")
    browser.wait_for("[...document.images].every(image => image.naturalWidth)")
    assert all(is_whole for is_whole, _, _ in browser.run(whole))


def test_the_large_view_is_dark_and_fills_the_window(
    account: Account, run: Run, browser: Browser
) -> None:
    images = shapes(account.album("Summer"), captions=True)
    images[2].title = "\u05e9\u05dc\u05d5\u05dd"
    sync(run, *HTML)
    for scheme in ("light", "dark"):
        browser.show(1280, 800, scheme)
        browser.open(run.output / "Summer" / "index.html", f"#{images[2].key}")
        browser.wait_for("document.querySelector('section img').naturalWidth")
        box = "(({left, top, width, height}) => [left, top, width, height])"
        view = browser.run(f"{box}(document.querySelector('section').getBoundingClientRect())")
        assert view == [0, 0, 1280, 800]
        colors = browser.run(
            "[getComputedStyle(table).backgroundColor, getComputedStyle(table).color]"
        )
        assert colors == ["rgb(17, 17, 17)", "rgb(238, 238, 238)"]
        _, _, width, height = browser.run(f"{box}(stage.firstChild.getBoundingClientRect())")
        assert width > 1200 and height > 560
    text = browser.run("document.querySelector('section').innerText")
    assert "3 of 4" in text and "Caption 2" in text and images[2].title in text
    assert browser.run("getComputedStyle(title).direction") == "rtl"
    assert browser.run("header.inert && main.inert")


def test_the_large_view_loads_the_next_and_previous_picture_ahead(
    account: Account, run: Run, browser: Browser
) -> None:
    album = account.album("Summer")
    photos = [album.photo(f"{number:02}.png", drawn_png(number % 3)) for number in range(40)]
    sync(run, *HTML)
    path = run.output / "Summer" / "index.html"
    browser.open(path, f"#{photos[30].key}")
    ahead = "[...views.values()].map(view => view.naturalWidth > 0)"
    browser.wait_for(f"{ahead}.length === 3 && {ahead}.every(Boolean)")
    names = "[...views.keys()].map(card => card.src)"
    assert sorted(browser.run(names)) == ["29.png", "30.png", "31.png"]
    browser.press("ArrowRight")
    assert browser.run("stage.firstChild.naturalWidth") == 320
    assert sorted(browser.run(names)) == ["30.png", "31.png", "32.png"]


def test_a_click_zooms_to_the_pixels_and_back(
    account: Account, run: Run, browser: Browser
) -> None:
    album = account.album("Summer")
    album.photo("a.png", drawn_png(7, 3000, 1800), width=3000, height=1800)
    album.photo("b.png", drawn_png(8))
    sync(run, *HTML)
    browser.open(run.output / "Summer" / "index.html", f"#{album.images[0].key}")
    browser.wait_for("stage.firstChild.naturalWidth")
    fitted = browser.run("stage.firstChild.clientWidth")
    assert fitted < 1280
    browser.click("section img")
    assert browser.run("[stage.firstChild.clientWidth, stage.firstChild.clientHeight]") == [
        3000,
        1800,
    ]
    # what was clicked, the middle, is in the middle
    middle = browser.run("[stage.scrollLeft + stage.clientWidth / 2, stage.scrollWidth / 2]")
    assert abs(middle[0] - middle[1]) < 2
    browser.swipe(-900)  # moves the picture, not on to the next
    assert browser.run(COUNTER) == "1 of 2"
    browser.click("section div")
    assert browser.run("stage.firstChild.clientWidth") == fitted
    browser.click("section img")
    browser.press("ArrowRight")
    browser.press("ArrowLeft")
    assert browser.run("stage.firstChild.clientWidth") == fitted


def test_space_starts_and_stops_a_slide_show(account: Account, run: Run, browser: Browser) -> None:
    images = shapes(account.album("Summer"))
    sync(run, *HTML)
    browser.open(run.output / "Summer" / "index.html", f"#{images[2].key}")
    browser.press(" ")
    assert browser.run("[isSlideShow, find('[value=Space]').textContent]") == [True, "Stop"]
    browser.wait_for(f"{COUNTER} === '4 of 4'")
    browser.wait_for("!isSlideShow")  # ends with the last picture
    assert browser.run(COUNTER) == "4 of 4"
    browser.press("Home")
    browser.press(" ")
    browser.press(" ")
    assert browser.run("[isSlideShow, find('[value=Space]').textContent]") == [False, "Slide show"]
    assert browser.run(COUNTER) == "1 of 4"
    browser.click("[value=Space]")
    assert browser.run("isSlideShow")
    browser.press("Escape")
    assert browser.run(f"[isSlideShow, {SHOWN}]") == [False, None]
    assert browser.errors == []


def test_f_switches_full_screen(account: Account, run: Run, browser: Browser) -> None:
    images = shapes(account.album("Summer"))
    sync(run, *HTML)
    browser.open(run.output / "Summer" / "index.html", f"#{images[0].key}")
    browser.press("f")
    browser.wait_for("document.fullscreenElement === table")
    browser.press("f")
    browser.wait_for("!document.fullscreenElement")
    browser.press("f")
    browser.wait_for("document.fullscreenElement === table")
    browser.click("[value=Escape]")
    browser.wait_for("!document.fullscreenElement")
    assert browser.run(SHOWN) is None
    assert browser.errors == []


def test_the_focus_is_visible_and_stays_in_the_large_view(
    account: Account, run: Run, browser: Browser
) -> None:
    shapes(account.album("Summer"))
    sync(run, *HTML)
    browser.open(run.output / "Summer" / "index.html")
    for _ in range(4):  # two links, the search, the first picture
        browser.press("Tab")
    assert browser.run("document.activeElement.className") == "frame img"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert browser.run(outline) == "solid"
    browser.run("document.activeElement.click()")
    browser.wait_for(SHOWN)
    for _ in range(12):
        browser.press("Tab")
        assert browser.run("!main.contains(document.activeElement)")
        assert browser.run("!header.contains(document.activeElement)")


def test_pages_say_that_they_need_a_script(account: Account, run: Run, browser: Browser) -> None:
    shapes(account.album("Summer"))
    sync(run, *HTML)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(run.output / "Summer" / "index.html")
        text = browser.call("DOM.getDocument", depth=-1)
        assert "This page needs JavaScript" in json.dumps(text)
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_only_the_albums_own_address_on_smugmug_leads_to_the_net(
    account: Account, run: Run, browser: Browser
) -> None:
    shapes(account.album("Summer"))
    sync(run, *HTML)
    links = "[...document.links].filter(link => link.protocol !== 'file:')"
    browser.open(run.output / "Summer" / "index.html")
    (found,) = browser.run(f"{links}.map(link => [link.href, link.textContent, link.rel])")
    assert found[0].startswith("https://family.smugmug.com/")
    assert found[1:] == ["On SmugMug \u2197", "noreferrer"]
    browser.open(run.output / "index.html")
    assert browser.run(f"{links}.length") == 0
    album = parse_album({"AlbumKey": "abc", "WebUri": "javascript:window.hacked=1"})
    entry = script.AlbumOnDisk(album, "abc", {}, {}, "", 0.0)
    assert b'"web": ""' in script.album_page(entry, [], 0.0)


def test_videos_play_and_are_loaded_only_then(
    account: Account, run: Run, browser: Browser
) -> None:
    video = base64.b64decode(
        browser.run("""new Promise(done => {
        const canvas = document.createElement("canvas");
        const recorder = new MediaRecorder(canvas.captureStream(30));
        const draw = () => canvas.getContext("2d").fillRect(Math.random() * 99, 0, 9, 9);
        const drawing = setInterval(draw, 20);
        recorder.ondataavailable = ({data}) => {
            const reader = new FileReader();
            reader.onload = () => done(reader.result.split(",").pop());
            reader.readAsDataURL(data);
        };
        recorder.start();
        setTimeout(() => { clearInterval(drawing); recorder.stop() }, 500);
    })""")
    )
    account.album("Summer").video("c.MOV", video, title="Ducks")
    sync(run, *HTML)
    browser.open(run.output / "Summer" / "index.html")
    browser.wait_for("document.querySelector('video').src")
    player = browser.run("(({preload, src}) => [preload, src])(document.querySelector('video'))")
    assert player == ["none", (run.output / "Summer" / "c.mp4").as_uri()]
    assert not any(request.endswith(".mp4") for request in browser.requests)
    browser.run(FIRST_FRAME)
    browser.wait_for(SHOWN)
    assert browser.run("stage.firstChild.controls")
    assert browser.run("getComputedStyle(stage.firstChild).objectFit") == "contain"
    browser.run("stage.firstChild.muted = true; stage.firstChild.play()")
    browser.wait_for("stage.firstChild.currentTime > 0")
    assert browser.errors == []


SEEN_TEXTS = (
    "[...document.querySelectorAll('h2, figcaption > :first-child')]"
    ".filter(each => each.checkVisibility() && each.textContent).map(each => each.textContent)"
)


def test_the_search_finds_albums_by_name_description_folder_and_missing_files(
    account: Account, run: Run, browser: Browser
) -> None:
    for name, folder in (("Rome", "Trips"), ("Paris", "Trips"), ("Garden", "House")):
        account.album(name, folder=folder).photo("a.png", drawn_png(1))
    account.albums[2].description = "Blühende Tulpen"
    sync(run, *HTML, "-x", "Paris")
    browser.open(run.output / "index.html")
    for typed, found in (
        ("rom", ["Trips", "Rome"]),
        ("trips", ["Trips", "Paris", "Rome"]),
        ("trips rom", ["Trips", "Rome"]),
        ("bluhende", ["House", "Garden"]),
        ("missing", ["Trips", "Paris"]),
        ("nowhere", []),
        ("", ["House", "Garden", "Trips", "Paris", "Rome"]),
    ):
        browser.run("document.querySelector('input').select()")
        browser.type(typed)
        assert browser.run(SEEN_TEXTS) == found
        said = browser.run("document.querySelector('[role=status]').textContent")
        assert said == ("" if found else "Nothing here matches \u201cnowhere\u201d.")


def test_albums_are_sorted_by_folder_name_or_date(
    account: Account, run: Run, browser: Browser
) -> None:
    years = {"Walk 10": ("Trips", 2021), "Walk 9": ("Trips", 2019), "Garden": ("House", 2020)}
    for name, (folder, year) in years.items():
        album = account.album(name, folder=folder)
        album.photo("a.png", drawn_png(1), taken=datetime(year, 7, 1, 12, 0))
    sync(run, *HTML)
    browser.open(run.output / "index.html")
    for order, found in (
        ("folder", ["House", "Garden", "Trips", "Walk 9", "Walk 10"]),
        ("name", ["House", "Garden", "Trips", "Walk 9", "Trips", "Walk 10"]),
        ("date", ["Trips", "Walk 10", "House", "Garden", "Trips", "Walk 9"]),
    ):
        browser.run(f"sort.value = '{order}'; sort.dispatchEvent(new Event('change'))")
        assert browser.run(SEEN_TEXTS) == found
    assert not browser.run("sort.parentElement.hidden")
    browser.open(run.output / "Garden" / "index.html")
    assert browser.run("sort.parentElement.hidden")


def test_the_overview_fills_wide_screens_whatever_the_folders(
    account: Account, run: Run, browser: Browser
) -> None:
    for number in range(12):
        album = account.album(f"Album {number}", folder=f"Folder {number}")
        album.photo("a.png", drawn_png(number))
    account.album("Empty")
    sync(run, *HTML)
    browser.open(run.output / "index.html")
    browser.show(2560, 1440)
    tops = browser.run(
        "[...document.querySelectorAll('figure')].map(each => each.getBoundingClientRect().top)"
    )
    assert len(tops) == 13 and len(set(tops)) == 2  # rows of eight
    empty = "[...document.querySelectorAll('figure')].find(each => /Empty/.test(each.innerText))"
    assert browser.run(f"{empty}.innerText.trim()") == "Empty\nno photos"
    assert browser.run(f"{empty}.querySelectorAll('.frame').length") == 0


def large_page(folder: Path, count: int) -> None:
    """Write a page of this many pictures."""
    (folder / "0.png").write_bytes(drawn_png(0))
    cards = []
    for number in range(count):
        name = f"{number}.png"
        if number:
            os.symlink("0.png", str(folder / name))
        record = script.FileRecord(f"k{number}", "0", name, 1, "", 0, True)
        size = {"OriginalWidth": 320, "OriginalHeight": 240}
        image = image_of(ImageKey=f"k{number}", FileName=name, Caption="Swans", **size)
        cards.append(script.image_card(image, record, ""))
    about = {"title": "Large", "facts": "", "checked": "", "up": "../index.html"}
    (folder / "index.html").write_bytes(script.html_page(about, cards))


def test_large_pages_load_only_visible_images(tmp_path: Path, browser: Browser) -> None:
    count = 5000
    large_page(tmp_path, count)
    browser.open(tmp_path / "index.html")
    loaded = "[...document.images].filter(image => image.hasAttribute('src')).length"
    browser.wait_for(f"{loaded} > 0")
    assert browser.run("document.images.length") == count
    assert browser.run(loaded) < 100 and len(browser.requests) < 100
    given = browser.run("""[...document.images].every(image =>
        image.loading === "lazy" && image.decoding === "async"
        && image.getAttribute("width") === "320" && image.getAttribute("height") === "240")""")
    assert given
    height = browser.run("document.documentElement.scrollHeight")
    for part in (4, 3, 2, 1):
        browser.run(f"scrollTo(0, {height} / {part} - 2000)")
        browser.wait_for("""[...document.images].some(image =>
            image.naturalWidth && image.getBoundingClientRect().top > 0
            && image.getBoundingClientRect().top < innerHeight)""")
        assert browser.run(loaded) < 100  # those left behind are unloaded
    assert browser.run("document.documentElement.scrollHeight") == height  # nothing jumps
    browser.run("location.hash = '#k4990'")
    browser.wait_for(SHOWN)
    for _ in range(3):
        browser.press("ArrowRight")
    assert browser.run(COUNTER) == "4994 of 5000"
    browser.press("Escape")
    assert browser.run("document.activeElement.getAttribute('href')") == "#k4993"
    top, bottom = browser.run("[document.activeElement.getBoundingClientRect().top, innerHeight]")
    assert -1 <= top < bottom


def test_pictures_are_loaded_one_after_another(tmp_path: Path, browser: Browser) -> None:
    large_page(tmp_path, 300)
    browser.open(tmp_path / "index.html")
    browser.run("""
        const isLoading = image => image.hasAttribute("src") && !image.complete;
        window.most = window.loads = 0;
        new MutationObserver(() => {
          loads += 1;
          most = Math.max(most, [...document.images].filter(isLoading).length);
        }).observe(document, {attributes: true, attributeFilter: ["src"], subtree: true});
        scrollTo(0, document.documentElement.scrollHeight / 2);
    """)
    in_window = """[...document.images].filter(image => {
        const {top, bottom} = image.getBoundingClientRect();
        return bottom > 0 && top < innerHeight;
    })"""
    browser.wait_for(f"loads > 0 && {in_window}.every(image => image.naturalWidth)")
    assert browser.run("most") == 1


def test_a_picture_that_was_left_behind_holds_up_no_other(
    tmp_path: Path, browser: Browser
) -> None:
    large_page(tmp_path, 300)
    browser.open(tmp_path / "index.html")
    browser.run("""HTMLImageElement.prototype.decode = function () {
        return this.src ? new Promise(() => {}) : Promise.reject();
    }""")
    for part in (2, 3, 4):  # each time, one picture is loaded and never done
        browser.run(f"scrollTo(0, document.documentElement.scrollHeight / {part})")
        browser.wait_for("""[...document.images].some(image => image.naturalWidth
            && image.getBoundingClientRect().bottom > 0
            && image.getBoundingClientRect().top < innerHeight)""")


def test_the_search_reduces_two_thousand_albums_to_one(tmp_path: Path, browser: Browser) -> None:
    cards = []
    for number in range(2000):
        title, folder = f"Album {number}", f"Folder {number // 20}"
        facts = "Aug 2019 \u00b7 12 photos"
        cards.append(script.Card(f"k{number}", "", "", "x", title, "", facts, "", folder=folder))
    about = {"title": "Albums", "facts": "", "checked": ""}
    (tmp_path / "index.html").write_bytes(script.html_page(about, cards))
    browser.open(tmp_path / "index.html")
    browser.run("document.querySelector('input').focus()")
    browser.type("Album 1999")
    assert browser.run("document.querySelectorAll('figure').length") == 1


def test_pages_work_with_screen_readers_and_on_paper(
    account: Account, run: Run, browser: Browser
) -> None:
    album = account.album("Summer")
    album.photo("a.png", drawn_png(1), title="Swans")
    album.photo("b.png", drawn_png(2), caption="Geese")
    album.photo("c.png", drawn_png(3))
    sync(run, *HTML)
    browser.open(run.output / "Summer" / "index.html")
    browser.wait_for("[...document.images].every(image => image.complete)")
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node["ignored"]
    ]
    assert [name for role, name in named if role == "image"] == ["Swans", "Geese", "c.png"]
    assert {"banner", "main", "searchbox", "heading", "figure"} <= {role for role, _ in named}
    assert all(name for role, name in named if role in ("link", "button", "searchbox"))
    pdf = browser.call("Page.printToPDF")["data"]
    assert base64.b64decode(pdf).count(b"/Subtype /Image") >= 3


def test_pages_fit_every_screen_in_light_and_dark(
    ca: Authority, tmp_path: Path, browser: Browser
) -> None:
    output = demo_output(ca, tmp_path)
    for path in (output / "index.html", output / "Summer" / "index.html"):
        browser.open(path)
        for width in (400, 1280, 2560, 3840):
            corners = []
            for scheme in ("light", "dark"):
                browser.show(width, width * 5 // 8, scheme)
                assert browser.run("document.documentElement.scrollWidth") <= width
                rows = browser.run(
                    "[...document.querySelectorAll('figure')]"
                    ".map(each => each.getBoundingClientRect().top)"
                )
                assert 2 <= rows.count(rows[0]) <= 16
                corners.append(browser.screenshot(8, 8))
            assert len(set(corners)) == 2


def demo_output(ca: Authority, folder: Path) -> Path:
    """Run the demo and provide its photos and pages."""
    with FakeSmugMug(demo_account(), ca) as smugmug:
        run = Run(smugmug, folder)
        sync(run, *HTML)
        run.close()
        return run.output


def test_the_screenshot_in_readme_shows_the_demo(
    ca: Authority, tmp_path: Path, browser: Browser, request: pytest.FixtureRequest
) -> None:
    output = demo_output(ca, tmp_path)
    browser.show(1080, 480)
    browser.open(output / "Summer" / "index.html")
    browser.wait_for("[...document.images].every(image => image.complete)")
    picture = browser.screenshot(1080, 480)
    if request.config.getoption("--draw"):
        SCREENSHOT.write_bytes(picture)
    shown = SCREENSHOT.read_bytes()
    assert struct.unpack(">II", shown[16:24]) == struct.unpack(">II", picture[16:24])
    assert len(shown) < 300_000
