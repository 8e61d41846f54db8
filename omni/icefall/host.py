"""A host recipe's train.py with a supernet around its steps, and not one line of it changed.

The functions of an icefall train.py find each other as globals of the module: what stands under a name is what is
called. So the supernet's part is put under the names of those functions that make the model, load a checkpoint, compute
the loss and validate. Backward comes after compute_loss has returned: autograd is told to leave the sub-network when it
is through.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, List

import torch
from torch import Tensor

from .plugin import KEY, Plugin
from .settings import Settings

MODEL_FUNCTIONS = ("get_model", "get_transducer_model", "get_ctc_model")
NEEDED = {  # functions, and their arguments that are read
    "main": (), "run": (), "compute_loss": ("params", "is_training"), "compute_validation_loss": ("params",),
    "load_checkpoint_if_available": ("params",),
}


class Host:
    """
    Args:
        path: of the host's train.py.

    Raises:
        ValueError: no such file, or a function that is needed is not there.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, settings
        self.plugin: Plugin | None = None
        self._inside: ExitStack | None = None
        self.module = _load(path)
        maker = self._model_function()
        for name, arguments in NEEDED.items():
            function = getattr(self.module, name, None)
            lacks = [a for a in arguments if callable(function) and a not in inspect.signature(function).parameters]
            if not callable(function) or lacks:
                what = f"{name}() has no argument {lacks[0]}" if lacks else f"has no function {name}()"
                raise ValueError(f"{path}: {what}, which omni.icefall needs; docs/plug-in.md has the three lines that "
                                 "do without")
        self._wrap(maker, self._make_model)
        self._wrap("load_checkpoint_if_available", self._load_checkpoint)
        self._wrap("compute_loss", self._compute_loss)
        self._wrap("compute_validation_loss", self._validate)
        self.run = self.module.run

    def _model_function(self) -> str:
        wanted = (self.settings.model_function,) if self.settings.model_function else MODEL_FUNCTIONS
        for name in wanted:
            if callable(getattr(self.module, name, None)):
                return name
        raise ValueError(f"{self.path}: has no function {'(), '.join(wanted)}() that makes the model; name it in "
                         "--omni-config as model_function")

    def _wrap(self, name: str, around: Callable) -> None:
        """`around(original, *args, **kwargs)` from now on stands for the host's function of that name."""
        original = getattr(self.module, name)
        setattr(self.module, name, functools.wraps(original)(functools.partial(around, original)))

    def _make_model(self, original: Callable, *args: Any, **kwargs: Any) -> Any:
        model = original(*args, **kwargs)
        try:
            self.plugin = Plugin(model, self.settings)
        except ValueError as error:
            raise SystemExit(f"error: --omni-config: {error}") from None
        targeted = sum(target.weight.numel() for target in self.plugin.net.targets.values())
        whole = sum(p.numel() for p in model.parameters())
        logging.info(f"omni: {len(self.plugin.net.targets)} weights, {targeted} of {whole} parameters, can be pruned")
        return model

    def _load_checkpoint(self, original: Callable, *args: Any, **kwargs: Any) -> Any:
        saved = original(*args, **kwargs)
        if saved is None:
            return saved
        params = _bind(original, args, kwargs).arguments["params"]
        try:
            if KEY in saved:
                self.plugin.load_state_dict(saved[KEY])
                params[KEY] = saved[KEY]
            else:
                self.plugin.begin(params["batch_idx_train"])
                logging.info("omni: this checkpoint is of a training without omni; the curriculum begins here")
        except ValueError as error:
            raise SystemExit(f"error: the checkpoint that the training goes on from: {error}") from None
        return saved

    def _compute_loss(self, original: Callable, *args: Any, **kwargs: Any) -> Any:
        named = _bind(original, args, kwargs).arguments
        if not named["is_training"]:
            return original(*args, **kwargs)
        self.leave()  # where the host did not go backward from the loss before
        self._inside = ExitStack()
        self._inside.enter_context(self.plugin.step(named["params"]))
        try:
            found = original(*args, **kwargs)
            loss = found[0] if isinstance(found, tuple) else found
            loss.register_hook(self._leave_after_backward)
        except BaseException:
            self.leave()  # the host writes its weights down before it gives up
            raise
        return found

    def _leave_after_backward(self, gradient: Tensor) -> None:
        torch.autograd.Variable._execution_engine.queue_callback(self.leave)

    def leave(self) -> None:
        """The model is the dense one again."""
        if self._inside is not None:
            inside, self._inside = self._inside, None
            inside.close()

    def _validate(self, original: Callable, *args: Any, **kwargs: Any) -> Any:
        self.leave()
        found = original(*args, **kwargs)
        bound, net = _bind(original, args, kwargs), self.plugin.net
        params = bound.arguments["params"]
        for sparsity in self.settings.validate:
            bound.arguments["params"] = type(params)(params)  # the host's best epoch is that of the dense network
            with net.active(net.uniform(sparsity)):
                info = original(*bound.args, **bound.kwargs)
            logging.info(f"omni: validation at sparsity {sparsity:g}: {info}")
        return found


class Run:
    """Stands under the host's `run`, which mp.spawn sends to other processes by its name: there the host is loaded and
    fitted out anew."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, settings

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return host(self.path, self.settings).run(*args, **kwargs)


_hosts: List[Host] = []


def host(path: Path, settings: Settings) -> Host:
    """The host of this process, loaded and fitted out once."""
    if not _hosts:
        _hosts.append(Host(path, settings))
    return _hosts[0]


def launch(path: Path, settings: Settings, arguments: List[str]) -> None:
    """Runs the host's main() with these arguments of its own."""
    sys.argv = [str(path), *arguments]
    made = host(path, settings)
    made.module.run = Run(path, settings)
    made.module.main()


def _load(path: Path) -> ModuleType:
    """The host as a module of its file's name, with its folder first on the path: hosts import their files flat."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; want the train.py of an icefall recipe")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"{path}: needs the module {error.name}; is icefall on PYTHONPATH, and its environment "
                         "active?") from None
    return module


def _bind(function: Callable, args: tuple, kwargs: dict) -> inspect.BoundArguments:
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound
