"""Do secrets stay secret, files stay in their folder, and responses remain untrusted?"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Set, Tuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest

import download_smugmug_photos as script
from conftest import Result, Run
from fake_smugmug import JSON, Account, Album, Authority, FakeSmugMug, file_url
from helpers import (
    AUTHORIZE,
    authorize_urls,
    edit,
    expected_files,
    files_on_disk,
    good_token,
    of_list,
    snapshot,
    token_file,
)

ABROAD = "https://evil.example/x.jpg"

posix_only = pytest.mark.skipif(
    os.name == "nt", reason="permissions and symbolic links of POSIX systems"
)


def save_token(run: Run) -> Path:
    """Save a valid sign-in as an earlier run would have."""
    path = token_file(run)
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    path.write_text(json.dumps(good_token(run.smugmug)))
    path.chmod(0o600)
    return path


def regular(folder: Path) -> Dict[str, bytes]:
    """Return all regular files below a folder by path, hidden ones too."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def named(report: Path) -> Set[Tuple[str, str]]:
    """Return the (album, image) pairs of the problems in a JSON report."""
    content = json.loads(report.read_text(encoding="utf-8"))
    return {(problem["folder"], problem["file"]) for problem in content["problems"]}


# =================================================================================================
# The permission.
# =================================================================================================


def test_the_sign_in_requests_only_permission_to_read(run: Run, smugmug: FakeSmugMug) -> None:
    result = run("--login", signed_in=False, input="111111\n027518\n")

    assert result.returncode == 0 and len(authorize_urls(result.stderr)) == 2
    for address in authorize_urls(result.stderr):
        parameters = parse_qsl(urlsplit(address).query, keep_blank_values=True)
        assert sorted(parameters) == [
            ("Access", "Full"),
            ("Permissions", "Read"),
            ("oauth_token", dict(parameters)["oauth_token"]),
        ]
    # none of these requests can change anything on SmugMug
    assert {record.method for record in smugmug.requests} == {"GET"}
    asked_for = [parameter for record in smugmug.requests for parameter in record.query]
    assert [
        parameter
        for parameter in asked_for
        if parameter in ("Access", "Permissions", "showSignUpButton")
    ] == []


# =================================================================================================
# Secrets.
# =================================================================================================

REQUEST_TOKEN_SECRET = "requesttokensecret5f0b1c9d27aa41"
ECHO = (
    b'Bad request: oauth_consumer_key="%s", oauth_token="%s",'
    b' oauth_verifier="%s", oauth_nonce="1234"'
)


