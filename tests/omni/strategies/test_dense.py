"""The largest alone, never ranked."""

from omni.strategies import Dense


def test_the_dense_model_is_trained_alone(net):
    for step in range(20):
        assert Dense().subnets(net, step, step / 20) == [("max", {"weight": 0.0})]
    assert Dense().watched(net) == [("max", {"weight": 0.0})] and Dense().held(net, net.largest(), 0.9) is None
    assert Dense().settled() == 0.0 and Dense().of_one_size and Dense().system == "dense"


def test_it_is_never_ranked(net, kept):
    net.targets["weight"].weight.data.mul_(-1).add_(11)  # 10 to 1
    for step in range(0, 300, 100):
        Dense().prepare(net, step, 0.4, 0.5)
    assert kept(net, 0.7) == [8, 9, 10]  # as ranked when the supernet was built
