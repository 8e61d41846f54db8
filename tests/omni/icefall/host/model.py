"""Encoders with what makes hosts awkward; `Model` has one of each."""

import math

import torch
from torch import Tensor, nn


def scaled_linear(inputs: int, outputs: int) -> nn.Linear:
    """A function that looks like a class and returns a plain Linear."""
    made = nn.Linear(inputs, outputs)
    with torch.no_grad():
        made.weight.mul_(0.5)
    return made


class LearntScale(nn.Linear):
    """Its effective weight is weight * scale.exp()."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.weight_scale = nn.Parameter(torch.tensor(math.log(2.0)))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight * self.weight_scale.exp(), self.bias)


class WithBatchCount(nn.Module):
    """Dropout that falls with the batches seen; the training walks over all modules to tell them."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_count = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.1 / (1.0 + self.batch_count), self.training)


class ReadNotCalled(nn.Module):
    """Attention-like: the output projection's weight is read, the module is never called."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(size, size)
        self.out_proj = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(torch.tanh(self.in_proj(x)), self.out_proj.weight, self.out_proj.bias)


class FlatLstm(nn.LSTM):
    """Hands its flat weights, each times a learnt scale, to the kernel itself."""

    def __init__(self, size: int) -> None:
        super().__init__(size, size, batch_first=True)
        self.scales = nn.ParameterList([nn.Parameter(torch.zeros(())) for _ in self._flat_weights])

    def forward(self, x: Tensor) -> Tensor:
        weights = [w * s.exp() for w, s in zip(self._flat_weights, self.scales)]
        start = x.new_zeros(1, x.size(0), self.hidden_size)
        return torch.lstm(x, (start, start), weights, True, 1, 0.0, self.training, False, True)[0]


class Model(nn.Module):
    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.embed = scaled_linear(8, size)
        self.scale = LearntScale(size, size)
        self.drop = WithBatchCount()
        self.attention = ReadNotCalled(size)
        self.lstm = FlatLstm(size)
        self.output = nn.Linear(size, classes)
        self.shared = nn.Linear(size, size, bias=False)
        self.again = self.shared  # tied
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:  # (N, T, 8) -> (N, T, classes)
        x = self.drop(torch.relu(self.scale(self.embed(x))))
        x = x + self.attention(x)
        x = self.lstm(x) + self.again(self.shared(x))
        return self.output(x)

