"""Does --originals copy files from the user's own folders instead of downloading them?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest

import download_smugmug_photos as script
from conftest import Run
from fake_smugmug import Account
from helpers import (
    NOTHING_NEW,
    broken_python,
    expected_files,
    files_on_disk,
    of_list,
    run_without_rights,
    snapshot,
    sync,
)


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Make a folder of the user's own."""
    folder = tmp_path / "originals"
    (folder / "2019" / "Summer").mkdir(parents=True)
    return folder


def test_originals_are_copied_under_any_name(account: Account, run: Run, originals: Path) -> None:
    album = account.album("Summer")
    photo, other = album.photo("a.JPG"), album.photo("b.JPG")
    (originals / "2019" / "Summer" / "scan 1.tif").write_bytes(photo.data)
    (originals / "same size.jpg").write_bytes(bytes(len(other.data)))
    before = snapshot(originals)
    result = sync(run, "--originals", originals)
    assert result.downloads == 1 and "1 copied" in result.stderr
    assert files_on_disk(run.output) == expected_files(album)
    assert snapshot(originals) == before
    assert sync(run, "--originals", originals).cost == NOTHING_NEW
    assert sync(run).cost == NOTHING_NEW


def test_several_folders_come_from_options_or_from_lines_of_a_variable(
    account: Account, run: Run, originals: Path, tmp_path: Path
) -> None:
    album = account.album("Summer")
    photos = [album.photo(f"{number}.JPG") for number in range(2)]
    (originals / "0.jpg").write_bytes(photos[0].data)
    second = tmp_path / "second"
    second.mkdir()
    (second / "1.jpg").write_bytes(photos[1].data)
    assert sync(run, "--originals", originals, "--originals", second).downloads == 0
    env = {"SMUGMUG_ORIGINALS": f"{originals}\n{second}\n"}
    assert sync(run, "--output", "elsewhere", env=env).downloads == 0


def test_a_folder_that_does_not_exist_is_refused(account: Account, run: Run) -> None:
    for result in (
        run("--originals", "/no/such folder"),
        run(env={"SMUGMUG_ORIGINALS": "/no/such folder"}),
    ):
        assert result.returncode == 2 and "/no/such folder" in result.stderr
    assert not run.output.exists()


def test_hidden_folders_hidden_files_and_links_are_passed_over(
    account: Account, run: Run, originals: Path, tmp_path: Path
) -> None:
    album = account.album("Summer")
    photos = [album.photo(f"{number}.JPG") for number in range(4)]
    outside = tmp_path / "outside"
    outside.mkdir()
    (originals / ".thumbnails").mkdir()
    (originals / ".thumbnails" / "0.jpg").write_bytes(photos[0].data)
    (originals / ".1.jpg").write_bytes(photos[1].data)
    (outside / "2.jpg").write_bytes(photos[2].data)
    os.symlink(outside / "2.jpg", originals / "2.jpg")
    (outside / "folder").mkdir()
    (outside / "folder" / "3.jpg").write_bytes(photos[3].data)
    os.symlink(outside / "folder", originals / "folder")
    os.symlink(originals, originals / "circle")
    os.mkfifo(originals / "pipe.jpg")
    (originals / "empty.jpg").touch()
    assert sync(run, "--originals", originals).downloads == 4


def test_only_files_whose_size_fits_are_read(
    account: Account, run: Run, originals: Path, tmp_path: Path
) -> None:
    photo = account.album("Summer").photo()
    for number in range(20):
        (originals / f"{number}.jpg").write_bytes(bytes(len(photo.data) + 1 + number))
    (originals / "fits.jpg").write_bytes(photo.data)
    (originals / "fits as well.jpg").write_bytes(bytes(len(photo.data)))
    log = tmp_path / "opened"
    python = broken_python(
        tmp_path / "python",
        f"""
        import builtins
        plain_open = open
        def noted_open(name, *args, **options):
            if str(name).startswith({str(originals)!r}):
                with plain_open({str(log)!r}, "a") as file:
                    file.write(str(name) + "\\n")
            return plain_open(name, *args, **options)
        builtins.open = noted_open
        """,
    )
    assert sync(run, "--originals", originals, env=python).downloads == 0
    opened = {Path(line).name for line in log.read_text().splitlines()}
    assert opened == {"fits.jpg", "fits as well.jpg"}


