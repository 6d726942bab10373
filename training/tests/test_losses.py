import torch

from gesto_train.assigner import assign
from gesto_train.boxes import anchor_points, ciou, decode_boxes, decode_keypoints, iou
from gesto_train.distill import distill_terms
from gesto_train.losses import head_loss, keypoint_loss, laplace
from gesto_train.schema import DFL_BINS, HIDDEN, IGNORE, OCCLUDED, OKS_SIGMAS, SURE


def perfect_raw(boxes: torch.Tensor, size: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Raw box outputs that decode to `boxes` (one per anchor) as far as whole bins allow."""
    points, strides = anchor_points(size, size, "cpu")
    distances = torch.cat([points - boxes[:, :2], boxes[:, 2:] - points], -1) / strides
    raw = torch.full((len(points), 4, DFL_BINS), -20.0)
    low = distances.clamp(0, 14.99).floor().long()
    share = distances.clamp(0, 14.99) - low
    raw.scatter_(2, low[..., None], (1 - share).clamp(min=1e-9).log()[..., None])
    raw.scatter_(2, low[..., None] + 1, share.clamp(min=1e-9).log()[..., None])
    return raw.flatten(1)[None], points, strides


def test_anchor_points_cover_the_three_levels():
    points, strides = anchor_points(320, 224, "cpu")
    assert len(points) == 1470 and points[0].tolist() == [4, 4] and points[-1].tolist() == [208, 304]
    assert strides[[0, 1120, 1400], 0].tolist() == [8, 16, 32]


def test_decoding_inverts_the_distances():
    box = torch.tensor([10.0, 12, 50, 55])
    points, _ = anchor_points(64, 64, "cpu")
    inside = ((points > box[:2]) & (points < box[2:])).all(1)
    raw, points, strides = perfect_raw(box.expand(len(points), 4))
    assert torch.allclose(decode_boxes(raw, points, strides)[0, inside], box, atol=1e-3)
    xy, seen = decode_keypoints(torch.zeros(1, len(points), 51), points, strides)
    assert torch.allclose(xy[0, :, 0], points - strides / 2) and (seen == 0).all()


def test_overlaps():
    a, b = torch.tensor([0.0, 0, 10, 10]), torch.tensor([5.0, 0, 15, 10])
    assert torch.isclose(iou(a, b), torch.tensor(1 / 3))
    # Same shape: only the centre distance is taken off. 5^2 / (15^2 + 10^2).
    assert torch.isclose(ciou(a, b), torch.tensor(1 / 3 - 25 / 325), atol=1e-4)
    assert torch.isclose(ciou(a, a), torch.tensor(1.0), atol=1e-4)


def test_assigner():
    points, strides = anchor_points(64, 64, "cpu")
    boxes = torch.tensor([[[4.0, 4, 36, 36], [40, 40, 60, 60], [33, 1, 35, 3], [0, 40, 30, 64]]])
    state = torch.tensor([[SURE, SURE, SURE, IGNORE]])
    classes = torch.tensor([[0, 1, 1, 0]])
    predicted = torch.cat([points - 12, points + 12], -1)[None]
    scores = torch.full((1, len(points), 2), 0.1)
    found = assign(scores, predicted, points, boxes, classes, state)
    for g in range(3):
        mine = found.positive[0] & (found.target[0] == g)
        assert mine.any(), f"object {g} has an anchor, even the one smaller than a cell"
    assert not (found.positive[0] & (found.target[0] == 3)).any()
    assert (found.quality[0][found.positive[0]] > 0).all() and (found.quality[0][~found.positive[0]] == 0).all()
    centre = ((points - torch.tensor([12.0, 52.0])).square().sum(1) < 1).nonzero()[0, 0]
    assert found.ignored[0, centre]
    # A point inside two objects belongs to one of them only, so targets are unique by construction;
    # no object takes more than the ten best.
    assert all(((found.target[0] == g) & found.positive[0]).sum() <= 10 for g in range(3))


def test_losses_vanish_for_a_perfect_answer_and_not_for_a_bad_one():
    box = torch.tensor([8.0, 8, 56, 56])
    raw, points, strides = perfect_raw(box.expand(84, 4))
    boxes, state, classes = box.view(1, 1, 4), torch.tensor([[SURE]]), torch.zeros(1, 1, dtype=torch.long)
    truth = torch.cat([torch.rand(1, 1, 17, 2) * 40 + 10, torch.full((1, 1, 17, 1), 2.0)], -1)
    exact = (truth[0, 0, :, :2] - (points - strides / 2)[:, None]) / (2 * strides[:, None])
    keypoints = torch.cat([exact, torch.full((84, 17, 1), 9.0)], -1).flatten(1)[None]
    cls = torch.zeros(1, 84, 1)
    good = head_loss((raw, cls, keypoints), points, strides, boxes, classes, state, truth)
    bad = head_loss((raw * 0, cls, keypoints + 1), points, strides, boxes, classes, state, truth)
    assert good[1] < 0.02 and good[3] < 1e-3 and good[4] < 1e-3
    assert bad[1] > 0.2 and bad[3] > 0.3


def test_an_occluded_keypoint_is_placed_but_not_seen():
    points, strides = anchor_points(64, 64, "cpu")
    boxes, classes = torch.tensor([[[8.0, 8, 56, 56]]]), torch.zeros(1, 1, dtype=torch.long)
    slopes = {}
    for state in (HIDDEN, OCCLUDED):
        keypoints = torch.zeros(1, 84, 51, requires_grad=True)
        truth = torch.cat([torch.full((1, 1, 17, 2), 32.0), torch.full((1, 1, 17, 1), float(state))], -1)
        raw = (torch.zeros(1, 84, 64), torch.zeros(1, 84, 1), keypoints)
        head_loss(raw, points, strides, boxes, classes, torch.tensor([[SURE]]), truth)[3:].sum().backward()
        slopes[state] = keypoints.grad.view(84, 17, 3)
    assert slopes[HIDDEN][..., :2].abs().max() == 0 and slopes[OCCLUDED][..., :2].abs().max() > 0
    assert torch.equal(slopes[HIDDEN][..., 2], slopes[OCCLUDED][..., 2]) and slopes[HIDDEN][..., 2].max() > 0


def test_unknown_keypoints_and_empty_pictures_give_no_gradient():
    points, strides = anchor_points(64, 64, "cpu")
    keypoints = torch.zeros(1, 84, 51, requires_grad=True)
    raw = torch.zeros(1, 84, 64, requires_grad=True)
    cls = torch.zeros(1, 84, 1, requires_grad=True)
    boxes, classes = torch.tensor([[[8.0, 8, 56, 56]]]), torch.zeros(1, 1, dtype=torch.long)
    truth = torch.full((1, 1, 17, 3), -1.0)
    head_loss((raw, cls, keypoints), points, strides, boxes, classes, torch.tensor([[SURE]]), truth)[3:].sum().backward()
    assert keypoints.grad.abs().max() == 0
    empty = head_loss((raw, cls, keypoints), points, strides, boxes, classes, torch.tensor([[0]]), truth)
    assert empty.isfinite().all() and empty[1:].abs().max() == 0 and empty[0] > 0


def test_no_class_loss_inside_an_ignored_box():
    points, strides = anchor_points(64, 64, "cpu")
    cls = torch.zeros(1, 84, 19, requires_grad=True)
    raw = torch.zeros(1, 84, 64)
    boxes, classes = torch.tensor([[[0.0, 0, 64, 64]]]), torch.zeros(1, 1, dtype=torch.long)
    head_loss((raw, cls), points, strides, boxes, classes, torch.tensor([[IGNORE]]))[0].backward()
    assert cls.grad.abs().max() == 0


def test_reach_gives_far_keypoints_a_slope():
    near = torch.tensor([0.0])
    assert keypoint_loss(near, 2.5).item() == 0
    exponent = torch.tensor([12.0], requires_grad=True)
    slopes = [torch.autograd.grad(keypoint_loss(exponent, reach).sum(), exponent)[0].item() for reach in (1.0, 2.5)]
    assert slopes[0] < 1e-5 and slopes[1] > 1e-2


def test_the_likelihood_is_highest_at_the_scale_of_the_errors():
    offset = torch.distributions.Laplace(0.0, 3.0).sample((20_000, 2)) * 2.0
    scales = torch.linspace(-1, 3, 81)
    loss = torch.stack([laplace(offset, torch.tensor(2.0), s).mean() for s in scales])
    assert abs(scales[loss.argmin()].exp() - 3.0) < 0.3
    near, far = (torch.full((1, 2), d, requires_grad=True) for d in (0.1, 50.0))
    (laplace(near, torch.tensor(1.0), torch.tensor(0.0)) + laplace(far, torch.tensor(1.0), torch.tensor(0.0))).sum().backward()
    assert torch.equal(near.grad, far.grad), "a keypoint far off is drawn as strongly as a near one"


def test_a_copy_of_the_teacher_costs_nothing_and_learning_leads_to_one():
    points, strides = anchor_points(64, 64, "cpu")
    sigma = torch.tensor(OKS_SIGMAS)
    torch.manual_seed(3)
    teacher = tuple(torch.randn(2, len(points), n) for n in (64, 1, 51))
    for terms in (distill_terms(teacher, teacher, points, strides, sigma, 2.5), distill_terms(teacher[:2], teacher[:2], points, strides, sigma, 1.0)):
        assert len(terms) in (2, 3) and all(abs(t) < 1e-5 for t in terms)
    student = tuple(torch.randn_like(t).requires_grad_() for t in teacher)
    optimizer = torch.optim.Adam(student, lr=0.1)
    history = []
    for _ in range(60):
        terms = distill_terms(student, teacher, points, strides, sigma, 2.5)
        history.append([t.item() for t in terms])
        optimizer.zero_grad()
        sum(terms).backward()
        optimizer.step()
    assert all(last < 0.5 * first for first, last in zip(history[0], history[-1])), (history[0], history[-1])
    # Where the teacher sees nothing, only classes are copied.
    nothing = (teacher[0], torch.full_like(teacher[1], -9.0), teacher[2])
    assert all(t == 0 for t in distill_terms(student, nothing, points, strides, sigma, 1.0)[1:])
