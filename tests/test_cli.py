"""The command line: what it prints, writes and refuses."""

import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

import convkit as ck
from convkit.cli import main

LENET = "illustrated.lenet"


def idx(array):
    return gzip.compress(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, and a small Fashion-MNIST: the brighter half of the image tells two classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "data/fashion-mnist"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for prefix, n in (("train", 64), ("t10k", 32)):
        labels = rng.integers(0, 2, n).astype(np.uint8)
        images = rng.integers(0, 50, (n, 28, 28), np.uint8)
        for image, label in zip(images, labels):
            image[14 * label : 14 * label + 14] += 150
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    return tmp_path


def run(capsys, *arguments):
    """(exit status, standard output, standard error)."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    return status, *capsys.readouterr()


def train(capsys, *arguments, model="lenet5"):
    return run(capsys, "train", model, "--batch-size", 16, "--epochs", 2, *arguments)


def test_info(capsys):
    status, out, _ = run(capsys, "info")
    assert status == 0 and out == ck.show_config() + "\n"


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"convkit {ck.__version__}\n", "")


def test_help_shows_examples(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0 and "convkit train illustrated.lenet --data fashion-mnist" in out
    for command in ("info", "train", "evaluate", "predict", "summary"):
        assert command in out
        assert run(capsys, command, "--help")[0] == 0


def test_summary(capsys):
    status, out, _ = run(capsys, "summary", LENET)
    assert status == 0 and "1,199,882" in out and "(None, 26, 26, 32)" in out
    status, out, _ = run(capsys, "summary", "mobilenet_v2")
    assert status == 0 and "3,504,872" in out and "(None, 1000)" in out
    status, out, _ = run(capsys, "summary", "lenet5", "--input-shape", "28x28x3", "--num-classes", 7)
    assert status == 0 and out == f"{ck.models.lenet5(num_classes=7, in_channels=3).summary((28, 28, 3))}\n"


def test_train_evaluate_predict(here, capsys):
    status, out, err = train(capsys)
    assert status == 0 and err == ""
    lines = out.splitlines()
    assert lines[0].startswith("training lenet5, 61,706 parameters, on 64 images of fashion-mnist")
    assert lines[1].startswith("epoch 1/2  loss ") and lines[2].startswith("epoch 2/2  loss ")
    history = json.loads((here / "runs/lenet5/history.json").read_text())
    assert lines[3] == f"test accuracy {history['val_accuracy'][-1]:.4f}"
    results = {"best.safetensors", "last.safetensors", "history.json", "history.csv"}
    assert results <= {path.name for path in (here / "runs/lenet5").iterdir()}

    last = here / "runs/lenet5/last.safetensors"
    status, out, _ = run(capsys, "evaluate", last)
    assert status == 0
    assert out == f"loss {history['val_loss'][-1]:.4f}  accuracy {history['val_accuracy'][-1]:.4f}\n"

    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = np.full((50, 40, 3), 20, np.uint8)
    pixels[:25] = 200
    image.fromarray(pixels).save(here / "top.png")
    image.fromarray(pixels[::-1, :, 0]).save(here / "bottom.jpg")
    status, out, _ = run(capsys, "predict", here / "top.png", here / "bottom.jpg", "--weights", last, "--top", 3)
    lines = out.splitlines()
    assert status == 0 and len(lines) == 8 and lines[0] == str(here / "top.png")
    model = ck.models.load(last)
    for first, name in ((1, "top.png"), (5, "bottom.jpg")):
        shares = ck.train.predict(model, ck.data.read_image(here / name, 28, 1)[None], probabilities=True)[0]
        order = np.argsort(-shares, kind="stable")[:3]
        classes = ck.data.CLASSES["fashion-mnist"]
        assert lines[first : first + 3] == [f"  {shares[i]:7.2%}  {classes[i]}" for i in order]


def test_train_repeats_and_resumes(here, capsys):
    def history(*arguments):
        assert train(capsys, *arguments)[0] == 0
        columns = json.loads((here / "out/history.json").read_text())
        del columns["seconds"]
        return columns

    whole = history("--output", "out", "--epochs", 3, "--threads", 1)
    assert whole == history("--output", "out", "--epochs", 3, "--threads", 2)
    assert whole != history("--output", "out", "--epochs", 3, "--seed", 1)
    history("--output", "out")
    assert whole == history("--output", "out", "--epochs", 3, "--resume")


def test_refinements(here, capsys, monkeypatch):
    """Each option reaches fit; the run resumes with its schedule."""
    seen = {}
    fit = ck.train.fit

    def spy(model, training, **options):
        seen.update(options, transform=training.transform)
        return fit(model, training, **options)

    monkeypatch.setattr(ck.train, "fit", spy)
    refined = "--optimizer sgd --lr 0.1 --schedule one-cycle --weight-decay 0.01 --label-smoothing 0.1 --mixup 0.2 "
    refined = (refined + "--ema 0.9 --clip-norm 2 --crop 3 --flip --output out --epochs").split()
    assert train(capsys, *refined, 4)[0] == 0
    options = [seen[name] for name in ("clip_norm", "mixup", "ema", "label_smoothing")]
    assert options == [2, 0.2, 0.9, 0.1]
    assert [type(step).__name__ for step in seen["transform"].transforms] == ["RandomCrop", "RandomHorizontalFlip"]
    assert [group["weight_decay"] for group in seen["optimizer"].param_groups] == [0.01, 0.0]
    schedule = seen["scheduler"]
    assert isinstance(schedule, ck.optim.OneCycleLR) and schedule.total_steps == schedule.steps == 4 * 64 // 16
    assert train(capsys, "--schedule", "cosine", "--optimizer", "adamw")[0] == 0
    assert isinstance(seen["scheduler"], ck.optim.CosineAnnealingLR) and seen["transform"] is None
    assert [group["weight_decay"] for group in seen["optimizer"].param_groups] == [0.01, 0.0]
    assert train(capsys)[0] == 0
    assert seen["scheduler"] is None and seen["ema"] is None


def test_images_are_resized_for_the_model(here, capsys):
    pytest.importorskip("PIL", reason="Pillow is not installed")
    status, out, _ = train(capsys, "--crop", 2, "--limit", 32, model="resnet20")
    assert status == 0 and "training resnet20" in out  # 28x28 images, 32x32 inputs
    status, out, _ = run(capsys, "evaluate", "runs/resnet20/last.safetensors", "--limit", 32)
    history = json.loads((here / "runs/resnet20/history.json").read_text())
    assert out == f"loss {history['val_loss'][-1]:.4f}  accuracy {history['val_accuracy'][-1]:.4f}\n"


def test_train_on_a_folder_of_images(here, capsys):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    for part, n in (("train", 12), ("test", 4)):
        for name, value in (("dark", 30), ("light", 220)):
            (here / "photos" / part / name).mkdir(parents=True)
            for i in range(n):
                image.new("RGB", (30, 26), (value + i, value, value)).save(here / "photos" / part / name / f"{i}.png")
    status, out, _ = train(capsys, "--data", "photos", "--limit", 20, "--optimizer", "sgd", "--output", "out")
    assert status == 0 and "on 20 images of photos" in out
    accuracy = out.split("test accuracy ")[1].split()[0]
    model = ck.models.load("out/last.safetensors")
    assert model.classes == ["dark", "light"] and model.input_shape == (28, 28, 3)
    status, out, _ = run(capsys, "evaluate", "out/last.safetensors", "--data", "photos")
    assert status == 0 and out.endswith(f"accuracy {accuracy}\n")
    status, out, _ = train(capsys, "--data", "photos/train", "--output", "plain")
    assert status == 0 and "val_loss" not in out and "test accuracy" not in out


@pytest.mark.parametrize(
    "arguments, text",
    [
        ([], "the following arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train"], "the following arguments are required: MODEL"),
        (["train", "lenet9"], "there is no model of this name. Received: 'lenet9'"),
        (["summary", "lenet9"], "there is no model of this name. Received: 'lenet9'"),
        (["train", "lenet5", "--epochs", "0"], "argument --epochs: must be a whole number >= 1, received '0'"),
        (["train", "lenet5", "--epochs", "two"], "argument --epochs: must be a whole number >= 1, received 'two'"),
        (["train", "lenet5", "--batch-size", "-3"], "argument --batch-size: must be a whole number >= 1"),
        (["train", "lenet5", "--limit", "1.5"], "argument --limit: must be a whole number >= 1"),
        (["train", "lenet5", "--threads", "0"], "argument --threads: must be a whole number >= 1"),
        (["train", "lenet5", "--seed", "-1"], "argument --seed: must be a whole number >= 0, received '-1'"),
        (["train", "lenet5", "--lr", "nan"], "argument --lr: must be a positive number, received 'nan'"),
        (["train", "lenet5", "--weight-decay", "-1"], "argument --weight-decay: must be a number >= 0, received '-1'"),
        (["train", "lenet5", "--ema", "1"], "argument --ema: must be a number >= 0 and below 1, received '1'"),
        (["train", "lenet5", "--crop", "0"], "argument --crop: must be a whole number >= 1, received '0'"),
        (["train", "lenet5", "--schedule", "steps"], "argument --schedule: invalid choice: 'steps'"),
        (["train", "lenet5", "--optimizer", "magic"], "argument --optimizer: invalid choice: 'magic'"),
        (["train", "lenet5", "--device", "tpu"], "argument --device: must be cpu, cuda or cuda:N, received 'tpu'"),
        (["train", "lenet5", "--data", "nowhere"], "--data must be fashion-mnist, mnist, cifar10 or a folder"),
        (["train", "lenet5", "--data", "cifar"], "Received: cifar"),
        (["train", "lenet5", "--resume"], "resume needs a checkpoint. Received: no file"),
        (["evaluate", "none.safetensors"], "none.safetensors"),
        (["evaluate", "text"], "damaged or foreign file"),
        (["predict", "--weights", "text"], "the following arguments are required: IMAGE"),
        (["predict", "none.png"], "the following arguments are required: --weights"),
        (["summary", "lenet5", "--input-shape", "28x28"], "must be HEIGHTxWIDTHxCHANNELS, received '28x28'"),
        (["summary", "lenet5", "--input-shape", "28xax1"], "must be a whole number >= 1, received 'a'"),
        (["summary", "lenet5", "--input-shape", "40x40x1"], "Received"),
    ],
)
def test_bad_arguments_are_one_line_and_status_2(here, capsys, arguments, text):
    (here / "text").write_text("no weights")
    status, _, err = run(capsys, *arguments)
    assert status == 2 and err.count("\n") == 1 and err.startswith("convkit") and text in err, err
    assert "Traceback" not in err


def test_cuda_is_refused_with_its_reason(here, capsys):
    if ck.cuda.is_available():
        pytest.skip("CUDA works here")
    status, _, err = run(capsys, "train", "lenet5", "--device", "cuda")
    assert status == 2 and ck.cuda.unavailable_reason() in err


def test_images_of_the_wrong_channels(here, capsys):
    ck.models.lenet5(in_channels=3).save("colour.safetensors")
    status, _, err = run(capsys, "evaluate", "colour.safetensors")
    assert status == 2 and "fashion-mnist has images 28x28x1, the model takes 28x28x3" in err


def test_predict_names_the_file_that_is_no_image(here, capsys):
    pytest.importorskip("PIL", reason="Pillow is not installed")
    ck.models.lenet5().save("w.safetensors")
    (here / "a.png").write_text("no image")
    status, _, err = run(capsys, "predict", "a.png", "--weights", "w.safetensors")
    assert status == 2 and "must be a whole image. Received: a.png" in err
    status, _, err = run(capsys, "predict", "b.png", "--weights", "w.safetensors")
    assert status == 2 and "b.png" in err and err.count("\n") == 1


def start(*command):
    """The command in a process of its own, which finds the same convkit."""
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(ck.__file__)))}
    command = [sys.executable, *command]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_module_is_the_command(here):
    process = start("-m", "convkit", "summary", "lenet5")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "61,706" in out, err


def test_ctrl_c_keeps_the_checkpoint_and_exits_130(here):
    arguments = ["train", "lenet5", "--batch-size", "8", "--epochs", "100000"]
    # A shell that starts the tests in the background lets them ignore Ctrl-C.
    code = f"""import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from convkit.cli import main
sys.exit(main({arguments}))"""
    process = start("-c", code)
    last = here / "runs/lenet5/last.safetensors"
    while not last.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == "convkit train: interrupted\n"
    assert ck.models.load(last).classes[9] == "Ankle boot"
    assert not [name for name in os.listdir(last.parent) if name.endswith(".tmp")]


def test_odd_metadata_of_a_weight_file(here, capsys):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    image.fromarray(np.zeros((28, 28), np.uint8)).save(here / "black.png")
    model = ck.models.lenet5()
    model.classes, model.normalisation = ["only one"], {"mean": 0.5, "std": 0.25}
    model.save(here / "few.safetensors")
    status, out, _ = run(capsys, "predict", here / "black.png", "--weights", here / "few.safetensors", "--top", 10)
    assert status == 0 and "only one" in out and "class 9" in out

    model.normalisation = {"scale": 2}
    model.save(here / "scaled.safetensors")
    status, _, err = run(capsys, "predict", here / "black.png", "--weights", here / "scaled.safetensors")
    assert status == 2 and err.count("\n") == 1 and "must hold mean and std. Received: {'scale': 2}" in err


def test_classes_are_the_folders_without_a_dot(capsys, here):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    for name in ("a", "b", ".ipynb_checkpoints"):
        (here / "im" / name).mkdir(parents=True)
        image.new("RGB", (28, 28)).save(here / "im" / name / "0.png")
    assert train(capsys, "--data", "im")[0] == 0
    assert ck.models.load(here / "runs/lenet5/last.safetensors").classes == ["a", "b"]
    (here / "empty").mkdir()
    status, _, err = run(capsys, "train", "lenet5", "--data", "empty")
    assert status == 2 and "class" in err


def test_a_closed_pipe_is_no_error_of_the_arguments():
    command = f"{sys.executable} -m convkit summary vgg19 | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert result.returncode == 128 + signal.SIGPIPE and result.stderr == ""
