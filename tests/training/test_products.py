"""Products of float32: handed to the faster library where that changes nothing but the time."""

import pytest
import torch
from torch import nn

from lstmusic.training import products
from lstmusic.training.products import fast_products

CPU = torch.device("cpu")
LARGE, SMALL = nn.Linear(512, 512), nn.Linear(128, 512)


@pytest.fixture(autouse=True)
def unchanged():
    """Whatever a test does, the setting is as before."""
    before = torch.get_float32_matmul_precision()
    yield
    assert torch.get_float32_matmul_precision() == before


def inside(model, device=CPU):
    with fast_products(model, device):
        return torch.get_float32_matmul_precision()


@pytest.mark.parametrize(
    ("exact", "model", "device", "setting"),
    [
        (True, LARGE, CPU, "medium"),
        (False, LARGE, CPU, "highest"),
        (True, SMALL, CPU, "highest"),
        (True, LARGE, torch.device("cuda"), "highest"),  # there it would mean other numbers
    ],
)
def test_a_large_model_on_a_cpu_that_stays_exact(monkeypatch, exact, model, device, setting):
    monkeypatch.setattr(products, "_is_exact", lambda: exact)
    assert inside(model, device) == setting


def test_an_error_leaves_the_setting(monkeypatch):
    monkeypatch.setattr(products, "_is_exact", lambda: True)
    with pytest.raises(KeyError), fast_products(LARGE, CPU):
        raise KeyError


@pytest.mark.parametrize("shape", [(1, 512, 512), (64, 512, 1536), (1536, 64, 512), (300, 2000, 100)])
def test_whatever_it_chooses_is_float32(shape):
    m, k, n = shape
    a, b = torch.randn(m, k), torch.randn(k, n)
    expected = a.double() @ b.double()
    with fast_products(LARGE, CPU):
        assert products.relative_error(a @ b, expected) < 2e-6


def test_bf16_is_told_from_float32():
    a, b = torch.randn(64, 512), torch.randn(512, 512)
    expected = a.double() @ b.double()
    assert products.relative_error(a @ b, expected) < products.EXACT
    assert products.relative_error((a.bfloat16() @ b.bfloat16()).float(), expected) > 100 * products.EXACT


def test_the_check_itself(monkeypatch):
    monkeypatch.setattr(products, "relative_error", lambda found, expected: 3e-3)
    assert not products._is_exact()
    monkeypatch.setattr(products, "relative_error", lambda found, expected: 4e-7)
    assert products._is_exact()
