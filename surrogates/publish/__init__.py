"""Publish a trained set of surrogates: model card, manifest, upload, and the report of all hold-outs.

`python -m surrogates.publish` uploads a set; `python -m surrogates.publish.report` rewrites `surrogates/report.md`.
"""
