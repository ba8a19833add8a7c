"""What minibert adds to MkDocs: the tree of the repository, formulas, links to the source and the reference."""

import re
from typing import Any
from urllib.parse import unquote

from formulas import BadFormula, with_formulas
from links import dead_links
from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from names import ROOT, full_name
from navigation import NoPages, expanded
from pages import LINE, Site

DETAILS = re.compile(r"^<details( open)?>", re.MULTILINE)
FIGURE = re.compile(r'<p>(<img [^>]*?src="([^"]+)"[^>]*>)</p>')
TELLING = re.compile(r"(minibert|analysis)\.[\w.]+|\w*[a-z]_\w+|[A-Z]\w*[a-z]\w*[A-Z]\w*")
"""Names that can only be names of code: short ones, such as ``lion``, are those of settings as well"""
UNLINKED = {"a", "autoref", "pre", "h1", "h2", "h3", "h4", "h5", "h6"}

HIDDEN = {"docs/README.md": ["navigation", "toc"], "experiments/README.md": ["toc"]}
"""What the theme leaves out beside a page: all of it on the front page, and what would be there twice"""


class Build:
    """The site that is being built, and the page whose text is being read."""

    site: Site
    page: str = ""


class Links(Extension):
    """Links to source files lead to their pages, and public names in code to the reference."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        md.treeprocessors.register(LinkTreeprocessor(md), "minibert", 5)


class LinkTreeprocessor(Treeprocessor):
    def run(self, root: Any) -> None:
        for element in root.iter("a"):
            element.set("href", Build.site.meant(Build.page, element.get("href", "")))
        _link_names(root)


def _link_names(element: Any) -> None:
    for child in list(element):
        if child.tag == "code" and child.text and TELLING.fullmatch(child.text.removesuffix("()")):
            _link_name(child)
        elif child.tag not in UNLINKED:
            _link_names(child)


def _link_name(code: Any) -> None:
    target = full_name(code.text)
    if target is not None:
        text, tail = code.text, code.tail
        code.clear()
        code.tag, code.tail = "autoref", tail
        code.set("identifier", target)
        code.set("optional", "")
        inner = code.makeelement("code", {})
        inner.text = text
        code.append(inner)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    Build.site = Site()
    try:
        config.nav = expanded(config.nav or [], ROOT, [*Build.site.reference], Build.site.pages)
    except NoPages as error:
        raise PluginError(f"mkdocs.yml: nav: {error}") from error
    config.markdown_extensions.append(Links())  # type: ignore[arg-type]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for file in Build.site.files(config):
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    Build.page = page.file.src_uri
    if Build.page in HIDDEN:
        page.meta["hide"] = HIDDEN[Build.page]
    # A code host reads Markdown inside of <details>; Python-Markdown does so where it is told to.
    return DETAILS.sub(r'<details markdown="1"\1>', Build.site.with_sources(Build.page, markdown))


def on_page_content(html: str, page: Page, files: Files, **_: Any) -> str:
    if page.file.src_uri.removesuffix(".md") in Build.site.sources:
        lines = range(1, (page.markdown or "").count("\n"))
        page.present_anchor_ids = {*(page.present_anchor_ids or ()), *(f"{LINE}{line}" for line in lines)}
        return html
    try:
        html = with_formulas(html)
    except BadFormula as error:
        raise PluginError(f"{page.file.src_uri}: {error}") from error
    if dead := dead_links(html, page.url, _addresses(files)):
        raise PluginError(f"{page.file.src_uri}: leads nowhere: {', '.join(dead)}")
    return FIGURE.sub(r'<p class="figure"><a href="\2">\1</a></p>', html)


def _addresses(files: Files) -> set[str]:
    """Where a browser finds the files of the site: pages by their folder or their file."""
    return {address for file in files for address in (unquote(file.url).removeprefix("./"), file.dest_uri)}
