"""Keras 3 on TensorFlow: the LeNet step, compiled by train_on_batch's own graph, with and without XLA.

pip install tensorflow-cpu
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from tasks import LEARNING_RATE


def version() -> str:
    return f"Keras {keras.__version__}, TensorFlow {tf.__version__}"


def set_threads(n: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(n)
    tf.config.threading.set_inter_op_parallelism_threads(n)


def _model(task, data, dropout: bool):
    if str(task) != f"train:illustrated.lenet:{task.batch}":
        raise ValueError("the LeNet step only")
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu", name="conv1"),
            layers.Conv2D(64, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25 if dropout else 0.0),
            layers.Flatten(),
            layers.Dense(128, activation="relu", name="dense1"),
            layers.Dropout(0.5 if dropout else 0.0),
            layers.Dense(10, name="dense2"),
        ]
    )
    for name in ("conv1", "conv2", "dense1", "dense2"):
        weight = data[f"{name}.weight"]  # [O,R,S,C] -> [R,S,C,O]; [out,in] -> [in,out]
        weight = weight.transpose(1, 2, 3, 0) if weight.ndim == 4 else weight.T
        model.get_layer(name).set_weights([weight, data[f"{name}.bias"]])
    return model, keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def steps(task, data):
    made = {}
    for xla in (False, True):
        model, loss = _model(task, data, dropout=True)
        model.compile(keras.optimizers.Adam(LEARNING_RATE), loss, jit_compile=xla)
        x, labels = tf.constant(data["x"]), tf.constant(data["labels"])
        made["XLA" if xla else "graph"] = lambda model=model, x=x, labels=labels: model.train_on_batch(x, labels)
    return made


def check(task, data):
    model, loss = _model(task, data, dropout=False)
    with tf.GradientTape() as tape:
        value = loss(data["labels"], model(data["x"], training=True))
    found = {"loss": np.asarray(float(value))}
    gradients = tape.gradient(value, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients):
        layer, kind = variable.path.split("/")[-2:]
        array = gradient.numpy()
        if kind == "kernel":
            array = array.transpose(3, 0, 1, 2) if array.ndim == 4 else array.T
        found[f"{layer}.{'weight' if kind == 'kernel' else 'bias'}"] = array
    return found
