"""The program that reads PDF and HTML: `python -m chatbot.integrations.parsing MEDIA_TYPE whole|content`.

A document from outside is given to large C libraries here and nowhere else. Before the first byte is read, the process
gives up: more than MEMORY bytes, more than CPU_SECONDS, opening files, writing files, starting processes. Reads standard
input, writes {"blocks": [[level, text, page], ...]} or {"refused": "reason"}.
"""

# pypdfium2 and trafilatura are typed in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import codecs
import re
import resource
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pypdfium2 as pdfium
import trafilatura
from lxml import etree, html  # pyright: ignore[reportAttributeAccessIssue]
from pypdfium2 import PdfiumError
from trafilatura.external import jt_stoplist_init

from chatbot.core.documents import MediaType
from chatbot.core.outline import Block, outline_of_markdown
from chatbot.errors import DocumentRefused

MEMORY = 1024 * 1024 * 1024
CPU_SECONDS = 30
MOST_PAGES = 3_000
MOST_LETTERS = 8_000_000
# Of what a page shows, the least that has to be left when its menus are taken away; else they were not menus.
_LEAST_CONTENT = 0.25
_HYPHEN = re.compile(r"[\ufffe\u0002\u00ad]\s*")
_SOFT_BREAK = re.compile(r"(?<![.!?:;…])\n(?=[^\W\d_A-ZÄÖÜ•])")
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?([\w-]+)", re.IGNORECASE)
# What pages are written in, and utf-16-le, in which pdfium gives text.
_ENCODINGS = (
    "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1", "iso8859-2", "iso8859-5", "iso8859-15", "cp1250", "cp1251", "koi8-r",
    "shift_jis", "euc-jp", "gb18030", "gbk", "big5", "euc-kr",
)  # fmt: skip
_DROPPED = {
    "script", "style", "template", "noscript", "svg", "math", "iframe", "object", "head", "button", "select",
    "option", "input", "textarea", "audio", "video", "canvas",
}  # fmt: skip
_INLINE = {
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "dfn", "em", "i", "kbd", "mark", "q", "s", "samp",
    "small", "span", "strong", "sub", "sup", "time", "u", "var", "font", "label", "ins", "del", "tt",
}  # fmt: skip
_CELLS = {"td", "th"}
_LINES = {"br", "tr", "li", "dt", "dd", *_CELLS}


def main() -> None:
    media_type, how = sys.argv[1:3]
    _rehearse()
    _give_up()
    content = sys.stdin.buffer.read()
    try:
        found = list(
            _bounded(_pdf(content) if media_type == MediaType.PDF else _html(content, how == "whole"))
        )
        answer: dict[str, Any] = {"blocks": [[block.level, block.text, block.page] for block in found]}
    except DocumentRefused as error:
        answer = {"refused": str(error)}
    except (MemoryError, RecursionError):
        answer = {
            "refused": f"Reading it takes more than {MEMORY // 1024**2} MB of memory. Split it, or save it anew."
        }
    sys.stdout.buffer.write(orjson.dumps(answer))
    sys.stdout.flush()


def _rehearse() -> None:
    """Loads what the libraries load when they are first used: afterwards no file can be opened."""
    for encoding in _ENCODINGS:
        codecs.lookup(encoding)
    page = (
        "<html><body><nav>A</nav><article><h1>A</h1>"
        + "<p>Some words of a page.</p>" * 20
        + "</article></body></html>"
    )
    list(_html(page.encode(), False))
    jt_stoplist_init()


def _give_up() -> None:
    """Everything that is needed is loaded by now. The limits hold for whatever a document makes the libraries do."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _bounded(blocks: Iterator[Block]) -> Iterator[Block]:
    left = MOST_LETTERS
    for block in blocks:
        left -= len(block.text)
        if left < 0:
            raise DocumentRefused(f"It holds more than {MOST_LETTERS} letters. Split it.")
        yield block


def _pdf(content: bytes) -> Iterator[Block]:
    try:
        document = pdfium.PdfDocument(content)
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise DocumentRefused("It is encrypted: it asks for a password. Save it without one.") from error
        raise DocumentRefused(
            "It is no readable PDF: it is cut off or malformed. Export it again."
        ) from error
    pages = len(document)
    if pages > MOST_PAGES:
        raise DocumentRefused(f"It has {pages} pages; at most {MOST_PAGES} are read. Split it.")
    headings = _bookmarks(document)
    for number in range(pages):
        yield from headings.get(number, ())
        try:
            page = document[number]
            text = page.get_textpage().get_text_bounded()
            page.close()
        except PdfiumError as error:
            raise DocumentRefused(f"Page {number + 1} is malformed. Export it again.") from error
        text = _plain_page(text)
        if text:
            yield Block(level=0, text=text, page=number + 1)


def _bookmarks(document: pdfium.PdfDocument) -> dict[int, list[Block]]:
    """The document's own table of contents, where it has one: its headings by page."""
    found: dict[int, list[Block]] = {}
    try:
        for mark in document.get_toc(max_depth=6):
            target = mark.get_dest()
            number, title = target.get_index() if target else None, mark.get_title().strip()
            if number is not None and title:
                block = Block(level=min(mark.level + 1, 6), text=title, page=number + 1)
                found.setdefault(number, []).append(block)
    except PdfiumError:
        return {}  # a broken table of contents: the text is there all the same
    return found


