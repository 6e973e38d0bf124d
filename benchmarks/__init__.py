"""What `realtime` costs, beside its peers, on this machine: `make bench`.

The map, in reading order.

machine.py    the two cores, what a process has used, what the machine is
services.py   programs under test and the databases beside them: started on the server's core, stopped at the end
subjects.py   the programs: ours in several set-ups, and the peers; how each is started and what it speaks
load/         the load generator, one process on the other core
flood.py      a client that floods, another process on that core
bench.py      what every question works with: sizes, a subject that runs, repetitions
questions/    a module per question: measures, and says which ratio was to be reached
results.py    what a question answers: samples, medians, ratios
plots.py      an SVG per question, for light and dark
report.py     docs/benchmarks.md
measured.py   the measured parts of pages that are written by hand
scaling.py    that of docs/scaling.md
production.py that of docs/howto/deploy.md
"""
