"""Which stack tools/setup_env.sh takes."""

import pytest

pytestmark = pytest.mark.one_stack


def dry_stack(machine, *args: str, **more: str) -> str:
    code, out, err = machine.run("--dry-run", *args, **more)
    assert code == 0, err
    return out.splitlines()[0].removeprefix("stack: ")


def give_gpu(machine, *capabilities: str) -> None:
    words = "\\n".join(capabilities)
    machine.program(machine.bin / "nvidia-smi", f"#!/bin/sh\nprintf '{words}\\n'\n")


def test_k2_where_its_wheel_fits(machine):
    machine.give_python("3.10")
    machine.give_python("3.11")
    assert dry_stack(machine) == "k2 (k2's wheel fits this machine)"
    assert dry_stack(machine, "--stack", "modern") == "modern"


def test_modern_without_a_python_310(machine):
    machine.give_python("3.11")
    assert dry_stack(machine) == "modern (k2's wheel on PyPI is for CPython 3.10 alone, none is here)"


def test_k2_where_no_python_is_here(machine):  # one is fetched
    assert dry_stack(machine).startswith("k2 ")


def test_given_python_decides(machine, tmp_path):
    machine.give_python("3.10")
    new = machine.python_at(tmp_path / "mine", "3.11")
    assert dry_stack(machine, "--python", str(new)).startswith("modern (k2's wheel")


@pytest.mark.parametrize("capabilities, stack", [(["8.6"], "k2"), (["8.9", "9.0"], "modern"), (["12.0"], "modern")])
def test_gpu_that_torch_113_has_no_code_for(machine, capabilities, stack):
    machine.give_python("3.10")
    give_gpu(machine, *capabilities)
    found = dry_stack(machine)
    assert found.split()[0] == stack
    assert stack == "k2" or f"compute capability {capabilities[-1]}" in found


def test_another_machine(machine):
    machine.give_python("3.10")
    (machine.bin / "uname").unlink()
    machine.program(machine.bin / "uname", "#!/bin/sh\necho Darwin arm64\n")
    assert dry_stack(machine) == "modern (k2's wheel on PyPI is for Linux x86_64, this is Darwin arm64)"
    code, out, err = machine.run("--stack", "k2")
    assert (code, out) == (2, "")
    assert err.startswith("error: --stack k2: k2's wheel on PyPI is for Linux x86_64") and err.count("\n") == 1


def test_modern_setup(machine):
    machine.give_python("3.11")
    code, out, err = machine.run("--stack", "modern", "--no-kaldifeat", FAKE_PIP="24")
    assert (code, out) == (0, f"{machine.project}/.venv-modern/bin/python\n"), err
    calls = machine.calls()
    assert "tools/env/modern.txt" in calls and "/requirements.txt" not in calls
    assert "pip<24" not in calls  # k2's wheel alone wants an old one
    assert machine.run("--stack", "modern", "--no-kaldifeat")[0] == 0 and machine.calls() == ""
    assert not machine.venv.exists()


def test_auto_says_why_it_is_not_k2(machine):
    machine.give_python("3.11")
    for _ in range(2):
        code, out, err = machine.run("--no-kaldifeat")
        assert (code, out) == (0, f"{machine.project}/.venv-modern/bin/python\n"), err
        assert err.startswith("note: stack modern: k2's wheel on PyPI is for CPython 3.10 alone, none is here\n")


def test_environment_of_the_other_stack_is_refused(machine):
    machine.give_python("3.10")
    machine.give_python("3.11")
    assert machine.run("--no-kaldifeat")[0] == 0
    (machine.venv / ".omni_state").unlink()
    code, _, err = machine.run("--stack", "modern", "--venv", str(machine.venv))
    assert code == 2 and "is not an environment of Python 3.11 for stack modern" in err.splitlines()[-1]
    assert machine.venv.exists()


def test_unknown_stack(machine):
    code, out, err = machine.run("--stack", "k3")
    assert (code, out, err) == (2, "", "error: --stack k3: want k2, modern or auto\n")


def test_too_little_disk(machine):
    machine.give_python("3.10")
    machine.give_disk(4)
    code, out, err = machine.run()
    assert (code, out) == (2, "")
    assert "making the environment takes 6 GB of disk, 4 GB are free there" in err
    assert not machine.venv.exists()
