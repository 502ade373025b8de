"""Clean tables from the corpus: published figures of the catalogue's models, and whole-model rows for training.

corpus            chip names and numbers in cells, for both tables
evidence_fields   what upstream fields mean, and how far a row may be used as evidence
evidence_filters  which rows do not become evidence
evidence          command: writes hetbench/catalog/evidence.json.gz
model_columns     columns of the whole-model table
model_fields      what upstream fields of whole-model rows mean
model_filters     which rows must not be trained on, judged one by one
model_repeats     copies, repeats and older versions of the same setting
model_curves      rows that no curve of latency over batch size can have
model_rows        command: writes the whole-model table
"""
