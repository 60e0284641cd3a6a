"""The residual networks for ImageNet (He, Zhang, Ren and Sun 2016, "Deep residual learning for image recognition").

Layers, names and initial values are torchvision's: bottlenecks subsample in their 3x3 convolution ("v1.5"), where the
paper does in the first 1x1.
"""

from __future__ import annotations

from .. import nn
from ..nn.fusion import convolve
from ..recompute import checkpoint
from ..tensor import Tensor
from .registry import register
from .start import he_start


class ResidualBlock(nn.Module):
    """Base of the blocks: ``compute`` is what they do; with ``checkpoint`` the backward pass does it again."""

    checkpoint = False

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.compute, x) if self.checkpoint else self.compute(x)

    def compute(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class BasicBlock(ResidualBlock):
    """relu(F(x) + shortcut(x)) with two 3x3 convolutions in F: [N,H,W,in_channels] -> [N,P,Q,channels]."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1, downsample: nn.Module | None = None):
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn2

    def compute(self, x: Tensor) -> Tensor:
        y = convolve(self.conv1, self.bn1, self.relu, x)
        return convolve(self.conv2, self.bn2, self.relu, y, x if self.downsample is None else self.downsample(x))


class Bottleneck(ResidualBlock):
    """relu(F(x) + shortcut(x)), F = 1x1, 3x3 and 1x1 convolutions: [N,H,W,in_channels] -> [N,P,Q,4*channels]."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1, downsample: nn.Module | None = None):
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.relu = nn.ReLU()
        self.downsample = downsample

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn3

    def compute(self, x: Tensor) -> Tensor:
        y = convolve(self.conv1, self.bn1, self.relu, x)
        y = convolve(self.conv2, self.bn2, self.relu, y)
        return convolve(self.conv3, self.bn3, self.relu, y, x if self.downsample is None else self.downsample(x))


class ResNet(nn.Sequential):
    """A 7x7 convolution, four stages of ``blocks[i]`` residual blocks and one dense layer; see ``resnet50``."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, ...],
        num_classes: int,
        in_channels: int,
        include_top: bool,
        zero_init_residual: bool,
        checkpoint: bool,
    ):
        layers = {
            "conv1": nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False),
            "bn1": nn.BatchNorm2d(64),
            "relu": nn.ReLU(),
            "maxpool": nn.MaxPool2d(3, 2, padding=1),
        }
        channels = 64
        for stage, depth in enumerate(blocks):
            width, stride = 64 << stage, 1 if stage == 0 else 2
            layers[f"layer{stage + 1}"] = _stage(block, channels, width, depth, stride)
            channels = width * block.expansion
        if include_top:
            layers |= {
                "avgpool": nn.AdaptiveAvgPool2d(1),
                "flatten": nn.Flatten(),
                "fc": nn.Linear(channels, num_classes),
            }
        super().__init__(layers)
        he_start(self)
        set_up_blocks(self, zero_init_residual, checkpoint)


def _stage(block, in_channels: int, channels: int, depth: int, stride: int) -> nn.Sequential:
    """``depth`` blocks; the first takes the stride and, where the shape changes, has a 1x1 convolution as shortcut."""
    outputs, shortcut = channels * block.expansion, None
    if stride != 1 or in_channels != outputs:
        shortcut = nn.Sequential(nn.Conv2d(in_channels, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    first = block(in_channels, channels, stride, shortcut)
    return nn.Sequential(first, *(block(outputs, channels) for _ in range(depth - 1)))


def set_up_blocks(model: nn.Module, zero_init_residual: bool, checkpoint: bool) -> None:
    """Start every residual block as the identity (Goyal et al. 2017, section 5.1); let them recompute."""
    for layer in model.modules():
        if isinstance(layer, ResidualBlock):
            layer.checkpoint = checkpoint
            if zero_init_residual:
                nn.init.zeros_(layer.last_norm.weight)


def _factory(name: str, block: type[BasicBlock] | type[Bottleneck], blocks: tuple[int, ...], parameters: int):
    def build(
        num_classes: int = 1000,
        in_channels: int = 3,
        include_top: bool = True,
        zero_init_residual: bool = False,
        checkpoint: bool = False,
    ) -> ResNet:
        return ResNet(block, blocks, num_classes, in_channels, include_top, zero_init_residual, checkpoint)

    build.__doc__ = f"""ResNet for [N,224,224,in_channels]: {parameters:,} parameters, returns logits [N,num_classes].

    Without the top: the feature maps [N,7,7,{512 * block.expansion}]. ``zero_init_residual`` starts every block as the
    identity. With ``checkpoint`` the blocks keep only their inputs for the backward pass and compute the rest again:
    less memory, more time, the same gradients. Inputs of any size will do.
    """
    return register(name, size=(224, 224))(build)


resnet18 = _factory("resnet18", BasicBlock, (2, 2, 2, 2), 11_689_512)
resnet34 = _factory("resnet34", BasicBlock, (3, 4, 6, 3), 21_797_672)
resnet50 = _factory("resnet50", Bottleneck, (3, 4, 6, 3), 25_557_032)
resnet101 = _factory("resnet101", Bottleneck, (3, 4, 23, 3), 44_549_160)
resnet152 = _factory("resnet152", Bottleneck, (3, 8, 36, 3), 60_192_808)
