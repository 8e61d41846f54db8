"""python -m tools.bench_train: what a training step spends its time on (--help)."""

from egs.librispeech.omni_sparsity.training.bench import main

if __name__ == "__main__":
    main()