def test_secrets_are_written_only_into_the_token_file(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    albums = [
        account.album(f"Album {number}", privacy="Unlisted", description="Words")
        for number in range(6)
    ]
    for album in albums:
        for number in range(3):
            album.photo(f"IMG_{number}.JPG", title="A title", keywords=["one"])
        album.video("MVI_1.MOV")
    (tmp_path / "temporary").mkdir()
    said: List[str] = []

    def go(*args: Any, **options: Any) -> Result:
        options["env"] = {"TMPDIR": str(tmp_path / "temporary"), **options.get("env", {})}
        report = (
            [] if {"--list", "--login"} & set(args) else ["--report", f"report {len(said)}.json"]
        )
        result = run(
            "-v",
            "--log-file",
            "log.txt",
            *report,
            "--sidecar",
            "xmp,json,html",
            "--timeout",
            "5",
            *args,
            **options,
        )
        said.append(result.stdout + result.stderr)
        return result

    provoke(smugmug, albums)
    assert go(signed_in=False, input="111111\n222222\n027518\n").returncode == 1
    token = json.loads(token_file(run).read_text(encoding="utf-8"))
    smugmug.clear_faults()
    smugmug.fault("nonce_used", "authuser")
    assert go("--list", signed_in=False).returncode == 0
    assert go("--dry-run", signed_in=False).returncode == 0
    assert go(signed_in=False, env={"SMUGMUG_API_SECRET": "mistyped"}).returncode == 2
    assert go(env={"SMUGMUG_ACCESS_TOKEN_SECRET": "mistyped"}).returncode == 3
    assert go(env={"REQUESTS_CA_BUNDLE": str(tmp_path / "no such file")}).returncode == 2
    smugmug.fault(
        "respond",
        "authuser",
        status=400,
        body=ECHO
        % (smugmug.api_key.encode(), smugmug.access_token.encode(), smugmug.pin.encode()),
    )
    assert go().returncode == 2
    assert go("--full", "--verify", signed_in=False).returncode == 0
    smugmug.revoke_tokens()
    assert go("--full", signed_in=False).returncode == 3
    assert go("--login", env={"SMUGMUG_ACCESS_TOKEN": ""}, signed_in=False).returncode == 3

    written = regular(tmp_path)
    assert json.loads(written.pop(str(token_file(run)))) == token
    written.update(
        {
            f"screen of run {number}": without_addresses(text).encode()
            for number, text in enumerate(said)
        }
    )
    assert (
        sum(len(content) for path, content in written.items() if path.endswith("log.txt")) > 10_000
    )
    secrets = [
        smugmug.api_key,
        smugmug.api_secret,
        token["access_token"],
        token["access_token_secret"],
        smugmug.pin,
        REQUEST_TOKEN_SECRET,
        "mistyped",
        "Authorization: OAuth",
    ]
    secrets += sorted(signed_values(smugmug))
    assert len(secrets) > 100
    forms = {
        form.encode()
        for secret in secrets
        for form in (secret, quote(secret, safe=""), secret.upper())
    }
    forms |= {base64.b64encode(secret.encode()).rstrip(b"=") for secret in secrets}
    assert [
        (path, form)
        for path, content in written.items()
        for form in sorted(forms)
        if form in content
    ] == []
    parameter = re.compile(rb"oauth_(?!problem)[a-z_]+\W{1,3}[\w%+/-]{4,}")
    assert [
        (path, found) for path, content in written.items() for found in parameter.findall(content)
    ] == []


def provoke(smugmug: FakeSmugMug, albums: List[Album]) -> None:
    """Arm many kinds of faults, for signing in and afterwards."""
    files = [f"/i-{image.key}/" for album in albums for image in album.images]
    smugmug.fault(
        "respond",
        "getRequestToken",
        body=b"oauth_token=requesttoken1&oauth_token_secret=%s&oauth_callback_confirmed=true"
        % REQUEST_TOKEN_SECRET.encode(),
    )
    smugmug.fault(
        "respond",
        "getAccessToken",
        status=401,
        after=1,
        body=b"oauth_problem=verifier_invalid"
        b"&debug=oauth_verifier%3D222222%26oauth_nonce%3D12345678"
        b"&debug_sbs=GET%26https%253A%252F%252Fapi.smugmug.com%26oauth_nonce%253D12345678"
        b"%2526oauth_verifier%253D222222",
    )
    smugmug.fault("nonce_used", "authuser")
    smugmug.fault("rate_limited", of_list(albums[0]), retry_after="1")
    smugmug.fault("server_error", of_list(albums[1]))
    smugmug.fault("broken_json", of_list(albums[2]))
    smugmug.fault("redirect", of_list(albums[3]), to=ABROAD)
    smugmug.fault(
        "respond",
        of_list(albums[4]),
        status=403,
        body=ECHO
        % (smugmug.api_key.encode(), smugmug.access_token.encode(), smugmug.pin.encode()),
    )
    rows: Tuple[Tuple[str, Dict[str, Any]], ...] = (
        ("not_found", {}),
        ("cut", {"at": 100}),
        ("redirect", {"to": "http://photos.smugmug.com/x.jpg"}),
        ("still_instead_of_video", {}),
        ("html_200", {}),
        ("corrupt", {}),
        ("reset", {}),
        ("signature", {}),
        ("short", {}),
        ("permission_denied", {}),
    )
    for where, (fault, options) in zip(files, rows):
        if fault == "signature":
            body = json.dumps(
                {
                    "Code": 401,
                    "Message": "oauth_problem=signature_invalid&debug_sbs=GET%26oauth_token%3D"
                    + smugmug.access_token,
                }
            ).encode()
            smugmug.fault("respond", where, status=401, body=body, times=None)
        else:
            smugmug.fault(fault, where, times=2, **options)


def without_addresses(text: str) -> str:
    """Return output without the lines to open: they contain the request token, which is
    harmless.
    """
    return "\n".join(line for line in text.splitlines() if not line.startswith(AUTHORIZE))


def signed_values(smugmug: FakeSmugMug) -> Set[str]:
    """Return the values of all OAuth parameters that were sent, except harmless ones."""
    values = set()
    for record in smugmug.requests:
        for name, value in re.findall(
            r'(oauth_\w+)="([^"]*)"', record.headers.get("authorization", "")
        ):
            if name not in (
                "oauth_version",
                "oauth_signature_method",
                "oauth_timestamp",
                "oauth_callback",
            ):
                values |= {value, unquote(value)}
    return values - {"mistyped"}


@pytest.mark.parametrize(
    "proxy",
    [
        "http://somebody:sesame77c1@127.0.0.1:1",
        "http://somebody:sesame77c1@",
        "http://somebody:sesame77c1@.x:1",
        "sesame77c1://x",
        "http://somebody:sesame77c1@[:1",
    ],
)
def test_proxy_passwords_are_not_written_anywhere(run: Run, tmp_path: Path, proxy: str) -> None:
    result = run(
        "-v",
        "--log-file",
        "log.txt",
        "--report",
        "report.json",
        env={"HTTPS_PROXY": proxy, "https_proxy": proxy},
    )
    assert result.returncode == 2 and "HTTPS_PROXY" in result.stderr
    written = [result.stdout.encode(), result.stderr.encode(), *regular(tmp_path).values()]
    assert len(written) >= 4 and [content for content in written if b"sesame77c1" in content] == []


@pytest.mark.skipif(
    not sys.platform.startswith("linux"),
    reason="only Linux shows the arguments of all processes so easily",
)
def test_secrets_are_never_process_arguments(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    photo = account.album("Summer").photo()
    stall = smugmug.fault("stall", f"/i-{photo.key}/")
    process = run.start(signed_in=False, stdin=subprocess.PIPE, cold=True)
    assert process.stdin is not None
    process.stdin.write("027518\n")
    process.stdin.flush()
    assert stall.reached.wait(300)

    children = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/stat")
        if path.exists() and path.read_text().rpartition(")")[2].split()[1] == str(process.pid)
    ]
    assert children == []
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    assert [os.path.basename(argument) for argument in arguments[1:] if argument] == [
        b"download_smugmug_photos.py"
    ]


def test_no_option_takes_a_secret(run: Run) -> None:
    options = re.findall(r"(?<!\w)--?[a-z][a-z-]*", run("--help").stdout)
    assert len(options) > 20
    assert [
        option
        for option in options
        if re.search("key|secret|token|pin|password|insecure|verify-|cert", option)
    ] == []


def test_objects_that_hold_secrets_hide_them(caplog: pytest.LogCaptureFixture) -> None:
    credentials = script.Credentials("the-key", "the-secret", "the-token", "the-token-secret")
    connection = script.Connection(credentials, 5.0, script.Stop(), verifier="the-pin")
    user = script.User("family", "/api/v2/user/family!albums", 0)
    shown = [
        repr(credentials),
        str(credentials),
        f"{credentials}",
        repr([credentials]),
        repr(connection),
        str(connection),
        repr((connection, user)),
        repr(connection.host(ABROAD)),
    ]
    with caplog.at_level(logging.DEBUG), pytest.raises(script.RequestFailed) as refused:
        connection.get(ABROAD, lambda answer: answer)
    shown += [repr(refused.value), str(refused.value), repr(refused.value.args), caplog.text]
    assert [text for text in shown if re.search("the-(key|secret|token|pin)", text)] == []


# =================================================================================================
# TLS.
# =================================================================================================


class Impostor(Authority):
    """An authority that issues certificates for another name to some hosts."""

    def __init__(self, folder: Path, hosts: str) -> None:
        super().__init__(folder)
        self.hosts = hosts

    def context(self, host: str) -> Any:
        """Return the TLS settings of the host, or those of another name."""
        return super().context("evil.example" if re.fullmatch(self.hosts, host) else host)


@pytest.mark.parametrize("hosts, code", [(".*", 2), (r"photos\..*", 1)])
def test_hosts_with_another_hosts_certificate_get_no_request(
    account: Account, tmp_path: Path, hosts: str, code: int
) -> None:
    account.album("Summer").photo()
    with FakeSmugMug(account, Impostor(tmp_path, hosts)) as fake:
        result = Run(fake, tmp_path)()
        assert result.returncode == code
        assert re.search(
            r"certificate of (api|photos)\.smugmug\.com cannot be verified", result.stderr
        )
        assert [record.host for record in fake.requests if re.fullmatch(hosts, record.host)] == []
    assert files_on_disk(tmp_path / "smugmug_photos") == {}


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"REQUESTS_CA_BUNDLE": ""},
        {"REQUESTS_CA_BUNDLE": None, "CURL_CA_BUNDLE": ""},
        {
            "PYTHONHTTPSVERIFY": "0",
            "SSL_NO_VERIFY": "1",
            "GIT_SSL_NO_VERIFY": "1",
            "NODE_TLS_REJECT_UNAUTHORIZED": "0",
        },
    ],
    ids=["the other CA", "an empty bundle", "no bundle", "variables that switch it off elsewhere"],
)
def test_servers_without_a_trusted_certificate_get_no_request(
    account: Account,
    ca: Authority,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    env: Dict[str, str],
) -> None:
    with FakeSmugMug(account, Authority(tmp_path_factory.mktemp("other authority"))) as fake:
        result = Run(fake, tmp_path)(env={"REQUESTS_CA_BUNDLE": str(ca.ca_path), **env})
        assert result.returncode == 2
        assert "The certificate of api.smugmug.com cannot be verified" in result.stderr
        assert fake.requests == []


