import torch

from cnnlab.boxes.sampling import draw_balanced


def flags(*rows: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each image so many positives, backgrounds and others, in this order."""
    positive = torch.stack([torch.tensor([True] * p + [False] * (b + o)) for p, b, o in rows])
    background = torch.stack(
        [torch.tensor([False] * p + [True] * b + [False] * o) for p, b, o in rows]
    )
    return positive, background


def test_background_fills_up_and_positives_stay_below_their_share():
    positive, background = flags((10, 80, 10), (60, 40, 0), (0, 5, 95), (0, 0, 100))
    drawn = draw_balanced(positive, background, 64, 0.5)
    assert drawn.valid.sum(1).tolist() == [64, 64, 5, 0]
    assert drawn.positive.sum(1).tolist() == [10, 32, 0, 0]
    for i in range(4):
        chosen = drawn.chosen[i][drawn.valid[i]]
        assert len(chosen.unique()) == len(chosen)
        torch.testing.assert_close(positive[i][chosen], drawn.positive[i][drawn.valid[i]])
        assert (positive | background)[i][chosen].all()


def test_fewer_candidates_than_wanted():
    drawn = draw_balanced(*flags((2, 3, 1), (6, 0, 0)), 512, 0.25)
    assert drawn.chosen.shape == (2, 6)
    assert drawn.valid.sum(1).tolist() == [5, 6]


def test_each_candidate_is_as_likely_and_a_seed_repeats_the_draw():
    positive, background = (x.repeat(400, 1) for x in flags((8, 32, 8)))
    seeded = [
        draw_balanced(positive, background, 8, 0.5, torch.Generator().manual_seed(3))
        for _ in range(2)
    ]
    assert torch.equal(seeded[0].chosen, seeded[1].chosen)
    drawn = seeded[0]
    counts = drawn.chosen[drawn.valid].bincount(minlength=48)
    # Half of the 8 positives, an eighth of the 32 others: 200 and 50 of 400, within 5 sigma.
    assert ((counts[:8] - 200).abs() < 50).all()
    assert ((counts[8:40] - 50).abs() < 33).all()
    assert counts[40:].sum() == 0
    torch.manual_seed(0)
    first = draw_balanced(positive, background, 8, 0.5).chosen
    assert not torch.equal(first, draw_balanced(positive, background, 8, 0.5).chosen)
