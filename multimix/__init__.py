"""MultiMix: classify pneumonia and segment lungs in chest X-rays together, from few labels."""

from multimix.config import Config
from multimix.data.film_set import Films
from multimix.data.films import load_films
from multimix.evaluation.evaluator import evaluate
from multimix.evaluation.prediction import Prediction
from multimix.inference import load_model, predict
from multimix.model import MultiMix
from multimix.training import train

__version__ = "0.1.0"
__all__ = [
    "Config",
    "Films",
    "MultiMix",
    "Prediction",
    "evaluate",
    "load_films",
    "load_model",
    "predict",
    "train",
]
