"""Each check of PromQL on expressions that are wrong, and on those that look alike and are right. Labelled by hand."""

from __future__ import annotations

import pytest

from proof import entry, found, one_rule, query, rule

# Of a runbook's own query: the check, the query, whether it is wrong.
QUERIES = [
    ("promql/syntax", "rate(http_requests_total[5m", True),
    ("promql/syntax", "sum(rate(x_total[5m])", True),
    ("promql/syntax", "rat(x_total[5m])", True),
    ("promql/syntax", "rate(x_total)", True),
    ("promql/syntax", "x_total >/ 3", True),
    ("promql/syntax", "sum by route (x_total)", True),
    ("promql/syntax", "sum(rate(x_total[5m])) by (route)", False),
    ("promql/syntax", "holt_winters(x[5m], 0.5, 0.5)", False),
    ("promql/syntax", 'x_total{a="b",}', False),
    ("promql/syntax", "rate(x_total[5m] smoothed)", False),
    ("promql/syntax", "1_000 * x_total", False),
    ("promql/syntax", '{"a.dotted.name"}', False),
    ("promql/syntax", "max_over_time((a / b)[1h:1m])", False),
    ("promql/syntax", "x_total @ end() offset -5m", False),
    ("promql/syntax", "rate(x_total[$__rate_interval])", False),
    ("promql/topk-by", "topk(10, rate(x_total[5m])) by (ip, tenant_id)", True),
    ("promql/topk-by", "topk(5, rate(x_total[5m])) by (route)", True),
    ("promql/topk-by", "topk by (route) (5, rate(x_total[5m]))", True),
    ("promql/topk-by", "bottomk(3, x) by (pod)", True),
    ("promql/topk-by", "max(topk(3, rate(x_total[5m])) by (route))", True),
    ("promql/topk-by", "topk(10, sum by (route) (rate(x_total[5m])))", False),
    ("promql/topk-by", "topk(10, rate(x_total[5m]))", False),
    ("promql/topk-by", "topk(1, x) by (instance)", False),
    ("promql/topk-by", "topk(3, sum by (node, pod) (x)) by (node)", False),
    ("promql/topk-by", "sum(rate(x_total[5m])) by (route)", False),
    ("promql/topk-by", "topk(5, x) without (instance)", False),
    ("promql/ratio-unaggregated", 'rate(x_total{code=~"5.."}[5m]) / rate(x_total[5m])', True),
    ("promql/ratio-unaggregated", '100 * rate(x_total{code=~"5.."}[5m]) / rate(x_total[5m])', True),
    ("promql/ratio-unaggregated", '1 - rate(x_total{code=~"5.."}[5m]) / rate(x_total[5m])', True),
    ("promql/ratio-unaggregated", 'rate(x_total{code=~"5.."}[5m]) / sum(rate(x_total[5m]))', True),
    ("promql/ratio-unaggregated", "rate(hits_total[5m]) / (rate(hits_total[5m]) + rate(misses_total[5m]))", True),
    ("promql/ratio-unaggregated", "increase(a_total[1h]) / (increase(a_total[1h]) + increase(b_total[1h]))", True),
    ("promql/ratio-unaggregated", 'sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m]))', False),
    ("promql/ratio-unaggregated", "sum(rate(h_total[5m])) / (sum(rate(h_total[5m])) + sum(rate(m_total[5m])))", False),
    ("promql/ratio-unaggregated", "rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m])", False),
    ("promql/ratio-unaggregated", "rate(x_total[5m]) / rate(x_total[5m] offset 1d)", False),
    ("promql/ratio-unaggregated", "rate(x_total[5m]) / rate(x_total[1h])", False),
    ("promql/ratio-unaggregated", "a_bytes / b_bytes", False),
    ("promql/ratio-unaggregated", 'rate(x_total{code="500"}[5m]) / ignoring(code) sum without (code) (rate(x_total[5m]))', False),
    ("promql/ratio-unaggregated", "rate(x_total[5m]) / 60", False),
    ("promql/ratio-unaggregated", "rate(x_total[5m]) / on() group_left() sum(rate(x_total[5m]))", False),
    ("promql/rate-of-gauge", "rate(up[5m])", True),
    ("promql/rate-of-gauge", "increase(process_resident_memory_bytes[1h])", True),
    ("promql/rate-of-gauge", "rate(node_memory_MemAvailable_bytes[5m])", True),
    ("promql/rate-of-gauge", "irate(room_temperature_celsius[5m])", True),
    ("promql/rate-of-gauge", "sum(rate(circuit_breaker_state[5m]))", True),
    ("promql/rate-of-gauge", "rate(backup_last_success_timestamp_seconds[1h])", True),
    ("promql/rate-of-gauge", "rate(http_requests_total[5m])", False),
    ("promql/rate-of-gauge", "rate(node_network_receive_bytes_total[5m])", False),
    ("promql/rate-of-gauge", "deriv(process_resident_memory_bytes[1h])", False),
    ("promql/rate-of-gauge", "delta(room_temperature_celsius[1h])", False),
    ("promql/rate-of-gauge", "rate(x_seconds_sum[5m])", False),
    ("promql/rate-of-gauge", "avg_over_time(up[5m])", False),
    ("promql/rate-of-gauge", "changes(circuit_breaker_state[1h])", False),
    ("promql/rate-of-gauge", "rate(state_changes_total[5m])", False),
    ("promql/unbounded-label", "sum by (ip) (rate(auth_attempts_total[5m]))", True),
    ("promql/unbounded-label", 'auth_attempts_total{client_ip="10.0.0.1"}', True),
    ("promql/unbounded-label", "count by (user_id) (sessions)", True),
    ("promql/unbounded-label", "topk(10, sum by (remote_addr) (rate(x_total[5m])))", True),
    ("promql/unbounded-label", 'errors_total{request_id!=""}', True),
    ("promql/unbounded-label", "sum by (tenant_id) (rate(auth_attempts_total[5m]))", False),
    ("promql/unbounded-label", 'up{instance="10.0.0.1:9090"}', False),
    ("promql/unbounded-label", "sum by (pod_ip_family) (x)", False),
    ("promql/unbounded-label", "sum by (route, status) (rate(http_requests_total[5m]))", False),
    ("promql/unbounded-label", 'x_total{job="ip"}', False),
]  # fmt: skip

