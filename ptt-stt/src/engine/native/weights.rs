//! A model's weights as the engine needs them: the encoder's as f32 in panels, the decoder's as bytes in rows. Reads the
//! ggml files that [`crate::model`] writes and checks, in every storage that it knows.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};

use super::alignment;
use super::bytes::ByteRows;
use super::matrix::Panels;
use super::spectrogram::Spectrograph;
use super::words::Words;
use crate::SttError;
use crate::model::CheckedModel;
use crate::model::dequantize::decoded;
use crate::model::ggml::bytes_of;
use crate::model::layout::Dims;
use crate::model::mel::BINS;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    /// Its dimensions.
    pub dims: Dims,
    /// Samples to spectrograms.
    pub spectrograph: Spectrograph,
    /// Its vocabulary.
    pub words: Words,
    /// Per layer of the decoder: the heads whose attention follows the speech.
    pub alignment: Vec<Vec<usize>>,
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
}

#[derive(Debug)]
pub(super) struct Encoder {
    pub convolutions: [Linear; 2],
    pub positions: Vec<f32>,
    pub layers: Vec<EncoderLayer>,
    pub norm: Norm,
}

#[derive(Debug)]
pub(super) struct EncoderLayer {
    pub norm: Norm,
    /// Queries, keys and values in one; the queries are scaled already.
    pub attend: Linear,
    pub out: Linear,
    pub bend_norm: Norm,
    pub bend: [Linear; 2],
}

#[derive(Debug)]
pub(super) struct Decoder {
    pub tokens: ByteRows,
    pub positions: Vec<f32>,
    pub layers: Vec<DecoderLayer>,
    pub norm: Norm,
}

#[derive(Debug)]
pub(super) struct DecoderLayer {
    pub norm: Norm,
    /// Queries, keys and values in one; the queries are scaled already.
    pub attend: ByteLinear,
    pub out: ByteLinear,
    pub look_norm: Norm,
    /// Queries to the encoder's output, scaled already.
    pub look: ByteLinear,
    /// Keys and values of the encoder's output in one.
    pub seen: Linear,
    pub look_out: ByteLinear,
    pub bend_norm: Norm,
    pub bend: [ByteLinear; 2],
}

/// Gain and bias of a normalisation.
#[derive(Debug)]
pub(super) struct Norm {
    pub gain: Vec<f32>,
    pub bias: Vec<f32>,
}

#[derive(Debug)]
pub(super) struct Linear {
    pub weights: Panels,
    pub bias: Vec<f32>,
}

#[derive(Debug)]
pub(super) struct ByteLinear {
    pub weights: ByteRows,
    pub bias: Vec<f32>,
}

impl Model {
    /// Reads a file that was checked.
    ///
    /// # Errors
    /// [`SttError::Load`] when it cannot be read, [`SttError::Model`] when it was changed meanwhile.
    pub fn load(model: &CheckedModel) -> Result<Self, SttError> {
        let dims = model.structure()?.dims;
        let loaded = Self::read(BufReader::with_capacity(1 << 20, model.rewound()?), dims);
        model.unchanged()?;
        loaded.map_err(|error| {
            tracing::debug!(path = %model.path().display(), %error, "model not loaded");
            SttError::Load { path: model.path().to_owned() }
        })
    }

    fn read(mut file: impl Read, dims: Dims) -> io::Result<Self> {
        // Twelve numbers of the head, then the size of the filter bank.
        for _ in 0..14 {
            u32(&mut file)?;
        }
        let filters = floats(&mut file, dims.mels as usize * BINS)?;
        let count = u32(&mut file)? as usize;
        let mut texts = Vec::with_capacity(count.min(1 << 16));
        for _ in 0..count {
            let length = u32(&mut file)? as usize;
            texts.push(bytes(&mut file, length)?);
        }
        let mut tensors = Tensors(HashMap::new());
        for _ in 0..dims.tensors().len() {
            let (name, values) = tensor(&mut file)?;
            tensors.0.insert(name, values);
        }
        Ok(Self {
            spectrograph: Spectrograph::new(&filters),
            words: Words::new(texts, dims.vocab as usize),
            alignment: alignment::heads(&dims),
            encoder: tensors.encoder(&dims)?,
            decoder: tensors.decoder(&dims)?,
            dims,
        })
    }
}

struct Tensors(HashMap<String, Vec<f32>>);

impl Tensors {
    fn encoder(&mut self, dims: &Dims) -> io::Result<Encoder> {
        let (width, mels) = (dims.audio_state as usize, dims.mels as usize);
        let mut layers = Vec::new();
        for layer in 0..dims.audio_layer {
            let block = format!("encoder.blocks.{layer}");
            layers.push(EncoderLayer {
                norm: self.norm(&format!("{block}.attn_ln"))?,
                attend: panels(self.attend(&format!("{block}.attn"))?, width),
                out: panels(self.linear(&format!("{block}.attn.out"))?, width),
                bend_norm: self.norm(&format!("{block}.mlp_ln"))?,
                bend: [
                    panels(self.linear(&format!("{block}.mlp.0"))?, width),
                    panels(self.linear(&format!("{block}.mlp.2"))?, 4 * width),
                ],
            });
        }
        Ok(Encoder {
            convolutions: [
                self.convolution("encoder.conv1", mels)?,
                self.convolution("encoder.conv2", width)?,
            ],
            positions: self.take("encoder.positional_embedding")?,
            layers,
            norm: self.norm("encoder.ln_post")?,
        })
    }

