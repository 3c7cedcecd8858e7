"""Do the pages of --sidecar html state the right facts and work in a real browser?"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import struct
import sys
import time
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import download_smugmug_photos as script
from browser import REASON, Browser, find_browser
from conftest import SCRIPT, Run
from demo import demo_account, drawn_png
from fake_smugmug import JPEG_MAGIC, Account, Authority, FakeSmugMug, Pattern
from helpers import NOTHING_NEW, edit, files_on_disk, image_of, of_file, of_list, stop, sync

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
        self.folders = [card.get("folder") for card in cards]
        self.titles = [card["title"] for card in cards]
        self.texts = [
            "\n".join(filter(None, (card["title"], card["text"], *card["facts"])))
            for card in cards
        ]
        self.links = [card["href"] for card in cards]
        self.views = [(card["view"], card["src"]) for card in cards]


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
    assert (page.title, page.about, page.up) == ("Summer", "By the sea", "../index.html")
    lake, lost, film, none = page.texts
    assert lake == "The lake\nAt dawn\nwith swans\n2019-08-04 11:28:12\nlake, swan\n47.5, -122.25"
    assert re.fullmatch(r"c\.JPG\nmissing: SmugMug returned HTTP 404.*", lost)
    assert film == "a.mp4\nDucks\nsmaller or re-encoded copy"
    assert none == "none.MOV\nmissing: SmugMug offers no downloadable file"
    assert page.links == ["b.JPG", "", "a.mp4", ""]
    assert page.views == [("img", "b.JPG"), ("p", ""), ("video", "a.mp4"), ("p", "")]
    (text,) = overview(run).texts
    assert re.fullmatch(
        r"Summer\nBy the sea\n2019-08 \u2013 20\d\d-\d\d\n1 photo, 1 video \(4 at SmugMug\)\n"
        r"2 missing: SmugMug returned HTTP 404.*; SmugMug offers no downloadable file\n"
        r"1 smaller or re-encoded\ncompared with SmugMug on 20\d\d-\d\d-\d\d\nnever verified",
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
    assert (page.title, page.about, page.up) == (
        "Albums of family",
        "4 photos and videos in the download record; SmugMug counts 4",
        "",
    )
    assert page.folders == ["", "Family", "Family / Trips"]
    assert page.titles == ["Empty", "Garden", "Rome"]
    assert page.links == [
        "Empty/index.html",
        "Family/Garden/index.html",
        "Family/Trips/Rome/index.html",
    ]
    assert page.views[1:] == [("img", "Family/Garden/a.JPG"), ("img", "Family/Trips/Rome/a.JPG")]
    assert (
        Page(run.output / "Family" / "Trips" / "Rome" / "index.html").up == "../../../index.html"
    )
    assert re.search(
        r"\n2 photos, 0 videos \(2 at SmugMug\)"
        r"\ncompared with SmugMug on [0-9-]{10}\nnever verified$",
        page.texts[1],
    )


def test_covers_are_those_the_owner_chose_if_on_disk(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    chosen, film, lost = (account.album(name) for name in ("Chosen", "Film", "Lost"))
    for album in (chosen, film, lost):
        album.photo("a.JPG")
        album.highlight = album.video("b.MOV") if album is film else album.photo("b.JPG")
    smugmug.fault("server_error", where=of_file(lost.images[1]), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    assert overview(run).views == [
        ("img", "Chosen/b.JPG"),
        ("img", "Film/a.JPG"),
        ("img", "Lost/a.JPG"),
    ]
    chosen.highlight = chosen.images[0]
    sync(run, *HTML, exit_code=1)
    assert overview(run).views[0] == ("img", "Chosen/a.JPG")


def test_albums_that_cannot_be_listed_count_as_not_compared(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo()
    smugmug.fault("server_error", where=of_list(album), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    assert re.search(
        r"\n1 missing: the album could not be listed: .*\nnever compared", overview(run).texts[0]
    )


def test_the_overview_keeps_the_date_of_the_last_verification(account: Account, run: Run) -> None:
    old = account.album("Old")
    old.photo()
    sync(run, *HTML)
    assert overview(run).texts[0].endswith("\nnever verified")
    sync(run, *HTML, "--verify")
    account.album("Young").photo()
    for more in ([], ["--since", "1d"], ["-x", "Old"], ["--full"]):  # none of these forgets it
        old.photo(f"{len(old.images)}.JPG")
        sync(run, *HTML, *more)
        verified, not_yet = overview(run).texts
        assert re.search(
            r"\ncompared with SmugMug on 20\d\d-\d\d-\d\d\nverified on 20\d\d-\d\d-\d\d$", verified
        )
        assert re.search(r"\ncompared with SmugMug on 20\d\d-\d\d-\d\d\nnever verified$", not_yet)
    sync(run, "--verify", "-n")  # which leaves no trace
    assert overview(run).texts[1].endswith("\nnever verified")
    (run.output / "Young" / "IMG_1.JPG").unlink()
    sync(run, *HTML, "--verify")  # it comes again, but what was found was not intact
    assert overview(run).texts[1].endswith("\nnever verified")


def test_the_overview_includes_skipped_and_deleted_albums(account: Account, run: Run) -> None:
    old, other = account.album("Old"), account.album("Other")
    old.photo()
    other.photo()
    other.photo("b.JPG")
    sync(run, *HTML, "-a", "Old")
    page = overview(run)
    assert page.titles == ["Old", "Other"]
    assert page.about == "1 photo or video in the download record; SmugMug counts 3"
    assert page.links == ["Old/index.html", ""]
    assert page.texts[1] == (
        "Other\n0 photos, 0 videos (2 at SmugMug)\n2 missing: not downloaded yet\n"
        "never compared with SmugMug\nnever verified"
    )
    sync(run, *HTML, "-x", "Old")
    assert "2 photos, 0 videos (2 at SmugMug)" in overview(run).texts[1]
    account.remove(old)
    other.remove(other.images[0])
    sync(run, *HTML)
    page = overview(run)
    assert page.folders == ["", "Not in SmugMug's list of albums"]
    assert "2 photos, 0 videos (1 at SmugMug)" in page.texts[0] and "missing" not in page.texts[0]
    assert (
        page.texts[1].startswith("Old\n") and "1 photo, 0 videos (0 at SmugMug)" in page.texts[1]
    )
    assert page.links[1] == "Old/index.html"


def test_the_overview_states_why_an_album_could_not_be_listed(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.photo()
    smugmug.fault("server_error", where=of_list(album), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    assert (
        "1 missing: the album could not be listed: SmugMug returned HTTP 404"
        in overview(run).texts[0]
    )
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
    assert (
        "1 photo, 0 videos (2 at SmugMug)\n1 missing: SmugMug returned HTTP 404"
        in overview(run).texts[0]
    )
    page = Page(run.output / "Summer" / "index.html")
    assert "missing: SmugMug returned HTTP 404" in page.texts[0] and page.links == ["", "b.JPG"]


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
    smugmug.wait_for(lambda: smugmug.count("cdn") == 2)
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
    assert "\nSidecars: 1 changed\n" in sync(run, *HTML).stderr
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


def test_images_named_like_a_page_keep_their_name(account: Account, run: Run) -> None:
    album, other = account.album("Summer"), account.album("index.html")
    photo = album.photo("Index.html")
    other.photo()
    sync(run, *HTML)
    assert (run.output / "Summer" / "Index.html").read_bytes() == photo.data
    assert sorted(name for name in files_on_disk(run.output) if not name.endswith(".JPG")) == [
        "Summer/Index.html",
        "Summer/index_page.html",
        "index.html",
        f"index_{other.key}.html/index.html",
    ]
    assert {"Summer/index_page.html", f"index_{other.key}.html/index.html"} <= set(
        overview(run).links
    )
    assert "Sidecars" not in sync(run, *HTML).stderr


# =================================================================================================
# Hostile texts
# =================================================================================================

SNIPPETS = (
    "</script>",
    "<script>",
    "<!--",
    "-->",
    "<style>",
    '"',
    "'",
    "&",
    "&lt;",
    "<",
    ">",
    "DATA",
    "\\",
    "\0",
    "\x1f",
    "\r",
    "\n",
    "\u2028",
    "\u202e",
    "\ud800",
    "\U0001f9a2",
    "\u05d0",
    "javascript:",
    "<p>",
    "</figure>",
)
HOSTILE_TEXTS = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.characters()), max_size=12).map(
    "".join
)


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(text=HOSTILE_TEXTS)
@example(text="".join(SNIPPETS))
def test_texts_never_become_markup(text: str) -> None:
    image = image_of(Title=text, Caption=text, KeywordArray=[text], FileName=text)
    page = script.html_page(text, text, [script.image_card(image, None, text)]).decode("ascii")
    reader = Tags()
    reader.feed(page)
    assert reader.found == Tags.of(script.PAGE)
    data = json.loads(
        page.partition('<script type="application/json">')[2].partition("</script>")[0]
    )
    assert (data["title"], data["about"], data["cards"][0]["text"]) == (text, text, image.caption)


class Tags(HTMLParser):
    """Tags of a page with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: List[Tuple[str, List[str]]] = []

    @classmethod
    def of(cls, page: str) -> List[Tuple[str, List[str]]]:
        """Parse the tags of a page."""
        reader = cls()
        reader.feed(page)
        return reader.found

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        """Record a tag."""
        self.found.append((tag, [name for name, _ in attrs]))


