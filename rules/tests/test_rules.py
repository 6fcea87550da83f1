"""The rules are checked by Prometheus's own tools, and the proofs would fail if the rules were wrong."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

RULES = Path(__file__).parents[1]
TESTS = sorted((RULES / "tests").glob("*.test.yml"))
RULE_FILES = sorted([*RULES.glob("*.rules.yml"), *(RULES / "tests").glob("*.rules.yml")])


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = shutil.which(name) or shutil.which(
        name, path=str(RULES.parent / ".stack" / "system" / "usr" / "bin")
    )
    assert path, f"{name} is missing; run: sudo apt-get install prometheus prometheus-alertmanager"
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False, cwd=RULES)


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda path: path.name)
def test_each_rule_file_is_valid(file: Path) -> None:
    """`promtool check rules` finds nothing."""
    done = tool("promtool", "check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.name)
def test_each_rule_fires_when_it_should_and_only_then(file: Path) -> None:
    """`promtool test rules` over the stories of each file."""
    done = tool("promtool", "test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.parametrize(
    ("guard", "without"),
    [
        (" and job:http_requests:rate5m >= 0.2", ""),
        ("> 0.05", ">= 0.05"),
        ("        for: 5m\n", "        for: 1m\n"),
        ("        for: 30s\n", "        for: 5m\n"),
        (" or job:http_requests:rate5m * 0", ""),
        ("        keep_firing_for: 5m\n", ""),
        (" / (job:http_requests:rate5m > 0)", " / (job:http_requests:rate5m >= 0)"),
    ],
)
def test_a_guard_that_is_removed_makes_a_story_fail(tmp_path: Path, guard: str, without: str) -> None:
    """Each part of a rule is there for a reason that a story tells."""
    rules = (RULES / "bitb-chatbot.rules.yml").read_text()
    assert guard in rules
    (tmp_path / "tests").mkdir()
    (tmp_path / "bitb-chatbot.rules.yml").write_text(rules.replace(guard, without))
    story = shutil.copy(RULES / "tests" / "high-error-rate.test.yml", tmp_path / "tests")
    assert tool("promtool", "test", "rules", str(story)).returncode != 0


def test_alertmanager_is_configured_validly() -> None:
    """`amtool check-config` finds nothing; what is resolved is told too, and the token is not in the file."""
    done = tool("amtool", "check-config", "alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    hook = yaml.safe_load((RULES / "alertmanager.yml").read_text())["receivers"][0]["webhook_configs"][0]
    assert hook["send_resolved"] is True
    assert hook["http_config"]["authorization"] == {"type": "Bearer", "credentials_file": "responder.token"}


def test_every_alert_names_its_runbook_entry() -> None:
    """Severity, service and kind for the responder; a link whose anchor is a heading of the runbook."""
    runbook = (RULES.parent / "runbooks" / "bitb-chatbot.md").read_text()
    anchors = {
        line[3:].strip().lower().replace(" ", "-") for line in runbook.splitlines() if line.startswith("## ")
    }
    groups = yaml.safe_load((RULES / "bitb-chatbot.rules.yml").read_text())["groups"]
    alerts = [
        rule for group in groups for rule in group["rules"] if rule.get("alert") not in {None, "Watchdog"}
    ]
    assert alerts
    for rule in alerts:
        assert rule["labels"]["severity"] in {"P0", "P1", "P2"}
        assert rule["labels"]["kind"] in {"cause", "symptom", "security"}
        assert rule["annotations"]["runbook_url"].partition("#")[2] in anchors
