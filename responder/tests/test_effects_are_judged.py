"""What a statement would do to the world. What cannot be placed is never a read."""

from __future__ import annotations

import pytest

from responder.core.effect import Effect, Role, Statement, decide
from responder.runbooks.conditions import condition, duration
from responder.runbooks.effects.promql import promql
from responder.runbooks.effects.shell import shell
from responder.runbooks.effects.sql import sql

READS = [
    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active';",
    "SELECT now() - query_start FROM pg_stat_activity LIMIT 5",
    "WITH a AS (SELECT 1 AS x) SELECT max(x) FROM a",
    "SELECT current_setting('max_connections')",
    "SELECT pg_size_pretty(pg_database_size('x'))",
]
NOT_READS = [
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    "SELECT pg_cancel_backend(1)",
    "SELECT setval('s', 1)",
    "SELECT nextval('s')",
    "SELECT pg_sleep(100)",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT dblink('x', 'DELETE FROM t')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT myschema.f(1)",
    "SELECT set_config('a', 'b', false)",
    "SELECT pg_advisory_lock(1)",
    "COPY t TO PROGRAM 'rm -rf /'",
    "COPY t FROM '/etc/passwd'",
    "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
    "WITH i AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM i",
    "SELECT * INTO x FROM t",
    "SELECT * FROM t FOR UPDATE",
    "SELECT 1; DROP TABLE t",
    "DROP TABLE t",
    "UPDATE t SET a = 1",
    "TRUNCATE t",
    "VACUUM FULL",
    "CALL p()",
    "DO $$ BEGIN END $$",
    "EXPLAIN ANALYZE DELETE FROM t",
    "SET ROLE postgres",
    "LISTEN x",
    "CREATE POLICY p ON t USING (true)",
    "GRANT ALL ON t TO x",
    "not sql at all (",
    "",
]


@pytest.mark.parametrize("text", READS)
def test_sql_that_reads(text: str) -> None:
    """A SELECT of tables and of functions known to read."""
    assert sql(text, 1).effect is Effect.READ, sql(text, 1).reason


@pytest.mark.parametrize("text", NOT_READS)
def test_sql_that_is_not_provably_a_read(text: str) -> None:
    """By its verb, by a function in it, by what the parser cannot place."""
    assert sql(text, 1).effect is not Effect.READ


def test_sql_without_a_limit_is_given_one() -> None:
    """A SELECT of many rows is capped; one of a single row needs no cap."""
    assert sql("SELECT * FROM audit_logs", 1).rewrite == "SELECT * FROM audit_logs\nLIMIT 500"
    assert sql("SELECT count(*) FROM audit_logs", 1).bounded
    assert not sql("SELECT count(*) FROM audit_logs GROUP BY actor", 1).bounded


