"""The web site, built once from the lessons as they are, in a real browser."""

import json
import re
import runpy
import subprocess
import sys
import threading
import tomllib
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = [pytest.mark.browser]
pytest.importorskip("sphinx", reason="the extra `site` is not installed: make test installs it")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra `dev` is not installed")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
LOOK_UP = ["index", "notebooks/glossary", "reference", "measurements", "EXPERIMENTS", "api/gptlib.trainer"]
USE_IT = ["setup", "notebooks/README", "class", "CONTRIBUTING"]
PAGES = [*LOOK_UP, *USE_IT, *(f"notebooks/{name}" for name in NOTEBOOKS)]
SETTINGS = ["block_size", "batch_size", "gradient_accumulation_steps", "eval_interval", "eval_iters", "log_interval"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
CHECKED = [(name, mode, DESKTOP) for name in ("index", "notebooks/03_training") for mode in ("light", "dark")]
CHECKED += [("api/gptlib.trainer", "light", DESKTOP), ("notebooks/glossary", "light", PHONE)]
SERIOUS = ("serious", "critical")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Elements(HTMLParser):
    """The links, loads, anchors and images of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.loads, self.anchors, self.alts = [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes[key] for key in ("id", "name") if key in attributes}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        elif tag in ("img", "script", "iframe", "link") and (url := attributes.get("src") or attributes.get("href")):
            self.loads.append(url)
        if tag == "img":
            self.alts.append(attributes.get("alt", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site, with nothing left beside it; a warning of Sphinx fails the build."""
    folder = tmp_path_factory.mktemp("site") / "_site"
    build = subprocess.run([sys.executable, ROOT / "site" / "build.py", folder], capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    assert list(folder.parent.iterdir()) == [folder]
    return folder


@pytest.fixture(scope="module")
def pages(site):
    found = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    return {path.relative_to(site).as_posix(): Elements(path) for path in found}


@pytest.fixture(scope="module")
def address(site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(browser, address):
    """`visit(name)` opens a page, and in the end nothing went wrong on it and nothing came from elsewhere."""
    contexts, faults = [], []

    def open_page(name, mode="light", viewport=DESKTOP):
        context = browser.new_context(viewport=viewport, color_scheme=mode)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: faults.append(f"{message.text} {message.location}") if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if not is_ours(request.url) else None)
        page.goto(f"{address}{name}.html")
        return page

    def is_ours(url):
        return url.startswith((address, "data:"))

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


# --- what the files say -----------------------------------------------------------------------------------


def test_there_is_a_page_for_every_lesson_and_module(pages):
    modules = {f"api/gptlib.{path.stem}.html" for path in (ROOT / "gptlib").glob("[a-z]*.py")}
    modules |= {f"api/course.lab.{path.stem}.html" for path in (ROOT / "notebooks/course/lab").glob("[a-z]*.py")}
    assert set(pages) >= {f"{name}.html" for name in PAGES} | modules


def test_links_inside_the_site_resolve(site, pages):
    broken = []
    for name, page in pages.items():
        for link in (*page.links, *page.loads):
            if re.match(r"[a-z]+:", link):
                continue
            target, anchor = unquote(urlsplit(link).path), urlsplit(link).fragment
            path = ((site / name).parent / target).resolve() if target else site / name
            inside = pages.get(path.relative_to(site.resolve()).as_posix() if target else name)
            if not path.exists() or (anchor and inside is not None and anchor not in inside.anchors):
                broken.append(f"{name}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_another_host(pages):
    assert [(name, url) for name, page in pages.items() for url in page.loads if re.match("(https?:)?//", url)] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_figures_have_the_alt_text_of_the_notebook(pages, name):
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    alts = [output["metadata"]["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", {})]
    assert alts or name == "playground"
    shown = "\n".join(pages[f"notebooks/{name}.html"].alts)
    assert [alt for alt in alts if " ".join(alt.split()) not in shown] == []


def test_every_image_has_an_alt_text(pages):
    assert [name for name, page in pages.items() if not all(page.alts)] == []


def test_formulas_are_formulas(site):
    page = (site / "notebooks" / "03_training.html").read_text(encoding="utf-8")
    assert page.count("<math") >= 3 and "\\frac" not in page and "\\_" not in re.sub("<pre.*?</pre>", "", page)


def test_the_glossary_has_the_settings_side_by_side(site):
    page = (site / "notebooks" / "glossary.html").read_text(encoding="utf-8")
    table = page[page.index("<tbody") : page.index("</tbody")]
    assert [name for name in SETTINGS if name not in table] == []


def test_a_lesson_opens_in_binder_and_colab_where_the_repository_is_known(pages):
    launch_buttons = runpy.run_path(str(ROOT / "site" / "conf.py"))["launch_buttons"]
    assert launch_buttons({}) == {}
    assert launch_buttons({"Repository": "https://github.com/a/b"})["repository_url"] == "https://github.com/a/b"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    buttons = [link for link in pages["notebooks/03_training.html"].links if re.search("mybinder|colab", link)]
    assert len(buttons) == (2 if "Repository" in project.get("urls", {}) else 0)


# --- what the browser shows ----------------------------------------------------------------------------------


def test_pages_open_without_errors_and_fit_a_phone(visit, address):
    page = visit("index", viewport=PHONE)
    wide = {}
    for name in PAGES:
        page.goto(f"{address}{name}.html")
        wide[name] = page.evaluate("document.documentElement.scrollWidth")
    assert {name: width for name, width in wide.items() if width > PHONE["width"]} == {}


def test_a_live_lab_says_that_it_is_live_elsewhere(visit):
    note = visit("notebooks/03_training").get_by_role("note")
    assert "Live when you run it" in note.inner_text() and "eval_iters" in note.inner_text()


def test_search_finds_a_lesson(visit):
    page = visit("search")
    page.goto(f"{page.url}?q=accumulation")
    page.locator("#search-results a", has_text="05 Accumulation").first.wait_for()


def test_a_card_leads_to_its_lesson(visit):
    page = visit("index")
    page.locator(".lesson", has_text="How do we know that it learns?").click()
    page.get_by_role("heading", level=1, name="03 Training").wait_for()


def test_a_dark_page_is_never_light(visit):
    """Else it flashes, and for a moment its colours are between the two, where nothing can be read."""
    page = visit("index", "dark")
    page.add_init_script("""new MutationObserver((_, observer) => {
        if (!document.body) return
        window.firstTheme = document.documentElement.dataset.theme
        observer.disconnect()
    }).observe(document, {childList: true, subtree: true})""")
    page.evaluate("localStorage.clear()")
    page.reload()
    assert page.evaluate("window.firstTheme") == "dark"


@pytest.mark.parametrize(("name", "mode", "viewport"), CHECKED)
def test_axe_finds_no_serious_fault(visit, name, mode, viewport):
    page = visit(name, mode, viewport)
    page.evaluate("""() => {  // each word of code is an element, and one of each colour will do
        const seen = new Set()
        for (const word of document.querySelectorAll(".highlight span")) {
            if (seen.has(word.className)) word.replaceWith(word.textContent)
            seen.add(word.className)
        }
    }""")
    found = axe.Axe().run(page, options={"preload": False, "resultTypes": ["violations"]}).response
    faults = [fault for fault in found["violations"] if fault["impact"] in SERIOUS]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in faults] == []
