"""The network: one encoder, a class head, a decoder, and the saliency bridge between them.

Haque et al., ISBI 2021, figure 1 and section 2. Shapes are written for widths (16, 32, 64, 128,
256) at 256 px.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 128, 256)
CLASSES = ("NORMAL", "PNEUMONIA")
DROPOUT = 0.25
STRIDE = 16  # four poolings lie above the deepest skip: sides must be multiples of it
SIDES = range(2 * STRIDE, 2049, STRIDE)  # px: those that a film may be reduced to
SIDES_NAMED = f"a multiple of {SIDES.step}, {SIDES[0]} to {SIDES[-1]}"


class Output(NamedTuple):
    """What the network says about a batch of N films."""

    class_logits: Tensor  # (N, 2): NORMAL, PNEUMONIA
    mask_logits: Tensor  # (N, 1, H, W): sigmoid gives the probability of lung
    saliency: (
        Tensor | None
    )  # (N, 1, H, W), >= 0: |d max class logit / d pixel|; None where not computed


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two 3x3 convolutions, each normalised per film; dropout follows where it is called."""
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        layers += [
            nn.Conv2d(channels, channels_out, 3, padding=1),
            InstanceNorm(),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers)


class InstanceNorm(nn.Module):
    """Every map of every film to mean 0 and variance 1, without parameters.

    torch's own copies channels-last maps back and forth; its batch norm of one film at a time is
    the same function.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
            return F.instance_norm(x)
        films = [F.batch_norm(film, None, None, training=True) for film in x.split(1)]
        return films[0] if len(films) == 1 else torch.cat(films)


def drop(x: Tensor, active: bool) -> Tensor:
    """Element-wise dropout. On the CPU eight decisions share one random number: torch's own took a
    fifth of a step.
    """
    if not active or x.device.type != "cpu":
        return F.dropout(x, DROPOUT, active)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: x.numel()] >= round(256 * DROPOUT)
    return x * kept.to(x.dtype).mul_(1 / (1 - DROPOUT)).as_strided(x.shape, x.stride())


class Encoder(nn.Module):
    """Film to five feature maps and two class logits."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        for stage, (channels_in, channels_out) in enumerate(zip((1, *widths), widths), start=1):
            self.add_module(f"dconv_down{stage}", block(channels_in, channels_out))
        self.fc = nn.Linear(widths[-1], len(CLASSES))

    def forward(self, x: Tensor, dropout: bool = False) -> tuple[Tensor, list[Tensor]]:
        """(N, 1, H, W) in [-1, 1] -> class logits (N, 2), maps before pooling, finest first."""
        maps = []
        for stage in range(1, 6):
            x = drop(self.get_submodule(f"dconv_down{stage}")(x), dropout)
            maps.append(x)  # 16 @256, 32 @128, 64 @64, 128 @32, 256 @16
            x = F.max_pool2d(x, 2)
        return self.fc(x.mean((2, 3))), maps  # 256 @8 -> 256 -> 2


class Decoder(nn.Module):
    """Feature maps, and the bridge if there is one, to one mask logit a pixel."""

    def __init__(self, widths: tuple[int, ...], bridge: bool):
        super().__init__()
        below = widths[-1]
        for stage in (4, 3, 2, 1):
            skip = widths[stage - 1]
            extra = 2 if bridge and stage == 4 else 0
            self.add_module(f"dconv_up{stage}", block(below + skip + extra, skip))
            below = skip
        self.conv_last = nn.Conv2d(widths[0], 1, 1)

    def forward(self, maps: list[Tensor], bridge: Tensor | None, dropout: bool = False) -> Tensor:
        x = maps[4]  # 256 @16
        for stage in (4, 3, 2, 1):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            joined = [x, maps[stage - 1]] + ([bridge] if stage == 4 and bridge is not None else [])
            x = self.get_submodule(f"dconv_up{stage}")(torch.cat(joined, 1))
            x = drop(x, dropout)  # 128 @32, 64 @64, 32 @128, 16 @256
        return self.conv_last(x)  # 1 @256