# =================================================================================================
# Hosts.
# =================================================================================================

FOREIGN = (
    ABROAD,
    "https://evil.example:443/x.jpg",
    "http://photos.smugmug.com/x.jpg",
    "//evil.example/x.jpg",
    "HTTP://photos.smugmug.com/x.jpg",
    "https://photos.smugmug.com.evil.example/x.jpg",
    "https://photos.smugmug.com@evil.example/x.jpg",
    "https://evilsmugmug.com/x.jpg",
    "https://evil.example\\@photos.smugmug.com/x.jpg",
    "https://evil.example#@photos.smugmug.com/x.jpg",
    "https://photos.smugmug.com:8443/x.jpg",
    "https://photos.smugmug.com%2eevil.example/x.jpg",
    "https://user:secret@photos.smugmug.com/x.jpg",
    "ftp://photos.smugmug.com/x.jpg",
    "file:///etc/passwd",
    "/api/v2/../../../x",
    "x.jpg",
    "https://",
    "https://[::1]/x.jpg",
    "https://[",
    "data:image/jpeg;base64,AAAA",
    "javascript:alert(1)",
    "https://\u2025evil.example/x.jpg",
    " https://evil.example/x.jpg",
    "\thttps://evil.example/",
)


def every_address(value: Any, change: Callable[[str], str], path: str = "") -> int:
    """Change each text in a response that looks like an address; return their number."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    changed = 0
    for name, item in list(items):
        if isinstance(item, str) and (
            item.startswith(("/api/", "https://")) or "ri" in str(name) or "Url" in str(name)
        ):
            value[name] = change(item)
            changed += 1
        else:
            changed += every_address(item, change)
    return changed


def abroad(address: str, counts: List[int]) -> Callable[[JSON], JSON]:
    """Return a fault that points all addresses in a response to another host."""

    def mangled(answer: JSON) -> JSON:
        counts.append(every_address(answer, lambda _: address))
        return answer

    return mangled


def assert_only_smugmug_was_contacted(smugmug: FakeSmugMug) -> None:
    """Check that all requests went to SmugMug, over TLS."""
    assert {record.kind for record in smugmug.requests} <= {"api", "cdn", "oauth"}
    assert {record.host for record in smugmug.requests} <= {
        "api.smugmug.com",
        "photos.smugmug.com",
    }


def test_urls_of_other_hosts_in_listings_are_never_requested(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    sound = account.album("Sound")
    sound.photo()
    counts: List[int] = []
    for number, address in enumerate(FOREIGN):
        album = account.album(f"Album {number}")
        album.photo("photo.JPG")
        album.video("video.MOV")
        album.photo("fallback.JPG", archived=False)
        smugmug.fault("mangle", of_list(album), times=None, function=abroad(address, counts))
        for image in album.images:
            smugmug.fault(
                "mangle", f"/image/{image.key}-0!", times=None, function=abroad(address, counts)
            )

    result = run("--sidecar", "json", "--report", "report.json")

    assert result.returncode == 1
    assert_only_smugmug_was_contacted(smugmug)
    assert min(counts) >= 1 and sum(counts) > 10 * len(FOREIGN)
    found = {
        name: content
        for name, content in files_on_disk(run.output).items()
        if not name.endswith(".json")
    }
    assert found == expected_files(sound)
    assert named(tmp_path / "report.json") == {
        (album.name, image.file_name)
        for album in account.albums
        if album is not sound
        for image in album.images
    }


@pytest.mark.parametrize("where", ["!authuser", "!albums"])
def test_urls_of_other_hosts_in_the_first_responses_are_never_requested(
    account: Account, smugmug: FakeSmugMug, run: Run, where: str
) -> None:
    photo = account.album("Summer").photo()
    for address in (
        "//evil.example/api/v2",
        "https://evil.example/api/v2",
        "http://api.smugmug.com/api/v2",
    ):
        counts: List[int] = []
        smugmug.clear_faults()
        smugmug.fault("mangle", where, times=None, function=abroad(address, counts))
        assert run().returncode == 0  # the keys and the nickname suffice
        assert sum(counts) >= 1
    assert_only_smugmug_was_contacted(smugmug)
    assert files_on_disk(run.output) == {"Summer/IMG_1.JPG": photo.data}


@pytest.mark.parametrize(
    "where, to, code",
    [
        ("getRequestToken", ABROAD, 2),
        ("getAccessToken", "http://api.smugmug.com/x", 2),
        ("authuser", "//evil.example/x", 2),
        ("!albums", ABROAD, 2),
        ("!images|!download|photos", ABROAD, 1),
        ("!images|!download|photos", "http://api.smugmug.com/x", 1),
        ("!images|!download|photos", "//evil.example/x", 1),
    ],
)
def test_redirects_to_other_hosts_are_never_followed(
    account: Account, smugmug: FakeSmugMug, run: Run, where: str, to: str, code: int
) -> None:
    lost, album = account.album("Lost"), account.album("Summer")
    lost.photo()
    album.photo()
    fallback = album.photo("fallback.JPG", archived=False)
    faults = [
        smugmug.fault("redirect", pattern, times=None, to=to)
        for pattern in (
            where.split("|")
            if "|" not in where
            else (of_list(lost), f"{fallback.key}-0!download", "photos.smugmug.com")
        )
    ]

    result = run(signed_in=not where.startswith("get"), input="027518\n")

    assert result.returncode == code and all(fault.hits for fault in faults), result.stderr
    assert result.stderr.count("Refused to contact ") >= len(faults)
    assert_only_smugmug_was_contacted(smugmug)
    assert files_on_disk(run.output) == {}


@pytest.mark.parametrize(
    "link",
    [
        "https://evilsmugmug.com/accept",
        "https://smugmug.com.evil.example/accept",
        "http://api.smugmug.com/accept",
    ],
)
def test_urls_of_other_hosts_are_never_given_as_advice(link: str) -> None:
    said = "SmugMug returned HTTP 401"
    problem = script.explain_401(f"please accept the terms of service at {link}", said, 0.0)
    assert str(problem).splitlines()[-1] == script.API_ORIGIN + "/api/developer/accept"


# =================================================================================================
# File names.
# =================================================================================================

HOSTILE_NAMES = (
    "../../escaped",
    "/etc/escaped",
    "C:\\escaped",
    "..\\..\\escaped",
    "a/../../../escaped",
    "..",
    ".",
    "~/escaped",
    "\0escaped",
    "escaped\0.jpg",
    "%2e%2e%2fescaped",
    "....//escaped",
    ".smugmug.sqlite3",
    ".smugmug.sqlite3-journal",
    "album.json",
    "IMG.part",
    "\uff0e\uff0e\uff0fescaped",
    "-rf",
    "$(touch escaped)",
    "`touch escaped`",
    "CON",
    "x" * 5000,
)


@pytest.mark.parametrize("layout", ["album", "tree"])
def test_names_from_smugmug_never_lead_out_of_the_output_folder(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path, layout: str
) -> None:
    for number, name in enumerate(HOSTILE_NAMES):
        album = account.album(name, description="Words")
        album.url_path = f"/{name}/{number}"
        album.photo(name, title="A title")
        album.photo(name, title="Another")
        album.video(name + ".mov")
        smugmug.fault("mangle", of_list(album), times=None, function=hostile_fields(name))
    before = set(tmp_path.rglob("*"))

    result = run("--layout", layout, "--sidecar", "xmp,json,html")

    assert result.returncode == 0, result.stderr
    ours = token_file(run).with_name("folders.json")
    new = set(tmp_path.rglob("*")) - before - {run.output, ours, *ours.parents}
    assert [path for path in new if run.output not in path.parents] == []
    content = list(regular(run.output).values())
    assert all(
        content.count(image.data) == 1 for album in account.albums for image in album.images
    )
    assert not any(path.is_symlink() for path in new)
    assert (run.output / ".smugmug.sqlite3").read_bytes().startswith(b"SQLite format 3")


def hostile_fields(name: str) -> Callable[[JSON], JSON]:
    """Return a fault that makes other fields hostile that become parts of names."""

    def mangled(answer: JSON) -> JSON:
        for entry in answer["Response"]["AlbumImage"]:
            entry.update(Serial=name, UploadKey=name)
            if not entry["IsVideo"]:
                entry["ArchivedMD5"] = name
        for expansion in answer.get("Expansions", {}).values():
            expansion["LargestVideo"].update(Ext=name, MD5=name)
        return answer

    return mangled


# =================================================================================================
# Symbolic links in the output folder.
# =================================================================================================


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Make a foreign folder with files that must stay unchanged."""
    folder = tmp_path / "elsewhere"
    (folder / "Summer").mkdir(parents=True)
    (folder / "precious").write_bytes(b"precious")
    (folder / "Summer" / "precious").write_bytes(b"precious")
    return folder


