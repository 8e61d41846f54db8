"""Commands set process-wide state (log level and handlers, oneDNN): no test may see another's."""

import logging

import pytest
import torch


@pytest.fixture(autouse=True)
def process_wide_state():
    root = logging.getLogger()
    level, handlers, onednn = root.level, list(root.handlers), torch.backends.mkldnn.enabled
    yield
    root.setLevel(level)
    for handler in list(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    torch.backends.mkldnn.enabled = onednn
