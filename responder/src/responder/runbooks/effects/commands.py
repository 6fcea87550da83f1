"""The table of commands in commands.toml, the rules of those that need more than a name or a verb, and one command judged."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from typing import Any

from responder.runbooks.effects import clouds, clusters, databases, files, mongo, network
from responder.runbooks.effects.ceph import ceph
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

_TABLE: Mapping[str, Any] = tomllib.loads(
    resources.files("responder.runbooks.effects").joinpath("commands.toml").read_text(encoding="utf-8")
)
_FREE = frozenset(_TABLE["free"])
_INTERACTIVE = frozenset(_TABLE["interactive"])
_SCRATCH = frozenset(_TABLE["scratch"])
_MUTATING = frozenset(_TABLE["mutating"])

# Variables that only say whom to ask, where and how to show it; any other could name a program.
_HARMLESS = re.compile(
    r"(?:PG(?:PASSWORD|HOST|PORT|USER|DATABASE|CONNECT_TIMEOUT)|MYSQL_PWD|REDISCLI_AUTH|KUBECONFIG|AWS_(?:PROFILE|REGION|DEFAULT_REGION)"
    r"|ETCDCTL_(?:API|ENDPOINTS|CACERT|CERT|KEY)|VAULT_ADDR|LANG|LC_ALL|TZ)="
)

# A command of a known name elsewhere can be anything.
_SYSTEM_FOLDERS = frozenset(
    {"", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"}
)


def judge_command(words: Sequence[str]) -> Judged:
    """One command with its arguments, quotes already taken off."""
    if not words:
        return unknown("an empty command")
    folder, _, name = words[0].rpartition("/")
    arguments = words[1:]
    if words[0] == "export" or (len(words) == 1 and "=" in words[0]):
        return unknown("sets a variable, which no other command sees: each runs by itself")
    if _HARMLESS.match(words[0]):
        judged = judge_command(arguments)
        return replace(judged, rewrite=judged.rewrite and (words[0], *judged.rewrite))
    if "=" in words[0]:
        return unless_it_changes(
            judge_command(arguments), "sets a variable for a command: judged by a person"
        )
    if folder not in _SYSTEM_FOLDERS:
        return unknown(f"'{words[0][:60]}' is a program of its own: judged by a person")
    if name in _RULES:
        return _by_rule(_RULES[name], arguments)
    if name in _INTERACTIVE:
        return interactive(f"{name} is interactive: it waits for a person")
    if name in _SCRATCH:
        return scratch(f"{name} writes files")
    if name in _MUTATING:
        return changes(f"{name} changes things")
    if name in _FREE:
        return READS
    return unknown(f"'{name[:40]}' is not a command known to read only")


def _by_rule(rule: Rule, arguments: Sequence[str]) -> Judged:
    """By the command's own rule. Rights that a command inside of it raises are raised, whatever starts that one."""
    raised = False

    def inner(words: Sequence[str]) -> Judged:
        nonlocal raised
        judged = judge_command(words)
        raised = raised or judged.raised
        return judged

    judged = rule(arguments, inner)
    return replace(judged, raised=judged.raised or raised)


def _verbs(name: str, table: Mapping[str, Sequence[str]]) -> Rule:
    """The rule of a command whose verbs are in the table: the longest run of words that is listed decides."""
    kinds = {
        verb: kind
        for kind in ("reads", "writes", "endless", "interactive", "secret")
        for verb in table.get(kind, ())
    }
    valued = frozenset(table.get("valued", ()))
    opaque = frozenset(table.get("unknown", ()))

    def judge(arguments: Sequence[str], inner: Inner) -> Judged:
        words = [word.lower() for word in positionals(arguments, valued)]
        verb = next(
            (v for n in (3, 2, 1, 0) if len(words) >= n and (v := " ".join(words[:n])) in kinds), None
        )
        if any(
            word.startswith(flag) if len(flag) == 2 else word.partition("=")[0] == flag
            for word in arguments
            for flag in opaque
        ):
            return unknown(f"{name} with this flag may start another program")
        if name == "docker" and words[:1] in (["exec"], ["compose"]) and "exec" in words[:2]:
            return clusters.docker_exec(arguments, inner)
        if name == "git" and (read := files.git_listing(words, arguments)) is not None:
            return read
        if verb is None:
            return unknown(f"{name} {' '.join(words[:2])} is not known to read only")
        return _of_verb(name, verb, kinds[verb], arguments)

    return judge


