"""omni: sparse sub-networks of any PyTorch model, by weight masks. Depends on torch alone.

    net = omni.Supernet(model, {r"encoder\\..*weight": omni.Range(0.0, 0.9, "8x1")}, seed=42)
    for spec in net.sandwich(step):
        with net.active(spec):
            loss = compute(model, batch)
            loss.backward()
    net.prune_(net.uniform(0.8))

`omni.Supernet(model, omni.Range(0.0, 0.9))` finds the weights itself; `print(omni.describe(model, omni.Range()))` says
which. `import omni` alone loads no torch: a name loads its module when it is first used.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "Blocks": "structures", "Comparison": "counts", "Curriculum": "curriculum", "NofM": "structures",
    "Plan": "curriculum", "Range": "targets", "Report": "counts", "Sampler": "sampler", "Spec": "spec",
    "Supernet": "supernet", "compare": "counts", "describe": "overview", "fingerprint": "spec",
    "gradual_sparsity": "schedule", "Strategy": "strategies", "strategy": "strategies",
    "strategy_class": "strategies", "strategy_names": "strategies", "load": "ship.shipped", "load_pt": "loading",
    "load_spec": "spec", "pack": "packing", "parse_structure": "structures", "prune_": "prune", "report": "counts",
    "save_spec": "spec", "unpack": "packing",
}

__all__ = list(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'omni' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_HOMES])