SHELL = [
    ("tail -n 50 /var/log/x.log", Effect.READ, True),
    ("tail -f /var/log/x.log", Effect.READ, False),
    ("tail -100f /var/log/x.log | grep a", Effect.READ, False),
    ("cat a | grep b | wc -l", Effect.READ, True),
    ("curl -s https://x/health", Effect.READ, True),
    ("curl -X POST https://x", Effect.MUTATE, True),
    ("curl -XDELETE https://x", Effect.MUTATE, True),
    ("curl -d a=1 https://x", Effect.MUTATE, True),
    ("curl --json '{}' https://x", Effect.MUTATE, True),
    ("curl -o /etc/passwd https://x", Effect.MUTATE, True),
    ("curl -sO https://x", Effect.MUTATE, True),
    ("find / -name x", Effect.READ, True),
    ("find / -delete", Effect.MUTATE, True),
    ("find / -exec rm {} +", Effect.MUTATE, True),
    ("sed -i s/a/b/ f", Effect.MUTATE, True),
    ("sort -o f f", Effect.MUTATE, True),
    ("uniq a b", Effect.MUTATE, True),
    ("date -s 2020-01-01", Effect.MUTATE, True),
    ("ss -K dst 1.2.3.4", Effect.MUTATE, True),
    ("hostname evil", Effect.MUTATE, True),
    ("vmstat 1", Effect.READ, False),
    ("vmstat 1 5", Effect.READ, True),
    ("kubectl get pods", Effect.READ, True),
    ("kubectl -n x logs -f p", Effect.READ, False),
    ("kubectl -n x get pods -w", Effect.READ, False),
    ("kubectl get -f pod.yaml", Effect.READ, True),
    ("kubectl get secret x -o yaml", Effect.UNKNOWN, False),
    ("kubectl config view --raw", Effect.UNKNOWN, False),
    ("kubectl rollout restart deploy/x", Effect.MUTATE, True),
    ("kubectl rollout history deploy/x", Effect.READ, True),
    ("kubectl exec x -- df -h", Effect.READ, True),
    ("kubectl exec x -- rm -rf /", Effect.UNKNOWN, False),
    ("oc rsh x", Effect.UNKNOWN, False),
    ("oc adm top nodes", Effect.READ, True),
    ("oc adm drain x", Effect.MUTATE, True),
    ("kubectl logs -f p", Effect.READ, False),
    ("kubectl delete pod x", Effect.MUTATE, True),
    ("kubectl exec -it x -- sh", Effect.UNKNOWN, False),
    ("docker logs -f x", Effect.READ, False),
    ("docker stats", Effect.READ, False),
    ("docker stats --no-stream", Effect.READ, True),
    ("git log -5", Effect.READ, True),
    ("git log --output=/etc/x", Effect.MUTATE, True),
    ("git push", Effect.MUTATE, True),
    ("systemctl status x", Effect.READ, True),
    ("systemctl restart x", Effect.MUTATE, True),
    ("journalctl -u x -n 50", Effect.READ, True),
    ("journalctl -fu x", Effect.READ, False),
    ("journalctl -f", Effect.READ, False),
    ("journalctl --vacuum-time=1s", Effect.MUTATE, True),
    ("ping x", Effect.READ, False),
    ("ping -c 3 x", Effect.READ, True),
    ("redis-cli -u $REDIS_URL ping", Effect.READ, True),
    ("redis-cli flushall", Effect.UNKNOWN, False),
    ("redis-cli monitor", Effect.READ, False),
    ("sudo cat x", Effect.READ, True),
    ("sudo -n -u postgres psql -c 'SELECT 1'", Effect.READ, True),
    ("sudo -u postgres psql -c 'DROP TABLE t'", Effect.MUTATE, True),
    ("sudo -u postgres psql", Effect.UNKNOWN, False),
    ("sudo --user=root -- df -h", Effect.READ, True),
    ("sudo -uroger rm cat", Effect.MUTATE, True),
    ("sudo -i", Effect.UNKNOWN, False),
    ("sudo -e cat", Effect.UNKNOWN, False),
    ("sudo -b cat x", Effect.UNKNOWN, False),
    ("sudo bash -c 'cat x'", Effect.UNKNOWN, False),
    ("sudo PATH=. ls", Effect.UNKNOWN, False),
    ("sudo cat x > y", Effect.UNKNOWN, False),
    ("doas cat x", Effect.READ, True),
    ("ls | xargs rm", Effect.UNKNOWN, False),
    ("ls; rm x", Effect.UNKNOWN, False),
    ("ls && rm x", Effect.UNKNOWN, False),
    ("ls || rm x", Effect.UNKNOWN, False),
    ("ls & rm x", Effect.UNKNOWN, False),
    ("ls > x", Effect.UNKNOWN, False),
    ("ls >> x", Effect.UNKNOWN, False),
    ("echo $(rm x)", Effect.UNKNOWN, False),
    ("echo `rm x`", Effect.UNKNOWN, False),
    ("cat <(rm x)", Effect.UNKNOWN, False),
    ("PATH=. ls", Effect.UNKNOWN, False),
    ("rm -rf /", Effect.MUTATE, True),
    ("awk '{print $2}'", Effect.READ, True),
    ("awk -v a=1 'BEGIN{system(\"rm x\")}'", Effect.UNKNOWN, False),
    ("awk '{print > \"f\"}'", Effect.UNKNOWN, False),
    ("awk -f evil.awk", Effect.UNKNOWN, False),
    ("sed -n 1,5p f", Effect.READ, True),
    ("sed --expression=s/a/b/w f", Effect.UNKNOWN, False),
    ("sed 's/a/b/w out' f", Effect.UNKNOWN, False),
    ("sed '1e rm x' f", Effect.UNKNOWN, False),
    ("/tmp/evil/cat x", Effect.UNKNOWN, False),
    ("/bin/cat x", Effect.READ, True),
    ("curl -s -o /dev/null https://x", Effect.READ, True),
    ("curl -Ko /dev/null https://x", Effect.MUTATE, True),
    ("ls 2>/dev/null", Effect.READ, True),
    ("cat x >/dev/null; rm x", Effect.MUTATE, True),
    ("watch kubectl get pods", Effect.READ, False),
    ("watch rm x", Effect.MUTATE, True),
    ("watch 'ls | xargs rm'", Effect.MUTATE, True),
    ("watch 'df -h; rm x'", Effect.MUTATE, True),
    ("watch 'df -h > x'", Effect.MUTATE, True),
    ("watch 'ls $(cat f)'", Effect.UNKNOWN, False),
    ("watch 'cat x | sh'", Effect.UNKNOWN, False),
    ("watch 'vi x; ls'", Effect.UNKNOWN, False),
    ("watch 'ls | grep x' > log", Effect.UNKNOWN, False),
    ("watch 'ls | grep x' && rm y", Effect.UNKNOWN, False),
    ("watch 'echo \"a'", Effect.UNKNOWN, False),
    ("top", Effect.READ, False),
    ("dmesg -w", Effect.READ, False),
    ("dmesg -C", Effect.MUTATE, True),
    ("for p in a b; do rm $p; done", Effect.UNKNOWN, False),
    ("time rm x", Effect.MUTATE, True),
    ("ip addr show", Effect.READ, True),
    ("ip link set eth0 down", Effect.MUTATE, True),
    ("awk 'BEGIN{system(\"rm x\")}'", Effect.UNKNOWN, False),
    ("python -c 'x'", Effect.UNKNOWN, False),
    ("bash x.sh", Effect.UNKNOWN, False),
    ("ssh host", Effect.UNKNOWN, False),
    ("vi x", Effect.UNKNOWN, False),
    ("./deploy.sh", Effect.UNKNOWN, False),
    ("'unclosed", Effect.UNKNOWN, False),
]


