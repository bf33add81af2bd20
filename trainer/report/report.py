"""`trainer report`: the page of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from corpus.page.figures import duration, number, percent
from corpus.page.parts import Facts, Page
from corpus.version import __version__
from trainer.report.curves import loss_section, noise_section, optimizer_section, speed_section, validation_section
from trainer.report.story import samples_section, settings_section, spikes_section, story_section
from trainer.report.trained import TrainedRun
from trainer.run.sampling import SamplingConfig

FOOT = f"corpusmill {__version__}. This page needs nothing else: it holds its charts and data, and asks no server."


def report_page(
    run: TrainedRun, prompts: Sequence[str], sampling: SamplingConfig, say: Callable[[str], None], refresh: int = 0
) -> Page:
    """All of it, as it stands; with `refresh` browsers read the page again after so many seconds."""
    sections = [
        loss_section(run),
        validation_section(run),
        optimizer_section(run),
        speed_section(run),
        noise_section(run),
        spikes_section(run),
        samples_section(run, prompts, sampling, say),
        story_section(run),
        settings_section(run),
    ]
    first = run.history.first
    state = "is done" if run.finished else "goes on, or was stopped"
    lead = f"{first.name}, seed {first.training.seed}: step {run.step:,} of {run.steps:,}; the run {state}."
    found = [section for section in sections if section is not None]
    return Page(f"Training report: {run.name}", lead, facts(run), found, FOOT, refresh)


def facts(run: TrainedRun) -> Facts:
    """The figures that one asks for first."""
    entries = [("of the steps", percent(run.step / max(1, run.steps)))]
    if run.train:
        entries.append(("tokens", number(run.train[-1]["tokens"])))
    if run.last_loss is not None:
        entries.append(("loss, last ten steps", f"{run.last_loss:.4f}"))
    if run.validation:
        last = run.validation[-1]
        entries.append(("validation perplexity", number(last["perplexity"])))
        if last.get("bits_per_byte") is not None:
            entries.append(("validation bits per byte", f"{last['bits_per_byte']:.4f}"))
    if run.speeds:
        entries.append(("tokens per second", number(round(run.speeds[-1][1]))))
        entries.append(("time of its steps", duration(run.seconds)))
    if mfu := run.values("mfu"):
        entries.append(("MFU", percent(mfu[-1][1])))
    if run.skip_log.entries:
        entries.append(("spikes", f"{len(run.skip_log.entries)}"))
    return Facts(entries)
