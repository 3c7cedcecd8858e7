"""Do random histories of changes, runs and failures never lose a file or make a false claim?

After each run, nothing the user ever made is missing from the folder, and every file claimed to be
on disk is there. At the end nothing is missing, and one more run downloads nothing.

    pytest tests/runs/test_histories.py --histories 500             runs 500 histories
    pytest tests/runs/test_histories.py --history 17 --histories 1  repeats the one of seed 17

A failure prints its story.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

import pytest

from conftest import Process, Result, Run
from fake_smugmug import (
    JPEG_MAGIC,
    MP4_MAGIC,
    Account,
    Album,
    FakeSmugMug,
    Image,
    Lag,
    Photo,
    Video,
)
from helpers import RECORD, files_on_disk

STEPS = 10
ALBUM_NAMES = ("Summer", "summer", "Winter", "\u00dcbersee", "2019")
PHOTO_NAMES = ("a.JPG", "b.JPG", "A.jpg", "Caf\u00e9.JPG", "")
FILM_NAMES = ("a.MOV", "b.MOV")
SIZES = (300, 301)  # few, so that foreign files often have the size of the image
PATIENCE_SECONDS = 60.0
FAULTS: Sequence[Tuple[str, str, Dict[str, Any]]] = (
    ("cut", "cdn", {"at": 100}),
    ("corrupt", "provable", {}),
    ("server_error", "cdn", {}),
    ("server_error", "api", {}),
    ("nonce_used", "cdn", {}),
    ("nonce_used", "api", {}),
    ("reset", "cdn", {}),
    ("broken_json", "api", {}),
    ("lost_item", "!images", {}),
    ("not_found", "image", {}),
    ("not_found", "image", {}),
    ("long", "provable", {}),
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows sends no signals and has other names"
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize with as many histories as requested."""
    first = metafunc.config.getoption("--history")
    metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("--histories")))


def test_nothing_is_lost_and_every_claim_is_true(
    account: Account, smugmug: FakeSmugMug, run: Run, seed: int
) -> None:
    History(account, smugmug, run, seed).live()


def offer_original(image: Image, is_offered: bool) -> None:
    """Offer the original of a photo, or only smaller copies."""
    image.archived = is_offered
    image.download_uri = is_offered
    image.original_size_listed = is_offered


def same_name(path: Path) -> str:
    """Return what the paths that are one on a Mac have in common."""
    return unicodedata.normalize("NFC", str(path)).casefold()


