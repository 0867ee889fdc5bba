"""The network: one encoder, a class head, a decoder, and the saliency bridge between them.

Haque et al., ISBI 2021, figure 1 and section 2. Shapes in comments are those of widths
(16, 32, 64, 128, 256) at 256 px.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 128, 256)
CLASSES = ("NORMAL", "PNEUMONIA")
TASKS = ("classification", "segmentation")
DROPOUT = 0.25
STRIDE = 16  # four poolings lie above the deepest skip: sides must be multiples of it
SIDES = range(2 * STRIDE, 2049, STRIDE)  # px that a film may be reduced to
SIDES_NAMED = f"a multiple of {SIDES.step}, {SIDES[0]} to {SIDES[-1]}"


class ModelOutput(NamedTuple):
    """The network's outputs for a batch of N films."""

    class_logits: Tensor  # (N, 2): NORMAL, PNEUMONIA
    mask_logits: Tensor  # (N, 1, H, W): sigmoid gives the probability of lung
    saliency: Tensor | None  # (N, 1, H, W), >= 0; None in training without a bridge


@dataclass
class ModelInfo:
    """What a checkpoint stores about its network, besides the weights."""

    side: int = 256  # px that a film is reduced to
    class_sides: tuple[int, ...] = ()  # px that the class is read at, averaged; (): side alone
    seed: int = 0  # of the split of films that have no split of their own
    manifest: str = ""  # CSV text: the films that the weights were trained on
    calibration: dict[str, float] = field(default_factory=dict)  # temperature, operating_point
    name: str = ""  # of a bundled network, or the end of the path that was loaded
    tasks: tuple[str, ...] = TASKS  # those that were trained


class InstanceNorm(nn.Module):
    """Normalise each map of each film to mean 0 and variance 1; there are no parameters."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
            return F.instance_norm(x)
        # It would copy these maps twice; batch norm of a single film is the same function.
        films = [F.batch_norm(film, None, None, training=True) for film in x.split(1)]
        return films[0] if len(films) == 1 else torch.cat(films)


def dropout(x: Tensor, rate: float, active: bool) -> Tensor:
    """Element-wise dropout. On a CPU, `rate` is rounded to a multiple of 1/256."""
    if not active or x.device.type != "cpu":
        return F.dropout(x, rate, active)
    # torch's takes a fifth of a step; here one random number decides for eight elements.
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: x.numel()] >= round(256 * rate)
    return x * kept.to(x.dtype).mul_(1 / (1 - rate)).as_strided(x.shape, x.stride())


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two 3x3 convolutions, each normalised per film; dropout follows where it is called."""
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        layers += [nn.Conv2d(channels, channels_out, 3, padding=1), InstanceNorm()]
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
        for stage in (4, 3, 2, 1):
            below, skip = widths[stage], widths[stage - 1]
            extra = 2 if bridge and stage == 4 else 0
            self.add_module(f"dconv_up{stage}", block(below + skip + extra, skip))
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

    Attribute `info`: what its checkpoint stores besides the weights, a `ModelInfo`.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, bridge: bool = True):
        super().__init__()
        if len(widths) != 5 or min(widths) < 1:
            raise ValueError(f"widths are {widths}; five positive numbers are needed, as {WIDTHS}.")
        self.widths, self.bridge = tuple(widths), bridge
        self.info = ModelInfo()
        self.encoder = Encoder(self.widths)
        self.decoder = Decoder(self.widths, bridge)

    def __repr__(self) -> str:
        weight, info, bridge = self.encoder.fc.weight, self.info, ("without", "with")[self.bridge]
        name, count = f"MultiMix {info.name}".strip(), sum(p.numel() for p in self.parameters())
        return (
            f"{name}: {' and '.join(info.tasks)} of films at {info.side} px\n"
            f"  widths {str(self.widths)[1:-1]}, {bridge} the saliency bridge\n"
            f"  {count:,} parameters, {str(weight.dtype)[6:]} on {weight.device}"
        )

    if TYPE_CHECKING:  # torch's own has no types

        def __call__(self, x: Tensor) -> ModelOutput: ...

    def forward(self, x: Tensor) -> ModelOutput:
        """Class, lungs and saliency of a batch of films.

        In eval mode one encoder pass serves all three. In training, saliency needs a second pass,
        without dropout, and is computed for the bridge alone. Gradients of the weights stay
        unchanged; the outputs are the same under `no_grad` and `inference_mode`.

        Arguments:
            x: (N, 1, H, W) floats in [-1, 1]; H and W are multiples of 16, 32 or more.

        Errors: ValueError where x is of another shape.
        """
        check_films(x)
        if self.training:
            saliency = self.saliency(x) if self.bridge else None
            class_logits, maps = self.encoder(x, drop=True)
        else:
            class_logits, maps, saliency = self._encode_with_saliency(x)
        bridge = bridge_maps(x, saliency) if self.bridge and saliency is not None else None
        mask_logits = self.decoder(maps, bridge, drop=self.training)
        return ModelOutput(class_logits, mask_logits, saliency)

    def classify(self, x: Tensor) -> Tensor:
        """Class logits (N, 2) alone: no saliency, no decoder."""
        check_films(x)
        return self.encoder(x, drop=self.training)[0]

    def saliency(self, x: Tensor) -> Tensor:
        """|d largest class logit / d pixel|, (N, 1, H, W), without dropout; detached."""
        with torch.no_grad():
            return self._encode_with_saliency(x)[2]

    def _encode_with_saliency(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        keep = torch.is_grad_enabled()  # the caller may still need the graph
        with torch.inference_mode(False), torch.enable_grad():
            # An inference tensor cannot be in a graph, but its clone made here can.
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
    """ValueError for a batch that the network cannot take."""
    fits = x.ndim == 4 and x.shape[0] > 0 and x.shape[1] == 1 and x.is_floating_point()
    if not fits or any(px < 2 * STRIDE or px % STRIDE for px in x.shape[2:]):
        raise ValueError(
            f"The network was given {x.dtype} {tuple(x.shape)}; it needs grey films (N, 1, H, W), "
            f"floats in [-1, 1], with sides that are multiples of {STRIDE}, {2 * STRIDE} or more."
        )