@pytest.mark.parametrize(("text", "effect", "bounded"), SHELL)
def test_shell(text: str, effect: Effect | None, bounded: bool | None) -> None:
    """Known readers, their writing flags, what never ends, and everything else."""
    judged = shell(text, 1)
    if effect is None:
        assert not (judged.effect is Effect.READ and judged.bounded), "must not run by itself"
    elif effect is Effect.UNKNOWN:
        assert judged.effect is not Effect.READ
    else:
        assert (judged.effect, judged.bounded) == (effect, bounded), judged.reason


def test_watching_a_line_is_judged_as_watching_a_command() -> None:
    """A terminal in what is watched does not make it wait for a person, whether watch is given words or a line."""
    words, line = (
        shell(f"watch {text}", 1)
        for text in ("kubectl exec -it x -- df", "'kubectl exec -it x -- df | head'")
    )
    assert (words.effect, words.trait) == (line.effect, line.trait) == (Effect.UNKNOWN, None)


@pytest.mark.parametrize(
    "text",
    [
        "sudo cat x", "doas cat x", "cat x | sudo head", "df; sudo df", "sudo tail -f x", "watch sudo df", "watch 'df | sudo head'",
        "timeout 5 sudo cat x", "time sudo df", "LANG=C sudo df", "find . -exec sudo cat {} +", "kubectl exec p -- sudo cat x",
    ],
)  # fmt: skip
def test_raised_rights_are_a_persons_to_use(text: str) -> None:
    """A read behind sudo is a read, wherever sudo stands; without it the step would run by itself, with it it never does."""
    raised = shell(text, 1)
    plain = shell(text.replace("sudo ", "").replace("doas ", ""), 1)
    assert (raised.effect, raised.bounded) == (plain.effect, plain.bounded) == (Effect.READ, plain.bounded)

    def runs(statement: Statement) -> tuple[str, str]:
        decision = decide(Role.DIAGNOSIS, [statement], runnable=True, guessed=False, unbound=[])
        return decision.runs, decision.reason

    assert runs(plain)[0] == "auto"
    assert runs(raised) == ("never", "a read, but with raised privileges: those are a person's to use")


REWRITES = [
    ("tail -f x.log | grep ERROR", "tail -n 500 x.log | grep ERROR"),
    ("kubectl -n a logs -f p", "kubectl -n a logs p --tail=500"),
    ("kubectl get pods -w", "kubectl get pods"),
    ("journalctl -fu x", "journalctl -n 500 --no-pager -u x"),
    ("docker logs -f x", "docker logs --tail 500 x"),
    ("ping x", "ping -c 5 x"),
    ("watch -n 5 kubectl get pods", "kubectl get pods"),
    ("watch 'df -h | grep data'", "df -h | grep data"),
    (
        "watch -n 2 -d \"kubectl get pods -n $NS | awk '{print \\$1}'\"",
        "kubectl get pods -n $NS | awk '{print $1}'",
    ),
    (
        "watch 'kubectl -n <namespace> get pods; kubectl get nodes'",
        "kubectl -n <namespace> get pods; kubectl get nodes",
    ),
    ("watch 'tail -f x.log | grep ERROR'", "tail -n 500 x.log | grep ERROR"),
    ("watch \"curl -s 'https://x/?a=1&b=2'\"", "curl -s 'https://x/?a=1&b=2'"),
    ("watch 'redis-cli monitor | head'", None),
    ("sudo journalctl -fu x", "sudo journalctl -n 500 --no-pager -u x"),
    ("sudo -n tail -f x | grep e", "sudo -n tail -n 500 x | grep e"),
    ("top", "top -b -n 1"),
    ("redis-cli monitor", None),
]


