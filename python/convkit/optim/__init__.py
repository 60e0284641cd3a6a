"""Optimizers, gradient clipping and learning-rate schedules."""

from .muon import Muon, muon_groups
from .optimizers import SGD, Adam, AdamW, Optimizer, clip_gradients, decay_groups
from .schedules import CosineAnnealingLR, OneCycleLR, Schedule, StepLR

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "Muon",
    "OneCycleLR",
    "Optimizer",
    "Schedule",
    "StepLR",
    "clip_gradients",
    "decay_groups",
    "muon_groups",
]
