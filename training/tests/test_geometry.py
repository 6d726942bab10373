import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from gesto_train.augment import AugmentOptions, paste_hands, paste_person, punch_hole, tiles, training_batch
from gesto_train.cutouts import load_cutouts
from gesto_train.dataset import load
from gesto_train.geometry import (
    GeometryOptions,
    compose,
    letterbox,
    map_keypoints,
    random_affine,
    sample_images,
    warp,
)
from gesto_train.photometric import PhotometricOptions, jpeg, photometric
from gesto_train.sampling import HandBank, Sampler, SamplingOptions, picture_weights
from gesto_train.schema import IGNORE, KEYPOINT_MIRROR, OCCLUDED, SURE

PLAIN = AugmentOptions(photometric=PhotometricOptions(clean=1.0), hole=0.0, max_hands=6, max_people=6)


@pytest.fixture
def data(made_up):
    return load([made_up / "images-0.tar"], made_up / "index.jsonl.gz", canvas=96)


def hand_extent(image: torch.Tensor) -> torch.Tensor:
    """Box of the strongly coloured pixels: the made-up hand."""
    rows, columns = torch.where(image.amax(0) - image.amin(0) > 0.4)
    return torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()


def test_letterbox_fits_and_centres():
    affine = letterbox(torch.tensor([[100.0, 50.0]]), 320, 224)
    corners = affine.apply(torch.tensor([[[0.0, 0.0], [100.0, 50.0]]]))[0]
    assert torch.allclose(corners, torch.tensor([[0.0, 104.0], [224.0, 216.0]]))


def test_labels_follow_the_pixels(data):
    index = torch.arange(12)
    options = GeometryOptions(degrees=0.0, aspect=0.1, scale=(0.8, 1.2))
    batch = warp(data, index, random_affine(data.size[index], 128, 96, options), 128, 96, options)
    checked = 0
    for image, hand in zip(batch.images, batch.hands[:, 0]):
        if hand[5] == SURE and hand[:2].min() > 0 and hand[2] < 96 and hand[3] < 128:
            assert (hand_extent(image) - hand[:4]).abs().max() < 1.6
            checked += 1
    assert checked >= 4


def test_mirroring_swaps_left_and_right():
    size = torch.tensor([[100.0, 100.0]])
    one, zero = torch.ones(1), torch.zeros(1)
    affine = compose(one, zero, one, torch.tensor([True]), size / 2, size / 2)
    keypoints = torch.cat([torch.rand(1, 1, 17, 2) * 100, torch.full((1, 1, 17, 1), 2.0)], -1)
    mirrored = map_keypoints(keypoints, affine, 100, 100)[0, 0]
    expected = keypoints[0, 0, list(KEYPOINT_MIRROR)]
    assert torch.allclose(mirrored[:, 0], 100 - expected[:, 0], atol=1e-4)
    assert torch.allclose(mirrored[:, 1], expected[:, 1], atol=1e-4)


def test_mosaic_labels_follow_the_pixels(data):
    options = AugmentOptions(geometry=GeometryOptions(degrees=0.0, aspect=0.0, scale=(0.9, 0.9), shift=0.0))
    batch = tiles(data, lambda n: torch.arange(n) % len(data), 4, 128, 96, 2, 2, options)
    assert batch.images.shape == (4, 3, 128, 96) and batch.hands.shape[1] == 40
    for image, hands in zip(batch.images, batch.hands):
        sure = hands[hands[:, 5] == SURE]
        assert len(sure) == 4
        for hand in sure:
            x0, y0, x1, y1 = (hand[:4] + torch.tensor([2, 2, -2, -2])).round().int().tolist()
            colours = image[:, y0:y1, x0:x1]
            assert (colours.amax(0) - colours.amin(0)).min() > 0.4


