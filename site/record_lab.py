"""The README's moving picture: lesson 03's lab, used in a real browser, at the speed of this machine.

make lab
python site/record_lab.py ADDRESS    # the one that JupyterLab prints, with its token
"""

import io
import shutil
import sys
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

PICTURE = Path(__file__).parents[1] / "notebooks" / "images" / "live_lab.gif"
CELLS = 5  # from the top, the lab's included
WIDTH = 900  # pixels, of the picture
LAST = 4000  # milliseconds that the end stays before it begins again

Frame = tuple[bytes, float]  # a picture, and the second in which it was taken


def main() -> None:
    """Predict, run, move a slider, run again; and write what was seen."""
    address = urlsplit(sys.argv[1])
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=browser).new_page(
            viewport={"width": 1300, "height": 1200}, device_scale_factor=1.5
        )
        page.set_default_timeout(120_000)
        page.goto(f"{address.scheme}://{address.netloc}/lab/tree/notebooks/03_training.ipynb?{address.query}&reset")
        lab = open_lab(page)
        lab.get_by_label("It stays exactly the same").check()
        frames = run(page, lab)
        block_size = lab.locator(".widget-readout").nth(3)
        block_size.fill("4")
        block_size.press("Enter")
        frames += run(page, lab)
    save(frames)
    print(f"wrote {PICTURE}: {len(frames)} pictures, {PICTURE.stat().st_size / 2**20:.1f} MiB")


def open_lab(page: Page) -> Locator:
    """The lab of the lesson, once its cells have run."""
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.get_by_text("| Idle").first.wait_for()
    page.locator(".jp-Notebook .jp-Cell").first.click()
    for _ in range(CELLS):
        page.keyboard.press("Shift+Enter")
    lab = page.locator(".gptlib-lab").first
    lab.locator(".gptlib-plot img").wait_for()
    lab.scroll_into_view_if_needed()
    return lab


def run(page: Page, lab: Locator) -> list[Frame]:
    """Press Run; what is seen until the run has finished, and when."""
    status, frames = lab.locator(".gptlib-status"), []

    def look() -> None:
        frames.append((page.screenshot(clip=lab.bounding_box()), time.perf_counter()))

    before = status.inner_text()
    look()
    lab.get_by_role("button", name="Run", exact=True).click()
    while (now := status.inner_text()) == before or "finished" not in now:
        look()
    page.wait_for_timeout(1000)  # the last picture is on its way
    look()
    return frames


def save(frames: list[Frame]) -> None:
    """An animation; a picture stays until the next one was taken."""
    shown = [Image.open(io.BytesIO(png)).convert("RGB") for png, _ in frames]
    height = max(picture.height for picture in shown)
    size = WIDTH, round(WIDTH * height / shown[0].width)
    pictures = []
    for picture in shown:
        page = Image.new("RGB", (shown[0].width, height), "white")
        page.paste(picture)
        page = page.resize(size, Image.Resampling.LANCZOS)
        # An octree keeps the colors that are rare: a thin curve's.
        pictures.append(page.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))
    times = [round(1000 * at) for _, at in frames]
    durations = [*(after - before for before, after in pairwise(times)), LAST]
    pictures[0].save(PICTURE, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True)


if __name__ == "__main__":
    main()
