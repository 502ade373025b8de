"""Measure operators and whole models on this machine and write the rows to the store.

tasks        what to measure: operators and models of the catalogue at chosen settings
subjects     build the operator or model of a task, ready to be called
stacks       what executes a model: eager, compiled, onnxruntime, openvino
timing       repeat a call until the median is known closely enough
quiet        detect whether other work disturbed the measurement
libraries    which library executed the call
environment  machine and software of a run
measure      measure one task in this process
worker       measure in a child process with time and memory limits
session      measure all tasks and write rows
"""
