"""A made-up support queue with known problems planted in it: same seed and end, same bytes."""

from app.sample.queue import Sample, generate
from app.sample.write import write

__all__ = ["Sample", "generate", "write"]
