"""Evaluate one model in one precision on one device: speed, closeness to a reference, accuracy on the user's data.

workload    what a task is: defaults, task files, ByteMLPerf's workload files
perf        latency and samples per second of each batch size, alone and with concurrent clients
numeric     outputs against the same network in fp32 on the CPU
accuracy    right answers on a data set, with weights that the user names
evaluate    all of it on one device, into one report
summary     the report as one page
"""
