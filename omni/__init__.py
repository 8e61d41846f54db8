"""omni: sparse sub-networks of any PyTorch model, by weight masks. Depends on torch alone.

    net = omni.Supernet(model, {r"encoder\\..*weight": omni.Range(0.0, 0.9, "8x1")}, seed=42)
    for spec in net.sandwich(step):
        with net.active(spec):
            loss = compute(model, batch)
            loss.backward()
    net.prune_(net.uniform(0.8))
"""

from .blocks import Blocks
from .pack import pack, unpack
from .spec import Spec, dump_spec, fingerprint, load_spec
from .supernet import Range, Supernet

__all__ = ["Blocks", "Range", "Spec", "Supernet", "dump_spec", "fingerprint", "load_spec", "pack", "unpack"]