@posix_only
@pytest.mark.parametrize(
    "layout, links",
    [
        (
            "album",
            {
                "Album 0": "elsewhere",
                "Album 1": "elsewhere/Summer",
                "Album 2": "elsewhere/new",
                "Album 3": ".",
                "Album 4": "smugmug_photos",
            },
        ),
        (
            "tree",
            {
                "0": "elsewhere",
                "1/Trips": "elsewhere",
                "2/Trips/Album 2": "elsewhere/Summer",
                "3": "elsewhere/new",
                "4/Trips": "/",
            },
        ),
    ],
)
def test_links_at_the_path_of_folders_are_not_followed_outside(
    account: Account,
    smugmug: FakeSmugMug,
    run: Run,
    tmp_path: Path,
    elsewhere: Path,
    layout: str,
    links: Dict[str, str],
) -> None:
    for number in range(len(links)):
        account.album(f"Album {number}", folder=f"{number}/Trips").photo(title="A title")
    account.album("Winter").photo()
    for link, target in links.items():
        (run.output / link).parent.mkdir(parents=True, exist_ok=True)
        (run.output / link).symlink_to(tmp_path / target, target_is_directory=True)
    before, places = snapshot(elsewhere), set(os.listdir(str(tmp_path)))

    for options in ([], ["--full", "--verify"]):
        result = run("--layout", layout, "--sidecar", "xmp,json,html", *options)

        assert result.returncode == 1
        refusals = re.findall(
            r"^  .* leads outside the output folder", result.stderr, re.MULTILINE
        )
        assert len(refusals) == len(links)
        assert snapshot(elsewhere) == before and set(os.listdir(str(tmp_path))) == places
        assert all((run.output / link).is_symlink() for link in links)
        assert set(files_on_disk(run.output)) == {
            "Winter/IMG_1.JPG",
            "Winter/album.json",
            "Winter/index.html",
            "index.html",
        }
    assert smugmug.count("cdn") == 1


@posix_only
def test_folders_replaced_by_links_are_not_followed(
    account: Account, run: Run, elsewhere: Path
) -> None:
    album = account.album("Summer")
    album.photo()
    assert run("--sidecar", "json").returncode == 0
    (run.output / "Summer").rename(run.output / "kept")
    (run.output / "Summer").symlink_to(elsewhere, target_is_directory=True)
    album.photo("IMG_2.JPG")
    before = snapshot(elsewhere)
    for options in ([], ["--verify"]):
        assert run("--sidecar", "json", *options).returncode == 1
        assert snapshot(elsewhere) == before


