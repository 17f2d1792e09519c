import errno
import io
import math
import pickle
import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from sinesweep.errors import InputError
from sinesweep.training import checkpoint
from sinesweep.training.checkpoint import AtomicCheckpointIO, EpochCheckpoint
from sinesweep.training.forecasting import forecast


def saved(content: Any) -> bytes:
    """Return what torch writes for it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def zipped() -> bytes:
    """Return an archive that torch did not write."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "b")
    return buffer.getvalue()


def whole(number: float = 1.0, *, run: str | None = "one") -> dict[str, Any]:
    """Make a small checkpoint of ours."""
    own = {"model": {}, "run": run}
    return {"state_dict": {"a": torch.full((100,), number)}, checkpoint.OWN_KEY: own}


def test_missing(tmp_path: Path) -> None:
    """A checkpoint that is not there is refused."""
    path = tmp_path / "last.ckpt"
    with pytest.raises(InputError, match=f"^checkpoint {path}: there is no such file$"):
        checkpoint.load(path)


def test_a_full_disk(tmp_path: Path) -> None:
    """What the system says is told, with the path; what was there before stays."""
    path = tmp_path / "best.ckpt"
    AtomicCheckpointIO().save_checkpoint(whole(1.0), path)
    (tmp_path / ".best.ckpt.part").symlink_to("/dev/full")
    expected = rf"the checkpoint cannot be written \(No space left on device\): '{path}'$"
    for rows in (1, 100_000):  # PyTorch fails, or what is left is written when the file is closed
        content = {**whole(2.0), "more": torch.zeros(rows)}
        with pytest.raises(OSError, match=expected) as caught:
            AtomicCheckpointIO().save_checkpoint(content, path)
        assert caught.value.errno == errno.ENOSPC
    assert checkpoint.load(path)["state_dict"]["a"][0] == 1


