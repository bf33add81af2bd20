"""The domains of a dataset, by its manifest: what a stage hands on from its inputs."""

from __future__ import annotations

from collections.abc import Iterable

from corpus.data.dataset import Dataset


def inherited_domains(datasets: Iterable[Dataset]) -> list[str]:
    """The domains that the manifests name, each once, in the order of the datasets."""
    return list(dict.fromkeys(domain for dataset in datasets for domain in dataset.manifest.extra.get("domains", [])))
