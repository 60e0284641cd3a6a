"""MobileNetV2 (Sandler et al. 2018, "MobileNetV2: Inverted residuals and linear bottlenecks").

Layers, names and initial values are torchvision's.
"""

from __future__ import annotations

from .. import nn
from ..nn.fusion import convolve, run
from ..tensor import Tensor
from .registry import register
from .start import he_start

# Table 2 of the paper: expansion of the channels, output channels, blocks, stride of the first
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1):
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """1x1 convolution to ``expansion`` times the channels, depthwise 3x3, and 1x1 back, the last without activation.

    [N,H,W,in_channels] -> [N,P,Q,out_channels]; where that is the shape of x, x is added.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int):
        hidden = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            *([_convolution(in_channels, hidden, 1)] if expansion != 1 else []),
            _convolution(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        if not self.residual:
            return self.conv(x)
        layers = list(self.conv.children())
        # The sum becomes a part of the last op, unless the branch is its user's or a hook must see its result.
        if type(self.conv) is not nn.Sequential or len(layers) < 2 or self.conv._forward_hooks:
            return x + self.conv(x)
        return convolve(*layers[-2:], None, run(layers[:-2], x), x)


class MobileNetV2(nn.Sequential):
    """A 3x3 convolution, 17 inverted residual blocks, a 1x1 convolution and one dense layer; see ``mobilenet_v2``."""

    def __init__(self, num_classes: int, in_channels: int, include_top: bool):
        channels = 32
        features = [_convolution(in_channels, channels, 3, stride=2)]
        for expansion, filters, depth, first_stride in _STAGES:
            for index in range(depth):
                stride = first_stride if index == 0 else 1
                features.append(InvertedResidual(channels, filters, stride, expansion))
                channels = filters
        features.append(_convolution(channels, 1280, 1))
        layers = {"features": nn.Sequential(*features)}
        if include_top:
            layers |= {
                "avgpool": nn.AdaptiveAvgPool2d(1),
                "flatten": nn.Flatten(),
                "classifier": nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, num_classes)),
            }
        super().__init__(layers)
        he_start(self, linear_std=0.01)


@register("mobilenet_v2", size=(224, 224))
def mobilenet_v2(num_classes: int = 1000, in_channels: int = 3, include_top: bool = True) -> MobileNetV2:
    """MobileNetV2 for [N,224,224,in_channels]: 3,504,872 parameters, returns logits [N,num_classes].

    Without the top: the feature maps [N,7,7,1280]. Inputs of any size will do.
    """
    return MobileNetV2(num_classes, in_channels, include_top)
