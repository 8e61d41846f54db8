"""The picture exists, shows every line, and is the same each time."""

import io
import re

import matplotlib.image
import pytest

from egs.librispeech.omni_sparsity.report import plot, results


@pytest.fixture(scope="module")
def rows(whole):
    return [entry.row for entry in results.collect(whole[0])]


def test_png_is_a_readable_picture_and_always_the_same(rows):
    data = plot.png(rows)
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 20_000
    pixels = matplotlib.image.imread(io.BytesIO(data), format="png")
    assert pixels.shape[:2] == (864, 1440)
    assert 0.02 < (pixels[..., :3].min(axis=2) < 0.9).mean() < 0.5  # drawn on, and mostly white
    assert plot.png(rows) == data
    assert b"Software" not in data and b"tIME" not in data


def test_svg_names_axes_sets_and_sparsities(rows):
    text = plot.svg(rows, wide=True)
    found = re.findall(r"<text[^>]*>([^<]*)</text>", text)
    assert {"size of the model&#x27;s file, MB", "size of the model's file, MB"} & set(found)
    assert {"test-clean", "test-other", "0.9", "0.8", "0.7", "0.5"} <= set(found)
    assert "above: sparsity; bands: 95% interval" in found
    assert any(label.startswith("word error rate, %") for label in found)
    assert "dev-clean" not in found


def test_svg_fits_into_a_page(rows):
    wide, narrow = plot.svg(rows, wide=True), plot.svg(rows, wide=False)
    assert wide.startswith("<svg ") and wide.endswith("</svg>")
    assert "://" not in wide + narrow
    assert "currentColor" in wide
    ids = re.findall(r'id="([^"]+)"', wide) + re.findall(r'id="([^"]+)"', narrow)
    assert len(ids) == len(set(ids))
    for used in re.findall(r'(?:url\(|href=")#([^")]+)', wide + narrow):
        assert used in ids
    assert plot.svg(rows, wide=True) == wide


def test_without_test_sets_the_others_are_drawn(rows):
    text = plot.svg([row for row in rows if row["test_set"] == "dev-clean"], wide=True)
    assert ">dev-clean</text>" in text


@pytest.mark.parametrize(
    "wers, unit",
    [((2.0, 90.0), "% (log scale)"), ((2.0, 6.0), "%"), ((0.0, 90.0), "%"), ((0.0, 0.0), "%")],
)
def test_a_wide_span_gets_a_logarithmic_axis(rows, wers, unit):
    two = [
        {**row, "wer": wer, "ci95": [max(wer - 3, 0), wer + 3 * (wer > 0)]}
        for row, wer in zip((rows[2], rows[-2]), wers, strict=True)
    ]
    assert f">word error rate, {unit}</text>" in plot.svg(two, wide=True)


def test_one_sparsity_and_two_methods(rows):
    one = [row for row in rows if row["sparsity"] == 0.5]
    assert len(plot.png(one)) > 10_000
    two = plot.svg(one + [{**row, "method": "beam_search"} for row in one], wide=True)
    assert "test-clean, beam_search" in two and "test-clean, greedy_search" in two


def test_labels_stand_above_the_axes_and_never_on_each_other(rows):
    """So no line can run through one."""
    more = [{**row, "name": f"own-{n}", "bytes": row["bytes"] + 1000 * n} for row in rows[::3] for n in range(4)]
    figure = plot._draw([*rows, *more], 9.0, 5.4)
    plot.FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) > 5 and all(box.y0 >= axes.bbox.y1 for box in boxes)
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_others_than_uniform_ones_are_open_marks_off_the_line(rows):
    mine = [row for row in rows if row["test_set"] == "test-clean"]
    own = [{**mine[2], "name": "0.6MB", "wer": 1.0, "ci95": [0.5, 1.5], "bytes": 600_000}]
    lines = {line.get_gid(): line for line in plot._draw([*mine, *own], 9.0, 5.4).axes[0].lines if line.get_gid()}
    assert set(lines) == {"set.0.line", "set.0.points"}
    assert list(lines["set.0.points"].get_ydata()) == [1.0] and lines["set.0.points"].get_linestyle() == "None"
    assert len(lines["set.0.line"].get_ydata()) == 5
    text = plot.svg([*mine, *own], wide=True)
    assert ">0.6MB</text>" in text and "name (open marks)" in text


def test_points_of_the_svg_tell_what_they_are(rows):
    text = plot.svg(rows, wide=True)
    row = next(r for r in rows if (r["sparsity"], r["test_set"]) == (0.9, "test-other"))
    told = re.findall("<title>([^<]*)</title>", text)
    assert len(told) == 10
    assert (f"sparsity 0.9, test-other: {row['wer']:.2f} [{row['ci95'][0]:.2f}, {row['ci95'][1]:.2f}] % "
            "at 0.98 MB") in told
    assert set(re.findall('data-set="([^"]*)"', text)) == {"test-clean", "test-other"}
