"""The repository as the files of the site: its pages and pictures, and each source file that a page links to.

A file keeps its path in the repository, so that a relative link leads to the same file here and on a code host.
Only its address is another: what lies in docs/ is at the top, and docs/README.md is the front page.
"""

import ast
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, InclusionLevel
from names import ROOT
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from reference import REFERENCE, reference_pages

PAGES = (
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "findings/README.md",
    "docs/**/*.md", "experiments/**/*.md", "minibert/**/*.md",
)  # fmt: skip
PICTURES = tuple(f"{folder}/**/*.{kind}" for folder in ("docs", "experiments") for kind in ("png", "svg"))
REFERENCE_INDEX = "docs/reference/README.md"
"""The page on which the file of a room stands for its page of the reference"""
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
MARKER = re.compile(r"^<!-- code: (\S+) (.+?) -->$", re.MULTILINE)
"""What stands above code that is taken from the source: its file and the functions"""
LINE = "__codelineno-0-"
"""How the anchor of a line of source begins"""


class Site:
    """What the site is made of, by paths from the root of the repository.

    ``written`` are the pages that are made here, path -> text: the reference, and a page for every source file or
    folder that another page links to, which has ``.md`` behind its name.
    """

    def __init__(self) -> None:
        self.pages = _found(PAGES)
        self.pictures = _found(PICTURES)
        self.reference = reference_pages()
        self.written = dict(self.reference)
        self.sources: set[str] = set()
        texts = {page: (ROOT / page).read_text(encoding="utf-8") for page in self.pages} | self.written
        while texts:
            linked = {target for page, text in texts.items() for target in _targets(page, text)}
            texts = {}
            for target in sorted(linked - self.sources - {*self.pages, *self.pictures}):
                if (ROOT / target).is_file():
                    self.sources.add(target)
                    self.written[f"{target}.md"] = _source_page(target)
                elif (ROOT / target).is_dir() and f"{target}/README.md" not in {*self.pages, *self.written}:
                    self.written[f"{target}/README.md"] = texts[f"{target}/README.md"] = _folder_page(target)

    def files(self, config: MkDocsConfig) -> Iterator[File]:
        """Everything that is built, beside the files of the theme."""
        for uri in (*self.pages, *self.pictures):
            yield _placed(File(uri, str(ROOT), config.site_dir, config.use_directory_urls), destination(uri))
        for uri, text in self.written.items():
            listed = uri in self.reference
            inclusion = InclusionLevel.INCLUDED if listed else InclusionLevel.NOT_IN_NAV
            file = File.generated(config, uri, content=text, inclusion=inclusion)
            yield _placed(file, destination(uri) if listed else f"source/{destination(uri)}")
        yield File.generated(config, "fonts/STIXTwoMath-Regular.ttf", abs_src_path=str(_font()))

    def meant(self, page: str, href: str) -> str:
        """The link that leads to the page of a source file, a folder or a module; any other link as it is."""
        parts = urlsplit(href)
        if parts.scheme or parts.netloc or not parts.path:
            return href
        target = _joined(page, parts.path)
        if target in REFERENCE and page == REFERENCE_INDEX:
            target = REFERENCE[target]
        elif target in self.sources:
            target = f"{target}.md"
        elif (ROOT / target).is_dir():
            target = f"{target}/README.md"
        else:
            return href
        fragment = re.sub(r"^L(\d+)", rf"{LINE}\1", parts.fragment)
        return urlunsplit(("", "", posixpath.relpath(target, posixpath.dirname(page) or "."), "", fragment))

    def with_sources(self, page: str, text: str) -> str:
        """The text of a page where the marker above a piece of code is a line of links to the source."""

        def linked(marker: re.Match) -> str:
            file = posixpath.relpath(marker[1], posixpath.dirname(page) or ".")
            names = re.sub(r'"[^"]*"', "", marker[2]).split()
            lines = _lines(marker[1])
            functions = ", ".join(f"[`{name}`]({file}#L{lines[name]})" for name in names)
            return f"{functions} in [`{marker[1]}`]({file})\n{{: .source }}\n"

        return MARKER.sub(linked, text)


def destination(uri: str) -> str:
    """Where a file lies on the site.

    >>> destination("docs/README.md"), destination("docs/running.md"), destination("experiments/curves.png")
    ('index.html', 'running/index.html', 'experiments/curves.png')
    """
    if uri == "README.md":
        return "overview/index.html"
    path = PurePosixPath(uri.removeprefix("docs/"))
    if path.suffix != ".md":
        return str(path)
    return str(path.parent / "index.html" if path.name == "README.md" else path.with_suffix("") / "index.html")


def _found(patterns: tuple[str, ...]) -> list[str]:
    return sorted({path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)})


def _placed(file: File, destination: str) -> File:
    file.dest_uri = destination
    return file


def _joined(page: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(path)))


def _targets(page: str, text: str) -> Iterator[str]:
    """Paths that a page links to, and files that it shows code of."""
    for target in LINK.findall(text):
        if not urlsplit(target).scheme:
            yield _joined(page, target)
    for file, _ in MARKER.findall(text):
        yield file


def _source_page(path: str) -> str:
    try:
        language = get_lexer_for_filename(path).aliases[0]
    except ClassNotFound:
        language = "text"
    text = (ROOT / path).read_text(encoding="utf-8").rstrip("\n")
    fence = "`" * 8
    return f"{_unsearched(path)}\n{fence}{{.{language} linenums=1}}\n{text}\n{fence}\n"


def _folder_page(path: str) -> str:
    names = sorted(file.name for file in (ROOT / path).iterdir() if file.is_file() and file.suffix != ".ipynb")
    return _unsearched(path) + "\n" + "\n".join(f"* [{name}]({name})" for name in names) + "\n"


def _unsearched(path: str) -> str:
    """The head of a page about a file: the search would find every word of the source before the pages."""
    return f"---\ntitle: {path}\nhide: [toc]\nsearch:\n  exclude: true\n---\n# `{path}` {{ .path }}\n"


@cache
def _lines(path: str) -> dict[str, int]:
    """Function, class or ``Class.method`` -> the line where it begins"""
    lines = {}

    def walk(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                lines[prefix + child.name] = child.lineno
                walk(child, f"{prefix}{child.name}.")

    walk(ast.parse((ROOT / path).read_text(encoding="utf-8")), "")
    return lines


def _font() -> Path:
    """STIX Two Math as it lies in the package ziamath. Its licence is in the theme."""
    spec = find_spec("ziamath")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "fonts" / "STIXTwoMath-Regular.ttf"
