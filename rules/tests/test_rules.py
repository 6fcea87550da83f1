"""The rules are checked by Prometheus's own tools, and the proofs would fail if the rules were wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES = Path(__file__).parents[1]
STORIES = sorted((RULES / "tests").glob("*.test.yml"))
RULE_FILES = sorted([*RULES.glob("*.rules.yml"), *(RULES / "tests").glob("*.rules.yml")])
OURS = yaml.safe_load((RULES / "bitb-chatbot.rules.yml").read_text())["groups"]
EIGHT = (
    "HighErrorRate", "ServiceDown", "CircuitBreakerOpen", "DatabaseConnectionPoolExhausted", "SuspiciousAuthActivity",
    "TenantIsolationViolation", "HighRAGLatency", "APIAvailabilityLow",
)  # fmt: skip


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = shutil.which(name) or shutil.which(
        name, path=str(RULES.parent / ".stack" / "system" / "usr" / "bin")
    )
    assert path, f"{name} is missing; run: sudo apt-get install prometheus prometheus-alertmanager"
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False, cwd=RULES)


def alerts() -> list[dict[str, Any]]:
    """Ours, but for the watchdog."""
    return [rule for group in OURS for rule in group["rules"] if rule.get("alert") not in {None, "Watchdog"}]


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda path: path.name)
def test_each_rule_file_is_valid(file: Path) -> None:
    """`promtool check rules` finds nothing."""
    done = tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def told() -> Iterator[Mapping[Path, Future[subprocess.CompletedProcess[str]]]]:
    """Every file of stories, two at a time: each is a process of its own."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {file: pool.submit(tool, "promtool", "test", "rules", str(file)) for file in STORIES}


@pytest.mark.parametrize("file", STORIES, ids=lambda path: path.name)
def test_each_rule_fires_when_it_should_and_only_then(
    file: Path, told: Mapping[Path, Future[subprocess.CompletedProcess[str]]]
) -> None:
    """`promtool test rules` over the stories of each file."""
    done = told[file].result()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def stories_of(alert: str) -> list[Path]:
    return [
        file for file in STORIES if f'alertname="{alert}"' in file.read_text() and "as-given" not in file.name
    ]


@pytest.mark.parametrize("alert", EIGHT)
def test_each_alert_has_its_stories(alert: str) -> None:
    """Eight at least; each of its tiers fires in one, and some look at a moment when nothing may fire."""
    told = [test for file in stories_of(alert) for test in yaml.safe_load(file.read_text())["tests"]]
    assert len(told) >= 8
    looks = [look for test in told for look in test["promql_expr_test"] if "ALERTS" in look["expr"]]
    fired = {
        tier
        for look in looks
        for s in look["exp_samples"]
        for tier in re.findall('tier="([^"]+)"', s["labels"])
    }
    assert fired == {rule["labels"]["tier"] for rule in alerts() if rule["alert"] == alert}
    assert sum(not look["exp_samples"] for look in looks) >= 8


