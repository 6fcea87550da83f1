"""The same findings for a person, a program, a code scanner and a pull request; and exit codes that can be relied on."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from proof import TODAY, rule, subject
from responder.core.defect import Defect, Weight
from responder.runbooks.lint import Report, lint
from responder.runbooks.report import FORMATS
from responder.runbooks.report_text import report_text

GIVEN = Path(__file__).with_name("runbook-as-given.md")
PROGRAM = [sys.executable, "-c", "from responder.cli import main; main()"]


def check(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """`responder check` as it is called."""
    return subprocess.run(
        [*PROGRAM, "check", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environ,
        timeout=60,
    )


def report(*defects: Defect, notes: tuple[str, ...] = ()) -> Report:
    return Report(defects=defects, silenced=0, compared={}, notes=notes)


ODD = Defect(
    rule="link/file",
    weight=Weight.ERROR,
    file="docs/a b,c:d.md",
    line=7,
    message="100% wrong:\nmend it, please",
    runbook_says="[x](y%20z)",
    rule_says=None,
)


def test_json_has_exactly_the_promised_members() -> None:
    """Programs read this: no member more, none less, and null where a side says nothing."""
    done = check(GIVEN, "--format", "json")
    body = json.loads(done.stdout)
    assert set(body) == {"findings", "summary"}
    assert body["findings"]
    for finding in body["findings"]:
        assert list(finding) == ["rule", "severity", "file", "line", "message", "runbook_says", "rule_says"]
        assert finding["severity"] in {"error", "warning"}
    assert body["summary"]["errors"] + body["summary"]["warnings"] == len(body["findings"])
    assert done.returncode == 1


def test_text_is_grouped_by_file_and_fits_a_hundred_columns() -> None:
    """Each file once, its lines in order, each finding with what to do, nothing wider than a terminal."""
    rules = (
        rule("increase(violations_total[5m]) > 0")
        + "    annotations:\n      runbook_url: "
        + "x" * 150
        + "\n"
    )
    whole = lint(subject(GIVEN.read_text(), rules), today=TODAY)
    text = report_text(whole, subject(GIVEN.read_text(), rules))
    rows = text.splitlines()
    assert [row for row in rows if row in {"runbook.md", "rules.yml"}] == ["rules.yml", "runbook.md"]
    of_runbook = rows[rows.index("runbook.md") :]
    lines = [
        int(found[1]) for row in of_runbook if (found := re.match(r"^ {2,6}(\d+)  (?:error|warning)", row))
    ]
    assert lines == sorted(lines)
    assert max(len(row) for row in rows if not row.strip().startswith("x")) <= 100
    assert "Add --max-time 10." in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("environ", "painted"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_only_in_a_terminal_that_wants_them(environ: Mapping[str, str], painted: bool) -> None:
    """A pipe never gets them, and NO_COLOR is obeyed."""
    assert "\x1b" not in check(GIVEN).stdout
    assert ("\x1b[31m" in _in_a_terminal({"TERM": "xterm", **environ})) is painted


def _in_a_terminal(environ: Mapping[str, str]) -> str:
    keeper, terminal = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen(
        [*PROGRAM, "check", str(GIVEN)], stdout=terminal, env=inherited | environ
    ) as process:
        os.close(terminal)
        parts: list[bytes] = []
        try:
            while part := os.read(keeper, 65536):
                parts.append(part)
        except OSError:
            pass  # the other end was closed: that is how a terminal ends
        process.wait(timeout=60)
    os.close(keeper)
    return b"".join(parts).decode()


def test_sarif_is_what_the_standard_asks_for() -> None:
    """Version 2.1.0, its required members, rules that are named and used, addresses that are addresses."""
    body = json.loads(FORMATS["sarif"](report(ODD, notes=("not asked",)), subject()))
    assert body["version"] == "2.1.0"
    assert body["$schema"].endswith("sarif-2.1.0.json")
    (run,) = body["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "responder check"
    (result,) = run["results"]
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "link/file"
    assert driver["rules"][0]["shortDescription"]["text"]
    assert result["level"] in {"none", "note", "warning", "error"}
    assert result["message"]["text"].startswith("100% wrong:")
    where = result["locations"][0]["physicalLocation"]
    assert where["artifactLocation"]["uri"] == "docs/a%20b%2Cc%3Ad.md"
    assert where["region"]["startLine"] == 7
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "not asked"


def test_sarif_of_a_whole_run_refers_only_to_rules_that_it_defines() -> None:
    """As code scanners check it when it is uploaded."""
    run: dict[str, Any] = json.loads(check(GIVEN, "--format", "sarif").stdout)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].startswith("file:///")


def test_annotations_escape_what_the_runner_would_read() -> None:
    """A percent sign, a line break, and in properties colons and commas."""
    first = FORMATS["github"](report(ODD), subject()).splitlines()[0]
    assert first == (
        "::error file=docs/a b%2Cc%3Ad.md,line=7,title=link/file::100%25 wrong:%0Amend it, please"
        "%0AThe runbook says: [x](y%2520z)"
    )


def test_nothing_found_is_exit_code_0(tmp_path: Path) -> None:
    """And a sentence that says in how much nothing was found."""
    clean = tmp_path / "clean.md"
    clean.write_text("# Disk\n\nText.\n")
    done = check(clean)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "No findings in 1 runbook, 0 entries, 0 alerting rules.\n"


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{n}: &{n} [{','.join(['*' + p] * 9)}]\n" for p, n in zip("abcdefghijkl", "bcdefghijklm", strict=True)
) + "groups: *m\n" + "x: [" + ",".join(["*a"] * 200) + "]\n"  # fmt: skip

BAD_RULES = [
    ("groups: [", 2, "not YAML"),
    ("groups:\n- name: a\n  rules: [\n", 4, "not YAML"),
    ("a: 1\n", 1, "holds no groups of rules"),
    ("groups:\n- name: g\n  rules:\n  - alert: A\n", 4, "has no expr"),
    ("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    for: soon\n", 6, "not a duration"),
    ("groups:\n- name: g\n  rules: 5\n", 3, "not a list"),
    (BOMB, 0, "anchors"),
    ("groups:\n" + "- " * 200 + "x\n", 2, "nested deeper"),
    ("groups:\n- name: {{ .Values.x }}\n  {{- if a }}\n", 4, "helm template"),
    ("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: \xff\n", 5, "UTF-8"),
    ("\x00\x01", 1, "not YAML"),
]


@pytest.mark.parametrize(("text", "line", "says"), BAD_RULES, ids=[says for _, _, says in BAD_RULES])
def test_rules_that_cannot_be_read_are_exit_code_2_with_file_and_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    """One sentence, never a traceback, in bounded time, however hostile."""
    rules = tmp_path / "rules.yml"
    rules.write_bytes(text.encode("latin-1"))
    done = check(GIVEN, "--rules", rules)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert done.stderr.startswith(f"responder: {rules}:{line or ''}")


def test_files_that_are_not_there_are_exit_code_2(tmp_path: Path) -> None:
    """A runbook, a folder without runbooks, rules, policies: each is named."""
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments in (
        (tmp_path / "none.md",),
        (empty,),
        (GIVEN, "--rules", tmp_path / "none.yml"),
        (GIVEN, "--rules", empty),
        (GIVEN, "--policies", tmp_path / "none"),
    ):
        done = check(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert "Traceback" not in done.stderr
        assert str(tmp_path) in done.stderr


def test_one_bad_file_of_a_folder_does_not_hide_the_others(tmp_path: Path) -> None:
    """A folder is checked as far as it can be read: what cannot is a finding, at its line. Asked for by name, it is exit code 2."""
    (tmp_path / "good.md").write_text("# Disk\n\n[nowhere](#nowhere)\n")
    (tmp_path / "bad.md").write_bytes(b"# A\n\n\xff")
    (tmp_path / "chart.yml").write_text("groups:\n{{- range .x }}\n- name: {{ . }}\n")
    done = check(tmp_path, "--rules", tmp_path, "--format", "json")
    found = [(Path(f["file"]).name, f["line"], f["rule"]) for f in json.loads(done.stdout)["findings"]]
    assert found == [
        ("bad.md", 3, "file/unreadable"), ("chart.yml", 3, "file/unreadable"), ("good.md", 3, "link/anchor"),
    ]  # fmt: skip
    assert done.returncode == 1
    assert check(tmp_path / "bad.md").returncode == 2


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    """`responder check … | head -1`."""
    with subprocess.Popen(
        [*PROGRAM, "check", str(GIVEN), "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1
