"""The command line. Exit codes: 0 everything happened, 1 something did not, 2 cannot run."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from drills import drill
from drills.configs import Plan
from drills.errors import DrillError
from drills.ports import BASE, Ports
from drills.stack import Stack

DEMO = "HighErrorRate"
FIRST_TENANT, FIRST_ADMIN = "acme", "alice@example.com"


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        sys.exit(asyncio.run(_guarded(arguments)))
    except DrillError as error:
        print(f"drill: {error}", file=sys.stderr)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="drill",
        description="Brings the chatbot and the responder up on this machine with a real Prometheus, Alertmanager,"
        " PostgreSQL and Valkey, and breaks the chatbot on purpose.",
        epilog="Everything listens on 127.0.0.1 and keeps its files in the stack's folder.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, help_, scale in (
        ("demo", f"run the drill {DEMO}, then leave everything up to be looked at", 30.0),
        ("run", "run one drill and stop", 30.0),
        ("up", "start everything and leave it up; time runs as it does", 1.0),
        ("chat", "start the chatbot alone, and print the link by which you give it a document and ask", 1.0),
    ):
        command = commands.add_parser(name, help=help_, description=help_)
        command.set_defaults(command=name)
        if name == "run":
            command.add_argument("alert", choices=sorted(drill.SCENARIOS), help="the alert to bring about")
        command.add_argument(
            "--port-base", type=int, default=BASE, help=f"first port of the block of 16 (default {BASE})"
        )
        command.add_argument(
            "--stack-dir", type=Path, default=Path(".stack"), help="where all files go (default .stack)"
        )
        command.add_argument(
            "--repository", type=Path, default=Path(), help="where rules/, runbooks/ and policies/ are"
        )
        if name == "chat":
            command.set_defaults(time_scale=scale)
            continue
        command.add_argument(
            "--time-scale",
            type=float,
            default=scale,
            help=f"how many times faster time goes (default {scale:g})",
        )
    return parser


async def _guarded(arguments: argparse.Namespace) -> int:
    """Runs the command as a task that SIGTERM and SIGINT cancel, so that everything is stopped in order."""
    running = asyncio.ensure_future(_run(arguments))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        print("stopped", flush=True)
        return 130


async def _run(arguments: argparse.Namespace) -> int:
    plan = Plan(
        repository=arguments.repository.resolve(),
        folder=arguments.stack_dir.resolve(),
        ports=Ports(arguments.port_base),
        scale=arguments.time_scale,
    )
    stack = Stack(plan, say=lambda text: print(f"  {text}", flush=True))
    if arguments.command == "chat":
        return await _chat(stack)
    code = 0
    async with stack.running() as supervisor:
        if arguments.command != "up":
            alert = DEMO if arguments.command == "demo" else arguments.alert
            print(
                f"\nDrill {alert}, time {plan.scale:g} times faster. Seconds since the fault:\n", flush=True
            )
            code = _judge(await drill.run(stack, drill.SCENARIOS[alert]))
        if arguments.command == "up" or (arguments.command == "demo" and _someone_watches()):
            await _print_addresses(stack)
            with contextlib.suppress(asyncio.CancelledError):
                await supervisor.watch()
            print("\nstopping", flush=True)
    return code


async def _chat(stack: Stack) -> int:
    async with stack.chatbot_running() as supervisor:
        made = await stack.make_first_admin(FIRST_TENANT, FIRST_ADMIN)
        url = stack.url(stack.plan.ports.chatbot)
        has_model = {"GROQ_API_KEY", "OPENAI_API_KEY"} & set(stack.chatbot_alone_environ)
        print(
            f"\nThe chatbot is up, with the tenant {FIRST_TENANT} and nothing in it. Open this link and choose a"
        )
        print(f"password for {FIRST_ADMIN}; then give it a document (PDF, HTML, Markdown, text) and ask:\n")
        print(f"  {made['link']}\n")
        print(f"  {'documents':12}{url}/documents")
        print(f"  {'chat':12}{url}/")
        print(f"  {'API key':12}{made['api_key']}\n")
        if not has_model:
            print(
                "No model is set up, so answers are quoted from the passages: set GROQ_API_KEY or OPENAI_API_KEY."
            )
        print("Ctrl-C stops it, and what you put in is gone.", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await supervisor.watch()
        print("\nstopping", flush=True)
    return 0


def _judge(teller: drill.Teller) -> int:
    if missing := teller.missing():
        print(f"\nNot seen: {', '.join(missing)}.", flush=True)
        return 1
    print(f"\nEverything happened: from the fault to the post-mortem in {teller.last:.1f} s.", flush=True)
    return 0


def _someone_watches() -> bool:
    return sys.stdout.isatty() and os.environ.get("CI") != "true"


async def _print_addresses(stack: Stack) -> None:
    ports = stack.plan.ports
    link = (await stack.console_token(drill.PERSON))["link"]
    rows = {
        "console (signs you in)": link,
        "status page": f"{stack.url(ports.responder)}/status/",
        "chat": f"{stack.url(ports.chatbot)}/api/chat",
        "Prometheus": stack.url(ports.prometheus),
        "Alertmanager": stack.url(ports.alertmanager),
        "what was delivered": f"{stack.url(ports.sink)}/deliveries",
    }
    print()
    for name, address in rows.items():
        print(f"  {name:24}{address}")
    key = stack.tenant_keys["acme"]
    print("\n  Ask the chatbot:")
    print(
        f"  curl -N {rows['chat']} -H 'X-Api-Key: {key}' -H 'Content-Type: application/json'"
        ' -d \'{"message": "How long can I return goods?"}\''
    )
    print("\n  Ctrl-C stops everything.", flush=True)
