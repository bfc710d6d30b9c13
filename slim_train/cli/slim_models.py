"""List the nets, show one, fetch released weights: the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console

from slim_train.cli.command import Command
from slim_train.config import Options, option
from slim_train.errors import UsageError
from slim_train.progress import ProgressBars
from slim_train.recipes import read_recipe, recipe_names
from slim_train.training_options import NetCodeOptions

_PLAIN_WIDTH = 120


@dataclass(frozen=True)
class ListOptions(Options):
    """Nets to list: all, those with a word in their name, or those that match a pattern such as 'resnet_v?_50'."""

    image_size: int | None = option(
        None,
        "Image height and width in pixels at which to count GFLOPs; takes seconds per net. Default: that of each net.",
        at_least=1,
    )
    json: bool = option(False, "Print JSON: a list of nets with all that is known about them.")


@dataclass(frozen=True)
class RecipeOptions(Options):
    """Recipes."""

    recipes: bool = option(False, "List the recipes that --config of the other commands takes by name.")


@dataclass(frozen=True)
class DownloadOptions(Options):
    """Released weights."""

    download: bool = option(
        False,
        "Download and unpack the ImageNet weights of the named nets, and print the value for "
        "--checkpoint_path. An interrupted download is continued.",
    )
    checkpoint_dir: str = option("checkpoints", "Folder for the weights, with one folder per net.")


@dataclass(frozen=True)
class ModelsOptions(Options):
    """Everything that slim_models can be told."""

    listing: ListOptions = field(default_factory=ListOptions)
    recipes: RecipeOptions = field(default_factory=RecipeOptions)
    code: NetCodeOptions = field(default_factory=NetCodeOptions)
    released: DownloadOptions = field(default_factory=DownloadOptions)


def _run(options: ModelsOptions, names: Sequence[str]) -> None:
    if options.recipes.recipes:
        _list_recipes(names, options.listing.json)
    elif options.released.download:
        _download(names, options.released.checkpoint_dir, options.listing.json)
    else:
        _list(names, options.listing, options.code)


def _list(names: Sequence[str], options: ListOptions, code: NetCodeOptions) -> None:
    from slim_train.user_code.load import load_nets
    from slim_train.zoo import listing

    nets = load_nets(code, names, options.image_size)
    found = sorted(set(names)) if nets else listing.find(names)
    entries = listing.entries(nets or found, options.image_size)
    if options.json:
        print(json.dumps([entry.as_json() for entry in entries], indent=2))
    elif found == sorted(set(names)):
        print("\n\n".join(map(listing.detail, entries)))
    else:
        console = Console()
        console = console if console.is_terminal else Console(width=_PLAIN_WIDTH)
        console.print(listing.table(entries))
        console.print(f"\n{listing.NOTE}", highlight=False)


def _list_recipes(names: Sequence[str], as_json: bool) -> None:
    found = [read_recipe(name) for name in names or recipe_names()]
    if as_json:
        print(json.dumps([{"name": entry.name, "path": str(entry.path), "summary": entry.summary} for entry in found]))
        return
    for entry in found:
        print(f"{entry.name}\n  {entry.summary}")
        if names:
            print("\n".join(f"  {line}".rstrip() for line in entry.usage))
            print(f"\n{entry.path}")


def _download(names: Sequence[str], checkpoint_dir: str, as_json: bool) -> None:
    from slim_train.zoo.released_weights import download_checkpoints

    if not names:
        raise UsageError("--download needs the names of nets, such as resnet_v2_101; slim_models lists them.")
    with ProgressBars() as progress:
        paths = download_checkpoints(names, checkpoint_dir, progress.update)
    if as_json:
        print(json.dumps([{"name": name, "checkpoint_path": path} for name, path in paths.items()], indent=2))
    else:
        print("\n".join(paths.values()))


COMMAND = Command(
    name="slim_models",
    summary="List the nets: image size, parameters, GFLOPs (one image; a multiplication and the addition that follows "
    "are two operations), ImageNet top-1 accuracy of the released weights. The full name of a net shows all of it.",
    defaults=ModelsOptions(),
    run=_run,
    needs_keras=False,
    words="[NAME ...]",
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