@posix_only
def test_links_at_the_path_of_files_are_not_written_through(
    account: Account, run: Run, elsewhere: Path
) -> None:
    parts, photos = [], {}
    for old in (b"precious", b"", None):
        album = account.album(f"Album {old!r}")
        photo = album.photo(title="A title")
        folder = run.output / script.safe_name(album.name, "")
        folder.mkdir(parents=True)
        parts.append(folder / f".{photo.key}-0-{photo.md5}.part")
        photos[folder / f"IMG_1_{photo.key}-2.JPG"] = photo
        for name in (
            "IMG_1.JPG",
            "album.json",
            "index.html",
            "IMG_1.JPG.xmp",
            f"IMG_1_{photo.key}.JPG",
            f"IMG_1_{photo.key}-2.JPG.xmp",
            parts[-1].name,
        ):
            target = elsewhere / f"{album.key} {name}"
            if old is not None:
                target.write_bytes(old)
            (folder / name).symlink_to(target)
    before = snapshot(elsewhere)

    result = run("--sidecar", "xmp,json,html")

    assert snapshot(elsewhere) == before
    # the part files cannot be written; sidecars and pages are kept as the user's own
    assert result.returncode == 1 and "3 failed" in result.stderr
    for part in parts:
        part.unlink()
    run("--sidecar", "xmp,json,html")
    assert snapshot(elsewhere) == before
    assert {path: path.read_bytes() for path in photos if not path.is_symlink()} == {
        path: photo.data for path, photo in photos.items()
    }


@posix_only
def test_links_to_sidecars_elsewhere_are_not_written_through(
    account: Account, run: Run, elsewhere: Path
) -> None:
    album = account.album("Summer")
    album.photo(title="A title")
    assert run("--sidecar", "xmp,json,html").returncode == 0
    for name in ("album.json", "index.html", "IMG_1.JPG.xmp"):
        (run.output / "Summer" / name).rename(elsewhere / name)
        (run.output / "Summer" / name).symlink_to(elsewhere / name)
    before = snapshot(elsewhere)
    album.images[0].title = "Another title"
    album.description = "Other words"
    album.touch()
    run("--full", "--sidecar", "xmp,json,html")
    assert snapshot(elsewhere) == before


@posix_only
@pytest.mark.parametrize("old", [None, b""], ids=["nothing", "an empty file"])
def test_a_link_at_the_path_of_the_record_is_not_followed(
    account: Account, run: Run, elsewhere: Path, old: Any
) -> None:
    account.album("Summer").photo()
    target = elsewhere / "target"
    if old is not None:
        target.write_bytes(old)
    run.output.mkdir()
    (run.output / ".smugmug.sqlite3").symlink_to(target)
    before = snapshot(elsewhere)
    run()
    assert snapshot(elsewhere) == before


# =================================================================================================
# Control characters.
# =================================================================================================

CONTROLS = (
    "\x1b[2J\x1b]0;mine\x07\r\n\b\x7f\x9b31m\x00\u202e\u2028\u200f\u2066\ufeff\u061c\U000e0041"
)


@pytest.fixture
def upsetting(account: Account, smugmug: FakeSmugMug) -> Account:
    """Make an account full of control characters, with many failures."""
    album = account.album(
        f"al{CONTROLS}bum",
        folder=f"fol{CONTROLS}der",
        description=f"desc{CONTROLS}",
        keywords=f"key{CONTROLS}",
    )
    album.url_path = f"/fol{CONTROLS}der/al{CONTROLS}bum"
    for name in ("good", "gone", "denied", "odd", "elsewhere"):
        album.photo(
            f"{name}{CONTROLS}.JPG",
            title=f"title{CONTROLS}",
            caption=f"caption{CONTROLS}",
            keywords=[f"word{CONTROLS}"],
        )
    album.photo(f"slow{CONTROLS}.JPG", processing=True)
    account.album("Source").photo(
        f"raw{CONTROLS}.JPG", component_file_types={"Image": [f"nef{CONTROLS}", "cr2", 7, None]}
    )
    album.video(f"video{CONTROLS}.mov")
    _, gone, denied, odd, elsewhere, *_ = album.images
    message = f"Not{CONTROLS}granted"
    smugmug.fault("not_found", f"/i-{gone.key}/", times=None)
    smugmug.fault(
        "respond",
        f"/i-{denied.key}/",
        times=None,
        status=403,
        body=json.dumps({"Message": message}).encode(),
    )
    smugmug.fault("respond", f"/i-{odd.key}/", times=None, status=400, body=message.encode())
    smugmug.fault(
        "redirect", f"/i-{elsewhere.key}/", times=None, to="https://ev\x1bcil\x9b.example/"
    )
    refused = account.album(f"refused{CONTROLS}")
    refused.photo()
    smugmug.fault(
        "respond",
        of_list(refused),
        times=None,
        status=403,
        body=json.dumps({"Code": 403, "Message": message}).encode(),
        headers={"X-RateLimit-Remaining": "\x1b[2J7\x9b", "X-RateLimit-Reset": "\x07"},
    )
    smugmug.fault("mangle", "!authuser", times=None, function=upset_name)
    smugmug.fault("mangle", "!albums", times=None, function=upset_fields)
    return account


def upset_name(answer: JSON) -> JSON:
    """Return a fault that puts control characters into the user's name."""
    answer["Response"]["User"]["NickName"] = f"nick{CONTROLS}"
    return answer


def upset_fields(answer: JSON) -> JSON:
    """Return a fault that puts control characters into fields of albums that no user can edit."""
    for entry in answer["Response"]["Album"]:
        for name in (
            "LastUpdated",
            "ImagesLastUpdated",
            "Privacy",
            "Date",
            "WebUri",
            "ResponseLevel",
        ):
            entry[name] = f"\x1b]0;{name}\x07\r\n{CONTROLS}"
    return answer


def harmful(text: str) -> List[str]:
    """Return the characters of a text that can upset a terminal."""
    return sorted(
        {character for character in text if not character.isprintable() and character != "\n"}
    )


