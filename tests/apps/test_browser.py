"""The panel in a real browser: Voila serves it, Chromium shows it, a person's moves are made.

Screenshots stay in build/.
"""

import os
import re
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

import multimix
from multimix.data import phantom
from multimix.evaluation.film_pictures import lung_box
from multimix.runtime.files import parse_csv

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
    """Until somebody answers there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=60):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError(f"{address} does not answer")


class Visitor:
    """A person at the panel, in a window of some width."""

    def __init__(self, page, expect, folder):
        self.page, self.expect, self.folder = page, expect, folder
        self.picture = page.locator("img.widget-image")
        self.width = page.viewport_size["width"]

    def upload(self, *names: str, button: int = 0) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.locator("button.widget-upload").nth(button).click()
        chooser.value.set_files([self.folder / name for name in names])

    def changes_the_picture(self, move, *arguments) -> None:
        before = self.picture.get_attribute("src")
        move(*arguments)
        self.page.wait_for_function(
            "([img, src]) => img.src !== src",
            arg=[self.picture.element_handle(), before],
            timeout=30_000,
        )

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name).click()

    def slider(self, name: str, key: str, times: int = 1) -> None:
        handle = self.page.locator(".widget-slider", has_text=name).locator(".noUi-handle")
        for _ in range(times):
            handle.press(key)

    def wipe(self, share: float) -> None:
        """Click on that share of the slider below the picture."""
        bar = self.page.locator(".noUi-target").first
        box = bar.bounding_box()
        bar.click(position={"x": share * box["width"], "y": box["height"] / 2}, force=True)

    def click(self, down: float, right: float) -> tuple[int, int]:
        """Click on that share of the picture; the row and column that values are shown of."""
        reading = self.page.get_by_text("lung probability")
        before = reading.inner_text()
        self.picture.scroll_into_view_if_needed()
        height, width = self.picture.evaluate("img => [img.naturalHeight, img.naturalWidth]")
        box = self.picture.bounding_box()  # it can be wider or higher than the picture
        scale = min(box["height"] / height, box["width"] / width)
        x = box["x"] + box["width"] / 2 + (right - 0.5) * scale * width
        y = box["y"] + box["height"] / 2 + (down - 0.5) * scale * height
        self.page.mouse.click(x, y)
        self.expect(reading).not_to_have_text(before, timeout=30_000)
        row, column = re.match(r"Row (\d+), column (\d+)", reading.inner_text()).groups()
        return int(row), int(column)

    def sees(self, text: str) -> None:
        self.expect(self.page.get_by_text(text).first).to_be_visible(timeout=30_000)

    def sees_link(self, name: str) -> None:
        link = self.page.locator(f"a[download='{name}']")
        self.expect(link).to_be_visible(timeout=30_000)

    def table(self) -> list[dict[str, str]]:
        with self.page.expect_download() as download:
            self.page.locator("a[download='predictions.csv']").click()
        return parse_csv(download.value.path().read_text(encoding="utf-8"))

    def screenshot(self, name: str) -> None:
        (ROOT / "build").mkdir(exist_ok=True)
        self.page.screenshot(path=ROOT / "build" / f"panel_{self.width}_{name}.png", full_page=True)

    def fits(self) -> None:
        """Nothing reaches beyond the window."""
        widest = self.page.evaluate("document.documentElement.scrollWidth")
        assert widest <= self.width


@pytest.fixture
def films(tmp_path):
    """Two films, the true lungs of the first, and nonsense."""
    for name, seed in (("mine", 2_000_004), ("other", 2_000_005)):
        film, lungs = phantom.draw(seed, 1, 300)
        if name == "other":
            film, lungs = film[:240], lungs[:240]
        save(tmp_path / f"{name}.png", film)
        save(tmp_path / f"{name}_true.png", lungs.astype("uint8") * 255)
    (tmp_path / "nonsense.png").write_text("not a picture")
    return tmp_path


@pytest.mark.parametrize("width", [480, 1280])
def test_a_person_at_the_panel(address, films, width):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 1300})
        person = Visitor(page, playwright.expect, films)
        page.goto(address)
        playwright.expect(person.picture).to_be_visible(timeout=90_000)
        person.screenshot("opened")
        look_at_two_films(person)
        person.upload("nonsense.png")
        person.sees("nonsense.png is not a picture that can be read")
        assert person.picture.is_visible()
        person.screenshot("nonsense")
        page.locator(".widget-dropdown select").first.select_option("phantom_normal_1")
        person.sees_link("phantom_normal_1_mask.png")
        person.fits()
        browser.close()


def look_at_two_films(person: Visitor) -> None:
    """Upload them, look closer, and take the table home."""
    person.changes_the_picture(person.upload, "mine.png", "other.png")
    person.sees_link("mine_mask.png")
    person.sees("other.png")
    person.changes_the_picture(person.wipe, 0.5)
    person.changes_the_picture(person.slider, "Lung if probability", "ArrowRight")
    person.changes_the_picture(person.slider, "Opacity", "ArrowRight")
    person.changes_the_picture(person.page.get_by_text("Zoom on the lungs").click)
    person.upload("mine_true.png", button=1)
    person.sees("Dice with the true mask")
    person.fits()
    person.screenshot("wiped")
    person.press("saliency")
    person.sees("What moved the class score")
    person.page.get_by_text("Read the values at a point").click()
    person.sees("lung probability")
    person.screenshot("saliency")
    click_on(person, "mine.png", zoom=True)
    person.press("overlay")
    person.press("Next")
    person.sees_link("other_mask.png")
    person.changes_the_picture(person.page.get_by_text("Zoom on the lungs").click)
    click_on(person, "other.png", zoom=False)
    rows = person.table()
    assert [row["file"] for row in rows] == ["mine.png", "other.png"]
    paths = [person.folder / row["file"] for row in rows]
    for row, p in zip(rows, multimix.predict(multimix.load_model(), paths), strict=True):
        assert (row["label"], row["network"]) == (p.label, "multimix")
        assert float(row["PNEUMONIA"]) == pytest.approx(p.probabilities["PNEUMONIA"], abs=1e-3)
        assert float(row["lung_share"]) == pytest.approx(p.lung_share, abs=1e-3)


def click_on(person: Visitor, name: str, zoom: bool) -> None:
    """What is read at a point that is clicked, and at its neighbours, is what the API says."""
    p = multimix.predict(multimix.load_model(), person.folder / name)
    left, top, right, bottom = lung_box(p.mask, zoom)
    size = person.page.viewport_size
    person.page.set_viewport_size({**size, "height": 500})  # less than the picture has
    for down, across in ((0.25, 0.3), (0.8, 0.9)):
        at = person.click(down, across)
        expected = top + down * (bottom - top), left + across * (right - left)
        assert at == pytest.approx(expected, abs=1)
        found = f"grey value {p.film[at]}, lung probability {p.mask_probability[at]:.2f}, saliency "
        person.sees(f"Row {at[0]}, column {at[1]}: {found}{p.saliency[at]:.3g} ")
        person.screenshot(f"clicked_{p.name}_{down}")
    person.page.keyboard.press("ArrowUp")
    person.sees(f"Row {at[0] - 1}, column {at[1]}: grey value {p.film[at[0] - 1, at[1]]}, ")
    person.page.keyboard.press("ArrowRight")
    person.sees(f"Row {at[0] - 1}, column {at[1] + 1}: ")
    person.page.set_viewport_size(size)
