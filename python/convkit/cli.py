"""The command ``convkit``: info, train, evaluate, predict, summary, bench."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

import numpy as np

from . import data, manual_seed, models, optim, set_num_threads, show_config, train
from .arguments import Parser, count, device, number, status
from .config import package_version

_DATA_SETS = {  # loader and channels
    "fashion-mnist": (data.fashion_mnist, 1),
    "mnist": (data.mnist, 1),
    "cifar10": (data.cifar10, 3),
}
_OPTIMIZERS = {
    "adam": (optim.Adam, {}, 1e-3),
    "adamw": (optim.AdamW, {}, 1e-3),
    "sgd": (optim.SGD, {"momentum": 0.9}, 1e-2),
}
_EXAMPLES = """\
examples:
  convkit info
  convkit summary illustrated.lenet
  convkit train illustrated.lenet --data fashion-mnist --epochs 10
  convkit train resnet20 --data cifar10 --epochs 20 --optimizer sgd --lr 0.2 --schedule one-cycle --weight-decay 5e-4 \
      --crop 4 --flip
  convkit evaluate runs/illustrated.lenet/best.safetensors --data fashion-mnist
  convkit predict shoe.png shirt.jpg --weights runs/illustrated.lenet/best.safetensors
  convkit bench resnet18 --against torch
"""


_seed = number(int, 0, 2**63 - 1, "a whole number >= 0")
_rate = number(float, sys.float_info.min, sys.float_info.max, "a positive number")
_amount = number(float, 0.0, sys.float_info.max, "a number >= 0")
_share = number(float, 0.0, 1 - sys.float_info.epsilon, "a number >= 0 and below 1")


def _input_shape(text: str) -> tuple[int, ...]:
    parts = text.split("x")
    if len(parts) != 3:
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTHxCHANNELS, received {text!r}")
    return tuple(map(count, parts))


class _Version(argparse.Action):
    """argparse's own needs the version, which takes 20 ms to find, whether it is asked for or not."""

    def __call__(self, parser, *_):
        print("convkit", package_version())
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="convkit",
        description="Train and use convolutional networks.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    known = f"name of the model: {', '.join(models.names())}"

    def command(name, run, text, **options):
        sub = commands.add_parser(name, help=text, description=text, **options)
        sub.set_defaults(run=run)
        return sub

    command(
        "info", _info, "Print the version, the instruction sets compiled and in use, threads and the state of CUDA."
    )

    sub = command("train", _train, "Train a model from scratch; writes weights and the history of the run to a folder.")
    sub.add_argument("model", metavar="MODEL", help=known)
    _add_data(sub)
    sub.add_argument("--epochs", type=count, default=10, help="passes over the training data (default 10)")
    sub.add_argument("--lr", type=_rate, help="learning rate (default 0.001, for sgd 0.01)")
    sub.add_argument("--optimizer", choices=_OPTIMIZERS, default="adam", help="default adam; sgd has momentum 0.9")
    sub.add_argument(
        "--seed", type=_seed, default=0, help="of weights, order, images and dropout: same seed, same run (default 0)"
    )
    sub.add_argument("--output", metavar="DIR", type=Path, help="folder for the results (default runs/MODEL)")
    sub.add_argument(
        "--resume", action="store_true", help="continue the run in the output folder, at its own learning rates"
    )
    _add_refinements(sub.add_argument_group("refinements"))

    sub = command("evaluate", _evaluate, "Print loss and accuracy of a trained model on the test images of a data set.")
    sub.add_argument("weights", metavar="FILE", type=Path, help="weight file written by convkit train")
    _add_data(sub)

    sub = command("predict", _predict, "Say what is in image files: prints each file's most probable classes.")
    sub.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image files (PNG, JPEG, ...; needs Pillow)")
    sub.add_argument("--weights", metavar="FILE", type=Path, required=True, help="weight file written by convkit train")
    sub.add_argument("--top", metavar="K", type=count, default=5, help="classes to print (default 5)")
    _add_machine(sub)

    sub = command("summary", _summary, "Print the table of a model's layers, output shapes and parameters.")
    sub.add_argument("model", metavar="MODEL", help=known)
    sub.add_argument("--input-shape", metavar="HxWxC", type=_input_shape, help="default: the model's own, e.g. 28x28x1")
    sub.add_argument("--num-classes", type=count, help="default: the model's own, e.g. 10")
    command("bench", None, "Measure the kernels on this machine, and compare with other libraries.")  # main runs it
    return parser


