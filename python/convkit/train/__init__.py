"""Training, evaluation and prediction."""

from .evaluation import evaluate, predict
from .features import features
from .history import History
from .loop import fit

__all__ = ["History", "evaluate", "features", "fit", "predict"]
