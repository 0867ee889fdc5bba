"""The paper's eight systems, and recipes to train them by, as changes of `Config`."""

from typing import Any

# The parts of the method that each of the paper's systems switches off (table 2).
SYSTEMS: dict[str, dict[str, Any]] = {
    "unet": dict(classify=False, bridge=False, pseudo_labels=False, mask_consistency=False),
    "enc": dict(segment=False, bridge=False, pseudo_labels=False, mask_consistency=False),
    "enc_ssl": dict(segment=False, bridge=False, mask_consistency=False),
    "umtl": dict(bridge=False, pseudo_labels=False, mask_consistency=False),
    "umtl_s": dict(pseudo_labels=False, mask_consistency=False),
    "umtl_ssl": dict(bridge=False, mask_consistency=False),
    "umtl_ssl_s": dict(mask_consistency=False),
    "multimix": dict(),
}
IMPROVED: dict[str, Any] = {
    **dict(steps=1900, batch=5, learning_rate=2e-3, schedule="cosine", ema_decay=0.995),
    **dict(mask_augmentation=True, class_augmentation=True, opacities=True, balanced_classes=True),
    **dict(bce_weight=2.5, pixel_consistency_weight=1.0, class_films_for_masks=True),
    **dict(side=160, sides=(96, 128, 160), class_sides=(96, 128, 160)),
    **dict(unlabelled_from=0.8, precision="auto", validate_every=475),
}
QUICK: dict[str, Any] = {
    **IMPROVED,
    **dict(steps=800, ema_decay=0.99, opacities=False, unlabelled_from=0.9, validate_every=400),
    **dict(side=96, sides=(64, 80, 96, 96), class_sides=(64, 80, 96)),
}
RECIPES: dict[str, dict[str, Any]] = {"paper": {}, "quick": QUICK, "improved": IMPROVED}
