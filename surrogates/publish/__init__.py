"""From trained files to a published set: model card, manifest and the page of all hold-outs.

`python -m surrogates.publish` uploads a set; `python -m surrogates.publish.report` rewrites `surrogates/report.md`.
"""
