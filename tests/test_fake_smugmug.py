"""Is the simulated SmugMug as strict, as odd and as faulty as it claims?"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple

import pytest
import requests
from requests_oauthlib import OAuth1, OAuth1Session

import fake_smugmug
from demo import drawn_png
from fake_smugmug import (
    FAULTS,
    JPEG_MAGIC,
    Account,
    Authority,
    FakeSmugMug,
    Gateway,
    Lag,
    Limiter,
    Line,
    Pattern,
    bytes_of,
    heic_name,
    keywords_from,
    md5_of,
    pieces_of,
    shown_as_taken,
    signature,
)

API = "https://api.smugmug.com"
OAUTH = API + "/services/oauth/1.0a/"
JSON_ACCEPTED = {"Accept": "application/json"}


class Client:
    """A client that signs every request through requests_oauthlib."""

    def __init__(self, smugmug: FakeSmugMug, token: str = "", secret: str = "") -> None:
        self.smugmug = smugmug
        self.session = OAuth1Session(
            smugmug.api_key,
            smugmug.api_secret,
            token or smugmug.access_token,
            secret or smugmug.access_token_secret,
        )
        lead_to(self.session, smugmug)

    def get(
        self, url: str, headers: Dict[str, str] = JSON_ACCEPTED, **options: Any
    ) -> requests.Response:
        """Send a signed GET; a bare path is one of the API."""
        options.setdefault("timeout", 10)
        response: requests.Response = self.session.get(
            url if "://" in url else API + url, headers=headers, **options
        )
        return response

    def body(self, url: str) -> Dict[str, Any]:
        """Return the Response part of a response."""
        response: Dict[str, Any] = self.get(url).json()["Response"]
        return response

    def close(self) -> None:
        self.session.close()


def lead_to(session: Any, smugmug: FakeSmugMug) -> Any:
    """Send a session's requests to the fake."""
    session.trust_env = False
    session.proxies = {"https": smugmug.url, "http": smugmug.url}
    session.verify = smugmug.ca_path
    return session


@pytest.fixture
def client(smugmug: FakeSmugMug) -> Iterator[Client]:
    """Provide a client that is signed in."""
    signed_in = Client(smugmug)
    yield signed_in
    signed_in.close()


@pytest.fixture
def stranger(smugmug: FakeSmugMug) -> Iterator[requests.Session]:
    """Provide a client that signs nothing."""
    with lead_to(requests.Session(), smugmug) as session:
        yield session


# =================================================================================================
# Signatures and tokens
# =================================================================================================


@pytest.mark.parametrize(
    "method, url, parameters, secrets, expected",
    [
        (
            "GET",
            "http://photos.example.net/photos",  # RFC 5849 section 1.2, the last request
            [
                ("file", "vacation.jpg"),
                ("size", "original"),
                ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
                ("oauth_token", "nnch734d00sl2jdk"),
                ("oauth_signature_method", "HMAC-SHA1"),
                ("oauth_timestamp", "137131202"),
                ("oauth_nonce", "chapoH"),
            ],
            ("kd94hf93k423kf44", "pfkkdhi9sl3r4s00"),
            "MdpQcU8iPSUjWoN/UDMsK2sui9I=",
        ),
        (
            "POST",
            "http://example.com/request",  # RFC 5849 section 3.4.1, with the value of erratum 2550
            [
                ("b5", "=%3D"),
                ("a3", "a"),
                ("c@", ""),
                ("a2", "r b"),
                ("c2", ""),
                ("a3", "2 q"),
                ("oauth_consumer_key", "9djdj82h48djs9d2"),
                ("oauth_token", "kkk9d7dh3k39sjv7"),
                ("oauth_signature_method", "HMAC-SHA1"),
                ("oauth_timestamp", "137131201"),
                ("oauth_nonce", "7d8f3e4a"),
            ],
            ("j49sk3j29djd", "dh893hdasih9"),
            "r6/TJjbCOr97/+UU0NsvSne7s5g=",
        ),
    ],
)
def test_signatures_match_the_rfc(
    method: str,
    url: str,
    parameters: List[Tuple[str, str]],
    secrets: Tuple[str, str],
    expected: str,
) -> None:
    assert signature(method, url, parameters, *secrets) == expected


def test_signed_requests_may_have_parameters_of_any_kind(client: Client) -> None:
    query = "?_filter=Name%2CNickName&_shorturis&count=%2b%20+&start=~"
    assert (
        client.get("/api/v2!authuser" + query).json()["Response"]["User"]["NickName"] == "family"
    )


def test_signatures_in_the_query_are_accepted(
    smugmug: FakeSmugMug, stranger: requests.Session
) -> None:
    auth = OAuth1(
        smugmug.api_key,
        smugmug.api_secret,
        smugmug.access_token,
        smugmug.access_token_secret,
        signature_type="query",
    )
    assert (
        stranger.get(API + "/api/v2!authuser", auth=auth, headers=JSON_ACCEPTED).status_code == 200
    )


def signed_request(client: Client, path: str, **fields: str) -> requests.PreparedRequest:
    """Sign a request with another key, token or clock than the client's own."""
    auth = client.session.auth.client
    saved = {name: getattr(auth, name) for name in fields}
    for name, value in fields.items():
        setattr(auth, name, value)
    prepared: requests.PreparedRequest = client.session.prepare_request(
        requests.Request("GET", API + path, headers=JSON_ACCEPTED)
    )
    for name, value in saved.items():
        setattr(auth, name, value)
    return prepared


def send(client: Client, prepared: requests.PreparedRequest) -> requests.Response:
    """Send a request as it is, without signing it again."""
    response: requests.Response = client.session.send(
        prepared, proxies=client.session.proxies, verify=client.smugmug.ca_path, timeout=10
    )
    return response


@pytest.mark.parametrize(
    "fields, problem",
    [
        ({"client_key": "nobody"}, "consumer_key_unknown"),
        ({"resource_owner_key": "nobody"}, "token_rejected"),
        ({"resource_owner_secret": "wrong"}, "signature_invalid"),
        ({"timestamp": "137131200"}, "timestamp_refused"),
        ({"signature_method": "PLAINTEXT"}, "signature_method_rejected"),
    ],
)
def test_wrong_signatures_are_refused_with_a_reason(
    client: Client, fields: Dict[str, str], problem: str
) -> None:
    response = send(client, signed_request(client, "/api/v2!authuser", **fields))
    assert response.status_code == 401
    assert response.json() == {"Code": 401, "Message": f"oauth_problem={problem}"}


def test_clocks_may_be_off_by_less_than_five_minutes(client: Client) -> None:
    for seconds, status in ((-280, 200), (280, 200), (-320, 401), (320, 401)):
        prepared = signed_request(
            client, "/api/v2!authuser", timestamp=str(int(time.time()) + seconds)
        )
        assert send(client, prepared).status_code == status


def test_nonces_are_valid_once(client: Client) -> None:
    prepared = signed_request(client, "/api/v2!authuser")
    assert send(client, prepared).status_code == 200
    again = send(client, prepared)
    assert (again.status_code, again.text) == (
        401,
        '{"Code":401,"Message":"oauth_problem=nonce_used"}',
    )


def test_a_lost_response_uses_up_the_nonce(smugmug: FakeSmugMug, client: Client) -> None:
    smugmug.fault("reset", "api")
    prepared = signed_request(client, "/api/v2!authuser")
    with pytest.raises(requests.ConnectionError):
        send(client, prepared)
    assert "nonce_used" in send(client, prepared).text


def test_changing_the_query_invalidates_the_signature(client: Client) -> None:
    prepared = signed_request(client, "/api/v2!authuser?count=1")
    prepared.url = str(prepared.url).replace("count=1", "count=2")
    assert "signature_invalid" in send(client, prepared).text


def test_unsigned_requests_get_public_data_only_with_a_key(
    smugmug: FakeSmugMug, account: Account, stranger: requests.Session
) -> None:
    public, _ = account.album("Open"), account.album("Closed", privacy="Private")
    assert stranger.get(API + "/api/v2!authuser", headers=JSON_ACCEPTED).json()["Code"] == 401
    url = f"{API}/api/v2/user/family!albums?APIKey={smugmug.api_key}"
    body = stranger.get(url, headers=JSON_ACCEPTED).json()["Response"]
    assert [album["AlbumKey"] for album in body["Album"]] == [public.key]
    url = f"{API}/api/v2!authuser?APIKey={smugmug.api_key}"
    assert "User" not in stranger.get(url, headers=JSON_ACCEPTED).json()["Response"]


# =================================================================================================
# Signing in
# =================================================================================================


def sign_in(
    smugmug: FakeSmugMug, pin: str = "", access: str = "Full", host: str = API
) -> Dict[str, str]:
    """Complete the PIN flow and return its last response."""
    base = host + "/services/oauth/1.0a/"
    session = OAuth1Session(smugmug.api_key, smugmug.api_secret, callback_uri="oob")
    with lead_to(session, smugmug):
        session.fetch_request_token(base + "getRequestToken")
        shown = smugmug.authorize(
            session.authorization_url(base + "authorize", Access=access, Permissions="Read")
        )
        tokens: Dict[str, str] = session.fetch_access_token(
            base + "getAccessToken", verifier=pin or shown
        )
        return tokens


@pytest.mark.parametrize("host", [API, "https://secure.smugmug.com"])
def test_the_pin_flow_ends_with_an_access_token(smugmug: FakeSmugMug, host: str) -> None:
    tokens = sign_in(smugmug, host=host)
    assert tokens == {
        "oauth_token": smugmug.access_token,
        "oauth_token_secret": smugmug.access_token_secret,
    }
    assert (len(smugmug.access_token), len(smugmug.access_token_secret)) == (32, 64)
    assert smugmug.authorizations[0]["Access"] == "Full"
    assert smugmug.authorizations[0]["Permissions"] == "Read"
    assert smugmug.pin.startswith("0")


