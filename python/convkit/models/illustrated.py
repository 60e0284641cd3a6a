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
    model = nn.Sequential(layers)
    model.torch_flatten = {"dense1": (64, 12, 12)}
    return _keras_start(model)


@register("illustrated.alexnet", size=(224, 224))
def alexnet(num_classes: int = 17, in_channels: int = 3, include_top: bool = True) -> nn.Sequential:
    """Example 10.4 for [N,224,224,in_channels]: 21,881,681 parameters and 1,472 moving statistics, returns logits.

    Without the top: the feature maps [N,1,1,384].
    """
    layers = {
        **_convolutions(1, in_channels, [96], kernel_size=11, stride=4, pool=3),
        **_convolutions(2, 96, [256], kernel_size=5, pool=3),
        **_convolutions(3, 256, [256, 384, 384], kernel_size=3, pool=3),
    }
    if include_top:
        layers |= _dense_top(384, nn.Tanh, num_classes)
    return _keras_start(nn.Sequential(layers))


@register("illustrated.vggnet", size=(224, 224))
def vggnet(num_classes: int = 17, in_channels: int = 3, include_top: bool = True) -> nn.Sequential:
    """Example 10.5 for [N,224,224,in_channels]: 33,669,841 parameters and 2,944 moving statistics, returns logits.

    Valid padding throughout, unlike the VGG networks of the paper. Without the top: the feature maps [N,1,1,512].
    """
    layers, channels = {}, in_channels
    for block, filters in enumerate(([64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3), 1):
        layers |= _convolutions(block, channels, filters, kernel_size=3, pool=2)
        channels = filters[-1]
    if include_top:
        layers |= _dense_top(512, nn.ReLU, num_classes)
    return _keras_start(nn.Sequential(layers))


def _convolutions(block: int, channels: int, filters: list[int], kernel_size: int, pool: int, stride: int = 1) -> dict:
    """Convolutions with ReLU, max-pooling with stride 2 and batch normalisation (Keras' eps and momentum)."""
    layers: dict[str, nn.Module] = {}
    for index, out_channels in enumerate(filters, 1):
        layers[f"conv{block}_{index}"] = nn.Conv2d(channels, out_channels, kernel_size, stride)
        layers[f"relu{block}_{index}"] = nn.ReLU()
        channels = out_channels
    layers[f"pool{block}"] = nn.MaxPool2d(pool, 2)
    layers[f"norm{block}"] = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
    return layers


def _dense_top(features: int, activation: type[nn.Module], num_classes: int) -> dict:
    """Two dense layers of 4,096 with dropout, and the output layer."""
    return {
        "flatten": nn.Flatten(),
        "dense1": nn.Linear(features, 4096),
        "act1": activation(),
        "dropout1": nn.Dropout(0.5),
        "dense2": nn.Linear(4096, 4096),
        "act2": activation(),
        "dropout2": nn.Dropout(0.5),
        "dense3": nn.Linear(4096, num_classes),
    }


def _keras_start(model: nn.Module) -> nn.Module:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.glorot_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model