def test_an_unreadable_corner_costs_that_corner(
    account: Account, run: Run, originals: Path
) -> None:
    album = account.album("Summer")
    photos = [album.photo(f"{number}.JPG") for number in range(3)]
    (originals / "locked").mkdir()
    (originals / "locked" / "0.jpg").write_bytes(photos[0].data)
    (originals / "1.jpg").write_bytes(photos[1].data)
    (originals / "1.jpg").chmod(0)
    (originals / "2.jpg").write_bytes(photos[2].data)
    (originals / "locked").chmod(0)
    try:
        result = run_without_rights(run, "--originals", originals)
    finally:
        (originals / "locked").chmod(0o755)
    assert result.returncode == 0, result.stderr
    assert "1 copied" in result.stderr and "2 downloaded" in result.stderr
    assert "1 folder in" in result.stderr and "locked" in result.stderr
    assert files_on_disk(run.output) == expected_files(album)


def test_originals_on_a_disk_that_cannot_be_written_are_copied(
    account: Account, run: Run, originals: Path
) -> None:
    album = account.album("Summer")
    (originals / "2019" / "a.jpg").write_bytes(album.photo().data)
    folders = [originals / "2019" / "Summer", originals / "2019", originals]
    for folder in folders:
        folder.chmod(0o555)
    try:
        result = run_without_rights(run, "--originals", originals, "--hard-links")
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert result.returncode == 0 and "1 copied" in result.stderr


def test_an_original_is_never_linked(account: Account, run: Run, originals: Path) -> None:
    album, again = account.album("Summer"), account.album("Best of")
    photo = album.photo()
    again.collect(photo)
    original = originals / "a.jpg"
    original.write_bytes(photo.data)
    assert sync(run, "--originals", originals, "--hard-links").downloads == 0
    assert original.stat().st_nlink == 1
    files = [run.output / path for path in files_on_disk(run.output)]
    assert len(files) == 2 and files[0].stat().st_ino == files[1].stat().st_ino


def test_an_original_that_changed_since_it_was_hashed_is_not_used(
    tmp_path: Path, originals: Path
) -> None:
    """Ask the index, change the file, and have it copied."""
    index = script.ContentIndex(tmp_path / "photos", lambda text: None, [originals])
    path = originals / "a.jpg"
    path.write_bytes(b"12345")
    with script.open_database(tmp_path / "photos", lambda: None) as database:
        index.fill(database)
        index.fill(database)
    assert index.of_size(5) == [path]


