import pytest

from cnnlab.complexity.field import Field

IMAGE = Field.image((1, 8, 6, 4)).window(2, -1, 1, 2, 3).window(3, -1, 1, 2, 2)  # a 3x3 of stride 2


def test_window_moves_and_widens():
    assert IMAGE.shape == (1, 8, 3, 2)
    assert IMAGE.pixels((6, 4)) == (3, 3)
    # The next 3x3 sees two steps of two pixels more.
    assert IMAGE.window(2, -1, 1, 1, 3).pixels((6, 4)) == (7, 3)


@pytest.mark.parametrize("shape", [(1, 8, 6), (8, 3, 2, 1), (48,), (2, 4, 3, 2), (4, 2, 1, 6)])
def test_views_that_fit_lose_nothing(shape):
    back = IMAGE.view(shape).view(IMAGE.shape)
    assert back.window(2, -1, 1, 1, 3).pixels((6, 4)) == (7, 3)


def test_view_that_does_not_fit_sees_all():
    assert IMAGE.view((16, 3)).pixels((6, 4)) == (6, 4)


def test_tokens_in_a_row_are_bounded():
    # Two tokens a row of pixels: a third of six tokens may begin in the middle of a row.
    tokens = IMAGE.view((1, 8, 6)).window(2, 1, 1, 1, 5)
    assert tokens.pixels((6, 4)) == (4, 4)


def test_views_keep_the_stride_of_maps_one_pixel_wide():
    tiny = Field.image((1, 8, 2, 2)).window(2, 0, 0, 2, 1).window(3, 0, 0, 2, 1)
    tokens = tiny.permute((0, 2, 3, 1)).view((1, 8))
    back = tokens.view((1, 1, 1, 8)).permute((0, 3, 1, 2))
    assert back.window(2, -1, 1, 1, 1).window(3, -1, 1, 1, 1).pixels((64, 64)) == (5, 5)


def test_hull_is_bounded_by_the_image_only_where_all_see_the_same():
    assert IMAGE.hull([2, 3]).pixels((6, 4)) == (6, 4)  # 7x5 with the border
    assert IMAGE.hull([2]).pixels((100, 100)) == (7, 3)


def test_union_of_unlike_strides_is_the_range_of_both():
    fine, coarse = Field.image((6, 4)), Field.image((6, 4)).window(0, 0, 0, 0, 6)
    assert fine.union(coarse).pixels((6, 4)) == (6, 1)
    assert fine.union(Field.image((6, 1))).pixels((6, 4)) == (1, 4)
