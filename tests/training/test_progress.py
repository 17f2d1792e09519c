from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sinesweep.training.progress import ProgressBar, ProgressLines, epoch_text

EPOCHS, BATCHES = 3, 4


class _Trainer(SimpleNamespace):
    """Stands in for Lightning's."""

    is_global_zero = True
    max_epochs = EPOCHS
    num_training_batches: float = BATCHES
    current_epoch = 0

    def __init__(self, **settings: Any) -> None:
        super().__init__(callback_metrics={}, progress_bar_metrics={}, **settings)


def train(trainer: Any, *, first: int = 0, stop: int | None = None) -> None:
    """Go through the epochs; ``stop`` is the one that fails."""
    bar = ProgressBar(("train/mae", "val/mae"))
    module: Any = None
    trainer.current_epoch = first
    bar.on_train_start(trainer, module)
    for epoch in range(first, EPOCHS):
        trainer.current_epoch = epoch
        bar.on_train_epoch_start(trainer, module)
        for batch in range(BATCHES):
            bar.on_train_batch_start(trainer, module, None, batch)
        if epoch == stop:
            bar.on_exception(trainer, module, ValueError())
            return
        trainer.callback_metrics["val/mae"] = torch.tensor(0.5 / (epoch + 1))
    trainer.current_epoch = EPOCHS
    bar.on_train_end(trainer, module)


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a terminal shows in the end, on a line that is ended."""
    out = capsys.readouterr().out
    assert out.endswith("\n")
    assert out.count("\n") == 1
    return out[:-1].rpartition("\r")[2]


def test_one_bar_shows_the_whole_training(capsys: pytest.CaptureFixture[str]) -> None:
    """The bar is one line, full at the end, with the newest of the metrics that were logged."""
    train(_Trainer())
    line = last_line(capsys)
    assert line.startswith("epoch 2/2 |████")
    assert " |" not in line.removeprefix("epoch 2/2 |")
    assert line.endswith(", val/mae 0.16667")


def test_metrics_of_a_users_own(capsys: pytest.CaptureFixture[str]) -> None:
    """What a module logs for the progress bar is shown there."""
    trainer = _Trainer()
    trainer.progress_bar_metrics["loss"] = 2.0
    train(trainer)
    assert last_line(capsys).endswith(", val/mae 0.16667  loss 2.00000")


def test_a_continued_training_does_not_begin_at_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Epochs that were trained before the interruption count as done."""
    train(_Trainer(), first=2)
    assert "epoch 2/2 |████" in last_line(capsys)


def test_an_exception_leaves_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What is said of an exception begins on a line of its own."""
    train(_Trainer(), stop=1)
    assert last_line(capsys).startswith("epoch 1/2 |")


@pytest.mark.parametrize("settings", [{"max_epochs": -1}, {"num_training_batches": float("inf")}])
def test_an_end_that_is_not_known(
    capsys: pytest.CaptureFixture[str], settings: dict[str, Any]
) -> None:
    """Where the number of batches is not known the epoch is counted without a total."""
    train(_Trainer(**settings))
    assert last_line(capsys).startswith("epoch 2 |")


def test_further_processes_draw_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """In a distributed training the first process draws the bar."""
    train(_Trainer(is_global_zero=False))
    assert capsys.readouterr().out == ""


def printed(capsys: pytest.CaptureFixture[str], names: tuple[str, ...], **metrics: float) -> str:
    """Return the line of the first epoch of a training that logged some metrics."""
    trainer: Any = _Trainer()
    trainer.callback_metrics = {name: torch.tensor(value) for name, value in metrics.items()}
    lines = ProgressLines(names)
    module: Any = None
    lines.on_train_start(trainer, module)
    trainer.current_epoch = 1
    lines.on_train_epoch_start(trainer, module)
    return capsys.readouterr().out


def test_lines_count_epochs_from_0(capsys: pytest.CaptureFixture[str]) -> None:
    """The number in the log is that of the metrics' step and of the summary's best epoch."""
    assert printed(capsys, ("val",), val=0.5).startswith("epoch 0/2  val 0.50000  ")
    assert epoch_text(29, 30) == "epoch 29/29"


def test_lines_show_the_metrics_of_a_users_own_model(capsys: pytest.CaptureFixture[str]) -> None:
    """What the module logs follows the named metrics, each once."""
    line = printed(capsys, ("val", "acc"), loss=1.0, loss_step=2.0, loss_epoch=1.0, acc=0.25)
    assert line.startswith("epoch 0/2  acc 0.25000  loss 1.00000  ")
    assert "loss_" not in line


def test_lines_show_a_few_of_many_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    """A line stays a line, with the named metrics in it."""
    line = printed(capsys, ("val",), **{f"m{i}": float(i) for i in range(20)}, val=0.5)
    assert line.startswith("epoch 0/2  val 0.50000  m0 0.00000  ")
    assert "m5 " in line
    assert "m6 " not in line