def test_the_output_folder_within_the_originals_is_not_indexed_twice(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    sync(run)
    album.photo("b.JPG")
    for folder in (run.output.parent, run.output, run.output / "Summer"):
        sync(run, "--originals", folder)
        assert sync(run, "--originals", folder).cost == NOTHING_NEW
    assert files_on_disk(run.output) == expected_files(album)


@pytest.mark.parametrize("arguments", [[], ["-v"]])
def test_previews_name_files_that_exist_only_on_smugmug(
    account: Account, run: Run, originals: Path, arguments: List[str]
) -> None:
    album = account.album("Summer")
    for number in range(3):
        album.photo(f"{number}.JPG")
    (originals / "any name.jpg").write_bytes(album.images[1].data)
    result = sync(run, "-n", "--originals", originals, *arguments)
    size = sum(len(album.images[number].data) for number in (0, 2))
    assert f"Only on SmugMug: 2 files, {script.human_bytes(size)}" in result.stdout
    assert result.downloads == 0 and not run.output.exists()
    listed = [line for line in result.stdout.splitlines() if "Summer/" in line]
    if arguments:
        assert listed == [f"Only on SmugMug: Summer/{number}.JPG" for number in (0, 2)]
    else:
        assert listed == [] and "list them with -v" in result.stdout
    assert "Only on SmugMug" not in sync(run, "-n", "-v").stdout


def test_a_file_whose_md5_is_found_only_later_is_copied_as_well(
    account: Account, run: Run, originals: Path
) -> None:
    """Leave the videos' files out of the listing, so that each takes a request of its own."""
    album = account.album("Summer")
    video = album.video("film.mp4")
    (originals / "film.mp4").write_bytes(video.data)

    def without_expansions(answer: Dict[str, Any]) -> Dict[str, Any]:
        answer.pop("Expansions", None)
        return answer

    run.smugmug.fault("mangle", of_list(album), times=None, function=without_expansions)
    result = sync(run, "--originals", originals)
    assert result.downloads == 0 and "1 copied" in result.stderr
    assert files_on_disk(run.output) == expected_files(album)


def test_a_photo_uploaded_twice_is_downloaded_once(account: Account, run: Run) -> None:
    """Keep two images of other keys and albums apart, but not their content."""
    album, other = account.album("Summer"), account.album("Winter")
    photo = album.photo("a.JPG")
    album.photo("b.JPG", content=photo.data)
    other.photo("c.JPG", content=photo.data)
    assert "To download: 1 file, " in sync(run, "-n").stdout
    result = sync(run)
    assert result.downloads == 1 and "2 copied" in result.stderr
    assert files_on_disk(run.output) == expected_files(album, other)
    shutil.rmtree(str(run.output / "Winter"))
    assert sync(run).downloads == 0


def test_files_of_one_size_are_hashed_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ask for many images of one size: the effort stays linear."""
    hashed: List[Path] = []

    def count(path: Path, stop: script.Stop) -> str:
        hashed.append(path)
        if path.name == "0.jpg":
            raise OSError(5, "Input/output error")
        return f"{len(hashed):032x}"

    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(b"12345")
    index = script.ContentIndex(tmp_path, lambda text: None)
    with script.open_database(tmp_path / ".record", lambda: None) as database:
        index.fill(database)
    monkeypatch.setattr(script, "file_md5", count)
    for number in range(20):
        remote = script.RemoteFile("", 5, f"{number + 1:032x}")
        image = script.parse_image(script.Entry({"ImageKey": f"k{number}"}), script.Entry({}))
        copies = index.find(image._replace(remote=remote), script.Stop())
        assert len(copies) <= 1
    assert sorted(hashed) == sorted(tmp_path / f"{number}.jpg" for number in range(20))


def test_without_a_size_only_known_files_are_found(tmp_path: Path) -> None:
    """Ask by MD5 alone, for a photo whose smaller copy is recorded."""
    (tmp_path / "unknown.jpg").write_bytes(b"12345")
    index = script.ContentIndex(tmp_path, lambda text: None)
    with script.open_database(tmp_path / ".record", lambda: None) as database:
        index.fill(database)
    md5 = script.file_md5(tmp_path / "unknown.jpg")
    image = script.parse_image(script.Entry({"ImageKey": "k"}), script.Entry({}))
    image = image._replace(remote=script.RemoteFile("", None, md5))
    assert index.find(image, script.Stop()) == []
    record = script.FileRecord("k", "0", "small.jpg", 5, md5, 1, is_original=False)
    index.add(tmp_path / "small.jpg", record)
    assert index.find(image, script.Stop()) == []
    index.add(tmp_path / "damaged.jpg", record._replace(is_original=True, damaged=True))
    assert index.find(image, script.Stop()) == []


def test_entries_that_cannot_be_looked_at_are_passed_over(tmp_path: Path) -> None:
    class Entry:
        def is_dir(self, follow_symlinks: bool) -> bool:
            raise OSError(5, "Input/output error")

    assert not script.Walk(tmp_path)._is_file(Entry())  # type: ignore[arg-type]


def test_no_album_folder_is_found_among_the_originals(tmp_path: Path) -> None:
    """Leave an album's only file in the output folder itself, and among the originals."""
    output, originals = tmp_path / "photos", tmp_path / "originals"
    for folder in (output, originals):
        folder.mkdir()
        (folder / "a.JPG").write_bytes(b"12345")
    index = script.ContentIndex(output, lambda text: None, [originals])
    with script.open_database(output, lambda: None) as database:
        index.fill(database)
    assert len(index.of_size(5)) == 2
    record = script.FileRecord("k", "0", "a.JPG", 5, script.file_md5(output / "a.JPG"), 1, True)
    assert script.moved_folder(index, "Summer", {"."}, [record], script.Stop()) is None


def test_an_index_that_does_not_fit_costs_the_copies_not_the_run(
    account: Account, run: Run, tmp_path: Path
) -> None:
    """Let SQLite's temporary database fail as on a full temporary folder."""
    album, again, third = (account.album(name) for name in ("Summer", "Best of", "For Ann"))
    for number in range(3):
        photo = album.photo(f"{number}.JPG")
        again.collect(photo)
        third.collect(photo)
    python = broken_python(
        tmp_path / "python",
        """
        import sqlite3
        connect = sqlite3.connect
        class Full(sqlite3.Connection):
            def executemany(self, statement, rows):
                raise sqlite3.OperationalError("database or disk is full")
            def execute(self, statement, *values):
                if statement.startswith("INSERT"):
                    self.executemany(statement, [values])
                return super().execute(statement, *values)
        def connect_to_full(name, *args, **options):
            if not name:
                options["factory"] = Full
            return connect(name, *args, **options)
        sqlite3.connect = connect_to_full
        """,
    )
    result = sync(run, env=python)
    assert files_on_disk(run.output) == expected_files(album, again, third)
    assert result.stderr.count("does not fit into the temporary folder") == 1
    assert "TMPDIR" in result.stderr and "The disk is full" not in result.stderr