B = "rag_query_duration_seconds_bucket"

# Of a quantile: in an investigation of a p95, and in a rule that is about the service.
QUANTILES = [
    (f"histogram_quantile(0.95, rate({B}[5m]))", True),
    (f"histogram_quantile(0.95, increase({B}[5m]))", True),
    (f"histogram_quantile(0.95, sum by (job) (rate({B}[5m])))", True),
    (f"histogram_quantile(0.95, sum(rate({B}[5m])))", True),
    (f"histogram_quantile(0.95, sum without (le) (rate({B}[5m])))", True),
    (f"1000 * histogram_quantile(0.95, rate({B}[5m]))", True),
    (f"histogram_quantile(0.95, sum by (le) (rate({B}[5m])))", False),
    (f"histogram_quantile(0.95, sum(rate({B}[5m])) by (le, job))", False),
    (f"histogram_quantile(0.95, sum without (instance) (rate({B}[5m])))", False),
    ("histogram_quantile(0.95, sum(rate(rag_query_duration_seconds[5m])))", False),
    (f"histogram_quantile(0.95, max by (le) (rate({B}[5m])))", False),
    (f"sum(rate({B}[5m])) by (le)", False),
]

V = "violations_total"
ABOVE = 'sum(rate(x_total{code=~"5.."}[5m]))'
RATIO = f"{ABOVE} / sum(rate(x_total[5m]))"