def _of_verb(name: str, verb: str, kind: str, arguments: Sequence[str]) -> Judged:
    if kind == "writes":
        return changes(f"{name} {verb} changes things")
    if any(word.startswith(("--output=/", "--output-directory", "-out")) for word in arguments) or (
        name == "git" and any(word.startswith("--output") for word in arguments)
    ):
        return scratch(f"{name} {verb} writes a file")
    if kind == "endless" and not ("events" in verb and any(w.startswith("--until") for w in arguments)):
        return endless(f"{name} {verb} never ends")
    if kind == "interactive":
        return interactive(f"{name} {verb} is interactive: it waits for a person")
    if kind == "secret":
        return unknown("prints a secret, which does not belong into the evidence")
    if verb.rsplit(maxsplit=1)[-1] in _LOGGING:
        return _bounded_log(name, verb, arguments)
    if (
        verb.rsplit(maxsplit=1)[-1] == "stats"
        and name in {"docker", "podman"}
        and "--no-stream" not in arguments
    ):
        return endless(f"{name} stats repeats and never ends", name, *arguments, "--no-stream")
    return READS


# Verbs for which `-f` behind them means to follow; before them, and for others, it names a file, a format or a filter.
_LOGGING = frozenset({"logs", "query"})


def _bounded_log(name: str, verb: str, arguments: Sequence[str]) -> Judged:
    """A log that is followed, cut to its end. `--tail 50` alone follows nothing, but for Loki's client."""
    last = verb.rsplit(maxsplit=1)[-1]
    at = next((n for n, word in enumerate(arguments) if word.lower() == last), -1) + 1
    before, behind = arguments[:at], arguments[at:]
    if name == "logcli":
        kept = without(behind, "-f", "--tail")
        return (
            endless("logcli follows and never ends", name, *before, *kept) if kept != list(behind) else READS
        )
    if not follows(behind, valued="n"):
        return READS
    kept = [word for word in without(behind, "-f", "--follow") if "f" not in letters(word, valued="n")]
    tail = [] if any(word.startswith(("--tail", "-n")) for word in kept) else ["--tail", str(ROWS)]
    return endless(f"{name} {verb} follows and never ends", name, *before, *tail, *kept)


def _inner(arguments: Sequence[str], inner: Inner) -> Judged:
    """A command that only starts the one behind it."""
    return inner(
        [word for word in arguments if not word.startswith("-")] if arguments[:1] == ["-p"] else arguments
    )


def _hiding(why: str, valued: str = "") -> Rule:
    """A command that runs the one behind it in another way: told if that changes things, else never concluded."""

    def judge(arguments: Sequence[str], inner: Inner) -> Judged:
        words = list(arguments)
        while words and words[0].startswith("-"):
            words = words[2:] if words[0] in valued.split() else words[1:]
        return unless_it_changes(inner(words), why) if words else unknown(why)

    return judge


# Flags of sudo and doas whose value is the next word, and those by which no command is run, or none that somebody named: an
# editor, a list of rights, one that is left behind.
_VALUED = "ugpChDRTUrt"
_VALUED_WORDS = frozenset({
    "--user", "--group", "--prompt", "--close-from", "--host", "--chdir", "--chroot", "--command-timeout", "--other-user",
    "--role", "--type",
})  # fmt: skip
_NO_COMMAND = frozenset("elLkKvVb")
_NO_COMMAND_WORDS = frozenset({
    "--edit", "--list", "--remove-timestamp", "--reset-timestamp", "--validate", "--version", "--background", "--help",
})  # fmt: skip


