"""Does nothing on disk get worse, and is nothing of the user's removed?"""

from __future__ import annotations

from conftest import Run
from fake_smugmug import Account
from helpers import files_on_disk, sync, token_file


def test_hidden_files_of_the_user_that_look_like_part_files_stay(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    photo = album.photo("a.JPG", caption="Swans")
    folder = run.output / "Summer"
    folder.mkdir(parents=True)
    theirs = {
        folder / name: name.encode()
        for name in (
            ".backup-01.part",
            ".backup-1.part",
            f".{photo.key}.part",
            ".a.JPG.xmp.part",
            ".album.json.part",
            ".index.html.part",
        )
    }
    for path, content in theirs.items():
        path.write_bytes(content)
    ours = folder / f".{photo.key}-7-{'0' * 32}.part"
    ours.write_bytes(b"an older version")
    sync(run, "--sidecar", "xmp,json,html")
    assert {path: path.read_bytes() for path in theirs} == theirs
    assert not ours.exists()
    assert files_on_disk(run.output)["Summer/a.JPG"] == photo.data


def test_logout_removes_leftovers_of_killed_saves(account: Account, run: Run) -> None:
    path = token_file(run)
    path.parent.mkdir(parents=True)
    leftover = path.with_name(".token.json-95331cc5.part")
    leftover.write_bytes(b"secret")
    run("--logout")
    assert not leftover.exists()
