"""What a file is, by its first bytes: what it is said to be only decides between kinds of text."""

from __future__ import annotations

from chatbot.core.documents import MediaType
from chatbot.errors import DocumentRefused

HEAD = 4096
_READ = "PDF, HTML, Markdown and text are read"
_OTHERS = (
    (b"PK\x03\x04", "a ZIP archive or an Office file"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0", "an old Office file"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!doctype xhtml")
_MARKDOWN_NAMES = (".md", ".markdown", ".mdown")
_HTML_NAMES = (".html", ".htm", ".xhtml")
_WIDE = (b"\xff\xfe", b"\xfe\xff")


def sniff(head: bytes, *, declared: str | None, title: str) -> MediaType:
    """The kind of a document by its first HEAD bytes. Raises DocumentRefused for what cannot be read."""
    if b"%PDF-" in head[:1024]:
        return MediaType.PDF
    for mark, what in _OTHERS:
        if head.startswith(mark):
            raise DocumentRefused(f"It is {what}; {_READ}. Save it as one of these.")
    if declared == MediaType.PDF:
        raise DocumentRefused(
            "It is said to be a PDF and is none: it does not begin with %PDF-. Export it again."
        )
    if not head.startswith(_WIDE) and b"\x00" in head:
        raise DocumentRefused(f"It is not text: it holds zero bytes. {_READ}.")
    name = title.lower()
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if (
        start.startswith(_HTML)
        or (start.startswith(b"<?xml") and b"<html" in start)
        or declared == MediaType.HTML
    ):
        return MediaType.HTML
    if declared == MediaType.MARKDOWN or name.endswith(_MARKDOWN_NAMES):
        return MediaType.MARKDOWN
    return MediaType.HTML if name.endswith(_HTML_NAMES) else MediaType.TEXT


def decoded(content: bytes) -> str:
    """The text of a file that is UTF-8, or UTF-16 with its mark. Raises DocumentRefused."""
    encoding = "utf-16" if content.startswith(_WIDE) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentRefused(
            f"It is not {encoding[:6].upper()}: byte {error.start} is no text. Save it as UTF-8."
        ) from error
    if "\x00" in text:
        raise DocumentRefused("It is not text: it holds zero bytes.")
    return text
