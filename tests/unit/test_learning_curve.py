"""The probe, its agreement and its error, the curve through them, and whom it picks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from word_corpus import SCORES, word_corpus

from mira.figures.learning_curve import plot_learning_curve, stopping_size
from mira.figures.style import save_figure
from mira.learning_curve import probe
from mira.learning_curve.agreement import N_RESAMPLES, mean_agreements
from mira.learning_curve.curve import (
    CURVE_DTYPES,
    SMALLEST,
    curve_sizes,
    judge_sizes,
    measure_curve,
    next_gain,
    parts_of,
)
from mira.learning_curve.picking import stratified_order, uncertain_order
from mira.learning_curve.power_law import PowerLaw, fit_power_law
from mira.learning_curve.probe import disagreement, predict, text_features


def curve_of(records: pd.DataFrame, n_training: int | None = None, seed: int = 1) -> pd.DataFrame:
    training = records[records["split"] == "train"].iloc[:n_training]
    labels = pd.concat([training, records[records["split"] == "validation"]])
    texts = dict(zip(records["id"], records["text"], strict=True))
    return measure_curve(labels.drop(columns="text"), texts, SCORES, seed)


class TestProbe:
    def test_features_do_not_depend_on_the_other_texts(self):
        alone = text_features(["one two two"]).toarray()
        among = text_features(["three", "one two two", "four " * 9000]).toarray()
        assert np.array_equal(alone[0], among[1])
        assert np.linalg.norm(among, axis=1) == pytest.approx(1)

    def test_what_it_was_taught_it_ranks(self):
        records = word_corpus(300, vocabulary=20)
        features = text_features(records["text"])
        guessed = predict(features[:200], records[SCORES].to_numpy()[:200], features[200:])
        for slot, column in enumerate(SCORES):
            assert spearmanr(guessed[:, slot], records[column][200:])[0] > 0.9

    def test_missing_scores_cost_no_other_slot_anything(self):
        records = word_corpus(120, vocabulary=20)
        features, scores = text_features(records["text"]), records[SCORES].to_numpy()
        whole = predict(features[:100], scores[:100], features[100:])
        holed = scores.copy()
        holed[::3, 1] = holed[:, 2] = np.nan
        guessed = predict(features[:100], holed[:100], features[100:])
        assert np.allclose(guessed[:, 0], whole[:, 0])
        assert spearmanr(guessed[:, 1], scores[100:, 1])[0] > 0.6
        assert np.isnan(guessed[:, 2]).all()
        assert np.isnan(predict(features[:9], holed[:9, 2:], features[9:])).all()

    def test_many_records_are_fitted_as_few_are(self, monkeypatch):
        records = word_corpus(400, vocabulary=40)
        features, scores = text_features(records["text"]), records[SCORES].to_numpy()
        exact = predict(features[:300], scores[:300], features[300:])
        monkeypatch.setattr(probe, "_EXACT_UP_TO", 299)
        assert np.abs(predict(features[:300], scores[:300], features[300:]) - exact).max() < 0.05

    def test_a_committee_disagrees_where_labels_contradict_each_other(self):
        clear, odd = word_corpus(150, vocabulary=10), word_corpus(150, vocabulary=10, seed=1)
        odd["text"] = odd["text"].str.replace("w", "v")
        odd[SCORES] = np.random.default_rng(0).integers(0, 11, (150, 3))
        taught = pd.concat([clear[:100], odd[:100]])
        features, scores = text_features(taught["text"]), taught[SCORES].to_numpy()
        asked = text_features([*clear["text"][100:], *odd["text"][100:]])
        apart = disagreement(features, scores, asked, 3)
        assert apart.shape == (100,)
        assert apart[50:].mean() > 1.5 * apart[:50].mean()
        assert np.array_equal(disagreement(features, scores, asked, 3), apart)


class TestAgreement:
    def test_first_column_is_the_mean_spearman_over_cells(self):
        rng = np.random.default_rng(0)
        teacher = rng.integers(0, 6, (60, 2)).astype(float)
        guess = teacher + rng.normal(0, 2, teacher.shape)
        teacher[:5, 0] = np.nan
        sources = np.array(["a"] * 25 + ["b"] * 35)
        expected = [
            spearmanr(guess[rows][known[rows], slot], teacher[rows][known[rows], slot])[0]
            for slot in (0, 1)
            for known in [~np.isnan(teacher[:, slot])]
            for rows in (sources == "a", sources == "b")
        ]
        found = mean_agreements([guess], teacher, sources, 0)
        assert found.shape == (1, 1 + N_RESAMPLES)
        assert found[0, 0] == pytest.approx(np.mean(expected), abs=1e-12)

    def test_a_resample_is_the_spearman_of_its_copies(self, monkeypatch):
        rng = np.random.default_rng(1)
        teacher, guess = rng.integers(0, 4, (2, 30, 1)).astype(float)
        copies = rng.multinomial(30, np.full(30, 1 / 30), size=3)
        monkeypatch.setattr("mira.learning_curve.agreement._resample", lambda n, _: copies)
        monkeypatch.setattr("mira.learning_curve.agreement.N_RESAMPLES", 2)
        found = mean_agreements([guess], teacher, np.full(30, "a"), 0)[0]
        for value, counts in zip(found, copies, strict=True):
            rows = np.repeat(np.arange(30), counts)
            assert value == pytest.approx(spearmanr(teacher[rows, 0], guess[rows, 0])[0])

    def test_cells_that_say_nothing_do_not_count(self):
        teacher = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [9.0, 1.0], [8.0, 2.0]])
        sources = np.array(["a", "a", "a", "b", "b"])
        found = mean_agreements([teacher, np.ones_like(teacher)], teacher, sources, 0)
        assert found[:, 0].tolist() == [pytest.approx(1.0), 0.0]
        assert np.isnan(mean_agreements([teacher], np.ones_like(teacher), sources, 0)[0, 0])

    def test_equal_predictions_differ_by_nothing_in_any_resample(self):
        rng = np.random.default_rng(2)
        teacher = rng.normal(size=(50, 3))
        guess = teacher + rng.normal(size=teacher.shape)
        found = mean_agreements([guess, guess], teacher, np.full(50, "a"), 0)
        assert np.array_equal(found[0], found[1])
        assert found[0, 1:].std() > 0.01

    def test_the_interval_of_a_difference_holds_what_it_promises(self):
        """Two predictions of known quality: about 95 of 100 intervals hold the true difference."""
        rng = np.random.default_rng(3)
        n, slots, trials, held = 60, 2, 200, 0
        qualities = (0.6, 0.7)
        true = [6 / np.pi * np.arcsin(q / 2) for q in qualities]  # Spearman of a bivariate normal
        for trial in range(trials):
            teacher = rng.normal(size=(n, slots))
            shared = rng.normal(size=(n, slots))
            guesses = [q * teacher + np.sqrt(1 - q**2) * shared for q in qualities]
            worse, better = mean_agreements(guesses, teacher, np.full(n, "a"), trial)
            gain = better - worse
            held += abs(gain[0] - (true[1] - true[0])) < 1.96 * gain[1:].std(ddof=1)
        assert 0.9 <= held / trials <= 0.99


class TestPowerLaw:
    @pytest.mark.parametrize("law", [PowerLaw(0.8, 3.0, 0.6), PowerLaw(0.95, 1.5, 0.25)])
    def test_points_on_a_curve_give_it_back(self, law):
        sizes = np.array([50, 100, 200, 400, 800])
        found = fit_power_law(sizes, law.at(sizes))
        assert found.next_gain(800) == pytest.approx(law.next_gain(800), rel=0.05)
        assert found.at(6400) == pytest.approx(law.at(6400), abs=0.01)

    @given(st.lists(st.floats(-1, 1), min_size=3, max_size=8), st.integers(1, 5000))
    def test_it_never_falls_and_never_passes_one(self, values, first):
        sizes = first * 2 ** np.arange(len(values))
        law = fit_power_law(sizes, np.array(values))
        ahead = law.at(sizes[-1] * np.array([1, 2, 4, 1000]))
        assert (np.diff(ahead) >= 0).all() and ahead[-1] <= 1 + 1e-9
        assert 0 <= law.next_gain(int(sizes[-1])) <= 2

    def test_flat_and_falling_points_promise_nothing(self):
        sizes = np.array([50, 100, 200, 400])
        assert fit_power_law(sizes, np.full(4, 0.7)).next_gain(400) == 0
        assert fit_power_law(sizes, np.array([0.7, 0.68, 0.65, 0.6])).next_gain(400) == 0

    def test_two_points_are_too_few(self):
        with pytest.raises(ValueError, match="3 points, not 2"):
            fit_power_law(np.array([1, 2]), np.array([0.1, 0.2]))


class TestPicking:
    def frame(self) -> pd.DataFrame:
        rng = np.random.default_rng(4)
        sizes = {"large": 90, "middle": 60, "small": 9}
        rows = [
            (f"{source}{i}", source, "x" * int(rng.integers(1, 500)))
            for source, n in sizes.items()
            for i in range(n)
        ]
        return pd.DataFrame(rows, columns=["id", "source", "text"])

    def test_every_beginning_is_spread_over_sources_and_lengths(self):
        frame = self.frame()
        order = stratified_order(frame, 0)
        assert sorted(order) == list(range(len(frame)))
        third = frame.groupby("source")["text"].transform(
            lambda text: pd.qcut(text.str.len().rank(method="first"), 3, labels=False)
        )
        for count in (9, 18, 27):
            taken = frame.assign(third=third).iloc[order[:count]].value_counts(["source", "third"])
            assert taken.tolist() == [count // 9] * 9
        # The small source is used up after 27; the two others share what comes then.
        later = Counter(frame["source"].iloc[order[27:87]])
        assert later == {"large": 30, "middle": 30}

    def test_the_order_of_rows_changes_nothing_and_the_seed_does(self):
        frame = self.frame()
        shuffled = frame.sample(frac=1, random_state=0)
        ids = frame["id"].iloc[stratified_order(frame, 0)].tolist()
        assert shuffled["id"].iloc[stratified_order(shuffled, 0)].tolist() == ids
        assert frame["id"].iloc[stratified_order(frame, 1)].tolist() != ids

    def test_the_uncertain_come_first_and_no_source_starves(self):
        frame = self.frame()
        uncertainty = np.where(frame["source"] == "large", 5.0, 1.0) + np.arange(len(frame)) / 1000
        first = frame.assign(u=uncertainty).iloc[uncertain_order(frame, uncertainty, 0)[:24]]
        assert Counter(first["source"]) == {"large": 8, "middle": 8, "small": 8}
        for source, part in first.groupby("source"):
            most = uncertainty[frame["source"] == source]
            assert sorted(part["u"]) == pytest.approx(sorted(most)[-8:])

    def test_an_empty_frame_has_an_empty_order(self):
        assert stratified_order(self.frame().iloc[:0], 0).tolist() == []


class TestCurve:
    def test_sizes_are_halves_and_parts_are_disjoint(self):
        assert curve_sizes(1836) == [28, 57, 114, 229, 459, 918, 1836]
        assert curve_sizes(7) == [7] and curve_sizes(2 * SMALLEST) == [SMALLEST, 2 * SMALLEST]
        assert parts_of(1836, 1836) == [slice(0, 1836)]
        assert parts_of(1836, 918) == [slice(0, 918), slice(918, 1836)]
        assert parts_of(1836, 229)[-1] == slice(687, 916)

    def test_easy_labels_become_enough(self):
        records = word_corpus(1000, vocabulary=20)
        curve = curve_of(records)
        assert curve.dtypes.astype(str).to_dict() == CURVE_DTYPES
        assert curve["n"].tolist() == curve_sizes(800)
        assert curve["spearman"].iloc[-1] > 0.9
        assert curve["enough"].iloc[-1] and not curve["enough"].iloc[:3].any()
        assert (curve["low"] < curve["spearman"]).all()
        assert (curve["spearman"] < curve["high"]).all()

    def test_labels_that_teach_with_every_doubling_are_never_enough(self):
        curve = curve_of(word_corpus(1000, vocabulary=400))
        assert not curve["enough"].any()
        assert (curve["gain_of_next_doubling"].iloc[3:] > 0.03).all()

    @pytest.mark.parametrize("seed", range(2))
    def test_what_is_given_up_at_the_stop_is_little(self, seed):
        records = word_corpus(1000, vocabulary=20, seed=seed)
        stop = next(n for n in (100, 200, 400) if curve_of(records, n)["enough"].iloc[-1])
        now, later = (curve_of(records, n)["spearman"].iloc[-1] for n in (stop, 2 * stop))
        assert now > 0.9 and later - now < 0.02

    def test_it_is_the_same_curve_whatever_the_order_of_labels(self):
        records = word_corpus(200, vocabulary=50)
        shuffled = records.sample(frac=1, random_state=0)
        pd.testing.assert_frame_equal(curve_of(records), curve_of(shuffled), atol=2e-6)

    def test_holes_in_the_labels_are_borne(self):
        records = word_corpus(300, vocabulary=20)
        whole = curve_of(records)
        records.loc[::4, "s1"] = np.nan
        records["s3"] = np.nan
        holed = curve_of(records)
        assert holed["spearman"].notna().all()
        assert holed["spearman"].iloc[-1] == pytest.approx(whole["spearman"].iloc[-1], abs=0.1)

    @pytest.mark.parametrize("split", ["train", "validation"])
    def test_without_one_side_there_is_no_curve(self, split):
        records = word_corpus(50, vocabulary=20)
        curve = curve_of(records[records["split"] == split])
        assert curve.empty and list(curve.columns) == list(CURVE_DTYPES)

    def test_few_labels_are_never_enough(self):
        curve = curve_of(word_corpus(30, vocabulary=20))
        assert curve["n"].tolist() == [24] and not curve["enough"].any()
        assert np.isnan(next_gain(np.array([24]), np.array([0.3])))
        assert next_gain(np.array([25, 50]), np.array([0.3, 0.45])) == pytest.approx(0.15)

    def test_an_unknown_agreement_is_never_enough(self):
        unknown = np.full((4, 1 + N_RESAMPLES), np.nan)
        curve = judge_sizes(np.array([25, 50, 100, 200]), unknown)
        assert curve["gain_of_next_doubling"].isna().all() and not curve["enough"].any()


class TestFigure:
    def curves(self) -> dict[str, pd.DataFrame]:
        flags = {"g2": [False, False, True, True], "g10": [False] * 4, "g1": [False]}
        curves = {}
        for group, enough in flags.items():
            sizes = 50 * 2 ** np.arange(len(enough))
            curve = pd.DataFrame({"n": sizes, "spearman": 0.8 - sizes**-0.3})
            curve = curve.assign(low=curve["spearman"] - 0.05, high=curve["spearman"] + 0.05)
            gains = {"fitted": curve["spearman"], "gain_of_next_doubling": 0.03}
            curves[group] = curve.assign(**gains, half_width=0.02, enough=enough, picked="all")
        curves["g3"] = curves["g1"].iloc[:0]
        return curves

    def test_every_group_has_its_panel_and_one_doubling_more(self, tmp_path):
        curves = self.curves()
        figure, data = plot_learning_curve(curves, stand_in="Stand-in run.")
        assert [axes.get_title("left") for axes in figure.axes[:4]] == ["g1", "g2", "g3", "g10"]
        assert any(text.get_text() == "Stand-in run." for text in figure.texts)
        rows = data.groupby("group").size()
        assert rows.to_dict() == {"g1": 1, "g2": 5, "g10": 5}
        beyond = data[data["group"] == "g2"].iloc[-1]
        assert beyond["n"] == 800 and np.isnan(beyond["spearman"])
        assert beyond["fitted"] == pytest.approx(0.8 - 800**-0.3, abs=0.01)
        save_figure(figure, data, tmp_path / "learning_curve")
        assert (tmp_path / "learning_curve.pdf").read_bytes().startswith(b"%PDF")

    def test_enough_is_drawn_where_it_is(self):
        figure, _ = plot_learning_curve(self.curves())
        marks = {
            axes.get_title("left"): [
                line.get_xdata()[0]
                for line in axes.lines
                if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]
            ]
            for axes in figure.axes[:4]
        }
        assert marks == {"g1": [], "g2": [200], "g3": [], "g10": []}

    def test_where_labelling_stopped_or_would_have(self):
        curve = self.curves()["g2"]
        assert stopping_size(curve) == 200
        assert stopping_size(curve.assign(picked="stratified")) == 400
        went_on = curve.assign(picked="uncertainty", enough=[False, False, True, False])
        assert stopping_size(went_on) is None
