"""The networks of chapter 10 of Deep Learning Illustrated (Krohn, Beyleveld and Bassens 2019), with Keras' defaults.

Keras starts weights Glorot-uniform and biases at zero. The models return logits where the book's end in a softmax: the
loss, ``convkit.cross_entropy``, takes logits.
"""

from __future__ import annotations

from .. import nn
from .registry import register


@register("illustrated.lenet", size=(28, 28))
def lenet(num_classes: int = 10, in_channels: int = 1, include_top: bool = True) -> nn.Sequential:
    """Example 10.3 for [N,28,28,in_channels] scaled to [0, 1]: 1,199,882 parameters, returns logits [N,num_classes].

    Without the top: the feature maps [N,12,12,64].
    """
    layers = {
        "conv1": nn.Conv2d(in_channels, 32, 3),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(32, 64, 3),
        "relu2": nn.ReLU(),
        "pool": nn.MaxPool2d(2),
    }
    if include_top:
        layers |= {
            "dropout1": nn.Dropout(0.25),
            "flatten": nn.Flatten(),
            "dense1": nn.Linear(12 * 12 * 64, 128),
            "relu3": nn.ReLU(),
            "dropout2": nn.Dropout(0.5),
            "dense2": nn.Linear(128, num_classes),
        }
    return _keras_start(nn.Sequential(layers))


def _keras_start(model: nn.Module) -> nn.Module:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.glorot_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model
