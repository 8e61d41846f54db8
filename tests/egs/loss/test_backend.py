"""Which loss serves."""


import pytest

from egs.librispeech.omni_sparsity.loss import native as native_loss
from egs.librispeech.omni_sparsity.loss.backend import loss_backend
from omni.errors import UserError


def test_native_is_native():
    assert loss_backend("native") == (native_loss, "native")


def test_auto_is_k2_where_it_is():
    k2 = pytest.importorskip("k2", reason="k2 is not here (the modern stack has none)")
    assert loss_backend("auto")[0] is loss_backend("k2")[0] is k2 and loss_backend("k2")[1].startswith("k2 1.")


def test_without_k2_auto_is_native_and_k2_an_error(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "k2", None)
    loss_backend.cache_clear()
    try:
        assert loss_backend("auto") == (native_loss, "native")
        with pytest.raises(UserError, match="loss.backend k2: not importable .* take native, or auto"):
            loss_backend("k2")
    finally:
        loss_backend.cache_clear()
