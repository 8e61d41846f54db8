"""omni: sparse sub-networks of any PyTorch model, by weight masks. Depends on torch alone.

    net = omni.Supernet(model, {r"encoder\\..*weight": omni.Range(0.0, 0.9, "8x1")}, seed=42)
    for spec in net.sandwich(step):
        with net.active(spec):
            loss = compute(model, batch)
            loss.backward()
    net.prune_(net.uniform(0.8))

`omni.Supernet(model, omni.Range(0.0, 0.9))` finds the weights itself; `print(omni.describe(model, omni.Range()))` says
which.
"""

from .curriculum import Curriculum, Plan
from .describe import describe
from .pack import pack, unpack
from .prune import prune_
from .report import Comparison, Report, compare, report
from .sampler import Sampler
from .schedule import gradual_sparsity
from .spec import Spec, fingerprint, load_spec, save_spec
from .structures import Blocks, NofM, parse_structure
from .supernet import Supernet
from .targets import Range

__all__ = [
    "Blocks", "Comparison", "Curriculum", "NofM", "Plan", "Range", "Report", "Sampler", "Spec", "Supernet", "compare",
    "describe", "fingerprint", "gradual_sparsity", "load_spec", "pack", "parse_structure", "prune_", "report",
    "save_spec", "unpack",
]
