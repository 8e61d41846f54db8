"""The search of tools/setup_env.sh for a Python 3.10."""

import pytest

pytestmark = pytest.mark.one_stack


def dry_python(machine, *args: str, **more: str) -> str:
    code, out, err = machine.run("--dry-run", *args, **more)
    assert code == 0, err
    assert not machine.venv.exists()
    return next(line for line in out.splitlines() if line.startswith("python: ")).removeprefix("python: ")


def refusing_shim(machine) -> None:
    machine.program(machine.bin / "python3.10", "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")


def test_python_on_path(machine):
    assert dry_python(machine) == "none here; would be fetched by uv or conda"
    path = machine.give_python()
    assert dry_python(machine) == str(path)


def test_refusing_pyenv_shim_is_passed_over_for_the_newest_version(machine, tmp_path):
    refusing_shim(machine)
    for version in ("3.10.0", "3.10.9", "3.10.13", "3.11.7"):
        machine.python_at(tmp_path / f"pyenv/versions/{version}/bin/python")
    machine.program(machine.bin / "pyenv", f"#!/bin/sh\n[ $1 = root ] && echo {tmp_path}/pyenv\n")
    assert dry_python(machine) == str(tmp_path / "pyenv/versions/3.10.13/bin/python")


def test_pyenv_in_the_home_folder_without_its_command(machine):
    refusing_shim(machine)
    python = machine.python_at(machine.home / ".pyenv/versions/3.10.4/bin/python")
    assert dry_python(machine) == str(python)


def test_uv_that_knows_one(machine, tmp_path):
    refusing_shim(machine)
    python = machine.python_at(tmp_path / "uv python/bin/python3.10")
    machine.program(machine.bin / "uv", f'#!/bin/sh\n[ "$*" = "python find 3.10" ] && echo "{python}"\n')
    assert dry_python(machine) == str(python)


def test_conda_environment(machine):
    python = machine.python_at(machine.home / "miniforge3/envs/asr/bin/python3.10")
    assert dry_python(machine) == str(python)
    base = machine.python_at(machine.home / "elsewhere/bin/python3.10")
    assert dry_python(machine, CONDA_EXE=str(machine.home / "elsewhere/bin/conda")) == str(base)


def test_given_python(machine, tmp_path):
    machine.give_python()
    python = machine.python_at(tmp_path / "mine")
    assert dry_python(machine, "--python", str(python)) == str(python)
    old = machine.python_at(tmp_path / "old", "3.8")
    for wrong, reason in ((old, "not a Python 3.10"), (tmp_path / "none", "no such program")):
        code, out, err = machine.run("--stack", "k2", "--python", str(wrong))
        assert (code, out) == (2, "")
        assert err.startswith(f"error: --python {wrong}: {reason}") and err.count("\n") == 1
        assert not machine.venv.exists()


def test_python_that_makes_no_environments(machine):
    machine.give_python()
    (machine.fake / "no-ensurepip").touch()
    assert "python3.10-venv" in dry_python(machine)
    code, _, err = machine.run()
    assert code == 2 and "lacks the module ensurepip" in err.splitlines()[-1]


def test_no_python_and_none_to_be_had(machine):
    code, _, err = machine.run()
    assert code == 2
    assert err.splitlines()[-1].startswith("error: no Python 3.10 found")
    assert "pyenv install 3.10" in err and "--python" in err
    assert not machine.venv.exists()


def test_uv_fetches_one_into_the_environment(machine, tmp_path):
    source = machine.python_at(tmp_path / "source")
    machine.program(
        machine.bin / "uv",
        f"""#!/bin/sh
        [ "$*" = "python install 3.10" ] || exit 1
        dir=$UV_PYTHON_INSTALL_DIR/cpython-3.10.22-linux/bin
        mkdir -p "$dir" && cat {source} >"$dir/python3.10" && chmod +x "$dir/python3.10"
        """,
    )
    code, _, err = machine.run("--no-kaldifeat")
    assert code == 0, err
    assert f"venv from {machine.venv}/.python/cpython-3.10.22-linux/bin/python3.10" in machine.calls()


def test_python_of_the_modern_stack(machine):
    machine.give_python("3.10")
    assert dry_python(machine, "--stack", "modern") == "none here; would be fetched by uv or conda"
    path = machine.give_python("3.11")
    assert dry_python(machine, "--stack", "modern") == str(path)