def _plain_page(text: str) -> str:
    """Lines of a paragraph joined, and words that were broken at the end of a line made whole."""
    text = _HYPHEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _SOFT_BREAK.sub(" ", text).replace("\x00", "").strip()


def _html(content: bytes, whole: bool) -> Iterator[Block]:
    text = _decoded(content).replace("\x00", "")
    if not text.strip():
        return
    parser = html.HTMLParser(huge_tree=False)
    try:
        # A declaration of the encoding is void by now, and would be refused.
        tree = html.document_fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise DocumentRefused("It is no readable HTML. Save it anew.") from error
    if any(fault.type_name == "ERR_RESOURCE_LIMIT" for fault in parser.error_log):
        # The library would go on without the rest, and silently.
        raise DocumentRefused("It is nested too deeply, or holds too long a text. Save it anew.")
    blocks = list(_bounded(_walk(tree)))
    if not whole:
        content_only = outline_of_markdown(
            trafilatura.extract(tree, output_format="markdown", favor_recall=True, include_tables=True) or ""
        )
        if _is_as_good(content_only, blocks):
            blocks = content_only
    yield from blocks


def _is_as_good(content_only: list[Block], blocks: list[Block]) -> bool:
    """Whether what was left out can have been menus: enough text is left, and the headings are."""
    left, shown = (sum(len(block.text) for block in some) for some in (content_only, blocks))
    headings, all_headings = (any(block.level for block in some) for some in (content_only, blocks))
    return left >= shown * _LEAST_CONTENT and headings >= all_headings


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    declared = _CHARSET.search(content[:4096])
    for encoding in ("utf-8-sig", declared[1].decode() if declared else "cp1252"):
        try:
            return content.decode(encoding)
        except (UnicodeDecodeError, LookupError, OSError):  # OSError: an encoding that was not rehearsed
            continue
    return content.decode("latin-1")


def _walk(tree: Any) -> Iterator[Block]:
    """Headings and text in the order of the page. Without recursion: nesting may be deep."""
    held: list[str] = []
    heading: int | None = None
    dropped: Any = None
    for event, node in etree.iterwalk(tree, events=("start", "end", "comment", "pi")):
        if event in {"comment", "pi"}:
            if dropped is None:
                held.append(node.tail or "")
            continue
        tag = str(node.tag)
        if dropped is not None:
            if event == "end" and node is dropped:
                dropped = None
                held.append(node.tail or "")
            continue
        if event == "start" and (tag in _DROPPED or "hidden" in node.attrib):
            dropped = node
            continue
        level = int(tag[1]) if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456" else None
        if level is not None:
            yield from _flush(held, heading)
            heading = level if event == "start" else None
        held.append(_mark(tag, event))
        held.append((node.text if event == "start" else node.tail) or "")
    yield from _flush(held, heading)


def _mark(tag: str, event: str) -> str:
    """What stands for the edge of an element: nothing, a line, or an empty line."""
    if tag in _INLINE:
        return ""
    if tag in _CELLS:
        return " | " if event == "end" else ""
    if tag in _LINES:
        return "\x1e" if (event == "start") != (tag == "tr") or tag == "br" else ""
    return "\x1d"


def _flush(held: list[str], heading: int | None) -> Iterator[Block]:
    """What is held as one block. White space of the source means nothing; the marks do."""
    paragraphs: list[str] = []
    for paragraph in "".join(held).split("\x1d"):
        lines = [" ".join(line.split()).strip(" |") for line in paragraph.split("\x1e")]
        if shown := "\n".join(line for line in lines if line):
            paragraphs.append(shown)
    held.clear()
    if not paragraphs:
        return
    if heading is None:
        yield Block(level=0, text="\n\n".join(paragraphs))
    else:
        yield Block(level=heading, text=" ".join(" ".join(paragraphs).split()))


if __name__ == "__main__":
    main()
