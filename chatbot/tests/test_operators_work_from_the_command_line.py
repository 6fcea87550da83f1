"""The commands about tenants, members and keys, as an operator types them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatbot import cli
from chatbot_house import SIGNING_KEYS

Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def types(
    app_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Type:
    """Types a command: its exit status, what it printed, what it complained of."""
    monkeypatch.setenv("CHATBOT_DATABASE_URL", app_url)
    monkeypatch.setenv("CHATBOT_REDIS_URL", valkey_url)
    monkeypatch.setenv("CHATBOT_SIGNING_KEYS", ",".join(SIGNING_KEYS))
    monkeypatch.setenv("CHATBOT_PUBLIC_URL", "https://chat.example.com/")

    def run(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def read(answer: tuple[int, str, str]) -> Any:
    assert answer[0] == 0, answer
    return json.loads(answer[1])


def test_a_tenant_from_its_making_to_its_receipt(
    types: Type, tmp_path: Path, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Made, shown, bounded, suspended, resumed, exported, erased: each says in words what it did."""
    status, out, _ = types("tenant", "create", "acme")
    assert (status, "bitb_" in out, "this once" in out) == (0, True, True)
    assert "acme  since" in types("tenant", "list")[1]
    assert read(types("tenant", "list", "--format", "json"))["tenants"][0]["name"] == "acme"
    _, out, _ = types("tenant", "budget", "acme", "--tokens-per-day", "9000", "--members", "2")
    assert "tokens per day" in out
    assert "9000" in out
    shown = read(types("tenant", "show", "acme", "--format", "json"))
    assert (shown["quotas"]["tokens_per_day"], shown["quotas"]["members"]) == (9000, 2)
    read(types("tenant", "budget", "acme", "--members", "default", "--format", "json"))
    assert read(types("tenant", "show", "acme", "--format", "json"))["quotas"]["members"] == 50
    assert "resume acme" in types("tenant", "suspend", "acme", "--reason", "not paid")[1]
    assert "not paid" in types("tenant", "list")[1]
    assert "open again" in types("tenant", "resume", "acme")[1]
    file = tmp_path / "acme.zip"
    assert "acme.zip" in types("tenant", "export", "acme", str(file))[1]
    rows = zipfile.ZipFile(io.BytesIO(file.read_bytes())).read("tenants.jsonl").splitlines()
    assert json.loads(rows[0])["name"] == "acme"
    status, _, err = types("tenant", "export", "acme", str(file))
    assert (status, "cannot be written" in err) == (2, True)
    status, _, err = types("tenant", "erase", "acme", "--confirm", "acne")
    assert (status, "nothing was erased" in err) == (2, True)
    status, out, _ = types("tenant", "erase", "acme", "--confirm", "acme")
    assert status == 0
    receipt = audit_rows("tenant_erased")[0][2]
    assert f"sha256 {receipt['sha256']}" in out
    assert receipt["erased_by"] == "command line"
    assert "no tenant 'acme'" in types("tenant", "show", "acme")[2]


def test_members_from_the_command_line(
    types: Type, monkeypatch: pytest.MonkeyPatch, audit_rows: Callable[[str], list[Any]]
) -> None:
    """Added by a link or with a password, listed, made an admin, given a new link, removed."""
    types("tenant", "create", "acme")
    status, out, _ = types("member", "add", "--tenant", "acme", "Alice@example.com", "--role", "admin")
    assert (status, "https://chat.example.com/join#invitation=inv_" in out) == (0, True)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery staple\n"))
    _, out, _ = types("member", "add", "--tenant", "acme", "bob@example.com", "--password-stdin")
    assert "can sign in" in out
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    status, _, err = types("member", "add", "--tenant", "acme", "carol@example.com", "--password-stdin")
    assert (status, "5 characters" in err) == (2, True)
    listed = read(types("member", "list", "--tenant", "acme", "--format", "json"))["members"]
    assert [(each["email"], each["role"], each["invited"]) for each in listed] == [
        ("alice@example.com", "admin", True),
        ("bob@example.com", "member", False),
    ]
    assert (
        "admin now, and was member"
        in types("member", "role", "--tenant", "acme", "bob@example.com", "admin")[1]
    )
    assert "inv_" in types("member", "invite", "--tenant", "acme", "bob@example.com")[1]
    assert types("member", "remove", "--tenant", "acme", "bob@example.com")[0] == 0
    status, _, err = types("member", "remove", "--tenant", "acme", "bob@example.com")
    assert (status, "member list" in err) == (2, True)
    assert {row[1] for row in audit_rows("member_invited")} == {"command line"}


def test_keys_from_the_command_line(types: Type) -> None:
    """API keys and widget keys are made, listed and revoked; a bad origin and a bad number of days get a sentence."""
    types("tenant", "create", "acme")
    made = read(
        types("key", "create", "--tenant", "acme", "--name", "shop", "--days", "30", "--format", "json")
    )
    assert made["expires_at"] is not None
    assert made["prefix"] in types("key", "list", "--tenant", "acme")[1]
    assert types("key", "revoke", "--tenant", "acme", made["prefix"])[0] == 0
    assert "revoked" in types("key", "list", "--tenant", "acme")[1]
    assert types("key", "revoke", "--tenant", "acme", "ffffffff")[0] == 2
    assert types("key", "create", "--tenant", "acme", "--days", "0")[0] == 2

    page = "https://www.example.com"
    key = read(types("widget", "create", "--tenant", "acme", "--origin", page, "--format", "json"))["key"]
    assert page in types("widget", "list", "--tenant", "acme")[1]
    status, _, err = types("widget", "create", "--tenant", "acme", "--origin", "https://*.example.com")
    assert (status, "is not an origin" in err) == (2, True)
    assert "before: https://www.example.com" in types("widget", "origins", "--tenant", "acme", key)[1]
    assert "nowhere" in types("widget", "list", "--tenant", "acme")[1]
    assert types("widget", "revoke", "--tenant", "acme", key)[0] == 0
    assert "revoked" in types("widget", "list", "--tenant", "acme")[1]


def test_the_help_teaches(types: Type, capsys: pytest.CaptureFixture[str]) -> None:
    """Each noun says what it is, and what to do next is said where it is needed."""
    for arguments, words in {
        ("tenant", "suspend", "--help"): "kill switch",
        ("tenant", "create", "--help"): "chatbot document add",
        ("widget", "create", "--help"): "No wildcards",
        ("member", "add", "--help"): "good once and for three",
    }.items():
        with pytest.raises(SystemExit) as ended:
            types(*arguments)
        assert ended.value.code == 0
        assert words in capsys.readouterr().out
