"""Do key, PIN and token work, and does each refusal tell the user what to do?"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from conftest import SCRIPT, Process, Result, Run
from fake_smugmug import Account, FakeSmugMug
from helpers import AUTHORIZE, authorize_urls, files_on_disk, good_token, token_file

APPLY = "https://api.smugmug.com/api/developer/apply"
ACCEPT_TERMS = "https://api.smugmug.com/api/developer/accept"
posix_only = pytest.mark.skipif(
    os.name == "nt", reason="permissions and terminals of POSIX systems"
)


def saved_token(run: Run) -> Dict[str, str]:
    """Return the saved sign-in."""
    content: Dict[str, str] = json.loads(token_file(run).read_text(encoding="utf-8"))
    return content


def save(run: Run, content: Any) -> Path:
    """Save text or JSON as an earlier run's sign-in."""
    path = token_file(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def address_of(process: Process) -> str:
    """Read output until the address to open appears, and return it."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(AUTHORIZE):
            return line.rstrip("\n")
    raise AssertionError("no address came")


# =================================================================================================
# The key and the packages
# =================================================================================================


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"SMUGMUG_API_KEY": "abc"},
        {"SMUGMUG_API_SECRET": "abc"},
        {"SMUGMUG_API_KEY": " ", "SMUGMUG_API_SECRET": ""},
        {"SMUGMUG_API_KEY": "YOUR_API_KEY", "SMUGMUG_API_SECRET": "YOUR_API_SECRET"},
    ],
)
def test_a_missing_key_is_explained_with_both_ways_to_set_it(
    run: Run, smugmug: FakeSmugMug, env: Dict[str, str]
) -> None:
    result = run(keys=False, signed_in=False, env=env, input="027518\n")
    assert result.returncode == 2
    assert APPLY in result.stderr.splitlines()
    assert "SMUGMUG_API_KEY" in result.stderr and "SMUGMUG_API_SECRET" in result.stderr
    assert "API_KEY and API_SECRET at the top" in result.stderr
    assert "PIN" not in result.stderr
    assert smugmug.requests == []


def test_the_key_in_the_environment_wins_over_the_scripts(
    run: Run, smugmug: FakeSmugMug, tmp_path: Path
) -> None:
    edited = tmp_path / "edited.py"
    text = SCRIPT.read_text(encoding="utf-8")
    text = text.replace('API_KEY = "YOUR_API_KEY"', f'API_KEY = "{smugmug.api_key}"', 1)
    text = text.replace(
        'API_SECRET = "YOUR_API_SECRET"', f'API_SECRET = "{smugmug.api_secret}"', 1
    )
    edited.write_text(text, encoding="utf-8")
    for wrong_key, code in (({}, 0), ({"SMUGMUG_API_KEY": "wrong"}, 2)):
        environment = {**run.environment(keys=False), **wrong_key}
        result = subprocess.run(
            [sys.executable, str(edited)],
            env=environment,
            cwd=str(tmp_path),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == code, result.stderr


@pytest.mark.parametrize("package", ["requests", "requests_oauthlib"])
def test_missing_packages_are_named_with_the_command_to_install_them(
    run: Run, tmp_path: Path, package: str
) -> None:
    (tmp_path / f"{package}.py").write_text(
        f"raise ModuleNotFoundError('not there', name={package!r})\n"
    )
    result = run(env={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == 2
    assert f"package {package} is not installed.\n" in result.stderr
    texts = [line for line in result.stderr.splitlines() if not line.startswith("    ")]
    assert max(map(len, texts)) < 80
    assert f"{sys.executable} -m venv .venv\n" in result.stderr
    assert (
        "python -m pip install requests requests_oauthlib\n" in result.stderr
        and "uv run" in result.stderr
    )


# =================================================================================================
# The PIN
# =================================================================================================


def test_sign_ins_request_read_access_and_last(
    run: Run, smugmug: FakeSmugMug, account: Account
) -> None:
    photo = account.album("Only for me", privacy="Private").photo()
    process = run.start(signed_in=False, stdin=subprocess.PIPE)
    pin = smugmug.authorize(address_of(process))
    _, stderr = process.communicate(pin + "\n", timeout=300)
    assert process.returncode == 0, stderr
    (authorization,) = smugmug.authorizations
    assert {**authorization, "oauth_token": ""} == {
        "oauth_token": "",
        "Access": "Full",
        "Permissions": "Read",
    }
    assert files_on_disk(run.output) == {"Only for me/IMG_1.JPG": photo.data}

    smugmug.clear_requests()
    again = run(signed_in=False)
    assert again.returncode == 0
    assert smugmug.count("oauth") == 0 and "PIN" not in again.stderr


@pytest.mark.parametrize(
    "typed", ["027518\n", " 027518 \n", "027 518\n", "0 2 7 5 1 8\r\n", "\n \n027518\n", "027518"]
)
def test_pins_may_begin_with_0_and_contain_spaces(
    run: Run, smugmug: FakeSmugMug, typed: str
) -> None:
    assert smugmug.pin == "027518"
    result = run(signed_in=False, input=typed)
    assert result.returncode == 0
    assert smugmug.count("oauth") == 2  # no PIN was refused


@posix_only
def test_pins_can_be_typed_in_a_terminal(run: Run, smugmug: FakeSmugMug) -> None:
    master, slave = os.openpty()
    try:
        process = run.start(signed_in=False, stdin=slave)
        pin = smugmug.authorize(address_of(process))
        os.write(master, pin.encode() + b"\n")
        _, stderr = process.communicate(timeout=300)
    finally:
        os.close(master)
        os.close(slave)
    assert process.returncode == 0, stderr
    assert saved_token(run) == good_token(smugmug)


def test_refused_pins_lead_to_a_new_address(run: Run, smugmug: FakeSmugMug) -> None:
    result = run(signed_in=False, input="222222\n27518\n111111\n027518\n")
    assert result.returncode == 0 and "Signed in as family." in result.stderr
    assert len(set(authorize_urls(result.stderr))) == 3
    assert result.stderr.count("PIN: ") == 4 and "A PIN has six digits" in result.stderr
    assert result.stderr.count("Open this new address") == 2
    assert result.stderr.index(AUTHORIZE) < result.stderr.index("PIN: ")
    assert saved_token(run) == good_token(smugmug)


def test_the_address_after_a_refused_pin_is_called_new(run: Run) -> None:
    result = run(signed_in=False, input="111111\n027518\n")
    assert result.returncode == 0 and len(set(authorize_urls(result.stderr))) == 2
    before, between, _ = result.stderr.split(AUTHORIZE)
    assert "new address" not in before and "new address" in between


def test_malformed_pins_are_asked_for_again_without_a_new_address(
    run: Run, smugmug: FakeSmugMug
) -> None:
    result = run(signed_in=False, input="27518\n0275180\nO27518\nabc\n027518\n")
    assert result.returncode == 0 and len(authorize_urls(result.stderr)) == 1
    assert (
        smugmug.count("oauth", "getRequestToken") == smugmug.count("oauth", "getAccessToken") == 1
    )


def test_the_first_sign_in_names_the_user(run: Run) -> None:
    assert "Signed in as family." in run(signed_in=False, input="027518\n").stderr
    assert "Signed in" not in run(signed_in=False).stderr


def test_pins_of_expired_addresses_lead_to_a_new_address(run: Run, smugmug: FakeSmugMug) -> None:
    process = run.start(signed_in=False, stdin=subprocess.PIPE)
    pin = smugmug.authorize(address_of(process))
    smugmug.let_time_pass(301)
    _, stderr = process.communicate(f"{pin}\n{pin}\n", timeout=300)
    assert process.returncode == 0, stderr
    assert len(authorize_urls(stderr)) == 1
    assert saved_token(run) == good_token(smugmug)


def test_three_refused_pins_end_the_run(run: Run, smugmug: FakeSmugMug) -> None:
    result = run(signed_in=False, input="111111\n222222\n333333\n027518\n")
    assert result.returncode == 3
    assert len(set(authorize_urls(result.stderr))) == 3
    assert smugmug.count("oauth", "getRequestToken") == 3
    assert not token_file(run).exists()


@pytest.mark.parametrize("typed", ["", "\n\n", "111111\n"])
def test_no_input_at_the_prompt_ends_with_advice(run: Run, typed: str) -> None:
    result = run(signed_in=False, input=typed)
    assert result.returncode == 3
    assert "No PIN entered. Run this again when you have it." in result.stderr
    assert not token_file(run).exists()


def test_unattended_runs_ask_nothing(run: Run, smugmug: FakeSmugMug) -> None:
    result = run(signed_in=False)  # standard input is the null device
    assert result.returncode == 3
    assert "once in a terminal" in result.stderr.replace("\n", " ")
    assert "PIN: " not in result.stderr
    assert smugmug.requests == []


@posix_only
def test_runs_without_standard_input_ask_nothing(run: Run, smugmug: FakeSmugMug) -> None:
    process = run.start(signed_in=False, preexec_fn=lambda: os.close(0))
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 3
    assert "once in a terminal" in stderr.replace("\n", " ") and "Traceback" not in stderr
    assert smugmug.requests == []


def test_sign_ins_wait_no_longer_than_the_longest_outage(run: Run, smugmug: FakeSmugMug) -> None:
    smugmug.fault("rate_limited", "getRequestToken", times=None, retry_after="3000")
    result = run("--login", "--max-outage", 0.02, signed_in=False, input="027518\n", timeout=60)
    assert result.returncode == 1 and "unreachable for 0.02 minutes" in result.stderr


# =================================================================================================
# The token file
# =================================================================================================


@posix_only
def test_only_the_user_can_read_the_token_under_any_umask(run: Run, smugmug: FakeSmugMug) -> None:
    process = run.start(signed_in=False, stdin=subprocess.PIPE, preexec_fn=lambda: os.umask(0))
    _, stderr = process.communicate("027518\n", timeout=300)
    assert process.returncode == 0, stderr
    assert stat.S_IMODE(token_file(run).stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file(run).parent.stat().st_mode) == 0o700
    assert set(token_file(run).parent.iterdir()) == {
        token_file(run),
        token_file(run).with_name("folders.json"),
    }
    assert saved_token(run) == good_token(smugmug)


@posix_only
def test_the_token_is_below_the_home_folder_by_default(run: Run, tmp_path: Path) -> None:
    result = run(signed_in=False, input="027518\n", env={"XDG_CONFIG_HOME": None})
    assert result.returncode == 0
    assert (tmp_path / "home" / ".config" / "download_smugmug_photos" / "token.json").is_file()


@posix_only
def test_tokens_are_replaced_in_one_step(run: Run, smugmug: FakeSmugMug, tmp_path: Path) -> None:
    path = save(run, good_token(smugmug, access_token="old"))
    path.chmod(0o644)
    old = tmp_path / "the old file"
    os.link(str(path), str(old))
    before = old.read_bytes()
    assert run(signed_in=False, input="027518\n").returncode == 0
    assert saved_token(run) == good_token(smugmug)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert old.read_bytes() == before  # it was replaced, not overwritten in place
    assert set(path.parent.iterdir()) == {path, path.with_name("folders.json")}


def test_tokens_of_another_key_are_not_used(run: Run, smugmug: FakeSmugMug) -> None:
    save(run, good_token(smugmug, api_key="another"))
    result = run(signed_in=False)
    assert result.returncode == 3 and "was made with another API key" in result.stderr
    assert smugmug.requests == []
    assert run(signed_in=False, input="027518\n").returncode == 0
    assert saved_token(run) == good_token(smugmug)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '"token"',
        "[" * 100_000,
        '{"api_key": "KEY"}',
        '{"api_key": "KEY", "access_token": 7, "access_token_secret": null}',
    ],
)
def test_damaged_token_files_lead_to_a_new_sign_in(
    run: Run, smugmug: FakeSmugMug, content: str
) -> None:
    save(run, content.replace("KEY", smugmug.api_key))
    assert run(signed_in=False, input="027518\n").returncode == 0
    assert saved_token(run) == good_token(smugmug)


def test_binary_token_files_lead_to_a_new_sign_in(run: Run, smugmug: FakeSmugMug) -> None:
    save(run, "").write_bytes(b"\xff\xfe\x00")
    assert run(signed_in=False, input="027518\n").returncode == 0
    assert saved_token(run) == good_token(smugmug)


def test_runs_continue_if_the_token_cannot_be_saved(run: Run, account: Account) -> None:
    photo = account.album("Summer").photo()
    token_file(run).mkdir(parents=True)
    result = run(signed_in=False, input="027518\n")
    assert result.returncode == 0
    assert "could not be saved" in result.stderr
    assert files_on_disk(run.output) == {"Summer/IMG_1.JPG": photo.data}
    assert set(token_file(run).parent.iterdir()) == {
        token_file(run),
        token_file(run).with_name("folders.json"),
    }


def test_tokens_in_the_environment_win_over_the_saved_one(run: Run, smugmug: FakeSmugMug) -> None:
    path = save(run, good_token(smugmug, access_token="old"))
    before = path.read_bytes()
    assert run().returncode == 0
    assert smugmug.count("oauth") == 0
    assert path.read_bytes() == before


def test_rejected_tokens_of_the_environment_are_named_as_such(
    run: Run, smugmug: FakeSmugMug
) -> None:
    save(run, good_token(smugmug))
    result = run(env={"SMUGMUG_ACCESS_TOKEN": "wrong"})
    assert result.returncode == 3
    assert "SMUGMUG_ACCESS_TOKEN" in result.stderr
    assert saved_token(run) == good_token(smugmug)


@pytest.mark.parametrize("missing", ["SMUGMUG_ACCESS_TOKEN", "SMUGMUG_ACCESS_TOKEN_SECRET"])
def test_half_a_token_in_the_environment_is_an_error(
    run: Run, smugmug: FakeSmugMug, missing: str
) -> None:
    result = run(env={missing: None})
    assert result.returncode == 2
    assert "SMUGMUG_ACCESS_TOKEN and SMUGMUG_ACCESS_TOKEN_SECRET" in result.stderr
    assert smugmug.requests == []


# =================================================================================================
# Refusals
# =================================================================================================


def test_revoked_tokens_lead_to_a_new_sign_in_or_exit_code_3(
    run: Run, smugmug: FakeSmugMug
) -> None:
    assert run(signed_in=False, input="027518\n").returncode == 0
    before = saved_token(run)
    smugmug.revoke_tokens()

    result = run(signed_in=False)
    assert result.returncode == 3
    assert "revoked" in result.stderr and "once in a terminal" in result.stderr.replace("\n", " ")
    assert saved_token(run) == before

    result = run(signed_in=False, input="027518\n")
    assert result.returncode == 0
    assert len(authorize_urls(result.stderr)) == 1
    assert saved_token(run) == good_token(smugmug) != before


@pytest.mark.parametrize(
    "fault, where, code, advice",
    [
        ("key_unknown", "authuser", 2, ["does not know this API key", "SMUGMUG_API_KEY", APPLY]),
        (
            "key_unknown",
            "getRequestToken",
            2,
            ["does not know this API key", "SMUGMUG_API_KEY", APPLY],
        ),
        ("terms_not_accepted", "authuser", 2, ["terms", f"\n{ACCEPT_TERMS}\n"]),
        ("clock_wrong", "authuser", 2, ["clock is wrong. Set it"]),
        ("clock_wrong", "getAccessToken", 2, ["clock"]),
        ("permission_denied", "authuser", 3, ["Authorized Services"]),
        ("token_rejected", "!albums", 3, ["revoked"]),
    ],
)
def test_each_cause_of_a_refusal_has_its_own_advice(
    run: Run,
    smugmug: FakeSmugMug,
    account: Account,
    fault: str,
    where: str,
    code: int,
    advice: List[str],
) -> None:
    account.album("Summer").photo()
    smugmug.fault(fault, where, times=None)
    result = run(signed_in=where in ("authuser", "!albums"), input="027518\n")
    assert result.returncode == code
    assert [text for text in advice if text not in result.stderr] == []
    assert "oauth_problem" not in result.stderr
    assert smugmug.count(pattern=where) == 1  # no useless retries


@posix_only
def test_keys_that_are_not_ascii_exit_with_2(run: Run, smugmug: FakeSmugMug) -> None:
    result = run(env={"SMUGMUG_API_KEY": "\udcff"})
    assert result.returncode == 2 and "SMUGMUG_API_KEY" in result.stderr
    assert smugmug.requests == []


WRONG_KEYS = pytest.mark.parametrize(
    "wrong, cause",
    [
        ("api_key", "does not know this API key"),
        ("api_secret", "does not belong to this API key"),
    ],
)


def assert_wrong_key_is_named(result: Result, cause: str, place: str) -> None:
    """Require a message that names the cause, and one place of the key to compare."""
    assert result.returncode == 2 and cause in result.stderr, result.stderr
    assert f"Compare {place} with" in result.stderr
    assert result.stderr.count("Compare ") == 1
    assert authorize_urls(result.stderr) == []
    assert "oauth_problem" not in result.stderr and "401" not in result.stderr


@WRONG_KEYS
@pytest.mark.parametrize("task", [[], ["--list"], ["--login"]], ids=["", "--list", "--login"])
@pytest.mark.parametrize("is_saved", [False, True], ids=["variables", "saved"])
def test_a_wrong_key_or_secret_names_the_place_it_came_from(
    run: Run, smugmug: FakeSmugMug, is_saved: bool, wrong: str, cause: str, task: Any
) -> None:
    key = {"api_key": smugmug.api_key, "api_secret": smugmug.api_secret, wrong: "mistyped"}
    env: Dict[str, Optional[str]] = {"SMUGMUG_API_KEY": None, "SMUGMUG_API_SECRET": None}
    place = "SMUGMUG_API_KEY and SMUGMUG_API_SECRET"
    if is_saved:
        save(run, key)
        place = "the saved key (run --logout to enter another)"
    else:
        env = {"SMUGMUG_API_KEY": key["api_key"], "SMUGMUG_API_SECRET": key["api_secret"]}
    result = run(*task, env=env, signed_in=False, input="027518\n")
    assert_wrong_key_is_named(result, cause, place)


@WRONG_KEYS
@pytest.mark.parametrize("has_variable", [False, True], ids=["alone", "with a variable"])
def test_a_wrong_key_at_the_top_of_the_file_is_named(
    run: Run, smugmug: FakeSmugMug, tmp_path: Path, has_variable: bool, wrong: str, cause: str
) -> None:
    key = {"api_key": smugmug.api_key, "api_secret": smugmug.api_secret, wrong: "mistyped"}
    env: Dict[str, Optional[str]] = {"SMUGMUG_API_KEY": None, "SMUGMUG_API_SECRET": None}
    text = SCRIPT.read_text(encoding="utf-8")
    text = text.replace('"YOUR_API_SECRET"', repr(key["api_secret"]), 1)
    place = "SMUGMUG_API_KEY and API_SECRET at the top of program.py"
    if has_variable:
        env["SMUGMUG_API_KEY"] = key["api_key"]
    else:
        text = text.replace('"YOUR_API_KEY"', repr(key["api_key"]), 1)
        place = "API_KEY and API_SECRET at the top of program.py"
    program = tmp_path / "program.py"
    program.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        input="027518\n",
        capture_output=True,
        encoding="utf-8",
        env=run.environment(env, signed_in=False),
        cwd=str(tmp_path),
        timeout=300,
        check=False,
    )
    assert_wrong_key_is_named(Result(done.returncode, done.stdout, done.stderr), cause, place)


@pytest.mark.parametrize("where", ["environment", "token file"])
@pytest.mark.parametrize("wrong", ["api_secret", "access_token_secret"])
def test_a_wrong_secret_is_told_from_a_wrong_token_secret(
    run: Run, smugmug: FakeSmugMug, where: str, wrong: str
) -> None:
    env = {}
    if where == "environment":
        env["SMUGMUG_" + wrong.upper()] = "mistyped"
    else:
        save(run, {**good_token(smugmug), "api_secret": smugmug.api_secret, wrong: "mistyped"})
    result = run(signed_in=where == "environment", keys=where == "environment", env=env)
    if wrong == "api_secret":
        assert result.returncode == 2 and "does not belong to this API key" in result.stderr
    else:
        assert result.returncode == 3
        assert "The secret of the access token is wrong." in result.stderr
        assert ("SMUGMUG_ACCESS_TOKEN" in result.stderr) == (where == "environment")


def test_401s_with_a_web_page_lead_to_a_new_sign_in(run: Run, smugmug: FakeSmugMug) -> None:
    save(run, good_token(smugmug))
    smugmug.fault(
        "respond",
        "authuser",
        status=401,
        headers={"Content-Type": "text/html"},
        body=b"<html>Please log in</html>",
    )
    result = run(signed_in=False, input="027518\n")
    assert result.returncode == 0
    assert len(authorize_urls(result.stderr)) == 1 and "<html>" not in result.stderr


@pytest.mark.parametrize("where", ["getRequestToken", "getAccessToken"])
def test_sign_ins_without_a_token_in_the_response_exit_with_2(
    run: Run, smugmug: FakeSmugMug, where: str
) -> None:
    smugmug.fault("respond", where, status=200, body=b"oauth_token=only+half+of+it")
    result = run("--login", signed_in=False, input="027518\n")
    assert result.returncode == 2
    assert "sent no token" in result.stderr and not token_file(run).exists()


def test_responses_without_a_user_are_no_sign_in(run: Run, smugmug: FakeSmugMug) -> None:
    def nobody(answer: Dict[str, Any]) -> Dict[str, Any]:
        del answer["Response"]["User"]
        return answer

    smugmug.fault("mangle", "authuser", times=None, function=nobody)
    result = run()
    assert result.returncode == 3
    assert "SmugMug names no account for it" in result.stderr


def test_public_sign_ins_are_not_taken_for_an_empty_account(
    run: Run, smugmug: FakeSmugMug
) -> None:
    def unseen(answer: Dict[str, Any]) -> Dict[str, Any]:
        answer["Response"]["User"]["ImageCount"] = 7
        return answer

    smugmug.fault("mangle", "authuser", times=None, function=unseen)
    result = run()
    assert result.returncode == 1
    assert "7 photos and videos" in result.stderr and "Authorized Services" in result.stderr


# =================================================================================================
# Secrets
# =================================================================================================


def test_secrets_never_appear_on_the_screen(
    run: Run, smugmug: FakeSmugMug, account: Account
) -> None:
    album = account.album("Not for all", privacy="Unlisted")
    for name in ("good.jpg", "gone.jpg"):
        album.photo(name)
    smugmug.fault("not_found", "photos.smugmug.com", times=None, after=1)
    first = run("-v", signed_in=False, input="111111\n027518\n")
    second = run("-v", signed_in=False)
    smugmug.revoke_tokens()
    third = run("-v", signed_in=False)
    assert [result.returncode for result in (first, second, third)] == [1, 1, 3]

    said = "".join(result.stdout + result.stderr for result in (first, second, third))
    secrets = {
        smugmug.api_key,
        smugmug.api_secret,
        smugmug.access_token,
        smugmug.access_token_secret,
        smugmug.pin,
        "oauth_signature",
        "oauth_nonce",
        "Authorization",
    }
    # anyone who knows it can open a file of an unlisted album
    secrets |= {record.path for record in smugmug.select("cdn")}
    secrets |= {
        part
        for record in smugmug.select("cdn")
        for part in record.path.split("/")
        if len(part) > 30
    }
    assert len(secrets) > 10
    assert [secret for secret in secrets if secret in said] == []
    assert "X-RateLimit-Remaining" in said  # so there was much output