def test_the_authorize_page_shows_the_pin(
    smugmug: FakeSmugMug, stranger: requests.Session
) -> None:
    with lead_to(
        OAuth1Session(smugmug.api_key, smugmug.api_secret, callback_uri="oob"), smugmug
    ) as session:
        token = session.fetch_request_token(OAUTH + "getRequestToken")["oauth_token"]
    page = stranger.get(OAUTH + f"authorize?oauth_token={token}&Access=Full")
    assert smugmug.pin in page.text and page.headers["Content-Type"].startswith("text/html")
    assert stranger.get(OAUTH + "authorize?oauth_token=other").status_code == 400
    with pytest.raises(ValueError):
        smugmug.authorize(
            "http://api.smugmug.com/services/oauth/1.0a/authorize?oauth_token=" + token
        )


def test_a_wrong_pin_uses_up_the_request_token(smugmug: FakeSmugMug) -> None:
    session: Any = OAuth1Session(smugmug.api_key, smugmug.api_secret, callback_uri="oob")
    with lead_to(session, smugmug):
        session.fetch_request_token(OAUTH + "getRequestToken")
        for pin in ("111111", smugmug.pin):
            session._client.client.verifier = pin
            response = session.post(OAUTH + "getAccessToken")
            assert response.status_code == 401 and response.text.startswith("oauth_problem=")


def test_request_tokens_last_five_minutes_and_are_valid_once(smugmug: FakeSmugMug) -> None:
    session: Any = OAuth1Session(smugmug.api_key, smugmug.api_secret, callback_uri="oob")
    with lead_to(session, smugmug):
        session.fetch_request_token(OAUTH + "getRequestToken")
        url = session.authorization_url(OAUTH + "authorize")
        smugmug.let_time_pass(301)
        with pytest.raises(ValueError):
            smugmug.authorize(url)
        session._client.client.verifier = smugmug.pin
        assert "token_rejected" in session.get(OAUTH + "getAccessToken").text


def test_request_tokens_require_a_callback_and_a_known_key(smugmug: FakeSmugMug) -> None:
    with lead_to(OAuth1Session(smugmug.api_key, smugmug.api_secret), smugmug) as session:
        response = session.post(OAUTH + "getRequestToken")
        assert (
            "oauth_problem=parameter_absent" in response.text and "oauth_callback" in response.text
        )
    with lead_to(OAuth1Session("nobody", "nothing", callback_uri="oob"), smugmug) as session:
        response = session.post(OAUTH + "getRequestToken")
        assert (response.status_code, response.text) == (401, "oauth_problem=consumer_key_unknown")


def test_tokens_without_full_access_show_public_albums_only(
    smugmug: FakeSmugMug, account: Account
) -> None:
    public = account.album("Open")
    for privacy in ("Unlisted", "Private"):
        account.album(privacy, privacy=privacy)
    public.photo("seen.jpg")
    public.photo("hidden.jpg", hidden=True)
    tokens = sign_in(smugmug, access="Public")
    # the level cannot be changed by signing in again
    assert sign_in(smugmug, access="Full") == tokens
    client = Client(smugmug, tokens["oauth_token"], tokens["oauth_token_secret"])
    albums = client.body("/api/v2/user/family!albums")["Album"]
    assert [album["Name"] for album in albums] == ["Open"] and "Privacy" not in albums[0]
    images = client.body(f"/api/v2/album/{public.key}!images")["AlbumImage"]
    assert [image["FileName"] for image in images] == ["seen.jpg"]
    client.close()


def test_revoked_tokens_are_rejected_until_the_next_sign_in(
    smugmug: FakeSmugMug, client: Client
) -> None:
    old = smugmug.access_token
    smugmug.revoke_tokens()
    assert smugmug.access_token == old
    assert "token_rejected" in client.get("/api/v2!authuser").text
    assert sign_in(smugmug)["oauth_token"] == smugmug.access_token != old
    assert "token_rejected" in client.get("/api/v2!authuser").text


def test_tokens_survive_a_restart(smugmug: FakeSmugMug, ca: Authority) -> None:
    assert FakeSmugMug(Account(), ca).access_token == smugmug.access_token


# =================================================================================================
# The API
# =================================================================================================


def test_clients_that_do_not_accept_json_get_a_page(client: Client) -> None:
    assert (
        client.get("/api/v2!authuser", headers={}).headers["Content-Type"].startswith("text/html")
    )
    assert (
        client.get("/api/v2!authuser?_accept=application/json", headers={}).json()["Code"] == 200
    )


def test_page_sizes_are_limited(smugmug: FakeSmugMug, account: Account, client: Client) -> None:
    smugmug.gateway.patience_seconds = 60
    for number in range(120):
        account.album(f"Album {number}")
    account.albums[0].fill(600, 10)
    for path, default, maximum in (
        ("/api/v2/user/family!albums", 50, 100),
        (f"/api/v2/album/{account.albums[0].key}!images", 100, 500),
        (f"/api/v2/node/{account.root.node_id}!children", 10, 120),
    ):
        assert client.body(path)["Pages"]["Count"] == default
        pages = client.body(path + "?count=9999")["Pages"]
        assert pages["Count"] == maximum and pages["RequestedCount"] in (100, 500, 200)


def test_pages_cover_everything_once(account: Account, client: Client) -> None:
    account.album("Many").fill(23, 10)
    path = f"/api/v2/album/{account.albums[0].key}!images"
    names, start = [], 1
    while True:
        body = client.body(f"{path}?count=10&start={start}")
        names += [image["FileName"] for image in body["AlbumImage"]]
        assert ("PrevPage" in body["Pages"]) == (start > 1)
        if "NextPage" not in body["Pages"]:
            break
        start += body["Pages"]["Count"]
    assert names == [f"IMG_{number:04}.JPG" for number in range(1, 24)]
    assert body["Pages"]["LastPage"] == f"{path}?count=10&start=21"


def test_next_page_links_drop_expansions_and_verbosity(account: Account, client: Client) -> None:
    album = account.album("Many")
    album.fill(3, 10)
    body = client.body(
        f"/api/v2/album/{album.key}!images?_verbosity=1&_expand=Album&_filter=Uri%2CTitle&count=2"
    )
    assert body["Uri"] == f"/api/v2/album/{album.key}!images?_filter=Uri%2CTitle&count=2"
    assert (
        body["Pages"]["NextPage"]
        == f"/api/v2/album/{album.key}!images?_filter=Uri%2CTitle&count=2&start=3"
    )
    assert body["Pages"]["FirstPage"].endswith("&start=1")


def test_empty_lists_have_no_list_key(account: Account, client: Client) -> None:
    path = f"/api/v2/album/{account.album('Empty').key}!images"
    body = client.body(path)
    assert body["Locator"] == "AlbumImage" and "AlbumImage" not in body
    assert body["Pages"]["Total"] == 0
    assert body["Pages"]["LastPage"] == f"{path}?start=-99&count=100"
    assert client.body(path + "?count=1")["Pages"]["LastPage"] == f"{path}?count=1&start=0"


def test_responses_have_the_requested_shape(account: Account, client: Client) -> None:
    album = account.album("Album")
    album.photo("IMG_1.JPG")
    path = f"/api/v2/album/{album.key}!images"
    full = client.get(path).json()
    assert "Options" in full and "Request" in full and "Timing" in full["Response"]
    assert (
        full["Response"]["AlbumImage"][0]["Uris"]["Album"]["Uri"] == f"/api/v2/album/{album.key}"
    )
    short = client.get(path + "?_verbosity=1&_filter=FileName,DateTime&_filteruri=Album").json()
    assert set(short) == {"Response", "Code", "Message"}
    (image,) = short["Response"]["AlbumImage"]
    assert image == {"FileName": "IMG_1.JPG", "Uris": {"Album": f"/api/v2/album/{album.key}"}}
    assert client.body(path + "?_verbosity=1&_filter=&_filteruri=")["AlbumImage"] == [{}]
    assert isinstance(client.body(path + "?_shorturis")["AlbumImage"][0]["Uris"]["Album"], str)
    assert client.get(path + "?_pretty=true").text.startswith("{\n")
    assert client.get(path + "?_config=%7B%7D").status_code == 400
    assert client.body(f"/api/v2/album/{album.key}?_filter=Name&_filteruri=")["Album"] == {
        "Name": "Album",
        "ResponseLevel": "Full",
    }


def test_expansions_are_keyed_by_the_exact_uri(account: Account, client: Client) -> None:
    album = account.album("Album")
    photo, video = album.photo("IMG_1.JPG"), album.video("clip.mov")
    path = f"/api/v2/album/{album.key}!images?_expand=LargestVideo,Album.User"
    answer = client.get(path).json()
    first, second = answer["Response"]["AlbumImage"]
    assert "LargestVideo" not in first["Uris"] and first["ImageKey"] == photo.key
    largest = answer["Expansions"][second["Uris"]["LargestVideo"]["Uri"]]["LargestVideo"]
    assert (largest["Size"], largest["MD5"], largest["Ext"]) == (video.size, video.md5, "mp4")
    assert answer["Expansions"]["/api/v2/user/family"]["User"]["NickName"] == "family"
    short = client.get(path + "&_verbosity=1&_filter=Uri&_filteruri=LargestVideo").json()
    uri = short["Response"]["AlbumImage"][1]["Uris"]["LargestVideo"]
    assert uri == f"/api/v2/image/{video.key}-0!largestvideo?_shorturis="
    # filters do not reach expansions
    assert short["Expansions"][uri]["LargestVideo"]["Size"] == video.size
    assert "Uris" not in short["Response"]["AlbumImage"][0]
    inline = client.get(path + "&_expandmethod=inline").json()
    assert "Expansions" not in inline
    assert (
        inline["Response"]["AlbumImage"][1]["Uris"]["LargestVideo"]["LargestVideo"]["MD5"]
        == video.md5
    )


