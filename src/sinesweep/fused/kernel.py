"""Forward and backward of K stacked LSTMs at once, in plain PyTorch operations.

Shapes: K models, H hidden size of the widest, B batch, T steps read, O steps forecast. The models
are in order of depth, the deepest first: K_l of them have a layer l, and these are the first K_l.

B is the last axis of every buffer, so that what is done element by element runs over contiguous
memory. A layer's step is one batched product of its weights (K_l, 4H, I + 1 + H) with what it reads
(K_l, I + 1 + H, B): its input (I rows: 1, or H of the layer below), a row of ones for the bias, and
its last output. Everything for one step of time is done while it is in cache.

The gates are in the order i, f, o, g. With tanh(x) = 2 sigmoid(2x) - 1, one sigmoid over all four
serves: the rows of g are doubled beforehand, and the cell's state is kept doubled. Factors of two
are exact, so nothing is lost by that; in the backward pass they are put into the weights, once a
batch. torch's tanh takes five times as long as its sigmoid on a CPU.

In single precision on a CPU :mod:`sinesweep.fused.compiled` is faster and serves instead, where
numba is installed.

A model narrower than H has zeros in its unused rows and columns: its unused units then put out
zero, and their gradients are exactly zero. No product and no sum runs over models, so what one of
them computes, NaN among it, reaches no other. How many they are may decide how a product is taken,
though, and so its last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

GATES = 4
_F, _G = 1, 3


@dataclass(frozen=True)
class Shape:
    """What models that are computed together look like.

    Attributes:
        models: K_l for each layer, none more than the one before.
        width: H.
        steps: T.
        outputs: O.
        dtype: of every tensor.
        device: likewise.
    """

    models: tuple[int, ...]
    width: int
    steps: int
    outputs: int
    dtype: torch.dtype
    device: torch.device

    @property
    def options(self) -> dict[str, Any]:
        """How to make a tensor."""
        return {"dtype": self.dtype, "device": self.device}

    def below(self, layer: int) -> int:
        """Return I, how many inputs a layer reads for each series."""
        return self.width if layer else 1

    def rows(self, layer: int) -> int:
        """Return I + 1 + H, how many numbers a layer reads for each series."""
        return self.below(layer) + 1 + self.width


class _Layer:
    """The buffers of one layer, and views of them by step, made once. The cell is doubled."""

    def __init__(self, shape: Shape, layer: int, batch: int, kept: int) -> None:
        k, h, below = shape.models[layer], shape.width, shape.below(layer)
        options = shape.options
        # [input, 1, last output] at each step; the one behind the last takes the last output.
        self.read = torch.zeros(kept + 1, k, shape.rows(layer), batch, **options)
        self.read[:, :, below] = 1.0
        gates = torch.empty(kept, k, GATES * h, batch, **options)
        self.below = below
        self.reads, self.gates = list(self.read), list(gates)
        self.cells = list(torch.zeros(kept + 1, k, h, batch, **options))
        self.shown = list(torch.empty(kept, k, h, batch, **options))  # tanh of the cell
        self.inputs = [step[:, :below] for step in self.reads]
        self.outputs = [step[:, below + 1 :] for step in self.reads]
        self.i, self.f, self.o, self.g = (
            [step[:, n * h : (n + 1) * h] for step in self.gates] for n in range(GATES)
        )
        self._squashed = torch.empty_like(self.cells[0])  # tanh of g
        self._minus_one = torch.tensor(-1.0, **options)

    def step(self, now: int) -> None:
        """Go from the gates' inputs to the cell and the output."""
        self.gates[now].sigmoid_()
        squashed = torch.add(self._minus_one, self.g[now], alpha=2, out=self._squashed)
        cell = torch.mul(self.f[now], self.cells[now], out=self.cells[now + 1])
        cell.addcmul_(self.i[now], squashed, value=2)
        shown = torch.sigmoid(cell, out=self.shown[now])
        torch.add(self._minus_one, shown, alpha=2, out=shown)
        torch.mul(self.o[now], shown, out=self.outputs[now + 1])


