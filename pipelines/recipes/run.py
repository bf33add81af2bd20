"""`corpus run`: a recipe as a chain of stages, each resumable by itself, with one pool of workers."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from corpus.data.card import write_domains_card
from corpus.data.dataset import Dataset, is_cleaned
from corpus.data.files import digest_of, write_atomic
from corpus.data.manifest import MANIFEST, Manifest, differences
from corpus.data.verify import PLAN, read_plan
from corpus.engine.lock import locked
from corpus.engine.pace import RunPace
from corpus.engine.progress import Progress
from corpus.engine.publish import NothingLeftError
from corpus.engine.runner import (
    RunOptions,
    clear_dataset,
    disk_error,
    mismatch_of,
    open_executor,
    outdated,
    run_stage,
    up_to_date,
)
from corpus.engine.stage import Stage
from corpus.errors import DataError, LostError, UsageError
from corpus.ingest.files import find_files
from corpus.ingest.identity import raw_state
from corpus.ingest.stage import IngestStage
from corpus.option import nearest
from corpus.plugins import loaded_plugins
from pipelines.recipes.estimate import expected_seconds
from pipelines.recipes.graph import INGEST, SIDES
from pipelines.recipes.growth import check_growth, list_raw, save_listing
from pipelines.recipes.recipe import Recipe, lost_models, make_reader
from pipelines.recipes.steps import RecipeRun, Step

_FINISHED = "run.json"
"""The file of `_log/` that says from what a finished run was made."""
_FAILED = "failed"
"""The file of `_log/` that has the error with which a run ended."""


def run_recipe(run: RecipeRun, options: RunOptions, ingests_only: bool = False) -> None:
    """Run all stages, or those that read raw files alone; the same command goes on after a kill and does nothing when
    all is done.

    Another recipe than that of an existing output is a UsageError, unless `options.overwrite`: then the stages that
    changed are redone, and those that the new recipe does not have are removed.
    """
    try:
        check_run(run)
        run.output.mkdir(parents=True, exist_ok=True)
        with locked(run.output, lambda line: print(line, file=sys.stderr)):
            run = dataclasses.replace(run, left=_left(run))
            while True:
                try:
                    _run_locked(run, list(run.steps()), options, ingests_only)
                    return
                except _EmptiedError as emptied:
                    _say(options, f"{emptied.domain}: a removal leaves no document of it, so it leaves the run")
                    run = dataclasses.replace(run, left=(*run.left, emptied.domain))
                    if not run.used():
                        raise DataError(
                            f"a removal leaves {run.output} no document at all: name fewer records, or remove the folder."
                        ) from None
    except OSError as error:
        raise disk_error(run.output, error) from error


def check_run(run: RecipeRun) -> None:
    """A UsageError for what is wrong with the steps or the output; nothing is written."""
    list(run.steps())
    _check_output(run)


def is_finished(run: RecipeRun, options: RunOptions) -> bool:
    """Whether the same command would find nothing to do."""
    run = dataclasses.replace(run, left=_left(run))
    return not run.retrain and _done(run, list(run.steps()), _run_key(run), thorough=options.overwrite)


def _run_locked(run: RecipeRun, steps: list[Step], options: RunOptions, ingests_only: bool) -> None:
    key = _run_key(run)
    if not run.retrain and _done(run, steps, key, thorough=options.overwrite):
        _say(options, f"{run.output} is finished: nothing to do")
        return
    _check_recipe(run, steps, options)
    _check_models(run, steps)
    patterns = run.patterns()
    listing = list_raw(run.raw, patterns, run.folders())
    for change in check_growth(run.output, run.raw, listing, options.overwrite):
        _say(options, f"{change}: what depends on them is done again")
    for name in (_FINISHED, _FAILED):
        (run.output / "_log" / name).unlink(missing_ok=True)
    write_atomic(run.output / "recipe.yaml", _resolved(run.recipe))
    if not ingests_only:  # who wants that may still look at what there was
        _remove_former(run, {step.output for step in steps})
        plan = {"outputs": [step.output for step in steps], "kept": [step.output for step in steps if step.kept]}
        write_atomic(run.output / PLAN, json.dumps(plan, indent=1) + "\n")
    for key in options.stages:
        domain, slash, _ = key.rpartition("/")
        if slash and domain not in run.used():
            _say(
                options,
                f"the execution file names {key}, and this run has no domain '{domain}': {nearest(domain, run.used())}",
            )
    for line in lost_models(run.recipe, run.used()):
        _say(options, line)
    wanted = [step for step in steps if not ingests_only or step.output.endswith(f"/00-{INGEST}")]
    progress = Progress(options.quiet, RunPace(expected_seconds(run, wanted)))
    executor = options.running or open_executor(options)
    try:
        options = dataclasses.replace(options, running=executor, progress=progress)
        chain = _Chain(run, {run.output / step.output: step for step in steps}, options)
        with progress:
            for number, step in enumerate(wanted, 1):
                progress.begin(step.output, number)
                chain.run_step(step)
    except LostError:
        raise
    except (DataError, UsageError) as error:
        write_atomic(run.output / "_log" / _FAILED, error.message + "\n")
        raise
    finally:
        if executor is not options.running:
            executor.close()
    if ingests_only:
        return
    domains = run.used()
    write_domains_card(
        run.output / "documents", {domain: {side: _folder(run, domain, side) for side in SIDES} for domain in domains}
    )
    save_listing(run.output, run.raw, patterns, listing, run.folders())
    write_atomic(run.output / "_log" / _FINISHED, json.dumps({"key": key, "left": run.left}) + "\n")


def _folder(run: RecipeRun, domain: str, side: str) -> str:
    return run.side(domain, side).relative_to(run.output / "documents").as_posix()


def _check_models(run: RecipeRun, steps: list[Step]) -> None:
    known = [step.model for step in steps if step.model]
    for name in run.retrain:
        if name not in known:
            raise UsageError(f"--retrain {name}: the recipe trains no such model; {nearest(name, known)}")


def _check_recipe(run: RecipeRun, steps: list[Step], options: RunOptions) -> None:
    """Refuse a recipe that differs from the one this output was begun with. After a run that failed another one is
    taken, as long as no finished dataset has to go or was made with other settings."""
    path = run.output / "recipe.yaml"
    if not path.exists() or options.overwrite:
        return
    changed = differences(yaml.safe_load(path.read_text(encoding="utf-8")), run.recipe.resolved())
    if not changed:
        return
    known = {step.output for step in steps}
    lost = [name for name in _former(run) if name not in known and (run.output / name / MANIFEST).exists()]
    if lost or not (run.output / "_log" / _FAILED).exists():
        raise UsageError(f"{run.output} was made with another recipe ({'; '.join(changed[:3])}): give --overwrite.")
    for step in steps:
        output = run.output / step.output
        if (output / MANIFEST).exists() and outdated(stage := step.make(), output) == "settings":
            raise UsageError(mismatch_of(stage, output))


def _remove_former(run: RecipeRun, outputs: set[str]) -> None:
    """Remove the datasets of a former recipe that this one does not have."""
    for name in _former(run):
        if name not in outputs and (run.output / name).is_dir():
            clear_dataset(run.output / name)
            shutil.rmtree(run.output / name)


def _former(run: RecipeRun) -> list[str]:
    """The outputs of the run that was started here before."""
    return read_plan(run.output)["outputs"] if (run.output / PLAN).exists() else []


class _EmptiedError(Exception):
    """A removal has left no document of a domain."""

    def __init__(self, domain: str) -> None:
        super().__init__(domain)
        self.domain = domain


@dataclass(frozen=True)
class _Chain:
    """The steps of a run by their outputs. A cleaned output stays as it is until a step that is to be done reads it."""

    run: RecipeRun
    steps: Mapping[Path, Step]
    options: RunOptions

    def run_step(self, step: Step, rows_needed: bool = False) -> None:
        """Run a step, or find it done; with `rows_needed` a cleaned one is made again."""
        stage, output = step.make(), self.run.output / step.output
        why = outdated(stage, output)
        if why in step.keeps_through and step.model not in self.run.retrain and not self.options.overwrite:
            said = f"{step.output} is kept, though its texts have changed; --retrain {step.model} trains it anew"
            _say(self.options, said)
            return
        done = not why and up_to_date(stage, output) and not (self.options.overwrite and Dataset.open(output).damaged())
        if done and _emptied(self.run, step, stage, output):
            raise _EmptiedError(step.domain)
        if done and is_cleaned(output) and not rows_needed:
            return
        if not done or is_cleaned(output):
            for path in stage.input_paths():
                if path in self.steps and is_cleaned(path):
                    self.run_step(self.steps[path], rows_needed=True)
        # of a recipe that is the same, what has come in may change every step
        anew = bool(why) or not (output / MANIFEST).exists()
        _run_step(self.run, step, dataclasses.replace(self.options, overwrite=True) if anew else self.options)


def _run_step(run: RecipeRun, step: Step, options: RunOptions) -> Manifest:
    stage = step.make()
    options = options.of_stage(stage.name, step.domain)
    output = run.output / step.output
    if isinstance(stage, IngestStage) and not (output / MANIFEST).exists():
        ignored = stage.raw().ignored
        if ignored and not options.quiet:
            some = ", ".join(ignored[:3]) + (", …" if len(ignored) > 3 else "")
            print(f"{stage.domain_name}: {len(ignored)} other files ignored ({some})", file=sys.stderr)
    alarms = options.alarms.over(run.recipe.alarms_of(step.domain))
    try:
        manifest = run_stage(stage, output, dataclasses.replace(options, alarms=alarms))
    except NothingLeftError:
        if step.domain in run.used() and run.removal.of_domain(step.domain):
            raise _EmptiedError(step.domain) from None
        raise
    if _emptied(run, step, stage, output):
        raise _EmptiedError(step.domain)
    return manifest


def _emptied(run: RecipeRun, step: Step, stage: Stage, output: Path) -> bool:
    """Whether a removal has left nothing to read of a domain that the run is made of."""
    return isinstance(stage, IngestStage) and step.domain in run.used() and not Manifest.load(output).rows


def _left(run: RecipeRun) -> tuple[str, ...]:
    """The domains that a removal had emptied in a finished run from the same files; others are found out."""
    try:
        value = json.loads((run.output / "_log" / _FINISHED).read_text(encoding="utf-8"))
        return tuple(value["left"]) if value["key"] == _run_key(run) else ()
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged
        return ()


def _say(options: RunOptions, line: str) -> None:
    if not options.quiet:
        print(line, file=sys.stderr)


def _run_key(run: RecipeRun) -> str:
    """Recipe, raw files (name, size, time of change) and plug-ins: what a finished run was made from."""
    files = []
    for domain, patterns in run.domains().items():
        reader = make_reader(domain, run.recipe.domains[domain])
        for file in find_files((str(run.folder(domain)),), patterns or reader.patterns).files:
            files.append([domain, file.name, *raw_state(file.path)])
    plugins = sorted(plugin.digest for plugin in loaded_plugins())
    rest = {"plugins": plugins} if plugins else {}
    rest |= {"removal": [run.removal.digest]} if run.removal else {}
    return digest_of({"recipe": run.recipe.resolved(), "files": files} | rest)


def _done(run: RecipeRun, steps: list[Step], key: str, thorough: bool) -> bool:
    """Whether the run was finished with this recipe on these files, and all it keeps is still there; if `thorough`, whole."""
    try:
        if json.loads((run.output / "_log" / _FINISHED).read_text(encoding="utf-8"))["key"] != key:
            return False
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged: then every step is looked at
        return False
    try:
        for step in steps:
            if step.kept:
                Dataset.open(run.output / step.output).shard_paths()
        return not (thorough and any(Dataset.open(run.output / step.output).damaged() for step in steps))
    except DataError:
        return False


def _resolved(recipe: Recipe) -> str:
    value: str = yaml.safe_dump(recipe.resolved(), sort_keys=False, allow_unicode=True)
    return value


def _check_output(run: RecipeRun) -> None:
    output = run.output
    place, raw = output.resolve(), run.raw.resolve()
    if place == raw or place in raw.parents or raw in place.parents:
        raise UsageError(f"{output} is, holds or lies in the input {run.raw}: give another --output.")
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file: give a directory as --output.")
    if (output / MANIFEST).exists():
        raise UsageError(f"{output} is a dataset, not the output of a run: give another --output.")
    if output.is_dir():
        entries = {entry.name for entry in output.iterdir()} - {"_log"}
        if entries and not (output / "recipe.yaml").exists():
            raise UsageError(f"{output} is not empty and not the output of a run: give another --output.")
