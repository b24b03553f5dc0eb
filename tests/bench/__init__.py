"""The numbers of the README: GitML beside the programs that a team would use instead.

Every figure is a ratio of two commands that ran one after the other, on the same data, on the same disk, in
the same run; absolute times belong to the machine and are printed for orientation only. `make bench` runs
all of it, `python -m tests.bench ROW…` some rows, `--quick` a size that shows that the bench itself works.

- `measure` runs a command and says how long it took and how much memory it had;
- `material` makes the data, the same bytes for the same seed;
- `tools` knows how each program is set up and called;
- `bucket` is a place on an S3 server of this machine, and counts what goes over the wire;
- `writing`, `reading`, `small`, `remote`, `counting` and `scale` hold the rows;
- `plain_s3`, `columns`, `generated` and `full_moto` are programs that rows run;
- `report` prints the table.
"""