# Of a rule: the check, the expression, how long it must hold, its severity, whether it is wrong.
RULES = [
    ("promql/first-increase", "increase(violations_total[5m]) > 0", "", "P0", True),
    ("promql/first-increase", "sum(increase(violations_total[5m])) > 0", "", "critical", True),
    ("promql/first-increase", "sum by (tenant_id) (increase(violations_total[1h])) >= 1", "", "page", True),
    ("promql/first-increase", "increase(violations_total[5m]) != 0", "", "P0", True),
    ("promql/first-increase", "0 < increase(violations_total[5m])", "", "P0", True),
    ("promql/first-increase", "increase(job_failures_count[5m]) > 0", "", "", True),
    ("promql/first-increase", f"({V} unless {V} offset 15m) > 0 or increase({V}[15m]) > 0", "", "P0", False),
    ("promql/first-increase", "increase(violations_total[5m]) > 10", "", "P0", False),
    ("promql/first-increase", "violations_total > 0", "", "P0", False),
    ("promql/first-increase", "increase(failures_total[5m]) > 0", "", "warning", False),
    ("promql/first-increase", "increase(failures_total[1h]) > 5 and increase(failures_total[5m]) > 0", "", "P0", False),
    ("promql/first-increase", "increase(kube_pod_container_status_restarts_total[1h]) > 0", "", "P0", False),
    ("promql/first-increase", "increase(active_sessions[5m]) > 0", "", "P0", False),
    ("promql/held-state", "circuit_breaker_state == 1", "5m", "P0", True),
    ("promql/held-state", 'circuit_breaker_state{state="open"} > 0', "5m", "P0", True),
    ("promql/held-state", "max by (breaker) (circuit_breaker_open) == 1", "5m", "P0", True),
    ("promql/held-state", "probe_success == 0", "2m", "P0", True),
    ("promql/held-state", "probe_success < 1", "2m", "P0", True),
    ("promql/held-state", "health_check_ok != 1", "10m", "P0", True),
    ("promql/held-state", "avg_over_time(probe_success[2m]) < 0.5", "2m", "P0", False),
    ("promql/held-state", 'avg_over_time(circuit_breaker_state{state="open"}[5m]) > 0.5', "1m", "P0", False),
    ("promql/held-state", "probe_success == 0", "", "P0", False),
    ("promql/held-state", "probe_success == 0", "30s", "P0", False),
    ("promql/held-state", "up == 0", "5m", "P0", False),
    ("promql/held-state", "ceph_health_status == 2", "5m", "P0", False),
    ("promql/held-state", "max_over_time(circuit_breaker_state[5m]) == 1", "5m", "P0", False),
    ("promql/held-state", "increase(circuit_breaker_trips_total[5m]) > 0", "5m", "P0", False),
    ("promql/held-state", "circuit_breaker_tripped_count > 0", "5m", "P0", False),
    ("promql/held-state", "avg(probe_success) < 0.9", "5m", "P0", False),
    ("promql/no-traffic-floor", f"{RATIO} > 0.05", "5m", "P0", True),
    ("promql/no-traffic-floor", f"100 * {RATIO} > 5", "", "critical", True),
    ("promql/no-traffic-floor", "sum(rate(jobs_failed_total[5m])) / sum(rate(jobs_total[5m])) > 0.1", "5m", "page", True),
    ("promql/no-traffic-floor", f"1 - {RATIO} < 0.999", "5m", "P0", True),
    ("promql/no-traffic-floor", f"{RATIO} > 0.05 and sum(rate(x_total[5m])) > 0", "5m", "P0", True),
    ("promql/no-traffic-floor", f"({RATIO} > 0) > 0.05", "5m", "P0", True),
    ("promql/no-traffic-floor", f"{RATIO} > 0.05 and sum(rate(x_total[5m])) > 0.2", "5m", "P0", False),
    ("promql/no-traffic-floor", f"{RATIO} > 0.05 and sum(increase(x_total[5m])) >= 60", "5m", "P0", False),
    ("promql/no-traffic-floor", f"{ABOVE} / clamp_min(sum(rate(x_total[5m])), 1) > 0.05", "5m", "P0", False),
    ("promql/no-traffic-floor", f"{ABOVE} / (sum(rate(x_total[5m])) > 0.2) > 0.05", "5m", "P0", False),
    ("promql/no-traffic-floor", f"{RATIO} > 0.05", "15m", "P0", False),
    ("promql/no-traffic-floor", f"{RATIO} > 0.05", "5m", "warning", False),
    ("promql/no-traffic-floor", "errors / requests > 0.05", "5m", "P0", False),
    ("promql/no-traffic-floor", "disk_used_bytes / disk_size_bytes > 0.9", "5m", "P0", False),
    ("promql/no-traffic-floor", "rate(override_total[5m]) / rate(deferred_total[5m]) > 0.9", "5m", "P0", False),
    ("promql/no-traffic-floor", f"{RATIO} > 0.0144 and {RATIO.replace('5m', '1h')} > 0.0144", "", "P0", False),
    ("promql/silent-when-gone", f"{RATIO} > 0.05", "5m", "P0", True),
    ("promql/silent-when-gone", f"100 * {RATIO} > 5", "5m", "critical", True),
    ("promql/silent-when-gone", f"1 - {RATIO} < 0.999", "5m", "page", True),
    ("promql/silent-when-gone", "sum(rate(jobs_failed_total[5m])) / sum(rate(jobs_total[5m])) > 0.1", "5m", "", True),
    ("promql/silent-when-gone", f"{RATIO} > 0.05 and sum(rate(x_total[5m])) > 1", "5m", "P0", True),
    ("promql/silent-when-gone", f"{RATIO} > 0.05 or absent(x_total)", "5m", "P0", False),
    ("promql/silent-when-gone", f"{RATIO} > 0.05 or up == 0", "5m", "P0", False),
    ("promql/silent-when-gone", f"{RATIO} > 0.05", "5m", "warning", False),
    ("promql/silent-when-gone", "sum(rate(x_total[5m])) > 100", "5m", "P0", False),
    ("promql/silent-when-gone", "disk_used_bytes / disk_size_bytes > 0.9", "5m", "P0", False),
    ("promql/silent-when-gone", "rate(hits_total[5m]) / rate(lookups_total[5m]) < 0.5", "5m", "P0", False),
]  # fmt: skip