class MultiMix(nn.Module):
    """Classify pneumonia and segment lungs with one encoder.

    `widths` are the channels of the five stages. `bridge` feeds the film and the classifier's
    saliency into the decoder; without it the decoder is a plain U-Net's.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, bridge: bool = True):
        super().__init__()
        if len(widths) != 5 or min(widths) < 1:
            raise ValueError(
                f"widths are {widths}; five positive channel numbers are needed, such as {WIDTHS}."
            )
        self.widths, self.bridge = tuple(widths), bridge
        # px: what a film is to be reduced to; a checkpoint says at which side it was trained
        self.side = 256
        # by which films that name no split are split; a checkpoint says with which it was trained
        self.seed = 0
        self.manifest = ""  # what `train` wrote of the films that it was trained on
        self.calibration: dict[
            str, float
        ] = {}  # 'temperature' and 'operating_point', if validation films chose them
        self.encoder = Encoder(self.widths)
        self.decoder = Decoder(self.widths, bridge)

    if TYPE_CHECKING:  # torch's own tells editors and type checkers nothing

        def __call__(self, x: Tensor) -> Output: ...

    def forward(self, x: Tensor) -> Output:
        """Class logits, mask logits and saliency of films x, (N, 1, H, W) in [-1, 1], H and W
        multiples of 16.

        In eval mode one encoder pass serves all three. In training the saliency, which is wanted
        without dropout, takes a pass of its own, and is left out when there is no bridge to use it.
        Gradients of the weights and the mode of every module stay as they were; `no_grad` and
        `inference_mode` make no difference to the values. ValueError where x is of another shape.
        """
        check_films(x)
        if self.training:
            saliency = self.saliency(x) if self.bridge else None
            class_logits, maps = self.encoder(x, dropout=True)
        else:
            class_logits, maps, saliency = self._encode_with_saliency(x)
        bridge = bridge_maps(x, saliency) if self.bridge else None
        return Output(class_logits, self.decoder(maps, bridge, dropout=self.training), saliency)

    def classify(self, x: Tensor) -> Tensor:
        """Class logits (N, 2) alone: no saliency, no decoder."""
        check_films(x)
        return self.encoder(x, dropout=self.training)[0]

    def saliency(self, x: Tensor) -> Tensor:
        """|d max class logit / d pixel|, (N, 1, H, W), without dropout; detached, not normalised."""
        with torch.no_grad():
            return self._encode_with_saliency(x)[2]

    def _encode_with_saliency(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        keep = torch.is_grad_enabled()  # only then can someone still want the graph
        with torch.inference_mode(False), torch.enable_grad():
            # An inference tensor cannot enter a graph, but its clone made here can.
            films = x.clone() if x.is_inference() else x
            if not (keep and films.requires_grad):
                films = films.detach().requires_grad_()
            class_logits, maps = self.encoder(films)
            score = class_logits.max(
                1
            ).values.sum()  # films do not mix, so one gradient serves the whole batch
            (gradient,) = torch.autograd.grad(score, films, retain_graph=keep)
        if not keep:
            class_logits, maps = class_logits.detach(), [m.detach() for m in maps]
        return class_logits, maps, gradient.abs()


def bridge_maps(x: Tensor, saliency: Tensor) -> Tensor:
    """Film and saliency, reduced to the side of the fourth stage: (N, 2, H/8, W/8)."""
    return F.interpolate(
        torch.cat([x, saliency], 1), scale_factor=1 / 8, mode="bilinear", align_corners=True
    )


def check_films(x: Tensor) -> None:
    """Refuse a batch that the network cannot take, in one sentence."""
    if x.ndim != 4 or x.shape[1] != 1 or not x.is_floating_point():
        raise ValueError(
            f"The network was given a {x.dtype} tensor of shape {tuple(x.shape)}; "
            "it needs grey films as floats in [-1, 1], shape (N, 1, H, W)."
        )
    if (
        x.shape[0] == 0
        or min(x.shape[2:]) < 2 * STRIDE
        or x.shape[2] % STRIDE
        or x.shape[3] % STRIDE
    ):
        raise ValueError(
            f"The network was given {x.shape[0]} films of {x.shape[2]} x {x.shape[3]} pixels; it "
            "needs at "
            f"least one, with sides that are multiples of {STRIDE}, {2 * STRIDE} or more: resize "
            "them."
        )


def load_tensors(tensors: dict[str, Tensor]) -> MultiMix:
    """The network that a state dict describes: ours, or the authors' with its two never-used
    tensors.

    Widths and bridge are read from the tensors' shapes. ValueError names the missing, extra or
    wrongly shaped ones.
    """
    tensors = {n: t for n, t in tensors.items() if not n.startswith("decoder.conv_last_saliency.")}
    try:
        widths = tuple(
            tensors[f"encoder.dconv_down{stage}.0.weight"].shape[0] for stage in range(1, 6)
        )
        joined = tensors["decoder.dconv_up4.0.weight"].shape[1]
    except KeyError as error:
        raise ValueError(
            f"These are not weights of a MultiMix network: tensor {error} is missing."
        ) from None
    except IndexError:
        raise ValueError(
            "These are not weights of a MultiMix network: a convolution's has no dimensions."
        ) from None
    with torch.device("meta"):  # shapes alone, as these may be of any size
        model = MultiMix(widths, bridge=joined != widths[4] + widths[3])
    expected = model.state_dict()
    faults = [f"{name} is missing" for name in expected if name not in tensors]
    faults += [f"{name} is not part of it" for name in tensors if name not in expected]
    faults += [
        f"{name} has shape {tuple(tensors[name].shape)} instead of {tuple(wanted.shape)}"
        for name, wanted in expected.items()
        if name in tensors and tensors[name].shape != wanted.shape
    ]
    if faults:
        more = f", and {len(faults) - 3} more faults" if len(faults) > 3 else ""
        raise ValueError(
            f"These are not weights of a MultiMix network: {'; '.join(faults[:3])}{more}."
        )
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return model.eval()


def choose_device(name: str = "auto") -> torch.device:
    """'auto' takes CUDA, else Apple's MPS, else the CPU. ValueError where there is no such device."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    kind = next(k for k in there if there[k]) if name == "auto" else name.partition(":")[0]
    if not there.get(kind):
        choices = " or ".join(["auto", *(known for known in there if there[known])])
        raise ValueError(f"There is no device '{name}' here; choose {choices}.")
    try:
        return torch.empty(0, device=kind if name == "auto" else name).device
    except RuntimeError:
        raise ValueError(
            f"There is no device '{name}' here; write {kind}, or {kind}:0, and so on."
        ) from None


def place(model: MultiMix, device: torch.device) -> MultiMix:
    """The network on a device, its memory laid out as the convolutions there like it."""
    return model.to(
        device,
        memory_format=torch.channels_last if device.type == "cpu" else torch.contiguous_format,
    )


def films_at_once(device: torch.device, side: int) -> int:
    """How many films one pass takes best: on a CPU what its cache holds, which is also several
    times faster.
    """
    return max(1, min(16, 2 * 256**2 // side**2)) if device.type == "cpu" else 64