def _add_refinements(group) -> None:
    group.add_argument(
        "--schedule",
        choices=("constant", "cosine", "one-cycle"),
        default="constant",
        help="of the learning rate over the run: --lr throughout (default), half a cosine from --lr to 0, or up to "
        "--lr and down to 0",
    )
    group.add_argument(
        "--weight-decay", metavar="D", type=_amount, help="of filters and matrices, not of vectors (adamw 0.01, else 0)"
    )
    group.add_argument("--label-smoothing", metavar="S", type=_share, default=0.0, help="share spread over the classes")
    group.add_argument("--mixup", metavar="ALPHA", type=_amount, default=0.0, help="mix pairs of images; 0.2 is usual")
    group.add_argument("--ema", metavar="DECAY", type=_share, help="average the weights; 0.999 is usual")
    group.add_argument("--clip-norm", metavar="NORM", type=_rate, help="bound the norm of the gradients")
    group.add_argument("--crop", metavar="PIXELS", type=count, help="pad the images by as much, cut out at random")
    group.add_argument("--flip", action="store_true", help="mirror half of the images")


def _add_data(sub) -> None:
    sub.add_argument(
        "--data",
        default="fashion-mnist",
        help=f"{', '.join(_DATA_SETS)}, or a folder of images DIR/CLASS/FILE or DIR/train/CLASS/FILE and "
        f"DIR/test/CLASS/FILE (default fashion-mnist)",
    )
    sub.add_argument("--batch-size", metavar="N", type=count, default=128, help="images per step (default 128)")
    sub.add_argument("--limit", metavar="N", type=count, help="use only N images of each part, spread evenly over it")
    _add_machine(sub)


