"""One prediction beside the tool that people would take instead, on the same film.

    pip install torchxrayvision
    python tests/benchmarks/peer.py [FILM]

torchxrayvision gives class, heat map and lungs by two networks: a DenseNet-121 at 224 px (7 million
parameters), whose input gradient is the map, and a PSPNet at 512 px (68 million). Their weights are
not downloaded: random ones take the same time. Ours is one `predict`: class, map, lungs and
warnings at the film's own size. The film is read and reduced in all of them. Medians of five turns.
"""

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from data import seconds

import multimix
import multimix.runtime.torchvision_shim
from multimix.images.reading import load_image, resize
from multimix.runtime.files import bundled

NETWORKS = ("multimix", "multimix_100_10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", nargs="?", default=bundled("sample_data") / "child_normal_1.jpg")
    film = parser.parse_args().film
    import torchxrayvision as xrv
    from torchxrayvision.baseline_models.chestx_det.ptsemseg.pspnet import pspnet

    dense, lungs = xrv.models.DenseNet().eval(), pspnet(14).eval()

    def picture(side: int) -> torch.Tensor:
        grey = torch.from_numpy(resize(load_image(film).grey, side).copy())
        return (grey.float() / 127.5 - 1)[None, None]

    def classify() -> None:
        x = (1024 * picture(224)).requires_grad_()
        dense(x).max().backward()

    def segment() -> None:
        with torch.inference_mode():
            lungs(picture(512).repeat(1, 3, 1, 1))

    models = [multimix.load_model(name, "cpu") for name in NETWORKS]
    ours = [lambda model=model: multimix.predict(model, film) for model in models]
    names = ("DenseNet-121 and its gradient", "PSPNet", *NETWORKS)
    taken = dict(zip(names, seconds(classify, segment, *ours, repetitions=5)))
    for name, value in taken.items():
        print(f"{name}: {value:.3f} s")
    peer = taken[names[0]] + taken[names[1]]
    print(*(f"{name}: {peer / taken[name]:.0f} times as fast" for name in NETWORKS), sep="\n")


if __name__ == "__main__":
    main()
