"""A revision that is held → what it says: fetched where it is a page, told by its first bytes, parsed."""

from __future__ import annotations

import asyncio
import hashlib

from chatbot.core.documents import MediaType, Source, Taken
from chatbot.core.media import HEAD, decoded, sniff
from chatbot.core.outline import Block, outline_of_markdown, outline_of_text
from chatbot.errors import DocumentRefused
from chatbot.stages.ports import Outside, now_of
from chatbot.store.documents import keep_hold, note_fetched, parts_of


async def read(outside: Outside, taken: Taken) -> tuple[list[Block], MediaType] | None:
    """The document's blocks and what it is written in; None: somebody else has the revision now.

    Raises DocumentRefused with the reason that its owner sees, FetchFailed, StoreUnavailable.
    """
    declared = taken.media_type
    if taken.source is Source.URL and taken.url is not None:
        fetched = await outside.fetcher.fetch(taken.url)
        declared, parts = fetched.media_type, fetched.parts
        if not await _note_fetched(outside, taken, parts):
            return None
    else:
        async with outside.database.tenant(taken.ref.tenant_id) as conn:
            parts = await parts_of(conn, taken.ref)
    if not any(parts):
        raise DocumentRefused("It has 0 bytes.")
    media_type = sniff(b"".join(parts)[:HEAD], declared=declared, title=taken.title)
    if media_type in {MediaType.PDF, MediaType.HTML}:
        # An uploaded file is wanted whole; a page of the web carries menus and notices that answer nothing.
        return await outside.parser.parse(media_type, parts, whole=taken.source is Source.UPLOAD), media_type
    outline = outline_of_markdown if media_type is MediaType.MARKDOWN else outline_of_text
    text = decoded(b"".join(parts))
    return await asyncio.to_thread(outline, text), media_type


async def _note_fetched(outside: Outside, taken: Taken, parts: list[bytes]) -> bool:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    async with outside.database.tenant(taken.ref.tenant_id) as conn:
        await note_fetched(conn, taken.ref, sha256=digest.digest(), size=sum(map(len, parts)))
        return await keep_hold(conn, taken.ref, now_of(outside.clocks))
