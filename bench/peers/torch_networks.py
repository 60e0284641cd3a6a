"""convkit's networks in torch: the same tree of modules under the same names, which are torchvision's."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from torch import nn

import convkit as ck


class Residual(nn.Module):
    """relu(body(x) + shortcut(x)); of MobileNetV2's without ReLU, and without addition where shapes differ."""

    def __init__(self, block: ck.nn.Module):
        super().__init__()
        for name, child in block.named_children():
            self.add_module(name, convert(child))
        self.kind = type(block).__name__
        self.adds = getattr(block, "residual", True)

    def forward(self, x):
        if self.kind == "InvertedResidual":
            return x + self.conv(x) if self.adds else self.conv(x)
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.kind == "Bottleneck":
            y = self.bn3(self.conv3(self.relu(y)))
        y += x if not hasattr(self, "downsample") else self.downsample(x)
        return self.relu(y)


class PaddedShortcut(nn.Module):
    """Every second pixel, with as many channels of zeros after its own."""

    def forward(self, x):
        x = x[:, :, ::2, ::2]
        return torch.cat([x, torch.zeros_like(x)], 1)


def convert(layer: ck.nn.Module) -> nn.Module:
    """The torch module of the same kind; weights come later."""
    match layer:
        case ck.nn.Sequential():
            return nn.Sequential(OrderedDict((name, convert(child)) for name, child in layer.named_children()))
        case ck.nn.Conv2d():
            sizes = layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding
            return nn.Conv2d(*sizes, groups=layer.groups, bias=layer.bias is not None)
        case ck.nn.Linear():
            return nn.Linear(layer.in_features, layer.out_features)
        case ck.nn.BatchNorm2d():
            return nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum)
        case ck.nn.MaxPool2d():
            return nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding)
        case ck.nn.AdaptiveAvgPool2d():
            return nn.AdaptiveAvgPool2d(layer.output_size)
        case ck.nn.Dropout():
            return nn.Dropout(layer.p)
        case ck.nn.ReLU():
            return nn.ReLU(inplace=True)
        case ck.nn.ReLU6():
            return nn.ReLU6(inplace=True)
        case ck.nn.Flatten():
            return nn.Flatten()
        case ck.models.cifar.PaddedShortcut():
            return PaddedShortcut()
    return Residual(layer)


class Twin:
    """A torch network with the state in ``data``, and the way back to our layouts."""

    def __init__(self, task, data: dict[str, np.ndarray], channels_last: bool):
        model = ck.models.build(task.network)
        self._flatten = getattr(model, "torch_flatten", {})  # torch's order is CHW, ours HWC
        net = convert(model)
        arrays = {name: torch.tensor(self._to_torch(name, data[name])) for name in net.state_dict()}
        net.load_state_dict(arrays)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.net = net.to(memory_format=layout).train(task.training)
        self.x = torch.tensor(data["x"]).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        self.labels = torch.tensor(data["labels"])

    def gradients(self) -> dict[str, np.ndarray]:
        """Name -> gradient in our layout."""
        return {name: self._from_torch(name, p.grad.numpy()) for name, p in self.net.named_parameters()}

    def without_dropout(self) -> Twin:
        for module in self.net.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return self

    def _to_torch(self, name: str, array: np.ndarray) -> np.ndarray:
        if array.ndim == 4:
            return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
        if (sizes := self._flatten.get(name.removesuffix(".weight"))) and array.ndim == 2:
            c, h, w = sizes
            return array.reshape(-1, h, w, c).transpose(0, 3, 1, 2).reshape(array.shape)
        return array

    def _from_torch(self, name: str, array: np.ndarray) -> np.ndarray:
        if array.ndim == 4:
            return array.transpose(0, 2, 3, 1)
        if (sizes := self._flatten.get(name.removesuffix(".weight"))) and array.ndim == 2:
            return array.reshape(-1, *sizes).transpose(0, 2, 3, 1).reshape(array.shape)
        return array
