"""Choose albums by the names on the screen, and options that contradict each other."""

from __future__ import annotations

import re
from typing import List

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import Account
from helpers import files_on_disk, parse_album, sync


def folders(run: Run) -> List[str]:
    """Return the album folders that hold files, sorted."""
    return sorted({path.rpartition("/")[0] for path in files_on_disk(run.output)})


def test_a_folder_can_be_typed_as_it_is_shown_before_and_after_it_exists(
    account: Account, run: Run
) -> None:
    for _ in range(2):
        account.album("Summer", folder="Family").photo()
    preview = sync(run, "--dry-run").stdout
    shown = re.findall(r"^(Summer_\w+): ", preview, re.MULTILINE)
    assert len(shown) == 1
    sync(run, "--album", shown[0])
    assert folders(run) == shown
    (run.output / shown[0]).rename(run.output / "By the sea")
    sync(run, "--album", "by the SEA")
    assert folders(run) == ["By the sea"]
    sync(run, "--exclude", "By the sea")
    assert folders(run) == ["By the sea", "Summer"]


@pytest.mark.parametrize("pattern", ["Family/Trips", "/family/trips/", "*/Trips", "Family/Tri?s"])
def test_a_folder_on_smugmug_stands_for_all_albums_below_it(
    account: Account, run: Run, pattern: str
) -> None:
    for name, folder in (
        ("Rome", "Family/Trips"),
        ("Oslo", "Family/Trips/North"),
        ("Trips home", "Family"),
        ("Other", ""),
    ):
        account.album(name, folder=folder).photo()
    sync(run, "--album", pattern)
    assert folders(run) == ["Oslo", "Rome"]
    sync(run, "--exclude", pattern)
    assert folders(run) == ["Oslo", "Other", "Rome", "Trips home"]


def test_names_with_characters_that_disks_refuse_can_be_typed_both_ways(
    account: Account, run: Run
) -> None:
    account.album("Rome: day 1").photo()
    account.album("Other").photo()
    sync(run, "--album", "Rome: day 1")
    (shown,) = folders(run)
    assert shown != "Rome: day 1"
    sync(run, "--exclude", shown)
    assert folders(run) == sorted([shown, "Other"])


@pytest.mark.parametrize(
    "typed, suggested",
    [
        ("Our long sumer", "'Our long summer'"),
        ("Family/Trip", "Family/Trips"),
        ("its", "'It'\"'\"'s'"),
    ],
)
def test_suggestions_work_when_they_are_typed(
    account: Account, run: Run, typed: str, suggested: str
) -> None:
    account.album("Our long summer").photo()
    account.album("Rome", folder="Family/Trips").photo()
    account.album("It's").photo()
    account.album("-Rome").photo()
    told = sync(run, "--album", typed, exit_code=2).stderr
    assert "Did you mean: " in told and suggested in told.partition("Did you mean: ")[2]


def test_no_suggestion_is_made_that_would_not_work(account: Account, run: Run) -> None:
    account.album("-sunset").photo()
    account.album("Sun\x1bset", folder="Sun").photo()
    told = sync(run, "--album", "sunse", exit_code=2).stderr
    for quoted in re.findall("Did you mean: (.*)[?]", told):
        for name in quoted.split(", "):
            assert run("--album", name, "--dry-run").returncode == 0


def albums_named(*names: str) -> List[script.Album]:
    """Return albums with these paths, each named after the last part."""
    albums = []
    for number, path in enumerate(names):
        album = parse_album(
            {
                "AlbumKey": f"K{number}",
                "Name": path.rpartition("/")[2],
                "UrlPath": "/" + path,
                "ImageCount": 1234,
                "OriginalSizes": 123_400_000_000,
                "LastUpdated": "2024-01-01T00:00:00+00:00",
                "ImagesLastUpdated": "2024-01-01T00:00:00+00:00",
                "Privacy": "Unlisted",
            }
        )
        albums.append(album)
    return albums


@pytest.mark.parametrize("columns", [80, 60, 40])
@pytest.mark.parametrize(
    "names",
    [
        ["Our long summer by the northern sea 2019", "Our long summer by the northern sea 2020"],
        ["2019: our long summer by the northern sea", "2020: our long summer by the northern sea"],
        [
            "The long summer of 2019 by the northern sea",
            "The long summer of 2020 by the northern sea",
        ],
        ["Family/2019/Summer", "Family/2020/Summer", "Friends/Summer"],
        ["日本の写真日本の写真日本の写真 一", "日本の写真日本の写真日本の写真 二"],
    ],
)
def test_the_table_of_albums_keeps_what_tells_them_apart(names: List[str], columns: int) -> None:
    recorded = {"K0": script.TotalOnDisk(12), "K1": script.TotalOnDisk(0, 200_000_000_000)}
    table = script.album_table(albums_named(*names), recorded, columns)
    header, *rows = table.split("\n")
    assert header.startswith("ALBUM") and "SIZE" in header
    assert max(map(script.display_width, table.split("\n"))) <= columns
    labels = [re.split(r" +1234 ", row)[0] for row in rows]
    assert len(set(rows if "PATH" in header else labels)) == len(names)
    assert all(re.search(r" 1234 +(12|0) +(123|200) GB", row) for row in rows)
    for label, album in zip(labels, albums_named(*names)):
        if "\N{HORIZONTAL ELLIPSIS}" in label:
            chosen = [
                each.key for each in albums_named(*names) if script.matches(each, "", [label])
            ]
            assert chosen == [album.key]


def test_names_that_look_the_same_are_told_apart_by_their_paths() -> None:
    albums = albums_named("Family/2019/Summer", "Family/2020/Summer")
    narrow = script.album_table(albums, {}, 60)
    assert "Family/2019/Summer" in narrow and "Family/2020/Summer" in narrow
    wide = script.album_table(albums, {}, 200).split("\n")
    assert re.split(" {2,}", wide[0]) == list(script.ALBUM_HEADINGS)
    assert wide[1].startswith("Summer ") and wide[1].endswith("/Family/2019/Summer")


@pytest.mark.parametrize("columns", range(1, 45))
def test_shortened_texts_fit_and_differ(columns: int) -> None:
    texts = [f"e\u0301te\u0301 \u65e5\u672c {number:02} {'x' * 30}" for number in range(20)]
    short = script.shorten_apart(texts, columns)
    assert max(map(script.display_width, short.values())) <= columns
    assert columns < 10 or len(set(short.values())) == len(texts)


@pytest.mark.parametrize(
    "arguments, advice",
    [
        (["--log-file", "-"], "use -v"),
        (["--sidecar", "dates"], "--sidecar xmp,dates"),
        (["--sidecar", "json,dates"], "--sidecar xmp,dates"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    run: Run, arguments: List[str], advice: str
) -> None:
    result = run(*arguments)
    assert result.returncode == 2 and advice in result.stderr
    assert len(result.stderr.splitlines()) == 1 and not run.output.exists()
    assert not (run.folder / "-").exists()
