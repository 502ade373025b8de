"""Evaluate one model in one precision on one device: speed, numeric differences, accuracy on the user's data.

workload    definition of a task: defaults, task files, ByteMLPerf's workload files
perf        latency and samples per second of each batch size, alone and with concurrent clients
numeric     outputs compared with the same network in fp32 on the CPU
accuracy    share of correct answers on a data set, with weights that the user names
evaluate    run all of it on one device and collect the report
summary     the report as one page
"""
