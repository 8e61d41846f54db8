"""The synthesiser. Each test that speaks does so in a process of its own: the library keeps state."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed")
ROOT = Path(__file__).parents[3]


def _run(code: str) -> str:
    start = "from local.mini.espeak import Espeak; import hashlib; e = Espeak()\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_fresh_processes_say_the_same():
    code = "for v in ('en+f3', 'en-us'): print(hashlib.md5(e.say('TURN IT ON', v, 50, 170, 50)).hexdigest())"
    assert _run(code) == _run(code)


def test_faster_is_shorter_and_sound_is_there():
    code = "print([len(e.say('SET A TIMER FOR TEN MINUTES', 'en', 50, r, 50)) / e.rate for r in (120, 240)])"
    slow, fast = json.loads(_run(code))
    assert 1.0 < fast < 0.7 * slow < 5


@pytest.mark.parametrize("voice", ["en+nobody", "xx"])
def test_an_unknown_voice_is_an_error(voice):
    code = f"try: e.say('HELLO', '{voice}', 50, 170, 50)\nexcept RuntimeError as error: print(error)"
    assert voice in _run(code)