def _raising(name: str) -> Rule:
    """The command behind it, with more rights: the effect is the command's, who uses the rights is for a person to say."""

    def judge(arguments: Sequence[str], inner: Inner) -> Judged:
        words = list(arguments)
        while words and words[0].startswith("-"):
            flags = letters(words[0], valued=_VALUED)
            if words[0] in _NO_COMMAND_WORDS or _NO_COMMAND.intersection(flags):
                return unknown(f"{name} {words[0]} is judged by a person")
            apart = flags[-1:] in tuple(_VALUED) and len(flags) == len(words[0]) - 1
            words = words[2:] if apart or words[0] in _VALUED_WORDS else words[1:]
        if not words:
            return interactive(f"{name} alone opens a shell: it waits for a person")
        before = arguments[: len(arguments) - len(words)]
        judged = inner(words)
        return replace(judged, rewrite=judged.rewrite and (name, *before, *judged.rewrite), raised=True)

    return judge


def _python(arguments: Sequence[str], _: Inner) -> Judged:
    """`python3 -m json.tool` only lays JSON out; any other program can do anything."""
    if (
        arguments[:2] in (["-m", "json.tool"], ("-m", "json.tool"))
        and len(positionals(arguments, frozenset({"-m"}))) < 2
    ):
        return READS
    return unknown("runs another shell or program: judged by a person")


def _env(arguments: Sequence[str], inner: Inner) -> Judged:
    """`env A=1 COMMAND` is `A=1 COMMAND`."""
    if len(arguments) > 1 and "=" in arguments[0]:
        judged = inner(arguments)
        return replace(judged, rewrite=judged.rewrite and ("env", *judged.rewrite))
    return _hiding("env sets variables for a command, or prints all of them", "-u")(arguments, inner)


def _opaque(why: str) -> Rule:
    return lambda _arguments, _inner: unknown(why)


# Each of these runs what it is given.
_PROGRAMS = (
    "bash", "sh", "zsh", "dash", "ksh", "perl", "ruby", "node", "php", "eval", "source", "exec", ".",
)  # fmt: skip

_RULES: Mapping[str, Rule] = {
    **{name: _verbs(name, table) for name, table in _TABLE["verbs"].items()},
    "podman": _verbs("podman", _TABLE["verbs"]["docker"]),
    "nerdctl": _verbs("nerdctl", _TABLE["verbs"]["docker"]),
    "docker-compose": clusters.docker_compose(_verbs("docker", _TABLE["verbs"]["docker"])),
    "rabbitmq-diagnostics": _verbs("rabbitmq-diagnostics", _TABLE["verbs"]["rabbitmqctl"]),
    "dnf": _verbs("dnf", _TABLE["verbs"]["yum"]),
    "pip3": _verbs("pip3", _TABLE["verbs"]["pip"]),
    **files.RULES,
    **network.RULES,
    **databases.RULES,
    **mongo.RULES,
    "ceph": ceph(_verbs("ceph", _TABLE["verbs"]["ceph"])),
    **clusters.RULES,
    **clouds.RULES,
    "sudo": _raising("sudo"),
    "doas": _raising("doas"),
    "xargs": _hiding("xargs runs another command", "-n -P -I -L -d -a"),
    "ssh": network.ssh,
    "env": _env,
    "printenv": _opaque("prints the environment, which holds secrets"),
    "nohup": _hiding("nohup leaves a command behind"),
    "parallel": _opaque("parallel runs other commands"),
    "chroot": clusters.chroot,
    "nsenter": _hiding("nsenter runs a command in another namespace", "-t --target"),
    "su": _opaque("su becomes someone else"),
    "time": _inner,
    "nice": _hiding("nice runs another command", "-n"),
    "stdbuf": _hiding("stdbuf runs another command"),
    "command": files.command,
    "timeout": files.timeout,
    "watch": files.watch,
    **{
        name: _opaque("runs another shell or program: judged by a person")
        for name in _PROGRAMS
    },
    "python": _python,
    "python3": _python,
}  # fmt: skip