@pytest.mark.parametrize("short", ["_shorturis", "_shorturis=", "_verbosity=1"])
def test_only_short_uris_of_expansions_carry_a_parameter(
    account: Account, client: Client, short: str
) -> None:
    album = account.album("Album")
    album.video("clip.mov")
    path = f"/api/v2/album/{album.key}!images?_expand=LargestVideo,Album"
    answer = client.get(f"{path}&{short}&_filter=FileName").json()
    (video,) = answer["Response"]["AlbumImage"]
    marked = {name: uri for name, uri in video["Uris"].items() if "?" in uri}
    assert set(marked) == {"LargestVideo", "Album"} and len(video["Uris"]) > 10
    assert set(answer["Expansions"]) == set(marked.values())
    assert all(uri.endswith("?_shorturis=") for uri in marked.values())
    for uri, expansion in answer["Expansions"].items():
        thing = expansion[expansion["Locator"]]
        assert expansion["Uri"] == uri and len(thing) > 8  # no filter reached it
        assert thing["Uris"] and not any("?" in link for link in thing["Uris"].values())
    long = client.get(path).json()
    uris = {link["Uri"] for link in long["Response"]["AlbumImage"][0]["Uris"].values()}
    assert not any("?" in uri for uri in {*uris, *long["Expansions"]})


def test_images_without_serial_redirect_beyond_the_signature(
    smugmug: FakeSmugMug, account: Account, client: Client
) -> None:
    photo = account.album("Album").photo("IMG_1.JPG", serial=2)
    path = f"/api/v2/image/{photo.key}"
    moved = client.get(path + "?_filter=FileName", allow_redirects=False)
    assert moved.status_code == 301 and "no-store" in moved.headers["Cache-Control"]
    assert moved.headers["Location"] == f"{API}{path}-0?_filter=FileName"
    assert client.get(path).json()["Response"]["Image"]["Serial"] == 2  # OAuth1Session signs again
    auth = OAuth1(
        smugmug.api_key, smugmug.api_secret, smugmug.access_token, smugmug.access_token_secret
    )
    with lead_to(requests.Session(), smugmug) as plain:
        assert plain.get(API + path, auth=auth, headers=JSON_ACCEPTED).status_code == 401


def test_folders_form_a_tree_with_albums_of_equal_names(account: Account, client: Client) -> None:
    first, second = (account.album("Summer", folder="Family/Trips") for _ in range(2))
    assert first.url_path != second.url_path
    user = client.body("/api/v2!authuser")["User"]
    node = client.body(user["Uris"]["Node"]["Uri"] + "!children")["Node"][0]
    assert (node["Name"], node["Type"], node["HasChildren"]) == ("Family", "Folder", True)
    node = client.body(node["Uris"]["ChildNodes"]["Uri"])["Node"][0]
    albums = client.body(node["Uris"]["ChildNodes"]["Uri"] + "?Type=Album")["Node"]
    assert [album["Uris"]["Album"]["Uri"] for album in albums] == [
        f"/api/v2/album/{first.key}",
        f"/api/v2/album/{second.key}",
    ]
    assert albums[0]["HasChildren"] is False


def test_one_response_may_hold_several_albums(account: Account, client: Client) -> None:
    keys = [account.album(name).key for name in ("A", "B")]
    albums = client.body("/api/v2/album/" + ",".join(keys))["Album"]
    assert [album["Name"] for album in albums] == ["A", "B"]
    assert client.get("/api/v2/album/" + ",".join(keys * 800)).status_code == 403


def test_locked_albums_and_sites_look_empty(
    smugmug: FakeSmugMug, account: Account, client: Client, stranger: requests.Session
) -> None:
    album = account.album("Locked", locked=True)
    album.photo()
    shown = client.body(f"/api/v2/album/{album.key}")["Album"]
    assert (
        shown["ResponseLevel"] == "Password"
        and "ImageCount" not in shown
        and "AlbumImages" not in shown["Uris"]
    )
    assert client.body(f"/api/v2/album/{album.key}!images")["Pages"]["Total"] == 0
    account.site_password = True
    url = f"{API}/api/v2/user/family!albums?APIKey={smugmug.api_key}"
    site = stranger.get(url, headers=JSON_ACCEPTED).json()["Response"]
    assert "Album" not in site and site["Pages"]["Total"] == 0


def test_changes_move_dates(account: Account, client: Client) -> None:
    album, other = account.album("Album"), account.album("Other")

    def state() -> Tuple[str, str, int]:
        shown = client.body(f"/api/v2/album/{album.key}")["Album"]
        return shown["LastUpdated"], shown["ImagesLastUpdated"], shown["ImageCount"]

    states = [state()]
    photo = album.photo("IMG_1.JPG", content=b"one")
    states.append(state())
    other.collect(photo)
    photo.replace(b"two", moves_clock=True)
    states.append(state())
    album.remove(photo)
    states.append(state())
    assert [count for _, _, count in states] == [0, 1, 1, 0]
    assert len({date for _, date, _ in states}) == 4 and len({date for date, _, _ in states}) == 1
    album.touch_settings()
    assert state()[0] > states[0][0]
    assert photo.serial == 1 and account.find_image(photo.key) is photo
    account.remove(other)
    assert account.find_image(photo.key) is None
    assert client.get(f"/api/v2/image/{photo.key}-1").status_code == 404


def clocks(client: Client, image: Any) -> Tuple[str, str, str]:
    """Return the LastUpdated of an image, and both dates of its album."""
    own = client.body(f"/api/v2/image/{image.key}-{image.serial}")["Image"]["LastUpdated"]
    album = client.body(f"/api/v2/album/{image.album.key}")["Album"]
    return own, album["LastUpdated"], album["ImagesLastUpdated"]


def test_editing_captions_moves_no_date_of_the_album(account: Account, client: Client) -> None:
    photo = account.album("Album").photo("IMG_1.JPG")
    before = clocks(client, photo)
    photo.edit(caption="A day by the sea", keywords=["sea", "summer"])
    after = clocks(client, photo)
    assert after[0] > before[0] and after[1:] == before[1:]
    shown = client.body(f"/api/v2/album/{photo.album.key}!images")["AlbumImage"][0]
    assert (shown["Caption"], shown["KeywordArray"], shown["Serial"]) == (
        "A day by the sea",
        ["sea", "summer"],
        0,
    )
    with pytest.raises(TypeError):
        photo.edit(captoin="A day by the sea")


def test_replacements_move_album_dates_only_on_request(account: Account, client: Client) -> None:
    photo = account.album("Album").photo("IMG_1.JPG", content=b"zero")
    before = clocks(client, photo)
    photo.replace(b"one")
    after = clocks(client, photo)
    assert after[0] > before[0] and after[1:] == before[1:] and photo.serial == 1
    for moves_clock in (False, True):
        before = clocks(client, photo)
        photo.replace(b"two", moves_clock=moves_clock)
        after = clocks(client, photo)
        assert after[0] > before[0] and after[1] == before[1]
        assert (after[2] > before[2]) is moves_clock
    for account.replacements_move_clocks in (False, True):
        before = clocks(client, photo)
        photo.replace(b"as the account says")
        assert (clocks(client, photo)[2] > before[2]) is account.replacements_move_clocks


def listing(client: Client, album: Any, query: str = "") -> Tuple[List[str], int, int]:
    """Return the file names an album lists, the list's Total, and the album's ImageCount."""
    body = client.body(f"/api/v2/album/{album.key}!images{query}")
    count: int = client.body(f"/api/v2/album/{album.key}")["Album"]["ImageCount"]
    return (
        [image["FileName"] for image in body.get("AlbumImage", [])],
        body["Pages"]["Total"],
        count,
    )


@pytest.mark.parametrize("total_follows", ["listing", "count"])
def test_listings_lag_behind_uploads_and_deletions(
    account: Account, client: Client, total_follows: str
) -> None:
    account.total_follows = total_follows
    album = account.album("Album")
    for name in ("a.JPG", "b.JPG", "c.JPG", "d.JPG"):
        album.photo(name)
    assert listing(client, album) == (["a.JPG", "b.JPG", "c.JPG", "d.JPG"], 4, 4)
    account.lag = Lag(listings=2)
    before = album.images_last_updated
    for image in album.images[1:3]:
        album.remove(image)
    assert album.images_last_updated > before
    total = 4 if total_follows == "listing" else 2
    assert listing(client, album) == (["a.JPG", "b.JPG", "c.JPG", "d.JPG"], total, 2)
    album.photo("e.JPG")
    total = 4 if total_follows == "listing" else 3
    assert listing(client, album, "?count=2") == (["a.JPG", "b.JPG"], total, 3)
    # of the same listing
    assert listing(client, album, "?count=2&start=3") == (
        ["c.JPG", "d.JPG"],
        total,
        3,
    )
    total = 2 if total_follows == "listing" else 3
    assert listing(client, album) == (["a.JPG", "d.JPG"], total, 3)
    assert listing(client, album) == (["a.JPG", "d.JPG", "e.JPG"], 3, 3)


