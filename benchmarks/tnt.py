"""TNT-S: pictures a second by each runtime, and what the embedding cache saves (`_runtimes.py`).

About 5 minutes on 2 cores; quicker with ``--rounds 2 --pictures 8 --no-clip``. With the published
weights: ``--weights tnt_s.safetensors --without head.weight head.bias``.
"""

from __future__ import annotations

import argparse

from _runtimes import add_arguments, crops, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_arguments(parser)
    run("tnt_s_patch16_224", crops, parser.parse_args())
