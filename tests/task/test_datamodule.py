from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from sinesweep.task.datamodule import Batches, PostDataModule, WindowTensors
from sinesweep.task.series import Patterns, Windows

MakeData = Callable[..., Any]

SPLITS = ("train", "val", "test")
FIXED_EXCEPT_PHASE = ("data.period={low: 15.0, high: 15.0}", "data.decay={low: 0.05, high: 0.05}")


def fingerprints(data: Any) -> dict[str, str]:
    """Return each split's fingerprint."""
    return {name: windows.fingerprint() for name, windows in data.splits}


def triples(windows: Windows) -> set[tuple[float, float, float]]:
    """Return the distinct (period, decay, phase)."""
    patterns = windows.patterns
    return set(zip(patterns.period, patterns.decay, patterns.phase, strict=True))


def rows_of(count: int) -> WindowTensors:
    """Make a set whose rows hold their own number."""
    numbers = np.arange(count, dtype=np.float32)[:, None]
    return WindowTensors(Windows(numbers, numbers, Patterns(*[np.zeros(count)] * 5)))


@pytest.mark.parametrize("noise", ["0.0", "0.1"])
@pytest.mark.parametrize("key", ["num_series", "val_series", "test_series"])
def test_more_series_change_no_other(make_data: MakeData, key: str, noise: str) -> None:
    """Asking for more series of one split keeps its first ones and the other splits."""
    before = make_data(f"data.noise={noise}").splits
    after = make_data(f"data.noise={noise}", f"data.{key}=900").splits
    for split in SPLITS:
        count = len(getattr(before, split))
        for part in ("inputs", "targets"):
            old, new = getattr(getattr(before, split), part), getattr(getattr(after, split), part)
            np.testing.assert_array_equal(old, new[:count])


@pytest.mark.parametrize(
    "override",
    ["data.batch_size=7", "seed=5", "model.width=8", "trainer.max_epochs=2"],
)
def test_other_keys_change_no_series(make_data: MakeData, override: str) -> None:
    """Batch size, the run's seed, model and trainer leave the series as they are."""
    assert fingerprints(make_data(override)) == fingerprints(make_data())


def test_data_seed_changes_every_split(make_data: MakeData) -> None:
    """Another data seed is another training, validation and test set."""
    before, after = fingerprints(make_data()), fingerprints(make_data("data.seed=1"))
    assert all(before[split] != after[split] for split in SPLITS)


@pytest.mark.parametrize("split", SPLITS)
def test_noise_leaves_the_targets(make_data: MakeData, split: str) -> None:
    """Noise is on the inputs, and the targets stay clean."""
    clean = getattr(make_data().splits, split)
    noisy = getattr(make_data("data.noise=0.1").splits, split)
    np.testing.assert_array_equal(clean.targets, noisy.targets)
    # 10,000 draws or more: their standard deviation lies within 5% of sigma
    assert np.std(noisy.inputs - clean.inputs) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("split", SPLITS)
def test_noisy_targets(make_data: MakeData, split: str) -> None:
    """Noisy targets have noise of the same sigma, and the inputs that they had."""
    clean = getattr(make_data("data.noise=0.1").splits, split)
    noisy = getattr(make_data("data.noise=0.1", "data.noisy_targets=true").splits, split)
    np.testing.assert_array_equal(clean.inputs, noisy.inputs)
    # 1,000 draws or more: their standard deviation lies within 10% of sigma
    assert np.std(noisy.targets - clean.targets) == pytest.approx(0.1, rel=0.1)


def test_noise_scales(make_data: MakeData) -> None:
    """Twice the noise is the same noise, twice as large."""
    clean = make_data().splits.train.inputs.astype(np.float64)
    single = make_data("data.noise=0.1").splits.train.inputs - clean
    double = make_data("data.noise=0.2").splits.train.inputs - clean
    # the inputs are rounded to float32, whose spacing near 1 is 1.2e-7
    np.testing.assert_allclose(double, 2 * single, atol=4e-7)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        FIXED_EXCEPT_PHASE,
        ("data=post",),
        ("data=post", "data.repeats=3", "data.seed=4"),
    ],
)
def test_no_pattern_is_in_two_splits(make_data: MakeData, overrides: tuple[str, ...]) -> None:
    """No (period, decay, phase) crosses a split."""
    train, val, test = (triples(windows) for _, windows in make_data(*overrides).splits)
    assert not train & val
    assert not train & test
    assert not val & test


