"""The words of a runbook against its rules: agree, disagree, or not comparable. Labelled by hand, pair by pair."""

from __future__ import annotations

import pytest

from proof import entry, found, one_rule, rule, subject
from responder.runbooks.lint.severities import same_severity
from responder.runbooks.lint.words import compare

YES, NO, UNSURE = "agree", "disagree", "not comparable"

ERRORS = 'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'
GOOD = 'sum(rate(http_requests_total{status!~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'
P95 = "histogram_quantile(0.95, sum by (le) (rate(rag_query_duration_seconds_bucket[5m])))"
P99 = "histogram_quantile(0.99, sum by (le) (rate(rag_query_duration_seconds_bucket[5m])))"

THRESHOLDS = [
    # A percentage against a ratio.
    (">5% error rate", f"{ERRORS} > 0.05", YES),
    (">5% error rate", f"{ERRORS} >= 0.05", YES),
    (">5% error rate", f"0.05 < {ERRORS}", YES),
    (">5% error rate", f"100 * {ERRORS} > 5", YES),
    (">5% error rate", f"{ERRORS} * 100 > 5", YES),
    (">5% error rate", f"({ERRORS}) > (5 / 100)", YES),
    (">5% error rate", f"{ERRORS} > 0.10", NO),
    (">5% error rate", f"{ERRORS} > 5", NO),
    (">5% error rate", f"100 * {ERRORS} > 0.05", NO),
    (">5% error rate", f"{ERRORS} < 0.05", NO),
    ("more than 5% of requests fail", f"{ERRORS} > 0.05", YES),
    ("error rate above 5%", f"{ERRORS} > 0.01", NO),
    ("error rate exceeds 2.5%", f"{ERRORS} > 0.025", YES),
    (">5% error rate", "job:errors:ratio_rate5m > 0.05", YES),
    (">5% error rate", "job:errors:ratio_rate5m > 0.02", NO),
    (">5% error rate", "job:errors:percent > 5", YES),
    (">5% error rate", f"{ERRORS} > (14.4 * 0.001)", NO),
    (">1.44% error rate", f"{ERRORS} > (14.4 * 0.001)", YES),
    (">5% error rate", "sum(rate(http_requests_total[5m])) > 10", UNSURE),
    (">5% error rate", P95 + " > 0.5", UNSURE),
    # What is left of the whole.
    ("<99.9% availability", f"1 - {ERRORS} < 0.999", YES),
    ("<99.9% availability", f"(1 - {ERRORS}) * 100 < 99.9", YES),
    ("<99.9% availability", f"{ERRORS} > 0.001", YES),
    ("<99.9% availability", f"100 * {ERRORS} > 0.1", YES),
    ("<99.9% availability", f"{GOOD} < 0.999", YES),
    ("<99.9% availability", f"{GOOD} < 0.99", NO),
    ("<99.9% availability", f"{ERRORS} > 0.01", NO),
    ("<99.9% availability", f"{ERRORS} > 1 - 0.999", YES),
    ("<99.9% availability", f"1 - {ERRORS} < 0.99", NO),
    (">5% error rate", f"{GOOD} < 0.95", YES),
    (">5% error rate", f"{GOOD} < 0.99", NO),
    (">90% disk used", "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.1", YES),
    (">90% disk used", "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.2", NO),
    (">90% disk used", "1 - node_filesystem_avail_bytes / node_filesystem_size_bytes > 0.9", YES),
    ("<10% disk free", "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.1", YES),
    (">90% CPU", '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5m])) > 0.9', YES),
    (">90% CPU", '100 - (avg(rate(node_cpu_seconds_total{mode="idle"}[5m])) * 100) > 90', YES),
    (">80% of the limit", "container_memory_bytes > 0.8 * container_limit_bytes", YES),
    (">80% of the limit", "container_memory_bytes > 0.9 * container_limit_bytes", NO),
    (">80% of the limit", "0.8 * container_limit_bytes < container_memory_bytes", YES),
    # Counts, folded.
    (">0 violations", "increase(tenant_isolation_violations_total[5m]) > 0", YES),
    (">0 violations", "increase(tenant_isolation_violations_total[5m]) >= 1", YES),
    (">0 violations", "increase(tenant_isolation_violations_total[5m]) != 0", YES),
    (">0 violations", "sum(increase(tenant_isolation_violations_total[5m])) > 10", NO),
    (">90 active connections", "sum(pg_stat_activity_count) > 90", YES),
    (">90 active connections", "sum(pg_stat_activity_count) > 95", NO),
    (">90 active connections", "sum(pg_stat_activity_count) / pg_settings_max_connections > 0.9", UNSURE),
    (">90 active connections", "rate(connections_total[5m]) > 90", UNSURE),
    (">500 jobs waiting", "sum(queue_jobs) > 5 * 100", YES),
    (">500 jobs waiting", "sum(queue_jobs) > 5 * 10", NO),
    (">1,000 jobs waiting", "sum(queue_jobs) > 1e3", YES),
    ("at least 3 pods down", "count(up == 0) > 2", YES),
    ("at least 3 pods down", "count(up == 0) >= 3", YES),
    ("fewer than 1 leader", "sum(leader) == 0", YES),
    ("fewer than 3 replicas", "sum(replicas) < 3", YES),
    ("fewer than 3 replicas", "sum(replicas) < 2", NO),
    (">5 restarts", "count(pods > 5) > 2", YES),
    (">5 restarts", "count(pods > 7) > 2", UNSURE),
    (">5 restarts", "(restarts > bool 5) == 1", YES),
    (">5 restarts", "(restarts > bool 7) == 1", NO),
    (">10 failures in 5 minutes", "sum(increase(failures_total[5m])) > 10", YES),
    (">10 failures in 5 minutes", "sum(increase(failures_total[5m])) > 20", NO),
    (">10 failures in 5 minutes", "sum(increase(failures_total[1m])) > 2", UNSURE),
    (">10 failures within the last hour", "sum(increase(failures_total[1h])) > 10", YES),
    # Per second, per minute.
    (">5 failed auth attempts/sec", 'sum(rate(auth_attempts_total{status="failed"}[5m])) > 5', YES),
    (">5 failed auth attempts per second", 'sum(rate(auth_attempts_total{status="failed"}[5m])) > 5', YES),
    (">5 failed auth attempts/sec", 'sum(rate(auth_attempts_total{status="failed"}[5m])) > 50', NO),
    (">5 failed auth attempts/sec", 'sum(increase(auth_attempts_total{status="failed"}[5m])) > 1500', YES),
    (">5 failed auth attempts/sec", 'sum(increase(auth_attempts_total{status="failed"}[5m])) > 5', NO),
    (">300 requests per minute", "sum(rate(http_requests_total[5m])) > 5", YES),
    (">300 requests per minute", "sum(rate(http_requests_total[5m])) * 60 > 300", YES),
    (">300 requests/min", "sum(rate(http_requests_total[5m])) > 300", NO),
    ("<100,000 documents/minute", "rate(documents_total[1m]) < 1666", YES),
    ("<100,000 documents/minute", "rate(documents_total[1m]) < 1600", NO),
    (">300 requests/min", "sum(increase(http_requests_total[1m])) > 300", YES),
    (">5 failed auth attempts/sec", f"{ERRORS} > 0.05", UNSURE),
    # Times and quantiles.
    ("p95 > 5 seconds", f"{P95} > 5", YES),
    ("p95 > 5 seconds", f"5 < {P95}", YES),
    ("p95 > 5 seconds", f"{P95} > 10", NO),
    ("p95 > 5 seconds", f"{P99} > 5", NO),
    ("p99 > 5 seconds", f"{P99} > 5", YES),
    ("p95 > 5000 ms", f"{P95} > 5", YES),
    ("p95 > 500 ms", f"{P95} > 0.5", YES),
    ("p95 > 500 ms", f"{P95} > 500", NO),
    (
        "p95 > 500 ms",
        "histogram_quantile(0.95, sum by (le) (rate(rag_duration_milliseconds_bucket[5m]))) > 500",
        YES,
    ),
    ("p95 > 5 seconds", 'rpc_duration_seconds{quantile="0.95"} > 5', YES),
    ("p95 > 5 seconds", 'rpc_duration_seconds{quantile="0.5"} > 5', NO),
    ("95th percentile latency above 5 seconds", f"{P95} > 5", YES),
    ("median latency above 1 second", f"{P95} > 1", NO),
    ("latency above 5 seconds", f"{P95} > 5", YES),
    ("p95 > 5 seconds", "rate(rag_seconds_sum[5m]) / rate(rag_seconds_count[5m]) > 5", UNSURE),
    ("average latency above 2 seconds", "rate(rag_seconds_sum[5m]) / rate(rag_seconds_count[5m]) > 2", YES),
    ("average latency above 2 seconds", f"{P95} > 2", UNSURE),
    (
        "p95 > 5 seconds",
        'sum(rate(rag_seconds_bucket{le="5"}[5m])) / sum(rate(rag_seconds_count[5m])) < 0.95',
        YES,
    ),
    ("older than 1 day", "time() - backup_last_success_timestamp_seconds > 24*60*60", UNSURE),
    ("backup age > 1 day", "time() - backup_last_success_timestamp_seconds > 24*60*60", YES),
    ("backup age > 1 day", "time() - backup_last_success_timestamp_seconds > 2 * 24 * 3600", NO),
    ("backup age > 24 hours", "(time() - backup_last_success_timestamp_seconds) / 3600 > 24", YES),
    ("certificate expires in < 14 days", "(ssl_not_after_seconds - time()) / 86400 < 14", YES),
    ("certificate expires in < 2 weeks", "ssl_not_after_seconds - time() < 14 * 86400", YES),
    ("certificate expires in < 14 days", "ssl_not_after_seconds - time() < 7 * 86400", NO),
    # Bytes.
    ("memory > 1 GB", "process_resident_memory_bytes > 1024^3", YES),
    ("memory > 1 GB", "process_resident_memory_bytes > 1e9", YES),
    ("memory > 1 GiB", "process_resident_memory_bytes > 1e9", NO),
    ("memory > 1.5 GiB", "process_resident_memory_bytes / 1024 / 1024 > 1536", YES),
    ("memory > 512 MB", "process_resident_memory_bytes > 2 * 1024^3", NO),
    ("volume > 2 TB", "volume_used_bytes > 2 * 1024^4", YES),
    ("traffic > 10 MB/s", "rate(node_network_receive_bytes_total[5m]) > 10 * 1024 * 1024", YES),
    ("traffic > 10 MB/s", "node_network_speed_bytes > 10 * 1024 * 1024", UNSURE),
    ("traffic > 100 Mbps", "rate(node_network_receive_bytes_total[5m]) > 100", UNSURE),
    # Guards beside it, and tiers.
    (">5% error rate", f"{ERRORS} > 0.05 and sum(rate(http_requests_total[5m])) > 0.2", YES),
    (">5% error rate", f"{ERRORS} > 0.2 and sum(rate(http_requests_total[5m])) > 0.05", NO),
    (">5% error rate", f"({ERRORS} > 0.05) unless on() (maintenance == 1)", YES),
    (">5% error rate", f"({ERRORS} > 0.01) unless ({ERRORS} > 0.05)", NO),
    (">5% error rate", f"{ERRORS} > 0.05 or absent(http_requests_total)", YES),
    (">90 active connections", "sum(connections) > 90 and sum(waiting) > 0", YES),
    (">90 active connections", "sum(connections) > 80 and sum(waiting) > 0", UNSURE),
    # States, and what nobody can compare.
    ("Circuit breaker open", "circuit_breaker_state == 1", UNSURE),
    ("Health check failing", "probe_success == 0", UNSURE),
    (">5% error rate", "errors > on() group_left limits", UNSURE),
    ("> 30 °C", "room_temperature_celsius > 40", UNSURE),
]


