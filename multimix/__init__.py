"""MultiMix: classify pneumonia and segment lungs in chest X-rays together, from few labels."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multimix.apps.panel import Panel
    from multimix.apps.predict_folder import predict_folder
    from multimix.config import Config
    from multimix.data.film_set import Films
    from multimix.data.films import load_films
    from multimix.evaluation.evaluator import evaluate
    from multimix.evaluation.prediction import Prediction
    from multimix.inference import load_model, predict, predict_iter
    from multimix.model import MultiMix
    from multimix.training import train
else:
    HOMES = {
        "Config": "config",
        "Films": "data.film_set",
        "MultiMix": "model",
        "Panel": "apps.panel",
        "Prediction": "evaluation.prediction",
        "evaluate": "evaluation.evaluator",
        "load_films": "data.films",
        "load_model": "inference",
        "predict": "inference",
        "predict_folder": "apps.predict_folder",
        "predict_iter": "inference",
        "train": "training",
    }

    def __getattr__(name: str) -> object:
        """A public name, or a module, imported when it is first asked for: torch takes seconds."""
        if name in HOMES:
            return getattr(import_module(f"multimix.{HOMES[name]}"), name)
        if find_spec(f"multimix.{name}"):
            return import_module(f"multimix.{name}")
        raise AttributeError(f"module 'multimix' has no attribute '{name}'")

    def __dir__() -> list[str]:
        return sorted({*globals(), *HOMES})


__version__ = "0.1.0"
__all__ = [
    "Config",
    "Films",
    "MultiMix",
    "Panel",
    "Prediction",
    "evaluate",
    "load_films",
    "load_model",
    "predict",
    "predict_folder",
    "predict_iter",
    "train",
]
