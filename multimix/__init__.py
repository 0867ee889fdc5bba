"""MultiMix: classify pneumonia and segment lungs in chest X-rays together, from few labels."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

# Waiting threads of OpenMP slow other programs down. The setting works only before torch starts,
# and worker processes inherit it; the user's own setting of how to wait is kept.
if "torch" not in sys.modules and not {"GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & set(os.environ):
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"
HOMES = {  # the module of each public name
    "Config": "config",
    "Films": "data.film_set",
    "MultiMix": "model",
    "Panel": "apps.panel",
    "Prediction": "predictions.prediction",
    "evaluate": "evaluation.evaluator",
    "load_films": "data.films",
    "load_model": "inference",
    "predict": "inference",
    "predict_folder": "apps.predict_folder",
    "predict_iter": "inference",
    "train": "training",
}
__all__ = sorted(HOMES)

if TYPE_CHECKING:
    from multimix.apps.panel import Panel as Panel
    from multimix.apps.predict_folder import predict_folder as predict_folder
    from multimix.config import Config as Config
    from multimix.data.film_set import Films as Films
    from multimix.data.films import load_films as load_films
    from multimix.evaluation.evaluator import evaluate as evaluate
    from multimix.inference import load_model as load_model
    from multimix.inference import predict as predict
    from multimix.inference import predict_iter as predict_iter
    from multimix.model import MultiMix as MultiMix
    from multimix.predictions.prediction import Prediction as Prediction
    from multimix.training import train as train
else:

    def __getattr__(name: str) -> object:
        """A public name, imported at its first use, as torch takes seconds."""
        if name not in HOMES:
            raise AttributeError(f"module 'multimix' has no attribute '{name}'")
        try:
            return getattr(import_module(f"multimix.{HOMES[name]}"), name)
        except ImportError as error:  # help() and hasattr() expect an AttributeError
            raise AttributeError(f"multimix.{name} cannot be imported: {error}") from error


def __dir__() -> list[str]:
    return __all__
