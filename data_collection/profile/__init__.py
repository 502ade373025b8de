"""Measure operators and whole models on this machine into the store.

tasks       what to measure, drawn from the catalogue
subjects    a task made ready to be called
stacks      what runs a whole model: eager, compiled, onnxruntime, openvino
timing      repeats until the median is known
quiet       whether something else disturbed it
libraries   what really ran it
measure     one task in this process
worker      the same in a child, with a time limit, surviving its death
session     all tasks into the store
"""
