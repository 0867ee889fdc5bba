"""The panel in a real browser, served by Voila; a screenshot of each width stays in build/."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time

import nbformat
import pandas as pd
import pytest
from drawn import draw
from helpers import ROOT, save

from multimix.predictions.pictures import VIEWS

CHROMIUM = shutil.which("chromium")
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
        while socket.socket().connect_ex(("127.0.0.1", port)):  # it does not listen yet
            assert server.poll() is None, "Voila has stopped"
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.parametrize("width", [480, 1280])
def test_a_person_at_the_panel(address, tmp_path, width):
    """Look at a sample, upload two films and nonsense, look closer, and take the table home."""
    playwright = pytest.importorskip("playwright.sync_api")
    for name in ("mine", "other"):
        save(tmp_path / f"{name}.png", draw(len(name), 1, 300)[0])
    (tmp_path / "nonsense.png").write_text("not a picture")
    with playwright.sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": width, "height": 1300})
        page.set_default_timeout(90_000)
        page.goto(address)
        picture = page.locator("img.widget-image")
        playwright.expect(picture).to_be_visible(timeout=90_000)

        def changes_the_picture(move, *arguments) -> None:
            before = picture.get_attribute("src")
            move(*arguments)
            changed = "([img, src]) => img.src !== src"
            page.wait_for_function(changed, arg=[picture.element_handle(), before])

        def upload(*names: str) -> None:
            with page.expect_file_chooser() as chooser:
                page.locator("button.widget-upload").click()
            chooser.value.set_files([tmp_path / name for name in names])

        def drag() -> None:
            box = picture.bounding_box()
            for share in (0.4, 0.6, 0.3):  # moves within 80 ms of the last one are not sent
                page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
                page.wait_for_timeout(150)

        changes_the_picture(upload, "mine.png", "other.png")
        page.locator("a[download='mine_mask.png']").wait_for()
        page.get_by_text("Your own films (2)").wait_for()
        for name in ("Zoom", "Opacity", "Brightness", "Contrast"):
            handle = page.locator(".widget-slider", has_text=name).locator(".noUi-handle")
            changes_the_picture(handle.press, "ArrowRight")
        changes_the_picture(page.get_by_role("button", name=VIEWS[2]).click)
        picture.hover()
        changes_the_picture(page.mouse.wheel, 0, -100)
        page.mouse.down()
        changes_the_picture(drag)
        page.mouse.up()
        upload("nonsense.png")
        page.get_by_text("nonsense.png: The film is not").wait_for()
        page.get_by_text("Your own films (1)").wait_for()
        assert picture.is_visible()
        with page.expect_download() as download:
            page.locator("a[download='predictions.csv']").click()
        table = pd.read_csv(download.value.path())
        assert list(table["file"]) == ["mine.png", "other.png"]
        changes_the_picture(page.locator("select").select_option, "child_viral.jpg")
        page.locator("td", has_text=re.compile("^child_viral.jpg$")).wait_for()
        page.screenshot(path=ROOT / "build" / f"panel_{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
