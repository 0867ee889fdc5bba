"""The network: one encoder, a class head, a decoder, and the saliency bridge between them.

Haque et al., ISBI 2021, figure 1 and section 2. Shapes in comments are those of widths
(16, 32, 64, 128, 256) at 256 px.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multimix.layers import InstanceNorm, dropout

WIDTHS = (16, 32, 64, 128, 256)
CLASSES = ("NORMAL", "PNEUMONIA")
DROPOUT = 0.25
STRIDE = 16  # four poolings lie above the deepest skip: sides must be multiples of it
SIDES = range(2 * STRIDE, 2049, STRIDE)  # px: those that a film may be reduced to
SIDES_NAMED = f"a multiple of {SIDES.step}, {SIDES[0]} to {SIDES[-1]}"


class ModelOutput(NamedTuple):
    """What the network says about a batch of N films."""

    class_logits: Tensor  # (N, 2): NORMAL, PNEUMONIA
    mask_logits: Tensor  # (N, 1, H, W): sigmoid gives the probability of lung
    saliency: Tensor | None  # (N, 1, H, W), >= 0; None in training without a bridge


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two 3x3 convolutions, each normalised per film; dropout follows where it is called."""
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        layers.append(nn.Conv2d(channels, channels_out, 3, padding=1))
        layers.append(InstanceNorm())
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Film to five feature maps and two class logits."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        for stage, (channels_in, channels_out) in enumerate(zip((1, *widths), widths), start=1):
            self.add_module(f"dconv_down{stage}", block(channels_in, channels_out))
        self.fc = nn.Linear(widths[-1], len(CLASSES))

    def forward(self, x: Tensor, drop: bool = False) -> tuple[Tensor, list[Tensor]]:
        """(N, 1, H, W) in [-1, 1] -> class logits (N, 2), maps before pooling, finest first."""
        maps = []
        for stage in range(1, 6):
            x = self.get_submodule(f"dconv_down{stage}")(x)
            x = dropout(x, DROPOUT, drop)
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

    def forward(self, maps: list[Tensor], bridge: Tensor | None, drop: bool = False) -> Tensor:
        """The encoder's maps, and (N, 2, H/8, W/8) or None -> mask logits (N, 1, H, W)."""
        x = maps[4]  # 256 @16
        for stage in (4, 3, 2, 1):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            joined = [x, maps[stage - 1]]
            if stage == 4 and bridge is not None:
                joined.append(bridge)
            x = self.get_submodule(f"dconv_up{stage}")(torch.cat(joined, 1))
            x = dropout(x, DROPOUT, drop)  # 128 @32, 64 @64, 32 @128, 16 @256
        return self.conv_last(x)  # 1 @256


class MultiMix(nn.Module):
    """Classify pneumonia and segment lungs with one encoder.

    Arguments:
        widths: the channels of the five stages.
        bridge: feed the film and the classifier's saliency into the decoder; without it the
            decoder is a plain U-Net's.

    Attributes that a checkpoint sets, and training and prediction go by:
        side: px that a film is reduced to.
        class_sides: px that its class is read at, by the mean of log-odds; none: `side` alone.
        seed: of the split of films that name none.
        manifest: CSV text, the films that the weights were trained on.
        calibration: 'temperature' and 'operating_point', if validation films chose them.
        name: what `load_model` was asked for: a bundled one's name, or the end of a path.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, bridge: bool = True):
        super().__init__()
        if len(widths) != 5 or min(widths) < 1:
            raise ValueError(
                f"widths are {widths}; five positive channel numbers are needed, such as {WIDTHS}."
            )
        self.widths, self.bridge = tuple(widths), bridge
        self.side, self.seed, self.manifest = 256, 0, ""
        self.name = ""
        self.class_sides: tuple[int, ...] = ()
        self.calibration: dict[str, float] = {}
        self.encoder = Encoder(self.widths)
        self.decoder = Decoder(self.widths, bridge)

    if TYPE_CHECKING:  # torch's own tells editors and type checkers nothing

        def __call__(self, x: Tensor) -> ModelOutput: ...

    def forward(self, x: Tensor) -> ModelOutput:
        """Class, lungs and saliency of a batch of films.

        In eval mode one encoder pass serves all three. In training the saliency, which is wanted
        without dropout, takes a pass of its own, and is left out when there is no bridge to use it.
        Gradients of the weights and the mode of every module stay as they were; `no_grad` and
        `inference_mode` make no difference to the values.

        Arguments:
            x: (N, 1, H, W) floats in [-1, 1]; H and W are multiples of 16, 32 or more.

        Errors: ValueError where x is of another shape.
        """
        check_films(x)
        saliency: Tensor | None = None
        if not self.training:
            class_logits, maps, saliency = self._encode_with_saliency(x)
        else:
            if self.bridge:
                saliency = self.saliency(x)
            class_logits, maps = self.encoder(x, drop=True)
        bridge = bridge_maps(x, saliency) if self.bridge and saliency is not None else None
        mask_logits = self.decoder(maps, bridge, drop=self.training)
        return ModelOutput(class_logits, mask_logits, saliency)

    def classify(self, x: Tensor) -> Tensor:
        """Class logits (N, 2) alone: no saliency, no decoder."""
        check_films(x)
        return self.encoder(x, drop=self.training)[0]

    def saliency(self, x: Tensor) -> Tensor:
        """|d max class logit / d pixel|, (N, 1, H, W); no dropout, detached, not normalised."""
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
            # Films do not mix, so one gradient of the sum serves the whole batch.
            score = class_logits.max(1).values.sum()
            (gradient,) = torch.autograd.grad(score, films, retain_graph=keep)
        if not keep:
            class_logits, maps = class_logits.detach(), [m.detach() for m in maps]
        return class_logits, maps, gradient.abs()


def bridge_maps(x: Tensor, saliency: Tensor) -> Tensor:
    """Film and saliency, reduced to the side of the fourth stage: (N, 2, H/8, W/8)."""
    both = torch.cat([x, saliency], 1)
    return F.interpolate(both, scale_factor=1 / 8, mode="bilinear", align_corners=True)


def check_films(x: Tensor) -> None:
    """Refuse a batch that the network cannot take, in one sentence."""
    if x.ndim != 4 or x.shape[1] != 1 or not x.is_floating_point():
        raise ValueError(
            f"The network was given a {x.dtype} tensor of shape {tuple(x.shape)}; it needs grey "
            "films as floats in [-1, 1], shape (N, 1, H, W)."
        )
    count, _, height, width = x.shape
    if count == 0 or min(height, width) < 2 * STRIDE or height % STRIDE or width % STRIDE:
        raise ValueError(
            f"The network was given {count} films of {height} x {width} pixels; it needs at least "
            f"one, with sides that are multiples of {STRIDE}, {2 * STRIDE} or more: resize them."
        )
