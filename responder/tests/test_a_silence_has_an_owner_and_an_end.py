"""A finding can be silenced on purpose: by someone, for a time, in one place. A silence that is not that is a finding."""

from __future__ import annotations

import pytest

from proof import TODAY, entry, found, one_rule, query, rule, subject
from responder.runbooks.lint import lint

FOLLOWS = "tail -f /var/log/app.log"


def silenced(comment: str, *, before: str = "") -> str:
    """A runbook whose diagnosis never ends, with a comment in its section."""
    return before + query("sh", FOLLOWS).replace("## Diagnosis", f"{comment}\n\n## Diagnosis")


def rules_of(runbook: str, rules: str = "") -> list[str]:
    return [defect.rule for defect in found(runbook, rules)]


def test_a_silence_holds_for_its_section_and_is_counted() -> None:
    """With a rule, an owner and an end that has not come."""
    runbook = silenced(
        "<!-- check: ignore command/unbounded owner=alice until=2027-06-30 because it is short -->"
    )
    report = lint(subject(runbook), today=TODAY)
    assert (report.defects, report.silenced) == ((), 1)


def test_its_last_day_is_inside() -> None:
    """Until the 15th, on the 15th."""
    assert rules_of(silenced("<!-- check: ignore command/unbounded owner=alice until=2027-01-15 -->")) == []


@pytest.mark.parametrize(
    ("comment", "fault", "says"),
    [
        ("<!-- check: ignore command/unbounded owner=alice until=2027-01-14 -->", "silence/expired", "alice"),
        ("<!-- check: ignore command/unbounded until=2027-06-30 -->", "silence/incomplete", "owner=NAME"),
        ("<!-- check: ignore command/unbounded owner=alice -->", "silence/incomplete", "until=YYYY-MM-DD"),
        ("<!-- check: ignore owner=alice until=2027-06-30 -->", "silence/incomplete", "check: ignore RULE"),
        ("<!-- check: ignore command/unbounded owner=alice until=soon -->", "silence/incomplete", "'soon'"),
        ("<!-- check: ignore command/unbounded owner=alice until=2027-02-30 -->", "silence/incomplete", "2027-02-30"),
        ("<!-- check: ignore command/unbouded owner=alice until=2027-06-30 -->", "silence/unknown-rule", "command/unbounded?"),
        ("<!-- check: ignore nothing/like-it owner=alice until=2027-06-30 -->", "silence/unknown-rule", "checks.md"),
    ],
)  # fmt: skip
def test_a_silence_without_owner_end_or_rule_is_a_finding_and_silences_nothing(
    comment: str, fault: str, says: str
) -> None:
    """At its own line, with what to write instead."""
    runbook = silenced(comment)
    defects = {defect.rule: defect for defect in found(runbook)}
    assert set(defects) == {fault, "command/unbounded"}
    assert runbook.splitlines()[defects[fault].line - 1] == comment
    assert says in defects[fault].message


def test_it_holds_for_its_own_section_only() -> None:
    """The same fault in the next section is told."""
    comment = "<!-- check: ignore command/unbounded owner=alice until=2027-06-30 -->"
    other = query("sh", FOLLOWS).replace("# Fault", "# Other").replace("`Fault`", "`Other`")
    runbook = "# Book\n\n" + "\n".join(
        ("#" + row if row.startswith("#") else row) for row in (silenced(comment) + other).splitlines()
    )
    (defect,) = [d for d in found(runbook) if d.rule == "command/unbounded"]
    assert defect.line > runbook.splitlines().index("## Other")


def test_before_the_first_section_it_holds_for_the_whole_file() -> None:
    """A collection may decide once."""
    comment = "<!-- check: ignore command/unbounded owner=alice until=2027-06-30 -->\n\n"
    runbook = (
        query("sh", FOLLOWS)
        .replace("# Fault", f"# Book\n\n{comment}## Fault")
        .replace("## Diagnosis", "### Diagnosis")
    )
    assert rules_of(runbook) == []


def test_one_rule_is_silenced_and_not_another() -> None:
    """Only what is named."""
    comment = "<!-- check: ignore command/no-timeout owner=alice until=2027-06-30 -->"
    assert rules_of(silenced(comment)) == ["command/unbounded"]


def test_in_a_rule_file_it_stands_above_or_inside_its_rule() -> None:
    """As a comment of YAML; the next rule is not silenced by it."""
    comment = "# check: ignore alert/no-entry owner=bob until=2027-06-30 third-party"
    first, second = one_rule("up == 0", name="First"), one_rule("up == 0", name="Second")
    head = "groups:\n- name: g\n  rules:\n"
    for rules in (f"{head}  {comment}\n{first}{second}", f"{head}{first}    {comment}\n{second}"):
        told = [(d.rule, d.message.split(".")[0]) for d in found(rules=rules)]
        assert told == [("alert/no-entry", "no runbook says what to do about Second")]


def test_a_silence_cannot_be_silenced() -> None:
    """Or nothing would ever expire."""
    runbook = silenced(
        "<!-- check: ignore silence/expired owner=alice until=2027-06-30 -->\n"
        "<!-- check: ignore command/unbounded owner=alice until=2026-06-30 -->"
    )
    assert rules_of(runbook) == ["silence/expired", "command/unbounded"]


def test_words_are_silenced_where_they_stand() -> None:
    """A disagreement is told in the runbook, so it is silenced there."""
    comment = "<!-- check: ignore words/severity owner=carol until=2027-06-30 until the rule is changed -->"
    runbook = entry(severity="Critical (P0)", body=comment)
    assert rules_of(runbook, rule("up == 0", severity="P1")) == []
    assert rules_of(entry(severity="Critical (P0)"), rule("up == 0", severity="P1")) == ["words/severity"]
