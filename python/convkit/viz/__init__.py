"""Pictures of what a network has learned and how: each function saves a PNG of 800 pixels' width.

Needs matplotlib (``pip install convkit[viz]``), which is imported when a picture is drawn and never shown in a window.
Every function returns the matplotlib Figure, and writes it to ``path`` unless that is None.
"""

from .diagram import diagram
from .maps import activation_maps, activations, filters
from .results import confusion_matrix, learning_curves, misclassified

__all__ = [
    "activation_maps",
    "activations",
    "confusion_matrix",
    "diagram",
    "filters",
    "learning_curves",
    "misclassified",
]
