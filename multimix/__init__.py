"""MultiMix: classify pneumonia and segment lungs in chest X-rays together, from few labels."""

from multimix.config import Config
from multimix.data import Films, load_films
from multimix.evaluate import evaluate
from multimix.model import MultiMix
from multimix.predict import Prediction, load_model, predict
from multimix.train import train

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
