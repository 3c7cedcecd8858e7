"""Does --verify find changed files, repair damage, and keep what the user edited?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Dict

import pytest

from conftest import Run
from fake_smugmug import Account, FakeSmugMug, Photo
from helpers import NOTHING_NEW, edit, expected_files, files_on_disk, key_name, run_unchanged, sync


def decay(path: Path) -> bytes:
    """Change a byte as a failing disk would, keeping the timestamp; return the content."""
    return edit(path, keep_time=True)


def one_photo_on_disk(account: Account, run: Run) -> Photo:
    """Download an account of one photo."""
    photo = account.album("Summer").photo("a.JPG")
    sync(run)
    return photo


def test_files_missing_on_both_sides_need_no_repair(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    gone = album.photo("b.JPG")
    sync(run)
    album.remove(gone)
    (run.output / "Summer" / "b.JPG").unlink()
    verified = sync(run, "--verify").stderr
    assert "Damaged" not in verified and "\n1 photo or video is in " in verified


def test_damaged_files_that_smugmug_no_longer_has_are_to_be_restored_or_deleted(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    gone = album.photo("b.JPG")
    sync(run)
    album.remove(gone)
    decay(run.output / "Summer" / "b.JPG")
    for more in (("--verify",), ()):
        told = sync(run, *more, exit_code=1).stderr
        assert "  Summer/b.JPG: " in told and "If SmugMug no longer has " in told
    (run.output / "Summer" / "b.JPG").unlink()
    sync(run)


def test_damaged_files_that_cannot_be_downloaded_are_named_by_every_run(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = one_photo_on_disk(account, run)
    decayed = decay(run.output / "Summer" / "a.JPG")
    smugmug.fault("respond", "cdn", times=None, status=403, body=b"")
    assert (
        "\nDamaged, changed or missing (1):\n  Summer/a.JPG: damaged\n"
        in sync(run, "--verify", exit_code=1).stderr
    )
    for _ in range(2):
        later = sync(run, exit_code=1).stderr
        assert (
            "\nDamaged (1):\n  Summer/a.JPG: failed --verify and was not downloaded again\n"
            in later
        )
        assert files_on_disk(run.output) == {"Summer/a.JPG": decayed}
    smugmug.clear_faults()
    sync(run)
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "Summer/a-damaged.JPG": decayed,
    }


def test_verifying_intact_files_downloads_nothing(account: Account, run: Run) -> None:
    album = account.album("Summer")
    album.photo("a.JPG")
    album.video("b.mp4")
    album.video("c.mp4", md5_listed=False, size_listed=False)
    sync(run)
    verified = sync(run, "--verify")
    assert verified.cost == NOTHING_NEW
    assert "3 intact" in verified.stderr


def test_verifying_repairs_damage_keeps_edits_and_downloads_missing_files(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    album.photo("sound.JPG")
    album.photo("decayed.JPG")
    album.video("decayed.mp4")
    edited, edited_film = album.photo("edited.JPG"), album.video("edited.mp4")
    album.photo("missing.JPG")
    album.video("silent.mp4", md5_listed=False)
    sync(run)
    folder = run.output / "Summer"
    decayed = {name: decay(folder / name) for name in ("decayed.JPG", "decayed.mp4", "silent.mp4")}
    kept = {
        "Summer/edited.JPG": edit(folder / "edited.JPG"),
        "Summer/edited.mp4": edit(folder / "edited.mp4"),
    }
    for stem, extension in (("decayed", "JPG"), ("decayed", "mp4"), ("silent", "mp4")):
        kept[f"Summer/{stem}-damaged.{extension}"] = decayed[f"{stem}.{extension}"]
    # without --verify only sizes are compared
    assert sync(run).cost == NOTHING_NEW
    (folder / "missing.JPG").unlink()

    verified = sync(run, "--verify")
    assert verified.cost == (3, 6)
    beside = {f"Summer/{key_name(image)}": image.data for image in (edited, edited_film)}
    assert files_on_disk(run.output) == {**expected_files(album), **beside, **kept}
    for name in (
        "decayed.JPG",
        "decayed.mp4",
        "edited.JPG",
        "edited.mp4",
        "missing.JPG",
        "silent.mp4",
    ):
        assert name in verified.stderr
    assert "sound.JPG" not in verified.stderr
    assert "Repaired (4):" in verified.stderr and "Damaged, changed" not in verified.stderr
    for name, image in (("edited.JPG", edited), ("edited.mp4", edited_film)):
        saved = f"SmugMug's version was saved as {key_name(image)}"
        assert f"  Summer/{name}: changed here; {saved}\n" in verified.stderr
    assert "Kept (2):\n  Summer/edited.JPG" in verified.stderr
    assert (
        "  Summer/decayed.JPG: damaged; downloaded again; the damaged file was kept as "
        "decayed-damaged.JPG\n"
    ) in verified.stderr

    again = sync(run, "--verify")
    assert again.cost == NOTHING_NEW
    assert "7 intact" in again.stderr


def test_verify_only_writes_nothing_and_exits_with_1_on_damage(account: Account, run: Run) -> None:
    album = account.album("Summer")
    photo, _ = album.photo("a.JPG"), album.photo("sound.JPG")
    sync(run)
    assert "2 intact" in run_unchanged(run, "--verify", "--dry-run").stderr
    path = run.output / "Summer" / photo.file_name
    modified_ns = path.stat().st_mtime_ns
    for harm in (decay, edit, Path.unlink):
        harm(path)
        report = run_unchanged(run, "--verify", "--dry-run", exit_code=1).stderr
        assert (
            "Damaged, changed or missing (1):\n  Summer/a.JPG: " in report
            and "sound.JPG" not in report
        )
        assert "Files:" not in report and "Albums:" not in report
        assert "To download these again, run --verify without -n." in report
        path.write_bytes(photo.data)
        os.utime(str(path), ns=(modified_ns, modified_ns))
    run_unchanged(run, "--verify", "--dry-run")


def test_the_advice_after_a_report_of_damage_repairs_it(account: Account, run: Run) -> None:
    photo = one_photo_on_disk(account, run)
    decayed = decay(run.output / "Summer" / "a.JPG")
    advice = run_unchanged(run, "--verify", "--dry-run", exit_code=1).stderr
    run_unchanged(run)  # so leaving out -n alone is not enough
    assert " run --verify without -n" in advice
    sync(run, "--verify")
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "Summer/a-damaged.JPG": decayed,
    }


@pytest.mark.parametrize("is_damaged", [False, True])
def test_verify_only_needs_no_network(
    account: Account, smugmug: FakeSmugMug, run: Run, is_damaged: bool
) -> None:
    photo = one_photo_on_disk(account, run)
    if is_damaged:
        decay(run.output / "Summer" / photo.file_name)
    assert run_unchanged(run, "--verify", "--dry-run", exit_code=int(is_damaged)).cost == (0, 0)
    assert smugmug.connections() == 0


@pytest.mark.parametrize("where", ["!authuser", "!albums"])
def test_damage_is_reported_even_if_smugmug_does_not_respond(
    account: Account, smugmug: FakeSmugMug, run: Run, where: str
) -> None:
    photo = one_photo_on_disk(account, run)
    path = run.output / "Summer" / photo.file_name
    damaged = decay(path)
    smugmug.fault("not_found", where=where, times=None)
    assert photo.file_name in sync(run, "--verify", exit_code=2).stderr
    assert path.read_bytes() == damaged
    smugmug.clear_faults()
    assert sync(run).cost == (3, 1)
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "Summer/a-damaged.JPG": damaged,
    }


def test_edited_files_deleted_on_smugmug_are_not_called_repaired(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    gone, _ = album.photo("gone.JPG"), album.photo("stays.JPG")
    sync(run)
    album.remove(gone)
    sync(run)
    edited = edit(run.output / "Summer" / "gone.JPG")
    assert len(edited) == len(gone.data)
    for arguments in (["--verify"], ["--verify"], ["--verify", "--dry-run"]):
        told = sync(run, *arguments).stderr  # files that only the user has are not checked
        assert "1 intact" in told and "gone.JPG" not in told and "Repaired" not in told
    assert (run.output / "Summer" / "gone.JPG").read_bytes() == edited


def test_files_outside_the_selection_are_not_called_repaired(account: Account, run: Run) -> None:
    photo, other = account.album("Summer").photo("a.JPG"), account.album("Winter").photo("b.JPG")
    sync(run)
    decay(run.output / "Summer" / photo.file_name)
    decay(run.output / "Winter" / other.file_name)
    told = sync(run, "--verify", exit_code=1, env={"SMUGMUG_ALBUM": "Summer"}).stderr
    assert (
        "Repaired (1):\n  Summer/a.JPG: damaged; downloaded again; the damaged file was kept as "
        in told
    )
    assert (
        "Damaged, changed or missing (1):\n  Winter/b.JPG: damaged\n  To download these again, "
        in told
    )
    assert sync(run, "--verify").cost == (3, 1)


def test_damage_to_files_deleted_on_smugmug_exits_with_1_while_it_lasts(
    account: Account, run: Run
) -> None:
    album = account.album("Summer")
    gone, sound = album.photo("gone.JPG"), album.photo("gone but sound.JPG")
    album.photo("stays.JPG")
    sync(run)
    album.remove(gone)
    album.remove(sound)
    sync(run)
    path = run.output / "Summer" / "gone.JPG"
    damaged = decay(path)
    assert "gone.JPG" in run_unchanged(run, "--verify", "--dry-run", exit_code=1).stderr
    for arguments in (["--verify"], ["--verify"], ["--verify", "--dry-run"]):
        report = sync(run, *arguments, exit_code=1)
        assert report.downloads == 0
        assert "gone.JPG" in report.stderr and "gone but sound.JPG" not in report.stderr
    assert path.read_bytes() == damaged

    path.write_bytes(gone.data)  # the user found a good copy
    assert sync(run, "--verify").cost == NOTHING_NEW
    assert sync(run).cost == NOTHING_NEW


def test_removing_damaged_files_deleted_on_smugmug_ends_the_warning(
    account: Account, run: Run
) -> None:
    photo = one_photo_on_disk(account, run)
    photo.album.remove(photo)
    sync(run)
    path = run.output / "Summer" / photo.file_name
    decay(path)
    sync(run, "--verify", exit_code=1)
    path.unlink()
    assert sync(run).cost == NOTHING_NEW
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_files_deleted_on_both_sides_are_no_damage(account: Account, run: Run) -> None:
    photo = one_photo_on_disk(account, run)
    photo.album.remove(photo)
    sync(run)
    (run.output / "Summer" / photo.file_name).unlink()
    assert sync(run, "--verify").cost == NOTHING_NEW
    run_unchanged(run, "--verify", "--dry-run")


def test_damage_that_could_not_be_repaired_is_repaired_by_the_next_run(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = one_photo_on_disk(account, run)
    path = run.output / "Summer" / photo.file_name
    damaged = decay(path)
    smugmug.fault("not_found", where="cdn", times=None)
    assert photo.file_name in sync(run, "--verify", exit_code=1).stderr
    assert path.read_bytes() == damaged
    run_unchanged(run, "--verify", "--dry-run", exit_code=1)
    smugmug.clear_faults()
    assert sync(run).cost == (3, 1)
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "Summer/a-damaged.JPG": damaged,
    }
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_damage_is_repaired_from_an_intact_copy_in_another_album(
    account: Account, run: Run
) -> None:
    photo = one_photo_on_disk(account, run)
    account.album("Best of").collect(photo)
    sync(run)
    damaged = decay(run.output / "Summer" / photo.file_name)
    assert sync(run, "--verify").cost == (3, 0)
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "Summer/a-damaged.JPG": damaged,
        "Best of/a.JPG": photo.data,
    }


def test_two_damaged_copies_are_repaired_by_one_download(account: Account, run: Run) -> None:
    photo = one_photo_on_disk(account, run)
    account.album("Best of").collect(photo)
    sync(run)
    damaged = {
        f"{album}/a-damaged.JPG": decay(run.output / album / photo.file_name)
        for album in ("Summer", "Best of")
    }
    assert sync(run, "--verify").cost == (4, 1)
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": photo.data,
        "Best of/a.JPG": photo.data,
        **damaged,
    }


def test_files_with_wrong_content_are_not_adopted(account: Account, run: Run) -> None:
    album = account.album("Summer")
    right, wrong = album.photo("a.JPG"), album.photo("b.JPG")
    silent = album.video("c.mp4", md5_listed=False)
    folder = run.output / "Summer"
    folder.mkdir(parents=True)
    theirs: Dict[str, bytes] = {
        "a.JPG": right.data,
        "b.JPG": bytes(len(wrong.data)),
        "c.mp4": silent.data,
    }
    for name, data in theirs.items():
        (folder / name).write_bytes(data)
    first = sync(run)
    assert first.cost == (3, 2) and "2 adopted" in first.stderr
    expected = {**theirs, key_name(wrong): wrong.data}
    assert files_on_disk(run.output) == {f"Summer/{name}": data for name, data in expected.items()}
    assert "3 intact" in run_unchanged(run, "--verify", "--dry-run").stderr
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_edits_that_kept_the_time_stamp_are_told_by_size_and_kept(
    account: Account, run: Run
) -> None:
    photo = one_photo_on_disk(account, run)
    edited = edit(run.output / "Summer" / photo.file_name, keep_size=False, keep_time=True)
    assert sync(run, "--verify").cost == (3, 1)
    assert files_on_disk(run.output) == {
        "Summer/a.JPG": edited,
        f"Summer/{key_name(photo)}": photo.data,
    }
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_adopted_files_without_a_known_md5_are_verified_and_kept(
    account: Account, run: Run
) -> None:
    video = account.album("Summer").video("a.mp4", md5_listed=False)
    path = run.output / "Summer" / "a.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(video.data)
    assert sync(run).cost == (3, 1)
    run_unchanged(run, "--verify", "--dry-run")
    path.unlink()
    run_unchanged(run, "--verify", "--dry-run", exit_code=1)
    path.write_bytes(video.data)
    decayed = decay(path)
    run_unchanged(run, "--verify", "--dry-run", exit_code=1)
    assert sync(run, "--verify").cost == (3, 1)
    assert files_on_disk(run.output) == {
        "Summer/a.mp4": decayed,
        f"Summer/{key_name(video)}": video.data,
    }
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_folders_at_the_path_of_a_file_are_found_and_kept(account: Account, run: Run) -> None:
    photo = one_photo_on_disk(account, run)
    path = run.output / "Summer" / photo.file_name
    path.unlink()
    (path / "inside").mkdir(parents=True)
    run_unchanged(run, "--verify", "--dry-run", exit_code=1)
    assert sync(run, "--verify").cost == (3, 1)
    assert files_on_disk(run.output) == {f"Summer/{key_name(photo)}": photo.data}
    assert (path / "inside").is_dir()
    assert sync(run, "--verify").cost == NOTHING_NEW


def test_empty_records_have_nothing_to_verify(account: Account, run: Run) -> None:
    photo = account.album("Summer").photo("a.JPG")
    nothing = f"Nothing to verify: {run.output.name} has no download record"
    report = sync(run, "--verify", "--dry-run", exit_code=2)
    assert nothing in report.stderr and report.cost == (0, 0) and not run.output.exists()
    report = sync(run, "--verify")
    assert nothing in report.stderr and "Then run --verify again" in report.stderr
    assert files_on_disk(run.output) == {"Summer/a.JPG": photo.data}


def test_an_album_deleted_on_both_sides_is_not_missing(account: Account, run: Run) -> None:
    kept, deleted = account.album("Kept"), account.album("Deleted")
    kept.photo()
    deleted.photo()
    sync(run)
    shutil.rmtree(str(run.output / "Deleted"))
    account.remove(deleted)

    result = sync(run, "--verify")

    assert result.downloads == 0 and "Damaged" not in result.stderr
    assert "\n1 photo or video is in " in result.stderr