@pytest.mark.parametrize(("check", "expr", "wrong"), QUERIES)
def test_a_query_of_an_investigation(check: str, expr: str, wrong: bool) -> None:
    """What is wrong is found, at its line; what only looks like it is left alone."""
    defects = [d for d in found(query("promql", expr)) if d.rule == check]
    assert [(d.file, d.line, d.runbook_says) for d in defects] == (
        [("runbook.md", 10, expr)] if wrong else []
    )


@pytest.mark.parametrize(("expr", "wrong"), QUANTILES)
def test_a_quantile_in_an_investigation_and_in_a_rule(expr: str, wrong: bool) -> None:
    """A quantile of the service needs the buckets of all instances summed, with their label le."""
    runbook = query("promql", expr).replace(
        "**Alert:** `Fault`  ", "**Alert:** `Fault`  \n**Threshold:** p95 > 5 seconds  "
    )
    for defects in (found(runbook), found(rules=rule(f"{expr} > 5"))):
        assert ("promql/quantile-le" in {d.rule for d in defects}) is wrong


def test_a_quantile_for_each_instance_may_be_meant() -> None:
    """A rule whose page names the instance, and an investigation that is not about a quantile."""
    expr = f"histogram_quantile(0.95, rate({B}[5m]))"
    named = rule(f"{expr} > 5") + "    annotations:\n      summary: 'slow on {{ $labels.instance }}'\n"
    for defects in (found(rules=named), found(query("promql", expr))):
        assert "promql/quantile-le" not in {d.rule for d in defects}


@pytest.mark.parametrize(("check", "expr", "lasting", "severity", "wrong"), RULES)
def test_an_alerting_rule(check: str, expr: str, lasting: str, severity: str, wrong: bool) -> None:
    """Alerts that would stay silent, or page for next to nothing; and those that do neither."""
    defects = [d for d in found(rules=rule(expr, lasting=lasting, severity=severity)) if d.rule == check]
    assert [(d.file, d.line, d.rule_says) for d in defects] == ([("rules.yml", 5, expr)] if wrong else [])


def test_a_rule_that_watches_the_target_speaks_for_the_ratio() -> None:
    """In the same files: `up == 0`, a probe, or absent()."""
    for watch in ("up == 0", "avg_over_time(probe_success[2m]) < 0.5", "absent(x_total)"):
        rules = rule(f"{RATIO} > 0.05", lasting="5m") + one_rule(watch, name="Gone")
        assert "promql/silent-when-gone" not in {d.rule for d in found(rules=rules)}


def test_words_that_ask_for_a_state_to_hold_are_told_until_a_rule_says_how() -> None:
    """Taken by its words, a breaker that half-opens each minute is never open for five."""
    runbook = entry(threshold="Circuit breaker open for 5 minutes")
    assert [(d.rule, d.line) for d in found(runbook)] == [("promql/held-state", 4)]
    share = rule('avg_over_time(circuit_breaker_state{state="open"}[5m]) > 0.5')
    assert "promql/held-state" not in {d.rule for d in found(runbook, share)}


def test_every_check_has_ten_expressions_or_more() -> None:
    """The tables stay wide enough to mean something."""
    counts: dict[str, int] = {"promql/quantile-le": len(QUANTILES)}
    for name in [*(row[0] for row in QUERIES), *(row[0] for row in RULES)]:
        counts[name] = counts.get(name, 0) + 1
    assert {name: n for name, n in counts.items() if n < 10} == {}