def test_the_content_policy_allows_only_the_pages_own_script() -> None:
    (text,) = re.findall("<script>(.*)</script>", script.PAGE, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    assert re.findall(r"script-src ('[^']*')[;\"]", script.PAGE) == [f"'sha256-{digest}'"]


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
    account.album("Other \U0001f9a2 \u05d0\u05dc").video("film#1.MOV", title=HACK)
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
        for link in links:
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


SHOWN = """[...document.querySelectorAll("main figure")].filter(figure => {
    const {left, right} = figure.getBoundingClientRect();
    const middle = innerWidth / 2;
    return document.querySelector("figure:target") && left < middle && right > middle;
}).map(figure => figure.id)[0]"""


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
    browser.run("document.querySelector('figure a').click()")
    walked = [browser.run(SHOWN)]
    for _ in range(4):
        browser.press("ArrowRight")
        walked.append(browser.run(SHOWN))
    assert walked == [*keys, keys[-1]]
    assert browser.run("document.activeElement.id") == keys[-1]
    browser.press("ArrowLeft")
    assert browser.run(SHOWN) == keys[2]
    browser.click("nav button")
    assert browser.run(SHOWN) == keys[1]
    place = 1
    for way in (-900, 900):
        ahead = json.dumps(keys[place + 1 :] if way < 0 else keys[:place])
        for _ in range(10):  # a busy browser may take a drawn swipe for none
            browser.swipe(way)
            browser.run("new Promise(done => setTimeout(done, 600))")  # it comes to rest
            if browser.run(f"{ahead}.includes({SHOWN})"):
                break
        assert browser.run(SHOWN) in json.loads(ahead)
        place = keys.index(browser.run(SHOWN))
    browser.press("Escape")
    assert browser.run(SHOWN) is None
    browser.open(path, f"#{keys[3]}")
    assert browser.run(SHOWN) == keys[3]
    browser.click("nav button:last-child")
    assert browser.run(SHOWN) is None
    assert browser.errors == []


def test_videos_play_and_are_loaded_only_then(
    account: Account, run: Run, browser: Browser
) -> None:
    film = base64.b64decode(
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
    account.album("Summer").video("c.MOV", film, title="Ducks")
    sync(run, *HTML)
    browser.open(run.output / "Summer" / "index.html")
    player = browser.run(
        "[...document.querySelectorAll('video')]"
        ".map(each => [each.controls, each.preload, each.src])"
    )
    assert player == [[True, "none", (run.output / "Summer" / "c.mp4").as_uri()]]
    assert not any(request.endswith(".mp4") for request in browser.requests)
    browser.run(
        "document.querySelector('video').muted = true; document.querySelector('video').play()"
    )
    browser.wait_for("document.querySelector('video').currentTime > 0")
    assert browser.errors == []


def test_the_filter_finds_albums_by_name_folder_and_missing_files(
    account: Account, run: Run, browser: Browser
) -> None:
    for name, folder in (("Rome", "Trips"), ("Paris", "Trips"), ("Garden", "Home")):
        account.album(name, folder=folder).photo("a.png", drawn_png(1))
    sync(run, *HTML, "-x", "Paris")
    browser.open(run.output / "index.html")
    texts = (
        "[...document.querySelectorAll('h2, figcaption > :first-child')]"
        ".filter(each => each.checkVisibility()).map(each => each.textContent)"
    )
    for typed, found in (
        ("rom", ["Rome"]),
        ("trips", ["Trips", "Paris", "Rome"]),
        ("missing", ["Paris"]),
        ("nowhere", []),
        ("", ["Home", "Garden", "Trips", "Paris", "Rome"]),
    ):
        browser.run("document.querySelector('input').select()")
        browser.type(typed)
        assert browser.run(texts) == found


def test_large_pages_load_only_visible_images(tmp_path: Path, browser: Browser) -> None:
    count = 5000
    (tmp_path / "0.png").write_bytes(drawn_png(0))
    cards = []
    for number in range(count):
        name = f"{number}.png"
        if number:
            os.symlink("0.png", str(tmp_path / name))
        record = script.FileRecord(f"k{number}", "0", name, 1, "", 0, True)
        image = image_of(ImageKey=f"k{number}", FileName=name, Caption="Swans")
        cards.append(script.image_card(image, record, ""))
    (tmp_path / "index.html").write_bytes(script.html_page("Large", "", cards, "../index.html"))
    browser.open(tmp_path / "index.html")
    assert browser.run("document.images.length") == count
    assert 10 < len(browser.requests) < 200
    browser.run(f"location.replace('#k{count - 1}')")
    browser.wait_for("document.querySelector('figure:target img').naturalWidth")
    browser.press("Escape")
    browser.wait_for("document.activeElement.getBoundingClientRect().top < innerHeight")
    browser.run("document.querySelectorAll('figure > a')[10].click()")
    for _ in range(3):
        browser.press("ArrowRight")
        browser.run("new Promise(requestAnimationFrame)")  # or none of them has been seen
    browser.press("Escape")
    for _ in range(5):
        browser.run("new Promise(requestAnimationFrame)")
    top, height = browser.run("[document.activeElement.getBoundingClientRect().top, innerHeight]")
    assert browser.run("document.activeElement.id") == "k13" and 0 <= top < height
    assert len(browser.requests) < 400


def test_the_filter_reduces_two_thousand_albums_to_one(tmp_path: Path, browser: Browser) -> None:
    cards = [
        {
            "id": f"k{number}",
            "folder": f"Folder {number // 20}",
            "title": f"Album {number}",
            "text": "",
            "facts": ["2019-08", "12 photos, 0 videos (12 at SmugMug)"],
            "href": "x",
            "view": "p",
            "src": "",
        }
        for number in range(2000)
    ]
    (tmp_path / "index.html").write_bytes(script.html_page("Albums", "", cards))
    browser.open(tmp_path / "index.html")
    browser.run("document.querySelector('input').focus()")
    browser.type("Album 1999")
    assert (
        browser.run(
            "[...document.querySelectorAll('figure')]"
            ".filter(each => each.checkVisibility()).length"
        )
        == 1
    )


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
                style = "getComputedStyle(document.querySelector('main'))"
                columns = f"{style}.gridTemplateColumns.split(' ').length"
                assert 2 <= browser.run(columns) <= 16
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