def test_listings_may_lag_until_time_passes(
    smugmug: FakeSmugMug, account: Account, client: Client
) -> None:
    album, other = account.album("Album"), account.album("Other")
    photo = album.photo("a.JPG")
    account.lag = Lag(seconds=300)
    other.collect(photo)
    album.photo("b.JPG")
    fleeting = album.photo("c.JPG")
    album.remove(fleeting)
    smugmug.let_time_pass(200)
    album.remove(photo)
    for _ in range(3):
        assert listing(client, album) == (["a.JPG"], 1, 1) and listing(client, other) == ([], 0, 1)
    smugmug.let_time_pass(101)
    assert listing(client, album) == (["a.JPG", "b.JPG"], 2, 1) and listing(client, other) == (
        ["a.JPG"],
        1,
        1,
    )
    smugmug.let_time_pass(200)
    assert listing(client, album) == (["b.JPG"], 1, 1)


def test_deleted_images_may_still_be_listed(account: Account, client: Client) -> None:
    album = account.album("Album")
    photo, video = album.photo("a.JPG"), album.video("b.MOV")
    account.lag = Lag(listings=1)
    for image in (photo, video):
        album.remove(image)
    answer = client.get(f"/api/v2/album/{album.key}!images?_expand=LargestVideo").json()
    first, second = answer["Response"]["AlbumImage"]
    assert (first["ImageKey"], second["ImageKey"]) == (
        photo.key,
        video.key,
    ) and "Expansions" not in answer
    assert client.get(first["ArchivedUri"]).status_code == 404
    for image in (first, second):
        for action in (
            "",
            "!download",
            "!sizedetails",
            "!largestimage",
            "!largestvideo",
            "!metadata",
        ):
            assert client.get(f"/api/v2/image/{image['ImageKey']}-0{action}").status_code == 404
        assert client.get(image["Uri"]).status_code == 404
    album.photo("c.JPG", key="hereNow")  # not listed yet, and there all the same
    assert listing(client, album) == ([], 0, 1)
    assert client.body("/api/v2/image/hereNow-0")["Image"]["FileName"] == "c.JPG"