def test_fine_samples_average_what_single_ones_skip():
    # One white column in four, drawn at a quarter of the size: a quarter of the light, wherever the samples fall.
    pixels = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    pixels[:, :, 1::4] = 255
    size = torch.tensor([[64.0, 64.0]])
    affine = letterbox(size, 16, 16)
    single, _ = sample_images(pixels, size, affine, 16, 16)
    fine, inside = sample_images(pixels, size, affine, 16, 16, fine=4)
    assert torch.allclose(fine, torch.full_like(fine, 0.25), atol=0.01) and inside.all()
    assert (single - 0.25).abs().max() > 0.2


def test_many_and_far_pictures_are_small(data):
    options = AugmentOptions(
        stack=0, mosaic=0, paste=0, hole=0, far=0.5, many=0.5, far_scale=(0.3, 0.4), max_hands=12, max_people=12,
        photometric=PhotometricOptions(clean=1.0),
        geometry=GeometryOptions(scale=(0.9, 1.0), shift=0.0, keep_hand=0.0, keep_person=0.0, least_hand=1.0, least_person=1.0),
    )  # fmt: skip
    draw = Sampler(torch.arange(12).numpy(), picture_weights(data.records[:12], SamplingOptions()), "cpu")
    batch = training_batch(data, draw, None, 8, 128, 96, options)
    sure = batch.people[..., 4] == SURE
    assert sure[:4].sum(1).tolist() == [1] * 4 and (sure[4:].sum(1) >= 7).all()
    heights = (batch.people[..., 3] - batch.people[..., 1])[sure]
    # A made-up person is 0.9 of a picture 96 x 80 pixels large.
    assert heights.max() < 45
    wide = training_batch(data, draw, None, 8, 96, 128, options)
    assert wide.images.shape == (8, 3, 96, 128)


def test_pasted_hands_are_labelled_and_what_they_cover_is_not(data):
    train = data.where(lambda r: r["split"] == "train")
    bank = HandBank(data, train, SamplingOptions(paste_least_side=10.0), "cpu")
    index = torch.arange(16)
    options = GeometryOptions()
    batch = warp(data, index, letterbox(data.size[index], 128, 96), 128, 96, options)
    pasted = paste_hands(batch, data, bank, AugmentOptions(paste_side=(16.0, 40.0)))
    assert pasted.hands.shape[1] == batch.hands.shape[1] + 1
    assert (pasted.hands[:, 0, 5] == SURE).all()
    assert torch.allclose(pasted.hand_mix[:, 0].argmax(1).float(), pasted.hands[:, 0, 4])
    sides = (pasted.hands[:, 0, 2:4] - pasted.hands[:, 0, :2]).amax(1)
    assert sides.min() > 10 and sides.max() < 50
    assert (pasted.images != batch.images).flatten(1).any(1).all()
    assert (pasted.hands[:, 1, 5] != batch.hands[:, 0, 5]).any(), "some hand is covered"


@pytest.fixture
def cutouts(data, tmp_path):
    """The made-up people, cut out along their rectangles."""
    mask = np.zeros((80, 96), bool)
    mask[6:78, 6:80] = True
    encoded = io.BytesIO()
    Image.fromarray(mask).save(encoded, "PNG")
    with tarfile.open(tmp_path / "cutouts.tar", "w") as tar:
        for i in range(6):
            entry = tarfile.TarInfo(f"train{i:04d}.png")
            entry.size = len(encoded.getvalue())
            tar.addfile(entry, io.BytesIO(encoded.getvalue()))
    return load_cutouts([tmp_path / "cutouts.tar"], data, data.where(lambda r: r["split"] == "train"))


