"""The command line. Exit codes: 0 done, 1 found something or not possible, 2 cannot run."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from responder.config import Settings, colour_wanted, database_url, load_settings
from responder.config.policies import load_policies
from responder.core.defect import Defect
from responder.core.incident import parse_incident_name
from responder.errors import ConfigError, ResponderError
from responder.integrations.links import Purpose, Signer
from responder.integrations.system_clock import SystemClock
from responder.runbooks.explain import explain_json, explain_text
from responder.runbooks.library import read_each, read_each_rules
from responder.runbooks.lint import cannot_be_read, lint
from responder.runbooks.lint.subject import Subject
from responder.runbooks.report import FORMATS
from responder.runbooks.report_text import report_text
from responder.runbooks.sections import Lexicon
from responder.telemetry import configure_logging

TOKEN_LASTS = timedelta(minutes=30)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code = arguments.run(arguments)
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:
        # Whoever read it has gone, as `head` does. Nothing may be written when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ResponderError as error:
        print(f"responder: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="responder",
        description="Runs your team's own Markdown runbook when an alert fires: evidence, pages, guarded remedies,"
        " status page, post-mortem.",
        epilog="Settings come from the environment: docs/reference/environment.md names each variable.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, help_: str, run: object) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_, description=help_)
        command.set_defaults(run=run)
        return command

    add("migrate", "bring the database's schema up to date", _migrate)
    add("serve", "take alerts in, and serve the console, the approvals and the status page", _serve)
    add("work", "do what is due: investigate, page, escalate, remediate, publish, resolve", _work)
    explain = add(
        "explain",
        "say how each alert of a runbook will be run: at once, after approval, never, and why",
        _explain,
    )
    explain.add_argument("runbook", nargs="+", type=Path, help="a Markdown file, or a folder of them")
    explain.add_argument(
        "--policies", type=Path, help="the folder of policies whose bindings give placeholders a value"
    )
    explain.add_argument("--format", choices=("text", "json"), default="text")
    check = add(
        "check",
        "prove runbooks against rules: what disagrees, is dead, never ends, or would harm. Exit 0 clean, 1 findings, 2 cannot run",
        _check,
    )
    check.add_argument("runbook", nargs="+", type=Path, help="a Markdown file, or a folder of them")
    check.add_argument(
        "--rules", nargs="+", type=Path, default=[], metavar="FILE",
        help="Prometheus rule files or PrometheusRule manifests, or folders of them",
    )  # fmt: skip
    check.add_argument(
        "--prometheus", metavar="URL", help="a live Prometheus, to find queries for series it never had"
    )
    check.add_argument("--policies", type=Path, help="the folder of policies: bindings, headings, people")
    check.add_argument("--format", choices=sorted(FORMATS), default="text")
    ack = add("ack", "acknowledge an incident: the paging stops", _ack)
    ack.add_argument("incident", help="its name, such as INC-12")
    ack.add_argument(
        "--as", dest="person", required=True, help="who has it, by the name in policies/people.toml"
    )
    oncall = add("oncall", "say who is on call, or print a sign-in link for one of them", _oncall)
    oncall.add_argument("action", nargs="?", choices=("show", "token"), default="show")
    oncall.add_argument("person", nargs="?", help="with token: whom to sign in, by name or role")
    oncall.add_argument("--format", choices=("text", "json"), default="text")
    return parser


def _load(module: str) -> Any:
    """By name, so that a worker does not carry the web server, nor either of them Alembic: some 30 MB each. And `check`,
    which runs on every change of a file, is not kept waiting by drivers that it does not need."""
    return import_module(module)


def _settings() -> Settings:
    settings = load_settings()
    configure_logging(level=settings.log_level)
    return settings


def _migrate(_: argparse.Namespace) -> int:
    _load("responder.store.migrate").migrate(database_url())
    print("The schema is up to date.")
    return 0


def _serve(_: argparse.Namespace) -> int:
    _load("responder.web.serve").serve(_settings())
    return 0


def _work(_: argparse.Namespace) -> int:
    asyncio.run(_load("responder.worker").work(_settings(), SystemClock()))
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    policies = load_policies(arguments.policies, {}) if arguments.policies else None
    bound = policies.bindings.declared() if policies else frozenset[str]()
    asked = policies.bindings.asked() if policies else frozenset[str]()
    runbooks, unreadable = read_each(arguments.runbook, Lexicon.of(policies.headings) if policies else None)
    for error in unreadable:
        print(f"responder: {error}", file=sys.stderr)
    if arguments.format == "json":
        print(json.dumps(explain_json(runbooks, bound=bound, asked=asked), indent=2, ensure_ascii=False))
    else:
        print(explain_text(runbooks, bound=bound, asked=asked), end="")
    return 0 if runbooks else 2


def _check(arguments: argparse.Namespace) -> int:
    policies = load_policies(arguments.policies, {}) if arguments.policies else None
    runbooks, unreadable = read_each(arguments.runbook, Lexicon.of(policies.headings) if policies else None)
    files, not_rules = read_each_rules(arguments.rules)
    subject = Subject(
        runbooks=runbooks,
        files=files,
        bound=policies.bindings.declared() if policies else frozenset(),
        asked=policies.bindings.asked() if policies else frozenset(),
        people=frozenset({*policies.on_call.roles, *policies.on_call.people}) if policies else frozenset(),
    )
    more, notes = asyncio.run(_ask(subject, arguments.prometheus)) if arguments.prometheus else ((), ())
    more = [*more, *map(cannot_be_read, [*unreadable, *not_rules])]
    report = lint(subject, today=SystemClock().now().date(), more=more, notes=notes)
    if arguments.format == "text":
        print(report_text(report, subject, colour=sys.stdout.isatty() and colour_wanted()), end="")
    else:
        print(FORMATS[arguments.format](report, subject), end="")
    return 1 if report.defects else 0


async def _ask(subject: Subject, url: str) -> tuple[Sequence[Defect], tuple[str, ...]]:
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ConfigError(f"'{url}' is no address of a Prometheus. Give one such as http://127.0.0.1:9090.")
    async with _load("responder.integrations.session").new_session() as session:
        series = _load("responder.integrations.prometheus").Prometheus(session, url.rstrip("/"))
        return await _load("responder.stages.check").ask_prometheus(subject, series)


def _ack(arguments: argparse.Namespace) -> int:
    return asyncio.run(_acknowledge(_settings(), arguments.incident, arguments.person))


async def _acknowledge(settings: Settings, name: str, who: str) -> int:
    person = settings.policies.on_call.who(who)
    outside, answer = _load("responder.bootstrap").outside, _load("responder.stages.answer")
    async with outside(settings, SystemClock(), connections=1, application="responder ack") as parts:
        incident = await answer.acknowledge(parts, parse_incident_name(name), person=person.name)
    print(
        f"{incident.name} {incident.title}: {incident.status}, led by {(incident.commander or 'nobody').capitalize()}."
    )
    return 0


def _oncall(arguments: argparse.Namespace) -> int:
    settings = _settings()
    on_call = settings.policies.on_call
    if arguments.action == "token":
        person = on_call.who(arguments.person or "primary")
        token = Signer(settings.secret_key, SystemClock()).sign(
            Purpose.SIGN_IN, person=person.name, lasts=TOKEN_LASTS
        )
        link = f"{settings.public_url}/sign-in?token={token}"
        if arguments.format == "json":
            print(json.dumps({"person": person.name, "token": token, "link": link}))
        else:
            print(f"For {person.name.capitalize()}, good for {TOKEN_LASTS.seconds // 60} minutes:\n{link}")
        return 0
    if arguments.format == "json":
        print(json.dumps(dict(on_call.roles)))
    else:
        for role, name in on_call.roles.items():
            print(f"{role:18} {name.capitalize()}")
    return 0
