//! The heads of the decoder whose attention follows the speech: where they look is where a token
//! was said. Pure data.

use crate::model::layout::Dims;

type Heads = &'static [(usize, usize)];

/// Layer and head, as published with the models (OpenAI's `_ALIGNMENT_HEADS`).
const TINY_EN: Heads = &[(1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)];
const TINY: Heads = &[(2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)];
const BASE_EN: Heads = &[(3, 3), (4, 7), (5, 1), (5, 5), (5, 7)];
const BASE: Heads = &[(3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)];
const TURBO: Heads = &[(2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)];

/// Per layer, the heads that follow the speech. Where they are not published for such a model, all
/// of the upper half.
#[must_use]
pub fn heads(dims: &Dims) -> Vec<Vec<usize>> {
    let layers = dims.text_layer as usize;
    let multilingual = dims.vocab >= 51_865;
    let known = match (layers, dims.text_head, multilingual) {
        (4, 6, false) => Some(TINY_EN),
        (4, 6, true) => Some(TINY),
        (6, 8, false) => Some(BASE_EN),
        (6, 8, true) => Some(BASE),
        (4, 20, true) => Some(TURBO),
        _ => None,
    };
    let mut heads = vec![Vec::new(); layers];
    match known {
        Some(known) => known.iter().for_each(|(layer, head)| heads[*layer].push(*head)),
        None => heads[layers / 2..].fill((0..dims.text_head as usize).collect()),
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_heads_that_it_has() {
        for (vocab, text_layer, text_head, count) in [
            (51_864, 4, 6, 8),
            (51_865, 4, 6, 6),
            (51_864, 6, 8, 5),
            (51_865, 6, 8, 8),
            (51_866, 4, 20, 6),
            (51_865, 12, 12, 72),
            (51_865, 1, 1, 1),
        ] {
            let dims = Dims {
                vocab,
                audio_ctx: 1_500,
                audio_state: 64 * text_head,
                audio_head: text_head,
                audio_layer: text_layer,
                text_ctx: 448,
                text_state: 64 * text_head,
                text_head,
                text_layer,
                mels: 80,
            };
            let heads = heads(&dims);
            assert_eq!(heads.len(), text_layer as usize);
            assert_eq!(heads.iter().map(Vec::len).sum::<usize>(), count, "{vocab} {text_layer}");
            assert!(heads.iter().flatten().all(|head| *head < text_head as usize));
        }
    }
}
