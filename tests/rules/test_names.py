"""Do all names from SmugMug become distinct names that every file system accepts?"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Callable, Dict, List, Sequence, Tuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import download_smugmug_photos as script
from helpers import parse_album, parse_image

BUDGET = settings(max_examples=60, deadline=None, database=None, derandomize=True)

MAX_BYTES = 250  # 255 that Linux allows, less the part suffix
UNSAFE = set('<>:"/\\|?*') | {
    "\u200e",
    "\u200f",
    "\u2028",
    "\u2029",
    "\u202a",
    "\u202e",
    "\u2066",
    "\u2069",
}
RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    device + digit for device in ("COM", "LPT") for digit in "0123456789\u00b9\u00b2\u00b3"
}


KNOWN_EXTENSIONS = set(
    re.findall(r"\w+", "jpg jpeg jpe png gif heic heif tif tiff bmp webp psd nef")
)
KNOWN_EXTENSIONS |= {"cr2", "arw", "dng", "raf", "mp4", "mov", "m4v", "avi", "m2ts"}


# =================================================================================================


def is_visible(name: str) -> bool:
    """Return True if a name has a letter, digit, symbol or mark that leaves ink."""
    blank = "\u115f\u1160\u2800\u3164\uffa0\U0001d159"
    inked = [letter for letter in name if unicodedata.category(letter)[0] in "LNPS"]
    inked += [letter for letter in name if unicodedata.category(letter) == "Co"]
    return any(letter not in blank for letter in inked)


def complaints(name: str) -> List[str]:
    """Return what some file system, terminal or part of the program rejects in a name."""
    found = {
        "empty": not name,
        "an unsafe character": bool(UNSAFE & set(name)),
        "a control character": any(
            unicodedata.category(character) in ("Cc", "Cs") for character in name
        ),
        "a dot or space at the end": name.endswith((".", " ")),
        "a space at the beginning": name.startswith(" "),
        "reserved by Windows": name.split(".")[0].rstrip(" ").upper() in RESERVED,
        "too long": len(name.encode("utf-8", "replace")) > MAX_BYTES,
        "not NFC": unicodedata.normalize("NFC", name) != name,
        "looks like a part file": name.lower().endswith(".part"),
        "looks like the record": name.lower().startswith(".smugmug.sqlite3"),
        "hidden": name.startswith((".", "@", "_.", "__")),
        "invisible": not is_visible(name),
    }
    return [complaint for complaint, applies in found.items() if applies]


def as_file_systems_see(names: Sequence[str]) -> List[List[str]]:
    """Return the names as file systems compare them.

    They compare exactly, or without case, or without normalization, or without both.
    """
    views: Sequence[Callable[[str], str]] = (
        str,
        str.lower,
        str.upper,
        str.casefold,
        lambda name: unicodedata.normalize("NFD", name),
        lambda name: unicodedata.normalize("NFC", name),
        lambda name: unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold()),
        lambda name: unicodedata.normalize("NFC", name).upper(),
    )
    return [[view(name) for name in names] for view in views]


def image(key: str, name: str, uploaded: str = "", extension: str = "") -> Any:
    """Make an image as listed, with the fields its name depends on."""
    entry = {"ImageKey": "K", "Serial": 0, "FileName": name, "DateTimeUploaded": uploaded}
    found = parse_image(entry)._replace(key=key)
    if extension:
        found = found._replace(is_video=True, extension=extension)
    return found


def album(key: str, name: str, created: str = "") -> Any:
    """Make an album as listed, with the fields its folder depends on."""
    return parse_album({"AlbumKey": "K", "Name": name, "Date": created})._replace(key=key)


# =================================================================================================
# One name
# =================================================================================================


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1.JPG",
        "img_1.jpg",
        "Summer 2019",
        "A  B",
        "a.b.c.jpg",
        "_DSC1.JPG",
        "_a_",
        "me@home",
        "~",
        "-rf",
        "100%",
        "$HOME",
        "it's",
        "a;b",
        "#1 & (2) [3] {4} + = , @ !",
        "Übergrößen.png",
        "海の家",
        "😀 party.gif",
        "Ελλάδα",
        "עברית.jpg",
        "console.txt",
        "COM10.jpg",
        "nul_1.jpg",
        "xcon",
        "Lpt",
        "part",
        "a.party",
        "smugmug.sqlite3",
        "x" * 246 + ".jpg",
        "é" * 123 + ".jpg",
        "K-1_2",
    ],
)
def test_harmless_names_are_kept(name: str) -> None:
    assert script.safe_name(name, "KEY") == name


@pytest.mark.parametrize(
    "name, expected",
    [
        ("a/b", "a_b"),
        ("a\\b", "a_b"),
        ("/etc/passwd", "_etc_passwd"),
        ("../../up.jpg", "_up.jpg"),
        (".hidden", "_hidden"),
        ("..and so on", "_and so on"),
        ("._IMG_1.JPG", "_IMG_1.JPG"),
        ("@home", "_home"),
        ("__MACOSX", "_MACOSX"),
        ("??? who", "_ who"),
        ("_.@x", "_x"),
        ("C:\\Windows\\x", "C__Windows_x"),
        ('Trip: Rome? *new* <1> |2| "3"', "Trip_ Rome_ _new_ _1_ _2_ _3_"),
        ("a\x00b\x1fc\x7fd\x85e", "a_b_c_d_e"),
        ("two\r\nlines\t.jpg", "two__lines_.jpg"),
        ("\x1b[31mred", "_[31mred"),
        ("gpj.\u202ephoto.exe", "gpj._photo.exe"),
        ("half\ud800pair", "half_pair"),
        ("end. . ", "end"),
        ("end...", "end"),
        ("  begin", "begin"),
        ("Cafe\u0301.jpg", "Café.jpg"),
        ("con", "_con"),
        ("CON.jpg", "_CON.jpg"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("Aux .txt", "_Aux .txt"),
        ("com1", "_com1"),
        ("LPT\u00b2.png", "_LPT\u00b2.png"),
        ("conout$", "_conout$"),
        ("movie.part", "movie.part_"),
        ("movie.PART", "movie.PART_"),
        (".smugmug.sqlite3", "_smugmug.sqlite3"),
        (".SmugMug.sqlite3-journal", "_SmugMug.sqlite3-journal"),
    ],
)
def test_characters_that_some_file_system_rejects_are_removed(name: str, expected: str) -> None:
    assert script.safe_name(name, "KEY") == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "...",
        ". .",
        "   ..  ",
        "_",
        "???",
        "@",
        "\u00a0\u3000",
        "\u200b",
        "\ufeff\u2060",
        "\u00ad",
        "\u3164",
        "\u2800 \u2800",
        "\u0301",
    ],
)
def test_keys_replace_names_of_which_nothing_is_left(name: str) -> None:
    assert script.safe_name(name, "Kx2b") == "Kx2b"


@pytest.mark.parametrize(
    "key, expected", [("", "unnamed"), ("..", "unnamed"), ("../x", "_x"), ("nul", "_nul")]
)
def test_keys_are_cleaned_like_names(key: str, expected: str) -> None:
    assert script.safe_name("", key) == expected


def test_long_names_keep_their_beginning_and_extension() -> None:
    assert script.safe_name("x" * 300 + ".jpeg", "KEY") == "x" * 245 + ".jpeg"


def test_long_names_are_cut_between_characters() -> None:
    assert script.safe_name("😀" * 100 + ".jpg", "KEY") == "😀" * 61 + ".jpg"


def test_text_after_the_last_dot_of_a_long_title_is_no_extension() -> None:
    assert (
        script.safe_name("Chapter 1. " + "word " * 60, "KEY")
        == ("Chapter 1. " + "word " * 60)[:250].rstrip()
    )


HOSTILE_PIECES = st.sampled_from(
    [
        "/",
        "\\",
        "..",
        ".",
        " ",
        "\x00",
        "\n",
        "\x1b[2J",
        "\x7f",
        "\x9b",
        "\ud800",
        "\udfff",
        "\u202e",
        "\u2028",
        ":",
        "*",
        "con",
        "NUL",
        "com1",
        "LPT\u00b9",
        "conin$",
        ".part",
        ".PART",
        ".smugmug.sqlite3",
        "e\u0301",
        "\u0301",
        "ｶﾞ",
        "ﬁ",
        "İ",
        "ß",
        "\u212b",
        "😀",
        "x" * 83,
        "é" * 61,
        "word. " * 20,
        ".jpg",
        ".mp4",
        "_",
        "-",
    ]
)
HOSTILE_NAMES = st.lists(st.one_of(HOSTILE_PIECES, st.text(max_size=4)), max_size=8).map("".join)
KEYS = st.text("ABCabc12", min_size=1, max_size=3)
ANY_KEYS = st.one_of(
    KEYS,
    st.sampled_from(["NUL", "con", "-", "_", "a_b"]),
    st.from_regex("[A-Za-z0-9_-]{1,40}", fullmatch=True),
)


@BUDGET
@given(name=HOSTILE_NAMES, key=st.one_of(KEYS, HOSTILE_NAMES))
@example(name="x" * 245 + ".part", key="K")
@example(name="con" + " " * 247 + ".jpg", key="K")
@example(name="x" * 248 + "e\u0301.jpg", key="K")
def test_every_file_system_accepts_the_names(name: str, key: str) -> None:
    assert complaints(script.safe_name(name, key)) == []


@BUDGET
@given(name=HOSTILE_NAMES)
@example(name="x" * 245 + ".part")
def test_safe_names_are_kept(name: str) -> None:
    once = script.safe_name(name, "KEY")
    assert script.safe_name(once, "KEY") == once


@BUDGET
@given(
    name=st.text(
        st.one_of(
            st.sampled_from("aZ09 ._-()é海😀"), st.characters(whitelist_categories=("L", "N"))
        ),
        min_size=1,
        max_size=40,
    ).map(lambda name: unicodedata.normalize("NFC", name))
)
@example(name="_a")
def test_acceptable_names_are_kept(name: str) -> None:
    if not complaints(name) and name.strip("_. "):  # "_" alone stands for what was removed
        assert script.safe_name(name, "KEY") == name


@pytest.mark.parametrize(
    "key",
    [
        "..",
        ".",
        "",
        "../x",
        "a/b",
        "a\\b",
        "a.b",
        "a b",
        "a\n",
        "\u00e4",
        "\u0661",
        "a\x00",
        "x" * 41,
        None,
        1.5,
        True,
        ["a"],
        {},
    ],
)
def test_keys_with_unsafe_characters_are_rejected(key: Any) -> None:
    assert script.Entry({"ImageKey": key}).key("ImageKey") == ""


@pytest.mark.parametrize("key", ["B2fHSt7", "N74KSK", "zhwdzCW", "a", "a_b-c", "x" * 40, 7])
def test_valid_keys_are_kept(key: Any) -> None:
    assert script.Entry({"ImageKey": key}).key("ImageKey") == str(key)


# =================================================================================================
# The name of an image
# =================================================================================================


@pytest.mark.parametrize(
    "name, extension, expected",
    [
        ("pond.mov", "mp4", "pond.mp4"),
        ("pond.MP4", "mp4", "pond.MP4"),
        ("pond", "mp4", "pond.mp4"),
        ("pond 2.0 final cut", "mp4", "pond 2.0 final cut.mp4"),
        ("", "mp4", "KEY.mp4"),
        ("con.avi", "mp4", "_con.mp4"),
        ("x" * 300 + ".mov", "mp4", "x" * 246 + ".mp4"),
        ("x" * 300, "mp4", "x" * 246 + ".mp4"),
        ("Holiday 12.05.2019", "mp4", "Holiday 12.05.2019.mp4"),
        ("St.Moritz", "mp4", "St.Moritz.mp4"),
        ("Opening v1.2", "mp4", "Opening v1.2.mp4"),
        ("clip.mp4.part", "mp4", "clip.mp4.part_.mp4"),
    ],
)
def test_videos_get_the_extension_of_the_served_file(
    name: str, extension: str, expected: str
) -> None:
    assert script.image_file_name(image("KEY", name, extension=extension)) == expected


@pytest.mark.parametrize(
    "name, expected",
    [
        ("IMG_7058_heic.JPG", "IMG_7058_heic.JPG"),
        ("IMG_1", "IMG_1.jpg"),
        ("", "KEY.jpg"),
        ("12.05.2019", "12.05.2019.jpg"),
        ("Sunset over the bay", "Sunset over the bay.jpg"),
        ("NONAME1", "NONAME1.jpg"),
        ("St.Moritz", "St.Moritz.jpg"),
        ("scan.pdf", "scan.pdf.jpg"),
        ("IMG_1.JPG~2", "IMG_1.JPG~2.jpg"),
        ("IMG_1.JPG\u200b", "IMG_1.JPG\u200b.jpg"),
        ("IMG_1.JPG. ", "IMG_1.JPG"),
        (".jpg", "_jpg.jpg"),
        (".hidden.png", "_hidden.png"),
        ("\u200b.png", "KEY.png"),
        ("a.NEF", "a.NEF"),
        ("a.b.HeIc", "a.b.HeIc"),
        ("album.json", "album.json.jpg"),
        ("index.html", "index.html.jpg"),
        ("???.gif", "KEY.gif"),
        ("con", "_con.jpg"),
    ],
)
def test_a_photo_keeps_its_extension_or_gets_the_served_one(name: str, expected: str) -> None:
    assert script.image_file_name(image("KEY", name)) == expected


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"Format": "JPG"}, "jpg"),
        ({"Format": "JPEG"}, "jpg"),
        ({"Format": "PNG"}, "png"),
        ({"Format": "gif"}, "gif"),
        ({"Format": "HEIC", "ArchivedUri": "https://photos.smugmug.com/x-D.jpg"}, "heic"),
        ({"Format": "2019", "ArchivedUri": "https://photos.smugmug.com/x-D.png"}, "png"),
        ({"ArchivedUri": "https://photos.smugmug.com/a.b/x-D.jpeg?x=y.gif"}, "jpg"),
        ({"Format": None, "ArchivedUri": "https://photos.smugmug.com/x"}, "jpg"),
        ({"Format": "MP4"}, "jpg"),
        ({"Format": "EXE", "ArchivedUri": "https://[::1/x.png"}, "jpg"),
        ({}, "jpg"),
    ],
)
def test_the_format_decides_the_extension_of_a_photo_then_its_address(
    fields: Dict[str, Any], expected: str
) -> None:
    entry = {"ImageKey": "K", "FileName": "12.05.2019", **fields}
    assert script.image_file_name(parse_image(entry)) == f"12.05.2019.{expected}"


@BUDGET
@given(
    name=st.one_of(HOSTILE_NAMES, st.text()),
    key=ANY_KEYS,
    extension=st.sampled_from(["", "mp4", "mov", "m2ts"]),
)
@example(name="movie.mov", key="K", extension="mp4")
@example(name="_.jpg", key="_", extension="")
def test_every_image_gets_a_visible_name_with_a_known_extension(
    name: str, key: str, extension: str
) -> None:
    wanted = script.image_file_name(image(key, name, extension=extension))
    assert complaints(wanted) == []
    stem, dot, ending = wanted.rpartition(".")
    assert dot and complaints(stem) == [] and ending.lower() in KNOWN_EXTENSIONS
    again = image(key, wanted, extension=extension)
    assert script.image_file_name(again) == wanted


@BUDGET
@given(name=HOSTILE_NAMES, limit=st.integers(64, 250))
def test_names_are_truncated_to_the_limit_of_the_disk(name: str, limit: int) -> None:
    images = [image(key, name * 9, str(index)) for index, key in enumerate(["K1", "K2", "K3"])]
    names = script.image_names(images, [], limit)
    for given_name in names.values():
        assert len(given_name.encode("utf-8")) <= limit and complaints(given_name) == []
        assert given_name.rpartition(".")[2].lower() in KNOWN_EXTENSIONS
    assert len({given_name.casefold() for given_name in names.values()}) == 3
    beside = script.fallback_name(images[0], names["K1"], limit)
    assert len(beside.encode("utf-8")) <= limit and complaints(beside) == []


@pytest.mark.parametrize(
    "name, extension, expected",
    [
        ("Sunset over the bay", "", "Sunset over the bay"),
        ("", "", "KEY"),
        ("12.05.2019", "", "12.05.2019"),
        (".hidden", "", ".hidden"),
        ("Holiday 12.05.2019", "mp4", "Holiday 12.05.mp4"),
        ("St.Moritz", "mp4", "St.mp4"),
        ("a/b.mov", "mp4", "a_b.mp4"),
        ("a.MP4", "mp4", "a.MP4"),
        ("con", "", "_con"),
    ],
)
def test_the_names_of_earlier_versions_are_known(name: str, extension: str, expected: str) -> None:
    images = [image("KEY", name, "1", extension), image("K2", name, "2", extension)]
    names = script.former_names(images, [])
    stem, dot, ending = expected.rpartition(".")
    if not stem:
        stem, dot, ending = expected, "", ""
    assert names["KEY"] == expected
    assert names["K2"] == f"{stem}_K2{dot}{ending}" if name else "K2"
    assert script.former_names(images[:1], [expected.upper()])["KEY"] != expected


# =================================================================================================
# Folders as the user named them
# =================================================================================================


def placed(key: str, path: str) -> Any:
    """Make an album at a path on SmugMug."""
    return album(key, path.rpartition("/")[2])._replace(url_path=path)


def test_folders_have_the_names_that_the_user_gave() -> None:
    albums = [placed("K1", "/Family-Photos/Bodensee/Summer"), placed("K2", "/Lonely")]
    names = {"Family-Photos": "Family: Photos", "Family-Photos/Bodensee": "Am Bodensee"}
    assert script.tree_folders(albums, {}, names) == {
        "": "",
        "Family-Photos": "Family_ Photos",
        "Family-Photos/Bodensee": "Family_ Photos/Am Bodensee",
    }


def test_a_folder_without_a_known_name_is_called_by_its_path() -> None:
    albums = [placed("K1", "/Family-Photos/Trips/Summer")]
    folders = script.tree_folders(albums, {}, {"Family-Photos/Trips": "..."})
    assert folders["Family-Photos/Trips"] == "Family-Photos/Trips"


def test_two_folders_that_no_file_system_can_tell_apart_are_kept_apart() -> None:
    albums = [placed("K1", "/A/Summer"), placed("K2", "/A-2/Winter"), placed("K3", "/A-3/x/Y")]
    names = {"A": "Trips?", "A-2": "trips:", "A-3": "TRIPS*", "A-3/x": "Trips?"}
    folders = script.tree_folders(albums, {}, names)
    assert folders == {
        "": "",
        "A": "Trips_",
        "A-2": "trips__A-2",
        "A-3": "TRIPS__A-3",
        "A-3/x": "TRIPS__A-3/Trips_",
    }


def test_a_new_album_joins_the_albums_of_its_folder_and_of_no_other() -> None:
    albums = [placed("K1", "/A/Summer"), placed("K2", "/A-2/Winter"), placed("K3", "/A/Autumn")]
    names = {"A": "Trips", "A-2": "trips"}
    given_folders = {"K1": "Trips/Summer"}
    assert script.tree_folders(albums, given_folders, names)["A"] == "Trips"
    assert script.tree_folders(albums, given_folders, names)["A-2"] == "trips_A-2"
    given_folders = {"K2": "trips/Winter", "K1": "Summer"}
    assert script.tree_folders(albums, given_folders, names)["A"] == "Trips_A"


def test_a_folder_stays_away_from_files() -> None:
    albums = [placed("K1", "/A/B/Summer")]
    assert script.tree_folders(albums, {}, {}, ["A/b"])["A/B"] == "A/B_B"


@BUDGET
@given(
    paths=st.lists(st.lists(st.sampled_from("AaBb"), min_size=2, max_size=4), max_size=6),
    names=st.dictionaries(
        st.sampled_from(["A", "a", "A/a", "A/b", "a/A", "B"]),
        st.sampled_from(["x", "X", "x?", "x:", "", "..", "x" * 300]),
    ),
    limit=st.sampled_from([64, 138, 250]),
)
def test_no_two_folders_share_a_local_one(
    paths: List[List[str]], names: Dict[str, str], limit: int
) -> None:
    albums = [placed(f"K{number}", "/" + "/".join(path)) for number, path in enumerate(paths)]
    folders = script.tree_folders(albums, {}, names, (), limit)
    for view in as_file_systems_see(list(folders.values())):
        assert len(set(view)) == len(folders), view
    for path in folders.values():
        assert all(complaints(name) == [] for name in path.split("/") if path)
        assert all(len(name.encode()) <= limit for name in path.split("/"))


# =================================================================================================
# Many names
# =================================================================================================

CROWDED_NAMES = st.sampled_from(
    [
        "IMG_1.JPG",
        "img_1.jpg",
        "IMG_1_A.JPG",
        "IMG_1_a.jpg",
        "IMG_1_A_2.JPG",
        "Café",
        "CAFE\u0301",
        "",
        "..",
        "straße",
        "STRASSE",
        "x" * 260 + ".jpg",
        "x" * 300 + ".jpg",
        "A",
        "a",
        "nul",
    ]
)
DATES = st.sampled_from(["", "2024-01-01T00:00:00+00:00", "2024-01-02T00:00:00+00:00"])
ENTRIES = st.lists(
    st.tuples(KEYS, CROWDED_NAMES, DATES), max_size=12, unique_by=lambda entry: entry[0]
)


def folders_of(entries: Sequence[Tuple[str, str, str]]) -> Dict[str, str]:
    """Return the folder for each album key."""
    albums = [album(*entry) for entry in entries]
    return dict(script.album_folders(albums, {}, script.album_folder))


def names_of(entries: Sequence[Tuple[str, str, str]]) -> Dict[str, str]:
    """Return the file name for each image key."""
    return dict(script.image_names([image(*entry) for entry in entries], []))


@pytest.mark.parametrize("give", [folders_of, names_of])
def test_the_oldest_keeps_the_plain_name_and_others_get_their_key(
    give: Callable[[Sequence[Tuple[str, str, str]]], Dict[str, str]],
) -> None:
    entries = [
        ("Knew", "Same.jpg", "2024-03-01"),
        ("Kold", "Same.jpg", "2024-01-01"),
        ("Kmid", "same.JPG", "2024-02-01"),
    ]
    assert give(entries) == {"Kold": "Same.jpg", "Knew": "Same_Knew.jpg", "Kmid": "same_Kmid.JPG"}


@pytest.mark.parametrize(
    "first, second",
    [
        ("IMG.JPG", "IMG.JPG"),
        ("IMG.JPG", "img.jpg"),
        ("Café", "Cafe\u0301"),
        ("CAFÉ", "cafe\u0301"),
        ("straße", "STRASSE"),
        ("a/b", "a_b"),
        ("a:b", "a?b"),
        ("end", "end. "),
        ("K1", ""),
        ("ﬁn", "FIN"),
        ("\u212bngström", "Ångström"),
        ("x" * 300 + "1.jpg", "x" * 300 + "2.jpg"),
    ],
)
def test_names_that_some_file_system_takes_for_equal_are_told_apart(
    first: str, second: str
) -> None:
    names = names_of([("K0", first, "2024-01-01"), ("K1", second, "2024-01-02")])
    for view in as_file_systems_see(list(names.values())):
        assert len(set(view)) == 2, view


def test_names_with_a_key_take_no_plain_name_away() -> None:
    names = names_of(
        [
            ("K1", "a.jpg", "2024-01-01"),
            ("K2", "a.jpg", "2024-01-02"),
            ("K3", "a_K2.jpg", "2024-01-03"),
        ]
    )
    assert names == {"K1": "a.jpg", "K2": "a_K2_2.jpg", "K3": "a_K2.jpg"}


@BUDGET
@given(entries=ENTRIES)
@pytest.mark.parametrize("give", [folders_of, names_of])
def test_all_names_differ_on_every_file_system(
    give: Callable[[Any], Dict[str, str]], entries: Any
) -> None:
    names = give(entries)
    assert names.keys() == {key for key, _, _ in entries}
    for view in as_file_systems_see(list(names.values())):
        assert len(set(view)) == len(entries), view


@BUDGET
@given(
    entries=st.lists(st.tuples(ANY_KEYS, DATES), max_size=4, unique_by=lambda entry: entry[0]),
    name=HOSTILE_NAMES,
)
@example(
    entries=[("k" * 40, "1"), ("K" * 40, "2"), ("k" * 39 + "K", "3")], name="x" * 300 + ".jpeg"
)
def test_every_file_system_accepts_names_with_a_key(entries: Any, name: str) -> None:
    crowded = [(key, name, date) for key, date in entries]
    for names in (folders_of(crowded), names_of(crowded)):
        assert [complaints(given_name) for given_name in names.values()] == [[]] * len(entries), (
            names
        )
        assert len({given_name.casefold() for given_name in names.values()}) == len(entries)


@BUDGET
@given(name=HOSTILE_NAMES, key=ANY_KEYS, serial=st.sampled_from(["", "0", "12"]))
def test_every_file_system_accepts_the_name_beside_a_taken_one(
    name: str, key: str, serial: str
) -> None:
    found = image(key, name)._replace(serial=serial)
    plain = script.image_file_name(found)
    beside = script.fallback_name(found, plain)
    next_to_that = script.fallback_name(found, beside)
    assert complaints(beside) == [] and complaints(next_to_that) == []
    assert len({plain.casefold(), beside.casefold(), next_to_that.casefold()}) == 3


@BUDGET
@given(entries=ENTRIES, randomness=st.randoms(use_true_random=False))
@pytest.mark.parametrize("give", [folders_of, names_of])
def test_names_do_not_depend_on_the_order_of_the_listing(
    give: Callable[[Any], Dict[str, str]], entries: Any, randomness: Any
) -> None:
    shuffled = list(entries)
    randomness.shuffle(shuffled)
    assert give(shuffled) == give(entries)


@BUDGET
@given(before=ENTRIES, after=ENTRIES)
def test_names_in_use_are_not_given_again(before: Any, after: Any) -> None:
    names = names_of(before)
    later = script.image_names(
        [image(*entry) for entry in after if entry[0] not in names], names.values()
    )
    for view in as_file_systems_see([*names.values(), *later.values()]):
        assert len(set(view)) == len(names) + len(later), view


def test_reserved_names_are_not_given() -> None:
    assert script.unique_names([("K1", "album.json")], ["Album.JSON"]) == {"K1": "album_K1.json"}


# =================================================================================================
# Part files and names on the screen
# =================================================================================================


@BUDGET
@given(key=ANY_KEYS, md5=st.sampled_from(["", "0123456789abcdef" * 2]))
def test_every_file_system_accepts_the_names_of_part_files(key: str, md5: str) -> None:
    name = script.part_name(image(key, "a.jpg"), md5)
    assert name.startswith(".") and name.endswith(".part")
    assert set(complaints(name)) <= {"looks like a part file", "hidden"}


def test_each_version_of_an_image_has_a_part_file_of_its_own() -> None:
    versions = [
        image("K1", "a.jpg"),
        image("K2", "a.jpg"),
        image("K1", "a.jpg")._replace(serial="1"),
    ]
    names = {
        script.part_name(version, md5) for version in versions for md5 in ("", "a" * 32, "b" * 32)
    }
    assert len(names) == 9


@BUDGET
@given(text=HOSTILE_NAMES)
def test_shown_text_is_harmless_to_terminals(text: str) -> None:
    shown = script.printable(text)
    assert len(shown) == len(text)
    assert all(
        unicodedata.category(character) not in ("Cc", "Cs", "Cf", "Zl", "Zp")
        for character in shown
    )


def test_harmless_text_is_shown_unchanged() -> None:
    assert script.printable("Summer 2019 / Übergrößen 海 😀") == "Summer 2019 / Übergrößen 海 😀"
