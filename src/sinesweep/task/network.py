"""A stacked LSTM, plain PyTorch, with PyTorch's or Keras' initial weights.

Shapes: B batch, I input steps, H hidden size, O output steps.
"""

from __future__ import annotations

import torch
from torch import nn


class StackedLSTM(nn.Module):
    """LSTM layers on top of each other and a linear head over the last state.

    Every layer but the last hands its whole sequence on. Each gate has one bias vector, as in
    Keras: PyTorch's second one, which adds to the first, is held at zero.

    Args:
        layers: LSTM layers, 1 or more.
        width: H.
        output_steps: O.
        dropout: between layers, in [0, 1).
        initialization: ``pytorch`` (uniform within 1/sqrt(H)) or ``keras`` (Glorot uniform input
            weights, orthogonal recurrent weights, zero bias with 1 for the forget gate).
    """

    def __init__(
        self,
        *,
        layers: int,
        width: int,
        output_steps: int,
        dropout: float = 0.0,
        initialization: str = "pytorch",
    ) -> None:
        super().__init__()
        # A single layer has no place between layers; nn.LSTM would warn of its dropout.
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(1, width, num_layers=layers, dropout=between, batch_first=True)
        self.head = nn.Linear(width, output_steps)
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_hh"):
                parameter.requires_grad_(False)
                nn.init.zeros_(parameter)
        if initialization == "keras":
            self._initialize_like_keras()

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Forecast.

        Args:
            series: (B, I).

        Returns:
            (B, O).
        """
        _, (last_states, _) = self.lstm(series.unsqueeze(-1))
        return self.head(last_states[-1])

    @property
    def trainable_parameters(self) -> int:
        """How many numbers training changes."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def _initialize_like_keras(self) -> None:
        """Initialize as keras.layers.LSTM and Dense do by default (Keras 3 documentation)."""
        width = self.lstm.hidden_size
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(parameter)
            elif name.startswith("bias_ih"):
                nn.init.zeros_(parameter)
                with torch.no_grad():
                    parameter[width : 2 * width] = 1.0  # the forget gate is the second of four
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)
