"""python -m tools.plan: how long a training will take, what memory and disk it needs (--help)."""

from egs.librispeech.omni_sparsity.experiments.plan import main

if __name__ == "__main__":
    main()
