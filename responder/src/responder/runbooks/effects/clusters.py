"""Rules for Kubernetes and containers: what reads a cluster, what changes it, and commands that run inside of a container."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from responder.core.effect import Effect, Trait
from responder.runbooks.effects.verdict import (
    READS,
    ROWS,
    Inner,
    Judged,
    Rule,
    changes,
    endless,
    follows,
    interactive,
    letters,
    positionals,
    scratch,
    unknown,
    unless_it_changes,
    without,
)

_READS = frozenset({
    "get", "describe", "logs", "top", "version", "cluster-info", "explain", "api-resources", "api-versions", "events",
    "status",
    "whoami", "projects", "diff", "kustomize", "options",
})  # fmt: skip
# Commands with a second verb: those of the second that read.
_SECOND = {
    "rollout": frozenset({"history"}),
    "config": frozenset({"view", "get-contexts", "current-context", "get-clusters", "get-users"}),
    "auth": frozenset({"can-i", "whoami"}),
    "adm": frozenset({"top", "node-logs", "release"}),
    "image": frozenset({"info"}),
    "certificate": frozenset[str](),
    "plugin": frozenset({"list"}),
}
_CHANGES = frozenset({
    "delete", "apply", "create", "patch", "replace", "scale", "autoscale", "set", "label", "annotate", "taint", "drain",
    "cordon",
    "uncordon", "expose", "run", "new-app", "start-build", "cancel-build", "tag", "import-image", "policy", "rollback",
    "process",
    "new-project", "login", "logout", "secrets", "volume", "env",
})  # fmt: skip
_CHANGES_SECOND = frozenset({
    ("rollout", "restart"), ("rollout", "undo"), ("rollout", "pause"), ("rollout", "resume"), ("rollout", "latest"),
    ("rollout", "retry"), ("rollout", "cancel"), ("adm", "drain"), ("adm", "cordon"), ("adm", "uncordon"), ("adm", "taint"),
    ("adm", "policy"), ("adm", "prune"), ("adm", "certificate"), ("certificate", "approve"),
    ("certificate", "deny"), ("auth", "reconcile"), ("adm", "migrate"),
})  # fmt: skip
_OWN_FILES = frozenset(
    {
        "use-context",
        "set-context",
        "set-cluster",
        "set-credentials",
        "unset",
        "delete-context",
        "rename-context",
    }
)
_VALUED = frozenset({
    "-n", "--namespace", "--context", "--kubeconfig", "--cluster", "--user", "-l", "--selector", "-c", "--container", "--as",
    "-s", "--server", "--token", "--request-timeout", "-o", "--output", "--field-selector", "--since", "--tail", "--sort-by",
    "--limit-bytes", "-L", "--as-group", "--since-time", "-f", "--filename", "-k", "--timeout", "--for", "-v", "--raw",
})  # fmt: skip
_DRY = ("--dry-run=client", "--dry-run=server")


def _kubectl(arguments: Sequence[str], inner: Inner, name: str = "kubectl") -> Judged:
    command, run = _split_inner(arguments)
    words = positionals(command, _VALUED - {"-f"} if "logs" in command else _VALUED)
    verb, second = (words[0] if words else "", words[1] if len(words) > 1 else "")
    if verb == "debug" and run:
        return _debug(name, command, run, inner)
    if verb == "adm" and second == "upgrade":
        return _upgrade(name, words, command)
    if verb in {"rsh", "edit", "attach", "port-forward", "proxy", "debug"}:
        return interactive(f"{name} {verb} is interactive or goes on for ever: it waits for a person")
    if verb == "exec":
        return _exec(name, command, run or _without_dashes(command, words), inner)
    if verb == "cp":
        return scratch(f"{name} cp writes files")
    if verb in {"rollout", "wait"} and (verb == "wait" or second == "status"):
        return _waits(name, verb, arguments)
    if verb == "config" and second in _OWN_FILES:
        return scratch(f"{name} config {second} writes the own configuration")
    if verb in _CHANGES or (verb, second) in _CHANGES_SECOND:
        dry = any(word in _DRY for word in command) and verb not in {"login", "logout"}
        return (
            READS
            if dry
            else changes(
                f"{name} {verb} {second if verb in {'rollout', 'adm', 'auth'} else ''}".rstrip()
                + " changes the cluster"
            )
        )
    if verb not in _READS and second not in _SECOND.get(verb, frozenset()):
        return unknown(f"{name} {verb} {second} is not known to read only")
    if any(word.startswith("--output-directory") for word in command):
        return scratch(f"{name} {verb} writes files")
    if follows(command, flags="f" if verb == "logs" else "w", valued="nlcoLs"):
        return _bounded(name, verb, arguments)
    if _prints_a_secret(verb, words[1:], command):
        return unknown("prints a secret, which does not belong into the evidence")
    return READS


def _prints_a_secret(verb: str, words: Sequence[str], command: Sequence[str]) -> bool:
    written = " ".join(command)
    kinds = {kind for word in words for kind in re.split(r"[,/.]", word.lower())}
    return (
        (
            verb == "get"
            and bool(kinds & {"secret", "secrets"})
            and bool(re.search(r"yaml|json|template|custom-columns|name=", written))
        )
        or (verb == "config" and "--raw" in command)
        or (verb == "whoami" and bool({"-t", "--show-token"} & set(command)))
    )


def _waits(name: str, verb: str, arguments: Sequence[str]) -> Judged:
    """Waiting ends by itself when it is given a time."""
    if any(word.startswith(("--timeout", "--watch=false")) for word in arguments):
        return READS
    if verb == "rollout":
        return endless(
            f"{name} rollout status waits until the rollout ends", name, *arguments, "--watch=false"
        )
    return endless(f"{name} wait waits for what may never come", name, *arguments, "--timeout=30s")


def _bounded(name: str, verb: str, arguments: Sequence[str]) -> Judged:
    kept = without(arguments, "-f", "--follow", "-w", "--watch", "--watch-only")
    tail = [f"--tail={ROWS}"] if verb == "logs" and not any(w.startswith("--tail") for w in kept) else []
    return endless(f"{name} {verb} follows and never ends", name, *kept, *tail)


def _split_inner(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    words = list(arguments)
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _without_dashes(command: Sequence[str], words: Sequence[str]) -> list[str]:
    """The command of `exec POD COMMAND …` in its old form, with flags of its own."""
    if len(words) < 3:
        return []
    at = command.index(words[2], command.index(words[1]) + 1)
    return list(command[at:])


def _exec(name: str, command: Sequence[str], run: Sequence[str], inner: Inner) -> Judged:
    """A command inside a container is judged as one here, unless it has a terminal."""
    if any("t" in letters(word, valued="nc") or word in {"--tty", "--stdin"} for word in command):
        changing = inner(run) if run else unknown("")
        if changing.effect is Effect.MUTATE:
            return changing
        return interactive(f"{name} exec with a terminal is interactive: it waits for a person")
    between = () if run == list(command)[len(command) - len(run) :] else ("--",)
    before = command if between else command[: len(command) - len(run)]
    return _inside(run, inner, name, *before, *between)


def _debug(name: str, command: Sequence[str], run: Sequence[str], inner: Inner) -> Judged:
    """`debug node/NODE -- COMMAND` starts a container, in which the command ends by itself, unless it has a terminal."""
    judged = inner(run)
    terminal = any("t" in letters(word, valued="nco") or word in {"--tty", "--stdin"} for word in command)
    if judged.effect is not Effect.MUTATE and (terminal or judged.trait is Trait.INTERACTIVE):
        return interactive(f"{name} debug with a terminal is interactive: it waits for a person")
    return unless_it_changes(
        judged, f"{name} debug starts a container to run a command in: judged by a person"
    )


def chroot(arguments: Sequence[str], inner: Inner) -> Judged:
    """`chroot FOLDER COMMAND`; without a command it opens a shell."""
    words = [word for word in arguments if not word.startswith("--")]
    if len(words) < 2:
        return interactive("chroot without a command opens a shell: it waits for a person")
    judged = inner(words[1:])
    if judged.trait is Trait.INTERACTIVE:
        return judged
    return unless_it_changes(judged, "chroot runs another command")


def _upgrade(name: str, words: Sequence[str], command: Sequence[str]) -> Judged:
    """`oc adm upgrade` alone says how the upgrade is going and which there are."""
    flags = {word.partition("=")[0] for word in command if word.startswith("-")}
    shows = words[2:] in ([], ["status"], ["recommend"]) and not any(
        flag.startswith(("--to", "--force", "--allow", "--clear")) for flag in flags
    )
    return READS if shows else changes(f"{name} adm upgrade changes the cluster")


def _inside(run: Sequence[str], inner: Inner, *around: str) -> Judged:
    """`around` is the command line up to the command inside."""
    judged = inner(run)
    if judged.effect is Effect.READ and judged.bounded:
        return Judged(effect=Effect.READ, bounded=True, reason=f"{run[0]} inside a container reads only")
    if judged.effect is Effect.READ and judged.trait is not Trait.INTERACTIVE:
        return replace(judged, rewrite=judged.rewrite and (*around, *judged.rewrite))
    return unless_it_changes(judged, f"runs a command inside a container: {judged.reason}")


_DOCKER_VALUED = frozenset(
    {
        "-e",
        "--env",
        "-u",
        "--user",
        "-w",
        "--workdir",
        "--env-file",
        "-f",
        "--file",
        "-p",
        "--project-name",
        "--index",
    }
)


def docker_exec(arguments: Sequence[str], inner: Inner) -> Judged:
    """`docker exec NAME COMMAND` and `docker compose exec NAME COMMAND`."""
    at = list(arguments).index("exec")
    rest = list(arguments[at + 1 :])
    terminal = False
    while rest and rest[0].startswith("-"):
        terminal = (
            terminal or bool(set(letters(rest[0])) & set("it")) or rest[0] in {"--tty", "--interactive"}
        )
        rest = rest[2:] if rest[0] in _DOCKER_VALUED else rest[1:]
    run = rest[1:]
    if terminal and (not run or "compose" not in arguments):
        judged = inner(run) if run else unknown("")
        if judged.effect is Effect.MUTATE:
            return judged
        return interactive("docker exec with a terminal is interactive: it waits for a person")
    before = arguments[: len(arguments) - len(run)]
    return _inside(run, inner, "docker", *before) if run else unknown("docker exec without a command")


def docker_compose(docker: Rule) -> Rule:
    """`docker-compose` is `docker compose`."""

    def judge(arguments: Sequence[str], inner: Inner) -> Judged:
        judged = docker(["compose", *arguments], inner)
        if judged.rewrite and judged.rewrite[:2] == ("docker", "compose"):
            return endless(judged.reason, "docker-compose", *judged.rewrite[2:])
        return judged

    return judge


_oc: Callable[[Sequence[str], Inner], Judged] = partial(_kubectl, name="oc")

RULES: Mapping[str, Rule] = {"kubectl": _kubectl, "oc": _oc, "k": _kubectl}
