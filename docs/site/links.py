"""Links and pictures of a page as it is built, also those written in HTML, which MkDocs does not follow."""

import posixpath
from collections.abc import Collection
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

LEADING = {"a": "href", "img": "src", "source": "src", "video": "src", "audio": "src", "iframe": "src"}
"""Element -> the attribute that names a file"""


def dead_links(content: str, address: str, known: Collection[str]) -> list[str]:
    """The links in the HTML of the page at ``address`` that lead to no file of the site.

    >>> dead_links('<a href="../b/#x"></a><img src="../c.png"><a href="b.md"></a>', "a/", ["a/", "b/"])
    ['<img src="../c.png">', '<a href="b.md">']
    """
    reader = _Reader()
    reader.feed(content)
    reader.close()
    return [
        f'<{element} {LEADING[element]}="{link}">'
        for element, link in reader.links
        if not _leads(link, address, known)
    ]


def _leads(link: str, address: str, known: Collection[str]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not parts.path:
        return True
    path = posixpath.join(posixpath.dirname(address), unquote(parts.path))
    target = posixpath.normpath(path)
    if path.endswith("/") or posixpath.basename(path) in (".", ".."):
        target = "" if target == "." else f"{target}/"
    return target in known


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs).get(LEADING.get(tag, ""))
        if link is not None:
            self.links.append((tag, link))
