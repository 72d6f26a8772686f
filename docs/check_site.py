"""Check a built site offline: links, anchors, pictures and titles.

    python docs/check_site.py docs/_build/html

Every link and picture that leads inside the site must be there, with its anchor, and
every page must have a title. Links to other sites are not followed.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a tag names that the site must hold. A <link> may name a page, too.
LINKS = {
    ("a", "href"),
    ("img", "src"),
    ("link", "href"),
    ("script", "src"),
    ("source", "src"),
    ("object", "data"),
}
# Made by the theme, not to be read.
TEMPLATES = {"webpack-macros.html"}


class Page(HTMLParser):
    """Title, anchors and links of a page."""

    def __init__(self, text):
        super().__init__()
        self.title = ""
        self.anchors = set()
        self.links = []
        self.pictures_without_text = []
        self._open = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        # The title of a drawing inside the page is not the page's.
        if tag == "title" and not self.title:
            self._open = "title"
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        self.links += [
            values[key] for name, key in LINKS if name == tag and values.get(key)
        ]
        if tag == "img" and "alt" not in values:
            self.pictures_without_text.append(values.get("src"))

    def handle_endtag(self, tag):
        if tag == self._open:
            self._open = None

    def handle_data(self, data):
        if self._open == "title":
            self.title += data.strip()


def check(root):
    """Return what is wrong with a site, one line each."""
    root = Path(root).resolve()
    pages = {
        path: Page(path.read_text(encoding="utf-8"))
        for path in sorted(root.rglob("*.html"))
        if path.name not in TEMPLATES
    }
    if not pages:
        return [f"{root}: no pages"]
    faults = []
    for path, page in pages.items():
        name = path.relative_to(root)
        if not page.title:
            faults.append(f"{name}: no title")
        for picture in page.pictures_without_text:
            faults.append(f"{name}: picture without alternative text: {picture}")
        for link in page.links:
            if fault := wrong(link, path, root, pages):
                faults.append(f"{name}: {fault}: {link}")
    return faults


def wrong(link, source, root, pages):
    """Return what is wrong with a link, None if it leads somewhere or outside."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    place = unquote(parts.path)
    folder = root if place.startswith("/") else source.parent
    target = (folder / place.lstrip("/")).resolve() if place else source
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(root):
        return "leads out of the site"
    if not target.is_file():
        return "no such file"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "no such anchor"
    return None


def main(root):
    faults = check(root)
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    if faults:
        return f"{len(faults)} faults in {root}"
    sys.stdout.write(f"Links, anchors, pictures and titles of {root}: all there\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
