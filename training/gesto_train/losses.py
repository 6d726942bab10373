"""Losses of one head over a batch.

Class: binary cross-entropy with the task-aligned quality as target (or varifocal, arXiv:2008.13367);
box: complete IoU and distribution focal loss (arXiv:2006.04388);
keypoints: 1 - OKS as in YOLO-Pose (arXiv:2204.06806), the likelihood under a Laplace distribution whose scale the network
predicts while it is trained (arXiv:1703.04977, arXiv:2107.11291), and cross-entropy of visibility.
Everything is dense over the anchor points and weighted, so shapes never depend on the data.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .assigner import assign
from .boxes import ciou, decode_boxes, decode_keypoints
from .schema import AREA_PER_BOX, DFL_BINS, OCCLUDED, OKS_SIGMAS, VISIBLE


@dataclass(frozen=True)
class LossWeights:
    """Factors of the terms of one head."""

    cls: float = 0.5
    box: float = 7.5
    dfl: float = 1.5
    keypoint: float = 12.0
    visibility: float = 1.0
    likelihood: float = 0.0  # see `laplace`
    reach: float = 1.0  # see `keypoint_loss`


@dataclass(frozen=True)
class ClassLoss:
    """How the class targets are formed."""

    kind: str = "bce"
    gamma: float = 1.5
    smoothing: float = 0.0


def keypoint_loss(exponent: Tensor, reach: float) -> Tensor:
    """1 - OKS per keypoint, from OKS's exponent. OKS is flat far from the goal: with `reach` above 1 half of the loss has
    deviations `reach` times as wide, so that a keypoint of a small person, which is soon far off, still has a slope."""
    loss = 1 - torch.exp(-exponent)
    if reach == 1:
        return loss
    return 0.5 * (loss + 1 - torch.exp(-exponent / reach**2))


def laplace(offset: Tensor, deviation: Tensor, log_scale: Tensor) -> Tensor:
    """Negative log-likelihood of a keypoint, up to a constant: `offset` (`... x 2`) in OKS deviations against a Laplace
    distribution. Unlike 1 - OKS it has the same slope at any distance, and joints that nobody could place get a wide
    scale and thereby little weight."""
    log_scale = 4 * torch.tanh(log_scale / 4)
    return (offset.abs().sum(-1) / deviation) * torch.exp(-log_scale) + 2 * log_scale


def _class_loss(logits: Tensor, target: Tensor, positive: Tensor, options: ClassLoss) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if options.kind == "varifocal":
        # Easy background counts less; positives count by their quality.
        probability = logits.detach().sigmoid()
        loss = loss * torch.where(positive[..., None] & (target > 0), 1.0, probability.pow(options.gamma))
    return loss


def head_loss(
    raw: tuple[Tensor, ...],
    points: Tensor,
    strides: Tensor,
    boxes: Tensor,
    classes: Tensor,
    state: Tensor,
    keypoints: Tensor | None = None,
    class_mix: Tensor | None = None,
    sigma: Tensor | None = None,
    options: ClassLoss = ClassLoss(),
    reach: float = 1.0,
) -> Tensor:
    """Unweighted terms `cls, box, dfl[, keypoint, visibility, likelihood]` stacked in one vector.

    boxes: `batch x objects x 4`; classes, state: `batch x objects`; keypoints: `batch x objects x 17 x 3`.
    class_mix: `batch x objects x classes`, a soft label per object in place of the hard class.
    sigma: the OKS deviations on the right device, to save making them anew.
    """
    raw_box, raw_class = raw[0], raw[1].float()
    predicted = decode_boxes(raw_box, points, strides)
    found = assign(raw_class.detach().sigmoid(), predicted.detach(), points, boxes, classes, state)
    quality = found.quality
    norm = quality.sum().clamp(min=1.0)

    def of_object(values: Tensor) -> Tensor:
        index = found.target[..., None].expand(-1, -1, values.shape[-1])
        return values.gather(1, index)

    if class_mix is None:
        class_mix = F.one_hot(classes, raw_class.shape[-1]).float()
    mix = class_mix * (1 - options.smoothing)
    target = of_object(mix) * quality[..., None]
    counted = (~found.ignored)[..., None]
    terms = [(_class_loss(raw_class, target, found.positive, options) * counted).sum() / norm]

    goal = of_object(boxes)
    terms.append(((1 - ciou(predicted, goal)) * quality).sum() / norm)

    # Distances in strides, spread over the two bins on either side.
    wanted = torch.cat([points - goal[..., :2], goal[..., 2:] - points], -1) / strides
    wanted = wanted.clamp(0, DFL_BINS - 1.01)
    left = wanted.long()
    share = wanted - left
    logp = raw_box.float().unflatten(-1, (4, DFL_BINS)).log_softmax(-1)
    at_left = logp.gather(-1, left[..., None])[..., 0]
    at_right = logp.gather(-1, left[..., None] + 1)[..., 0]
    dfl = -(at_left * (1 - share) + at_right * share).mean(-1)
    terms.append((dfl * quality).sum() / norm)

    if keypoints is not None:
        truth = of_object(keypoints.flatten(2)).unflatten(-1, (len(OKS_SIGMAS), 3))
        xy, seen = decode_keypoints(raw[2], points, strides)
        area = ((goal[..., 2] - goal[..., 0]) * (goal[..., 3] - goal[..., 1])).clamp(min=64.0) * AREA_PER_BOX
        if sigma is None:
            sigma = xy.new_tensor(OKS_SIGMAS)
        distance = (xy - truth[..., :2]).square().sum(-1)
        exponent = distance / (2 * area[..., None] * (2 * sigma).square())
        placed = (truth[..., 2] >= OCCLUDED) & found.positive[..., None]
        count = placed.sum(-1)

        def per_person(loss: Tensor) -> Tensor:
            return ((loss * placed).sum(-1) / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)

        terms.append(per_person(keypoint_loss(exponent, reach)))
        known = (truth[..., 2] >= 0) & found.positive[..., None]
        seen_loss = F.binary_cross_entropy_with_logits(seen, (truth[..., 2] == VISIBLE).float(), reduction="none")
        terms.append((seen_loss * known).sum() / known.sum().clamp(min=1))
        if len(raw) > 3:
            deviation = area.sqrt()[..., None] * 2 * sigma
            terms.append(per_person(laplace(xy - truth[..., :2], deviation, raw[3].float())))
    return torch.stack(terms)