def test_every_series_has_its_own_pattern(make_data: MakeData) -> None:
    """Within a split of damped sines no pattern comes twice."""
    for _, windows in make_data().splits:
        assert len(triples(windows)) == len(windows)


@pytest.mark.parametrize("data", ["damped_sines", "post"])
def test_shapes(make_data: MakeData, data: str) -> None:
    """A training batch is inputs (B, I) and targets (B, O)."""
    inputs, targets = next(iter(make_data(f"data={data}").train_dataloader()))
    assert (inputs.shape, targets.shape) == ((32, 50), (32, 5))


def test_training_range(make_data: MakeData) -> None:
    """Damped sines say the range that they are drawn from."""
    assert make_data().training_range == {"period": (10.0, 20.0), "decay": (0.01, 0.1)}


def test_order_depends_on_the_epoch() -> None:
    """Each epoch has an order of its own, the same whatever epochs went before it."""
    batches = Batches(rows_of(100), batch_size=10, shuffle_seed=3)
    orders = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        orders.append(torch.cat(list(batches)).tolist())
    assert orders[0] == orders[2] != orders[1]


def test_order_depends_on_the_seed() -> None:
    """Another seed is another order."""
    first, second = (
        torch.cat(list(Batches(rows_of(100), batch_size=10, shuffle_seed=seed))).tolist()
        for seed in (0, 1)
    )
    assert first != second


def test_order_does_not_depend_on_the_batch_size() -> None:
    """Another batch size cuts the same order elsewhere."""
    first, second = (
        torch.cat(list(Batches(rows_of(100), batch_size=size, shuffle_seed=0))).tolist()
        for size in (10, 33)
    )
    assert first == second


def test_order_does_not_depend_on_global_seeds() -> None:
    """Global streams neither change the order nor are drawn from."""
    batches = Batches(rows_of(100), batch_size=10, shuffle_seed=0)
    torch.manual_seed(0)
    first = torch.cat(list(batches)).tolist()
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    assert torch.cat(list(batches)).tolist() == first
    assert torch.equal(torch.random.get_rng_state(), state)


def test_epoch_has_every_row_once() -> None:
    """One process trains on each row once an epoch."""
    batches = Batches(rows_of(101), batch_size=10, shuffle_seed=0)
    assert sorted(torch.cat(list(batches)).tolist()) == list(range(101))


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("rows", [100, 101])
def test_processes_share_an_epoch(world_size: int, rows: int) -> None:
    """Processes train on equally many rows, all rows between them, at most world_size - 1 twice."""
    shares = [
        torch.cat(
            list(
                Batches(
                    rows_of(rows), batch_size=10, shuffle_seed=0, world_size=world_size, rank=rank
                )
            )
        ).tolist()
        for rank in range(world_size)
    ]
    together = [row for share in shares for row in share]
    assert len({len(share) for share in shares}) == 1
    assert set(together) == set(range(rows))
    assert len(together) - rows < world_size


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 100, 101])
def test_evaluation_has_every_row_once(world_size: int, rows: int) -> None:
    """Whatever the number of processes, each row is judged exactly once."""
    judged: list[int] = []
    for rank in range(world_size):
        batches = Batches(
            rows_of(rows), batch_size=10, shuffle_seed=None, world_size=world_size, rank=rank
        )
        for batch in batches:
            judged += batch.tolist()
    assert sorted(judged) == list(range(rows))


@pytest.mark.parametrize("shuffle_seed", [None, 0])
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 3, 20, 21])
def test_batches_are_counted(rows: int, world_size: int, shuffle_seed: int | None) -> None:
    """The number of batches is the one announced, and none is empty."""
    for rank in range(world_size):
        batches = Batches(
            rows_of(rows),
            batch_size=10,
            shuffle_seed=shuffle_seed,
            world_size=world_size,
            rank=rank,
        )
        sizes = [len(batch) for batch in batches]
        assert len(sizes) == len(batches)
        assert 0 not in sizes


