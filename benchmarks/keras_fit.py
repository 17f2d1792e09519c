"""Keras' own ``fit`` over a list of trials on one core, for fused.py; KERAS_BACKEND says on what.

python benchmarks/keras_fit.py WORK OUTPUT

WORK is a JSON file that fused.py writes; the best reference MAE of any epoch goes to OUTPUT. Each
trial is a new model, so its compilation is part of its time, as it is in any search with Keras.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float32]]
BATCH = 32
WHOLE = 1024  # an evaluation's batch: each set is one


def use_core(core: int) -> None:
    """Keep this process, and what its libraries start, on one core and one thread."""
    os.sched_setaffinity(0, {core})
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"


def train(trial: Mapping[str, float], data: Arrays, epochs: int) -> float:
    """Train one trial; return the best reference MAE of its epochs."""
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(int(trial["seed"]))
    layers, width = int(trial["layers"]), int(trial["width"])
    model = keras.Sequential(
        [
            keras.layers.Input((data["train_inputs"].shape[1], 1)),
            *(
                keras.layers.LSTM(width, return_sequences=layer < layers - 1)
                for layer in range(layers)
            ),
            keras.layers.Dense(data["train_targets"].shape[1]),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(trial["lr"]), loss="mae")
    values: list[float] = []

    def judge(*_: object) -> None:
        found = model.evaluate(*pair(data, "reference"), batch_size=WHOLE, verbose="0")
        values.append(float(found))

    model.fit(
        *pair(data, "train"),
        batch_size=BATCH,
        epochs=epochs,
        validation_data=pair(data, "val"),
        validation_batch_size=WHOLE,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=judge)],
        verbose="0",
    )
    return min((value for value in values if value == value), default=float("inf"))  # without nan


def pair(data: Arrays, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a set's inputs, (N, I, 1), and targets, (N, O)."""
    return data[f"{name}_inputs"][..., None], data[f"{name}_targets"]


def main() -> None:
    """Train what WORK lists."""
    work = json.loads(Path(sys.argv[1]).read_text())
    use_core(work["core"])
    with np.load(work["data"]) as arrays:
        data = {name: arrays[name] for name in arrays}
    values = [train(trial, data, work["epochs"]) for trial in work["trials"]]
    Path(sys.argv[2]).write_text(json.dumps(values))


if __name__ == "__main__":
    main()