@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_truncated(tmp_path: Path, part: float) -> None:
    """A checkpoint whose end is missing is refused, wherever it was cut."""
    path = tmp_path / "last.ckpt"
    content = saved(whole())
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match=rf"^checkpoint {path}: it is damaged or no checkpoint \("):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        bytes(1000),
        zipped(),
        pickle.dumps({"a": Path("x")}, protocol=2),
        b"epoch,mae\n0,0.5\n",
        b"hello world\n",
        b"seed: 0\nobjective: val/mae\n",
    ],
    ids=["png", "zeros", "zip", "pickle", "csv", "text", "yaml"],
)
def test_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    """A file of another kind is refused."""
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^checkpoint {path}: it is damaged or no checkpoint \("):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], torch.zeros(3)])
def test_foreign(tmp_path: Path, content: Any) -> None:
    """A checkpoint of another program is refused."""
    path = tmp_path / "last.ckpt"
    torch.save(content, path)
    with pytest.raises(InputError, match=f"^checkpoint {path}: it was not written by sinesweep$"):
        checkpoint.load(path)


class _Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (Path("sprung"),)


def test_code_in_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that would run code is refused, and the code is not run."""
    monkeypatch.chdir(tmp_path)
    torch.save({**whole(), "trap": _Trap()}, "last.ckpt")
    with pytest.raises(InputError, match="it is damaged or no checkpoint"):
        checkpoint.load(tmp_path / "last.ckpt")
    assert not (tmp_path / "sprung").exists()


def test_latest_of_nothing(tmp_path: Path) -> None:
    """Where nothing was kept yet there is nothing to go on from, and nothing to complain of."""
    assert checkpoint.latest(tmp_path) == (None, [])


def test_latest(tmp_path: Path) -> None:
    """The last checkpoint is the one to go on from."""
    for name in (checkpoint.LAST, checkpoint.PREVIOUS):
        torch.save(whole(run=tmp_path.parent.name), tmp_path / name)
    assert checkpoint.latest(tmp_path) == (tmp_path / checkpoint.LAST, [])


def test_latest_when_killed_between_renames(tmp_path: Path) -> None:
    """Where a process was killed between two renames the previous checkpoint is the one."""
    torch.save(whole(run=tmp_path.parent.name), tmp_path / checkpoint.PREVIOUS)
    assert checkpoint.latest(tmp_path) == (tmp_path / checkpoint.PREVIOUS, [])


def test_latest_is_damaged(tmp_path: Path) -> None:
    """Where the last checkpoint is damaged the previous one is used, and the damage told."""
    torch.save(whole(run=tmp_path.parent.name), tmp_path / checkpoint.PREVIOUS)
    (tmp_path / checkpoint.LAST).write_bytes(saved(whole(run=tmp_path.parent.name))[:500])
    path, complaints = checkpoint.latest(tmp_path)
    assert path == tmp_path / checkpoint.PREVIOUS
    assert [complaint.split(" (")[0] for complaint in complaints] == [
        f"checkpoint {tmp_path / checkpoint.LAST}: it is damaged or no checkpoint"
    ]


def test_both_are_damaged(tmp_path: Path) -> None:
    """Where every checkpoint is damaged each is named, and the run does not start over."""
    for name in (checkpoint.LAST, checkpoint.PREVIOUS):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"last\.ckpt: it is damaged.*\n.*previous\.ckpt: it is"):
        checkpoint.latest(tmp_path)


@pytest.mark.parametrize("owner", ["another", None])
def test_latest_is_of_another_run(tmp_path: Path, owner: str | None) -> None:
    """Another run's checkpoint is passed over for the previous one of this run."""
    run = tmp_path.parent.name
    torch.save(whole(run=owner), tmp_path / checkpoint.LAST)
    torch.save(whole(run=run), tmp_path / checkpoint.PREVIOUS)
    last = tmp_path / checkpoint.LAST
    assert checkpoint.latest(tmp_path) == (
        tmp_path / checkpoint.PREVIOUS,
        [f"checkpoint {last}: it must be of run {run}, but is of {owner}"],
    )


def test_only_another_runs_checkpoint(tmp_path: Path) -> None:
    """Where another run's checkpoint is all there is, the run is not continued with it."""
    torch.save(whole(run="another"), tmp_path / checkpoint.LAST)
    with pytest.raises(InputError, match=r"last\.ckpt: it must be of run .*, but is of another$"):
        checkpoint.latest(tmp_path)


def test_saving_makes_the_folder(tmp_path: Path) -> None:
    """A checkpoint is written whole, with its folder, and nothing else is left there."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(whole(), path)
    assert list(path.parent.iterdir()) == [path]
    assert torch.equal(checkpoint.load(path)["state_dict"]["a"], torch.ones(100))


def test_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails midway leaves the old checkpoint."""
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(whole(1.0), path)

    half = saved(whole(2.0))[:500]

    def write_half(content: Any, file: Any) -> None:
        file.write(half)
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", write_half)
    with pytest.raises(OSError, match="no space left"):
        AtomicCheckpointIO().save_checkpoint(whole(2.0), path)
    assert torch.equal(checkpoint.load(path)["state_dict"]["a"], torch.ones(100))


class _Clock:
    """Goes on by a second each epoch."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class _Trainer:
    """Stands in for Lightning's: trains one tensor, in place, to the number of the epoch."""

    def __init__(self, keeper: EpochCheckpoint, *, rank: int = 0) -> None:
        self.is_global_zero = rank == 0
        self.current_epoch = 0
        self.callback_metrics: dict[str, torch.Tensor] = {}
        self.strategy = SimpleNamespace(barrier=lambda name: None, broadcast=lambda said: said)
        self.saved: list[Path] = []
        self._keeper = keeper
        self._weights = torch.zeros(100)

    def save_checkpoint(
        self, path: Path, weights_only: bool, storage_options: Callable[..., None] | None = None
    ) -> None:
        self.saved.append(path)
        progress = {"epoch_loop.batch_progress": {"current": {}, "is_last_batch": True}}
        content: dict[str, Any] = {
            "state_dict": {"a": self._weights.fill_(self.current_epoch - 1)},
            "loops": {"fit_loop": progress},
        }
        if not weights_only:
            self._keeper.on_save_checkpoint(as_any(self), as_any(None), content)
        if self.is_global_zero:
            AtomicCheckpointIO().save_checkpoint(content, path, storage_options)


def as_any(value: Any) -> Any:
    """Hide a type."""
    return value


def keep_epochs(
    directory: Path,
    values: Sequence[float | None],
    *,
    maximize: bool = False,
    interval: float = 0,
    stop: int | None = None,
) -> EpochCheckpoint:
    """Go through epochs of a second that report these values of the objective, None for no report.

    ``stop`` is the epoch in which the process is killed.
    """
    clock = _Clock()
    keeper = EpochCheckpoint(directory, "val/mae", maximize, {}, interval=interval, clock=clock)
    trainer: Any = _Trainer(keeper)
    module: Any = None
    keeper.on_train_start(trainer, module)
    for epoch, value in enumerate(values):
        trainer.current_epoch = epoch
        keeper.on_train_epoch_start(trainer, module)
        if epoch == stop:
            return keeper
        clock.seconds += 1
        if value is not None:
            trainer.callback_metrics["val/mae"] = torch.tensor(value)
    trainer.current_epoch = len(values)
    keeper.on_train_end(trainer, module)
    return keeper


def go_on_from(path: Path) -> EpochCheckpoint:
    """Load a checkpoint as a continued run does."""
    keeper = EpochCheckpoint(path.parent, "val/mae", False, {}, interval=0)
    keeper.on_load_checkpoint(as_any(_Trainer(keeper)), as_any(None), checkpoint.load(path))
    return keeper


def epoch_of(path: Path) -> int:
    """Return the epoch of a stand-in's checkpoint, which is its weights, too."""
    content = checkpoint.load(path)
    epoch = content[checkpoint.OWN_KEY]["epoch"]
    assert torch.equal(content["state_dict"]["a"], torch.full((100,), float(epoch)))
    return epoch


@pytest.mark.parametrize(
    ("maximize", "values", "best"),
    [
        (False, [0.5, 0.1, 0.3], 1),
        (True, [0.1, 0.5, 0.3], 1),
        (False, [0.5, 0.1, 0.1], 1),
        (False, [0.1], 0),
        (False, [None, None, None], 2),
        (False, [math.nan, 0.2, 0.3], 1),
        (True, [math.nan, 0.2, 0.3], 2),
    ],
    ids=[
        "minimize",
        "maximize",
        "first of equals",
        "one epoch",
        "not reported",
        "minimize, NaN first",
        "maximize, NaN first",
    ],
)
def test_best_epoch(tmp_path: Path, maximize: bool, values: list[float | None], best: int) -> None:
    """The best checkpoint is that of the epoch with the best objective."""
    assert keep_epochs(tmp_path, values, maximize=maximize).best_epoch == best
    assert epoch_of(tmp_path / checkpoint.BEST) == best


def test_short_epochs_are_not_written_each(tmp_path: Path) -> None:
    """Within the interval nothing is written, and then the newest epoch with the best up to it."""
    keep_epochs(tmp_path, [0.5, 0.1, 0.4, 0.3, 0.2, 0.2, 0.2], interval=3, stop=6)
    assert epoch_of(tmp_path / checkpoint.PREVIOUS) == 2
    assert epoch_of(tmp_path / checkpoint.LAST) == 5
    assert epoch_of(tmp_path / checkpoint.BEST) == 1


def test_the_best_is_none_that_was_not_written(tmp_path: Path) -> None:
    """The best checkpoint is no later than the last one: a continued run trains the rest again."""
    keep_epochs(tmp_path, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], interval=3, stop=5)
    assert epoch_of(tmp_path / checkpoint.LAST) == 2
    assert epoch_of(tmp_path / checkpoint.BEST) == 2


