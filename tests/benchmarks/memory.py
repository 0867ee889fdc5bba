"""What a training holds in private memory when its films lie in a cache, against the same with few.

    python tests/benchmarks/memory.py [FILMS]

Writes so many tiny films (50,000) into a temporary folder, fills a cache with their reductions to
64 px, then trains three steps on them in a process of its own, and again on 500 of them.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
TRAINING = """
import sys
from pathlib import Path
from multimix import Config, load_films, train

films, cache, out = sys.argv[1:]
loaded = load_films(films, side=64, cache=cache, progress=False)
config = Config.preset("enc_ssl", side=64, steps=3, validate_every=3, widths=(2, 2, 2, 2, 2))
if out:
    train(config, loaded, out, device="cpu", progress=False)
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("RssAnon:")[2].split()[0]) / 1024)
"""


def write_films(folder: Path, count: int) -> None:
    """Half of them NORMAL, each with a patient of its own."""
    for i in range(count):
        path = folder / "train" / ("NORMAL", "PNEUMONIA")[i % 2] / f"person{i}_a_{i}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((64, 64), i % 251, dtype=np.uint8)
        pixels[0, :4] = np.frombuffer(np.int32(i).tobytes(), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


def private_megabytes(films: Path, cache: Path, out: Path | str) -> float:
    """Of a training on the films, read from the cache; without `out` the cache is filled alone."""
    command = [sys.executable, "-c", TRAINING, str(films), str(cache), str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout) if out else 0.0


if __name__ == "__main__":
    counts = (500, int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
    held = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_films(folder / "films", count)
            private_megabytes(folder / "films", folder / "cache", "")
            size = sum(path.stat().st_size for path in (folder / "cache").glob("*.uint8")) / 2**20
            held[count] = private_megabytes(folder / "films", folder / "cache", folder / "run")
        print(f"{count} films, {size:.0f} MB of cache: {held[count]:.0f} MB private")
    print(f"grown by {held[counts[1]] - held[counts[0]]:.0f} MB")
