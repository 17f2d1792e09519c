"""A :class:`StackedLSTM`'s weights as compiled code or the batched kernel has them, and back.

Compiled code has them in one vector, as :mod:`sinesweep.fused.compiled` describes it.

The kernel's shapes: H its hidden size, h the model's own, h <= H; O output steps. A block is a
layer's (4H, I + 1 + H), or, the last, the head's (O, H + 1). PyTorch's gates are in the order i, f,
g, o, and its second bias is zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from sinesweep.fused.kernel import GATES

_PYTORCHS_PLACE = (0, 1, 3, 2)  # of the kernel's gates i, f, o, g


def _names(layers: int) -> list[str]:
    """Return what changes in training, in the vector's order."""
    lstm = [
        f"lstm.{name}_l{layer}"
        for layer in range(layers)
        for name in ("weight_ih", "weight_hh", "bias_ih")
    ]
    return [*lstm, "head.weight", "head.bias"]


def vector(state: Mapping[str, torch.Tensor], layers: int) -> torch.Tensor:
    """Return a network's weights in one vector; see :mod:`sinesweep.fused.compiled`."""
    return torch.cat([state[name].flatten() for name in _names(layers)])


def named(
    vector: torch.Tensor, layers: int, like: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the state_dict of a network, copied from its vector.

    Args:
        vector: as :func:`vector` makes it.
        layers: how many the network has.
        like: a state_dict of the same names and shapes.
    """
    names = _names(layers)
    parts = vector.split([like[name].numel() for name in names])
    trained = {name: part.view_as(like[name]) for name, part in zip(names, parts, strict=True)}
    return {name: trained.get(name, like[name]).clone() for name in like}


def pack(state: Mapping[str, torch.Tensor], layers: int, width: int) -> list[torch.Tensor]:
    """Return the blocks of a model.

    Args:
        state: its network's state_dict.
        layers: how many it has.
        width: H.
    """
    blocks = []
    for layer in range(layers):
        inputs, recurrent = state[f"lstm.weight_ih_l{layer}"], state[f"lstm.weight_hh_l{layer}"]
        bias, own = state[f"lstm.bias_ih_l{layer}"], recurrent.shape[1]
        below = width if layer else 1
        block = inputs.new_zeros(GATES * width, below + 1 + width)
        for gate, place in enumerate(_PYTORCHS_PLACE):
            into = block[gate * width : gate * width + own]
            rows = slice(place * own, (place + 1) * own)
            into[:, : inputs.shape[1]] = inputs[rows]
            into[:, below] = bias[rows]
            into[:, below + 1 : below + 1 + own] = recurrent[rows]
        blocks.append(block)
    head, own = state["head.weight"], state["head.weight"].shape[1]
    block = head.new_zeros(len(head), width + 1)
    block[:, :own] = head
    block[:, width] = state["head.bias"]
    return [*blocks, block]


def unpack(blocks: Sequence[torch.Tensor], own: int) -> dict[str, torch.Tensor]:
    """Return the state_dict of a model's network.

    Args:
        blocks: as :func:`pack` makes them.
        own: h.
    """
    *cells, head = blocks
    width = head.shape[1] - 1
    state: dict[str, torch.Tensor] = {}
    for layer, block in enumerate(cells):
        below = width if layer else 1
        rows = torch.cat(
            [
                block[gate * width : gate * width + own]
                for gate in (_PYTORCHS_PLACE.index(place) for place in range(GATES))
            ]
        )
        state[f"lstm.weight_ih_l{layer}"] = rows[:, : own if layer else 1].clone()
        state[f"lstm.weight_hh_l{layer}"] = rows[:, below + 1 : below + 1 + own].clone()
        state[f"lstm.bias_ih_l{layer}"] = rows[:, below].clone()
        state[f"lstm.bias_hh_l{layer}"] = torch.zeros_like(rows[:, below])
    state["head.weight"] = head[:, :own].clone()
    state["head.bias"] = head[:, width].clone()
    return state
