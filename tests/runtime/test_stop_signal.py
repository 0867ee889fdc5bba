"""Signals while Python imports, and inside libraries that make other errors of Ctrl-C."""

import os
import signal
import subprocess
import sys
import time

from helpers import ROOT

from multimix.runtime.files import write_text
from multimix.runtime.stop_signal import stop_signals

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
STOPPED = "multimix: stopped.\n"
# Stands in for a library that takes seconds to import, and drops whatever is raised meanwhile.
SWALLOWING = """
import os, time
open(os.environ["BEGUN"], "w").close()
while True:
    try:
        time.sleep(0.05)
    except BaseException:
        pass
"""


def test_a_signal_while_a_library_is_imported_that_swallows_it(tmp_path):
    (tmp_path / "torch.py").write_text(SWALLOWING)
    path, begun = f"{tmp_path}{os.pathsep}{ROOT}", tmp_path / "begun"
    environment = ENVIRONMENT | {"PYTHONPATH": path, "BEGUN": str(begun)}
    options = dict(env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process = subprocess.Popen([sys.executable, "-m", "multimix"], **options)
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60) == ("", STOPPED) and process.returncode == 130


WRITING = """
import os, signal, sys
from pathlib import Path
from multimix.runtime.files import atomic_write
from multimix.runtime.stop_signal import StopSignal, end_at_once
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, end_at_once)
print("said before")
with StopSignal() as stop:
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.came
    with atomic_write(Path(sys.argv[1])) as file:
        file.write(b"half")
        os.kill(os.getpid(), signal.SIGINT)
print("never")
"""


def test_a_second_signal_leaves_nothing_half_written(tmp_path):
    command = [sys.executable, "-c", WRITING, str(tmp_path / "file")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("said before\n", STOPPED, 130)
    assert not (tmp_path / "file").exists()
    write_text(tmp_path / "other", "x")  # removes what the ended process has left
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_hangup_that_nohup_has_switched_off_stays_so(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN)
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM]
