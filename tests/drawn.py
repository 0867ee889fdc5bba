"""Drawn stand-ins for chest films: two dark lungs on grey, with a bright patch for PNEUMONIA."""

import numpy as np
from PIL import Image


def draw(seed: int, label: int = 0, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """One film, (side, side) uint8, and its lungs, (side, side) bool; the same for a seed.

    `label` 1 is the same film with an opacity in one lung.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    mask = np.zeros((side, side), dtype=bool)
    for centre in (0.29, 0.71):  # the patient's right lung lies on the left of the film
        across, down = centre + rng.uniform(-0.02, 0.02), 0.5 + rng.uniform(-0.03, 0.03)
        mask |= ((x - across) / 0.16) ** 2 + ((y - down) / 0.32) ** 2 < 1
    film = np.where(mask, 60.0, 170.0)
    film[np.abs(x - 0.5) < 0.06] = 220  # the spine
    film[(np.abs(x - 0.5) > 0.46) | (y < 0.06)] = 10  # air around the body
    noise = rng.normal(0, 6, (side, side))
    if label:
        across, down = rng.choice([0.29, 0.71]), rng.uniform(0.4, 0.65)
        patch = ((x - across) / 0.13) ** 2 + ((y - down) / 0.13) ** 2 < 1
        film[patch & mask] = 150
    return np.clip(film + noise, 0, 255).astype(np.uint8), mask


def write_films(folder, count: int, side: int = 64, masks: bool = False) -> None:
    """`count` drawn PNG films, half of each class: in class folders, or images/ with masks/."""
    for seed in range(count):
        film, mask = draw(seed, seed % 2, side)
        inner = "images" if masks else ("NORMAL", "PNEUMONIA")[seed % 2]
        (folder / inner).mkdir(parents=True, exist_ok=True)
        Image.fromarray(film).save(folder / inner / f"film{seed:03}.png")
        if masks:
            (folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(folder / "masks" / f"film{seed:03}.png")