@pytest.mark.parametrize(
    "options",
    [
        ["-v"],
        ["--list"],
        ["--dry-run"],
        ["--login"],
        ["--album", f"no{CONTROLS}ne".replace("\0", "")],
        ["--layout", "tree", "-v", "--sidecar", "json,xmp"],
    ],
    ids=lambda options: options[0],
)
def test_control_characters_from_smugmug_reach_neither_screen_nor_log(
    upsetting: Account, run: Run, tmp_path: Path, options: List[str]
) -> None:
    run.smugmug.allow_unknown_paths = True  # no such nickname exists
    more = (
        []
        if options[0] in ("--list", "--login")
        else ["--report", "report.json", "--list-removed"]
    )
    result = run(*options, "--log-file", "log.txt", *more)
    for said in (
        result.stdout,
        result.stderr,
        (tmp_path / "log.txt").read_bytes().decode("utf-8"),
    ):
        assert harmful(said) == []
    assert result.returncode == {"--album": 2, "--list": 0, "--login": 0}.get(options[0], 1)
    assert (tmp_path / "log.txt").stat().st_size > 100
    if more:
        assert harmful((tmp_path / "report.json").read_text(encoding="utf-8")) == []


def test_control_characters_in_file_names_reach_neither_screen_nor_log(
    account: Account, run: Run, tmp_path: Path
) -> None:
    album = account.album(f"al{CONTROLS}bum")
    photo = album.photo(f"good{CONTROLS}.JPG")
    assert run().returncode == 0
    (on_disk,) = (run.output / name for name in files_on_disk(run.output))
    edit(on_disk, keep_time=True)
    album.remove(photo)
    result = run("-v", "--verify", "--list-removed", "--log-file", "log.txt")
    assert result.returncode == 1
    # In a pipe, the list of removed files names them exactly.
    assert result.stdout == f"{on_disk.relative_to(run.output).as_posix()}\n"
    for said in (result.stderr, (tmp_path / "log.txt").read_bytes().decode("utf-8")):
        assert harmful(said) == []


@pytest.mark.parametrize(
    "where, status, body",
    [
        ("getRequestToken", 401, b"oauth_problem=%1b%5b2J%07&x=\x1b[2J"),
        ("getAccessToken", 401, b"oauth_problem=verifier_invalid&x=%1b%5b2J%c2%9b\x07"),
        ("getRequestToken", 200, b"oauth_token=%1b%5b2J%0a%0d&oauth_token_secret=%1b%5b2J"),
        (
            "authuser",
            401,
            b'{"Message": "terms of service at https://api.smugmug.com/\\u001b[2J\\u009b\\u202e"}',
        ),
        ("authuser", 400, b"\x1b[2J\x9b\xc2\x9b"),
        ("authuser", 200, b'{"Response": {"User": {"NickName": "\\u001b[2J\\u202e"}}}'),
    ],
)
def test_control_characters_of_a_sign_in_reach_neither_screen_nor_log(
    smugmug: FakeSmugMug, run: Run, tmp_path: Path, where: str, status: int, body: bytes
) -> None:
    smugmug.allow_unknown_paths = True
    smugmug.fault("respond", where, times=None, status=status, body=body)
    result = run("-v", "--log-file", "log.txt", signed_in=where == "authuser", input="1\n2\n3\n")
    assert result.returncode in (2, 3)
    for said in (
        result.stdout,
        result.stderr,
        (tmp_path / "log.txt").read_bytes().decode("utf-8"),
    ):
        assert harmful(said) == []


# =================================================================================================
# The token file.
# =================================================================================================


@posix_only
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_user_can_read_the_sign_in(run: Run, umask: int) -> None:
    process = run.start(
        "--login", signed_in=False, stdin=subprocess.PIPE, preexec_fn=lambda: os.umask(umask)
    )
    _, stderr = process.communicate("027518\n", timeout=300)
    assert process.returncode == 0, stderr
    assert stat.S_IMODE(token_file(run).stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file(run).parent.stat().st_mode) == 0o700


@posix_only
@pytest.mark.parametrize(
    "mode, warns",
    [
        (0o644, True),
        (0o640, True),
        (0o604, True),
        (0o602, True),
        (0o600, False),
        (0o400, False),
    ],
)
def test_warns_if_the_token_file_is_readable_by_others(run: Run, mode: int, warns: bool) -> None:
    path = save_token(run)
    path.chmod(mode)
    result = run("-q", signed_in=False)
    assert result.returncode == 0
    assert (f"chmod 600 {path}" in result.stderr) == warns
    assert stat.S_IMODE(path.stat().st_mode) == mode
    if warns:
        path.chmod(0o600)
        assert "chmod" not in run("-q", signed_in=False).stderr


# =================================================================================================
# JSON of wrong types. Each row of these tables is one album, so that one run tries all of them.
# =================================================================================================

WRONG: Mapping[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "minus one": -1,
    "a fraction": 1.5,
    "a huge number": 10**400,
    "a huge float": 1e308,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "an empty text": "",
    "a text": "text",
    "digits": "0012",
    "other digits": "\u0661\u0662",
    "a long text": "9" * 5000,
    "NUL": "\0",
    "an empty list": [],
    "a list": ["text", 7, None, {}],
    "an empty object": {},
    "an object": {"Uri": {"Uri": 7}, "Url": [], "text": None},
}

ALBUM_FIELDS = (
    "AlbumKey",
    "Name",
    "UrlPath",
    "Uri",
    "ImageCount",
    "LastUpdated",
    "ImagesLastUpdated",
    "Date",
    "Privacy",
    "OriginalSizes",
    "Description",
    "Keywords",
    "WebUri",
    "HighlightAlbumImageUri",
    "ResponseLevel",
    "Uris",
)
IMAGE_FIELDS = (
    "ImageKey",
    "Serial",
    "Uri",
    "FileName",
    "IsVideo",
    "Processing",
    "Status",
    "SubStatus",
    "ArchivedUri",
    "ArchivedSize",
    "ArchivedMD5",
    "OriginalSize",
    "Date",
    "DateTimeUploaded",
    "DateTimeOriginal",
    "Title",
    "Caption",
    "KeywordArray",
    "Latitude",
    "Longitude",
    "Altitude",
    "Hidden",
    "WebUri",
    "Uris",
    "ComponentFileTypes",
)
VIDEO_FIELDS = ("Url", "Ext", "Size", "MD5")


def with_fields(fields: JSON) -> Callable[[JSON], JSON]:
    """Return a fault that gives some fields of each listed object wrong values."""

    def mangled(answer: JSON) -> JSON:
        for entry in answer["Response"]["AlbumImage"]:
            entry.update(fields)
        return answer

    return mangled


