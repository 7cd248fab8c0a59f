"""What the metrics of this process have gained; tests share them."""

from __future__ import annotations

from prometheus_client import REGISTRY


class MetricChanges:
    """The samples since this object was made."""

    def __init__(self) -> None:
        self._before = _samples()

    def of(self, name: str, *labels: str) -> float:
        """Return by how much a sample has grown; its labels in their order."""
        key = (name, labels)
        return _samples().get(key, 0.0) - self._before.get(key, 0.0)


def _samples() -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
    }
