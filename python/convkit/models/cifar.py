"""The residual networks for CIFAR-10 and their plain twins (He, Zhang, Ren and Sun 2016, section 4.2).

6n + 2 layers: a 3x3 convolution, three stages of n blocks with 16, 32 and 64 channels, and one dense layer. Shortcuts
have no parameters (the paper's option A), so a twin has the same state_dict and the same number of parameters.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import nn, ops
from ..tensor import Tensor
from .registry import register
from .resnet import BasicBlock, set_up_blocks
from .start import he_start


class PaddedShortcut(nn.Module):
    """Every second pixel of x, with channels of zeros after its own: [N,H,W,C] -> [N,ceil(H/2),ceil(W/2),2C]."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, x.shape[3])))


def _residual_block(in_channels: int, channels: int, stride: int) -> BasicBlock:
    return BasicBlock(in_channels, channels, stride, PaddedShortcut() if stride == 2 else None)


def _plain_block(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        {
            "conv1": nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False),
            "bn1": nn.BatchNorm2d(channels),
            "relu1": nn.ReLU(),
            "conv2": nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            "bn2": nn.BatchNorm2d(channels),
            "relu2": nn.ReLU(),
        }
    )


def _network(
    block: Callable[[int, int, int], nn.Module], depth: int, num_classes: int, in_channels: int, include_top: bool
) -> nn.Sequential:
    blocks = (depth - 2) // 6
    layers = {
        "conv1": nn.Conv2d(in_channels, 16, 3, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(16),
        "relu": nn.ReLU(),
        "layer1": nn.Sequential(*(block(16, 16, 1) for _ in range(blocks))),
        "layer2": nn.Sequential(block(16, 32, 2), *(block(32, 32, 1) for _ in range(blocks - 1))),
        "layer3": nn.Sequential(block(32, 64, 2), *(block(64, 64, 1) for _ in range(blocks - 1))),
    }
    if include_top:
        layers |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(64, num_classes)}
    model = nn.Sequential(layers)
    he_start(model)
    return model


def _doc(kind: str, depth: int, parameters: int, more: str = "") -> str:
    return f"""{kind} network of {depth} layers for [N,32,32,in_channels]: {parameters:,} parameters, returns logits.

    Without the top: the feature maps [N,8,8,64]. Inputs of any size will do.{more}
    """


def _residual(depth: int, parameters: int):
    def build(
        num_classes: int = 10,
        in_channels: int = 3,
        include_top: bool = True,
        zero_init_residual: bool = False,
        checkpoint: bool = False,
    ) -> nn.Sequential:
        model = _network(_residual_block, depth, num_classes, in_channels, include_top)
        set_up_blocks(model, zero_init_residual, checkpoint)
        return model

    build.__doc__ = _doc(
        "Residual", depth, parameters, " ``zero_init_residual`` and ``checkpoint`` as in ``resnet50``."
    )
    return register(f"resnet{depth}", size=(32, 32))(build)


def _plain(depth: int, parameters: int):
    def build(num_classes: int = 10, in_channels: int = 3, include_top: bool = True) -> nn.Sequential:
        return _network(_plain_block, depth, num_classes, in_channels, include_top)

    build.__doc__ = _doc("Plain", depth, parameters)
    return register(f"plain{depth}", size=(32, 32))(build)


resnet20, plain20 = _residual(20, 269_722), _plain(20, 269_722)
resnet32, plain32 = _residual(32, 464_154), _plain(32, 464_154)
resnet44, plain44 = _residual(44, 658_586), _plain(44, 658_586)
resnet56, plain56 = _residual(56, 853_018), _plain(56, 853_018)
resnet110, plain110 = _residual(110, 1_727_962), _plain(110, 1_727_962)
