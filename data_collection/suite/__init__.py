"""Measure everything that a suite file lists, on this machine or a Ray cluster, into one store; compare two runs.

plan      the TOML file, checked and expanded to tasks for a device
engine    measure the tasks on this machine, in a child process
cluster   measure them on a Ray cluster, one worker per accelerator
compare   which rows became slower between two runs, by a rank test on the raw repeats
"""
