"""What a run did: a verdict for each input file, messages, outputs, and the worst of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

OK, FAILED, QC_FAILED, UNJUDGED = "ok", "failed", "quality control failed", "not evaluable"


@dataclass(frozen=True)
class FileVerdict:
    """What became of one input file."""

    file: str
    sha256: str
    kind: str
    verdict: str
    message: str = ""


@dataclass
class StudyRun:
    """What a run did.

    Attributes
    ----------
    out : folder of the results
    verdicts : one for each input file
    messages : everything a person should read, in order
    outputs : files written, by what they are
    status : "ok", "failed" (some input failed) or "quality control failed" (and nothing else did; a plate
        whose curve cannot be judged counts here)
    """

    out: Path
    verdicts: list[FileVerdict] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    outputs: dict[str, Path] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The worst that happened."""
        found = {verdict.verdict for verdict in self.verdicts}
        if FAILED in found:
            return FAILED
        return QC_FAILED if found & {QC_FAILED, UNJUDGED} else OK