def assert_whole_or_named(account: Account, run: Run, result: Result, report: Path) -> None:
    """Check that each file is on disk, or named by itself, its album or the list; nothing else."""
    assert result.returncode in (0, 1), result.stderr
    on_disk = sorted(
        content
        for name, content in files_on_disk(run.output).items()
        if not name.endswith((".json", ".xmp", ".html"))
    )
    known = {image.data for album in account.albums for image in album.images}
    assert [content for content in on_disk if content not in known] == []
    problems = named(report)
    missing = {
        (album.name, image.file_name)
        for album in account.albums
        for image in album.images
        if image.data not in on_disk
    }
    assert missing == set() or problems
    unnamed = {
        (album, image)
        for album, image in missing
        if not {(album, image), (album, "")} & problems
        and not any(name == album for name, _ in problems)
    }
    assert unnamed == set() or ("the list of albums", "") in problems
    assert (result.returncode == 0) <= all(
        problem["kind"] not in ("failed", "damaged")
        for problem in json.loads(report.read_text(encoding="utf-8"))["problems"]
    )


@pytest.mark.parametrize(
    "fields", [IMAGE_FIELDS[:12], IMAGE_FIELDS[12:]], ids=["of the file", "of words"]
)
def test_malformed_fields_of_images_are_harmless(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path, fields: Tuple[str, ...]
) -> None:
    for name in fields:
        for label, value in WRONG.items():
            album = account.album(f"{name} is {label}")
            album.photo("photo.JPG", title="A title", latitude="1.5", longitude="2.5")
            if label in ("null", "a text", "a list", "zero", "true"):
                album.video("video.MOV")
            smugmug.fault(
                "mangle", of_list(album), times=None, function=with_fields({name: value})
            )
    smugmug.allow_unknown_paths = True

    result = run("--sidecar", "xmp,json,html", "--report", "report.json")

    assert_whole_or_named(account, run, result, tmp_path / "report.json")
    if "Title" in fields:
        assert result.returncode == 0 and smugmug.count("cdn") == sum(
            len(album.images) for album in account.albums
        )


