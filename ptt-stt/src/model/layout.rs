//! What a Whisper model is made of: its dimensions, and the name, shape and storage of every tensor.
//!
//! The importer writes by this list and the verifier reads by it, in the order of the published files.

/// The dimensions of a model, in the order of a ggml file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Tokens: 51864 English only, 51865 multilingual, 51866 large-v3.
    pub vocab: u32,
    /// Frames of the encoder: 1500 for 30 s.
    pub audio_ctx: u32,
    /// Width of the encoder.
    pub audio_state: u32,
    /// Attention heads of the encoder.
    pub audio_head: u32,
    /// Layers of the encoder.
    pub audio_layer: u32,
    /// Tokens the decoder can hold: 448.
    pub text_ctx: u32,
    /// Width of the decoder, the same as the encoder's.
    pub text_state: u32,
    /// Attention heads of the decoder.
    pub text_head: u32,
    /// Layers of the decoder.
    pub text_layer: u32,
    /// Mel bands: 80, large-v3 128.
    pub mels: u32,
}

/// Tokens that stand for text; the file carries these and the engine adds the special ones itself.
pub const TEXT_TOKENS: u32 = 50_257;

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Always f32.
    Single,
    /// f16 at most: never quantised.
    Half,
    /// As the file's head says.
    Weight,
}

/// One tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// OpenAI's name.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<u32>,
    /// How it is stored.
    pub storage: Storage,
}

impl Tensor {
    /// Number of values. The dimensions are checked before, so this cannot overflow.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.shape.iter().map(|&d| u64::from(d)).product()
    }

    /// Length of the innermost dimension.
    #[must_use]
    pub fn row(&self) -> u32 {
        self.shape.last().copied().unwrap_or(0)
    }
}

impl Dims {
    /// Checks that the engine can run such a model at all.
    ///
    /// # Errors
    /// Says which dimension is out of range.
    pub fn check(&self) -> Result<(), String> {
        // whisper.cpp derives the ids of its special tokens and its table of languages from this number.
        within("tokens", self.vocab, 51_864, 51_866)?;
        within("audio frames", self.audio_ctx, 1_500, 1_500)?;
        within("text positions", self.text_ctx, 448, 448)?;
        within("encoder width", self.audio_state, 64, 2_048)?;
        within("encoder layers", self.audio_layer, 1, 48)?;
        within("decoder layers", self.text_layer, 1, 48)?;
        if self.text_state != self.audio_state {
            return Err(format!("decoder width {} is not {}", self.text_state, self.audio_state));
        }
        if self.mels != 80 && self.mels != 128 {
            return Err(format!("{} mel bands, known are 80 and 128", self.mels));
        }
        for heads in [self.audio_head, self.text_head] {
            // Every Whisper model has heads of width 64.
            if u64::from(heads) * 64 != u64::from(self.audio_state) {
                return Err(format!("{heads} heads at width {}", self.audio_state));
            }
        }
        Ok(())
    }

    /// Whether it knows more than English.
    #[must_use]
    pub const fn is_multilingual(&self) -> bool {
        self.vocab >= 51_865
    }

    /// The name under which a model of these dimensions was published, if it was.
    #[must_use]
    pub fn published_name(&self) -> Option<&'static str> {
        let english = self.vocab == 51_864;
        Some(match (self.audio_state, self.audio_layer, self.text_layer, english) {
            (384, 4, 4, true) => "tiny.en",
            (384, 4, 4, false) => "tiny",
            (512, 6, 6, true) => "base.en",
            (512, 6, 6, false) => "base",
            (768, 12, 12, true) => "small.en",
            (768, 12, 12, false) => "small",
            (1_024, 24, 24, true) => "medium.en",
            (1_024, 24, 24, false) => "medium",
            (1_280, 32, 32, false) if self.vocab == 51_866 => "large-v3",
            (1_280, 32, 4, false) if self.vocab == 51_866 => "large-v3-turbo",
            _ => return None,
        })
    }

    /// Every tensor, in the order of the published files.
    #[must_use]
    pub fn tensors(&self) -> Vec<Tensor> {
        let (state, mels) = (self.audio_state, self.mels);
        let mut list = List(Vec::new());
        list.push("decoder.positional_embedding", &[self.text_ctx, state], Storage::Single);
        list.push("encoder.positional_embedding", &[self.audio_ctx, state], Storage::Single);
        list.push("decoder.token_embedding.weight", &[self.vocab, state], Storage::Weight);
        for layer in 0..self.text_layer {
            let block = format!("decoder.blocks.{layer}");
            list.feed_forward(&block, state);
            list.attention(&format!("{block}.attn"), state);
            list.attention(&format!("{block}.cross_attn"), state);
        }
        list.norm("decoder.ln", state);
        list.push("encoder.conv1.weight", &[state, mels, 3], Storage::Half);
        list.push("encoder.conv1.bias", &[state, 1], Storage::Single);
        list.push("encoder.conv2.weight", &[state, state, 3], Storage::Half);
        list.push("encoder.conv2.bias", &[state, 1], Storage::Single);
        for layer in 0..self.audio_layer {
            let block = format!("encoder.blocks.{layer}");
            list.feed_forward(&block, state);
            list.attention(&format!("{block}.attn"), state);
        }
        list.norm("encoder.ln_post", state);
        list.0
    }
}

