"""All paths of a transducer's lattice, counted one by one: what sums over the lattice are held to."""

import itertools
import math

import torch


def by_hand(px, py):
    """(log-sum, px occupation, py occupation, (S + 1, T) visits of nodes) of one utterance, over every order of its
    moves."""
    symbols, frames = len(px), py.shape[1]
    regular = px.shape[1] == frames + 1
    total, visits = 0.0, torch.zeros_like(py)
    taken = [torch.zeros_like(px), torch.zeros_like(py)]
    for emits in itertools.combinations(range(frames + symbols if regular else frames), symbols):
        s = t = 0
        score, edges = 0.0, []
        for move in range(frames + symbols if regular else frames):
            which = 0 if move in emits else 1
            edges.append((which, s, t))
            score += float((px, py)[which][s, t])
            s, t = s + (which == 0), t + (which == 1 or not regular)
        total += math.exp(score)
        for which, s, t in edges:
            taken[which][s, t] += math.exp(score)
            if t < frames:  # not the symbols behind the last frame
                visits[s, t] += math.exp(score)
    return math.log(total), taken[0] / total, taken[1] / total, visits / total
