"""What a batched computation holds, in bytes.

Shapes: K members, H hidden size, T steps read, O steps forecast, B batch, N rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sinesweep.fused import dropout
from sinesweep.fused.kernel import GATES, Shape
from sinesweep.fused.member import Member

EVALUATION_BATCH = 128  # what fits a cache beside the weights


def held(shape: Shape, members: Sequence[Member]) -> int:
    """Return the most that it holds at a time, without modules and the best epochs' weights.

    Between epochs that is the buffers of the passes for each size of batch that occurs; weights,
    moments, gradients and a copy of the weights, five times the weights; and the data. While an
    epoch is trained, the data once more, in its order, Adam's two results in between, and dropout's
    masks; while a set is evaluated, that set.
    """
    first = members[0]
    k, rows = len(members), len(first.train)
    row = shape.steps + shape.outputs
    parameters = k * shape.outputs * (shape.width + 1) + sum(
        k_l * GATES * shape.width * shape.rows(layer) for layer, k_l in enumerate(shape.models)
    )
    data = len({id(member.train) for member in members}) * rows * row
    kept = sum(_of_passes(shape, batch) for batch in _sizes(rows, first.batch_size))
    evaluating = {size for n in first.evaluated for size in _sizes(n, EVALUATION_BATCH)}
    kept += sum(_of_evaluation(shape, batch) for batch in evaluating)
    training = k * rows * row + 2 * parameters
    drawn = 0
    if any(member.dropout > 0 for member in members):
        per_row, batch = dropout.draws_of_all_for_a_row(shape), min(first.batch_size, rows)
        training += per_row * batch
        at_once = dropout.batches_at_once(per_row * batch, dropout.MOST_OF_ALL)
        drawn = per_row * min(rows, batch * at_once)
    evaluation = k * max(first.evaluated, default=0) * row
    numbers = 5 * parameters + data + kept + max(training, evaluation)
    return numbers * torch.empty((), dtype=shape.dtype).element_size() + drawn


def _sizes(rows: int, batch: int) -> set[int]:
    """Return the sizes that batches of so many rows have: the last may be smaller."""
    return {min(rows, batch), rows % batch} - {0}


def _of_passes(shape: Shape, batch: int) -> int:
    """Return the numbers in a forward pass that keeps, and in its backward pass."""
    h, steps, total = shape.width, shape.steps, 0
    for layer, k in enumerate(shape.models):
        read = shape.rows(layer)
        forward = (steps + 1) * (read + h) + steps * (GATES + 1) * h + h
        backward = read + (GATES + 2) * h
        total += k * (batch * (forward + backward) + GATES * h * read)
    return total + shape.models[0] * (h + 1) * batch


def _of_evaluation(shape: Shape, batch: int) -> int:
    """Return the numbers in a forward pass that keeps one step."""
    h = shape.width
    layers = enumerate(shape.models)
    total = sum(k * batch * (2 * shape.rows(layer) + (GATES + 4) * h) for layer, k in layers)
    return total + shape.models[0] * (h + 1) * batch
