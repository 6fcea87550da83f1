"""What other teams write and what is right: each was a false alarm once. Beside each, its like that is a finding."""

from __future__ import annotations

import pytest

from proof import found, query

COMMANDS = [
    # What waits for a person, and what only has a terminal.
    ("command/interactive", "kubectl exec -it app-0 -- bash", True),
    ("command/interactive", "kubectl exec -it app-0 -- /bin/sh", True),
    ("command/interactive", "kubectl exec -it app-0 -- df -h", False),
    ("command/interactive", "oc debug node/worker-0", True),
    ("command/interactive", "kubectl debug node/worker-0 -it --image=busybox -- chroot /host", True),
    ("command/interactive", "kubectl debug node/worker-0 -it --image=busybox -- chroot /host du -sh /var/log", False),
    ("command/interactive", "mongosh shop", True),
    ("command/interactive", "mongosh shop --eval 'db.orders.countDocuments()'", False),
    ("command/interactive", "ssh db-1.internal", True),
    # What never ends, and what has an end.
    ("command/unbounded", "docker logs app -f | grep ERROR", True),
    ("command/unbounded", "docker logs app --tail 100 | grep ERROR", False),
    ("command/unbounded", "docker events --since 10m --until now", False),
    ("command/unbounded", "docker compose -f compose.yml logs --tail=100 app", False),
    ("command/unbounded", "docker compose -f compose.yml logs -f app", True),
    ("command/unbounded", "ceph fs status -f json-pretty", False),
    ("command/unbounded", "journalctl -u app -f", True),
    ("command/unbounded", "journalctl -u app -n 200 --no-pager", False),
    # curl, and what only looks like an address.
    ("command/no-timeout", "curl localhost:8080/health", True),
    ("command/no-timeout", "curl -s http://compactor:3100/ready", True),
    ("command/no-timeout", 'curl AND "app-pages"', False),
    ("command/no-timeout", "curl --connect-timeout 3 https://chat.internal/health", False),
    # What changes something, and what only makes files of one's own.
    ("diagnosis/mutates", "kubectl delete pod app-0", True),
    ("diagnosis/mutates", "sudo systemctl restart app", True),
    ("diagnosis/mutates", "service app status", False),
    ("diagnosis/mutates", "oc adm upgrade", False),
    ("diagnosis/mutates", "oc adm upgrade --to-latest", True),
    ("diagnosis/mutates", "ceph daemon osd.1 dump_historic_ops", False),
    ("diagnosis/mutates", "kubectl exec app-0 -- nvidia-smi dmon -c 5", False),
    ("diagnosis/mutates", "git clone --quiet https://git.internal/tools ~/tools", False),
    ("diagnosis/mutates", "kubectl run probe --rm -i --image=curl -- curl -m 5 http://app/health", False),
    # Placeholders, and what other programs understand.
    ("placeholder/unbound", "kubectl describe pod $POD", True),
    ("placeholder/unbound", "kubectl describe pod <pod-name>", True),
    ("placeholder/unbound", "POD=app-0\nkubectl describe pod $POD", False),
    ("placeholder/unbound", "for POD in a b; do kubectl describe pod $POD; done", False),
    ("placeholder/unbound", "ls $HOME", False),
    ("placeholder/unbound", "kubectl get pods -o jsonpath='{range .items[*]}{.metadata.name}{end}'", False),
    ("placeholder/unbound", "kubectl get nodes --template='{{range $k, $v := .items}}{{$k}}{{end}}'", False),
    ("placeholder/unbound", "awk '{ print $NF }' access.log", False),
    ("placeholder/unbound", "printenv | grep 'CORRELATION_ID'", False),
    ("placeholder/unbound", "mongosh shop --eval \"db.orders.find({age: {\\$lt: 5}})\"", False),
    # Secrets among the arguments, and beside them.
    ("secret/command-line", 'curl -m 5 -H "Authorization: Bearer $TOKEN" https://chat.internal', True),
    ("secret/command-line", "psql postgresql://app:hunter2@db/app", True),
    ("secret/command-line", "redis-cli -a hunter2 ping", True),
    ("secret/command-line", "PGPASSWORD=$DB_PASSWORD psql -h db -c 'SELECT 1'", False),
    ("secret/command-line", "ssh -i $SSH_KEY db-1.internal uptime", False),
    ("secret/command-line", "export TOKEN=$(vault read -field=token secret/app)", False),
    ("secret/command-line", "kubectl get secret app -o yaml", False),
]  # fmt: skip

SQL = [
    ("sql/select-star", "SELECT * FROM audit_logs;", True),
    ("sql/select-star", "SELECT * FROM audit_logs LIMIT 10;", False),
    ("sql/select-star", "SELECT * FROM pg_replication_slots;", False),
    ("sql/active-only", "SELECT count(*) FROM pg_stat_activity WHERE state = 'active';", True),
    ("sql/active-only", "SELECT pid, query FROM pg_stat_activity WHERE state = 'active' LIMIT 5;", False),
    ("remedy/no-preview", "DELETE FROM sessions WHERE expired;", True),
    ("remedy/no-preview", "VACUUM ANALYZE sessions;", False),
    (
        "remedy/no-preview",
        "-- Preview\nSELECT count(*) FROM s WHERE x;\n-- Run\nDELETE FROM s WHERE x;",
        False,
    ),
    ("remedy/terminate-scope", "SELECT pg_terminate_backend(4711);", False),
]


@pytest.mark.parametrize(("check", "command", "wrong"), COMMANDS)
def test_a_command_of_an_investigation(check: str, command: str, wrong: bool) -> None:
    """Found where it is wrong, and only there."""
    assert (check in {defect.rule for defect in found(query("sh", command))}) is wrong


@pytest.mark.parametrize(("check", "statement", "wrong"), SQL)
def test_a_statement_of_a_remedy(check: str, statement: str, wrong: bool) -> None:
    """Found where it is wrong, and only there."""
    defects = found(query("sql", statement, heading="Remediation"))
    assert (check in {defect.rule for defect in defects}) is wrong
