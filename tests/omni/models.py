"""Small models of every kind whose weights omni must find, and their inputs."""

import torch
from torch import nn


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 16)
        self.norm = nn.LayerNorm(16)
        self.second = nn.Linear(16, 8)

    def forward(self, x):
        return self.second(torch.relu(self.norm(self.first(x))))


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv1d(8, 16, 3, padding=1)
        self.depthwise = nn.Conv1d(16, 16, 3, padding=1, groups=16)
        self.grouped = nn.Conv1d(16, 8, 1, groups=2)
        self.plane = nn.Conv2d(4, 8, 3, padding=1)

    def forward(self, x):  # (N, 8, T)
        x = self.grouped(self.depthwise(self.wide(x)))
        return self.plane(x.view(x.shape[0], 4, 2, -1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, num_layers=2, bidirectional=True, proj_size=4)
        self.gru = nn.GRU(8, 4, batch_first=True)
        self.cell = nn.GRUCell(4, 8)

    def forward(self, x):
        x = self.gru(self.lstm(x)[0])[0]
        return self.cell(x.reshape(-1, 4))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.same = nn.MultiheadAttention(8, 2, add_bias_kv=True)
        self.other = nn.MultiheadAttention(8, 2, kdim=4, vdim=12)

    def forward(self, x):  # (T, N, 8)
        x = self.same(x, x, x)[0]
        return self.other(x, x[..., :4], torch.cat([x, x[..., :4]], dim=-1))[0]


class Reader(nn.Module):
    """Reads the weight of a module that it never calls, and has a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 12, bias=False)
        self.own = nn.Parameter(torch.randn(12, 8))

    def forward(self, x):
        return nn.functional.linear(x, self.inner.weight) @ self.own


class Tied(nn.Module):
    """An output layer tied to the embedding, and one Linear under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 8)
        self.one = nn.Linear(8, 8)
        self.other = self.one
        self.output = nn.Linear(8, 12)
        self.output.weight = self.embedding.weight

    def forward(self, x):
        return self.output(self.other(torch.relu(self.one(self.embedding(x)))))


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


INPUTS = {
    Mlp: noise(5, 6), Convolutions: noise(2, 8, 7), Recurrent: noise(5, 3, 6), Attention: noise(5, 2, 8),
    Reader: noise(5, 8), Tied: torch.tensor([[0, 3, 11], [2, 3, 4]]),
}


def build(kind):
    torch.manual_seed(0)
    return kind()
