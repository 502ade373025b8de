"""Measure what a suite file lists, here or on a Ray cluster, into one store; compare two runs.

plan      the TOML file, checked and expanded to tasks for a device
engine    where tasks are measured: this machine, in a child process
cluster   the same on a Ray cluster, one worker an accelerator
compare   what became slower between two runs, by a rank test on the raw repeats
"""
