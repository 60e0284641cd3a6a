"""AlexNet in the one-tower form of Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks".

Layers, names and initial values are torchvision's.
"""

from __future__ import annotations

from typing import ClassVar

from .. import nn
from .registry import register


class AlexNet(nn.Sequential):
    """Five convolutions and three dense layers; see ``alexnet``."""

    # Linear -> C, H, W of the maps that it reads flattened
    torch_flatten: ClassVar = {"classifier.1": (256, 6, 6)}

    def __init__(self, num_classes: int, in_channels: int, include_top: bool):
        features = nn.Sequential(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        layers = {"features": features}
        if include_top:
            layers |= {
                "avgpool": nn.AdaptiveAvgPool2d(6),
                "flatten": nn.Flatten(),
                "classifier": nn.Sequential(
                    nn.Dropout(0.5),
                    nn.Linear(6 * 6 * 256, 4096),
                    nn.ReLU(),
                    nn.Dropout(0.5),
                    nn.Linear(4096, 4096),
                    nn.ReLU(),
                    nn.Linear(4096, num_classes),
                ),
            }
        super().__init__(layers)


@register("alexnet", size=(224, 224))
def alexnet(num_classes: int = 1000, in_channels: int = 3, include_top: bool = True) -> AlexNet:
    """AlexNet for [N,224,224,in_channels]: 61,100,840 parameters, returns logits [N,num_classes].

    Without the top: the feature maps [N,6,6,256]. Any input of at least 63x63 will do.
    """
    return AlexNet(num_classes, in_channels, include_top)
