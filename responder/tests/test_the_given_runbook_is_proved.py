"""What is wrong with the given runbook, and with rules written as its words ask: each defect found, at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from proof import TODAY, found, rule
from responder.runbooks.lint import lint
from responder.runbooks.lint.subject import Subject
from responder.runbooks.reader import read_runbook
from responder.runbooks.rules import parse_rules

GIVEN = Path(__file__).with_name("runbook-as-given.md")

# Checked by hand against the file: line, rule, and why it is wrong.
DEFECTS = [
    (46, "command/unbounded", "tail -f never ends"),
    (66, "escalation/no-contact", "no engineering lead among the contacts"),
    (74, "promql/held-state", "a health check that fails three times of four never fails for 2 minutes"),
    (84, "command/no-timeout", "curl waits for ever, four times in this fence"),
    (84, "placeholder/unbound", "your-domain.com is nobody's"),
    (106, "placeholder/unbound", "$DATABASE_URL has no value"),
    (106, "secret/command-line", "the password of the database in the list of processes"),
    (115, "placeholder/unbound", "$REDIS_URL has no value"),
    (115, "secret/command-line", "the password of Redis in the list of processes"),
    (122, "command/no-timeout", "curl waits for ever"),
    (122, "placeholder/unbound", "$GROQ_API_KEY has no value"),
    (122, "secret/command-line", "the key in the list of processes and in the evidence"),
    (139, "promql/held-state", "the breaker half-opens each minute, and the wait begins anew"),
    (179, "remedy/restart-evidence", "a restart to reset the breaker forgets what it saw"),
    (188, "escalation/no-contact", "no engineering team among the contacts"),
    (207, "sql/active-only", "misses idle in transaction, counts replication, knows no limit"),
    (227, "remedy/no-preview", "sessions are ended unseen"),
    (227, "remedy/terminate-scope", "also ends replication, vacuum, backups"),
    (250, "escalation/no-contact", "no database admin among the contacts"),
    (270, "promql/topk-by", "ranks inside each pair of ip and tenant, so ranks nothing"),
    (270, "promql/unbounded-label", "the attacker chooses how many series there are"),
    (295, "remedy/contradiction", "the words block, the call lifts the limit"),
    (333, "sql/select-star", "the whole audit log"),
    (369, "sql/policy-owner", "the owner of the table passes by"),
    (371, "sql/policy-empty", "an empty setting matches rows without a tenant"),
    (375, "escalation/no-contact", "no CTO, security lead or legal among the contacts"),
    (397, "promql/quantile-le", "a quantile for each instance"),
    (400, "promql/quantile-le", "a quantile for each instance"),
    (418, "promql/ratio-unaggregated", "a ratio for each series, none where labels differ or nothing moves"),
    (449, "escalation/no-contact", "no engineering team among the contacts"),
    (474, "promql/topk-by", "ranks inside each route"),
    (510, "escalation/no-contact", "no SRE team among the contacts"),
    (511, "escalation/no-contact", "no leadership among the contacts"),
]

# Rules in the forms that the words of the given runbook suggest.
AS_GIVEN = """groups:
- name: as-given
  rules:
  - alert: HighErrorRate
    expr: sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.10
    for: 15m
    labels: {severity: P1}
  - alert: ServiceDown
    expr: probe_success == 0
    for: 2m
    labels: {severity: P0}
  - alert: CircuitBreakerOpen
    expr: circuit_breaker_state == 1
    for: 5m
    labels: {severity: P0}
  - alert: DatabaseConnectionPoolExhausted
    expr: sum(pg_stat_activity_count{state="active"}) > 95
    for: 5m
    labels: {severity: P0}
  - alert: SuspiciousAuthActivity
    expr: topk(10, rate(auth_attempts_total{status="failed"}[5m])) by (ip, tenant_id) > 5
    for: 5m
    labels: {severity: P0}
  - alert: TenantIsolationViolation
    expr: increase(tenant_isolation_violations_total[5m]) > 0
    labels: {severity: P0}
  - alert: HighRAGLatency
    expr: histogram_quantile(0.99, rate(rag_query_duration_seconds_bucket[5m])) > 5
    for: 10m
    labels: {severity: P1}
  - alert: APIAvailabilityLow
    expr: 1 - rate(http_requests_total{status=~"5.."}[5m]) / rate(http_requests_total[5m]) < 0.999
    for: 5m
    labels: {severity: P0}
"""

AS_GIVEN_DEFECTS = {
    ("runbook-as-given.md", 18, "words/severity"),
    ("runbook-as-given.md", 19, "words/threshold"),
    ("runbook-as-given.md", 19, "words/for"),
    ("runbook-as-given.md", 196, "words/threshold"),
    ("runbook-as-given.md", 385, "words/threshold"),
    ("rules.yml", 9, "promql/held-state"),
    ("rules.yml", 13, "promql/held-state"),
    ("rules.yml", 21, "promql/topk-by"),
    ("rules.yml", 21, "promql/unbounded-label"),
    ("rules.yml", 25, "promql/first-increase"),
    ("rules.yml", 28, "promql/quantile-le"),
    ("rules.yml", 32, "promql/ratio-unaggregated"),
    ("rules.yml", 32, "promql/no-traffic-floor"),
}


def test_every_defect_of_the_given_runbook_is_found_at_its_line() -> None:
    """Nothing more and nothing less than what was checked by hand."""
    report = lint(Subject(runbooks=(read_runbook(GIVEN),)), today=TODAY)
    assert [(d.line, d.rule) for d in report.defects] == [(line, rule) for line, rule, _ in DEFECTS]


def test_what_is_quoted_stands_at_that_line() -> None:
    """A person who goes to the line finds the words of the finding there."""
    rows = GIVEN.read_text(encoding="utf-8").splitlines()
    for defect in lint(Subject(runbooks=(read_runbook(GIVEN),)), today=TODAY).defects:
        words = (defect.runbook_says or "").replace("*", "").split("\n")[0]
        assert words in rows[defect.line - 1].replace("*", ""), defect


def test_rules_written_as_the_words_ask_are_found_as_well() -> None:
    """Both sides are named: what the runbook says, and what the rule says."""
    subject = Subject(runbooks=(read_runbook(GIVEN),), files=(parse_rules(AS_GIVEN, path="rules.yml"),))
    report = lint(subject, today=TODAY)
    of_text = {(line, rule) for line, rule, _ in DEFECTS}
    new = {
        (Path(d.file).name, d.line, d.rule)
        for d in report.defects
        if d.file == "rules.yml" or (d.line, d.rule) not in of_text
    }
    assert new == AS_GIVEN_DEFECTS
    for defect in report.defects:
        if defect.rule.startswith("words/"):
            assert defect.runbook_says
            assert (defect.rule_says or "").startswith("rules.yml:")


@pytest.mark.parametrize(
    ("more", "rule_id"),
    [
        ("", "promql/silent-when-gone"),
        ("", "promql/no-traffic-floor"),
        ("  - alert: Gone\n    expr: up == 0\n", "promql/no-traffic-floor"),
    ],
)
def test_an_error_ratio_alone_is_silent_in_an_outage_and_loud_at_night(more: str, rule_id: str) -> None:
    """Without a rule that watches the target, and without a floor of traffic."""
    ratio = 'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.05'
    rules = {defect.rule for defect in found(rules=rule(ratio, lasting="5m", severity="P0") + more)}
    assert rule_id in rules
    assert ("promql/silent-when-gone" in rules) is not bool(more)