def test_the_last_epoch_is_written_whenever_it_ends(tmp_path: Path) -> None:
    """A training that ends within the interval leaves its last and its best epoch."""
    keep_epochs(tmp_path, [0.5, 0.1, 0.4], interval=60)
    assert epoch_of(tmp_path / checkpoint.LAST) == 2
    assert epoch_of(tmp_path / checkpoint.BEST) == 1


def test_killed_before_the_interval_is_over(tmp_path: Path) -> None:
    """A process that is killed before the first checkpoint leaves nothing half made."""
    keep_epochs(tmp_path, [0.5, 0.1, 0.4], interval=60, stop=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "best"), [(checkpoint.LAST, 5), (checkpoint.PREVIOUS, 1)])
@pytest.mark.parametrize("left", [None, "a later epoch's", "half a file"])
def test_the_best_is_what_the_continued_checkpoint_says(
    tmp_path: Path, name: str, best: int, left: str | None
) -> None:
    """Whatever a killed process left as best, a continued run goes on with its own best so far."""
    keep_epochs(tmp_path, [0.5, 0.2, 0.4, 0.3, 0.3, 0.1], interval=3)
    path = tmp_path / checkpoint.BEST
    path.unlink()
    if left is not None:
        torch.save(whole(9.0), path)
    if left == "half a file":
        path.write_bytes(path.read_bytes()[:500])

    keeper = go_on_from(tmp_path / name)

    assert keeper.best_epoch == best
    assert epoch_of(path) == best


