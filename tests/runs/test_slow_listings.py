"""Do pages of listings shrink when SmugMug is too slow, and grow again carefully?"""

from __future__ import annotations

import signal
from typing import Any, Dict, List, NamedTuple

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import JSON, Account, Album, FakeSmugMug, Lag
from helpers import files_on_disk, hide_image_counts, of_list, stop, sync

ENOUGH = 60  # pages of this size succeed


class Page(NamedTuple):
    """A requested page of an album."""

    start: int
    images: int


def pages(smugmug: FakeSmugMug, album: Album) -> List[Page]:
    """Return the requested pages of an album, in the order of the requests."""
    return [
        Page(int(record.query["start"]), int(record.query["count"]))
        for record in smugmug.select("api", of_list(album))
    ]


def without_its_list(answer: Dict[str, Any]) -> Dict[str, Any]:
    """Return a response that has everything but the list."""
    del answer["Response"]["AlbumImage"]
    return answer


def without_pages(answer: Dict[str, Any]) -> Dict[str, Any]:
    """Return a response with neither the list nor its length."""
    del answer["Response"]["Pages"]
    return without_its_list(answer)


HALVED = [Page(1, 100), Page(1, 50), Page(51, 50), Page(101, 50)]


def in_order(asked: List[Page]) -> List[Page]:
    """Return pages in order of request; those after the first, requested together, by start."""
    return asked[:2] + sorted(asked[2:])


@pytest.mark.parametrize("gives", ["nonce_used", "timeout", "server_error", "no_response"])
def test_pages_too_slow_for_the_gateway_are_halved_in_place(
    account: Account, smugmug: FakeSmugMug, run: Run, gives: str
) -> None:
    album = account.album("Summer")
    album.fill(150, 60)
    hide_image_counts(smugmug)
    smugmug.gateway.give_up_above(ENOUGH)
    smugmug.gateway.gives = gives
    assert sync(run).cost == (2 + 4, 150)
    assert in_order(pages(smugmug, album)) == HALVED


@pytest.mark.parametrize(
    "fault, options, arguments",
    [
        ("mangle", {"function": without_its_list}, ()),
        ("mangle", {"function": without_pages}, ()),
        ("stall", {"before_headers": True}, ("--timeout", "1")),
    ],
    ids=["without its list", "without its list and its length", "none in time"],
)
def test_malformed_pages_are_halved(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    fault: str,
    options: Dict[str, Any],
    arguments: Any,
) -> None:
    album = account.album("Summer")
    album.fill(150, 60)
    hide_image_counts(smugmug)
    smugmug.fault(fault, of_list(album), **options)
    assert sync(run, *arguments).cost == (2 + 4, 150)
    assert in_order(pages(smugmug, album)) == HALVED