@pytest.mark.parametrize(("words", "expr", "answer"), THRESHOLDS)
def test_a_threshold_in_words_against_an_expression(words: str, expr: str, answer: str) -> None:
    """Constants are folded, units converted, complements known; what may be a guard proves nothing."""
    assert _answers(entry(threshold=words), rule(expr))["threshold"] == answer


LASTING = [
    (">5 jobs for 5 minutes", "sum(jobs) > 5", "5m", YES),
    (">5 jobs for 5 min", "sum(jobs) > 5", "300s", YES),
    (">5 jobs for 1 hour", "sum(jobs) > 5", "60m", YES),
    (">5 jobs for 90 seconds", "sum(jobs) > 5", "1m30s", YES),
    (">5 jobs for 5 minutes", "sum(jobs) > 5", "10m", NO),
    (">5 jobs for 5 minutes", "sum(jobs) > 5", "", NO),
    (">5 jobs for 5 minutes", "avg_over_time(jobs[5m]) > 5", "", YES),
    (">5 jobs for 5 minutes", "avg_over_time(jobs[5m]) > 5", "30s", YES),
    (">5 jobs for 10 minutes", "avg_over_time(jobs[5m]) > 5", "5m", YES),
    (">5 jobs for 5 minutes", "sum(rate(jobs_total[5m])) > 5", "15m", NO),
    (">5 jobs for 10 minutes", "sum(rate(jobs_total[5m])) > 5", "1m", NO),
    (">5 jobs", "sum(jobs) > 5", "5m", UNSURE),
    ("Circuit breaker open for 5 minutes", 'avg_over_time(circuit_breaker_state{state="open"}[5m]) > 0.5', "", YES),
    ("Health check failing for 2 minutes", "avg_over_time(probe_success[2m]) < 0.5", "", YES),
    ("Health check failing for 2 minutes", "avg_over_time(probe_success[10m]) < 0.5", "", NO),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expr", "lasting", "answer"), LASTING)
def test_for_in_words_against_for_and_windows(words: str, expr: str, lasting: str, answer: str) -> None:
    """`for 5 minutes` is `for: 5m`, a window of 5 minutes, or both together."""
    assert _answers(entry(threshold=words), rule(expr, lasting=lasting))["for"] == answer


SEVERITIES = [
    ("Critical (P0)", "P0", YES),
    ("Critical (P0)", "critical", YES),
    ("Critical (P0)", "page", YES),
    ("Critical (P0)", "SEV1", YES),
    ("Critical (P0)", "warning", NO),
    ("Critical (P0)", "P1", NO),
    ("Critical (P0)", "ticket", NO),
    ("Critical (P0)", "info", NO),
    ("Warning (P1)", "P1", YES),
    ("Warning (P1)", "warning", YES),
    ("Warning (P1)", "P0", NO),
    ("Warning (P1)", "critical", NO),
    ("Warning (P1)", "page", UNSURE),
    ("Warning", "ticket", UNSURE),
    ("P0", "critical", YES),
    ("P0", "page", YES),
    ("P0", "warning", NO),
    ("P1", "critical", UNSURE),
    ("P1", "warning", UNSURE),
    ("P1", "SEV1", UNSURE),
    ("P3", "critical", NO),
    ("SEV-1", "critical", YES),
    ("SEV-1", "sev1", YES),
    ("SEV-2", "sev1", NO),
    ("Sev 2", "sev2", YES),
    ("s1", "critical", YES),
    ("Page", "critical", YES),
    ("Page", "ticket", NO),
    ("ticket", "critical", NO),
    ("High", "critical", UNSURE),
    ("High", "low", NO),
    ("Low", "critical", NO),
    ("Major", "minor", NO),
    ("warn", "warning", YES),
    ("Informational", "info", YES),
    ("P0 if users affected, P1 if fallback working", "P1", YES),
    ("depends", "critical", UNSURE),
    ("Critical", "{{ $labels.severity }}", UNSURE),
    ("Critical", "team-a", UNSURE),
]


@pytest.mark.parametrize(("words", "label", "answer"), SEVERITIES)
def test_a_severity_in_words_against_a_label(words: str, label: str, answer: str) -> None:
    """Every team has its own words: those of one scheme are compared, the highest of each mean the same."""
    assert same_severity(words, label) == answer


def test_one_tier_that_carries_the_words_is_enough() -> None:
    """Several rules of one name: the documented tier agrees, and the others may be stricter."""
    tiers = rule(f"{ERRORS} > 0.05", lasting="5m", severity="P0")
    tiers += one_rule(f"{ERRORS} > 0.5", lasting="30s", severity="P0")
    assert _answers(entry(severity="Critical (P0)", threshold=">5% errors for 5 minutes"), tiers) == {
        "severity": YES, "threshold": YES, "for": YES,
    }  # fmt: skip


def test_no_tier_that_carries_the_words_is_a_finding_with_both_sides() -> None:
    """The line of the words, the words themselves, and what the rule says, with its own line."""
    runbook = entry(severity="Critical (P0)", threshold=">5% errors for 5 minutes")
    rules = rule(f"{ERRORS} > 0.1", lasting="15m", severity="warning")
    wrong = {defect.rule: defect for defect in found(runbook, rules) if defect.rule.startswith("words/")}
    assert {(d.rule, d.file, d.line) for d in wrong.values()} == {
        ("words/severity", "runbook.md", 4), ("words/threshold", "runbook.md", 5), ("words/for", "runbook.md", 5),
    }  # fmt: skip
    assert wrong["words/severity"].runbook_says == "Critical (P0)"
    assert wrong["words/severity"].rule_says == "rules.yml:4 severity: warning"
    assert wrong["words/threshold"].runbook_says == ">5% errors for 5 minutes"
    assert wrong["words/threshold"].rule_says == f"rules.yml:5 {ERRORS} > 0.1"
    assert "5%" in wrong["words/threshold"].message
    assert "10%" in wrong["words/threshold"].message
    assert wrong["words/for"].rule_says == "rules.yml:4 for: 15 min"


def test_a_recording_rule_is_written_out_before_it_is_compared() -> None:
    """The alert reads a name; what is behind the name decides."""
    recorded = f"groups:\n- name: g\n  rules:\n  - record: job:errors\n    expr: {ERRORS}\n"
    alert = one_rule("job:errors > 0.1")
    assert _answers(entry(threshold=">5% errors"), recorded + alert)["threshold"] == NO


def _answers(runbook: str, rules: str) -> dict[str, str]:
    return {answer.fact: str(answer.comparison) for answer in compare(subject(runbook, rules))}
