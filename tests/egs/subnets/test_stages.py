"""A searched sub-network from its spec file to the report: nothing of the recipe knows of it but its name."""

import json
import sys

import omni
from egs.librispeech.omni_sparsity.decoding import __main__ as decode
from egs.librispeech.omni_sparsity.model.supernet import make_supernet
from egs.librispeech.omni_sparsity.model.transducer import Transducer
from egs.librispeech.omni_sparsity.report import __main__ as report
from egs.librispeech.omni_sparsity.subnets import __main__ as subnets


def test_a_spec_is_built_decoded_and_reported_by_its_name(supernet, data_dir, tmp_path, monkeypatch):
    config, exp_dir = tmp_path / "toy.yaml", str(supernet.path)
    config.write_text(supernet.config.to_yaml())
    net = make_supernet(Transducer(supernet.config.model), supernet.config.omni, 0)
    omni.save_spec(tmp_path / "0.1MB.json", {name: 0.8 for name in list(net.targets)[1:]}, net.model)

    def stages(*sizes):
        for module, more in ((subnets, ["--sparsities", *sizes]), (decode, [])):
            monkeypatch.setattr(sys, "argv", ["command", "--config", str(config), "--data-dir", str(data_dir),
                                              "--exp-dir", exp_dir, *more])
            module.main()
        report.main(["--exp-dir", exp_dir, "--data-dir", str(data_dir)])
        rows = json.loads((supernet.path / "results.json").read_text())
        return [(row["name"], row["test_set"], row["wer"]) for row in rows]

    first = stages("0 0.9")
    both = stages("0", "--specs", str(tmp_path / "0.1MB.json"))
    assert [name for name, _, _ in both] == ["sparsity-0"] * 2 + ["0.1MB"] * 2 + ["sparsity-0.9"] * 2
    assert [row for row in both if row[0] != "0.1MB"] == first
    assert "| 0.1MB | 0." in (supernet.path / "RESULTS.md").read_text()
    page = (supernet.path / "report.html").read_text()
    assert ">0.1MB</th>" in page and '<option value="1">0.1MB</option>' in page