def test_the_first_process_decides(tmp_path: Path) -> None:
    """In a distributed training a process saves when the first one does, whatever its own clock."""
    keeper = EpochCheckpoint(tmp_path, "val/mae", False, {}, interval=60)
    trainer: Any = _Trainer(keeper, rank=1)
    trainer.strategy.broadcast = lambda said: (True, False, True)
    trainer.current_epoch = 1
    keeper.on_train_epoch_start(trainer, as_any(None))
    assert trainer.saved == [tmp_path / checkpoint.BEST, tmp_path / "new.ckpt"]
    assert list(tmp_path.iterdir()) == []


def test_last_and_previous(tmp_path: Path) -> None:
    """The last two epochs are kept, and no half-made file beside them."""
    keep_epochs(tmp_path, [0.5, 0.4, 0.3])
    assert epoch_of(tmp_path / checkpoint.LAST) == 2
    assert epoch_of(tmp_path / checkpoint.PREVIOUS) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt", "previous.ckpt", "best.ckpt"}


def test_first_epoch_has_no_previous(tmp_path: Path) -> None:
    """After one epoch there is no checkpoint before it."""
    keep_epochs(tmp_path, [0.5])
    assert not (tmp_path / checkpoint.PREVIOUS).exists()


# The data is in memory: worker processes would only cost. Eight series are one batch.
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
# Lightning asks torch 2.13 in a way that torch is about to drop.
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_module_comes_back(
    tmp_path: Path, compose: Callable[..., DictConfig], make_data: Callable[..., Any]
) -> None:
    """A trained module is built again from its checkpoint alone, and forecasts the same."""
    overrides = ("model.width=4", "model.layers=1", "data.num_series=8", "data.val_series=8")
    cfg = compose(*overrides)
    model = OmegaConf.to_container(cfg.model, resolve=True)
    module, data = instantiate(model), make_data(*overrides)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
        plugins=AtomicCheckpointIO(),
        callbacks=[EpochCheckpoint(tmp_path, "val/mae", False, model, interval=0)],
    )
    trainer.fit(module, data)
    inputs = data.splits.val.inputs
    again = checkpoint.load_module(tmp_path / checkpoint.LAST)
    np.testing.assert_array_equal(forecast(again, inputs), forecast(module, inputs))


class _Confidential(torch.nn.Module):
    """Stands in for a model that needs a password."""

    def __init__(self, login: dict[str, str]) -> None:
        super().__init__()
        self.login = login


CONFIDENTIAL = {"_target_": f"{__name__}._Confidential", "login": {"password": "hunter2"}}


def kept(directory: Path) -> bytes:
    """Return the content of a checkpoint of a confidential model."""
    keeper = EpochCheckpoint(directory, "val/mae", False, CONFIDENTIAL, interval=0)
    batches = {"current": {}, "is_last_batch": True}
    content: dict[str, Any] = {
        "state_dict": {},
        "loops": {"fit_loop": {"epoch_loop.batch_progress": batches}},
    }
    stand_in: Any = None
    keeper.on_save_checkpoint(stand_in, stand_in, content)
    return saved(content)


def test_checkpoint_has_no_credentials(tmp_path: Path) -> None:
    """A password in the model's section is not in the checkpoint."""
    assert b"hunter2" not in kept(tmp_path)


def test_loading_asks_for_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with a secret is loaded with the secret given again, and refused without it."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[_Confidential.__module__])
    path = tmp_path / "last.ckpt"
    path.write_bytes(kept(tmp_path))
    message = (
        f"checkpoint {path}: holds no secrets, and needs login.password of the model: "
        "load_module(path, login=...)"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        checkpoint.load_module(path)
    module: Any = checkpoint.load_module(path, login={"password": "hunter3"})
    assert module.login == {"password": "hunter3"}
