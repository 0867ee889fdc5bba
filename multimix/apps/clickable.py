"""Clicks and arrow keys in the panel's picture, where anywidget is installed.

The listener has no view: where a front end cannot load it, all that is shown stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import ipywidgets as widgets

LISTEN = """
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function initialize({ model }) {
  const end = new AbortController();
  // The window hears first, before a notebook's own keys, and whenever the picture is shown.
  const on = (name, react) => window.addEventListener(name, (event) => {
    if (event.target.matches?.(".PICTURE")) react(event, event.target);
  }, { capture: true, signal: end.signal });

  on("pointerover", (event, picture) => {
    Object.assign(picture, { tabIndex: 0, title: "Click to read the values at a point" });
    picture.style.cursor = "crosshair";
  });
  on("click", (event, picture) => {
    // The element can be wider or higher than the picture, which is in its middle.
    const { naturalWidth, naturalHeight, clientWidth, clientHeight } = picture;
    const scale = Math.min(clientWidth / naturalWidth, clientHeight / naturalHeight);
    const x = 0.5 + (event.offsetX - clientWidth / 2) / (scale * naturalWidth);
    const y = 0.5 + (event.offsetY - clientHeight / 2) / (scale * naturalHeight);
    if (Math.min(x, y) >= 0 && Math.max(x, y) < 1) model.send({ share: [y, x] });
  });
  on("keydown", (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!event.repeat) model.send({ step: STEPS[event.key] });  // a repeat outruns the drawing
  });
  return () => end.abort();
}
export default { initialize };
"""


def report_clicks(picture: widgets.Image, report: Callable[[dict], None]) -> None:
    """Report {"share": [y, x] of the picture} for a click, {"step": [down, right]} for a key.

    Without anywidget nothing is reported; nor in Colab, where anywidget would have all widgets
    shown by another front end, from the internet.
    """
    try:
        from anywidget import AnyWidget
    except ImportError:
        return
    if "google.colab" in sys.modules:
        return
    name = f"multimix-{picture.model_id}"
    picture.add_class(name)

    class Listener(AnyWidget):
        _esm = LISTEN.replace("PICTURE", name)

    Listener().on_msg(lambda _listener, message, _buffers: report(message))