fn within(what: &str, found: u32, min: u32, max: u32) -> Result<(), String> {
    if (min..=max).contains(&found) {
        Ok(())
    } else {
        Err(format!("{found} {what}, allowed is {min} to {max}"))
    }
}

struct List(Vec<Tensor>);

impl List {
    fn push(&mut self, name: &str, shape: &[u32], storage: Storage) {
        self.0.push(Tensor { name: name.to_owned(), shape: shape.to_vec(), storage });
    }

    fn norm(&mut self, name: &str, width: u32) {
        self.push(&format!("{name}.weight"), &[width], Storage::Single);
        self.push(&format!("{name}.bias"), &[width], Storage::Single);
    }

    fn linear(&mut self, name: &str, from: u32, to: u32) {
        self.push(&format!("{name}.weight"), &[to, from], Storage::Weight);
        self.push(&format!("{name}.bias"), &[to], Storage::Single);
    }

    fn feed_forward(&mut self, block: &str, width: u32) {
        self.norm(&format!("{block}.mlp_ln"), width);
        self.linear(&format!("{block}.mlp.0"), width, 4 * width);
        self.linear(&format!("{block}.mlp.2"), 4 * width, width);
    }

    /// The key projection is the one without a bias.
    fn attention(&mut self, name: &str, width: u32) {
        self.norm(&format!("{name}_ln"), width);
        self.linear(&format!("{name}.query"), width, width);
        self.push(&format!("{name}.key.weight"), &[width, width], Storage::Weight);
        self.linear(&format!("{name}.value"), width, width);
        self.linear(&format!("{name}.out"), width, width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::CATALOG;
    use crate::model::ggml::{F32, bytes_of};
    use crate::model::mel::BINS;

    /// The published dimensions: state, heads, encoder and decoder layers, tokens, mel bands.
    const FAMILIES: [(&str, [u32; 6]); 6] = [
        ("tiny", [384, 6, 4, 4, 51_865, 80]),
        ("base", [512, 8, 6, 6, 51_865, 80]),
        ("small", [768, 12, 12, 12, 51_865, 80]),
        ("medium", [1_024, 16, 24, 24, 51_865, 80]),
        ("large-v3", [1_280, 20, 32, 32, 51_866, 128]),
        ("large-v3-turbo", [1_280, 20, 32, 4, 51_866, 128]),
    ];

    #[test]
    fn the_layout_gives_the_size_of_every_published_file() {
        for model in CATALOG {
            let (base, weights) = model.name.split_once('-').map_or((model.name, 1), |_| {
                let (base, last) = model.name.rsplit_once('-').unwrap();
                match last {
                    "q5_0" => (base, 6),
                    "q5_1" => (base, 7),
                    "q8_0" => (base, 8),
                    _ => (model.name, 1),
                }
            });
            let dims = published_dims(base);
            assert_eq!(dims.check(), Ok(()), "{}", model.name);
            assert_eq!(dims.published_name(), Some(base), "{}", model.name);
            assert_eq!(file_size(&dims, weights), model.size, "{}", model.name);
        }
    }

    #[test]
    fn dimensions_no_engine_can_run_are_refused() {
        let good = published_dims("tiny.en");
        for bad in [
            Dims { vocab: 51_863, ..good },
            Dims { vocab: 51_867, ..good },
            Dims { audio_ctx: 1_499, ..good },
            Dims { text_ctx: 449, ..good },
            Dims { audio_head: 5, ..good },
            Dims { text_head: 0, ..good },
            Dims { text_state: 512, ..good },
            Dims { audio_state: u32::MAX, text_state: u32::MAX, ..good },
            Dims { audio_layer: 0, ..good },
            Dims { text_layer: 1_000_000, ..good },
            Dims { mels: 81, ..good },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    fn published_dims(name: &str) -> Dims {
        let english = name.ends_with(".en");
        let family = name.trim_end_matches(".en");
        let (_, [state, heads, audio_layer, text_layer, vocab, mels]) =
            FAMILIES.into_iter().find(|(known, _)| *known == family).unwrap();
        Dims {
            vocab: vocab - u32::from(english),
            audio_ctx: 1_500,
            audio_state: state,
            audio_head: heads,
            audio_layer,
            text_ctx: 448,
            text_state: state,
            text_head: heads,
            text_layer,
            mels,
        }
    }

    fn file_size(dims: &Dims, weights: u32) -> u64 {
        // The texts of the two published vocabularies, without the length before each.
        let texts = if dims.vocab == 51_864 { 320_827 } else { 307_057 };
        let head = 12 * 4 + 8 + u64::from(dims.mels) * BINS as u64 * 4 + 4 + 4 * 50_257 + texts;
        let tensors = dims.tensors().into_iter().map(|tensor| {
            let kind = match tensor.storage {
                Storage::Single => F32,
                Storage::Half => 1,
                Storage::Weight => weights,
            };
            let values = bytes_of(kind, tensor.values()).unwrap();
            12 + 4 * tensor.shape.len() as u64 + tensor.name.len() as u64 + values
        });
        head + tensors.sum::<u64>()
    }
}
