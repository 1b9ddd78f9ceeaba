//! What the encoder saw to words: Whisper's decoder, some tokens at a time.

use super::bytes::{ByteRows, Rounded};
use super::crew::{Crew, Memory};
use super::encoder::{HEAD, Seen, look};
use super::matrix::{Rows, RowsMut};
use super::rows::{gelu, layer_norm, softmax};
use super::weights::{ByteLinear, DecoderLayer, Model};
use super::words::Token;

/// Rows of the vocabulary in one piece of work.
const PIECE: usize = 4_096;

/// What was decoded so far: keys and values of every token in every layer.
#[derive(Debug, Default)]
pub struct Past {
    /// Per layer: rows of keys and values.
    layers: Vec<Vec<f32>>,
    tokens: usize,
    /// Attention of the last token to every position, the mean of the model's alignment heads.
    pub attention: Vec<f32>,
}

impl Past {
    /// Nothing.
    #[must_use]
    pub fn new(model: &Model) -> Self {
        let layers = vec![Vec::new(); model.decoder.layers.len()];
        Self { layers, tokens: 0, attention: Vec::new() }
    }
}

/// Takes `tokens` in and says what may follow each of those from `from` on: a row of logits for each.
///
/// # Panics
/// When there are more tokens than Whisper has positions (448).
pub fn step(
    model: &Model,
    seen: &Seen,
    past: &mut Past,
    tokens: &[Token],
    from: usize,
    crew: Crew<'_>,
) -> Vec<Vec<f32>> {
    let decoder = &model.decoder;
    let width = model.dims.text_state as usize;
    let mut memory = Memory::default();
    let mut x = vec![0.0; tokens.len() * width];
    for (row, (token, position)) in x.chunks_exact_mut(width).zip(tokens.iter().zip(past.tokens..)) {
        decoder.tokens.read(*token as usize, row);
        for (value, place) in row.iter_mut().zip(&decoder.positions[position * width..]) {
            *value += place;
        }
    }
    past.attention.clear();
    for (at, ((layer, kept), heads)) in
        decoder.layers.iter().zip(&mut past.layers).zip(&seen.heads).enumerate()
    {
        let aligned = Aligned {
            heads: model.alignment.get(at).map_or(&[], Vec::as_slice),
            attention: &mut past.attention,
        };
        through(layer, kept, heads, seen.weights.as_deref(), &mut x, past.tokens, aligned, &mut memory);
    }
    let heads = model.alignment.iter().map(Vec::len).sum::<usize>().max(1) as f32;
    past.attention.iter_mut().for_each(|share| *share /= heads);
    past.tokens += tokens.len();
    let last = &x[from * width..];
    let mut normed = vec![0.0; last.len()];
    layer_norm(last, &decoder.norm.gain, &decoder.norm.bias, &mut normed);
    logits(&decoder.tokens, &normed, crew)
}

/// Which heads of a layer follow the speech, and where their attention is added up.
struct Aligned<'a> {
    heads: &'a [usize],
    attention: &'a mut Vec<f32>,
}

impl Aligned<'_> {
    fn add(&mut self, head: usize, shares: &[f32]) {
        if self.heads.contains(&head) {
            self.attention.resize(shares.len(), 0.0);
            add(self.attention, shares);
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "what a layer reads and writes")]
fn through(
    layer: &DecoderLayer,
    kept: &mut Vec<f32>,
    heads: &[super::encoder::SeenHead],
    weights: Option<&[f32]>,
    x: &mut [f32],
    before: usize,
    mut aligned: Aligned<'_>,
    memory: &mut Memory,
) {
    let width = layer.norm.gain.len();
    let count = x.len() / width;
    let mut normed = vec![0.0; x.len()];
    layer_norm(x, &layer.norm.gain, &layer.norm.bias, &mut normed);
    let attend = apply(&layer.attend, &normed);
    for row in attend.chunks_exact(3 * width) {
        kept.extend_from_slice(&row[width..]);
    }
    let mut mixed = vec![0.0; x.len()];
    for (token, (query, mixed)) in
        attend.chunks_exact(3 * width).zip(mixed.chunks_exact_mut(width)).enumerate()
    {
        look_back(query, &kept[..(before + token + 1) * 2 * width], mixed);
    }
    add(x, &apply(&layer.out, &mixed));

    layer_norm(x, &layer.look_norm.gain, &layer.look_norm.bias, &mut normed);
    let queries = apply(&layer.look, &normed);
    mixed.fill(0.0);
    for (head, seen) in heads.iter().enumerate() {
        let rows = Rows { values: &queries[head * HEAD..], count, stride: width };
        look(rows, seen, weights, RowsMut { values: &mut mixed[head * HEAD..], stride: width }, memory);
        // The shares that `look` left: a row for each token.
        let shares = &memory.buffers[0];
        aligned.add(head, &shares[shares.len() - shares.len() / count..]);
    }
    add(x, &apply(&layer.look_out, &mixed));

    layer_norm(x, &layer.bend_norm.gain, &layer.bend_norm.bias, &mut normed);
    let mut wide = apply(&layer.bend[0], &normed);
    gelu(&mut wide);
    add(x, &apply(&layer.bend[1], &wide));
}

/// The attention of one token to itself and those before it.
fn look_back(query: &[f32], kept: &[f32], out: &mut [f32]) {
    let width = out.len();
    let mut scores = vec![0.0; kept.len() / (2 * width)];
    for (head, out) in out.chunks_exact_mut(HEAD).enumerate() {
        let query = &query[head * HEAD..][..HEAD];
        for (score, row) in scores.iter_mut().zip(kept.chunks_exact(2 * width)) {
            *score = query.iter().zip(&row[head * HEAD..]).map(|(q, k)| q * k).sum();
        }
        let count = scores.len();
        softmax(&mut scores, count, None);
        for (share, row) in scores.iter().zip(kept.chunks_exact(2 * width)) {
            for (out, value) in out.iter_mut().zip(&row[width + head * HEAD..]) {
                *out += share * value;
            }
        }
    }
}

fn apply(linear: &ByteLinear, rows: &[f32]) -> Vec<f32> {
    let right: Vec<Rounded> = rows.chunks_exact(linear.weights.depth()).map(Rounded::of).collect();
    let to = linear.weights.count();
    let mut out = vec![0.0; right.len() * to];
    linear.weights.products(0..to, &right, &mut out);
    add_bias(&mut out, &linear.bias);
    out
}

fn logits(tokens: &ByteRows, rows: &[f32], crew: Crew<'_>) -> Vec<Vec<f32>> {
    let right: Vec<Rounded> = rows.chunks_exact(tokens.depth()).map(Rounded::of).collect();
    let size = tokens.count();
    let mut pieces = vec![0.0; size * right.len()];
    crew.each(pieces.chunks_mut(PIECE * right.len()).enumerate(), |(at, out), _| {
        let first = at * PIECE;
        tokens.products(first..first + out.len() / right.len(), &right, out);
    });
    let mut logits = vec![Vec::with_capacity(size); right.len()];
    for piece in pieces.chunks(PIECE * right.len()) {
        for (row, values) in logits.iter_mut().zip(piece.chunks(piece.len() / right.len())) {
            row.extend_from_slice(values);
        }
    }
    logits
}

fn add(x: &mut [f32], more: &[f32]) {
    for (x, more) in x.iter_mut().zip(more) {
        *x += more;
    }
}

fn add_bias(rows: &mut [f32], bias: &[f32]) {
    super::rows::add_to_rows(rows, bias);
}
