//! Sound to what the decoder looks at: Whisper's encoder, over as few positions as tell the same.
//!
//! Whisper was trained on windows of 30 s, 1,500 positions, most of them silence when little was said. Leaving the
//! silence away makes small models repeat themselves for ever; computing it takes most of the time. So it is neither:
//! positions in the silence are taken some in so many, and in every attention each counts as the many that it stands for
//! (its score gets their logarithm), as tokens that were merged do in Bolya et al., "Token Merging" (2023). What the
//! other positions see is then nearly what they see at full length.

use super::crew::{Crew, Memory};
use super::matrix::{Panels, Rows, RowsMut, add_product};
use super::rows::{add_to_rows, gelu, layer_norm, set_rows, softmax};
use super::spectrogram::Spectrogram;
use super::weights::{EncoderLayer, Linear, Model};

/// Width of a head, in every Whisper model.
pub const HEAD: usize = 64;

/// Which of the 1,500 positions are computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Positions {
    /// So many from the first one on: they hold the sound.
    pub dense: usize,
    /// Some in the silence after them.
    pub sparse: Vec<usize>,
    /// Logarithm of how many positions each stands for, dense ones first; `None` when each stands for itself.
    pub weights: Option<Vec<f32>>,
}

impl Positions {
    /// All `all` of them, each for itself.
    #[must_use]
    pub const fn every(all: usize) -> Self {
        Self { dense: all, sparse: Vec::new(), weights: None }
    }

    /// `dense` positions of `all`; of each `cell` of the rest a row of `together` in its middle. Positions are told apart by sines,
    /// the shortest of them six positions long: a row sees all of such a wave, where a single position is an accident of it.
    #[must_use]
    pub fn new(dense: usize, all: usize, together: usize, cell: usize) -> Self {
        if dense >= all {
            return Self::every(all);
        }
        let (mut sparse, mut weights) = (Vec::new(), vec![0.0; dense]);
        let mut at = dense;
        while at < all {
            let cell = cell.min(all - at);
            let row = together.min(cell);
            let first = at + (cell - row) / 2;
            sparse.extend(first..first + row);
            weights.extend(std::iter::repeat_n((cell as f32 / row as f32).ln(), row));
            at += cell;
        }
        Self { dense, sparse, weights: Some(weights) }
    }

    /// How many are computed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.dense + self.sparse.len()
    }
}

/// What the encoder made of a sound: keys and values for every layer of the decoder.
#[derive(Debug, Default)]
pub struct Seen {
    /// Per layer and head: the keys of all positions, and their values.
    pub heads: Vec<Vec<SeenHead>>,
    /// As [`Positions::weights`].
    pub weights: Option<Vec<f32>>,
}

/// What a position weighs that is not to be seen: its share of any attention is zero.
const UNSEEN: f32 = -1e4;

impl Seen {
    /// Leaves the decoder only these positions to look at, and gives the weights as they were.
    pub fn only(&mut self, range: std::ops::Range<usize>) -> Option<Vec<f32>> {
        let count = self.heads.first().and_then(|heads| heads.first()).map_or(0, |head| head.keys.columns());
        let before = self.weights.clone();
        let weights = self.weights.get_or_insert_with(|| vec![0.0; count]);
        for (position, weight) in weights.iter_mut().enumerate() {
            if !range.contains(&position) {
                *weight = UNSEEN;
            }
        }
        before
    }
}

/// Keys and values of one head.
#[derive(Debug, Default)]
pub struct SeenHead {
    /// A column per position.
    pub keys: Panels,
    /// A row per position.
    pub values: Panels,
}

