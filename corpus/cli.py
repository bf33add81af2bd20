"""The `corpus` command. Its sub-commands are imported when they run, so that `corpus --help` is immediate."""

from __future__ import annotations

import importlib
import signal
import sys
from types import FrameType

import click

from corpus.cli_options import Group
from corpus.errors import Terminated
from corpus.version import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "download": ("corpus.commands.download:download", "Fetch raw dumps from where they are published."),
    "ingest": ("corpus.commands.ingest:ingest", "Read raw dumps of one domain into documents."),
    "dedup": ("corpus.commands.stages:dedup", "Remove repeated lines, documents, books or near-duplicates."),
    "dedup-keys": ("corpus.commands.stages:dedup_keys", "Keep keys of documents for dedup --against."),
    "langid": ("corpus.commands.stages:langid", "Identify languages and keep the wanted ones."),
    "filter": ("corpus.commands.stages:filter_", "Drop documents of low quality by named rules."),
    "map": ("corpus.commands.plugins:map_", "Run one document map, of a plug-in or built in."),
    "decontaminate": (
        "corpus.commands.decontaminate:decontaminate",
        "Take the texts of evaluation sets out of documents.",
    ),
    "split": ("corpus.commands.stages:split", "Split validation documents off."),
    "train-tokenizer": ("corpus.commands.stages:train_tokenizer", "Train a SentencePiece tokenizer."),
    "train-lm": ("corpus.commands.lm:train_lm", "Train a language model by which documents are judged."),
    "lm-cutoffs": ("corpus.commands.lm:lm_cutoffs", "Measure at which perplexities documents are parted."),
    "export-tokenizer": ("corpus.commands.stages:export_tokenizer", "Write tokenizer.json for Hugging Face."),
    "tokenize": ("corpus.commands.stages:tokenize", "Turn documents into token ids."),
    "references": ("corpus.commands.references:references", "List the links that Wikipedia's articles cite."),
    "train-classifier": (
        "corpus.commands.classifier:train_classifier",
        "Train a classifier by which documents are judged.",
    ),
    "mix": ("corpus.commands.mix:mix", "Mix domains by weights and pack training rows."),
    "run": ("corpus.commands.run:run", "Run a whole recipe, from raw dumps to packed rows."),
    "recipes": ("corpus.commands.recipes:recipes", "List the recipes that come with the package."),
    "init": ("corpus.commands.recipes:init", "Write a commented recipe to begin with."),
    "plan-cluster": ("corpus.commands.cluster:plan_cluster", "Say what a recipe takes on a cluster."),
    "remove": ("corpus.commands.remove:remove", "Remove records from a run's output for good."),
    "export": ("corpus.commands.export:export", "Write a packed or token set as files of other trainers."),
    "push": ("corpus.commands.transfer:push", "Copy finished datasets to an object store or the hub."),
    "pull": ("corpus.commands.transfer:pull", "Copy finished datasets from there, checked."),
    "trace": ("corpus.commands.trace:trace", "Show the documents of rows, and the rows of a document."),
    "verify": ("corpus.commands.verify:verify", "Check checksums, counts, ids and schema of datasets."),
    "inspect": ("corpus.commands.inspect:inspect", "Look at documents, and at what was dropped and why."),
    "explain": ("corpus.commands.explain:explain", "Say what became of a record at every stage of a run."),
    "index": ("corpus.commands.explain:index", "Index a run's URLs and lines for explain."),
    "stats": ("corpus.commands.stats:stats", "Show how columns are distributed and what each rule drops."),
    "report": ("corpus.commands.report:report", "Write a run as one HTML page, with charts and examples."),
    "compare": ("corpus.commands.report:compare", "Write two runs side by side as one HTML page."),
    "status": ("corpus.commands.status:status", "Say what is done below an output and what a rerun would do."),
    "cancel": ("corpus.commands.cancel:cancel", "End a run's jobs on Slurm."),
    "plugins": ("corpus.commands.plugins:plugins", "List readers, maps, rules, stages and model families."),
    "doctor": ("corpus.commands.doctor:doctor", "Look what this machine has, lacks, and how to mend it."),
    "completion": ("corpus.completion:CORPUS", "Print the script of shell completion."),
    "clean": ("corpus.commands.clean:clean", "Remove intermediate datasets of a finished run."),
}


class LazyGroup(Group):
    """A group whose commands are named in `COMMANDS` and imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        self.examples = importlib.import_module("corpus.examples").EXAMPLES
        return self.with_examples(command, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, doc) for name, (_, doc) in COMMANDS.items()])


EXIT_CODES = (
    "Exit codes: 0, finished within the alarms (what was set aside is said); 1, something is wrong with the data, the disk"
    " or a dataset, or an alarm was raised; 2, wrong arguments or settings; 130 and 143, stopped by Ctrl-C and SIGTERM:"
    " what is finished is kept."
)


@click.group(cls=LazyGroup, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="corpusmill")
def cli() -> None:
    """Prepare language-model pretraining data: raw dumps in, packed Arrow shards out."""


def main() -> None:
    """Entry point: errors of the user are one sentence; Ctrl-C and SIGTERM keep what is finished."""
    code = 0
    try:
        signal.signal(signal.SIGTERM, _terminate)
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except Terminated:
        code = _stopped("terminated", 143)
    except (KeyboardInterrupt, click.Abort):
        code = _stopped("interrupted", 130)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except UnicodeEncodeError as error:
        print(f"Error: {ascii(error.object)[:200]} is not valid Unicode: rename it.", file=sys.stderr)
        code = 2
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        print(f"Error: {place}{error.strerror or error}; fix that and run the same command again.", file=sys.stderr)
        code = 1
    sys.exit(code)


def _stopped(how: str, code: int) -> int:
    print(f"Error: {how}: what is finished is kept; run the same command again to go on.", file=sys.stderr)
    return code


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated
