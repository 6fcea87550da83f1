"""Links inside a runbook and to the files beside it, by the rules of those who show Markdown. Labelled by hand."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from proof import TODAY, rule
from responder.core.defect import Defect
from responder.runbooks.lint import lint
from responder.runbooks.lint.pages import links_of
from responder.runbooks.lint.subject import Subject
from responder.runbooks.reader import read_runbook
from responder.runbooks.rules import parse_rules

PAGE = """# Fault

## Auth Attack / Suspicious Activity
## Symptoms
## Symptoms
## Symptoms
## What's new in 2.0?
## `kubectl` and **bold** words
## 🚀 Launch
## ⚠️ Careful
## :rocket: Take off
## Größe & Maß
## snake_case stays
## Retries + Fails
## A [link](https://example.com) inside
## With an id {#own-id}
## Trailing hashes ##

Setext heading
--------------

<a name="by-name"></a>
<h3 id="by-id">HTML</h3>

"""

ANCHORS = [
    ("#auth-attack--suspicious-activity", True),
    ("#Auth-Attack--Suspicious-Activity", True),
    ("#auth-attack-suspicious-activity", True),
    ("#auth-attack-/-suspicious-activity", False),
    ("#symptoms", True),
    ("#symptoms-1", True),
    ("#symptoms-2", True),
    ("#symptoms-3", False),
    ("#whats-new-in-20", True),
    ("#what's-new-in-2.0", False),
    ("#kubectl-and-bold-words", True),
    ("#-launch", True),
    ("#launch", True),
    ("#%EF%B8%8F-careful", True),
    ("#-careful", True),
    ("#rocket-take-off", True),
    ("#größe--maß", True),
    ("#gr%C3%B6%C3%9Fe--ma%C3%9F", True),
    ("#snake_case-stays", True),
    ("#snake-case-stays", False),
    ("#retries--fails", True),
    ("#retries-fails", True),
    ("#a-link-inside", True),
    ("#own-id", True),
    ("#trailing-hashes", True),
    ("#setext-heading", True),
    ("#by-name", True),
    ("#by-id", True),
    ("#user-content-symptoms", True),
    ("#top", True),
    ("#", True),
    ("#nowhere", False),
    ("other.md", True),
    ("other.md#there", True),
    ("other.md#not-there", False),
    ("./other.md?plain=1#L3", True),
    ("sub/deep.md#deep", True),
    ("sub/../other.md#there", True),
    ("with%20space.md", True),
    ("OTHER.md", False),
    ("missing.md", False),
    ("missing.md#anything", False),
    ("picture.png", True),
    ("missing.png", False),
    ("a-route-of-the-site/", True),
    ("/docs/elsewhere.md", True),
    ("https://example.com/missing.md#nowhere", True),
    ("mailto:alice@example.com", True),
    ("../other.md", True),
]

FORMS = [
    ("[words](#nowhere)", ["link/anchor"]),
    ("[words][ref]\n\n[ref]: #nowhere", ["link/anchor"]),
    ("[ref]\n\n[ref]: missing.md", ["link/file"]),
    ("[words](missing.md 'a title')", ["link/file"]),
    ("![picture](missing.png)", ["link/file"]),
    ("[![badge](missing.png)](missing.md)", ["link/file", "link/file"]),
    ("<a href=\"#nowhere\">words</a>", ["link/anchor"]),
    ("<img src='missing.png'>", ["link/file"]),
    ("| a | b |\n|---|---|\n| [x](#nowhere) | [y](#symptoms) |", ["link/anchor"]),
    ("> [quoted](#nowhere)", ["link/anchor"]),
    ("`[code](#nowhere)`", []),
    ("```\n[code](#nowhere)\n```", []),
    ("    [indented code](#nowhere)", []),
    ("array[0](missing.md)", ["link/file"]),
    ("\\[escaped\\](missing.md)", []),
    ("[no link] (missing.md)", []),
    ("<https://example.com/#nowhere>", []),
    ("[template]({{ site.url }}/x.md)", []),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "other.md").write_text("# Other\n\n## There\n")
    (tmp_path / "with space.md").write_text("# Space\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "deep.md").write_text("# Deep\n")
    return tmp_path


def _links(folder: Path, text: str, rules: str = "") -> list[Defect]:
    page = folder / "fault.md"
    page.write_text(PAGE + text + "\n", encoding="utf-8")
    files = (parse_rules(rules, path="rules.yml"),) if rules else ()
    whole = lint(Subject(runbooks=(read_runbook(page),), files=files), today=TODAY)
    return [defect for defect in whole.defects if defect.rule.startswith("link/")]


@pytest.mark.parametrize(("target", "resolves"), ANCHORS)
def test_a_target_resolves_as_it_would_where_the_page_is_shown(
    folder: Path, target: str, resolves: bool
) -> None:
    """Duplicates, punctuation, code, emoji, letters of other languages, explicit ids; what is elsewhere is not followed."""
    assert bool(_links(folder, f"[words]({target})")) is not resolves


@pytest.mark.parametrize(("text", "rules"), FORMS)
def test_every_form_of_a_link_is_read_and_nothing_else(folder: Path, text: str, rules: list[str]) -> None:
    """By reference, images, HTML, tables, quotes; not code, not what is escaped."""
    assert [defect.rule for defect in _links(folder, text)] == rules


def test_a_finding_names_the_line_and_the_nearest_heading(folder: Path) -> None:
    """Across the lines of a paragraph."""
    (defect,) = _links(folder, "words\nmore [words](#auth--attack-suspicious-activity)")
    assert defect.line == PAGE.count("\n") + 2
    assert "did you mean #auth-attack--suspicious-activity?" in defect.message


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://wiki.example.com/fault.md#symptoms", False),
        ("https://wiki.example.com/fault.md#Symptoms-2", False),
        ("https://wiki.example.com/fault#symptoms", False),
        ("https://wiki.example.com/fault.md", False),
        ("https://wiki.example.com/fault.md#nowhere", True),
        ("https://wiki.example.com/another.md#nowhere", False),
        ("https://wiki.example.com/fault.md#{{ $labels.x }}", False),
    ],
)
def test_the_link_of_a_rule_leads_to_a_heading(folder: Path, url: str, wrong: bool) -> None:
    """Whoever is paged lands at the section, not at the top of a long file."""
    rules = rule("up == 0") + f"    annotations:\n      runbook_url: '{url}'\n"
    found = [(d.rule, d.file, d.line) for d in _links(folder, "", rules)]
    assert found == ([("link/runbook-url", "rules.yml", 4)] if wrong else [])


def test_a_page_with_a_common_name_is_found_by_its_folder(tmp_path: Path) -> None:
    """Every folder has a README.md: the address says which."""
    for name in ("redis", "patroni"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text(f"# {name}\n\n## {name} memory\n")
    books = tuple(read_runbook(path) for path in sorted(tmp_path.rglob("*.md")))
    for url, wrong in (
        ("docs/redis/README.md#redis-memory", False),
        ("docs/patroni/README.md#redis-memory", True),
    ):
        text = rule("up == 0") + f"    annotations:\n      runbook: {url}\n"
        report = lint(Subject(runbooks=books, files=(parse_rules(text, path="rules.yml"),)), today=TODAY)
        assert ("link/runbook-url" in {d.rule for d in report.defects}) is wrong


@pytest.mark.parametrize(
    "text", ["[a](b) " * 40_000, "[a](#" * 20_000, "![" * 30_000, "a\n" * 100_000 + "[x](#y)"]
)
def test_a_hostile_page_takes_bounded_time(text: str) -> None:
    """What would take the square of its length is kept as plain words."""
    began = time.process_time()
    list(links_of(text))
    assert time.process_time() - began < 10
