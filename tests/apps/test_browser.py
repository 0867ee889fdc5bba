"""The panel in a real browser: Voila serves it, Chromium shows it, a person's moves are made.

Screenshots stay in build/.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pandas as pd
import pytest
from drawn import draw
from helpers import ROOT, save

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def address(tmp_path):
    """Where Voila serves a notebook that holds the panel alone."""
    pytest.importorskip("voila")
    path = tmp_path / "panel.ipynb"
    cell = nbformat.v4.new_code_cell("import multimix\n\nmultimix.Panel()")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    command = [sys.executable, "-m", "voila", str(path), *options]
    server = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        wait_for(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(20)


def wait_for(address: str, seconds: int = 120) -> None:
    """Wait for the server."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=60):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError(f"{address} does not answer")


@pytest.mark.parametrize("width", [480, 1280])
def test_a_person_at_the_panel(address, tmp_path, width):
    """Look at a sample, upload two films and nonsense, look closer, and take the table home."""
    playwright = pytest.importorskip("playwright.sync_api")
    for name in ("mine", "other"):
        save(tmp_path / f"{name}.png", draw(len(name), 1, 300)[0])
    (tmp_path / "nonsense.png").write_text("not a picture")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 1300})
        page.set_default_timeout(90_000)
        page.goto(address)
        picture = page.locator("img.widget-image")
        playwright.expect(picture).to_be_visible(timeout=90_000)
        screenshot(page, "opened")

        def changes_the_picture(move, *arguments) -> None:
            before = picture.get_attribute("src")
            move(*arguments)
            changed = "([img, src]) => img.src !== src"
            page.wait_for_function(changed, arg=[picture.element_handle(), before])

        def upload(*names: str) -> None:
            with page.expect_file_chooser() as chooser:
                page.locator("button.widget-upload").click()
            chooser.value.set_files([tmp_path / name for name in names])

        changes_the_picture(upload, "mine.png", "other.png")
        page.locator("a[download='mine_mask.png']").wait_for()
        page.get_by_text("Your own films (2)").wait_for()
        for name in ("Zoom", "Opacity", "Brightness", "Contrast"):
            handle = page.locator(".widget-slider", has_text=name).locator(".noUi-handle")
            changes_the_picture(handle.press, "ArrowRight")
        changes_the_picture(page.get_by_role("button", name="explanation").click)
        picture.hover()
        changes_the_picture(page.mouse.wheel, 0, -100)
        page.mouse.down()
        changes_the_picture(page.mouse.move, 200, 400)
        page.mouse.up()
        screenshot(page, "zoomed")
        upload("nonsense.png")
        page.get_by_text("nonsense.png is not").wait_for()
        assert picture.is_visible()
        with page.expect_download() as download:
            page.locator("a[download='predictions.csv']").click()
        table = pd.read_csv(download.value.path())
        assert list(table["file"]) == ["mine.png", "other.png"]
        before = picture.get_attribute("src")
        page.locator(".widget-dropdown select").select_option(index=1)
        page.wait_for_function("src => document.querySelector('img').src !== src", arg=before)
        screenshot(page, "sample")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()


def screenshot(page, name: str) -> None:
    (ROOT / "build").mkdir(exist_ok=True)
    width = page.viewport_size["width"]
    page.screenshot(path=ROOT / "build" / f"panel_{width}_{name}.png", full_page=True)
