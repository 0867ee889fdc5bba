"""How fast training, prediction and start are, against the step as it was published, in one run.

    python tests/benchmarks/engine.py [--side 256] [--device cpu]

'Literal' is the published step on this project's own modules: all fifty films through encoder and
decoder, saliency for all of them by back-propagating into films and weights, a graph kept for the
weak views, float32, contiguous, torch's own dropout, garbage collection in every step, views made
film by film with Pillow. tests/test_training_step.py holds both to the same loss and gradients.
"""

import argparse
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "benchmarks")]

from data import pillow_views, seconds
from literal import literal_forward, literal_loss

from multimix import model as network
from multimix.batches import Loader
from multimix.config import Config
from multimix.data.films import load_films
from multimix.images.reading import load_image, network_input, resize
from multimix.inference import load_model, predict_batch
from multimix.model import MultiMix
from multimix.runtime.device import choose_device, compile_parts
from multimix.trainer import Trainer

LITERAL_DROPOUT = mock.patch.object(
    network, "dropout", lambda x, rate, active: F.dropout(x, rate, active)
)


class Work:
    """The literal step and ours, with the making of their batches, to be timed in turns."""

    def __init__(self, side: int, device: torch.device):
        self.side, self.device = side, device
        self.films = load_films(side=side, progress=False)
        self.config = Config(side=side)
        self.loader = Loader(self.films, self.config, device)
        self.batch, self.step = self.loader(0), 0

    def literal(self) -> Callable[[], None]:
        model = MultiMix().to(self.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

        def step() -> None:
            # 30 views, as three streams have.
            views = pillow_views(self.films.classification.pixels[:15][:, None])
            films, weak, strong = network_input(views).to(self.device).split(10)
            batch = self.batch._replace(class_films=films, weak=weak, strong=strong)
            with LITERAL_DROPOUT:
                loss = literal_loss(model, batch, self.config)
            loss.backward()
            optimizer.step()
            gc.collect()
            torch.cuda.empty_cache()
            loss.item()

        return step

    def ours(self, precision: str, compile: bool = False) -> Callable[[], None]:
        config = Config(side=self.side, precision=precision)
        run = Trainer(config, self.films, self.device)
        if compile:
            compile_parts(run.model.encoder, run.model.decoder)

        def step() -> None:
            self.step += 1
            run.optimise(self.loader(self.step))

        return step


def training(work: Work, repetitions: int) -> None:
    steps = {
        "literal": work.literal(),
        "float32": work.ours("float32"),
        "bfloat16": work.ours("bfloat16"),
    }
    if work.device.type == "cuda":
        steps["bfloat16, compiled"] = work.ours("bfloat16", compile=True)
    taken = dict(zip(steps, seconds(*steps.values(), repetitions=repetitions)))
    for name, time_taken in taken.items():
        print(f"training step, {name}: {time_taken:.2f} s, {taken['literal'] / time_taken:.1f}x")
    (load,) = seconds(lambda: work.loader(1))
    print(f"making its batch: {load:.3f} s, {load / taken['bfloat16']:.1%} of the bfloat16 step")


def peaks(side: int) -> None:
    """Each in a process of its own, over what the process holds before the first step."""
    found = {}
    for name in ("literal", "float32", "bfloat16"):
        done = subprocess.run(
            [sys.executable, __file__, "--peak", name, "--side", str(side)],
            capture_output=True,
            text=True,
            check=True,
        )
        found[name] = float(done.stdout)
        print(
            f"peak memory of a step, {name}: {found[name]:.2f} GB, "
            f"{found[name] / found['literal']:.0%} of literal"
        )


def highest() -> int:
    """kB of memory that this process held at its highest (getrusage counts its parent's, too)."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


def peak(name: str, work: Work) -> float:
    before = highest()
    step = work.literal() if name == "literal" else work.ours(name)
    step()
    step()
    return (highest() - before) / 1e6


def predicting(device: torch.device, repetitions: int) -> None:
    model, literal = load_model(device=device.type), MultiMix().to(device)
    paths = sorted((ROOT / "sample_data" / "small" / "test").glob("*.jpg"))
    films = [load_image(path) for path in paths[:16]]
    x = network_input(torch.from_numpy(resize(films[0].grey, 256))[None, None]).to(device)
    how = dict(flip=False, clean=True, invert="auto", explanation=True)

    def published() -> None:
        with LITERAL_DROPOUT:
            literal_forward(literal, x, True)

    def batches() -> None:
        for first in range(0, 16, 2):
            list(predict_batch(model, films[first : first + 2], **how))

    def narrow() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            batches()

    def one() -> None:
        list(predict_batch(model, films[:1], **how))

    theirs, ours, many, many_narrow = seconds(
        published, one, batches, narrow, repetitions=repetitions
    )
    print(f"one film predicted: literal {theirs:.3f} s, ours {ours:.3f} s, {theirs / ours:.1f}x")
    print(f"films in batches: float32 {16 / many:.1f}/s, bfloat16 {16 / many_narrow:.1f}/s")


def starting() -> None:
    def run(*arguments: str) -> Callable[[], object]:
        command = [sys.executable, *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        options = dict(cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        return lambda: subprocess.run(command, **options)

    film = ["sample_data/real_adult_pa.png", "--out", "build/predictions"]
    alone, ours, cold = seconds(
        run("-c", "import torch"),
        run("-c", "from multimix import *"),  # by itself, `import multimix` imports nothing
        run("-m", "multimix", "predict", *film),
    )
    print(
        f"from multimix import * beyond torch: {ours - alone:.2f} s; python -m multimix predict "
        f"one.png: {cold:.2f} s"
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--side", type=int, default=256)
    options.add_argument("--device", default="auto")
    options.add_argument("--repetitions", type=int, default=3)
    options.add_argument("--peak", help=argparse.SUPPRESS)
    options = options.parse_args()
    if options.peak:
        print(peak(options.peak, Work(options.side, torch.device("cpu"))))
        sys.exit()
    device = choose_device(options.device)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {device}, {options.side} px"
    )
    work = Work(options.side, device)
    training(work, options.repetitions)
    if device.type == "cpu" and sys.platform == "linux":
        peaks(options.side)
    predicting(device, 5 * options.repetitions)
    starting()
