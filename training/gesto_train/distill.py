"""Learning from a larger network's outputs beside the labels (Hinton et al., arXiv:1503.02531).

Both networks have the same anchor points, so the student copies the teacher point by point: class probabilities everywhere; boxes
and keypoints where the teacher is sure of something. The teacher also knows people whom nobody labelled.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .boxes import decode_boxes, decode_keypoints
from .losses import keypoint_loss
from .schema import AREA_PER_BOX, DFL_BINS

# Where the teacher's best class is less likely, its box and keypoints mean nothing.
LEAST = 0.05


@dataclass(frozen=True)
class DistillOptions:
    """Factors of the terms, the same for both heads."""

    weights: str = ""  # exported file or checkpoint of the teacher; empty: labels alone
    cls: float = 1.0
    dfl: float = 1.5
    keypoint: float = 10.0


def distill_terms(
    student: tuple[Tensor, ...], teacher: tuple[Tensor, ...], points: Tensor, strides: Tensor, sigma: Tensor, reach: float
) -> list[Tensor]:
    """Unweighted terms `cls, dfl[, keypoint]` of one head, from raw outputs as `Head` gives them."""
    wanted = teacher[1].float().sigmoid()
    sure = wanted.amax(-1)
    sure = torch.where(sure >= LEAST, sure, 0.0)
    norm = sure.sum().clamp(min=1.0)
    # The entropy of the teacher is taken off, so that a perfect copy costs nothing.
    logits = student[1].float()
    entropy = F.binary_cross_entropy(wanted, wanted, reduction="none")
    terms = [(F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") - entropy).sum() / norm]

    mine, theirs = (raw[0].float().unflatten(-1, (4, DFL_BINS)).log_softmax(-1) for raw in (student, teacher))
    divergence = (theirs.exp() * (theirs - mine)).sum(-1).mean(-1)
    terms.append((divergence * sure).sum() / norm)

    if len(teacher) > 2:
        box = decode_boxes(teacher[0], points, strides)
        area = (box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1).clamp(min=64.0) * AREA_PER_BOX
        goal, seen = decode_keypoints(teacher[2], points, strides)
        xy, _ = decode_keypoints(student[2], points, strides)
        exponent = (xy - goal).square().sum(-1) / (2 * area[..., None] * (2 * sigma).square())
        # Joints that the teacher takes for hidden count half: it still has an idea of their place.
        weight = sure[..., None] * (0.5 + 0.5 * seen.sigmoid())
        terms.append((keypoint_loss(exponent, reach) * weight).sum() / weight.sum().clamp(min=1.0))
    return terms
