"""Check the links and the reference of a built site: ``python check_site.py HTML``.

Internal links must point to files and anchors that exist, external ones must be
well-formed (nothing is requested), and every public method must have an anchor.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import skmtl

MODULES = ["skmtl"] + [
    f"skmtl.{name}"
    for name in skmtl.__all__
    if hasattr(getattr(skmtl, name), "__all__")
]


class Page(HTMLParser):
    """The anchors and links of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect ``id``, ``href`` and ``src``."""
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in ("href", "src") and value:
                self.links.append(value)


def broken_links(site: Path) -> Iterator[str]:
    """One message for each link that leads nowhere."""
    files = [p for p in sorted(site.rglob("*.html")) if "_static" not in p.parts]
    pages = {path.resolve(): Page(path) for path in files}
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            problem = (
                external(link) if is_external(link) else internal(link, path, pages)
            )
            if problem:
                yield f"{path.relative_to(site.resolve())}: {link}: {problem}"


def is_external(link: str) -> bool:
    """Whether a link has a scheme or a host."""
    parts = urlsplit(link)
    return bool(parts.scheme or parts.netloc)


def external(link: str) -> str:
    """What is wrong with an external link, "" if nothing."""
    parts = urlsplit(link)
    if parts.scheme in ("mailto", "data", "javascript"):
        return ""
    if parts.scheme not in ("http", "https"):
        return "unknown scheme"
    host = parts.hostname or ""
    if "." not in host or any(c.isspace() for c in link):
        return "malformed"
    return ""


def internal(link: str, path: Path, pages: dict[Path, Page]) -> str:
    """What is wrong with an internal link, "" if nothing."""
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.exists():
        return "no such file"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "no such anchor"
    return ""


def missing_methods(site: Path) -> Iterator[str]:
    """Public classes without a page, and their public methods without an anchor."""
    names: dict[type, list[str]] = {}  # a class may be exported by two modules
    for module in map(import_module, MODULES):
        for name in module.__all__:
            obj = getattr(module, name)
            if inspect.isclass(obj):
                names.setdefault(obj, []).append(f"{module.__name__}.{name}")
    for obj, exported in names.items():
        paths = {name: site / "generated" / f"{name}.html" for name in exported}
        found = [name for name, path in paths.items() if path.exists()]
        if not found:
            yield f"{exported[0]}: not in the reference"
            continue
        anchors = Page(paths[found[0]]).anchors
        for method in public_methods(obj):
            if f"{found[0]}.{method}" not in anchors:
                yield f"{found[0]}.{method}: not in the reference"


def public_methods(cls: type) -> Iterator[str]:
    """Methods and properties that classes of this package define, with docstrings."""
    for base in cls.__mro__:
        if base.__module__.startswith("skmtl"):
            for name, value in vars(base).items():
                if isinstance(value, classmethod | staticmethod):
                    value = value.__func__
                known = inspect.isfunction(value) or isinstance(value, property)
                if known and not name.startswith("_") and value.__doc__:
                    yield name


def main(site: Path) -> int:
    """Print every problem; 1 if there is one."""
    problems = [*broken_links(site), *missing_methods(site)]
    print("\n".join(problems) or f"{site}: no problem")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
