"""Checkpoints: best and last, resuming bit for bit, Ctrl-C, damaged files."""

import os
import signal

import numpy as np
import pytest

import convkit as ck
from training import network, problem, same_history, same_weights, train, weights


def rich_run(epochs, folder, **options):
    """A run with every kind of state a checkpoint must carry."""
    model = network()
    optimizer = ck.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = ck.optim.CosineAnnealingLR(optimizer, T_max=24)
    validation = ck.data.DataLoader(problem(30, 1), 8, shuffle=True)
    options = {"mixup": 0.4, "ema": 0.8, "accumulate": 2, "clip_norm": 0.5, "scheduler": scheduler} | options
    _, history = train(
        model, optimizer=optimizer, epochs=epochs, checkpoint_dir=folder, validation_data=validation, **options
    )
    return model, history


def test_resumed_run_equals_the_whole_run(tmp_path):
    whole, history = rich_run(4, tmp_path / "whole")
    rich_run(2, tmp_path / "parts")
    ck.manual_seed(12345)  # the checkpoint brings its own generator
    model, resumed = rich_run(4, tmp_path / "parts", resume=True)
    same_history(resumed, history)
    same_weights(weights(model), weights(whole))
    for name in ("best.safetensors", "last.safetensors"):
        a, b = (ck.weights.load(tmp_path / folder / name)[0] for folder in ("whole", "parts"))
        same_weights(a, b)
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["best.safetensors", "last.safetensors"]


def test_resuming_a_finished_run_brings_its_weights_back(tmp_path):
    model, history = train(checkpoint_dir=tmp_path)
    again, resumed = train(network(seed=9), checkpoint_dir=tmp_path, resume=True)
    same_weights(weights(again), weights(model))
    assert resumed == history


def test_best_checkpoint_is_the_best_epoch(tmp_path):
    model, states = network(), []
    _, history = train(
        model,
        epochs=6,
        optimizer=ck.optim.SGD(model.parameters(), lr=2.0),  # far too large: the accuracy jumps about
        validation_data=problem(64, 1),
        checkpoint_dir=tmp_path,
        callbacks=[lambda epoch, figures: states.append(weights(model))],
    )
    best = int(np.argmax(history["val_accuracy"]))
    same_weights(weights(network(seed=5).load(tmp_path / "best.safetensors")), states[best])
    same_weights(weights(network(seed=5).load(tmp_path / "last.safetensors")), states[-1])


def test_best_by_training_loss_without_validation(tmp_path):
    model, states = network(), []
    optimizer = ck.optim.SGD(model.parameters(), lr=0.5)
    scheduler = ck.optim.StepLR(optimizer, step_size=12, gamma=-1.0)  # up the hill from the third epoch on
    _, history = train(
        model,
        epochs=4,
        optimizer=optimizer,
        scheduler=scheduler,
        checkpoint_dir=tmp_path,
        callbacks=[lambda epoch, figures: states.append(weights(model))],
    )
    best = int(np.argmin(history["loss"]))
    assert best < 3
    same_weights(weights(network(seed=5).load(tmp_path / "best.safetensors")), states[best])


def test_resume_refusals(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"\[train.fit\] resume needs a checkpoint. Received: no file"):
        train(checkpoint_dir=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"resume needs checkpoint_dir"):
        train(resume=True)
    train(checkpoint_dir=tmp_path)
    with pytest.raises(
        ValueError, match=r"resume needs the run's own ema. Received: AveragedWeights, the run had None"
    ):
        train(checkpoint_dir=tmp_path, resume=True, ema=0.9)
    model = network()
    optimizer = ck.optim.Adam(model.parameters())
    with pytest.raises(ValueError, match=r"the run's own scheduler. Received: StepLR, the run had None"):
        scheduler = ck.optim.StepLR(optimizer, 5)
        train(model, optimizer=optimizer, scheduler=scheduler, checkpoint_dir=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"the run's own optimizer. Received: SGD, the run had Adam"):
        train(model, optimizer=ck.optim.SGD(model.parameters(), lr=1.0), checkpoint_dir=tmp_path, resume=True)
    last = tmp_path / "last.safetensors"
    whole = last.read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], whole.replace(b'{\\"dict\\"', b'{\\"tict\\"', 1)):
        last.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"Received|damaged"):
            train(checkpoint_dir=tmp_path, resume=True)
    network().save(last)
    with pytest.raises(ValueError, match="holds no state of a training run"):
        train(checkpoint_dir=tmp_path, resume=True)


@pytest.fixture
def python_ctrl_c():
    """Python's own handler, also where the tests were started with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_after_the_batch_and_keeps_the_last_epoch(tmp_path, python_ctrl_c):
    whole, history = rich_run(3, tmp_path / "whole")

    class Interrupt:
        batches, epochs = 0, 0

        def on_batch_end(self, step, figures):
            self.batches += 1
            if self.batches == 9:  # in the second epoch of six batches
                os.kill(os.getpid(), signal.SIGINT)

    interrupt = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        rich_run(3, tmp_path / "parts", callbacks=[interrupt])
    assert interrupt.batches == 9 and signal.getsignal(signal.SIGINT) is python_ctrl_c
    model, resumed = rich_run(3, tmp_path / "parts", resume=True)
    same_history(resumed, history)
    same_weights(weights(model), weights(whole))
