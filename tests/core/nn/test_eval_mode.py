import pytest
import torch
from torch import nn

from amtts_core.nn.eval_mode import evaluating


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_put_back_into_its_mode(training: bool) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train(training)
    with evaluating(network):
        assert not network[1].training
        assert not network(torch.ones(1, 2)).requires_grad
    assert network[1].training == training
    assert network(torch.ones(1, 2)).requires_grad
    with pytest.raises(RuntimeError, match="half-way"), evaluating(network):
        raise RuntimeError("half-way")
    assert network.training == training
