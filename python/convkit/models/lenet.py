"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition")."""

from __future__ import annotations

from .. import nn
from .registry import register


@register("lenet5", size=(28, 28))
def lenet5(num_classes: int = 10, in_channels: int = 1, include_top: bool = True) -> nn.Sequential:
    """LeNet-5 for [N,28,28,in_channels]: 61,706 parameters, returns logits [N,num_classes].

    The paper's layer sizes with tanh; its sparse connection table, trainable pooling and radial output layer are
    replaced by the dense equivalents in use since. Without the top: the feature maps [N,5,5,16].
    """
    layers = {
        "conv1": nn.Conv2d(in_channels, 6, 5, padding=2),
        "tanh1": nn.Tanh(),
        "pool1": nn.AvgPool2d(2),
        "conv2": nn.Conv2d(6, 16, 5),
        "tanh2": nn.Tanh(),
        "pool2": nn.AvgPool2d(2),
    }
    if include_top:
        layers |= {
            "flatten": nn.Flatten(),
            "dense1": nn.Linear(16 * 5 * 5, 120),
            "tanh3": nn.Tanh(),
            "dense2": nn.Linear(120, 84),
            "tanh4": nn.Tanh(),
            "dense3": nn.Linear(84, num_classes),
        }
    model = nn.Sequential(layers)
    model.torch_flatten = {"dense1": (16, 5, 5)}
    return model
