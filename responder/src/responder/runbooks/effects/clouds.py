"""Rules for the command lines of cloud providers, whose verbs say what they do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from responder.runbooks.effects.verdict import (
    READS,
    Inner,
    Judged,
    Rule,
    changes,
    endless,
    interactive,
    positionals,
    scratch,
    unknown,
)

_READING = re.compile(
    r"^(?:describe|list|get|head|lookup|batch-get|search|filter|ls|show|read|query|scan|view|check|explain|simulate)(?:-|$)"
)
_CHANGING = re.compile(
    r"^(?:create|delete|put|update|modify|terminate|start|stop|reboot|run|send|attach|detach|associate|disassociate|register|deregister"
    r"|enable|disable|add|remove|set|reset|restore|restart|scale|resize|invoke|publish|cancel|copy|cp|rm|mv|sync|mb|rb|apply|deploy|import"
    r"|purge|failover|promote|rollback|revoke|authorize|tag|untag|execute|patch|replace|assume|allocate|release|suspend|resume|drain|move"
    r"|increase|decrease|switch|undelete|abandon|recreate|rotate|upgrade|swap|submit|force|change|accept|reject|clear|flush|insert)(?:-|$)"
)
_SECRETS = re.compile(
    r"get-secret-value|get-login|get-session-token|get-federation-token|print-access-token|print-identity-token|access-token"
    r"|get-parameters?(?:-by-path)?.*--with-decryption|versions access|keyvault secret (?:show|download)|get-access-token"
    r"|(?:list|show|get)-(?:keys|credentials|connection-string)|keys list|get-password-data|decrypt"
)
_VALUED = frozenset({
    "--region", "--profile", "--project", "--zone", "--output", "-o", "--format", "--filter", "--filters", "--query",
    "--limit",
    "-g", "--resource-group", "-n", "--name", "--subscription", "--cluster", "--account", "--endpoint-url", "--location",
})  # fmt: skip


def _cloud(name: str, groups: int) -> Rule:
    """`groups` is how many words may stand before the verb."""

    def judge(arguments: Sequence[str], _: Inner) -> Judged:
        words = positionals(arguments, _VALUED)
        written = " ".join([*words, *(w for w in arguments if w.startswith("--"))])
        if (
            any(word in {"ssh", "ssh-instance", "ecs execute-command"} for word in words)
            or "execute-command" in words
            or "start-session" in words
        ):
            return interactive(f"{name} opens a session: it waits for a person")
        if "get-credentials" in words or "update-kubeconfig" in words or "login" in words:
            return scratch(f"{name} writes the own configuration")
        if _SECRETS.search(written):
            return unknown("prints a secret, which does not belong into the evidence")
        if "tail" in words and (name != "aws" or "--follow" in arguments):
            kept = [word for word in arguments if word != "--follow"]
            return endless(f"{name} tail follows and never ends", *([name, *kept] if name == "aws" else []))
        if words[:2] in (["logs", "tail"], ["s3", "ls"]):
            return READS
        if "wait" in words:
            return endless(f"{name} waits for what may never come")
        for word in words[1 : groups + 2]:
            if _CHANGING.match(word):
                return changes(f"{name} {' '.join(words[:3])} changes things")
            if _READING.match(word):
                return READS
        return unknown(f"{name} {' '.join(words[:3])} is not known to read only")

    return judge


RULES: Mapping[str, Rule] = {
    "aws": _cloud("aws", 1),
    "gcloud": _cloud("gcloud", 4),
    "az": _cloud("az", 4),
    "doctl": _cloud("doctl", 3),
}