def _add_machine(sub) -> None:
    sub.add_argument("--device", type=device, default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    sub.add_argument("--threads", metavar="N", type=count, help="threads to compute with (default: all cores)")


class _Part:
    """``limit`` items of a data set, spread evenly over it."""

    def __init__(self, whole, limit: int):
        self._whole, self._indices = whole, np.arange(limit) * len(whole) // limit

    def __len__(self):
        return len(self._indices)

    def __getitem__(self, index):
        return self._whole[int(self._indices[index])]


class _Source:
    """What ``--data`` names: a data set of convkit.data, or a folder of images."""

    def __init__(self, name: str):
        self.name, self._root = name, Path(name)
        if name in _DATA_SETS:
            load, self.channels = _DATA_SETS[name]
            self._load, self.classes = load, list(data.CLASSES[name])
        elif self._root.is_dir():
            self._load, self.channels = None, 3
            self.classes = data.ImageFolder(self._folder("train"), None).classes
        else:
            raise FileNotFoundError(f"--data must be {', '.join(_DATA_SETS)} or a folder. Received: {name}")

    def _folder(self, split: str) -> Path:
        return self._root / split if (self._root / "train").is_dir() else self._root

    def has_test(self) -> bool:
        return self._load is not None or all((self._root / split).is_dir() for split in ("train", "test"))

    def items(self, split: str, model, limit: int | None):
        """The images of "train" or "test" in the size the model takes, as a data set; a plain folder is both."""
        height, width, channels = model.input_shape
        if self._load is None:
            items = data.ImageFolder(self._folder(split), (height, width), model.classes, channels=channels)
            return items if limit is None or limit >= len(items) else _Part(items, limit)
        x, y = self._load(split)
        if x.shape[3] != channels:
            raise ValueError(f"{self.name} has images {_by(x.shape[1:])}, the model takes {_by(model.input_shape)}")
        if limit is not None and limit < len(x):
            chosen = np.arange(limit) * len(x) // limit
            x, y = x[chosen], y[chosen]
        return x, y


def _by(shape) -> str:
    return "x".join(map(str, shape))


def _scale(model) -> data.Normalize | None:
    """The scaling of images that the model's file says it was trained with."""
    try:
        return data.Normalize(**model.normalisation) if model.normalisation else None
    except TypeError:
        raise ValueError(
            f"the weight file's normalisation must hold mean and std. Received: {model.normalisation}"
        ) from None


def _loader(items, model, batch_size: int, augment=(), **options) -> data.DataLoader:
    """Batches of ``items`` as the model takes them; ``augment`` are transforms of images in its size."""
    size, steps = model.input_shape[:2], list(augment)
    if isinstance(items, tuple) and items[0].shape[1:3] != size:  # folders come in the right size
        steps.insert(0, data.Resize(size))
    if (scale := _scale(model)) is not None:
        steps.append(scale)
    return data.DataLoader(items, batch_size, transform=data.Compose(steps) if steps else None, **options)


def _augmentation(arguments, model) -> list:
    crop = [] if arguments.crop is None else [data.RandomCrop(model.input_shape[:2], arguments.crop)]
    return crop + [data.RandomHorizontalFlip()] * arguments.flip


def _optimizer(arguments, model, steps: int):
    """Optimizer and schedule of a run of so many steps."""
    kind, options, usual = _OPTIMIZERS[arguments.optimizer]
    rate = arguments.lr or usual
    decay = arguments.weight_decay
    if decay is None:
        decay = 0.01 if arguments.optimizer == "adamw" else 0.0
    optimizer = kind(optim.decay_groups(model, decay), lr=rate, **options)
    if arguments.schedule == "cosine":
        return optimizer, optim.CosineAnnealingLR(optimizer, steps)
    if arguments.schedule == "one-cycle":
        return optimizer, optim.OneCycleLR(optimizer, rate, steps)
    return optimizer, None


def _machine(arguments) -> None:
    if arguments.threads is not None:
        set_num_threads(arguments.threads)


# The commands


def _info(arguments) -> None:
    print(show_config())


def _train(arguments) -> None:
    _machine(arguments)
    source = _Source(arguments.data)
    manual_seed(arguments.seed)
    model = models.build(arguments.model, num_classes=len(source.classes), in_channels=source.channels)
    model.classes = source.classes
    training = _loader(
        source.items("train", model, arguments.limit),
        model,
        arguments.batch_size,
        _augmentation(arguments, model),
        shuffle=True,
        seed=arguments.seed,
    )
    test = None
    if source.has_test():
        test = _loader(source.items("test", model, arguments.limit), model, arguments.batch_size)
    model = model.to(arguments.device)
    optimizer, scheduler = _optimizer(arguments, model, arguments.epochs * len(training))
    output = arguments.output or Path("runs") / arguments.model
    print(
        f"training {arguments.model}, {model.num_parameters():,} parameters, on {len(training.data):,} images "
        f"of {source.name}; results go to {output}",
        flush=True,
    )
    history = train.fit(
        model,
        training,
        epochs=arguments.epochs,
        optimizer=optimizer,
        validation_data=test,
        scheduler=scheduler,
        clip_norm=arguments.clip_norm,
        mixup=arguments.mixup,
        ema=arguments.ema or None,
        label_smoothing=arguments.label_smoothing,
        checkpoint_dir=output,
        resume=arguments.resume,
    )
    history.to_csv(output / "history.csv")
    history.to_json(output / "history.json")
    with contextlib.suppress(ImportError):  # the picture is an extra
        history.plot(output / "history.png")
    if test is not None:
        print(f"test accuracy {history['val_accuracy'][-1]:.4f}")
    print(f"weights: {output / 'best.safetensors'} (best epoch), {output / 'last.safetensors'} (last epoch)")


def _evaluate(arguments) -> None:
    _machine(arguments)
    model = models.load(arguments.weights).to(arguments.device)
    items = _Source(arguments.data).items("test", model, arguments.limit)
    figures = train.evaluate(model, _loader(items, model, arguments.batch_size))
    print(f"loss {figures['loss']:.4f}  accuracy {figures['accuracy']:.4f}")


def _predict(arguments) -> None:
    _machine(arguments)
    model = models.load(arguments.weights).to(arguments.device)
    height, width, channels = model.input_shape
    images = np.stack([data.read_image(path, (height, width), channels) for path in arguments.images])
    if (scale := _scale(model)) is not None:
        images = scale(images)
    for path, row in zip(arguments.images, train.predict(model, images, probabilities=True)):
        print(path)
        for place in np.argsort(-row, kind="stable")[: arguments.top]:
            name = model.classes[place] if place < len(model.classes or ()) else f"class {place}"
            print(f"  {row[place]:7.2%}  {name}")


def _summary(arguments) -> None:
    shape = arguments.input_shape
    options = {} if shape is None else {"in_channels": shape[2]}
    options |= {} if arguments.num_classes is None else {"num_classes": arguments.num_classes}
    model = models.build(arguments.model, **options)
    print(model.summary(shape or model.input_shape))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for bad arguments and input, 130 after Ctrl-C.

    1 says that ``bench`` found a wrong result, or a row slower than it may be.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["bench"]:
        from .bench import command  # no other command needs it

        return command.main(arguments[1:])
    parser = _parser()
    parsed = parser.parse_args(arguments)
    return status(f"{parser.prog} {parsed.command}", lambda: parsed.run(parsed))
