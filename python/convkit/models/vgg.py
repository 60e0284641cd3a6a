"""The VGG networks (Simonyan and Zisserman 2015, "Very deep convolutional networks for large-scale image recognition").

Layers, names and initial values are torchvision's; ``_bn`` has batch normalisation after every convolution.
"""

from __future__ import annotations

from typing import ClassVar

from .. import nn
from .registry import register
from .start import he_start


class VGG(nn.Sequential):
    """Five blocks of 3x3 convolutions, each ended by max-pooling, and three dense layers; see ``vgg16``."""

    # Linear -> C, H, W of the maps that it reads flattened
    torch_flatten: ClassVar = {"classifier.0": (512, 7, 7)}

    def __init__(self, depths: tuple, batch_norm: bool, num_classes: int, in_channels: int, include_top: bool):
        features, channels = [], in_channels
        for depth, filters in zip(depths, (64, 128, 256, 512, 512), strict=True):
            for _ in range(depth):
                features.append(nn.Conv2d(channels, filters, 3, padding=1))
                if batch_norm:
                    features.append(nn.BatchNorm2d(filters))
                features.append(nn.ReLU())
                channels = filters
            features.append(nn.MaxPool2d(2))
        layers = {"features": nn.Sequential(*features)}
        if include_top:
            layers |= {
                "avgpool": nn.AdaptiveAvgPool2d(7),
                "flatten": nn.Flatten(),
                "classifier": nn.Sequential(
                    nn.Linear(7 * 7 * 512, 4096),
                    nn.ReLU(),
                    nn.Dropout(0.5),
                    nn.Linear(4096, 4096),
                    nn.ReLU(),
                    nn.Dropout(0.5),
                    nn.Linear(4096, num_classes),
                ),
            }
        super().__init__(layers)
        he_start(self, linear_std=0.01)


def _factory(name: str, depths: tuple[int, ...], parameters: int, batch_norm: bool = False):
    def build(num_classes: int = 1000, in_channels: int = 3, include_top: bool = True) -> VGG:
        return VGG(depths, batch_norm, num_classes, in_channels, include_top)

    build.__doc__ = f"""VGG for [N,224,224,in_channels]: {parameters:,} parameters, returns logits [N,num_classes].

    Without the top: the feature maps [N,7,7,512]. Any input of at least 32x32 will do.
    """
    return register(name, size=(224, 224))(build)


# The paper's configurations A, B, D and E: convolutions per block.
vgg11 = _factory("vgg11", (1, 1, 2, 2, 2), 132_863_336)
vgg13 = _factory("vgg13", (2, 2, 2, 2, 2), 133_047_848)
vgg16 = _factory("vgg16", (2, 2, 3, 3, 3), 138_357_544)
vgg19 = _factory("vgg19", (2, 2, 4, 4, 4), 143_667_240)
vgg11_bn = _factory("vgg11_bn", (1, 1, 2, 2, 2), 132_868_840, batch_norm=True)
vgg13_bn = _factory("vgg13_bn", (2, 2, 2, 2, 2), 133_053_736, batch_norm=True)
vgg16_bn = _factory("vgg16_bn", (2, 2, 3, 3, 3), 138_365_992, batch_norm=True)
vgg19_bn = _factory("vgg19_bn", (2, 2, 4, 4, 4), 143_678_248, batch_norm=True)
