"""What people really write, and what nobody should: a message with file and line, never a traceback, in bounded time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from responder.core.effect import Role
from responder.errors import RunbookError
from responder.runbooks.explain import actions_of
from responder.runbooks.reader import parse_runbook, read_runbook

PUBLIC_FORM = """---
title: KubePodCrashLooping
---

# KubePodCrashLooping

## Meaning

A pod restarts again and again.

## Impact

Part of the service is missing.

## Diagnosis

- Look at the pod: `kubectl -n $NAMESPACE get pod`

```shell
$ kubectl -n $NAMESPACE logs $POD
panic: out of memory
```

## Mitigation

Give it more memory.
"""


def test_the_form_of_public_collections() -> None:
    """One file for each alert, named by its heading; prompts are commands, the rest is sample output."""
    runbook = parse_runbook(PUBLIC_FORM, path="KubePodCrashLooping.md")
    entry = runbook.alerts[0]
    assert entry.names == ("KubePodCrashLooping",)
    inline, fence = [action for step in entry.steps for action in step.actions]
    assert (inline.language, inline.line) == ("inline", 17)
    assert [s.text for s in fence.statements] == ["kubectl -n $NAMESPACE logs $POD"]
    assert [p.name for p in fence.placeholders] == ["NAMESPACE", "POD"]
    assert runbook.understood == 1.0


def test_metadata_as_a_table_and_setext_headings() -> None:
    """The same facts in other clothes."""
    rows = [
        "Disk", "====", "", "DiskFull", "--------", "", "| Alert | DiskFull |", "|---|---|", "| Severity | P1 |", "",
        "### Diagnosis", "", "1. Look", "   ```sh", "   df -h", "   ```", "", "### Mitigation", "", "Delete logs.",
    ]  # fmt: skip
    text = "\n".join(rows)
    entry = parse_runbook(text, path="x.md").alerts[0]
    assert (entry.names, entry.severity) == (("DiskFull",), "P1")
    assert entry.steps[0].actions[0].decision(Role.DIAGNOSIS, bound=frozenset()).runs == "auto"


def test_what_follows_a_bold_label_is_its_part_up_to_the_next() -> None:
    """A block between an impact and a remedy belongs to the impact, so nothing runs it; inside of a diagnosis it is of the step."""
    block = ["", "```promql", "up", "```", ""]
    rows = [
        "# Disk", "", "**Alert:** `DiskFull`", "", "**Severity:** P1", "", "**Impact:** Writes fail.", *block,
        "**Remediation:** Make room.", *block, "**Diagnosis:** Look.", *block,
        "## Diagnosis", "", "**Impact:** Reads fail.", *block,
    ]  # fmt: skip
    entry = parse_runbook("\n".join(rows), path="x.md").alerts[0]
    runs = {action.line: action.decision(role, bound=frozenset()).runs for role, action in actions_of(entry)}
    assert [(aside.role, aside.action.line) for aside in entry.asides] == [(Role.IMPACT, 10)]
    assert runs == {10: "never", 16: "approval", 22: "auto", 30: "auto"}


def test_what_is_not_understood_is_kept_with_its_lines() -> None:
    """A heading that no lexicon knows: its text is for people, counted, and named by line."""
    text = PUBLIC_FORM + "\n## Zebra\n\nSomething about zebras.\n"
    runbook = parse_runbook(text, path="x.md")
    line = text.splitlines().index("Something about zebras.") + 1
    assert [(u.line, u.text) for u in runbook.unknown] == [(line, "Something about zebras.")]
    assert 0.9 < runbook.understood < 1.0


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"", 1, "empty"),
        (b"  \n\n", 1, "empty"),
        (b"# ok\n\nbad \xff byte", 3, "not UTF-8: byte 0xff"),
        (b"# ok\n\x00", 2, "NUL"),
        (b"\x89PNG\r\n\x1a\n", 1, "not UTF-8"),
    ],
)
def test_what_is_no_runbook_is_refused_with_file_and_line(
    tmp_path: Path, content: bytes, line: int, says: str
) -> None:
    """The message names the place and what to do."""
    path = tmp_path / "runbook.md"
    path.write_bytes(content)
    with pytest.raises(RunbookError, match=says) as caught:
        read_runbook(path)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_a_file_that_is_too_large_or_missing_is_refused(tmp_path: Path) -> None:
    """The limit and the size are in the message."""
    path = tmp_path / "runbook.md"
    path.write_bytes(b"a" * 10_000_001)
    with pytest.raises(RunbookError, match="10000001 bytes; the limit is 10000000"):
        read_runbook(path)
    with pytest.raises(RunbookError, match="No such file"):
        read_runbook(tmp_path / "none.md")


def test_a_fence_that_is_never_closed_is_told_with_its_line() -> None:
    """The text is kept; the problem is named where it begins."""
    runbook = parse_runbook("# A\n\n## Diagnosis\n\n```sh\ndf -h\n", path="x.md")
    assert [(p.line, "never closed" in p.message) for p in runbook.problems] == [(5, True)]


@pytest.mark.parametrize("command", ["explain"])
@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"# A\n\n```sh\nunclosed"])
def test_the_command_line_never_shows_a_traceback(tmp_path: Path, command: str, content: bytes) -> None:
    """Exit code 2 and one sentence, or the whole explanation with the problem in it."""
    path = tmp_path / "runbook.md"
    path.write_bytes(content)
    code = "from responder.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, command, str(path)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert (done.returncode, bool(done.stderr)) in {(2, True), (0, False)}
    assert f"{path}" in done.stdout + done.stderr


HOSTILE = {
    "nested lists": "- " * 100_000,
    "nested quotes": "> " * 100_000 + "x",
    "brackets": "[" * 100_000,
    "brackets in brackets": ("[" * 19 + "]" * 19 + " ") * 20_000,
    "hashes": "#" * 100_000,
    "many lines": "a\n" * 200_000,
    "unclosed fences": "```sh\n" * 20_001,
    "many cells": "| a " * 200_000,
    "emphasis": "**a " * 100_000,
    "backticks": "`a``b```" * 50_000,
    "angles": "<a " * 100_000,
    "list in list": "\n".join(" " * (2 * depth) + "- x" for depth in range(1000)),
    "ten megabytes in a line": "a b " * 2_500_000,
    "a fence of thousands": "# A\n\n## Diagnosis\n\n```sh\n" + "kubectl get pods\n" * 19_000 + "```\n",
    "brackets in a query": "# A\n\n## Diagnosis\n\n```promql\n"
    + "(" * 50_000
    + "1"
    + ")" * 50_000
    + "\n```\n",
    "brackets in SQL": "# A\n\n## Diagnosis\n\n```sql\nSELECT "
    + "(" * 50_000
    + "1"
    + ")" * 50_000
    + "\n```\n",
    "a quote that never ends": "# A\n\n## Diagnosis\n\n```sh\n" + "echo 'a\n" * 5_001 + "```\n",
    "blanks in a threshold": "# A\n\n**Alert:** `X`\n\n**Threshold:** " + " " * 200_000 + "x\n",
    "commas in an escalation": "# A\n\n**Alert:** X\n\n## Escalation\n\n- if " + "a, " * 100_000 + "\n",
    "right to left": "# مرحبا\n\n## تشخيص\n\n١. نص\n\u202e**Alert:** \u202eX\u202c\n",
    "carriage returns": "# A\r\r## Diagnosis\r\r1. x\r",
    "both": "# A\r\n\r\n## Diagnosis\r\n\r\n1. x\r\n",
    "a byte order mark": "\ufeff# A\n",
    "headings of one name": "# A\n\n## A\n\n## A\n\n## A\n",
    "tabs": "\t\t\t- x\n\t# y\n",
}
_READ = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
from responder.cli import main
main()
"""


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_files_take_bounded_time_and_memory(tmp_path: Path, name: str) -> None:
    """A hundred thousand nested lists are a bad file, not a hung program: an explanation or a message, in 1.5 GB and a minute."""
    path = tmp_path / "runbook.md"
    path.write_text(HOSTILE[name], encoding="utf-8", newline="")
    done = subprocess.run(
        [sys.executable, "-c", _READ, "explain", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr[-500:]
    assert (done.returncode, bool(done.stderr)) in {(0, False), (2, True)}
    assert f"{path}" in done.stdout + done.stderr


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    "# A",
                    "## Diagnosis",
                    "### Remediation",
                    "**Alert:** `X`",
                    "1. step",
                    "   ```sql",
                    "```",
                    "~~~",
                    "- a",
                    "---",
                    "| a |",
                    "> q",
                    "    code",
                    "**Severity:** P0",
                    "**Threshold:** >5% for 5 minutes",
                ]
            ),
            st.text(max_size=30),
        ),
        min_size=1,
        max_size=25,
    ).map("\n".join)
)
def test_random_markdown_never_breaks_the_reader(text: str) -> None:
    """Whatever the lines are: a runbook or a RunbookError, and line numbers that lie in the file."""
    try:
        runbook = parse_runbook(text, path="x.md")
    except RunbookError:
        return
    last = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert 0.0 <= runbook.understood <= 1.0
    for entry in runbook.alerts:
        assert 1 <= entry.line <= entry.end_line <= last
        for step in entry.steps:
            assert all(1 <= action.line <= last + 1 for action in step.actions)
