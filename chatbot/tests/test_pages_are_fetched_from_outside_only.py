"""What a tenant's URL may lead to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from aiohttp import web

from chatbot.core.addresses import is_public, target_of
from chatbot.core.documents import LARGEST_DOCUMENT
from chatbot.errors import DocumentRefused, FetchFailed
from chatbot.integrations.fetcher import SafeFetcher
from chatbot_house import free_port

INSIDE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
    "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::1",
    "2001:0:4136:e378::1", "2001:db8::1", "no address",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    """Private, loopback, link-local, shared, multicast, mapped and translated addresses are none of the public internet."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_an_address_outside_is_public(address: str) -> None:
    """The check does not pass by refusing everything."""
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.com/", "gopher://example.com/", "//example.com/", "http://", "http:///x",
        "http://user:password@example.com/", "http://example.com@127.0.0.1/", "http://example.com:22/", "http://example.com:99999/",
        "http://exa mple.com/", "http://example.com\\@127.0.0.1/", "http://[::1/", "javascript:alert(1)", "http://a/" + "x" * 2000,
    ],
)  # fmt: skip
def test_an_address_that_is_none_of_the_web_is_refused(url: str) -> None:
    """Other schemes, credentials, unusual ports and what two readers could read differently."""
    with pytest.raises(DocumentRefused):
        target_of(url)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.1"],
)
async def test_no_spelling_of_an_inner_host_is_fetched(host: str) -> None:
    """However loopback is written, it is resolved, checked and refused before anything is connected to."""
    with pytest.raises((DocumentRefused, FetchFailed)) as told:
        await SafeFetcher().fetch(f"http://{host}/")
    assert "not on the public internet" in str(told.value) or "not found" in str(told.value)


@pytest.fixture
async def site() -> AsyncGenerator[str]:
    """A site on loopback that an operator allowed; what it redirects to is not."""

    async def to(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["url"]})

    async def large(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await answer.prepare(request)
        for _ in range(LARGEST_DOCUMENT // 1_000_000 + 2):
            await answer.write(b"x" * 1_000_000)
        return answer

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def page(request: web.Request) -> web.Response:
        kinds = {"page": "text/html", "picture": "image/png", "gone": "text/html", "busy": "text/html"}
        name = request.match_info["name"]
        status = {"gone": 404, "busy": 503}.get(name, 200)
        headers = {"Content-Encoding": "gzip"} if name == "packed" else {}
        return web.Response(
            body=b"<p>hello", content_type=kinds.get(name, "text/html"), status=status, headers=headers
        )

    app = web.Application()
    app.router.add_get("/to", to)
    app.router.add_get("/large", large)
    app.router.add_get("/slow", slow)
    app.router.add_get("/{name}", page)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"127.0.0.1:{port}"
    await runner.cleanup()


async def test_a_page_is_fetched_and_redirects_are_followed(site: str) -> None:
    """From a host that an operator allowed, also by way of a redirect."""
    fetched = await SafeFetcher(frozenset({site})).fetch(f"http://{site}/to?url=/page")
    assert (b"".join(fetched.parts), fetched.media_type) == (b"<p>hello", "text/html")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("to?url=http://127.0.0.1:1/", "port 1"),
        ("to?url=http://localhost/", "not on the public internet"),
        ("to?url=http://169.254.169.254/latest/meta-data/", "not on the public internet"),
        ("to?url=file:///etc/passwd", "no address"),
        ("to?url=/to", "redirects more than|answered 500"),
        ("picture", "image/png"),
        ("gone", "answered 404"),
        ("packed", "compressed"),
        ("large", "more than"),
    ],
)
async def test_a_page_that_leads_inside_or_is_too_much_is_refused(site: str, path: str, words: str) -> None:
    """Each redirect is checked like the first address; size, kind and encoding are bounded."""
    with pytest.raises((DocumentRefused, FetchFailed), match=words):
        await SafeFetcher(frozenset({site})).fetch(f"http://{site}/{path}")


@pytest.mark.parametrize("path", ["busy", "slow"])
async def test_what_may_pass_is_told_apart(site: str, path: str) -> None:
    """An overloaded or slow site is tried again later."""
    with pytest.raises(FetchFailed):
        await SafeFetcher(frozenset({site}), timedelta(seconds=1)).fetch(f"http://{site}/{path}")
