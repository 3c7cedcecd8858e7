"""The pages of --sidecar html: what they say, where they stand, and how they look and behave in a real browser."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import sys
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple
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
from helpers import NOTHING_NEW, edit, home_files, image_of, of_file, of_list, stop, sync

HTML = ("--sidecar", "html")
SCREENSHOT = SCRIPT.parent / "tests" / "album-page.png"


# ======================================================================================================================
# Reading what was written
# ======================================================================================================================

class Page(HTMLParser):
    """A page as a reader without style and script has it: `text` is that of its head, `figures` are those of each."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.place = ""
        self.text = ""
        self.headings: List[str] = []
        self.figures: List[str] = []
        self.links: List[str] = []
        self.feed(path.read_bytes().decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        """Note where the text belongs that follows."""
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag in ("header", "h2", "figure", "nav"):
            self.place = tag
        if tag in ("h2", "figure"):
            (self.headings if tag == "h2" else self.figures).append("")

    def handle_data(self, data: str) -> None:
        """Note a text; within a figure each has lines of its own."""
        if self.place == "header":
            self.text += data
        elif self.place == "h2":
            self.headings[-1] += data.strip("\n")
        elif self.place == "figure" and data.strip():
            self.figures[-1] += data.strip("\n") + "\n"


def overview(run: Run) -> Page:
    """The page of all albums."""
    return Page(run.output / "index.html")


def pages(run: Run) -> List[str]:
    """The pages in the output folder."""
    return [name for name in home_files(run.output) if name.endswith(".html")]


def as_stored(run: Run) -> Dict[str, Tuple[int, bytes]]:
    """The pages, in a way that shows if one was written anew."""
    return {name: ((run.output / name).stat().st_ino, (run.output / name).read_bytes()) for name in pages(run)}


# ======================================================================================================================
# What they say
# ======================================================================================================================

def test_an_albums_page_shows_its_images_in_order_and_what_is_missing_in_its_place(
        account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    album = account.album("Summer", description="By the sea")
    album.photo("b.JPG", title="The lake", caption="At dawn\nwith swans", keywords=["lake", "swan"],
                latitude="47.5", longitude="-122.25", taken=datetime(2019, 8, 4, 11, 28, 12))
    broken = album.photo("c.JPG")
    album.video("a.MOV", caption="Ducks", latitude="47.5", longitude="8.5")  # of which the sign may be lost
    album.video("none.MOV", playable=False)
    smugmug.fault("server_error", where=of_file(broken), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    page = Page(run.output / "Summer" / "index.html")
    assert page.text.split("\n")[0] == "All albumsSummerBy the sea"
    lake, lost, film, none = page.figures
    assert lake == "The lake\nAt dawn\nwith swans\n2019-08-04 11:28:12\nlake, swan\n47.5, -122.25\nb.JPG\n"
    assert re.fullmatch(r"Missing: SmugMug answered 404.*\nc\.JPG\n", lost)
    assert film == "Ducks\nre-encoded by SmugMug\na.mp4\n"
    assert none == "Missing: SmugMug offers no downloadable file\nnone.MOV\n"
    assert [link for link in page.links if not link.startswith("#")] == [
        "../index.html", "b.JPG", "b.JPG", "a.mp4", "a.mp4"]
    figure, = overview(run).figures
    assert re.fullmatch(
        r"Summer\nBy the sea\n2019-08 \u2013 20\d\d-\d\d\n2 of 4 here: 1 photo, 1 video\n1 re-encoded by SmugMug\n"
        r"1 missing: SmugMug offers no downloadable file\n1 missing: SmugMug answered 404.*\nnot finished\n", figure)


def test_the_page_of_all_albums_shows_smugmugs_folders_and_what_is_here(account: Account, run: Run) -> None:
    for name, folder in (("Rome", "Family/Trips"), ("Garden", "Family"), ("Empty", "")):
        album = account.album(name, folder=folder)
        if name != "Empty":
            album.photo("b.JPG")
            album.photo("a.JPG")
    sync(run, *HTML, "--layout", "tree")
    page = overview(run)
    assert page.text.split("\n")[0] == "Albums of family4 of 4 photos and videos are here, in 3 albums."
    assert page.headings == ["", "Family", "Family / Trips"]
    assert [figure.split("\n")[0] for figure in page.figures] == ["Empty", "Garden", "Rome"]
    assert page.links == ["Empty/index.html"] * 2 + [
        link for album in ("Family/Garden", "Family/Trips/Rome")
        for link in (f"{album}/index.html", f"{album}/a.JPG", f"{album}/index.html")]
    assert Page(run.output / "Family" / "Trips" / "Rome" / "index.html").links[0] == "../../../index.html"
    assert re.search(r"\nchecked on 20\d\d-\d\d-\d\d\n$", page.figures[1])


def test_it_knows_the_albums_that_a_run_leaves_out_and_those_that_smugmug_has_no_more(
        account: Account, run: Run) -> None:
    old, other = account.album("Old"), account.album("Other")
    old.photo()
    other.photo()
    other.photo("b.JPG")
    sync(run, *HTML, "-a", "Old")
    assert [figure.split("\n")[0] for figure in overview(run).figures] == ["Old", "Other"]
    assert "0 of 2 here: 0 photos, 0 videos\n2 missing: not downloaded yet\nnot finished" in overview(run).figures[1]
    sync(run, *HTML, "-x", "Old")
    assert "1 of 1 here" in overview(run).figures[0] and "2 of 2 here" in overview(run).figures[1]
    account.remove(old)
    other.remove(other.images[0])
    sync(run, *HTML)
    page = overview(run)
    assert page.headings == ["", "Not in SmugMug's list of albums"]
    assert "1 of 1 here: 1 photo, 0 videos\n1 kept here, no longer at SmugMug" in page.figures[0]
    assert page.figures[1].startswith("Old\n0 of 0 here: 0 photos, 0 videos\n1 kept here, no longer at SmugMug")
    assert "Old/index.html" in page.links


def test_it_says_why_an_album_could_not_be_listed(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    album = account.album("Summer")
    album.photo()
    smugmug.fault("server_error", where=of_list(album), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    assert "1 missing: the album could not be listed: SmugMug answered 404" in overview(run).figures[0]
    assert pages(run) == ["index.html"]


def test_it_keeps_the_day_of_the_last_verification_until_the_next(account: Account, run: Run) -> None:
    account.album("Summer", description="Verified on 2099-01-01.").photo()
    sync(run, *HTML)
    assert "Verified" not in overview(run).text
    sync(run, *HTML, "--verify")
    found = re.search(r"albums?\. Verified on (\d{4}-\d\d-\d\d)\.", overview(run).text)
    assert found and found.group(1) != "2099-01-01"
    sync(run, *HTML)
    assert f"Verified on {found.group(1)}." in overview(run).text


def test_an_interrupted_run_leaves_a_page_of_what_is_here(account: Account, smugmug: FakeSmugMug, run: Run) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows sends no signals to other processes")
    done, endless = account.album("Done"), account.album("Endless")
    done.photo()
    photo = endless.photo("big.JPG", Pattern(3_000_000, 1, JPEG_MAGIC))
    smugmug.fault("stall", where=f"/i-{photo.key}/", after_bytes=400_000)
    process = run.start(*HTML)
    smugmug.wait_for(lambda: smugmug.count("cdn") == 2 and (run.output / "Done" / "index.html").exists())
    stop(process, signal.SIGINT)
    smugmug.clear_faults()
    assert process.returncode == 130
    assert ["1 of 1 here" in figure for figure in overview(run).figures] == [True, False]
    assert "1 missing: not downloaded yet\nnot finished" in overview(run).figures[1]


# ======================================================================================================================
# Where they stand, and what they cost
# ======================================================================================================================

def test_pages_cost_one_listing_for_each_album_and_only_what_changed_is_written(account: Account, run: Run) -> None:
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
    assert "Geese" in Page(run.output / "Summer" / "index.html").figures[0]
    assert sync(run).cost == NOTHING_NEW
    assert as_stored(run) == after


def test_a_page_of_the_owner_is_kept_and_reported(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    (run.output / "Summer").mkdir(parents=True)
    for path in (run.output / "index.html", run.output / "Summer" / "index.html"):
        path.write_bytes(b"<p>mine \xff</p>")
    report = run.folder / "report.json"
    sync(run, *HTML, "--report", report)
    assert {content for name, content in home_files(run.output).items() if name.endswith(".html")} == {
        b"<p>mine \xff</p>"}
    kept = [(problem["kind"], problem["album"], problem["image"])
            for problem in json.loads(report.read_text())["problems"]]
    assert sorted(kept) == [("kept", "", "index.html"), ("kept", "Summer", "index.html")]
    (run.output / "index.html").unlink()
    sync(run, *HTML)
    content = edit(run.output / "index.html")
    sync(run, *HTML)
    assert (run.output / "index.html").read_bytes() == content


def test_a_page_of_all_albums_that_cannot_be_written_is_a_failure(account: Account, run: Run) -> None:
    account.album("Summer").photo()
    (run.output / "index.html").mkdir(parents=True)
    assert "\n  index.html: " in sync(run, *HTML, exit_code=1).stderr
    assert pages(run) == ["Summer/index.html"]


def test_what_an_album_names_like_a_page_keeps_its_name(account: Account, run: Run) -> None:
    album, other = account.album("Summer"), account.album("index.html")
    photo = album.photo("Index.html")
    other.photo()
    sync(run, *HTML)
    assert (run.output / "Summer" / "Index.html").read_bytes() == photo.data
    assert sorted(name for name in home_files(run.output) if not name.endswith(".JPG")) == [
        "Summer/Index.html", "Summer/index_page.html", "index.html", f"index_{other.key}.html/index.html"]
    assert {"Summer/index_page.html", f"index_{other.key}.html/index.html"} <= set(overview(run).links)
    assert "Sidecars" not in sync(run, *HTML).stderr


# ======================================================================================================================
# Hostile texts
# ======================================================================================================================

SNIPPETS = ("</script>", "<script>", "<!--", "-->", "<style>", "\"", "'", "&", "&lt;", "<", ">", "$title", "$$", "\0",
            "\x1f", "\r", "\n", "\u2028", "\u202e", "\ud800", "\U0001f9a2", "\u05d0", "javascript:", "<p>", "</figure>")
HOSTILE_TEXTS = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.characters()), max_size=12).map("".join)


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(text=HOSTILE_TEXTS)
@example(text="".join(SNIPPETS))
def test_no_text_becomes_markup(text: str) -> None:
    def markup(text: str) -> List[Tuple[str, List[str]]]:
        image = image_of(Title=text, Caption=text, KeywordArray=[text], FileName=text)
        reader = Tags()
        reader.feed(script.html_page(text, text, {text: [script.image_figure(image, None, text)]}).decode("utf-8"))
        return reader.found

    assert markup(text) == markup("a")


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: List[Tuple[str, List[str]]] = []

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        """Note it."""
        self.found.append((tag, [name for name, _ in attrs]))


# ======================================================================================================================
# A real browser
# ======================================================================================================================

@pytest.fixture(scope="session")
def shared_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that all tests of a worker share."""
    program = find_browser()
    if program is None:
        pytest.skip(REASON)
    browser = Browser(program, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def browser(shared_browser: Browser) -> Browser:
    """The browser, as it is on a desk."""
    shared_browser.show(1280, 800)
    return shared_browser


HACK = ("<img src=x onerror=window.hacked=1>\"' onfocus=window.hacked=1 autofocus </script>"
        "<script>window.hacked=1</script>")
NAMES = ("a#b?c%20d.png", "it's \"quoted\" & <b>bold</b>.png", "\u05e9\u05dc\u05d5\u05dd \u202etxt.png",
         "\U0001f9a2 \x01\x1b.png", "javascript:window.hacked=1.png", "ends.html")


def test_no_text_of_a_hostile_account_runs_and_every_link_opens_its_file(
        account: Account, run: Run, browser: Browser) -> None:
    album = account.album(f"100% #1? {HACK}", description=HACK)
    for number, name in enumerate(NAMES):
        album.photo(name, drawn_png(number), title=HACK if number else "", caption=HACK, keywords=[HACK, "\u202e"])
    account.album("Other \U0001f9a2 \u05d0\u05dc").video("film#1.MOV", title=HACK)
    sync(run, *HTML)
    folders = [path for path in run.output.iterdir() if path.is_dir()]
    assert len(folders) == 2
    for path in [run.output / "index.html", *(folder / "index.html" for folder in folders)]:
        browser.open(path)
        browser.wait_for("[...document.images].every(image => image.complete && image.naturalWidth === 320)")
        links = browser.run("[...document.querySelectorAll('[href], [src]')].map(each => each.href || each.src)")
        for link in links:
            assert Path(url2pathname(urlsplit(link).path)).is_file(), link
        asked = [request for request in browser.requests if not request.startswith("data:")]  # icons of the player
        assert browser.errors == []
        assert browser.run("typeof window.hacked") == "undefined"
        assert browser.run("document.scripts.length") == 1
        assert all(request.startswith(run.output.as_uri() + "/") for request in asked)
    assert {name for name in home_files(run.output) if not name.endswith("index.html")} <= {
        os.path.relpath(url2pathname(urlsplit(link).path), str(run.output)) for folder in folders
        for link in every_link(browser, folder / "index.html")}


def every_link(browser: Browser, path: Path) -> List[str]:
    """The addresses that a page leads to, as the browser understands them."""
    browser.open(path)
    found: List[str] = browser.run("[...document.querySelectorAll('a')].map(each => each.href)")
    return found


def test_even_markup_that_got_into_a_page_would_run_nothing_and_ask_nobody(
        account: Account, run: Run, browser: Browser) -> None:
    account.album("Summer").photo("a.png", drawn_png(1))
    sync(run, *HTML)
    browser.open(run.output / "Summer" / "index.html")
    browser.run("""document.body.insertAdjacentHTML("beforeend",
        '<img src="https://example.com/x.png"><img src="x" onerror="window.hacked = 1">');
        const script = document.createElement("script"); script.textContent = "window.hacked = 1";
        document.body.append(script);""")
    browser.wait_for("[...document.images].every(image => image.complete)")
    assert browser.run("typeof window.hacked") == "undefined"
    assert browser.run("fetch('https://example.com/').then(() => 'came', () => 'refused')") == "refused"
    assert [request for request in browser.requests if request.startswith("http") and "x.png" not in request] == []
    assert len([error for error in browser.errors if "Content Security Policy" in error]) >= 3


def test_an_album_is_walked_by_arrow_keys_buttons_and_swipes_in_its_own_order(
        account: Account, smugmug: FakeSmugMug, run: Run, browser: Browser) -> None:
    album = account.album("Summer")
    images = [album.photo("b.png", drawn_png(1), caption="Swans"), album.photo("lost.png"), album.video("c.MOV"),
              album.photo("a.png", drawn_png(2), caption="Geese")]
    smugmug.fault("server_error", where=of_file(images[1]), times=None, status=404)
    sync(run, *HTML, exit_code=1)
    browser.open(run.output / "Summer" / "index.html")

    def shown() -> Optional[str]:
        found: Optional[str] = browser.run("(document.querySelector('figure:target') || {}).id")
        return found

    keys = [image.key for image in images]
    browser.press("ArrowRight")
    assert shown() is None
    browser.run("document.querySelector('figure a').click()")
    walked = [shown()]
    for _ in range(4):
        browser.press("ArrowRight")
        walked.append(shown())
    assert walked == [*keys, keys[-1]]
    assert browser.run("document.activeElement.id") == keys[-1]
    browser.press("ArrowLeft")
    assert shown() == keys[2]
    assert browser.run("getComputedStyle(document.querySelector('figure:target')).position") == "fixed"
    browser.run("document.querySelector('nav button').click()")
    assert shown() == keys[1]
    browser.swipe(-150)
    browser.wait_for(f"location.hash === '#{keys[2]}'")
    browser.swipe(150)
    browser.wait_for(f"location.hash === '#{keys[1]}'")
    browser.swipe(-20)
    browser.press("Escape")
    assert shown() is None
    assert browser.run("document.activeElement.id") == keys[1]

    player = browser.run("[...document.querySelectorAll('video')].map(each => [each.controls, each.preload, each.src])")
    assert player == [[True, "none", (run.output / "Summer" / "c.mp4").as_uri()]]
    assert not any(request.endswith(".mp4") for request in browser.requests)
    browser.run("document.querySelector('video').play().catch(error => error.name)")
    assert any(request.endswith("/c.mp4") for request in browser.requests)
    assert browser.errors == []

    browser.run("document.querySelector('input').focus()")
    browser.type("gEEse")
    visible = "[...document.querySelectorAll('figure')].filter(each => each.checkVisibility()).map(each => each.id)"
    assert browser.run(visible) == keys[3:]
    browser.open(run.output / "Summer" / "index.html", f"#{keys[3]}")
    assert shown() == keys[3]


def test_the_filter_finds_an_album_by_its_name_its_folder_and_what_is_missing(
        account: Account, run: Run, browser: Browser) -> None:
    for name, folder in (("Rome", "Trips"), ("Paris", "Trips"), ("Garden", "Home")):
        account.album(name, folder=folder).photo("a.png", drawn_png(1))
    sync(run, *HTML, "-x", "Paris")
    browser.open(run.output / "index.html")
    for typed, found in (("rom", ["Rome"]), ("trips", ["Paris", "Rome"]), ("missing", ["Paris"]), ("nowhere", []),
                         ("", ["Garden", "Paris", "Rome"])):
        browser.run("document.querySelector('input').select()")
        browser.type(typed)
        texts = ("[...document.querySelectorAll('figure b')].filter(each => each.checkVisibility())"
                 ".map(each => each.textContent)")
        assert browser.run(texts) == found
        headings = "[...document.querySelectorAll('h2')].filter(each => each.checkVisibility()).length"
        assert browser.run(headings) == len({"Garden": 1}.keys() & set(found)) + bool({"Rome", "Paris"} & set(found))


def test_a_page_of_five_thousand_photos_loads_only_what_is_seen(tmp_path: Path, browser: Browser) -> None:
    count = 5000
    (tmp_path / "0.png").write_bytes(drawn_png(0))
    figures = []
    for number in range(count):
        name = f"{number}.png"
        if number:
            os.symlink("0.png", str(tmp_path / name))
        record = script.FileRecord(f"k{number}", "0", name, 1, "", 0, True)
        image = image_of(ImageKey=f"k{number}", FileName=name, Caption="Swans")
        figures.append(script.image_figure(image, record, ""))
    (tmp_path / "index.html").write_bytes(script.html_page("Large", "", {"": figures}))
    browser.open(tmp_path / "index.html")
    assert browser.run("document.images.length") == count
    assert 10 < len(browser.requests) < 200
    browser.open(tmp_path / "index.html", f"#k{count - 1}")
    browser.wait_for("document.querySelector('figure:target img').naturalWidth")
    browser.press("Escape")
    browser.wait_for("document.activeElement.getBoundingClientRect().top < innerHeight")
    assert len(browser.requests) < 400


def test_pages_can_be_read_without_scripts_by_screen_readers_and_on_paper(
        account: Account, run: Run, browser: Browser) -> None:
    album = account.album("Summer")
    photos = [album.photo("a.png", drawn_png(1), title="Swans"), album.photo("b.png", drawn_png(2), caption="Geese"),
              album.photo("c.png", drawn_png(3))]
    sync(run, *HTML)
    path = run.output / "Summer" / "index.html"
    browser.open(path)
    browser.wait_for("[...document.images].every(image => image.complete)")
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
    assert [name for role, name in named if role == "image"] == ["Swans", "Geese", "c.png"]
    assert {"banner", "main", "searchbox", "heading", "figure"} <= {role for role, _ in named}
    assert all(name for role, name in named if role in ("link", "button", "searchbox"))
    browser.show(1280, 800, media="print")
    assert browser.run("document.querySelector('input').checkVisibility()") is False
    browser.show(400, 800, scripts=False)
    browser.open(path, f"#{photos[1].key}")
    assert browser.run("document.querySelector('input').checkVisibility()") is False
    assert browser.run("document.querySelector('figure:target').innerText").startswith("Geese")
    assert browser.run("document.querySelector('nav').checkVisibility()") is False
    assert browser.run("document.documentElement.scrollWidth") <= 400


def test_the_demos_pages_fit_every_screen_in_light_and_dark(ca: Authority, tmp_path: Path, browser: Browser) -> None:
    output = demo_output(ca, tmp_path)
    for width in (400, 1280, 2560, 3840):
        corners = []
        for path in (output / "index.html", output / "Summer" / "index.html"):
            for scheme in ("light", "dark"):
                browser.show(width, width * 5 // 8, scheme)
                browser.open(path)
                assert browser.run("document.documentElement.scrollWidth") <= width
                columns = "getComputedStyle(document.querySelector('section')).gridTemplateColumns.split(' ').length"
                assert 2 <= browser.run(columns) <= 16
                corners.append(browser.screenshot(8, 8))
        assert len(set(corners)) == 2 and corners[0] == corners[2]


def demo_output(ca: Authority, folder: Path) -> Path:
    """The demo's photos and pages."""
    with FakeSmugMug(demo_account(), ca) as smugmug:
        run = Run(smugmug, folder)
        sync(run, *HTML)
        run.close()
        return run.output


def test_the_screenshot_in_readme_is_of_the_demo(
        ca: Authority, tmp_path: Path, browser: Browser, request: pytest.FixtureRequest) -> None:
    output = demo_output(ca, tmp_path)
    browser.show(1080, 500)
    browser.open(output / "Summer" / "index.html")
    browser.wait_for("[...document.images].every(image => image.complete)")
    picture = browser.screenshot(1080, 500)
    if request.config.getoption("--draw"):
        SCREENSHOT.write_bytes(picture)
    shown = SCREENSHOT.read_bytes()
    assert struct.unpack(">II", shown[16:24]) == struct.unpack(">II", picture[16:24])
    assert len(shown) < 300_000