class Forward:
    """The forward pass for one batch size.

    Args:
        shape: of the models.
        batch: B.
        keep: keep what the backward pass needs; without it, memory is that of one step.
    """

    def __init__(self, shape: Shape, batch: int, *, keep: bool) -> None:
        self.shape = shape
        self.batch = batch
        self.keeps = keep
        kept = shape.steps if keep else 1
        self.layers = [_Layer(shape, n, batch, kept) for n in range(len(shape.models))]
        self.states = torch.ones(shape.models[0], shape.width + 1, batch, **shape.options)

    def __call__(
        self,
        weights: Sequence[torch.Tensor],
        head: torch.Tensor,
        series: torch.Tensor,
        masks: Sequence[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Forecast.

        Args:
            weights: of each layer, as :func:`prepared` has them.
            head: (K, O, H + 1), the bias in its last column.
            series: (T, K, 1, B).
            masks: dropout below each layer but the first, (T, K_l, H, B): 0 or 1 / (1 - p).

        Returns:
            (K, O, B).
        """
        for layer in self.layers:
            layer.outputs[0].zero_()
            layer.cells[0].zero_()
        if self.keeps:
            self.layers[0].read[:-1, :, :1] = series
        for step in range(self.shape.steps):
            if self.keeps:
                self._step(step, weights, step, masks)
            else:
                self.layers[0].inputs[0].copy_(series[step])
                self._step(0, weights, step, masks)
                for layer in self.layers:
                    layer.outputs[0].copy_(layer.outputs[1])
                    layer.cells[0].copy_(layer.cells[1])
        for layer in self.layers:  # a model's own last layer is the last that has it
            last = layer.outputs[-1]
            self.states[: len(last), :-1] = last
        return torch.bmm(head, self.states)

    def _step(
        self,
        now: int,
        weights: Sequence[torch.Tensor],
        step: int,
        masks: Sequence[torch.Tensor] | None,
    ) -> None:
        below = None
        for index, layer in enumerate(self.layers):
            if below is not None:
                source = below.outputs[now + 1][: len(layer.inputs[now])]
                if masks is None:
                    layer.inputs[now].copy_(source)
                else:
                    torch.mul(source, masks[index - 1][step], out=layer.inputs[now])
            torch.bmm(weights[index], layer.reads[now], out=layer.gates[now])
            layer.step(now)
            below = layer


def prepared(
    weights: Sequence[torch.Tensor], into: Sequence[torch.Tensor]
) -> Sequence[torch.Tensor]:
    """Return copies of weights, with those of g doubled, as a forward pass takes them."""
    for weight, copy in zip(weights, into, strict=True):
        copy.copy_(weight)
        copy[:, _G * copy.shape[1] // GATES :] *= 2
    return into


class Backward:
    """The backward pass through time of a :class:`Forward` that keeps."""

    def __init__(self, forward: Forward) -> None:
        shape, batch = forward.shape, forward.batch
        h, options = shape.width, shape.options
        self._forward = forward
        self._layers = [_Gradients(each, shape, n, batch) for n, each in enumerate(forward.layers)]
        # What stands in the buffers of the gates, times this, is their gradient.
        factors = torch.ones(GATES, **options)
        factors[_F], factors[_G] = 0.5, 4.0
        self._factors = factors.repeat_interleave(h).view(1, GATES * h, 1)

    def __call__(
        self,
        weights: Sequence[torch.Tensor],
        head: torch.Tensor,
        d_forecast: torch.Tensor,
        d_weights: Sequence[torch.Tensor],
        d_head: torch.Tensor,
        masks: Sequence[torch.Tensor] | None = None,
    ) -> None:
        """Write the gradients.

        Args:
            weights: of each layer, as they are.
            head: (K, O, H + 1).
            d_forecast: the loss's derivative by the forecast, (K, O, B).
            d_weights: where those of ``weights`` go.
            d_head: where that of ``head`` goes.
            masks: as for the forward pass.
        """
        forward, layers = self._forward, self._layers
        torch.bmm(d_forecast, forward.states.transpose(1, 2), out=d_head)
        d_states = torch.bmm(head[:, :, :-1].transpose(1, 2), d_forecast)
        for index, layer in enumerate(layers):
            torch.mul(weights[index], self._factors, out=layer.weights)
            layer.start(d_states, len(layers[index + 1].d_cell) if index + 1 < len(layers) else 0)
            d_weights[index].zero_()
        for step in reversed(range(forward.shape.steps)):
            above: _Gradients | None = None
            for index in range(len(layers) - 1, -1, -1):
                layer, kept = layers[index], forward.layers[index]
                if above is not None:
                    layer.add_from_above(above, None if masks is None else masks[index][step])
                layer.step(step)
                d_weights[index].baddbmm_(layer.d_gates, kept.reads[step].transpose(1, 2))
                if step or index:
                    torch.bmm(layer.transposed, layer.d_gates, out=layer.d_read)
                above = layer
        for d_weight in d_weights:
            d_weight.mul_(self._factors)


class _Gradients:
    """One layer's buffers for gradients at one step."""

    def __init__(self, kept: _Layer, shape: Shape, layer: int, batch: int) -> None:
        k, h, below = shape.models[layer], shape.width, kept.below
        options = shape.options
        self.weights = torch.empty(k, GATES * h, shape.rows(layer), **options)
        self.transposed = self.weights.transpose(1, 2)
        self.d_gates = torch.empty(k, GATES * h, batch, **options)
        self.d_read = torch.zeros(k, shape.rows(layer), batch, **options)
        self._d_output = self.d_read[:, below + 1 :]
        self.d_input = self.d_read[:, :below]
        self.d_cell = torch.empty(k, h, batch, **options)
        self._kept = kept
        self._d_i, self._d_f, self._d_o, self._d_g = (
            self.d_gates[:, n * h : (n + 1) * h] for n in range(GATES)
        )
        self._work = torch.empty_like(self.d_cell)
        self._minus_one = torch.tensor(-1.0, **options)

    def start(self, d_states: torch.Tensor, above: int) -> None:
        """Begin behind the last step, where only models without a layer above have a gradient."""
        self.d_cell.zero_()
        self._d_output[:above] = 0
        self._d_output[above:] = d_states[above : len(self.d_cell)]

    def add_from_above(self, above: _Gradients, mask: torch.Tensor | None) -> None:
        """Add what the layer above says of this one's output."""
        d_output = self._d_output[: len(above.d_cell)]
        if mask is None:
            d_output.add_(above.d_input)
        else:
            d_output.addcmul_(above.d_input, mask)

    def step(self, step: int) -> None:
        """Go one step back: from the output's and the cell's gradients to the gates'."""
        kept = self._kept
        d_output, d_cell, work, shown = self._d_output, self.d_cell, self._work, kept.shown[step]
        torch.mul(d_output, shown, out=self._d_o)
        torch.mul(d_output, kept.o[step], out=work)
        torch.ops.aten.tanh_backward.grad_input(work, shown, grad_input=work)
        d_cell.add_(work)
        # Again, since reading it from memory would take longer.
        torch.add(self._minus_one, kept.g[step], alpha=2, out=work)
        torch.mul(d_cell, work, out=self._d_i)
        torch.mul(d_cell, kept.cells[step], out=self._d_f)
        torch.mul(d_cell, kept.i[step], out=self._d_g)
        d_cell.mul_(kept.f[step])
        torch.ops.aten.sigmoid_backward.grad_input(
            self.d_gates, kept.gates[step], grad_input=self.d_gates
        )
