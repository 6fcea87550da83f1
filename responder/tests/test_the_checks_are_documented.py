"""docs/reference/checks.md: every check is there, and every example of it is what it says it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from proof import TODAY, query
from responder.runbooks.lint import lint
from responder.runbooks.lint.catalogue import RULES
from responder.runbooks.lint.subject import Subject
from responder.runbooks.reader import parse_runbook
from responder.runbooks.rules import parse_rules
from responder.stages.check import ask_prometheus

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/checks.md").read_text(encoding="utf-8")
LINT = ROOT / "responder/src/responder/runbooks/lint"
# A file of bytes cannot stand in a document.
WITHOUT_EXAMPLE = {"file/unreadable"}
BLOCK = re.compile(
    r"^(?P<fence>`{3,}|~{3,})(?P<language>\w+)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL
)


def sections() -> Iterator[tuple[str, str]]:
    """The checks of the page, each with its text."""
    parts = re.split(r"^### `([\w/-]+)`$", PAGE, flags=re.MULTILINE)
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        yield name, re.split(r"^## (?:\d+\. |Files |How often )", text, maxsplit=1, flags=re.MULTILINE)[0]


SECTIONS = dict(sections())
EXAMPLES = [
    pytest.param(name, wrong, blocks, id=f"{name} {'wrong' if wrong else 'right'}")
    for name, text in SECTIONS.items()
    for wrong, label in ((True, "Wrong"), (False, "Right"))
    for part in re.findall(rf"^{label}:\n(.*?)(?=^Right:|\Z)", text, re.MULTILINE | re.DOTALL)
    for blocks in [[(found["language"], found["text"]) for found in BLOCK.finditer(part)]]
]


class Known:
    """A Prometheus that has `requests_total{route, status}` and a histogram that ends at 5 seconds."""

    async def labels_of(self, metric: str, *, timeout: timedelta) -> frozenset[str]:
        return {
            "requests_total": frozenset({"route", "status"}),
            "duration_seconds_bucket": frozenset({"le"}),
        }.get(metric, frozenset())

    async def edges_of(self, metric: str, *, timeout: timedelta) -> tuple[float, ...]:
        return (0.5, 2.5, 5.0, float("inf")) if metric == "duration_seconds_bucket" else ()


def the_subject(name: str, blocks: list[tuple[str, str]]) -> Subject:
    """What an example stands for: whole runbooks and rules as they are, a query or a command in a section."""
    heading = "Remediation" if name.startswith(("remedy/", "sql/")) else "Diagnosis"
    runbook = "# Nothing\n"
    rules = ""
    for language, text in blocks:
        if language == "markdown":
            runbook = text
        elif language == "yaml":
            rules += text
        else:
            runbook = query(language, text.rstrip(), heading=heading)
    indented = "".join(f"  {row}\n" for row in rules.splitlines())
    files = (parse_rules(f"groups:\n- name: g\n  rules:\n{indented}", path="rules.yml"),) if rules else ()
    return Subject(runbooks=(parse_runbook(runbook, path="example.md"),), files=files)


def test_every_check_of_the_code_is_in_the_catalogue_and_on_the_page() -> None:
    """Nothing is found under a name that nobody can look up, and nothing is documented that does not exist."""
    in_code = {
        name
        for file in LINT.glob("*.py")
        if file.name != "catalogue.py"
        for name in re.findall(r"\"([a-z]+/[a-z-]+)\"", file.read_text(encoding="utf-8"))
    } | {"remedy/no-verify", "remedy/no-undo", "words/severity", "words/threshold", "words/for"}
    assert in_code == set(RULES)
    assert set(SECTIONS) == set(RULES)


def test_every_check_has_a_wrong_and_a_right_example() -> None:
    """One of each, except where a document cannot hold it."""
    for name, text in SECTIONS.items():
        wanted = 0 if name in WITHOUT_EXAMPLE else 1
        assert (text.count("\nWrong:\n"), text.count("\nRight:\n")) == (wanted, wanted), name


@pytest.mark.parametrize(("name", "wrong", "blocks"), EXAMPLES)
def test_an_example_is_what_it_says_it_is(name: str, wrong: bool, blocks: list[tuple[str, str]]) -> None:
    """The wrong one gives the finding, the right one does not."""
    assert blocks
    subject = the_subject(name, blocks)
    live = name.startswith("query/") or name == "promql/top-bucket"
    more = asyncio.run(ask_prometheus(subject, Known()))[0] if live else ()
    assert (name in {d.rule for d in lint(subject, today=TODAY, more=more).defects}) is wrong


def test_every_family_says_how_to_silence_it() -> None:
    """With a comment that names one of its own checks and would be obeyed."""
    families = re.split(r"^## (\d+)\. ", PAGE, flags=re.MULTILINE)
    assert families[1::2] == [str(number) for number in range(1, 13)]
    for text in families[2::2]:
        (silence,) = re.findall(r"`(<!-- check: ignore \S+ owner=\w+ until=2027-06-30 -->)`", text)
        assert silence.split()[3] in re.findall(r"^### `([\w/-]+)`$", text, re.MULTILINE)
        report = lint(Subject(runbooks=(parse_runbook(f"# A\n\n{silence}\n", path="a.md"),)), today=TODAY)
        assert report.defects == ()
