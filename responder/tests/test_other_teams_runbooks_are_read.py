"""Runbooks in the dress of many teams, short and in our own words, each with the model that a person reads in it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import pytest

from responder.core.effect import Role
from responder.core.runbook import Action, AlertEntry, Kind, Runbook
from responder.runbooks import placeholders
from responder.runbooks.reader import parse_runbook


@dataclass(frozen=True)
class Expected:
    """An alert as a person reads it: `steps` and `remedies` are titles with the lines, kinds and decisions of their actions."""

    names: tuple[str, ...]
    severity: str | None = None
    threshold: tuple[str, float | None, int | None] | None = None
    steps: tuple[tuple[str, tuple[str, ...]], ...] = ()
    remedies: tuple[tuple[str, str, int | None, tuple[str, ...]], ...] = ()
    escalation: tuple[tuple[str, tuple[str, ...]], ...] = ()


def _actions(actions: tuple[Action, ...], role: Role) -> tuple[str, ...]:
    return tuple(f"{a.line} {a.kind} {a.decision(role, bound=frozenset()).runs}" for a in actions)


def _as_read(entry: AlertEntry) -> Expected:
    threshold = entry.threshold
    return Expected(
        names=entry.names,
        severity=entry.severity,
        threshold=(
            threshold.op,
            threshold.value,
            int(threshold.for_.total_seconds()) if threshold.for_ else None,
        )
        if threshold
        else None,
        steps=tuple((step.title, _actions(step.actions, Role.DIAGNOSIS)) for step in entry.steps),
        remedies=tuple(
            (
                g.label,
                g.axis,
                int(g.limit.total_seconds()) if g.limit else None,
                _actions(g.actions, Role.REMEDIATION),
            )
            for g in entry.remediation
        ),
        escalation=tuple((rule.trigger, rule.targets) for rule in entry.escalation),
    )


CASES: dict[str, tuple[str, str, tuple[Expected, ...]]] = {
    "names and severity under headings of their own": (
        "high-error-rate.md",
        """
        # Runbook: High Error Rate

        ## Alert Name
        `HighErrorRate`

        ## Severity
        **Critical** 🔴

        ## Symptom
        Requests fail.

        ## Quick Diagnosis (2 min)

        ### 1. Check pods
        ```bash
        kubectl get pods -n shop
        ```

        ## Common Causes & Remediation

        ### 1. Database
        **Symptoms:** refused connections

        ```bash
        kubectl rollout restart statefulset/db
        ```

        ## Escalation

        | Time | Action |
        |------|--------|
        | 15+ min | Page the DBA |
        """,
        (
            Expected(
                names=("HighErrorRate",),
                severity="Critical",
                steps=(("Check pods", ("16 shell auto",)),),
                remedies=(("1. Database", "cause", None, ("25 shell approval",)),),
                escalation=(("elapsed", ("DBA",)),),
            ),
        ),
    ),
    "a list of details, a query beside it, steps by heading": (
        "pool.md",
        """
        # Pool exhausted

        ## Alert Details

        - **Alert Name:** `DatabasePoolExhaustion`
        - **Severity:** 🔴 **SEV2**
        - **Threshold:** Active connections > 80% of max for 10m
        - **Expression:**
          ```promql
          db_active / db_max > 0.8
          ```

        ## Detailed Diagnosis

        ### Step 1: Look at the sessions
        ```sql
        SELECT state, count(*) FROM pg_stat_activity GROUP BY state;
        ```

        ## Resolution Procedures

        **Immediate (within 5 minutes):**
        ```sql
        SELECT pg_terminate_backend(4711);
        ```

        ## Verification
        ```bash
        curl -s http://127.0.0.1:3000/health
        ```
        """,
        (
            Expected(
                names=("DatabasePoolExhaustion",),
                severity="SEV2",
                threshold=(">", 80.0, 600),
                steps=(("Look at the sessions", ("17 sql auto",)),),
                remedies=(
                    ("Immediate (within 5 minutes)", "time", 300, ("24 sql approval",)),
                    ("Verification", "procedure", None, ("29 shell approval",)),
                ),
            ),
        ),
    ),
    "several alerts with labels in bold": (
        "auth-alerts.md",
        """
        # Authentication alerts

        ## Alerts

        ### AuthFailuresHigh (warning)
        **Trigger:** more than 10 failures per minute for 5 minutes

        **Why it matters:** somebody guesses passwords.

        **Immediate checks**
        - `sum by (reason) (increase(auth_failures_total[15m]))`

        **Response actions**
        1. Block the address at the edge.

        ### AuthBypass (critical)
        **Trigger:** `auth_bypass_total` increases.

        **Immediate checks**
        - Look at the proxy.
        """,
        (
            Expected(
                names=("AuthFailuresHigh",),
                severity="warning",
                threshold=(">", 10 / 60, 300),
                steps=(("sum by (reason) (increase(auth_failures_total[15m]))", ("11 promql auto",)),),
                remedies=(("Response actions", "procedure", None, ()),),
            ),
            Expected(
                names=("AuthBypass",),
                severity="critical",
                threshold=("state", None, None),
                steps=(("Look at the proxy.", ()),),
            ),
        ),
    ),
    "front matter and the four headings": (
        "KubeNodeDown.md",
        """
        ---
        title: KubeNodeDown
        severity: page
        ---

        ## Meaning
        The alert fires when a node has not answered for more than 5 minutes.

        ## Impact
        Less capacity.

        ## Diagnosis
        1. See the node:

           ```shell
           $ kubectl describe node <node>
           Name: n1
           ```

        2. Read its log: `journalctl -u kubelet -n 50`

        ## Mitigation
        Drain it: `kubectl drain <node>`
        """,
        (
            Expected(
                names=("KubeNodeDown",),
                severity="page",
                steps=(
                    ("See the node", ("16 shell never",)),
                    ("Read its log: journalctl -u kubelet -n 50", ("20 shell auto",)),
                ),
                remedies=(("Mitigation", "procedure", None, ("23 shell never",)),),
            ),
        ),
    ),
    "setext headings and a table of facts": (
        "disk.md",
        """
        Storage
        =======

        DiskFull
        --------

        | Alert | Severity | Condition |
        |-------|----------|-----------|
        | `DiskFull` | P1 | disk usage above 90% for 15 minutes |

        ### Investigate

        1. How full
           ```sh
           df -h
           ```

        ### What to do

        Delete old logs.
        """,
        (
            Expected(
                names=("DiskFull",),
                severity="P1",
                threshold=(">", 90.0, 900),
                steps=(("How full", ("15 shell auto",)),),
                remedies=(("What to do", "procedure", None, ()),),
            ),
        ),
    ),
    "an alert with its condition beside it": (
        "latency.md",
        """
        # Runbook: slow answers (Alert: ApiLatencyHigh)

        ## 🚨 Trigger Logic
        - **Condition**: `p99 > 2s` for 10 minutes.
        - **Severity**: Warning.

        ## 🔍 Investigation Steps

        1.  **Traces**
            - Open the slowest.

        ## 🛠 Mitigation Strategies

        - **Bad deployment**: roll back.

        ## 🛑 Escalation
        - If unable to resolve within 15 minutes, ping `@sre` in `#incidents` on Slack.
        """,
        (
            Expected(
                names=("ApiLatencyHigh",),
                severity="Warning",
                threshold=(">", 2.0, 600),
                steps=(("Traces", ()),),
                remedies=(("🛠 Mitigation Strategies", "procedure", None, ()),),
                escalation=(("elapsed", ("@sre",)),),
            ),
        ),
    ),
    "alerts named among the symptoms, everything in one list of steps": (
        "gpu.md",
        """
        # Runbook: GPU node failure

        ## Symptoms
        - Alert: `GpuErrors` or `GpuHot`

        ## Steps

        1. **Find the node**:
           ```bash
           kubectl get nodes -l gpu=true
           kubectl describe node <node-name>
           ```

        2. **Cordon it**:
           ```bash
           kubectl cordon gpu-1
           ```
        """,
        (
            Expected(
                names=("GpuErrors", "GpuHot"),
                steps=(("Find the node", ("10 shell never",)), ("Cordon it", ("16 shell approval",))),
            ),
        ),
    ),
    "a rule in YAML as the definition": (
        "queue.md",
        """
        # Queue backlog

        ## Alert definition
        ```yaml
        alert: QueueBacklog
        expr: queue_depth > 1000
        for: 10m
        severity: ticket
        ```

        ## Impact
        Mail is late.

        ## Triage
        ```promql
        queue_depth
        ```
        """,
        (
            Expected(
                names=("QueueBacklog",),
                severity="ticket",
                steps=(("Triage", ("16 promql auto",)),),
            ),
        ),
    ),
    "a threshold in prose": (
        "CacheHitRateLow.md",
        """
        # CacheHitRateLow

        ## Description

        This alert fires when the hit rate falls below 50% for 20 minutes, which makes answers slow.

        ## Troubleshooting

        - Was there a deployment?
        """,
        (
            Expected(
                names=("CacheHitRateLow",),
                threshold=("<", 50.0, 1200),
                steps=(("Was there a deployment?", ()),),
            ),
        ),
    ),
    "a quote that holds the facts, questions, and levels to escalate to": (
        "payments.md",
        """
        # Alert: PaymentsFailing

        > **Severity**: S1
        > **Owner**: Payments

        ## Triage

        - [ ] Is the provider up?

        ## Remediation

        ### Option 1: Switch the provider
        ```http
        POST http://payments/provider
        ```

        ## Escalation

        - **Level 1:** Payments lead
        - **Level 2:** Head of platform - 30 minutes
        - **Provider down:** Contact vendor support
        """,
        (
            Expected(
                names=("PaymentsFailing",),
                severity="S1",
                steps=(("Is the provider up?", ()),),
                remedies=(("Option 1: Switch the provider", "procedure", None, ("14 http approval",)),),
                escalation=(
                    ("always", ("Payments lead",)),
                    ("elapsed", ("Head of platform",)),
                    ("event", ("vendor support",)),
                ),
            ),
        ),
    ),
    "time boxes by range and a criterion below a line": (
        "outage.md",
        """
        # CheckoutDown

        **Severity:** SEV-1 | **Alert:** `CheckoutDown` | **Team:** Shop

        ## Diagnosis
        ```
        kubectl get pods
        ```

        ## Immediate Actions (0-5 minutes)
        1. Open the bridge.

        ## Recovery Actions (5-15 minutes)
        1. Restart: `kubectl rollout restart deploy/checkout`

        ## Escalation

        Escalate if:
        - Error rate > 25%
        - No progress after 15 minutes
        - The cause is unclear
        """,
        (
            Expected(
                names=("CheckoutDown",),
                severity="SEV-1",
                steps=(("Diagnosis", ("7 shell never",)),),
                remedies=(
                    ("Immediate Actions (0-5 minutes)", "time", 300, ()),
                    ("Recovery Actions (5-15 minutes)", "time", 900, ("14 shell approval",)),
                ),
                escalation=(("condition", ()), ("elapsed", ()), ("event", ())),
            ),
        ),
    ),
    "fences at the margin after a numbered step, quoted and unclosed": (
        "Margin.md",
        """
        # MarginAlert

        ## How to investigate

        1. Look at the disk

        ```console
        $ df -h
        Filesystem 90%
        $ du -sh /var \\
          --max-depth=1
        ```

        2. Look at the log

        > ```sh
        > tail -f /var/log/x.log
        > ```

        ## How to fix

        ```sh
        rm /var/log/old.log
        """,
        (
            Expected(
                names=("MarginAlert",),
                steps=(
                    ("Look at the disk", ("8 shell auto",)),
                    ("Look at the log", ("17 shell auto",)),
                ),
                remedies=(("How to fix", "procedure", None, ("23 shell approval",)),),
            ),
        ),
    ),
    "words that only hint, in several languages of fences": (
        "kafka.md",
        """
        # Kafka consumer lag runbook

        Fired by the alert `KafkaLagHigh`.

        ## Investigating the lag

        ```logql
        {app="consumer"} |= "rebalance"
        ```

        ```powershell
        Get-Process
        ```

        ## Resolving it for good

        - Scale the consumers.

        ## Preventing it

        ```sh
        kubectl apply -f limits.yaml
        ```
        """,
        (
            Expected(
                names=("KafkaLagHigh",),
                steps=(
                    ("Investigating the lag", ("8 logql auto",)),
                    ("Investigating the lag", ("12 code never",)),
                ),
                remedies=(("Resolving it for good", "procedure", None, ()),),
            ),
        ),
    ),
    "an alert whose names are two": (
        "memory.md",
        """
        ## HostMemoryHigh, HostMemoryCritical

        Priority: P2

        ### Possible checks

        * Run `free -m` and `top`.

        ### Potential resolution steps

        * Restart the service: `sudo systemctl restart app`.
        """,
        (
            Expected(
                names=("HostMemoryHigh", "HostMemoryCritical"),
                severity="P2",
                steps=(("Run free -m and top.", ("7 shell auto",)),),
                remedies=(("Potential resolution steps", "procedure", None, ("11 shell approval",)),),
            ),
        ),
    ),
    "a choice of severities is none": (
        "template.md",
        """
        # Alert: SomethingOdd

        **Severity:** critical / warning

        ## Meaning

        Odd.

        ## Debugging

        `GET /metrics`
        """,
        (
            Expected(
                names=("SomethingOdd",),
                steps=(("GET /metrics", ("11 http auto",)),),
            ),
        ),
    ),
    "a severity in a heading of its own, an alert that is said in words": (
        "disk.md",
        """
        # Alert: Node Disk Full

        **Alert:** a threshold breach in `load-test.yml`

        ## Severity: P1

        ## Symptoms
        Pods are evicted.

        ## Diagnosis
        ```bash
        docker compose exec db psql -c "SELECT a FROM t"
        ```
        """,
        (Expected(names=(), severity="P1", steps=(("Diagnosis", ("12 shell auto",)),)),),
    ),
    "alerts that are nothing but a name and bullets": (
        "all.md",
        """
        # Runbook

        * [PoolFull](#poolfull)

        ## Pool alerts

        ### PoolFull

        - *Description*: the pool is full
        - *Severity*: `critical`

        ### PoolEmpty

        - *Severity*: warning
        """,
        (
            Expected(names=("PoolFull",), severity="critical"),
            Expected(names=("PoolEmpty",), severity="warning"),
        ),
    ),
    "a list of alerts is none": (
        "list.md",
        """
        # Runbooks

        | Alert | Runbook |
        |-------|---------|
        | `PoolFull` | [pool](pool.md) |
        | `DiskFull` | [disk](disk.md) |
        """,
        (),
    ),
    "a how-to with an overview and checks is none": (
        "scaling.md",
        """
        # Scaling Runbook

        ## Overview
        Scale before a launch.

        ## Troubleshooting
        Look at the autoscaler.
        """,
        (),
    ),
    "numbered steps that look, after a triage and before a rollback": (
        "steps.md",
        """
        # Runbook: ShopErrors

        **Alert:** `ShopErrors`

        ## Step 1 \u2014 Triage
        ```bash
        kubectl get pods
        ```

        ## Step 2 \u2014 Identify the endpoint
        ```bash
        kubectl logs deploy/shop --tail=100
        ```

        ## Step 3 \u2014 Rollback
        ```
        kubectl rollout undo deploy/shop
        ```

        ## Verification Steps
        ```bash
        kubectl get pods
        ```
        """,
        (
            Expected(
                names=("ShopErrors",),
                steps=(
                    ("Step 1 \u2014 Triage", ("7 shell auto",)),
                    ("Step 2 \u2014 Identify the endpoint", ("12 shell auto",)),
                ),
                remedies=(
                    ("Step 3 \u2014 Rollback", "procedure", None, ("17 shell approval",)),
                    ("Verification Steps", "procedure", None, ("22 shell approval",)),
                ),
            ),
        ),
    ),
    "a severity under the impact, two alerts with a limit each": (
        "slow.md",
        """
        # Latency spike

        ## Symptoms
        - Alert: `ShopSlow` (p95 > 2s)
        - Alert: `ShopVerySlow` (p99 > 5s)

        ## Impact

        **Severity:** Warning
        **Who:** everybody

        ## Diagnosis
        Look at the dashboard.
        """,
        (
            Expected(
                names=("ShopSlow", "ShopVerySlow"),
                severity="Warning",
                steps=(("Look at the dashboard.", ()),),
            ),
        ),
    ),
    "what is seen and what to do make one, although nothing names it": (
        "replica.md",
        """
        # Replication is behind

        ## Symptoms
        Old answers.

        ## Resolution
        ```sql
        SELECT pg_wal_replay_resume();
        ```
        """,
        (Expected(names=(), remedies=(("Resolution", "procedure", None, ("8 sql approval",)),)),),
    ),
}


def _read(name: str) -> Runbook:
    path, text, _ = CASES[name]
    return parse_runbook(textwrap.dedent(text).lstrip("\n"), path=path)


@pytest.mark.parametrize("name", list(CASES))
def test_what_a_person_reads_is_what_is_read(name: str) -> None:
    """Names, severity, threshold, steps, remedies and escalation, by hand and by the program the same."""
    assert tuple(_as_read(entry) for entry in _read(name).alerts) == CASES[name][2]


@pytest.mark.parametrize("name", list(CASES))
def test_nothing_of_them_is_lost(name: str) -> None:
    """Each of these runbooks is understood to its last line."""
    runbook = _read(name)
    assert [(unknown.line, unknown.text) for unknown in runbook.unknown] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x --tenant-id tn_1 --user-id 4 ip:attacker-ip", ["attacker-ip"]),
        ("python3 -c \"print(f'{x}')\" $A", ["$A"]),
        ("python3 - <<'EOF'\nx = {a}; b = '$c'\nEOF", []),
        ("awk '{print $NF}' {file}", ["{file}"]),
        ('jq "{name: $NAME}"', ["$NAME"]),
        ("cat <<EOF | kubectl apply -f -\nname: {name}\nEOF", ["{name}"]),
    ],
)
def test_what_only_looks_like_a_placeholder(text: str, found: list[str]) -> None:
    """A flag's name and the braces of another language's program hold no place for a value."""
    assert [placeholder.raw for placeholder in placeholders.find(text, language=Kind.SHELL)] == found


def test_a_guess_is_told() -> None:
    """A block that names no language never runs by itself, waits as a remedy, and both reasons say that it is a guess."""
    text = "# DiskFull\n\n## Diagnosis\n\n```\ndf -h\n```\n\n## Remediation\n\n```\nrm -r /tmp/x\n```\n"
    (entry,) = parse_runbook(text, path="DiskFull.md").alerts
    looked = entry.steps[0].actions[0].decision(Role.DIAGNOSIS, bound=frozenset())
    mended = entry.remediation[0].actions[0].decision(Role.REMEDIATION, bound=frozenset())
    assert (looked.runs, "names no language" in looked.reason) == ("never", True)
    assert (mended.runs, "names no language" in mended.reason) == ("approval", True)


def test_what_one_command_sets_is_not_there_for_the_next() -> None:
    """The reason says why a variable has no value, although the line above gives it one."""
    text = "# DiskFull\n\n## Diagnosis\n\n```sh\nexport NS=$(kubectl get ns)\n```\n\n```sh\nkubectl get pods -n $NS\n```\n"
    (entry,) = parse_runbook(text, path="DiskFull.md").alerts
    sets, uses = (
        action.decision(Role.DIAGNOSIS, bound=frozenset()) for step in entry.steps for action in step.actions
    )
    assert (sets.runs, "sets NS from a command" in sets.reason) == ("never", True)
    assert (uses.runs, "what an earlier command sets is not kept" in uses.reason) == ("never", True)