    fn decoder(&mut self, dims: &Dims) -> io::Result<Decoder> {
        let width = dims.text_state as usize;
        let mut layers = Vec::new();
        for layer in 0..dims.text_layer {
            let block = format!("decoder.blocks.{layer}");
            let cross = format!("{block}.cross_attn");
            layers.push(DecoderLayer {
                norm: self.norm(&format!("{block}.attn_ln"))?,
                attend: rows(self.attend(&format!("{block}.attn"))?, width),
                out: rows(self.linear(&format!("{block}.attn.out"))?, width),
                look_norm: self.norm(&format!("{cross}_ln"))?,
                look: rows(scaled(self.linear(&format!("{cross}.query"))?), width),
                seen: {
                    let (mut weights, values) =
                        (self.take(&format!("{cross}.key.weight"))?, self.linear(&format!("{cross}.value"))?);
                    let mut bias = vec![0.0; width];
                    weights.extend(values.0);
                    bias.extend(values.1);
                    panels((weights, bias), width)
                },
                look_out: rows(self.linear(&format!("{cross}.out"))?, width),
                bend_norm: self.norm(&format!("{block}.mlp_ln"))?,
                bend: [
                    rows(self.linear(&format!("{block}.mlp.0"))?, width),
                    rows(self.linear(&format!("{block}.mlp.2"))?, 4 * width),
                ],
            });
        }
        Ok(Decoder {
            tokens: ByteRows::of_rows(&self.take("decoder.token_embedding.weight")?, width),
            positions: self.take("decoder.positional_embedding")?,
            layers,
            norm: self.norm("decoder.ln")?,
        })
    }

    fn take(&mut self, name: &str) -> io::Result<Vec<f32>> {
        self.0.remove(name).ok_or_else(|| io::Error::other(format!("the tensor {name} is missing")))
    }

    fn norm(&mut self, name: &str) -> io::Result<Norm> {
        Ok(Norm { gain: self.take(&format!("{name}.weight"))?, bias: self.take(&format!("{name}.bias"))? })
    }

    fn linear(&mut self, name: &str) -> io::Result<(Vec<f32>, Vec<f32>)> {
        Ok((self.take(&format!("{name}.weight"))?, self.take(&format!("{name}.bias"))?))
    }

    /// Queries, keys and values of an attention; keys have no bias.
    fn attend(&mut self, name: &str) -> io::Result<(Vec<f32>, Vec<f32>)> {
        let (mut weights, mut bias) = scaled(self.linear(&format!("{name}.query"))?);
        weights.extend(self.take(&format!("{name}.key.weight"))?);
        bias.extend(std::iter::repeat_n(0.0, bias.len()));
        let values = self.linear(&format!("{name}.value"))?;
        weights.extend(values.0);
        bias.extend(values.1);
        Ok((weights, bias))
    }

    /// Stored as [to][from][3]; read as three frames in a row, so as [to][3][from].
    fn convolution(&mut self, name: &str, from: usize) -> io::Result<Linear> {
        let (weights, bias) = self.linear(name)?;
        let mut matrix = Panels::default();
        matrix.fill(bias.len(), 3 * from, |to, at| weights[(to * from + at % from) * 3 + at / from]);
        Ok(Linear { weights: matrix, bias })
    }
}

/// The queries of heads of width 64 are scaled by its root.
fn scaled((mut weights, mut bias): (Vec<f32>, Vec<f32>)) -> (Vec<f32>, Vec<f32>) {
    for value in weights.iter_mut().chain(&mut bias) {
        *value *= 0.125;
    }
    (weights, bias)
}

fn panels((weights, bias): (Vec<f32>, Vec<f32>), depth: usize) -> Linear {
    Linear { weights: Panels::of_rows(&weights, bias.len(), depth), bias }
}

fn rows((weights, bias): (Vec<f32>, Vec<f32>), depth: usize) -> ByteLinear {
    ByteLinear { weights: ByteRows::of_rows(&weights, depth), bias }
}

fn tensor(file: &mut impl Read) -> io::Result<(String, Vec<f32>)> {
    let (rank, name, kind) = (u32(file)?, u32(file)?, u32(file)?);
    let shape = (0..rank).map(|_| u32(file)).collect::<io::Result<Vec<u32>>>()?;
    let name = bytes(file, name as usize)?;
    let count: u64 = shape.iter().map(|&d| u64::from(d)).product();
    let length = bytes_of(kind, count);
    let length = length.and_then(|length| usize::try_from(length).ok());
    let stored = bytes(file, length.ok_or_else(|| io::Error::other("a tensor of an unknown type"))?)?;
    let values =
        decoded(kind, &stored).ok_or_else(|| io::Error::other("weights of this type cannot be read"))?;
    Ok((String::from_utf8_lossy(&name).into_owned(), values))
}

fn u32(file: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn floats(file: &mut impl Read, count: usize) -> io::Result<Vec<f32>> {
    Ok(bytes(file, count * 4)?.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

fn bytes(file: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