def test_a_running_clock_dates_changes(
    smugmug: FakeSmugMug, account: Account, client: Client
) -> None:
    account.album("Before the clock ran")
    account.set_clock(datetime(2031, 5, 1, 22, 0))
    album = account.album("Album")
    photos = [album.photo(f"IMG_{number}.JPG") for number in range(3)]

    def dates() -> List[datetime]:
        """Return the dates of the response, of the album's images, and of their uploads."""
        answer = client.get(f"/api/v2/album/{album.key}!images?_expand=Album")
        texts = [
            answer.json()["Expansions"][f"/api/v2/album/{album.key}"]["Album"]["ImagesLastUpdated"]
        ]
        texts += [image["DateTimeUploaded"] for image in answer.json()["Response"]["AlbumImage"]]
        return [
            parsedate_to_datetime(answer.headers["Date"]).replace(tzinfo=None),
            *(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S+00:00") for text in texts),
        ]

    date, changed, *uploaded = dates()
    assert datetime(2031, 5, 1, 22, 0) <= uploaded[0] < uploaded[1] < uploaded[2] < changed <= date
    assert (
        date < datetime(2031, 5, 1, 22, 1) and account.albums[0].created == fake_smugmug.FIRST_DATE
    )
    smugmug.let_time_pass(86_400)
    photos[0].replace(b"new", moves_clock=True)
    date, changed, *uploaded_then = dates()
    assert (
        datetime(2031, 5, 2, 22, 0) <= changed <= date < datetime(2031, 5, 2, 22, 1)
        and uploaded_then == uploaded
    )


def test_passing_time_moves_smugmugs_dates_but_not_its_signature_clock(
    smugmug: FakeSmugMug, account: Account, client: Client
) -> None:
    smugmug.limit(requests=2, window_seconds=1000)
    album = account.album("Album")
    before = album.images_last_updated

    def remaining_and_seconds() -> Tuple[int, float]:
        answer = client.get("/api/v2!authuser")
        assert answer.status_code == 200
        date = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        return int(answer.headers["X-RateLimit-Remaining"]), int(
            answer.headers["X-RateLimit-Reset"]
        ) - date

    assert remaining_and_seconds()[0] == 1
    smugmug.let_time_pass(600)
    remaining, seconds = remaining_and_seconds()
    assert remaining == 0 and 390 < seconds <= 402
    smugmug.let_time_pass(400)
    assert remaining_and_seconds()[0] == 1
    ahead = (
        parsedate_to_datetime(client.get("/api/v2!authuser").headers["Date"]).timestamp()
        - time.time()
    )
    assert 990 < ahead < 1010
    album.touch()
    assert album.images_last_updated == before + timedelta(seconds=1060)


def test_camera_times_are_read_as_pacific_time(account: Account, client: Client) -> None:
    album = account.album("Album")
    album.photo(
        "summer.jpg",
        taken=datetime(2019, 8, 4, 11, 28, 12),
        latitude=47.97,
        component_file_types={"A": ["x"]},
    )
    album.photo("winter.jpg", taken=datetime(2015, 2, 22, 17, 34, 44), keywords=["two words"])
    album.photo("never.jpg", keywords=["a", "b c"])
    shown = client.body(f"/api/v2/album/{album.key}!images")["AlbumImage"]
    assert [image.get("DateTimeOriginal") for image in shown] == [
        "2019-08-04T18:28:12+00:00",
        "2015-02-23T01:34:44+00:00",
        None,
    ]
    assert shown[0]["Latitude"] == "47.97" and shown[1]["Latitude"] == "0"
    assert [image["Keywords"] for image in shown[1:]] == ['"two words"', "a; b c"]
    assert [image["ComponentFileTypes"] for image in shown[:2]] == [{"A": ["x"]}, []]
    assert (
        client.body(f"/api/v2/image/{shown[0]['ImageKey']}-0!metadata")["ImageMetadata"][
            "DateTimeCreated"
        ]
        == "2019-08-04T11:28:12"
    )


def test_phone_videos_are_dated_hours_late(account: Account, client: Client) -> None:
    album = account.album("Album")
    uploaded = datetime(2019, 4, 28, 2, 31, 35)
    album.video("phone.mp4", created_utc=datetime(2019, 4, 28, 2, 5, 11), uploaded=uploaded)
    album.video("camera.mov", taken=datetime(2019, 4, 27, 19, 5, 11), uploaded=uploaded)
    album.video(
        "winter.mov", created_utc=datetime(2019, 1, 15, 3, 0), taken=datetime(2019, 1, 14, 19, 0)
    )
    shown = client.body(f"/api/v2/album/{album.key}!images")["AlbumImage"]
    assert [image["DateTimeOriginal"] for image in shown] == [
        "2019-04-28T09:05:11+00:00",
        "2019-04-28T02:05:11+00:00",
        "2019-01-15T11:00:00+00:00",
    ]
    assert (
        shown[0]["DateTimeOriginal"] > shown[0]["DateTimeUploaded"] == "2019-04-28T02:31:35+00:00"
    )
    assert (
        client.body(f"/api/v2/image/{shown[0]['ImageKey']}-0!metadata")["ImageMetadata"][
            "DateTimeCreated"
        ]
        == "2019-04-28T02:05:11"
    )


@pytest.mark.parametrize(
    "local, hours",
    [
        (datetime(2024, 3, 10, 1, 59), 8),
        (datetime(2024, 3, 10, 2, 0), 7),
        (datetime(2024, 11, 3, 1, 59), 7),
        (datetime(2024, 11, 3, 2, 0), 8),
        (datetime(2006, 4, 2, 2, 0), 7),
        (datetime(2006, 3, 31), 8),
        (datetime(1980, 4, 27, 2, 0), 7),
        (datetime(1980, 10, 26, 2, 0), 8),
    ],
)
def test_pacific_daylight_time_changes_on_the_right_sundays(local: datetime, hours: int) -> None:
    assert (shown_as_taken(local) - local).total_seconds() == hours * 3600


def test_api_responses_are_compressed_counted_and_not_cached(client: Client) -> None:
    response = client.get("/api/v2!authuser")
    assert (
        response.headers["Content-Encoding"] == "gzip"
        and "no-store" in response.headers["Cache-Control"]
    )
    plain = client.get(
        "/api/v2!authuser", headers={**JSON_ACCEPTED, "Accept-Encoding": "identity"}
    )
    assert "Content-Encoding" not in plain.headers and plain.json()["Code"] == 200


def test_unknown_paths_answer_404_and_are_recorded(smugmug: FakeSmugMug, client: Client) -> None:
    smugmug.allow_unknown_paths = True
    assert client.get("/api/v2/nothing").json()["Message"] == "Not Found"
    assert client.get("https://api.smugmug.com/").status_code == 404
    assert client.get("/api/v2/album/XXXXXX").status_code == 404
    assert smugmug.unknown_paths == ["/api/v2/nothing", "/"]


@pytest.mark.parametrize("faulty", [False, True])
def test_404_bodies_repeat_the_key_in_the_query(
    smugmug: FakeSmugMug, stranger: requests.Session, faulty: bool
) -> None:
    if faulty:
        smugmug.fault("not_found", "api")
    path = f"/api/v2/image/nothing-0?APIKey={smugmug.api_key}&_verbosity=1"
    answer = stranger.get(API + path, headers=JSON_ACCEPTED)
    assert answer.status_code == 404 and answer.json() == {
        "Request": {"Version": "v2", "Method": "GET", "Uri": path},
        "Code": 404,
        "Message": "Not Found",
    }


@pytest.mark.parametrize(
    "gives, status, text",
    [
        ("nonce_used", 401, '{"Code":401,"Message":"oauth_problem=nonce_used"}'),
        ("timeout", 504, "Gateway Timeout"),
        ("server_error", 502, "Bad Gateway"),
        ("no_response", 200, '{"Code":200,"Message":"Ok"}'),
    ],
)
def test_the_gateway_abandons_long_pages(
    smugmug: FakeSmugMug, account: Account, client: Client, gives: str, status: int, text: str
) -> None:
    album = account.album("Many")
    album.fill(250, 10)
    path = f"/api/v2/album/{album.key}!images"
    smugmug.gateway.give_up_above(images=100)
    smugmug.gateway.gives = gives
    assert client.body(path + "?count=100")["Pages"]["Count"] == 100
    for _ in range(2):  # the same page is as slow the next time
        answer = client.get(path + "?count=101")
        assert answer.status_code == status and text in answer.text
    # what counts is what is listed
    assert client.body(path + "?count=500&start=151")["Pages"]["Count"] == 100
    smugmug.gateway.give_up_above(images=101)
    assert client.body(path + "?count=101")["Pages"]["Count"] == 101


def test_owners_get_pages_of_200_photos_but_not_of_500(account: Account, client: Client) -> None:
    album = account.album("Many")
    album.fill(600, 10)
    for count, status in ((200, 200), (400, 200), (401, 401), (500, 401)):
        assert (
            client.get(f"/api/v2/album/{album.key}!images?count={count}").status_code == status
        ), count


def test_expansions_count_toward_the_gateways_time(
    smugmug: FakeSmugMug, account: Account, client: Client
) -> None:
    album = account.album("Album")
    album.photo(), album.video(), album.video()
    path = f"/api/v2/album/{album.key}!images"
    smugmug.gateway.patience_seconds = (
        0.15  # three images take 0.09 s, and each of two expansions 0.05 s
    )
    assert client.get(path).status_code == 200
    for query, status in (
        ("", 401),
        ("&count=2", 200),
        ("&_expandmethod=inline", 401),
        ("&_shorturis", 401),
    ):
        assert client.get(f"{path}?_expand=LargestVideo{query}").status_code == status, query


def test_the_gateway_ignores_strangers_and_other_lists(
    smugmug: FakeSmugMug, account: Account, client: Client, stranger: requests.Session
) -> None:
    albums = [account.album(f"Album {number}") for number in range(3)]
    albums[0].fill(3, 10)
    smugmug.gateway.patience_seconds = 0.0
    assert client.get(f"/api/v2/album/{albums[0].key}!images").status_code == 401
    url = f"{API}/api/v2/album/{albums[0].key}!images?APIKey={smugmug.api_key}"
    assert len(stranger.get(url, headers=JSON_ACCEPTED).json()["Response"]["AlbumImage"]) == 3
    assert len(client.body("/api/v2/user/family!albums")["Album"]) == 3
    assert client.get(f"/api/v2/album/{albums[1].key}!images").status_code == 200
    assert (
        client.get(f"/api/v2/album/{albums[0].key}/image/{albums[0].images[0].key}-0").status_code
        == 200
    )


def test_the_time_of_a_page_can_really_pass(account: Account, ca: Authority) -> None:
    album = account.album("Many")
    album.fill(100, 10)

    def seconds(client: Client) -> float:
        begin = time.monotonic()
        client.get(f"/api/v2/album/{album.key}!images?count=100")
        return time.monotonic() - begin

    with FakeSmugMug(account, ca, gateway=Gateway(pace=0.1)) as smugmug:
        client = Client(smugmug)
        assert seconds(client) >= 0.3
        smugmug.gateway = Gateway(pace=1.0, patience_seconds=0.1, seconds_per_image=10.0)
        assert 0.1 <= seconds(client) < 30  # given up long before the 1,000 s that it takes
        client.close()


def test_the_limiter_states_when_to_retry(smugmug: FakeSmugMug, client: Client) -> None:
    smugmug.limit(requests=2, window_seconds=1000)
    answers = [client.get("/api/v2!authuser") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert 990 < int(answers[2].headers["Retry-After"]) <= 1000
    assert Limiter(1, 0.0).count()[0] == 0


def test_requests_are_counted_by_more_than_one_counter(
    client: Client,
) -> None:
    counters: Dict[
        int, List[int]
    ] = {}  # what remains, by the end of the window in minutes from now
    for _ in range(6):
        headers = client.get("/api/v2!authuser").headers
        seconds = (
            int(headers["X-RateLimit-Reset"]) - parsedate_to_datetime(headers["Date"]).timestamp()
        )
        counters.setdefault(round(seconds / 60), []).append(int(headers["X-RateLimit-Remaining"]))
    assert counters == {28: [99_999, 99_998, 99_997], 14: [99_849, 99_848, 99_847]}


# =================================================================================================
# Files
# =================================================================================================


def archived_url(client: Client, image: Any) -> str:
    """Return the ArchivedUri that the API states."""
    url: str = client.body(f"/api/v2/image/{image.key}-{image.serial}")["Image"]["ArchivedUri"]
    return url


def test_photos_download_with_or_without_a_signature(
    account: Account, client: Client, stranger: requests.Session
) -> None:
    photo = account.album("Summer 2019", folder="Trips").photo(
        "IMG 1.JPEG", content=b"\xff\xd8 a photo"
    )
    url = archived_url(client, photo)
    assert url.startswith(f"https://photos.smugmug.com/Trips/Summer-2019/i-{photo.key}/0/")
    assert url.endswith("/D/IMG%201-D.jpg")
    for session in (client.session, stranger):
        response = session.get(url, headers={"If-None-Match": f'"{photo.md5}"'})
        assert (response.status_code, response.content) == (200, photo.content)
        assert (
            response.headers["ETag"] == f'"{photo.md5}"'
            and response.headers["Content-Type"] == "image/jpeg"
        )
        assert (
            "Accept-Ranges" not in response.headers
            and "X-RateLimit-Remaining" not in response.headers
        )


def test_file_addresses_have_a_new_hash_each_time_and_accept_any(
    account: Account, client: Client, stranger: requests.Session
) -> None:
    photo = account.album("Album").photo("IMG_1.JPG")
    first, second = archived_url(client, photo), archived_url(client, photo)
    assert first != second
    parts = first.split("/")
    parts[-3] = "whatever"
    assert stranger.get("/".join(parts)).content == photo.data
    parts[-5] = "i-XXXXXXX"
    missing = stranger.get("/".join(parts))
    assert missing.status_code == 404 and missing.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("privacy", ["Unlisted", "Private"])
def test_addresses_in_non_public_albums_hide_names(
    account: Account, client: Client, privacy: str
) -> None:
    photo = account.album("Quiet", privacy=privacy).photo("secret.png")
    url = archived_url(client, photo)
    assert url.startswith(f"https://photos.smugmug.com/photos/i-{photo.key}/0/")
    assert url.endswith(f"/D/i-{photo.key}-D.png")


def test_private_files_are_empty_without_a_signature(
    smugmug: FakeSmugMug, account: Account, client: Client, stranger: requests.Session
) -> None:
    for album in (
        account.album("Private", privacy="Private"),
        account.album("Inside", external_links=False),
    ):
        photo = album.photo("IMG_1.JPG")
        url = archived_url(client, photo)
        unsigned = stranger.get(url)
        assert (unsigned.status_code, unsigned.content) == (200, b"")
        assert client.get(url).content == photo.data
        wrong = Client(smugmug, secret="wrong")
        assert wrong.get(url).content == b""
        wrong.close()
    smugmug.private_answer = "html"
    assert stranger.get(url).headers["Content-Type"].startswith("text/html")


def test_the_file_host_refuses_used_nonces(account: Account, client: Client) -> None:
    photo = account.album("Private", privacy="Private").photo("IMG_1.JPG")
    prepared = client.session.prepare_request(requests.Request("GET", archived_url(client, photo)))
    assert send(client, prepared).content == photo.data
    assert send(client, prepared).status_code == 401


def test_ranges_are_served(account: Account, client: Client, stranger: requests.Session) -> None:
    photo = account.album("Album").photo("IMG_1.JPG", content=bytes(range(100)))
    url = archived_url(client, photo)
    for asked, expected, content_range in (
        ("bytes=10-19", photo.data[10:20], "bytes 10-19/100"),
        ("bytes=90-", photo.data[90:], "bytes 90-99/100"),
        ("bytes=-5", photo.data[-5:], "bytes 95-99/100"),
        ("bytes=90-500", photo.data[90:], "bytes 90-99/100"),
    ):
        response = stranger.get(url, headers={"Range": asked, "If-Range": '"something else"'})
        assert (response.status_code, response.content) == (206, expected)
        assert response.headers["Content-Range"] == content_range
    beyond = stranger.get(url, headers={"Range": "bytes=100-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */100")
    head = stranger.head(url)
    assert head.headers["Content-Length"] == "100"
    assert stranger.get(url).content == photo.data  # the connection is still in step


def test_a_videos_original_is_a_still(
    account: Account, client: Client, stranger: requests.Session
) -> None:
    album = account.album("Album")
    video = album.video("clip.mov")
    shown = client.body(f"/api/v2/image/{video.key}-0")["Image"]
    still = stranger.get(shown["ArchivedUri"]).content
    assert still.startswith(JPEG_MAGIC) and shown["ArchivedUri"].endswith("-D.jpg")
    assert (len(still), hashlib.md5(still).hexdigest()) == (
        shown["ArchivedSize"],
        shown["ArchivedMD5"],
    )
    assert (shown["IsVideo"], shown["Format"], shown["FileName"]) == (True, "MP4", "clip.mov")
    largest = client.body(shown["Uris"]["LargestVideo"]["Uri"])["LargestVideo"]
    assert largest["Url"].endswith("/1920/clip-1920.mp4")
    response = stranger.get(largest["Url"])
    assert response.content == video.data and response.headers["Content-Type"] == "video/mp4"
    sizes = client.body(shown["Uris"]["ImageSizeDetails"]["Uri"])["ImageSizeDetails"]
    assert stranger.get(sizes["VideoSize640"]["Url"]).content != video.data
    assert {"Size", "MD5"} & set(largest) == {"Size", "MD5"}
    bare = album.video("bare.avi", size_listed=False, md5_listed=False)
    largest = client.body(f"/api/v2/image/{bare.key}-0!largestvideo")["LargestVideo"]
    assert not {"Size", "MD5"} & set(largest)


def video_sizes(client: Client, video: Any) -> Dict[str, Dict[str, Any]]:
    """Return the sizes of a video in ``!sizedetails``."""
    sizes = client.body(f"/api/v2/image/{video.key}-{video.serial}!sizedetails")[
        "ImageSizeDetails"
    ]
    found = {name: size for name, size in sizes.items() if name.startswith("VideoSize")}
    assert set(found) == {name for name in sizes["UsableSizes"] if name.startswith("VideoSize")}
    return found


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("playable", [False, True])
def test_videos_may_lack_the_largest_size_or_all_sizes(
    account: Account, client: Client, stranger: requests.Session, linked: bool, playable: bool
) -> None:
    album = account.album("Album")
    video = album.video(
        "clip.mov",
        playable=playable,
        largest_given=False,
        largest_linked=linked,
        width=1080,
        height=1920,
    )
    answer = client.get(f"/api/v2/album/{album.key}!images?_expand=LargestVideo").json()
    assert (
        "LargestVideo" in answer["Response"]["AlbumImage"][0]["Uris"]
    ) is linked and "Expansions" not in answer
    assert client.get(f"/api/v2/image/{video.key}-0!largestvideo").status_code == 404
    sizes = video_sizes(client, video)
    assert len(sizes) == (7 if playable else 0)
    for size in sizes.values():
        data = stranger.get(size["Url"]).content
        assert (len(data), hashlib.md5(data).hexdigest(), size["Ext"]) == (
            size["Size"],
            size["MD5"],
            "mp4",
        )
    if playable:
        assert (sizes["VideoSize1920"]["Width"], sizes["VideoSize1920"]["Height"]) == (1080, 1920)
        assert (sizes["VideoSize640"]["Width"], sizes["VideoSize640"]["Height"]) == (360, 640)
        assert sizes["VideoSize1920"]["MD5"] == video.md5


def test_small_videos_have_small_sizes_only(
    account: Account, client: Client, stranger: requests.Session
) -> None:
    video = account.album("Album").video(
        "clip.avi", largest_size=640, width=640, height=480, md5_listed=False
    )
    sizes = video_sizes(client, video)
    assert list(sizes) == ["VideoSize110", "VideoSize200", "VideoSize320", "VideoSize640"]
    assert (sizes["VideoSize320"]["Width"], sizes["VideoSize320"]["Height"]) == (320, 240)
    assert "MD5" not in sizes["VideoSize640"]
    largest = client.body(f"/api/v2/image/{video.key}-0!largestvideo")["LargestVideo"]
    assert (largest["Width"], largest["Height"], largest["Size"]) == (640, 480, video.size)
    assert stranger.get(largest["Url"]).content == video.data
    assert stranger.get(largest["Url"].replace("640", "1280")).status_code == 404


def test_videos_in_processing_have_no_file(account: Account, client: Client) -> None:
    album = account.album("Album")
    video = album.video(
        "clip.mov", processing=True, status="Preprocess", sub_status="CanNotProcess"
    )
    shown = client.body(f"/api/v2/album/{album.key}!images")["AlbumImage"][0]
    assert "LargestVideo" not in shown["Uris"] and "ArchivedUri" not in shown
    assert (shown["Processing"], shown["Status"], shown["SubStatus"]) == (
        True,
        "Preprocess",
        "CanNotProcess",
    )
    assert client.get(f"/api/v2/image/{video.key}-0!largestvideo").status_code == 404
    assert not video_sizes(client, video)
    stuck = album.video("stuck.mov", processing=True, playable=True)
    assert (
        client.body(f"/api/v2/image/{stuck.key}-0!largestvideo")["LargestVideo"]["MD5"]
        == stuck.md5
    )


def test_images_without_archived_uri_have_other_addresses(
    account: Account, client: Client, stranger: requests.Session
) -> None:
    album = account.album("Album")
    photo = album.photo("IMG_1.JPG", archived=False)
    shown = client.body(f"/api/v2/image/{photo.key}-0")["Image"]
    assert not {"ArchivedUri", "ArchivedSize", "ArchivedMD5"} & set(shown)
    download = client.body(f"/api/v2/image/{photo.key}-0!download")["ImageDownload"]
    assert stranger.get(download["Url"]).content == photo.data
    sizes = client.body(f"/api/v2/album/{album.key}/image/{photo.key}-0!sizedetails")[
        "ImageSizeDetails"
    ]
    assert stranger.get(sizes["ImageSizeOriginal"]["Url"]).content == photo.data
    assert "Size" not in sizes["ImageSizeX4Large"]
    small = stranger.get(sizes["ImageSizeMedium"]["Url"])
    assert (
        len(small.content) == sizes["ImageSizeMedium"]["Size"] < photo.size
        and "ETag" not in small.headers
    )
    largest = client.body(f"/api/v2/image/{photo.key}-0!largestimage")["LargestImage"]
    assert "MD5" not in largest and largest["Url"].endswith("/O/IMG_1.jpg")


def test_responses_without_permission_lack_the_object(account: Account, client: Client) -> None:
    album = account.album("Album")
    photo = album.photo(
        "IMG_1.JPG", archived=False, download_uri=False, original_size_listed=False
    )
    body = client.body(f"/api/v2/album/{album.key}/image/{photo.key}-0!download")
    assert body["Locator"] == "AlbumImageDownload" and "AlbumImageDownload" not in body
    assert (
        "ImageSizeOriginal"
        not in client.body(f"/api/v2/image/{photo.key}-0!sizedetails")["ImageSizeDetails"]
    )
    assert "MD5" in client.body(f"/api/v2/image/{photo.key}-0!largestimage")["LargestImage"]


@pytest.mark.parametrize("in_etag", [True, False])
def test_stated_md5s_may_be_wrong(
    account: Account, client: Client, stranger: requests.Session, in_etag: bool
) -> None:
    wrong = "0" * 32
    photo = account.album("Album").photo("IMG_1.JPG", stated_md5=wrong, stated_in_etag=in_etag)
    shown = client.body(f"/api/v2/image/{photo.key}-0")["Image"]
    assert (shown["ArchivedMD5"], shown["ArchivedSize"]) == (wrong, photo.size)
    for _ in range(2):
        response = stranger.get(shown["ArchivedUri"])
        assert (
            response.content == photo.data
            and response.headers["ETag"] == f'"{wrong if in_etag else photo.md5}"'
        )
    photo.replace(b"new")
    assert client.body(f"/api/v2/image/{photo.key}-1")["Image"]["ArchivedMD5"] == photo.md5


def test_some_raw_files_have_an_address_without_a_file(
    account: Account, client: Client, stranger: requests.Session
) -> None:
    album = account.album("Album")
    for name, found in (("IMG_1.CR2", True), ("IMG_2.DNG", True), ("IMG_3.ARW", False)):
        photo = album.photo(name, archive_found=found)
        url = archived_url(client, photo)
        assert url.endswith("/" + name.replace(".", "-D.").replace(name[-3:], name[-3:].lower()))
        response = stranger.get(url)
        assert (response.status_code, response.content == photo.data) == (
            (200, True) if found else (404, False)
        )
        for action, locator in (("!download", "ImageDownload"), ("!largestimage", "LargestImage")):
            url = client.body(f"/api/v2/image/{photo.key}-0{action}")[locator]["Url"]
            assert stranger.get(url).status_code == (200 if found else 404)


@pytest.mark.parametrize(
    "file_name, keywords",
    [
        ("IMG_7058_heic.JPG", "7058; heic"),
        ("2019 ELL-Coast.jpg", "2019; ELL; Coast"),
        ("IMG_1.JPG", "1"),
    ],
)
def test_keywords_are_derived_from_file_names(
    account: Account, client: Client, file_name: str, keywords: str
) -> None:
    photo = account.album("Album").photo(file_name, keywords=keywords_from(file_name))
    assert client.body(f"/api/v2/image/{photo.key}-0")["Image"]["Keywords"] == keywords


def test_names_of_heic_files_depend_on_the_year() -> None:
    assert (heic_name("IMG_7058.HEIC"), heic_name("IMG_7058.heic", year=2020)) == (
        "IMG_7058.JPG",
        "IMG_7058_heic.JPG",
    )


def test_albums_may_be_sorted_by_their_last_change(account: Account, client: Client) -> None:
    albums = [account.album(f"Album {number}") for number in range(5)]
    albums[2].touch_settings()
    path = "/api/v2/user/family!albums?SortMethod=LastUpdated"
    names = [album["Name"] for album in client.body(path + "&SortDirection=Descending")["Album"]]
    assert names == ["Album 2", "Album 4", "Album 3", "Album 1", "Album 0"]
    assert [album["Name"] for album in client.body(path)["Album"]] == names[::-1]


def test_collected_images_keep_their_key(account: Account, client: Client) -> None:
    first, other = account.album("First"), account.album("Other")
    photo = first.photo("IMG_1.JPG")
    other.collect(photo)
    other.collect(photo, origin="Smart")
    shown = client.body(f"/api/v2/album/{other.key}!images")["AlbumImage"]
    assert [image["Origin"] for image in shown] == ["Collected", "Smart"]
    assert {image["ImageKey"] for image in shown} == {photo.key} and shown[0][
        "CollectedFrom"
    ] == "First"


def test_replacing_a_file_invalidates_its_address(
    account: Account, client: Client, stranger: requests.Session
) -> None:
    photo = account.album("Album").photo("IMG_1.JPG", content=b"one")
    old = archived_url(client, photo)
    photo.replace(b"two")
    assert f"/i-{photo.key}/1/" in archived_url(client, photo)
    assert stranger.get(archived_url(client, photo)).content == b"two"
    assert stranger.get(old).status_code == 404


@pytest.mark.parametrize(
    "name", ["a/b.jpg", "..", "", "Äpfel 100%.jpg", "con.jpg", "photo#1?.png", "no extension"]
)
def test_addresses_work_for_any_file_name(
    account: Account, client: Client, stranger: requests.Session, name: str
) -> None:
    photo = account.album("Äpfel / Birnen").photo(name)
    assert stranger.get(archived_url(client, photo)).content == photo.data
    assert client.get(archived_url(client, photo)).content == photo.data


# =================================================================================================
# Patterns and filled albums
# =================================================================================================


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 5000, (1 << 20) + 64, 3_000_001])
def test_patterns_are_the_same_in_pieces_of_any_size(size: int) -> None:
    pattern = Pattern(size, 7, JPEG_MAGIC)
    whole = bytes_of(pattern)
    assert len(whole) == size and hashlib.md5(whole).hexdigest() == md5_of(pattern)
    for start, stop in (
        (0, size),
        (size // 3, size // 2),
        (min(size, 63), min(size, 70)),
        (size, size),
    ):
        assert b"".join(pieces_of(pattern, start, stop)) == whole[start:stop]


def test_patterns_of_different_seeds_differ_everywhere() -> None:
    first, second = (bytes_of(Pattern(100_000, seed)) for seed in (1, 2))
    assert all(
        first[place : place + 16] != second[place : place + 16] for place in range(0, 100_000, 16)
    )


def test_a_million_photos_take_no_memory(
    account: Account, client: Client, stranger: requests.Session
) -> None:
    albums = [account.album(f"Album {number}") for number in range(2)]
    for album in albums:
        album.fill(500_000, 2000)
    shown = client.body(f"/api/v2/album/{albums[1].key}!images?start=499999")
    assert [image["FileName"] for image in shown["AlbumImage"]] == [
        "IMG_499999.JPG",
        "IMG_500000.JPG",
    ]
    content = stranger.get(shown["AlbumImage"][1]["ArchivedUri"]).content
    assert hashlib.md5(content).hexdigest() == shown["AlbumImage"][1]["ArchivedMD5"]
    with pytest.raises(ValueError):
        albums[0].photo()


def test_drawn_pictures_differ_and_are_png() -> None:
    pictures = {drawn_png(number) for number in range(12)}
    assert len(pictures) == 12 and all(picture.startswith(b"\x89PNG\r\n") for picture in pictures)


# =================================================================================================
# Faults
# =================================================================================================


@pytest.fixture
def photo(account: Account) -> Any:
    """Add a photo of a thousand bytes."""
    return account.album("Album").photo("IMG_1.JPG", content=bytes(range(250)) * 4)


@pytest.mark.parametrize(
    "name, options, status",
    [
        ("rate_limited", {"retry_after": "3", "reset": 5}, 429),
        ("server_error", {"status": 502}, 502),
        ("server_error", {"status": 500, "empty": True}, 500),
        ("html_200", {}, 200),
        ("broken_json", {}, 200),
        ("json_200", {}, 200),
        ("empty_200", {}, 200),
        ("not_found", {}, 404),
        ("nonce_used", {}, 401),
        ("token_rejected", {}, 401),
        ("key_unknown", {}, 401),
        ("clock_wrong", {}, 401),
        ("terms_not_accepted", {}, 401),
        ("permission_denied", {}, 403),
        ("respond", {"status": 418, "body": b"x", "headers": {"A": "b"}}, 418),
        ("redirect", {"to": "https://evil.example/x"}, 302),
        ("short", {"by": 5}, 200),
        ("long", {"by": 5}, 200),
        ("corrupt", {}, 200),
        ("no_length", {}, 200),
    ],
)
def test_faults_replace_one_api_response(
    smugmug: FakeSmugMug, client: Client, name: str, options: Dict[str, Any], status: int
) -> None:
    honest = client.get("/api/v2!authuser").text
    fault = smugmug.fault(name, "api", after=1, **options)
    answers = [client.get("/api/v2!authuser", allow_redirects=False) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, status, 200]
    assert answers[0].text == answers[2].text == honest
    assert (answers[1].text == honest) == (name == "no_length")
    assert fault.hits == 1 and fault.reached.is_set()


def test_faults_spoil_downloads(smugmug: FakeSmugMug, client: Client, photo: Any) -> None:
    url = archived_url(client, photo)

    def get(name: str, headers: Mapping[str, str] = {}, **options: Any) -> requests.Response:
        fault = smugmug.fault(name, "cdn", **options)
        response = client.get(url, headers={"Accept-Encoding": "identity", **headers}, stream=True)
        assert fault.hits == 1
        return response

    def body(response: requests.Response) -> bytes:
        return b"".join(iter(lambda: response.raw.read(300, decode_content=False), b""))

    assert body(get("short", by=10)) == photo.data[:-10]
    assert body(get("long", by=10))[:-10] == photo.data
    corrupt = body(get("corrupt"))
    assert len(corrupt) == 1000 and sum(a != b for a, b in zip(corrupt, photo.data)) == 1
    assert get("no_length", chunked=True).content == photo.data
    ended = get("no_length", chunked=False)
    assert "Content-Length" not in ended.headers and ended.content == photo.data
    compressed = get("gzip_body")
    assert compressed.headers["Content-Encoding"] == "gzip" and compressed.content == photo.data
    assert get("json_200").json()["Code"] == 500
    assert get("not_found").headers["Content-Type"].startswith("text/html")
    part = {"Range": "bytes=500-"}
    assert (get("range_ignored", part).status_code, get("not_satisfiable", part).status_code) == (
        200,
        416,
    )
    wrong = get("wrong_range", part, shift=7)
    assert (
        wrong.headers["Content-Range"] == "bytes 493-992/1000"
        and wrong.content == photo.data[493:993]
    )
    assert client.get(url, headers=part).content == photo.data[500:]


def test_cut_ends_the_body_early(smugmug: FakeSmugMug, client: Client, photo: Any) -> None:
    url = archived_url(client, photo)
    smugmug.fault("cut", "cdn", at=400)
    response = client.get(url, stream=True)
    received = b""
    try:
        while True:
            piece = response.raw.read(100)
            if not piece:
                break
            received += piece
    except Exception:
        pass
    assert (response.headers["Content-Length"], received) == ("1000", photo.data[:400])
    assert smugmug.select("cdn")[0].bytes_sent == 400


def test_reset_ends_the_connection_before_a_response(smugmug: FakeSmugMug, client: Client) -> None:
    smugmug.fault("reset", "authuser")
    with pytest.raises(requests.ConnectionError):
        client.get("/api/v2!authuser")
    smugmug.wait_for(lambda: smugmug.requests[0].status == 0)
    assert client.get("/api/v2!authuser").status_code == 200


@pytest.mark.parametrize("options", [{"before_headers": True}, {}, {"after_bytes": 300}])
def test_stall_ends_when_the_client_hangs_up(
    smugmug: FakeSmugMug, client: Client, photo: Any, options: Dict[str, Any]
) -> None:
    url = archived_url(client, photo)
    fault = smugmug.fault("stall", "cdn", **options)
    with pytest.raises(requests.RequestException):
        client.get(url, timeout=0.2)
    assert fault.reached.is_set()
    client.close()
    smugmug.wait_for(lambda: smugmug.open_connections == 0)


def test_short_stalls_only_delay(smugmug: FakeSmugMug, client: Client, photo: Any) -> None:
    url = archived_url(client, photo)
    smugmug.fault("stall", "cdn", seconds=0.05, after_bytes=10)
    smugmug.fault("stall", "cdn", seconds=0.05, before_headers=True)
    assert client.get(url).content == client.get(url).content == photo.data


def test_closing_the_fake_ends_stalls(account: Account, ca: Authority) -> None:
    with FakeSmugMug(account, ca) as smugmug:
        smugmug.fault("stall", "api", before_headers=True)
        client = Client(smugmug)
        failures: List[Exception] = []

        def ask() -> None:
            try:
                client.get("/api/v2!authuser", timeout=30)
            except requests.RequestException as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        smugmug.wait_for(lambda: smugmug.count("api") == 1)
    thread.join(5)
    client.close()
    assert len(failures) == 1


def test_faults_spoil_listings(smugmug: FakeSmugMug, account: Account, client: Client) -> None:
    album = account.album("Album")
    for number in range(3):
        album.photo(f"IMG_{number}.JPG")
    album.video("clip.mov")
    path = f"/api/v2/album/{album.key}!images?_expand=LargestVideo"

    def names(body: Dict[str, Any]) -> List[str]:
        return [image["FileName"] for image in body["AlbumImage"]]

    lost = smugmug.fault("lost_item", "api", item=1)
    client.get("/api/v2!authuser")  # has no list: the fault waits
    assert lost.hits == 0
    assert names(client.body(path)) == ["IMG_0.JPG", "IMG_2.JPG", "clip.mov"] and lost.hits == 1
    smugmug.fault("duplicate_item", "api")
    assert names(client.body(path))[-1] == "IMG_0.JPG"
    smugmug.fault("wrong_total", "api", by=-2)
    assert client.body(path)["Pages"]["Total"] == 2
    smugmug.fault("mangle", "!images", function=lambda payload: {"Code": 200, "Response": []})
    assert client.get(path).json()["Response"] == []
    smugmug.fault("foreign_uri", "!images", url="https://evil.example/x.jpg")
    answer = client.get(path).json()
    assert {image["ArchivedUri"] for image in answer["Response"]["AlbumImage"]} == {
        "https://evil.example/x.jpg"
    }
    assert [entry["LargestVideo"]["Url"] for entry in answer["Expansions"].values()] == [
        "https://evil.example/x.jpg"
    ]


def test_still_instead_of_video_sends_a_jpeg(
    smugmug: FakeSmugMug, account: Account, client: Client
) -> None:
    video = account.album("Album").video("clip.mov")
    smugmug.fault("still_instead_of_video", "cdn")
    client.get(archived_url(client, video))
    url = client.body(f"/api/v2/image/{video.key}-0!largestvideo")["LargestVideo"]["Url"]
    assert client.get(url).content.startswith(JPEG_MAGIC)
    assert client.get(url).content == video.data


def test_faults_on_oauth_pages_use_their_format(smugmug: FakeSmugMug) -> None:
    smugmug.fault("key_unknown", "getRequestToken")
    with lead_to(
        OAuth1Session(smugmug.api_key, smugmug.api_secret, callback_uri="oob"), smugmug
    ) as session:
        assert session.post(OAUTH + "getRequestToken").text == "oauth_problem=consumer_key_unknown"


def test_faults_apply_as_often_as_requested(smugmug: FakeSmugMug, client: Client) -> None:
    smugmug.fault("server_error", "api", times=None)
    assert {client.get("/api/v2!authuser").status_code for _ in range(4)} == {503}
    smugmug.clear_faults()
    smugmug.fault("server_error", "api")
    smugmug.fault("permission_denied", "api")
    assert [client.get("/api/v2!authuser").status_code for _ in range(3)] == [503, 403, 200]


def test_unknown_faults_are_errors(smugmug: FakeSmugMug) -> None:
    with pytest.raises(ValueError):
        smugmug.fault("volcano", "api")
    with pytest.raises(TypeError):
        smugmug.fault("cut", "api", att=3)
    assert all(function.__doc__ for function in FAULTS.values())


# =================================================================================================
# The proxy, the records, the line
# =================================================================================================


def test_requests_to_other_hosts_are_answered_and_recorded(
    smugmug: FakeSmugMug, stranger: requests.Session
) -> None:
    response = stranger.get(
        "https://evil.example/x.jpg?a=b", headers={"Authorization": "OAuth secret"}
    )
    assert response.status_code == 200 and response.content
    (record,) = smugmug.select("abroad")
    assert (record.host, record.path, record.query) == ("evil.example", "/x.jpg", {"a": "b"})
    assert record.headers["authorization"] == "OAuth secret"
    assert stranger.get("https://evil.example:8443/").status_code == 200
    assert smugmug.requests[-1].host == "evil.example:8443"


def test_other_hosts_of_smugmug_answer_404(
    smugmug: FakeSmugMug, stranger: requests.Session
) -> None:
    assert stranger.get("https://www.smugmug.com/").status_code == 404
    assert smugmug.requests[-1].kind == "other" and smugmug.unknown_paths == []


def test_plain_requests_are_refused_and_recorded(
    smugmug: FakeSmugMug, stranger: requests.Session
) -> None:
    assert stranger.get("http://api.smugmug.com/api/v2!authuser?a=b").status_code == 400
    assert [(record.kind, record.host, record.path) for record in smugmug.requests] == [
        ("plain", "api.smugmug.com", "/api/v2!authuser")
    ]


def test_requests_are_recorded(smugmug: FakeSmugMug, client: Client, photo: Any) -> None:
    url = archived_url(client, photo)
    for _ in range(2):
        client.get(url)
    assert (
        smugmug.count("api"),
        smugmug.count("cdn"),
        smugmug.count(),
        smugmug.count(None, "D/IMG_1"),
    ) == (1, 2, 3, 2)
    assert smugmug.paths("api") == [f"/api/v2/image/{photo.key}-0"]
    assert (smugmug.connections(), smugmug.connections("photos.smugmug.com")) == (2, 1)
    smugmug.wait_for(lambda: smugmug.requests[-1].bytes_sent == 1000)
    record = smugmug.requests[-1]
    assert (record.method, record.status, record.signed, record.kind) == ("GET", 200, True, "cdn")
    assert (
        smugmug.statistics["requests"] == {"api": 1, "cdn": 2}
        and smugmug.statistics["bytes"]["cdn"] == 2000
    )
    smugmug.clear_requests()
    assert smugmug.requests == [] and smugmug.count() == 0
    with pytest.raises(AssertionError):
        smugmug.wait_for(lambda: False, timeout=0.01)


def test_the_log_can_be_switched_off(account: Account, ca: Authority) -> None:
    with FakeSmugMug(account, ca, log=False) as smugmug:
        client = Client(smugmug)
        client.get("/api/v2!authuser")
        client.close()
        assert (
            smugmug.requests == []
            and smugmug.count("api") == 1
            and smugmug.statistics["connections"] == 1
        )


def test_lines_have_a_speed(account: Account, ca: Authority) -> None:
    photo = account.album("Album").photo("IMG_1.JPG", content=Pattern(60_000, 1))
    with FakeSmugMug(account, ca, line=Line(0.03, 0.02, 1e6, 300e3)) as smugmug:
        clients = [Client(smugmug) for _ in range(2)]
        urls = [archived_url(client, photo) for client in clients]
        begin = time.monotonic()
        threads = [
            threading.Thread(target=client.get, args=(url,)) for client, url in zip(clients, urls)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - begin >= 0.4
        for client in clients:
            client.close()


# =================================================================================================
# Its file and its command line
# =================================================================================================

FAKE = str(Path(fake_smugmug.__file__).resolve())


def test_the_docstring_lists_the_sections_in_order() -> None:
    text = Path(FAKE).read_text(encoding="utf-8")
    listed = re.findall(r"^ +([0-9]+\. .+?)  ", text, re.MULTILINE)
    assert listed == re.findall(r"^# =+\n# (.+?): ", text, re.MULTILINE) != []


DEMO = [sys.executable, str(Path(FAKE).with_name("demo.py"))]
SIGN_IN = re.compile(r"type\sthe\sPIN\s027518")


def run_demo(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the demo in a folder with the PIN as its answer."""
    return subprocess.run(
        [*DEMO, *options],
        env={**os.environ, **variables},
        cwd=str(folder),
        input="027518\n",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_demo_runs_the_program_in_settings_of_its_own(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--list", NO_PROXY="*", USER="user")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Summer") >= 2 and "Garden: spring & autumn" in done.stdout
    assert SIGN_IN.search(done.stderr)
    (token,) = tmp_path.rglob("token.json")
    settings = token.parent.parent
    assert settings == tmp_path / "demo_photos" / ".demo_settings"
    assert os.name == "nt" or os.stat(str(settings)).st_mode & 0o777 == 0o700


def test_only_the_first_demo_in_a_folder_tells_the_pin(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        first = run_demo(folder, "--list", TMPDIR=str(tmp_path), TEMP=str(tmp_path))
        assert SIGN_IN.search(first.stderr) and first.returncode == 0
    later = run_demo(tmp_path / "one", "--list")
    assert later.returncode == 0 and "PIN" not in later.stderr
    again = run_demo(tmp_path / "one", "--login")
    assert again.returncode == 0 and SIGN_IN.search(again.stderr)


def test_the_demo_needs_a_folder_that_it_may_write(tmp_path: Path) -> None:
    (tmp_path / "demo_photos").write_text("a file")
    done = run_demo(tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{tmp_path / 'demo_photos'}" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to other processes")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_the_demo_passes_signals_on_to_the_program(tmp_path: Path, name: str) -> None:
    with subprocess.Popen(
        DEMO,
        cwd=str(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        said = b""
        while b"PIN: " not in said:  # the program's question
            piece = process.stdout.read1(4096)  # type: ignore[attr-defined]
            assert piece, said
            said += piece
        process.send_signal(getattr(signal, name))
        # Standard input stays open: its end is another answer to the question.
        assert process.wait(timeout=300) == 130


def test_the_demo_returns_the_exit_code_of_the_program(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--no-such-option")
    assert done.returncode == 2 and "--no-such-option" in done.stderr


def test_the_server_for_measurements_speaks_json(stranger: requests.Session) -> None:
    process = subprocess.Popen(
        [sys.executable, FAKE, "--albums", "2", "--images", "3", "--size", "70000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        universal_newlines=True,
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        access = json.loads(process.stdout.readline())
        assert set(access) == {
            "port",
            "ca",
            "api_key",
            "api_secret",
            "access_token",
            "access_token_secret",
        }
        stranger.proxies = {"https": f"http://127.0.0.1:{access['port']}"}
        stranger.verify = access["ca"]
        print("urls", file=process.stdin, flush=True)
        urls = json.loads(process.stdout.readline())
        assert len(urls) == 6 and {len(stranger.get(url).content) for url in urls} == {70000}
        statistics: Dict[str, Any] = {"bytes": {}}
        patience = time.monotonic() + 120
        while (
            statistics["bytes"] != {"cdn": 420000} and time.monotonic() < patience
        ):  # counted after they are sent
            print("stats", file=process.stdin, flush=True)
            statistics = json.loads(process.stdout.readline())
        assert statistics == {"requests": {"cdn": 6}, "bytes": {"cdn": 420000}, "connections": 1}
        process.stdin.close()
        assert process.wait(10) == 0