@pytest.mark.parametrize(("text", "bounded"), REWRITES)
def test_what_never_ends_is_offered_in_a_bounded_form(text: str, bounded: str | None) -> None:
    """Where there is one; and the bounded form is itself a bounded read."""
    judged = shell(text, 1)
    assert (judged.bounded, judged.rewrite) == (False, bounded)
    if bounded:
        again = shell(bounded, 1)
        assert (again.effect, again.bounded) == (Effect.READ, True)


def test_promql() -> None:
    """A query reads; what does not parse is unknown; a range of months is too much to ask."""
    assert promql("rate(x[5m])", 1).effect is Effect.READ
    assert promql("rate(x[5m", 1).effect is Effect.UNKNOWN
    assert not promql("rate(x[90d])", 1).bounded


@pytest.mark.parametrize(
    ("line", "bounded"),
    [
        ('tail -f $LOG | grep "$WORD"', 'tail -n 500 $LOG | grep "$WORD"'),
        ("kubectl logs -f <pod name> -n ${NS}", "kubectl logs <pod name> -n ${NS} --tail=500"),
        ("tail -f /var/log/*.log ~/x '$literal'", "tail -n 500 /var/log/*.log ~/x '$literal'"),
        ("watch 'kubectl get pods -n $NS'", 'kubectl get pods -n "$NS"'),
        (
            "psql -c \"SELECT * FROM t WHERE a = '$X'\"",
            "psql -c \"SELECT * FROM t WHERE a = '$X'\nLIMIT 500\"",
        ),
        ("psql -c 'SELECT * FROM t WHERE a = $$x$$'", "psql -c 'SELECT * FROM t WHERE a = $$x$$\nLIMIT 500'"),
        ("psql -c \"SELECT a FROM t WHERE b = 'c'\"", "psql -c \"SELECT a FROM t WHERE b = 'c'\nLIMIT 500\""),
        ("less < x", None),
    ],
)
def test_a_bounded_form_keeps_what_the_line_says(line: str, bounded: str | None) -> None:
    """Its variables stay variables, its placeholders and patterns as they are; what it is fed from is not lost."""
    assert shell(line, 1).rewrite == bounded


@pytest.mark.parametrize(
    ("raw", "op", "value", "seconds"),
    [
        (">5% error rate for 5 minutes", ">", 5.0, 300),
        ("p95 > 5 seconds for 10 minutes", ">", 5.0, 600),
        (">0 violations", ">", 0.0, None),
        ("<99.9% availability for 5 minutes", "<", 99.9, 300),
        (">= 1,000 requests for 1 hour", ">=", 1000.0, 3600),
        ("≥ 2 GB for 30s", ">=", 2 * 1024**3, 30),
        ("latency > 250 ms for 90 seconds", ">", 0.25, 90),
        ("the moon is full", "state", None, None),
    ],
)
def test_thresholds_in_words(raw: str, op: str, value: float | None, seconds: int | None) -> None:
    """Typed values, or the words as they are."""
    found = condition(raw)
    assert (found.op, found.value) == (op, value)
    assert (found.for_.total_seconds() if found.for_ else None) == seconds


def test_a_ratio_is_compared_with_a_percentage() -> None:
    """5% is 0.05 of everything; a state is no number."""
    threshold = condition(">5% error rate for 5 minutes")
    assert threshold.holds(0.051) is True
    assert threshold.holds(0.05) is False
    assert condition("health check failing").holds(1.0) is None


def test_spans_of_time() -> None:
    """The units that runbooks use."""
    seconds = {"15 min": 900, "4 hours": 14400, "90s": 90, "2 days": 172800, "500 ms": 0.5}
    assert {text: duration(text).total_seconds() for text in seconds} == seconds  # pyright: ignore[reportOptionalMemberAccess]
    assert duration("soon") is None