def test_later_pages_are_halved_without_listing_again(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.fill(250, 60)
    hide_image_counts(smugmug)
    smugmug.fault("nonce_used", of_list(album) + ".*start=101")
    assert sync(run).cost == (2 + 5, 250)
    # several at a time, once the first page has stated the total
    asked = pages(smugmug, album)
    assert asked[0] == Page(1, 100) and asked.count(Page(201, 100)) == 1
    assert sorted(page for page in asked[1:] if page.start < 201) == [
        Page(101, 50),
        Page(101, 100),
        Page(151, 50),
    ]


def test_working_page_sizes_last_for_the_run(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    for number in range(30):
        account.album(f"Album {number:02}").fill(40, 60)
    smugmug.gateway.give_up_above(20)
    assert "1,200 to download" in sync(run, "-n").stderr
    asked = [page.images for album in account.albums for page in pages(smugmug, album)]
    # at 100, 50 and 25, and once a little more than the size that worked, for all albums listed at
    # a time
    assert sum(count > 20 for count in asked) <= 5 * script.LISTING_THREADS
    assert len(asked) <= 30 * 4 + 4 * script.LISTING_THREADS


def test_simultaneous_failures_halve_a_page_once(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    albums = [account.album(name) for name in ("Spring", "Summer", "Autumn", "Winter")]
    for album in albums:
        album.fill(100, 60)
    hide_image_counts(smugmug)
    smugmug.gateway.give_up_above(ENOUGH)
    smugmug.gateway.pace = 0.3  # so that all requests are sent before the first response
    sync(run, "-n")
    assert [pages(smugmug, album) for album in albums] == [
        [Page(1, 100), Page(1, 50), Page(51, 50)]
    ] * 4


def test_5000_images_are_listed_through_a_gateway_with_pages_of_60(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.fill(5000, 60)
    smugmug.gateway.give_up_above(ENOUGH)

    assert "5,000 to download" in sync(run, "-n").stderr

    asked = pages(smugmug, album)
    assert len(asked) <= 105  # 84 if it knew beforehand, and asked for one at a time
    assert asked[0].images == 100 and {Page(1, 50), Page(51, 50)} < set(asked)
    too_long = [page.images for page in asked if page.images > ENOUGH]
    assert too_long.count(100) <= script.LISTING_THREADS and too_long.count(80) in (1, 2)
    assert set(too_long) <= {100, 80, 70}
    assert asked[-1].images == ENOUGH, "it never asked for more again"


def test_all_threads_list_the_first_album_and_later_ones_in_full_pages(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    albums = [account.album(f"Album {number}") for number in range(2 * script.LISTING_THREADS)]
    for album in albums:
        album.fill(75, 60)
    # the whole first album is requested before any response
    smugmug.fault("stall", "!images", times=8, seconds=3, before_headers=True)
    assert sync(run, "-n").cost[1] == 0
    asked = [record.path for record in smugmug.select("api", "!images")]
    by_turn = sorted(albums, key=lambda album: asked.index(of_list(album)))
    assert sorted(pages(smugmug, by_turn[0])) == [Page(start, 10) for start in range(1, 75, 10)]
    assert pages(smugmug, by_turn[-1]) == [Page(1, 100)]


@pytest.mark.parametrize("answer", ["empty", "not_found"])
def test_pages_beyond_the_end_of_a_lagging_listing_are_no_failure(
    account: Account, smugmug: FakeSmugMug, run: Run, answer: str
) -> None:
    album = account.album("Summer")
    for number in range(20):
        album.photo(f"{number}.JPG")
    account.total_follows, account.lag = "listing", Lag(listings=1)
    late = [album.photo(f"late {number}.JPG") for number in range(10)]
    if answer == "not_found":
        smugmug.fault("not_found", of_list(album) + ".*start=21(&|$)", times=script.ATTEMPTS)

    def is_asked_beyond() -> bool:
        return 21 in {page.start for page in pages(smugmug, album)}

    def held(first_page: JSON) -> JSON:
        smugmug.wait_for(is_asked_beyond)
        return first_page

    smugmug.fault("mangle", of_list(album) + ".*start=1(&|$)", function=held)

    result = sync(run)

    assert "\nAll 30 photos and videos are in " in result.stderr
    assert len(files_on_disk(run.output)) == 30 and f"Summer/{late[9].file_name}" in files_on_disk(
        run.output
    )
    assert is_asked_beyond()


def test_pages_of_a_long_album_are_listed_in_parallel(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.fill(1000, 60)
    smugmug.fault("stall", of_list(album) + ".*start=101(&|$)", seconds=20, before_headers=True)
    process = run.start("-j", 1)
    # while the second page is held back
    smugmug.wait_for(lambda: smugmug.count("api", of_list(album)) >= 10)
    assert {page.start for page in pages(smugmug, album)} == set(range(1, 1000, 100))
    stop(process, signal.SIGINT)


def test_albums_are_listed_in_pages_as_small_as_they_need(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    big, small = account.album("Big"), account.album("Small")
    big.fill(30, 60)
    small.fill(5, 60)
    smugmug.gateway.give_up_above(9)
    sync(run)
    assert len(files_on_disk(run.output)) == 35
    assert min(page.images for page in pages(smugmug, big)) < 10


def test_pages_grow_again_after_a_short_failure(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    album = account.album("Summer")
    album.fill(3000, 60)
    smugmug.fault("server_error", where="!images", times=12, status=504)

    result = run("-n")

    assert result.returncode == 0 and "3,000 to download" in result.stderr
    asked = [int(record.query["count"]) for record in smugmug.select("api", "!images")]
    assert len(asked) < 120 and 100 in asked[-8:]  # it would be 300 at the smallest size
