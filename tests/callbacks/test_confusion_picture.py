from cnnlab.callbacks.confusion_picture import confusion_picture, confusion_table

COUNTS = [[9_000_000, 1_000_000, 0], [4, 995, 1], [0, 0, 0]]
CLASSES = ["cat", "dog", "absent"]


def numbers(figure):
    return {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in figure.axes[0].texts
    }


def test_images_are_counted():
    found = numbers(confusion_picture(COUNTS, CLASSES, in_percent=False))
    assert found[0, 0] == "9000000"
    assert found[1, 2] == "1"
    assert (2, 2) not in found


def test_pixels_are_percent_of_the_true_class():
    """Less than a half is left out; a class without pixels has no number."""
    found = numbers(confusion_picture(COUNTS, CLASSES, in_percent=True))
    assert found == {(0, 0): "90", (0, 1): "10", (1, 1): "100"}


def test_many_classes_have_neither_names_nor_numbers():
    counts = [[int(i == j) for j in range(26)] for i in range(26)]
    figure = confusion_picture(counts, ["a name"] * 26, in_percent=True)
    assert numbers(figure) == {}
    assert all(label.get_text() != "a name" for label in figure.axes[0].get_xticklabels())


def test_the_table_has_the_largest_first():
    assert confusion_table(COUNTS, CLASSES) == [
        ["cat", "cat", 9_000_000],
        ["cat", "dog", 1_000_000],
        ["dog", "dog", 995],
        ["dog", "cat", 4],
        ["dog", "absent", 1],
    ]
