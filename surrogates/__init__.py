"""The surrogates: trained, calibrated, scored on held-out data and exported for `hetbench`; run from the checkout.

Imports run one way: the modules here, then `operators`, then `whole`, `rgat`, `power`, `knowledge` and `peers`, then
`publish`; the commands `train`, `add` and `rebuild` stand above them.
"""
