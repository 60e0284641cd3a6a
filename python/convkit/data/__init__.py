"""Data sets, image folders and the loader that turns them into batches."""

from .augment import ColorJitter, RandomCrop, RandomHorizontalFlip, RandomResizedCrop, RandomRotation
from .datasets import CLASSES, cifar10, fashion_mnist, mnist
from .folder import ImageFolder
from .imaging import read_image
from .loader import DataLoader
from .transforms import CenterCrop, Compose, Normalize, Rescale, Resize

__all__ = [
    "CLASSES",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "DataLoader",
    "ImageFolder",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "Rescale",
    "Resize",
    "cifar10",
    "fashion_mnist",
    "mnist",
    "read_image",
]