def test_unmarked_videos_are_downloaded_by_their_link_and_never_as_a_still(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    linked, unlinked = account.album("Linked"), account.album("Unlinked")
    video = linked.video()
    unlinked.video()
    for album, fields in (
        (linked, {"IsVideo": "true"}),
        (unlinked, {"IsVideo": "true", "Uris": None}),
    ):
        smugmug.fault("mangle", of_list(album), times=None, function=with_fields(fields))

    result = run("--report", "report.json")

    assert result.returncode == 1 and named(tmp_path / "report.json") == {
        ("Unlinked", "MVI_1.MOV")
    }
    assert files_on_disk(run.output) == {"Linked/MVI_1.mp4": video.data}


def test_malformed_fields_of_albums_are_harmless(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    wrong = {}
    for name in ALBUM_FIELDS:
        for label, value in WRONG.items():
            album = account.album(f"{name} is {label}")
            album.photo()
            wrong[album.key] = name, value

    def mangled(answer: JSON) -> JSON:
        for entry in answer["Response"]["Album"]:
            name, value = wrong[entry["AlbumKey"]]
            entry[name] = value
        return answer

    smugmug.fault("mangle", "!albums", times=None, function=mangled)
    smugmug.allow_unknown_paths = True
    for options in (
        ["--list"],
        ["--sidecar", "json", "--layout", "tree", "--report", "report.json"],
    ):
        result = run(*options)
        assert result.returncode == 1 and "the listing is incomplete" in result.stderr
    assert_whole_or_named(account, run, result, tmp_path / "report.json")
    lost = [album for album in account.albums if album.name.startswith("AlbumKey ")]
    on_disk = set(files_on_disk(run.output).values())
    assert all(
        image.data in on_disk
        for album in account.albums
        if album not in lost
        for image in album.images
    )


def test_malformed_fields_of_videos_are_harmless(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    def with_video_field(name: str, value: Any) -> Callable[[JSON], JSON]:
        def mangled(answer: JSON) -> JSON:
            for expansion in answer["Expansions"].values():
                expansion["LargestVideo"][name] = value
            return answer

        return mangled

    def with_expansion(value: Any) -> Callable[[JSON], JSON]:
        def mangled(answer: JSON) -> JSON:
            for uri in answer["Expansions"]:
                answer["Expansions"][uri] = value
            return answer

        return mangled

    for label, value in WRONG.items():
        changes = [(name, with_video_field(name, value)) for name in VIDEO_FIELDS]
        for name, function in [*changes, ("all", with_expansion(value))]:
            album = account.album(f"{name} is {label}")
            album.video()
            smugmug.fault("mangle", of_list(album), times=None, function=function)

    result = run("--report", "report.json")

    assert_whole_or_named(account, run, result, tmp_path / "report.json")


@pytest.mark.waits
def test_malformed_pages_are_harmless(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    def with_part(path: List[str], value: Any) -> Callable[[JSON], JSON]:
        def mangled(answer: JSON) -> JSON:
            place = answer
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = value
            return answer

        return mangled

    paths = (
        ["Response", "Pages"],
        ["Response", "Pages", "Total"],
        ["Response", "Pages", "Count"],
        ["Response", "AlbumImage"],
        ["Response", "Locator"],
        ["Expansions"],
    )
    rows = [(path, label) for path in paths for label in WRONG]
    rows += [
        (["Response"], "null"),
        (["Response"], "a list"),
        (["Response"], "a text"),
        (["Response"], "NaN"),
    ]
    for path, label in rows:
        album = account.album(f"{'.'.join(path)} is {label}")
        album.photo()
        album.video()
        smugmug.fault("mangle", of_list(album), times=None, function=with_part(path, WRONG[label]))

    result = run("--report", "report.json")

    assert_whole_or_named(account, run, result, tmp_path / "report.json")
    assert result.returncode == 1


def test_malformed_responses_about_one_image_are_harmless(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    def wrong_objects(path: List[str], value: Any) -> Callable[[JSON], JSON]:
        def mangled(answer: JSON) -> JSON:
            place = answer["Response"].get(answer["Response"]["Locator"])
            if isinstance(place, dict) and path:
                for name in path[:-1]:
                    place = place.get(name, {})
                place[path[-1]] = value
            else:
                answer["Response"][answer["Response"]["Locator"]] = value
            return answer

        return mangled

    for action, path in (
        ("!download", []),
        ("!download", ["Url"]),
        ("!sizedetails", []),
        ("!sizedetails", ["ImageSizeOriginal"]),
        ("!sizedetails", ["ImageSizeOriginal", "Url"]),
        ("!sizedetails", ["ImageSizeOriginal", "Size"]),
        ("!largestimage", []),
        ("!largestimage", ["Url"]),
        ("!largestimage", ["Size"]),
    ):
        for label, value in WRONG.items():
            album = account.album(f"{action} {' '.join(path)} is {label}")
            photo = album.photo(archived=False, download_uri=action == "!download")
            smugmug.fault(
                "mangle",
                f"/image/{photo.key}-0{action}",
                times=None,
                function=wrong_objects(path, value),
            )
            if action == "!largestimage":
                smugmug.fault("not_found", f"/image/{photo.key}-0!sizedetails", times=None)

    result = run("--report", "report.json")

    assert_whole_or_named(account, run, result, tmp_path / "report.json")


@pytest.mark.parametrize(
    "path",
    [
        ["Response"],
        ["Response", "User"],
        ["Response", "User", "NickName"],
        ["Response", "User", "Uris"],
        ["Response", "User", "ImageCount"],
        ["Response", "User", "Uris", "UserAlbums"],
    ],
    ids=".".join,
)
@pytest.mark.parametrize("label", sorted(WRONG))
def test_malformed_user_responses_are_harmless(path: List[str], label: str) -> None:
    class Stub:
        def get_json(self, uri: str, parameters: Any, retry_also: Any = frozenset()) -> JSON:
            answer: JSON = {
                "Response": {
                    "User": {
                        "NickName": "family",
                        "ImageCount": 7,
                        "Uris": {"UserAlbums": "/api/v2/user/family!albums"},
                    }
                }
            }
            place = answer
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = WRONG[label]
            if not isinstance(answer["Response"], dict):
                raise script.RequestFailed("refused by read_json")
            return answer

    stub: Any = Stub()
    try:
        user = script.fetch_user(stub)
    except (script.NotSignedIn, script.RequestFailed):
        return
    assert isinstance(user.nick_name, str) and user.nick_name
    assert user.albums_uri.startswith("/api/v2")
    assert user.image_count is None or isinstance(user.image_count, int)


# =================================================================================================
# JSON that no library writes.
# =================================================================================================

RAW_VALUES = {
    "deep lists": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "lists as deep as is read": "[" * 400 + "]" * 400,
    "a number of 5000 digits": "9" * 5000,
    "half an emoji": '"\\ud83d"',
    "the other half": '"\\udc00x"',
    "NaN": "NaN",
    "-Infinity": "-Infinity",
    "an exponent": "1e999999",
    "a text with NUL": '"a\\u0000b"',
}
UNREADABLE = ("deep lists", "deep objects", "a number of 5000 digits")


@pytest.mark.waits
def test_invalid_json_costs_no_more_than_its_album(
    account: Account, smugmug: FakeSmugMug, run: Run, tmp_path: Path
) -> None:
    listed_albums = []
    for label, raw in RAW_VALUES.items():
        album = account.album(label)
        photo = album.photo()
        image = {
            "ImageKey": photo.key,
            "ArchivedUri": file_url(photo, "D"),
            "ArchivedSize": photo.size,
            "ArchivedMD5": photo.md5,
        }
        words = (
            "FileName",
            "Title",
            "Caption",
            "Serial",
            "DateTimeOriginal",
            "Latitude",
            "KeywordArray",
            "WebUri",
        )
        smugmug.fault(
            "respond",
            of_list(album),
            times=None,
            body=listing("AlbumImage", [with_raw(image, words, raw)]),
        )
        words = (
            "Name",
            "UrlPath",
            "LastUpdated",
            "ImagesLastUpdated",
            "Date",
            "Description",
            "Privacy",
            "WebUri",
        )
        if label not in UNREADABLE:
            entry = {"AlbumKey": album.key, "ImageCount": 1, "ImagesLastUpdated": "x"}
            listed_albums.append(with_raw(entry, words, raw))
        else:
            listed_albums.append(json.dumps({"AlbumKey": album.key, "Name": label}))
    smugmug.fault("respond", "!albums", times=None, body=listing("Album", listed_albums))

    result = run("--sidecar", "xmp,json,html", "--layout", "tree", "--report", "report.json")

    assert result.returncode == 1 and "sent an invalid API response" in result.stderr
    assert_whole_or_named(account, run, result, tmp_path / "report.json")
    readable = {album.images[0].data for album in account.albums if album.name not in UNREADABLE}
    assert readable <= set(files_on_disk(run.output).values())

    smugmug.clear_requests()
    assert (
        run(
            "--sidecar", "xmp,json,html", "--layout", "tree", "-x", "*deep*", "-x", "*digits*"
        ).returncode
        == 0
    )
    assert smugmug.count("cdn") == 0
    assert run("--list").returncode == 0


def with_raw(entry: JSON, fields: Tuple[str, ...], raw: str) -> str:
    """Return an object as JSON with some values written as given."""
    return json.dumps({**entry, **dict.fromkeys(fields, "@")}).replace('"@"', raw)


def listing(locator: str, entries: List[str]) -> bytes:
    """Return a list response with these objects, given as JSON."""
    pages = json.dumps({"Total": len(entries), "Start": 1, "Count": len(entries)})
    return f'{{"Response": {{"{locator}": [{", ".join(entries)}], "Pages": {pages}}}}}'.encode()


def test_endless_lists_are_named_problems(
    account: Account, smugmug: FakeSmugMug, run: Run
) -> None:
    endless, sound = account.album("Endless"), account.album("Sound")
    endless.photo("a.JPG")
    sound.photo("b.JPG")
    image = {
        "ImageKey": endless.images[0].key,
        "FileName": "a.JPG",
        "ArchivedUri": file_url(endless.images[0], "D"),
    }
    body = {
        "Response": {"AlbumImage": [image], "Pages": {"Total": 10**15, "Start": 1, "Count": 1}}
    }
    smugmug.fault("respond", of_list(endless), times=None, body=json.dumps(body).encode())

    result = run(timeout=300)

    assert result.returncode == 1 and files_on_disk(run.output) == expected_files(endless, sound)
    assert re.search(r"^  Endless: .*incomplete", result.stderr, re.MULTILINE)
    # a second listing included
    assert smugmug.count("api", of_list(endless)) <= 2 * (1 + 2 * script.LISTING_THREADS)