# alert, the story that fails without it, the part of the rule, what stands there instead
GUARDS = (
    ("HighErrorRate", "as long as it lasts", "and job:http_requests:rate5m >= 0.2\n        for: 5m", "\n        for: 5m"),
    ("HighErrorRate", "at exactly 5%", "> 0.05", ">= 0.05"),
    ("HighErrorRate", "what was cured", "  and job:http_requests_errors:ratio_rate2m > 0.05\n", ""),
    ("HighErrorRate", "a total failure pages", "        keep_firing_for: 5m", "        for: 1m"),
    ("HighErrorRate", "half of everything", "ratio_rate1m >= 0.5", "ratio_rate1m >= 0.3"),
    ("HighErrorRate", "without any series of failures", " or sum by (job) (rate({all}[5m])) * 0", ""),
    ("HighErrorRate", "no traffic is no error", "(rate({all}[5m])) > 0)", "(rate({all}[5m])) >= 0)"),
    ("HighErrorRate", "after ten minutes", "        keep_firing_for: 5m\n", ""),
    ("HighErrorRate", "few requests", "* 1800 >= 5", "* 1800 >= 50"),
    ("ServiceDown", "three times of four", "[2m]) < 0.5", "[2m]) == 0"),
    ("ServiceDown", "a restart of half a minute", "        for: 30s\n", ""),
    ("ServiceDown", "one of two processes", "max by (job) (up{", "min by (job) (up{"),
    ("ServiceDown", "exporters that are gone", ' or absent(pg_stat_activity_count{job="postgres"})', ""),
    ("ServiceDown", "fades at night", "rate5m < 0.1 *", "rate5m < 0.9 *"),
    ("ServiceDown", "never had traffic", "  and job:http_requests:avg_rate1h_before >= 1", "  or vector(1)"),
    ("CircuitBreakerOpen", "tries again each minute", "avg_over_time(circuit_breaker", "min_over_time(circuit_breaker"),
    ("CircuitBreakerOpen", "answers from the fallback", " and on (job) job:circuit_breaker_affected:any", ""),
    ("CircuitBreakerOpen", "answers without a model", "        for: 150s\n", ""),
    ("CircuitBreakerOpen", "both breakers", "or min by (job) (breaker:circuit_breaker_open:avg5m) > 0.5", ""),
    ("DatabaseConnectionPoolExhausted", "usual leak", "|idle in transaction.*", ""),
    ("DatabaseConnectionPoolExhausted", "91 for 5 minutes", "- max by {reserved}", "+ 50 * max by {reserved}"),
    ("DatabaseConnectionPoolExhausted", "well used", " and job:db_pool_waiting:avg2m >= 1", ""),
    ("DatabaseConnectionPoolExhausted", "93x160", "  and predict_linear(server:pg_connections_taken:ratio[5m], 900) > 1\n", ""),
    ("SuspiciousAuthActivity", "exactly 5 failures", "rate5m > 5 ", "rate5m >= 5 "),
    ("SuspiciousAuthActivity", "usual failures", " and job:auth_failures:ratio_rate5m > 0.1", ""),
    ("SuspiciousAuthActivity", "a flood", "rate1m > 50", "rate5m > 50"),
    ("SuspiciousAuthActivity", "one tenant", "> 10 * avg_over_time(tenant:auth_failures:rate5m[1d] offset 1h)", "> 10"),
    ("TenantIsolationViolation", "begins with it", "{seen} unless {seen} offset 15m", "{seen} unless {seen}"),
    ("TenantIsolationViolation", "another one later", " unless {seen} offset 15m", ""),
    ("TenantIsolationViolation", "for an hour", "        keep_firing_for: 1h\n", ""),
    ("HighRAGLatency", "95% within", "p95_5m > 5 ", "p95_5m > 4 "),
    ("HighRAGLatency", "at night", " and job:rag_queries:rate5m >= 0.1", ""),
    ("HighRAGLatency", "five slow minutes", "        for: 10m\n", "        for: 2m\n"),
    ("HighRAGLatency", "severity rises", "        for: 20m\n", "        for: 10m\n"),
    ("APIAvailabilityLow", "10% for half an hour", "  and job:http_requests_errors:ratio_rate5m > 14.4 * 0.001\n", ""),
    ("APIAvailabilityLow", "three minutes of 20%", "ratio_rate1h > 14.4 * 0.001", "ratio_rate1h > 0"),
    ("APIAvailabilityLow", "a trifle an hour after", "  and job:http_requests_errors:ratio_rate30m > 6 * 0.001\n", ""),
    ("APIAvailabilityLow", "soon after four hours of 2%", "  and job:http_requests_errors:ratio_rate5m > 6 * 0.001\n", ""),
    ("APIAvailabilityLow", "a quarter of an hour", "ratio_rate6h > 6 * 0.001", "ratio_rate6h > 0"),
    ("APIAvailabilityLow", "a trifle in the first hour", "  and present_over_time(job:http_requests:rate5m[1h] offset 1h)", ""),
    ("APIAvailabilityLow", "at ten requests an hour", "  and job:http_requests:rate5m >= 0.2\n", ""),
)  # fmt: skip
NAMES = {
    "{all}": 'http_requests_total{job="bitb-chatbot"}',
    "{seen}": "tenant_isolation_violations_total",
    "{reserved}": "(job, server) (pg_settings_superuser_reserved",
}