/// Encodes. `None` when it was over in the middle.
pub fn encode(model: &Model, picture: &Spectrogram, positions: &Positions, crew: Crew<'_>) -> Option<Seen> {
    let width = model.dims.audio_state as usize;
    let mut x = stem(model, picture, positions, crew);
    let chunk = crew.rows_each(positions.count()) * width;
    let mut attend = vec![0.0; 3 * x.len()];
    let mut heads = Vec::new();
    heads.resize_with(width / HEAD, SeenHead::default);
    for layer in &model.encoder.layers {
        crew.each(x.chunks_mut(chunk).zip(attend.chunks_mut(3 * chunk)), |(x, attend), memory| {
            let normed = sized(&mut memory.buffers[0], x.len());
            layer_norm(x, &layer.norm.gain, &layer.norm.bias, normed);
            linear(&layer.attend, normed, attend, &mut memory.strips);
        });
        if crew.over() {
            return None;
        }
        crew.each(heads.iter_mut().enumerate(), |(head, place), _| place.fill(&attend, head, width));
        crew.each(x.chunks_mut(chunk).zip(attend.chunks(3 * chunk)), |(x, attend), memory| {
            finish_layer(layer, x, attend, &heads, positions.weights.as_deref(), memory);
        });
        if crew.over() {
            return None;
        }
    }
    crew.each(x.chunks_mut(chunk), |x, memory| {
        let normed = sized(&mut memory.buffers[0], x.len());
        layer_norm(x, &model.encoder.norm.gain, &model.encoder.norm.bias, normed);
        x.copy_from_slice(normed);
    });
    let mut seen = Seen { heads: Vec::new(), weights: positions.weights.clone() };
    for layer in &model.decoder.layers {
        let both = &mut attend[..2 * x.len()];
        crew.each(x.chunks(chunk).zip(both.chunks_mut(2 * chunk)), |(x, both), memory| {
            linear(&layer.seen, x, both, &mut memory.strips);
        });
        let mut heads = Vec::new();
        heads.resize_with(width / HEAD, SeenHead::default);
        crew.each(heads.iter_mut().enumerate(), |(head, place), _| {
            place.fill_from(both, head, 2 * width, 0, width)
        });
        seen.heads.push(heads);
        if crew.over() {
            return None;
        }
    }
    Some(seen)
}

impl SeenHead {
    fn fill(&mut self, attend: &[f32], head: usize, width: usize) {
        self.fill_from(attend, head, 3 * width, width, 2 * width);
    }

    /// From rows of `stride` numbers, in which the keys begin at `keys` and the values at `values`.
    fn fill_from(&mut self, rows: &[f32], head: usize, stride: usize, keys: usize, values: usize) {
        let count = rows.len() / stride;
        let (keys, values) = (keys + head * HEAD, values + head * HEAD);
        self.keys.fill(count, HEAD, |position, at| rows[position * stride + keys + at]);
        self.values.fill(HEAD, count, |at, position| rows[position * stride + values + at]);
    }
}

/// The attention of some rows to all positions, and what follows it up to the next layer.
fn finish_layer(
    layer: &EncoderLayer,
    x: &mut [f32],
    attend: &[f32],
    heads: &[SeenHead],
    weights: Option<&[f32]>,
    memory: &mut Memory,
) {
    let width = layer.norm.gain.len();
    let rows = x.len() / width;
    let mut mixed = std::mem::take(&mut memory.buffers[1]);
    mixed.clear();
    mixed.resize(x.len(), 0.0);
    for (head, seen) in heads.iter().enumerate() {
        let queries = Rows { values: &attend[head * HEAD..], count: rows, stride: 3 * width };
        let places = RowsMut { values: &mut mixed[head * HEAD..], stride: width };
        look(queries, seen, weights, places, memory);
    }
    add_to_rows(x, &layer.out.bias);
    let left = Rows { values: &mixed, count: rows, stride: width };
    add_product(left, &layer.out.weights, &mut RowsMut { values: x, stride: width }, &mut memory.strips);
    layer_norm(x, &layer.bend_norm.gain, &layer.bend_norm.bias, &mut mixed);
    let mut wide = std::mem::take(&mut memory.buffers[2]);
    wide.resize(4 * x.len(), 0.0);
    linear(&layer.bend[0], &mixed, &mut wide, &mut memory.strips);
    gelu(&mut wide);
    add_to_rows(x, &layer.bend[1].bias);
    let left = Rows { values: &wide, count: rows, stride: 4 * width };
    add_product(left, &layer.bend[1].weights, &mut RowsMut { values: x, stride: width }, &mut memory.strips);
    memory.buffers[1] = mixed;
    memory.buffers[2] = wide;
}

/// One head's attention: the values of all positions, by how much each query has to do with their keys, added to `out`.
pub(super) fn look(
    queries: Rows<'_>,
    seen: &SeenHead,
    weights: Option<&[f32]>,
    mut out: RowsMut<'_>,
    memory: &mut Memory,
) {
    let keys = seen.keys.columns();
    let mut scores = std::mem::take(&mut memory.buffers[0]);
    scores.clear();
    scores.resize(queries.count * keys, 0.0);
    add_product(queries, &seen.keys, &mut RowsMut { values: &mut scores, stride: keys }, &mut memory.strips);
    softmax(&mut scores, keys, weights);
    let shares = Rows { values: &scores, count: queries.count, stride: keys };
    add_product(shares, &seen.values, &mut out, &mut memory.strips);
    memory.buffers[0] = scores;
}

fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    buffer.resize(length.max(buffer.len()), 0.0);
    &mut buffer[..length]
}

fn linear(linear: &Linear, rows: &[f32], out: &mut [f32], strips: &mut Vec<f32>) {
    let to = linear.bias.len();
    let count = out.len() / to;
    set_rows(out, &linear.bias);
    let left = Rows { values: rows, count, stride: rows.len() / count.max(1) };
    add_product(left, &linear.weights, &mut RowsMut { values: out, stride: to }, strips);
}

/// The two convolutions, and the positions' own numbers. In the silence every position is the same, so it is computed once.
fn stem(model: &Model, picture: &Spectrogram, positions: &Positions, crew: Crew<'_>) -> Vec<f32> {
    let (bands, width) = (model.dims.mels as usize, model.dims.audio_state as usize);
    let [first, second] = &model.encoder.convolutions;
    // A row of zeros before the first frame, and one frame of what follows behind the last.
    let behind = if positions.sparse.is_empty() { 0.0 } else { picture.silence };
    let frames = 2 * positions.dense;
    let mut padded = vec![0.0; bands];
    padded.extend_from_slice(&picture.frames[..frames * bands]);
    padded.resize((frames + 2) * bands, behind);
    let mut between = vec![0.0; (frames + 1) * width];
    let chunk = crew.rows_each(frames);
    crew.each(between[width..].chunks_mut(chunk * width).enumerate(), |(at, out), memory| {
        convolve(first, &padded[at * chunk * bands..], bands, out, memory);
    });
    let mut x = vec![0.0; positions.count() * width];
    let (dense, sparse) = x.split_at_mut(positions.dense * width);
    let chunk = crew.rows_each(positions.dense);
    crew.each(dense.chunks_mut(chunk * width).enumerate(), |(at, out), memory| {
        convolve(second, &between[at * chunk * 2 * width..], 2 * width, out, memory);
    });
    if !sparse.is_empty() {
        let mut memory = Memory::default();
        let mut quiet = vec![0.0; 3 * width];
        convolve(first, &vec![picture.silence; 5 * bands], bands, &mut quiet, &mut memory);
        let mut one = vec![0.0; width];
        convolve(second, &quiet, 2 * width, &mut one, &mut memory);
        set_rows(sparse, &one);
    }
    let places = (0..positions.dense).chain(positions.sparse.iter().copied());
    for (row, place) in x.chunks_exact_mut(width).zip(places) {
        for (value, position) in row.iter_mut().zip(&model.encoder.positions[place * width..]) {
            *value += position;
        }
    }
    x
}

fn convolve(linear: &Linear, rows: &[f32], stride: usize, out: &mut [f32], memory: &mut Memory) {
    let to = linear.bias.len();
    set_rows(out, &linear.bias);
    let left = Rows { values: rows, count: out.len() / to, stride };
    add_product(left, &linear.weights, &mut RowsMut { values: out, stride: to }, &mut memory.strips);
    gelu(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_stand_for_all() {
        for (dense, together, cell) in [
            (0, 8, 128),
            (100, 8, 128),
            (1_499, 8, 128),
            (1_500, 8, 128),
            (2_000, 8, 128),
            (300, 1, 1),
            (17, 1, 64),
        ] {
            let positions = Positions::new(dense, 1_500, together, cell);
            let counted: f32 = match &positions.weights {
                Some(weights) => weights.iter().map(|w| w.exp()).sum(),
                None => positions.count() as f32,
            };
            assert!((counted - 1_500.0).abs() < 1.0, "{dense} {together} {cell}: {counted}");
            assert!(positions.sparse.iter().all(|p| (positions.dense..1_500).contains(p)));
            assert!(positions.sparse.is_sorted_by(|one, next| one < next));
        }
        let positions = Positions::new(100, 1_500, 8, 128);
        assert_eq!(positions.sparse[..9], [160, 161, 162, 163, 164, 165, 166, 167, 288]);
        assert_eq!(positions.count(), 100 + 11 * 8);
    }
}
