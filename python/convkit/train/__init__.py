"""Training, evaluation and prediction."""

from .evaluation import evaluate, predict
from .history import History
from .loop import fit

__all__ = ["History", "evaluate", "fit", "predict"]
