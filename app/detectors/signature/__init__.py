"""Error signatures of a ticket: codes from prose, exceptions from traces, error lines from logs."""

from app.detectors.signature.extract import error_lines, frames, signatures

__all__ = ["error_lines", "frames", "signatures"]