def test_pasted_people_bring_their_labels(data, cutouts):
    assert len(cutouts) == 6 and cutouts.people.size.amax() == 74
    index = torch.arange(16)
    batch = warp(data, index, letterbox(data.size[index], 128, 96), 128, 96, GeometryOptions())
    batch = batch._replace(images=torch.zeros_like(batch.images))
    pasted = paste_person(batch, cutouts, AugmentOptions(people_side=(30.0, 60.0)))
    inside = 0
    for image, hand, person, keypoints in zip(pasted.images, pasted.hands[:, 0], pasted.people[:, 0], pasted.keypoints[:, 0]):
        if person[4] != SURE:
            continue
        rows, columns = torch.where(image.sum(0) > 0.3)
        extent = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
        assert (extent - person[:4]).abs().max() < 6, "a turned rectangle's hull is larger than its label"
        seen = keypoints[keypoints[:, 2] == 2]
        assert (seen[:, :2] > extent[:2] - 3).all() and (seen[:, :2] < extent[2:] + 3).all()
        if hand[5] == SURE:
            assert (hand_extent(image) - hand[:4]).abs().max() < 4
            inside += 1
    assert inside > 3
    assert (pasted.keypoints[:, 1:, :, 2] == 2).sum() < (batch.keypoints[..., 2] == 2).sum(), "covered keypoints are hidden"


def test_no_masks_no_cutouts(data, tmp_path):
    with tarfile.open(tmp_path / "none.tar", "w"):
        pass
    assert load_cutouts([tmp_path / "none.tar"], data, data.where(lambda r: True)) is None


def test_holes_hide_keypoints(data):
    index = torch.arange(16)
    batch = warp(data, index, letterbox(data.size[index], 128, 96), 128, 96, GeometryOptions())
    holed = punch_hole(batch, 1.0)
    gone = (holed.keypoints[..., 2] != 2) & (batch.keypoints[..., 2] == 2)
    assert gone.any() and (holed.keypoints[..., 2][gone] == OCCLUDED).all(), "their places stay known"
    assert torch.equal(holed.keypoints[..., :2], batch.keypoints[..., :2])
    assert torch.equal(punch_hole(batch, 0.0).images, batch.images)


def test_training_batch_is_complete_and_finite(data, cutouts):
    train = data.where(lambda r: r["split"] == "train")
    draw = Sampler(train, picture_weights([data.records[i] for i in train], SamplingOptions()), "cpu")
    bank = HandBank(data, train, SamplingOptions(paste_least_side=10.0), "cpu")
    options = AugmentOptions(max_hands=6, max_people=6, hole=0.0, people=0.5)
    batch = training_batch(data, draw, bank, 20, 64, 96, options)
    assert batch.images.shape == (20, 3, 64, 96)
    assert batch.hands.shape == (20, 6, 6) and batch.keypoints.shape == (20, 6, 17, 3)
    batch = training_batch(data, draw, bank, 20, 64, 96, options, cutouts)
    assert all(t.isfinite().all() for t in batch)
    assert 0 <= batch.images.min() and batch.images.max() <= 1
    # Labels are packed: no sure one after padding.
    state = batch.hands[..., 5]
    assert not ((state[:, 1:] > 0) & (state[:, :-1] == 0)).any()


def test_a_hand_cut_by_the_border_is_ignored(data):
    index = torch.zeros(1, dtype=torch.long)
    one, zero = torch.ones(1), torch.zeros(1)
    x0, _, x1, _ = data.hands[0, 0, :4].tolist()
    middle = torch.tensor([[x0 + 0.6 * (x1 - x0), 40.0]])
    affine = compose(one, zero, one, zero > 0, middle, torch.tensor([[0.0, 40.0]]))
    assert warp(data, index, affine, 80, 96, GeometryOptions()).hands[0, 0, 5] == IGNORE


def test_photometric_keeps_clean_pictures_and_jpeg_smooth_ones():
    x = torch.rand(8, 3, 32, 32)
    assert torch.equal(photometric(x, PhotometricOptions(clean=1.0)), x)
    flat = torch.full((4, 3, 16, 16), 0.5)
    assert (jpeg(flat, 1.0) - flat).abs().max() < 0.2
    assert not torch.equal(photometric(x, PhotometricOptions(clean=0.0)), x)
