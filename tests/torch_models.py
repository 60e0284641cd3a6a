"""The networks of convkit.models written with torch's modules, under torchvision's names, independently of ours."""

import torch

t = torch.nn


def named(layers):
    net = t.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    return net


def resnet(block_of, stem, stages, outputs):
    """block_of(inputs, width, stride); stages: (width, blocks, stride of the first)."""
    layers, inputs = dict(stem), stem["conv1"].out_channels
    for stage, (width, depth, stride) in enumerate(stages, 1):
        blocks = [block_of(inputs if i == 0 else width, width, stride if i == 0 else 1) for i in range(depth)]
        layers[f"layer{stage}"] = t.Sequential(*blocks)
        inputs = width
    return named(layers | {"avgpool": t.AdaptiveAvgPool2d(1), "flatten": t.Flatten(), "fc": t.Linear(inputs, outputs)})


class BasicBlock(t.Module):
    """The shortcut is a 1x1 convolution, or pads with zeros."""

    def __init__(self, inputs, width, stride, padded=False):
        super().__init__()
        self.conv1 = t.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = t.BatchNorm2d(width)
        self.conv2 = t.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = t.BatchNorm2d(width)
        if inputs != width and not padded:
            self.downsample = t.Sequential(t.Conv2d(inputs, width, 1, stride, bias=False), t.BatchNorm2d(width))
        self.stride, self.extra = stride, width - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if hasattr(self, "downsample"):
            return torch.relu(y + self.downsample(x))
        x = x[:, :, :: self.stride, :: self.stride]
        return torch.relu(y + t.functional.pad(x, (0, 0, 0, 0, 0, self.extra)))


class Bottleneck(t.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        width = outputs // 4
        self.conv1 = t.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = t.BatchNorm2d(width)
        self.conv2 = t.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = t.BatchNorm2d(width)
        self.conv3 = t.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = t.BatchNorm2d(outputs)
        if inputs != outputs:
            self.downsample = t.Sequential(t.Conv2d(inputs, outputs, 1, stride, bias=False), t.BatchNorm2d(outputs))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


def imagenet_resnet(block, stages, classes):
    stem = {"conv1": t.Conv2d(3, 64, 7, 2, 3, bias=False), "bn1": t.BatchNorm2d(64), "relu": t.ReLU()}
    return resnet(block, stem | {"maxpool": t.MaxPool2d(3, 2, 1)}, stages, classes)


def resnet18(classes):
    return imagenet_resnet(BasicBlock, [(64, 2, 1), (128, 2, 2), (256, 2, 2), (512, 2, 2)], classes)


def resnet50(classes):
    return imagenet_resnet(Bottleneck, [(256, 3, 1), (512, 4, 2), (1024, 6, 2), (2048, 3, 2)], classes)


def resnet20(classes):
    stem = {"conv1": t.Conv2d(3, 16, 3, 1, 1, bias=False), "bn1": t.BatchNorm2d(16), "relu": t.ReLU()}
    stages = [(16, 3, 1), (32, 3, 2), (64, 3, 2)]
    return resnet(lambda *sizes: BasicBlock(*sizes, padded=True), stem, stages, classes)


def convolution(inputs, outputs, kernel, stride=1, groups=1):
    conv = t.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return t.Sequential(conv, t.BatchNorm2d(outputs), t.ReLU6())


class InvertedResidual(t.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        wide = inputs * expansion
        layers = [convolution(inputs, wide, 1)] if expansion > 1 else []
        layers += [convolution(wide, wide, 3, stride, wide), t.Conv2d(wide, outputs, 1, bias=False)]
        self.conv = t.Sequential(*layers, t.BatchNorm2d(outputs))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return self.conv(x) + x if self.adds else self.conv(x)


def mobilenet_v2(classes):
    features = [convolution(3, 32, 3, 2), InvertedResidual(32, 16, 1, 1)]
    inputs = 16
    for outputs, blocks, stride in [(24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)]:
        for block in range(blocks):
            features.append(InvertedResidual(inputs, outputs, 1 if block else stride, 6))
            inputs = outputs
    features.append(convolution(320, 1280, 1))
    top = t.Sequential(t.Dropout(0.2), t.Linear(1280, classes))
    layers = {"features": t.Sequential(*features), "avgpool": t.AdaptiveAvgPool2d(1), "flatten": t.Flatten()}
    return named(layers | {"classifier": top})


def flattened(features, side, top):
    return named(
        {"features": features, "avgpool": t.AdaptiveAvgPool2d(side), "flatten": t.Flatten(), "classifier": top}
    )


def alexnet(classes):
    features = [t.Conv2d(3, 64, 11, 4, 2), t.ReLU(), t.MaxPool2d(3, 2), t.Conv2d(64, 192, 5, 1, 2), t.ReLU()]
    features += [t.MaxPool2d(3, 2), t.Conv2d(192, 384, 3, 1, 1), t.ReLU(), t.Conv2d(384, 256, 3, 1, 1), t.ReLU()]
    features += [t.Conv2d(256, 256, 3, 1, 1), t.ReLU(), t.MaxPool2d(3, 2)]
    top = [t.Dropout(), t.Linear(9216, 4096), t.ReLU(), t.Dropout(), t.Linear(4096, 4096), t.ReLU()]
    return flattened(t.Sequential(*features), 6, t.Sequential(*top, t.Linear(4096, classes)))


def vgg16(classes):
    features, inputs = [], 3
    for outputs, depth in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(depth):
            features += [t.Conv2d(inputs, outputs, 3, 1, 1), t.ReLU()]
            inputs = outputs
        features.append(t.MaxPool2d(2, 2))
    top = [t.Linear(25088, 4096), t.ReLU(), t.Dropout(), t.Linear(4096, 4096), t.ReLU(), t.Dropout()]
    return flattened(t.Sequential(*features), 7, t.Sequential(*top, t.Linear(4096, classes)))


BUILDERS = {f.__name__: f for f in (alexnet, mobilenet_v2, resnet18, resnet20, resnet50, vgg16)}


def build(name, classes):
    """A network in float32, in training mode."""
    return BUILDERS[name](classes)