@pytest.mark.parametrize(("alert", "story", "guard", "without"), GUARDS)
def test_a_guard_that_is_removed_makes_a_story_fail(
    tmp_path: Path, alert: str, story: str, guard: str, without: str
) -> None:
    """Each part of a rule is there for a reason that a story tells."""
    for short, name in NAMES.items():
        guard, without = guard.replace(short, name), without.replace(short, name)
    text = (RULES / "bitb-chatbot.rules.yml").read_text()
    assert guard in text
    told = the_story(alert, story)
    for name, rules in (("whole", text), ("weakened", text.replace(guard, without))):
        groups = needed_by(alert, yaml.safe_load(rules)["groups"])
        (tmp_path / f"{name}.rules.yml").write_text(yaml.safe_dump({"groups": groups}))
        test = {**told, "rule_files": [f"{name}.rules.yml"], "group_eval_order": [g["name"] for g in groups]}
        (tmp_path / f"{name}.test.yml").write_text(yaml.safe_dump(test))
    assert tool("promtool", "test", "rules", str(tmp_path / "whole.test.yml")).returncode == 0
    assert tool("promtool", "test", "rules", str(tmp_path / "weakened.test.yml")).returncode != 0


def the_story(alert: str, words: str) -> dict[str, Any]:
    """A file of stories with only the one that these words name."""
    for file in stories_of(alert):
        body = yaml.safe_load(file.read_text())
        if found := [
            test for test in body["tests"] if words in test["name"] or words in str(test["input_series"])
        ]:
            return {**body, "tests": found[:1]}
    raise LookupError(f"no story of {alert} has '{words}'")


def needed_by(alert: str, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups that hold the alert, and those whose recordings they read: fewer rules, sooner done."""
    wanted = [group for group in groups if any(rule.get("alert") == alert for rule in group["rules"])]
    for group in wanted:  # grows as it is walked
        read = " ".join(rule["expr"] for rule in group["rules"])
        wanted += [
            other
            for other in groups
            if other not in wanted and any(rule.get("record", "\0") in read for rule in other["rules"])
        ]
    return [group for group in groups if group in wanted]


def test_every_alert_names_its_runbook_entry_and_its_panel() -> None:
    """Severity, service and kind for the responder; a link whose anchor is a heading; a measured value in the words."""
    runbook = (RULES.parent / "runbooks" / "bitb-chatbot.md").read_text()
    anchors = {
        re.sub(r"[^\w -]", "", line[3:].strip().lower()).replace(" ", "-")
        for line in runbook.splitlines()
        if line.startswith("## ")
    }
    assert {rule["alert"] for rule in alerts()} == set(EIGHT)
    for rule in alerts():
        assert rule["labels"]["severity"] in {"P0", "P1", "P2"}
        assert rule["labels"]["service"] == "bitb-chatbot"
        assert rule["labels"]["kind"] in {"cause", "symptom", "security"}
        assert rule["annotations"]["runbook_url"].partition("#")[2] in anchors
        if rule["labels"]["tier"] not in {"absent", "blind"}:
            assert "$value" in rule["annotations"]["description"], "it says what was measured"


def test_the_contract_of_each_alert_is_the_runbooks() -> None:
    """The tier "contract" has the runbook's severity, but for the one that would page for a trifle."""
    contracts = {
        rule["alert"]: rule["labels"]["severity"] for rule in alerts() if rule["labels"]["tier"] == "contract"
    }
    assert contracts == {**dict.fromkeys(EIGHT, "P0"), "HighRAGLatency": "P1", "APIAvailabilityLow": "P2"}
    paging = {rule["alert"] for rule in alerts() if rule["labels"]["severity"] == "P0"}
    assert paging == set(EIGHT)
