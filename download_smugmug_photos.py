#!/usr/bin/env python3
# /// script
# requires-python = ">=3.7"
# dependencies = ["requests>=2.28", "requests_oauthlib>=0.5"]
# ///
"""Download every photo and video in a SmugMug account.

    python download_smugmug_photos.py

The first run asks for an API key, prints an address, and asks for the PIN shown there. Every run
saves each file as smugmug_photos/<album>/<file name>. You can run it again at any time. Files that
are already on disk are not downloaded again.

Files that it leaves in the output folder (smugmug_photos, or --output):

    <album>/<file name>              a photo or video, byte for byte as SmugMug serves it
    <album>/<name>_<key>.<ext>       the same, if another image or a file of yours has that name
    <album>/<name>-damaged.<ext>     the damaged file, after its image was downloaded again
    <album>/.<key>-...part           an interrupted download; the next run resumes or repeats it
    <album>/<file name>.xmp          with --sidecar xmp: title, caption, keywords, location
    <album>/album.json               with --sidecar json: the same for a whole album, in its order
    <album>/index.html, index.html   with --sidecar html: pages for a browser
    .smugmug.sqlite3                 the record of what has been downloaded; makes later runs fast
    .smugmug.sqlite3-journal         SQLite's journal, during a run or left by a killed one
    .smugmug.sqlite3.lock            on disks without file locks: the process that is running
    .smugmug.sqlite3.damaged-<time>  an unreadable record; a new one was built from the files

In ~/.config/download_smugmug_photos (Windows: %APPDATA%), readable only by you:

    token.json                       the sign-in; with the API key and secret, if you typed them
    folders.json                     the output folders that have a download record

It also writes the files that --report and --log-file name. A killed run may leave .<name>.part
beside any of these. Previews (-n) and lists write nothing to the output folder.

Exit codes:

    0    everything SmugMug offers is on disk; with -n, the preview is complete
    1    something failed (see the summary); with -n, also if there is not enough space
    2    could not run
    3    not signed in
    130  interrupted; run it again to continue

Read the file from top to bottom. The sections follow the data, and each uses only the sections
above it:

    Settings -> Album -> Visit -> Page -> Image -> Job -> Outcome -> FileRecord -> Summary

     1. Vocabulary            errors with their exit codes, shared records, the table of results
     2. Work in parallel      worker pools that share one result queue, how many workers to run
     3. Names                 from SmugMug's texts to names that every file system accepts
     4. Times                 from the clocks of SmugMug and cameras to the timestamps of files
     5. Files                 part files, hashing, atomic writes, folders, free space
     6. Screen                messages, the progress line, the log file
     7. Hosts                 a circuit breaker for each host: open, closed, or suspect
     8. Connection            signed requests, rate limits, retries, reasons of failures
     9. SmugMug               the user, the albums, the images of an album, an image's best file
    10. Signing in            the API key, the PIN and the saved token
    11. Download record       the files on disk, in one SQLite database
    12. Plan                  compare an album with the disk and decide what to download
    13. What is already here  files on this disk, found by their content, and moved folders
    14. Transfer              turn one job into one outcome
    15. Pages                 the albums in a browser
    16. Sidecars              titles, captions, keywords and locations in files beside the photos
    17. Verification          find files that changed since they were written
    18. Report                the summary, the verdict, the JSON report
    19. The run               `sync`, which is the whole program on one screen
    20. Tasks                 a run, a preview, a list or a sign-in, from beginning to end
    21. Command line          options and `main`
"""

from __future__ import annotations

import argparse
import base64
import calendar
import difflib
import email.utils
import enum
import errno
import fnmatch
import gc
import getpass
import hashlib
import itertools
import json
import logging
import math
import os
import platform
import queue
import random
import re
import selectors
import shlex
import shutil
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unicodedata
from collections import Counter, deque
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import lru_cache, partial
from pathlib import Path
from typing import (
    IO,
    Any,
    Callable,
    Collection,
    Container,
    Dict,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    NamedTuple,
    Sequence,
    TextIO,
    TypeVar,
)
from urllib.parse import parse_qsl, quote, unquote_plus, urlencode, urljoin, urlsplit
from xml.sax.saxutils import escape

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the program while packages load
    gc.disable()  # searching for garbage while packages load finds little; `main` enables it

try:
    import requests
    from requests_oauthlib import OAuth1
except ImportError as missing:
    own_python = os.path.join(".venv", "Scripts" if os.name == "nt" else "bin", "python")
    print(
        f"The Python package {missing.name} is not installed.\n"
        "To install it in this folder and start again, run:\n"
        f"    {sys.executable} -m venv .venv\n"
        f"    {own_python} -m pip install requests requests_oauthlib\n"
        f"    {own_python} {sys.argv[0]}\nOr, with uv:\n    uv run {sys.argv[0]}",
        file=sys.stderr,
    )
    sys.exit(2)

# Your SmugMug API key, from https://api.smugmug.com/api/developer/apply. If you leave these values
# alone, the first run asks for them. The environment variables SMUGMUG_API_KEY and
# SMUGMUG_API_SECRET take precedence.
API_KEY = "YOUR_API_KEY"
API_SECRET = "YOUR_API_SECRET"

# Values you may want to tune.
OUTPUT_FOLDER = "smugmug_photos"

# Minimum, initial and maximum number of concurrent downloads, unless -j sets it.
MIN_JOBS = 2
INITIAL_JOBS = 4
MAX_JOBS = 64

# Pages listed at the same time. SmugMug needs about 30 ms per image to list an album to its owner,
# so one thread would keep the downloads waiting.
LISTING_THREADS = 8

# Images requested per page. SmugMug allows 500, but a page that takes it more than about 12 s may
# fail.
IMAGES_PER_PAGE = 100

ATTEMPTS = 5  # tries per request; after that, the failure is reported
FIRST_DELAY_SECONDS = 0.5  # delay after the first failed attempt; doubles with each further one
CONNECT_TIMEOUT_SECONDS = 10.0  # a slower connection setup counts as a failed attempt
READ_TIMEOUT_SECONDS = 60.0  # a connection that sends nothing for this long counts as dead
MAX_OUTAGE_MINUTES = 60.0  # the run ends if SmugMug is unreachable for longer

# Commit interval of the download record. A crash loses at most this much of it; the next run then
# identifies those files by their content.
COMMIT_SECONDS = 2.0

VERSION = "1.0"
PROGRAM = "download_smugmug_photos"
API_ORIGIN = "https://api.smugmug.com"
APPLY_URL = API_ORIGIN + "/api/developer/apply"
RECORD_FILE = ".smugmug.sqlite3"
PART_SUFFIX = ".part"
ALBUM_SIDECAR = "album.json"
PAGE_NAME = "index.html"
CHUNK_BYTES = 1 << 16  # files are read, hashed and written in pieces of this size
TICK_SECONDS = 0.1  # how often the main thread checks for Ctrl-C and redraws the progress line

log = logging.getLogger(PROGRAM)


# -------------------------------------------------------------------------------------------------
# 1. Vocabulary: errors with their exit codes, shared records, the table of results.
#    Uses the standard library. Independent of requests, the disk and the screen.
# -------------------------------------------------------------------------------------------------

EXIT_COMPLETE = 0
EXIT_FAILED = 1
EXIT_COULD_NOT_RUN = 2
EXIT_NOT_SIGNED_IN = 3
EXIT_INTERRUPTED = 130


class Problem(Exception):
    """An expected failure, as opposed to a bug in this program. Its text is shown to the user."""

    exit_code = EXIT_COULD_NOT_RUN


class NotSignedIn(Problem):
    """SmugMug refused the sign-in. Only a new sign-in can help."""

    exit_code = EXIT_NOT_SIGNED_IN


class UnknownKey(Problem):
    """SmugMug does not know the API key, or the key is malformed."""


class FileInTheWay(Problem):
    """A file that another program wrote is in the way. It is left alone."""


class DiskFull(Problem):
    """The disk is full. The run ends, and downloaded files are kept."""

    exit_code = EXIT_FAILED


class Unreachable(Problem):
    """SmugMug was unreachable for too long. The run ends, and downloaded files are kept."""

    exit_code = EXIT_FAILED


class Stopped(Exception):
    """Unwinds a worker when the run is interrupted. Never shown to the user."""


class RequestFailed(Problem):
    """A request to SmugMug failed.

    `status`: the HTTP status; 0 if there was no response
    `transient`: a retry may succeed
    `is_overload`: a retry may need a smaller page
    `is_unanswered`: the host may be unreachable
    `wait_seconds`: how long SmugMug asked clients to wait; None if it did not ask
    """

    def __init__(
        self,
        text: str,
        *,
        status: int = 0,
        transient: bool = False,
        is_overload: bool = False,
        is_unanswered: bool = False,
        wait_seconds: float | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.transient = transient
        self.is_overload = is_overload
        self.is_unanswered = is_unanswered
        self.wait_seconds = wait_seconds


class SignatureRefused(RequestFailed):
    """A request was signed with a wrong secret."""


class Damaged(Problem):
    """A body that arrived in full but differs from the file on SmugMug."""


class Credentials(NamedTuple):
    """An API key and its secret, with an access token once signed in."""

    key: str
    secret: str
    token: str = ""
    token_secret: str = ""

    def __repr__(self) -> str:
        return "Credentials(...)"


class Settings(NamedTuple):
    """The values of all options, from the command line and the environment.

    `since`: the time of --since as SmugMug writes times, in UTC; "" without it
    `task`: the name of the requested task, such as "sync" or "dry-run"
    `jobs`: the number of concurrent downloads; None if it follows the throughput
    `limit_rate`: the bytes per second of all downloads together; None for no limit
    `quiet`: how often -q was given
    `only`: "photos" or "videos" if the others are left out, otherwise ""
    `originals`: folders outside the output folder that may hold the same files
    """

    output: Path
    token_file: Path
    folders_file: Path
    layout: str
    album: tuple[str, ...]
    exclude: tuple[str, ...]
    since: str
    task: str
    full: bool
    verify: bool
    new_record: bool
    rename: bool
    list_removed: bool
    jobs: int | None
    timeout_seconds: float
    max_outage_minutes: float
    limit_rate: float | None
    quiet: int
    verbose: bool
    progress: bool
    report: Path | None
    log_file: Path | None
    sidecars: tuple[str, ...]
    only: str
    originals: tuple[Path, ...]
    hard_links: bool


class RemoteFile(NamedTuple):
    """A file that SmugMug offers for download. A size or MD5 of None was not stated.

    `is_full`: False for a video that may be a smaller rendition than SmugMug will offer later
    """

    url: str
    size_bytes: int | None
    md5: str | None
    is_original: bool = True
    is_full: bool = True


class Image(NamedTuple):
    """A photo or video of an album, as the listing describes it. SmugMug calls both images.

    `remote`: None if the listing has no download URL; find_remote() then looks for one
    `extension`: the served file's extension, without a dot, if it may differ from the file name's.
        SmugMug re-encodes videos.
    `uploaded`: in UTC, in ISO 8601 like `taken`
    `taken`: local camera time for photos. For videos, the time stored in the file, which should
        be UTC but is sometimes local.
    `location`: latitude and longitude in degrees, altitude in meters
    `source_types`: types of files that only SmugMug Source has, which no program can download
    """

    key: str
    serial: str
    file_name: str
    is_video: bool
    extension: str
    processing: bool
    remote: RemoteFile | None
    original_size_bytes: int | None
    uploaded: str
    taken: str
    title: str
    caption: str
    keywords: tuple[str, ...]
    location: tuple[float, float, float] | None
    hidden: bool
    web_uri: str
    source_types: tuple[str, ...]
    width: int
    height: int

    @property
    def content(self) -> str:
        """The MD5 of the file, or the key if SmugMug states no MD5."""
        return (self.remote.md5 if self.remote else None) or self.key

    @property
    def uri(self) -> str:
        """The address of this version of the image in the API."""
        return f"/api/v2/image/{self.key}-{self.serial or 0}"


class Album(NamedTuple):
    """An album, which SmugMug's website calls a gallery.

    `change_token`: changes when SmugMug reports a change to the album. Editing captions does not
        change it, and replacing a photo does not always.
    `changed`: the later of the album's two dates of change
    `size_bytes`: SmugMug's sum over the originals, which is often too small
    `highlight_key`: the key of the cover image
    """

    key: str
    name: str
    url_path: str
    images_uri: str
    image_count: int | None
    change_token: str
    created: str
    changed: str
    privacy: str
    size_bytes: int
    locked: bool
    description: str
    keywords: str
    web_uri: str
    highlight_key: str


class User(NamedTuple):
    """The account that is signed in.

    `image_count`: SmugMug's count of its images; None if not stated
    `level`: SmugMug's word for how much of the account is shown, such as "Full" or "Public"
    """

    nick_name: str
    albums_uri: str
    image_count: int | None
    level: str = ""


class FileRecord(NamedTuple):
    """A row of the download record: one file on disk.

    `name`: the file name within the album's folder
    `md5`: the MD5 of the file as this program wrote or adopted it
    `modified_ns`: the file's timestamp as written, in ns since 1970; 0 for an adopted file
    `removed`: no longer on SmugMug
    `damaged`: failed --verify
    `stated_md5`: the MD5 of the file that SmugMug offers, if it differs from `md5`
    `source_types`: types of this image's files in SmugMug Source, separated by commas
    `checksum_tries`: how often a file that contradicts `stated_md5` was requested again
    `checksum_retry_at`: when to request it next, in seconds since 1970
    """

    image_key: str
    serial: str
    name: str
    size_bytes: int
    md5: str
    modified_ns: int
    is_original: bool
    removed: bool = False
    damaged: bool = False
    stated_md5: str = ""
    source_types: str = ""
    checksum_tries: int = 0
    checksum_retry_at: float = 0.0


class AlbumRecord(NamedTuple):
    """A row of the download record: one album.

    Times are in seconds since 1970; 0 means never.

    `folder`: the album's folder within the output folder
    `change_token`: the album's change token when it was complete on disk. It is "" if the album
        is incomplete, or if it had just changed and its listing may have been out of date.
    `listed_at`: when SmugMug last listed the album completely
    `verified_at`: when --verify last found all its files intact
    `name`: the album's name on SmugMug when its folder was named after it; "" if not known. If
        the names differ, the album was renamed on SmugMug; the user may rename the folder.
    """

    folder: str
    change_token: str = ""
    listed_at: float = 0.0
    verified_at: float = 0.0
    name: str = ""


NEW_ALBUM = AlbumRecord("")  # stands for the record of an album that has none


class Unavailable(NamedTuple):
    """A row of the download record: an image without a file or an original.

    `tries`: unsuccessful requests after the first one
    `retry_at`: when to request it again, in seconds since 1970
    """

    image_key: str
    serial: str
    file_name: str
    reason: str
    tries: int
    retry_at: float


class Job(NamedTuple):
    """An image to download or copy to `folder/name`.

    A file already at that path is replaced only if this program wrote it and it is unchanged, or
    if it is a truncated copy of the image. A damaged file is renamed to <name>-damaged, and the
    image takes its name. Any other file is kept. The image is then saved beside it, under its
    `fallback_name`.

    `recorded`: the record of the image's current file, if it has one
    `adoptable`: names of existing files; one with the right content counts as on disk
    """

    album: Album
    image: Image
    folder: Path
    name: str
    recorded: FileRecord | None = None
    adoptable: tuple[str, ...] = ()


class ResultRow(NamedTuple):
    """A row of the table of results.

    `text`: its word in messages and, with a capital, its heading in the summary
    `json_name`: its name in the JSON report
    `advice`: what to do about it
    `in_verdict`: its words in the last line; "" if it is not mentioned there
    `is_on_disk`: the image is on disk, complete
    `is_failure`: an image or a note with it makes the exit code 1; needs `in_verdict`
    `is_note`: describes a file or an album, beside the one result that each image has
    """

    text: str
    json_name: str
    advice: str = ""
    in_verdict: str = ""
    is_on_disk: bool = False
    is_failure: bool = False
    is_note: bool = False

    def __str__(self) -> str:
        return self.text


class Result(enum.Enum):
    """The table of results: what happened to each image, and notes for the summary.

    README explains the words. The summary shows them in this order. A new row reaches the summary
    and the JSON report by itself. An image's result that completes its album needs `is_on_disk`.
    """

    DOWNLOADED = ResultRow("downloaded", "downloaded", is_on_disk=True)
    COPIED = ResultRow("copied", "copied", is_on_disk=True)
    REPLACED = ResultRow("replaced", "replaced", is_on_disk=True)
    ADOPTED = ResultRow("adopted", "adopted", is_on_disk=True)
    TO_DOWNLOAD = ResultRow("to download", "to_download")
    TO_COPY = ResultRow("to copy or adopt", "to_copy")
    ALREADY_THERE = ResultRow("already there", "already_there", is_on_disk=True)
    DELETED = ResultRow("deleted on SmugMug", "deleted")
    PROCESSING = ResultRow(
        "still processing", "processing", "Run this again later.", "{number} still processing"
    )
    UNAVAILABLE = ResultRow(
        "unavailable",
        "unavailable",
        "Look for these on SmugMug's website, or contact SmugMug support.",
        "{number} unavailable",
    )
    FAILED = ResultRow(
        "failed",
        "failed",
        "Run this again to retry; nothing already downloaded is lost.",
        "{number} failed",
        is_failure=True,
    )

    CHECKSUM = ResultRow(
        "checksum differs",
        "checksum",
        "SmugMug states a different checksum for these. They are requested again after a day, "
        "then at longer intervals of up to 30 days (at once with --full or --verify).",
        "{number} with a different checksum",
        is_note=True,
    )
    DAMAGED = ResultRow(
        "damaged",
        "damaged",
        "If SmugMug no longer has these, restore them from another backup or delete them.",
        "{number} damaged",
        is_failure=True,
        is_note=True,
    )
    IN_SOURCE = ResultRow(
        "in SmugMug Source",
        "in_source",
        "Programs cannot download these. Get them from SmugMug's website.",
        "{number} photo{s} with a RAW or other source file that is only on SmugMug's website",
        is_note=True,
    )
    KEPT = ResultRow("kept", "kept", is_note=True)
    LOCKED = ResultRow(
        "locked",
        "locked",
        "Remove the album's password, run this again, then set the password again.",
        "{number} album{s} locked",
        is_note=True,
    )
    REPAIRED = ResultRow("repaired", "repaired", is_note=True)
    NEEDS_REPAIR = ResultRow(
        "damaged, changed or missing",
        "needs_repair",
        "To download these again, run --verify without -n. "
        "Files that you changed are kept, and SmugMug's copy is saved beside them. "
        "If SmugMug no longer has a file, restore it from another backup or delete it.",
        "{number} damaged, changed or missing",
        is_failure=True,
        is_note=True,
    )
    NOT_ORIGINAL = ResultRow(
        "not the original",
        "not_original",
        "The originals are requested again after a day, then at longer intervals of up to 30 "
        "days.",
        "{number} not the original",
        is_note=True,
    )
    NO_SPACE = ResultRow(
        "not enough space",
        "no_space",
        "Free some space, or choose a folder on a larger disk with --output.",
        "not enough space",
        is_failure=True,
        is_note=True,
    )
    STOPPED_EARLY = ResultRow("stopped early", "stopped_early", is_note=True)

    @property
    def text(self) -> str:
        """The word itself."""
        return self.value.text

    @property
    def is_on_disk(self) -> bool:
        """True if the image is on disk, complete."""
        return self.value.is_on_disk


IMAGE_RESULTS = tuple(result for result in Result if not result.value.is_note)


class Outcome(NamedTuple):
    """The result for one image.

    `file`: the record of its file, if it is on disk
    `reason`: why the image is not on disk, or another note for the user
    `album_count`: SmugMug's count of the album's images, requested after a 404; otherwise None
    `retry`: the file stays although SmugMug offers another one; SmugMug is asked again later
    """

    result: Result
    album: Album
    image: Image
    file: FileRecord | None = None
    downloaded_bytes: int = 0
    reason: str = ""
    album_count: int | None = None
    retry: bool = False


# -------------------------------------------------------------------------------------------------
# 2. Work in parallel: worker pools with one result queue, and how many workers to run.
#    Uses threads. Only `Jobs` knows that the work is images; the rest is independent of it.
#
#    Why the number of downloads is measured, not fixed
#
#    A few downloads fill a slow line, and more of them only make each one slower. A fast line
#    needs dozens if the server limits each connection. So throughput is measured, half a second at
#    a time, and only while every allowed download is running. A finished file counts as 50 kB
#    extra, because small files cost time rather than bytes.
#
#    A run begins with 4 downloads. The first trial takes three times as many, because 4 fill few
#    lines and every trial costs half a second. Later trials double: 24, 48, 64. A trial is kept
#    only if throughput rose by 6 %. A smaller gain may be noise, which would otherwise drive the
#    number up and down forever. After a trial without gain, the best number runs for 24 s, and
#    the next trial goes the other way. Below 4 MB/s, trials stop at 16.
#
#    Failed requests are a sign of overload. Three in one measurement halve the number at once;
#    from 32 downloads on, it takes one for every eight. Fewer are ignored as accidents.
# -------------------------------------------------------------------------------------------------

STOP_SECONDS = 1.2  # an interrupted run waits this long for its threads, then leaves them behind
BYTES_PER_FILE = 50_000  # each finished file counts as this many extra bytes of throughput
MIN_GAIN = 1.06  # a trial is kept only if throughput rose by this factor

# Below this throughput, more than 16 downloads do not help.
SLOW_BYTES_PER_SECOND = 4e6
SLOW_MAX_JOBS = 16

MEASURE_SECONDS = 0.5  # length of one measurement
RESTS_AFTER_FAILURE = 48  # measurements after a failed trial before the next one
MANY_FAILED_REQUESTS = 3  # fewer failed requests in one measurement are ignored

R = TypeVar("R")


class Stop(threading.Event):
    """An event that ends the run early once it is set."""

    def pause(self, seconds: float) -> None:
        """Wait for `seconds`; raise Stopped if the run is interrupted.

        The wait is divided into slices because a long one would hide Ctrl-C on Windows.
        """
        ends_at = time.monotonic() + seconds
        while not self.wait(min(0.5, max(0.0, ends_at - time.monotonic()))):
            if time.monotonic() >= ends_at:
                return
        raise Stopped


class Wait:
    """A reason to wait, such as a closed host. Some waits end at a time, others after a trial."""

    def is_over(self) -> bool:
        """Return True if all waiting items may be tried again."""
        raise NotImplementedError

    def needs_trial(self) -> bool:
        """Return True if one item should be tried now. That shows whether the wait is over."""
        return False


class HandBack(Exception):
    """Raised by a worker's function whose item has to wait."""

    def __init__(self, wait: Wait) -> None:
        super().__init__()
        self.wait = wait


class HandedBack(NamedTuple):
    """An item that a worker of `pool` handed back because of `wait`."""

    pool: WorkerPool
    item: Any
    wait: Wait


class Parking:
    """The items that workers handed back, by what they wait for."""

    def __init__(self) -> None:
        self._items: dict[tuple[Wait, WorkerPool], deque[HandedBack]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._items.values()))

    def add(self, item: HandedBack) -> None:
        """Keep an item until its wait is over."""
        self._items.setdefault((item.wait, item.pool), deque()).append(item)

    def waiting(self, wait: Wait, pool: WorkerPool) -> int:
        """Return how many items of a pool wait for `wait`."""
        return len(self._items.get((wait, pool), ()))

    def take_released(self) -> list[HandedBack]:
        """Remove and return the items to try again. The longest-waiting come first."""
        released: list[HandedBack] = []
        for (wait, pool), items in list(self._items.items()):
            if wait.is_over():
                released += self._items.pop((wait, pool))
            elif wait.needs_trial() and pool.has_room():
                released.append(items.popleft())
                if not items:
                    del self._items[wait, pool]
        return released


class ResultQueue:
    """The results of all worker pools, in order of completion.

    Workers run for the duration of its `with` block. An exception that leaves the block sets
    `stop`. The block then waits at most STOP_SECONDS for the threads.
    """

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.pools: list[WorkerPool] = []
        self.queue: queue.Queue[tuple[WorkerPool, Any, BaseException | None]] = queue.Queue()

    def __enter__(self) -> ResultQueue:
        return self

    def __exit__(self, error_type: Any, error: Any, traceback: Any) -> None:
        if error is not None:
            self.stop.set()
        deadline = time.monotonic()
        if self.stop.is_set():
            deadline += STOP_SECONDS
        for pool in self.pools:
            pool.shut_down(deadline)

    def take(self, seconds: float) -> Any:
        """Return the next result, or None after `seconds`. A worker's exception is raised again.

        An item that its worker could not do yet is returned as HandedBack.
        """
        try:
            pool, result, error = self.queue.get(block=seconds > 0, timeout=seconds)
        except queue.Empty:
            return None
        pool.in_progress -= 1
        if error is not None:
            raise error
        if not isinstance(result, HandedBack):
            pool.done += 1
        return result


class WorkerPool:
    """A pool of daemon threads that apply one function to each item.

    The attributes may be used only by the thread that takes the results:

    `size`: the maximum number of items in progress; may change at any time
    `in_progress`: items submitted whose results have not been taken
    `done`: items whose results have been taken

    This replaces the pools of concurrent.futures, because Python joins their threads at exit. A
    blocked read would then delay Ctrl-C.
    """

    def __init__(self, function: Callable[[Any], Any], results: ResultQueue, size: int) -> None:
        self.size = size
        self.in_progress = 0
        self.done = 0
        self._function = function
        self._results = results
        self._items: queue.Queue[Any] = queue.Queue()
        self._threads: list[threading.Thread] = []
        results.pools.append(self)

    def has_room(self) -> bool:
        """Return True if another item may be submitted."""
        return self.in_progress < self.size

    def submit(self, item: Any) -> None:
        """Queue an item for the workers. None is not a valid item."""
        self.in_progress += 1
        if len(self._threads) < self.in_progress:
            thread = threading.Thread(target=self._work, daemon=True)
            try:
                thread.start()
                self._threads.append(thread)
            except RuntimeError:
                log.debug("The system allows only %d threads", len(self._threads))
        if self._threads:
            self._items.put(item)
        else:
            self._do(item)

    def shut_down(self, deadline: float) -> None:
        """Tell the threads to end. Wait for them until `deadline`, in time.monotonic seconds."""
        for _ in self._threads:
            self._items.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        for item in iter(self._items.get, None):
            if not self._results.stop.is_set():
                self._do(item)

    def _do(self, item: Any) -> None:
        try:
            self._results.queue.put((self, self._function(item), None))
        except HandBack as error:
            self._results.queue.put((self, HandedBack(self, item, error.wait), None))
        except BaseException as error:  # any kind; ResultQueue.take raises it again
            self._results.queue.put((self, None, error))


def in_parallel(
    function: Callable[[Any], R], items: Iterable[Any], stop: Stop, threads: int = 0
) -> Iterator[R | None]:
    """Yield `function(item)` for each item, in order of completion.

    Also yield None when no result arrived within TICK_SECONDS, so that the caller can redraw the
    screen. Items that are handed back are tried again when their wait is over.

    `threads`: the number of threads; 0 for one per CPU
    """
    with ResultQueue(stop) as results:
        pool = WorkerPool(function, results, threads or os.cpu_count() or 1)
        parking = Parking()
        retries: deque[Any] = deque()
        upcoming = iter(items)
        has_more = True
        while has_more or retries or parking or pool.in_progress:
            retries.extend(released.item for released in parking.take_released())
            if pool.has_room() and (retries or has_more):
                item = retries.popleft() if retries else next(upcoming, None)
                if item is None:
                    has_more = False
                else:
                    pool.submit(item)
                continue
            result = results.take(TICK_SECONDS)
            if isinstance(result, HandedBack):
                parking.add(result)
            else:
                yield result


def in_background(function: Callable[[], R], redraw: Callable[[], None] = lambda: None) -> R:
    """Return the result of `function`, computed in another thread.

    The main thread stays free, so that Ctrl-C works at once, also on Windows. If the function has
    to wait for a host, it is called again when the wait is over.
    """
    for result in in_parallel(lambda _: function(), [True], Stop(), threads=1):
        if result is not None:
            return result
        redraw()
    raise AssertionError("a function without a result")  # pragma: no cover: none is passed


class Pace(NamedTuple):
    """The state of the search for the best number of concurrent downloads.

    `size`: the current number; a trial if it differs from `best`
    `best`: the fastest number so far
    `best_rate`: the throughput at `best`, in bytes per second
    `rests_left`: measurements to take before the next trial
    `factor`: the next trial multiplies `size` by this; below 1, it tries fewer
    """

    size: int = INITIAL_JOBS
    best: int = INITIAL_JOBS
    best_rate: float = 0.0
    rests_left: int = 0
    factor: float = 3.0


def next_pace(
    pace: Pace,
    seconds: float,
    size_bytes: float,
    files: float,
    failed_requests: float,
    is_full: bool,
) -> Pace:
    """Return the pace after a measurement.

    `seconds`: length of the measurement
    `size_bytes`, `files`: bytes received and downloads finished
    `failed_requests`: requests that were refused or interrupted
    `is_full`: every allowed download was running all the time; otherwise nothing was learned
    """
    rate = (size_bytes + files * BYTES_PER_FILE) / seconds
    if failed_requests >= max(MANY_FAILED_REQUESTS, pace.size // 8):
        half = max(MIN_JOBS, pace.size // 2)
        return Pace(size=half, best=half, rests_left=RESTS_AFTER_FAILURE)
    if not is_full:
        return pace

    is_trial = pace.size != pace.best
    if is_trial and rate < pace.best_rate * MIN_GAIN:  # no gain: return to the best number
        return pace._replace(
            size=pace.best, rests_left=RESTS_AFTER_FAILURE, factor=1 / pace.factor
        )
    if pace.rests_left:
        average = (pace.best_rate + rate) / 2 if pace.best_rate else rate
        return pace._replace(rests_left=pace.rests_left - 1, best_rate=average)

    most = MAX_JOBS if rate > SLOW_BYTES_PER_SECOND else SLOW_MAX_JOBS
    size = max(MIN_JOBS, min(most, int(pace.size * pace.factor)))
    if size == pace.size:  # at a limit: try the other direction next
        return Pace(size, best=size, best_rate=rate, factor=1 / pace.factor)
    return Pace(size, best=pace.size, best_rate=rate, factor=min(2.0, pace.factor))


class Jobs:
    """The jobs that no worker has, whether `ready` or waiting for another job.

    A file that is in several albums, or was uploaded several times, is downloaded once. The other
    jobs for it wait until it is on disk, and copy it.
    """

    def __init__(self) -> None:
        self.ready: deque[Job] = deque()
        # The waiting jobs, by the content of each image whose job is ready or in progress.
        self._waiting: dict[str, tuple[Job, ...]] = {}

    def add(self, jobs: Iterable[Job]) -> None:
        """Add jobs at the end."""
        for job in jobs:
            content = job.image.content
            if content in self._waiting:
                self._waiting[content] += (job,)
            else:
                self._waiting[content] = ()
                self.ready.append(job)

    def done(self, image: Image) -> None:
        """Note that an image is on disk or failed. The next job for it goes to the front."""
        waiting = self._waiting.pop(image.content)
        if waiting:
            self._waiting[image.content] = waiting[1:]
            self.ready.appendleft(waiting[0])


# -------------------------------------------------------------------------------------------------
# 3. Names: from SmugMug's texts to names that every file system accepts.
#    Uses the rules of Linux, macOS and Windows. Results are the same everywhere, whatever the
#    disk.
#
#    What a name must be
#
#    Visible.   Linux and macOS hide names that begin with a dot. PhotoPrism also ignores those
#               that begin with "@", "_." or "__". Nobody finds a file without visible characters.
#    Openable.  A double click and every importer go by the extension. A dot alone does not make
#               one: "Holiday 12.05.2019" and "St.Moritz" have no extension. Only extensions in the
#               lists below count. A name without one gets that of the file SmugMug serves.
#    Unique.    macOS and Windows ignore case. macOS also ignores Unicode normalization.
#    Stable.    Names depend on the image and on names already given, not on the listing's order.
#
#    Files that are on disk under the names of earlier versions keep them.
# -------------------------------------------------------------------------------------------------

# Length limit of a name in UTF-8. Linux allows 255 bytes; a part file needs room for its suffix.
# Some disks take less (see `name_limit`).
MAX_NAME_BYTES = 255 - len(PART_SUFFIX)

# Extensions of photos and videos, as cameras write them and SmugMug accepts them.
PHOTO_EXTENSIONS = frozenset(
    re.findall(
        r"\.\w+",
        ".jpg .jpeg .jpe .jfif .png .gif .heic .heif .hif .avif .webp .tif .tiff .bmp .jp2 .jxl"
        " .psd .svg .insp .3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mef"
        " .mos .mrw .nef .nrw .orf .ori .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f",
    )
)
VIDEO_EXTENSIONS = frozenset(
    re.findall(
        r"\.\w+",
        ".mp4 .mov .m4v .avi .mpg .mpeg .mpe .m2v .wmv .asf .3gp .3gpp .3g2 .mts .m2ts .m2t .mkv"
        " .webm .flv .f4v .ogv .mxf .vob .dv .qt .insv .360",
    )
)
EXTENSIONS = PHOTO_EXTENSIONS | VIDEO_EXTENSIONS | {".html", ".json"}

# Device names that Windows reserves, with or without an extension:
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
RESERVED_NAME = re.compile(
    r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\.|$)"
)

# Windows' reserved characters, control characters, lone surrogates, line separators, and marks
# that change the direction of the text around them.
UNSAFE_CHARACTER = re.compile(
    r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u2028-\u202e\u2066-\u2069]'
)

# The beginning of a name that some programs treat as hidden.
HIDDEN_PREFIX = re.compile(r"\A(?=[.@]|_[._])[._@]+")

# Letters and symbols without a glyph: Hangul fillers, the empty Braille pattern, a null note head.
BLANK_CHARACTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0\U0001d159")


def safe_name(text: str, fallback: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return a file or folder name made from `text`.

    `fallback` is used if no visible character is left. Harmless names are returned unchanged. Each
    unsafe character becomes one "_", as in other SmugMug tools. The result is in Unicode NFC and
    has at most `max_bytes` bytes in UTF-8. It is never a name that this program uses itself.
    """
    name = HIDDEN_PREFIX.sub("_", plain_text(text), count=1)
    name = shortened(name, max_bytes).rstrip(". ")
    if not is_visible(name):
        return safe_name(fallback, "unnamed", max_bytes) if fallback else "unnamed"
    if RESERVED_NAME.match(name):
        name = shortened("_" + name, max_bytes)
    if name.lower().endswith(PART_SUFFIX):
        name = shortened(name, max_bytes - 1) + "_"
    return name


def plain_text(text: str) -> str:
    """Return `text` in Unicode NFC, stripped. Unsafe characters become "_"."""
    return UNSAFE_CHARACTER.sub("_", unicodedata.normalize("NFC", text)).strip(" ")


def is_visible(name: str) -> bool:
    """Return True if a name has a visible character. "_", "@" and dots do not count."""
    for letter in name:
        is_shown = (
            unicodedata.category(letter)[0] in "LNPS" or unicodedata.category(letter) == "Co"
        )
        if is_shown and letter not in BLANK_CHARACTERS and letter not in "_@.":
            return True
    return False


def shortened(name: str, max_bytes: int) -> str:
    """Cut the stem of `name` to fit `max_bytes` of UTF-8."""
    if len(name.encode("utf-8")) <= max_bytes:
        return name
    stem, extension = split_extension(name)
    room = max_bytes - len(extension.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + extension


def split_extension(name: str) -> tuple[str, str]:
    """Split "IMG_1.JPG" into "IMG_1" and ".JPG".

    Only the extensions in EXTENSIONS count. Anything else belongs to the stem.
    """
    stem, dot, extension = name.rpartition(".")
    if stem and dot + extension.lower() in EXTENSIONS:
        return stem, dot + extension
    return name, ""


def with_suffix(name: str, suffix: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Insert `suffix` before the extension: "IMG_1.JPG" and "_KEY" make "IMG_1_KEY.JPG".

    The stem is cut if the name would get too long. Folders before the name are unchanged.
    """
    folders, slash, name = name.rpartition("/")
    stem, extension = split_extension(name)
    room = max_bytes - len((suffix + extension).encode())
    return folders + slash + shortened(stem, room) + suffix + extension


def alternatives(
    name: str, suffix: str, separator: str, max_bytes: int = MAX_NAME_BYTES
) -> Iterator[str]:
    """Yield names to use instead of `name`.

    The first has the suffix, the others the suffix and a number from 2 on.
    """
    yield with_suffix(name, suffix, max_bytes)
    for number in range(2, sys.maxsize):  # pragma: no branch: it never ends
        yield with_suffix(name, f"{suffix}{separator}{number}", max_bytes)


def collision_key(name: str) -> str:
    """Return a key that is equal for names that file systems consider equal.

    macOS and Windows ignore case, and macOS also ignores Unicode normalization.
    """
    if name.isascii():
        return name.lower()
    decomposed = unicodedata.normalize("NFD", name)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", decomposed.casefold()))


def image_file_name(image: Image, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return the preferred file name of an image.

    SmugMug re-encodes videos, so a video gets the extension of the served file. A photo keeps its
    own extension. It gets the served one only if it has none.
    """
    name = plain_text(image.file_name).rstrip(". ")
    stem, extension = split_extension(name)
    if extension.lower() not in PHOTO_EXTENSIONS | VIDEO_EXTENSIONS:
        stem, extension = name, "." + image.extension
    elif image.is_video and extension.lower() != "." + image.extension:
        extension = "." + image.extension
    return safe_name(stem, image.key, max_bytes - len(extension)) + extension


def unique_names(
    wanted: Iterable[tuple[str, str]], taken: Iterable[str], max_bytes: int = MAX_NAME_BYTES
) -> dict[str, str]:
    """Return a name for each key, different on every file system.

    `wanted`: (key, preferred name) pairs. The first of several equal names stays as it is; the
        others get their key appended.
    `taken`: names in use, which are not given again
    """
    names: dict[str, str] = {}
    wanted = list(wanted)
    used = set(map(collision_key, taken)) if wanted else set()
    for key, name in wanted:
        if key not in names and collision_key(name) not in used:
            names[key] = name
            used.add(collision_key(name))
    for key, name in wanted:
        if key not in names:
            names[key] = next(
                other
                for other in alternatives(name, f"_{key}", "_", max_bytes)
                if collision_key(other) not in used
            )
            used.add(collision_key(names[key]))
    return names


def album_folders(
    albums: Iterable[Album],
    given: Mapping[str, str],
    preferred: Callable[[Album], str],
    taken: Iterable[str] = (),
    max_bytes: int = MAX_NAME_BYTES,
) -> dict[str, str]:
    """Return a folder for each album that has none yet.

    Folders are relative to the output folder. If albums share a name, the oldest gets the plain
    one.

    `given`: the folders that albums already have, by album key
    `preferred`: returns the preferred folder of an album
    `taken`: further paths in use, such as files
    """
    new = [album for album in albums if album.key not in given]
    new.sort(key=lambda album: (album.created, album.key))
    wanted = [(album.key, preferred(album)) for album in new]
    return unique_names(wanted, [PAGE_NAME, *given.values(), *taken], max_bytes)


def album_folder(album: Album, parent: str = "", max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return the preferred folder of an album: its name, inside `parent`."""
    name = safe_name(album.name, album.key, max_bytes)
    return f"{parent}/{name}" if parent else name


def smugmug_folders(album: Album) -> list[str]:
    """Return the folders above an album on SmugMug, innermost first."""
    return folders_above("/".join(part for part in album.url_path.split("/") if part))


def folders_above(path: str) -> list[str]:
    """Return the folders above a path: "a/b" and "a" for "a/b/c"."""
    folders = []
    while "/" in path:
        path = path.rpartition("/")[0]
        folders.append(path)
    return folders


def tree_folders(
    albums: Sequence[Album],
    given: Mapping[str, str],
    names: Mapping[str, str],
    taken: Iterable[str] = (),
    max_bytes: int = MAX_NAME_BYTES,
) -> dict[str, str]:
    """Return the local folder for each SmugMug folder with a new album.

    Both are paths; parents are included. Two folders on SmugMug never share a local one, even if a
    file system considers their names equal. The second gets the last part of its path appended,
    which is unique on SmugMug.

    `albums`: all albums, new and old
    `given`: the folders of the old ones, by album key. They show which SmugMug folder owns a local
        one.
    `names`: names of folders, by path; a missing name is replaced by the last part of the path
    `taken`: local paths that can't be folders
    """
    owners: dict[str, set[str]] = {collision_key(path): set() for path in taken}
    for album in albums:
        paths = smugmug_folders(album)
        local_paths = folders_above(given.get(album.key, ""))
        if len(paths) == len(local_paths):
            for path, folder in zip(paths, local_paths):
                owners.setdefault(collision_key(folder), set()).add(path)
    result = {"": ""}
    for path in sorted(folders_on_smugmug(albums, given)):
        above, _, last = path.rpartition("/")
        name = safe_name(names.get(path, last), last, max_bytes)
        plain = f"{result[above]}/{name}".lstrip("/")
        suffix = f"_{safe_name(last, 'folder', 40)}"
        candidates = itertools.chain([plain], alternatives(plain, suffix, "_", max_bytes))
        for folder in candidates:  # pragma: no branch: they never end
            if path in owners.setdefault(collision_key(folder), {path}):
                result[path] = folder
                break
    return result


def folders_on_smugmug(albums: Iterable[Album], given: Container[str]) -> set[str]:
    """Return all folders on SmugMug that hold albums not in `given`.

    Paths with dots for names are left out, because in a URL they would lead elsewhere.
    """
    paths: set[str] = set()
    for album in albums:
        if album.key not in given:
            paths.update(smugmug_folders(album))
    return {path for path in paths if not {".", ".."} & set(path.split("/"))}


def image_names(
    images: Iterable[Image], taken: Iterable[str], max_bytes: int = MAX_NAME_BYTES
) -> dict[str, str]:
    """Return the file name of each image, by image key.

    If images share a name, the one uploaded first gets the plain one.
    """
    earliest_first = sorted(images, key=lambda image: (image.uploaded, image.key))
    wanted = ((image.key, image_file_name(image, max_bytes)) for image in earliest_first)
    return unique_names(wanted, [ALBUM_SIDECAR, *taken], max_bytes)


def former_names(images: Iterable[Image], taken: Iterable[str]) -> dict[str, str]:
    """Return the file names that earlier versions gave, by image key.

    Those versions took the text after the last dot for an extension. They kept a dot at the
    beginning, and gave no extension to a photo without one.
    """
    names: dict[str, str] = {}
    used = set(map(collision_key, taken))
    for image in sorted(images, key=lambda image: (image.uploaded, image.key)):
        name = plain_text(image.file_name).rstrip(". ") or image.key
        if RESERVED_NAME.match(name):
            name = "_" + name
        stem, extension = name, ""
        match = re.search(r"(?<=.)\.[A-Za-z0-9]{1,10}$", name)
        if match is not None:
            stem, extension = name[: match.start()], match.group()
        if image.is_video and extension.lower() != f".{image.extension}":
            extension = f".{image.extension}"
        name = stem + extension
        if collision_key(name) in used:
            name = f"{stem}_{image.key}{extension}"
        used.add(collision_key(name))
        names[image.key] = name
    return names


def part_name(image: Image, md5: str) -> str:
    """Return the name of an image's part file.

    It holds the image's key, serial and MD5, so that one version never resumes the file of
    another.
    """
    return "." + "-".join(filter(None, (image.key, image.serial, md5))) + PART_SUFFIX


PART_NAME = re.compile(
    r"\.([A-Za-z0-9_-]+?)(?:-(0|[1-9][0-9]*))?(?:-([0-9a-f]{32}))?" + re.escape(PART_SUFFIX)
)


def part_key(name: str) -> str:
    """Return the image key in a part file's name. Return "" for any other name.

    A part file's name has a serial or an MD5. A shorter name may be the user's.
    """
    match = PART_NAME.fullmatch(name)
    if match is None or match.group(2, 3) == (None, None):
        return ""
    return match.group(1)


def printable(text: str | Path) -> str:
    """Return a text or path that is safe to print.

    Names come from the server and may contain anything, including control sequences for a
    terminal.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def single_line(text: str) -> str:
    """Return a text for a line of data. Joiners between letters stay, unlike in `printable`."""
    return "".join(
        letter if letter.isprintable() or letter in "\u200c\u200d" else "\ufffd" for letter in text
    )


def full_path(path: Path) -> str:
    """Return the absolute path. Return `path` itself if the working folder no longer exists."""
    with suppress(OSError):
        return os.path.abspath(str(path))
    return str(path)


# -------------------------------------------------------------------------------------------------
# 4. Times: from the clocks of SmugMug, cameras and videos to the timestamps of files.
#    Uses the calendar and the local time zone. Independent of the current time.
# -------------------------------------------------------------------------------------------------

DAY_SECONDS = 86_400.0

# Limit of a timestamp, 272 years before and after 1970. SQLite stores nanoseconds in 63 bits, and
# some file systems have a smaller range. A time beyond the limit counts as unknown.
FILE_TIME_SECONDS = 1 << 33

# A time in ISO 8601: the clock time, and the sign, hours and minutes of its offset.
SHOWN_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:[.,][0-9]+)?(?:([+-])([0-9]{2}):?([0-9]{2})?)?"
)
UTC = "+00:00"  # the offset of all times that SmugMug has sent so far


def http_date(text: str) -> float | None:
    """Return an HTTP date in seconds since 1970. Return None if it is invalid."""
    with suppress(TypeError, ValueError, IndexError, OverflowError):
        date: datetime = email.utils.parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        return date.timestamp()
    return None


def utc_time(shown: str) -> datetime:
    """Return a time such as "2019-08-04T18:28:12+00:00" in UTC, without its zone.

    SmugMug's offset has always been zero so far, but others are applied as well. A time without an
    offset is in UTC. Raise ValueError for anything else.
    """
    match = SHOWN_TIME.match(shown)
    if match is None:
        raise ValueError(f"not a time: {shown}")
    clock_time, sign, hours, minutes = match.groups()
    utc = datetime.fromisoformat(clock_time)
    if hours in (None, "00") and minutes in (None, "00"):
        return utc
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return utc + offset if sign == "-" else utc - offset


def utc_text(shown: str) -> str:
    """Return a time from SmugMug with the offset +00:00. Any other text is unchanged.

    Times in this form can be compared and sorted as texts.
    """
    if len(shown) == len(f"2019-08-04T18:28:12{UTC}") and shown.endswith(UTC):
        return shown
    with suppress(ValueError, OverflowError):
        return utc_time(shown).isoformat() + UTC
    return shown


def seconds_at(shown: str, to_seconds: Callable[[Any], float] = calendar.timegm) -> float | None:
    """Return a time from SmugMug in seconds since 1970. Return None if no file can have it.

    Pass time.mktime to read `shown` as the local time of this computer instead of UTC.
    """
    with suppress(ValueError, OverflowError):
        seconds = float(to_seconds(utc_time(shown).timetuple()))
        if abs(seconds) < FILE_TIME_SECONDS:
            return seconds
    return None


def camera_time(shown: str) -> str:
    """Return the time on the camera's clock, in ISO 8601 without zone. Return "" if there is none.

    An EXIF time has no zone. SmugMug treats it as a time in California and shows it in UTC, so
    "2019:08:04 11:28:12" becomes "2019-08-04T18:28:12+00:00".

    `shown`: the DateTimeOriginal of a photo
    """
    with suppress(ValueError, OverflowError):
        utc = utc_time(shown)
        return (utc + timedelta(hours=pacific_hours(utc))).isoformat()
    return ""


def pacific_hours(utc: datetime) -> int:
    """Return California's offset from UTC: -7 in summer, -8 in winter."""
    starts, ends = pacific_summer(utc.year)
    return -7 if starts <= utc < ends else -8


@lru_cache(maxsize=None)
def pacific_summer(year: int) -> tuple[datetime, datetime]:
    """Return when summer time begins and ends in California, in UTC.

    Exact from 1976 on, before any digital camera existed. Source:
    https://www.nist.gov/pml/time-and-frequency-division/popular-links/daylight-saving-time-dst
    """
    if year >= 2007:
        starts = first_sunday(year, 3) + timedelta(days=7)
        ends = first_sunday(year, 11)
    elif year >= 1987:
        starts = first_sunday(year, 4)
        ends = first_sunday(year, 11) - timedelta(days=7)
    else:
        starts = first_sunday(year, 5) - timedelta(days=7)
        ends = first_sunday(year, 11) - timedelta(days=7)
    # Both changes are at 2:00 local time, which is 10:00 UTC in winter and 9:00 UTC in summer.
    return starts + timedelta(hours=10), ends + timedelta(hours=9)


def first_sunday(year: int, month: int) -> datetime:
    """Return the first Sunday of a month, at midnight."""
    first = datetime(year, month, 1)
    return first + timedelta(days=6 - first.weekday())


def file_time(image: Image) -> float | None:
    """Return the timestamp for an image's file, or None. It is in seconds since 1970.

    The camera's time is used, otherwise the time of the upload. A video's time should be in UTC.
    If it is later than the upload, the camera probably stored local time, and it is read as such.
    If it is still later, it is wrong, and the upload's time is used.
    """
    uploaded = seconds_at(image.uploaded)
    local_time = seconds_at(image.taken, time.mktime)
    if not image.is_video:
        return uploaded if local_time is None else local_time
    for taken in (seconds_at(image.taken), local_time):
        if taken is not None and (uploaded is None or taken <= uploaded):
            return taken
    return uploaded


def iso_time(seconds: float) -> str:
    """Return a time in seconds since 1970 as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# -------------------------------------------------------------------------------------------------
# 5. Files: part files, atomic writes, hashing, the content of folders, free space.
#    Uses Stop and names. Independent of the files' content.
# -------------------------------------------------------------------------------------------------

# If a disk states a limit below this for the bytes of a name, the limit is ignored, because part
# files would not fit.
MIN_NAME_BYTES = 64

# Windows refuses paths of this length or longer, unless long paths are enabled. A folder needs
# room for a short name, too:
# https://learn.microsoft.com/windows/win32/fileio/maximum-file-path-limitation
WINDOWS_PATH_CHARACTERS = 260 - len("12345678.123")

# The beginnings and ends of JPEG, PNG and GIF files.
FILE_ENDS = (
    (b"\xff\xd8\xff", b"\xff\xd9"),
    (b"\x89PNG", b"IEND\xae\x42\x60\x82"),
    (b"GIF8", b"\x00;"),
)

# Errors that mean fsync or locking is unsupported, as on some network and FUSE file systems.
UNSUPPORTED = frozenset(
    {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, getattr(errno, "ENOTSUP", 0)}
)


class PartFile:
    """A partial download on disk. It keeps the size in bytes and the MD5 of its content.

    It remains after the run. Opening it again hashes the content, and the download resumes from
    there.

    `received_bytes`: bytes written since it was opened
    `head`: its first 64 bytes, which show the type of the file
    `etag`: the ETag of the response that last wrote to it
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.etag = ""
        self.head = b""
        self.size_bytes = 0
        self.received_bytes = 0
        self._hash = new_md5()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        self._file = os.fdopen(os.open(str(path), flags, 0o666), "r+b", buffering=0)
        for chunk in chunks_of(self._file):
            self._count(chunk)

    def write(self, chunk: bytes) -> None:
        """Append bytes; raise OSError if the disk is full."""
        view = memoryview(chunk)
        while view:  # an unbuffered write may be partial
            view = view[self._file.write(view) :]
        self.received_bytes += len(chunk)
        self._count(chunk)

    def restart(self) -> None:
        """Delete the content and start from zero."""
        if self.size_bytes:
            self._file.seek(0)
            self._file.truncate()
            self.size_bytes = 0
            self.head = b""
            self._hash = new_md5()

    def md5(self) -> str:
        """Return the MD5 of the content, in hexadecimal."""
        return str(self._hash.hexdigest())

    def close(self) -> None:
        """Close the file; delete it if it is empty."""
        self._file.close()
        if not self.size_bytes:
            with suppress(OSError):
                self.path.unlink()

    def finish(self, modified: float | None) -> None:
        """Flush the content to disk, set its timestamp, and close it.

        The file is then ready to be renamed. `modified` is in seconds since 1970. With None, the
        timestamp is not changed.
        """
        sync_to_disk(self._file.fileno())
        self._file.close()
        if modified is not None:
            with suppress(OSError, OverflowError):  # some file systems reject some times
                os.utime(str(self.path), (modified, modified))

    def _count(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size_bytes += len(chunk)
        self.head += chunk[: 64 - len(self.head)]


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the rest of an open file in pieces of CHUNK_BYTES."""
    return iter(partial(file.read, CHUNK_BYTES), b"")


def new_md5(content: bytes = b"") -> Any:
    """Return an MD5 object that has hashed `content`.

    It only detects damage and protects no secret, so it is allowed in FIPS mode.
    """
    if sys.version_info < (3, 9):
        return hashlib.md5(content)
    return hashlib.md5(content, usedforsecurity=False)


def file_md5(path: Path, stop: Stop | None = None) -> str:
    """Return the MD5 of a file, in hexadecimal. Raise Stopped if `stop` is set meanwhile.

    Also raise OSError for a link to the download record, because closing it would drop the lock.
    """
    if is_record_name(link_target(path)):
        raise OSError(errno.EPERM, "this is the download record", str(path))
    md5 = new_md5()
    with open(str(path), "rb", buffering=0) as file:
        for chunk in chunks_of(file):
            md5.update(chunk)
            if stop is not None and stop.is_set():
                raise Stopped
    return str(md5.hexdigest())


def link_target(path: Path) -> str:
    """Return the name of the file that a path leads to."""
    if os.path.islink(str(path)):
        return os.path.basename(os.path.realpath(str(path)))
    return path.name


def is_record_name(name: str) -> bool:
    """Return True if a name begins with the record's. The names of SQLite's own files do."""
    return name.startswith(".") and name.casefold().startswith(RECORD_FILE)


def is_blank(path: Path) -> bool:
    """Return True if a file contains only zeros, as after a power cut."""
    with open(str(path), "rb", buffering=0) as file:
        return all(chunk.count(0) == len(chunk) for chunk in chunks_of(file))


def is_whole(path: Path) -> bool:
    """Return True if a photo or video is complete, because it ends as its type should.

    This covers the types that SmugMug serves. A file of another type is never whole.
    """
    with suppress(OSError), open(str(path), "rb", buffering=0) as file:
        head = file.read(12)
        size_bytes = file.seek(0, os.SEEK_END)
        if head[4:8] == b"ftyp":
            return has_whole_boxes(file, size_bytes)
        file.seek(max(0, size_bytes - 12))
        tail = file.read(12)
        return any(head.startswith(first) and tail.endswith(last) for first, last in FILE_ENDS)
    return False


def has_whole_boxes(file: IO[bytes], size_bytes: int) -> bool:
    """Return True if the boxes of an MP4 or HEIC file fill it exactly. Each states its length."""
    position = 0
    while position < size_bytes:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:  # the length is in the next field
            length = int.from_bytes(head[8:], "big")
        if length < 8:
            return False
        position += length
    return position == size_bytes


def file_stamp(path: Path) -> tuple[int, int, int] | None:
    """Return a value that changes when a file is written or replaced. A missing file has None."""
    try:
        status = os.lstat(str(path))
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def is_beginning_of(path: Path, whole: Path) -> bool:
    """Return True if `path` holds the first bytes of `whole`, or all."""
    if path.stat().st_size > whole.stat().st_size:
        return False
    with open(str(path), "rb") as first, open(str(whole), "rb") as second:
        return all(chunk == second.read(len(chunk)) for chunk in chunks_of(first))


def write_atomically(
    path: Path, content: bytes, *, mode: int = 0o666, durable: bool = True
) -> None:
    """Write `content` to a temporary file and rename it to `path`.

    Readers find the old file or the new one, never a mixture. With `durable`, this also holds
    after a crash.
    """
    beside = part_beside(path)
    remove(beside)
    try:
        with open(str(beside), "xb", opener=partial(os.open, mode=mode)) as file:
            file.write(content)
            file.flush()
            if durable:
                sync_to_disk(file.fileno())
        rename(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def part_beside(path: Path) -> Path:
    """Return the temporary path at which `path` is written.

    The name is cut to stay within the limit, and holds a digest of the whole name. So the next run
    finds and removes the file of a killed run, and a `.<name>.part` of another program is safe.
    """
    name = path.name.encode("utf-8", "surrogateescape")
    digest = new_md5(name).hexdigest()[:8]
    return path.with_name(f".{name[:60].decode('utf-8', 'ignore')}-{digest}{PART_SUFFIX}")


def remove(path: Path) -> None:
    """Remove a file if it exists."""
    with suppress(FileNotFoundError):
        path.unlink()


def sync_to_disk(file_number: int) -> None:
    """Flush an open file to disk, if the file system supports that."""
    try:
        os.fsync(file_number)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def rename(path: Path, new_path: Path) -> None:
    """Rename a file or folder, replacing a file at `new_path`.

    On Windows, a virus scanner may hold the file open. The call is therefore repeated for about
    one second.
    """
    for tries_left in range(10, -1, -1):  # pragma: no branch: the last one raises
        try:
            os.replace(str(path), str(new_path))
            return
        except PermissionError as error:
            if not tries_left or getattr(error, "winerror", None) not in (5, 32):
                raise
        time.sleep(TICK_SECONDS)


def passes(test: Callable[[str], bool], path: Path) -> bool:
    """Return `test(path)`, or False if it raises an error.

    The tests of pathlib raise OSError for an unreadable path. Before Python 3.8, those of os.path
    raise UnicodeError for a name that the locale cannot encode.
    """
    with suppress(OSError, ValueError):
        return test(str(path))
    return False


def exists(path: Path) -> bool:
    """Return True if `path` is a file or folder, or links to one."""
    return passes(os.path.exists, path)


def is_file(path: Path) -> bool:
    """Return True if `path` is a file, or links to one."""
    return passes(os.path.isfile, path)


def is_occupied(path: Path) -> bool:
    """Return True if anything is at `path`, even a broken link."""
    return passes(os.path.lexists, path)


def is_missing(path: Path) -> bool:
    """Return True if there is certainly nothing at `path`. An error means False."""
    try:
        os.lstat(str(path))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def is_same_time(one_ns: int, other_ns: int) -> bool:
    """Return True if two timestamps of a file are the same. They are in nanoseconds.

    FAT stores them in steps of 2 s and in local time, which shifts by an hour twice a year.
    """
    difference_ns = abs(one_ns - other_ns)
    return min(difference_ns, abs(difference_ns - 3600 * 10**9)) <= 2 * 10**9


class FilesOnDisk(Dict[str, int]):
    """The regular files in a folder: sizes in bytes, by name on disk.

    `folder`: the path of the folder
    """

    folder = Path()
    _by_key: dict[str, str] | None = None  # built when a name is first not found as it is

    def actual_name(self, name: str) -> str:
        """Return the name on disk. It may differ from `name` in case and normalization.

        Return `name` itself if there is no such file.
        """
        if name in self:
            return name
        if self._by_key is None:
            self._by_key = {collision_key(found): found for found in self}
        return self._by_key.get(collision_key(name), name)

    def is_evicted(self, name: str) -> bool:
        """Return True if iCloud Drive moved the file to the cloud. Only a placeholder is left."""
        return f".{name}.icloud" in self


def files_in(folder: Path) -> FilesOnDisk:
    """Return the regular files in a folder. Raise OSError if it cannot be read.

    A missing folder has none. The record and links to it are left out, because opening them would
    drop its lock.
    """
    files = FilesOnDisk()
    files.folder = folder
    try:
        entries = os.scandir(str(folder))
    except (FileNotFoundError, NotADirectoryError, UnicodeError):
        return files
    with entries:
        for entry in entries:
            try:  # for each file, so not with the slower `suppress`
                target = entry.name
                if entry.is_symlink():
                    target = link_target(Path(entry.path))
                if entry.is_file() and not is_record_name(target):
                    files[entry.name] = entry.stat().st_size
            except OSError:
                pass  # deleted meanwhile, or a circular link
    return files


def album_path(
    output: Path, folder: str, others: Iterable[str], entries: dict[Path, dict[str, str]]
) -> Path:
    """Return the path of an album's folder, which may be missing.

    The folder on disk may differ in case and normalization, unless it belongs to another album.

    `others`: the folders of all albums, relative to `output`
    `entries`: a cache of directory listings. A folder created later has exactly the wanted name.
    """
    exact = output / folder
    if is_occupied(exact):
        return exact
    path = output
    for name in folder.split("/"):
        parent = path
        path = parent / name
        with suppress(OSError, UnicodeError):
            if not is_occupied(path):
                if parent not in entries:
                    names = os.listdir(str(parent))
                    entries[parent] = {collision_key(found): found for found in names}
                path = parent / entries[parent].get(collision_key(name), name)
    if path != exact and path.relative_to(output).as_posix() in others:
        return exact
    return path


def free_path(path: Path, suffix: str) -> Path:
    """Return an unused path beside `path`, with the suffix. It has a number if necessary.

    Raise OSError if the folder cannot be read.
    """
    names = alternatives(path.name, suffix, "-", name_limit(path.parent))
    for name in names:  # pragma: no branch: they never end
        beside = path.with_name(name)
        try:
            os.lstat(str(beside))
        except FileNotFoundError:
            break
    return beside


def name_limit(folder: Path) -> int:
    """Return the maximum length in bytes of a new name in a folder.

    The limit leaves room for the suffix of a part file. Some disks allow fewer than 255 bytes, for
    example 143 on an encrypted network share. Not every disk states its limit, so a name of that
    length is looked up, and shorter ones if it is refused. The folder need not exist yet.
    """
    limit = MAX_NAME_BYTES + len(PART_SUFFIX)
    existing = existing_parent(folder) or folder
    with suppress(OSError, ValueError):
        stated = 0
        if sys.platform != "win32":
            stated = os.pathconf(str(existing), "PC_NAME_MAX")
        if stated >= MIN_NAME_BYTES:  # 0 means unknown
            limit = min(limit, stated)
    if not takes_names_of(existing, limit):
        shortest, longest = MIN_NAME_BYTES, limit
        while longest - shortest > 1:
            middle = (shortest + longest) // 2
            if takes_names_of(existing, middle):
                shortest = middle
            else:
                longest = middle
        limit = shortest
    return limit - len(PART_SUFFIX)


def takes_names_of(folder: Path, length: int) -> bool:
    """Return False if the disk refuses names of `length` bytes."""
    path = str(folder / ("x" * length))
    try:
        os.lstat(path)
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG
    return True


def existing_parent(folder: Path) -> Path | None:
    """Return the closest existing folder at or above a path. Return None if none can be found."""
    with suppress(OSError, RuntimeError, StopIteration, ValueError):
        path = folder.resolve()
        return next(parent for parent in (path, *path.parents) if exists(parent))
    return None


def disk_abilities(folder: Path) -> dict[str, Any]:
    """Return what a folder's disk can do, for --diagnose. Nothing is written.

    The folder need not exist yet. Unknown values are None or the name of an error.
    """
    existing = existing_parent(folder) or folder
    swapped = existing.with_name(existing.name.swapcase())
    ignores_case = None
    if swapped != existing:
        ignores_case = exists(swapped)
    return {
        "folder_exists": existing == folder.resolve(),
        "kind": file_system_of(existing),
        "sync": attempt_on_folder(existing, os.fsync),
        "lock": attempt_on_folder(existing, lock_briefly),
        "max_name_bytes": name_limit(folder) + len(PART_SUFFIX),
        "ignores_case": ignores_case,
        "free_gb": round((free_space(folder) or 0) / 1e9, 1),
    }


def file_system_of(folder: Path) -> str | None:
    """Return a folder's type of file system, such as "ext4". Return None if it is unknown."""
    kinds = {}
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines():
            mounted, kind = line.split(" ")[1:3]
            kinds[Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mounted))] = kind
    return next((kinds[path] for path in (folder, *folder.parents) if path in kinds), None)


def attempt_on_folder(folder: Path, action: Callable[[int], Any]) -> str:
    """Return "works", or the name of the error that an action raises."""
    try:
        number = os.open(str(folder), os.O_RDONLY)
        try:
            action(number)
        finally:
            os.close(number)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "error")
    return "works"


def lock_briefly(file_number: int) -> None:
    """Lock an open file for a moment. Raise OSError if that is impossible."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file_number, fcntl.LOCK_SH | fcntl.LOCK_NB)


def free_space(folder: Path) -> int | None:
    """Return the free bytes on a folder's disk. Return None if they are unknown.

    The folder need not exist yet. Some FUSE file systems report all sizes as zero.
    """
    existing = existing_parent(folder)
    with suppress(OSError, ValueError):
        if existing is not None:
            usage = shutil.disk_usage(str(existing))
            return usage.free if usage.total else None
    return None


def may_be_link(path: Path) -> bool:
    """Return True for a link. Before 3.12, Python cannot recognize the junctions of Windows."""
    return os.name == "nt" or passes(os.path.islink, path)


def is_within(path: Path, folder: Path) -> bool:
    """Return True if a path is in a folder, after following symbolic links.

    The path need not exist yet.
    """
    above = path
    while above not in (folder, above.parent) and not may_be_link(above):
        above = above.parent
    if above == folder and ".." not in path.parts:  # nothing on the way leads elsewhere
        return path != folder
    try:
        return folder.resolve() in path.resolve().parents
    except UnicodeError:
        return True  # the file system cannot store this name; writing will fail with a clear error
    except (OSError, RuntimeError) as error:
        return getattr(error, "errno", None) in (errno.ENOENT, errno.ENAMETOOLONG)  # likewise


def outside_problem(folder: Path, output: Path) -> str:
    """Return why an album's folder is left alone. Return "" if it is in the output folder.

    Nothing outside the output folder is read or written through a symbolic link.
    """
    if is_within(folder, output):
        return ""
    return (
        f"{printable(folder)} leads outside the output folder. "
        "If it is a symbolic link, replace it with the folder."
    )


def disk_problem(
    error: OSError | UnicodeError, path: Path, platform: str = sys.platform
) -> Problem:
    """Return the problem to report for an error of the file system.

    `path`: the file or folder, unless the error names one itself
    """
    if isinstance(error, UnicodeError):
        return Problem(
            f"The file system cannot store this name: {printable(path)}. "
            f"Set LC_ALL=C.UTF-8 and run this again."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"The disk is full: there is no space for {printable(path)}. Free some space, or "
            f"move the whole output folder (with {RECORD_FILE}) to a larger disk. Then run this "
            f"again; nothing already downloaded is lost."
        )
    path = Path(str(error.filename or path))
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        file = next((found for found in (path, *path.parents) if is_file(found)), path)
        return Problem(
            f"{printable(file)} is a file, but a folder is needed there. Move or rename it."
        )
    text = f"{error.strerror or error}: {printable(path)}"
    is_long = len(os.path.abspath(str(path))) >= WINDOWS_PATH_CHARACTERS
    path_errors = (errno.ENOENT, errno.EINVAL, errno.ENAMETOOLONG)
    if platform == "win32" and is_long and error.errno in path_errors:
        text += (
            ". This path is too long for Windows. Choose a shorter --output, or enable long "
            "paths in Windows."
        )
    return Problem(text)


# -------------------------------------------------------------------------------------------------
# 6. Screen: messages and the progress line, the log file, and texts that fit a terminal.
#    Independent of the content of the messages.
# -------------------------------------------------------------------------------------------------

NOTICE = logging.INFO + 5  # level of messages that -q still shows; written to the log as INFO
PLAIN_LINE_SECONDS = 10.0  # shortest interval of progress lines that do not go to a terminal


def display_width(text: str) -> int:
    """Return the number of terminal cells that a text takes."""
    return sum(map(character_width, text))


def character_width(character: str) -> int:
    """Return the cells of a character: 2 for East Asian wide ones, 0 for combining ones."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def truncate(text: str, columns: int) -> str:
    """Return a text that fits, with an ellipsis if it was cut."""
    if display_width(text) <= columns:
        return text
    kept = 0
    for length in range(len(text)):
        if display_width(text[:length]) < columns:
            kept = length
    return text[:kept] + "\N{HORIZONTAL ELLIPSIS}" if columns > 0 else ""


def shorten(text: str, columns: int) -> str:
    """Return a text that fits, with an ellipsis in its middle if necessary."""
    if display_width(text) <= columns or columns < 3:
        return truncate(text, columns)
    head = truncate(text, columns - (columns - 1) // 2)
    tail = truncate(text[::-1], (columns - 1) // 2 + 1)[-2::-1]
    while tail and not character_width(tail[0]):  # combining characters whose base was cut
        tail = tail[1:]
    return head + tail


def shorten_apart(texts: Iterable[str], columns: int) -> dict[str, str]:
    """Shorten texts to fit, so that different texts still look different.

    If texts share their beginning and end, the beginning is left out.
    """
    groups: dict[str, list[str]] = {}
    for text in set(texts):
        groups.setdefault(shorten(text, columns), []).append(text)
    result: dict[str, str] = {}
    for short, group in groups.items():
        if len(group) == 1 or columns < 4:
            result.update((text, short) for text in group)
            continue
        first, last = min(group), max(group)
        shared = 0
        while first[shared : shared + 1] == last[shared : shared + 1]:
            shared += 1
        start = max(1, shared - 3)
        rest = shorten_apart([text[start:] for text in group], columns - 1)
        for text in group:
            result[text] = "\N{HORIZONTAL ELLIPSIS}" + rest[text[start:]]
    return result


def wrap_line(line: str, columns: int) -> str:
    """Break a long line between words, with a hanging indent. Words, such as paths, stay whole."""
    indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
    lines = [""]
    for word in re.findall(r" *[^ ]+", line):
        if lines[-1].strip() and display_width(lines[-1] + word) > columns:
            lines.append(indent + word.lstrip(" "))
        else:
            lines[-1] += word
    return "\n".join(lines)


def human_bytes(size_bytes: float) -> str:
    """Return a size such as "1.2 GB", in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 999.5:
            is_round = unit == "B" or size_bytes >= 100
            return f"{size_bytes:.0f} {unit}" if is_round else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.2f} TB"


def human_seconds(seconds: float) -> str:
    """Return a duration such as "4.2 s" or "2 h 10 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 file" or "1,234 files"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def photos_and_videos(number: int) -> str:
    """Return a number with its noun, for images of either kind."""
    return "1 photo or video" if number == 1 else f"{number:,} photos and videos"


def count_phrases(
    counts: Mapping[Any, int], kinds: Iterable[Any], always: Iterable[Any] = ()
) -> str:
    """Return the count of each kind: "3 downloaded, 1 failed".

    Kinds with a count of 0 are left out, except for those in `always`.
    """
    phrases = []
    for kind in kinds:
        if counts.get(kind) or kind in always:
            phrases.append(f"{counts.get(kind, 0):,} {kind.value}")
    return ", ".join(phrases)


class Screen(logging.Handler):
    """Standard error: log messages, with the progress line below them on a terminal."""

    def __init__(self, level: int, progress: bool) -> None:
        super().__init__(level)
        self._lock = threading.RLock()
        self._wants_progress = progress
        self._is_live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._is_shown = False  # the progress line, or the ^C of an interrupt, is on the screen
        self._shown_at = 0.0 if self._is_live else time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message above the progress line."""
        columns = terminal_columns(sys.stderr) if sys.stderr.isatty() else sys.maxsize
        lines = [wrap_line(line, columns) for line in record.getMessage().split("\n")]
        with self._lock:
            self.clear()
            self._write("\n".join(lines) + "\n")

    def show(self, line: Callable[[int], str]) -> None:
        """Update the progress line, unless it was just updated.

        `line`: returns the text for a number of columns; called only if it will be shown
        """
        now = time.monotonic()
        interval_seconds = TICK_SECONDS if self._is_live else PLAIN_LINE_SECONDS
        if not self._wants_progress or now - self._shown_at < interval_seconds:
            return
        self._shown_at = now
        if not self._is_live:
            log.info("%s", line(10_000))
            return
        with self._lock:
            # Some terminals wrap a line that is full, and Ctrl-C may add "^C".
            columns = terminal_columns(sys.stderr) - 3
            text = truncate(line(columns), columns)
            self._is_shown = True  # set first, because Ctrl-C may follow the first character
            self._write("\r" + text + rest_of_line(columns - display_width(text), sys.platform))

    def announce(self, text: str) -> None:
        """Show at once which step has begun, if there is a progress line."""
        if self._is_live:
            self._shown_at = 0.0
        self.show(lambda columns: text)

    def show_text(self, text: str) -> None:
        """Show a text on the progress line, if an update is due."""
        self.show(lambda columns: text)

    def note_interrupt(self) -> None:
        """Note that the terminal may show "^C". The next message replaces it.

        A signal handler calls this, so it takes no lock and writes nothing.
        """
        self._is_shown = self._is_live

    def clear(self) -> None:
        """Remove the progress line."""
        with self._lock:
            if self._is_shown:
                blank = rest_of_line(terminal_columns(sys.stderr) - 1, sys.platform)
                self._write("\r" + blank + "\r")
                self._is_shown = False

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a closed terminal must not stop the download
            sys.stderr.write(text)
            sys.stderr.flush()


def rest_of_line(columns: int, platform: str) -> str:
    """Return the characters that clear the rest of a line.

    Older Windows consoles do not support the control sequence for this, so spaces are written
    there.
    """
    return " " * columns if platform == "win32" else "\x1b[K"


def terminal_columns(stream: TextIO) -> int:
    """Return the current width of a stream's terminal. Return 80 if it is unknown."""
    with suppress(OSError, ValueError):
        return os.get_terminal_size(stream.fileno()).columns or 80
    return 80


class LogFile(logging.FileHandler):
    """The log file. If it can no longer be written, the run continues without it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message with time and level before each line."""
        level = logging.getLevelName(record.levelno // 10 * 10)
        start = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created)) + f" {level} "
        return "\n".join(start + line for line in record.getMessage().splitlines())

    def handleError(self, record: logging.LogRecord) -> None:
        """Close the file after an error, and tell the user once."""
        if self not in log.handlers:  # another thread already closed it
            return
        log.removeHandler(self)
        log.warning(
            "The log file %s can no longer be written (%s). The run continues without it.",
            self.baseFilename,
            sys.exc_info()[1],
        )
        with suppress(OSError):  # the rest of its buffer cannot be written either
            self.close()


def set_up_log(settings: Settings, screen: Screen) -> None:
    """Send the log to the screen, and all details to --log-file. Raise Problem if that fails."""
    log.propagate = False
    log.addHandler(screen)
    log.setLevel(screen.level)
    if settings.log_file is not None:
        try:
            log.addHandler(LogFile(str(settings.log_file), encoding="utf-8"))
        except OSError as error:
            raise disk_problem(error, settings.log_file) from None
        log.setLevel(logging.DEBUG)


def set_up_streams() -> None:
    """Make the standard streams accept every character, and replace closed ones.

    Data in a file or pipe is exact: UTF-8 in any locale, and the original bytes of undecodable
    names. Only a terminal gets replacements for characters that it cannot show.
    """
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None and name != "stdin":
            setattr(sys, name, open(os.devnull, "w"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if hasattr(sys.stdout, "reconfigure") and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


class OutputFailed(Problem):
    """Standard output failed. The text is empty if its reader has closed it."""

    exit_code = EXIT_FAILED


def print_result(text: str) -> None:
    """Print a line to standard output; raise OutputFailed if that fails."""
    with output_checked():
        print(text)


@contextmanager
def output_checked() -> Iterator[None]:
    """Raise OutputFailed if the block cannot write to standard output.

    The rest of its buffer is then discarded, because Python would try to write it again at exit.
    """
    try:
        yield
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader has seen enough
            raise OutputFailed("") from None
        raise OutputFailed(f"Cannot write to standard output: {error}") from None


# -------------------------------------------------------------------------------------------------
# 7. Hosts: one circuit breaker for each host, which decides when requests may be sent.
#    Uses HandBack, errors and messages. Independent of how requests are sent.
#
#    Why workers never sleep on a closed host
#
#    Each host has a circuit breaker. A 429, or a 503 with Retry-After, closes the host for as long
#    as SmugMug asks. Closed means that no requests are sent. A URL that is refused again and again
#    while others get responses waits alone, for at most five attempts. A request to a host that is
#    closed or in an outage raises HandBack. The caller's loop, `sync` or `in_parallel`, then parks
#    the job, so that other jobs get the thread.
#
#    Three requests in a row without a response make a host suspect. One thread then probes it with
#    a URL that always gets a response. If the probe gets one, the fault is in single URLs, and
#    only their attempts are used up. If it gets none, this is an outage. The outage is timed from
#    the first request without a response to the next real response, so a host that responds only
#    to probes is given up after --max-outage. For the API, that ends the run; for any other host,
#    its files fail. Attempts made before or during an outage are forgotten when it ends. Every
#    attempt is signed again, because SmugMug refuses a repeated nonce.
# -------------------------------------------------------------------------------------------------

UNANSWERED_IN_A_ROW = 3  # failed requests to a host before it is probed
PROBE_VALID_SECONDS = 2.0  # how long a successful probe proves that the host is reachable
MAX_PROBE_SECONDS = 60.0  # longest interval between two probes
MAX_TICK_SECONDS = 1.0  # a longer gap on the clock counts as sleep
AUTH_USER_URL = API_ORIGIN + "/api/v2!authuser"  # always responds; 401 without a valid sign-in


class AwakeClock:
    """A clock that counts only the seconds while the computer is awake.

    time.monotonic counts sleep on some systems. A gap between two calls that is longer than
    MAX_TICK_SECONDS was sleep, because the watching thread calls this four times a second.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds since the clock was made."""
        with self._lock:
            now = time.monotonic()
            self._seconds += min(now - self._last, MAX_TICK_SECONDS)
            self._last = now
            return self._seconds


class Attempts:
    """The failed attempts of one URL.

    `count`: how many failed since the last progress
    `longest_bytes`: the greatest length of its part file
    `is_alone`: it was asked to wait while other URLs were answered
    `refused_at`: the host's counts of responses and of changes when it was refused last
    """

    def __init__(self) -> None:
        self.count = 0
        self.longest_bytes = 0
        self.is_alone = False
        self.refused_at: tuple[int, int] | None = None

    def add(self, length_bytes: int) -> None:
        """Count a failed attempt, after which the part file has `length_bytes`."""
        has_progress = length_bytes >= self.longest_bytes + CHUNK_BYTES
        self.count = 1 if has_progress else self.count + 1
        self.longest_bytes = max(self.longest_bytes, length_bytes)


class OneUrlWait(Wait):
    """The wait of one URL until a time on the clock."""

    def __init__(self, clock: Callable[[], float], ends_at: float) -> None:
        self._clock = clock
        self._ends_at = ends_at

    def is_over(self) -> bool:
        """Return True once the time has come."""
        return self._clock() >= self._ends_at


class Host(Wait):
    """The circuit breaker of one host, shared by all threads.

    It is open, suspect, or closed until a time that the host asked for. Times are in seconds of
    `clock`.

    `name`: the host's name in URLs
    `is_api`: it serves the API, so its outage ends the run
    `closed_seconds`: total time closed, including the time remaining
    """

    def __init__(self, name: str, max_outage_seconds: float, clock: Callable[[], float]) -> None:
        self.name = name
        self.is_api = name == urlsplit(API_ORIGIN).netloc
        self.closed_seconds = 0.0
        self._max_outage_seconds = max_outage_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._attempts: dict[str, Attempts] = {}
        self._working_url = ""
        self._opens_at = 0.0
        self._url_opens_at: dict[str, float] = {}  # of URLs that wait alone
        self._last_refused_url = ""
        self._responses = 0  # to real requests that were not refused
        self._changes = 0  # how often a different URL was refused, or a refused one worked
        self._silences = 0  # in a row
        self._since: float | None = None  # when the current outage or refusal began
        self._since_text = ""  # the same as a time of day
        self._failed_until = 0.0  # when the latest failure, or the wait that it asked for, ended
        self._answered_at = 0.0
        self._trusted_until = 0.0  # a probe was answered
        self._is_suspect = False
        self._is_being_probed = False
        self._probe_at = 0.0
        self._is_told = False  # this outage was reported
        self._given_up = ""  # why, once --max-outage is over

    def label(self) -> str:
        """Return a name for messages."""
        if self.is_api:
            return "SmugMug's API"
        return "SmugMug's photo host" if self.name.startswith("photos.") else f"Host {self.name}"

    def is_over(self) -> bool:
        """Return True if the host is open or was given up. Its jobs can then continue."""
        is_shut = self._is_suspect and not self._given_up
        return not is_shut and self.remaining_seconds() <= 0

    def needs_trial(self) -> bool:
        """Return True if a job is needed to probe the host."""
        return (
            self._is_suspect
            and not self._is_being_probed
            and self._clock() >= max(self._probe_at, self._opens_at)
        )

    def unreachable_since(self) -> str:
        """Return the time of day at which the outage began, or ""."""
        return self._since_text if self._is_suspect and self._is_told else ""

    def remaining_seconds(self) -> float:
        """Return how long the host stays closed at its own request."""
        return max(0.0, self._opens_at - self._clock())

    def patience_seconds(self) -> float:
        """Return how much longer the host may stay unreachable."""
        since = self._since
        if since is None:
            return self._max_outage_seconds
        return max(0.0, self._max_outage_seconds - (self._clock() - since))

    def probe_url(self) -> str:
        """Return a URL that gets a response whenever the host is reachable."""
        return AUTH_USER_URL if self.is_api else self._working_url or f"https://{self.name}/"

    def attempts(self, url: str) -> Attempts:
        """Return the failed attempts of a URL."""
        return self._attempts.setdefault(url, Attempts())

    def forget(self, url: str) -> None:
        """Forget the attempts of a URL that succeeded or finally failed."""
        self._attempts.pop(url, None)
        self._url_opens_at.pop(url, None)

    def admit(self, url: str) -> bool:
        """Return True if the caller must probe the host before requesting `url`.

        Raise HandBack if it has to wait, and an error if the host was given up.
        """
        with self._lock:
            now = self._clock()
            url_opens_at = self._url_opens_at.get(url, 0.0)
            if now < url_opens_at:
                raise HandBack(OneUrlWait(self._clock, url_opens_at))
            if now < self._opens_at:
                raise HandBack(self)
            if not self._is_suspect:
                return False
            if now >= self._probe_at and not self._is_being_probed:
                self._is_being_probed = True
                return True
            if self._given_up:
                raise self._unreachable()
            raise HandBack(self)

    def probed(self, failure: RequestFailed | None) -> None:
        """Note how the caller's probe ended; raise HandBack if it failed."""
        with self._lock:
            now = self._failed_until = self._clock()
            self._is_being_probed = False
            if failure is None:
                self._is_suspect = False
                self._silences = 0
                self._trusted_until = now + PROBE_VALID_SECONDS
                if self._given_up:
                    self._end_outage()
                return
            self._tell(failure)
            if self._given_up:
                self._probe_at = now + MAX_PROBE_SECONDS
                raise self._unreachable()
            self._give_up_if_due(failure)
            silent_seconds = now - (self._since or 0.0)
            delay_seconds = min(max(FIRST_DELAY_SECONDS, silent_seconds), MAX_PROBE_SECONDS)
            self._probe_at = now + min(delay_seconds, self.patience_seconds())
        raise HandBack(self)

    def answered(self) -> None:
        """Note that a real request got a response. The host is reachable; an outage is over."""
        self._answered_at = self._clock()
        self._responses += 1
        if self._since is None and not self._is_suspect:
            return
        with self._lock:
            self._end_outage()

    def succeeded(self, url: str) -> None:
        """Note that a request got what it asked for."""
        self.answered()
        self._working_url = self._working_url or url
        attempts = self._attempts.get(url)
        if attempts is not None and attempts.refused_at is not None:
            self._changes += 1
        self.forget(url)

    def silent(self, sent_at: float, failure: RequestFailed, may_be_outage: bool) -> None:
        """Note a request without a response. Raise an error if this has lasted too long.

        `sent_at`: when the request was sent
        `may_be_outage`: otherwise the host was never reached, so waiting is pointless
        """
        with self._lock:
            if may_be_outage:
                self._forget_old_failure(sent_at)
            self._begin(max(sent_at, self._answered_at))
            self._failed_until = self._clock()
            self._silences += 1
            if not may_be_outage:
                if not self.patience_seconds():
                    raise failure
                return
            now = self._clock()
            is_enough = self._silences >= UNANSWERED_IN_A_ROW and now >= self._trusted_until
            if is_enough and not self._is_suspect:
                self._is_suspect = True
                self._probe_at = now
            self._give_up_if_due(failure)

    def refused(self, url: str, failure: RequestFailed) -> None:
        """Close for as long as a response asked. Raise HandBack, or an error after too long.

        A URL that is refused twice, while no other URL is, waits alone. So do several URLs that
        are refused again and again while all others are answered.
        """
        with self._lock:
            now = self._clock()
            self._forget_old_failure(now)
            self._begin(now)
            self._give_up_if_due(failure)
            opens_at = now + min(failure.wait_seconds or 0.0, self.patience_seconds())
            self._failed_until = opens_at
            attempts = self.attempts(url)
            responses, changes = attempts.refused_at or (self._responses, -1)
            has_cause = attempts.is_alone or self._responses > responses
            is_alone = url == self._last_refused_url or (has_cause and changes == self._changes)
            attempts.is_alone = is_alone and has_cause
            self._changes += changes < 0
            attempts.refused_at = self._responses, self._changes
            self._last_refused_url = url
            if attempts.is_alone:
                attempts.count += 1
                if attempts.count >= ATTEMPTS:
                    raise failure
            if is_alone:
                log.debug("%s; %s waits %.0f s", failure, short_url(url), opens_at - now)
                self._url_opens_at[url] = opens_at
                raise HandBack(OneUrlWait(self._clock, opens_at))
            longer_by = max(0.0, opens_at - max(now, self._opens_at))
            self._opens_at = max(opens_at, self._opens_at)
            self.closed_seconds += longer_by
        if longer_by >= 1.0:  # requests in progress when it closed add nothing new
            log.warning("%s; waiting %.0f s.", failure, opens_at - now)
        raise HandBack(self)

    def _forget_old_failure(self, now: float) -> None:
        """Start the clock again if the host was not asked for long after its latest failure.

        Otherwise two failures an hour apart, with no request in between, would be an outage.
        """
        is_outage = self._is_suspect or self._is_told
        if not is_outage and now - self._failed_until > MAX_PROBE_SECONDS:
            self._since = None
            self._silences = 0

    def _begin(self, since: float) -> None:
        if self._since is None:
            self._since = since
            self._since_text = time.strftime("%H:%M")

    def _tell(self, failure: RequestFailed) -> None:
        if not self._is_told:
            self._is_told = True
            log.warning(
                "%s. %s has been unreachable since %s; waiting.",
                str(failure).rstrip("."),
                self.label(),
                self._since_text,
            )

    def _end_outage(self) -> None:
        if self._is_told:
            log.info("%s is back.", self.label())
            self._attempts.clear()
        self._since = None
        self._silences = 0
        self._is_suspect = self._is_told = False
        self._given_up = ""

    def _give_up_if_due(self, failure: RequestFailed) -> None:
        if self.patience_seconds() > 0:
            return
        minutes = self._max_outage_seconds / 60
        name = "SmugMug" if self.is_api else self.label()
        reason = str(failure).rstrip(".")
        self._given_up = f"{name} was unreachable for {minutes:g} minutes ({reason})"
        self._is_suspect = self._is_told = True
        self._probe_at = self._clock() + MAX_PROBE_SECONDS
        raise self._unreachable()

    def _unreachable(self) -> Problem:
        if self.is_api:
            return Unreachable(f"{self._given_up}. Run this again later, or raise --max-outage.")
        return RequestFailed(self._given_up)


def short_url(url: str) -> str:
    """Return a URL as it may be logged: host, path and page of a list.

    The whole path of a file is left out, because anyone could open a file in an unlisted album
    with it.
    """
    parts = urlsplit(url)
    start = re.search(r"(?:^|&)(start=[0-9]+)", parts.query)
    path = parts.path
    if not path.startswith("/api/"):
        path = "/.../" + path.split("/")[-1]
    return printable(parts.netloc + path + (f"?{start.group(1)}" if start else ""))


# -------------------------------------------------------------------------------------------------
# 8. Connection: signed requests to SmugMug, with rate limits, outages and retries.
#    Uses Stop, Host and texts of the screen. Interprets only heads, errors and JSON syntax.
#
#    What is retried
#
#    failure                             where               how often         how long
#    ----------------------------------  ------------------  ----------------  --------------------
#    no response, 5xx, 408, 425, a       Connection.get      5 attempts        0.25 to 4 s between
#    stalled or truncated body, invalid                                        two attempts
#    JSON, 401 nonce_used or a wrong
#    clock
#    the same, but the part file is      Connection.get      no limit          as above
#    64 kB longer than ever before
#    no response, 502, 503, 504 or a     Host and the        probes, 0.5 to    --max-outage
#    stall, three requests in a row      caller's loop       60 s apart
#    429, or 503 with Retry-After        Host and the        no limit          as asked, up to
#                                        caller's loop                         --max-outage
#    the same for one URL again, while   OneUrlWait          5 attempts        as asked, up to
#    others get responses                                                      --max-outage
#    redirect                            Connection.get      5 redirects       at once
#    a page of a list                    PagedList           halved down to    at once; pages of 6
#                                                            single entries    to 10 and single
#                                                                              entries as above
#    404 on a later page, or on the      fetch_page          5 attempts        as above
#    first page of the list of albums
#
#    After the last attempt, the image counts as failed and its part file stays. The next run
#    resumes it if an MD5 is stated in the API or the ETag. Otherwise, it downloads the image from
#    the beginning.
# -------------------------------------------------------------------------------------------------

DEFAULT_RATE_LIMIT_SECONDS = 60.0  # the wait after a 429 that does not say how long
REDIRECT_ATTEMPTS = 5  # redirects followed for one request
LEAST_TIMEOUT_SECONDS = 1.0  # no shorter --max-outage makes requests time out sooner
TIMEOUTS_IN_OUTAGE = UNANSWERED_IN_A_ROW + 1  # so that a probe also fits into --max-outage
MAX_RESPONSE_BYTES = 16 << 20  # no API response is larger; 100 images take some 300 kB
DECODED_AT_ONCE_BYTES = 1 << 12  # compressed bodies may grow a thousandfold
LEAST_BYTES_PER_SECOND = CHUNK_BYTES / 60  # a slower body counts as stalled
SLOW_SECONDS = 60.0  # how long a body may be slower than that, or --timeout if that is less

# Faster bodies are read in pieces this many times as large, which costs less CPU.
QUICK_BYTES_PER_SECOND = 1e6
QUICK_CHUNKS = 4

WATCH_SECONDS = 0.25  # how often the watching thread checks deadlines
HEAD_START_SECONDS = 0.25  # lead of one address over the next when connecting (RFC 8305)
CONNECTING = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, 10035})  # Windows' number last
JSON_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}
RATE_LIMIT_HEADERS = ("X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
OUT_OF_SERVICE = frozenset({502, 503, 504})  # only a gateway responds: an outage
PASSING = frozenset({408, 425})  # request timeout, too early: a second attempt may succeed

# Causes of failed connections, by the words that operating systems use for them.
CAUSES = {
    "getaddrinfo|Name or service|name resolution|Name does not|nodename|No address associated": (
        ": host not found. Are you online?"
    ),
    "refused": ": connection refused. Check your firewall, proxy or virus scanner",
    "unreachable": ": network unreachable. Are you online?",
}
PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")  # first one in force
CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
AUTHORIZED_SERVICES = "Account Settings > Privacy > Authorized Services"
SIGN_IN_AGAIN = (
    f"Revoke it on SmugMug ({AUTHORIZED_SERVICES}), run this with --logout, then sign in again."
)
EARLIEST_DATE = 946_684_800.0  # 2000-01-01; earlier server dates are wrong
LATEST_DATE = 4_102_444_800.0  # 2100-01-01; later ones are wrong, too
RELEASE_DATE = 1_767_225_600.0  # 2026-01-01; a local clock that shows less was never set
MAX_CLOCK_ERROR_SECONDS = 10 * 365 * 86_400.0  # otherwise, a server date this far ahead is wrong


class Request(NamedTuple):
    """How to request a URL, and how to treat failures.

    `headers`: called before each attempt, so that a resumed download asks only for the rest
    `accept`: status codes that the consumer of the response handles
    `retry_also`: further status codes that are worth a retry
    `is_divisible`: overload errors are raised at once, so that the caller can request less
    `length_bytes`: returns how much of a download is on disk
    """

    headers: Callable[[], dict[str, str]] = dict
    accept: frozenset[int] = frozenset({200})
    retry_also: frozenset[int] = frozenset()
    is_divisible: bool = False
    length_bytes: Callable[[], int] = int


class Probe(NamedTuple):
    """The response to a single request. Without a response, `errors` names the exceptions."""

    status: int
    seconds: float
    headers: Mapping[str, str]
    body: bytes
    errors: Sequence[str]


PLAIN_REQUEST = Request()
JSON_REQUEST = Request(headers=lambda: JSON_HEADERS)


def retry_delay(failure: RequestFailed, attempt: int, chance: float) -> float | None:
    """Return the delay before the next attempt, or None to give up.

    Delays double from FIRST_DELAY_SECONDS. Each is shortened at random, by up to half, so that
    threads that failed together do not retry together.

    `attempt`: the number of the attempt that failed, from 1
    `chance`: a random number from 0 to 1
    """
    if not failure.transient or attempt >= ATTEMPTS:
        return None
    return FIRST_DELAY_SECONDS * 2.0 ** (attempt - 1) * (0.5 + chance / 2)


def rate_limit_seconds(headers: Mapping[str, str], now: float) -> float:
    """Return the seconds that a response asks to wait, at least one.

    Retry-After holds seconds or a date. Without it, X-RateLimit-Reset is used, or else a minute.
    Dates are compared with the server's own Date if it was sent, in case the local clock is wrong.
    https://api.smugmug.com/api/v2/doc/advanced/rate-limits.html

    `now`: the local time in seconds since 1970
    """
    now = http_date(headers.get("Date", "")) or now
    after = headers.get("Retry-After", "").strip()
    reset = headers.get("X-RateLimit-Reset", "").strip()
    if re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,9})?", after):
        return max(1.0, float(after))
    ends_at = http_date(after)
    if ends_at is None and re.fullmatch(r"[0-9]{1,18}", reset):
        ends_at = float(reset)
    return DEFAULT_RATE_LIMIT_SECONDS if ends_at is None else max(1.0, ends_at - now)


def is_smugmug(url: str) -> bool:
    """Return True if `url` is an https address of SmugMug. The token is sent nowhere else."""
    return bool(
        re.match(r"(?ai)https://([a-z0-9-]{1,63}\.){0,9}smugmug\.com(:443)?([/?#]|\Z)", url)
    )


def origin_of(url: str) -> str:
    """Return the scheme and host of a URL, which may be shown.

    The full address of a file in an unlisted album would let anyone open it.
    """
    origin = re.match("[^/?#]*//[^/?#]{0,100}", url)
    return printable(origin.group()) + "/" if origin else "an address without a host"


def shut_down(handle: socket.socket) -> None:
    """End a connection while another thread is waiting for it."""
    with suppress(OSError):  # it may have ended meanwhile
        handle.shutdown(socket.SHUT_RDWR)


class HeadWait:
    """A wait for a connection and the head of a response. Another thread can end it.

    Socket timeouts limit only the time between two bytes, so a head could take hours to arrive.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.is_cut = False
        self._handle: socket.socket | None = None

    def watch(self, connection: socket.socket) -> None:
        """Remember the socket that will receive the head."""
        self.close()
        # TLS within the TLS of a proxy has no family. Any family will do to end a connection.
        self._handle = socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        if self.is_cut:
            shut_down(self._handle)

    def cut(self) -> None:
        """End the wait."""
        self.is_cut = True
        if self._handle is not None:
            shut_down(self._handle)

    def close(self) -> None:
        """Release the socket; the connection stays open."""
        if self._handle is not None:
            self._handle.close()


class Adapter(requests.adapters.HTTPAdapter):
    """Connects as browsers do. Each thread's wait for a head can be ended.

    `current`: `current.wait` is the HeadWait of the calling thread
    """

    def __init__(self, **options: Any) -> None:
        self.current = threading.local()
        self._family = 0  # the address family that connected last
        super().__init__(**options)

    def get_connection_with_tls_context(self, *args: Any, **more: Any) -> Any:
        """Return a pool of watched connections."""
        return self._watched(super().get_connection_with_tls_context(*args, **more))

    def get_connection(self, *args: Any, **more: Any) -> Any:  # pragma: no cover: before 2.32
        """Return a pool of watched connections."""
        return self._watched(super().get_connection(*args, **more))

    def _watched(self, pool: Any) -> Any:
        adapter = self
        if hasattr(pool, "is_watched"):
            return pool

        class WatchedConnection(pool.ConnectionCls):  # type: ignore[misc]
            """A connection that gives its socket to the thread's HeadWait."""

            def _new_conn(self) -> socket.socket:
                if hasattr(self, "_socks_options"):
                    connected: socket.socket = super()._new_conn()
                else:
                    connected = adapter.connect(self)
                adapter.current.wait.watch(connected)
                return connected

            def getresponse(self, *args: Any, **more: Any) -> Any:
                adapter.current.wait.watch(self.sock)
                return super().getresponse(*args, **more)

        pool.ConnectionCls = WatchedConnection
        pool.is_watched = True
        return pool

    def connect(self, connection: Any) -> socket.socket:
        """Return a socket connected to the first address that accepts. Raise OSError if none does.

        Each address gets a head start of 0.25 s over the next. So a network that drops IPv6
        packets does not delay every connection. The family that worked is tried first the next
        time. https://www.rfc-editor.org/rfc/rfc8305
        """
        host, port = connection._dns_host.strip("[]"), connection.port
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        found.sort(key=lambda address: address[0] != self._family)
        race = ConnectionRace(connection.socket_options or [])
        try:
            winner = race.run(
                [(*address[:3], address[4]) for address in found], connection.timeout
            )
        finally:
            race.close()
        self._family = winner.family
        winner.settimeout(connection.timeout)
        return winner


class ConnectionRace:
    """Attempts to connect to several addresses. The first to succeed wins."""

    def __init__(self, options: Iterable[Any]) -> None:
        self._options = list(options)
        self._selector = selectors.DefaultSelector()
        self._error = OSError("no address associated with this host")

    def run(self, addresses: list[tuple[Any, ...]], timeout_seconds: float) -> socket.socket:
        """Return the first connected socket. Raise the last error if all fail."""
        ends_at = time.monotonic() + timeout_seconds
        waiting = deque(addresses)
        while waiting or self._selector.get_map():
            if waiting:
                self._start(*waiting.popleft())
            left_seconds = ends_at - time.monotonic()
            if left_seconds <= 0:
                raise socket.timeout("timed out")
            pause_seconds = min(HEAD_START_SECONDS, left_seconds) if waiting else left_seconds
            winner = self._finished(pause_seconds) if self._selector.get_map() else None
            if winner is not None:
                return winner
        raise self._error

    def close(self) -> None:
        """Close all sockets but the winner's."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _start(self, family: int, kind: int, protocol: int, address: Any) -> None:
        try:
            attempt = socket.socket(family, kind, protocol)
        except OSError as error:  # such as no IPv6 on this system
            self._error = error
            return
        for option in self._options:
            attempt.setsockopt(*option)
        attempt.setblocking(False)
        number = attempt.connect_ex(address)
        if number in CONNECTING:
            self._selector.register(attempt, selectors.EVENT_WRITE)
        else:
            attempt.close()
            self._error = OSError(number, os.strerror(number))

    def _finished(self, seconds: float) -> socket.socket | None:
        for key, _ in self._selector.select(seconds):
            attempt: Any = key.fileobj
            self._selector.unregister(attempt)
            number = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not number:
                return attempt  # type: ignore[no-any-return]
            attempt.close()
            self._error = OSError(number, os.strerror(number))
        return None


class RateLimit:
    """The limit for the bytes per second of all downloads together.

    All downloads share one queue, in which each piece of a body takes its time. A download that
    waits here is not stalled, and more concurrent downloads would not help.
    """

    def __init__(self, bytes_per_second: float, stop: Stop) -> None:
        self._bytes_per_second = bytes_per_second
        self.piece_bytes = max(1024, int(bytes_per_second / 20))
        self._stop = stop
        self._lock = threading.Lock()
        self._free_at = 0.0

    def hold(self, size_bytes: int) -> None:
        """Wait until `size_bytes` more may have arrived; raise Stopped if interrupted."""
        with self._lock:
            begins_at = max(self._free_at, time.monotonic() - 0.1)  # makes up for short delays
            self._free_at = begins_at + size_bytes / self._bytes_per_second
            ends_at = self._free_at
        self._stop.pause(ends_at - time.monotonic())

    def is_reached(self) -> bool:
        """Return True if downloads are waiting for the limit."""
        return self._free_at > time.monotonic()


class Response:
    """The head of a response, and the way to its body.

    `received_bytes`: bytes of the body received so far
    """

    def __init__(self, raw: requests.Response, url: str, connection: Connection) -> None:
        self._raw = raw
        self._host = connection.host(url)
        self._connection = connection
        self.received_bytes = 0
        self.enough_bytes = 0  # bytes that must have arrived at the next check
        self.is_slow = False
        self._is_held = False  # by the rate limit, now
        self._was_held = False  # now, or at some time since the last check
        self.status = raw.status_code
        self.headers = raw.headers
        length, *others = self.headers.get("Content-Length", "").split(",")
        is_one = all(other.strip() == length.strip() for other in others)  # some proxies repeat it
        is_valid = is_one and re.fullmatch(r"[0-9]{1,18}", length.strip())
        self.length = int(length) if is_valid else None
        encoding = self.headers.get("Content-Encoding", "identity").lower()
        self.is_encoded = encoding not in ("", "identity")
        is_chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
        self.has_end = self.length is not None or is_chunked
        # True until the host is told that it has responded.
        self._is_new = self.status not in OUT_OF_SERVICE and self.status != 429

    def chunks(self) -> Iterator[bytes]:
        """Yield the body, decoded.

        Raise RequestFailed if it is truncated, which the requests package does not always notice.
        Also raise it if it stalls, because single bytes at long intervals would block this thread
        forever.
        """
        began = time.monotonic()
        self._connection.bodies.add(self)
        try:
            for chunk in self._raw.iter_content(self._piece_bytes()):
                self.received_bytes += len(chunk)
                self._connection.received_bytes += len(chunk)  # not atomic; an estimate
                if not self._host.is_api:
                    self._count_file_bytes(len(chunk))
                if self._is_new and self.received_bytes >= CHUNK_BYTES:
                    self._tell_host()
                yield chunk
        except requests.RequestException as error:
            if not self.is_slow:
                raise transport_failure(error, self._host.name) from None
        finally:
            self._connection.bodies.discard(self)
        self._note_speed(time.monotonic() - began)
        if self.is_slow:
            raise unanswered(
                f"{self._host.name} sent almost no data for {self._connection.slow_seconds:.0f} s"
            )
        if self.length is not None and self._raw.raw.tell() < self.length:
            raise unanswered(f"The connection to {self._host.name} was interrupted")
        if self._is_new:
            self._tell_host()

    def body(self) -> bytes:
        """Return the whole body. Raise RequestFailed if it is larger than any valid one."""
        body = bytearray()
        for chunk in self.chunks():
            body += chunk
            if len(body) > MAX_RESPONSE_BYTES:
                raise RequestFailed(
                    f"SmugMug's response is larger than {MAX_RESPONSE_BYTES >> 20} MB",
                    is_overload=True,
                )
        return bytes(body)

    def check_progress(self) -> None:
        """End the body if it stalled since the last check. Called by the watching thread."""
        was_held, self._was_held = self._was_held, self._is_held
        if self.received_bytes < self.enough_bytes and not was_held:
            self.is_slow = True
            with suppress(OSError, ValueError, AttributeError):  # it may have just ended
                number = self._raw.raw.fileno()
                with socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM) as handle:
                    shut_down(handle)
        elif self.enough_bytes and not self._is_new:
            self._host.answered()  # a long download shows that the host is reachable
        self.enough_bytes = self.received_bytes + self._connection.piece_bytes

    def _tell_host(self) -> None:
        self._is_new = False
        self._host.answered()

    def _count_file_bytes(self, size_bytes: int) -> None:
        self._connection.file_bytes += size_bytes
        if self._connection.rate_limit is not None:
            self._is_held = self._was_held = True
            self._connection.rate_limit.hold(size_bytes)
            self._is_held = False

    def _piece_bytes(self) -> int:
        if self.is_encoded:
            return DECODED_AT_ONCE_BYTES
        if self._connection.rate_limit is not None:
            return min(self._connection.piece_bytes, self._connection.rate_limit.piece_bytes)
        if self._connection.is_quick:
            return self._connection.piece_bytes * QUICK_CHUNKS
        return self._connection.piece_bytes

    def _note_speed(self, seconds: float) -> None:
        if self.is_slow or self.received_bytes >= 1 << 20:
            rate = self.received_bytes / max(0.001, seconds)
            self._connection.is_quick = rate > QUICK_BYTES_PER_SECOND and not self.is_slow


class Connection:
    """Signed requests to SmugMug, from any number of threads.

    `credentials`: sign each request;
        see https://api.smugmug.com/api/v2/doc/tutorial/authorization.html
    `timeout_seconds`: how long a response may send nothing; at most a quarter of
        `max_outage_seconds`
    `max_outage_seconds`: the longest wait for a host
    `oauth`: further OAuth parameters while signing in, such as `callback_uri` or `verifier`
    """

    def __init__(
        self,
        credentials: Credentials,
        timeout_seconds: float,
        stop: Stop,
        max_outage_seconds: float = MAX_OUTAGE_MINUTES * 60,
        **oauth: Any,
    ) -> None:
        self._auth = partial(
            OAuth1,
            credentials.key,
            credentials.secret,
            credentials.token or None,
            credentials.token_secret or None,
            **oauth,
        )
        self.stop = stop
        self.clock = AwakeClock()
        # Enough requests must fit into an outage to notice it.
        share_seconds = max(LEAST_TIMEOUT_SECONDS, max_outage_seconds / TIMEOUTS_IN_OUTAGE)
        self._timeout_seconds = min(timeout_seconds, share_seconds)
        self._max_outage_seconds = max_outage_seconds
        self._lock = threading.Lock()
        self._adapter = Adapter(pool_maxsize=1024)
        self._routing: dict[str, Any] = {}  # by host
        self._skew_seconds = 0.0  # SmugMug's clock minus this one, once a signature was refused
        self._smugmug_clock = time.time() - time.monotonic()  # SmugMug's minus the monotonic one
        self._hosts: dict[str, Host] = {}
        self._heads: set[HeadWait] = set()  # the waits for heads in progress
        self.bodies: set[Response] = set()  # the bodies that are being read
        self.slow_seconds = min(SLOW_SECONDS, self._timeout_seconds)
        self.piece_bytes = max(1, int(LEAST_BYTES_PER_SECOND * self.slow_seconds))
        # If True, no response means an outage, and a 401 a revoked sign-in.
        self.was_authenticated = False
        self.is_quick = False  # recent large bodies arrived quickly
        self.failed_requests = 0  # rate limits, gateway errors, no response, truncated bodies
        self.api_requests = 0
        self.received_bytes = 0
        self.file_bytes = 0  # the part of them that belongs to photos and videos
        self.rate_limit: RateLimit | None = None
        with suppress(RuntimeError):  # a system that allows no more threads
            threading.Thread(target=self._watch, daemon=True).start()

    def host(self, url: str) -> Host:
        """Return the circuit breaker of the host of a URL."""
        found = re.match("[^/?#]*//([^/?#]*)", url)  # urlsplit refuses some
        name = found.group(1).lower() if found else ""
        if name not in self._hosts:
            self._hosts.setdefault(name, Host(name, self._max_outage_seconds, self.clock))
        return self._hosts[name]

    def get(
        self,
        url: str,
        consume: Callable[[Response], R],
        request: Request = PLAIN_REQUEST,
    ) -> R:
        """Send a GET request and return the result of `consume`.

        Failed requests are retried as the table above says. Raise RequestFailed when the attempts
        are used up or no retry can help, HandBack if the request has to wait for the host,
        NotSignedIn if the sign-in was revoked, Unreachable after a long outage of the API, and
        Stopped. Exceptions of `consume` are passed on.

        `consume`: takes the response and reads its body
        """
        redirects = 0
        while True:
            self.stop.pause(0)
            host = self.host(url)
            self._admit(host, url)
            sent_at = self.clock()
            signed_at = time.time() + self._skew_seconds
            try:
                with self._send(host, url, request.headers()) as raw:
                    response = Response(raw, url, self)
                    if response.status in request.accept:
                        result = consume(response)
                        host.succeeded(url)
                        return result
                    if response.status not in REDIRECTS or redirects >= REDIRECT_ATTEMPTS:
                        raise failure_of(response, self.now(), signed_at, request.retry_also)
                    host.answered()
                    url = redirected(url, response.headers.get("Location", ""))
                    redirects += 1
                    continue
            except RequestFailed as error:
                failure = error
            self._judge(host, url, failure, sent_at)
            self.stop.pause(self._delay(host, url, failure, request))

    def probe(
        self, url: str, headers: dict[str, str], method: str = "GET", max_bytes: int = 1 << 24
    ) -> Probe:
        """Send one request, for --diagnose. It is not retried, and a failure is returned.

        `max_bytes`: how much of the body to read
        """
        began = time.monotonic()
        body = bytearray()
        status = 0
        found: Mapping[str, str] = {}
        errors: list[str] = []
        try:
            with self._send(self.host(url), url, headers, method) as raw:
                status, found = raw.status_code, raw.headers
                chunks = () if method == "HEAD" else Response(raw, url, self).chunks()
                for chunk in chunks:
                    body += chunk
                    if len(body) >= max_bytes:
                        break
        except RequestFailed as error:
            reason: BaseException | None = error
            while reason is not None:
                errors.append(type(reason).__name__)
                reason = reason.__cause__ or reason.__context__
        return Probe(status, time.monotonic() - began, found, bytes(body), errors)

    def get_json(
        self, uri: str, query: Mapping[str, Any], request: Request = JSON_REQUEST
    ) -> dict[str, Any]:
        """Return the response to an API call. `uri` is a path such as "/api/v2!authuser"."""
        url = urljoin(API_ORIGIN, uri)
        url += ("&" if urlsplit(url).query else "?") + urlencode(query, safe=",!")
        return self.get(url, read_json, request)

    def now(self) -> float:
        """Return SmugMug's time in seconds since 1970.

        Before the first response, this is the local time. Later steps of the local clock have no
        effect.
        """
        return time.monotonic() + self._smugmug_clock

    def is_waiting(self) -> bool:
        """Return True if a host is closed or in an outage."""
        return not all(host.is_over() for host in list(self._hosts.values()))

    def waited_seconds(self) -> float:
        """Return the total time that hosts have asked to wait."""
        hosts = list(self._hosts.values())
        return sum(host.closed_seconds - host.remaining_seconds() for host in hosts)

    def waiting(self, count_files: Callable[[Host], int] = lambda host: 0) -> str:
        """Return why the run waits, and for how many files, or "".

        `count_files`: returns the number of files that wait for a host
        """
        for host in sorted(self._hosts.values(), key=lambda host: not host.is_api):
            since = host.unreachable_since()
            remaining_seconds = host.remaining_seconds()
            if since:
                text = f"{host.label()}: unreachable since {since}"
            elif remaining_seconds > 0:
                text = f"waiting for SmugMug: {human_seconds(remaining_seconds)}"
            else:
                continue
            files = count_files(host)
            if files:
                text += f"; {counted(files, 'file')} waiting"
            return text
        return ""

    def _admit(self, host: Host, url: str) -> None:
        """Probe the host first if it is this thread's turn.

        Raise HandBack if `url` has to wait.
        """
        if not host.admit(url):
            return
        failure = None
        try:
            with self._send(host, host.probe_url(), {"Range": "bytes=0-0"}) as raw:
                if raw.status_code in OUT_OF_SERVICE:
                    failure = unanswered(f"SmugMug returned HTTP {raw.status_code}")
        except RequestFailed as error:
            failure = error if error.is_unanswered and error.transient else None
        except BaseException:  # of any kind: no other thread could probe the host
            host.probed(None)
            raise
        host.probed(failure)

    def _judge(self, host: Host, url: str, failure: RequestFailed, sent_at: float) -> None:
        """Find out if a failure concerns this URL, its host, or the sign-in.

        Return if it concerns the URL. Otherwise raise HandBack, or an error that ends the run.
        """
        self.failed_requests += failure.wait_seconds is not None or failure.is_unanswered
        if failure.status == 401 and not failure.transient and self.was_authenticated:
            if url == AUTH_USER_URL:
                log.debug("%s", failure)
                raise NotSignedIn(
                    "The sign-in was probably revoked on SmugMug. "
                    "Run this again in a terminal to sign in."
                )
            with suppress(RequestFailed):  # was the sign-in refused, or this URL?
                self.get(AUTH_USER_URL, Response.body)
        if failure.wait_seconds is not None:
            host.refused(url, failure)
        if failure.is_unanswered:
            host.silent(sent_at, failure, may_be_outage=self.was_authenticated)

    def _delay(self, host: Host, url: str, failure: RequestFailed, request: Request) -> float:
        """Count a failed attempt and return the delay. Raise the failure after the last one."""
        attempts = host.attempts(url)
        attempts.add(request.length_bytes())
        delay_seconds = retry_delay(failure, attempts.count, random.random())
        if request.is_divisible and failure.is_overload:
            self._admit(host, url)  # raises HandBack if the host is down, not only this URL
            delay_seconds = None
        if delay_seconds is None:
            host.forget(url)
            raise failure
        log.debug(
            "%s; retrying in %.1f s (attempt %d of %d)",
            failure,
            delay_seconds,
            attempts.count + 1,
            ATTEMPTS,
        )
        return delay_seconds

    def _watch(self) -> None:
        """End late heads and stalled bodies, and keep the clock running.

        Runs in its own thread, because the threads that wait for them are blocked.
        """
        check_at = self.clock() + self.slow_seconds
        while True:
            time.sleep(WATCH_SECONDS)
            now = self.clock()
            for head in list(self._heads):
                if now > head.deadline:
                    head.cut()
            if now >= check_at:
                check_at = now + self.slow_seconds
                for response in list(self.bodies):
                    response.check_progress()

    def _send(
        self, host: Host, url: str, headers: dict[str, str], method: str = "GET"
    ) -> requests.Response:
        """Make one attempt: sign, send, and return the head of the response.

        Redirects and cookies are ignored. A wait never exceeds the rest of --max-outage.
        """
        request = self._signed(url, headers, method)
        longest_seconds = max(LEAST_TIMEOUT_SECONDS, host.patience_seconds())
        seconds = min(self._timeout_seconds, longest_seconds)
        connect_seconds = min(CONNECT_TIMEOUT_SECONDS, seconds)
        head = HeadWait(self.clock() + connect_seconds + seconds)
        self._adapter.current.wait = head
        self._heads.add(head)
        try:
            response = self._adapter.send(
                request, timeout=(connect_seconds, seconds), **self._route(url)
            )
        except (requests.RequestException, ValueError, TypeError, OSError) as error:
            if head.is_cut:
                raise unanswered(f"{host.name} did not respond in time", True) from None
            raise connection_failure(error, host.name) from None
        finally:
            self._heads.discard(head)
            head.close()
        self._note_head(host, response)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "%s %s %s", response.status_code, short_url(url), rate_limit_text(response.headers)
            )
        return response

    def _signed(self, url: str, headers: dict[str, str], method: str) -> requests.PreparedRequest:
        """Return a signed request. Raise RequestFailed if `url` is not SmugMug's."""
        if not is_smugmug(url):
            raise RequestFailed(
                f"Refused to contact {origin_of(url)} because it is not an https address of "
                "smugmug.com"
            )
        auth = self._auth(timestamp=str(int(time.time() + self._skew_seconds)))
        request = requests.PreparedRequest()  # its `prepare` would spend time on cookies, too
        try:
            request.prepare_method(method)
            request.prepare_url(url, "")
            request.prepare_headers({})
            request.prepare_auth(auth, url)
        except ValueError:  # such as a key that is not text
            raise SignatureRefused(
                "Requests cannot be signed with this API key and secret."
            ) from None
        request.headers.update({"User-Agent": f"{PROGRAM}/{VERSION}", "Accept": "*/*", **headers})
        return request

    def uses_proxy(self) -> bool:
        """Return True if the API is reached through a proxy."""
        return bool(self._route(API_ORIGIN).get("proxies"))

    def _route(self, url: str) -> dict[str, Any]:
        """Return the proxies and certificates for a URL from the environment."""
        name = urlsplit(url).netloc
        if name not in self._routing:
            session = requests.Session()
            self._routing[name] = session.merge_environment_settings(url, {}, True, None, None)
        return dict(self._routing[name])

    def _note_head(self, host: Host, response: requests.Response) -> None:
        """Read SmugMug's time from a response's head. Note whether the sign-in works."""
        server_now = http_date(response.headers.get("Date", ""))
        is_refused = response.status_code == 401
        with self._lock:
            self.api_requests += host.is_api
            if host.is_api and response.ok:
                self.was_authenticated = True
            is_told = server_now is not None and (host.is_api or is_refused)
            if is_told and is_possible_time(server_now or 0.0, time.time()):
                self._smugmug_clock = (server_now or 0.0) - time.monotonic()
        if is_refused:
            self._skew_seconds = self.now() - time.time()


def is_possible_time(server_now: float, local_now: float) -> bool:
    """Return True if a server's date can be right.

    Some proxies and gateways send wrong dates. With one of the year 9999, albums would not be
    rechecked for 8,000 years. A local clock that was never set is ignored. Both times are in
    seconds since 1970.
    """
    latest = LATEST_DATE
    if local_now > RELEASE_DATE:
        latest = min(latest, local_now + MAX_CLOCK_ERROR_SECONDS)
    return EARLIEST_DATE <= server_now <= latest


def rate_limit_text(headers: Mapping[str, str]) -> str:
    """Return the rate-limit headers of a response, for the log."""
    present = (name for name in RATE_LIMIT_HEADERS if name in headers)
    return ", ".join(f"{name}: {printable(headers[name])}" for name in present)


def redirected(url: str, location: str) -> str:
    """Return the target URL of a redirect. Raise RequestFailed if it is invalid."""
    try:
        return urljoin(url, location)
    except ValueError:
        raise RequestFailed("SmugMug redirected to an invalid address") from None


def failure_of(
    response: Response, now: float, signed_at: float, retry_also: frozenset[int]
) -> Problem:
    """Return the failure that an unwanted response means.

    `now`: SmugMug's time in seconds since 1970
    `signed_at`: the time in the request's signature
    `retry_also`: status codes that are worth a retry
    """
    status = response.status
    message = server_message(response.body())
    text = f"SmugMug returned HTTP {status}"
    if message:
        text += f' "{message}"'
    if status == 401:
        return explain_401(message, text, abs(now - signed_at) / 60)
    if "not granted the required permissions" in message:
        text += f". Your sign-in does not give access to this. {SIGN_IN_AGAIN}"
    if status == 429 or (status == 503 and "Retry-After" in response.headers):
        return rate_limit_failure(response, now, text)
    if status in REDIRECTS:
        text += ": too many redirects"
    return RequestFailed(
        text,
        status=status,
        transient=status >= 500 or status in PASSING or status in retry_also,
        is_overload=status >= 500,
        is_unanswered=status in OUT_OF_SERVICE,
    )


def rate_limit_failure(response: Response, now: float, text: str) -> RequestFailed:
    """Return the failure of a request that SmugMug wants to receive later.

    `text`: the response in SmugMug's words, for the log
    """
    log.debug("%s (%s)", text, rate_limit_text(response.headers))
    remaining = response.headers.get("X-RateLimit-Remaining", "")
    told = "SmugMug is temporarily unavailable"
    if response.status == 429:
        told = "SmugMug's rate limit is reached"
        if re.fullmatch("[0-9]{1,9}", remaining):
            told += f" ({remaining} requests left)"
    return RequestFailed(
        told, status=response.status, wait_seconds=rate_limit_seconds(response.headers, now)
    )


def server_message(body: bytes) -> str:
    """Return SmugMug's message in an error response. Return "" for a web page.

    The body is JSON or a form. Values of OAuth parameters are left out.
    """
    text = body.decode("utf-8", "replace").strip()
    with suppress(ValueError, RecursionError):
        response = json.loads(text, strict=False)
        text = str(response.get("Message") or "") if isinstance(response, dict) else ""
    if text.startswith("<"):
        return ""
    for _ in range(3):  # some of it may be encoded more than once
        text = unquote_plus(text)
    text = re.sub(
        "(oauth_(?!problem|parameters)\\w+)[\"']?\\s*[=:]\\s*[\"']?[^\"'&,\\s]*", r"\1=...", text
    )
    return printable(text)[:300]


def explain_401(message: str, text: str, minutes_off: float) -> Problem:
    """Return the failure that a 401 means, with advice.

    It is a RequestFailed if it may concern only this URL. The names of `oauth_problem`:
    https://oauth.pbworks.com/ProblemReporting

    `message`: SmugMug's words
    `text`: the same with the status, for the log
    `minutes_off`: how far the signature's time was from SmugMug's
    """
    log.debug("%s", text)
    if "nonce_used" in message:  # a gateway may have sent the request twice
        return RequestFailed(text, status=401, transient=True, is_overload=True)
    if "consumer_key_" in message:
        return UnknownKey("SmugMug does not know this API key.")
    if "terms of service" in message or "v2 access" in message:
        link = re.search(r"https://(?:[a-z0-9-]{1,63}\.){0,9}smugmug\.com/[^\s\"'<>]+", message)
        address = link.group().rstrip(".") if link else API_ORIGIN + "/api/developer/accept"
        return Problem(
            "The terms of service have not been accepted for this API key. Accept them here, "
            f"then run this again:\n{address}"
        )
    if "timestamp" in message:
        return explain_wrong_clock(minutes_off)
    if "signature" in message:
        return SignatureRefused(
            "The API secret probably does not belong to this API key.", status=401
        )
    if re.search("token_|expired token|invalid token", message):
        return NotSignedIn("The sign-in is no longer valid. It was probably revoked on SmugMug.")
    return RequestFailed(text, status=401)


def explain_wrong_clock(minutes_off: float) -> Problem:
    """Return the failure of a signature whose time SmugMug refused.

    A retry can help if the clock was wrong, because the next signature has SmugMug's time.
    """
    if minutes_off <= 1:
        return Problem("This computer's clock is wrong. Set it, then run this again.")
    return RequestFailed(
        f"This computer's clock is wrong by {minutes_off:.0f} minutes. Set it, then run this "
        "again.",
        status=401,
        transient=True,
    )


def unanswered(text: str, is_overload: bool = False) -> RequestFailed:
    """Return the failure of a request without a response, or with an incomplete one."""
    return RequestFailed(text, transient=True, is_overload=is_overload, is_unanswered=True)


def connection_failure(error: Exception, host: str) -> RequestFailed:
    """Return the failure of a request that could not be sent, with advice."""
    reason = library_reason(error)
    variable = variable_in_force(PROXY_VARIABLES, os.environ) or "the system's proxy settings"
    if "SOCKS" in reason:
        return RequestFailed(
            f"{variable} names a SOCKS proxy, which needs the Python package PySocks. To install "
            f"it, run: {sys.executable} -m pip install PySocks"
        )
    if isinstance(error, (ValueError, TypeError)):  # the proxy's address is invalid
        return RequestFailed(
            f"No connection to {host}: the proxy address in {variable} is invalid. Correct it."
        )
    if isinstance(error, requests.RequestException):
        return transport_failure(error, host)
    # The rest are errors of this computer, such as a missing file of certificates.
    file = variable_in_force(CERTIFICATE_VARIABLES, os.environ)
    advice = f". Check {file}" if file else ""
    return RequestFailed(f"No connection to {host}: {printable(str(error))}{advice}")


def transport_failure(error: requests.RequestException, host: str) -> RequestFailed:
    """Return the failure of a request without a complete response."""
    reason = library_reason(error)
    log.debug("%s: %s", host, reason)
    is_tls = isinstance(error, requests.exceptions.SSLError)
    if is_tls and re.search("VERIFY_FAILED|hostname|doesn't match", str(error)):
        return RequestFailed(
            f"The certificate of {host} cannot be verified ({reason}). "
            + certificate_advice(reason, os.environ)
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return proxy_failure(reason, host)
    if isinstance(error, requests.exceptions.Timeout) or "timed out" in reason:
        return unanswered(f"{host} did not respond in time", True)
    causes = (cause for pattern, cause in CAUSES.items() if re.search(pattern, reason))
    return unanswered(f"The connection to {host} failed or was interrupted{next(causes, '')}")


def proxy_failure(reason: str, host: str) -> RequestFailed:
    """Return the failure of a request that a proxy did not forward."""
    variable = variable_in_force(PROXY_VARIABLES, os.environ) or "the system's proxy settings"
    if re.search(r"\b407\b", reason):
        return RequestFailed(
            f"The proxy in {variable} asks for a username and password ({reason}). Add them to "
            "its address: http://user:password@host:port"
        )
    return unanswered(
        f"The connection to {host} through the proxy failed ({reason}). Check {variable}."
    )


def certificate_advice(reason: str, environ: Mapping[str, str]) -> str:
    """Return what to do about a certificate that cannot be verified."""
    if "Authority Key Identifier" in reason:
        return (
            "Python 3.13 and later refuse certificates without this extension, such as those of "
            "many company proxies and virus scanners. Run this with Python 3.12, or ask for a "
            "certificate that has it."
        )
    variable = variable_in_force(CERTIFICATE_VARIABLES, environ)
    if variable:
        return (
            "Check this computer's clock. If a company proxy or virus scanner intercepts "
            f"connections, add its certificate to the file named in {variable}."
        )
    return (
        "Check this computer's clock. If a company proxy or virus scanner intercepts "
        "connections, set REQUESTS_CA_BUNDLE to a file that contains its certificate."
    )


def variable_in_force(names: Iterable[str], environ: Mapping[str, str]) -> str:
    """Return the first environment variable that is set, or "".

    If the name in capitals has the same value, it is returned, because it is better known.
    """
    name = next((name for name in names if environ.get(name)), "")
    if name and environ.get(name.upper()) == environ[name]:
        return name.upper()
    return name


def library_reason(error: BaseException) -> str:
    """Return the innermost reason of an error, in the library's own words.

    Addresses are left out, because they may hold a password or open an unlisted file.
    """
    for _ in range(10):  # errors wrap each other, four deep at most
        inner = (
            getattr(error, "reason", None),
            getattr(error, "original_error", None),
            *error.args,
            error.__cause__,
        )
        wrapped = next((item for item in inner if isinstance(item, BaseException)), None)
        if wrapped is None:
            break
        error = wrapped
    text = getattr(error, "verify_message", "") or str(error) or type(error).__name__
    text = re.sub(r"\S+://\S+|\S+@\S+|<[^>]*>:? ?|\[[^]]*\] ?| ?\(_ssl\.c:[0-9]+\)", "", text)
    return printable(text).strip().rstrip(".")[:200]


def read_json(response: Response) -> dict[str, Any]:
    """Return an API response: an object that holds an object named Response.

    Byte order marks, invalid UTF-8 and bare control characters are accepted, because captions
    contain them. Raise RequestFailed if the response is not valid otherwise.
    """
    content = None
    with suppress(ValueError, RecursionError):
        content = json.loads(response.body().decode("utf-8-sig", "replace"), strict=False)
    if not isinstance(content, dict) or not isinstance(content.get("Response"), dict):
        raise RequestFailed(
            "SmugMug sent an invalid API response", transient=True, is_overload=True
        )
    return dict(content)


# -------------------------------------------------------------------------------------------------
# 9. SmugMug: the user, the albums, the images of an album, and the best file of an image.
#    Uses Connection. The only section that interprets SmugMug's JSON. Independent of the disk.
#
#    How a list is read
#
#    SmugMug sends lists page by page, and needs 25 to 35 ms for each image. A page that takes too
#    long fails in one of four ways: `nonce_used`, a gateway's 5xx, a response without the list, or
#    no response. A page with an entry that SmugMug cannot read fails in the same ways. The remedy
#    for both is to halve the page repeatedly, while other pages continue. A page of ten entries or
#    fewer is retried before it is halved, because the failure may be temporary. An entry that
#    fails alone is named by its number, and the rest of the list is used.
# -------------------------------------------------------------------------------------------------

ALBUMS_PER_PAGE = 100  # the limit of user!albums; greater numbers are reduced to it
MIN_PER_PAGE = 10  # smaller pages save no time; they only isolate a bad entry
PAGES_BEFORE_MORE = 8  # after this many pages, one asks for MIN_PER_PAGE more
PAGES_AFTER_FAILURE = 64  # after a larger page failed, the next one waits for this many
MAX_LOST_IN_A_ROW = 20  # bad entries in a row, before a list is given up
MAX_LOST_AT_FIRST = 3  # the same, before any page of the list succeeds
MAX_NAMED_ENTRIES = 20  # bad entries whose numbers are shown

# Responses without options and descriptions, and with URIs as texts, are half as large.
SHORT_RESPONSE = {"_verbosity": 1}
LARGEST_VIDEO_PIXELS = 1920  # longer side of the largest videos that SmugMug serves
ALBUM_FIELDS = (
    "AlbumKey,Name,UrlPath,Uri,ImageCount,LastUpdated,ImagesLastUpdated,Date,Privacy,"
    "OriginalSizes,Description,Keywords,WebUri,HighlightAlbumImageUri,ResponseLevel"
)
IMAGE_FIELDS = (
    "ImageKey,Serial,Uri,FileName,Format,IsVideo,Processing,Status,SubStatus,ArchivedUri,"
    "ArchivedSize,ArchivedMD5,OriginalSize,Date,DateTimeUploaded,DateTimeOriginal,Title,Caption,"
    "KeywordArray,Latitude,Longitude,Altitude,Hidden,WebUri,ComponentFileTypes,"
    "OriginalWidth,OriginalHeight"
)
# What a whole field must match.
COUNT = re.compile("[0-9]{1,18}")
KEY = re.compile("[A-Za-z0-9_-]{1,40}")
MD5 = re.compile("[0-9A-Fa-f]{32}")
SERVED_TYPES = {"jpg", "jpeg", "png", "gif"}  # the types that ArchivedUri serves for any upload


class Entry(Dict[str, Any]):
    """A JSON object from SmugMug. A field of the wrong type counts as missing."""

    def __init__(self, value: Any) -> None:
        super().__init__(value if isinstance(value, dict) else {})  # PHP writes {} as []

    def text(self, name: str) -> str:
        """Return a text; some are sent as numbers. Lone surrogates are replaced."""
        value = self.get(name)
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            return ""
        text = str(value)
        if text.isascii():
            return text
        return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)

    def matching(self, name: str, pattern: re.Pattern[str]) -> str:
        """Return a text if a pattern matches all of it, or ""."""
        text = self.text(name)
        return text if pattern.fullmatch(text) else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, without empty ones."""
        value = self.get(name)
        items = value if isinstance(value, list) else []
        return tuple(filter(None, (Entry({name: item}).text(name) for item in items)))

    def integer(self, name: str) -> int | None:
        """Return a count or size; some are sent as texts."""
        digits = self.matching(name, COUNT)
        return int(digits) if digits else None

    def number(self, name: str, limit: float) -> float | None:
        """Return a number between -limit and limit."""
        with suppress(ValueError):
            number = float(self.text(name))
            return number if -limit <= number <= limit else None
        return None

    def key(self, name: str) -> str:
        """Return an AlbumKey or ImageKey, or "". Keys become parts of file names."""
        return self.matching(name, KEY)

    def md5(self, name: str) -> str | None:
        """Return an MD5 in lower case."""
        return self.matching(name, MD5).lower() or None

    def object(self, name: str) -> Entry:
        """Return an object, empty if it is missing."""
        return Entry(self.get(name))

    def objects(self, name: str) -> list[Entry]:
        """Return a list of objects.

        SmugMug omits an empty list, and may send a single object without a list.
        """
        value = self.get(name)
        items = value if isinstance(value, list) else [value]
        return [Entry(item) for item in items if isinstance(item, dict)]

    def uri(self, name: str) -> str:
        """Return a URI under Uris. It is a text with _verbosity=1, otherwise an object."""
        uris = self.object("Uris")
        uri = uris.text(name) or uris.object(name).text("Uri")
        return uri if uri.startswith("/api/v2") else ""

    def remote_file(
        self, is_original: bool, url: str = "Url", prefix: str = ""
    ) -> RemoteFile | None:
        """Return the file that this object describes, such as a LargestVideo.

        Size and MD5 may be missing.
        """
        if not self.text(url):
            return None
        size_bytes = self.integer(prefix + "Size") or None
        return RemoteFile(self.text(url), size_bytes, self.md5(prefix + "MD5"), is_original)

    def video_file(self, uploaded: tuple[int, int], processing: bool) -> RemoteFile | None:
        """Return the file of a video that this object describes.

        It is full if SmugMug has processed the video, and if it is as large as the uploaded one or
        as SmugMug's largest. Without its width and height, nothing tells that it is not.

        `uploaded`: width and height of the uploaded video; 0 if not stated
        """
        remote = self.remote_file(False)
        if remote is None:
            return None
        longest = max(self.integer("Width") or 0, self.integer("Height") or 0)
        full = min(max(uploaded) or LARGEST_VIDEO_PIXELS, LARGEST_VIDEO_PIXELS)
        return remote._replace(is_full=not processing and not 0 < longest < full)


def fetch_user(connection: Connection) -> User:
    """Return the user of the token. Raise NotSignedIn if SmugMug names none.

    https://api.smugmug.com/api/v2/doc/reference/user.html
    """
    query = {**SHORT_RESPONSE, "_filter": "NickName,ImageCount", "_filteruri": "UserAlbums"}
    user = Entry(connection.get_json("/api/v2!authuser", query)).object("Response").object("User")
    nick_name = user.text("NickName")
    if not nick_name:
        raise NotSignedIn("The sign-in is not valid: SmugMug names no account for it.")
    return User(
        nick_name,
        user.uri("UserAlbums") or f"/api/v2/user/{nick_name}!albums",
        user.integer("ImageCount"),
        user.text("ResponseLevel"),
    )


class PageSize:
    """The number of entries to request per page, for all lists.

    `size`: the largest page that worked lately
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = most
        self._trial = 0  # a larger page that was requested as a trial
        self._step = MIN_PER_PAGE  # how much larger the next trial is
        self._pages_until_trial = PAGES_BEFORE_MORE
        self._has_succeeded = False

    def next(self, expected: int) -> int:
        """Return how many of `expected` entries to request next.

        Until one page has worked, the entries are divided among the threads, because downloads can
        begin only when an album is listed. A size that was halved grows again. Every eighth page
        is a trial of a few entries more, and each success doubles the next step.
        """
        if expected > 1 and not self._has_succeeded:
            share = -(-expected // LISTING_THREADS)  # rounded up
            return min(self.size, max(MIN_PER_PAGE, share))
        self._pages_until_trial -= 1
        if self._pages_until_trial >= 0 or self.size >= self._most:
            return self.size
        self._trial = min(self._most, self.size + self._step)
        self._pages_until_trial = PAGES_BEFORE_MORE
        return self._trial

    def succeeded(self, count: int) -> None:
        """Note that a page of `count` entries worked."""
        self._has_succeeded = True
        if count > self.size:
            self.size = count
            self._pages_until_trial = 0
            self._step *= 2

    def shrink(self, number: int, count: int) -> None:
        """Note that a page failed. Halve the size if the page had it.

        A larger page was a trial, or was requested before the size was halved. So threads that
        fail together halve it once. A smaller page is a part of a failed one.

        `number`: the entries that were requested
        `count`: the entries that exist in that range
        """
        if number == self._trial:
            self._trial = 0
            self._step = MIN_PER_PAGE
            self._pages_until_trial = PAGES_AFTER_FAILURE
        elif number == self.size:
            self.size = max(MIN_PER_PAGE, count // 2)
            self._step = MIN_PER_PAGE
            self._pages_until_trial = PAGES_BEFORE_MORE


class ListKind(NamedTuple):
    """The kind of a list: how to request it and read its entries.

    `locator`: the name of the list in responses
    `parse`: makes a record, which has a `key`, from an entry and the page's expansions
    `query`: the parameters of each request, without start and count
    `may_be_missing`: a 404 on the first page may be temporary
    """

    locator: str
    parse: Callable[[Entry, Entry], Any]
    query: Mapping[str, Any]
    may_be_missing: bool = False


class Lost(NamedTuple):
    """An unreadable part of a list, beginning at the entry `start`."""

    start: int
    entries: int
    error: RequestFailed


class PagedList:
    """A paged list: the pages to request next, and those that have arrived.

    Only one thread may use it. Others may fetch its pages, several at a time and in any order.

    `expected`: the probable number of entries, None if unknown; pages state the real one
    `keys`: the keys of the entries that have arrived
    """

    def __init__(
        self, uri: str, kind: ListKind, page_size: PageSize, expected: int | None = None
    ) -> None:
        self.uri = uri
        self.kind = kind
        self.page_size = page_size
        self._expected = expected or None  # a count of 0 may lag behind
        self._total: int | None = None  # as pages state it
        self._next = 1  # the first entry that was not requested yet
        self._again: deque[tuple[int, int]] = deque()  # ranges to request again; ends exclusive
        self._in_progress = 0
        self._is_at_end = False
        self.keys: set[str] = set()
        self._pages: list[tuple[int, list[Any]]] = []
        self._lost: list[Lost] = []
        self._lost_in_a_row = 0

    def next_page(self) -> Page | None:
        """Return the page to request next. Return None if there is none at the moment."""
        is_part = bool(self._again)
        if is_part:
            if self._total is None and self._in_progress:  # wait to see if the list has entries
                return None
            start, end = self._again.popleft()
            number = min(self.page_size.next(1), end - start)
        elif self._has_more():
            start = self._next
            number = self.page_size.next(self._expected or 1)
            end = self._next = start + number
        else:
            return None
        self._in_progress += 1
        count = self._entries_in(start, number)
        is_divisible = count > MIN_PER_PAGE or (is_part and 1 < count <= MIN_PER_PAGE // 2)
        return Page(self, start, end, number, is_divisible)

    def add(self, page: Page) -> None:
        """Add the response to a page that `next_page` returned."""
        self._in_progress -= 1
        if page.error is not None:
            self._add_failure(page, page.error)
            return
        self.page_size.succeeded(len(page.entries))
        self._lost_in_a_row = 0
        new = {}
        for entry in page.entries:
            if entry.key and entry.key not in self.keys:
                new[entry.key] = entry
        self.keys.update(new)
        self._pages.append((page.start, list(new.values())))
        self._is_at_end = self._is_at_end or not new  # otherwise, the list might never end
        if page.total is not None:
            self._total = max(page.total, self._total or 0)
            rest = page.start + page.received
            if new and rest < page.end:
                self._again.append((rest, page.end))
            self._again = deque(part for part in self._again if part[0] <= self._total)

    def is_done(self) -> bool:
        """Return True if no page is left to request or to add."""
        return not (self._in_progress or self._again or self._has_more())

    def entries(self) -> list[Any]:
        """Return the records of all entries in order, each once."""
        in_order = sorted(self._pages, key=lambda page: page[0])
        return [entry for _, page in in_order for entry in page]

    def problem(self) -> str:
        """Return why entries may be missing, or "". Raise RequestFailed if all are."""
        known = len(self.keys)
        total = self._total
        lost = [part for part in self._lost if not total or part.start <= total]
        lost.sort(key=lambda part: part.start)
        if lost and not known:
            raise lost[0].error
        if lost and self._is_given_up():
            return f"the listing stopped after {known} entries: {lost[0].error}"
        if lost:
            return lost_entries(lost)
        if total is None:
            return f"the listing may be incomplete: {known} entries, and SmugMug states no total"
        if known < total:  # more are fine; deleted images stay listed for a while
            return f"the listing is incomplete: {known} of {total} entries"
        return ""

    def stated_total(self) -> float:
        """Return how many entries SmugMug states, or infinity if it states nothing."""
        return math.inf if self._total is None else self._total

    def _has_more(self) -> bool:
        last = (self._expected or 1) if self._total is None else self._total
        return not self._is_at_end and self._next <= last

    def _last(self) -> int | None:
        """Return the number of the last entry, if known."""
        return self._expected if self._total is None else self._total

    def _entries_in(self, start: int, number: int) -> int:
        """Return how many entries exist in a range, at least one."""
        last = self._last()
        if last is None:
            return number
        return max(1, min(number, last - start + 1))

    def _is_given_up(self) -> bool:
        most = MAX_LOST_IN_A_ROW if self.keys else MAX_LOST_AT_FIRST
        return self._lost_in_a_row >= most or any(part.entries > 1 for part in self._lost)

    def _add_failure(self, page: Page, error: RequestFailed) -> None:
        """Halve a page that failed, or note its lost entries."""
        count = self._entries_in(page.start, page.number)
        is_beyond_end = self._total is not None and page.start > self._total
        # A list that is refused as a whole is not halved. A page in progress will tell.
        may_be_readable = self._total is not None or self._in_progress > 0
        can_be_halved = error.is_overload or may_be_readable
        if count > 1 and can_be_halved and not self._is_given_up():
            if error.is_overload:
                self.page_size.shrink(page.number, count)
            log.debug("%s; halving a page of %d", error, count)
            middle = page.start + (count + 1) // 2
            self._again.extendleft([(middle, page.end), (page.start, middle)])
            return
        self._lost.append(Lost(page.start, count, error))
        if count > 1 or is_beyond_end:
            self._is_at_end = True
        self._lost_in_a_row += not is_beyond_end
        if self._is_given_up():
            self._is_at_end = True
            self._again.clear()


def lost_entries(lost: Sequence[Lost]) -> str:
    """Return a sentence that names the unreadable entries of a list."""
    numbers = [f"{part.start:,}" for part in lost[:MAX_NAMED_ENTRIES]]
    if len(lost) > MAX_NAMED_ENTRIES:
        numbers.append(f"{len(lost) - MAX_NAMED_ENTRIES:,} more")
    noun = "entry" if len(lost) == 1 else "entries"
    return f"{noun} {', '.join(numbers)} of the list could not be read: {lost[0].error}"


class Page(NamedTuple):
    """A page of a list: the request, and then the response or an error.

    `start`, `end`: the wanted range; the first entry is 1, and the end is exclusive
    `number`: how many to request now
    `is_divisible`: an overload error is returned without a retry, and the page is halved
    `entries`: the records of the entries
    `received`: how many entries the response counts
    `total`: how many entries the response states for the whole list
    """

    of: PagedList
    start: int
    end: int
    number: int
    is_divisible: bool
    entries: tuple[Any, ...] = ()
    received: int = 0
    total: int | None = None
    error: RequestFailed | None = None


def fetch_page(connection: Connection, page: Page) -> Page:
    """Request a page. Return it with its entries, or with an error that concerns only this page.

    Pages.NextPage would lose _expand and _verbosity, so start and count are computed here. A later
    page may return 404 once. https://api.smugmug.com/api/v2/doc/tutorial/paging.html
    """
    kind = page.of.kind
    is_retried = page.start > 1 or kind.may_be_missing
    request = JSON_REQUEST._replace(
        retry_also=frozenset({404} if is_retried else ()), is_divisible=page.is_divisible
    )
    query = {**kind.query, "start": page.start, "count": page.number}
    try:
        response = Entry(connection.get_json(page.of.uri, query, request))
        about = response.object("Response").object("Pages")
        listed = response.object("Response").objects(kind.locator)
        total = about.integer("Total")
        received = about.integer("Count")
        is_expected = total != 0 and received != 0 and page.start <= (total or page.start)
        if not listed and is_expected:
            raise RequestFailed("SmugMug's response contains no list", is_overload=True)
    except RequestFailed as error:
        return page._replace(error=error.with_traceback(None))  # it holds the response
    expansions = response.object("Expansions")
    entries = tuple(kind.parse(entry, expansions) for entry in listed)
    return page._replace(entries=entries, received=received or len(listed), total=total)


def fetch_albums(
    connection: Connection,
    user: User,
    keep: Callable[[Album], Album] = lambda album: album,
    redraw: Callable[[], None] = lambda: None,
) -> tuple[list[Album], str]:
    """Return all albums of a user. The second value says why some may be missing, or "".

    `keep`: returns the album as it is kept in memory
    """
    kind = ListKind(
        "Album",
        lambda entry, expansions: keep(parse_album(entry)),
        {**SHORT_RESPONSE, "_filter": ALBUM_FIELDS, "_filteruri": "AlbumImages"},
        may_be_missing=True,
    )
    for _ in range(2):  # if the order changes, entries are repeated or skipped
        listing = PagedList(user.albums_uri, kind, PageSize(ALBUMS_PER_PAGE))
        fetch = partial(fetch_page, connection)
        while not listing.is_done():
            pages = iter(listing.next_page, None)
            for page in in_parallel(fetch, pages, Stop(), LISTING_THREADS):
                redraw()
                if page is not None:
                    listing.add(page)
        albums = listing.entries()
        problem = listing.problem()
        if not problem:
            break
    if not albums and not problem and user.image_count:
        problem = (
            f"SmugMug reports {user.image_count} photos and videos but lists no album, so the "
            f"sign-in has too little access. {SIGN_IN_AGAIN}"
        )
    return albums, problem


def image_list(album: Album, page_size: PageSize, keep: Callable[[Image], Image]) -> PagedList:
    """Return the list of an album's images, with their video files.

    This takes one call per page and none per image.

    `keep`: returns what is kept of an image
    """
    query = {
        **SHORT_RESPONSE,
        "_filter": IMAGE_FIELDS,
        "_filteruri": "LargestVideo",
        "_expand": "LargestVideo",
    }
    kind = ListKind(
        "AlbumImage", lambda entry, expansions: keep(parse_image(entry, expansions)), query
    )
    return PagedList(album.images_uri, kind, page_size, album.image_count)


def images_listed(album: Album, pages: PagedList) -> tuple[list[Image], str]:
    """Return the listed images of an album. The text says why some may be missing, or is ""."""
    images = pages.entries()
    try:
        problem = pages.problem()
    except RequestFailed as error:
        return [], f"the album could not be listed: {error}"
    if album.locked and not images:
        problem = "the album is locked with a password, so SmugMug does not list its contents"
    elif not problem and album.image_count is not None and len(images) < album.image_count:
        problem = (
            f"SmugMug reports {album.image_count} photos and videos in this album but lists "
            f"{len(images)}"
        )
    return images, problem


def parse_album(entry: Entry) -> Album:
    """Return the record of an Album of user!albums.

    https://api.smugmug.com/api/v2/doc/reference/album.html
    """
    key = entry.key("AlbumKey")
    updated = entry.text("LastUpdated")
    images_updated = entry.text("ImagesLastUpdated")
    token_parts = [updated, images_updated, entry.text("ImageCount")]
    return Album(
        key=key,
        images_uri=entry.uri("AlbumImages") or f"/api/v2/album/{key}!images",
        name=entry.text("Name"),
        url_path=entry.text("UrlPath"),
        web_uri=entry.text("WebUri"),
        image_count=entry.integer("ImageCount"),
        size_bytes=entry.integer("OriginalSizes") or 0,
        change_token="|".join(token_parts) if all(token_parts) else "",
        changed=max(utc_text(updated), utc_text(images_updated)),
        created=utc_text(entry.text("Date")),
        privacy=sys.intern(entry.text("Privacy")),  # one of a few words
        locked=entry.text("ResponseLevel") in ("Password", "GrantAccess"),
        description=entry.text("Description"),
        keywords=entry.text("Keywords"),
        highlight_key=entry.text("HighlightAlbumImageUri").rpartition("/")[2].partition("-")[0],
    )


def parse_image(entry: Entry, expansions: Entry) -> Image:
    """Return the record of an AlbumImage of album!images.

    https://api.smugmug.com/api/v2/doc/reference/album-image.html

    `expansions`: what _expand added to the page, by URI
    """
    key = entry.key("ImageKey")
    serial = entry.integer("Serial")
    uri = entry.uri("LargestVideo")
    is_video = entry.get("IsVideo") is True or bool(uri)
    status = (entry.text("Status"), entry.text("SubStatus"))
    is_hopeless = status == ("Preprocess", "CanNotProcess")
    processing = entry.get("Processing") is True and not is_hopeless
    width, height = entry.integer("OriginalWidth") or 0, entry.integer("OriginalHeight") or 0
    if is_video:  # its ArchivedUri is a JPEG still with a matching size and MD5
        expanded = expansions.object(uri) or expansions.object(uri + "?_shorturis=")
        video = expanded.object("LargestVideo")
        remote = video.video_file((width, height), processing)
        width, height = video.integer("Width") or width, video.integer("Height") or height
        extension = served_extension(video.text("Ext"), video.text("Url"), VIDEO_EXTENSIONS)
    else:
        remote = entry.remote_file(True, "ArchivedUri", "Archived")
        url = entry.text("ArchivedUri")
        extension = served_extension(entry.text("Format"), url, PHOTO_EXTENSIONS)
    return Image(
        key=key,
        serial=sys.intern("" if serial is None else str(serial)),  # mostly the same
        file_name=entry.text("FileName"),
        is_video=is_video,
        extension=extension or ("mp4" if is_video else "jpg"),
        processing=processing,
        remote=remote,
        original_size_bytes=None if is_video else entry.integer("OriginalSize") or None,
        uploaded=utc_text(entry.text("DateTimeUploaded") or entry.text("Date")),
        hidden=entry.get("Hidden") is True,
        taken=camera_time(entry.text("DateTimeOriginal")),
        title=entry.text("Title"),
        caption=entry.text("Caption"),
        keywords=entry.texts("KeywordArray"),
        web_uri=entry.text("WebUri"),
        location=parse_location(entry),
        source_types=() if is_video else types_in_source(entry.object("ComponentFileTypes")),
        width=width,
        height=height,
    )


def served_extension(stated: str, url: str, known: Container[str]) -> str:
    """Return the extension of the file that SmugMug serves, without dot. Return "" if unknown.

    `stated`, `url`: the type that SmugMug states, and the address of the file
    `known`: the possible extensions, with their dots
    """
    extension = stated.lower().lstrip(".")
    if f".{extension}" not in known:
        extension = extension_of_url(url).lower()
    return sys.intern(extension.replace("jpeg", "jpg")) if f".{extension}" in known else ""


def extension_of_url(url: str) -> str:
    """Return the text after the last dot in a URL's path."""
    with suppress(ValueError):
        return urlsplit(url).path.rpartition(".")[2]
    return ""


def parse_location(entry: Entry) -> tuple[float, float, float] | None:
    """Return latitude, longitude and altitude. Return None if they are missing or all zero."""
    latitude = entry.number("Latitude", 90)
    longitude = entry.number("Longitude", 180)
    if latitude is None or longitude is None or (latitude, longitude) == (0, 0):
        return None
    return latitude, longitude, entry.number("Altitude", 100_000) or 0.0


def types_in_source(component_file_types: Entry) -> tuple[str, ...]:
    """Return the file types, such as "nef", that only SmugMug Source has.

    SmugMug lists them, as {"Image": ["jpg", "nef"]} or [], but returns 404 if an ordinary API key
    requests such files. https://github.com/tommyblue/smugmug-backup/issues/61
    """
    types = {
        name.lower() for kind in component_file_types for name in component_file_types.texts(kind)
    }
    others = (name for name in types - SERVED_TYPES if re.fullmatch("[a-z0-9]{1,10}", name))
    return tuple(sorted(others))


def fetch_folder_names(connection: Connection, user: User, paths: Sequence[str]) -> dict[str, str]:
    """Return the user's own names of folders, by path.

    A folder whose name SmugMug does not state is left out, and its path is used instead. The path
    does not follow a rename, has dashes for spaces, and is ASCII only.
    https://api.smugmug.com/api/v2/doc/reference/folder.html

    `paths`: as in UrlPath, without their first slash
    """
    names = {}
    fetch = partial(fetch_folder_name, connection, user)
    for found in in_parallel(fetch, iter(paths), Stop(), LISTING_THREADS):
        if found is not None and found[1]:
            names[found[0]] = found[1]
    return names


def fetch_folder_name(connection: Connection, user: User, path: str) -> tuple[str, str]:
    """Return the path of a folder and its name. The name is "" if SmugMug does not state it."""
    uri = f"/api/v2/folder/user/{quote(user.nick_name)}/{quote(path)}"
    try:
        response = Entry(connection.get_json(uri, {**SHORT_RESPONSE, "_filter": "Name"}))
    except RequestFailed as error:
        log.debug("The name of the folder %s is unknown: %s", printable(path), error)
        return path, ""
    return path, response.object("Response").object("Folder").text("Name")


class Diagnosis:
    """The findings of --diagnose about SmugMug's responses.

    It names requests, statuses and forms. It never shows a value that could reveal a person, a
    place, a name, a key or an address. So texts are shown only if they are known words of the
    service.

    `requests`: one entry for each request
    `counts`: how many of the objects have each property
    `unexpected`: differences from the expected responses, with their number
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.requests: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.unexpected: Counter[str] = Counter()

    def run(self, user: User) -> Diagnosis:
        """Make some twenty requests, one after the other. A failed one does not end the run."""
        self.objects("user", "/api/v2!authuser", {}, "User")
        query = {"_filter": ALBUM_FIELDS, "_filteruri": "AlbumImages", "start": 1, "count": 100}
        albums = self.objects("page of albums", user.albums_uri, query, "Album")
        self.check_fields("album", albums, ALBUM_FIELDS)
        self.objects("album with all fields", user.albums_uri, {"start": 1, "count": 1}, "Album")
        chosen = [album for album in map(parse_album, albums) if album.key and album.image_count]
        if chosen:
            folders = smugmug_folders(chosen[0])
            uri = f"/api/v2/folder/user/{quote(user.nick_name)}"
            self.objects("folder", "/".join([uri, *map(quote, folders[:1])]), {}, "Folder")
        images = self.find_images(chosen)
        for is_video, entries in images.items():
            kind = "video" if is_video else "photo"
            self.ask_for_image(kind, parse_image(*entries))
        return self

    def find_images(self, albums: Sequence[Album]) -> dict[bool, tuple[Entry, Entry]]:
        """List up to five albums to find a photo and a video. Return them by `is_video`.

        Each is an AlbumImage with the expansions of its page.
        """
        found: dict[bool, tuple[Entry, Entry]] = {}
        for album in albums[:5]:
            query = {"_filter": IMAGE_FIELDS, "_filteruri": "LargestVideo", "start": 1}
            query.update(_expand="LargestVideo", count=IMAGES_PER_PAGE)
            response = self.ask("page of images", album.images_uri, query, "AlbumImage")
            entries = response.object("Response").objects("AlbumImage")
            expansions = response.object("Expansions")
            self.check_fields("image", entries, IMAGE_FIELDS)
            for entry in entries:
                image = parse_image(entry, expansions)
                self.count_image(entry, image)
                if image.key and image.remote is not None:
                    found.setdefault(image.is_video, (entry, expansions))
            if len(found) == 2:
                break
        return found

    def count_image(self, entry: Entry, image: Image) -> None:
        """Count what a listed image has."""
        kind = "videos" if image.is_video else "photos"
        remote = image.remote or RemoteFile("", None, None)
        facts = {
            "": True,
            " with address": image.remote is not None,
            " with size": remote.size_bytes is not None,
            " with MD5": remote.md5 is not None,
            " with date": bool(image.taken),
            " with location": image.location is not None,
            " in processing": image.processing,
            " with files in SmugMug Source": bool(image.source_types),
        }
        self.counts.update(kind + fact for fact, applies in facts.items() if applies)
        for name in ("DateTimeUploaded", "DateTimeOriginal"):
            if entry.text(name) and not entry.text(name).endswith("+00:00"):
                self.unexpected[f"images whose {name} has an offset other than +00:00"] += 1
        if entry.integer("Serial") is None:
            self.unexpected["images without Serial"] += 1

    def ask_for_image(self, kind: str, image: Image) -> None:
        """Request all data on one image, and the beginning of its file."""
        for resource, locator, _ in VIDEO_ENDPOINTS if image.is_video else PHOTO_ENDPOINTS:
            self.objects(f"{kind} {resource}", image.uri + resource, {}, locator)
        self.objects(f"{kind} with all fields", image.uri, {}, "Image")
        if image.remote is None or not is_smugmug(image.remote.url):
            self.unexpected[f"{kind} at an address that is not SmugMug's"] += 1
            return
        for method, headers in (("HEAD", {}), ("GET", {"Range": "bytes=0-4095"})):
            probe = self._connection.probe(image.remote.url, headers, method, max_bytes=4096)
            shown = {"name": f"{method} of the {kind}'s file", **described_probe(probe)}
            self.requests.append(shown)
            self.check_file(kind, image.remote, probe, method)

    def check_file(self, kind: str, remote: RemoteFile, probe: Probe, method: str) -> None:
        """Compare the response for a file with its listing."""
        if probe.errors:
            return
        if probe.status != (200 if method == "HEAD" else 206):
            self.unexpected[f"{method} of the {kind}'s file returns {probe.status}"] += 1
        if remote.md5 and probe.headers.get("ETag", "").strip('"').lower() != remote.md5:
            self.unexpected[f"the ETag of the {kind}'s file is not its MD5"] += 1
        total = probe.headers.get("Content-Range", "").rpartition("/")[2]
        if method == "HEAD":
            total = probe.headers.get("Content-Length", "")
        if remote.size_bytes is not None and total != str(remote.size_bytes):
            self.unexpected[f"{method} states a different size for the {kind}'s file"] += 1

    def check_fields(self, kind: str, entries: Sequence[Entry], names: str) -> None:
        """Note the requested fields that none of the objects has."""
        for name in names.split(","):
            if entries and not any(name in entry for entry in entries):
                self.unexpected[f"no {kind} has {name}"] += 1

    def objects(self, name: str, uri: str, query: Mapping[str, Any], locator: str) -> list[Entry]:
        """Make an API call and return its objects."""
        return self.ask(name, uri, query, locator).object("Response").objects(locator)

    def ask(self, name: str, uri: str, query: Mapping[str, Any], locator: str) -> Entry:
        """Make an API call, describe its response, and return it.

        A failed call returns an empty one.
        """
        url = f"{urljoin(API_ORIGIN, uri)}?{urlencode({**SHORT_RESPONSE, **query}, safe=',!')}"
        probe = self._connection.probe(url, JSON_HEADERS)
        shown: dict[str, Any] = {"name": name, **described_probe(probe)}
        content = None
        with suppress(ValueError, RecursionError):
            content = json.loads(probe.body.decode("utf-8-sig", "replace"), strict=False)
        response = Entry(content)
        about = response.object("Response").object("Pages")
        entries = response.object("Response").objects(locator)
        shown["is_json"] = isinstance(content, dict)
        shown["objects"] = len(entries)
        shown["pages"] = {field: about.integer(field) for field in ("Total", "Start", "Count")}
        shown["fields"] = described_fields(entries)
        if response.integer("Code") not in (None, probe.status):
            self.unexpected["responses whose Code differs from their HTTP status"] += 1
        if probe.status == 200 and not entries:
            self.unexpected[f"{name}: no {locator}"] += 1
        self.requests.append(shown)
        return response


def described_fields(entries: Iterable[Entry]) -> dict[str, Any]:
    """Return the field names of objects, with the types and lengths of values."""
    fields: dict[str, Any] = {}
    for entry in entries:
        for name, value in entry.items():
            if re.fullmatch("[A-Z][A-Za-z0-9]{0,39}", name):
                kind = type_of_json(value)
                types = fields.setdefault(name, {})
                types[kind] = types.get(kind, 0) + 1
                if isinstance(value, (str, list, dict)):
                    shortest, longest = types.get("lengths", (len(value), len(value)))
                    types["lengths"] = min(shortest, len(value)), max(longest, len(value))
    return fields


def type_of_json(value: Any) -> str:
    """Return the name of a JSON value's type."""
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "text", list: "list"}
    return names.get(type(value), "object")


def described_probe(probe: Probe) -> dict[str, Any]:
    """Return a description of a response. It contains no text of the user."""
    headers = {name.lower(): text for name, text in probe.headers.items()}
    told: dict[str, Any] = {}
    for name, text in headers.items():
        if name.startswith("x-ratelimit-") or name in ("retry-after", "age"):
            told[name] = int(text) if re.fullmatch("[0-9]{1,12}", text) else "no number"
    for name, pattern in TOLD_HEADERS.items():
        if name in headers:
            told[name] = ", ".join(re.findall(pattern, headers[name].lower())) or "other"
    server_now = http_date(headers.get("date", ""))
    if server_now is not None:
        told["date"] = f"{server_now - time.time():+.0f} s"
    if "etag" in headers:
        form = re.sub("[0-9a-f]{32}", "MD5", headers["etag"].lower())
        told["etag"] = form if form in ('"MD5"', "MD5", 'w/"MD5"') else "other"
    return {
        "status": probe.status or None,
        "seconds": round(probe.seconds, 3),
        "bytes": len(probe.body),
        "errors": list(probe.errors),
        "headers": told,
    }


# The words that --diagnose shows of some headers.
TOLD_HEADERS = {
    "cache-control": "private|public|no-store|no-cache|must-revalidate|max-age=[0-9]{1,9}",
    "via": "cloudfront|varnish|squid|nginx|google",
    "x-cache": "hit|miss|error|refresh",
    "content-type": "(?:image|video|text|application)/(?:json|html|jpeg|png|gif|mp4|quicktime)",
    "content-encoding": "gzip|deflate|br|identity",
    "transfer-encoding": "chunked",
    "accept-ranges": "bytes|none",
    "content-range": "bytes",
    "connection": "close|keep-alive",
}

# Where to find an image's file if the listing names none, best first: the resource, the object in
# its response, and True if it is the original.
VIDEO_ENDPOINTS = (
    ("!largestvideo", "LargestVideo", False),
    ("!sizedetails", "ImageSizeDetails", False),
)
PHOTO_ENDPOINTS = (
    ("!download", "ImageDownload", True),
    ("!sizedetails", "ImageSizeDetails", True),
    ("!largestimage", "LargestImage", False),
)


def find_remote(connection: Connection, image: Image) -> RemoteFile | None:
    """Return the best file of an image whose listing names none. Return None if there is none.

    This takes one to three calls. Raise RequestFailed if SmugMug refuses a better file.
    """
    refusal = remote = None
    for resource, locator, is_original in VIDEO_ENDPOINTS if image.is_video else PHOTO_ENDPOINTS:
        try:
            response = Entry(connection.get_json(image.uri + resource, SHORT_RESPONSE))
        except RequestFailed as error:
            if error.status not in (403, 404):
                raise
            if refusal is None or error.status == 403:  # "forbidden" says more than "not found"
                refusal = error
            continue
        remote = described_file(response.object("Response"), locator, image, is_original)
        if remote is not None:
            break
    if remote is None:
        if refusal is not None and refusal.status == 403:
            raise refusal
        return None
    is_as_good = remote.is_original or image.original_size_bytes in (None, remote.size_bytes)
    if refusal is not None and not is_as_good:
        raise refusal
    return remote


def described_file(
    response: Entry, locator: str, image: Image, is_original: bool
) -> RemoteFile | None:
    """Return the best file of an image that a response describes, or None."""
    found = response.object(locator)
    if locator == "ImageSizeDetails":
        size = largest_video_size(found) if image.is_video else "ImageSizeOriginal"
        found = found.object(size)
    if image.is_video:
        return found.video_file((image.width, image.height), image.processing)
    return found.remote_file(is_original)


def largest_video_size(details: Entry) -> str:
    """Return the name of a video's largest size. (VideoSize1920 may be 1080 wide, upright.)"""
    widths = [int(name[9:]) for name in details if re.fullmatch("VideoSize[0-9]{1,5}", name)]
    return f"VideoSize{max(widths, default=0)}"


def is_gone(connection: Connection, image: Image) -> bool:
    """Return True if a listed image is deleted. Listings show deleted images for minutes."""
    try:
        connection.get_json(image.uri, {**SHORT_RESPONSE, "_filter": "ImageKey"})
    except RequestFailed as error:
        return error.status == 404
    return False


def fetch_image_count(connection: Connection, album: Album) -> int | None:
    """Return SmugMug's current count of an album's images, or None."""
    try:
        query = {**SHORT_RESPONSE, "_filter": "ImageCount"}
        response = Entry(connection.get_json(f"/api/v2/album/{album.key}", query))
    except RequestFailed:
        return None
    return response.object("Response").object("Album").integer("ImageCount")


# -------------------------------------------------------------------------------------------------
# 10. Signing in: the API key, the PIN flow of OAuth 1.0a, and the token file.
#    Uses Connection and Files. Independent of albums.
#
#    Sources of keys and tokens; the first that exists is used:
#
#        key and secret     SMUGMUG_API_KEY and SMUGMUG_API_SECRET; the top of this file; the token
#                           file; the keyboard
#        token and secret   SMUGMUG_ACCESS_TOKEN and SMUGMUG_ACCESS_TOKEN_SECRET; the token file,
#                           if it was saved with this key; the PIN flow
#
#    A typed key is saved unless SmugMug refuses it, a token once it has worked. A saved key that
#    is refused can be typed again.
# -------------------------------------------------------------------------------------------------

OAUTH_BASE = API_ORIGIN + "/services/oauth/1.0a/"
KEY_ADVICE = (
    f"Request them here:\n{APPLY_URL}\nThen run this in a terminal and enter them. Or set the "
    "environment variables SMUGMUG_API_KEY and SMUGMUG_API_SECRET, or fill in API_KEY and "
    f"API_SECRET at the top of {Path(__file__).name}."
)
SAVED_KEY = "the saved key (run --logout to enter another)"
# The fields of the token file, in the order of Credentials. The key's secret is saved only if it
# was typed.
SAVED_FIELDS = ("api_key", "api_secret", "access_token", "access_token_secret")
KEY_ATTEMPTS = 3  # how often a key can be typed in one run
PIN_ATTEMPTS = 3  # a refused PIN uses up its request token, so each attempt has a new address
SSH_VARIABLES = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")


def connect(settings: Settings, screen: Screen, stop: Stop) -> tuple[Connection, User]:
    """Return a signed-in connection and its user.

    The user is asked for an API key or a PIN only if none that works is given or saved. Raise
    NotSignedIn if a PIN is needed but cannot be entered, and Problem if the key is refused.
    """
    saved = read_saved(settings.token_file)
    api_key, source = find_api_key(os.environ, saved)
    if api_key is None:
        request_api_key()
        return connect_with_typed_key(saved, settings, stop)
    screen.announce("Contacting SmugMug ...")
    try:
        return connect_with_key(api_key, source == SAVED_KEY, saved, settings, stop)
    except (UnknownKey, SignatureRefused) as error:
        if source != SAVED_KEY or not is_terminal(sys.stdin):
            raise Problem(f"{error} Compare {source} with {APPLY_URL}.") from None
        log.warning("%s Enter both again, as shown at %s", error, APPLY_URL)
    return connect_with_typed_key(saved, settings, stop)


def connect_with_typed_key(
    saved: Credentials, settings: Settings, stop: Stop
) -> tuple[Connection, User]:
    """Ask for an API key. Return a connection that is signed in with it, and its user.

    The key is saved unless it is refused, so that it is typed only once. Raise Problem after
    KEY_ATTEMPTS refusals.

    `saved`: the content of the token file
    """
    attempts_left = KEY_ATTEMPTS
    while True:
        api_key = None
        attempts_left -= 1
        try:
            api_key = type_api_key()
            return connect_with_key(api_key, True, saved, settings, stop)
        except (UnknownKey, SignatureRefused) as error:
            if not attempts_left:
                raise Problem(
                    f"{error} Compare both with {APPLY_URL}, then run this again."
                ) from None
            log.warning("%s Enter both again, as shown at %s", error, APPLY_URL)
        except BaseException:  # of any kind, such as no network or Ctrl-C
            if api_key is not None and keep_key(api_key, saved, settings.token_file):
                log.warning("The API key and its secret are saved for the next run.")
            raise


def connect_with_key(
    api_key: Credentials, is_kept: bool, saved: Credentials, settings: Settings, stop: Stop
) -> tuple[Connection, User]:
    """Return a connection that is signed in with this key, and its user.

    `is_kept`: the key belongs in the token file, because it was typed
    `saved`: the content of the token file
    """

    def on_key_accepted() -> None:
        if is_kept:
            keep_key(api_key, saved, settings.token_file)

    given = token_from_environment(api_key, os.environ)
    credentials = given or token_from_file(api_key, saved)
    if credentials is not None:
        try:
            connected = connect_as(credentials, settings, stop)
            on_key_accepted()
            return connected
        except NotSignedIn as error:
            if given is not None:
                raise NotSignedIn(
                    f"{error}\nReplace SMUGMUG_ACCESS_TOKEN and SMUGMUG_ACCESS_TOKEN_SECRET, or "
                    "unset both to sign in with a PIN."
                ) from None
            log.warning("%s", error)
    credentials = sign_in(api_key, settings, stop, on_key_accepted)
    connection, user = connect_as(credentials, settings, stop)
    save_sign_in(credentials if is_kept else credentials._replace(secret=""), settings.token_file)
    if settings.task != "login":  # its task reports this itself
        log.info("Signed in as %s.", printable(user.nick_name))
    return connection, user


def keep_key(api_key: Credentials, saved: Credentials, path: Path) -> bool:
    """Save a typed key, and return True if it is saved.

    A token that was saved with the same key stays.
    """
    kept = saved if saved.key == api_key.key else Credentials(api_key.key, "")
    kept = kept._replace(secret=api_key.secret)
    return kept == saved or save_sign_in(kept, path)


def connect_as(
    credentials: Credentials, settings: Settings, stop: Stop
) -> tuple[Connection, User]:
    """Return a connection with an access token, and its user. Raise NotSignedIn if refused."""
    max_outage_seconds = settings.max_outage_minutes * 60
    connection = Connection(credentials, settings.timeout_seconds, stop, max_outage_seconds)
    if settings.limit_rate is not None:
        connection.rate_limit = RateLimit(settings.limit_rate, stop)
    try:
        return connection, in_background(partial(fetch_user, connection))
    except SignatureRefused:
        # Find out which secret is wrong. This request is signed with the key's secret alone.
        api_key = credentials._replace(token="", token_secret="")
        fetch_token("getRequestToken", api_key, settings, stop, callback_uri="oob")
        raise NotSignedIn("The secret of the access token is wrong.") from None
    except RequestFailed as error:
        if error.status in (401, 403):
            raise NotSignedIn(str(error)) from None
        raise


def find_api_key(environ: Mapping[str, str], saved: Credentials) -> tuple[Credentials | None, str]:
    """Return the API key with its secret, and a name of its source.

    Return None and "" if they have to be typed. Raise Problem if only one of them is given.
    """
    top = f" at the top of {Path(__file__).name}"
    key, key_name = variable(environ, "SMUGMUG_API_KEY"), "SMUGMUG_API_KEY"
    secret, secret_name = variable(environ, "SMUGMUG_API_SECRET"), "SMUGMUG_API_SECRET"
    if secret in ("", "YOUR_API_SECRET"):
        secret, secret_name = API_SECRET.replace("YOUR_API_SECRET", ""), "API_SECRET" + top
    if key in ("", "YOUR_API_KEY"):
        is_same_place = secret_name.endswith(top)
        key = API_KEY.replace("YOUR_API_KEY", "")
        key_name = "API_KEY" if is_same_place else "API_KEY" + top
    if key and secret:
        return Credentials(key, secret), f"{key_name} and {secret_name}"
    if key or secret:
        half = "an API key but no secret" if key else "an API secret but no key"
        raise Problem(f"There is {half}. Set both, or neither. {KEY_ADVICE}")
    if saved.key and saved.secret:
        return Credentials(saved.key, saved.secret), SAVED_KEY
    return None, ""


def variable(environ: Mapping[str, str], name: str) -> str:
    """Return an environment variable's value. Return "" if it is not set or empty.

    White space, carriage returns and one pair of quotes around it are dropped. A shell removes
    them, but `docker run --env-file` does not. Raise a Problem that names the variable if quotes
    or control characters remain. Each line is treated separately.
    """
    text = without_quotes(environ.get(name, ""))
    lines = [without_quotes(line) for line in text.splitlines()]
    for line in lines:
        is_quoted = line.startswith(("'", '"')) or line.endswith(("'", '"'))
        if is_quoted or any(unicodedata.category(letter) == "Cc" for letter in line):
            raise Problem(f"{name} has stray quotes or control characters. Set it without them.")
    return "\n".join(filter(None, lines))


def without_quotes(text: str) -> str:
    """Return a text without outer white space or a pair of quotes."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] in ("'", '"') and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def token_from_environment(api_key: Credentials, environ: Mapping[str, str]) -> Credentials | None:
    """Return `api_key` with the environment's access token. Return None if there is none."""
    token = variable(environ, "SMUGMUG_ACCESS_TOKEN")
    token_secret = variable(environ, "SMUGMUG_ACCESS_TOKEN_SECRET")
    if bool(token) != bool(token_secret):
        raise Problem("Set both SMUGMUG_ACCESS_TOKEN and SMUGMUG_ACCESS_TOKEN_SECRET, or neither.")
    return api_key._replace(token=token, token_secret=token_secret) if token else None


def token_from_file(api_key: Credentials, saved: Credentials) -> Credentials | None:
    """Return `api_key` with the saved access token.

    Return None if none was saved with this key.
    """
    if not (saved.token and saved.token_secret):
        return None
    if saved.key != api_key.key:
        log.warning(
            "The saved sign-in was made with another API key. Sign in again, or set the earlier "
            "key."
        )
        return None
    return saved._replace(secret=api_key.secret)


def request_api_key() -> None:
    """Explain how to get an API key. Raise Problem if there is no terminal to enter it."""
    if not is_terminal(sys.stdin):
        raise Problem(f"No API key found. Every run needs a key and its secret. {KEY_ADVICE}")
    log.warning(
        "You need a free API key. Request one at the address below. When asked what it is for, "
        'write "backup of my own photos". Then paste the key and its secret here. They are saved '
        "in a file that only you can read.\n\n%s\n",
        APPLY_URL,
    )


def is_terminal(stdin: TextIO | None) -> bool:
    """Return True if standard input is a terminal. `stdin` is None if it is closed."""
    return stdin is not None and stdin.isatty()


def type_api_key() -> Credentials:
    """Return an API key and secret typed in a terminal. The secret is not shown.

    Raise UnknownKey if one of them is malformed.
    """
    try:
        key = well_formed(typed("API key: "))
        secret = ""
        while not secret:
            secret = getpass.getpass("API secret (not shown): ", sys.stderr).strip()
        return Credentials(key, well_formed(secret))
    except EOFError:
        raise Problem("\nNo API key entered. Run this again when you have one.") from None


def well_formed(text: str) -> str:
    """Return a typed key or secret without quotes around it. Raise UnknownKey if malformed.

    Hyphens and underscores are accepted, too, in case SmugMug changes the format.
    """
    text = without_quotes(text)
    if not re.fullmatch("[0-9A-Za-z_-]+", text):
        raise UnknownKey("An API key and its secret have only letters and digits, no spaces.")
    return text


def typed(prompt: str, pattern: str = ".+", advice: str = "") -> str:
    """Return a line of standard input, stripped. Raise EOFError at the end.

    Empty lines are ignored.

    `advice`: printed after a line that does not match `pattern`, before the prompt is repeated
    """
    while True:
        print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        text = line.strip()
        if re.fullmatch(pattern, text):
            return text
        if text:
            log.warning("%s", advice)


def sign_in(
    api_key: Credentials, settings: Settings, stop: Stop, on_key_accepted: Callable[[], None]
) -> Credentials:
    """Ask the user to grant access and enter a PIN. Return `api_key` with an access token.

    Access=Full is needed for private and unlisted albums; only Permissions=Read is requested.
    https://api.smugmug.com/api/v2/doc/tutorial/oauth/non-web.html

    `on_key_accepted`: called when SmugMug has accepted the key, before the PIN is entered
    """
    if not can_prompt(sys.stdin, sys.platform):
        raise NotSignedIn(
            "You are not signed in to SmugMug, and there is no terminal to enter a PIN. Run "
            f"{Path(__file__).name} --login once in a terminal, as the same user; later runs need "
            "no PIN."
        )
    has_browser = can_open_browser(sys.stdin, os.environ, sys.platform)
    log.info("Contacting SmugMug ...")
    for attempt in range(PIN_ATTEMPTS):
        request_token = fetch_token("getRequestToken", api_key, settings, stop, callback_uri="oob")
        if not attempt:
            on_key_accepted()
        query = {"oauth_token": request_token.token, "Access": "Full", "Permissions": "Read"}
        address = f"{OAUTH_BASE}authorize?{urlencode(query)}"
        log.warning(
            "Open this %saddress%s, sign in to SmugMug, and allow read access:",
            "new " if attempt else "",
            " (your browser should show it now)" if has_browser else "",
        )
        print(f"\n{address}\n", file=sys.stderr)
        if has_browser:
            open_browser(address)
        try:
            # A PIN may begin with 0, so it stays a text.
            pin = typed("PIN: ", r"([0-9]\s*){6}", "A PIN has six digits.")
            pin = "".join(pin.split())
            return fetch_token("getAccessToken", request_token, settings, stop, verifier=pin)
        except EOFError:
            raise NotSignedIn("\nNo PIN entered. Run this again when you have it.") from None
        except (NotSignedIn, RequestFailed) as error:
            if isinstance(error, RequestFailed) and error.status not in (400, 401, 403):
                raise
            log.debug("%s", error)
            log.warning("That PIN was not accepted and cannot be used again.")
    raise NotSignedIn(
        "Not signed in. A PIN works only with the latest address, for five minutes. Run this "
        "again."
    )


def can_prompt(stdin: TextIO | None, platform: str) -> bool:
    """Return True if a PIN can be read. It may come from a terminal, a pipe or a file.

    `stdin`: None if it is closed
    """
    if stdin is None:
        return False
    if platform == "win32":  # a terminal looks like the null device
        return True
    with suppress(OSError):  # a system without a null device
        return not os.path.samestat(os.fstat(stdin.fileno()), os.stat(os.devnull))
    return True


def can_open_browser(stdin: TextIO | None, environ: Mapping[str, str], platform: str) -> bool:
    """Return True if the user is at a screen that can show a browser.

    On Linux this takes a display, which SSH may forward. On macOS and Windows a browser would open
    on the screen of the remote computer, so none is opened over SSH.
    """
    if not is_terminal(stdin):
        return False
    if platform in ("darwin", "win32", "cygwin"):
        return not any(environ.get(name) for name in SSH_VARIABLES)
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def open_browser(url: str) -> None:
    """Open an address in the user's browser, if possible. A failure has no effect.

    A separate process opens it, without this terminal. So neither its output nor a text browser
    can appear here, and Ctrl-C does not reach it. It gets no secrets either.
    """
    environment = {}
    for name, value in os.environ.items():
        if not name.upper().startswith("SMUGMUG_"):
            environment[name] = value
    with suppress(OSError):
        subprocess.Popen(
            [sys.executable, "-I", "-m", "webbrowser", url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )


def fetch_token(
    name: str, credentials: Credentials, settings: Settings, stop: Stop, **oauth: str
) -> Credentials:
    """Return `credentials` with the token that the OAuth endpoint `name` grants.

    Raise SignatureRefused if SmugMug refuses a key that has no token yet.

    `oauth`: further OAuth parameters, such as `callback_uri` or `verifier`
    """
    longest_seconds = settings.max_outage_minutes * 60
    connection = Connection(credentials, settings.timeout_seconds, stop, longest_seconds, **oauth)
    try:
        body = in_background(partial(connection.get, OAUTH_BASE + name, Response.body))
    except RequestFailed as error:
        if error.status == 401 and not error.transient and not credentials.token:
            raise SignatureRefused(f"{str(error).rstrip('.')}.", status=401) from None
        raise
    form = dict(parse_qsl(body.decode("utf-8", "replace")))  # without the empty fields
    if not {"oauth_token", "oauth_token_secret"} <= form.keys():
        raise RequestFailed("SmugMug sent no token. Try again later.")
    return credentials._replace(token=form["oauth_token"], token_secret=form["oauth_token_secret"])


def config_folder(environ: Mapping[str, str], platform: str, home: str) -> Path:
    """Return the folder of the token file.

    `platform`: a value of sys.platform
    `home`: the user's home folder
    """
    if platform == "win32":
        variable, default = "APPDATA", "AppData/Roaming"
    else:
        variable, default = "XDG_CONFIG_HOME", ".config"
    return Path(environ.get(variable) or Path(home, default)) / PROGRAM


def read_saved(path: Path) -> Credentials:
    """Return the saved sign-in. Fields that are missing or unreadable are ""."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        # On Windows, the rights of the user's own folder protect it.
        if sys.platform != "win32" and path.stat().st_mode & 0o077:
            log.warning("Other users can read your saved sign-in. To fix this: chmod 600 %s", path)
        texts = []
        for name in SAVED_FIELDS:
            text = saved.get(name)
            texts.append(text if isinstance(text, str) else "")
        return Credentials(*texts)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        log.warning(
            "Cannot read the saved sign-in in %s (%s). You will be asked to sign in again.",
            path,
            type(error).__name__,
        )
    return Credentials("", "")


def save_sign_in(credentials: Credentials, path: Path) -> bool:
    """Save the sign-in for later runs, in a file only its owner can read.

    Return True if that succeeded. Otherwise, warn.
    """
    fields = {name: text for name, text in zip(SAVED_FIELDS, credentials) if text}
    content = json.dumps(fields, indent=2) + "\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, content.encode("utf-8"), mode=0o600)
    except OSError as error:
        log.warning(
            "The sign-in could not be saved (%s), so the next run will ask again.",
            disk_problem(error, path),
        )
        return False
    return True


# -------------------------------------------------------------------------------------------------
# 11. The download record: the files on disk, in one SQLite database in the output folder.
#    Uses names, files and messages. Independent of HTTP.
#
#    Who may open it
#
#    One run at a time may use an output folder. SQLite holds a lock on the record for the whole
#    run. The lock is released when the process ends, even if it is killed. Closing any other
#    descriptor of the file would also release it, so only SQLite opens a file whose name begins
#    with the record's. If the disk has no locks, a lock file takes their place. Previews and lists
#    read a copy.
# -------------------------------------------------------------------------------------------------

SCHEMA_VERSION = 6
SCHEMA = """
CREATE TABLE album (album_key TEXT PRIMARY KEY, folder TEXT, clocks TEXT, listed_at REAL,
                    verified_at REAL DEFAULT 0, name TEXT DEFAULT '') WITHOUT ROWID;
CREATE TABLE file (album_key TEXT, image_key TEXT, serial TEXT, name TEXT, size_bytes INTEGER,
                   md5 TEXT, modified_ns INTEGER, is_original INTEGER, removed INTEGER,
                   damaged INTEGER, stated_md5 TEXT, source_types TEXT DEFAULT '',
                   checksum_tries INTEGER DEFAULT 0, checksum_retry_at REAL DEFAULT 0,
                   PRIMARY KEY (album_key, image_key)) WITHOUT ROWID;
CREATE INDEX file_by_image ON file (image_key);
CREATE TABLE absence (album_key TEXT, image_key TEXT, serial TEXT, file_name TEXT, reason TEXT,
                      tries INTEGER, ask_at REAL,
                      PRIMARY KEY (album_key, image_key)) WITHOUT ROWID;
CREATE TABLE account (nick_name TEXT, bytes_per_second REAL DEFAULT 0);
"""
UPGRADES = {  # by the version to upgrade from; older records are rebuilt from the files
    0: SCHEMA,
    5: """
ALTER TABLE album ADD COLUMN name TEXT DEFAULT '';
ALTER TABLE file ADD COLUMN checksum_tries INTEGER DEFAULT 0;
ALTER TABLE file ADD COLUMN checksum_retry_at REAL DEFAULT 0;
ALTER TABLE account ADD COLUMN bytes_per_second REAL DEFAULT 0;
""",
}


class Table(NamedTuple):
    """The columns of one kind of record, in the order of its fields. album_key is left out."""

    name: str
    columns: tuple[str, ...]
    types: tuple[Any, ...]


NUMBER = (int, float)
TABLES = {
    AlbumRecord: Table(
        "album",
        ("folder", "clocks", "listed_at", "verified_at", "name"),
        (str, str, NUMBER, NUMBER, str),
    ),
    FileRecord: Table(
        "file",
        FileRecord._fields,
        (str, str, str, int, str, int, int, int, int, str, str, int, NUMBER),
    ),
    Unavailable: Table(
        "absence",
        ("image_key", "serial", "file_name", "reason", "tries", "ask_at"),
        (str, str, str, str, int, NUMBER),
    ),
}

# Names that a record may hold. A file name has no separator of any system, and no colon, which
# would name a drive or a stream on Windows. A folder may be named by the user.
RECORDED_NAME = re.compile(r"(?!\.{1,2}\Z)[^/\\:\0]+")
RECORDED_FOLDER_NAME = RECORDED_NAME if os.name == "nt" else re.compile(r"(?!\.{1,2}\Z)[^/\0]+")
RECORDED_MD5 = re.compile(r"[0-9a-f]{32}|\??")
MAX_RECORDED_TRIES = 1000  # greater numbers are cut to this; SQLite could not store one more
LATEST_SECONDS = 4_102_444_800.0  # the year 2100; a later time in the record counts as never

SQLITE_STEPS = 100_000  # steps of SQLite's virtual machine between redraws; they take about 5 ms
SNAPSHOT_SECONDS = 60.0  # a preview gives up if the record keeps changing for this long
SNAPSHOT_BYTES = 1 << 20  # the record is copied in pieces of this size

LOCK_FILE = RECORD_FILE + ".lock"
# A lock file that was not touched for this long was left by a killed run. A run touches it at each
# commit, and the time between commits is long only for one large file or a wait for the user.
STALE_LOCK_SECONDS = 600.0
CLAIM_SECONDS = 3.0  # a claim that is older than this was left by a killed process


class TotalOnDisk(NamedTuple):
    """The number of an album's files on disk, and their size, as recorded."""

    files: int = 0
    size_bytes: int = 0


class Database:
    """The download record: what is known of the files in an output folder.

    If it is lost, files are identified by their content. Rows are validated like responses,
    because a record may come from another computer or a damaged disk. A row that this program
    could not have written is ignored.
    """

    def __init__(self, db: sqlite3.Connection, lock: LockFile | None = None) -> None:
        self._db = db
        self._lock = lock
        self._committed_at = time.monotonic()
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise Problem(
                f"The download record has format {version}. Update this program to read it."
            )
        try:
            if version < SCHEMA_VERSION:
                if version not in UPGRADES:
                    raise sqlite3.DatabaseError("a format that is no longer supported")
                db.executescript(
                    f"BEGIN; {UPGRADES[version]} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
            for table in TABLES.values():
                db.execute(
                    f"SELECT album_key, {', '.join(table.columns)} FROM {table.name} LIMIT 0"
                )
            db.execute("SELECT nick_name, bytes_per_second FROM account LIMIT 0")
        except sqlite3.OperationalError as error:
            if any(text in str(error) for text in ("no such", "already exists", "duplicate")):
                raise sqlite3.DatabaseError("other tables than this program makes") from None
            raise
        db.execute("BEGIN")

    def albums(self) -> dict[str, AlbumRecord]:
        """Return the records of all albums by their keys."""
        table = TABLES[AlbumRecord]
        columns = ", ".join(table.columns)
        albums = {}
        with closing(self._rows(f"SELECT album_key, {columns} FROM {table.name}")) as rows:
            for key, *values in rows:
                album = album_record(values)
                if album is not None and isinstance(key, str) and KEY.fullmatch(key):
                    albums[key] = album
        return albums

    def files(self, album_key: str) -> dict[str, FileRecord]:
        """Return the records of an album's files by image key."""
        with closing(self._rows_of_album(FileRecord, album_key)) as rows:
            return {file.image_key: file for file in filter(None, map(file_row, rows))}

    def unavailable(self, album_key: str) -> dict[str, Unavailable]:
        """Return the records of an album's unavailable images by image key."""
        with closing(self._rows_of_album(Unavailable, album_key)) as rows:
            return {image.image_key: image for image in filter(None, map(unavailable_row, rows))}

    def _rows_of_album(self, kind: Any, album_key: str) -> Generator[Any, None, None]:
        table = TABLES[kind]
        columns = ", ".join(table.columns)
        return self._rows(f"SELECT {columns} FROM {table.name} WHERE album_key = ?", album_key)

    def _rows(self, query: str, *values: str) -> Generator[Any, None, None]:
        """Yield rows. A text that is not UTF-8 becomes bytes, and its row is later rejected.

        Close the generator if it may be left early, or SQLite keeps the file of the record open.
        """
        count = 0
        try:
            for row in self._db.execute(query, values):
                yield row
                count += 1
            return
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        self._db.text_factory = text_or_bytes
        yield from itertools.islice(self._db.execute(query, values), count, None)

    def save(self, album_key: str, record: AlbumRecord | FileRecord | Unavailable) -> None:
        """Store a record in place of the earlier one."""
        table = TABLES[type(record)]
        columns = ", ".join(table.columns)
        values = ", ".join("?" * (1 + len(record)))
        self._db.execute(
            f"INSERT OR REPLACE INTO {table.name} (album_key, {columns}) VALUES ({values})",
            (album_key, *record),
        )

    def account(self) -> str:
        """Return the nickname of the account with the photos, "" if unknown."""
        for (nick_name,) in self._rows("SELECT nick_name FROM account"):
            return nick_name if isinstance(nick_name, str) else ""
        return ""

    def save_account(self, nick_name: str) -> None:
        """Record the nickname of the account that the photos belong to."""
        self._db.execute("INSERT OR IGNORE INTO account (rowid) VALUES (1)")
        self._db.execute("UPDATE account SET nick_name = ?", (nick_name,))

    def speed(self) -> float:
        """Return the last run's download speed in bytes per second. 0 means unknown."""
        for (speed,) in self._rows("SELECT bytes_per_second FROM account"):
            return speed if isinstance(speed, NUMBER) and 0 < speed < 1e12 else 0.0
        return 0.0

    def save_speed(self, bytes_per_second: float) -> None:
        """Record the download speed of this run."""
        self._db.execute("UPDATE account SET bytes_per_second = ?", (bytes_per_second,))

    def mark_album_removed(self, album_key: str) -> None:
        """Record that SmugMug no longer has an album. It is listed if it returns."""
        self._db.execute("UPDATE album SET clocks = '' WHERE album_key = ?", (album_key,))
        self._db.execute("UPDATE file SET removed = 1 WHERE album_key = ?", (album_key,))

    def clear_damage_if_removed(self, album_key: str, image_key: str) -> bool:
        """Accept a damaged file if SmugMug no longer has the image. Return True if so.

        An image without a record was forgotten, because it is neither on SmugMug nor on disk.
        """
        keys = (album_key, image_key)
        where = "WHERE album_key = ? AND image_key = ?"
        row = self._db.execute(f"SELECT removed FROM file {where}", keys).fetchone()
        if row is not None and not row[0]:
            return False
        self._db.execute(f"UPDATE file SET damaged = 0 {where}", keys)
        return True

    def forget_album(self, album_key: str) -> None:
        """Delete the records of an album and its images."""
        for table in TABLES.values():
            self._db.execute(f"DELETE FROM {table.name} WHERE album_key = ?", (album_key,))

    def forget(
        self, kind: type[FileRecord | Unavailable], album_key: str, image_keys: Iterable[str]
    ) -> None:
        """Delete the records of one kind of these images."""
        self._db.executemany(
            f"DELETE FROM {TABLES[kind].name} WHERE album_key = ? AND image_key = ?",
            ((album_key, image_key) for image_key in image_keys),
        )

    def totals_on_disk(self) -> dict[str, TotalOnDisk]:
        """Return the number and size of each album's recorded files on disk, by album key.

        Files deleted on SmugMug do not count.
        """
        query = (
            "SELECT album_key, COUNT(*), TOTAL(size_bytes) FROM file WHERE NOT removed "
            "AND typeof(size_bytes) = 'integer' GROUP BY album_key"
        )
        with closing(self._rows(query)) as rows:
            return {
                key: TotalOnDisk(files, int(size_bytes))
                for key, files, size_bytes in rows
                if isinstance(key, str)
            }

    def marked(self, mark: str) -> list[tuple[str, str]]:
        """Return the (folder, name) of files marked "removed" or "damaged"."""
        columns = ", ".join(f"file.{column}" for column in TABLES[FileRecord].columns)
        rows = list(self._rows(f"SELECT album_key, {columns} FROM file WHERE {mark}"))
        albums = self.albums() if rows else {}
        files = []
        for key, *values in rows:
            file = file_row(values)
            if file is not None and key in albums:
                files.append((albums[key].folder, file.name))
        return sorted(files)

    def commit_if_due(self, seconds: float = COMMIT_SECONDS) -> None:
        """Commit if the interval has passed, so that a crash loses little.

        Raise a Problem if another run has taken over the folder.
        """
        if time.monotonic() - self._committed_at >= seconds:
            if self._lock is not None:
                self._lock.touch()
            self._db.execute("COMMIT")
            self._db.execute("BEGIN")
            self._committed_at = time.monotonic()

    def close(self) -> None:
        """Commit and close the record, unless another run took over the folder."""
        with closing(self._db):
            if self._lock is None or self._lock.is_held():
                self._db.commit()  # has no effect if an error ended the transaction


def text_or_bytes(content: bytes) -> str | bytes:
    """Decode a text of the record. Return its bytes if it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content


def album_record(row: Sequence[Any]) -> AlbumRecord | None:
    """Return the record of an album. Return None if no run can have written this row."""
    if not all(map(isinstance, row, TABLES[AlbumRecord].types)):
        return None
    album = AlbumRecord(*row)
    if not is_recorded_folder(album.folder):
        return None
    return album._replace(
        listed_at=recorded_time(album.listed_at),
        verified_at=recorded_time(album.verified_at),
        # Memory then holds an equal text once.
        name=album.folder if album.name == album.folder else album.name,
    )


def file_row(row: Sequence[Any]) -> FileRecord | None:
    """Return the record of a file. Return None if no run can have written this row."""
    if not all(map(isinstance, row, TABLES[FileRecord].types)):
        return None
    file = FileRecord(*row)
    is_valid = (
        KEY.fullmatch(file.image_key)
        and is_recorded_name(file.name)
        and file.size_bytes >= 0
        and RECORDED_MD5.fullmatch(file.md5)
        and (not file.stated_md5 or RECORDED_MD5.fullmatch(file.stated_md5))
    )
    if not is_valid:
        return None
    if file.checksum_retry_at or file.checksum_tries:
        return file._replace(
            checksum_tries=min(file.checksum_tries, MAX_RECORDED_TRIES),
            checksum_retry_at=recorded_time(file.checksum_retry_at),
        )
    return file


def unavailable_row(row: Sequence[Any]) -> Unavailable | None:
    """Return the record of an unavailable image.

    Return None if no run can have written this row.
    """
    if not all(map(isinstance, row, TABLES[Unavailable].types)):
        return None
    image = Unavailable(*row)
    if not KEY.fullmatch(image.image_key) or image.tries < 0:
        return None
    return image._replace(
        reason=printable(image.reason),
        tries=min(image.tries, MAX_RECORDED_TRIES),
        retry_at=recorded_time(image.retry_at),
    )


def is_recorded_name(name: str) -> bool:
    """Return True if a name stays in its folder and is not the record's own."""
    return RECORDED_NAME.fullmatch(name) is not None and not is_record_name(name)


def is_recorded_folder(folder: str) -> bool:
    """Return True if this relative path stays below the output folder."""
    return all(RECORDED_FOLDER_NAME.fullmatch(name) for name in folder.split("/"))


def recorded_time(seconds: float) -> float:
    """Return a recorded time. Return 0 if a wrong server clock made it impossible."""
    return seconds if 0 < seconds < LATEST_SECONDS else 0.0


@contextmanager
def open_database(folder: Path, redraw: Callable[[], None]) -> Iterator[Database]:
    """Open the record in an output folder, creating both if necessary. No other run can open it.

    Raise a Problem if another run has it open, or if SQLite or the disk fails.

    `redraw`: called at intervals while SQLite works
    """
    path = folder / RECORD_FILE
    if os.path.islink(str(path)):
        raise Problem(f"{printable(path)} is a symbolic link. Replace it with the file itself.")
    try:
        with ExitStack() as stack:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock = held_lock(path)
                if lock is not None:
                    stack.callback(lock.release)
                database = stack.enter_context(closing(open_or_replace(path, lock, redraw)))
            except OSError as error:
                raise disk_problem(error, folder) from None
            yield database
    except sqlite3.Error as error:
        raise sqlite_failure(error, database_problem(error, path)) from None


def held_lock(path: Path) -> LockFile | None:
    """Return the lock file of this run. Return None if SQLite can lock the record itself.

    An existing lock file is respected on any disk, because another computer may need it.
    """
    has_locks = file_system_supports(lock_shared, path, "a+b")
    lock = LockFile(path.with_name(LOCK_FILE), is_needed=not has_locks)
    if has_locks and not os.path.lexists(str(lock.path)):
        return None
    lock.acquire()
    if not has_locks:
        log.info(
            "%s does not support file locks; using %s instead.",
            printable(path.parent),
            lock.path.name,
        )
    return lock


class LockFile:
    """A file that keeps other runs out of a folder. It is for disks that do not support locks.

    It holds the computer's name and the process. A killed run leaves it behind, and a container
    has another name each time, so its age decides. A run touches it at each commit.

    `is_needed`: SQLite itself cannot lock the record
    """

    def __init__(self, path: Path, is_needed: bool = True) -> None:
        self.path = path
        self.is_needed = is_needed
        self._content = f"{socket.gethostname()} {os.getpid()}"

    def acquire(self) -> None:
        """Create the lock file, or take over an old one. Raise a Problem if another run has it."""
        with claimed(self.path) as now:
            refuse_locked(self.path, now)
            write_atomically(self.path, self._content.encode(), durable=False)

    def is_held(self) -> bool:
        """Return True unless another run or the user removed the lock."""
        try:
            return lock_content(self.path) == self._content
        except FileNotFoundError:
            return False
        except OSError:  # the next write will fail, too, and report the reason
            return True

    def touch(self) -> None:
        """Show that this run is alive. Raise a Problem if the lock is lost."""
        if not self.is_held():
            raise Problem(
                f"{printable(self.path)} was removed or taken over by another run, so this run "
                f"ends. Run this again; nothing already downloaded is lost."
            )
        with suppress(OSError):
            os.utime(str(self.path))

    def release(self) -> None:
        """Remove the lock file, unless another run has taken it over."""
        if self.is_held():
            with suppress(OSError):
                remove(self.path)


@contextmanager
def claimed(path: Path) -> Iterator[float]:
    """Keep other processes from changing a small file for a moment.

    Yield the current time by the disk's clock, which may be another computer's. A claim that a
    killed process left is ignored after CLAIM_SECONDS.
    """
    claim = path.with_name(path.name + ".claim")
    deadline = time.monotonic() + CLAIM_SECONDS
    while True:
        try:
            os.close(os.open(str(claim), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            if time.monotonic() >= deadline:
                os.utime(str(claim))
                break
        time.sleep(TICK_SECONDS / 4)
    try:
        yield os.stat(str(claim)).st_mtime
    finally:
        with suppress(OSError):
            remove(claim)


def lock_content(lock: Path) -> str:
    """Return the beginning of a lock file. Raise OSError if it cannot be read."""
    if not stat.S_ISREG(os.lstat(str(lock)).st_mode):
        return ""
    with open(str(lock), "rb") as file:
        return file.read(500).decode("utf-8", "replace")


def refuse_locked(lock: Path, now: float) -> None:
    """Raise a Problem if a lock file names a run that may be running.

    `now`: the time by the disk's clock, in seconds since 1970
    """
    try:
        host, _, process = lock_content(lock).rpartition(" ")
        age_seconds = max(0.0, now - os.lstat(str(lock)).st_mtime)
    except FileNotFoundError:
        return
    is_dead = host == socket.gethostname() and not is_running(process)
    if is_dead or age_seconds >= STALE_LOCK_SECONDS:
        return
    left_seconds = STALE_LOCK_SECONDS - age_seconds
    raise Problem(
        f"Another run is already using {printable(lock.parent)}: process {printable(process)} on "
        f"{printable(host)}, last active {human_seconds(age_seconds)} ago. If it is no longer "
        f"running, delete {printable(lock)} or wait {human_seconds(left_seconds)}."
    )


def is_running(process: str) -> bool:
    """Return True if another process with this number may be running here.

    On Windows, always return True, because signal 0 would end the process.
    """
    if not re.fullmatch("[1-9][0-9]{0,8}", process):
        return True
    if int(process) == os.getpid():  # process numbers repeat in containers
        return False
    try:
        if sys.platform != "win32":
            os.kill(int(process), 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


def lock_shared(file_number: int) -> None:
    """Lock an open file until it is closed. Raise OSError if that fails.

    On Windows, where every file system supports locks, nothing is done.
    """
    if sys.platform != "win32":
        import fcntl

        fcntl.lockf(file_number, fcntl.LOCK_SH | fcntl.LOCK_NB)


def file_system_supports(action: Callable[[int], None], path: Path, mode: str) -> bool:
    """Return False if the file system does not support `action` on an open file.

    Never call this while SQLite has the file open. Closing it drops all locks of this process.
    """
    try:
        with open(str(path), mode) as file:
            action(file.fileno())
    except OSError as error:
        return error.errno not in UNSUPPORTED
    return True


def open_or_replace(path: Path, lock: LockFile | None, redraw: Callable[[], None]) -> Database:
    """Open the record in a file. Rename a damaged one and create a new one.

    Raise sqlite3.Error, or a Problem if the record is of a newer format.
    """
    try:
        return open_exclusive(path, lock, redraw)
    except sqlite3.OperationalError:  # it may be intact, but cannot be opened or written
        raise
    except sqlite3.DatabaseError:
        aside = f"{RECORD_FILE}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
        rename(path, path.with_name(aside))
        log.warning(
            "The download record is damaged. It was saved as %s and will be rebuilt from the "
            "files.",
            aside,
        )
        return open_exclusive(path, lock, redraw)


def open_exclusive(path: Path, lock: LockFile | None, redraw: Callable[[], None]) -> Database:
    """Open the record in a file, and lock out other processes.

    Raise sqlite3.Error, or a Problem if the record is of a newer format.
    """
    can_sync = file_system_supports(os.fsync, path, "a+b")
    has_locks = lock is None or not lock.is_needed
    address = str(path) if has_locks else f"{path.resolve().as_uri()}?vfs=unix-none"
    db = sqlite3.connect(address, timeout=0, isolation_level=None, uri=not has_locks)
    with ExitStack() as stack:
        stack.callback(db.close)
        db.set_progress_handler(redraw, SQLITE_STEPS)
        db.execute("PRAGMA temp_store = MEMORY")  # the temporary folder may be small or full
        if not can_sync:
            db.execute("PRAGMA synchronous = OFF")
        db.executescript("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;")
        database = Database(db, lock)
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("damaged")
        stack.pop_all()  # it stays open
    return database


@contextmanager
def open_copy(folder: Path, redraw: Callable[[], None]) -> Iterator[Database]:
    """Open a copy of the record for a preview or a list. Nothing is written to the output folder.

    It shows the record as it was at one moment, even while another run is using it.
    """
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix=PROGRAM))
        except OSError as error:
            raise temporary_problem(error) from None
        copy = Path(temporary, RECORD_FILE)
        wait_for_copy(folder / RECORD_FILE, copy, redraw)
        try:
            yield stack.enter_context(closing(open_or_replace(copy, None, redraw)))
        except sqlite3.Error as error:
            raise sqlite_failure(error, temporary_problem(error)) from None


def wait_for_copy(path: Path, copy: Path, redraw: Callable[[], None]) -> None:
    """Copy a record between two commits of another run.

    Raise a Problem if it never stops changing, or cannot be read or copied.
    """
    deadline = time.monotonic() + SNAPSHOT_SECONDS
    while not copied_at_rest(path, copy, redraw):
        if time.monotonic() >= deadline:
            raise Problem(
                f"Another run is using {printable(path.parent)}, and its download record changes "
                f"too fast to be copied. Try again later."
            )
        time.sleep(TICK_SECONDS)


def copied_at_rest(path: Path, copy: Path, redraw: Callable[[], None]) -> bool:
    """Copy a record with its journal. Return False if a run wrote to it meanwhile.

    Locks would stop the run, so both files are read without any, and then compared with their
    copies in reverse order. If both are equal, the copies show the record at one moment, and
    SQLite can undo a commit that was incomplete then.
    """
    suffixes = ("", "-journal")
    for suffix in suffixes:
        copy_file(Path(f"{path}{suffix}"), Path(f"{copy}{suffix}"), redraw)
    for suffix in reversed(suffixes):
        if not is_same_file(Path(f"{path}{suffix}"), Path(f"{copy}{suffix}"), redraw):
            return False
    return True


def copy_file(path: Path, copy: Path, redraw: Callable[[], None]) -> None:
    """Copy a file of the record to the temporary folder. If it is missing, so is the copy."""
    remove(copy)
    for chunk in chunks_of_file(path, redraw):
        try:
            with open(str(copy), "ab") as file:  # unbuffered, a write may be cut short
                file.write(chunk)
        except OSError as error:
            raise temporary_problem(error) from None


def is_same_file(path: Path, copy: Path, redraw: Callable[[], None]) -> bool:
    """Return True if a file equals its copy. A missing file equals a missing copy."""
    pieces = itertools.zip_longest(chunks_of_file(path, redraw), chunks_of_file(copy, redraw))
    return all(one == other for one, other in pieces)


def chunks_of_file(path: Path, redraw: Callable[[], None]) -> Iterator[bytes]:
    """Yield a file in pieces, or nothing if it is missing. Raise a Problem if it is unreadable."""
    try:
        with open(str(path), "rb") as file:
            for chunk in iter(partial(file.read, SNAPSHOT_BYTES), b""):
                redraw()
                yield chunk
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_problem(error, path) from None


def sqlite_failure(error: sqlite3.Error, problem: Problem) -> BaseException:
    """Return the exception to raise when SQLite fails.

    Ctrl-C in the middle of SQLite's work reaches Python as SQLite's error.
    """
    if str(error) == "interrupted":
        return KeyboardInterrupt()
    return problem


def database_problem(error: sqlite3.Error, path: Path) -> Problem:
    """Return the message for a record that SQLite cannot open, read or write."""
    text = str(error)
    if "locked" in text:
        return Problem(
            f"Another run is already using {printable(path.parent)}. Wait until it has finished."
        )
    if "full" in text:
        return disk_problem(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path)
    return Problem(f"Cannot write to {printable(path.parent)}: {text} ({path.name})")


def temporary_problem(error: OSError | sqlite3.Error) -> Problem:
    """Return the message for a temporary folder that cannot hold the record's copy."""
    folder = tempfile.tempdir or "the temporary folder"
    reason = getattr(error, "strerror", None) or str(error)
    return Problem(
        f"Cannot copy the download record to {printable(folder)}: {printable(reason)}. Free some "
        f"space there, or set TMPDIR to a folder on a larger disk."
    )


def refuse_unusable_output(settings: Settings) -> None:
    """Raise a Problem if the output folder is unusable.

    It may be inside another one, or have lost its record. A folder that had a record is not
    treated as a new one, because its disk may not be connected.
    """
    output = Path(os.path.abspath(str(settings.output)))
    if os.path.lexists(str(output / RECORD_FILE)):
        return
    for folder in Path(os.path.realpath(str(output))).parents:
        if is_file(folder / RECORD_FILE):
            raise Problem(
                f"{printable(settings.output)} is inside {printable(folder)}, which is an output "
                f"folder itself. Choose another folder with --output."
            )
    folders = known_folders(settings.folders_file)
    if str(output) in folders and not settings.new_record:
        raise Problem(lost_record(output, folders[str(output)]))


def refuse_new_record(settings: Settings, database: Database) -> None:
    """Raise a Problem if --new-record is given but the record is intact."""
    if settings.new_record and database.albums():
        raise Problem(
            f"The download record of {printable(settings.output)} is intact. Run this again "
            f"without --new-record, which is only for a lost one."
        )


def lost_record(output: Path, device: int) -> str:
    """Return the message for a folder whose record is missing.

    `device`: the number of the disk that held the folder, 0 if unknown
    """
    name = printable(output)
    place = output if os.path.isdir(str(output)) else output.parent
    try:
        is_same_disk = device != 0 and os.stat(str(place)).st_dev == device
        names = os.listdir(str(output)) if place == output else []
    except OSError:
        is_same_disk = False
    if not is_same_disk:
        return (
            f"{name} has lost its download record. Is the disk connected? If it is, add "
            f"--new-record to build a new record from the files."
        )
    if place != output:
        return (
            f"{name} was deleted or moved. If you moved it, name its new path with --output. To "
            f"download everything again, add --new-record."
        )
    if not names:
        return (
            f"{name} was emptied, so its download record is gone as well. To download everything "
            f"again, add --new-record."
        )
    return (
        f"{name} has lost its download record, although the disk is connected. Add --new-record "
        f"to build a new record from the files that are there."
    )


def known_folders(path: Path) -> dict[str, int]:
    """Return the output folders that have had a record, with their disk numbers.

    They are saved beside the sign-in. An unknown number is 0.
    """
    folders: Any = {}
    with suppress(OSError, ValueError, RecursionError):
        folders = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(folders, list):  # written by versions before record format 6
        return {folder: 0 for folder in folders if isinstance(folder, str)}
    if not isinstance(folders, dict):
        return {}
    return {name: device for name, device in folders.items() if isinstance(device, int)}


def remember_folder(settings: Settings) -> None:
    """Add the output folder to the known folders. This is only a safeguard, so it may fail."""
    path = settings.folders_file
    output = os.path.abspath(str(settings.output))
    with suppress(OSError):
        device = os.stat(output).st_dev
        if known_folders(path).get(output) == device:
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with claimed(path):
            folders = {**known_folders(path), output: device}
            write_atomically(path, json.dumps(folders, indent=2).encode(), mode=0o600)


def is_record(path: Path, output: Path) -> bool:
    """Return True if a path leads to a record or its SQLite files."""
    record = output / RECORD_FILE
    with suppress(OSError):
        return os.path.realpath(path).startswith(os.path.realpath(record)) or os.path.samefile(
            path, record
        )
    return False


# -------------------------------------------------------------------------------------------------
# 12. Plan: compare an album with the disk and decide what to download.
#    Uses listings, the download record, and the files in a folder. Independent of downloading.
#
#    When an album can be skipped
#
#    SmugMug reports three values for an album: LastUpdated, ImagesLastUpdated and ImageCount.
#    Together they are its change token. An album is skipped without a request if three conditions
#    hold: its token is the recorded one, no file is missing or shorter, and no retry is due. The
#    token is recorded only when every image is on disk or known to be unavailable. It misses some
#    changes, so it is not always trusted:
#
#    Captions.  Editing titles, captions or keywords does not change the token. Runs with --sidecar
#               or --full therefore list every album.
#    Rechecks.  Replacing or rotating a photo may not change it either. Each run also lists one in
#               twenty of the unchanged albums, the least recently listed first. None is rechecked
#               within a week.
#    Lag.       A listing may be out of date for minutes after a change. If the token was less than
#               15 minutes old when the album was listed, it is not recorded. The next run then
#               lists the album again. A listing shorter than ImageCount is repeated at the end of
#               the same run.
# -------------------------------------------------------------------------------------------------

UNAVAILABLE_SECONDS = 30 * DAY_SECONDS  # upper limit of the doubling retry interval
LISTING_LAG_SECONDS = 900.0  # a token younger than this at the listing is not recorded
RECHECK_SECONDS = 7 * DAY_SECONDS  # an unchanged album is rechecked at most this often
ALBUMS_PER_RECHECK = 20  # one of this many unchanged albums is rechecked in each run


class Visit:
    """The state of one album during a run. Only the main thread may use it.

    `seen`: keys of the images in an earlier, incomplete listing of this run; None if this is the
        first listing
    `folder`, `album_record`, `records`, `unavailable`: the contents of the record before the run;
        the last two are by image key
    `on_disk`: the files in the folder before the run
    `keeps_metadata`: sidecars need the texts of the images
    `is_preview`: nothing will be downloaded
    `since`: as in the settings
    `former_names`: the names that earlier versions gave to the new images, by image key
    `max_name_bytes`: the longest name that the disk takes
    `asks_again`: files that contradict SmugMug's checksum are requested at once
    `listed_at`: when the listing began, in seconds since 1970
    `images`, `problem`: the listing, and why it may be incomplete ("" if it is complete)
    `pending`: images without a result yet
    `job_bytes`: the known sizes of the files to download, by image key
    `not_found`: outcomes of images that got a 404, by image key, until their deletion is confirmed
    `suspects`: `not_found` of the first visit, which the second one decides
    `second`: the second visit, if there is one
    `is_partial`: some images are left out by --since or an earlier listing
    `only`: the kind of images to download, as in the settings
    `counts`: the results so far; a second visit adds to those of the first
    `to_download`, `to_download_bytes`: what a preview of this visit would download
    """

    def __init__(self, album: Album, seen: frozenset[str] | None = None, only: str = "") -> None:
        self.album = album
        self.only = only
        self.seen = seen
        self.folder = Path()
        self.album_record = NEW_ALBUM
        self.records: dict[str, FileRecord] = {}
        self.unavailable: dict[str, Unavailable] = {}
        self.on_disk = FilesOnDisk()
        self.keeps_metadata = False
        self.is_preview = False
        self.since = ""
        self.former_names: dict[str, str] = {}
        self.max_name_bytes = MAX_NAME_BYTES
        self.asks_again = False
        self.listed_at = 0.0
        self.images: list[Image] = []
        self.problem = ""
        self.pending = 0
        self.job_bytes: dict[str, int] = {}
        self.not_found: dict[str, Outcome] = {}
        self.suspects: dict[str, Outcome] = {}
        self.second: Visit | None = None
        self.is_partial = False
        self.counts: Counter[Result] = Counter()
        self.to_download = 0
        self.to_download_bytes = 0

    def again(self, seen: frozenset[str]) -> Visit:
        """Return the second visit to the album, for images not yet `seen`.

        Its results are added to those of this visit.
        """
        self.second = Visit(self.album, seen, self.only)
        self.second.counts = self.counts
        return self.second

    def has_file(self, name: str) -> bool:
        """Return True if the folder has this file, in any form of the name."""
        return self.on_disk.actual_name(name) in self.on_disk

    def on_disk_count(self) -> int:
        """Return how many of its images are on disk."""
        return sum(number for result, number in self.counts.items() if result.is_on_disk)


def matches(album: Album, folder: str, patterns: Iterable[str]) -> bool:
    """Return True if a shell pattern matches an album.

    It may match the name, path or folder, or a folder above. Case is ignored, and paths may begin
    and end with a slash. A pattern that equals a name always matches, even if it contains
    brackets. An ellipsis, as in a shortened name on the screen, matches any text.

    `folder`: the album's folder, relative to the output folder
    """
    texts = [collision_key(text) for text in names_to_match(album, folder)]
    for pattern in patterns:
        for text in {pattern, pattern.strip("/")}:
            wanted = collision_key(text)
            if wanted in texts or fnmatch.filter(
                texts, wanted.replace("\N{HORIZONTAL ELLIPSIS}", "*")
            ):
                return True
    return False


def names_to_match(album: Album, folder: str) -> list[str]:
    """Return the texts that may stand for an album.

    These are its name, paths and the folders above.
    """
    names = [album.name, album.url_path]
    for path in (album.url_path.strip("/"), folder):
        parts = path.split("/")
        names += ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return list(filter(None, names))


def selected(settings: Settings, albums: list[Album], recorded: Mapping[str, str]) -> list[Album]:
    """Return the albums that --album and --exclude select.

    Raise a Problem if a pattern of --album matches no album, or if no album is left.

    `recorded`: the folders of albums by album key. For other albums, the folder that they would
        get under the layout "album" is matched.
    """
    folders = {**album_folders(albums, recorded, album_folder), **recorded}
    for pattern in settings.album:
        if not any(matches(album, folders[album.key], [pattern]) for album in albums):
            raise Problem(unmatched_pattern("--album", pattern, albums, folders))
    for pattern in settings.exclude:
        if not any(matches(album, folders[album.key], [pattern]) for album in albums):
            log.warning("%s", unmatched_pattern("--exclude", pattern, albums, folders))
    chosen = []
    for album in albums:
        folder = folders[album.key]
        is_wanted = not settings.album or matches(album, folder, settings.album)
        if is_wanted and not matches(album, folder, settings.exclude):
            chosen.append(album)
    if albums and not chosen:
        raise Problem("--exclude matches every album, so nothing is left to download.")
    return chosen


def unmatched_pattern(
    option: str, pattern: str, albums: Iterable[Album], folders: Mapping[str, str]
) -> str:
    """Return the message for a pattern that matches no album.

    Only names that match when typed are suggested, quoted for a shell.
    """
    names: dict[str, str] = {}
    for album in albums:
        for text in names_to_match(album, folders[album.key]):
            shown = printable(text)
            if not shown.startswith("-") and matches(album, folders[album.key], [shown]):
                quoted = f'"{shown}"' if os.name == "nt" else shlex.quote(shown)
                names.setdefault(text.strip("/").casefold(), quoted)
    near = difflib.get_close_matches(pattern.strip("/").casefold(), names, 5, 0.5)
    advice = "--list shows all albums."
    if near:
        advice = f"Did you mean: {', '.join(names[name] for name in near)}?"
    return f"No album matches {option} {printable(pattern)!r}. {advice}"


def is_unchanged(visit: Visit, now: float) -> bool:
    """Return True if an album can be skipped, as described above."""
    if not visit.album.change_token or visit.album.change_token != visit.album_record.change_token:
        return False
    if any(unavailable.retry_at <= now for unavailable in visit.unavailable.values()):
        return False
    known = len(visit.unavailable)
    for key, record in visit.records.items():
        if record.removed:
            continue
        known += key not in visit.unavailable
        if not is_asked_for(record, visit.only):
            continue
        if not is_on_disk(record, visit.on_disk) or is_checksum_due(visit, record, now):
            return False
    has_all = known >= (visit.album.image_count or 0)
    return has_all or bool(visit.only)  # with --only, the record lacks the other kind


def albums_to_recheck(
    albums: Iterable[Album], known: Mapping[str, AlbumRecord], now: float
) -> frozenset[str]:
    """Return the keys of unchanged albums to list anyway, as described above.

    With nightly runs, each album is rechecked within a month.
    """
    listed_at = {}
    for album in albums:
        record = known.get(album.key)
        if record is not None and record.change_token == album.change_token:
            listed_at[album.key] = record.listed_at
    due = [key for key in listed_at if listed_at[key] <= now - RECHECK_SECONDS]
    due.sort(key=lambda key: (listed_at[key], key))
    count = math.ceil(len(listed_at) / ALBUMS_PER_RECHECK)
    return frozenset(due[:count])


def is_wanted(image: Image, since: str, seen: frozenset[str]) -> bool:
    """Return True if an image was uploaded `since` and not listed earlier."""
    return (image.uploaded[:19] or since) >= since and image.key not in seen


def sharing_texts(known: Mapping[str, AlbumRecord], album: Album) -> Album:
    """Return the album with the texts of its record where both are equal.

    Memory then holds each text once. An account may have 20,000 albums.

    `known`: the records of albums, by key
    """
    record = known.get(album.key, NEW_ALBUM)
    texts = {record.name: record.name, record.change_token: record.change_token}
    return album._replace(
        name=texts.get(album.name, album.name),
        change_token=texts.get(album.change_token, album.change_token),
    )


def asked_album(album: Album, record: AlbumRecord, only: str) -> Album:
    """Return an album with a change token for the files that --only selects.

    A token for photos says nothing about videos. The token of a complete album is valid for both.
    """
    if not only or album.change_token in ("", record.change_token):
        return album
    return album._replace(change_token=f"{album.change_token} {only}")


def shared_token(album: Album | AlbumRecord) -> str:
    """Return an album's change token without the kind that --only added."""
    return re.sub(" (photos|videos)$", "", album.change_token)


def is_asked_for(record: FileRecord, only: str) -> bool:
    """Return True if --only selects the kind of a recorded file."""
    if not only:
        return True
    is_video = split_extension(record.name)[1].lower() in VIDEO_EXTENSIONS
    return is_video == (only == "videos")


def may_have_uploads(album: Album, since: str) -> bool:
    """Return True if an album may hold images uploaded `since`.

    An upload changes the album's dates. One day is added as a margin.
    """
    changed = seconds_at(album.changed)
    asked = seconds_at(since)
    if asked is None or changed is None or not album.change_token:
        return True
    return changed > asked - DAY_SECONDS


def settled_token(visit: Visit) -> str:
    """Return the change token to record. Return "" if the listing may be out of date."""
    changed = seconds_at(visit.album.changed)
    if changed is None or changed > visit.listed_at - LISTING_LAG_SECONDS:
        return ""
    return visit.album.change_token


def plan_image(visit: Visit, image: Image, name: str, now: float) -> Outcome | Job:
    """Return a job for one image. Return the outcome if there is nothing to do.

    `name`: the file name to give an image that has no record
    `now`: seconds since 1970
    """
    record = visit.records.get(image.key)
    unavailable = visit.unavailable.get(image.key)
    is_waiting = unavailable is not None and not is_due(unavailable, image, now)
    if record is not None:
        record = agreed(record, image)
        record = record._replace(name=visit.on_disk.actual_name(record.name))
        outcome = settled_outcome(visit, image, record, now)
        if outcome is not None:
            return outcome
    if is_being_processed(image, now):
        reason = "SmugMug is still processing it"
        return Outcome(Result.PROCESSING, visit.album, image, reason=reason)
    if record is not None:
        if unavailable is not None:  # a file of this version is already beside this one
            record = record._replace(stated_md5="")
        return Job(visit.album, image, visit.folder, record.name, recorded=record)
    if unavailable is not None and is_waiting and image.remote is None:
        return Outcome(Result.UNAVAILABLE, visit.album, image, reason=unavailable.reason)
    adoptable = tuple(adoptable_names(visit, image, name))
    return Job(visit.album, image, visit.folder, name, adoptable=adoptable)


def settled_outcome(visit: Visit, image: Image, record: FileRecord, now: float) -> Outcome | None:
    """Return the outcome for a recorded image without work, or None.

    A file that was kept although SmugMug offered another one stays until the next retry, even if
    it is damaged.
    """
    unavailable = visit.unavailable.get(image.key)
    is_waiting = unavailable is not None and not is_due(unavailable, image, now)
    is_kept = unavailable is not None and is_offer_beside(image, record)
    is_present = is_on_disk(record, visit.on_disk)
    if record.damaged and is_kept:
        is_present = visit.has_file(record.name)
    if not is_present:
        return None
    is_same_version = is_version_of(record, image)
    if unavailable is not None and is_kept:
        if not is_waiting or visit.asks_again:
            return None
        reason = unavailable.reason
        result = Result.ALREADY_THERE
        return Outcome(result, visit.album, image, record, reason=reason, retry=True)
    is_best = record.is_original or image.is_video or is_waiting
    if record.damaged or not is_best or not is_same_version or is_checksum_due(visit, record, now):
        return None
    record = record._replace(serial=image.serial, removed=False)
    return Outcome(Result.ALREADY_THERE, visit.album, image, record)


def is_offer_beside(image: Image, record: FileRecord) -> bool:
    """Return True if SmugMug still offers the file that was saved beside the recorded one.

    The record of the image as unavailable says that there is one. A listing may lack its MD5, and
    it names no smaller copy of a photo. Without an MD5, a file that is larger than the recorded
    one is another offer.
    """
    is_best = record.is_original or image.is_video
    is_other = record.damaged or not is_version_of(record, image)
    if image.remote is None and is_best and is_other:
        return True
    is_same_offer = image.remote is None
    if image.remote is not None and image.remote.md5:
        is_same_offer = image.remote.md5 == record.stated_md5
    elif image.remote is not None:
        is_same_offer = (image.remote.size_bytes or 0) <= record.size_bytes
    return bool(record.stated_md5) and is_same_offer and (is_best or record.damaged)


def adoptable_names(visit: Visit, image: Image, name: str) -> Iterator[str]:
    """Yield the names of files in the folder that may be the image."""
    former_name = visit.former_names.get(image.key, name)
    for candidate in (name, fallback_name(image, name, visit.max_name_bytes), former_name):
        found = visit.on_disk.actual_name(candidate)
        if found in visit.on_disk:
            yield found


def is_on_disk(record: FileRecord, on_disk: FilesOnDisk) -> bool:
    """Return True if the recorded file is present, as written or as the user edited it.

    A file that iCloud Drive has evicted counts as present.
    """
    name = on_disk.actual_name(record.name)
    if record.damaged:
        return False
    if name not in on_disk:
        return on_disk.is_evicted(name)
    return not is_truncated(on_disk.folder, name, on_disk[name], record)


def is_truncated(folder: Path, name: str, size_bytes: int, record: FileRecord) -> bool:
    """Return True if a file lacks its end. It is then downloaded again.

    A file of another size is otherwise the user's version of the image, and is not downloaded
    again. The user or another program has written into it, for example to add or remove keywords.
    Only its end tells a shorter file from a truncated one. The timestamp does not: an interrupted
    copy has a new one, and some programs keep the old one when they remove metadata.
    """
    return size_bytes < record.size_bytes and not is_whole(folder / name)


def is_edited(record: FileRecord, on_disk: FilesOnDisk) -> bool:
    """Return True if a recorded file on disk has another size than when it was written."""
    if on_disk.get(record.name) == record.size_bytes:
        return False
    size_bytes = on_disk.get(on_disk.actual_name(record.name), record.size_bytes)
    return size_bytes != record.size_bytes and is_on_disk(record, on_disk)


def is_intact(record: FileRecord, on_disk: FilesOnDisk) -> bool:
    """Return True if the recorded file has its size and passed --verify."""
    size_bytes = on_disk.get(on_disk.actual_name(record.name))
    return size_bytes == record.size_bytes and not record.damaged


def is_version_of(record: FileRecord, image: Image) -> bool:
    """Return True if a recorded file is SmugMug's current version.

    The MD5 decides, or the serial if one MD5 is unknown.
    """
    if image.remote is not None and image.remote.md5 and record.md5:
        return image.remote.md5 in (record.md5, record.stated_md5)
    return record.serial == image.serial


def agreed(record: FileRecord, image: Image) -> FileRecord:
    """Return the record. Its `stated_md5` is cleared if SmugMug now states the file's own MD5.

    A damaged file has another MD5 than its record, and so has a file that the user changed. If
    SmugMug served wrong bytes for the copy of a changed file, `stated_md5` equals `md5`. Then it
    stays until the right bytes arrive.
    """
    is_own = image.remote is not None and image.remote.md5 == record.md5 != record.stated_md5
    if is_own and not record.damaged:
        return record._replace(stated_md5="", checksum_tries=0, checksum_retry_at=0.0)
    return record


def is_checksum_due(visit: Visit, record: FileRecord, now: float) -> bool:
    """Return True if a file that contradicts SmugMug's checksum is due for another request."""
    if not record.stated_md5 or visit.asks_again:
        return bool(record.stated_md5)
    return record.image_key not in visit.unavailable and record.checksum_retry_at <= now


def is_due(unavailable: Unavailable, image: Image, now: float) -> bool:
    """Return True if an unavailable image is due for another request."""
    return unavailable.serial != image.serial or unavailable.retry_at <= now


def is_being_processed(image: Image, now: float) -> bool:
    """Return True if SmugMug will have the image's file later.

    A photo that already has a file is downloaded at once. After a day, the file is requested
    anyway, because some videos stay in processing forever.
    """
    uploaded = seconds_at(image.uploaded)
    is_recent = uploaded is None or now - uploaded < DAY_SECONDS
    return image.processing and is_recent and (image.is_video or image.remote is None)


def unavailable_after(
    outcome: Outcome, before: Unavailable | None, now: float
) -> Unavailable | None:
    """Return the new record of an image without SmugMug's file.

    Return None if there is nothing to retry. Videos are never originals.
    """
    image = outcome.image
    file = outcome.file
    is_settled = file is None or file.is_original or image.is_video
    if outcome.result is not Result.UNAVAILABLE and is_settled and not outcome.retry:
        return None
    tries = 0
    if before is not None and before.serial == image.serial:
        if before.retry_at > now:
            return before._replace(reason=outcome.reason or before.reason)
        tries = before.tries + 1
    name = image.file_name or image.key
    retry_at = retry_time(tries, now)
    return Unavailable(image.key, image.serial, name, outcome.reason, tries, retry_at)


def retry_time(tries: int, now: float) -> float:
    """Return when to request again. The interval doubles from one day to 30 days."""
    return now + min(UNAVAILABLE_SECONDS, DAY_SECONDS * 2.0 ** min(tries, 9))


def without_metadata(visit: Visit, image: Image) -> Image:
    """Return the image with the fields that this visit needs. An album may hold 100,000 images.

    Only sidecars need the texts, and only downloads the remote file and the name.
    """
    if visit.keeps_metadata:
        return image
    image = image._replace(title="", caption="", keywords=(), web_uri="", location=None)
    if visit.is_preview:  # requests no file and sets no timestamp
        remote = image.remote and image.remote._replace(url="")
        image = image._replace(taken="", remote=remote)
    record = visit.records.get(image.key)
    if record is None or not record.is_original or record.serial != image.serial:
        return image
    if record.stated_md5 or record.removed or image.key in visit.unavailable:
        return image
    if is_on_disk(record, visit.on_disk) and is_version_of(record, image):
        return image._replace(
            key=record.image_key,  # equal, so memory holds this text once
            file_name="",
            remote=None,
            original_size_bytes=None,
            uploaded=image.uploaded if visit.since else "",
            taken="",
            width=0,
            height=0,
        )
    return image


def fallback_name(image: Image, name: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return an image's name if a file that must stay has `name`."""
    if split_extension(name)[0].endswith("_" + image.key):
        return with_suffix(name, f"-{image.serial or 2}", max_bytes)
    return with_suffix(name, f"_{image.key}", max_bytes)


# -------------------------------------------------------------------------------------------------
# 13. What is already here: files by content, moved album folders, and originals elsewhere.
#    Uses the download record and the disk. Sends no requests.
# -------------------------------------------------------------------------------------------------

HASHED_AT_ONCE = 8  # threads that may hash files at the same time
MD5_FILTER_BYTES = 1 << 20  # with more than a million files, most lookups need a query anyway
UNREADABLE = "unreadable"  # stands for the MD5 of a file that could not be hashed
ADDED_AT_ONCE = 500  # recorded files inserted into the index together
WALK_STEP = 500  # files between two updates of the progress line
NAMED_FOLDERS = 3  # how many unreadable folders a warning names
MANY_MISSING = 10  # fewer missing files cause no warning, because the user may have deleted them
RECORDS_TO_LOCATE = 50  # how many of its files are used to find a moved folder


class Copy(NamedTuple):
    """A file that should have the content of an image.

    `may_link`: a hard link to this file can be used instead of a copy
    """

    path: Path
    md5: str
    is_original: bool
    may_link: bool = False


class ContentIndex:
    """An index by content of the files on this disk. Files in it are not downloaded again.

    It holds the recorded files, other files in the output folder, which the user may have moved,
    and the files in the --originals folders. The record has the MD5s of recorded files. Other
    files are hashed when a file of their size is needed. Any thread may call `find` and `add`.

    The index is a temporary database, because there may be millions of files. A filter in memory
    spares most queries for a new MD5. If the temporary folder is full, the index is not used, and
    the run downloads instead of copying.

    `show`: shows a text on the progress line
    `originals`: folders outside the output folder; they are never written to
    `links`: copies may be hard links
    """

    def __init__(
        self,
        output: Path,
        show: Callable[[str], None],
        originals: Sequence[Path] = (),
        links: bool = False,
    ) -> None:
        self.output = output
        self.show = show
        self.originals = originals
        self.links = links
        self._is_filled = False
        self._is_failed = False
        self._has_unknown = False  # True if a file's MD5 is unknown
        self._filter = bytearray(MD5_FILTER_BYTES)  # not 0 where an MD5 is in the index
        self._added: list[tuple[Any, ...]] = []  # rows for the next statement to insert
        self._lock = threading.Lock()
        # One lock for each group of sizes, so that each file is read once.
        self._hashing = [threading.Lock() for _ in range(HASHED_AT_ONCE)]
        self._files = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._execute("PRAGMA journal_mode = OFF")
        self._execute(
            "CREATE TABLE file (path BLOB PRIMARY KEY, size_bytes INTEGER, md5 TEXT, "
            "version TEXT, is_original INTEGER) WITHOUT ROWID"
        )

    def fill(self, database: Database) -> None:
        """Find all files, once in a run."""
        if self._is_filled:
            return
        self._is_filled = True
        self._execute("BEGIN")
        self._fill_from_output(database)
        for folder in self.originals:
            self._fill_from_originals(Path(os.path.realpath(str(folder))), database)
        self._execute("COMMIT")
        for column in ("md5", "version"):
            self._execute(f"CREATE INDEX 'by {column}' ON file ({column})")

    def _fill_from_output(self, database: Database) -> None:
        """Add the files in the output folder.

        These are the recorded ones and others that are not hidden. SQLite's own files are hidden
        and left out. Opening them would drop the lock on the record.
        """
        folders = {album.folder: key for key, album in database.albums().items()}
        entries: dict[Path, dict[str, str]] = {}
        albums = {
            str(album_path(self.output, folder, folders, entries)): key
            for folder, key in folders.items()
        }
        walk = Walk(self.output)
        folder = ""
        records: dict[str, FileRecord] = {}
        for number, entry in enumerate(walk.files()):
            if number % WALK_STEP == 0:
                self.show(f"Reading the files on disk: {number:,}")
                database.commit_if_due()
            if os.path.dirname(entry.path) != folder:
                folder = os.path.dirname(entry.path)
                files = database.files(albums.get(folder, "")).values()
                records = {file.name: file for file in files}
            record = records.get(entry.name)
            if record is not None:
                self.add(Path(entry.path), record)
            elif not entry.name.startswith("."):
                self._add_unknown(entry)

    def _fill_from_originals(self, originals: Path, database: Database) -> None:
        """Add the files in an --originals folder. Those in the output folder are left out."""
        walk = Walk(originals, skip=os.path.realpath(str(self.output)))
        for number, entry in enumerate(walk.files()):
            if number % WALK_STEP == 0:
                self.show(f"Reading the originals: {number:,} files in {printable(originals)}")
                database.commit_if_due()
            if not entry.name.startswith("."):
                self._add_unknown(entry)
        if walk.unreadable:
            named = "; ".join(walk.unreadable[:NAMED_FOLDERS])
            log.warning(
                "%s in %s cannot be read and will be skipped: %s",
                counted(len(walk.unreadable), "folder"),
                printable(originals),
                named,
            )

    def _add_unknown(self, entry: os.DirEntry[str]) -> None:
        """Add a file whose content is unknown, unless it is empty."""
        with suppress(OSError):
            size_bytes = entry.stat(follow_symlinks=False).st_size
            if size_bytes:
                self._has_unknown = True
                values = (os.fsencode(entry.path), size_bytes, "", "", True)
                self._execute("INSERT OR IGNORE INTO file VALUES (?, ?, ?, ?, ?)", *values)

    def add(self, path: Path, record: FileRecord) -> None:
        """Add a recorded file.

        Damaged files and paths that the locale cannot encode are left out.
        """
        encoded = b""
        with suppress(UnicodeError):
            encoded = os.fsencode(str(path))
        if encoded and not (record.damaged or self._is_failed):
            self._has_unknown |= not record.md5
            self._filter[filter_place(record.md5)] = 1
            version = f"{record.image_key}-{record.serial}"
            values = (encoded, record.size_bytes, record.md5, version, record.is_original)
            with self._lock:
                self._added.append(values)
            if len(self._added) >= ADDED_AT_ONCE:
                self._execute("SELECT 1")  # any statement inserts them

    def of_size(self, size_bytes: int | None) -> list[Path]:
        """Return the paths of all files of this size."""
        self._sort_by_size()
        rows = self._execute("SELECT path FROM file WHERE size_bytes = ?", size_bytes)
        return [Path(os.fsdecode(path)) for (path,) in rows]

    def find(self, image: Image, stop: Stop) -> list[Copy]:
        """Return the files that should have the content of an image.

        The MD5 decides, or the version of the image if SmugMug states no MD5. Recorded files come
        first.
        """
        columns = "path, md5, is_original, version != ''"
        if image.remote is not None and image.remote.md5:
            if image.remote.size_bytes and self._has_unknown:
                self._hash_files_of_size(image.remote.size_bytes, stop)
            if not self._filter[filter_place(image.remote.md5)]:
                return []
            rows = self._execute(f"SELECT {columns} FROM file WHERE md5 = ?", image.remote.md5)
        else:
            version = f"{image.key}-{image.serial}"
            rows = self._execute(
                f"SELECT {columns} FROM file WHERE version = ? AND md5 != ''", version
            )
        copies = []
        for path, md5, is_original, is_recorded in sorted(rows, key=lambda row: -row[-1]):
            if is_original or image.is_video:
                may_link = self.links and bool(is_recorded)
                copies.append(Copy(Path(os.fsdecode(path)), md5, bool(is_original), may_link))
        return copies

    def _hash_files_of_size(self, size_bytes: int, stop: Stop) -> None:
        """Hash each file of this size with an unknown MD5, once per run."""
        self._sort_by_size()
        with self._hashing[size_bytes % HASHED_AT_ONCE]:
            for (path,) in self._execute(
                "SELECT path FROM file WHERE size_bytes = ? AND md5 = ''", size_bytes
            ):
                md5 = UNREADABLE
                with suppress(OSError):
                    md5 = file_md5(Path(os.fsdecode(path)), stop)
                    self._filter[filter_place(md5)] = 1
                self._execute("UPDATE file SET md5 = ? WHERE path = ?", md5, path)

    def _sort_by_size(self) -> None:
        """Make the index by size, which most runs do not need."""
        self._execute("CREATE INDEX IF NOT EXISTS 'by size' ON file (size_bytes, md5)")

    def _execute(self, statement: str, *values: Any) -> list[Any]:
        """Insert the rows that were added, and return the rows of a statement.

        There are none if the temporary folder cannot hold the index.
        """
        with self._lock:
            if self._is_failed:
                return []
            added, self._added = self._added, []
            try:
                if added:
                    insert = "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)"
                    self._files.executemany(insert, added)
                return self._files.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                self._is_failed = True
                log.warning(
                    "The index of the files on disk does not fit into the temporary folder (%s). "
                    "Files that could be copied are downloaded instead. Free some space there, "
                    "or set TMPDIR to a folder on a larger disk.",
                    error,
                )
                return []

    def give_up_links(self, folder: Path, error: OSError) -> None:
        """Copy from now on, because the disk cannot link. Say so once."""
        if self.links:
            self.links = False
            log.info(
                "%s does not support hard links (%s). Files are copied instead.",
                printable(folder),
                error.strerror or error,
            )


def filter_place(md5: str) -> int:
    """Return the place of an MD5 in the index's filter. Unknown MD5s share the first one."""
    return int(md5[:6], 16) % MD5_FILTER_BYTES if len(md5) == 32 else 0


class Walk:
    """The regular files below a folder. Links and hidden folders are not followed.

    Only one folder is open at a time, and no list of files is kept. `unreadable` names the folders
    that could not be read, with the reason.

    `skip`: the path of a folder to leave out
    """

    def __init__(self, folder: Path, skip: str = "") -> None:
        self.unreadable: list[str] = []
        self._folders = [str(folder)]
        self._skip = skip

    def files(self) -> Iterator[os.DirEntry[str]]:
        """Yield the files, folder by folder."""
        while self._folders:
            folder = self._folders.pop()
            try:
                with os.scandir(folder) as entries:
                    yield from filter(self._is_file, entries)
            except OSError as error:
                self.unreadable.append(f"{printable(folder)} ({error.strerror or error})")

    def _is_file(self, entry: os.DirEntry[str]) -> bool:
        """Return True if an entry is a file. Keep a folder for later."""
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.path != self._skip:
                    self._folders.append(entry.path)
                return False
            return entry.is_file(follow_symlinks=False)
        return False


def readable_chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file in pieces, as far as it is readable."""
    with suppress(OSError), open(str(path), "rb", buffering=0) as file:
        yield from chunks_of(file)


def follow_moved_folders(database: Database, index: ContentIndex, stop: Stop) -> dict[str, str]:
    """Find album folders that the user moved within the output folder. Record their new paths.

    Return the new paths by album key. Warn if many recorded files are missing.
    """
    moved = {}
    albums = database.albums()
    entries: dict[Path, dict[str, str]] = {}
    taken = {".", *(album.folder for album in albums.values())}
    missing = 0
    for album_key, album in albums.items():
        index.show("Looking for the album folders ...")
        if not is_missing(album_path(index.output, album.folder, taken, entries)):
            continue
        records = [file for file in database.files(album_key).values() if not file.removed]
        if not records:
            continue
        index.fill(database)
        found = moved_folder(index, album.folder, taken, records, stop)
        if found is None:
            missing += len(records)
            continue
        log.info("Album folder %s was moved to %s.", printable(album.folder), printable(found))
        taken.add(found)
        database.save(album_key, album._replace(folder=found))
        moved[album_key] = found
    if missing >= MANY_MISSING:
        log.warning(
            "%s are missing. A run without --album, --exclude and --since downloads them again.",
            counted(missing, "downloaded file"),
        )
    return moved


def moved_folder(
    index: ContentIndex, old: str, taken: set[str], records: list[FileRecord], stop: Stop
) -> str | None:
    """Return the folder that an album was moved to, or None.

    It contains at least half of the album's files by name and size, one of them with the recorded
    MD5.

    `old`: the former folder; a folder with the same name is preferred
    `taken`: folders of other albums
    """
    folders = set()
    for record in records[:RECORDS_TO_LOCATE]:
        for path in index.of_size(record.size_bytes):
            if collision_key(path.name) == collision_key(record.name):
                folders.add(path.parent)
    old_name = old.rpartition("/")[2]
    for folder in sorted(folders, key=lambda folder: (folder.name != old_name, str(folder))):
        if index.output not in folder.parents:
            continue
        found = folder.relative_to(index.output).as_posix()
        with suppress(OSError, UnicodeError):
            found.encode("utf-8")  # the record cannot store other names
            if found not in taken and has_album(folder, records, stop):
                return found
    return None


def has_album(folder: Path, records: list[FileRecord], stop: Stop) -> bool:
    """Return True if a folder has half of these files. One of them must have the recorded MD5."""
    on_disk = files_in(folder)
    present = [record for record in records if is_intact(record, on_disk)]
    if len(present) * 2 < len(records):
        return False
    return any(
        file_md5(folder / on_disk.actual_name(record.name), stop) == record.md5
        for record in present
    )


# -------------------------------------------------------------------------------------------------
# 14. Transfer: turn one job into one outcome, by way of a part file that is checked and renamed.
#    Uses the connection, the disk, and the index of what is already here. Independent of the
#    download record, the summary and the screen.
#
#    An image whose file is already on this disk is adopted or copied. Any other is downloaded. An
#    existing file is overwritten only if this program wrote it and it is unchanged, or if it is a
#    truncated copy of the new one. Otherwise, it is kept and the new file is saved beside it.
# -------------------------------------------------------------------------------------------------

# Free space to keep. A video that does not fit is skipped, because photos may still fit. A photo
# ends the run if it does not fit and less than PHOTO_BYTES is free.
RESERVED_BYTES = 1 << 20
PHOTO_BYTES = 32 << 20

# Limits of a body whose length is not announced. One that exceeds them has no end, and its file
# fails. A stated size may be wrong, so twice the size and some more is accepted. SmugMug takes
# photos of up to 500 MB and videos of up to 3 GB; this is the limit for files without a size.
MORE_THAN_STATED_BYTES = 64 << 20
LARGEST_PHOTO_BYTES = 512 << 20
LARGEST_VIDEO_BYTES = 4 << 30


def transfer(
    job: Job, index: ContentIndex, connection: Connection, naming_lock: threading.Lock, stop: Stop
) -> Outcome:
    """Put one image on disk and return the outcome, even for a failure.

    HandBack is passed on. Stopped and Problems that affect all images are passed on, too; they end
    the run.

    `naming_lock`: held while a file is renamed, so that no two files get the same name
    """
    if not os.path.exists(str(index.output / RECORD_FILE)):
        raise Problem(
            f"{printable(index.output)} disappeared during the run. Is the disk still connected?"
        )
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        return (
            adopt_listed(job, stop)
            or copy_existing(job, index, naming_lock, stop)
            or download(job, index, connection, naming_lock, stop)
        )
    except RequestFailed as error:
        if error.status == 404 and is_gone(connection, job.image):
            return Outcome(
                Result.DELETED,
                job.album,
                job.image,
                reason="its album still lists it",
                album_count=fetch_image_count(connection, job.album),
            )
        reason = str(error)
    except Damaged as error:
        reason = str(error)
    except (Problem, Stopped, HandBack):
        raise
    except UnicodeError as error:
        reason = str(disk_problem(error, job.folder / job.name))
    except OSError as error:
        reason = disk_reason(error, job)
    except Exception as error:  # of any kind; it affects only this image
        log.debug("Unexpected exception", exc_info=True)
        reason = (
            f"{type(error).__name__}: {printable(str(error))}. This is a bug. Please report it "
            f"with the output of -v and of --diagnose (see Development in README.md)"
        )
    return Outcome(Result.FAILED, job.album, job.image, reason=reason)


def disk_reason(error: OSError, job: Job) -> str:
    """Return why the disk did not store an image. Raise DiskFull if no other image would fit."""
    problem = disk_problem(error, job.folder / job.name)
    if not isinstance(problem, DiskFull):
        return str(problem)
    needed_bytes = RESERVED_BYTES if job.image.is_video else PHOTO_BYTES
    free_bytes: int | None = 0  # a quota shows no free space
    if error.errno == errno.ENOSPC:
        free_bytes = free_space(job.folder)
    if free_bytes is None:
        free_bytes = RESERVED_BYTES  # unknown; photos may fit even if a video does not
    if free_bytes < needed_bytes:
        raise problem from None
    return f"{error.strerror}; nothing already downloaded is lost"


def is_video_name(name: str) -> bool:
    """Return True if a file name has a video's extension."""
    return split_extension(name)[1].lower() in VIDEO_EXTENSIONS


def adopt_listed(job: Job, stop: Stop) -> Outcome | None:
    """Adopt an existing file that has the MD5 in SmugMug's listing."""
    remote = job.image.remote
    if remote is None:
        return None
    return adopt(job, remote.md5, remote.is_original, stop)


def adopt(job: Job, md5: str | None, is_original: bool, stop: Stop) -> Outcome | None:
    """Adopt an existing file with this MD5, which proves its content.

    It is the user's file and is never overwritten.
    """
    if not md5:
        return None
    for name in job.adoptable:
        with suppress(OSError):
            path = job.folder / name
            if file_md5(path, stop) == md5:
                record = file_record(job.image, path, md5, is_original)
                return Outcome(Result.ADOPTED, job.album, job.image, record)
    return None


def looks_adoptable(job: Job) -> bool:
    """Return True if a file may be the image. It has the right size, and an MD5 can prove it."""
    remote = job.image.remote
    if remote is None or not remote.md5:
        return False
    for name in job.adoptable:
        with suppress(OSError):
            if remote.size_bytes in (None, (job.folder / name).stat().st_size):
                return True
    return False


def copy_existing(
    job: Job, index: ContentIndex, naming_lock: threading.Lock, stop: Stop
) -> Outcome | None:
    """Copy the image from elsewhere on this disk. Return None if there is no intact copy."""
    for copy in index.find(job.image, stop):
        if copy.path == job.folder / job.name or not is_file(copy.path):
            continue
        linked = link_existing(job, copy, index, naming_lock, stop)
        if linked is not None:
            return linked
        with closing(PartFile(job.folder / part_name(job.image, copy.md5))) as part:
            part.restart()
            for chunk in readable_chunks(copy.path):
                stop.pause(0)
                part.write(chunk)
            if part.md5() == copy.md5:
                return move_into_place(job, copied(part, copy, job.image), naming_lock)
            part.restart()
    return None


def link_existing(
    job: Job, copy: Copy, index: ContentIndex, naming_lock: threading.Lock, stop: Stop
) -> Outcome | None:
    """Give an intact file a second name as the image's file.

    Return None if it should be copied instead: without --hard-links, if the file is the user's, or
    if the disk cannot link. Its timestamp is unchanged, because both names share it.
    """
    if not copy.may_link or not index.links or not has_md5(copy.path, copy.md5, stop):
        return None
    # This is not the name of a part file, because a later run would write into that.
    path = job.folder / f".{job.image.key}-link{PART_SUFFIX}"
    try:
        remove(path)
        os.link(str(copy.path), str(path))
    except OSError as error:
        index.give_up_links(job.folder, error)
        return None
    with closing(LinkedFile(path, copy.md5)) as linked:
        return move_into_place(job, copied(linked, copy, job.image), naming_lock)


def copied(part: PartFile | LinkedFile, copy: Copy, image: Image) -> NewFile:
    """Return a copy of an image's file as a new file. Videos are never originals."""
    remote = image.remote
    is_original = copy.is_original and not image.is_video
    is_original = is_original and (remote is None or remote.is_original)
    is_full = remote is not None and remote.is_full
    return NewFile(part, Result.COPIED, is_original, is_full)


def has_md5(path: Path, md5: str, stop: Stop) -> bool:
    """Return True if a file is readable and has this MD5."""
    with suppress(OSError):
        return file_md5(path, stop) == md5
    return False


class LinkedFile:
    """A second name of a complete file. It is moved into place like a part file."""

    def __init__(self, path: Path, md5: str) -> None:
        self.path = path
        self.size_bytes = path.stat().st_size
        self._md5 = md5

    def finish(self, modified: float | None) -> None:
        """Keep the timestamp, which belongs to the other name as well."""

    def md5(self) -> str:
        """Return the MD5 of the file."""
        return self._md5

    def close(self) -> None:
        """Remove the name, if it is still there."""
        with suppress(OSError):
            remove(self.path)


def download(
    job: Job,
    index: ContentIndex,
    connection: Connection,
    naming_lock: threading.Lock,
    stop: Stop,
) -> Outcome:
    """Download an image, unless the file on disk is what SmugMug offers.

    Raise RequestFailed, Damaged, or OSError.
    """
    image = job.image
    recorded = job.recorded
    remote = image.remote or find_remote(connection, image)
    if remote is None and is_gone(connection, image):
        raise RequestFailed("SmugMug no longer has it", status=404)
    if remote is None:
        reason = "SmugMug offers no downloadable file"
        return Outcome(Result.UNAVAILABLE, job.album, image, reason=reason)
    if recorded is not None and is_still_the_best(recorded, remote, job):
        record = recorded._replace(serial=image.serial, removed=False)
        return Outcome(Result.ALREADY_THERE, job.album, image, record)
    if image.remote is None:  # its MD5 became known only now
        known = job._replace(image=image._replace(remote=remote))
        existing = adopt(job, remote.md5, remote.is_original, stop) or copy_existing(
            known, index, naming_lock, stop
        )
        if existing is not None:
            return existing._replace(image=image)
    with closing(PartFile(job.folder / part_name(image, remote.md5 or ""))) as part:
        try:
            refuse_too_large(remote, part, job.folder)
            accepted_md5 = recorded.md5 if recorded is not None and recorded.stated_md5 else ""
            fetch(remote, part, image, connection, stop, accepted_md5)
        except OSError as error:
            if error.errno == errno.ENOSPC:  # smaller files may fit
                part.restart()
            raise
        md5 = stated_md5(remote, part)
        new = NewFile(part, Result.DOWNLOADED, remote.is_original, remote.is_full, md5)
        outcome = already_known(job, new, connection.now(), stop)
        if outcome is not None:
            part.restart()  # closing it then deletes it
        else:
            outcome = move_into_place(job, new, naming_lock)
            if outcome.file is not None and not new.is_proven():
                retry_at = retry_time(0, connection.now())
                record = outcome.file._replace(checksum_retry_at=retry_at)
                outcome = outcome._replace(file=record)
        return outcome._replace(downloaded_bytes=part.received_bytes)


def already_known(job: Job, new: NewFile, now: float, stop: Stop) -> Outcome | None:
    """Return the outcome if a downloaded file changes nothing, or None.

    Without a stated MD5, only the download shows whether an existing file is the image. A file
    that contradicts SmugMug's checksum stays if another download contradicts it, too.
    """
    if job.recorded is None:
        return adopt(job, new.part.md5(), new.is_original, stop)
    record = job.recorded
    if new.is_proven() or record.serial != job.image.serial:
        return None
    if record.damaged or not is_present(job.folder / record.name, record):
        return None
    tries = record.checksum_tries + 1
    record = record._replace(
        removed=False,
        stated_md5=new.stated_md5,
        checksum_tries=tries,
        checksum_retry_at=retry_time(tries, now),
    )
    return Outcome(Result.ALREADY_THERE, job.album, job.image, record)


def refuse_too_large(remote: RemoteFile, part: PartFile, folder: Path) -> None:
    """Raise OSError if the disk has no space for the rest of a part file."""
    missing_bytes = (remote.size_bytes or 0) - part.size_bytes
    if missing_bytes <= RESERVED_BYTES:
        return
    free_bytes = free_space(folder)
    if free_bytes is not None and missing_bytes > free_bytes:
        raise OSError(errno.ENOSPC, f"Not enough space for {missing_bytes / 1e6:,.1f} MB")


def file_record(
    image: Image, path: Path, md5: str, is_original: bool, is_written: bool = False
) -> FileRecord:
    """Return the record of an image's file.

    A file that differs in size from the original is not the original, unless it has its MD5.

    `is_written`: this program wrote the file and its timestamp
    """
    status = path.stat()
    return FileRecord(
        image_key=image.key,
        serial=image.serial,
        name=path.name,
        size_bytes=status.st_size,
        md5=md5,
        modified_ns=status.st_mtime_ns if is_written else 0,
        is_original=is_original and is_full_size(image, md5, status.st_size),
    )


def is_full_size(image: Image, md5: str, size_bytes: int) -> bool:
    """Return True unless a file is a smaller copy. The MD5 decides, then the size."""
    if image.remote is not None and image.remote.is_original and image.remote.md5 == md5:
        return True
    return image.original_size_bytes in (None, size_bytes)


def is_still_the_best(record: FileRecord, remote: RemoteFile, job: Job) -> bool:
    """Return True if SmugMug offers nothing better than the smaller copy on disk.

    Without an MD5, a copy of the same version and size counts as the same.
    """
    if record.is_original or record.damaged:
        return False
    if remote.md5:
        is_same = record.md5 == remote.md5
    else:
        is_same = (record.serial, record.size_bytes) == (job.image.serial, remote.size_bytes)
    return is_same and is_present(job.folder / record.name, record)


def is_present(path: Path, record: FileRecord) -> bool:
    """Return True if the recorded file is at `path`, as written or as the user edited it."""
    if not is_file(path):
        return False
    return not is_truncated(path.parent, path.name, os.path.getsize(str(path)), record)


class NewFile(NamedTuple):
    """A complete file that still has its part file's name.

    `result`: the image's result, unless it replaces a file
    `is_full`: False for a video that may be a smaller rendition
    `stated_md5`: the MD5 that SmugMug states for it; "" if it states none
    """

    part: PartFile | LinkedFile
    result: Result
    is_original: bool
    is_full: bool
    stated_md5: str = ""

    def is_proven(self) -> bool:
        """Return True unless the content contradicts the stated MD5."""
        return self.stated_md5 in ("", self.part.md5())


class Landing(enum.Enum):
    """The treatment of a file that has the new file's name."""

    REPLACE = enum.auto()  # it is a truncated copy, or unchanged since this program wrote it
    SET_ASIDE = enum.auto()  # the current file is damaged and gets another name
    BESIDE = enum.auto()  # the current file is the user's; the new one gets another name
    KEEP = enum.auto()  # as BESIDE, and the current file stays the album's file


def move_into_place(job: Job, new: NewFile, naming_lock: threading.Lock) -> Outcome:
    """Give a complete file its name, beside any file that must stay.

    The outcome holds the new record and says which file was kept. The decision may take long,
    because files are compared. So it is made without the lock, and again if the current file
    changed meanwhile.
    """
    new.part.finish(file_time(job.image))
    path = job.folder / job.name
    while True:
        stamp = file_stamp(path)
        landing = choose_landing(path, job, new) if stamp else Landing.REPLACE
        twin = file_beside(path, job.image, new) if landing is Landing.KEEP else None
        with naming_lock:
            if file_stamp(path) != stamp:
                continue
            if landing is Landing.KEEP:
                return keep_recorded(job, new, twin)
            return land(job, new, landing)


def choose_landing(path: Path, job: Job, new: NewFile) -> Landing:
    """Return what to do with a new file, given the file at `path`."""
    recorded = job.recorded
    md5 = new.part.md5()
    is_safe = recorded is None or not recorded.damaged or recorded.md5 == md5
    if recorded is not None and not may_take_over(recorded, job.image, new):
        return Landing.KEEP
    if may_replace(path, new.part.path, recorded):
        # A damaged file that may be replaced is intact again, so different bytes are saved beside
        # it.
        return Landing.REPLACE if is_safe else Landing.BESIDE
    if recorded is not None and is_decayed(path, recorded):
        return Landing.SET_ASIDE
    return Landing.BESIDE


def may_take_over(recorded: FileRecord, image: Image, new: NewFile) -> bool:
    """Return True if a new file may replace the recorded one as the album's file.

    It has to be at least as good. So bytes that contradict SmugMug's checksum never replace a
    file, and a smaller or re-encoded copy never replaces an original.

    With an unchanged serial, different bytes never replace a file, unless the current file is
    damaged, or they have the checksum that it lacks. Only a video may be replaced by a larger one,
    because SmugMug may serve a smaller rendition until it has encoded the full one.

    With a new serial, a video that is smaller than the current one may be such a rendition, too.
    It takes over only if it is full: SmugMug has processed it, and its longer side is that of the
    uploaded video or the longest that SmugMug serves. Otherwise it is saved beside the current
    file, which stays until SmugMug offers a larger one or the user removes it.
    """
    size_bytes, md5 = new.part.size_bytes, new.part.md5()
    if md5 == recorded.md5:
        return True
    is_original = new.is_original and is_full_size(image, md5, size_bytes)
    if not new.is_proven() or (recorded.is_original and not is_original):
        return False
    if recorded.damaged or (is_original and not recorded.is_original):
        return True
    if image.is_video and size_bytes > recorded.size_bytes:
        return True
    if recorded.serial == image.serial and image.serial:
        return md5 == recorded.stated_md5
    return new.is_full or not image.is_video or size_bytes == recorded.size_bytes


def land(job: Job, new: NewFile, landing: Landing) -> Outcome:
    """Give a new file its name, and return its outcome."""
    image = job.image
    path = job.folder / job.name
    result = new.result
    note = ""
    if landing is Landing.SET_ASIDE:
        aside = free_path(path, "-damaged")
        rename(path, aside)
        note = f"the damaged file was kept as {aside.name}"
    elif landing is Landing.BESIDE:
        beside = fallback_name(image, job.name, name_limit(job.folder))
        path = free_path(job.folder / beside, "")
        note = (
            f"{job.name} was changed or added here, so it was kept; "
            f"SmugMug's version is {path.name}"
        )
    if is_outdated(job) and is_occupied(job.folder / job.name):
        result = Result.REPLACED if result is Result.DOWNLOADED else result
    rename(new.part.path, path)
    record = file_record(image, path, new.part.md5(), new.is_original, is_written=True)
    if not new.is_proven():
        record = record._replace(stated_md5=new.stated_md5)
    return Outcome(result, job.album, image, record, reason=note)


def is_outdated(job: Job) -> bool:
    """Return True if the recorded file is another version. A contradicted checksum also counts."""
    recorded = job.recorded
    if recorded is None:
        return False
    return bool(recorded.stated_md5) or not is_version_of(recorded, job.image)


def keep_recorded(job: Job, new: NewFile, twin: Path | None) -> Outcome:
    """Put a new file beside the recorded one, which remains the album's file.

    `twin`: a file with the same content that is already beside it
    """
    assert job.recorded is not None
    name = fallback_name(job.image, job.name, name_limit(job.folder))
    beside = twin or free_path(job.folder / name, "")
    if twin is None:
        rename(new.part.path, beside)
    else:
        remove(new.part.path)
    record = job.recorded._replace(removed=False)
    is_smaller = record.is_original and not new.is_original
    if job.image.remote is not None and not is_smaller:
        md5 = job.image.remote.md5 or new.stated_md5 or new.part.md5()
        record = record._replace(stated_md5=md5)
    reason = f"SmugMug offers a different file that is no better; it was saved as {beside.name}"
    if is_smaller:
        reason = f"SmugMug offers only a smaller copy; it was saved as {beside.name}"
    elif job.image.is_video and new.part.size_bytes < record.size_bytes:
        reason = (
            f"SmugMug offers a smaller video; it was saved as {beside.name}. "
            "If it is the right one, delete the larger one"
        )
    result = Result.ALREADY_THERE
    return Outcome(result, job.album, job.image, record, reason=reason, retry=True)


def file_beside(path: Path, image: Image, new: NewFile) -> Path | None:
    """Return the file beside `path` with the new file's content, or None."""
    fallback = fallback_name(image, path.name, name_limit(path.parent))
    for name in alternatives(fallback, "", "-"):  # pragma: no branch: they never end
        beside = path.with_name(name)
        if not is_occupied(beside):
            break
        with suppress(OSError):
            is_as_large = beside.stat().st_size == new.part.size_bytes
            if is_as_large and file_md5(beside) == new.part.md5():
                return beside
    return None


def may_replace(path: Path, part: Path, recorded: FileRecord | None) -> bool:
    """Return True if a complete file may take the name `path` without loss.

    It may replace a truncated copy of itself, and an unchanged file that this program wrote. An
    unreadable file stays.
    """
    try:
        if path.is_symlink() or not path.is_file():
            return False
        if is_beginning_of(path, part):
            return True
        is_written = recorded is not None and recorded.modified_ns != 0
        return recorded is not None and is_written and file_md5(path) == recorded.md5
    except OSError:
        return False


def is_decayed(path: Path, record: FileRecord) -> bool:
    """Return True if a damaged file has kept its size and timestamp.

    In that case no program wrote to it, and the disk damaged it.
    """
    found = os.lstat(str(path))
    is_same = is_same_time(found.st_mtime_ns, record.modified_ns)
    return record.damaged and found.st_size == record.size_bytes and is_same


def fetch(
    remote: RemoteFile,
    part: PartFile,
    image: Image,
    connection: Connection,
    stop: Stop,
    accepted_md5: str,
) -> None:
    """Fill a part file with a remote file, and check it.

    A damaged file is downloaded again from zero, at most twice. SmugMug states a few MD5s wrongly,
    so a file that arrives twice in a row with the same content is accepted
    (https://github.com/kanouk/kanouk.com). Raise RequestFailed or Damaged.

    `accepted_md5`: the MD5 of an earlier download that contradicted SmugMug's; "" if there is none
    """

    def headers() -> dict[str, str]:
        names = {"Accept-Encoding": "identity"}  # compressed bytes cannot be resumed
        if part.size_bytes:
            names["Range"] = f"bytes={part.size_bytes}-"
        return names

    request = Request(
        headers, accept=frozenset({200, 206, 416}), length_bytes=lambda: part.size_bytes
    )
    if not remote.md5 and part.size_bytes == remote.size_bytes:  # no response would prove it
        part.restart()
    most_bytes = most_expected_bytes(remote, image)
    tries_left = 2
    if part.size_bytes:
        tries_left = 3  # the old bytes may be damaged
    while True:
        tries_left -= 1
        try:
            if part.size_bytes != remote.size_bytes and part.md5() != remote.md5:
                consume = partial(
                    write_body, remote=remote, part=part, stop=stop, most_bytes=most_bytes
                )
                connection.get(remote.url, consume, request)
            check_download(part, remote, image, accepted_md5)
            return
        except Damaged:
            accepted_md5 = part.md5()
            part.restart()
            if not tries_left:
                raise


def stated_md5(remote: RemoteFile, part: PartFile) -> str:
    """Return the MD5 that SmugMug states for a file. It is in the API or the response's ETag.

    Return "" if there is none. The ETag of a file is its MD5, in quotes.
    """
    return remote.md5 or etag_md5(part.etag)


def etag_md5(etag: str) -> str:
    """Return the MD5 in an ETag. Return "" if the ETag has another form."""
    match = re.fullmatch(r'"?([0-9a-f]{32})"?', etag.lower())
    return match.group(1) if match else ""


def most_expected_bytes(remote: RemoteFile, image: Image) -> int:
    """Return the limit for a file whose response announces no length."""
    stated_bytes = max(remote.size_bytes or 0, image.original_size_bytes or 0)
    if stated_bytes:
        return 2 * stated_bytes + MORE_THAN_STATED_BYTES
    return LARGEST_VIDEO_BYTES if image.is_video else LARGEST_PHOTO_BYTES


def write_body(
    response: Response, remote: RemoteFile, part: PartFile, stop: Stop, most_bytes: int
) -> None:
    """Write the body of a response to the part file. It is appended, or replaces the content.

    Raise RequestFailed or Damaged.

    `most_bytes`: the limit for a file whose length is not announced
    """
    media_type = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if response.status != 416 and media_type in ("text/html", "application/json"):
        raise RequestFailed(f"SmugMug sent {media_type} instead of the file", transient=True)
    if not resumes(response, remote, part):
        part.restart()
        if response.status != 200:
            raise RequestFailed("SmugMug did not resume the download", transient=True)
    if response.status == 416:
        return
    part.etag = response.headers.get("ETag", "")
    md5 = stated_md5(remote, part)
    if not response.has_end and remote.size_bytes is None and not md5:
        raise Damaged("SmugMug gave no file size, so completeness cannot be checked")
    limit_bytes = remote.size_bytes
    if md5 or limit_bytes is None:  # the stated size may be wrong; the MD5 decides
        limit_bytes = max(most_bytes, part.size_bytes + (response.length or 0))
    for chunk in response.chunks():
        stop.pause(0)
        part.write(chunk)
        if part.size_bytes > limit_bytes:
            raise Damaged(f"received more than the expected {human_bytes(limit_bytes)}")


def resumes(response: Response, remote: RemoteFile, part: PartFile) -> bool:
    """Return True if a response continues the part file with the same file's bytes.

    Either the ETag is that of the bytes before, or an MD5 will prove that all bytes belong
    together. It is stated by the API or, for a file without one, by the ETag.
    """
    given = re.fullmatch(
        r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)",
        response.headers.get("Content-Range", ""),
    )
    if given is None or response.is_encoded or not part.size_bytes:
        return False
    start, total = given.groups()
    if response.status == 416:  # nothing follows; the part file may be complete
        return bool(remote.md5) and total == str(part.size_bytes)
    if response.status != 206 or start != str(part.size_bytes):
        return False
    if remote.md5:  # it will prove that the bytes belong together
        return True
    if total not in ("*", str(remote.size_bytes or total)):
        return False
    etag = response.headers.get("ETag", "")
    if part.etag:
        return etag == part.etag
    return bool(etag_md5(etag))  # the bytes before came earlier than this attempt


def check_download(part: PartFile, remote: RemoteFile, image: Image, accepted_md5: str) -> None:
    """Raise Damaged unless a part file matches SmugMug's description.

    The MD5 decides; a stated size may be wrong.

    `accepted_md5`: the MD5 of the download before this one; the same bytes again are accepted
    """
    if not part.size_bytes:
        raise Damaged("SmugMug sent an empty file")
    md5 = part.md5()
    is_proven = md5 == stated_md5(remote, part)
    if not is_proven and part.size_bytes != (remote.size_bytes or part.size_bytes):
        raise Damaged(f"received {part.size_bytes} of {remote.size_bytes} bytes")
    is_video = image.is_video or is_video_name(image.file_name)
    if is_video and part.head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8")):
        raise Damaged("SmugMug sent a still picture instead of the video")
    if md5 != remote.md5 and part.head.lstrip()[:1] in (b"<", b"{"):
        raise Damaged("SmugMug sent a web page or a message instead of the file")
    if stated_md5(remote, part) and not is_proven and md5 != accepted_md5:
        raise Damaged("the content does not match SmugMug's checksum (MD5)")


# -------------------------------------------------------------------------------------------------
# 15. Pages: one HTML page for each album, and an overview of all of them.
#    Uses albums, images and the records of files. Independent of the disk and of downloading.
# -------------------------------------------------------------------------------------------------

# The mark of this program in each sidecar. The sidecar's MD5 replaces the zeros.
UNSEALED = f"{PROGRAM} {VERSION} {'0' * 32}"
NOT_YET = "not downloaded yet"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

# The template of all pages. The content of a page is embedded as JSON, and the script inserts
# every text as text, never as markup. The policy allows this style and this script by their
# hashes, files of the same disk or server, and nothing else.
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none';
  form-action 'none'; img-src file: 'self'; media-src file: 'self';
  style-src 'STYLE-HASH'; script-src 'SCRIPT-HASH'">
<title>Photos</title>
<style>STYLE</style>
<header>
  <a id="up">All albums</a>
  <a id="web" target="_blank" rel="noreferrer">On SmugMug ↗</a>
  <h1 id="title" dir="auto"></h1>
  <p id="about" dir="auto"></p>
  <p id="facts"></p>
  <input type="search" placeholder="Search" aria-label="Search">
  <label>Sort by <select><option>folder<option>name<option>date</select></label>
</header>
<noscript>This page needs JavaScript. To see the photos and videos, open their folder.</noscript>
<main></main>
<p role="status"></p>
<section role="dialog" aria-modal="true" aria-label="Large view" tabindex="-1" hidden>
  <div></div>
  <h2 dir="auto"></h2>
  <p dir="auto"></p>
  <small></small>
  <nav>
    <output></output>
    <button value="ArrowLeft">Previous</button>
    <button value="ArrowRight">Next</button>
    <button value="Space">Slide show</button>
    <button value="F">Full screen</button>
    <button value="Escape">Close</button>
  </nav>
</section>
<script type="application/json">DATA</script>
<script>SCRIPT</script>
"""

PAGE_STYLE = """\
html { color-scheme: light dark; font: clamp(15px, 12px + .25vw, 22px)/1.4 system-ui, sans-serif }
body { margin: 1.5rem clamp(1rem, 3vw, 4rem) 3rem; overflow-wrap: anywhere }
h1 { margin: .3rem 0; font-size: 1.8rem; line-height: 1.2 }
p { margin: .3rem 0; white-space: pre-line }
small, figure h2, #facts { opacity: .75 }
input, select, button, output, header a { margin: .3rem .6rem .3rem 0; font: inherit }
input, select, button { box-sizing: border-box; max-width: 55%; padding: .3rem .6rem }
header { margin-bottom: 1rem }
:focus-visible { outline: 3px solid #3b82f6; outline-offset: 2px }

main { --row: clamp(8.5rem, 13vw, 16rem); display: flex; flex-wrap: wrap; gap: 1.2rem .8rem }
main { align-items: start } /* or each card would be laid out twice */
main::after { content: ""; flex-grow: 9999 } /* or the last row would grow, too */
figure { flex: var(--ratio) 1 calc(var(--ratio) * var(--row)); min-width: 0; margin: 0 }
.frame { display: block; position: relative; overflow: hidden; aspect-ratio: var(--ratio) }
.frame { border-radius: .3rem; background: #8882; color: inherit; text-decoration: none }
.frame > * { display: block; width: 100%; height: 100%; margin: 0; object-fit: contain }
.video::after { content: "▶"; position: absolute; inset: 0; display: grid; place-items: center }
.video::after { font-size: 2rem; pointer-events: none }
figcaption { padding: .3rem 0; line-height: 1.3 }
figcaption > * { display: -webkit-box; -webkit-box-orient: vertical; overflow: hidden }
figcaption > * { -webkit-line-clamp: 2 } /* the large view shows all of a text */
figcaption > :first-child { color: inherit; font-weight: 600; text-decoration: none }
figcaption > a:hover { text-decoration: underline }
figcaption > strong { color: light-dark(#a40, #fb8); font-size: .85em; -webkit-line-clamp: 4 }

.albums { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(45%, 15rem), 1fr)) }
.albums h2 { min-height: 1.4em; margin: 0 0 .3rem; font-size: 1rem }

section:not([hidden]) { display: flex; flex-direction: column }
section { position: fixed; inset: 0; z-index: 2; line-height: 1.3; text-align: center }
section { padding: .5rem 1rem; background: #111; color: #eee; color-scheme: dark; outline: 0 }
:root:has(section:not([hidden])) { overflow: hidden }
section div { display: flex; flex: 1; min-height: 0; overflow: auto }
section div:not(.zoomed) { touch-action: pan-y pinch-zoom }
section div > * { width: 100%; height: 100%; object-fit: contain; align-content: center }
section img { cursor: zoom-in }
section .zoomed img { flex: none; height: auto; margin: auto; cursor: zoom-out }
section > h2, section > p { max-height: 20vh; margin: .3rem 0 0; overflow: auto; font-size: 1rem }
"""

# Pages show the originals. Thousands of them would fill the memory, so a long page loads only
# those that stay near the window for a moment, one after another. Space is reserved by the sizes
# that SmugMug states.
PAGE_SCRIPT = r"""const find = selector => document.querySelector(selector);
const page = JSON.parse(find("script").textContent);
const [header, main, none, table] = ["header", "main", "[role=status]", "section"].map(find);
const [stage, title, caption, details, buttons] = table.children;
const [search, sort] = [find("input"), find("select")];
const byName = new Intl.Collator("en", {numeric: true, sensitivity: "base"}).compare;
let cards = page.cards; // those that the search has found, in their order
let index = -1; // of the card in the large view
let views = new Map(); // by card: the picture or video in the large view, and those beside it
let isSlideShow = false, timer = 0, touch = null, loaded = Promise.resolve();

function make(tag, properties, parent = new DocumentFragment()) {
  return parent.appendChild(Object.assign(document.createElement(tag), properties));
}

const plain = text => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase(); // no accents

const watcher = new IntersectionObserver(entries => entries.forEach(({target, isIntersecting}) => {
  target.isNear = isIntersecting;
  target.removeAttribute("src");
  target.leave?.();
  if (isIntersecting) setTimeout(() => loaded = loaded.then(() => load(target)), 150);
}), {rootMargin: "10%"});

async function load(image) {
  if (image.isNear) image.src = image.original;
  await Promise.race([new Promise(done => image.leave = done), image.decode?.().catch(() => {})]);
}

function makeFigure(card) {
  const {id, view, src: original, href, width, height, text, title: name} = card;
  const figure = card.figure = make("figure", {id: page.up ? "" : id});
  const shape = ratio => figure.style.setProperty("--ratio", Math.min(5, Math.max(.6, ratio)));
  shape(width / height || 1.5);
  card.heading = make("h2", {dir: "auto", hidden: page.up}, figure);
  if (view) {
    const frame = make("a", {className: "frame " + view, href: page.up ? "#" + id : href}, figure);
    const image = make(view, {loading: "lazy", decoding: "async", preload: "none"}, frame);
    Object.assign(image, {original, width, height, title: name, alt: text || name});
    image.onload = () => page.up && shape(image.naturalWidth / image.naturalHeight);
    if (page.cards.length > 30) watcher.observe(image); else image.src = original;
  }
  if (view === "p") card.note = `missing on ${page.checked}: ${card.note}`;
  const lines = make("figcaption", {}, figure);
  make(href ? "a" : "b", {href, dir: "auto", textContent: name}, lines);
  if (text) make("span", {dir: "auto", textContent: text}, lines);
  if (card.facts) make("small", {textContent: card.facts}, lines);
  if (card.note) make("strong", {textContent: card.note}, lines);
  card.words = plain([card.folder, card.details, lines.textContent].join("\n"));
}

function arrange() {
  const wanted = plain(search.value).split(/\s+/);
  cards = page.cards.filter(card => wanted.every(word => card.words.includes(word)));
  if (!page.up) cards.sort((one, other) => byName(one.title, other.title));
  if (sort.value === "folder") cards.sort((one, other) => byName(one.folder, other.folder));
  if (sort.value === "date") cards.sort((one, other) => other.latest - one.latest);
  main.replaceChildren(...cards.map(card => card.figure));
  none.textContent = cards.length ? "" : `Nothing here matches “${search.value}”.`;
  cards.forEach(({heading, folder}, at) => {
    const isRepeated = sort.value === "folder" && cards[at - 1]?.folder === folder;
    heading.textContent = isRepeated ? "" : folder;
  });
}

function show(at) {
  const card = cards[at];
  if (!card) return;
  index = at;
  const near = [card, cards[at + 1], cards[at - 1]].filter(Boolean);
  const viewOf = ({view, src, title: alt, note}) =>
    make(view, {src, alt, controls: true, textContent: note});
  views = new Map(near.map(each => [each, views.get(each) || viewOf(each)]));
  const view = views.get(card);
  stage.className = view.style.width = "";
  stage.replaceChildren(view);
  title.textContent = card.title;
  caption.textContent = card.text;
  details.textContent = card.details;
  buttons.firstElementChild.textContent = `${at + 1} of ${cards.length}`;
  header.inert = main.inert = true;
  table.hidden = false;
  if (!table.contains(document.activeElement)) table.focus();
  location.replace("#" + card.id);
  clearTimeout(timer);
  if (isSlideShow) timer = setTimeout(advance, 4000);
  if (isSlideShow) view.play?.();
}

function close() {
  const {figure} = cards[index];
  if (isSlideShow) toggleSlideShow();
  if (document.fullscreenElement) document.exitFullscreen();
  header.inert = main.inert = false;
  table.hidden = true;
  stage.replaceChildren();
  index = -1;
  location.replace("#-");
  figure.scrollIntoView({block: "nearest"});
  figure.querySelector("a").focus({preventScroll: true});
}

function toggleSlideShow() {
  isSlideShow = !isSlideShow;
  find("[value=Space]").textContent = isSlideShow ? "Stop" : "Slide show";
  show(index);
}

function advance() {
  if (stage.firstChild.paused === false) timer = setTimeout(advance, 1000); // a video plays
  else if (index + 1 < cards.length) show(index + 1);
  else toggleSlideShow();
}

const actions = {
  ArrowLeft: () => show(index - 1),
  ArrowRight: () => show(index + 1),
  Home: () => show(0),
  End: () => show(cards.length - 1),
  Space: toggleSlideShow,
  F: () => document.fullscreenElement ? document.exitFullscreen() : table.requestFullscreen(),
  Escape: close,
};

addEventListener("keydown", event => {
  const name = {" ": "Space", f: "F"}[event.key] || event.key;
  const isForControl = name === "Space" && event.target.closest("button, video");
  const isShortcut = event.ctrlKey || event.altKey || event.metaKey;
  if (table.hidden || isForControl || isShortcut || !actions[name]) return;
  event.preventDefault();
  actions[name]();
});

buttons.addEventListener("mousedown", event => event.preventDefault()); // the focus stays
buttons.addEventListener("click", event => actions[event.target.value]?.());

// At 100 %, a pixel of the picture is a pixel of the screen; where it was clicked stays in view.
stage.addEventListener("click", ({target: image, offsetX, offsetY}) => {
  const {naturalWidth, naturalHeight, clientWidth, clientHeight} = image;
  if (!naturalWidth) return;
  const ratio = Math.max(naturalWidth / clientWidth, naturalHeight / clientHeight);
  const isLarge = stage.classList.toggle("zoomed");
  image.style.width = isLarge ? naturalWidth / devicePixelRatio + "px" : "";
  const [x, y] = [offsetX - clientWidth / 2, offsetY - clientHeight / 2].map(way => way * ratio);
  stage.scrollLeft = (image.clientWidth - stage.clientWidth) / 2 + x / devicePixelRatio;
  stage.scrollTop = (image.clientHeight - stage.clientHeight) / 2 + y / devicePixelRatio;
});

stage.addEventListener("touchstart", ({touches}) => touch = touches.length === 1 && touches[0]);
stage.addEventListener("touchend", ({changedTouches: [end]}) => {
  if (!touch || visualViewport.scale > 1 || stage.classList.contains("zoomed")) return;
  const across = end.clientX - touch.clientX;
  const isSwipe = Math.abs(across) > Math.max(50, 2 * Math.abs(end.clientY - touch.clientY));
  if (isSwipe) show(index + (across < 0 ? 1 : -1));
});

function followAddress() {
  const at = page.up ? cards.findIndex(card => "#" + card.id === location.hash) : -1;
  if (at >= 0 && at !== index) show(at);
  if (at < 0 && index >= 0) close();
}

document.title = page.title;
page.facts += ` \u00b7 Last checked against SmugMug: ${page.checked}`;
["title", "about", "facts"].forEach(id => find("#" + id).textContent = page[id]);
["up", "web"].forEach(id => page[id] ? find("#" + id).href = page[id] : find("#" + id).remove());
sort.parentElement.hidden = Boolean(page.up);
main.className = page.up ? "images" : "albums";
page.cards.forEach(makeFigure);
arrange();
search.addEventListener("input", arrange);
sort.addEventListener("change", arrange);
addEventListener("hashchange", followAddress);
followAddress();
"""


class Card(NamedTuple):
    """An image on its album's page, or an album on the overview.

    `id`: the key of the image or album
    `view`: "img", "video", "p" for a missing image, or "" for no picture at all
    `src`: the address of the picture or video
    `href`: the address that the title links to; "" if there is no file
    `facts`: one line under the text
    `details`: further text of the large view
    `note`: why the image is missing or not the original, or how many images are
    `folder`: the heading above the card
    `latest`: when the latest image was taken, in seconds since 1970
    `width`, `height`: in pixels; 0 if SmugMug does not state them
    """

    id: str
    view: str
    src: str
    href: str
    title: str
    text: str
    facts: str
    note: str
    details: str = ""
    folder: str = ""
    latest: int = 0
    width: int = 0
    height: int = 0


class AlbumOnDisk(NamedTuple):
    """An album with its files on disk.

    `folder`: the path of its folder within the output folder
    `files`: its files on disk, by image key
    `reasons`: why other images are missing, by image key; "" is the key of the album itself
    `page`: the name of its page; "" if it has none
    `verified_at`: when --verify last found its files intact, in seconds since 1970; 0 means never
    """

    album: Album
    folder: str
    files: Mapping[str, FileRecord]
    reasons: Mapping[str, str]
    page: str
    verified_at: float


def overview_page(user: User, albums: Sequence[AlbumOnDisk], checked_at: float) -> bytes:
    """Return the page of all albums, sorted by SmugMug folder.

    `checked_at`: when the albums were listed, in seconds since 1970
    """
    names = Counter(entry.album.name for entry in albums)
    photos = videos = 0
    cards = []
    for entry in sorted(albums, key=lambda entry: entry.album.url_path.rpartition("/")):
        cards.append(album_card(entry, names[entry.album.name] > 1))
        kept = [file for file in entry.files.values() if not file.removed]
        photos += len(kept) - count_videos(kept)
        videos += count_videos(kept)

    facts = f"{photo_count(photos, videos)} in {counted(len(albums), 'album')}"
    if (user.image_count or 0) > photos + videos:
        facts += f"; SmugMug reports {user.image_count:,}"
    verified = [entry.verified_at for entry in albums if entry.verified_at]
    if verified:
        facts += f"; {counted(len(verified), 'album')} verified, the first on {day(min(verified))}"
    about = {"title": f"Albums of {user.nick_name}", "facts": facts, "checked": day(checked_at)}
    return html_page(about, cards)


def album_page(entry: AlbumOnDisk, images: Iterable[Image], checked_at: float) -> bytes:
    """Return the page of an album, with its images in SmugMug's order.

    `checked_at`: when the album was listed, in seconds since 1970
    """
    album, files = entry.album, list(entry.files.values())
    videos = count_videos(files)
    is_address = re.match("https?://", album.web_uri)
    about = {
        "title": album.name,
        "about": album.description,
        "facts": photo_count(len(files) - videos, videos),
        "checked": day(checked_at),
        "up": overview_address(entry.folder, album.key),
        "web": album.web_uri if is_address else "",
    }
    cards = (
        image_card(image, entry.files.get(image.key), entry.reasons.get(image.key, NOT_YET))
        for image in images
    )
    return html_page(about, cards)


def overview_address(folder: str, album_key: str) -> str:
    """Return the address of an album on the overview, for the page in its folder."""
    return "../" * (folder.count("/") + 1) + f"{PAGE_NAME}#{album_key}"


def html_page(about: Mapping[str, str], cards: Iterable[Card]) -> bytes:
    """Return a page. Its script shows `about` and `cards`."""
    head = json.dumps({"written_by": UNSEALED, "about": "", "up": "", "web": "", **about})
    # One card at a time, because there may be 100,000.
    lines = ",\n".join(json.dumps(card._asdict()) for card in cards)
    data = f'{head[:-1]}, "cards": [\n{lines}\n]}}'
    parts = {
        "STYLE-HASH": hash_source(PAGE_STYLE),
        "SCRIPT-HASH": hash_source(PAGE_SCRIPT),
        "STYLE": PAGE_STYLE,
        "SCRIPT": PAGE_SCRIPT,
        "DATA": data.replace("<", r"\u003c"),
    }
    return re.sub("|".join(parts), lambda match: parts[match.group()], PAGE).encode()


def hash_source(source: str) -> str:
    """Return the hash that allows an inline style or script in a Content-Security-Policy."""
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest())
    return f"sha256-{digest.decode('ascii')}"


def page_name(files: Iterable[FileRecord]) -> str:
    """Return the name of an album's page. None of the album's files has that name."""
    return unique_names([("page", PAGE_NAME)], (file.name for file in files))["page"]


def image_card(image: Image, file: FileRecord | None, reason: str) -> Card:
    """Return the card of an image on its album's page.

    `reason`: why the image is missing, if it has no file
    """
    name = image.file_name or image.key
    address = note = location = ""
    view = "p"
    if file is None:
        note = reason
    else:
        name, address = file.name, quote(file.name)
        view = "video" if image.is_video else "img"
        if not file.is_original:
            note = "re-encoded by SmugMug" if image.is_video else "smaller or re-encoded copy"
    # SmugMug may have dropped the minus sign of a video's longitude, see image_xmp.
    if image.location and not (image.is_video and image.location[1] > 0):
        location = f"{image.location[0]}, {image.location[1]}"
    taken = shown_time(image.taken, not image.is_video)
    details = [taken, ", ".join(image.keywords), location]
    if file is not None:
        details += [file.name if image.title else "", note]
    return Card(
        id=image.key,
        view=view,
        src=address,
        href=address,
        title=image.title or name,
        text=image.caption,
        facts=taken,
        note=note,
        details=joined(details),
        width=image.width,
        height=image.height,
    )


def album_card(entry: AlbumOnDisk, is_ambiguous: bool) -> Card:
    """Return the card of an album on the overview.

    The user's cover image on SmugMug is shown, otherwise the first picture by name.

    `is_ambiguous`: other albums have the same name, so the card also shows the folder
    """
    album, files = entry.album, list(entry.files.values())
    pictures = [file for file in files if extension_of(file) in SERVED_TYPES]
    cover = min(
        pictures,
        key=lambda file: (file.image_key != album.highlight_key, file.name),
        default=None,
    )
    way = quote(entry.folder) + "/"
    address = way if files else ""
    if entry.page:
        address = way + quote(entry.page)
    videos = count_videos(files)
    times = [file.modified_ns // 10**9 for file in files if file.modified_ns]
    facts = [
        entry.folder if is_ambiguous else "",
        months_of(times),
        photo_count(len(files) - videos, videos),
    ]
    return Card(
        id=album.key,
        view="img" if cover else "",
        src=way + quote(cover.name) if cover else "",
        href=address,
        title=album.name or entry.folder.rpartition("/")[2],
        text=album.description,
        facts=joined(facts),
        note=joined(album_notes(entry)),
        folder=" / ".join(album.url_path.split("/")[1:-1]),
        latest=max(times, default=0),
    )


def album_notes(entry: AlbumOnDisk) -> list[str]:
    """Return the overview's notes on missing and smaller files of an album."""
    files = entry.files.values()
    missing = (entry.album.image_count or 0) - sum(not file.removed for file in files)
    smaller = sum(not file.is_original for file in files)
    notes = []
    if missing > 0:
        reasons = {reason for key, reason in entry.reasons.items() if key not in entry.files}
        notes.append(f"{missing:,} missing: {'; '.join(sorted(reasons)) or NOT_YET}")
    if smaller:
        notes.append(f"{smaller:,} smaller or re-encoded")
    return notes


def joined(facts: Iterable[str]) -> str:
    """Return facts as one line, without empty ones."""
    return " \u00b7 ".join(filter(None, facts))


def extension_of(file: FileRecord) -> str:
    """Return a file's extension without its dot, in lower case."""
    return split_extension(file.name)[1][1:].lower()


def count_videos(files: Iterable[FileRecord]) -> int:
    """Return how many files are videos, by their extensions."""
    return sum("." + extension_of(file) in VIDEO_EXTENSIONS for file in files)


def photo_count(photos: int, videos: int) -> str:
    """Return a number of images in words: "12 photos and 1 video"."""
    counts = []
    if photos:
        counts.append(counted(photos, "photo"))
    if videos:
        counts.append(counted(videos, "video"))
    return " and ".join(counts) or "no photos"


def shown_time(taken: str, has_time: bool) -> str:
    """Return "13 Sep 2019, 11:28" for "2019-09-13T11:28:12", and "" for ""."""
    if not taken:
        return ""
    date = f"{int(taken[8:10])} {MONTHS[int(taken[5:7]) - 1]} {taken[:4]}"
    return f"{date}, {taken[11:16]}" if has_time else date


def day(seconds: float) -> str:
    """Return the local date of a time: "13 Sep 2019". The time is in seconds since 1970."""
    return shown_time(datetime.fromtimestamp(seconds).isoformat(), False)


def months_of(times: Sequence[int]) -> str:
    """Return the first and last month of times: "Jul - Sep 2019". They are in seconds since 1970.

    Months are in local time. Return "" if there are no times.
    """
    if not times:
        return ""
    first, last = month_of(min(times)), month_of(max(times))
    if first == last:
        return last
    if first[-4:] == last[-4:]:
        first = first[:3]
    return f"{first} \u2013 {last}"


def month_of(seconds: int) -> str:
    """Return the local month of a time: "Sep 2019". The time is in seconds since 1970."""
    moment = datetime(1970, 1, 1) + timedelta(seconds=seconds - time.timezone)
    return f"{MONTHS[moment.month - 1]} {moment.year}"


# -------------------------------------------------------------------------------------------------
# 16. Sidecars: titles, captions, keywords, locations and the order of an album, as XMP and JSON.
#    Uses pages and files. Never changes a photo, or a sidecar of the user or another program.
#
#    A new format needs a branch in `album_sidecars`, its suffix in `may_have_sidecars`, and its
#    word in --sidecar. Its content must contain the mark that SEAL matches, or it is not written.
# -------------------------------------------------------------------------------------------------

# https://developer.adobe.com/xmp/docs/xmp-namespaces/
XMP_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "smugmug": "https://api.smugmug.com/api/v2/",
}
SEAL = re.compile(rf"({PROGRAM} [0-9.]+ )[0-9a-f]{{32}}".encode())
SEALED_BYTES = 1 << 16  # the seal is within this many bytes; the rest of other files is not read
DATED = re.compile(rb'[0-9a-f]{32}|"checked": "[^"]*"')  # all that differs with the date
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Written(enum.Enum):
    """The result of updating a sidecar."""

    NEW = "written"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


def may_have_sidecars(on_disk: FilesOnDisk) -> bool:
    """Return True if a name in an album's folder may be a sidecar's."""
    return any(name.endswith((".json", ".html", ".xmp")) for name in on_disk)


def album_sidecars(
    kinds: Sequence[str], visit: Visit, entry: AlbumOnDisk
) -> Iterator[tuple[Path, bytes]]:
    """Yield the path and content of each sidecar of an album.

    Missing sidecars of the given kinds are created. Sidecars of any kind that this program made in
    earlier runs are kept up to date.
    """
    files = entry.files
    if is_kept_up("json", kinds, visit, ALBUM_SIDECAR):
        yield visit.folder / ALBUM_SIDECAR, album_json(visit.album, visit.images, files)
    name = page_name(files.values())
    if is_kept_up("html", kinds, visit, name):
        yield visit.folder / name, album_page(entry, visit.images, visit.listed_at)
    for image in visit.images:
        if image.key not in files:
            continue
        name = visit.on_disk.actual_name(files[image.key].name + ".xmp")
        is_new = name not in visit.on_disk
        if is_kept_up("xmp", kinds, visit, name) and not (is_new and not has_texts(image)):
            has_dates = "dates" in kinds
            if not is_new and "xmp" not in kinds:  # as it was made
                has_dates = b"<photoshop:DateCreated>" in read_sidecar(visit.folder / name)
            yield visit.folder / name, image_xmp(image, has_dates)


def is_kept_up(kind: str, kinds: Sequence[str], visit: Visit, name: str) -> bool:
    """Return True if a sidecar was requested, or was made by this program."""
    return kind in kinds or (name in visit.on_disk and is_own_sidecar(visit.folder / name))


def is_own_sidecar(path: Path) -> bool:
    """Return True if this program made the file and it is unchanged."""
    with suppress(OSError, UnicodeError, FileInTheWay):
        return bool(read_sidecar(path))
    return False


def read_sidecar(path: Path) -> bytes:
    """Return the content of a sidecar, b"" if there is none.

    Raise FileInTheWay if the user or another program wrote the file, or if it is not a regular
    file.
    """
    if not os.path.lexists(str(path)):
        return b""
    mode = os.lstat(str(path)).st_mode
    content = b""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # opening a folder gives the best error
        with open(str(path), "rb") as file:
            content = file.read(SEALED_BYTES)
            if not content:
                return b""
            if SEAL.search(content):
                content += file.read()
    if not content or sealed(content) != content:
        raise FileInTheWay("changed here or written by another program, so it was kept")
    return content


def update_sidecar(path: Path, content: bytes) -> Written:
    """Write a sidecar if it is new or changed.

    A page is also written if only its date has changed, but counts as unchanged. Raise
    FileInTheWay if the user or another program wrote the file, and Problem if the disk fails.
    """
    content = sealed(content)
    try:
        old = read_sidecar(path)
        if content == old:
            return Written.UNCHANGED
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not durable, because there may be thousands, and each can be made again.
        write_atomically(path, content, durable=False)
    except (OSError, UnicodeError) as error:
        raise disk_problem(error, path) from None
    if not old:
        return Written.NEW
    is_same = DATED.sub(b"", old) == DATED.sub(b"", content)
    return Written.UNCHANGED if is_same else Written.CHANGED


def correct_link(path: Path, address: str) -> None:
    """Correct the address of the overview in an album's page whose folder was moved.

    A failure has no effect. The page is written again when its album is listed.
    """
    with suppress(OSError, UnicodeError, Problem):
        content = read_sidecar(path)
        link = json.dumps(address).encode()
        # No text of the user matches, because its quotation marks are escaped.
        corrected = re.sub(rb'(?<="up": )"[^"]*"', lambda match: link, content, count=1)
        if content:
            update_sidecar(path, corrected)


def sealed(content: bytes) -> bytes:
    """Return a sidecar with its MD5 in this program's mark. Return b"" if it has no mark.

    The MD5 shows if the user or another program has changed the sidecar.
    """
    blank = SEAL.sub(rb"\g<1>" + b"0" * 32, content, count=1)
    if not SEAL.search(blank):
        return b""
    return SEAL.sub(rb"\g<1>" + new_md5(blank).hexdigest().encode(), blank, count=1)


def has_texts(image: Image) -> bool:
    """Return True if SmugMug has texts or a location that the file may lack.

    SmugMug makes keywords of file names, such as "7058" and "heic" of IMG_7058.HEIC, even if the
    file is now named IMG_7058.JPG. These do not count.
    """
    of_name = {"heic", *re.findall(r"[^\W_]+", image.file_name.casefold())}
    has_keywords = any(keyword.casefold() not in of_name for keyword in image.keywords)
    return bool(image.title or image.caption or has_keywords or image.location)


def album_json(album: Album, images: Iterable[Image], records: Mapping[str, FileRecord]) -> bytes:
    """Return album.json: the album, and its images in SmugMug's order."""
    content = {
        "written_by": UNSEALED,
        "version": 1,
        "album_key": album.key,
        "name": album.name,
        "path": album.url_path,
        "description": album.description,
        "keywords": album.keywords,
        "web_uri": album.web_uri,
        "privacy": album.privacy,
        "created": album.created,
        "changed": album.changed,
        "images": [image_json(image, records.get(image.key)) for image in images],
    }
    return json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def image_json(image: Image, record: FileRecord | None) -> dict[str, Any]:
    """Return an image of album.json. Its `file` is null if it is not on disk."""
    location = image.location or (None, None, None)
    content = {
        "file": None,
        "image_key": image.key,
        "smugmug_file_name": image.file_name,
        "title": image.title,
        "caption": image.caption,
        "keywords": list(image.keywords),
        "latitude": location[0],
        "longitude": location[1],
        "altitude": location[2],
        "uploaded": image.uploaded or None,
        "taken": None if image.is_video else image.taken or None,
        "web_uri": image.web_uri,
        "size_bytes": None,
        "md5": None,
        "hidden": image.hidden,
        "is_video": image.is_video,
        "is_original": None,
    }
    if record is not None:
        content["file"] = record.name
        content["size_bytes"] = record.size_bytes
        content["md5"] = record.md5 or None
        content["is_original"] = bool(record.is_original)
    return content


def image_xmp(image: Image, has_dates: bool) -> bytes:
    """Return the XMP sidecar of an image.

    Some readers prefer its date to the photo's own. It therefore has a date only if `has_dates`,
    or if the photo cannot store one. Eastern longitudes of videos are left out, because SmugMug
    may have dropped a minus sign. Source: https://developer.adobe.com/xmp/docs/ (specification,
    parts 1, 2)
    """
    properties = [
        xmp_list("dc:title", "Alt", [image.title]),
        xmp_list("dc:description", "Alt", [image.caption or image.title]),  # Immich shows no title
        xmp_list("dc:subject", "Bag", image.keywords),
    ]
    # Immich and digiKam prefer the first of these lists, Lightroom the second. They read "/" and
    # "|" as levels of a hierarchy, so a list is left out if that would split a keyword. Each
    # program then reads the next list that it knows.
    text = "".join(image.keywords)
    if "/" not in text:
        properties.append(xmp_list("digiKam:TagsList", "Seq", image.keywords))
    if "|" not in text:
        properties.append(xmp_list("lr:hierarchicalSubject", "Bag", image.keywords))
    taken = ""
    if not image.is_video:
        extension = split_extension(image.file_name)[1].lower()
        if has_dates or extension in (".png", ".gif"):
            taken = image.taken
    simple = {
        "dc:source": image.web_uri,
        "photoshop:DateCreated": taken,
        "exif:DateTimeOriginal": taken,
        "xmp:CreateDate": taken,
        "smugmug:ImageKey": image.key,
        "smugmug:DateTimeUploaded": image.uploaded,
    }
    if image.location and not (image.is_video and image.location[1] > 0):
        simple.update(xmp_location(*image.location))
    for name, text in simple.items():
        if text:
            properties.append(f"<{name}>{xml_text(text)}</{name}>")
    namespaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in XMP_NAMESPACES.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<x:xmpmeta {namespaces} x:xmptk="{UNSEALED}"><rdf:RDF>'
        f'<rdf:Description rdf:about="">{"".join(properties)}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>\n"
    ).encode()


def xmp_list(name: str, kind: str, texts: Iterable[str]) -> str:
    """Return a property that lists texts. Return "" if all of them are empty.

    `kind`: "Alt" (languages), "Bag" (unordered) or "Seq" (ordered)
    """
    language = ""
    if kind == "Alt":
        language = ' xml:lang="x-default"'
    items = "".join(f"<rdf:li{language}>{xml_text(text)}</rdf:li>" for text in texts if text)
    if not items:
        return ""
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"


def xml_text(text: str) -> str:
    """Escape a text for XML and replace characters that XML forbids.

    A bare carriage return would be read as a line feed, so it is escaped too.
    """
    return escape(NOT_XML.sub("\ufffd", text), {"\r": "&#13;"})


def xmp_location(latitude: float, longitude: float, altitude: float) -> dict[str, str]:
    """Return the XMP properties of a location in degrees and meters."""
    properties = {
        "exif:GPSLatitude": xmp_coordinate(latitude, "N", "S"),
        "exif:GPSLongitude": xmp_coordinate(longitude, "E", "W"),
    }
    if altitude:
        properties["exif:GPSAltitude"] = f"{round(abs(altitude) * 100)}/100"
        properties["exif:GPSAltitudeRef"] = "1" if altitude < 0 else "0"
    return properties


def xmp_coordinate(degrees: float, positive: str, negative: str) -> str:
    """Return a coordinate in XMP's form: 47.5, "N" and "S" make "47,30.000000N"."""
    whole, millionths = divmod(round(abs(degrees) * 60_000_000), 60_000_000)
    return f"{whole},{millionths / 1_000_000:.6f}{negative if degrees < 0 else positive}"


# -------------------------------------------------------------------------------------------------
# 17. Verification: find files that changed since they were written.
#    Uses the download record and the files. Independent of the network.
# -------------------------------------------------------------------------------------------------


class Condition(enum.Enum):
    """The possible results of --verify for a file."""

    NONE = "intact"
    MISSING = "missing"
    CHANGED = "changed"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"


class CheckedFile(NamedTuple):
    """A file to verify and, afterwards, its condition.

    `reason`: the system's message, if the file is unreadable
    """

    album_key: str
    record: FileRecord
    path: Path
    condition: Condition = Condition.NONE
    reason: str = ""

    def is_damaged(self) -> bool:
        """Return True if every later run should download the image again.

        If the user changed a file, only this run downloads SmugMug's copy. The record of an
        unreadable file is unchanged.
        """
        if self.condition in (Condition.CHANGED, Condition.UNREADABLE):
            return self.record.damaged
        return self.condition is Condition.DAMAGED


def files_to_check(database: Database, output: Path) -> Iterator[CheckedFile]:
    """Yield every recorded file, under its name on disk.

    Folders outside the output folder are left out, as in a download. Files in iCloud are, too.
    """
    entries: dict[Path, dict[str, str]] = {}
    albums = database.albums()
    others = {album.folder for album in albums.values()}
    for album_key, album in albums.items():
        folder = album_path(output, album.folder, others, entries)
        if outside_problem(folder, output):
            continue
        on_disk = FilesOnDisk()
        with suppress(OSError):  # the error is then reported for each file
            on_disk = files_in(folder)
        for record in database.files(album_key).values():
            name = on_disk.actual_name(record.name)
            if not on_disk.is_evicted(name):
                yield CheckedFile(album_key, record._replace(name=name), folder / name)


class LinkedHashes:
    """The MD5s of files with several names (hard links). Each file is read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: dict[tuple[int, int], threading.Lock] = {}
        self._md5s: dict[tuple[int, int], str] = {}

    def md5(self, path: Path, stop: Stop) -> str:
        """Return the MD5 of a file. Raise OSError or Stopped."""
        status = os.stat(str(path))
        if status.st_nlink < 2:
            return file_md5(path, stop)
        inode = (status.st_dev, status.st_ino)
        with self._lock:
            reading = self._reading.setdefault(inode, threading.Lock())
        with reading:
            if inode not in self._md5s:
                self._md5s[inode] = file_md5(path, stop)
            return self._md5s[inode]


def check_file(check: CheckedFile, hashes: LinkedHashes, stop: Stop) -> CheckedFile:
    """Compare a file with its recorded MD5.

    A difference counts only if the file differs twice, because reading from disks and networks can
    also fail. If no MD5 is recorded, the file's MD5 is. A file of zeros or with bad sectors is
    always damaged, and so is a truncated one. One of the recorded size was changed by the user if
    it has another timestamp. Otherwise the disk damaged it.
    """
    record = check.record
    try:
        status = os.stat(str(check.path))
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            reason = "it is not a regular file"  # reading a pipe would wait forever
            return check._replace(condition=Condition.UNREADABLE, reason=reason)
        md5 = hashes.md5(check.path, stop)
        if record.md5 not in ("", md5):
            md5 = file_md5(check.path, stop)
        if is_blank(check.path):
            return check._replace(condition=Condition.DAMAGED, reason="it holds only zeros")
    except (FileNotFoundError, IsADirectoryError):
        return check._replace(condition=Condition.MISSING)
    except (OSError, UnicodeError) as error:
        reason = str(disk_problem(error, check.path))
        is_bad_sector = getattr(error, "errno", None) == errno.EIO
        condition = Condition.DAMAGED if is_bad_sector else Condition.UNREADABLE
        return check._replace(condition=condition, reason=reason)
    if record.md5 in ("", md5):
        return check._replace(record=record._replace(md5=md5))
    if status.st_size == record.size_bytes:
        is_damaged = is_same_time(status.st_mtime_ns, record.modified_ns)
    else:
        is_damaged = is_truncated(check.path.parent, check.path.name, status.st_size, record)
    condition = Condition.DAMAGED if is_damaged else Condition.CHANGED
    return check._replace(condition=condition)


# -------------------------------------------------------------------------------------------------
# 18. Report: the progress line, the summary, the verdict, the JSON report.
#    Uses visits, outcomes and notes. Sends no requests and changes no files.
# -------------------------------------------------------------------------------------------------

FILES_NAMED = 3  # files that the summary names for one reason; the others are only counted
REASONS_NAMED = 20  # reasons under one heading of the summary; the others are only counted
REPORT_VERSION = 2  # rises when a field of the JSON report changes its meaning
NEW_FILES = frozenset({Result.DOWNLOADED, Result.COPIED, Result.REPLACED})


class Note(NamedTuple):
    """A fact for the user at the end of a run.

    `folder`: an album's folder within the output folder
    `file`: a file in that folder; "" if the note is about the album
    `reason`: what happened, as the user reads it
    """

    result: Result
    folder: str
    file: str
    reason: str
    album_key: str = ""
    image_key: str = ""


class AlbumStatus(enum.Enum):
    """Why an album was listed, or NONE if it was not."""

    NEW = "new"
    CHANGED = "changed"
    RECHECKED = "rechecked"
    NONE = "unchanged"


SPEED_SECONDS = 30.0  # the interval over which the speed is measured


class Speedometer:
    """The download speed of the last half minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def measure(self, received_bytes: int, now: float) -> float:
        """Return the speed in bytes per second. 0 means that it is not known yet."""
        self._samples.append((now, received_bytes))
        while now - self._samples[0][0] > SPEED_SECONDS and len(self._samples) > 2:
            self._samples.popleft()
        since, bytes_before = self._samples[0]
        return max(0, received_bytes - bytes_before) / (now - since) if now > since else 0.0

    def restart(self) -> None:
        """Discard the measurements, because nothing can be downloaded now."""
        self._samples.clear()


class AlbumEntry(NamedTuple):
    """An album in the JSON report, whose fields have the same names."""

    album_key: str
    folder: str
    smugmug_count: int | None
    on_disk: int


class Summary:
    """The counts and notes of a run so far. Only the main thread may use them.

    `output`: the output folder
    `started`, `began`: the start of the run, in seconds since 1970 and by the monotonic clock
    `checked`: the number of files that --verify checked, by condition
    `to_repair`: files that failed --verify and have not been downloaded again, by album and image
    `changed_after_removal`: files that the user changed after SmugMug had deleted their images
    `reasons`: by album key: the first reason noted for each image key, or for "" (the album)
    `removed`: paths of files that SmugMug no longer has
    `expected`: images that each album should have, by album key; `images_expected` is the sum
    `unlisted`: images that SmugMug counts but does not list, by album key
    `album_counts`: the number of images in each album of the account, selected or not
    `dated`, `undated`: new photos with and without a camera time
    `changed_here`: paths of files that the user wrote into, as their new size shows
    `in_progress`: downloads in progress
    `visits`: the albums that still have images without a result, by album key
    `by_album`: the albums' entries in the JSON report, by album key
    `planned_images`: images compared with the disk
    `planned_bytes`, `finished_bytes`: the known sizes of their jobs, and of those with a result
    `received_bytes`: all bytes received, including unfinished and repeated files
    `waiting`: what the run is waiting for, "" if nothing
    """

    def __init__(self, output: Path = Path()) -> None:
        self.output = output
        self.user = User("", "", None)
        self.started = time.time()
        self.began = time.monotonic()
        self.notes: list[Note] = []
        self.reasons: dict[str, dict[str, str]] = {}
        # images and files
        self.counts: Counter[Result] = Counter()
        self.expected: dict[str, int] = {}
        self.images_expected = 0
        self.unlisted: dict[str, int] = {}
        self.album_counts: dict[str, int] = {}
        self.videos = 0
        self.dated = 0
        self.undated = 0
        self.changed_here: list[str] = []
        self.in_progress = 0
        self.removed: list[str] = []
        self.sidecars: Counter[Written] = Counter()
        # albums
        self.albums: Counter[AlbumStatus] = Counter()
        self.albums_expected = 0
        self.visits: dict[str, Visit] = {}
        self.by_album: dict[str, AlbumEntry] = {}
        # --verify
        self.checked: Counter[Condition] = Counter()
        self.to_repair: dict[tuple[str, str], CheckedFile] = {}
        self.changed_after_removal: dict[tuple[str, str], CheckedFile] = {}
        # costs
        self.downloaded_bytes = 0
        self.to_download_bytes = 0
        self.planned_images = 0
        self.planned_bytes = 0
        self.finished_bytes = 0
        self.received_bytes = 0
        self.speed = Speedometer()
        self.api_requests = 0
        self.wait_seconds = 0.0
        self.waiting = ""

    def on_disk_count(self) -> int:
        """Return the number of images on disk."""
        return sum(number for result, number in self.counts.items() if result.is_on_disk)

    def done(self) -> int:
        """Return the number of images that have a result."""
        return sum(self.counts.values())

    def expect(self, album_key: str, number: int) -> None:
        """Set the number of images that are expected in an album."""
        self.images_expected += number - self.expected.get(album_key, 0)
        self.expected[album_key] = number

    def images_unlisted(self) -> int:
        """Return the number of images that SmugMug counts but does not list."""
        return sum(self.unlisted.values())

    def images_in_no_album(self) -> int:
        """Return the number of images in the account but in no listed album."""
        if self.user.image_count is None:
            return 0
        return max(0, self.user.image_count - sum(self.album_counts.values()))

    def check(self, check: CheckedFile) -> None:
        """Count a verified file. Files deleted on SmugMug may be missing or changed."""
        is_users_business = check.condition in (Condition.MISSING, Condition.CHANGED)
        if check.record.removed and is_users_business:
            if check.condition is Condition.CHANGED:
                self.changed_after_removal[check.album_key, check.record.image_key] = check
            return
        self.checked[check.condition] += 1
        if check.condition is not Condition.NONE:
            self.to_repair[check.album_key, check.record.image_key] = check

    def count_unchanged(self, visit: Visit) -> None:
        """Count an album that needed no listing, from its records."""
        self.albums[AlbumStatus.NONE] += 1
        files = [
            record
            for record in visit.records.values()
            if not record.removed and is_asked_for(record, visit.only)
        ]
        visit.counts[Result.ALREADY_THERE] += len(files)
        for record in files:
            # Records do not distinguish videos from photos. Only photos are requested again for
            # their originals, so a copy that is not requested again is a video.
            unavailable = visit.unavailable.get(record.image_key)
            is_video = not record.is_original and (
                unavailable is None or is_video_name(record.name)
            )
            if unavailable is not None and (record.is_original or is_video):
                keys = visit.album.key, record.image_key
                self.add_note(Result.KEPT, visit.folder, record.name, unavailable.reason, *keys)
            self._note_file(visit, record, is_video)
            self._note_edit(visit, record)
        for key, unavailable in visit.unavailable.items():
            if key in visit.records:
                continue
            visit.counts[Result.UNAVAILABLE] += 1
            self.add_note(
                Result.UNAVAILABLE,
                visit.folder,
                unavailable.file_name,
                unavailable.reason,
                visit.album.key,
                key,
            )
        self.counts.update(visit.counts)
        self.expect(visit.album.key, sum(visit.counts.values()))
        self._count_album(visit)

    def begin(self, visit: Visit) -> None:
        """Expect the outcomes of an album. A relisted album has already been counted."""
        key = visit.album.key
        self.visits[key] = visit
        done = sum(visit.counts.values())
        self.expect(key, done + visit.pending + self.unlisted.get(key, 0))
        if visit.seen is not None:
            return
        if visit.album_record is NEW_ALBUM:
            status = AlbumStatus.NEW
        elif shared_token(visit.album_record) in ("", shared_token(visit.album)):
            status = AlbumStatus.RECHECKED
        else:
            status = AlbumStatus.CHANGED
        self.albums[status] += 1

    def add(self, visit: Visit, outcome: Outcome) -> None:
        """Count an outcome, and note what the user should know."""
        visit.counts[outcome.result] += 1
        self.counts[outcome.result] += 1
        self.downloaded_bytes += outcome.downloaded_bytes
        image, file = outcome.image, outcome.file
        if outcome.result in NEW_FILES and not image.is_video:
            if image.taken:
                self.dated += 1
            else:
                self.undated += 1
        if file is None:
            name = image.file_name or image.key
            self._note_image(visit, outcome.result, name, outcome)
            return
        if outcome.result is Result.TO_DOWNLOAD:
            visit.to_download += 1
            visit.to_download_bytes += file.size_bytes
        check = self.to_repair.get((visit.album.key, image.key))
        is_changed_here = check is not None and check.condition is Condition.CHANGED
        if not outcome.retry or is_changed_here:  # otherwise the file is still damaged
            self.to_repair.pop((visit.album.key, image.key), None)
        if check is not None and not outcome.retry:
            self._note_repair(visit, outcome, check, file.name)
        elif outcome.reason:
            self._note_image(visit, Result.KEPT, file.name, outcome)
        self._note_file(visit, file, image.is_video)
        if outcome.result is Result.ALREADY_THERE:
            self._note_edit(visit, file)

    def _note_image(self, visit: Visit, result: Result, name: str, outcome: Outcome) -> None:
        keys = visit.album.key, outcome.image.key
        self.add_note(result, visit.folder, name, outcome.reason, *keys)

    def _note_repair(self, visit: Visit, outcome: Outcome, check: CheckedFile, name: str) -> None:
        """Note an image that --verify downloaded again. An edited file was kept beside it.

        `name`: the name of the new file
        """
        if check.condition is Condition.CHANGED and name != check.record.name:
            reason = f"changed here; SmugMug's version was saved as {name}"
            outcome = outcome._replace(reason=reason)
            self._note_image(visit, Result.KEPT, check.record.name, outcome)
            return
        found = check.reason or check.condition.value
        reasons = [found, f"{outcome.result.text} again", outcome.reason]
        outcome = outcome._replace(reason="; ".join(filter(None, reasons)))
        self._note_image(visit, Result.REPAIRED, name, outcome)

    def _note_file(self, visit: Visit, file: FileRecord, is_video: bool) -> None:
        """Note how a file on disk differs from the user's expectation."""
        keys = visit.album.key, file.image_key
        if is_video and not file.is_original:
            self.videos += 1
        elif not file.is_original:
            reason = "smaller or re-encoded copy"
            self.add_note(Result.NOT_ORIGINAL, visit.folder, file.name, reason, *keys)
        if file.stated_md5:
            self.add_note(Result.CHECKSUM, visit.folder, file.name, file.md5, *keys)
        if file.source_types:
            self.add_note(Result.IN_SOURCE, visit.folder, file.name, file.source_types, *keys)

    def _note_edit(self, visit: Visit, file: FileRecord) -> None:
        """Note a file that the user has changed, if its size shows it."""
        if is_edited(file, visit.on_disk):
            self.changed_here.append(printable(f"{self.within(visit.folder)}/{file.name}"))
            log.debug("changed here: %s", self.changed_here[-1])

    def end(self, visit: Visit) -> None:
        """Count an album whose images all have a result."""
        del self.visits[visit.album.key]
        self._count_album(visit)

    def _count_album(self, visit: Visit) -> None:
        key = visit.album.key
        entry = self.by_album.get(key)  # of the first visit
        if entry is None:
            folder = printable(self.within(visit.folder))
            entry = AlbumEntry(key, folder, visit.album.image_count, 0)
        self.by_album[key] = entry._replace(on_disk=visit.on_disk_count())

    def within(self, path: Path) -> str:
        """Return a path relative to the output folder."""
        return path.relative_to(self.output).as_posix()

    def add_note(
        self, result: Result, folder: Path | str, file: str, reason: str, *keys: str
    ) -> None:
        """Note something for the user at the end of the run.

        `folder`: the path of an album's folder, or its name within the output folder
        `keys`: the keys of the album and the image, if the note is about them
        """
        if isinstance(folder, Path):
            folder = self.within(folder)
        reason = "\n".join(map(printable, reason.split("\n")))
        note = Note(result, printable(folder), printable(file), reason, *keys)
        self.notes.append(note)
        if note.image_key or not file:
            self.reasons.setdefault(note.album_key, {}).setdefault(note.image_key, reason)
        log.debug("%s", ": ".join(filter(None, (result.text, note_path(note), reason))))

    def count(self, result: Result) -> int:
        """Return the number of notes with this result."""
        return sum(note.result is result for note in self.notes)

    def report(self, exit_code: int, sentence: str) -> dict[str, Any]:
        """Return the JSON report: the summary for programs. README describes its fields."""
        seconds = time.monotonic() - self.began
        verified = None
        if self.checked:
            verified = {condition.value: self.checked[condition] for condition in Condition}
        report = {
            "version": REPORT_VERSION,
            "verdict": sentence,
            "exit_code": exit_code,
            "account": self.user.nick_name,
            "output": full_path(self.output),
            "videos": self.videos,
            "removed": self.removed,
            "started": iso_time(self.started),
            "finished": iso_time(self.started + seconds),
            "seconds": round(seconds, 3),
            "rate_limit_wait_seconds": round(self.wait_seconds, 3),
            "api_requests": self.api_requests,
            "bytes": self.downloaded_bytes,
            "albums": self.albums_expected,
            "albums_unchanged": self.albums[AlbumStatus.NONE],
            "smugmug_count": self.user.image_count,
        }
        for result in IMAGE_RESULTS:
            report[result.value.json_name] = self.counts[result]
        report["failed"] = self.count(Result.FAILED)  # including albums that failed to list
        report["on_disk"] = self.on_disk_count()
        report["not_listed"] = self.images_unlisted()
        report["in_no_album"] = self.images_in_no_album()
        report["skipped"] = self.counts[Result.ALREADY_THERE] + self.counts[Result.ADOPTED]
        report["by_album"] = [entry._asdict() for entry in self.by_album.values()]
        report["verified"] = verified
        report["problems"] = [problem_entry(note) for note in self.notes]
        return report


def problem_entry(note: Note) -> dict[str, str]:
    """Return a note as an entry of the JSON report."""
    return {
        "kind": note.result.value.json_name,
        "folder": note.folder,
        "file": note.file,
        "reason": note.reason,
        "album_key": note.album_key,
        "image_key": note.image_key,
    }


def note_path(note: Note) -> str:
    """Return the path of the file or folder in a note."""
    return "/".join(filter(None, (note.folder, note.file)))


def verdict(summary: Summary, settings: Settings, ended_with: int) -> tuple[int, str]:
    """Return the exit code and the last line, which states how much is on disk.

    The same rule decides both. The exit code is 0 if everything SmugMug offers is on disk. The
    line counts what SmugMug does not offer.

    `ended_with`: the exit code of an early end; 0 if there was none
    """
    counts = {result: summary.count(result) for result in Result if result.value.in_verdict}
    counts = {result: number for result, number in counts.items() if number}
    exit_code = ended_with
    if not ended_with and any(result.value.is_failure for result in counts):
        exit_code = EXIT_FAILED
    if not summary.user.nick_name:  # --verify --dry-run, which needs no network
        return exit_code, verified_clause(summary)
    if ended_with and not summary.albums_expected:  # it ended before anything was counted
        return exit_code, ""
    is_complete = not counts.keys() - {Result.IN_SOURCE}
    clauses = [count_clause(summary, settings, bool(ended_with), is_complete)]
    clauses += missing_clauses(summary, settings)
    for result, number in counts.items():
        plural = "s" if number > 1 else ""
        clauses.append(result.value.in_verdict.format(number=f"{number:,}", s=plural))
    if summary.videos:
        clauses.append(f"{counted(summary.videos, 'video')} re-encoded")
    return exit_code, "; ".join(clauses)


def missing_clauses(summary: Summary, settings: Settings) -> Iterator[str]:
    """Yield the verdict's clauses on images without a result on disk."""
    to_download = summary.counts[Result.TO_DOWNLOAD]
    to_copy = summary.counts[Result.TO_COPY]
    if to_copy and to_download:
        yield f"{to_download + to_copy:,} to download or copy"
    elif to_copy:
        yield f"{to_copy:,} {Result.TO_COPY.text}"
    elif to_download:
        yield f"{to_download:,} to download"
    if summary.images_unlisted():
        yield f"{summary.images_unlisted():,} not listed"
    if has_selection(settings):
        return
    if summary.user.image_count is None:
        yield "SmugMug states no total for the account"
    in_no_album = summary.images_in_no_album()
    if in_no_album and not summary.count(Result.LOCKED):  # locked albums have their own clause
        yield f"{in_no_album:,} in no album that SmugMug lists"


def verified_clause(summary: Summary) -> str:
    """Return the verdict of a --verify without a run. Return "" if no file was checked."""
    checked = sum(summary.checked.values())
    if not checked:
        return ""
    folder = printable(full_path(summary.output))
    return f"{summary.checked[Condition.NONE]:,} of {checked:,} files in {folder} are intact"


def count_clause(summary: Summary, settings: Settings, is_early: bool, is_complete: bool) -> str:
    """Return the verdict's beginning: how many images are on disk, and where.

    `is_early`: something ended the run early
    `is_complete`: nothing is known to be missing
    """
    on_disk = summary.on_disk_count()
    folder = printable(full_path(summary.output))
    total = summary.images_expected - summary.counts[Result.DELETED]
    asked = " that you asked for" if has_selection(settings) else ""
    if not asked:
        total += summary.images_in_no_album()
    if is_early and on_disk < total:
        return f"Stopped early: {on_disk:,} of {total:,} are in {folder}"
    if is_early:
        are = "is" if on_disk == 1 else "are"
        return (
            f"Stopped early: {photos_and_videos(on_disk)} {are} in {folder}; others may be missing"
        )
    has_total = bool(asked) or summary.user.image_count is not None
    if on_disk != total or not is_complete or not has_total:
        return f"{on_disk:,} of {total:,} are in {folder}"
    if not total and settings.since:
        albums = " to the albums that you asked for" if settings.album or settings.exclude else ""
        return f"Nothing was uploaded{albums} since {local_text(settings.since)}"
    if not total:
        return f"SmugMug lists no {settings.only or 'photos or videos'}{asked}"
    if total == 1:
        kind = {"photos": "photo", "videos": "video"}.get(settings.only, "photo or video")
        return f"1 {kind}{asked} is in {folder}"
    return f"All {total:,} {settings.only or 'photos and videos'}{asked} are in {folder}"


def local_text(since: str) -> str:
    """Return the time of --since in local time. Midnight is written as a day."""
    shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds_at(since)))
    return shown.replace("T00:00:00", "").replace("T", " ")


def has_selection(settings: Settings) -> bool:
    """Return True if --album, --exclude, --since or --only leaves something out."""
    return bool(settings.album or settings.exclude or settings.since or settings.only)


def summary_text(summary: Summary, settings: Settings, free_bytes: int | None) -> str:
    """Return the summary without verdict: numbers, then notes under headings."""
    lines = [*number_lines(summary, settings), cost_line(summary, free_bytes)]
    for result in Result:
        notes = [note for note in summary.notes if note.result is result]
        if not notes:
            continue
        heading = result.text[0].upper() + result.text[1:]
        lines.append(f"{heading} ({len(notes):,}):")
        lines += by_reason(notes)
        if result.value.advice:
            lines.append(f"  {result.value.advice}")
    return "\n".join(lines)


def number_lines(summary: Summary, settings: Settings) -> Iterator[str]:
    """Yield the lines of the summary that count something."""
    if summary.checked:
        yield f"Verified: {count_phrases(summary.checked, Condition)}"
    if summary.removed:
        removed = counted(len(summary.removed), "file")
        advice = "" if settings.list_removed else " (list them with --list-removed)"
        yield f"No longer on SmugMug: {removed}, kept on disk{advice}"
    if summary.albums_expected:
        always = set(AlbumStatus) - {AlbumStatus.RECHECKED}
        yield f"Albums: {count_phrases(summary.albums, AlbumStatus, always)}"
    files = file_counts(summary, settings)
    if files:
        yield f"Files: {files}"
    written, changed = summary.sidecars[Written.NEW], summary.sidecars[Written.CHANGED]
    if written or changed:
        yield f"Sidecars: {written:,} written, {changed:,} changed"
    if "html" in settings.sidecars and settings.task == "sync" and summary.albums_expected:
        yield f"Pages: {Path(full_path(summary.output / PAGE_NAME)).as_uri()}"
    if summary.changed_here:
        edited = counted(len(summary.changed_here), "file")
        kept = "kept as it is" if len(summary.changed_here) == 1 else "kept as they are"
        names = first_of(sorted(summary.changed_here))
        yield f"Changed here: {edited}, {kept} and not downloaded again ({names})"
    if summary.videos:
        why = "re-encoded by SmugMug; the uploaded files cannot be downloaded"
        yield f"Videos: {summary.videos:,} ({why})"
    if summary.waiting:
        yield summary.waiting[0].upper() + summary.waiting[1:]
    yield from disagreements(summary, settings)


def disagreements(summary: Summary, settings: Settings) -> Iterator[str]:
    """Yield the summary's lines on numbers that SmugMug states wrongly or omits."""
    if summary.undated and not summary.dated:
        photos = counted(summary.undated, "new photo")
        yield f"No camera time: SmugMug states none for {photos}, so their upload time is used"
    if summary.images_in_no_album() and not has_selection(settings):
        yield (
            f"SmugMug reports {summary.user.image_count:,} files in the account but "
            f"{sum(summary.album_counts.values()):,} in its albums (locked, or in no album)"
        )
    uncounted = []
    for album in summary.by_album.values():
        reported = album.smugmug_count
        if reported is not None and album.on_disk > reported:
            counts = f"{album.on_disk:,} on disk, {reported:,} reported"
            uncounted.append(f"{album.folder} ({counts})")
    if uncounted:
        yield f"More files than SmugMug reports: {first_of(uncounted)}"


def file_counts(summary: Summary, settings: Settings) -> str:
    """Return the number of images by result: "3 downloaded, 1 failed"."""
    always: tuple[Result, ...] = ()
    if summary.user.nick_name and settings.task == "sync":
        always = (Result.DOWNLOADED, Result.ALREADY_THERE, Result.FAILED)
    counts = {**summary.counts, Result.FAILED: summary.count(Result.FAILED)}
    return count_phrases(counts, IMAGE_RESULTS, always)


def by_reason(notes: Iterable[Note]) -> list[str]:
    """Return a line for each reason, with its first files."""
    files: dict[str, list[str]] = {}
    for note in sorted(notes, key=note_path):
        files.setdefault(note.reason, []).append(note_path(note))
    lines = [f"  {first_of(names)}: {reason}" for reason, names in files.items()]
    more = len(lines) - REASONS_NAMED
    if more > 0:
        lines[REASONS_NAMED:] = [f"  ... and {more:,} more (-v and --report list them all)"]
    return lines


def first_of(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    text = ", ".join(names[:FILES_NAMED])
    more = len(names) - FILES_NAMED
    return f"{text} and {more:,} more" if more > 0 else text


def cost_line(summary: Summary, free_bytes: int | None) -> str:
    """Return the bytes, time and API calls of a run, and the free space."""
    seconds = time.monotonic() - summary.began
    received_bytes = max(summary.received_bytes, summary.downloaded_bytes)
    downloaded = f"{human_bytes(received_bytes)} in {human_seconds(seconds)}"
    if received_bytes:
        downloaded += f" ({human_bytes(received_bytes / max(seconds, 0.001))}/s)"
    parts = [downloaded, counted(summary.api_requests, "API call")]
    if summary.wait_seconds >= 0.5:
        parts.append(f"waited {human_seconds(summary.wait_seconds)} at SmugMug's request")
    if free_bytes is not None:
        parts.append(f"{human_bytes(free_bytes)} free on disk")
    return ", ".join(parts)


LARGE_BYTES = 100_000_000  # if there is more to download, the percentage counts bytes


def progress_line(summary: Summary, received_bytes: int, columns: int) -> str:
    """Return the progress of the run, most important first, cut to fit.

    `received_bytes`: bytes received so far, including unfinished files
    """
    now = time.monotonic()
    if summary.waiting:
        summary.speed.restart()
    speed = summary.speed.measure(received_bytes, now)
    done = summary.done()
    expected = max(done, summary.images_expected)
    total_bytes = received_bytes + bytes_left(summary, received_bytes)
    albums_done = sum(summary.albums.values()) - len(summary.visits)
    parts = []
    if summary.waiting:
        parts.append(summary.waiting)
    if total_bytes >= LARGE_BYTES and done < expected:
        parts.append(f"{100 * received_bytes // total_bytes:.0f}%")
    elif expected:
        parts.append(f"{100 * done // expected}%")
    if speed and done < expected:
        parts.append(f"{human_seconds((total_bytes - received_bytes) / speed)} left")
    parts.append(f"{done:,}/{expected:,} files")
    parts.append(part_of_bytes(received_bytes, total_bytes))
    parts.append(f"{albums_done:,}/{summary.albums_expected:,} albums")
    if not summary.waiting:
        parts.append(f"{human_bytes(speed)}/s")
    if summary.in_progress:
        parts.append(f"{summary.in_progress} at a time")
    line = parts[0]
    for part in parts[1:]:
        if display_width(f"{line}, {part}") > columns:
            break
        line += f", {part}"
    return line


def bytes_left(summary: Summary, received_bytes: int) -> int:
    """Return an estimate of the bytes still to download.

    Images that are not listed yet count as much as those that are, on average.
    """
    unfinished_bytes = max(0, received_bytes - summary.downloaded_bytes)
    left_bytes = max(0, summary.planned_bytes - summary.finished_bytes - unfinished_bytes)
    pending = sum(visit.pending for visit in summary.visits.values())
    unlisted = max(0, summary.images_expected - summary.done() - pending)
    if summary.planned_images:
        left_bytes += unlisted * summary.planned_bytes // summary.planned_images
    return left_bytes


def part_of_bytes(part_bytes: int, total_bytes: int) -> str:
    """Return the completed part of a size: "2.0 of 7.3 GB"."""
    part, total = human_bytes(part_bytes), human_bytes(total_bytes)
    if not part_bytes or total == part:
        return part
    number, unit = part.split(" ")
    return f"{number if total.endswith(' ' + unit) else part} of {total}"


ALBUM_HEADINGS = ("ALBUM", "FILES", "ON DISK", "SIZE", "CHANGED", "PRIVACY", "PATH")
NUMBER_COLUMNS = 3  # after the names, always shown
MIN_NAME_COLUMNS = 12  # minimum width of album names, even in a narrow terminal


def album_table(albums: Iterable[Album], recorded: Mapping[str, TotalOnDisk], columns: int) -> str:
    """Return a table of albums for --list.

    In a narrow terminal, the last columns are left out and names are shortened, but still differ.
    The size is SmugMug's, which is often too small, or the size on disk if that is larger.

    `recorded`: the files on disk by album key
    `columns`: the width of the terminal; sys.maxsize for a file or pipe
    """
    albums = sorted(albums, key=lambda album: (album.url_path.casefold(), album.key))
    clean = single_line if columns == sys.maxsize else printable  # a file gets every letter
    names = [clean(album.name) or album.key for album in albums]
    rows = []
    for album in albums:
        on_disk = recorded.get(album.key, TotalOnDisk())
        size_bytes = max(album.size_bytes, on_disk.size_bytes)
        row = (
            "" if album.image_count is None else str(album.image_count),
            str(on_disk.files),
            human_bytes(size_bytes) if size_bytes else "",
            printable(album.changed[:10]),
            printable(album.privacy) or ("Locked" if album.locked else ""),
            clean(album.url_path),
        )
        rows.append(row)
    rows.insert(0, ALBUM_HEADINGS[1:])
    widths = [2 + max(map(display_width, cells)) for cells in zip(*rows)]
    drop_columns(widths, names, columns)
    if len(widths) < len(ALBUM_HEADINGS) - 1:  # without their paths, names have to differ
        names = [
            name if names.count(name) == 1 else clean(album.url_path.strip("/")) or name
            for name, album in zip(names, albums)
        ]
        drop_columns(widths, names, columns)
    name_columns = max(map(display_width, [ALBUM_HEADINGS[0], *names]))
    name_columns = min(name_columns, max(MIN_NAME_COLUMNS, columns - sum(widths)))
    short = shorten_apart(names, name_columns)
    lines = []
    for name, row in zip([ALBUM_HEADINGS[0], *(short[name] for name in names)], rows):
        line = name + " " * (name_columns - display_width(name))
        for text, width in zip(row, widths):
            line += "  " + text + " " * (width - 2 - display_width(text))
        lines.append(truncate(line.rstrip(), columns))
    return "\n".join(lines)


def drop_columns(widths: list[int], names: Iterable[str], columns: int) -> None:
    """Remove the widths of last columns that do not fit. Names get a third of the line."""
    name_columns = max(map(display_width, [ALBUM_HEADINGS[0], *names]))
    name_columns = min(name_columns, max(MIN_NAME_COLUMNS, columns // 3))
    while len(widths) > NUMBER_COLUMNS and name_columns + sum(widths) > columns:
        del widths[-1]


# -------------------------------------------------------------------------------------------------
# 19. The run: `sync`, which is the whole program on one screen, and its steps.
#    Uses all sections above, and owns the few objects that change. Independent of the command
#    line.
# -------------------------------------------------------------------------------------------------

# Albums are listed only while fewer jobs than this are waiting. That keeps the downloads busy and
# only a few listings in memory.
JOBS_AHEAD = 1000

# Limit of jobs and pages that wait for closed hosts. Beyond it, no more albums are listed. Each
# takes about 2 kB.
MAX_PARKED = 20_000


class Run:
    """One run: the objects that it uses, and its findings about the albums.

    `album_records`: the records of all albums as they were before the run, by album key
    `folders`: the folder of each album within the output folder, by album key
    `albums`: all albums that SmugMug lists, by album key, selected or not
    `entries`: cached listings of folders, for `path_of`
    `to_relist`: albums whose first listing was incomplete
    `to_recheck`: keys of albums to list although SmugMug reports no change
    `max_name_bytes`: the longest name that the disk takes
    `subfolders`: names of the folders in each folder, by the collision key of its path
    `page_size`: adapts the size of pages to what SmugMug can deliver
    """

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        database: Database,
        index: ContentIndex,
        summary: Summary,
        screen: Screen,
    ) -> None:
        self.settings = settings
        self.connection = connection
        self.database = database
        self.index = index
        self.summary = summary
        self.screen = screen
        self.album_records = database.albums()
        self.folders = {key: record.folder for key, record in self.album_records.items()}
        self.albums: dict[str, Album] = {}
        self.entries: dict[Path, dict[str, str]] = {}
        self.to_relist: deque[Visit] = deque()
        self.to_recheck: frozenset[str] = frozenset()
        self.max_name_bytes = name_limit(settings.output)
        self.subfolders: dict[str, list[str]] = {}
        self.page_size = PageSize(IMAGES_PER_PAGE)

    @property
    def is_preview(self) -> bool:
        """True if nothing is downloaded. Then only a copy of the record is changed."""
        return self.settings.task == "dry-run"

    @property
    def stop(self) -> Stop:
        """The event that ends the run early."""
        return self.connection.stop

    @property
    def user(self) -> User:
        """The account that is signed in."""
        return self.summary.user


def sync(run: Run) -> None:
    """List the albums, plan each, download its missing files, and record the results.

    Listing and downloading overlap, in two pools of threads. Their results are handled here, in
    one thread, where Ctrl-C ends the `with` block and with it both pools. An album is planned when
    its last page arrives. It is finished, with its sidecars, when its last outcome is recorded.
    Pages and jobs that have to wait for a host are handed back, and parked until that host is
    open. In a preview, `preview_job` stands in for the downloads.
    """
    albums = choose_albums(run)
    with ResultQueue(run.stop) as results:
        work = Work(run, results, albums)
        while work.is_left():
            work.take_up_parked()
            work.start_downloads()
            has_started = work.start_listing()
            result = results.take(0 if has_started else TICK_SECONDS)
            if isinstance(result, HandedBack):
                work.parking.add(result)
            elif isinstance(result, Page):
                work.add_page(result)
            elif isinstance(result, Outcome):
                record_outcome(run, result)
                work.jobs.done(result.image)
            run.database.commit_if_due()
            run.summary.in_progress = work.downloaders.in_progress
            run.summary.waiting = run.connection.waiting(work.files_waiting)
            show_progress(run)


class Work:
    """The work left in a run, and the two thread pools that do it.

    `albums`: albums that were not visited yet
    `second_visits`: visits to albums whose first listing was incomplete
    `listed`: albums that are being listed, in order
    `pages`: pages that were handed back and can be requested again
    `jobs`: images to download or copy
    `parking`: pages and jobs that wait for a host
    """

    def __init__(self, run: Run, results: ResultQueue, albums: Iterable[Album]) -> None:
        self._run = run
        self.albums = deque(albums)
        self.second_visits: deque[Visit] = deque()
        self.listed: dict[PagedList, Visit] = {}
        self.pages: deque[Page] = deque()
        self.jobs = Jobs()
        self.parking = Parking()
        self.listers = WorkerPool(partial(fetch_page, run.connection), results, LISTING_THREADS)
        do: Callable[..., Outcome] = preview_job
        if not run.is_preview:
            do = partial(transfer, connection=run.connection, naming_lock=threading.Lock())
        do = partial(do, index=run.index, stop=run.stop)
        self.downloaders = WorkerPool(do, results, run.settings.jobs or INITIAL_JOBS)
        self._steering = Steering(self.downloaders, run.connection)

    def is_left(self) -> bool:
        """Return True if there is work left."""
        return bool(self._has_visits() or self._run.to_relist or self._is_busy())

    def files_waiting(self, host: Host) -> int:
        """Return how many files wait for a host."""
        return self.parking.waiting(host, self.downloaders)

    def take_up_parked(self) -> None:
        """Move items whose wait is over to the front."""
        released = self.parking.take_released()
        for handed_back in reversed(released):
            if handed_back.pool is self.downloaders:
                self.jobs.ready.appendleft(handed_back.item)
            else:
                self.pages.appendleft(handed_back.item)

    def start_downloads(self) -> None:
        """Give jobs to threads, up to the allowed number."""
        while self.jobs.ready and self.downloaders.has_room():
            self._run.index.fill(self._run.database)
            self.downloaders.submit(self.jobs.ready.popleft())
        if not self._run.settings.jobs:
            self._steering.measure(has_more=bool(self.jobs.ready))

    def start_listing(self) -> bool:
        """Request a page, or plan the next album. Return True if more can be started."""
        run = self._run
        if not (self._has_visits() or self._is_busy()):  # second visits come last, once each
            self.second_visits.extend(run.to_relist)
            run.to_relist.clear()
        if not self.listers.has_room():
            return False
        page = self.pages.popleft() if self.pages else next_page(self.listed)
        if page is not None:
            self.listers.submit(page)
            return True
        has_enough = len(self.jobs.ready) >= JOBS_AHEAD or len(self.parking) >= MAX_PARKED
        if has_enough or not self._has_visits():
            return False
        visit = self._next_visit()
        if needs_listing(run, visit):  # otherwise, it is up to date and was counted
            pages = image_list(visit.album, run.page_size, partial(without_metadata, visit))
            self.listed[pages] = visit
        return True

    def add_page(self, page: Page) -> None:
        """Add a page to its list. Plan the album after the last one."""
        page.of.add(page)
        if page.of.is_done():
            visit = self.listed.pop(page.of)
            self.jobs.add(plan_album(self._run, visit, page.of))

    def _has_visits(self) -> bool:
        return bool(self.albums or self.second_visits)

    def _next_visit(self) -> Visit:
        if self.albums:
            return Visit(self.albums.popleft(), only=self._run.settings.only)
        return self.second_visits.popleft()

    def _is_busy(self) -> bool:
        has_jobs = self.jobs.ready or self.downloaders.in_progress
        return bool(self.listed or has_jobs or self.parking)


def next_page(lists: Iterable[PagedList]) -> Page | None:
    """Return the next page to request, from the first list that has one."""
    for pages in lists:
        page = pages.next_page()
        if page is not None:
            return page
    return None


class Steering:
    """Adapts the number of concurrent downloads to the measured throughput."""

    def __init__(self, downloaders: WorkerPool, connection: Connection) -> None:
        self._downloaders = downloaders
        self._connection = connection
        self._pace = Pace()
        self._since = self._now()
        self._is_full = True
        self._was_idle = True

    def measure(self, *, has_more: bool) -> None:
        """Measure; after MEASURE_SECONDS, set the number of downloads as `next_pace` says.

        After the number is lowered, downloads beyond it are still running. They would be credited
        to the lower number, so such a measurement is not full. Measuring begins only with the
        first download, because planning takes time.

        `has_more`: more downloads could be started
        """
        now = self._now()
        in_progress = self._downloaders.in_progress
        if self._was_idle or not in_progress:
            self._since = now
        self._was_idle = not in_progress
        is_saturated = has_more and in_progress == self._downloaders.size
        rate_limit = self._connection.rate_limit
        if rate_limit is not None and rate_limit.is_reached():  # more downloads would not help
            is_saturated = False
        self._is_full = not in_progress or (self._is_full and is_saturated)
        seconds, size_bytes, files, failed_requests = (
            later - earlier for later, earlier in zip(now, self._since)
        )
        if seconds < MEASURE_SECONDS:
            return
        if self._connection.is_waiting():  # an outage is not a sign of overload
            failed_requests = 0
        self._pace = next_pace(
            self._pace, seconds, size_bytes, files, failed_requests, self._is_full
        )
        if self._pace.size != self._downloaders.size:
            log.debug(
                "%d concurrent downloads instead of %d: %.1f MB/s, %d failed requests",
                self._pace.size,
                self._downloaders.size,
                size_bytes / seconds / 1e6,
                failed_requests,
            )
        self._downloaders.size = self._pace.size
        self._since = now
        self._is_full = True

    def _now(self) -> tuple[float, int, int, int]:
        return (
            time.monotonic(),
            self._connection.received_bytes,
            self._downloaders.done,
            self._connection.failed_requests,
        )


def preview_job(job: Job, index: ContentIndex, stop: Stop) -> Outcome:
    """Return the outcome that a job would have. Downloads and writes nothing.

    `index`: the files on disk, and those that earlier jobs would have written
    """
    image = job.image
    remote = image.remote or RemoteFile("", 0, None)
    path = job.folder / job.name
    md5 = remote.md5 or "?"
    if job.recorded is not None and job.recorded.stated_md5:
        md5 = "?"  # what SmugMug serves contradicts it, so the other albums download the file, too
    record = FileRecord(
        image.key,
        image.serial,
        job.name,
        size_bytes=remote.size_bytes or 0,
        md5=md5,
        modified_ns=0,
        is_original=True,
    )
    result = Result.TO_COPY if looks_adoptable(job) else Result.TO_DOWNLOAD
    if any(copy.path != path for copy in index.find(image, stop)):
        result = Result.TO_COPY
    return Outcome(result, job.album, image, record)


def choose_albums(run: Run) -> list[Album]:
    """Return the albums to visit, each with a folder. Raise a Problem if none can be chosen."""
    reading = "Reading the list of albums ..."
    redraw = partial(run.screen.show, lambda columns: run.connection.waiting() or reading)
    redraw()
    keep = partial(sharing_texts, run.album_records)
    albums, problem = fetch_albums(run.connection, run.user, keep, redraw)
    run.albums.update((album.key, album) for album in albums)
    refuse_other_account(run, albums)
    run.summary.album_counts.update((album.key, album.image_count or 0) for album in albums)
    recorded = run.database.totals_on_disk()
    problem = problem or hidden_albums(run, albums, len(recorded))
    if problem:
        run.summary.add_note(Result.FAILED, "the list of albums", "", problem)
    else:
        note_removed_albums(run, recorded)
    albums = selected(run.settings, albums, run.folders)
    run.summary.albums_expected = len(albums)
    albums = [
        asked_album(album, run.album_records.get(album.key, NEW_ALBUM), run.settings.only)
        for album in albums
    ]
    if not (run.settings.full or run.settings.sidecars):
        albums = [album for album in albums if may_have_uploads(album, run.settings.since)]
        run.summary.albums[AlbumStatus.NONE] = run.summary.albums_expected - len(albums)
    give_folders(run, list(run.albums.values()), albums)
    for album in albums:
        run.summary.expect(album.key, album.image_count or 0)
    lack = warn_of_full_disk(bytes_to_download(run, albums, recorded), run.settings.output)
    if lack and run.is_preview:
        run.summary.add_note(Result.NO_SPACE, full_path(run.settings.output), "", lack)
    follow_renames(run, albums)
    run.subfolders = subfolders_of(run.folders.values())
    run.to_recheck = albums_to_recheck(albums, run.album_records, run.connection.now())
    return albums


def hidden_albums(run: Run, albums: list[Album], recorded: int) -> str:
    """Return why most of the account seems to be missing from the list. Return "" if it is not.

    A sign-in with access to public albums only gets a list that looks complete. So the account's
    count has to agree with it, unless SmugMug states full access. The count is normally a little
    higher, because it includes locked albums and images in no album. An empty list is never
    trusted if the record has albums, even if the user may have deleted them all.

    `recorded`: the number of albums with files on disk
    """
    user, summary = run.user, run.summary
    advice = SIGN_IN_AGAIN
    if recorded and not albums:
        advice += (
            " If you deleted all albums on SmugMug, keep this folder, because its files are now "
            "your only copy, and use another one with --output."
        )
        seen = f"SmugMug lists no album, but the record has {counted(recorded, 'album')}"
    elif user.image_count is None and user.level == "Public":
        seen = "SmugMug does not state how many photos and videos the account has"
    elif any(album.image_count is None and not album.locked for album in albums):
        return ""  # the listings will show the number
    elif user.level != "Full" and summary.images_in_no_album() * 2 > (user.image_count or 0):
        in_albums = sum(summary.album_counts.values())
        seen = (
            f"SmugMug reports {user.image_count:,} photos and videos in the account but "
            f"{in_albums:,} in its albums"
        )
    else:
        return ""
    return f"{seen}, so the sign-in probably has too little access. {advice}"


def note_removed_albums(run: Run, recorded: Mapping[str, TotalOnDisk]) -> None:
    """Record the albums that are no longer on SmugMug. Forget those without a folder.

    An album that is missing from the list may be hidden. It counts as removed only if the account
    has too few images in no listed album to fill it.
    """
    for album_key in [key for key in run.album_records if key not in run.albums]:
        files = recorded.get(album_key, TotalOnDisk()).files
        if 0 < files <= run.summary.images_in_no_album():
            continue
        run.database.mark_album_removed(album_key)
        if is_missing(run.settings.output / run.folders[album_key]):
            run.database.forget_album(album_key)  # so that another album may use the folder's name
            del run.folders[album_key]


def give_folders(run: Run, albums: Sequence[Album], chosen: Iterable[Album]) -> None:
    """Choose a folder for each new album. Existing folders stay, whatever the layout.

    The names of folders are requested only if new albums among the `chosen` ones need them.
    """
    is_tree = run.settings.layout == "tree"
    if any(has_other_layout(album, run.folders.get(album.key), is_tree) for album in albums):
        log.info(
            "Layout %s applies to new albums only. Existing album folders stay where they are.",
            run.settings.layout,
        )
    names: dict[str, str] = {}
    if is_tree:
        paths = folders_on_smugmug(chosen, run.folders)
        names = fetch_folder_names(run.connection, run.user, sorted(paths))
    taken: set[str] = set()
    while True:
        parents: Mapping[str, str] = {}
        if is_tree:
            parents = tree_folders(albums, run.folders, names, taken, run.max_name_bytes)
        preferred = partial(preferred_folder, parents, run.max_name_bytes)
        folders = album_folders(albums, run.folders, preferred, taken, run.max_name_bytes)
        files = files_among(run.settings.output, folders.values()) - taken
        if not files:
            break
        taken |= files
    run.folders.update(folders)


def preferred_folder(parents: Mapping[str, str], max_name_bytes: int, album: Album) -> str:
    """Return the preferred folder of an album.

    `parents`: the local folders by path on SmugMug; empty with the layout "album"
    """
    above = smugmug_folders(album)
    parent = parents.get(above[0], "") if above else ""
    return album_folder(album, parent, max_name_bytes)


def has_other_layout(album: Album, folder: str | None, is_tree: bool) -> bool:
    """Return True if an album got its folder under the other layout."""
    if folder is None or not smugmug_folders(album):
        return False
    return ("/" not in folder) == is_tree


def files_among(output: Path, folders: Iterable[str]) -> set[str]:
    """Return the paths of files that take the place of folders.

    Files in the output folder itself are left out. They are the user's, and the run reports that
    they are in the way.
    """
    files = set()
    for folder in folders:
        for path in (folder, *folders_above(folder)):
            full = output / path
            if "/" in path and is_occupied(full) and not passes(os.path.isdir, full):
                files.add(path)
    return files


def subfolders_of(folders: Collection[str]) -> dict[str, list[str]]:
    """Return the folder names in each folder, by its collision key."""
    parents = {parent for folder in folders for parent in folders_above(folder)}
    names: dict[str, list[str]] = {}
    for path in itertools.chain(folders, parents):
        above, _, name = path.rpartition("/")
        names.setdefault(collision_key(above), []).append(name)
    return names


def bytes_to_download(
    run: Run, albums: Iterable[Album], recorded: Mapping[str, TotalOnDisk]
) -> int:
    """Return the bytes missing from new and changed albums.

    Only sizes that SmugMug states count.
    """
    missing_bytes = 0
    for album in albums:
        record = run.album_records.get(album.key)
        if record is None or record.change_token != album.change_token:
            on_disk = recorded.get(album.key, TotalOnDisk())
            missing_bytes += max(0, album.size_bytes - on_disk.size_bytes)
    return missing_bytes


def refuse_other_account(run: Run, albums: Iterable[Album]) -> None:
    """Raise a Problem if the output folder belongs to another account.

    A nickname may change, but album keys do not.
    """
    owner, nick_name = run.database.account(), run.user.nick_name
    if owner == nick_name:
        return
    has_known_album = any(album.key in run.album_records for album in albums)
    if owner and run.album_records and not has_known_album:
        raise Problem(
            f"{printable(run.settings.output)} holds the photos of {printable(owner)}, but you "
            f"are signed in as {printable(nick_name)}. Choose another folder with --output."
        )
    run.database.save_account(nick_name)


def warn_of_full_disk(to_download_bytes: int, output: Path) -> str:
    """Warn if the disk has too little space for the files to download.

    Return the needed and the free space as a text, or "" if the files fit.
    """
    free_bytes = free_space(output)
    if free_bytes is None or to_download_bytes <= free_bytes:
        return ""
    reason = (
        f"at least {human_bytes(to_download_bytes)} to download, {human_bytes(free_bytes)} free"
    )
    log.warning("Not enough space: %s. Only what fits will be downloaded.", reason)
    return reason


def path_of(run: Run, folder: str) -> Path:
    """Return the path of an album's folder."""
    return album_path(run.settings.output, folder, run.folders.values(), run.entries)


def needs_listing(run: Run, visit: Visit) -> bool:
    """Read an album's folder and records. Return True if SmugMug has to list the album.

    Otherwise nothing has changed, on SmugMug or on disk, and the album is counted from its
    records.
    """
    show_progress(run)  # in a preview, thousands of albums may need no listing
    album = visit.album
    visit.folder = path_of(run, run.folders[album.key])
    visit.album_record = run.album_records.get(album.key, NEW_ALBUM)
    reason = outside_problem(visit.folder, run.settings.output)
    try:
        if not reason:
            visit.on_disk = files_in(visit.folder)
    except OSError as error:
        reason = str(disk_problem(error, visit.folder))
    if reason:
        run.summary.add_note(Result.FAILED, visit.folder, "", reason, album.key)
        seen = visit.seen or frozenset()
        run.summary.unlisted[album.key] = max(0, (album.image_count or 0) - len(seen))
        return False
    show_progress(run)  # the folder may hold 100,000 files
    visit.records = run.database.files(album.key)
    visit.unavailable = run.database.unavailable(album.key)
    forget_deleted_files(run.database, visit)
    mark_changed_files(run.summary, visit)
    visit.asks_again = run.settings.full or run.settings.verify
    visit.listed_at = run.connection.now()
    visit.keeps_metadata = bool(run.settings.sidecars) or may_have_sidecars(visit.on_disk)
    visit.is_preview = run.is_preview
    visit.since = run.settings.since
    # Editing captions does not change the token, so sidecars need a listing of every album. The
    # record does not contain upload times, so --since needs one, too.
    settings = run.settings
    is_wanted = settings.full or settings.sidecars or settings.since or visit.seen is not None
    if is_wanted or album.key in run.to_recheck or not is_unchanged(visit, visit.listed_at):
        return True
    run.summary.count_unchanged(visit)
    return False


def mark_changed_files(summary: Summary, visit: Visit) -> None:
    """Treat files that --verify found changed as damaged in this run."""
    if not summary.to_repair:
        return
    for key, record in visit.records.items():
        check = summary.to_repair.get((visit.album.key, key))
        if check is not None and check.condition is Condition.CHANGED:
            visit.records[key] = record._replace(damaged=True)


def mark_restored_files(summary: Summary, visit: Visit, listed: Container[str]) -> None:
    """Treat files that --verify found changed as damaged if SmugMug has their images again.

    `listed`: the keys of the listed images
    """
    for key, check in list(summary.changed_after_removal.items()):
        album_key, image_key = key
        if album_key == visit.album.key and image_key in listed:
            summary.to_repair[key] = summary.changed_after_removal.pop(key)
            visit.records[image_key] = check.record._replace(damaged=True)


def forget_deleted_files(database: Database, visit: Visit) -> None:
    """Forget files that are neither on SmugMug nor on disk. Their names are then free."""
    keys = []
    for key, record in visit.records.items():
        if record.removed and not visit.has_file(record.name):
            keys.append(key)
    database.forget(FileRecord, visit.album.key, keys)
    for key in keys:
        del visit.records[key]


def plan_album(run: Run, visit: Visit, pages: PagedList) -> list[Job]:
    """Plan a listed album. Record images that need no work, and return the other jobs.

    An album that may have more images than listed is relisted at the end of the run, because
    listings lag behind.
    """
    album = visit.album
    visit.images, visit.problem = images_listed(album, pages)
    will_relist = bool(visit.problem) and not album.locked and visit.seen is None
    if not visit.problem:
        note_removed_images(run.database, visit, pages.keys)
    mark_restored_files(run.summary, visit, pages.keys)
    count_listed(run.summary, visit, pages.stated_total())
    if will_relist:
        run.to_relist.append(visit.again(frozenset(image.key for image in visit.images)))
    elif visit.problem:
        result = Result.LOCKED if album.locked else Result.FAILED
        run.summary.add_note(result, visit.folder, "", visit.problem, album.key)
    listed_at = visit.album_record.listed_at if visit.problem else visit.listed_at
    record = visit.album_record._replace(
        folder=run.folders[album.key],
        change_token="",
        listed_at=listed_at,
        name=visit.album_record.name or album.name,
    )
    run.database.save(album.key, record)
    return plan_images(run, visit)


def count_listed(summary: Summary, visit: Visit, stated_total: float) -> None:
    """Compare SmugMug's count of an album with the images in its listings.

    Two incomplete listings are enough if together they reach both counts, the album's and the
    listing's.
    """
    album, listed = visit.album, len(visit.images)
    if visit.seen is not None:
        listed = len(visit.seen.union(image.key for image in visit.images))
    if album.image_count is None:
        summary.album_counts[album.key] = listed
    elif visit.seen is not None and listed >= max(album.image_count, stated_total):
        visit.problem = ""
    summary.unlisted[album.key] = max(0, (album.image_count or 0) - listed)


def plan_images(run: Run, visit: Visit) -> list[Job]:
    """Record the listed images that need no work. Return jobs for the others."""
    seen = visit.seen or frozenset()
    images = visit.images
    if visit.only:
        images = [image for image in images if image.is_video == (visit.only == "videos")]
    wanted = [image for image in images if is_wanted(image, visit.since, seen)]
    new = [image for image in visit.images if image.key not in visit.records]
    taken = [record.name for record in visit.records.values()]
    taken += run.subfolders.get(collision_key(run.folders[visit.album.key]), ())
    visit.max_name_bytes = run.max_name_bytes
    names = image_names(new, taken, run.max_name_bytes)
    if visit.on_disk and new:
        visit.former_names = former_names(new, taken)
    unlisted_suspects = suspects_not_listed(visit)
    visit.pending = len(wanted) + len(unlisted_suspects)
    visit.is_partial = len(wanted) < len(images)
    run.summary.begin(visit)
    run.summary.planned_images += len(wanted)
    jobs = []
    for image in wanted:
        show_progress(run)  # there may be 100,000 images
        step = plan_image(visit, image, names.get(image.key, ""), run.connection.now())
        if isinstance(step, Job):
            jobs.append(step)
            visit.job_bytes[image.key] = known_size(image)
            run.summary.planned_bytes += visit.job_bytes[image.key]
        else:
            record_outcome(run, step)
    for outcome in unlisted_suspects:
        record_outcome(run, outcome, is_confirmed=True)
    if not wanted and not unlisted_suspects:
        finish_album(run, visit)
    return jobs


def known_size(image: Image) -> int:
    """Return an image's file size as SmugMug states it, or 0."""
    size_bytes = image.remote.size_bytes if image.remote is not None else None
    return size_bytes or image.original_size_bytes or 0


def suspects_not_listed(visit: Visit) -> list[Outcome]:
    """Return the outcomes of suspects that a second listing lacks.

    They were deleted, unless the listing is incomplete.
    """
    if not visit.suspects:
        return []
    listed = {image.key for image in visit.images}
    missing = [outcome for key, outcome in visit.suspects.items() if key not in listed]
    if visit.problem:
        return [not_confirmed(outcome) for outcome in missing]
    return missing


def not_confirmed(outcome: Outcome) -> Outcome:
    """Return the failure of an image that got a 404 although it is listed."""
    reason = "SmugMug cannot find it (404), although it was not deleted from its album"
    return outcome._replace(result=Result.FAILED, reason=reason)


def note_removed_images(database: Database, visit: Visit, listed: set[str]) -> None:
    """Record the images that are missing from a complete listing. Their files stay.

    `listed`: the keys of the listed images
    """
    for key in [key for key in visit.records if key not in listed]:
        visit.records[key] = visit.records[key]._replace(removed=True)
        database.save(visit.album.key, visit.records[key])
    database.forget(Unavailable, visit.album.key, visit.unavailable.keys() - listed)


def follow_renames(run: Run, albums: Iterable[Album]) -> None:
    """Report albums that were renamed on SmugMug. With --rename, rename their folders.

    A folder that the user has renamed is not renamed again. Only a new name of the album counts.
    """
    for album in albums:
        record = run.album_records.get(album.key)
        if record is None or record.name == album.name:
            continue
        folder = run.folders[album.key]
        new_name = album_folder(album, "", run.max_name_bytes)
        expected = new_name, with_suffix(new_name, f"_{album.key}")
        if not record.name or folder.rpartition("/")[2] in expected:
            save_folder(run, album, folder)
            continue
        if run.settings.rename and not run.is_preview and rename_folder(run, album, new_name):
            continue
        log.info(
            "The album in %s is now called %s on SmugMug. Use --rename to rename the folder.",
            printable(folder),
            printable(album.name),
        )


def save_folder(run: Run, album: Album, folder: str) -> None:
    """Record an album's folder and the current name of the album."""
    record = run.album_records[album.key]._replace(folder=folder, name=album.name)
    run.folders[album.key] = folder
    run.album_records[album.key] = record
    run.database.save(album.key, record)


def rename_folder(run: Run, album: Album, new_name: str) -> bool:
    """Rename an album's folder. Return False if it is missing or the new name is taken."""
    folder = run.folders[album.key]
    parent = folder[: folder.rfind("/") + 1]  # with its slash; "" for the output folder
    others = [name for key, name in run.folders.items() if key != album.key]
    wanted = [(album.key, parent + new_name)]
    taken = [PAGE_NAME, *others]
    new_folder = unique_names(wanted, taken, run.max_name_bytes)[album.key]
    path = path_of(run, folder)
    new_path = path.with_name(new_folder.rpartition("/")[2])
    if is_occupied(new_path) or not exists(path):
        return False
    try:
        rename(path, new_path)
    except (OSError, UnicodeError) as error:
        reason = str(disk_problem(error, new_path))
        run.summary.add_note(Result.FAILED, folder, "", reason, album.key)
        return True
    log.info("Folder %s was renamed to %s.", printable(folder), printable(new_folder))
    save_folder(run, album, new_folder)
    # If a killed run forgot the new name, another album could take the folder for its own.
    run.database.commit_if_due(0)
    return True


def record_outcome(run: Run, outcome: Outcome, is_confirmed: bool = False) -> None:
    """Record an outcome and count it. The last outcome of an album completes the album.

    SmugMug sometimes returns 404 for images that exist. So an image counts as deleted only if that
    `is_confirmed`. Until then, it waits for the end of its album.
    """
    visit = run.summary.visits[outcome.album.key]
    visit.pending -= 1
    run.summary.finished_bytes += visit.job_bytes.pop(outcome.image.key, 0)
    if outcome.result is Result.DELETED and not is_confirmed:
        visit.not_found[outcome.image.key] = outcome
    else:
        count_outcome(run, visit, outcome)
    if not visit.pending:
        settle_not_found(run, visit)
        finish_album(run, visit)


def settle_not_found(run: Run, visit: Visit) -> None:
    """Decide if images that got a 404 were deleted.

    They were deleted if the album's count, requested after the 404, is now too small for them. If
    it is not, a second listing decides. It may lack them, or contain newer versions.
    """
    if not visit.not_found:
        return
    counts = [outcome.album_count for outcome in visit.not_found.values()]
    count = min((count for count in counts if count is not None), default=None)
    if count is not None and count <= len(visit.images) - len(visit.not_found):
        for outcome in visit.not_found.values():
            count_outcome(run, visit, outcome)
    elif visit.seen is None:
        relist_not_found(run, visit, count)
    else:
        for outcome in visit.not_found.values():
            count_outcome(run, visit, not_confirmed(outcome))


def relist_not_found(run: Run, visit: Visit, count: int | None) -> None:
    """Let a second visit to the album decide about 404 images.

    `count`: SmugMug's current count of the album's images, None if unknown
    """
    second = visit.second
    if second is None:
        second = visit.again(frozenset(image.key for image in visit.images))
        run.to_relist.append(second)
    if count is not None:
        second.album = visit.album._replace(image_count=count)
    second.seen = (second.seen or frozenset()) - visit.not_found.keys()
    second.suspects = visit.not_found
    visit.is_partial = True


def count_outcome(run: Run, visit: Visit, outcome: Outcome) -> None:
    """Record an outcome and count it."""
    album_key = outcome.album.key
    image = outcome.image
    file = outcome.file
    if file is not None:
        file = file._replace(source_types=", ".join(image.source_types))
        check = run.summary.to_repair.get((album_key, image.key))
        if check is not None and check.condition is Condition.CHANGED:
            file = file._replace(damaged=False)  # the mark was for this run only
        outcome = outcome._replace(file=file)
        run.database.save(album_key, file)
        was_there = outcome.result is Result.ALREADY_THERE
        if not (was_there and visit.on_disk.is_evicted(file.name)):  # cannot be copied
            run.index.add(visit.folder / file.name, file)
    before = visit.unavailable.get(image.key)
    unavailable = unavailable_after(outcome, before, run.connection.now())
    if unavailable is not None:
        run.database.save(album_key, unavailable)
    elif before is not None:
        run.database.forget(Unavailable, album_key, [image.key])
    if file is not None and outcome.result is not Result.ALREADY_THERE:
        folder = printable(run.folders[album_key])
        log.debug("%s: %s/%s", outcome.result.text, folder, printable(file.name))
        is_listed = bool(run.settings.originals) and run.settings.verbose
        if is_listed and outcome.result is Result.TO_DOWNLOAD:
            run.screen.clear()
            print_result(f"Only on SmugMug: {folder}/{printable(file.name)}")
    run.summary.add(visit, outcome)


def finish_album(run: Run, visit: Visit) -> None:
    """Write an album's sidecars and report its results. Record it if it is complete."""
    folder = printable(run.folders[visit.album.key])
    if run.is_preview:
        if visit.to_download:
            run.screen.clear()
            size = human_bytes(visit.to_download_bytes)
            print_result(f"{folder}: {counted(visit.to_download, 'file')}, {size}")
        run.summary.to_download_bytes += visit.to_download_bytes
        run.summary.end(visit)
        return
    if visit.keeps_metadata and not visit.problem:
        write_sidecars(run, visit)
    if is_complete(visit):
        remove_part_files(visit)
        record = AlbumRecord(
            run.folders[visit.album.key],
            settled_token(visit),
            visit.listed_at,
            visit.album_record.verified_at,
            visit.album_record.name or visit.album.name,
        )
        run.database.save(visit.album.key, record)
    run.summary.end(visit)
    results = [visit.problem, count_phrases(visit.counts, IMAGE_RESULTS)]
    log.info("%s: %s", folder, ", ".join(filter(None, results)) or "nothing to download")


def is_complete(visit: Visit) -> bool:
    """Return True if each image of an album is on disk or recorded as unavailable."""
    if visit.problem or visit.is_partial:
        return False
    return all(result.is_on_disk or result is Result.UNAVAILABLE for result in visit.counts)


def remove_part_files(visit: Visit) -> None:
    """Remove the part files of replaced versions from a complete album.

    Only names made for an image of this album are removed.
    """
    parts = [name for name in visit.on_disk if part_key(name)]
    if not parts:
        return
    keys = {image.key for image in visit.images} | visit.records.keys()
    for name in parts:
        if part_key(name) in keys:
            with suppress(OSError):  # a part file that stays does no harm
                remove(visit.folder / name)


def write_sidecars(run: Run, visit: Visit) -> None:
    """Update the sidecars of an album. Raise DiskFull if the disk is full."""
    key = visit.album.key
    entry = album_on_disk(run, key, visit.album_record)
    for path, content in album_sidecars(run.settings.sidecars, visit, entry):
        if not write_sidecar(run, path, content, key):
            visit.problem = "some sidecars could not be written"


def write_sidecar(run: Run, path: Path, content: bytes, album_key: str = "") -> bool:
    """Update a sidecar and count it; return False if that failed. Raise DiskFull."""
    folder = "" if path.parent == run.settings.output else path.parent
    try:
        run.summary.sidecars[update_sidecar(path, content)] += 1
    except DiskFull:
        raise
    except FileInTheWay as problem:
        run.summary.add_note(Result.KEPT, folder, path.name, str(problem), album_key)
    except Problem as problem:
        run.summary.add_note(Result.FAILED, folder, path.name, str(problem), album_key)
        return False
    return True


def files_here(run: Run, album_key: str, folder: Path) -> dict[str, FileRecord]:
    """Return the files of an album on disk, by image key.

    For albums that were compared with the disk in this run, the record is used, except for images
    with a reason. Other albums are compared with the disk now.
    """
    files = run.database.files(album_key)
    doubtful = run.summary.reasons.get(album_key, {}).keys() & files.keys()
    if album_key not in run.summary.by_album and album_key not in run.summary.visits:
        doubtful = set(files)
    on_disk = FilesOnDisk()
    if doubtful:
        with suppress(OSError):  # then the album has no files to show
            on_disk = files_in(folder)
    for key in doubtful:
        if on_disk.actual_name(files[key].name) not in on_disk:
            del files[key]
    return files


# Stands for an album on disk that SmugMug's list of albums does not contain.
UNLISTED_ALBUM = parse_album(Entry({"UrlPath": "/Not in SmugMug's list of albums/"}))


def write_overview(run: Run) -> None:
    """Update the overview if it was requested, or was made by this program."""
    path = run.settings.output / PAGE_NAME
    if run.is_preview:
        return
    if "html" not in run.settings.sidecars and not is_own_sidecar(path):
        return
    records = run.database.albums()
    albums = []
    for key in run.folders:
        show_progress(run)  # there may be thousands of albums
        albums.append(album_on_disk(run, key, records.get(key, NEW_ALBUM)))
    write_sidecar(run, path, overview_page(run.user, albums, run.connection.now()))


def album_on_disk(run: Run, album_key: str, record: AlbumRecord) -> AlbumOnDisk:
    """Return the files of an album on disk, for its page and the overview."""
    folder = path_of(run, run.folders[album_key])
    files = files_here(run, album_key, folder)
    page = page_name(files.values())
    return AlbumOnDisk(
        album=run.albums.get(album_key, UNLISTED_ALBUM._replace(key=album_key)),
        folder=run.summary.within(folder),
        files=files,
        reasons=run.summary.reasons.get(album_key, {}),
        page=page if exists(folder / page) else "",
        verified_at=record.verified_at,
    )


def add_final_notes(
    settings: Settings, database: Database, summary: Summary, redraw: Callable[[], None]
) -> None:
    """Note damaged files that were not replaced, and files deleted on SmugMug."""
    for key, check in list(summary.to_repair.items()):
        is_users_business = check.condition in (Condition.MISSING, Condition.CHANGED)
        if is_users_business and database.clear_damage_if_removed(*key):
            del summary.to_repair[key]  # the user may edit or delete such files
    to_repair = {check.path for check in summary.to_repair.values()}
    for folder, name in database.marked("damaged"):
        redraw()
        path = settings.output / folder / name
        is_noted = path in to_repair or settings.task == "dry-run"
        if is_occupied(path) and not is_noted:
            reason = "failed --verify and was not downloaded again"
            summary.add_note(Result.DAMAGED, folder, name, reason)
    for folder, name in database.marked("removed"):
        redraw()
        if is_occupied(settings.output / folder / name):
            summary.removed.append(f"{folder}/{name}")


def show_progress(run: Run) -> None:
    """Redraw the progress line if it is due."""
    run.screen.show(partial(progress_line, run.summary, run.connection.file_bytes))


# -------------------------------------------------------------------------------------------------
# 20. Tasks: a run, a preview, a list or a sign-in, from beginning to end.
#    Uses all sections above. Opens and closes the objects of a task, and reports the result.
# -------------------------------------------------------------------------------------------------

ENDINGS = (Problem, KeyboardInterrupt, Stopped, OSError)
TYPICAL_BYTES = 10_000_000  # runs that download less do not replace a recorded speed


def ending(error: BaseException) -> tuple[str, int]:
    """Return the message and exit code for an error that ends the run.

    Without an error, the message is "".
    """
    if isinstance(error, Problem):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        return str(disk_problem(error, Path())), EXIT_FAILED
    return "Interrupted.", EXIT_INTERRUPTED


def sync_task(settings: Settings, screen: Screen, stop: Stop) -> int:
    """Run or preview a download, and report the result. Return the exit code."""
    summary = Summary(settings.output)
    ended, ended_with = "", EXIT_COMPLETE
    try:
        run_steps(settings, summary, screen, stop)
        screen.clear()
        if settings.list_removed:
            for name in summary.removed:
                print_result(as_data(name))
            if not summary.removed:
                log.log(NOTICE, "No files have been removed from SmugMug.")
        with output_checked():
            sys.stdout.flush()
    except ENDINGS as error:
        ended, ended_with = ending(error)
        untried = max(0, summary.images_expected - summary.done())
        if isinstance(error, Unreachable) and untried:
            verb = "was" if untried == 1 else "were"
            ended += f" {photos_and_videos(untried)} {verb} not tried."
        if ended_with == EXIT_INTERRUPTED:
            ended += " Run this again to continue; nothing already downloaded is lost."
    screen.clear()
    return report_result(settings, summary, ended, ended_with)


def run_steps(settings: Settings, summary: Summary, screen: Screen, stop: Stop) -> None:
    """Verify if asked to, sign in, and run or preview the download."""
    is_preview = settings.task == "dry-run"
    signed_in = None  # verifying needs no network
    if not settings.verify:
        signed_in = connect(settings, screen, stop)
    summary.started = time.time()  # the run begins here, because typing a PIN may take long
    summary.began = time.monotonic()
    refuse_unusable_output(settings)
    redraw = partial(screen.show, lambda columns: "Reading the download record ...")
    open_record = open_copy if is_preview else open_database
    with open_record(settings.output, redraw) as database:
        refuse_new_record(settings, database)
        if not is_preview:
            remember_folder(settings)
        index = ContentIndex(
            settings.output, screen.show_text, settings.originals, settings.hard_links
        )
        moved = follow_moved_folders(database, index, stop)
        if not is_preview:
            correct_moved_pages(settings, database, moved)
        if settings.verify:
            verify_files(settings, database, summary, screen, stop)
        if not (settings.verify and is_preview):
            connection, summary.user = signed_in or connect(settings, screen, stop)
            run = Run(settings, connection, database, index, summary, screen)
            sync_and_count_costs(run)
            if is_preview:
                print_preview(run)
        add_final_notes(settings, database, summary, redraw)


def correct_moved_pages(settings: Settings, database: Database, moved: Mapping[str, str]) -> None:
    """Correct the pages of albums whose folders were moved.

    `moved`: the new folders by album key
    """
    for album_key, folder in moved.items():
        name = page_name(database.files(album_key).values())
        correct_link(settings.output / folder / name, overview_address(folder, album_key))


def sync_and_count_costs(run: Run) -> None:
    """Run or preview the download. Count its requests even if it fails."""
    try:
        sync(run)
        write_overview(run)
    except Unreachable:
        if run.albums:  # some of them may have been downloaded
            write_overview(run)
        raise
    finally:
        run.summary.api_requests = run.connection.api_requests
        run.summary.wait_seconds = run.connection.waited_seconds()
        run.summary.received_bytes = run.connection.file_bytes
        if not run.is_preview:
            record_speed(run)


def record_speed(run: Run) -> None:
    """Record the download speed for later previews, if enough was downloaded."""
    seconds = time.monotonic() - run.summary.began - run.summary.wait_seconds
    received_bytes = run.summary.received_bytes
    if (
        seconds > 0
        and received_bytes
        and (received_bytes >= TYPICAL_BYTES or not run.database.speed())
    ):
        run.database.save_speed(received_bytes / seconds)


def print_preview(run: Run) -> None:
    """Print the total of a preview. Warn if it does not fit on the disk."""
    summary = run.summary
    run.screen.clear()
    lack = ""
    if not summary.count(Result.NO_SPACE):  # otherwise, SmugMug's own sum has said so
        lack = warn_of_full_disk(summary.to_download_bytes, run.settings.output)
    if lack:
        summary.add_note(Result.NO_SPACE, full_path(summary.output), "", lack)
    files = counted(summary.counts[Result.TO_DOWNLOAD], "file")
    total = f"To download: {files}, {human_bytes(summary.to_download_bytes)}"
    to_copy = summary.counts[Result.TO_COPY]
    if to_copy:
        total += f" ({to_copy:,} more {Result.TO_COPY.text} from files on disk)"
    print_result(total)
    speed = run.database.speed()
    if run.settings.limit_rate is not None:
        speed = min(speed, run.settings.limit_rate)
    if speed and summary.to_download_bytes:
        seconds = summary.to_download_bytes / speed
        duration = f"about {human_seconds(seconds)}" if seconds >= 1 else "less than a second"
        log.info(
            "This takes %s at the speed of the last run (%s/s).", duration, human_bytes(speed)
        )
    if run.settings.originals:
        advice = "" if run.settings.verbose else " (list them with -v)"
        size = human_bytes(summary.to_download_bytes)
        print_result(f"Only on SmugMug: {files}, {size}{advice}")


def verify_files(
    settings: Settings, database: Database, summary: Summary, screen: Screen, stop: Stop
) -> None:
    """Hash every recorded file, and mark damaged ones for another download.

    Raise a Problem in a preview without a download record.
    """
    albums = database.albums()
    if not albums:
        text = f"Nothing to verify: {printable(settings.output)} has no download record."
        if settings.task == "dry-run":
            raise Problem(f"{text} A run without -n creates one.")
        log.warning(
            "%s This run creates one, matching existing files by content. "
            "Then run --verify again.",
            text,
        )
    check_one = partial(check_file, hashes=LinkedHashes(), stop=stop)
    for check in in_parallel(check_one, files_to_check(database, settings.output), stop):
        screen.show(lambda columns: f"Verified {counted(sum(summary.checked.values()), 'file')}")
        if check is not None:
            database.save(check.album_key, check.record._replace(damaged=check.is_damaged()))
            summary.check(check)
        database.commit_if_due(TICK_SECONDS)  # a killed run keeps its results
    note_left_out(settings, database, summary)
    warn_of_changed_files(settings, summary)
    for album_key in albums.keys() - {album_key for album_key, _ in summary.to_repair}:
        database.save(album_key, albums[album_key]._replace(verified_at=time.time()))


def note_left_out(settings: Settings, database: Database, summary: Summary) -> None:
    """Note the folders that --verify left out, unless the download will."""
    if settings.task != "dry-run":
        return
    for album in database.albums().values():
        folder = settings.output / album.folder
        reason = outside_problem(folder, settings.output)
        if reason:
            summary.add_note(Result.FAILED, folder, "", reason)


def warn_of_changed_files(settings: Settings, summary: Summary) -> None:
    """State the cost of downloading changed files again, and how to avoid it."""
    changed = []
    for check in summary.to_repair.values():
        if check.condition is Condition.CHANGED:
            changed.append(check.record.size_bytes)
    if changed and settings.task != "dry-run":
        log.warning(
            "%s changed here since the download. SmugMug's copies are now saved beside "
            "them (about %s to download). To keep only your versions, stop this with Ctrl-C, then "
            "run it without --verify, which leaves changed files alone.",
            "1 file was" if len(changed) == 1 else f"{len(changed):,} files were",
            human_bytes(sum(changed)),
        )


def report_result(settings: Settings, summary: Summary, ended: str, ended_with: int) -> int:
    """Print the summary and the verdict, and write the JSON report. Return the exit code.

    `ended`, `ended_with`: the message and exit code of an early end; "" and 0 if there was none
    """
    for check in summary.to_repair.values():
        summary.add_note(
            Result.NEEDS_REPAIR,
            check.path.parent,
            check.path.name,
            check.reason or check.condition.value,
            check.album_key,
            check.record.image_key,
        )
    exit_code, sentence = verdict(summary, settings, ended_with)
    is_well = exit_code == EXIT_COMPLETE and not summary.count(Result.CHECKSUM)
    level = NOTICE if is_well else logging.WARNING
    if summary.albums_expected or summary.checked or not ended:
        log.log(level, "%s", summary_text(summary, settings, free_space(settings.output)))
    if ended:
        log.error("%s", ended)
        summary.add_note(Result.STOPPED_EARLY, "", "", ended)
    if settings.report is not None:
        report = summary.report(exit_code, sentence)
        if not write_report(settings.report, report):
            exit_code = exit_code or EXIT_FAILED
            level = logging.WARNING
    if sentence:
        log.log(level, "%s", sentence)
    return exit_code


def list_albums(settings: Settings, screen: Screen, stop: Stop) -> int:
    """Print a table of the albums, for --list. Return the exit code."""
    connection, user = connect(settings, screen, stop)
    screen.announce("Reading the list of albums ...")
    albums, problem = fetch_albums(connection, user)
    redraw = partial(screen.show, lambda columns: "Reading the download record ...")
    with open_copy(settings.output, redraw) as database:
        recorded = database.totals_on_disk()
        folders = {key: record.folder for key, record in database.albums().items()}
    screen.clear()
    albums = selected(settings, albums, folders)
    columns = terminal_columns(sys.stdout) if sys.stdout.isatty() else sys.maxsize
    print_result(album_table(albums, recorded, columns))
    files = counted(sum(album.image_count or 0 for album in albums), "file")
    files_on_disk = sum(recorded.get(album.key, TotalOnDisk()).files for album in albums)
    log.info("%s in %s, %s on disk.", files, counted(len(albums), "album"), f"{files_on_disk:,}")
    if problem:
        log.error("%s", problem)
    return EXIT_FAILED if problem else EXIT_COMPLETE


def diagnose(settings: Settings, screen: Screen, stop: Stop) -> int:
    """Print the data for a bug report as a JSON object. Return the exit code.

    Nothing is written to the output folder, and no text of the user is shown.
    """
    report: dict[str, Any] = {
        "program": VERSION,
        "versions": versions(),
        "disk": disk_abilities(settings.output),
        "requests": [],
    }
    exit_code = EXIT_COMPLETE
    try:
        connection, user = connect(settings, screen, stop)
        report["has_proxy"] = connection.uses_proxy()
        report["account_images"] = user.image_count
        diagnosis = Diagnosis(connection)
        report["requests"] = diagnosis.requests
        screen.show(lambda columns: "Contacting SmugMug ...")
        in_background(partial(diagnosis.run, user))
        report["counts"] = dict(sorted(diagnosis.counts.items()))
        report["unexpected"] = dict(sorted(diagnosis.unexpected.items()))
    except Problem as error:
        exit_code = error.exit_code
        status = getattr(error, "status", None)
        report["requests"].append(
            {"name": "sign-in", "status": status, "errors": [type(error).__name__]}
        )
        log.error("%s", error)
    screen.clear()
    print(json.dumps(report, indent=2))
    return exit_code


def versions() -> dict[str, str]:
    """Return the versions of this program's dependencies."""
    return {
        "python": platform.python_version(),
        "requests": str(requests.__version__),
        "urllib3": str(requests.packages.urllib3.__version__),  # type: ignore[attr-defined]
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "file_names": sys.getfilesystemencoding(),
    }


def as_data(text: str) -> str:
    """Return a text for standard output.

    It is exact for a file or pipe, printable for a terminal.
    """
    return printable(text) if sys.stdout.isatty() else text


def md5_line(md5: str, path: str) -> str:
    """Return a line for `md5sum -c`, with escaped backslashes and line ends."""
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "\\" if escaped != path else ""
    return as_data(f"{mark}{md5}  {escaped}")


def list_md5(settings: Settings, screen: Screen, stop: Stop) -> int:
    """Print the MD5 of each recorded file for `md5sum -c`. Return the exit code.

    Raise a Problem if there is no download record.
    """
    refuse_unusable_output(settings)
    redraw = partial(screen.show, lambda columns: "Reading the download record ...")
    with open_copy(settings.output, redraw) as database:
        albums = database.albums()
        if not albums:
            raise Problem(
                f"Nothing to list: {printable(settings.output)} has no download record. "
                "A run creates one."
            )
        screen.clear()
        for folder, key in sorted((album.folder, key) for key, album in albums.items()):
            records = database.files(key).values()
            for record in sorted(records, key=lambda record: record.name):
                print_result(md5_line(record.md5, f"{folder}/{record.name}"))
    return EXIT_COMPLETE


def log_in(settings: Settings, screen: Screen, stop: Stop) -> int:
    """Sign in, so that later runs need no PIN. Return the exit code."""
    _, user = connect(settings, screen, stop)
    log.log(NOTICE, "Signed in as %s. Later runs need no PIN.", printable(user.nick_name))
    return EXIT_COMPLETE


def log_out(settings: Settings, screen: Screen, stop: Stop) -> int:
    """Forget the sign-in and an API key that was typed in. Return the exit code.

    Raise a Problem if the file cannot be removed.
    """
    has_token = True  # an unreadable file may have one
    with suppress(OSError):
        has_token = b'"access_token"' in settings.token_file.read_bytes()
    try:
        remove(part_beside(settings.token_file))  # from a run that was killed while saving
        settings.token_file.unlink()
        log.log(NOTICE, "Removed %s.", settings.token_file)
        if has_token:
            log.log(
                NOTICE,
                "SmugMug still lists this program as authorized. To revoke that, go to %s.",
                AUTHORIZED_SERVICES,
            )
    except FileNotFoundError:
        log.log(NOTICE, "There is no saved sign-in.")
    except OSError as error:
        raise disk_problem(error, settings.token_file) from None
    return EXIT_COMPLETE


def write_report(path: Path, report: dict[str, Any]) -> bool:
    """Write the JSON report; return False if that fails. "-" stands for standard output."""
    text = json.dumps(report, indent=2) + "\n"
    try:
        if str(path) == "-":
            sys.stdout.write(text)
        else:
            write_atomically(Path(os.path.realpath(str(path))), text.encode("utf-8"))
    except OSError as error:
        log.error("Cannot write the report: %s", disk_problem(error, path))
        return False
    return True


# -------------------------------------------------------------------------------------------------
# 21. Command line: the options and `main`.
#     Uses all sections. Reads the options, sets up signals and the log, and starts a task.
#
#     A new option is a field of `Settings` and a call in an `add_` function whose `dest` is the
#     field's name. Tasks that refuse it list it in CONFLICTING_OPTIONS.
# -------------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Run the program with these arguments and return its exit code."""
    if not gc.isenabled():
        with suppress(AttributeError):  # PyPy has no freeze
            gc.freeze()  # leaves the loaded packages out of every later search for garbage
        gc.enable()
    set_up_streams()
    settings = read_settings(argv, os.environ)
    quiet_level = (logging.INFO, NOTICE, logging.WARNING)[min(settings.quiet, 2)]
    level = logging.DEBUG if settings.verbose else quiet_level
    screen = Screen(level, settings.progress and not settings.quiet)
    stop = Stop()
    try:
        catch_signals(stop, screen)
        set_up_log(settings, screen)
        exit_code = TASKS[settings.task](settings, screen, stop)
        with output_checked():
            sys.stdout.flush()
    except ENDINGS as error:
        text, exit_code = ending(error)
        if text:
            log.error("%s", text)
    return exit_code


TASKS: dict[str, Callable[[Settings, Screen, Stop], int]] = {
    "sync": sync_task,
    "dry-run": sync_task,
    "list": list_albums,
    "list-md5": list_md5,
    "diagnose": diagnose,
    "login": log_in,
    "logout": log_out,
}
# Options that do not apply to a task, and are refused on its command line. The environment may set
# them, because all tasks share it.
LIST_CONFLICTS = (
    "report",
    "verify",
    "full",
    "new_record",
    "rename",
    "list_removed",
    "originals",
    "hard_links",
)
SELECTION_CONFLICTS = (*LIST_CONFLICTS, "album", "exclude", "since", "only")
CONFLICTING_OPTIONS = {
    "list": LIST_CONFLICTS,
    "list-md5": SELECTION_CONFLICTS,
    "diagnose": SELECTION_CONFLICTS,
    "login": SELECTION_CONFLICTS,
    "logout": SELECTION_CONFLICTS,
}


def catch_signals(stop: Stop, screen: Screen) -> None:
    """Make Ctrl-C, termination and a closed terminal end the run in order."""
    numbers = []
    for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            numbers.append(number)  # ignored signals stay ignored, as under nohup

    def interrupt(number: int, frame: Any) -> None:
        for each in numbers:  # nothing may interrupt the end, which takes up to two seconds
            signal.signal(each, signal.SIG_IGN)
        stop.set()
        screen.note_interrupt()
        raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, interrupt)


def read_settings(argv: list[str] | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings from the command line and the environment.

    Exit with a message if they are invalid.
    """
    parser = build_parser(environ)
    options = parser.parse_args(argv)
    for value in vars(options).values():
        if isinstance(value, InvalidVariable):
            parser.error(value.reason)
    refuse_conflicts(parser, options)
    home = os.path.expanduser("~")
    if home == "~":  # without a home folder, nothing can be saved
        home = os.devnull
    folder = config_folder(environ, sys.platform, home)
    return Settings(
        token_file=folder / "token.json", folders_file=folder / "folders.json", **vars(options)
    )


def refuse_conflicts(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Exit with a message if options exclude each other.

    Values from the environment may be meant for other tasks, so they never conflict.
    """
    defaults = parser.parse_args([])
    for name in CONFLICTING_OPTIONS.get(options.task, ()):
        if getattr(options, name) != getattr(defaults, name):
            option = "--" + name.replace("_", "-")
            parser.error(f"{option} cannot be combined with --{options.task}")
    for name in ("album", "exclude", "since"):
        if options.verify and getattr(options, name) != getattr(defaults, name):
            parser.error(f"--{name} cannot be combined with --verify, which checks all files")
    if "dates" in options.sidecars and "xmp" not in options.sidecars:
        parser.error("--sidecar dates adds dates to .xmp files; use --sidecar xmp,dates")
    refuse_unusable_files(parser, options)


def refuse_unusable_files(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Exit with a message if --report or --log-file names an unusable file."""
    for option, path in (("--report", options.report), ("--log-file", options.log_file)):
        if path is not None and is_record(path, options.output):
            parser.error(
                f"{option}: {printable(path)} is the download record; choose another file"
            )
    if options.log_file is not None and str(options.log_file) == "-":
        parser.error("--log-file: a file is needed; to see the details on the screen, use -v")
    if options.report is not None and is_special(options.report):
        parser.error(
            f"--report: {printable(options.report)} is not a regular file "
            "(use - for standard output)"
        )


class Parser(argparse.ArgumentParser):
    """A parser that reports an invalid option in one sentence."""

    def format_help(self) -> str:
        """Return the help text, with a usage line for narrow terminals as well."""
        columns = shutil.get_terminal_size().columns
        lines = super().format_help().split("\n")
        return "\n".join(wrap_line(line, columns) for line in lines)

    def error(self, message: str) -> Any:
        """Print the message and exit."""
        columns = terminal_columns(sys.stderr) if sys.stderr.isatty() else sys.maxsize
        line = wrap_line(f"{self.prog}: {message} (see --help)", columns)
        self.exit(EXIT_COULD_NOT_RUN, line + "\n")


class Gather(argparse.Action):
    """Stores a value. The tuples of a repeated option are joined.

    The first value replaces the default, which may come from the environment.
    """

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        before = getattr(namespace, self.dest)
        is_first = before is self.default or not isinstance(values, tuple)
        setattr(namespace, self.dest, values if is_first else before + values)


class InvalidVariable(NamedTuple):
    """The default of an option whose environment variable is invalid."""

    reason: str


def add_option(
    environ: Mapping[str, str],
    group: Any,
    names: str,
    read: Callable[[str], Any],
    **more: Any,
) -> None:
    """Add an option with a value. SMUGMUG_<OPTION> is its default.

    `names`: its names, separated by spaces
    `read`: turns the text into a value; raises ArgumentTypeError
    `more`: further arguments of add_argument; a default that is a text is passed to `read`
    """
    name = "SMUGMUG_" + names.partition("--")[2].upper().replace("-", "_")
    default = more.pop("default", "")
    try:
        value = variable(environ, name)
        if value:
            default = read(value)
    except argparse.ArgumentTypeError as error:
        default = InvalidVariable(f"{name}: {error}")
    except Problem as error:
        default = InvalidVariable(str(error))
    group.add_argument(*names.split(), type=read, default=default, action=Gather, **more)


def build_parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the command-line parser, with defaults from the environment."""
    parser = Parser(
        usage="%(prog)s [options]",
        add_help=False,
        formatter_class=partial(argparse.HelpFormatter, max_help_position=27),
        description=(
            "Download every photo and video in a SmugMug account. Later runs download only new "
            "and changed files."
        ),
        epilog=(
            "Options that take a value can also be set in the environment (SMUGMUG_OUTPUT, "
            "SMUGMUG_JOBS ...). The API key is read from SMUGMUG_API_KEY and SMUGMUG_API_SECRET. "
            "Exit codes: 0 complete (with -n, a complete preview), 1 something failed or does "
            "not fit on the disk, 2 could not run, 3 not signed in, 130 interrupted."
        ),
    )
    option = partial(add_option, environ)
    add_selection(parser.add_argument_group("what to download"), option)
    add_places(parser.add_argument_group("where and how"), option)
    add_tasks(parser.add_argument_group("other actions"))
    add_messages(parser.add_argument_group("messages"), option)
    return parser


def add_selection(group: Any, option: Callable[..., None]) -> None:
    """Add the options that select what is downloaded."""
    option(
        group,
        "-a --album",
        parse_lines,
        metavar="PATTERN",
        help="only albums whose name or path matches; repeatable",
    )
    option(
        group,
        "-x --exclude",
        parse_lines,
        metavar="PATTERN",
        help="skip albums that match; repeatable",
    )
    option(
        group,
        "--since",
        parse_since,
        metavar="DATE",
        help="only uploads since DATE: 2024-05-31, or 30d for the last 30 days",
    )
    option(
        group,
        "--only",
        make_reader(str, {"", "photos", "videos"}.__contains__, "a kind; choose photos or videos"),
        metavar="photos|videos",
        default="",
        help="download only photos, or only videos",
    )
    group.add_argument(
        "--full",
        action="store_true",
        help="check every album, even if SmugMug reports no change (finds replaced photos)",
    )
    group.add_argument(
        "--verify",
        action="store_true",
        help="check every file and download damaged ones again (with -n: only report)",
    )


def add_places(group: Any, option: Callable[..., None]) -> None:
    """Add the options for folders, sidecars and the connection."""
    option(
        group,
        "-o --output",
        parse_folder,
        metavar="DIR",
        default=OUTPUT_FOLDER,
        help=f"folder for the photos (default {OUTPUT_FOLDER})",
    )
    option(
        group,
        "--originals",
        parse_folders,
        metavar="DIR",
        help="copy files from DIR instead of downloading them, if size and MD5 match; repeatable",
    )
    group.add_argument(
        "--hard-links",
        action="store_true",
        help="store a photo that is in several albums only once, as hard links",
    )
    option(
        group,
        "--layout",
        make_reader(str, {"album", "tree"}.__contains__, "a layout; choose album or tree"),
        metavar="album|tree",
        default="album",
        help="where new albums go: side by side, or nested as on SmugMug",
    )
    group.add_argument(
        "--rename",
        action="store_true",
        help="rename folders of albums that were renamed on SmugMug",
    )
    group.add_argument(
        "--new-record",
        action="store_true",
        help="rebuild a lost download record from the files",
    )
    option(
        group,
        "--sidecar",
        make_reader(
            parse_words,
            {"xmp", "json", "html", "dates"}.issuperset,
            "a sidecar: xmp, json, html or dates",
        ),
        metavar="xmp|json|html|dates",
        dest="sidecars",
        help="save titles, captions, keywords and locations: a file per image (xmp), a file per "
        "album (json), or web pages (html); dates adds dates to xmp; repeatable",
    )
    option(
        group,
        "-j --jobs",
        make_reader(int, range(1, 1000).__contains__, "a number from 1 to 999"),
        metavar="N",
        default=None,
        help="simultaneous downloads (default: adapts to the connection, "
        f"{MIN_JOBS} to {MAX_JOBS})",
    )
    option(
        group,
        "--limit-rate",
        parse_rate,
        metavar="RATE",
        default=None,
        help="maximum download speed in bytes per second, such as 500k or 2M",
    )
    positive_number = make_reader(float, lambda number: 0 < number < 1e6, "a number above 0")
    option(
        group,
        "--timeout",
        positive_number,
        metavar="SECONDS",
        dest="timeout_seconds",
        default=READ_TIMEOUT_SECONDS,
        help="retry if SmugMug sends nothing for this long (default 60)",
    )
    option(
        group,
        "--max-outage",
        positive_number,
        metavar="MINUTES",
        dest="max_outage_minutes",
        default=MAX_OUTAGE_MINUTES,
        help="stop if SmugMug can't be reached for this long (default 60)",
    )


def add_tasks(group: Any) -> None:
    """Add the options that replace the download with another task."""
    tasks = group.add_mutually_exclusive_group()
    for names, about in (
        (("--list",), "show a table of the albums"),
        (("--list-md5",), "show the MD5 of each file, for md5sum -c"),
        (("-n", "--dry-run"), "show what would be downloaded"),
        (("--diagnose",), "print the data for a bug report"),
        (("--login",), "sign in and exit, for unattended runs later"),
        (("--logout",), "forget the sign-in and the API key"),
    ):
        task = names[-1].lstrip("-")
        tasks.add_argument(
            *names, dest="task", action="store_const", const=task, default="sync", help=about
        )


def add_messages(group: Any, option: Callable[..., None]) -> None:
    """Add the options for what is printed and logged."""
    loudness = group.add_mutually_exclusive_group()
    loudness.add_argument(
        "-q",
        "--quiet",
        action="count",
        default=0,
        help="show only problems and the summary (-qq: nothing if all is well)",
    )
    loudness.add_argument(
        "-v", "--verbose", action="store_true", help="show each file and HTTP request"
    )
    group.add_argument(
        "--no-progress", dest="progress", action="store_false", help="hide the progress line"
    )
    group.add_argument(
        "--list-removed",
        action="store_true",
        help="after the run, list files that SmugMug no longer has",
    )
    option(
        group,
        "--report",
        parse_writable_file,
        metavar="FILE",
        help="write the summary as JSON (- for standard output)",
    )
    option(
        group,
        "--log-file",
        parse_writable_file,
        metavar="FILE",
        help="append a detailed log to FILE",
    )
    group.add_argument(
        "--version", action="version", version=f"%(prog)s {VERSION}", help="show the version"
    )
    group.add_argument("-h", "--help", action="help", help="show this help")


def is_special(path: Path) -> bool:
    """Return True if `path` is a device, pipe or folder. "-" is standard output."""
    return str(path) != "-" and os.path.exists(str(path)) and not os.path.isfile(str(path))


def parse_folders(text: str) -> tuple[Path, ...]:
    """Return the paths of existing folders, one per line. Raise ArgumentTypeError otherwise."""
    folders = []
    for line in parse_lines(text):
        folder = parse_folder(line)
        if not os.path.isdir(str(folder)):
            raise argparse.ArgumentTypeError(f"{line!r} is not a folder. Is its disk connected?")
        folders.append(folder)
    return tuple(folders)


def parse_folder(text: str) -> Path:
    """Return the path of a folder. Raise ArgumentTypeError if the text is empty.

    An empty text, as from a variable that is not set, would mean the current folder.
    """
    if not text:
        raise argparse.ArgumentTypeError("a folder name is needed (. means the current folder)")
    return Path(os.path.expanduser(text))


def parse_lines(text: str) -> tuple[str, ...]:
    """Return a text's non-blank lines, such as patterns for albums."""
    return tuple(filter(str.strip, text.splitlines()))


def parse_words(text: str) -> tuple[str, ...]:
    """Return the words of a list such as "xmp,json"."""
    return tuple(re.findall(r"[^\s,]+", text))


def make_reader(
    read: Callable[[str], Any], is_valid: Callable[[Any], bool], what: str
) -> Callable[[str], Any]:
    """Return a function that reads a value. It raises ArgumentTypeError for an invalid one.

    `read`: turns the text into a value; may raise ValueError
    `what`: completes the message "... is not"
    """

    def checked(text: str) -> Any:
        with suppress(ValueError):
            value = read(text)
            if is_valid(value):
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")

    return checked


def parse_rate(text: str) -> float:
    """Return bytes per second. k, M and G are powers of 1024, as in curl and yt-dlp.

    Raise ArgumentTypeError for anything else.
    """
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([kmg]?)", text.strip().lower())
    rate = float(found.group(1)) * 1024.0 ** " kmg".index(found.group(2) or " ") if found else 0.0
    if rate < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate; use for example 500k or 2M")
    return rate


def parse_since(text: str) -> str:
    """Return the start of a period, as SmugMug writes UTC times. "" stays "".

    `text`: a local day or time, a time in UTC with a Z, or a number of days such as "30d"
    """
    if not text:
        return ""
    if re.fullmatch("[0-9]{1,4}d", text):
        return iso_time(time.time() - DAY_SECONDS * int(text[:-1]))[:19]
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"):
        with suppress(ValueError, OverflowError):
            moment = time.strptime(text, form)
            seconds = calendar.timegm(moment) if form.endswith("Z") else time.mktime(moment)
            if seconds > time.time():
                raise argparse.ArgumentTypeError(f"{text!r} is in the future")
            return iso_time(seconds)[:19]
    raise argparse.ArgumentTypeError(f"{text!r} is not a date; use for example 2024-05-31 or 30d")


def parse_writable_file(text: str) -> Path | None:
    """Return a writable path, or None for "". Otherwise raise ArgumentTypeError."""
    if text in ("", "-"):
        return Path(text) if text else None
    path = Path(os.path.expanduser(text))
    if os.path.exists(str(path)):
        is_writable = not os.path.isdir(str(path)) and os.access(str(path), os.W_OK)
    else:
        folder = str(path.parent)
        is_writable = os.path.isdir(folder) and os.access(folder, os.W_OK)
    if not is_writable:
        raise argparse.ArgumentTypeError(f"{str(path)!r} cannot be written")
    return path


if __name__ == "__main__":
    sys.exit(main())
