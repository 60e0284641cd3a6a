"""Weights in and out: PyTorch's checkpoints without PyTorch, safetensors, Keras' HDF5 files.

The models of ``convkit.models`` have torchvision's names, so its files load unchanged; a model of one's own loads what
has the same names and, up to the order of the axes, shapes.
"""

from .keras_files import load_keras
from .preprocessing import TORCH_MEAN, TORCH_STD, caffe_preprocess, torch_preprocess
from .torch_weights import export_torch, load_torch

__all__ = [
    "TORCH_MEAN",
    "TORCH_STD",
    "caffe_preprocess",
    "export_torch",
    "load_keras",
    "load_torch",
    "torch_preprocess",
]
