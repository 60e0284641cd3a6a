"""How images must be scaled for published weights: as torchvision's, or as those of Caffe and Keras' VGG."""

from __future__ import annotations

import numpy as np

# Of ImageNet's images, red, green and blue in 0..1; as a transform: ``data.Normalize(TORCH_MEAN, TORCH_STD)``
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN = np.array([103.939, 116.779, 123.68], np.float32)  # blue, green, red in 0..255


def torch_preprocess(image: np.ndarray) -> np.ndarray:
    """For torchvision's weights: uint8 RGB [...,3] -> float32 (image / 255 - mean) / std."""
    _check("torch_preprocess", image)
    scaled = image.astype(np.float32) / np.float32(255)
    return (scaled - np.float32(TORCH_MEAN)) / np.float32(TORCH_STD)


def caffe_preprocess(image: np.ndarray) -> np.ndarray:
    """For weights from Caffe, Keras' VGG16 and VGG19 among them: uint8 RGB [...,3] -> float32 BGR, minus the mean."""
    _check("caffe_preprocess", image)
    return image[..., ::-1].astype(np.float32) - _CAFFE_MEAN


def _check(name: str, image: np.ndarray) -> None:
    if image.dtype != np.uint8:
        raise TypeError(f"[interop.{name}] images are uint8, 0 to 255. Received: {image.dtype}.")
    if not image.ndim or image.shape[-1] != 3:
        raise ValueError(f"[interop.{name}] images are RGB, [...,3]. Received: shape {image.shape}.")
