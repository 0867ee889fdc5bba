"""The panel in a real browser: Voila serves it, Chromium shows it, a person's moves are made.

A screenshot stays in build/panel.png.
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
import pytest
from helpers import ROOT, save

from multimix.data import phantom

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
    cell = nbformat.v4.new_code_cell("from multimix.apps.panel import Panel\n\nPanel()")
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
    """Until somebody answers there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=60):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError(f"{address} does not answer")


def test_a_person_at_the_panel(address, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    expect = playwright.expect
    save(tmp_path / "mine.png", phantom.draw(2_000_004, 1, 300)[0])
    (tmp_path / "nonsense.png").write_text("not a picture")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 760})
        page.goto(address)
        expect(page.get_by_text("For research, not for diagnosis")).to_be_visible(timeout=90_000)
        picture = page.locator("img.widget-image")

        def upload(name: str) -> None:
            with page.expect_file_chooser() as chooser:
                page.locator("button.widget-upload").click()
            chooser.value.set_files(tmp_path / name)

        def changed_by(move) -> None:
            before = picture.get_attribute("src")
            move()
            page.wait_for_function(
                "([img, src]) => img.src !== src",
                arg=[picture.element_handle(), before],
                timeout=30_000,
            )

        changed_by(lambda: upload("mine.png"))
        expect(page.locator("a[download='mine_mask.png']")).to_be_visible()
        for handle in range(2):
            changed_by(
                lambda number=handle: page.locator(".noUi-handle").nth(number).press("ArrowRight")
            )
        changed_by(lambda: page.get_by_role("button", name="saliency").click())
        changed_by(lambda: page.get_by_role("button", name="overlay").click())
        (ROOT / "build").mkdir(exist_ok=True)
        page.screenshot(path=ROOT / "build" / "panel.png")
        upload("nonsense.png")
        expect(page.get_by_text("nonsense.png is not a picture that can be read")).to_be_visible(
            timeout=30_000
        )
        page.locator(".widget-dropdown select").first.select_option("phantom_normal_1")
        expect(page.locator("a[download='phantom_normal_1_mask.png']")).to_be_visible(
            timeout=30_000
        )
        browser.close()