class History:
    """The life of one account.

    `treasures` are contents that the user made and did not remove, with the paths they were at.
    `edits` are pairs of a content and the one that was at its path before an edit or a swap of
    folders: the program keeps it as the user's version, and without --verify it stands for what
    was there. So does a file of the same size that the user put at the path of an image:
    `moved_here` are such contents. `unseen` holds what a path may still
    contain because SmugMug replaced it without moving a date. `withheld` are images of which
    SmugMug offers only a smaller file for a while, with the way to give the best one back;
    `excused` are the places where a run may not have it yet. `contradicted` are images that a run
    received with other bytes than SmugMug's checksum says. `bests` are all best files ever.
    """

    def __init__(self, account: Account, smugmug: FakeSmugMug, run: Run, seed: int) -> None:
        self.account, self.smugmug, self.run = account, smugmug, run
        self.random = Random(f"history {seed}")
        self.story = [f"This is the history of seed {seed}."]
        self.treasures: Dict[bytes, str] = {}
        self.edits: Set[Tuple[bytes, bytes]] = set()
        self.moved_here: Set[bytes] = set()
        self.unseen: Dict[Tuple[str, str], Set[bytes]] = {}
        self.withheld: Dict[Image, Callable[[], None]] = {}
        self.excused: Set[Tuple[str, str]] = set()
        self.contradicted: Set[Image] = set()
        self.bests: Set[bytes] = set()
        self.before: Dict[str, bytes] = {}
        self.may_rename = False
        self.deleted: List[Tuple[Album, Image]] = []
        self.deleted_albums: List[Album] = []
        self.sizes = iter(range(1000, 100_000))
        self.numbers = iter(range(1, 100_000))
        self.is_record_lost = False
        self.seems_damaged = False
        # whether dates are today's, and whether listings lag behind
        self.keeps_time = self.random.random() < 0.3
        self.options: List[str] = self.random.choice(
            [[], [], [], ["--sidecar", "xmp,json"], ["--layout", "tree"]]
        )
        self.options += ["-j", str(self.random.choice([1, 4]))]

    def live(self) -> None:
        """Take ten steps with runs between them, and prove the result."""
        if self.keeps_time:
            self.account.set_clock()
        for _ in range(2):
            self.new_album()
        for _ in range(self.random.randint(0, 1)):
            self.some_run()
        for _ in range(STEPS):
            self.step()
            if self.random.random() < 0.55:
                self.some_run()
        for image in list(self.withheld):
            self.give_back(image)
        for _ in range(3):  # listings until a lagging change shows
            if not self.is_late():
                break
            self.sync()
        self.sync()
        self.contradicted.clear()  # because --full requests them at once
        self.sync("--full", must_be_home=True)
        self.sync(must_be_idle=True)

    # -- what is true after a run -----------------------------------------------------------------

    def some_run(self) -> None:
        """Run, either undisturbed or disturbed."""
        more = self.random.choice(
            [[], [], [], ["--full"], ["--verify"], ["--verify"], ["--rename"]]
        )
        kind = self.random.random()
        if kind < 0.2:
            self.killed_sync(*more)
        elif kind < 0.4:
            self.troubled_sync(*more)
        else:
            self.sync(*more)

    def sync(self, *more: str, must_be_home: bool = False, must_be_idle: bool = False) -> None:
        """Run without disturbance."""
        was_late = self.is_late()
        result = self.finished(self.start(more), more)
        # an account without albums is not believed
        if not was_late and not self.seems_damaged and self.account.albums:
            self.demand(
                result.returncode == 0, "nothing was wrong, and yet the exit code is not 0"
            )
        if not was_late or must_be_home:
            self.demand_completeness()
        if must_be_idle and not self.unseen:
            self.demand(
                self.smugmug.count("cdn") == 0, "a run with nothing new downloaded something"
            )

    def troubled_sync(self, *more: str) -> None:
        """Run with faults."""
        images = [image for album in self.account.albums for image in album.images]
        # images without an MD5 cannot be checked
        provable = [image for image in images if image.size in SIZES]
        for _ in range(self.random.randint(1, 2)):
            name, where, options = self.random.choice(FAULTS)
            if where in ("image", "provable"):
                chosen = images if where == "image" else provable
                where = (
                    f"photos.smugmug.com .*/i-{self.random.choice(chosen).key}/"
                    if chosen
                    else "no such place"
                )
            times = self.random.choice([1, None]) if name == "not_found" else 1
            self.smugmug.fault(
                name, where, times=times, after=self.random.randint(0, 2), **options
            )
            self.tell(f"trouble: {name} at {where}")
        contradicted = set()
        if provable and self.random.random() < 0.4:
            contradicted.add(self.random.choice(provable))
        for image in contradicted:
            self.contradict(image)
        was_late = self.is_late()
        result = self.finished(self.start(more), more, codes=(0, 1, 2))
        self.smugmug.clear_faults()
        self.contradicted |= contradicted
        if result.returncode == 0 and not was_late:
            self.demand_completeness()

    def contradict(self, image: Image) -> None:
        """Serve the same wrong bytes for an image as long as the faults last."""
        body = bytearray(image.data)
        body[len(body) // 2] ^= 1
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(body))}
        where = f"photos.smugmug.com .*/i-{image.key}/"
        self.smugmug.fault("respond", where, times=None, headers=headers, body=bytes(body))
        self.tell(f"trouble: {image.key} contradicts its checksum")

    def killed_sync(self, *more: str) -> None:
        """Run and kill it while it waits for something, if it does."""
        where = self.random.choice(["cdn", "cdn", "!images"])
        options: Dict[str, Any] = {"before_headers": True}
        if where == "cdn" and self.random.random() < 0.5:
            options = {"after_bytes": self.random.randint(1, 250)}
        stall = self.smugmug.fault("stall", where, after=self.random.randint(0, 3), **options)
        self.tell(f"to be killed at {where}")
        process = self.start(more)
        while process.poll() is None and not stall.reached.wait(0.02):
            pass
        process.kill()
        was_late = self.is_late()
        result = self.finished(process, more, codes=(0, 1, -signal.SIGKILL))
        self.smugmug.clear_faults()
        if result.returncode == 0 and not was_late:
            self.demand_completeness()

    def start(self, more: Sequence[str]) -> Process:
        """Start a run."""
        args = [*self.options, *more, *(["--new-record"] if self.is_record_lost else [])]
        self.tell(f"RUN {' '.join(args)}")
        self.smugmug.clear_requests()
        self.before = files_on_disk(self.run.output)
        self.may_rename = "--rename" in args
        small = {image.data for image in self.withheld}
        images = [image for album in self.account.albums for image in album.images]
        self.bests.update(image.data for image in images if image.data not in small)
        return self.run.start(*args)

    def finished(
        self, process: Process, more: Sequence[str], codes: Sequence[int] = (0, 1)
    ) -> Result:
        """Wait for the end of a run and check that the user's files are there."""
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        code = process.wait()
        self.story += [f"    {line}" for line in stderr.splitlines()]
        self.tell(f"exit code {code}, {self.smugmug.count('cdn')} files asked for")
        self.demand("Traceback" not in stderr and code in codes, f"this is no way to end: {code}")
        self.demand_no_loss()
        if code == 0 and {"--full", "--verify"} & set(more):
            self.contradicted.clear()
        if code == 0 and (self.is_record_lost or "--verify" in more):
            # all are found by now, but where no MD5 tells it, or where SmugMug has nothing to put
            # beside it
            self.moved_here.clear()
            gone = {image.data for album in self.deleted_albums for image in album.images}
            gone.update(image.data for _, image in self.deleted)
            self.edits = {
                (content, before)
                for content, before in self.edits
                if len(before) not in SIZES or before in gone
            }
        if (self.run.output / RECORD).exists():
            self.is_record_lost = False
        for album in self.account.albums if code in (0, 1) else []:
            if self.smugmug.count("api", f"/album/{album.key}!images"):
                for image in album.images:
                    self.unseen.pop((album.key, image.key), None)
                    self.excused.discard((album.key, image.key))
        gone = self.treasures.keys() - files_on_disk(self.run.output).values()
        self.demand(
            not gone,
            f"of the owner's own is gone: {[self.treasures[content] for content in sorted(gone)]}",
        )
        return Result(code, stdout, stderr)

    def demand_no_loss(self) -> None:
        """Require that no best file was replaced by a smaller one that was never a best file.

        With --rename, a folder may have got another one's name, and its file may be elsewhere.
        """
        after = files_on_disk(self.run.output)
        moved = set(after.values()) if self.may_rename else set()
        for path, content in self.before.items():
            is_best = content in self.bests and content not in moved
            if is_best and after.get(path, content) not in self.bests:
                self.demand(len(after[path]) >= len(content), f"{path} got smaller")

    def demand_completeness(self) -> None:
        """Require a folder with all images for each album."""
        folders: Dict[str, Counter[bytes]] = {"": Counter()}
        for path, content in files_on_disk(self.run.output).items():
            folders.setdefault(path.rpartition("/")[0], Counter())[content] += 1
        for album in self.account.albums:
            gaps = min((self.gaps(album, folder) for folder in folders.values()), key=len)
            self.demand(not gaps, f"{', '.join(gaps)} of {album.name!r} ({album.key}) not on disk")

    def gaps(self, album: Album, folder: Counter[bytes]) -> List[str]:
        """Return the images of an album for which a folder has no file of their own."""
        files = list(folder.elements())
        owners: Dict[int, Image] = {}  # by the number of the file

        def place(image: Image, tried: Set[int]) -> bool:
            """Give an image a file, and perhaps its former owner another one."""
            for number, content in enumerate(files):
                if content in versions[image] and number not in tried:
                    tried.add(number)
                    if number not in owners or place(owners[number], tried):
                        owners[number] = image
                        return True
            return False

        versions: Dict[Image, Set[bytes]] = {}
        gaps = []
        for image in album.images:
            if image in self.withheld or image in self.contradicted:
                continue
            if (album.key, image.key) in self.excused:
                continue
            versions[image] = self.versions(album, image)
            if not place(image, set()):
                gaps.append(f"{image.file_name!r} ({image.key})")
        return gaps

    def versions(self, album: Album, image: Image) -> Set[bytes]:
        """Return the contents that may stand for an image."""
        versions = {image.data, *self.unseen.get((album.key, image.key), ())}
        versions |= {content for content, before in self.edits if before in versions}
        sizes = set(map(len, versions))
        return versions | {content for content in self.moved_here if len(content) in sizes}

    def demand(self, is_so: bool, otherwise: str) -> None:
        """Fail with the story if a condition is false."""
        if not is_so:
            files = [
                f"    {path}: {len(content)} bytes, {content[-4:].hex()}"
                f"{' (the user made it)' if content in self.treasures else ''}"
                for path, content in files_on_disk(self.run.output).items()
            ]
            albums = [
                f"    {album.name!r} ({album.key}): "
                + ", ".join(
                    f"{image.file_name!r} ({image.key}-{image.serial}, {image.size} bytes,"
                    f" {image.data[-4:].hex()})"
                    for image in album.images
                )
                for album in self.account.albums
            ]
            pytest.fail(
                "\n".join(
                    [*self.story, "SMUGMUG HAS", *albums, "HERE IS", *files, f"BUT {otherwise}"]
                ),
                pytrace=False,
            )

    def tell(self, text: str) -> None:
        """Continue the story."""
        self.story.append(text)

    def is_late(self) -> bool:
        """Return True if some listing is out of date."""
        return any(album.late for album in self.account.albums)

    # -- what may happen --------------------------------------------------------------------------

    def step(self) -> None:
        """Make a random change on SmugMug or on disk."""
        steps: Sequence[Callable[[], Optional[str]]] = (
            self.new_photo,
            self.new_photo,
            self.new_photo,
            self.new_album,
            self.rename_photo,
            self.swap_photos,
            self.rename_album,
            self.swap_albums,
            self.replace,
            self.replace,
            self.rotate,
            self.shrink_video,
            self.shrink_video,
            self.replace_video,
            self.end_withholding,
            self.end_withholding,
            self.delete,
            self.delete,
            self.undelete,
            self.delete_album,
            self.undelete_album,
            self.collect,
            self.collect,
            self.time_passes,
            self.move_file,
            self.move_file,
            self.move_folder,
            self.move_folder,
            self.other_form,
            self.swap_folders,
            self.edit,
            self.edit,
            self.edit,
            self.stealthy_edit,
            self.stealthy_edit,
            self.own_file,
            self.own_file,
            self.own_file,
            self.remove_file,
            self.remove_folder,
            self.lose_record,
        )
        told = None
        while told is None:
            told = self.random.choice(steps)()
        self.tell(told)

    def fresh(self, size: int, magic: bytes = JPEG_MAGIC) -> bytes:
        """Return a unique content."""
        return magic + self.random.getrandbits(8 * (size - len(magic))).to_bytes(
            size - len(magic), "big"
        )

    def some_album(self) -> Optional[Album]:
        """Return a random album, if there is any."""
        return self.random.choice(self.account.albums) if self.account.albums else None

    def some_image(self) -> Tuple[Optional[Album], Optional[Image]]:
        """Return a random image with an album it is in."""
        all_images = [(album, image) for album in self.account.albums for image in album.images]
        return self.random.choice(all_images) if all_images else (None, None)

    # -- there: changes on SmugMug ----------------------------------------------------------------

    def new_album(self) -> str:
        """Add an album with a few images."""
        album = self.account.album(
            self.random.choice(ALBUM_NAMES), folder=self.random.choice(["", "Family"])
        )
        for _ in range(self.random.randint(1, 3)):
            self.add_photo(album)
        return self.tell_of_album("a new album", album)

    def new_photo(self) -> Optional[str]:
        """Add an image to an album."""
        album = self.some_album()
        if album is None:
            return None
        with_lag = self.lag()
        return f"there: {self.add_photo(album).file_name!r} comes to {album.key}{with_lag()}"

    def add_photo(self, album: Album) -> Image:
        """Add an image of a random kind; those without an MD5 have unique sizes."""
        kind, name = self.random.random(), self.random.choice(PHOTO_NAMES)
        everywhere = [
            image.data
            for other in self.account.albums
            for image in other.images
            if isinstance(image, Photo) and image.size in SIZES
        ]
        if kind < 0.1:
            return album.video(
                FILM_NAMES[0], self.fresh(next(self.sizes), MP4_MAGIC), md5_listed=False
            )
        if kind < 0.2:
            return album.video(FILM_NAMES[1], self.fresh(self.random.choice(SIZES), MP4_MAGIC))
        if kind < 0.3:
            return album.photo(name, self.fresh(next(self.sizes)), archived=False)
        if kind < 0.4 and everywhere:
            return album.photo(name, self.random.choice(everywhere), caption="Twice")
        return album.photo(
            name, self.fresh(self.random.choice(SIZES)), caption=self.random.choice(["", "Words"])
        )

    def rename_photo(self) -> Optional[str]:
        """Rename an image; the album's date may move."""
        album, image = self.some_image()
        if album is None or image is None:
            return None
        image.file_name = self.random.choice(
            PHOTO_NAMES if isinstance(image, Photo) else FILM_NAMES
        )
        self.perhaps(album.touch)
        return f"there: {image.key} is now called {image.file_name!r}"

    def swap_photos(self) -> Optional[str]:
        """Swap the names of two photos in an album."""
        album = self.some_album()
        photos = (
            [image for image in album.images if isinstance(image, Photo)]
            if album is not None
            else []
        )
        if album is None or len(photos) < 2:
            return None
        first, second = self.random.sample(photos, 2)
        first.file_name, second.file_name = second.file_name, first.file_name
        self.perhaps(album.touch)
        return f"there: {first.key} and {second.key} swap their names"

    def rename_album(self) -> Optional[str]:
        """Rename an album."""
        album = self.some_album()
        if album is None:
            return None
        album.name = self.random.choice(ALBUM_NAMES)
        self.perhaps(album.touch_settings)
        return f"there: {album.key} is now called {album.name!r}"

    def swap_albums(self) -> Optional[str]:
        """Swap the names of two albums."""
        if len(self.account.albums) < 2:
            return None
        first, second = self.random.sample(self.account.albums, 2)
        first.name, second.name = second.name, first.name
        self.perhaps(first.touch_settings)
        return f"there: {first.key} and {second.key} swap their names"

    def replace(self) -> Optional[str]:
        """Replace an image, with or without moving a date."""
        _, image = self.some_image()
        if image is None or image in self.withheld:
            return None
        size = image.size if image.size in SIZES else next(self.sizes)
        moves_clock = self.random.random() < 0.5
        for album in [*self.account.albums, *self.deleted_albums]:
            if not moves_clock and image in album.images:
                self.unseen.setdefault((album.key, image.key), set()).add(image.data)
        image.replace(self.fresh(size, image.data[: len(JPEG_MAGIC)]), moves_clock=moves_clock)
        moved = "and a date moves" if moves_clock else "but no date moves"
        return f"there: {image.key} is replaced, {moved}"

    def rotate(self) -> Optional[str]:
        """Raise the serial of a photo, and offer only a smaller copy of it for a while."""
        _, image = self.some_image()
        if not isinstance(image, Photo) or not image.archived or image in self.withheld:
            return None
        self.withhold(image, lambda: offer_original(image, True))
        size = image.size if image.size in SIZES else next(self.sizes)
        image.replace(self.fresh(size, image.data[: len(JPEG_MAGIC)]))
        offer_original(image, False)
        return f"there: {image.key} is rotated, and its original is not offered"

    def shrink_video(self) -> Optional[str]:
        """Offer only a smaller rendition of a video for a while, under the same serial."""
        _, image = self.some_image()
        if not isinstance(image, Video) or image.size not in SIZES or image in self.withheld:
            return None
        full: Dict[str, Any] = {
            "content": image.content,
            "largest_size": image.largest_size,
        }
        self.withhold(image, lambda: vars(image).update(full))
        if image.data not in files_on_disk(self.run.output).values():
            image.largest_size = 640  # nothing else tells it from a shorter, new version
        image.content = self.fresh(200, MP4_MAGIC)
        return f"there: {image.key} is offered in a smaller rendition"

    def replace_video(self) -> Optional[str]:
        """Raise the serial of a video, and offer only a smaller rendition of it for a while."""
        _, image = self.some_image()
        if not isinstance(image, Video) or image in self.withheld or not image.md5_listed:
            return None  # without an MD5, nothing tells two files of one serial apart
        full: Dict[str, Any] = {
            "content": self.fresh(next(self.sizes), MP4_MAGIC),
            "largest_size": image.largest_size,
        }
        self.withhold(image, lambda: vars(image).update(full))
        image.replace(self.fresh(200, MP4_MAGIC))
        image.largest_size = 640
        return f"there: {image.key} is replaced, and only a smaller rendition is offered"

    def withhold(self, image: Image, give_back: Callable[[], None]) -> None:
        """Note that the best file of an image is not offered for a while."""
        self.bests.add(image.data)
        self.withheld[image] = give_back

    def end_withholding(self) -> Optional[str]:
        """Offer the best file of an image again."""
        if not self.withheld:
            return None
        image = self.random.choice(list(self.withheld))
        self.give_back(image)
        return f"there: {image.key} is offered as before"

    def give_back(self, image: Image) -> None:
        """Offer the best file of an image again, whether or not a date moves."""
        self.withheld.pop(image)()
        for album in [*self.account.albums, *self.deleted_albums]:
            if image in album.images:
                self.excused.add((album.key, image.key))
                self.perhaps(album.touch)

    def delete(self) -> Optional[str]:
        """Delete an image from an album."""
        album, image = self.some_image()
        if album is None or image is None:
            return None
        with_lag = self.lag()
        album.remove(image)
        self.deleted.append((album, image))
        return f"there: {image.key} is deleted from {album.key}{with_lag()}"

    def undelete(self) -> Optional[str]:
        """Restore a deleted image."""
        if not self.deleted:
            return None
        album, image = self.deleted.pop(self.random.randrange(len(self.deleted)))
        if album not in self.account.albums or image in album.images:
            return None
        with_lag = self.lag()
        album.restore(image)
        return f"there: {image.key} is back in {album.key}{with_lag()}"

    def delete_album(self) -> Optional[str]:
        """Delete an album. An account that loses its last one would look like a poor sign-in."""
        album = self.some_album()
        if len(self.account.albums) < 2 or album is None or self.random.random() < 0.5:
            return None
        self.account.albums.remove(album)
        self.deleted_albums.append(album)
        return self.tell_of_album("deleted", album)

    def undelete_album(self) -> Optional[str]:
        """Restore a deleted album."""
        if not self.deleted_albums:
            return None
        album = self.deleted_albums.pop()
        self.account.restore(album)
        return self.tell_of_album("back", album)

    def collect(self) -> Optional[str]:
        """Show an image in another album as well."""
        album, (_, image) = self.some_album(), self.some_image()
        if album is None or image is None or image in album.images:
            return None
        album.collect(image)
        return f"there: {image.key} is collected into {album.key}"

    def time_passes(self) -> str:
        """Let time pass."""
        seconds = self.random.choice([1000, 90_000, 700_000])
        self.smugmug.let_time_pass(seconds)
        return f"{seconds} s pass"

    def lag(self) -> Callable[[], str]:
        """Let listings lag behind changes until the return value is called, perhaps."""
        if self.keeps_time and self.random.random() < 0.3:
            self.account.lag = Lag(listings=self.random.randint(1, 2))

        def end() -> str:
            is_late, self.account.lag = self.account.lag != Lag(), Lag()
            return ", which shows late" if is_late else ""

        return end

    def perhaps(self, move_clock: Callable[[], None]) -> None:
        """Move a date, or not."""
        if self.random.random() < 0.5:
            move_clock()

    @staticmethod
    def tell_of_album(what: str, album: Album) -> str:
        """Tell how an album changed."""
        names = [image.file_name for image in album.images]
        return f"there: {what}: {album.name!r} ({album.key}) with {names}"

    # -- here: the user's changes in the folder ---------------------------------------------------

    def files(self) -> List[Path]:
        """Return the files that the user sees."""
        return [self.run.output / path for path in sorted(files_on_disk(self.run.output))]

    def folders(self) -> List[Path]:
        """Return the folders that the user sees."""
        return sorted({path.parent for path in self.files()} - {self.run.output})

    def some_file(self) -> Optional[Path]:
        """Return a random file."""
        files = self.files()
        return self.random.choice(files) if files else None

    def some_folder(self) -> Optional[Path]:
        """Return a random folder."""
        folders = self.folders()
        return self.random.choice(folders) if folders else None

    def free(self, path: Path) -> Path:
        """Return a path, numbered if it is taken."""
        while os.path.lexists(str(path)):
            path = path.with_name(f"{path.stem} {next(self.numbers)}{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def moved(self, source: Path, target: Path) -> str:
        """Move a file or folder and tell about it."""
        source.rename(target)
        self.moved_here.update(
            path.read_bytes() for path in self.files() if target in (path, *path.parents)
        )
        output = self.run.output
        return f"here: {source.relative_to(output)} is now {target.relative_to(output)}"

    def move_file(self) -> Optional[str]:
        """Move or rename a file."""
        path, folder = self.some_file(), self.some_folder()
        if path is None or folder is None:
            return None
        to = self.random.choice([path.parent, folder, self.run.output / "mine"])
        return self.moved(
            path,
            self.free(
                to / self.random.choice([path.name, "mine.JPG", *filter(None, PHOTO_NAMES)])
            ),
        )

    def move_folder(self) -> Optional[str]:
        """Move or rename a folder."""
        folder = self.some_folder()
        if folder is None:
            return None
        to = self.random.choice(
            [self.run.output, self.run.output / "2019", self.run.output / "Family"]
        )
        if folder in (to, *to.parents):
            return None
        return self.moved(
            folder, self.free(to / self.random.choice([folder.name, "mine", *ALBUM_NAMES]))
        )

    def swap_folders(self) -> Optional[str]:
        """Swap two folders."""
        folders = self.folders()
        if len(folders) < 2:
            return None
        first, second = self.random.sample(folders, 2)
        if first in second.parents or second in first.parents:
            return None
        were = {path: path.read_bytes() for path in self.files()}
        named = {same_name(path): content for path, content in were.items()}
        aside = self.free(self.run.output / "aside")
        first.rename(aside)
        second.rename(first)
        aside.rename(second)
        for path in self.files():
            if {first, second} & {*path.parents}:
                before = were.get(path, named.get(same_name(path)))
                if before is not None:
                    content = path.read_bytes()
                    self.stand_in(content, before)
                    # a shorter file without the end of a photo is a truncated one
                    self.seems_damaged |= len(content) < len(before)
        self.moved_here.update(
            path.read_bytes() for path in self.files() if {first, second} & {*path.parents}
        )
        output = self.run.output
        return f"here: {first.relative_to(output)} and {second.relative_to(output)} are swapped"

    def other_form(self) -> Optional[str]:
        """Change the normalization or case of a name, as a Mac or Windows may."""
        path = self.random.choice([self.some_file, self.some_folder])()
        if path is None:
            return None
        form: Callable[[str], str] = self.random.choice(
            [lambda name: unicodedata.normalize("NFD", name), str.swapcase]
        )
        target = path.with_name(form(path.name))
        return None if os.path.lexists(str(target)) else self.moved(path, target)

    def edit(self) -> Optional[str]:
        """Edit a file, which moves its timestamp."""
        return self.changed(keep_size=self.random.random() < 0.5, keep_time=False)

    def stand_in(self, content: bytes, before: bytes) -> None:
        """Note that a content is at the path of another, and at the paths which that one took."""
        earlier = {older for newer, older in self.edits if newer == before}
        self.edits.update((content, older) for older in {before, *earlier})

    def stealthy_edit(self) -> Optional[str]:
        """Edit a file without a trace."""
        return self.changed(keep_size=True, keep_time=True)

    def changed(self, keep_size: bool, keep_time: bool) -> Optional[str]:
        """Change a file and tell about it."""
        path = self.some_file()
        if path is None:
            return None
        before, status = path.read_bytes(), path.stat()
        middle, mark = len(before) // 2, b"%06d" % next(self.numbers)
        after = before[:middle] + mark + before[middle + (len(mark) if keep_size else 0) :]
        path.write_bytes(after)
        os.utime(
            str(path), ns=(status.st_atime_ns, status.st_mtime_ns + (0 if keep_time else 10**10))
        )
        self.forget(before)
        self.treasures[after] = str(path.relative_to(self.run.output))
        self.stand_in(after, before)
        if keep_size:
            self.seems_damaged = self.seems_damaged or keep_time
        return (
            f"here: {path.relative_to(self.run.output)} is edited,"
            f" {'same' if keep_size else 'other'} size, {'same' if keep_time else 'other'} time"
        )

    def own_file(self) -> str:
        """Add a file of the user's own under a name, and perhaps of a size, that an image may
        want.
        """
        _, image = self.some_image()
        folder = self.random.choice(
            [*self.folders(), *(self.run.output / name for name in ALBUM_NAMES)]
        )
        names = [
            "mine.JPG",
            "a-damaged.JPG",
            "album.json",
            "a.JPG.xmp",
            "a.mp4",
            *filter(None, PHOTO_NAMES),
        ]
        if image is not None:
            names += [f"a_{image.key}.JPG", f"{image.key}.JPG"]
        path = self.free(folder / self.random.choice(names))
        path.write_bytes(self.fresh(self.random.choice(SIZES), b"mine"))
        self.treasures[path.read_bytes()] = str(path.relative_to(self.run.output))
        self.moved_here.add(path.read_bytes())
        return f"here: a file of the owner's own: {path.relative_to(self.run.output)}"

    def remove_file(self) -> Optional[str]:
        """Remove a file."""
        path = self.some_file()
        if path is None:
            return None
        content = path.read_bytes()
        path.unlink()
        self.forget(content)
        return f"here: {path.relative_to(self.run.output)} is removed"

    def remove_folder(self) -> Optional[str]:
        """Remove a folder."""
        folder = self.some_folder()
        if folder is None or self.random.random() < 0.5:
            return None
        contents = [path.read_bytes() for path in self.files() if folder in path.parents]
        shutil.rmtree(str(folder))
        for content in contents:
            self.forget(content)
        return f"here: {folder.relative_to(self.run.output)} is removed with all that is in it"

    def forget(self, content: bytes) -> None:
        """Forget a content that the user removed, unless there is another file of it."""
        if content not in files_on_disk(self.run.output).values():
            self.treasures.pop(content, None)

    def lose_record(self) -> Optional[str]:
        """Delete the record."""
        path = self.run.output / RECORD
        if not path.exists():
            return None
        for name in (RECORD, RECORD + "-journal"):
            if (path.with_name(name)).exists():
                path.with_name(name).unlink()
        self.is_record_lost = True
        return "here: the record is lost"
