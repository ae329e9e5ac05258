import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from litzoo.lit_modules.networks import Pair, WhitenedCNN, stages_of
from litzoo.lit_modules.networks.whitened_cnn import EPS, whitening_filters


def correlated_images(count=600, channels=3, side=9):
    """Smooth images whose channels resemble each other, with a mean far from 0."""
    noise = torch.randn(count, channels, side + 2, side + 2) + torch.randn(count, 1, side + 2, side + 2)
    return F.avg_pool2d(noise, 3, stride=1) + 2 + torch.arange(channels).view(-1, 1, 1)


def patches_of(images, patch):
    """Cuts all patches out one by one, float64 `[N, C · patch²]`."""
    pixels = images.double().numpy()
    places = range(pixels.shape[2] - patch + 1)
    cut = [pixels[:, :, row : row + patch, column : column + patch] for row in places for column in places]
    return np.concatenate([each.reshape(len(pixels), -1) for each in cut])


@pytest.mark.parametrize(("channels", "patch"), [(3, 2), (1, 3)])
def test_filters_are_the_eigenvectors_of_numpy_over_the_roots_of_their_eigenvalues(channels, patch):
    images = correlated_images(channels=channels)
    filters = whitening_filters(images, patch).flatten(1).double().numpy()
    values, vectors = np.linalg.eigh(np.cov(patches_of(images, patch).T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]  # largest first
    norms = np.linalg.norm(filters, axis=1)
    assert norms == pytest.approx(1 / np.sqrt(values + EPS), rel=1e-4)
    cosines = np.abs(np.sum(filters / norms[:, None] * vectors.T, axis=1))  # an eigenvector has no sign
    assert cosines == pytest.approx(np.ones(len(values)), abs=1e-4)


def test_outputs_on_the_images_have_variance_1_and_are_uncorrelated():
    images = correlated_images()
    outputs = F.conv2d(images, whitening_filters(images, 2, eps=0)).transpose(0, 1).flatten(1).double()
    assert torch.allclose(torch.cov(outputs), torch.eye(12, dtype=torch.float64), atol=1e-3)


def test_a_constant_channel_gives_finite_filters():
    images = correlated_images()
    images[:, 1] = 0.5
    assert whitening_filters(images, 2).isfinite().all()


def test_the_first_layer_has_both_signs_and_trains_only_its_bias():
    net = WhitenedCNN((3, 9, 9), 5, widths=(4,))
    assert not net.whitening.is_fitted
    images = correlated_images(20)
    net.whitening.fit(images)
    assert net.whitening.is_fitted
    outputs = net.whitening(images)
    assert outputs.shape == (20, 24, 8, 8)
    assert torch.allclose(outputs[:, :12], -outputs[:, 12:], atol=1e-5)
    assert [name for name, _ in net.whitening.named_parameters()] == ["bias"]


def test_convolutions_start_as_the_identity_on_their_first_channels():
    net = WhitenedCNN((3, 32, 32), 10, widths=(32, 40, 16))
    for layer in [each for each in net.blocks.modules() if isinstance(each, nn.Conv2d)]:
        x = torch.randn(2, layer.in_channels, 5, 5)
        kept = min(layer.in_channels, layer.out_channels)
        assert torch.allclose(layer(x)[:, :kept], x[:, :kept], atol=1e-6)
        assert len({channel.sum().item() for channel in layer.weight}) >= layer.out_channels - kept  # the others random


def test_batch_norm_has_a_shift_but_no_trained_scale():
    net = WhitenedCNN((3, 32, 32), 10, widths=(8, 8))
    layers = [each for each in net.modules() if isinstance(each, nn.BatchNorm2d)]
    assert len(layers) == 4
    for layer in layers:
        assert [name for name, _ in layer.named_parameters()] == ["bias"]
        x = 3 * torch.randn(50, 8, 4, 4) + 1
        expected = F.batch_norm(x, None, None, training=True)
        assert torch.allclose(layer(x), expected, atol=1e-5)


def test_logits_are_the_head_on_the_features_and_scaled():
    plain, scaled = WhitenedCNN((3, 32, 32), 10, (8, 8, 8), 1.0), WhitenedCNN((3, 32, 32), 10, (8, 8, 8), 1 / 9)
    plain.eval(), scaled.eval()
    scaled.load_state_dict(plain.state_dict())
    x = torch.randn(4, 3, 32, 32)
    plain.whitening.fit(x)
    scaled.whitening.fit(x)
    assert scaled.features(x).shape == (4, 8)
    assert torch.equal(scaled(x), scaled.head(scaled.features(x)))
    assert torch.allclose(scaled(x) * 9, plain(x), atol=1e-5)


def test_stages_are_first_layer_blocks_and_head():
    assert [stage.name for stage in stages_of(WhitenedCNN((3, 32, 32), 10, (8, 8, 8)))][-1] == "head"


@pytest.mark.parametrize(
    ("side", "widths", "message"),
    [
        (32, (), "at least one block"),
        (32, (8, 0), r"widths: \[8, 0\]"),
        (8, (4, 4, 4), "3 blocks are too many for images of 8×8"),
    ],
)
def test_impossible_widths_are_refused(side, widths, message):
    with pytest.raises(ValueError, match=message):
        WhitenedCNN((3, side, side), 10, widths)


def test_the_smallest_image_works():
    assert WhitenedCNN((1, 9, 9), 10, (4, 4, 4))(torch.randn(2, 1, 9, 9)).shape == (2, 10)


def test_without_batch_norm_convolutions_have_biases_that_start_at_0():
    net = WhitenedCNN((3, 32, 32), 10, (8, 8), batch_norm=False)
    assert not [each for each in net.modules() if isinstance(each, nn.BatchNorm2d)]
    convolutions = [each for each in net.blocks.modules() if isinstance(each, nn.Conv2d)]
    assert [layer.bias.abs().sum().item() for layer in convolutions] == [0] * 4
    assert len(list(net.blocks.buffers())) == 0


def test_dropout_acts_on_the_features_in_training_only():
    net = WhitenedCNN((3, 32, 32), 10, (8, 64), dropout=0.5)
    x = torch.randn(4, 3, 32, 32)
    net.whitening.fit(x)
    zeros = (net.features(x) == 0).float().mean()
    assert 0.3 < zeros < 0.7
    assert (net.eval().features(x) == 0).float().mean() < 0.1


def test_a_second_network_starts_with_other_weights_of_the_same_kind():
    pair = Pair(WhitenedCNN((3, 32, 32), 10, (32, 40)))
    for first, second in zip(pair.first.blocks.modules(), pair.second.blocks.modules(), strict=True):
        if isinstance(first, nn.Conv2d):
            x = torch.randn(1, first.in_channels, 5, 5)
            torch.testing.assert_close(second(x)[:, : first.in_channels], x)
    assert not torch.equal(pair.first.blocks[0][0].weight, pair.second.blocks[0][0].weight)
    assert pair.second.head.weight.std().item() == pytest.approx(40**-0.5, rel=0.15)


def test_the_gradient_of_a_feature_goes_to_one_pixel_also_where_several_are_largest():
    net, maps = WhitenedCNN((3, 32, 32), 10, (8, 8)), []
    net.blocks.register_forward_hook(lambda *_: maps.append(_[2]) or _[2].retain_grad())
    net.features(torch.zeros(2, 3, 32, 32)).sum().backward()
    assert (maps[0].flatten(2) == maps[0].flatten(2).max(2, keepdim=True).values).sum(2).max() > 1
    assert ((maps[0].grad != 0).sum((2, 3)) == 1).all()


@pytest.mark.slow
def test_a_compiled_network_has_finite_gradients_in_bf16():
    net, x = WhitenedCNN((3, 32, 32), 10, (8, 8)), torch.randn(8, 3, 32, 32)
    net.whitening.fit(x)
    net.compile()
    with torch.autocast("cpu", torch.bfloat16):
        loss = net(x).float().square().sum()
    loss.backward()
    assert all(weight.grad.isfinite().all() for weight in net.parameters())


def test_cosine_logits_are_scaled_cosines_of_features_and_class_weights():
    net = WhitenedCNN((3, 8, 8), 4, widths=(6,), cosine_scale=30.0)
    net.whitening.fit(correlated_images(50, side=8))
    images = torch.randn(7, 3, 8, 8)
    maps = F.adaptive_max_pool2d(net.blocks(F.gelu(net.whitening(images))), 1).flatten(1)
    expected = 30 * F.cosine_similarity(maps[:, None], net.head.weight[None], dim=2)
    torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(net.head(net.features(images)), net(images))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cosine_scale_that_is_no_positive_number_raises(scale):
    with pytest.raises(ValueError, match=r"cosine_scale: .* is not a finite number above 0"):
        WhitenedCNN((3, 8, 8), 4, widths=(6,), cosine_scale=scale)
