"""Data sets, image folders and the loader that turns them into batches."""

from .datasets import CLASSES, cifar10, fashion_mnist, mnist
from .folder import ImageFolder, read_image
from .loader import DataLoader
from .transforms import Compose, Normalize, RandomHorizontalFlip, Rescale

__all__ = [
    "CLASSES",
    "Compose",
    "DataLoader",
    "ImageFolder",
    "Normalize",
    "RandomHorizontalFlip",
    "Rescale",
    "cifar10",
    "fashion_mnist",
    "mnist",
    "read_image",
]
