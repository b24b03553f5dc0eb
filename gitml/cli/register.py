"""`gitml register`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gitml.cli.render import registry as render
from gitml.cli.terminal import fields
from gitml.cli.terminal.click_parts import command, dry_run_option
from gitml.cli.terminal.session import Session


@command(
    "register",
    arguments=[
        ("TYPE/NAME", "The asset, such as models/digits."),
        ("PATH…", "A folder gives its contents, a file its base name; none with --sql."),
    ],
    examples=[
        "gitml register datasets/digits data/",
        "gitml register datasets/raw s3://team-data/raw --reference",
        "gitml register models/digits ./out --metric accuracy=0.98 --input training=datasets/digits@1",
        'gitml register datasets/orders --sql "select * from orders order by id" --connection env:SHOP_URL',
    ],
)
@click.argument("asset", metavar="TYPE/NAME")
@click.argument("paths", metavar="PATH…", nargs=-1)
@click.option("--version", metavar="V", help="Name of the version; default is the next integer.")
@click.option(
    "--bump", type=click.Choice(["major", "minor", "patch"]), help="Raise this part of the newest version."
)
@click.option("--label", "labels", metavar="K=V", multiple=True, help="A label.")
@click.option("--metric", "metrics", metavar="K=V", multiple=True, help="A metric.")
@click.option("--param", "params", metavar="K=V", multiple=True, help="A parameter.")
@click.option("--metrics", "metrics_file", metavar="FILE", help="Metrics from JSON or YAML; --metric wins.")
@click.option("--params", "params_file", metavar="FILE", help="Parameters from JSON or YAML; --param wins.")
@click.option(
    "--input", "inputs", metavar="[ROLE=]REF", multiple=True, help="A version that it was made from."
)
@click.option(
    "--spec", "spec_file", metavar="FILE", help="What it is, by the schema of its type: JSON or YAML."
)
@click.option("--source", metavar="PATH", help="The file that made the contents.")
@click.option("--command", "command_line", metavar="TEXT", help="The command line that made them.")
@click.option("-m", "--message", metavar="TEXT", help="Description, one line.")
@click.option("--branch", metavar="B", help="Commit to this branch instead of the one checked out.")
@click.option("--offline", is_flag=True, help="Keep the bytes in this clone until `gitml push`.")
@click.option("--push", is_flag=True, help="Push afterwards.")
@click.option(
    "--follow-links", is_flag=True, help="Copy what a symbolic link points to instead of refusing it."
)
@click.option("--sql", metavar="QUERY", help="Register what this query gives, as Parquet; add ORDER BY.")
@click.option(
    "--connection",
    metavar="URL|env:NAME|NAME",
    help="The database: postgresql://…, sqlite:///PATH, a variable with that, or a name of your settings.",
)
@click.option(
    "--reference",
    is_flag=True,
    help="Leave the data where it is: PATH may be s3://…, az://…, https://…, too.",
)
@click.option(
    "--hash", is_flag=True, help="With --reference: read everything, so that its digests are known."
)
@dry_run_option
def register(
    session: Session,
    asset: str,
    paths: Sequence[str],
    *,
    version: str | None,
    bump: str | None,
    labels: Sequence[str],
    metrics: Sequence[str],
    params: Sequence[str],
    metrics_file: str | None,
    params_file: str | None,
    inputs: Sequence[str],
    spec_file: str | None,
    source: str | None,
    command_line: str | None,
    message: str | None,
    branch: str | None,
    offline: bool,
    push: bool,
    follow_links: bool,
    reference: bool,
    hash: bool,  # noqa: A002, the flag's own name
    sql: str | None,
    connection: str | None,
    dry_run: bool,
) -> None:
    """Make files the next version of an asset.

    The bytes go to the store, a pointer to git, in one commit. Equal contents and fields: nothing changes.
    """
    result = session.registry().register(
        asset,
        *paths,
        version=version,
        bump=bump,
        labels=fields.texts("--label", labels),
        metrics=fields.values("--metric", metrics, Path(metrics_file) if metrics_file else None),
        params=fields.values("--param", params, Path(params_file) if params_file else None),
        inputs=inputs,
        spec=fields.mapping(Path(spec_file)) if spec_file else None,
        source=source,
        command=command_line,
        message=message,
        branch=branch,
        offline=offline,
        push=push,
        follow_links=follow_links,
        reference=reference,
        hash=hash,
        sql=sql,
        connection=connection,
        dry_run=dry_run,
    )
    for warning in result.warnings:
        session.warn(warning)
    session.finish(result, render.registered, refs=[result.ref], dry_run=dry_run)