def test_loader_takes_the_order_seed(make_data: MakeData) -> None:
    """The training batches are those that seed and epoch say."""
    data = make_data()
    data.order_seed = 7
    inputs, _ = next(iter(data.train_dataloader()))
    rows = next(iter(Batches(rows_of(800), batch_size=32, shuffle_seed=7)))
    np.testing.assert_array_equal(inputs, data.splits.train.inputs[rows])


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_is_in_order(make_data: MakeData, split: str) -> None:
    """Validation and test rows come in order, targets beside their inputs."""
    data = make_data()
    loaded = list(getattr(data, f"{split}_dataloader")())
    windows = getattr(data.splits, split)
    np.testing.assert_array_equal(torch.cat([batch[0] for batch in loaded]), windows.inputs)
    np.testing.assert_array_equal(torch.cat([batch[1] for batch in loaded]), windows.targets)


@pytest.fixture(scope="module")
def post(make_data: MakeData) -> PostDataModule:
    """The recipe's data."""
    return make_data("data=post")


def post_patterns(post: PostDataModule) -> Patterns:
    """Join the patterns of the recipe's 1000 rows."""
    train, val = post.splits.train.patterns.table(), post.splits.val.patterns.table()
    return Patterns(*np.concatenate([train, val]).T)


def test_post_periods(post: PostDataModule) -> None:
    """The recipe's periods are those of the source, in its order."""
    assert post_patterns(post).period[::200].tolist() == [13, 16, 15, 14, 18]


def test_post_decays(post: PostDataModule) -> None:
    """The recipe's decays are those of the source, in its order."""
    expected = [0.07942239, 0.08746028, 0.02355733, 0.02786669, 0.08336466]
    # the source prints eight decimals
    np.testing.assert_allclose(post_patterns(post).decay[::200], expected, atol=5e-9)


def test_post_rows(post: PostDataModule) -> None:
    """The recipe has 1000 rows, 200 of each pattern in turn, the fifth for validation."""
    assert (len(post.splits.train), len(post.splits.val)) == (800, 200)
    np.testing.assert_array_equal(
        post_patterns(post).decay, np.repeat(post_patterns(post).decay[::200], 200)
    )


def test_post_is_numpys_global_stream(post: PostDataModule) -> None:
    """The rows are bit for bit those that the source's own program makes."""
    before = np.random.get_state()  # noqa: NPY002 # the source draws from the global stream
    try:
        np.random.seed(1234)  # noqa: NPY002
        period = np.random.randint(10, 20, 5)  # noqa: NPY002
        decay = np.random.uniform(0.01, 0.1, 5)  # noqa: NPY002
    finally:
        np.random.set_state(before)  # noqa: NPY002
    i = np.arange(55)
    rows = np.array(
        [
            0.5 + 0.5 * np.sin(2 * np.pi * i / period[p]) * np.exp(-decay[p] * i)
            for p in range(5)
            for _ in range(200)
        ]
    ).astype(np.float32)
    splits = post.splits
    np.testing.assert_array_equal(
        np.concatenate([splits.train.inputs, splits.val.inputs]), rows[:, :50]
    )
    np.testing.assert_array_equal(
        np.concatenate([splits.train.targets, splits.val.targets]), rows[:, 50:]
    )


def test_post_leaves_the_global_stream_alone(make_data: MakeData) -> None:
    """Making the recipe's rows draws nothing from NumPy's global stream."""
    before = np.random.get_state()[1:3]  # noqa: NPY002 # the stream that must not move
    assert make_data("data=post").splits
    np.testing.assert_equal(np.random.get_state()[1:3], before)  # noqa: NPY002


def test_post_seed_changes_the_test_set_alone(post: PostDataModule, make_data: MakeData) -> None:
    """The seed of the recipe's data is that of its test patterns."""
    before, after = fingerprints(post), fingerprints(make_data("data=post", "data.seed=1"))
    assert [split for split in SPLITS if before[split] != after[split]] == ["test"]


def test_post_training_range(post: PostDataModule) -> None:
    """The recipe's training range is that of its four training patterns."""
    assert post.training_range["period"] == (13.0, 16.0)
    # the source prints eight decimals
    assert post.training_range["decay"] == pytest.approx((0.02355733, 0.08746028), abs=5e-9)
